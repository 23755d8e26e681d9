"""A factory of small batches, shared by the tests of the losses."""

from collections.abc import Callable, Sequence

import pytest
import torch

from training.losses import LossInputs

MakeBatch = Callable[..., LossInputs]


@pytest.fixture
def make_batch() -> MakeBatch:
    def make(
        persons: Sequence[int],
        views: Sequence[int] | None = None,
        *,
        num_persons: int | None = None,
        num_view_classes: int | None = None,
        dim: int = 6,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> LossInputs:
        """Random leaf tensors that want gradients; three view classes a person unless told otherwise."""
        generator = torch.Generator().manual_seed(seed)
        n, k = len(persons), num_persons or max(persons) + 1
        c = num_view_classes or 3 * k

        def leaf(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

        return LossInputs(
            features=leaf(n, dim),
            embeddings=leaf(n, dim),
            persons=torch.tensor(persons),
            views=torch.tensor([i % 3 for i in range(n)] if views is None else views),
            id_logits=leaf(n, k),
            view_logits=leaf(n, c),
            id_weight=leaf(k, dim),
            view_weight=leaf(c, dim),
        )

    return make
