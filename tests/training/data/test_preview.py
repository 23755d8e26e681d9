import importlib

import pytest

from training.data import DataError, load_dataset, preview, synthetic
from training.data.contact_sheet import SheetRow

# the package gives the function under the module's name
preview_module = importlib.import_module("training.data.preview")


@pytest.fixture
def drawn(monkeypatch):
    rows: list[SheetRow] = []
    real = preview_module.contact_sheet

    def spy(given, **settings):
        rows.extend(given)
        return real(given, **settings)

    monkeypatch.setattr(preview_module, "contact_sheet", spy)
    return rows


def test_there_is_a_row_a_person_and_junk_is_not_shown(make_market, drawn):
    preview(load_dataset(f"market1501:{make_market()}"))
    assert [row.label for row in drawn] == ["0001", "0002", "0007"]
    assert [cell.caption for cell in drawn[0].cells] == ["c1 gallery", "c1 query", "c2 gallery"]


def test_people_are_chosen_from_the_first_to_the_last(make_market, drawn):
    preview(load_dataset(f"market1501:{make_market()}"), people=2)
    assert [row.label for row in drawn] == ["0001", "0007"]


def test_an_unreadable_picture_leaves_its_place_empty(make_market, drawn):
    root = make_market()
    (root / "query" / "0001_c1s1_001051_00.jpg").write_bytes(b"no picture")
    preview(load_dataset(f"market1501:{root}"))
    assert [cell is None for cell in drawn[0].cells] == [False, True, False]


def test_rendered_people_have_the_renderer_s_own_sheet(drawn):
    dataset = load_dataset("synthetic:people=2,cameras=2,size=32x16")
    sheet = preview(dataset, people=1)
    assert drawn == []
    assert sheet == synthetic.preview(dataset.train[0].source.spec, people=1)


def test_nobody_to_show_is_a_sentence(make_market):
    junk = load_dataset(f"market1501:{make_market(train=(), query=(), gallery=('-1_c1s1_000401_03.jpg',))}")
    with pytest.raises(DataError, match="all are junk or distractors"):
        preview(junk)
    with pytest.raises(DataError, match="at least one person"):
        preview(junk, people=0)
