"""t-SNE (van der Maaten and Hinton, JMLR 2008), exact, for some hundreds of points: near ones stay near on paper."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXAGGERATED, _EARLY = 12.0, 150  # as published, for this many steps
_SEARCH = 40  # halvings of the interval of a point's width


def tsne(vectors: NDArray[np.float32], perplexity: float = 20.0, steps: int = 500) -> Floats:
    """vectors: float32 (N, D), N >= 2. Returns float64 (N, 2). Starts from the principal axes, so nothing is random."""
    count = len(vectors)
    rows = vectors.astype(np.float64)
    joint = _joint(_squared(rows), min(perplexity, (count - 1) / 3))
    places = _principal(rows)
    velocity, gain = np.zeros_like(places), np.ones_like(places)
    for step in range(steps):
        kernel = 1 / (1 + _squared(places))
        np.fill_diagonal(kernel, 0)
        pull = (joint * (_EXAGGERATED if step < _EARLY else 1) - kernel / kernel.sum()) * kernel
        gradient = 4 * (pull.sum(axis=1)[:, None] * places - pull @ places)
        gain = np.maximum(np.where(np.sign(gradient) == np.sign(velocity), gain * 0.8, gain + 0.2), 0.01)
        velocity = (0.5 if step < _EARLY else 0.8) * velocity - max(count / 12, 20) * gain * gradient
        places = places + velocity
        places -= places.mean(axis=0)
    return np.asarray(places, np.float64)


def _squared(rows: Floats) -> Floats:
    norms = np.square(rows).sum(axis=1)
    return np.asarray(np.maximum(norms[:, None] + norms[None] - 2 * rows @ rows.T, 0))


def _joint(squared: Floats, perplexity: float) -> Floats:
    """Symmetric neighbour probabilities; each point's width is such that its neighbours' entropy is log perplexity."""
    count = len(squared)
    low, high = np.full(count, -20.0), np.full(count, 20.0)  # log of 1 / (2 width^2), relative to the mean distance
    scale = squared.sum(axis=1) / (count - 1)
    scaled = squared / np.maximum(scale, 1e-12)[:, None]
    for _ in range(_SEARCH):
        middle = (low + high) / 2
        shares = _shares(scaled, np.exp(middle))
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)
        wide = entropy > np.log(max(perplexity, 1.0))
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    joint = shares + shares.T
    return np.asarray(np.maximum(joint / joint.sum(), 1e-12))


def _shares(scaled: Floats, precision: Floats) -> Floats:
    exponent = -scaled * precision[:, None]
    np.fill_diagonal(exponent, -np.inf)
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _principal(rows: Floats) -> Floats:
    """The two main axes, as wide as t-SNE likes to start: 1e-4."""
    centred = rows - rows.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(rows), 2))
    known = min(2, len(size))
    places[:, :known] = left[:, :known] * size[:known]
    return places / max(float(places[:, 0].std()), 1e-12) * 1e-4
