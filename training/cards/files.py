"""A bundle's card and the page that is written from it, kept in step."""

from pathlib import Path

from models import CARD_FILE, Card, write_durably
from training.cards.readme import MARK, bundle_readme
from training.errors import TrainingError

README_FILE = "README.md"


def save_card(directory: Path, card: Card) -> None:
    """Write the card of a bundle, and its README.md if that was written from a card."""
    readme = directory / README_FILE
    try:
        card.save(directory / CARD_FILE)
        if readme.is_file() and MARK in readme.read_text(encoding="utf-8"):
            write_durably(readme, bundle_readme(card).encode())
    except OSError as error:
        raise TrainingError(f"the card in {directory} cannot be written: {error.strerror or error}") from error
