"""The tables of a gallery's database, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from service.gallery.errors import GalleryError

APPLICATION_ID = 0x56414E54  # "VANT"

# One tuple of statements for each version, from nothing to 1, from 1 to 2, and so on. What has been released stays.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # One row. identity: the gallery's, which it keeps under another name and over a restore. lineage: this
        # database's own, a restored one has another; keys can be compared within one lineage only. latest: the largest
        # added_at there ever was. unpurged: deleted items that a compaction under way has forgotten but not rewritten.
        """CREATE TABLE gallery (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            name TEXT NOT NULL,
            settings TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            identity TEXT NOT NULL,
            lineage TEXT NOT NULL,
            secret BLOB NOT NULL,
            seal INTEGER NOT NULL,
            change INTEGER NOT NULL,
            count INTEGER NOT NULL,
            latest INTEGER NOT NULL,
            unpurged INTEGER NOT NULL
        ) STRICT""",
        # Times are microseconds since 1970 in UTC. seal: a checksum of the row (rows.py). AUTOINCREMENT: keys are never
        # used again. The wide column stands last, so that a scan of the others need not read past it.
        """CREATE TABLE items (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            camera TEXT,
            captured_at INTEGER,
            person TEXT,
            tracklet TEXT,
            front REAL,
            side REAL,
            back REAL,
            quality REAL,
            added_at INTEGER NOT NULL,
            expires_at INTEGER,
            crop TEXT,
            has_crop INTEGER NOT NULL,
            seal INTEGER NOT NULL,
            metadata TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX items_by_crop ON items (crop) WHERE has_crop = 1",
        # float16, little-endian: a table of its own keeps the one of the items small.
        """CREATE TABLE vectors (
            key INTEGER PRIMARY KEY REFERENCES items (key) ON DELETE CASCADE,
            seal INTEGER NOT NULL,
            vector BLOB NOT NULL
        ) STRICT""",
        # The scalar values at the top of each item's metadata, as canonical JSON.
        """CREATE TABLE metadata_values (
            field TEXT NOT NULL,
            value TEXT NOT NULL,
            key INTEGER NOT NULL,
            PRIMARY KEY (field, value, key)
        ) STRICT, WITHOUT ROWID""",
        # probe is an item's id where of_item is 1, and the name of a probe of crops where it is 0.
        """CREATE TABLE feedback (
            of_item INTEGER NOT NULL,
            probe TEXT NOT NULL,
            item TEXT NOT NULL,
            verdict TEXT NOT NULL,
            said_at INTEGER NOT NULL,
            PRIMARY KEY (of_item, probe, item)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX feedback_by_item ON feedback (item)",
        # Deleted (not replaced) since the last compaction: what must go from snapshots.
        """CREATE TABLE erased (
            id TEXT NOT NULL,
            lineage TEXT NOT NULL,
            up_to_key INTEGER NOT NULL,
            PRIMARY KEY (id, lineage)
        ) STRICT, WITHOUT ROWID""",
        # Ids that are not taken back, as hashes under the gallery's secret.
        "CREATE TABLE denied (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
    ),
)


def version(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    if (found := version(connection)) > len(MIGRATIONS):
        raise GalleryError(
            f"{path} has schema {found}, and this version of vantage knows up to {len(MIGRATIONS)}: upgrade vantage, "
            "or restore a snapshot that was made by this version"
        )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the tables up to the newest version, each step whole or not at all."""
    refuse_newer(connection, path)
    for number in range(version(connection), len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def tables(connection: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    """All tables and indexes as they were made; the same for every database of one version."""
    return sorted(connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall(), key=lambda row: row[:2])


def expected_tables() -> list[tuple[str, str, str | None]]:
    """What `tables` gives of a sound database of the newest version."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, Path(":memory:"))
        return tables(connection)
    finally:
        connection.close()
