"""The proof that what is served is what was trained: real crops through torch and through the served path."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models import Bundle, Crops, Embeddings, Parity, Precision, Session
from training.export.errors import ParityError
from training.networks import ServedModel

CROPS = 64
"""How many crops an export is tried on."""

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Demand:
    """cosine: the least, of every crop's two embeddings. viewpoint: the most that a share may differ.
    batch: the most that a number of a crop's embedding alone may differ from that in a batch."""

    cosine: float
    viewpoint: float
    batch: float


DEMANDS: dict[Precision, Demand] = {
    "float32": Demand(cosine=0.9999, viewpoint=1e-3, batch=1e-5),
    "float16": Demand(cosine=0.999, viewpoint=2e-2, batch=1e-2),
}


def torch_answer(served: ServedModel, crops: Crops) -> Embeddings:
    """What the network itself gives, in float32 on the CPU."""
    vectors, viewpoints = [], []
    with torch.inference_mode():
        for start in range(0, len(crops), _BATCH):
            pixels = torch.from_numpy(np.array(crops.pixels[start : start + _BATCH]))
            answer = served(pixels)
            vectors.append(answer[0].numpy())
            viewpoints += [part.numpy() for part in answer[1:]]
    return Embeddings(np.concatenate(vectors), np.concatenate(viewpoints) if viewpoints else None)


def prove(wanted: Embeddings, bundle: Bundle, crops: Crops) -> Parity:
    """Serve the crops on the CPU, together and one by one, and compare; ParityError says which crop fails and how."""
    session = Session(bundle, device="cpu", max_batch=_BATCH)
    demand = DEMANDS[bundle.precision]
    served = session.embed(crops)
    cosine = np.einsum("nd,nd->n", wanted.vectors.astype(np.float64), served.vectors.astype(np.float64))
    worst = int(np.argmin(cosine))
    if cosine[worst] < demand.cosine:
        raise ParityError(
            f"{bundle.file.name} does not give what the network gives: the cosine of their embeddings is "
            f"{cosine[worst]:.6f} for crop {worst}, at least {demand.cosine} is demanded of all {len(crops)}; nothing "
            "was exported. "
            + (
                "Half precision is too coarse for this network: leave that file out with --no-float16"
                if bundle.precision == "float16"
                else "The exporter does not fit this network: report it with the backbone's name"
            )
        )
    if wanted.viewpoints is not None and served.viewpoints is not None:
        difference = float(np.abs(wanted.viewpoints - served.viewpoints).max())
        if difference > demand.viewpoint:
            raise ParityError(
                f"{bundle.file.name} does not give the network's viewpoints: a share differs by {difference:.2g}, at "
                f"most {demand.viewpoint:g} is allowed; nothing was exported"
            )
    alone = np.concatenate([session.embed(crops[row : row + 1]).vectors for row in range(len(crops))])
    _require_equal_alone(bundle, served.vectors, alone, demand)
    return Parity(
        max_abs_difference=float(np.abs(wanted.vectors - served.vectors).max()),
        min_cosine=float(min(cosine[worst], 1.0)),
        crops=len(crops),
    )


def _require_equal_alone(
    bundle: Bundle, together: NDArray[np.float32], alone: NDArray[np.float32], demand: Demand
) -> None:
    difference = float(np.abs(together - alone).max())
    if difference > demand.batch:
        raise ParityError(
            f"{bundle.file.name} gives other embeddings in a batch of {_BATCH} than one by one: they differ by "
            f"{difference:.2g}, at most {demand.batch:g} is allowed; nothing was exported. Some layer looks at the "
            "whole batch"
        )
