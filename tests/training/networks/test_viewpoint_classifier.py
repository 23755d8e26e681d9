import torch

from training.networks.viewpoint_classifier import ViewpointClassifier


def test_it_learns_but_nothing_flows_back_into_the_embeddings() -> None:
    classifier = ViewpointClassifier(8)
    embeddings = torch.randn(4, 8, requires_grad=True)
    logits = classifier(embeddings)
    assert logits.shape == (4, 3)
    logits.square().sum().backward()
    assert embeddings.grad is None
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in classifier.parameters())
