import torch

from training.ema import WeightAverage
from training.networks import NetworkSettings, ReidNetwork


def network() -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork(NetworkSettings("osnet_x0_25", 32, 16, persons=2)).train()


def shifted(trained: ReidNetwork, by: float) -> None:
    with torch.no_grad():
        for value in trained.state_dict().values():
            value.add_(by if value.is_floating_point() else int(by))


def test_weights_and_statistics_follow_by_the_decay_which_is_short_at_first() -> None:
    trained = network()
    average = WeightAverage(trained, decay=0.2)
    expected = {name: value.clone() for name, value in trained.state_dict().items()}
    for update in range(4):
        shifted(trained, 1.0)
        average.update()
        decay = min(0.2, (1 + update) / (10 + update))
        for name, value in trained.state_dict().items():
            blended = decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value
            expected[name] = blended.clone()
    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_without_a_decay_it_is_the_network_itself() -> None:
    trained = network()
    average = WeightAverage(trained, decay=0.0)
    shifted(trained, 1.0)
    average.update()
    own = average.network.state_dict()
    assert all(torch.equal(own[name], value) for name, value in trained.state_dict().items())


def test_the_average_is_in_eval_mode_and_needs_no_gradient_and_the_network_keeps_its_own() -> None:
    trained = network()
    average = WeightAverage(trained, decay=0.9).network
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert trained.training
    assert all(parameter.requires_grad for parameter in trained.id_heads.parameters())
