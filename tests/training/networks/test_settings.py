import dataclasses
from typing import Any

import pytest

from training.networks.errors import NetworkError
from training.networks.settings import NetworkSettings


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"height": 8}, "height is 8: give a whole number of at least 32"),
        ({"width": 64.0}, "width is 64.0: give a whole number"),
        ({"persons": 1}, "persons is 1: give a whole number of at least 2"),
        ({"view_classes": 0}, "view_classes is 0"),
        ({"embedding_dim": True}, "embedding_dim is True"),
        ({"pooling": "max"}, "pooling is 'max': choose one of 'avg', 'gem'"),
        ({"neck": "ln"}, "neck is 'ln': choose one of 'bn', 'none'"),
        ({"head": "arcface"}, "head is 'arcface': choose one of 'linear', 'hypersphere'"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"margin": 2.0}, "margin is 2.0: choose an angle"),
        ({"margin": -0.1}, "margin is -0.1"),
        ({"backbone": "timm:resnet18", "local_parts": True}, "local_parts needs a backbone that can be cut"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NetworkError, match=sentence):
        NetworkSettings(**({"backbone": "osnet", "height": 256, "width": 128, "persons": 751} | change))


def test_settings_survive_a_round_trip_through_plain_values() -> None:
    settings = NetworkSettings("osnet", 256, 128, persons=751, view_classes=2048, head="hypersphere", margin=0.3)
    assert NetworkSettings(**dataclasses.asdict(settings)) == settings
