"""The tables of the database that all processes share: what Milvus has no home for, or could not change at one instant.

A few rows a gallery and none an item, but for items that feedback speaks of, or that were deleted since a compaction.
"""

from __future__ import annotations

import sqlalchemy as sa

from service.gallery.items import ID_BYTES

METADATA = sa.MetaData()
ID = sa.String(ID_BYTES)
COLLECTION = sa.String(64)

# seen: the time, as Milvus counts, of the last write. change, latest, identity, secret: as in the embedded schema.
# next_key: keys below have been given away. unpurged: deleted items that a compaction under way has forgotten.
GALLERIES = sa.Table(
    "vantage_galleries",
    METADATA,
    sa.Column("collection", COLLECTION, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("identity", sa.String(32), nullable=False),
    sa.Column("secret", sa.LargeBinary(32), nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("latest", sa.BigInteger, nullable=False),
    sa.Column("next_key", sa.BigInteger, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
)
# Collections that are being made, or are to be dropped: of no gallery, and not to be forgotten.
LEFT_OVER = sa.Table(
    "vantage_left_over_collections",
    METADATA,
    sa.Column("collection", COLLECTION, primary_key=True),
    sa.Column("since", sa.BigInteger, nullable=False),
)
# probe is an item's id where of_item is 1, and the name of a probe of crops where it is 0.
FEEDBACK = sa.Table(
    "vantage_feedback",
    METADATA,
    sa.Column("collection", COLLECTION, primary_key=True),
    sa.Column("of_item", sa.SmallInteger, primary_key=True),
    sa.Column("probe", ID, primary_key=True),
    sa.Column("item", ID, primary_key=True),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("said_at", sa.BigInteger, nullable=False),
    sa.Index("vantage_feedback_by_item", "collection", "item"),
)
# Deleted (not replaced) since the last compaction: what must go from snapshots. done is UNDER_WAY while the deletion is
# so, and stays it if the process stops; or FAITHFULLY, under way where a copy stays one by it.
UNDER_WAY, DONE, FAITHFULLY = 0, 1, 2
ERASED = sa.Table(
    "vantage_erased",
    METADATA,
    sa.Column("collection", COLLECTION, primary_key=True),
    sa.Column("id", ID, primary_key=True),
    sa.Column("lineage", sa.String(32), primary_key=True),
    sa.Column("up_to_key", sa.BigInteger, nullable=False),
    sa.Column("done", sa.SmallInteger, nullable=False),
)
# Ids that are not taken back, as hashes under the gallery's secret.
DENIED = sa.Table(
    "vantage_denied",
    METADATA,
    sa.Column("collection", COLLECTION, primary_key=True),
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),
)
# Collections that are copied from elsewhere, before they are galleries and afterwards. source, lineage: identity and
# lineage of what is copied. source_change: its change at the newest copy that was begun; whole: whether that has ended
# well. change: the gallery's own, if only copies, and purges of what had expired, have written to it. begun: when one
# was last begun or gone on with, in seconds since 1970.
COPIES = sa.Table(
    "vantage_copies",
    METADATA,
    sa.Column("collection", COLLECTION, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("lineage", sa.String(32), nullable=False),
    sa.Column("source_change", sa.BigInteger, nullable=False),
    sa.Column("whole", sa.SmallInteger, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("begun", sa.BigInteger, nullable=False),
)
OF_A_GALLERY = (FEEDBACK, ERASED, DENIED, COPIES)
