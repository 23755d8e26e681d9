"""What the measurements are made on: unit vectors in clusters, as the crops of many people in a few views would be."""

import numpy as np
import numpy.typing as npt


def crowd(count: int, dimensions: int, people: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """`count` unit vectors, float32 (count, dimensions), of `people` people.

    A person has three views, each a way from the person's centre, and a crop is a way from its view; so the nearest
    neighbours of a crop are mostly, and not always, of its person.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, 1, dimensions), dtype=np.float32)
    views = centres + 0.8 * rng.standard_normal((people, 3, dimensions), dtype=np.float32)
    of, view = rng.integers(people, size=count), rng.integers(3, size=count)
    rows = views[of, view] + 0.9 * rng.standard_normal((count, dimensions), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
