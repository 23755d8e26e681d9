"""What an ONNX file says about itself, and where that differs from what its card says."""

from dataclasses import dataclass
from typing import Any

from models.card import Card
from models.errors import BundleError
from models.metadata import disagreements
from models.runtime import onnxruntime

_INPUT_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "float16": "tensor(float16)"}
_OUTPUT_TYPES = ("tensor(float)", "tensor(float16)", "tensor(double)")
VIEWPOINTS = 3


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the graph. `shape` has None where the graph takes any size, and is () where unknown."""

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.type[7:-1]} [{', '.join('any' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Graph:
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, str]


def read_graph(model: bytes, name: str) -> Graph:
    """Let onnxruntime read `model` without running any part of it; `name` is for errors."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    # An optimiser folds constants, that is, runs nodes of a file that nobody has vouched for yet.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what goes wrong is raised below; not also printed
    options.intra_op_num_threads = 1
    # Without this, onnxruntime guesses from the first bytes and would accept its own format, which the card's rules
    # (and the walk in onnx_references.py) do not cover.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0, read_config_from_model=0
        )
        return Graph(
            inputs=tuple(_port(port) for port in session.get_inputs()),
            outputs=tuple(_port(port) for port in session.get_outputs()),
            metadata=dict(session.get_modelmeta().custom_metadata_map),
        )
    except Exception as error:  # onnxruntime's exceptions have no common class but this one; names may be no UTF-8
        raise BundleError(f"{name} is not a model that onnxruntime can read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """onnxruntime appends source paths and stack traces to its messages; the first line is the message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def graph_problems(card: Card, graph: Graph) -> list[str]:
    """One sentence for each point in which the graph is not what the card says."""
    return [*_input_problems(card, graph), *_output_problems(card, graph), *disagreements(card, graph.metadata)]


def _input_problems(card: Card, graph: Graph) -> list[str]:
    spec = card.input
    if len(graph.inputs) != 1 or graph.inputs[0].name != spec.name:
        names = ", ".join(port.name for port in graph.inputs) or "none"
        return [f"the card says that its one input is {spec.name}, the file has {names}"]
    port = graph.inputs[0]
    problems = []
    if port.type != _INPUT_TYPES[spec.dtype]:
        problems.append(f"input.dtype of the card is {spec.dtype}, the file has {port}")
    size = {"NHWC": (spec.height, spec.width, 3), "NCHW": (3, spec.height, spec.width)}[spec.layout]
    # A card may promise a fixed batch for a graph that says "any" (a constant reshape inside), never the reverse.
    batch_agrees = len(port.shape) == 4 and port.shape[0] in (None, spec.fixed_batch)
    if not batch_agrees or not _fits(port.shape[1:], size):
        wanted = ", ".join(str(d) for d in (spec.fixed_batch or "any", *size))
        problems.append(f"the card says that the input is {spec.layout} [{wanted}], the file has {port}")
    return problems


def _output_problems(card: Card, graph: Graph) -> list[str]:
    ports = {port.name: port for port in graph.outputs}
    wanted = [("embedding", card.outputs.embedding, card.embedding.dimension)]
    if card.outputs.viewpoint is not None:
        wanted.append(("viewpoint", card.outputs.viewpoint, VIEWPOINTS))
    problems = []
    for key, name, width in wanted:
        port = ports.get(name)
        if port is None:
            problems.append(f"outputs.{key} of the card is {name}, the file has {', '.join(ports) or 'none'}")
            continue
        if port.type not in _OUTPUT_TYPES:
            problems.append(f"the {key} must be of a floating-point type, the file has {port}")
        # Unknown shapes are let through: the session looks at the shape of every answer.
        if port.shape and not (_fits(port.shape, (card.input.fixed_batch, width))):
            batch = card.input.fixed_batch or "any"
            problems.append(f"the card says that the {key} is [{batch}, {width}], the file has {port}")
    return problems


def _fits(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether a graph's shape, None being any size, allows the wanted one."""
    return len(shape) == len(wanted) and all(a is None or a == b for a, b in zip(shape, wanted, strict=True))


def _port(port: Any) -> Port:
    # onnxruntime gives a name, or None, where a dimension is free.
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in port.shape)
    return Port(port.name, port.type, shape)
