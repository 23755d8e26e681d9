"""What the papers report for our rows, as far as a source that we could read gives it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """map, rank1: in [0, 1], on the test split of Market-1501, single query, no re-ranking. source: a few words."""

    map: float
    rank1: float
    source: str


PUBLISHED = {
    "va": Published(
        0.8997,
        0.9587,
        "VA-reID's poster and the log behind it: SE-ResNeXt101 from ImageNet, 384 x 128, the checkpoint that was best "
        "on the test split, trained with fixed soft labels and, at the end, L_v at weight 0.3",
    ),
    "sn": Published(0.7343, 0.8827, "table 1 of SN: ResNet-50 from ImageNet, 256 x 128"),
    "triplet": Published(
        0.7529,
        0.8904,
        "not of the papers: the public triplet baseline that SN's code was built on, ResNet-50 from ImageNet",
    ),
}

CROSS_VIEW_PUBLISHED = (
    "VA-reID's supplement, query and test of Market-1501 merged, means over front, side and back queries: same view "
    "93.0 % (baseline) and 92.9 % (VA), cross-view 86.6 % and 89.7 %"
)
"""mAP: (91.59 + 93.76 + 93.73) / 3 and (93.40 + 92.83 + 92.49) / 3; (86.10 + 86.90 + 86.85) / 3 and
(89.79 + 89.68 + 89.64) / 3."""
