"""A stream of bytes as lines, none longer than allowed, whatever pieces it comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """number: from 1. content: without its end; None where it was longer than allowed, and was not kept."""

    number: int
    content: bytes | None


async def lines_of(stream: AsyncIterator[bytes], longest: int) -> AsyncIterator[Line]:
    """Every line that holds more than white space."""
    number, held, too_long = 1, bytearray(), False
    async for piece in stream:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            held += part
            if too_long or len(held) > longest:
                yield Line(number, None)
            elif held.strip():
                yield Line(number, bytes(held))
            number, held, too_long = number + 1, bytearray(), False
        held += rest
        if len(held) > longest:
            too_long, held = True, bytearray()
    if too_long:
        yield Line(number, None)
    elif held.strip():
        yield Line(number, bytes(held))
