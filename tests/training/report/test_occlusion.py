import numpy as np
import pytest

from models import BACKGROUND, Bundle, Crops, Session
from training.report import occlusion_map
from training.report.occlusion_section import painted


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(0, 256, (16, 8, 3), dtype=np.uint8)


def test_only_what_the_model_looks_at_lowers_the_score(linear_model, crop):
    """A model whose weights are zero but for rows 4 to 6 and columns 2 to 4."""
    weights = np.zeros((16, 8, 3, 12), np.float32)
    weights[4:7, 2:5] = np.random.default_rng(1).normal(size=(3, 3, 3, 12))
    session = Session(Bundle.open(linear_model(weights=weights.reshape(-1, 12)).path), device="cpu", threads=1)
    match = session.embed(Crops(crop[None])).vectors[0]
    found = occlusion_map(session, crop, match)
    assert found.score == pytest.approx(1)
    assert found.fall.shape == (16, 8)
    row, column = np.unravel_index(found.fall.argmax(), found.fall.shape)
    assert 3 <= row <= 7
    assert 1 <= column <= 5
    assert (found.fall[10:] == 0).all()
    assert found.fall[:, 7].max() == 0
    assert found.fall.min() >= -1e-6


def test_a_pixel_has_the_weighted_mean_of_the_covers_on_it(linear_model, crop):
    session = Session(Bundle.open(linear_model().path), device="cpu", threads=1)
    match = np.asarray(session.embed(Crops(crop[None, ::-1])).vectors[0])
    found = occlusion_map(session, crop, match)
    total, weights = np.zeros((2, 16, 8))
    for top in range(15):
        for left in range(7):
            covered = crop.copy()
            covered[top : top + 2, left : left + 2] = BACKGROUND
            score = float(session.embed(Crops(covered[None])).vectors[0] @ match)
            for y in range(top, top + 2):
                for x in range(left, left + 2):
                    total[y, x] += found.score - score
                    weights[y, x] += 1
    np.testing.assert_allclose(found.fall, total / weights, atol=1e-5)


def test_the_painting_is_reddest_where_the_score_falls_most(crop):
    fall = np.zeros((16, 8), np.float32)
    fall[3, 4], fall[9, 1] = 0.5, -0.5
    picture = painted(crop, fall).astype(int)
    redness = picture[:, :, 0] - picture[:, :, 2]
    assert np.unravel_index(redness.argmax(), redness.shape) == (3, 4)
    assert redness[9, 1] == 0
    assert (painted(crop, np.zeros((16, 8), np.float32)).std(axis=2) == 0).all()
