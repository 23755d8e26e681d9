import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import ZOO, Bundle, BundleError, Card, CheckReport, Crops, EmbeddingError, Session
from service.embedding import ModelHolder, ReloadError

TINY = ZOO / "synthetic-tiny"


@pytest.fixture(scope="module")
def holder() -> ModelHolder:
    return ModelHolder(TINY, device="cpu", threads=2, max_batch=8)


def copy_of(folder: Path) -> Path:
    shutil.copytree(TINY, folder)
    return folder


def test_a_holder_tells_what_serves_and_on_what(holder: ModelHolder) -> None:
    bundle = Bundle.open(TINY)
    assert (holder.name, holder.sha256, holder.provider) == ("synthetic-tiny", bundle.sha256, "CPUExecutionProvider")
    assert holder.current.card == bundle.card
    assert bundle.card.calibration is not None
    assert holder.current.calibration is not None
    assert holder.current.calibration.dataset == bundle.card.calibration.dataset


def test_on_two_cores_two_crops_are_run_side_by_side_and_one_alone_has_both(holder: ModelHolder) -> None:
    model = holder.current
    assert model.side_by_side.at_once == 2
    assert model.alone.at_once == 1
    crops = Crops(np.random.default_rng(0).integers(0, 256, (3, 128, 64, 3), dtype=np.uint8))
    np.testing.assert_allclose(
        model.alone.session.embed(crops).vectors, model.side_by_side.session.embed(crops).vectors, atol=1e-6
    )


def test_with_one_thread_there_is_one_session() -> None:
    model = ModelHolder(TINY, device="cpu", threads=1, max_batch=2).current
    assert model.alone is model.side_by_side
    assert model.side_by_side.at_once == 1


def test_a_model_that_does_not_load_gives_no_holder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a directory"):
        ModelHolder(tmp_path / "nowhere", device="cpu")


def test_reloading_serves_the_folder_as_it_is_now(tmp_path: Path) -> None:
    folder = copy_of(tmp_path / "bundle")
    holder = ModelHolder(folder, device="cpu", threads=1, max_batch=2)
    before = holder.current
    card = Card.load(folder / "card.json")
    changed = card.model_copy(update={"calibration": None, "uncalibrated_because": "it was withdrawn"})
    changed.save(folder / "card.json")
    assert holder.reload() is holder.current
    assert holder.current.card == changed
    assert holder.current.calibration is None
    assert before.calibration is not None  # who holds it, keeps it


@pytest.mark.parametrize("damage", ["card", "model", "cut"])
def test_a_bad_bundle_leaves_the_old_one_serving(tmp_path: Path, holder: ModelHolder, damage: str) -> None:
    folder = copy_of(tmp_path / "bundle")
    if damage == "card":
        (folder / "card.json").write_text("{}")
    elif damage == "model":
        (folder / "model.onnx").write_bytes((folder / "model.fp16.onnx").read_bytes())
    else:
        (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:1000])
    before = holder.current
    with pytest.raises(ReloadError, match="synthetic-tiny goes on"):
        holder.reload(folder)
    assert holder.current is before
    assert len(before.alone.session.embed(Crops(np.zeros((1, 128, 64, 3), np.uint8)))) == 1


def test_another_model_is_taken_only_with_leave(tmp_path: Path) -> None:
    folder = copy_of(tmp_path / "bundle")
    card = Card.load(folder / "card.json")
    half = card.variants[0]
    (folder / "model.onnx").write_bytes((folder / half.file).read_bytes())
    card.model_copy(update={"sha256": half.sha256, "precision": "float16", "variants": ()}).save(folder / "card.json")
    holder = ModelHolder(TINY, device="cpu", threads=1, max_batch=2)
    before = holder.current
    with pytest.raises(ReloadError, match="galleries belong to one model"):
        holder.reload(folder)
    assert holder.current is before
    holder.reload(folder, other_model=True)
    assert holder.sha256 == half.sha256


def test_a_model_that_answers_otherwise_in_a_batch_does_not_serve(
    monkeypatch: pytest.MonkeyPatch, holder: ModelHolder
) -> None:
    def fails(session: Session, batch: int) -> CheckReport:
        assert batch > 1
        raise EmbeddingError("gives other embeddings in a batch")

    monkeypatch.setattr("service.embedding.model.check_session", fails)
    before = holder.current
    with pytest.raises(ReloadError, match="gives other embeddings in a batch"):
        holder.reload()
    assert holder.current is before


def test_a_model_that_runs_elsewhere_than_the_one_before_does_not_serve(
    monkeypatch: pytest.MonkeyPatch, holder: ModelHolder
) -> None:
    class Elsewhere(Session):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.provider = "CUDAExecutionProvider"

    monkeypatch.setattr("service.embedding.model.Session", Elsewhere)
    before = holder.current
    with pytest.raises(ReloadError, match="runs on CUDAExecutionProvider, not on CPUExecutionProvider"):
        holder.reload()
    assert holder.current is before
