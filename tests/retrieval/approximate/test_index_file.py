import numpy as np
import pytest

from retrieval.approximate import KINDS, ApproximateIndex, CorruptIndexError
from retrieval.array_file import write_arrays
from retrieval.errors import RetrievalError

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def changed(people):
    """`changed(kind)`: an index that was added to and removed from."""
    rows = people(500, of=50, dimensions=16, seed=5).astype(np.float16).astype(np.float32)

    def make(kind):
        index = ApproximateIndex.build(kind, rows[:400], np.arange(400) * 2)
        index.add(np.arange(400, 500) * 2, rows[400:])
        index.remove(np.arange(0, 200, 20))
        return index, rows

    return make


@every_kind
def test_a_loaded_index_gives_the_same_answers_and_can_be_changed(tmp_path, changed, kind):
    index, rows = changed(kind)
    index.save(tmp_path / "index")
    loaded = ApproximateIndex.load(tmp_path / "index")
    assert (loaded.kind, loaded.tuning, loaded.parameters) == (index.kind, index.tuning, index.parameters)
    assert loaded.holes == index.holes
    for allowed in (None, np.arange(0, 1000, 4)):
        before, after = (one.search(rows, 10, allowed=allowed) for one in (index, loaded))
        np.testing.assert_array_equal(before.ids, after.ids)
        np.testing.assert_array_equal(before.distances, after.distances)
    loaded.add([1000], rows[:1])
    assert 1000 in loaded.search(rows[:1], 2).ids
    loaded.remove([1000])
    assert 1000 not in loaded.search(rows[:1], 500).ids


def test_vectors_that_are_not_rounded_to_float16_come_back_as_they_were(tmp_path, people):
    rows = people(100, of=10, dimensions=16)
    ApproximateIndex.build("signs", rows).save(tmp_path / "index")
    np.testing.assert_array_equal(ApproximateIndex.load(tmp_path / "index").vectors_of(np.arange(100)), rows)


@every_kind
def test_after_compacting_no_file_holds_a_removed_vector(tmp_path, changed, kind):
    index, rows = changed(kind)
    gone = rows[0].astype(np.float16).tobytes()
    index.compact()
    index.save(tmp_path / "index")
    content = (tmp_path / "index").read_bytes()
    assert gone not in content
    assert rows[1].astype(np.float16).tobytes() in content


@every_kind
def test_a_damaged_file_is_never_believed(tmp_path, changed, kind):
    path = tmp_path / "index"
    changed(kind)[0].save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in [0, 8, 24, 300, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(CorruptIndexError):
            ApproximateIndex.load(path)
    described = whole.index(b'"sha256"')
    for place in np.concatenate((rng.integers(24, described, 20), rng.integers(0, len(whole), 40))).tolist():
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(CorruptIndexError):
            ApproximateIndex.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptIndexError, match="damaged"):
        ApproximateIndex.load(path)


@pytest.mark.parametrize("facts", [{}, {"format": "vantage approximate index", "version": 99}])
def test_a_file_of_another_format_or_version_is_refused(tmp_path, facts):
    write_arrays(tmp_path / "index", facts, {})
    with pytest.raises(CorruptIndexError, match="build it again from the vectors"):
        ApproximateIndex.load(tmp_path / "index")


def test_what_this_faiss_cannot_read_is_refused(tmp_path, changed, monkeypatch):
    index, _ = changed("ivf")
    facts, arrays = index._versions.now.finder.saved()
    arrays["faiss"] = np.concatenate((np.frombuffer(b"IxZZ", np.uint8), arrays["faiss"][4:]))
    monkeypatch.setattr(type(index._versions.now.finder), "saved", lambda self: (facts, arrays))
    index.save(tmp_path / "index")
    with pytest.raises(CorruptIndexError, match="does not read the saved index"):
        ApproximateIndex.load(tmp_path / "index")
    assert issubclass(CorruptIndexError, RetrievalError)
