import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from retrieval.array_file import read_arrays
from retrieval.errors import RetrievalError
from retrieval.neighbours import nearest
from retrieval.rerank import GraphDirectory, GraphRows, ReciprocalGraph, RerankSettings, generation, row_blocks
from retrieval.rerank.rows import FIELDS

SMALL = RerankSettings(8, 4)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(generation, "LISTED", 64)
    monkeypatch.setattr(generation, "ENCODED", 60)


class Gallery:
    """Items, their rows as a database would keep them, and the directory that they are made in."""

    def __init__(self, path, crowd, settings=SMALL):
        self.path, self.crowd, self.settings = path, crowd, settings
        self.items, self.rows = {}, {}

    @property
    def directory(self):
        """Opened anew whenever it is asked for, as by another process."""
        return GraphDirectory(self.path, self.settings)

    def changes(self):
        now, known = np.array(sorted(self.items), np.int64), self.directory.keys
        added = np.setdiff1d(now, known)
        blocks = ((some, np.stack([self.items[key] for key in some])) for some in np.array_split(added, 3) if len(some))
        return blocks, np.setdiff1d(known, now)

    def update(self, **more):
        self.directory.update(*self.changes(), **more)

    def write(self, blocks=None):
        """Writes the rows that wait, of so many blocks; returns their keys."""
        told = []
        for count, (name, keys, rows) in enumerate(self.directory.waiting()):
            if blocks is not None and count == blocks:
                break
            assert len(keys) == len(rows) <= 60
            told += keys.tolist()
            self.rows.update(zip(keys.tolist(), rows, strict=True))
            self.directory.acknowledge(name)
        return told

    def put(self, *keys):
        self.items.update({key: self.crowd[key] for key in keys})

    def drop(self, *keys):
        for key in keys:
            del self.items[key]
            self.rows.pop(key, None)

    def assert_current(self):
        """All rows are those that would be made from nothing, from lists of one search."""
        keys = np.array(sorted(self.items), np.int64)
        vectors = np.stack([self.items[key] for key in keys.tolist()])
        near = nearest(vectors, vectors, self.settings.reach, exclude_self=True)
        lists = row_blocks.Lists(keys, vectors, near.indices, near.similarities, near.farthest, near.lowest)
        expected = row_blocks.rows_of(np.arange(len(keys)), lists, self.settings)
        ours = GraphRows.read([self.rows[key] for key in keys.tolist()], self.settings)
        for name in FIELDS:
            np.testing.assert_allclose(getattr(ours, name), getattr(expected, name), atol=1e-6, err_msg=name)


@pytest.fixture
def gallery(tmp_path, people):
    made = Gallery(tmp_path / "graph", people(400, of=40, spread=0.9))
    made.put(*range(300))
    return made


def test_the_first_update_makes_all_rows_and_tells_each_once(gallery):
    gallery.update()
    assert sorted(gallery.write()) == list(range(300))
    gallery.assert_current()
    assert gallery.write() == []


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_all_rows_are_those_made_from_nothing(gallery, seed):
    rng = np.random.default_rng(seed)
    gallery.update()
    gallery.write()
    left = list(range(300, 400))
    for _ in range(3):
        gallery.drop(*rng.choice(sorted(gallery.items), int(rng.integers(0, 12)), replace=False).tolist())
        gallery.put(*left[: (count := int(rng.choice([0, 1, 7])))])
        left = left[count:]
        gallery.update()
        gallery.write()
        gallery.assert_current()


def test_few_changes_make_no_lists_from_nothing_and_many_do(gallery):
    gallery.update()
    gallery.write()
    for count, wanted in ((30, {"rows"}), (100, {"lists", "rows"})):
        gallery.drop(*sorted(gallery.items)[:count])
        seen = set()
        gallery.update(progress=lambda stage, done, of, seen=seen: seen.add(stage))
        assert seen == wanted
        gallery.write()
        gallery.assert_current()


def test_only_rows_that_have_changed_are_told_and_nothing_when_nothing_has(gallery):
    gallery.update()
    gallery.write()
    before = dict(gallery.rows)
    gallery.put(350)
    gallery.drop(7)
    gallery.update()
    told = gallery.write()
    assert 350 in told
    assert 2 < len(told) < 150
    assert all(gallery.rows[key] != before.get(key) for key in told)
    gallery.update()
    assert gallery.write() == []


def test_rows_that_were_not_acknowledged_are_told_again_also_by_later_updates(gallery):
    gallery.update()
    done = gallery.write(blocks=2)
    assert gallery.write(blocks=0) == []
    gallery.drop(done[0], 299)
    gallery.put(320)
    gallery.update()
    told = gallery.write()
    assert set(range(300)) - {299} - set(done) <= set(told)
    assert 299 not in told
    gallery.assert_current()


