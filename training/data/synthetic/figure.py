"""The walking person: a look and a moment of the gait in, solids and their fabrics out.

Body frame: +y up from the ground, +z the way the person faces, +x the person's right; metres, for a stature of 1.75 m
and then scaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from training.data.synthetic.clothing import Colour, Look
from training.data.synthetic.fabric import Fabric
from training.data.synthetic.shapes import ShapeList, Shapes, Vector

SKIN, FACE, HAIR, TORSO, SLEEVE, COAT, BOTTOM, LEGS, SHOES, BAG, FLAP, HEADGEAR = range(12)

STATURE = 1.75
CHEST = 1.27
THIGH, SHIN, ANKLE = 0.43, 0.41, 0.08
UPPER_ARM, FOREARM = 0.29, 0.26

LONG_SLEEVES = ("shirt", "hoodie", "jacket", "coat")


@dataclass(frozen=True, slots=True)
class Gait:
    """A moment of a walk: `phase` in radians (one turn is two steps), `stride` the thigh's swing in radians (0 stands),
    `head_turn` in radians, towards the person's right."""

    phase: float
    stride: float
    head_turn: float


def fabrics_of(look: Look, seed: int) -> list[Fabric]:
    """What each part is made of, indexed by the part numbers above."""
    top = Fabric(
        look.top_colour,
        pattern=look.top_pattern,
        second=look.top_second,
        period=look.pattern_period,
        middle=CHEST,
        seed=seed,
    )
    opened = look.top in ("jacket", "coat")
    torso = replace(
        top,
        chest_print=look.chest_print if look.top_pattern != "yoke" else "none",
        chest_height=CHEST + (0.04 if not opened else 0.0),
        open_front=look.inner_colour if opened else None,
        straps=look.bag_colour if look.bag == "backpack" else None,
        straps_from=1.14,
        sash=look.bag_colour if look.bag == "shoulder bag" else None,
        sash_side=look.bag_side,
    )
    bottom = Fabric(look.bottom_colour, second=(0.92, 0.92, 0.9), seed=seed + 3)
    striped = look.side_stripe and look.bottom in ("trousers", "shorts")
    return [
        Fabric(look.skin, wrinkle=0.03, seed=seed),
        Fabric(look.skin, wrinkle=0.03, face=True, seed=seed),
        Fabric(look.hair_colour, wrinkle=0.3, seed=seed + 1),
        torso,
        replace(top, middle=0.0 if look.top_pattern == "yoke" else CHEST),
        replace(torso, straps=None, sash=None),
        bottom,
        replace(bottom, pattern="side stripe" if striped else "plain"),
        Fabric(look.shoes_colour, wrinkle=0.05, seed=seed + 4),
        Fabric(look.bag_colour, wrinkle=0.1, seed=seed + 5),
        Fabric(_shaded(look.bag_colour), wrinkle=0.1, seed=seed + 5),
        Fabric(look.headgear_colour, wrinkle=0.1, seed=seed + 6),
    ]


def build_figure(look: Look, gait: Gait) -> Shapes:
    """The person's solids in the body frame; `material` holds the part numbers above."""
    shapes = ShapeList()
    if look.bottom in ("skirt", "long skirt"):
        gait = replace(gait, stride=gait.stride * 0.7)
    ankles = [_leg_joints(look, gait, side) for side in (1, -1)]
    # the body sinks as the legs part, so that the lower foot stands on the ground
    sink = ANKLE - min(joints[2][1] for joints in ankles)
    for hip, knee, ankle in ankles:
        _leg(shapes, look, hip, knee, ankle)
    _trunk(shapes, look)
    hands = {side: _arm(shapes, look, gait, side) for side in (1, -1)}
    _head(shapes, look, gait.head_turn)
    _bag(shapes, look, hands)
    return _scaled(shapes.stacked(), sink, look.stature / STATURE)


