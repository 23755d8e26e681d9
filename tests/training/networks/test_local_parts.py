import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import adaptive_avg_pool2d

from training.networks.local_parts import StripedBackbone, horizontal_stripes
from training.networks.osnet import OSNet


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(3, 20), count=st.integers(1, 3))
def test_stripes_are_the_windows_of_adaptive_pooling(rows: int, count: int) -> None:
    feature_map = torch.randn(2, 3, rows, 4)
    means = torch.stack([stripe.mean((2, 3)) for stripe in horizontal_stripes(feature_map, count)], dim=2)
    torch.testing.assert_close(means, adaptive_avg_pool2d(feature_map, (count, 1))[..., 0])


def test_the_three_tails_start_equal_and_share_nothing_but_the_trunk() -> None:
    plain = OSNet(0.25).eval()
    whole = sum(parameter.numel() for parameter in plain.parameters())
    tail = sum(parameter.numel() for parameter in plain.halves()[1].parameters())
    striped = StripedBackbone(plain).eval()
    assert sum(parameter.numel() for parameter in striped.parameters()) == whole + 2 * tail
    x = torch.randn(2, 3, 64, 32)
    maps = striped(x)
    assert len(maps) == 3
    assert all(torch.equal(feature_map, plain(x)) for feature_map in maps)
