"""What processes share beside Milvus: each of these holds for SQLite and for PostgreSQL, and needs no Milvus."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from service.gallery import ExistsError, Feedback, GallerySettings, NoSuchGalleryError, UnavailableError
from service.gallery.embedded.truth import Erased
from service.gallery.milvus.copies import Copies, Copy
from service.gallery.milvus.entry import Entry, made_now
from service.gallery.milvus.registry import Registry
from service.gallery.milvus.remembered import Remembered
from service.gallery.milvus.shared_database import SharedDatabase
from service.gallery.milvus.turns import Turns

Opener = Callable[[], SharedDatabase]


@pytest.fixture
def open_database(database_url: str) -> Iterator[Opener]:
    """Opens it, as each process does."""
    opened: list[SharedDatabase] = []

    def open_() -> SharedDatabase:
        opened.append(SharedDatabase.open(database_url))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def registry(open_database: Opener) -> Registry:
    return Registry(open_database())


def publish(registry: Registry, name: str, settings: GallerySettings, *, replace: bool = False) -> Entry:
    registry.publish(made_now(name, registry.reserve(), settings), replace=replace)
    return registry.entry(name)


def test_a_name_leads_to_one_collection_at_every_moment(
    registry: Registry, open_database: Opener, settings: GallerySettings
) -> None:
    other = Registry(open_database())
    first = publish(registry, "a", settings)
    assert other.entry("a") == first
    assert first.settings == settings
    with pytest.raises(ExistsError, match="a gallery 'a' already"):
        publish(other, "a", settings)
    second = publish(other, "a", settings, replace=True)
    assert registry.entry("a").collection == second.collection != first.collection
    assert registry.again(first) is None
    third = publish(registry, "b", settings)
    with pytest.raises(ExistsError):
        registry.rename("a", "b", replace=False)
    assert other.rename("a", "b", replace=True) == third.collection
    assert registry.names() == ("b",)
    assert registry.entry("b").collection == second.collection
    assert registry.withdraw("b") == second.collection
    with pytest.raises(NoSuchGalleryError, match="no gallery 'b'; there are: none yet"):
        other.entry("b")


def test_of_many_that_make_a_gallery_at_once_one_does(open_database: Opener, settings: GallerySettings) -> None:
    registries = [Registry(open_database()) for _ in range(4)]
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def make(registry: Registry) -> None:
        collection = registry.reserve()
        together.wait()
        try:
            registry.publish(made_now("g", collection, settings))
            outcomes.append(collection)
        except ExistsError:
            outcomes.append("exists")

    run(*(lambda registry=registry: make(registry) for registry in registries))
    assert outcomes.count("exists") == 3
    assert registries[0].entry("g").collection in outcomes


def test_a_key_is_given_to_one_item_only(open_database: Opener, settings: GallerySettings) -> None:
    registries = [Registry(open_database()) for _ in range(3)]
    entry = publish(registries[0], "g", settings)
    given: list[int] = []

    def take(registry: Registry) -> None:
        for count in range(1, 12):
            first = registry.reserve_keys(entry, count)
            given.extend(range(first, first + count))

    run(*(lambda registry=registry: take(registry) for registry in registries))
    assert sorted(given) == list(range(1, 3 * 66 + 1))


def test_a_write_moves_times_on_and_never_back(registry: Registry, settings: GallerySettings) -> None:
    entry = publish(registry, "g", settings)
    registry.wrote(entry, 2**60, 7)
    registry.wrote(entry, 5, 2**60)
    registry.noted(entry, 3)
    now = registry.entry("g")
    assert (now.change, now.seen, now.latest, now.now) == (2, 2**60, 2**60, 2**60)
    registry.withdraw("g")
    with pytest.raises(NoSuchGalleryError):
        registry.wrote(entry, 1, 1)


def test_one_at_a_time_has_the_turn_and_it_passes_from_one_that_is_killed(
    open_database: Opener, database_url: str
) -> None:
    turns = [Turns(open_database()) for _ in range(3)]
    inside, most = [0], [0]

    def work(mine: Turns) -> None:
        for _ in range(10):
            with mine.here("c"), mine.everywhere("c"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    run(*(lambda mine=mine: work(mine) for mine in (*turns, *turns)))
    assert most == [1]
    holder = (
        "import sys\n"
        "from service.gallery.milvus.shared_database import SharedDatabase\n"
        "from service.gallery.milvus.turns import Turns\n"
        f"with Turns(SharedDatabase.open({database_url!r})).everywhere('c'):\n"
        "    print('taken', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"taken\n"
    taken = threading.Event()

    def wait() -> None:
        with turns[0].here("c"), turns[0].everywhere("c"):
            taken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not taken.wait(0.5)
    process.kill()
    waiting.join()
    assert taken.is_set()
    process.communicate()


def test_turns_at_different_galleries_do_not_wait_for_each_other(open_database: Opener) -> None:
    one, other = Turns(open_database()), Turns(open_database())
    with one.here("a"), one.everywhere("a"), other.here("b"), other.everywhere("b"), one.here("b2"):
        pass


def test_who_waits_for_a_turn_too_long_is_told_so(open_database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.gallery.milvus import turns

    one, other = Turns(open_database()), Turns(open_database())
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    with (
        one.everywhere("a"),
        pytest.raises(UnavailableError, match="others have been writing"),
        other.everywhere("a"),
    ):
        pass


def test_the_last_word_counts_and_goes_with_the_item(
    registry: Registry, open_database: Opener, settings: GallerySettings
) -> None:
    entry = publish(registry, "g", settings.model_copy(update={"deny_erased": True}))
    remembered, other = Remembered(open_database()), Remembered(open_database())
    assert not remembered.has_feedback(entry)
    said = [
        Feedback(item="x", verdict="same", probe_name="n"),
        Feedback(item="y", verdict="different", probe_item="x"),
        Feedback(item="z", verdict="different", probe_item="y'\"é😀"),
    ]
    remembered.put_feedback(entry, said)
    remembered.put_feedback(entry, [replace(said[0], verdict="different"), replace(said[0], verdict="same")])
    assert sorted(other.feedback(entry), key=lambda pair: pair.item) == said
    assert other.feedback_of(entry, ["x"], ["n"]) == (said[1], said[0])
    assert other.feedback_of(entry, [], []) == ()
    remembered.about_to_erase(entry, [("x", 4), ("w", 5)])
    assert sorted(other.unfinished(entry)) == [("w", 5), ("x", 4)]
    remembered.not_erased(entry, ["w"])
    assert other.erased(entry, ["x"], 9, 9) == 2
    assert (other.unfinished(entry), other.feedback(entry)) == ([], (said[2],))
    assert remembered.denied(entry, ["w", "x", "y"]) == {"x"}
    assert other.purge_list(entry) == (Erased("x", entry.lineage, 4),)
    remembered.about_to_erase(entry, [("x", 8)])
    remembered.erased(entry, ["x"], 10, 10)
    remembered.purged(entry, [Erased("x", entry.lineage, 4)])  # deleted again since: still to be purged
    assert other.pending_purge(entry) == 1
    assert remembered.withdraw_feedback(entry, [said[2], said[0]]) == 1
    assert registry.entry("g").change == 5
    registry.withdraw("g")
    assert (other.pending_purge(entry), other.all_denied(entry), other.feedback(entry)) == (0, [], ())


def test_a_copy_is_one_until_something_else_is_written_and_forgotten_with_its_gallery(
    registry: Registry, open_database: Opener, settings: GallerySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, remembered = Copies(open_database()), Remembered(open_database())
    begun = Copy(registry.reserve(), "g", settings, "s" * 32, "l" * 32, 7, True, 7)
    copies.begin(begun)
    monkeypatch.setattr("service.gallery.milvus.registry.FORGOTTEN", -10.0)
    assert copies.unpublished("g") == replace(begun, whole=False)
    assert (registry.names(), registry.forgotten()) == ((), [])
    copies.whole(begun.collection)
    registry.publish(replace(made_now("g", begun.collection, settings), change=7))
    assert (copies.unpublished("g"), copies.of(begun.collection)) == (None, begun)
    monkeypatch.setattr("service.gallery.milvus.registry.COPY_FORGOTTEN", -10.0)
    assert registry.forgotten() == []
    entry = registry.entry("g")
    registry.wrote(entry, 2, 2, faithful=True)
    remembered.about_to_erase(entry, [("x", 4)], faithful=True)
    assert remembered.unfinished_faithfully(entry)
    remembered.erased(entry, ["x"], 3, 3, faithful=True)
    copy, entry = copies.of(begun.collection), registry.entry("g")
    assert copy is not None
    assert copy.change == entry.change == 9
    said = Feedback(item="y", verdict="same", probe_name="n")
    copies.settle(entry, 30, 5, 12, [said], [Erased("z", "elsewhere", 3)], [b"hash"])
    copy, entry = copies.of(begun.collection), registry.entry("g")
    assert copy is not None
    assert (copy.change, entry.change, entry.latest, entry.next_key) == (30, 30, 5, 12)
    assert remembered.purge_list(entry) == (Erased("z", "elsewhere", 3),)
    assert (remembered.feedback(entry), remembered.all_denied(entry)) == ((said,), [b"hash"])
    remembered.about_to_erase(entry, [("y", 5)])
    assert not remembered.unfinished_faithfully(entry)
    remembered.erased(entry, ["y"], 6, 6)
    copy = copies.of(begun.collection)
    assert copy is not None
    assert (copy.change, registry.entry("g").change) == (30, 31)
    registry.withdraw("g")
    assert copies.of(begun.collection) is None
    registry.give_up(copies.begin(replace(begun, collection=registry.reserve())).collection)
    assert copies.unpublished("g") is None
    assert len(registry.forgotten()) == 2


def run(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
