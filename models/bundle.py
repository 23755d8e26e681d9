"""Open a bundle: a directory with a card and the ONNX file that the card describes.

What is hashed is what runs: the file is read once, and hash, checks and session all take those bytes.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from models.card import CARD_FILE, MODEL_FILE, Card, Precision
from models.errors import BundleError
from models.graph import Graph, graph_problems, read_graph
from models.onnx_references import refuse_outside_references

ZOO = Path(__file__).parent / "zoo"
"""The bundles that come with this package."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model whose file, hash, graph and card agree.

    path: the directory. file: the chosen ONNX file in it. precision: what that file computes in.
    sha256: of `model_bytes`, the file's content. graph: its inputs, outputs and metadata.
    """

    path: Path
    file: Path
    precision: Precision
    card: Card
    sha256: str
    graph: Graph = field(repr=False)
    model_bytes: bytes = field(repr=False)

    @classmethod
    def open(cls, directory: Path | str, precision: Precision | None = None) -> Self:
        """Read and check a bundle. `precision` chooses among the card's files; None is `model.onnx`."""
        path = Path(directory)
        if not path.is_dir():
            raise BundleError(f"{path} is not a directory: name the folder that holds {CARD_FILE} and {MODEL_FILE}")
        card = Card.load(_inside(path, CARD_FILE))
        name, expected, chosen = _choose(card, precision)
        file = _inside(path, name)
        try:
            model = file.read_bytes()
        except OSError as error:
            raise BundleError(f"{file} cannot be read: {error}") from error
        found = hashlib.sha256(model).hexdigest()
        if found != expected:
            raise BundleError(
                f"{file} has sha256 {found}, the card says {expected}: the file was changed after export; "
                "export again, or write the file's hash into the card if the change was meant"
            )
        refuse_outside_references(model, str(file))
        graph = read_graph(model, str(file))
        problems = graph_problems(card, graph)
        if problems:
            raise BundleError("\n".join(f"{file}: {problem}; mend the card or export again" for problem in problems))
        return cls(path, file, chosen, card, found, graph, model)


def list_bundles(root: Path | str | None = None) -> list[Path]:
    """The directories under `root` (default: the zoo beside this package) that hold a card, by name; none is opened."""
    zoo = ZOO if root is None else Path(root)
    if not zoo.is_dir():
        raise BundleError(f"{zoo} is not a directory: name the folder whose subfolders are bundles")
    return sorted(path.parent for path in zoo.glob(f"*/{CARD_FILE}"))


def _choose(card: Card, precision: Precision | None) -> tuple[str, str, Precision]:
    """Name, hash and precision of the file to open."""
    if precision is None or precision == card.precision:
        return MODEL_FILE, card.sha256, card.precision
    for variant in card.variants:
        if variant.precision == precision:
            return variant.file, variant.sha256, variant.precision
    have = ", ".join([card.precision, *(variant.precision for variant in card.variants)])
    raise BundleError(f"{card.name} has no file in {precision}; it has {have}")


def _inside(directory: Path, name: str) -> Path:
    """The file `name` of a bundle. The card's schema keeps separators out of names; here links are followed."""
    file = directory / name
    target = file.resolve()
    if not target.is_relative_to(directory.resolve()):
        raise BundleError(f"{file} is a link to {target}, outside the bundle: copy the file into the bundle")
    if not target.is_file():
        problem = "is not a regular file" if target.exists() else "does not exist"
        raise BundleError(f"{file} {problem}: a bundle holds {CARD_FILE} and the ONNX files that the card lists")
    return file
