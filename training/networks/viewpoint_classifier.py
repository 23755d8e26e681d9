"""Which side of the person a crop shows, read off the embedding without influencing it."""

from torch import Tensor, nn

VIEWPOINTS = 3
"""Front, side, back, in this order."""

_HIDDEN = 128


class ViewpointClassifier(nn.Module):
    """Two layers on the detached embedding: what it learns never reaches the network that embeds."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, _HIDDEN), nn.ReLU(inplace=True), nn.Linear(_HIDDEN, VIEWPOINTS))

    def forward(self, embeddings: Tensor) -> Tensor:
        """embeddings: float (N, dim) -> logits float (N, 3): front, side, back."""
        logits: Tensor = self.layers(embeddings.detach())
        return logits
