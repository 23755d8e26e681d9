"""The tables of a database that replicas share. Their rows are texts and numbers that any program can read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, MetaData, Table, Text

VERSION = 1
TABLES = MetaData()

SCHEMA = Table("vantage_schema", TABLES, Column("version", Integer, primary_key=True, autoincrement=False))

KEYS = Table(
    "vantage_keys",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("galleries", Text),
    Column("purpose", Text),
    Column("per_second", Double),
    Column("burst", Integer),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text),
    Column("revoked_at", Text),
    Column("last_used", Text),
)
# One row: how often keys were made or revoked, so that a replica need not read them all to see that nothing was.
KEY_CHANGES = Table(
    "vantage_key_changes",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

# A line of the audit log each, without its line feed. `position` is to a table what its place is to a line of a file:
# one more with each line. `day` is the line's in UTC, for finding lines by time; what counts is told by the line.
AUDIT = Table(
    "vantage_audit",
    TABLES,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Text, nullable=False, index=True),
    Column("line", Text, nullable=False),
)
# One row: the last line. Who appends locks it, so that lines of all replicas make one chain.
AUDIT_HEAD = Table(
    "vantage_audit_head",
    TABLES,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
)

# Times are seconds by the database's clock. `told` is the job as JSON; `seen` is when its replica last wrote.
JOBS = Table(
    "vantage_jobs",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("replica", Text, nullable=False),
    Column("created", Double, nullable=False, index=True),
    Column("seen", Double, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("told", Text, nullable=False),
)
