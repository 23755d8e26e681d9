"""Make a bundle of a trained network: it appears whole and proven, or not at all."""

import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from models import (
    CARD_FILE,
    MODEL_FILE,
    Bundle,
    Card,
    Crops,
    EmbeddingSpec,
    InputSpec,
    Licence,
    Outputs,
    Training,
    Variant,
    write_durably,
)
from training.cards import README_FILE, bundle_readme
from training.export.errors import ExportError
from training.export.onnx_file import onnx_bytes, onnx_graph
from training.export.parity import CROPS, prove, torch_answer
from training.networks import ReidNetwork, ServedModel

HALF_FILE = "model.fp16.onnx"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What the card says beside the network's own shape.

    input: what crops are made by; its height and width are the network's. training: None where it is not known.
    """

    name: str
    version: str
    licence: Licence
    input: InputSpec
    training: Training | None = None


def require_free(out: Path, name: str) -> None:
    """Raise, before any work is done, why a bundle cannot stand at `out`."""
    if _NAME.fullmatch(name) is None:
        raise ExportError(f"{name!r} is no name for a model: use letters, digits, '.', '_' and '-', and give --name")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} already exists: remove it, or name another folder")


def write_bundle(
    network: ReidNetwork, facts: ExportFacts, out: Path, crops: Crops, *, half_precision: bool = True
) -> Card:
    """Export in float32 and float16, prove both on real crops, and put the bundle at `out`; returns its card.

    crops: at least 64 real ones, made by `facts.input`. half_precision: False leaves the float16 file out.
    """
    require_free(out, facts.name)
    if len(crops) < CROPS:
        raise ExportError(f"{len(crops)} crops are too few to prove an export on: give at least {CROPS}")
    out.parent.mkdir(parents=True, exist_ok=True)
    growing = out.with_name(f".{out.name}.{secrets.token_hex(8)}.tmp")
    growing.mkdir()
    try:
        card = _fill(growing, network, facts, crops, half_precision)
        _sync(growing)
        if out.exists():
            out.rmdir()
        growing.rename(out)
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    _sync(out.parent)
    return card


def _fill(folder: Path, network: ReidNetwork, facts: ExportFacts, crops: Crops, half_precision: bool) -> Card:
    precise = ServedModel(network)
    wanted = torch_answer(precise, crops)
    card = _card(precise, facts)
    card = card.model_copy(update={"sha256": _write(folder / MODEL_FILE, precise, card)})
    card.save(folder / CARD_FILE)  # without it the bundle does not open, and nothing could be proven
    card = card.model_copy(update={"parity": prove(wanted, Bundle.open(folder, "float32"), crops)})
    if half_precision:
        sha256 = _write(folder / HALF_FILE, ServedModel(network, "float16"), card)
        half = Variant(file=HALF_FILE, sha256=sha256, precision="float16")
        card.model_copy(update={"variants": (half,)}).save(folder / CARD_FILE)
        half = half.model_copy(update={"parity": prove(wanted, Bundle.open(folder, "float16"), crops)})
        card = card.model_copy(update={"variants": (half,)})
    card.save(folder / CARD_FILE)
    write_durably(folder / README_FILE, bundle_readme(card).encode())
    return card


def _write(file: Path, served: ServedModel, card: Card) -> str:
    content = onnx_bytes(onnx_graph(served), card)
    write_durably(file, content)
    return hashlib.sha256(content).hexdigest()


def _card(served: ServedModel, facts: ExportFacts) -> Card:
    """Of a model that is not written yet: hash, variants and parity are put in later, and stand in no metadata."""
    outputs = Outputs(embedding="embedding", viewpoint="viewpoint" if "viewpoint" in served.output_names else None)
    dimension = served.network.embedding_dim
    return Card(
        schema_version=1,
        name=facts.name,
        version=facts.version,
        sha256="0" * 64,
        licence=facts.licence,
        input=facts.input,
        outputs=outputs,
        embedding=EmbeddingSpec(dimension=dimension, normalised=True, metric="cosine"),
        training=facts.training,
        uncalibrated_because="nobody has measured its scores yet: run vantage-train calibrate",
    )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
