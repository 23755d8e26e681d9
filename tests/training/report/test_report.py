"""The page as a browser would take it: whole, readable, and asking nobody for anything."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from models import Bundle, Card, Session
from models.errors import ModelError
from training.cli.calibrate import calibrate
from training.cli.report import report
from training.data import load_dataset
from training.errors import TrainingError
from training.evaluation import open_trial
from training.report import build_report

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Every tag with its attributes, the text, and whether tags close in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def of(self, tag, **wanted):
        return [a for t, a in self.tags if t == tag and all(a.get(key) == value for key, value in wanted.items())]


@pytest.fixture
def market(colourful_market):
    root = colourful_market(viewpoints=True)
    return f"market1501:{root},viewpoints={root / 'viewpoints.csv'}"


@pytest.fixture
def log(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    events = [
        {"event": "validation", "epoch": 0, "step": 0, "map": 0.1, "rank1": 0.2},
        {"event": "step", "epoch": 1, "step": 1, "loss": 9.0, "parts": {"sep": 9.0}},
        {"event": "epoch", "epoch": 1, "step": 2, "loss": 4.0, "parts": {"sep": 3.0, "sq": 1.0}},
        {"event": "epoch", "epoch": 2, "step": 4, "loss": 2.0, "parts": {"sep": 1.5, "sq": 0.5}},
        {"event": "validation", "epoch": 2, "step": 4, "map": 0.6, "rank1": 0.7},
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + '{"event": "ep')
    return run


def page_of(model, data, **more):
    session = Session(Bundle.open(model.path), device="cpu", threads=1)
    trial = open_trial(session, load_dataset(data), keep_junk=True)
    card = Card.load(model.path / "card.json")
    return build_report(session, trial, card=card, dataset="market1501", command="vantage-train report x", **more)


def test_every_picture_is_there_and_has_its_sentence(linear_model, market, log):
    html = page_of(linear_model(viewpoint=True), market, rerank="exact", run=log)
    page = Page(html)
    assert [section["id"] for section in page.of("section")] == [
        "overview",
        "lists",
        "cmc",
        "scores",
        "views",
        "occlusion",
        "map",
        "training",
    ]
    assert len(page.of("p", **{"class": "reading"})) == 8
    assert {link["href"] for link in page.of("a")} == {f"#{section['id']}" for section in page.of("section")}
    assert len(page.of("svg")) == 2 + 2 + 2  # CMC, scores, two maps, two training curves
    assert len(page.of("table", **{"class": "matrix"})) == 1
    assert len(page.of("div", **{"class": "ranked"})) == 9
    for words in ("re-ranked (exact)", "pairs of two people", "sep", "sq", "first answer right", "Answered worst"):
        assert words in page.text


def test_nothing_is_asked_of_anyone(linear_model, market, log):
    html = page_of(linear_model(), market, run=log)
    page = Page(html)
    assert page.of("img")
    for image in page.of("img"):
        kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=]+)", image["src"]).groups()
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            picture.load()
            assert picture.format.lower() == kind
    assert not page.of("script")
    assert not page.of("link")
    assert not re.search(r"https?:|@import|url\(|\bon\w+=", html)
    (policy,) = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")


def test_a_list_marks_right_wrong_and_what_does_not_count(linear_model, market):
    html = page_of(linear_model(), market)
    page = Page(html)
    kinds = [figure.get("class") for figure in page.of("figure")]
    for kind in ("query", "right", "wrong", "ignored"):
        assert kind in kinds
    assert "✓ 1" in page.text
    assert "✗ 1" in page.text
    assert "own cam" in page.text
    assert re.search(r"c\d (front|side|back)", page.text)


def test_thresholds_are_the_cards_or_measured_here(linear_model, colourful_market):
    data = f"market1501:{colourful_market(people=14, distractors=40)}"
    model = linear_model()
    assert "the card has no calibration yet" in page_of(model, data)
    app = typer.Typer()
    app.command()(calibrate)
    assert CliRunner().invoke(app, [str(model.path), "--data", data, "--device", "cpu"]).exit_code == 0
    html = page_of(model, data)
    assert "The lines are the card&#x27;s, measured on market1501: query x gallery" in html
    assert "1 in 100<" in html
    found = float(re.search(r"let through: ([\d.]+)% from", html)[1])
    assert 0 < found <= 1.0


def test_names_that_look_like_markup_stay_words(linear_model, tmp_path):
    root = tmp_path / "<b>x&y"
    for split in ("query", "gallery"):
        for person in ("<script>alert(1)</script>", "o'\"p"):
            folder = root / split / person.replace("/", "∕")
            folder.mkdir(parents=True)
            for at in range(6 if split == "gallery" else 1):
                colour = (at * 20, 200 if person < "a" else 10, 90)
                Image.new("RGB", (8, 16), colour).save(folder / f"{at}.png")
    session = Session(Bundle.open(linear_model().path), device="cpu", threads=1)
    trial = open_trial(session, load_dataset(f"folder:{root}"), ignore_cameras=True)
    card = session.card.model_copy(update={"version": "<i>1</i>"})
    html = build_report(session, trial, card=card, dataset="folder <b>x&y", command='vantage-train "<u>"')
    page = Page(html)
    assert not page.of("script")
    assert not page.of("u")
    assert not [tag for tag in page.tags if tag[0] == "i" and "class" not in tag[1]]  # the page's own have one
    assert "<script>alert" not in html
    assert "<i>1</i>" not in html
    assert "folder <b>x&y" in page.text
    assert "<script>alert(1)<∕script>" in page.text


def test_without_viewpoints_and_a_run_the_page_is_shorter_and_whole(linear_model, colourful_market):
    page = Page(page_of(linear_model(), f"market1501:{colourful_market()}"))
    assert [section["id"] for section in page.of("section")] == [
        "overview",
        "lists",
        "cmc",
        "scores",
        "occlusion",
        "map",
    ]


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(report)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_writes_one_file(run, linear_model, market, log, tmp_path):
    out = tmp_path / "report.html"
    result = run(linear_model().path, "--data", market, "--out", out, "--run", log, "--device", "cpu")
    assert result.exit_code == 0, result.exception
    page = Page(out.read_text())
    assert "toy on market1501" in page.text
    assert "treat it like the dataset" in page.text
    assert page.of("section")[-1]["id"] == "training"


def test_what_a_user_can_mend_is_a_sentence(run, linear_model, market, tmp_path):
    model = linear_model()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "log.jsonl").write_text('{"event": "validation", "epoch": 0, "map": 0.1}\n')
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "log.jsonl").write_text("no json\n{}\n")
    out = tmp_path / "r.html"
    for words, sentence in (
        (("--out", tmp_path / "r.pdf"), "r.pdf does not end in .html"),
        (("--out", tmp_path / "none" / "r.html"), "there is no folder"),
        (("--out", out, "--run", tmp_path / "none"), "give --run the folder of a run of vantage-train fit"),
        (("--out", out, "--run", tmp_path / "empty"), "names no loss"),
        (("--out", out, "--run", tmp_path / "damaged"), "line 1 of"),
    ):
        result = run(model.path, "--data", market, "--device", "cpu", *words)
        assert isinstance(result.exception, TrainingError | ModelError)
        assert sentence in str(result.exception)
        assert not out.exists()
