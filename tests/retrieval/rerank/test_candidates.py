import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.labels import Labels
from retrieval.metrics import ranking_metrics
from retrieval.rerank import CandidateGraph, Candidates, GraphRows, ReciprocalGraph, RerankSettings, rank_local
from retrieval.rerank.row_blocks import Lists, rows_of
from retrieval.similarity import pair_similarities


class Database:
    """A gallery with its rows, in the place of a database: all it does is search and fetch."""

    def __init__(self, vectors, keys=None, rerank=None):
        self.graph = ReciprocalGraph.build(vectors, keys, rerank)
        self.items = items = self.graph._versions.now
        self.settings, self.vectors, self.keys = self.graph.settings, items.vectors, items.keys
        lists = Lists(items.keys, items.vectors, items.indices, items.similarities, items.farthest, items.lowest)
        self.rows = rows_of(np.arange(len(items)), lists, self.settings).packed(self.settings)

    def without_rows(self, places):
        for place in places:
            self.rows[place] = None

    def nearest(self, probe, count, among=None):
        similarity = pair_similarities(
            probe[None], np.zeros(len(self.keys), int), self.vectors, np.arange(len(self.keys))
        )
        order = np.lexsort((self.keys, -similarity))
        order = order if among is None else order[np.isin(self.keys[order], among)]
        order = order[:count]
        rows = GraphRows.read([self.rows[place] for place in order], self.settings)
        return Candidates(self.keys[order], similarity[order], rows, self.vectors[order] if rows.missing else None)

    def lowest(self, probe):
        return float((self.vectors @ probe).min())

    def ask(self, probe, count, **more):
        return CandidateGraph(self.nearest(probe, count), self.settings, lowest=self.lowest(probe), **more)


def by_key(ranking):
    return dict(zip(ranking.ids[0].tolist(), ranking.reranked[0].tolist(), strict=True))


def unit(rows):
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def draw_crowd(rng, count):
    """Vectors in clusters, some of them twice."""
    centres = rng.standard_normal((4, 6))
    rows = unit(centres[rng.integers(4, size=count)] + 0.7 * rng.standard_normal((count, 6)))
    return rows[rng.integers(count, size=count)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 45), st.integers(1, 24), st.integers(1, 8))
@settings(deadline=None, max_examples=80)
def test_with_every_item_a_candidate_all_distances_are_those_of_the_graph(seed, size, k1, k2):
    rng = np.random.default_rng(seed)
    keys = np.sort(rng.choice(10**6, size, replace=False)) * rng.choice([1, 2**40])
    database = Database(draw_crowd(rng, size), keys, RerankSettings(k1, k2, 0.3))
    for probe in np.concatenate((draw_crowd(rng, 2), database.vectors[:1])):
        ours, theirs = database.ask(probe, size), database.graph.rank(probe[None], size)
        assert ours.unseen == ours.unencoded == 0
        assert by_key(ours.rank(size)) == pytest.approx(by_key(theirs), abs=1e-6)
        np.testing.assert_allclose(ours.rank(size).reranked, theirs.reranked, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(30, 60), st.integers(1, 12), st.integers(1, 6), st.data())
@settings(deadline=None, max_examples=80)
def test_whoever_is_a_candidate_has_the_distance_of_the_graph_where_the_candidates_hold_all_of_r_star(
    seed, size, k1, k2, data
):
    rng = np.random.default_rng(seed)
    database = Database(draw_crowd(rng, size), rerank=RerankSettings(k1, k2, 0.3))
    [probe] = draw_crowd(rng, 1)
    ours = database.ask(probe, data.draw(st.integers(database.settings.reach, size)))
    theirs = by_key(database.graph.rank(probe[None], size))
    assert ours.unencoded == 0
    if not ours.unseen:
        assert by_key(ours.rank(size)) == pytest.approx(
            {key: theirs[key] for key in ours.rank(size).ids[0].tolist()}, abs=1e-6
        )


def test_members_of_r_star_that_are_no_candidates_are_counted_and_taken_to_be_as_far_as_the_last(people):
    database = Database(people(300, of=20, spread=0.9))
    seen = 0
    for probe in people(40, of=20, seed=5, spread=0.9):
        few, everybody = database.ask(probe, 20), database.nearest(probe, 300)
        flat = everybody.similarities.copy()
        flat[20:] = flat[19] - 1e-7
        as_far = CandidateGraph(Candidates(everybody.keys, flat, everybody.rows), lowest=database.lowest(probe))
        theirs, exact = by_key(as_far.rank(300)), by_key(database.ask(probe, 300).rank(300))
        ours = by_key(few.rank(20))
        assert ours == pytest.approx({key: theirs[key] for key in ours}, abs=1e-6)
        assert (ours == pytest.approx({key: exact[key] for key in ours}, abs=1e-6)) == (few.unseen == 0)
        seen += few.unseen
    assert seen > 10


