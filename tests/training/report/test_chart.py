import re

import pytest

from training.report.chart import Axis, Line, Mark, line_chart, scatter


def coordinates(svg):
    return [tuple(map(float, pair.split(","))) for pair in re.search(r'polyline[^>]*points="([^"]*)"', svg)[1].split()]


def test_points_stand_where_the_axes_say():
    svg = line_chart([Line("a", [(0, 0), (5, 1), (10, 0.5)])], Axis("x", 0, 10), Axis("y", 0, 1), title="t")
    (x0, y0), (x1, y1), (x2, y2) = coordinates(svg)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 < y2 < y0  # down is more in SVG
    assert y0 - y2 == pytest.approx(y2 - y1, abs=0.2)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis("", 1, 20, whole=True), [1, 5, 10, 15, 20]),
        (Axis("", 0, 3, whole=True), [0, 1, 2, 3]),
        (Axis("", -0.6, 0.9), [-0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_ticks_are_round_and_inside(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks, abs=1e-9) or axis.ticks() == pytest.approx([-0.5, 0, 0.5], abs=1e-9)


def test_words_are_escaped():
    line = Line("<a&b>", [(0, 0), (1, 1)])
    svg = line_chart([line], Axis("<x>", 0, 1), Axis("<y>", 0, 1), [Mark(0.5, "<m>")], title='"<t>')
    svg += scatter([(0, 0, 1, "<p>"), (1, 1, 0, "q")], [("<p>", 1)], "<s>", letters=True)
    assert not re.search(r"<(a&|x>|y>|m>|t>|p>|s>)", svg)
