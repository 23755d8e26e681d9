"""The card's facts as they stand inside the ONNX file, in its `metadata_props`."""

import json

from models.card import Card

PREFIX = "vantage."
"""Exporters write metadata of their own; only keys with this prefix are ours."""

# Known when the file is written. Its own hash cannot stand in it, and results, calibration and parity are found later,
# by running that very file.
_FACTS = ("schema_version", "name", "version", "licence", "input", "outputs", "embedding", "training")


def metadata_from_card(card: Card) -> dict[str, str]:
    """What an exporter writes into the ONNX `metadata_props`: for each fact, `vantage.<key>` and its JSON."""
    facts = card.model_dump(mode="json", include=set(_FACTS))
    return {PREFIX + key: json.dumps(facts[key], sort_keys=True, ensure_ascii=False) for key in _FACTS}


def disagreements(card: Card, metadata: dict[str, str]) -> list[str]:
    """One sentence for each of our keys in the file's metadata that is not what the card says."""
    expected = metadata_from_card(card)
    return [
        f"its metadata says {key} = {metadata[key]}, the card says {expected.get(key, 'nothing')}"
        for key in sorted(metadata)
        if key.startswith(PREFIX) and metadata[key] != expected.get(key)
    ]
