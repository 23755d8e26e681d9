"""What a person looks like: body, hair, clothes and what they carry; and how people come to look alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]

# sRGB. Streets are full of black, grey and navy, so these weigh more than the bright ones.
DYES: dict[str, tuple[Colour, float]] = {
    "black": ((0.09, 0.09, 0.10), 3.0),
    "charcoal": ((0.25, 0.26, 0.28), 2.0),
    "grey": ((0.52, 0.53, 0.55), 2.0),
    "white": ((0.92, 0.92, 0.90), 2.5),
    "navy": ((0.11, 0.15, 0.32), 2.5),
    "denim": ((0.25, 0.36, 0.55), 2.5),
    "sky": ((0.48, 0.67, 0.88), 1.2),
    "teal": ((0.08, 0.46, 0.48), 0.8),
    "green": ((0.15, 0.45, 0.22), 1.0),
    "olive": ((0.38, 0.39, 0.22), 1.0),
    "khaki": ((0.72, 0.63, 0.45), 1.3),
    "brown": ((0.38, 0.25, 0.16), 1.0),
    "mustard": ((0.85, 0.64, 0.15), 0.8),
    "orange": ((0.90, 0.43, 0.13), 0.6),
    "red": ((0.76, 0.13, 0.15), 1.4),
    "wine": ((0.42, 0.09, 0.18), 0.9),
    "pink": ((0.92, 0.58, 0.68), 1.0),
    "purple": ((0.43, 0.25, 0.55), 0.8),
}
SKINS: tuple[Colour, ...] = (
    (0.96, 0.80, 0.70),
    (0.90, 0.71, 0.58),
    (0.80, 0.60, 0.45),
    (0.66, 0.46, 0.33),
    (0.49, 0.33, 0.23),
    (0.34, 0.22, 0.16),
)
HAIR_COLOURS: dict[str, tuple[Colour, float]] = {
    "black": ((0.07, 0.06, 0.06), 4.0),
    "dark brown": ((0.20, 0.13, 0.09), 3.0),
    "brown": ((0.38, 0.25, 0.15), 2.0),
    "blond": ((0.80, 0.66, 0.40), 1.5),
    "red": ((0.55, 0.24, 0.11), 0.7),
    "grey": ((0.66, 0.66, 0.66), 1.0),
}
HAIR_STYLES = {"short": 4.0, "long": 2.5, "ponytail": 1.5, "bun": 0.8, "bald": 0.7}
HEADGEAR = {"none": 7.0, "cap": 1.2, "beanie": 1.0, "hat": 0.6}
TOPS = {"t-shirt": 3.5, "shirt": 3.0, "hoodie": 1.5, "jacket": 2.0, "coat": 1.2, "vest": 0.8}
PATTERNS = {"plain": 5.0, "hoops": 1.3, "pinstripes": 0.9, "checks": 1.2, "yoke": 0.9, "camouflage": 0.6}
PRINTS = {"none": 3.0, "disc": 1.0, "square": 1.0, "band": 0.8, "lettering": 1.2}
BOTTOMS = {"trousers": 5.0, "shorts": 2.0, "skirt": 1.3, "long skirt": 0.7}
BAGS = {"none": 3.0, "backpack": 2.5, "handbag": 1.5, "shoulder bag": 1.5}


@dataclass(frozen=True, slots=True)
class Look:
    """Everything by which a synthetic person can be recognised. Colours are sRGB in 0..1."""

    stature: float  # metres
    girth: float  # 1 is average
    shoulders: float  # 1 is average; hips go the other way
    skin: Colour
    hair: str
    hair_colour: Colour
    headgear: str
    headgear_colour: Colour
    beard: bool
    top: str
    top_colour: Colour
    top_second: Colour
    top_pattern: str
    pattern_period: float  # metres
    chest_print: str  # on the chest only
    inner_colour: Colour  # the shirt that an open jacket or coat shows in front
    bottom: str
    bottom_colour: Colour
    side_stripe: bool
    shoes_colour: Colour
    bag: str
    bag_colour: Colour
    bag_side: int  # +1: the person's right


def draw_look(rng: np.random.Generator) -> Look:
    """A person drawn afresh."""
    build = float(rng.normal())
    top = _pick(rng, TOPS)
    top_colour = _dye(rng)
    bottom = _pick(rng, BOTTOMS)
    pattern = _pick(rng, PATTERNS)
    return Look(
        stature=float(np.clip(1.71 + 0.09 * rng.normal(), 1.5, 1.93)),
        girth=float(np.clip(1.0 + 0.11 * build, 0.82, 1.35)),
        shoulders=float(rng.uniform(0.92, 1.1)),
        skin=SKINS[int(rng.integers(len(SKINS)))],
        hair=_pick(rng, HAIR_STYLES),
        hair_colour=_weighted(rng, HAIR_COLOURS),
        headgear=_pick(rng, HEADGEAR),
        headgear_colour=_dye(rng),
        beard=bool(rng.random() < 0.15) and bottom in ("trousers", "shorts"),
        top=top,
        top_colour=top_colour,
        top_second=_contrasting(rng, top_colour),
        top_pattern=pattern,
        pattern_period=float(rng.uniform(0.08, 0.17)),
        chest_print=_pick(rng, PRINTS) if top in ("t-shirt", "vest", "hoodie", "shirt") else "none",
        inner_colour=_contrasting(rng, top_colour),
        bottom=bottom,
        bottom_colour=_dye(rng),
        side_stripe=bool(rng.random() < 0.15),
        shoes_colour=_dye(rng),
        bag=_pick(rng, BAGS),
        bag_colour=_contrasting(rng, top_colour),
        bag_side=1 if rng.random() < 0.5 else -1,
    )


def draw_sibling(rng: np.random.Generator, other: Look) -> Look:
    """A person who shares almost everything with `other`: one or two things that show are changed."""
    look = other
    for change in rng.permutation(len(_CHANGES))[: int(rng.integers(1, 3))]:
        look = _CHANGES[int(change)](rng, look)
    return look


def draw_looks(seed: int, count: int, sibling_share: float, never_siblings: frozenset[int]) -> list[tuple[Look, int]]:
    """`count` people, each with the index of the person whose sibling they are, or -1.

    A sibling is always that of the person just before, so families are contiguous. A split that begins at an index in
    `never_siblings` therefore cuts no family.
    """
    people: list[tuple[Look, int]] = []
    for index in range(count):
        rng = np.random.default_rng([seed, 1, index])
        if index and index not in never_siblings and rng.random() < sibling_share:
            people.append((draw_sibling(rng, people[-1][0]), index - 1))
        else:
            people.append((draw_look(rng), -1))
    return people


def _pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    names, odds = list(weights), np.array(list(weights.values()))
    return names[int(rng.choice(len(names), p=odds / odds.sum()))]


def _weighted(rng: np.random.Generator, colours: dict[str, tuple[Colour, float]]) -> Colour:
    colour = colours[_pick(rng, {name: weight for name, (_, weight) in colours.items()})][0]
    red, green, blue = np.clip(np.array(colour) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, 3), 0.03, 0.97)
    return float(red), float(green), float(blue)


def _dye(rng: np.random.Generator) -> Colour:
    return _weighted(rng, DYES)


def _contrasting(rng: np.random.Generator, colour: Colour) -> Colour:
    """A dye that can be told from `colour` in a small dark picture."""
    while True:
        candidate = _dye(rng)
        if sum(abs(a - b) for a, b in zip(candidate, colour, strict=True)) > 0.6:
            return candidate


def _other(rng: np.random.Generator, weights: dict[str, float], current: str) -> str:
    return _pick(rng, {name: weight for name, weight in weights.items() if name != current})


def _new_bag(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, bag=_other(rng, BAGS, look.bag))


def _new_headgear(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, headgear=_other(rng, HEADGEAR, look.headgear))


def _new_top_colour(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, top_colour=_contrasting(rng, look.top_colour))


def _new_bottom_colour(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, bottom_colour=_contrasting(rng, look.bottom_colour))


def _new_bottom(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, bottom=_other(rng, BOTTOMS, look.bottom))


def _new_pattern(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, top_pattern=_other(rng, PATTERNS, look.top_pattern))


def _new_shoes(rng: np.random.Generator, look: Look) -> Look:
    return replace(look, shoes_colour=_contrasting(rng, look.shoes_colour))


def _new_hair(rng: np.random.Generator, look: Look) -> Look:
    # between cropped and long, which no headgear hides
    cropped = ("short", "bald", "bun")
    choice = {name: odds for name, odds in HAIR_STYLES.items() if (name in cropped) != (look.hair in cropped)}
    return replace(look, hair=_pick(rng, choice))


_CHANGES: tuple[Callable[[np.random.Generator, Look], Look], ...] = (
    _new_bag,
    _new_headgear,
    _new_top_colour,
    _new_bottom_colour,
    _new_bottom,
    _new_pattern,
    _new_shoes,
    _new_hair,
)