def test_a_key_that_is_removed_and_added_has_another_vector_from_then_on(gallery):
    gallery.update()
    gallery.write()
    gallery.items[5] = gallery.crowd[390]
    gallery.directory.update([(np.array([5]), gallery.crowd[390:391])], [5])
    assert 5 in gallery.write()
    gallery.assert_current()


# ---- for a graph in memory


class Lists(Gallery):
    @property
    def directory(self):
        return GraphDirectory(self.path, self.settings, rows=False)

    def saved(self, graph):
        """The arrays of a graph, as its file holds them."""
        graph.save(self.path.parent / "file")
        return read_arrays(self.path.parent / "file")[1]

    def assert_graph_is_current(self):
        """The same lists as of a graph that is built; what is computed in other blocks may differ in the last bit."""
        keys = np.array(sorted(self.items), np.int64)
        built = self.saved(ReciprocalGraph.build([self.items[key] for key in keys.tolist()], keys, self.settings))
        ours = self.saved(self.directory.graph())
        assert list(ours) == list(built)
        for name in built:
            whole = np.issubdtype(built[name].dtype, np.integer)
            np.testing.assert_allclose(ours[name], built[name], atol=0 if whole else 1e-6, err_msg=name)


@pytest.fixture
def lists(tmp_path, people):
    made = Lists(tmp_path / "graph", people(400, of=40, spread=0.9))
    made.put(*range(300))
    return made


def test_where_lists_alone_are_wanted_no_row_is_made_and_the_graph_is_that_which_is_built(lists):
    stages = set()
    lists.update(progress=lambda stage, done, of: stages.add(stage))
    assert stages == {"lists"}
    assert lists.write() == []
    lists.assert_graph_is_current()
    lists.drop(3, 299)
    lists.put(*range(310, 320))
    lists.update()
    lists.assert_graph_is_current()
    told = []
    lists.directory.graph(progress=lambda done, of: told.append((done, of)))
    assert told == [(308, 308)]


def test_what_came_and_went_while_lists_were_made_is_in_the_graph(lists):
    with pytest.raises(StoppedError):
        lists.update(progress=stopping_after(2))
    lists.put(310, 311)
    lists.drop(4)
    lists.update()
    lists.assert_graph_is_current()


def test_a_graph_that_is_taken_out_stays_when_the_directory_goes(lists):
    lists.update()
    graph = lists.directory.graph()
    assert str(lists.path) not in Path("/proc/self/maps").read_text()
    shutil.rmtree(lists.path)
    graph.remove([0])
    assert graph.rank(lists.crowd[:1], top=5).ids[0, 0] != 0


def test_there_is_no_graph_before_the_first_update(tmp_path):
    with pytest.raises(RetrievalError, match="holds no graph yet: update it first"):
        GraphDirectory(tmp_path / "graph", rows=False).graph()


# ---- what stops it


class StoppedError(Exception):
    pass


def stopping_after(count):
    def watch(stage, done, of):
        nonlocal count
        count -= 1
        if count == 0:
            raise StoppedError

    return watch


def test_an_update_that_was_stopped_anywhere_goes_on_where_it_was(gallery):
    made, stops = [], 0

    def mapper(work, numbers):
        for number in numbers:
            made.append((work.make.func.__name__, number))
            yield work(number)

    for _ in range(9):
        try:
            gallery.update(progress=stopping_after(2), mapper=mapper)
            break
        except StoppedError:
            stops += 1
    assert stops == (5 + 5) // 2
    assert len(made) == len(set(made)) == 5 + 5
    assert sorted(gallery.write()) == list(range(300))
    gallery.assert_current()


def test_what_came_and_went_while_it_was_stopped_is_taken_up_by_the_update_that_goes_on(gallery):
    with pytest.raises(StoppedError):
        gallery.update(progress=stopping_after(2))
    gallery.put(310, 311)
    gallery.drop(4)
    assert len(gallery.directory.keys) == 300
    gallery.update()
    gallery.write()
    gallery.assert_current()


def test_until_an_update_is_done_the_rows_of_the_last_one_wait(gallery):
    gallery.update()
    gallery.put(310)
    with pytest.raises(StoppedError):
        gallery.update(progress=stopping_after(1))
    assert sorted(gallery.write()) == list(range(300))
    gallery.update()
    gallery.write()
    gallery.assert_current()


