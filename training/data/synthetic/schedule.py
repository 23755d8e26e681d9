"""Which crops there are: who walks past which camera, when, and which way they face. No picture is made here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from training.data.synthetic.camera import Camera, draw_camera
from training.data.synthetic.clothing import Look, draw_looks
from training.data.synthetic.errors import SyntheticSpecError

Viewpoint = Literal["front", "side", "back"]
Split = Literal["train", "query", "gallery"]

FOLDERS: dict[str, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
FRAMES_PER_SECOND = 25
WALKING_SPEED = 1.3  # metres a second
DAY = 4 * 3600  # seconds in which everybody sets out


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """What to make. Two equal specs make the same bits.

    Every person walks `passes` times past each camera that sees them (each camera with `seen_probability`, at least
    two cameras in all) and is cropped `crops_per_pass` times on the way: one tracklet. The first `train_fraction` of
    the people are for training; of the others, one crop for each camera that saw them is a query and the rest are the
    gallery. `sibling_share` is the chance that a person dresses like the one before, but for one or two things.
    `size` is (height, width) of a crop in pixels.
    """

    people: int = 60
    cameras: int = 6
    seed: int = 0
    passes: int = 2
    crops_per_pass: int = 2
    size: tuple[int, int] = (128, 64)
    train_fraction: float = 0.5
    seen_probability: float = 0.8
    sibling_share: float = 0.35

    def __post_init__(self) -> None:
        _between("people", self.people, 2, 9999, "names give a person four digits")
        _between("cameras", self.cameras, 2, 9, "names give a camera one digit, and one camera leaves nothing to match")
        _between("seed", self.seed, 0, 2**63 - 1, "random seeds are not negative")
        _between("passes", self.passes, 1, 9, "names give a pass one digit")
        _between("crops_per_pass", self.crops_per_pass, 1, 99, "a walk past a camera is short")
        if len(self.size) != 2:
            raise SyntheticSpecError(f"size is {self.size}, but must be two numbers, height and width: (128, 64)")
        object.__setattr__(self, "size", tuple(self.size))  # a list, as read from JSON, could not be hashed
        for name, pixels in zip(("height", "width"), self.size, strict=True):
            _between(f"size's {name}", pixels, 16, 1024, "less shows nobody and more shows nothing more")
        _between("train_fraction", self.train_fraction, 0.0, 1.0, "it is a share of the people")
        _between("seen_probability", self.seen_probability, 0.0, 1.0, "it is a probability")
        _between("sibling_share", self.sibling_share, 0.0, 1.0, "it is a probability")
        if self.passes * self.crops_per_pass < 2 and self.train_people < self.people:
            raise SyntheticSpecError(
                "passes 1 and crops_per_pass 1 give each test person one crop a camera, which becomes the query and "
                "leaves the gallery empty: raise either, or set train_fraction to 1"
            )

    @property
    def train_people(self) -> int:
        """How many people, counted from the first, are for training."""
        return round(self.people * self.train_fraction)


def _between(name: str, value: float, low: float, high: float, why: str) -> None:
    if not low <= value <= high:
        raise SyntheticSpecError(f"{name} is {value}, but must lie from {low} to {high}: {why}")


@dataclass(frozen=True, slots=True)
class SyntheticCrop:
    """One crop of the plan; with its spec, all that is needed to render it.

    `yaw` is in degrees: 0 faces the camera, 180 walks away, 90 walks towards the picture's left. `viewpoint` is front
    where |yaw| < 60, back where |yaw| > 120, else side. `captured_at` is in seconds. `place` is metres to the
    picture's right of the camera's axis and metres away; `gait_phase` is radians.
    """

    name: str
    split: Split
    person: str
    camera: str
    tracklet: str
    viewpoint: Viewpoint
    captured_at: float
    person_index: int
    camera_index: int
    pass_index: int
    step: int
    yaw: float
    place: tuple[float, float]
    gait_phase: float

    @property
    def path(self) -> str:
        """Where the crop lies in a folder of Market-1501's form."""
        return f"{FOLDERS[self.split]}/{self.name}"


@lru_cache(maxsize=8)
def looks_of(spec: SyntheticSpec) -> tuple[tuple[Look, int], ...]:
    """Each person's look, and the index of the person whose sibling they are or -1. No family crosses the split."""
    return tuple(draw_looks(spec.seed, spec.people, spec.sibling_share, frozenset({spec.train_people})))


