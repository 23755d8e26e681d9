import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle import Bundle, list_bundles
from models.card import Card, EmbeddingSpec, Outputs, Variant
from models.errors import BundleError, CardError
from models.metadata import metadata_from_card

Cards = Callable[..., Card]
Graphs = Callable[..., onnx.ModelProto]
Bundles = Callable[..., Path]


def test_a_bundle_opens_with_the_bytes_that_were_hashed(make_card: Cards, make_bundle: Bundles) -> None:
    directory = make_bundle(make_card())
    bundle = Bundle.open(directory)
    assert bundle.path == directory
    assert bundle.file == directory / "model.onnx"
    assert bundle.model_bytes == bundle.file.read_bytes()
    assert bundle.sha256 == bundle.card.sha256 == hashlib.sha256(bundle.model_bytes).hexdigest()
    assert bundle.precision == "float32"
    assert str(bundle.graph.inputs[0]) == "crops: uint8 [any, 8, 4, 3]"
    assert str(bundle.graph.outputs[0]) == "embedding: float [any, 6]"
    assert "model_bytes" not in repr(bundle)


def test_a_changed_file_is_refused_with_both_hashes(make_card: Cards, make_bundle: Bundles) -> None:
    directory = make_bundle(make_card())
    expected = Card.load(directory / "card.json").sha256
    content = bytearray((directory / "model.onnx").read_bytes())
    content[-1] ^= 1
    (directory / "model.onnx").write_bytes(content)
    with pytest.raises(
        BundleError, match=rf"has sha256 {hashlib.sha256(content).hexdigest()}, the card says {expected}"
    ):
        Bundle.open(directory)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "images"}, "its one input is images, the file has crops"),
        ({"height": 16}, r"the input is NHWC \[any, 16, 4, 3\], the file has crops: uint8 \[any, 8, 4, 3\]"),
        ({"width": 5}, r"the input is NHWC \[any, 8, 5, 3\]"),
        ({"layout": "NCHW"}, r"the input is NCHW \[any, 3, 8, 4\]"),
        ({"dtype": "float32"}, "input.dtype of the card is float32, the file has crops: uint8"),
    ],
)
def test_an_input_that_differs_from_the_card_is_refused(
    make_card: Cards, make_onnx: Graphs, make_bundle: Bundles, spec: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BundleError, match=expected):
        Bundle.open(make_bundle(make_card(spec=spec), make_onnx(make_card())))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"embedding": EmbeddingSpec(dimension=7, normalised=True, metric="cosine")},
            r"the embedding is \[any, 7\], the file has embedding: float \[any, 6\]",
        ),
        (
            {"outputs": Outputs(embedding="features")},
            "outputs.embedding of the card is features, the file has embedding",
        ),
        ({"viewpoint": True}, "outputs.viewpoint of the card is viewpoint, the file has embedding"),
        (
            {"outputs": Outputs(embedding="embedding", viewpoint="embedding")},
            r"the viewpoint is \[any, 3\], the file has embedding",
        ),
    ],
)
def test_an_output_that_differs_from_the_card_is_refused(
    make_card: Cards, make_onnx: Graphs, make_bundle: Bundles, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BundleError, match=expected):
        Bundle.open(make_bundle(make_card(**changes), make_onnx(make_card())))


def test_every_disagreement_is_told_at_once(make_card: Cards, make_onnx: Graphs, make_bundle: Bundles) -> None:
    card = make_card(spec={"height": 9, "dtype": "float32"}, outputs=Outputs(embedding="other"))
    with pytest.raises(BundleError) as caught:
        Bundle.open(make_bundle(card, make_onnx(make_card())))
    assert len(str(caught.value).splitlines()) == 3


