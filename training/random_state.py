"""Every generator that anything in training may draw from, as plain values that a checkpoint can hold."""

import hashlib
import random
from typing import Any

import numpy as np
import torch


def seed_everything(*parts: object) -> None:
    """Start python's, numpy's and torch's global generators, those of all devices, from `parts`."""
    seed = mixed_seed(*parts)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # libraries draw from it
    torch.manual_seed(seed)


def mixed_seed(*parts: object) -> int:
    """A seed, 0 to 2^63 - 1, that differs wherever the parts do."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def random_state() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """The state of CUDA generators is restored where there are as many devices as there were."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, numbers, *rest = state["numpy"]
    np.random.set_state((name, numbers.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