def test_the_order_in_which_candidates_come_changes_nothing(people):
    database = Database(people(200))
    [probe] = people(1, seed=5)
    near = database.nearest(probe, 60)
    mixed = np.random.default_rng(0).permutation(60)
    other = Candidates(near.keys[mixed], near.similarities[mixed], near.rows.take(mixed))
    one, two = (CandidateGraph(candidates, lowest=-0.5).rank(60) for candidates in (near, other))
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.reranked, two.reranked)


def test_a_copy_of_an_item_is_its_neighbours_neighbour_even_if_the_database_rounds(people):
    database = Database(people(200, of=20))
    changed = 0
    for place in range(0, 200, 5):
        probe = database.vectors[place]
        near = database.nearest(probe, 200)
        rounded = Candidates(near.keys, near.similarities - np.float32(3e-7), near.rows)
        lowest = database.lowest(probe)
        exact, ours = (CandidateGraph(one, lowest=lowest).rank(200) for one in (near, rounded))
        assert by_key(ours) == pytest.approx(by_key(exact), abs=2e-6)
        changed += int((database.items.similarities[:, -1] > (database.vectors @ probe) - 3e-7).sum())
    assert changed > 0


def test_with_a_filter_neighbourhoods_are_the_whole_gallerys_and_only_the_pool_is_returned(people):
    database = Database(people(400, of=20))
    allowed = np.arange(0, 400, 7)
    for probe in people(5, of=20, seed=5):
        near, pool = database.nearest(probe, 100), database.nearest(probe, 25, among=allowed)
        assert 0 < len(np.intersect1d(near.keys, pool.keys)) < 25
        ours = CandidateGraph(near, pool=pool, lowest=database.lowest(probe))
        ranking = ours.rank(10)
        theirs = by_key(database.graph.rank(probe[None], 400, allowed=allowed))
        assert by_key(ranking) == pytest.approx({key: theirs[key] for key in ranking.ids[0].tolist()}, abs=1e-6)
        assert sorted(ours.rank(100).ids[0].tolist()) == sorted(pool.keys.tolist())
        assert [support.key for support in ours.explain(ranking.ids[0])] == ranking.ids[0].tolist()


def test_an_explanation_is_that_of_the_graph(people):
    database = Database(people(200, of=10), 3 * np.arange(200))
    for probe in people(3, of=10, seed=5):
        ours = database.ask(probe, 200)
        keys = ours.rank(200).ids[0, ::20]
        for mine, theirs in zip(ours.explain(keys), database.graph.explain(probe, keys), strict=True):
            assert (mine.key, mine.mutual) == (theirs.key, theirs.mutual)
            assert (mine.distance, mine.reranked) == pytest.approx((theirs.distance, theirs.reranked), abs=1e-6)
            assert dict(mine.shared) == pytest.approx(dict(theirs.shared), abs=1e-6)
            assert [weight for _, weight in mine.shared] == sorted((w for _, w in mine.shared), reverse=True)


def test_without_the_farthest_item_its_neighbours_say_how_far_that_is(people):
    database = Database(people(300, of=20))
    for probe in people(5, of=20, seed=5):
        near = database.nearest(probe, 100)
        guessed = by_key(CandidateGraph(near).rank(100))
        told = by_key(CandidateGraph(near, lowest=database.items.lowest[near.keys[:20]].mean()).rank(100))
        assert guessed == pytest.approx(told, abs=1e-6)


# ---- on real features


def map_of(reference, count, missing=0.0, lowest=True):
    """mAP of every third probe; what is not re-ranked stands behind, by plain distance."""
    database = Database(reference["gallery"])
    rng = np.random.default_rng(0)
    database.without_rows(np.flatnonzero(rng.random(len(database.keys)) < missing))
    queries = reference["query"][::3]
    out = 100 - 2 * queries @ reference["gallery"].T
    for n, probe in enumerate(queries):
        near = database.nearest(probe, count)
        ranking = CandidateGraph(near, lowest=database.lowest(probe) if lowest else None).rank(count)
        out[n, ranking.ids[0]] = ranking.reranked[0]
    return step(reference, out)


def step(reference, distances):
    probes = Labels(reference["query_id"][::3], reference["query_camera"][::3])
    return ranking_metrics(distances, probes, Labels(reference["gallery_id"], reference["gallery_camera"])).map_step


