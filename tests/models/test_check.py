from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.bundle import Bundle
from models.card import Card
from models.check import check_session
from models.errors import EmbeddingError
from models.session import Session

Cards = Callable[..., Card]
Bundles = Callable[..., Path]


def test_a_good_model_passes_with_its_numbers(make_card: Cards, make_bundle: Bundles) -> None:
    report = check_session(Session(Bundle.open(make_bundle(make_card())), device="cpu", threads=1), batch=5)
    assert report.batch == 5
    assert 0 <= report.single_difference <= report.tolerance == 1e-5
    assert report.crops_per_second > 0
    assert report.single_crops_per_second > 0


def test_half_precision_is_held_to_what_it_can_do(
    make_card: Cards, make_bundle: Bundles, make_onnx: Callable[..., onnx.ModelProto]
) -> None:
    card = make_card(precision="float16", normalised=False)
    session = Session(Bundle.open(make_bundle(card, make_onnx(card, half=True))), device="cpu", threads=1)
    assert check_session(session).tolerance == 1e-2


def test_a_model_that_looks_at_its_batch_is_found_out(
    make_card: Cards, make_bundle: Bundles, make_onnx: Callable[..., onnx.ModelProto]
) -> None:
    """As batch normalisation in training mode does: subtract half of the batch's mean."""
    card = make_card(normalised=False)
    model = make_onnx(card)
    model.graph.node[2].output[0] = "rows"
    mean = onnx.helper.make_node("ReduceMean", ["rows", "first_axis"], ["mean"])
    half = onnx.helper.make_node("Mul", ["mean", "share"], ["half_mean"])
    subtract = onnx.helper.make_node("Sub", ["rows", "half_mean"], ["product"])
    for place, node in enumerate((mean, half, subtract)):
        model.graph.node.insert(3 + place, node)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "first_axis"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0.5], np.float32), "share"))
    session = Session(Bundle.open(make_bundle(card, model)), device="cpu", threads=1)
    with pytest.raises(EmbeddingError, match="toy gives other embeddings in a batch of 8 than one by one"):
        check_session(session, batch=8)


def test_an_empty_batch_checks_nothing_and_is_refused(make_card: Cards, make_bundle: Bundles) -> None:
    session = Session(Bundle.open(make_bundle(make_card())), device="cpu", threads=1)
    with pytest.raises(EmbeddingError, match="batch is 0"):
        check_session(session, batch=0)
