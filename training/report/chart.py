"""Charts as inline SVG. Colours are those of the page (style.css), so they follow its light and dark."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDE, NARROW, MAP = (680, 280), (460, 280), (480, 400)
"""Sizes of charts, width by height: one alone, two side by side, and a map."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 40


@dataclass(frozen=True, slots=True)
class Line:
    """A curve through points. colour: a number of the page's series, from 1."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 1
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line with words at its top."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands along an axis. percent: write 0.5 as 50 %. whole: only whole numbers are marked."""

    label: str
    low: float
    high: float
    percent: bool = False
    whole: bool = False

    def words(self, value: float) -> str:
        return f"{100 * value:.4g} %" if self.percent else f"{value:.4g}"

    def ticks(self) -> list[float]:
        """Round numbers from low to high, about five of them."""
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
        if self.whole:
            step = max(1.0, float(math.ceil(step)))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor((self.high - first * step) / step + 1e-9) + 1
        ticks = [(first + place) * step for place in range(count)]
        return [self.low, *ticks] if self.whole and self.low != ticks[0] else ticks


def line_chart(
    lines: Sequence[Line], x: Axis, y: Axis, marks: Sequence[Mark] = (), *, title: str, size: tuple[int, int] = WIDE
) -> str:
    """title: what a screen reader says of the chart."""
    plot = _Plot(x, y, size)
    parts = [*plot.frame()]
    for line in lines:
        path = " ".join(f"{plot.x(a):.1f},{plot.y(b):.1f}" for a, b in line.points)
        if line.filled and line.points:
            floor = f"{plot.y(y.low):.1f}"
            ends = (f"{plot.x(line.points[0][0]):.1f},{floor}", f"{plot.x(line.points[-1][0]):.1f},{floor}")
            parts.append(f'<polygon class="area c{line.colour}" points="{ends[0]} {path} {ends[1]}"/>')
        parts.append(f'<polyline class="line c{line.colour}" points="{path}"/>')
        if len(line.points) == 1:
            parts.append(plot.dot(*line.points[0], line.colour, line.label))
    for place, mark in enumerate(marks):
        at = plot.x(mark.x)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{size[1] - _BOTTOM}"/>')
        end = at > size[0] * 0.7
        anchor, offset = ("end", -4) if end else ("start", 4)
        parts.append(
            f'<text class="note" x="{at + offset:.1f}" y="{_TOP + 12 + 15 * place}" text-anchor="{anchor}">'
            f"{html.escape(mark.label)}</text>"
        )
    return _svg(parts, title, size) + legend([(line.label, line.colour) for line in lines])


def scatter(
    points: Sequence[tuple[float, float, int, str]], named: Sequence[tuple[str, int]], title: str, letters: bool = False
) -> str:
    """points: x, y, colour (0 is grey) and the words shown under a pointer. letters: write each group's first letter.

    named: the groups' names and colours.
    """
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    pad_x, pad_y = (0.04 * ((max(values) - min(values)) or 1) for values in (xs, ys))
    plot = _Plot(
        Axis("", min(xs) - pad_x, max(xs) + pad_x),
        Axis("", min(ys) - pad_y, max(ys) + pad_y),
        size=MAP,
        bare=True,
    )
    ordered = sorted(points, key=lambda point: point[2] > 0)  # grey below the others
    parts = [plot.letter(*point) if letters and point[2] else plot.dot(*point) for point in ordered]
    return _svg(parts, title, MAP) + legend(named)


def legend(named: Sequence[tuple[str, int]]) -> str:
    keys = "".join(f'<li><i class="key k{colour}"></i>{html.escape(label)}</li>' for label, colour in named)
    return f'<ul class="legend">{keys}</ul>'


class _Plot:
    def __init__(self, x: Axis, y: Axis, size: tuple[int, int], bare: bool = False) -> None:
        self._x, self._y, self._size = x, y, size
        self._margins = (4, 4, 4, 4) if bare else (_LEFT, _RIGHT, _TOP, _BOTTOM)

    def x(self, value: float) -> float:
        left, right, _, _ = self._margins
        return left + (value - self._x.low) / (self._x.high - self._x.low) * (self._size[0] - left - right)

    def y(self, value: float) -> float:
        _, _, top, bottom = self._margins
        share = (value - self._y.low) / (self._y.high - self._y.low)
        return self._size[1] - bottom - share * (self._size[1] - top - bottom)

    def frame(self) -> list[str]:
        width, height = self._size
        parts = []
        for value in self._y.ticks():
            at = f"{self.y(value):.1f}"
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{at}" y2="{at}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{at}" dy="4" text-anchor="end">{self._y.words(value)}</text>')
        for value in self._x.ticks():
            at = f"{self.x(value):.1f}"
            parts.append(
                f'<text x="{at}" y="{height - _BOTTOM + 16}" text-anchor="middle">{self._x.words(value)}</text>'
            )
        floor = f"{self.y(self._y.low):.1f}"
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{floor}" y2="{floor}"/>')
        middle = (_LEFT + width - _RIGHT) / 2
        parts.append(
            f'<text x="{middle}" y="{height - 6}" text-anchor="middle">{html.escape(self._x.label)}</text>'
            f'<text x="14" y="{height / 2}" text-anchor="middle" transform="rotate(-90 14 {height / 2})">'
            f"{html.escape(self._y.label)}</text>"
        )
        return parts

    def dot(self, x: float, y: float, colour: int, words: str) -> str:
        return (
            f'<circle class="dot c{colour}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="4">'
            f"<title>{html.escape(words)}</title></circle>"
        )

    def letter(self, x: float, y: float, colour: int, words: str) -> str:
        return (
            f'<text class="letter c{colour}" x="{self.x(x):.1f}" y="{self.y(y):.1f}" dy="5" text-anchor="middle">'
            f"{html.escape(words[:1])}<title>{html.escape(words)}</title></text>"
        )


def _svg(parts: Sequence[str], title: str, size: tuple[int, int]) -> str:
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" style="max-width:{size[0]}px" role="img" '
        f'aria-label="{html.escape(title, quote=True)}">{"".join(parts)}</svg>'
    )