def _scaled(shapes: Shapes, sink: float, factor: float) -> Shapes:
    return replace(shapes, axes=shapes.axes * factor, centre=(shapes.centre + np.array([0.0, sink, 0.0])) * factor)


def _shaded(colour: Colour) -> Colour:
    darker = 0.6 if sum(colour) > 0.9 else 1.7
    red, green, blue = (min(0.95, channel * darker + 0.02) for channel in colour)
    return red, green, blue


def _leg_joints(look: Look, gait: Gait, side: int) -> tuple[Vector, Vector, Vector]:
    phase = gait.phase + (0.0 if side > 0 else math.pi)
    swing = gait.stride * math.sin(phase)
    bend = 0.08 + 1.3 * gait.stride * max(0.0, math.cos(phase))
    x = side * 0.088 * (2 - look.shoulders) * math.sqrt(look.girth)
    hip = (x, 0.92, 0.0)
    knee = (x, 0.92 - THIGH * math.cos(swing), THIGH * math.sin(swing))
    lower = swing - bend
    return hip, knee, (x, knee[1] - SHIN * math.cos(lower), knee[2] + SHIN * math.sin(lower))


def _leg(shapes: ShapeList, look: Look, hip: Vector, knee: Vector, ankle: Vector) -> None:
    thick = math.sqrt(look.girth)
    trousers = look.bottom == "trousers"
    cloth = LEGS if trousers else SKIN
    thigh, calf, cuff = 0.088 * thick, 0.062 * thick, (0.056 if trousers else 0.04) * thick
    bare_from = 0.35 if "skirt" in look.bottom else 0.0  # a striding thigh would show through the skirt
    shapes.tube(hip, knee, thigh, calf, cloth, clip=(bare_from, 1.0), cloth_height=hip[1])
    shapes.ellipsoid(knee, (calf, calf, calf), cloth, cloth_height=knee[1])
    shapes.tube(knee, ankle, calf, cuff, cloth, cloth_height=knee[1])
    if look.bottom == "shorts":
        shapes.tube(hip, knee, thigh + 0.015, calf + 0.035, LEGS, clip=(0.0, 0.93), opened=True, cloth_height=hip[1])
    toes = math.atan2(knee[2] - ankle[2], knee[1] - ankle[1]) * 0.7
    shapes.ellipsoid(
        (ankle[0], ankle[1] - 0.03 - 0.05 * math.sin(-toes), ankle[2] + 0.05 * math.cos(toes)),
        (0.053, 0.052, 0.135),
        SHOES,
        pitch=-toes * 0.8,
    )
    shapes.ellipsoid((ankle[0], ankle[1] - 0.015, ankle[2] - 0.01), (0.05, 0.065, 0.062), SHOES)