def test_a_fixed_batch_in_the_file_must_stand_in_the_card(
    make_card: Cards, make_onnx: Graphs, make_bundle: Bundles
) -> None:
    fixed = make_onnx(make_card(spec={"fixed_batch": 4}))
    Bundle.open(make_bundle(make_card(spec={"fixed_batch": 4}), fixed))
    for batch in (None, 2):
        with pytest.raises(BundleError, match=r"the file has crops: uint8 \[4, 8, 4, 3\]"):
            Bundle.open(make_bundle(make_card(spec={"fixed_batch": batch}), fixed))


def test_an_embedding_of_whole_numbers_is_refused(make_card: Cards, make_bundle: Bundles) -> None:
    card = make_card(embedding=EmbeddingSpec(dimension=8 * 4 * 3, normalised=False, metric="cosine"))
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["crops"], ["embedding"])],
        "g",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 8, 4, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.UINT8, ["N", 96])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    with pytest.raises(
        BundleError, match="the embedding must be of a floating-point type, the file has embedding: uint8"
    ):
        Bundle.open(make_bundle(card, model))


def test_a_second_input_is_refused(make_card: Cards, make_onnx: Graphs, make_bundle: Bundles) -> None:
    model = make_onnx(make_card())
    model.graph.input.append(helper.make_tensor_value_info("camera", TensorProto.INT64, ["N"]))
    with pytest.raises(BundleError, match="its one input is crops, the file has crops, camera"):
        Bundle.open(make_bundle(make_card(), model))


def test_metadata_in_the_file_must_agree_with_the_card(
    make_card: Cards, make_onnx: Graphs, make_bundle: Bundles
) -> None:
    card = make_card()
    Bundle.open(make_bundle(card, make_onnx(card, metadata=metadata_from_card(card))))
    other = metadata_from_card(make_card(version="2"))
    with pytest.raises(BundleError, match=r'its metadata says vantage\.version = "2", the card says "1"'):
        Bundle.open(make_bundle(card, make_onnx(card, metadata=other)))


