import numpy as np
import pytest
import torch

from training.feeding import CropFeed

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 4, 2, 3), np.uint8)


def test_rows_come_in_the_order_asked_for_and_are_the_callers_own() -> None:
    pixels = PIXELS.copy()
    pixels.setflags(write=False)
    feed = CropFeed(pixels, torch.device("cpu"))
    rows = feed.rows(np.array([7, 0, 7]))
    assert torch.equal(rows, torch.from_numpy(PIXELS[[7, 0, 7]]))
    rows.zero_()
    assert pixels.any()
    assert feed.resident


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to keep crops on")
@pytest.mark.parametrize("fits", [True, False])
def test_a_gpu_keeps_all_crops_if_they_fit_and_gets_them_batch_by_batch_if_not(
    fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = PIXELS.nbytes * (4 if fits else 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (free, free))
    feed = CropFeed(PIXELS, torch.device("cuda"))
    assert feed.resident is fits
    assert torch.equal(feed.rows(np.array([3, 1])).cpu(), torch.from_numpy(PIXELS[[3, 1]]))
