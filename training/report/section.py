"""A part of the page: a picture, and below it the sentence that says how to read it."""

import html
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """anchor: its name in addresses. body: HTML. reading: plain text, what the picture shows and what is good.

    beside: the words stand at the picture's side where there is room.
    """

    anchor: str
    title: str
    body: str
    reading: str
    beside: bool = False

    def html(self) -> str:
        return (
            f'<section id="{self.anchor}"><h2>{html.escape(self.title)}</h2>'
            f'<div class="{"beside" if self.beside else "stacked"}"><div>{self.body}</div>'
            f'<p class="reading">{html.escape(self.reading)}</p></div></section>'
        )
