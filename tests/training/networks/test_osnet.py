import pytest
import torch
from torch import nn

from training.networks.osnet import AggregationGate, OmniScaleBlock, OSNet


def parameters_by_hand(width: float) -> int:
    """The paper's architecture added up layer by layer, for instance at width 1.0:

    stem          3 * 64 * 49 + 2 * 64                                                       =     9,536
    a Lite 3 x 3  of m channels: m * m + 9 * m + 2 * m; a block has ten of them (1 + 2 + 3 + 4)
    a gate        of m channels: m * h + h + h * m + m with h = m / 16
    a block       i -> o with m = o / 4: i * m + 2 m, ten Lite, gate, m * o + 2 o, and i * o + 2 o if i != o:
                  64 -> 256: 86,596      256 -> 256: 81,988
                  256 -> 384: 265,446    384 -> 384: 178,662
                  384 -> 512: 493,704    512 -> 512: 312,456
    transitions   256 * 256 + 2 * 256 = 66,048           384 * 384 + 2 * 384 = 148,224
    final         512 * 512 + 2 * 512                                                        =   263,168
    together                                                                                   1,905,828
    """
    stem, *outs = (int(channels * width) for channels in (64, 256, 384, 512))

    def convolution(channels_in: int, channels_out: int, area: int = 1) -> int:
        return channels_in * channels_out * area + 2 * channels_out  # with its batch normalisation

    def block(channels_in: int, channels_out: int) -> int:
        m = channels_out // 4
        h = max(1, m // 16)
        lite = m * m + 9 * m + 2 * m
        gate = m * h + h + h * m + m
        shortcut = 0 if channels_in == channels_out else convolution(channels_in, channels_out)
        return convolution(channels_in, m) + 10 * lite + gate + convolution(m, channels_out) + shortcut

    a, b, c = outs
    blocks = block(stem, a) + block(a, a) + block(a, b) + block(b, b) + block(b, c) + block(c, c)
    return convolution(3, stem, 49) + blocks + convolution(a, a) + convolution(b, b) + convolution(c, c)


@pytest.mark.parametrize(("width", "count"), [(1.0, 1_905_828), (0.5, 497_426), (0.25, 134_792)])
def test_it_has_as_many_parameters_as_the_papers_architecture_adds_up_to(width: float, count: int) -> None:
    assert parameters_by_hand(width) == count
    assert sum(parameter.numel() for parameter in OSNet(width).parameters()) == count


@pytest.mark.parametrize(("width", "millions"), [(1.0, 2.2), (0.5, 0.6), (0.25, 0.2)])
def test_with_the_papers_512_wide_layer_it_counts_the_millions_that_the_paper_states(
    width: float, millions: float
) -> None:
    network = OSNet(width)
    # fully connected layer to 512 and its batch normalisation
    count = sum(parameter.numel() for parameter in network.parameters()) + network.channels * 512 + 2 * 512
    assert round(count / 1e6, 1) == millions


def test_the_feature_map_is_a_sixteenth_of_the_input() -> None:
    network = OSNet(0.25).eval()
    assert network(torch.randn(2, 3, 128, 64)).shape == (2, 128, 8, 4)


def test_the_deepest_stream_sees_9_x_9_and_the_shallowest_3_x_3() -> None:
    block = OmniScaleBlock(64, 64).eval()
    for stream, field in zip(block.streams, (3, 5, 7, 9), strict=True):
        x = torch.randn(1, 16, 15, 15, requires_grad=True)
        for layer in stream.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
            if isinstance(layer, nn.Conv2d):
                nn.init.constant_(layer.weight, 0.1)  # no path cancels another, and no ReLU is shut
        x.data.abs_()
        (gradient,) = torch.autograd.grad(stream(x)[0, 0, 7, 7], x)
        reached = gradient[0].abs().sum(0) > 0
        assert (int(reached.any(0).sum()), int(reached.any(1).sum())) == (field, field)


def test_a_block_weighs_its_four_streams_by_one_gate_and_adds_its_shortcut() -> None:
    block = OmniScaleBlock(32, 64).eval()
    x = torch.randn(3, 32, 6, 4)
    reduced = block.reduce(x)
    mixed = torch.zeros(3, 16, 6, 4)
    first, _, second, _ = block.gate.weigh
    for stream in block.streams:
        y = stream(reduced)
        for n in range(3):
            hidden = torch.relu(first.weight[:, :, 0, 0] @ y[n].mean((1, 2)) + first.bias)
            weights = torch.sigmoid(second.weight[:, :, 0, 0] @ hidden + second.bias)
            for c in range(16):
                mixed[n, c] += weights[c] * y[n, c]
    wanted = torch.relu(block.expand(mixed) + block.shortcut(x))
    torch.testing.assert_close(block(x), wanted)
    assert sum(isinstance(module, AggregationGate) for module in block.modules()) == 1


def test_signals_neither_vanish_nor_explode_at_the_start() -> None:
    torch.manual_seed(0)
    network = OSNet(0.5).train()
    x = torch.randn(8, 3, 64, 32)
    out = network(x)
    assert 0.1 < out.std() < 10
    out.square().mean().backward()
    norms = {name: parameter.grad.norm() for name, parameter in network.named_parameters()}
    assert all(torch.isfinite(norm) and norm > 0 for norm in norms.values()), norms


@pytest.mark.parametrize("seed", range(3))
def test_every_gate_starts_with_hidden_units_that_some_image_wakes(seed: int) -> None:
    torch.manual_seed(seed)
    network = OSNet(0.25).train()
    awake: list[bool] = []
    for module in network.modules():
        if isinstance(module, AggregationGate):
            module.weigh[0].register_forward_hook(lambda _, __, out: awake.append(bool((out > 0).any(0).all())))
    network(torch.randn(4, 3, 64, 32))
    assert len(awake) == 6 * 4
    assert all(awake)


def test_depthwise_weights_start_by_their_own_fan_out() -> None:
    torch.manual_seed(0)
    weights = torch.cat([m.weight.flatten() for m in OSNet(1.0).modules() if isinstance(m, nn.Conv2d) and m.groups > 1])
    assert weights.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)


def test_the_two_halves_in_a_row_are_the_network_with_the_cut_at_an_eighth() -> None:
    network = OSNet(0.25).eval()
    trunk, tail = network.halves()
    x = torch.randn(2, 3, 64, 32)
    assert trunk(x).shape == (2, 64, 8, 4)
    assert torch.equal(tail(trunk(x)), network(x))
    own = {id(parameter) for parameter in network.parameters()}
    assert {id(parameter) for half in (trunk, tail) for parameter in half.parameters()} == own