@pytest.fixture(scope="module")
def graphs_own(reference):
    ranking = ReciprocalGraph.build(reference["gallery"]).rank(reference["query"][::3], top=len(reference["gallery"]))
    out = np.empty(ranking.ids.shape, np.float32)
    np.put_along_axis(out, ranking.ids, ranking.reranked, axis=1)
    return step(reference, out)


@pytest.mark.parametrize("lowest", [True, False])
def test_map_of_400_real_candidates_is_within_a_tenth_of_a_point_of_the_graphs(reference, graphs_own, lowest):
    assert abs(map_of(reference, 400, lowest=lowest) - graphs_own) <= 0.001


def test_map_holds_within_a_tenth_of_a_point_where_a_twentieth_of_the_rows_are_missing(reference, graphs_own):
    assert abs(map_of(reference, 400, missing=0.05) - graphs_own) <= 0.001


# ---- candidates without a row


def test_a_candidate_without_a_row_stands_about_where_its_row_would_put_it(people):
    gallery, probes = people(400, of=20), people(20, of=20, seed=5)
    whole, partly = Database(gallery), Database(gallery)
    partly.without_rows(range(0, 400, 10))
    for probe in probes:
        theirs, ours = whole.ask(probe, 200), partly.ask(probe, 200)
        assert ours.unencoded == sum(key % 10 == 0 for key in partly.nearest(probe, 200).keys)
        before, after = by_key(theirs.rank(200)), by_key(ours.rank(200))
        assert set(before) == set(after)
        away = np.array([abs(before[key] - after[key]) for key in before])
        assert away.mean() < 0.02
        assert len(set(theirs.rank(20).ids[0]) & set(ours.rank(20).ids[0])) >= 15


def test_where_nobody_has_a_row_the_order_is_nearly_that_of_the_local_way(people):
    database, probes = Database(people(400, of=20)), people(20, of=20, seed=5)
    database.without_rows(range(400))
    for probe in probes:
        near = database.nearest(probe, 120)
        ours = CandidateGraph(near)
        local = rank_local(probe, near.keys, near.vectors, 20)
        assert ours.unencoded == 120
        assert len(set(ours.rank(20).ids[0]) & set(local.ids[0])) >= 15


def test_the_rows_that_are_there_are_not_changed_by_those_that_are_not(people):
    """Who is far from every item without a row is answered as if all rows were there."""
    database = Database(people(300, of=6, spread=0.1))
    [probe] = people(1, of=6, seed=0, spread=0.1)
    before = by_key(database.ask(probe, 200).rank(200))
    far = database.nearest(probe, 200).keys[-20:]
    database.without_rows(far)
    ours = database.ask(probe, 200)
    assert ours.unencoded == 20
    after = by_key(ours.rank(200))
    assert {k: v for k, v in after.items() if k not in far} == pytest.approx(
        {k: v for k, v in before.items() if k not in far}, abs=1e-6
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_candidates_without_a_row_are_ranked_too(people, count):
    database = Database(people(count))
    database.without_rows(range(count))
    [probe] = people(1, seed=5)
    assert sorted(database.ask(probe, count).rank(5).ids[0].tolist()) == list(range(count))


# ---- small and wrong


def some(people, **change):
    database = Database(people(30))
    near = database.nearest(people(1, seed=5)[0], 30)
    fields = {"keys": near.keys, "similarities": near.similarities, "rows": near.rows, "vectors": None}
    return Candidates(**(fields | change))


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (
            lambda people: some(people, keys=np.arange(29)),
            r"keys of shape \(29,\) came with similarities of shape \(30,\)",
        ),
        (lambda people: some(people, similarities=np.zeros(29)), "give one of each for each candidate"),
        (lambda people: some(people, rows=GraphRows.absent(3)), "and 3 rows"),
        (lambda people: some(people, keys=np.full(30, 7)), "key 7 is named twice"),
        (lambda people: some(people, similarities=np.full(30, np.nan)), "a similarity is NaN"),
        (lambda people: some(people, vectors=people(29)), "30 keys came with 29 vectors"),
        (lambda people: some(people, vectors=2 * people(30)), "candidates' vectors row 0 has length 2"),
        (lambda people: CandidateGraph(some(people)).rank(0), "top is 0"),
        (lambda people: CandidateGraph(some(people)).explain([99]), "key 99 is not among the candidates"),
        (
            lambda people: CandidateGraph(some(people, rows=GraphRows.absent(30))),
            "30 of 30 candidates have no row: fetch the vectors of all",
        ),
        (
            lambda people: CandidateGraph(Candidates(np.zeros(0), np.zeros(0), GraphRows.absent(0))),
            "`near` is empty",
        ),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_a_sentence(people, act, sentence):
    with pytest.raises(RetrievalError, match=sentence):
        act(people)