@pytest.mark.parametrize("inside", [True, False], ids=["beside the model", "outside the bundle"])
def test_external_data_is_refused_though_onnxruntime_would_read_it(
    make_card: Cards,
    make_onnx: Graphs,
    make_bundle: Bundles,
    monkeypatch: pytest.MonkeyPatch,
    inside: bool,
) -> None:
    directory = make_bundle(make_card())
    onnx.save_model(
        make_onnx(make_card()),
        directory / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    content = (directory / "model.onnx").read_bytes()
    make_bundle(make_card(), content)
    if inside:
        monkeypatch.chdir(directory)  # where onnxruntime looks for the weights of a model that it gets as bytes
    else:
        (directory / "weights.bin").rename(directory.parent / "weights.bin")
    with pytest.raises(BundleError, match="keeps weights in another file"):
        Bundle.open(directory)


@pytest.mark.parametrize("name", ["model.onnx", "card.json"])
def test_a_link_out_of_the_bundle_is_refused(make_card: Cards, make_bundle: Bundles, tmp_path: Path, name: str) -> None:
    directory = make_bundle(make_card())
    (directory / name).rename(tmp_path / "elsewhere")
    (directory / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=rf"{name} is a link to .*elsewhere, outside the bundle"):
        Bundle.open(directory)


def test_links_inside_the_bundle_and_to_the_bundle_are_fine(
    make_card: Cards, make_bundle: Bundles, tmp_path: Path
) -> None:
    directory = make_bundle(make_card())
    (directory / "model.onnx").rename(directory / "real")
    (directory / "model.onnx").symlink_to("real")
    (tmp_path / "current").symlink_to(directory)
    assert Bundle.open(tmp_path / "current").card.name == "toy"


def test_what_is_not_there_is_named(make_card: Cards, make_bundle: Bundles, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere is not a directory"):
        Bundle.open(tmp_path / "nowhere")
    directory = make_bundle(make_card())
    (directory / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx does not exist"):
        Bundle.open(directory)
    os.mkfifo(directory / "model.onnx")  # reading it would wait for ever
    with pytest.raises(BundleError, match=r"model\.onnx is not a regular file"):
        Bundle.open(directory)
    (directory / "card.json").unlink()
    with pytest.raises(BundleError, match=r"card\.json does not exist"):
        Bundle.open(directory)


def test_a_bad_card_is_a_card_error(make_card: Cards, make_bundle: Bundles) -> None:
    directory = make_bundle(make_card())
    (directory / "card.json").write_text("{}")
    with pytest.raises(CardError, match=r"card\.json: schema_version is missing"):
        Bundle.open(directory)


def test_every_truncation_of_a_model_is_a_sentence(make_card: Cards, make_onnx: Graphs, make_bundle: Bundles) -> None:
    content = make_onnx(make_card()).SerializeToString()
    for length in [*range(60), *range(60, len(content), 97)]:
        directory = make_bundle(make_card(), content[:length])
        with pytest.raises(BundleError, match=r"model\.onnx"):
            Bundle.open(directory)


def test_a_graph_that_onnxruntime_cannot_read_is_a_sentence(
    make_card: Cards, make_onnx: Graphs, make_bundle: Bundles
) -> None:
    model = make_onnx(make_card())
    model.graph.node[2].op_type = "NoSuchOperator"
    with pytest.raises(BundleError, match=r"is not a model that onnxruntime can read: .*NoSuchOperator") as caught:
        Bundle.open(make_bundle(make_card(), model))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [b"embedding", b"crops", b"metadata"])
def test_a_name_that_is_no_text_is_a_sentence(
    make_card: Cards, make_onnx: Graphs, make_bundle: Bundles, name: bytes
) -> None:
    content = make_onnx(make_card(), metadata={"metadata": "x"}).SerializeToString()
    with pytest.raises(BundleError, match=r"is not a model that onnxruntime can read: .*utf-8"):
        Bundle.open(make_bundle(make_card(), content.replace(name, b"\xf8" * len(name))))


@pytest.fixture
def two_files(make_card: Cards, make_onnx: Graphs, make_bundle: Bundles) -> Path:
    """A bundle with model.onnx and model.fp16.onnx."""
    half = make_onnx(make_card(), half=True).SerializeToString()
    variant = Variant(file="model.fp16.onnx", sha256=hashlib.sha256(half).hexdigest(), precision="float16")
    directory = make_bundle(make_card(variants=(variant,)))
    (directory / "model.fp16.onnx").write_bytes(half)
    return directory


def test_a_precision_chooses_its_file_and_hash(two_files: Path) -> None:
    for precision, file in ((None, "model.onnx"), ("float32", "model.onnx"), ("float16", "model.fp16.onnx")):
        bundle = Bundle.open(two_files, precision)  # type: ignore[arg-type]
        assert bundle.file.name == file
        assert bundle.precision == precision or precision is None
        assert bundle.sha256 == hashlib.sha256((two_files / file).read_bytes()).hexdigest()


def test_a_changed_variant_is_refused(two_files: Path) -> None:
    (two_files / "model.fp16.onnx").write_bytes((two_files / "model.onnx").read_bytes())
    Bundle.open(two_files)
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx has sha256"):
        Bundle.open(two_files, "float16")


def test_a_precision_that_the_bundle_lacks_is_refused(make_card: Cards, make_bundle: Bundles) -> None:
    with pytest.raises(BundleError, match="toy has no file in float16; it has float32"):
        Bundle.open(make_bundle(make_card()), "float16")


def test_bundles_are_listed_by_name_without_being_opened(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "card.json").write_text("not even JSON")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("")
    assert list_bundles(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_the_default_zoo_is_beside_the_package_and_a_missing_one_is_named(tmp_path: Path) -> None:
    assert all(bundle.parent.name == "zoo" and bundle.parent.parent.name == "models" for bundle in list_bundles())
    with pytest.raises(BundleError, match="nowhere is not a directory"):
        list_bundles(tmp_path / "nowhere")