@lru_cache(maxsize=8)
def cameras_of(spec: SyntheticSpec) -> tuple[Camera, ...]:
    return tuple(draw_camera(spec.seed, index, spec.cameras) for index in range(spec.cameras))


def viewpoint_of(yaw: float) -> Viewpoint:
    """The third of the circle that a yaw in degrees (-180 to 180) falls into."""
    return "front" if abs(yaw) < 60 else "back" if abs(yaw) > 120 else "side"


def plan(spec: SyntheticSpec) -> list[SyntheticCrop]:
    """Every crop of the spec, by person, camera, pass and time."""
    return [crop for person in range(spec.people) for crop in _crops_of_person(spec, person)]


def _crops_of_person(spec: SyntheticSpec, person: int) -> list[SyntheticCrop]:
    rng = np.random.default_rng([spec.seed, 5, person])
    seen = rng.random(spec.cameras) < spec.seen_probability
    unseen = rng.permutation(np.flatnonzero(~seen))
    seen[unseen[: max(0, 2 - int(seen.sum()))]] = True
    watchers = np.flatnonzero(seen)
    visits = [(number, int(camera)) for number in range(spec.passes) for camera in rng.permutation(watchers)]
    clock = float(rng.uniform(0, DAY))
    crops: list[SyntheticCrop] = []
    for number, camera in visits:
        clock += float(rng.uniform(15, 90))
        walk = _walk_past(spec, person, camera, number, clock, rng)
        clock = walk[-1].captured_at
        crops += walk
    crops.sort(key=lambda crop: (crop.camera_index, crop.pass_index, crop.step))
    if person < spec.train_people:
        return crops
    return _with_queries(crops, rng)


def _with_queries(crops: list[SyntheticCrop], rng: np.random.Generator) -> list[SyntheticCrop]:
    by_camera: dict[int, list[int]] = {}
    for at, crop in enumerate(crops):
        by_camera.setdefault(crop.camera_index, []).append(at)
    queries = {members[int(rng.integers(len(members)))] for members in by_camera.values()}
    return [replace(crop, split="query" if at in queries else "gallery") for at, crop in enumerate(crops)]


def _walk_past(
    spec: SyntheticSpec, person: int, camera_index: int, number: int, starts_at: float, rng: np.random.Generator
) -> list[SyntheticCrop]:
    camera = cameras_of(spec)[camera_index]
    way = camera.corridor + (math.pi if rng.random() < 0.5 else 0.0) + float(rng.normal(0, 0.2))
    pause = float(rng.uniform(0.4, 0.9))
    away = float(rng.uniform(camera.near, camera.far))
    aside = away * float(rng.uniform(-0.25, 0.25))
    phase = float(rng.uniform(0, 2 * math.pi))
    crops: list[SyntheticCrop] = []
    for step in range(spec.crops_per_pass):
        walked = WALKING_SPEED * pause * (step - (spec.crops_per_pass - 1) / 2)
        # whoever would leave the stretch that the camera watches waits at its end
        x = float(np.clip(aside + walked * math.sin(way), -0.45 * away, 0.45 * away))
        z = float(np.clip(away + walked * math.cos(way), camera.near, camera.far))
        heading = way + float(rng.normal(0, 0.1))
        yaw = math.degrees(heading - math.atan2(-x, -z))
        yaw = (yaw + 180) % 360 - 180
        frame = round((starts_at + step * pause) * FRAMES_PER_SECOND)
        identity = f"{person + 1:04d}"
        crops.append(
            SyntheticCrop(
                name=f"{identity}_c{camera_index + 1}s{number + 1}_{frame:06d}_{1:02d}.jpg",
                split="train",
                person=identity,
                camera=f"c{camera_index + 1}",
                tracklet=f"{identity}_c{camera_index + 1}s{number + 1}",
                viewpoint=viewpoint_of(yaw),
                captured_at=frame / FRAMES_PER_SECOND,
                person_index=person,
                camera_index=camera_index,
                pass_index=number,
                step=step,
                yaw=yaw,
                place=(x, z),
                gait_phase=phase + 5.2 * step * pause,
            )
        )
    return crops
