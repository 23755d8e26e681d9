"""Looks at every row of a gallery's database."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence

from service.gallery.embedded.rows import HALF, STORED_COLUMNS, Stored, metadata_pairs
from service.gallery.reports import Finding
from service.gallery.settings import GallerySettings

SHOWN = 3  # of what is wrong alike, so many are named
REMEDY = "restore a snapshot with `vantage gallery restore`, or delete these items and add them again"
ORPHANS = {
    "items without a vector": "SELECT key FROM items WHERE key NOT IN (SELECT key FROM vectors)",
    "vectors without an item": "SELECT key FROM vectors WHERE key NOT IN (SELECT key FROM items)",
    "feedback on items that are not there": """SELECT item FROM feedback WHERE item NOT IN (SELECT id FROM items)
        OR of_item = 1 AND probe NOT IN (SELECT id FROM items)""",
    "metadata values of items that are not there": """SELECT DISTINCT key FROM metadata_values
        WHERE key NOT IN (SELECT key FROM items)""",
}


def check(connection: sqlite3.Connection, settings: GallerySettings) -> list[Finding]:
    """Findings, none where all is well; the connection has a transaction open, so that all is of one state."""
    findings: list[Finding] = []

    def report(problem: str) -> None:
        findings.append(Finding(place="database", problem=problem, remedy=REMEDY, serious=True))

    for (verdict,) in connection.execute("PRAGMA integrity_check(10)").fetchall():
        if verdict != "ok":
            report(f"SQLite finds: {verdict}")
    for what, query in ORPHANS.items():
        if found := [value for (value,) in connection.execute(query)]:
            report(f"{len(found)} {what}: {_some(found)}")
    (counted,) = connection.execute("SELECT count(*) FROM items").fetchone()
    (noted,) = connection.execute("SELECT count FROM gallery").fetchone()
    if counted != noted:
        report(f"it holds {counted} items and says {noted}")
    changed, unlisted, values = [], [], 0
    cursor = connection.execute(f"SELECT {STORED_COLUMNS}, seal FROM items ORDER BY key")
    for row in cursor:
        stored = Stored(*row[:-1])
        if stored.seal != row[-1]:
            changed.append(stored.key)
            continue
        pairs = metadata_pairs(stored.metadata)
        values += len(pairs)
        if pairs and not _listed(connection, stored.key, pairs):
            unlisted.append(stored.key)
    if changed:
        report(f"{len(changed)} items are not what was written, by keys {_some(changed)}")
    (listed,) = connection.execute("SELECT count(*) FROM metadata_values").fetchone()
    if not changed and (unlisted or listed != values):
        report(f"{listed} metadata values are listed and items hold {values}; not listed: keys {_some(unlisted)}")
    width = settings.dimension * HALF.itemsize
    hurt = [
        key
        for key, seal, vector in connection.execute("SELECT key, seal, vector FROM vectors")
        if len(vector) != width or zlib.crc32(vector) != seal
    ]
    if hurt:
        report(f"{len(hurt)} vectors are not what was written, by keys {_some(hurt)}")
    return findings


def _listed(connection: sqlite3.Connection, key: int, pairs: list[tuple[str, str]]) -> bool:
    (found,) = connection.execute(
        """SELECT count(*) FROM json_each(?) AS pair CROSS JOIN metadata_values
        ON field = pair.value ->> 0 AND metadata_values.value = pair.value ->> 1 AND metadata_values.key = ?""",
        (json.dumps(pairs, ensure_ascii=False), key),
    ).fetchone()
    return bool(found == len(pairs))


def _some(found: Sequence[object]) -> str:
    return ", ".join(str(value) for value in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
