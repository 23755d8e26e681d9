import json

import numpy as np
import pytest
from PIL import Image

from training.cli import main

SMALL = "synthetic:people=3,cameras=2,size=32x16"


@pytest.fixture
def vantage_train(capsys):
    """Run the command in this process; exit code, standard output, standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out, printed.err

    return run


def test_written_people_are_the_rendered_ones_and_pass_the_check(vantage_train, tmp_path):
    code, out, err = vantage_train("data", "write", SMALL, "--out", tmp_path / "people", "--workers", "1")
    assert (code, err) == (0, "")
    spec = out.rstrip().rpartition(" ")[2]
    assert spec == f"market1501:{tmp_path / 'people'},viewpoints={tmp_path / 'people' / 'viewpoints.csv'}"
    reports = []
    for checked in (spec, SMALL):
        code, out, err = vantage_train("data", "check", checked, "--json")
        assert (code, err) == (0, "")
        reports.append(json.loads(out))
    assert [(report.pop("name"), report.pop("spec")) for report in reports] == [
        ("market1501", spec),
        ("synthetic", SMALL),
    ]
    assert reports[0] == reports[1]
    assert reports[0]["unreadable"] == []
    assert reports[0]["splits"]["train"]["without_viewpoint"] == 0


def test_check_prints_names_as_they_are(vantage_train, tmp_path):
    (tmp_path / "list.csv").write_text("path,person\n[bold]a.jpg,a\n")
    code, out, _ = vantage_train("data", "check", f"csv:{tmp_path / 'list.csv'}")
    assert code == 0
    assert "[bold]a.jpg" in out.replace("\n", "")
    assert "1 file cannot be read" in out


def test_preview_writes_a_sheet(vantage_train, tmp_path):
    code, out, err = vantage_train("data", "preview", SMALL, "--out", tmp_path / "sheet.png", "--people", "2")
    assert (code, err) == (0, "")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert np.array(sheet).std() > 10
    assert str(tmp_path / "sheet.png") in out


def test_a_mistake_is_a_sentence_and_exit_1_and_leaves_nothing_behind(vantage_train, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    for arguments, sentence in (
        (["check", "market:/data"], "did you mean market1501?"),
        (["check", f"market1501:{tmp_path / 'none'}"], "there is no folder"),
        (["preview", SMALL, "--out", tmp_path / "sheet.jpg"], "does not end in .png"),
        (["preview", SMALL, "--out", tmp_path / "none" / "sheet.png"], "cannot be written: No such file"),
        (["write", f"market1501:{tmp_path}", "--out", tmp_path / "out"], "only synthetic people can be written"),
        (["write", "synthetic:people=1", "--out", tmp_path / "out"], "people is 1"),
        (["write", SMALL, "--out", tmp_path / "full"], "not an empty folder"),
        (["write", SMALL, "--out", tmp_path / "file" / "out"], "cannot be written"),
    ):
        code, out, err = vantage_train("data", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("vantage-train: ")
        assert sentence in err
    assert sorted(tmp_path.rglob("*")) == before
