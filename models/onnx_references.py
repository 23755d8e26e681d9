"""Refuse an ONNX file that reaches outside itself, by a walk over its protobuf wire format.

A bundle's hash covers one file, so one file must be the whole model. Loading from bytes is no guard: onnxruntime then
looks for external data in the *working directory* of the process (seen with 1.31; older versions read any path), and
knows a location that stands for an address in its memory. Serving machines do not have the `onnx` package, and
onnxruntime tells nothing about where weights come from, hence these hundred lines.
"""

from collections.abc import Iterator

from models.errors import BundleError

# Which fields of which message lead to a tensor or a node; numbers are those of onnx.proto, which are never reassigned
# (a test compares them with the onnx package). Everything else is skipped by its length.
_CHILDREN = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
_TENSOR_EXTERNAL_DATA = 13
_TENSOR_DATA_LOCATION = 14
_NODE_OP_TYPE = 4

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def refuse_outside_references(model: bytes, name: str) -> None:
    """Raise BundleError if `model` keeps weights elsewhere or holds a compiled engine; `name` stands in the error."""
    view = memoryview(model)
    todo = [("ModelProto", 0, len(view))]  # a stack of our own: graphs nested a million deep must not exhaust Python's
    while todo:
        message, start, end = todo.pop()
        children = _CHILDREN[message]
        for number, wire_type, value, begin, stop in _fields(view, start, end, name):
            if wire_type == _BYTES and number in children:
                todo.append((children[number], begin, stop))
            elif message == "TensorProto" and (
                number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0)
            ):
                raise BundleError(
                    f"{name} keeps weights in another file (ONNX external data), which its hash does not cover: "
                    "save the model as one file (onnx.save_model(..., save_as_external_data=False))"
                )
            elif message == "NodeProto" and number == _NODE_OP_TYPE and bytes(view[begin:stop]) == b"EPContext":
                raise BundleError(
                    f"{name} holds an engine compiled for one machine (an EPContext node), which is a program and not "
                    "a model: export it without one"
                )


def _fields(view: memoryview, position: int, end: int, name: str) -> Iterator[tuple[int, int, int, int, int]]:
    """The fields of one message as (number, wire type, integer value, begin of bytes, end of bytes)."""
    while position < end:
        key, position = _varint(view, position, end, name)
        number, wire_type = key >> 3, key & 7
        value = begin = stop = 0
        if wire_type == _VARINT:
            value, position = _varint(view, position, end, name)
        elif wire_type == _BYTES:
            length, begin = _varint(view, position, end, name)
            position = stop = begin + length
        elif wire_type == _FIXED64:
            position += 8
        elif wire_type == _FIXED32:
            position += 4
        else:  # groups, which no ONNX has
            raise _not_onnx(name)
        if position > end:
            raise _not_onnx(name)
        yield number, wire_type, value, begin, stop


def _varint(view: memoryview, position: int, end: int, name: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _not_onnx(name)


def _not_onnx(name: str) -> BundleError:
    return BundleError(f"{name} is not an ONNX model, or is cut off: export it again")
