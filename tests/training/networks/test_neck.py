import torch

from training.networks.neck import build_neck


def test_the_neck_normalises_the_batch_and_never_shifts() -> None:
    neck = build_neck("bn", 4).train()
    x = torch.randn(16, 4) * 3 + 5
    torch.testing.assert_close(neck(x), (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt())
    assert [name for name, parameter in neck.named_parameters() if parameter.requires_grad] == ["weight"]
    assert not neck.bias.any()


def test_no_neck_is_the_features_themselves() -> None:
    x = torch.randn(2, 4)
    assert torch.equal(build_neck("none", 4)(x), x)
