"""`vantage-train evaluate` and `calibrate` as a user runs them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from models import Bundle, Card
from models.errors import ModelError
from training.cards import bundle_readme
from training.cli.calibrate import calibrate
from training.cli.evaluate import evaluate
from training.errors import TrainingError


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(evaluate)
    app.command()(calibrate)

    def invoke(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return invoke


def text_of(result):
    assert result.exit_code == 0, result.exception
    return " ".join(result.output.split())


def test_the_table_names_every_measure_and_what_was_left_out(run, linear_model, colourful_market):
    root = colourful_market(viewpoints=True)
    (root / "query" / "0001_c1s1_000001_00.png").write_bytes(b"")
    data = f"market1501:{root},viewpoints={root / 'viewpoints.csv'}"
    text = text_of(run("evaluate", linear_model().path, "--data", data, "--device", "cpu"))
    for words in ("mAP", "mAP, trapezoid", "CMC-1", "CMC-10", "mINP", "TPR@FPR 0.001", "DIR at FAR 0.1", "front query"):
        assert words in text
    assert "3 junk pictures left out" in text
    assert "1 pictures cannot be read: " in text
    assert "0001_c1s1_000001_00.png" in text.replace(" ", "")
    assert "too few to trust" in text


def test_json_holds_every_number_and_the_command(run, linear_model, colourful_market, tmp_path):
    model, root = linear_model(), colourful_market()
    command = ["evaluate", model.path, "--data", f"market1501:{root}", "--rerank", "online", "--k1", "5"]
    text_of(run(*command, "--json", tmp_path / "out.json", "--device", "cpu"))
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["sha256"] == Bundle.open(model.path).sha256
    assert facts["rerank"]["mode"] == "online"
    assert facts["rerank"]["k1"] == 5
    assert facts["gallery"]["junk"] == 3
    assert len(facts["cmc"]) == 50
    assert facts["viewpoints"] is None
    again = facts["command"].split()[1:]
    text_of(run(*again, "--json", tmp_path / "again.json"))
    assert json.loads((tmp_path / "again.json").read_text())["map_step"] == facts["map_step"]


def test_results_go_into_the_card_once_for_each_way_of_asking(run, linear_model, colourful_market):
    model, data = linear_model(), f"market1501:{colourful_market(pooled=2)}"
    for more in ([], [], ["--rerank", "exact"], ["--multi-query"], ["--rerank", "local", "--top", "9"]):
        text_of(run("evaluate", model.path, "--data", data, "--write-card", "--device", "cpu", *more))
    results = Card.load(model.path / "card.json").results
    assert [result.rerank and result.rerank.mode for result in results] == [None, "exact", None, "local, top 9"]
    assert "multi-query" in results[2].protocol
    assert results[0].dataset == "market1501"
    assert results[1].command == f"vantage-train evaluate {model.path} --data {data} --rerank exact"
    assert results[3].command.endswith("--rerank local --top 9")
    assert results[0].mean_ap != results[1].mean_ap
    assert results[0].mean_ap_trapezoid != results[0].mean_ap
    assert [result.by_camera is not None for result in results] == [True, False, True, False]


def test_the_page_of_a_bundle_says_between_which_views_and_cameras_it_fails(run, linear_model, colourful_market):
    model, root = linear_model(viewpoint=True), colourful_market(viewpoints=True)
    data = f"market1501:{root},viewpoints={root / 'viewpoints.csv'}"
    text = text_of(run("evaluate", model.path, "--data", data, "--write-card", "--device", "cpu"))
    assert "hardest camera pairs" in text
    card = Card.load(model.path / "card.json")
    page = bundle_readme(card)
    told = card.results[0].by_viewpoint
    assert told.names == ("front", "side", "back")
    worst = min(ap for row in told.mean_ap for ap in row if ap is not None)
    assert f"with {worst:.1%}, best" in page
    for asked, aps, counts in zip(told.names, told.mean_ap, told.queries, strict=True):
        cells = " | ".join(
            "-" if ap is None else f"{ap:.1%} ({count:,})" for ap, count in zip(aps, counts, strict=True)
        )
        assert f"| {asked} | {cells} |" in page
    assert "a row asks with the pictures of one camera" in page
    assert f"| {card.results[0].mean_ap:.2%} | {card.results[0].mean_ap_trapezoid:.2%} |" in page


def test_a_page_that_was_written_from_the_card_follows_it_and_others_are_left_alone(
    run, linear_model, colourful_market
):
    own, other = linear_model(name="own"), linear_model(name="other")
    (own.path / "README.md").write_text(bundle_readme(Card.load(own.path / "card.json")))
    (other.path / "README.md").write_text("written by hand")
    for model in (own, other):
        data = f"market1501:{colourful_market() if model is own else own.path.parent / 'market'}"
        text_of(run("evaluate", model.path, "--data", data, "--write-card", "--device", "cpu"))
    assert (own.path / "README.md").read_text() == bundle_readme(Card.load(own.path / "card.json"))
    assert "| market1501 | none |" in (own.path / "README.md").read_text()
    assert (other.path / "README.md").read_text() == "written by hand"


def test_a_foreign_bundle_is_evaluated_and_calibrated_alike(run, linear_model, colourful_market, tmp_path):
    data = f"market1501:{colourful_market(people=14, distractors=40)}"
    scores = []
    for model in (linear_model(), linear_model(foreign=True)):
        text_of(run("evaluate", model.path, "--data", data, "--json", tmp_path / "o.json", "--device", "cpu"))
        scores.append(json.loads((tmp_path / "o.json").read_text())["map_step"])
        text = text_of(run("calibrate", model.path, "--data", data, "--device", "cpu"))
        assert "of 100 pairs of different people about 1" in text
        card = Bundle.open(model.path).card
        assert card.calibration.command == f"vantage-train calibrate {model.path} --data {data}"
        assert card.uncalibrated_because is None
        assert card.calibration.dataset.startswith("market1501: query x gallery, ")
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--data": "market1501:/nowhere"}, "there is no folder /nowhere"),
        ({"--data": "marked1501:x"}, "did you mean market1501"),
        ({"bundle": "/nowhere"}, "/nowhere is not a directory"),
        ({"--precision": "float16"}, "toy has no file in float16; it has float32"),
        ({"--json": "/nowhere/out.json"}, "/nowhere/out.json cannot be written: there is no folder /nowhere"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence(run, linear_model, colourful_market, change, sentence):
    options = {"--data": f"market1501:{colourful_market()}", "--device": "cpu"} | change
    bundle = options.pop("bundle", linear_model().path)
    result = run("evaluate", bundle, *(word for pair in options.items() for word in pair))
    assert isinstance(result.exception, TrainingError | ModelError)
    assert sentence in str(result.exception)