def test_a_generation_that_was_replaced_but_not_removed_is_removed_later(gallery, monkeypatch):
    gallery.update()
    gallery.put(310)

    def stop(folder, ignore_errors=False):
        if not ignore_errors:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stop)
        with pytest.raises(StoppedError):
            gallery.update()
    assert sorted(folder.name for folder in gallery.path.iterdir()) == ["1", "2", "current", "lock"]
    gallery.update()
    gallery.write()
    assert sorted(folder.name for folder in gallery.path.iterdir()) == ["2", "current", "lock"]
    gallery.assert_current()


def test_vectors_that_stop_coming_change_nothing(gallery):
    gallery.update()
    gallery.write()

    def broken():
        yield np.array([310]), gallery.crowd[310:311]
        raise StoppedError

    with pytest.raises(StoppedError):
        gallery.directory.update(broken(), [3])
    assert len(gallery.directory.keys) == 300
    gallery.put(312)
    gallery.update()
    gallery.write()
    gallery.assert_current()


def test_the_pieces_of_work_can_be_sent_elsewhere_and_done_in_any_order(gallery):
    helped = []

    def mapper(work, numbers):
        helped.append(work.on_gpu)
        sent = pickle.dumps(work)
        return (pickle.loads(sent)(number) for number in reversed(numbers))

    seen = []
    gallery.update(mapper=mapper, progress=lambda *step: seen.append(step))
    assert seen == [("lists", n + 1, 5) for n in range(5)] + [("rows", n + 1, 5) for n in range(5)]
    assert helped == [True, False]
    gallery.write()
    gallery.assert_current()


def test_only_one_process_updates_at_a_time(gallery):
    def during():
        with pytest.raises(RetrievalError, match="is being updated, or its rows written, by another: wait"):
            gallery.directory.update()
        yield np.array([310]), gallery.crowd[310:311]

    gallery.directory.update(during())
    gallery.directory.update()


def test_nobody_updates_while_rows_are_being_written(gallery):
    gallery.update()
    rows = gallery.directory.waiting()
    next(rows)
    with pytest.raises(RetrievalError, match="is being updated, or its rows written"):
        gallery.update()
    rows.close()
    gallery.update()


# ---- small and wrong


def test_a_gallery_may_be_emptied_and_filled_again_with_vectors_of_another_model(gallery):
    gallery.update()
    gallery.write()
    gallery.drop(*range(300))
    gallery.update()
    assert gallery.write() == []
    assert len(gallery.directory.keys) == 0
    gallery.crowd = np.ascontiguousarray(gallery.crowd[:, :8] / np.linalg.norm(gallery.crowd[:, :8], axis=1)[:, None])
    gallery.put(3, 4)
    gallery.update()
    assert gallery.write() == [3, 4]
    gallery.assert_current()


def test_nothing_is_there_before_the_first_update_and_an_empty_one_is_no_error(tmp_path):
    directory = GraphDirectory(tmp_path / "graph")
    assert len(directory.keys) == 0
    assert list(directory.waiting()) == []
    directory.update()
    assert list(directory.waiting()) == []


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda gallery, rows: gallery.directory.update([([5], rows[:1])]), "key 5 is there already: remove it too"),
        (lambda gallery, rows: gallery.directory.update([([310, 305], rows[:2])]), "keys must ascend"),
        (
            lambda gallery, rows: gallery.directory.update([([310], rows[:1]), ([309], rows[:1])]),
            "the last key used is 310",
        ),
        (lambda gallery, rows: gallery.directory.update([([310], rows[:2])]), "one integer for each of the 2 vectors"),
        (lambda gallery, rows: gallery.directory.update([([310], rows[:1] * 2)]), "vectors row 0 has length 2"),
        (
            lambda gallery, rows: gallery.directory.update([([310], np.full((1, 4), 0.5))]),
            "vectors of 16 and 4 dimensions came",
        ),
        (
            lambda gallery, rows: GraphDirectory(gallery.path, RerankSettings(9, 4)).update(),
            "holds a graph made with k1=8 and k2=4, not with k1=9 and k2=4: give it those, or another directory",
        ),
    ],
)
def test_what_cannot_be_taken_up_is_refused_in_a_sentence_and_changes_nothing(gallery, act, sentence):
    gallery.update()
    gallery.write()
    with pytest.raises(RetrievalError, match=sentence):
        act(gallery, gallery.crowd)
    gallery.put(310)
    gallery.update()
    gallery.write()
    gallery.assert_current()


def test_a_build_that_was_stopped_is_not_gone_on_with_by_other_settings(gallery):
    with pytest.raises(StoppedError):
        gallery.update(progress=stopping_after(2))
    with pytest.raises(RetrievalError, match="k1=8 and k2=4, not with k1=20 and k2=6"):
        GraphDirectory(gallery.path).update(progress=stopping_after(1))
