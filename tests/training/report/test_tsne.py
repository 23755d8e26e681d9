import numpy as np
import pytest

from training.report import tsne


def test_clusters_stay_together_and_apart():
    random = np.random.default_rng(0)
    centres = random.normal(size=(5, 32))
    group = np.repeat(np.arange(5), 24)
    rows = centres[group] + 0.2 * random.normal(size=(120, 32))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    places = tsne(rows.astype(np.float32))
    assert places.shape == (120, 2)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :10]
    assert (group[nearest] == group[:, None]).mean() > 0.99
    np.testing.assert_array_equal(tsne(rows.astype(np.float32)), places)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_few_and_equal_points_have_places(count):
    same = np.tile(np.eye(1, 8, dtype=np.float32), (count, 1))
    assert np.isfinite(tsne(same)).all()
    assert np.isfinite(tsne(np.eye(count, 8 + count, dtype=np.float32))).all()
