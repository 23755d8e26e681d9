"""The order in which things reach the disk, and the name of every step between.

Adding and deleting (one commit for all that waited together)
    crop written        a new crop is in a temporary file, and synced
    crop renamed        ... and has its name
    crops synced        ... and so have all of this add, in directories that are synced
    transaction begun   a write transaction is open (before the crops of its adds are written)
    transaction filled  all its statements are done; nothing of it is visible yet
    committed           SQLite has synced its write-ahead log: from here on it is so, also after a loss of power
    searchable          vectors, columns and graph in memory have it; then it is acknowledged
    crops unlinked      crops that no item names any more are gone
    So an item never names a crop that is not there; a crop that no item names may be left by a stop between, and
    `compact` removes it.

Saving what is derived (graph and index; the truth is not touched)
    graph saved, index saved     under new names, each synced
    manifest saved               names them by checksum: from here on they are the ones that are loaded
    superseded files removed

Building aside
    built aside, swapped in      in memory alone

Making, dropping, renaming and replacing a gallery
    directory reserved  a new directory, which the registry does not name, so that the next start removes it
    database made       a database with its schema in it, synced with its directory
    gallery made        the same, seen from the engine
    registry written    the registry names what is there: the one instant at which any of the four happens
    directory removed   what the registry does not name any more is gone

Snapshot
    snapshot copied     a consistent copy of the database, synced, in a hidden directory; no crop is unlinked meanwhile
    snapshot linked     the crops it names stand beside it
    snapshot described  its manifest, with the checksum, is there
    snapshot named      the directory has its name: from here on it is listed
    snapshot hidden     (removing one) it has lost its name
    snapshot removed

Restore (into a reserved directory; then `registry written`)
    restore copied      the database is there, synced, its checksum found right
    restore linked      its crops too
    restore adopted     it has an identity of its own

Scrubbing a snapshot of what was deleted
    scrub copied        a copy of its database is in a hidden directory
    scrub erased        ... without what was deleted, under a new name beside the old one
    scrub described     the manifest names the new one: from here on it is the snapshot's
    scrub removed       the old one is gone, and the crops that nothing in it names

Compacting
    snapshot scrubbed   (for each snapshot, see above)
    compact forgotten   the list of what was deleted is empty; how many those were is still written down
    compact rewritten   the database has been written anew, without free pages (VACUUM)
    compact truncated   its write-ahead log is empty
    compact settled     nothing is written down as waiting any more

Tests set `watcher`, in a process of their own, to stop there or to write down the order. Nothing else does.
"""

from collections.abc import Callable

STEPS: tuple[str, ...] = (
    "transaction begun",
    "crop written",
    "crop renamed",
    "crops synced",
    "transaction filled",
    "committed",
    "searchable",
    "crops unlinked",
    "graph saved",
    "index saved",
    "manifest saved",
    "superseded files removed",
    "built aside",
    "swapped in",
    "directory reserved",
    "database made",
    "gallery made",
    "registry written",
    "directory removed",
    "snapshot copied",
    "snapshot linked",
    "snapshot described",
    "snapshot named",
    "snapshot hidden",
    "snapshot removed",
    "restore copied",
    "restore linked",
    "restore adopted",
    "scrub copied",
    "scrub erased",
    "scrub described",
    "scrub removed",
    "snapshot scrubbed",
    "compact forgotten",
    "compact rewritten",
    "compact truncated",
    "compact settled",
)

watcher: Callable[[str], None] | None = None


def reached(step: str) -> None:
    """Says that a step has been done; `step` is one of STEPS."""
    if watcher is not None:
        assert step in STEPS, step
        watcher(step)