def _trunk(shapes: ShapeList, look: Look) -> None:
    wide, thick = look.girth, look.girth**1.3
    shoulder, hips = look.shoulders * math.sqrt(wide), (2 - look.shoulders) * math.sqrt(wide)
    shapes.ellipsoid((0, 0.95, -0.01), (0.168 * hips, 0.14, 0.118 * thick), BOTTOM, cloth_height=0.95)
    hem = 0.93 if look.top in ("t-shirt", "hoodie", "vest") else 0.97
    bulk = 1.1 if look.top in ("jacket", "coat", "hoodie") else 1.0
    waist, chest = 0.162 * hips * bulk, 0.178 * shoulder * bulk
    flat = 0.66 * thick / wide
    shapes.tube((0, hem, 0), (0, 1.34, 0.005), waist, chest, TORSO, flat=flat, opened=True, cloth_height=hem)
    deep = chest * flat
    shapes.ellipsoid((0, 1.34, 0.005), (chest, 0.13, deep), TORSO, cloth_height=1.34)
    shapes.ellipsoid((0, 1.41, -0.01), (0.19 * shoulder, 0.068, 0.085 * bulk), TORSO, cloth_height=1.41)
    shapes.tube((0, 1.40, -0.005), (0, 1.50, 0), 0.125, 0.06, TORSO, flat=0.75, cloth_height=1.40)
    shapes.ellipsoid((0, 1.12, 0.012), (0.15 * wide, 0.17, 0.1 * thick * bulk), TORSO, cloth_height=1.12)
    shapes.tube((0, 1.40, 0), (0, 1.58, 0.012), 0.062, 0.055, SKIN)
    if look.top == "hoodie":
        shapes.ellipsoid((0, 1.475, -0.075), (0.115, 0.07, 0.085), SLEEVE, cloth_height=1.475)
    elif look.top in ("shirt", "jacket", "coat"):
        shapes.tube((0, 1.45, 0), (0, 1.51, -0.01), 0.082, 0.072, SLEEVE, cloth_height=1.45)
    if look.top == "coat":
        shapes.tube((0, 1.02, 0), (0, 0.60, 0), waist, 0.265 * hips, COAT, flat=0.9, opened=True, cloth_height=1.02)
        hips *= 0.85  # whatever is worn below stays below
    if look.bottom == "skirt":
        shapes.tube((0, 1.02, 0), (0, 0.56, 0), 0.155 * hips, 0.25 * hips, BOTTOM, flat=0.95, opened=True)
    elif look.bottom == "long skirt":
        shapes.tube((0, 1.02, 0), (0, 0.22, 0), 0.155 * hips, 0.31 * hips, BOTTOM, flat=1.0, opened=True)


def _arm(shapes: ShapeList, look: Look, gait: Gait, side: int) -> Vector:
    """Adds an arm and returns where its hand is."""
    carries = look.bag == "handbag" and look.bag_side == side
    phase = gait.phase + (math.pi if side > 0 else 0.0)
    swing = gait.stride * (0.25 if carries else 0.85) * math.sin(phase)
    bend = 0.1 if carries else 0.25 + 0.5 * gait.stride * (1 + math.sin(phase))
    out = 0.10 + 0.08 * (look.girth - 1)
    thick = math.sqrt(look.girth)
    shoulder = (side * 0.182 * look.shoulders * thick, 1.412, -0.005)
    elbow = _along(shoulder, UPPER_ARM, swing, side * out)
    wrist = _along(elbow, FOREARM, swing + bend, side * out * 0.4)
    hand = _along(wrist, 0.05, swing + bend, 0.0)

    sleeved = look.top in LONG_SLEEVES
    cloth = SLEEVE if sleeved else SKIN
    bulk = 0.007 if look.top in ("jacket", "coat", "hoodie") else 0.0
    upper, lower, cuff = 0.052 * thick + bulk, 0.043 * thick + bulk, (0.04 if sleeved else 0.031) * thick + bulk / 2
    ball = SKIN if look.top == "vest" else SLEEVE
    shapes.ellipsoid(
        shoulder, (upper + 0.008 - bulk, upper + 0.008 - bulk / 2, upper + 0.01), ball, cloth_height=shoulder[1]
    )
    shapes.tube(shoulder, elbow, upper, lower, cloth, cloth_height=shoulder[1])
    shapes.ellipsoid(elbow, (lower, lower, lower), cloth, cloth_height=elbow[1])
    shapes.tube(elbow, wrist, lower, cuff, cloth, cloth_height=elbow[1])
    if look.top == "t-shirt":
        end = (upper + 0.012, lower + 0.018)
        shapes.tube(shoulder, elbow, *end, SLEEVE, clip=(0.0, 0.66), opened=True, cloth_height=shoulder[1])
    shapes.ellipsoid(hand, (0.032, 0.06, 0.042), SKIN, pitch=-(swing + bend))
    return hand


def _along(start: Vector, length: float, forwards: float, sideways: float) -> Vector:
    """A point `length` below `start`, swung forwards and sideways by two angles."""
    return (
        start[0] + length * math.sin(sideways),
        start[1] - length * math.cos(forwards) * math.cos(sideways),
        start[2] + length * math.sin(forwards) * math.cos(sideways),
    )


