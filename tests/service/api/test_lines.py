"""Lines come out as they went in, in whatever pieces they came."""

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.lines import lines_of

LONGEST = 6
contents = st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b".")), max_size=6)
cuts = st.lists(st.integers(0, 60), max_size=6)


@given(contents, cuts, st.booleans())
@settings(deadline=None, max_examples=300)
def test_lines_do_not_depend_on_the_pieces_they_came_in(lines, places, ended):
    whole = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    marks = sorted({0, *(place for place in places if place < len(whole)), len(whole)})
    pieces = [whole[start:end] for start, end in itertools.pairwise(marks)]

    async def stream():
        for piece in pieces:
            yield piece

    async def read():
        return [(line.number, line.content) async for line in lines_of(stream(), LONGEST)]

    expected = []
    for number, line in enumerate(whole.split(b"\n"), start=1):
        if len(line) > LONGEST:
            expected.append((number, None))
        elif line.strip():
            expected.append((number, line))
    assert asyncio.run(read()) == expected
