from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

import models.session
from models.bundle import Bundle
from models.card import Card
from models.crops import Crops
from models.errors import EmbeddingError, ProviderError
from models.providers import Execution, Runner, open_runner
from models.session import Session

Cards = Callable[..., Card]
Bundles = Callable[..., Path]
Weights = tuple[NDArray[np.float32], NDArray[np.float32]]


def random_crops(count: int, seed: int = 0) -> Crops:
    return Crops(np.random.default_rng(seed).integers(0, 256, (count, 8, 4, 3), dtype=np.uint8))


def literal(crops: Crops, card: Card, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the toy graph multiplies: the card's formula, the card's layout, flattened, times the matrix."""
    spec = card.input
    values = crops.pixels.astype(np.float64)
    if spec.colour == "BGR":
        values = values[..., [2, 1, 0]]
    values = values * (spec.scale or 1)
    if spec.mean and spec.std:
        values = (values - spec.mean) / spec.std
    if spec.layout == "NCHW":
        values = np.moveaxis(values, 3, 1)
    return values.reshape(len(crops), 8 * 4 * 3) @ matrix.astype(np.float64)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
FOREIGN: dict[str, dict[str, Any]] = {
    "our own export": {},
    "NCHW": {"spec": {"layout": "NCHW"}},
    "BGR": {"spec": {"colour": "BGR"}},
    "float32": {"spec": {"dtype": "float32"}},
    "float16": {"spec": {"dtype": "float16"}},
    "mean and std": {"spec": {"dtype": "float32", **IMAGENET}},
    "scale alone": {"spec": {"dtype": "float32", "scale": 1 / 127.5}},
    "fixed batch": {"spec": {"fixed_batch": 3}},
    "not normalised": {"normalised": False},
    "viewpoints": {"viewpoint": True},
    "all at once": {
        "spec": {"layout": "NCHW", "colour": "BGR", "dtype": "float32", "fixed_batch": 3, **IMAGENET},
        "normalised": False,
        "viewpoint": True,
    },
}


@pytest.mark.parametrize("quirk", FOREIGN)
def test_a_foreign_model_answers_as_its_card_says(
    make_card: Cards, make_bundle: Bundles, weights: Weights, quirk: str
) -> None:
    card = make_card(**FOREIGN[quirk])
    session = Session(Bundle.open(make_bundle(card)), device="cpu", threads=1, max_batch=4)
    crops = random_crops(7)
    embeddings = session.embed(crops)
    assert embeddings.vectors.dtype == np.float32
    assert embeddings.vectors.shape == (7, 6)
    np.testing.assert_allclose(embeddings.vectors, unit(literal(crops, card, weights[0])), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-6)
    if card.outputs.viewpoint is None:
        assert embeddings.viewpoints is None
    else:
        logits = literal(crops, card, weights[1])
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert embeddings.viewpoints is not None
        assert embeddings.viewpoints.dtype == np.float32
        np.testing.assert_allclose(embeddings.viewpoints, shares, atol=1e-5)


def test_a_half_precision_file_answers_in_float32(
    make_card: Cards, make_bundle: Bundles, make_onnx: Callable[..., onnx.ModelProto], weights: Weights
) -> None:
    card = make_card(precision="float16", normalised=False)
    session = Session(Bundle.open(make_bundle(card, make_onnx(card, half=True))), device="cpu", threads=1)
    crops = random_crops(3)
    vectors = session.embed(crops).vectors
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, unit(literal(crops, card, weights[0])), atol=1e-2)


@pytest.mark.parametrize("fixed_batch", [None, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_any_number_of_crops_is_answered_each_as_if_alone(
    make_card: Cards, make_bundle: Bundles, count: int, fixed_batch: int | None
) -> None:
    bundle = Bundle.open(make_bundle(make_card(viewpoint=True, spec={"fixed_batch": fixed_batch})))
    session = Session(bundle, device="cpu", threads=1, max_batch=4)
    crops = random_crops(count)
    together = session.embed(crops)
    assert len(together) == count
    assert together.viewpoints is not None
    assert together.vectors.shape == (count, 6)
    assert together.viewpoints.shape == (count, 3)
    for row in range(count):
        alone = session.embed(crops[row : row + 1])
        assert alone.viewpoints is not None
        np.testing.assert_allclose(together.vectors[row], alone.vectors[0], atol=1e-6)
        np.testing.assert_allclose(together.viewpoints[row], alone.viewpoints[0], atol=1e-6)


class Recorder:
    """An onnxruntime session that notes the batch sizes it is run with."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.batches: list[int] = []

    def run(self, outputs: Sequence[str], feed: dict[str, NDArray[Any]]) -> Any:
        self.batches.append(len(next(iter(feed.values()))))
        return self.session.run(outputs, feed)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """Recorders of the sessions opened since; a session on "cuda" runs on the CPU and believes that it does not."""
    recorders: list[Recorder] = []

    def open_recorded(model: bytes, device: Any, execution: Execution) -> Runner:
        runner = open_runner(model, "cpu", execution)
        recorders.append(Recorder(runner.session))
        provider = "CUDAExecutionProvider" if device == "cuda" else runner.provider
        return Runner(recorders[-1], provider, None)

    monkeypatch.setattr(models.session, "open_runner", open_recorded)
    return recorders


def test_on_a_gpu_every_bucket_is_warmed_and_nothing_else_is_run(
    make_card: Cards, make_bundle: Bundles, recorder: list[Recorder], weights: Weights
) -> None:
    card = make_card()
    session = Session(Bundle.open(make_bundle(card)), device="cuda", max_batch=12)
    assert session.batch_sizes == (1, 2, 4, 8, 12)
    assert sorted(recorder[0].batches) == [1, 2, 4, 8, 12]
    assert recorder[0].batches[:2] == [1, 12]
    for count, expected in ((1, [1]), (3, [4]), (8, [8]), (9, [12]), (12, [12]), (29, [12, 12, 8]), (0, [])):
        recorder[0].batches.clear()
        crops = random_crops(count)
        vectors = session.embed(crops).vectors
        assert recorder[0].batches == expected
        assert vectors.shape == (count, 6)
        np.testing.assert_allclose(vectors, unit(literal(crops, card, weights[0])), atol=2e-6)


@pytest.mark.parametrize(("largest", "expected"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (32, (1, 2, 4, 8, 16, 32))])
def test_buckets_are_powers_of_two_and_the_largest_batch(
    make_card: Cards, make_bundle: Bundles, recorder: list[Recorder], largest: int, expected: tuple[int, ...]
) -> None:
    assert Session(Bundle.open(make_bundle(make_card())), "cuda", max_batch=largest).batch_sizes == expected


def test_on_the_cpu_nothing_is_padded(make_card: Cards, make_bundle: Bundles, recorder: list[Recorder]) -> None:
    session = Session(Bundle.open(make_bundle(make_card())), device="cpu", max_batch=4)
    assert session.batch_sizes == (4,)
    assert recorder[0].batches == [1]
    session.embed(random_crops(7))
    assert recorder[0].batches == [1, 4, 3]


def test_a_fixed_batch_is_the_only_size_ever_run(
    make_card: Cards, make_bundle: Bundles, recorder: list[Recorder]
) -> None:
    session = Session(Bundle.open(make_bundle(make_card(spec={"fixed_batch": 3}))), device="cpu")
    session.embed(random_crops(7))
    assert session.batch_sizes == (3,)
    assert recorder[0].batches == [3, 3, 3, 3]


def test_black_padding_that_a_model_answers_with_nan_does_not_matter(make_card: Cards, make_bundle: Bundles) -> None:
    # The toy graph normalises inside, so black crops, which it maps to 0, give NaN or 0 in the rows of the padding.
    session = Session(Bundle.open(make_bundle(make_card(spec={"fixed_batch": 3}))), device="cpu")
    assert np.isfinite(session.embed(random_crops(1)).vectors).all()
    with pytest.raises(EmbeddingError, match="the embedding of crop 1 "):
        session.embed(Crops(np.stack([random_crops(1).pixels[0], np.zeros((8, 4, 3), np.uint8)])))


def test_the_place_in_an_error_counts_over_all_batches(make_card: Cards, make_bundle: Bundles) -> None:
    session = Session(Bundle.open(make_bundle(make_card(normalised=False))), device="cpu", max_batch=2)
    pixels = random_crops(6).pixels.copy()
    pixels[5] = 0
    with pytest.raises(EmbeddingError, match="the embedding of crop 5 is a zero vector"):
        session.embed(Crops(pixels))


def test_crops_of_another_size_are_refused(make_card: Cards, make_bundle: Bundles) -> None:
    session = Session(Bundle.open(make_bundle(make_card())), device="cpu")
    with pytest.raises(EmbeddingError, match=r"crops are 4 x 8 \(height x width\), toy takes 8 x 4"):
        session.embed(Crops(np.zeros((1, 4, 8, 3), np.uint8)))


def test_a_width_that_only_a_run_can_show_is_found_at_start(
    make_card: Cards, make_bundle: Bundles, make_onnx: Callable[..., onnx.ModelProto]
) -> None:
    card = make_card()
    model = make_onnx(card)
    # A reshape to a size that is computed hides the width from everything but a run.
    model.graph.node[-1].input[0] = "reshaped"
    shape = onnx.helper.make_node("Shape", ["vector"], ["sizes"])
    double = onnx.helper.make_node("Mul", ["sizes", "factors"], ["new_sizes"])
    factors = onnx.numpy_helper.from_array(np.array([1, 2]), "factors")
    twice = onnx.helper.make_node("Concat", ["vector", "vector"], ["double_vector"], axis=1)
    reshape = onnx.helper.make_node("Reshape", ["double_vector", "new_sizes"], ["reshaped"])
    for node in (shape, double, twice, reshape):
        model.graph.node.insert(len(model.graph.node) - 1, node)
    model.graph.initializer.append(factors)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    bundle = Bundle.open(make_bundle(card, model))
    with pytest.raises(EmbeddingError, match=r"output embedding of toy has shape \[1, 12\] for 1 crops, the card says"):
        Session(bundle, device="cpu")


def test_a_model_that_fails_when_it_runs_says_so_at_start(
    make_card: Cards, make_bundle: Bundles, make_onnx: Callable[..., onnx.ModelProto]
) -> None:
    card = make_card()
    model = make_onnx(card)
    # Pairs of crops: nothing is wrong with it until a batch is odd.
    model.graph.node[1].CopyFrom(onnx.helper.make_node("Reshape", ["as_float", "pairs"], ["paired"]))
    model.graph.node.insert(2, onnx.helper.make_node("Reshape", ["paired", "single"], ["flat"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 192]), "pairs"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 96]), "single"))
    with pytest.raises(ProviderError, match="toy failed on CPUExecutionProvider with a batch of 1: ") as caught:
        Session(Bundle.open(make_bundle(card, model)), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_session_tells_what_runs(make_card: Cards, make_bundle: Bundles) -> None:
    bundle = Bundle.open(make_bundle(make_card()))
    session = Session(bundle, device="cpu", threads=1)
    assert (session.device, session.provider, session.fallback_reason) == ("cpu", "CPUExecutionProvider", None)
    assert (session.card, session.sha256, session.precision) == (bundle.card, bundle.sha256, "float32")


@pytest.mark.parametrize(("setting", "value"), [("max_batch", 0), ("threads", 0), ("gpu_memory_limit", -1)])
def test_settings_below_1_are_refused(make_card: Cards, make_bundle: Bundles, setting: str, value: int) -> None:
    bundle = Bundle.open(make_bundle(make_card()))
    with pytest.raises(ProviderError, match=f"{setting} is {value}"):
        Session(bundle, device="cpu", **{setting: value})  # type: ignore[arg-type]


def test_many_threads_may_embed_at_once(make_card: Cards, make_bundle: Bundles) -> None:
    session = Session(Bundle.open(make_bundle(make_card())), device="cpu", threads=1, max_batch=4)
    batches = [random_crops(5, seed) for seed in range(20)]
    alone = [session.embed(batch).vectors for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for expected, answer in zip(alone, pool.map(session.embed, batches), strict=True):
            assert (answer.vectors == expected).all()


@pytest.mark.gpu
@pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="this onnxruntime has no CUDA provider"
)
def test_a_gpu_answers_as_the_cpu_does_whatever_the_batch(make_card: Cards, make_bundle: Bundles) -> None:
    bundle = Bundle.open(make_bundle(make_card(viewpoint=True)))
    session = Session(bundle, device="cuda", max_batch=8, gpu_memory_limit=2**30)
    assert session.provider == "CUDAExecutionProvider"
    crops = random_crops(19)
    on_gpu, on_cpu = session.embed(crops).vectors, Session(bundle, device="cpu").embed(crops).vectors
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-5)
    for row in range(3):
        np.testing.assert_allclose(session.embed(crops[row : row + 1]).vectors[0], on_gpu[row], atol=1e-5)
