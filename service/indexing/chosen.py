"""Which records of a source a run is to work on: those of its shard, each id once."""

from collections.abc import Callable, Iterator

from service.indexing.records import Failure, Record, Source
from service.indexing.shard import Shard


def chosen(
    source: Source, shard: Shard, stop: Callable[[], bool], failed: Callable[[Failure], None]
) -> Iterator[Record]:
    """The shard's records until `stop()` says yes; `failed` is told of what the source could not make a record of."""
    places: dict[str, str] = {}
    for found in source:
        if stop():
            return
        if isinstance(found, Failure):
            if shard.holds(found.id or found.place):
                failed(found)
            continue
        id = found.facts.id
        if not shard.holds(id):
            continue
        if earlier := places.get(id):
            failed(Failure(found.place, id, "duplicate-id", f"its id {id!r} is that of {earlier} too: keep one"))
            continue
        places[id] = found.place
        yield found
