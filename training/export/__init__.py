"""From a trained network to a bundle that is proven to give what the network gives."""

from training.export.bundle import HALF_FILE, ExportFacts, require_free, write_bundle
from training.export.errors import ExportError, ParityError
from training.export.onnx_file import onnx_bytes, onnx_graph
from training.export.parity import CROPS, DEMANDS, Demand, prove, torch_answer
from training.export.proof_crops import proof_crops
from training.export.terms import licence_of
from training.served_input import served_input

__all__ = [
    "CROPS",
    "DEMANDS",
    "HALF_FILE",
    "Demand",
    "ExportError",
    "ExportFacts",
    "ParityError",
    "licence_of",
    "onnx_bytes",
    "onnx_graph",
    "proof_crops",
    "prove",
    "require_free",
    "served_input",
    "torch_answer",
    "write_bundle",
]
