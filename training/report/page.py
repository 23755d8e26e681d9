"""The page as one file: style, pictures and words inside, no scripts, nothing fetched from anywhere."""

import html
from collections.abc import Sequence
from pathlib import Path

from training.report.section import Section

_STYLE = Path(__file__).with_name("style.css")

# Also tells the browser to fetch nothing, should a name in a card or a dataset ever look like markup.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, lead: str, sections: Sequence[Section], footer: str) -> str:
    """The whole HTML document; all text is escaped."""
    links = "".join(
        f'<a href="#{section.anchor}">{html.escape(section.title)}</a>' for section in sections if section.anchor
    )
    parts = "\n".join(section.html() for section in sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f"<body><main>\n<h1>{html.escape(title)}</h1>\n"
        f'<p class="lead">{html.escape(lead)}</p>\n<nav>{links}</nav>\n{parts}\n'
        f"<footer>{html.escape(footer)}</footer>\n</main></body>\n</html>\n"
    )
