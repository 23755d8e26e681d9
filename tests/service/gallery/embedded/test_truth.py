"""What is written is what is read, now and after the next start; what fails has changed nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.gallery import Feedback, GallerySettings, ModelMismatchError, NewItem, NoSuchItemError, UnavailableError
from service.gallery.embedded import steps
from service.gallery.embedded.truth import Row, Transaction, Truth, indexed_vector, stored_vector
from service.gallery.errors import BadItemError, CorruptError

Make = Callable[..., NewItem]
Add = Callable[..., tuple[str, ...]]
Delete = Callable[..., int]
PICTURE = b"a picture"
PICTURE_HASH = hashlib.sha256(PICTURE).hexdigest()


def reopened(truth: Truth) -> Truth:
    truth.close()
    return Truth.open(truth.path)


def stopped_transaction(truth: Truth, items: list[NewItem], now: datetime) -> None:
    """Adds, deletes everything, and fails."""
    with truth.transaction() as transaction:
        transaction.add(items, "replace", now)
        transaction.delete(truth.keys().tolist())
        raise RuntimeError("stopped")


def test_an_item_comes_back_as_it_was_given_also_after_a_restart(
    truth: Truth, new_item: Make, add: Add, noon: datetime
) -> None:
    given_item = new_item(
        "ü 1",
        camera="gate",
        captured_at=noon - timedelta(microseconds=1),
        person="anna",
        tracklet="t1",
        viewpoint=(0.1, 0.2, 0.7),
        quality=1,
        metadata={"b": [1, {"c": None}], "a": "ß\n"},
        expires_at=noon + timedelta(days=1),
        crop=PICTURE,
    )
    assert add(truth, given_item) == ("added",)
    for open_it in (lambda: truth, lambda: reopened(truth)):
        opened = open_it()
        assert opened.key_of("ü 1") == 1
        item = opened.items([1], vectors=True)[1]
        for name in ("id", "camera", "captured_at", "person", "tracklet", "viewpoint", "quality", "expires_at"):
            assert getattr(item, name) == getattr(given_item, name), name
        assert item.metadata == given_item.metadata
        assert (item.added_at, item.crop_sha256, item.has_crop) == (noon, PICTURE_HASH, True)
        assert item.vector is not None
        assert np.array_equal(item.vector, indexed_vector(stored_vector(given_item.vector)[None])[0])
        assert (opened.change, opened.count, opened.latest_time()) == (1, 1, noon)
        assert opened.crop_hashes() == {PICTURE_HASH}
    opened.close()


def test_a_bare_item_has_nothing_but_its_vector(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, new_item("a"))
    item = truth.items([1])[1]
    assert item.vector is None
    assert not item.has_crop
    assert (item.camera, item.captured_at, item.viewpoint, item.quality, item.expires_at) == (None,) * 5
    assert item.metadata == {}
    assert list(truth.rows()) == [Row(1, None, None, None, None, None, None)]


def test_keys_rows_and_vectors_are_in_step(truth: Truth, new_item: Make, add: Add, delete: Delete) -> None:
    items = [new_item(f"i{n}", n, camera=f"c{n % 2}") for n in range(20)]
    add(truth, *items)
    delete(truth, "i3", "i7")
    add(truth, new_item("i5", 99))
    keys = truth.keys()
    assert keys.dtype == np.int64
    assert keys.tolist() == [key for key in range(1, 22) if key not in (4, 8, 6)]
    assert [row.key for row in truth.rows()] == keys.tolist()
    everything = truth.vectors()
    assert np.array_equal(truth.vectors(keys[::-1]), everything[::-1])
    assert np.array_equal(everything[0], indexed_vector(stored_vector(items[0].vector)[None])[0])
    assert np.array_equal(everything[-1], indexed_vector(stored_vector(new_item("i5", 99).vector)[None])[0])
    assert list(truth.items([9, 4, 2])) == [9, 2]  # in the order asked for, without what is not there
    with pytest.raises(NoSuchItemError, match="1 of 2 keys"):
        truth.vectors([1, 4])


def test_an_equal_item_is_left_as_it_is_and_any_difference_replaces_it(
    truth: Truth, new_item: Make, add: Add, noon: datetime, later: Callable[[float], datetime]
) -> None:
    fields: dict[str, Any] = {
        "camera": "c",
        "captured_at": noon,
        "person": "p",
        "tracklet": "t",
        "viewpoint": (0.2, 0.3, 0.5),
        "quality": 0.5,
        "metadata": {"a": 1, "b": 2},
        "expires_at": later(1000),
        "crop": PICTURE,
    }
    add(truth, new_item("x", 1, **fields))
    change = truth.change
    same = fields | {"metadata": {"b": 2, "a": 1}}
    assert add(truth, new_item("x", 1, **same), now=later(5)) == ("unchanged",)
    nudged = NewItem(id="x", vector=new_item("x", 1).vector * np.float32(1 + 1e-6), **fields)
    assert add(truth, nudged) == ("unchanged",)
    assert (truth.change, truth.key_of("x")) == (change, 1)
    others = fields | {
        "camera": "d",
        "captured_at": later(1),
        "person": None,
        "tracklet": "u",
        "viewpoint": (0.2, 0.2, 0.6),
        "quality": 0.6,
        "metadata": {"a": 1.0, "b": 2},
        "expires_at": later(1001),
        "crop": b"another picture",
    }
    for key, name in enumerate(fields, start=1):
        add(truth, new_item("x", 1, **fields))
        assert add(truth, new_item("x", 1, **(fields | {name: others[name]}))) == ("replaced",), name
        assert truth.key_of("x") == 2 * key
    add(truth, new_item("x", 1, **fields))
    assert add(truth, new_item("x", 2, **fields)) == ("replaced",)


def test_refusing_leaves_the_item_there_and_takes_the_others(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, new_item("a", 1))
    outcome = add(truth, new_item("a", 2), new_item("b", 2), new_item("a", 1), on_conflict="refuse")
    assert outcome == ("refused", "added", "unchanged")
    assert truth.count == 2
    assert truth.key_of("a") == 1


def test_an_id_twice_in_one_call_is_added_and_then_replaced(truth: Truth, new_item: Make, add: Add) -> None:
    assert add(truth, new_item("a", 1), new_item("a", 2), new_item("a", 2)) == ("added", "replaced", "unchanged")
    assert truth.keys().tolist() == [2]
    assert np.array_equal(truth.vectors()[0], indexed_vector(stored_vector(new_item("a", 2).vector)[None])[0])


def test_a_transaction_tells_its_net_effect(truth: Truth, new_item: Make, add: Add, noon: datetime) -> None:
    add(truth, new_item("old", 1, crop=PICTURE), new_item("kept", 2), new_item("gone", 3))
    with truth.transaction() as transaction:
        with transaction.part():
            transaction.add([new_item("old", 4, camera="c"), new_item("brief", 5)], "replace", noon)
        with transaction.part():
            transaction.delete([transaction.keys_of(["brief"])["brief"], 3, 777])
    assert transaction.added == [Row(4, "c", None, None, None, None, None)]
    assert transaction.removed == [1, 3]
    assert np.array_equal(transaction.vectors, truth.vectors([4]))
    assert transaction.orphaned_crops == [PICTURE_HASH]
    assert (truth.count, truth.change) == (2, 2)


def test_a_part_that_fails_takes_nothing_of_the_others_with_it(truth: Truth, new_item: Make, noon: datetime) -> None:
    def fail_in_a_part(transaction: Transaction) -> None:
        with transaction.part():
            transaction.add([new_item("b", 2)], "replace", noon)
            transaction.delete([1])
            transaction.add([NewItem(id="c", vector=np.eye(3, dtype=np.float32)[0])], "replace", noon)

    with truth.transaction() as transaction:
        with transaction.part():
            transaction.add([new_item("a", 1)], "replace", noon)
        with pytest.raises(ModelMismatchError, match="3 dimensions"):
            fail_in_a_part(transaction)
        with transaction.part():
            transaction.add([new_item("d", 3)], "replace", noon)
    assert sorted(truth.keys_of(["a", "b", "c", "d"])) == ["a", "d"]
    assert [row.key for row in transaction.added] == truth.keys().tolist() == [1, 2]
    assert transaction.removed == []
    assert truth.erased() == ()
    assert truth.check() == []


def test_an_error_in_a_transaction_undoes_all_of_it(truth: Truth, new_item: Make, noon: datetime) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        stopped_transaction(truth, [new_item("a")], noon)
    assert (truth.count, truth.change, truth.keys().tolist()) == (0, 0, [])


def test_a_transaction_that_changes_nothing_is_no_change(
    truth: Truth, new_item: Make, add: Add, watched: list[str]
) -> None:
    assert add(truth) == ()
    with truth.transaction() as transaction:
        assert transaction.delete([5]) == 0
        assert transaction.withdraw_feedback([Feedback(item="a", verdict="same", probe_item="b")]) == 0
    assert truth.change == 0
    assert watched == ["transaction begun"] * 2


def test_crops_are_kept_before_the_commit_and_only_those_that_are_needed(
    truth: Truth, new_item: Make, add: Add, watched: list[str]
) -> None:
    kept: list[bytes] = []

    def keep(crops: object) -> None:
        assert watched[-1] == "transaction begun"
        kept.extend(crops)  # type: ignore[arg-type]

    add(truth, new_item("a", 1, crop=PICTURE), keep=keep)
    assert kept == [PICTURE]
    assert watched == ["transaction begun", "transaction filled", "committed"]
    watched.clear()
    assert add(truth, new_item("a", 1, crop=PICTURE), keep=keep) == ("unchanged",)
    assert add(truth, new_item("a", 1, crop=b"other"), keep=keep, on_conflict="refuse") == ("refused",)
    assert kept == [PICTURE]


def test_a_crop_is_orphaned_when_the_last_item_that_names_it_goes(
    truth: Truth, new_item: Make, add: Add, noon: datetime
) -> None:
    add(truth, new_item("a", 1, crop=PICTURE), new_item("b", 2, crop=PICTURE))
    with truth.transaction() as first:
        first.delete([1])
    with truth.transaction() as second:
        second.delete([2])
        assert second.orphaned_crops == [PICTURE_HASH]
    with truth.transaction() as third:
        third.add([new_item("c", 3, crop=PICTURE)], "replace", noon)
    with truth.transaction() as fourth:
        fourth.delete([3])
        fourth.add([new_item("d", 3, crop=PICTURE)], "replace", noon)
    assert (first.orphaned_crops, second.orphaned_crops, third.orphaned_crops) == ([], [PICTURE_HASH], [])
    assert fourth.orphaned_crops == []


def test_the_crops_of_a_part_that_failed_are_orphans(truth: Truth, new_item: Make, noon: datetime) -> None:
    def fail_in_a_part(transaction: Transaction) -> None:
        with transaction.part():
            transaction.add([new_item("a", 1, crop=PICTURE)], "replace", noon, keep=lambda crops: None)
            raise RuntimeError

    with truth.transaction() as transaction, pytest.raises(RuntimeError):
        fail_in_a_part(transaction)
    assert transaction.orphaned_crops == [PICTURE_HASH]


def test_an_item_whose_crop_is_only_named_has_it_if_it_is_there(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, new_item("a", 1, crop=PICTURE), new_item("b", 2, crop_sha256=PICTURE_HASH))
    add(truth, new_item("c", 3, crop_sha256="0" * 64))
    items = truth.items([1, 2, 3])
    assert [item.has_crop for item in items.values()] == [True, True, False]
    assert items[3].crop_sha256 == "0" * 64
    with pytest.raises(BadItemError, match="leave one out"):
        add(truth, new_item("d", crop=PICTURE, crop_sha256="0" * 64))


def test_a_gallery_that_keeps_no_crops_remembers_their_hash(
    tmp_path: Path, small_settings: GallerySettings, new_item: Make, add: Add
) -> None:
    truth = Truth.create(tmp_path / "g.sqlite", "g", small_settings.model_copy(update={"store_crops": False}))
    add(truth, new_item("a", crop=PICTURE), keep=lambda crops: pytest.fail("nothing is to be kept"))
    item = truth.items([1])[1]
    assert (item.crop_sha256, item.has_crop) == (PICTURE_HASH, False)
    truth.close()


@pytest.fixture
def mortal(tmp_path: Path, small_settings: GallerySettings) -> Any:
    truth = Truth.create(tmp_path / "m.sqlite", "m", small_settings.model_copy(update={"ttl_seconds": 100}))
    yield truth
    truth.close()


def test_items_expire_after_their_term(
    mortal: Truth, new_item: Make, add: Add, noon: datetime, later: Callable[[float], datetime]
) -> None:
    end = datetime.max.replace(tzinfo=UTC)
    add(
        mortal,
        new_item("captured", captured_at=later(-50)),
        new_item("added"),
        new_item("said", expires_at=later(7)),
        new_item("at the end of time", captured_at=end),
    )
    found = [item.expires_at for item in mortal.items([1, 2, 3, 4]).values()]
    assert found == [later(50), later(100), later(7), end]
    assert [row.expires_at for row in mortal.rows()][2] == int(later(7).timestamp()) * 1_000_000


def test_the_term_of_an_equal_item_does_not_begin_again_while_it_lives(
    mortal: Truth, new_item: Make, add: Add, later: Callable[[float], datetime]
) -> None:
    add(mortal, new_item("a"), new_item("b", expires_at=later(50)))
    assert add(mortal, new_item("a"), now=later(60), on_conflict="refuse") == ("unchanged",)
    assert add(mortal, new_item("b"), now=later(20)) == ("replaced",)
    assert mortal.items([1])[1].expires_at == later(100)
    # Expired, it is not there any more: neither equal to what comes, nor in its way.
    assert add(mortal, new_item("a"), now=later(100), on_conflict="refuse") == ("added",)
    assert mortal.items(mortal.keys().tolist()).popitem()[1].expires_at == later(200)


def test_time_does_not_go_back(truth: Truth, new_item: Make, add: Add, delete: Delete, later: Any) -> None:
    add(truth, new_item("a"), now=later(100))
    delete(truth, "a")
    again = reopened(truth)
    assert again.latest_time() == later(100)
    add(again, new_item("b"), now=later(3))
    assert again.items([2])[2].added_at == later(100)
    again.close()


def test_a_key_is_never_used_again(truth: Truth, new_item: Make, add: Add, delete: Delete) -> None:
    add(truth, new_item("a"), new_item("b"))
    delete(truth, "b", "a")
    again = reopened(truth)
    add(again, new_item("b"))
    assert again.key_of("b") == 3
    again.close()


def test_erased_ids_are_denied_where_the_settings_say_so(
    tmp_path: Path, small_settings: GallerySettings, new_item: Make, add: Add, delete: Delete
) -> None:
    truth = Truth.create(tmp_path / "d.sqlite", "d", small_settings.model_copy(update={"deny_erased": True}))
    add(truth, new_item("anna"), new_item("bert"))
    add(truth, new_item("bert", 2))  # replaced, not erased
    delete(truth, "anna")
    truth = reopened(truth)
    assert add(truth, new_item("anna"), new_item("bert", 3)) == ("denied", "replaced")
    assert truth.key_of("anna") is None
    connection = sqlite3.connect(truth.path)
    assert b"anna" not in connection.execute("SELECT hash FROM denied").fetchone()[0]
    connection.close()
    truth.close()


def test_metadata_is_found_by_equal_values(truth: Truth, new_item: Make, add: Add, delete: Delete) -> None:
    add(
        truth,
        new_item("a", metadata={"n": 1, "s": "1", "b": True, "z": None, "l": [1]}),
        new_item("b", metadata={"n": 1.0, "b": 1}),
        new_item("c", metadata={"n": 2}),
    )
    for field, value, keys in [
        ("n", 1, [1, 2]),
        ("n", 1.0, [1, 2]),
        ("n", True, []),
        ("s", "1", [1]),
        ("s", 1, []),
        ("b", True, [1]),
        ("b", 1, [2]),
        ("z", None, [1]),
        ("l", 1, []),
    ]:
        assert truth.keys_with_metadata(field, value).tolist() == keys, (field, value)
    assert truth.keys_with_metadata("y", None).tolist() == []
    assert truth.keys_with_metadata("s", "\ud800").tolist() == []
    delete(truth, "a")
    add(truth, new_item("b", metadata={"n": 3}))
    assert truth.keys_with_metadata("n", 1).tolist() == []
    assert truth.keys_with_metadata("n", 3).dtype == np.int64


def test_the_last_word_on_a_pair_counts_and_goes_with_its_items(
    truth: Truth, new_item: Make, add: Add, delete: Delete, noon: datetime
) -> None:
    add(truth, *(new_item(id) for id in "abcd"))
    pairs = [
        Feedback(item="b", verdict="same", probe_item="a"),
        Feedback(item="c", verdict="different", probe_item="a"),
        Feedback(item="a", verdict="different", probe_item="c"),
        Feedback(item="d", verdict="same", probe_name="a"),
    ]
    with truth.transaction() as transaction:
        transaction.put_feedback([*pairs, Feedback(item="b", verdict="different", probe_item="a")], noon)
    assert truth.change == 2
    assert len(truth.feedback()) == 4
    of_item = truth.feedback_of(items=["a", "x"])
    assert {(pair.item, pair.verdict) for pair in of_item} == {("b", "different"), ("c", "different")}
    assert truth.feedback_of(names=["a"]) == (pairs[3],)
    assert truth.feedback_of() == ()
    add(truth, new_item("a", 9))  # replaced: what was said of it still holds
    assert len(truth.feedback()) == 4
    with truth.transaction() as transaction, transaction.part():
        transaction.delete([truth.key_of("a") or 0])
        assert transaction.forgotten_feedback == 3
    assert truth.feedback() == (pairs[3],)
    with truth.transaction() as transaction:
        assert transaction.withdraw_feedback([Feedback(item="d", verdict="different", probe_name="a"), pairs[0]]) == 1
    assert truth.feedback() == ()


def test_feedback_that_comes_after_long_silence_is_heard_and_silence_is_not_asked_about_again(
    truth: Truth, new_item: Make, add: Add, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(truth, new_item("a"), new_item("b"))
    asked: list[str] = []
    reading = truth._database.reading
    monkeypatch.setattr(truth._database, "reading", lambda: (asked.append("reading"), reading())[1])
    assert [truth.feedback_of(names=["x"]) for _ in range(3)] == [(), (), ()]
    assert len(asked) == 2
    pair = Feedback(item="b", verdict="same", probe_name="x")
    with truth.transaction() as transaction:
        transaction.put_feedback([pair], noon)
    assert truth.feedback_of(names=["y"]) == ()
    assert truth.feedback_of(names=["x"]) == (pair,)


def test_feedback_on_what_is_not_there_is_refused(truth: Truth, new_item: Make, add: Add, noon: datetime) -> None:
    add(truth, new_item("a"))
    for pair in (
        Feedback(item="b", verdict="same", probe_item="a"),
        Feedback(item="a", verdict="same", probe_item="b"),
        Feedback(item="b", verdict="same", probe_name="x"),
    ):
        with pytest.raises(NoSuchItemError, match="'b'"), truth.transaction() as transaction:
            transaction.put_feedback([pair], noon)
    assert truth.feedback() == ()


def test_after_compacting_nothing_of_what_was_deleted_is_in_any_file(
    tmp_path: Path, truth: Truth, new_item: Make, add: Add, delete: Delete, noon: datetime, files_with: Any
) -> None:
    others = [new_item(f"other-{n}", 1000 + n, metadata={"note": "x" * 200}) for n in range(300)]
    secret = [new_item(f"secret-{n}", n, person=f"hidden-{n}", metadata={"who": f"private-{n}"}) for n in range(300)]
    for start in range(0, 300, 10):
        add(
            truth,
            *(
                item
                for pair in zip(others[start : start + 10], secret[start : start + 10], strict=True)
                for item in pair
            ),
        )
    with truth.transaction() as transaction:
        transaction.put_feedback([Feedback(item="secret-7", verdict="same", probe_name="probe-of-7")], noon)
    bytes_of = [stored_vector(item.vector).tobytes() for item in secret]
    words = [b"secret-", b"hidden-", b"private-", b"probe-of", *bytes_of[:20]]
    assert all(files_with(tmp_path, word) for word in words)  # so that finding nothing later means something
    delete(truth, *(item.id for item in secret[:-1]))
    delete(truth, secret[-1].id)
    assert truth.pending_purge == 300
    truth.compact(truth.erased())
    assert [files_with(tmp_path, word) for word in words] == [[]] * len(words)
    assert not any(files_with(tmp_path, vector) for vector in bytes_of[20:])
    assert sorted(path.name for path in tmp_path.rglob("gallery.sqlite*")) != ["gallery.sqlite"]  # -wal is still there
    assert (truth.pending_purge, truth.erased(), truth.count) == (0, (), 300)
    assert files_with(tmp_path, b"other-7")
    assert truth.check() == []


def test_what_is_deleted_while_compacting_stays_listed(truth: Truth, new_item: Make, add: Add, delete: Delete) -> None:
    add(truth, new_item("a"), new_item("b"))
    delete(truth, "a")
    scrubbed = truth.erased()
    delete(truth, "b")
    add(truth, new_item("a"))
    delete(truth, "a")
    truth.compact(scrubbed)
    assert sorted(pair.id for pair in truth.erased()) == ["a", "b"]
    assert truth.pending_purge == 2


def test_a_compaction_that_was_stopped_is_still_pending(truth: Truth, new_item: Make, add: Add, delete: Delete) -> None:
    add(truth, new_item("a"))
    delete(truth, "a")

    def stop(step: str) -> None:
        if step == "compact forgotten":
            raise KeyboardInterrupt

    steps.watcher = stop
    try:
        with pytest.raises(KeyboardInterrupt):
            truth.compact(truth.erased())
    finally:
        steps.watcher = None
    again = reopened(truth)
    assert (again.pending_purge, again.erased()) == (1, ())
    again.compact(())
    assert again.pending_purge == 0
    again.close()


def test_an_unfinished_reader_does_not_hold_up_writers(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, *(new_item(f"i{n}") for n in range(5)))
    rows = truth.rows()
    next(rows)
    assert add(truth, new_item("more")) == ("added",)
    assert len(list(rows)) == 4  # of the state in which it began
    assert truth.count == 6


def test_a_closed_truth_says_so(truth: Truth) -> None:
    truth.close()
    with pytest.raises(UnavailableError, match="closed"):
        truth.keys()
    with pytest.raises(UnavailableError, match="closed"), truth.transaction():
        pass


DAMAGE = {
    "an item's text": ("UPDATE items SET person = 'other' WHERE key = 1", "not what was written"),
    "an item's vector": ("UPDATE vectors SET vector = zeroblob(16) WHERE key = 1", "vectors are not what"),
    "a lost vector": ("DELETE FROM vectors WHERE key = 1", "items without a vector"),
    "a lost item": ("DELETE FROM items WHERE key = 1", "vectors without an item"),
    "a lost metadata value": ("DELETE FROM metadata_values WHERE key = 1", "metadata values"),
    "one too many": ("INSERT INTO metadata_values VALUES ('x', '1', 2)", "metadata values"),
    "a count": ("UPDATE gallery SET count = 7", "says 7"),
    "feedback": ("INSERT INTO feedback VALUES (1, 'zz', 'a', 'same', 0)", "feedback on items"),
}


@pytest.mark.parametrize(("statement", "problem"), DAMAGE.values(), ids=DAMAGE.keys())
def test_check_finds(truth: Truth, new_item: Make, add: Add, statement: str, problem: str) -> None:
    add(truth, new_item("a", metadata={"n": 1, "m": "x"}), new_item("b"))
    assert truth.check() == []
    connection = sqlite3.connect(truth.path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    findings = truth.check()
    assert any(problem in finding.problem and finding.serious for finding in findings), findings


def test_an_item_that_is_not_what_was_written_is_not_served(truth: Truth, new_item: Make, add: Add) -> None:
    add(truth, new_item("a", person="anna"))
    connection = sqlite3.connect(truth.path, isolation_level=None)
    connection.execute("UPDATE items SET person = 'anne'")
    connection.execute("UPDATE vectors SET vector = x'00'")
    connection.close()
    with pytest.raises(CorruptError, match="key 1"):
        truth.items([1])
    with pytest.raises(CorruptError, match="size"):
        truth.vectors()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gallery SET settings = replace(settings, '\"k1\":20', '\"k1\":21')",
        "UPDATE gallery SET secret = zeroblob(32)",
        "UPDATE gallery SET lineage = identity",
        "DELETE FROM gallery",
    ],
)
def test_settings_that_are_not_what_was_written_are_refused(truth: Truth, statement: str) -> None:
    truth.close()
    connection = sqlite3.connect(truth.path, isolation_level=None)
    assert connection.execute(statement).rowcount == 1
    connection.close()
    with pytest.raises(CorruptError, match="vantage gallery restore"):
        Truth.open(truth.path)


def test_opening_empties_the_log_of_a_process_that_was_stopped(
    truth: Truth, new_item: Make, add: Add, delete: Delete, tmp_path: Path, files_with: Any
) -> None:
    add(truth, new_item("hidden-one"))
    delete(truth, "hidden-one")
    with truth.transaction() as transaction:
        transaction.forget(["hidden-one"])
    for beside in ("", "-wal"):
        path = truth.path.with_name(truth.path.name + beside)
        (tmp_path / f"stopped.sqlite{beside}").write_bytes(path.read_bytes())  # as a kill would leave them
    assert "stopped.sqlite-wal" in files_with(tmp_path, b"hidden-one")
    stopped = Truth.open(tmp_path / "stopped.sqlite")
    assert [name for name in files_with(tmp_path, b"hidden-one") if name.startswith("stopped")] == []
    stopped.close()


operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=4)),
        st.tuples(st.just("refuse"), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=3)),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 5), max_size=3)),
        st.tuples(st.sampled_from(["reopen", "compact", "fail"]), st.just([])),
    ),
    max_size=12,
)


@given(operations)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_sequence_of_writes_leaves_what_a_dictionary_would_hold(
    tmp_path_factory: pytest.TempPathFactory,
    small_settings: GallerySettings,
    new_item: Make,
    add: Add,
    delete: Delete,
    noon: datetime,
    operations: list[tuple[str, list[Any]]],
) -> None:
    truth = Truth.create(tmp_path_factory.mktemp("truth") / "g.sqlite", "g", small_settings)
    expected: dict[str, int] = {}
    keys: dict[str, int] = {}
    largest = 0
    for what, values in operations:
        if what in ("add", "refuse"):
            items = [new_item(f"i{id}", seed, metadata={"seed": seed}) for id, seed in values]
            outcomes = add(truth, *items, on_conflict="replace" if what == "add" else "refuse")
            for (id, seed), outcome in zip(values, outcomes, strict=True):
                before = expected.get(f"i{id}")
                refused = "refused" if what == "refuse" else "replaced"
                assert outcome == ("added" if before is None else "unchanged" if before == seed else refused)
                if outcome in ("added", "replaced"):
                    expected[f"i{id}"] = seed
        elif what == "delete":
            ids = {f"i{id}" for id in values}
            assert delete(truth, *ids) == len(ids & expected.keys())
            expected = {id: seed for id, seed in expected.items() if id not in ids}
        elif what == "reopen":
            truth = reopened(truth)
        elif what == "compact":
            truth.compact(truth.erased())
        else:
            with pytest.raises(RuntimeError, match="stopped"):
                stopped_transaction(truth, [new_item("i0", 77), new_item("never")], noon)
        now = truth.keys_of([f"i{id}" for id in range(6)])
        fresh = [key for id, key in now.items() if keys.get(id) != key]
        assert all(key > largest for key in fresh)
        largest = max([largest, *now.values()])
        keys = now
    found = truth.items(truth.keys().tolist())
    assert {item.id: item.metadata["seed"] for item in found.values()} == expected
    assert truth.count == len(expected)
    for seed in range(3):
        of_seed = sorted(key for key, item in found.items() if item.metadata["seed"] == seed)
        assert truth.keys_with_metadata("seed", float(seed)).tolist() == of_seed
    assert truth.check() == []
    truth.close()
