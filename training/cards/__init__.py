"""A bundle's card on disk, and the page for people that is written from it."""

from training.cards.files import README_FILE, save_card
from training.cards.readme import MARK, bundle_readme

__all__ = ["MARK", "README_FILE", "bundle_readme", "save_card"]
