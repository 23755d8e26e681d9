"""Databases of another version, and those whose tables are not what was made."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from service.gallery import CorruptError, GalleryError
from service.gallery.embedded import schema
from service.gallery.embedded.truth import Truth


def test_a_newer_schema_is_refused_and_not_touched(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = filled.read_bytes()
    with pytest.raises(GalleryError, match=r"schema 99.*upgrade vantage"):
        Truth.open(filled)
    assert filled.read_bytes() == before


def test_a_migration_happens_whole_or_not_at_all(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*ours, ("CREATE TABLE extra (a)", "no SQL")))
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        Truth.open(filled)
    monkeypatch.setattr(schema, "MIGRATIONS", (*ours, ("CREATE TABLE extra (a)", "INSERT INTO extra VALUES (1)")))
    truth = Truth.open(filled)
    assert schema.version(truth._database.writer) == len(ours) + 1
    assert truth.count == 300
    truth.close()


@pytest.mark.parametrize(("word", "instead"), [(b"verdict TEXT", b"verdict2TEXT"), (b"person TEXT", b"per\xffon TEXT")])
def test_a_damaged_table_definition_is_refused(filled: Path, word: bytes, instead: bytes) -> None:
    content = filled.read_bytes()
    assert word in content
    filled.write_bytes(content.replace(word, instead))
    with pytest.raises(CorruptError, match="vantage gallery restore"):
        Truth.open(filled)
