import numpy as np
import pytest
from scipy import sparse

from retrieval.rerank import segments
from retrieval.rerank.segments import Segments


class Encodings:
    """Encodings that change, and the dictionary that says what every item's are now."""

    def __init__(self, size, seed):
        self.rng, self.size = np.random.default_rng(seed), size
        self.now = {}

    def change(self, items):
        for item in items:
            columns = self.rng.choice(self.size, size=4, replace=False)
            self.now[int(item)] = dict(zip(columns.tolist(), self.rng.random(4).tolist(), strict=True))

    def averaged(self, items):
        out = sparse.lil_array((len(items), self.size), dtype=np.float32)
        for row, item in enumerate(items):
            for column, weight in self.now[int(item)].items():
                out[row, column] = weight
        return out.tocsr()


def overlaps(segments, columns, weights):
    items, shared, places = segments.meet(columns, weights)
    assert len(set(zip(items.tolist(), places.tolist(), strict=True))) == len(items), "an item answers twice"
    return {
        (item, int(columns[place])): weight
        for item, weight, place in zip(items.tolist(), shared.tolist(), places.tolist(), strict=True)
    }


@pytest.mark.parametrize("seed", range(6))
def test_whatever_was_touched_or_dropped_every_item_answers_once_and_as_it_is_now(seed, monkeypatch):
    monkeypatch.setattr(segments, "OPEN_SIZE", 3)
    size, rng = 60, np.random.default_rng(seed)
    source = Encodings(size, seed)
    present = list(range(25))
    source.change(present)
    ours = Segments().touched(np.array(present), source.averaged)
    following, most = len(present), 0
    for _ in range(120):
        act = rng.random()
        if act < 0.25 and following < size:
            new = np.arange(following, min(following + int(rng.integers(1, 4)), size))
            source.change(new)
            ours = ours.touched(new, source.averaged)
            present += new.tolist()
            following += len(new)
        elif act < 0.75:
            again = rng.choice(present, size=min(len(present), int(rng.integers(1, 7))), replace=False)
            source.change(again)
            ours = ours.touched(again, source.averaged)
        elif len(present) > 5:
            gone = rng.choice(present, size=2, replace=False)
            ours = ours.dropped(gone)
            present = [item for item in present if item not in gone]
        columns = np.sort(rng.choice(size, size=15, replace=False)).astype(np.int32)
        weights = rng.random(15).astype(np.float32)
        expected = {
            (item, column): min(weight, source.now[item][column])
            for item in present
            for column, weight in zip(columns.tolist(), weights.tolist(), strict=True)
            if column in source.now[item]
        }
        assert overlaps(ours, columns, weights) == pytest.approx(expected, abs=1e-6)
        most = max(most, len(ours._sealed))
    assert ours._next > 5, "segments were sealed again and again"
    assert most <= 6, "and merged before they were many"