def _head(shapes: ShapeList, look: Look, turn: float) -> None:
    sine, cosine = math.sin(turn), math.cos(turn)

    def at(x: float, y: float, z: float) -> Vector:
        return cosine * x + sine * z, y, cosine * z - sine * x

    shapes.ellipsoid(at(0, 1.64, 0.015), (0.084, 0.118, 0.1), FACE, yaw=turn)
    shapes.ellipsoid(at(0, 1.625, 0.115), (0.016, 0.026, 0.022), SKIN, yaw=turn)
    if look.beard:
        shapes.ellipsoid(at(0, 1.565, 0.055), (0.068, 0.055, 0.062), HAIR, yaw=turn)
    if look.hair != "bald":
        shapes.ellipsoid(at(0, 1.675, -0.022), (0.094, 0.105, 0.104), HAIR, yaw=turn)
    if look.hair == "long":
        shapes.ellipsoid(at(0, 1.55, -0.045), (0.118, 0.19, 0.085), HAIR, yaw=turn)
    elif look.hair == "ponytail":
        shapes.ellipsoid(at(0, 1.68, -0.125), (0.036, 0.036, 0.04), HAIR)
        shapes.ellipsoid(at(0, 1.54, -0.155), (0.04, 0.145, 0.035), HAIR, pitch=0.12)
    elif look.hair == "bun":
        shapes.ellipsoid(at(0, 1.745, -0.085), (0.058, 0.055, 0.058), HAIR)

    if look.headgear == "cap":
        shapes.ellipsoid(at(0, 1.675, 0.0), (0.101, 0.112, 0.116), HEADGEAR, yaw=turn, clip=(0.1, 1.0))
        shapes.ellipsoid(at(0, 1.69, 0.115), (0.08, 0.014, 0.085), HEADGEAR, yaw=turn, pitch=0.12)
    elif look.headgear == "beanie":
        shapes.ellipsoid(at(0, 1.665, -0.005), (0.105, 0.145, 0.117), HEADGEAR, yaw=turn, clip=(0.1, 1.0))
        shapes.ellipsoid(at(0, 1.815, -0.01), (0.032, 0.03, 0.032), HEADGEAR)
    elif look.headgear == "hat":
        shapes.ellipsoid(at(0, 1.695, 0.0), (0.1, 0.135, 0.112), HEADGEAR, yaw=turn, clip=(0.0, 1.0))
        shapes.ellipsoid(at(0, 1.705, 0.0), (0.185, 0.016, 0.195), HEADGEAR, yaw=turn)


def _bag(shapes: ShapeList, look: Look, hands: dict[int, Vector]) -> None:
    side = look.bag_side
    if look.bag == "backpack":
        shapes.block((0, 1.235, -0.2), (0.15, 0.2, 0.085), BAG)
        shapes.ellipsoid((0, 1.42, -0.195), (0.149, 0.075, 0.084), BAG)
        shapes.block((0, 1.15, -0.29), (0.115, 0.095, 0.035), FLAP)
    elif look.bag == "handbag":
        x, y, z = hands[side]
        x += side * 0.02
        shapes.tube((x, y - 0.01, z - 0.07), (x, y - 0.19, z - 0.12), 0.009, 0.009, FLAP)
        shapes.tube((x, y - 0.01, z + 0.03), (x, y - 0.19, z + 0.08), 0.009, 0.009, FLAP)
        shapes.block((x, y - 0.29, z - 0.02), (0.055, 0.13, 0.165), BAG)
    elif look.bag == "shoulder bag":
        shapes.block((side * 0.225 * math.sqrt(look.girth), 0.92, -0.02), (0.045, 0.115, 0.15), BAG)
        shapes.block((side * 0.24 * math.sqrt(look.girth), 0.965, -0.02), (0.042, 0.06, 0.152), FLAP)
