"""How crops are made for a network of ours, while it is trained and when it is served: one description for both."""

from models import InputSpec

INPUT = "crops"  # the graph's only input


def served_input(height: int, width: int, resize: str) -> InputSpec:
    """uint8 RGB, and all arithmetic in the graph. resize: one of the card's filters."""
    facts = {"name": INPUT, "height": height, "width": width, "resize": resize}
    return InputSpec.model_validate(facts | {"layout": "NHWC", "dtype": "uint8", "colour": "RGB"})
