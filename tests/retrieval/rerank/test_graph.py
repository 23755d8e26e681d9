import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import CorruptGraphError, RetrievalError
from retrieval.labels import Labels
from retrieval.metrics import ranking_metrics
from retrieval.neighbours import Neighbours, nearest
from retrieval.ranking import NOBODY, Ranking
from retrieval.rerank import ReciprocalGraph, RerankSettings, segments


def unit(rows):
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def by_key(ranking, row=0):
    """{key: re-ranked distance} of one query."""
    count = ranking.counts[row]
    return dict(zip(ranking.ids[row, :count].tolist(), ranking.reranked[row, :count].tolist(), strict=True))


def draw_crowd(rng, count):
    """Vectors in clusters, some of them twice."""
    centres = rng.standard_normal((4, 6))
    rows = unit(centres[rng.integers(4, size=count)] + 0.7 * rng.standard_normal((count, 6)))
    return rows[rng.integers(count, size=count)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 45), st.integers(1, 24), st.integers(1, 8))
@settings(deadline=None, max_examples=80)
def test_every_distance_is_that_of_the_probe_worked_out_by_hand(literal_online, seed, size, k1, k2):
    rng = np.random.default_rng(seed)
    gallery = draw_crowd(rng, size)
    probes = np.concatenate((draw_crowd(rng, 2), gallery[:1]))
    by_hand = literal_online(gallery, k1, k2)
    ranking = ReciprocalGraph.build(gallery, settings=RerankSettings(k1, k2, 0.3)).rank(probes, top=size)
    for n, probe in enumerate(probes):
        expected = by_hand.rank_probe(probe, 0.3)
        assert by_key(ranking, n) == pytest.approx(dict(enumerate(expected)), abs=2e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12), st.data())
@settings(deadline=None, max_examples=60)
def test_a_short_ranking_is_the_head_of_the_whole_one_within_what_is_allowed(seed, size, top, data):
    rng = np.random.default_rng(seed)
    gallery, probe = draw_crowd(rng, size), draw_crowd(rng, 1)
    graph = ReciprocalGraph.build(gallery)
    whole = graph.rank(probe, top=size)
    allowed = np.array(sorted(data.draw(st.sets(st.integers(0, size - 1)))), np.int64)
    kept = [key for key in whole.ids[0].tolist() if key in allowed]
    assert graph.rank(probe, top, allowed=allowed).ids[0].tolist() == kept[:top]
    assert graph.rank(probe, top).ids[0].tolist() == whole.ids[0, :top].tolist()


def test_map_on_real_features_is_within_a_third_of_a_point_of_the_authors_single_probes(reference):
    which = reference["single_index"]
    gallery = Labels(reference["gallery_id"], reference["gallery_camera"])
    probes = Labels(reference["query_id"][which], reference["query_camera"][which])
    ranking = ReciprocalGraph.build(reference["gallery"]).rank(reference["query"][which], top=len(gallery.person))
    online = np.empty(reference["single"].shape, np.float32)
    np.put_along_axis(online, ranking.ids, ranking.reranked, axis=1)
    ours, theirs = (ranking_metrics(distances, probes, gallery).map_step for distances in (online, reference["single"]))
    assert abs(ours - theirs) <= 0.003


# ---- from lists that were found elsewhere


@pytest.mark.parametrize(("size", "k1", "k2"), [(0, 20, 6), (1, 20, 6), (9, 20, 6), (200, 8, 4), (200, 1, 1)])
def test_a_graph_of_lists_found_elsewhere_is_the_one_that_is_built_array_for_array(tmp_path, size, k1, k2):
    gallery = draw_crowd(np.random.default_rng(size), size) if size else np.zeros((0, 6), np.float32)
    keys, chosen = np.arange(size) * 3 + 1, RerankSettings(k1, k2)
    blank = Neighbours(*(np.zeros(shape, np.int32) for shape in ((0, chosen.reach), (0, chosen.reach), 0, 0)))
    near = nearest(gallery, gallery, chosen.reach, exclude_self=True) if size else blank
    told = []
    ReciprocalGraph.build(gallery, keys, chosen).save(tmp_path / "built")
    ReciprocalGraph.from_lists(gallery, near, keys, chosen, progress=lambda done, of: told.append((done, of))).save(
        tmp_path / "made"
    )
    assert (tmp_path / "made").read_bytes() == (tmp_path / "built").read_bytes()
    assert told == ([(size, size)] if size else [])


def test_lists_that_do_not_reach_as_far_as_the_settings_are_refused():
    gallery = draw_crowd(np.random.default_rng(0), 30)
    near = nearest(gallery, gallery, 7, exclude_self=True)
    with pytest.raises(RetrievalError, match=r"near\.indices has shape \(30, 7\), not \(30, 20\)"):
        ReciprocalGraph.from_lists(gallery, near)


# ---- a gallery that changes


def assert_equals_a_rebuild(graph, vectors, probes, seed):
    keys = np.array(sorted(vectors), np.int64)
    fresh = ReciprocalGraph.build(np.stack([vectors[key] for key in sorted(vectors)]), keys, graph.settings)
    np.testing.assert_array_equal(graph.keys, keys)
    ours, anew = graph.rank(probes, top=len(keys)), fresh.rank(probes, top=len(keys))
    for n in range(len(probes)):
        assert by_key(ours, n) == pytest.approx(by_key(anew, n), abs=2e-6), f"seed {seed}"


@pytest.mark.parametrize("seed", range(12))
def test_after_random_changes_and_a_refresh_it_equals_one_built_anew(seed, monkeypatch):
    monkeypatch.setattr(segments, "OPEN_SIZE", 5)  # so that segments are sealed and merged in a gallery this small
    rng = np.random.default_rng(seed)
    rerank = RerankSettings(int(rng.integers(1, 14)), int(rng.integers(1, 7)), 0.3)
    start = draw_crowd(rng, int(rng.integers(1, 40)))
    vectors, following = dict(enumerate(start)), len(start)
    graph, probes = ReciprocalGraph.build(start.copy(), settings=rerank), draw_crowd(rng, 4)
    for _ in range(25):
        if rng.random() < 0.55 or len(vectors) < 3:
            new = draw_crowd(rng, int(rng.integers(1, 8)))
            keys = following + np.cumsum(rng.integers(1, 3, len(new)))
            following = int(keys[-1]) + 1
            graph.add(keys, new)
            vectors.update(zip(keys.tolist(), new, strict=True))
        else:
            gone = rng.choice(sorted(vectors), size=int(rng.integers(1, max(2, len(vectors) // 3))), replace=False)
            graph.remove(gone)
            for key in gone.tolist():
                del vectors[key]
        ranking = graph.rank(probes, top=len(vectors))
        assert all(set(row.tolist()) == set(vectors) for row in ranking.ids), "an item was lost, or one came back"
        if rng.random() < 0.3:
            graph.refresh(limit=int(rng.integers(1, 6)))
        if rng.random() < 0.1:
            graph.compact()
    while graph.refresh(limit=3):
        pass
    assert graph.stale == 0
    assert_equals_a_rebuild(graph, vectors, probes, seed)
    graph.compact()
    assert_equals_a_rebuild(graph, vectors, probes, seed)


@pytest.mark.parametrize(("seed", "k1", "k2"), [(0, 5, 3), (1, 5, 3), (2, 9, 1), (3, 9, 1), (4, 7, 1), (5, 7, 2)])
def test_a_change_reaches_as_far_as_it_matters_and_a_refresh_makes_all_of_that_anew(people, seed, k1, k2):
    """In a gallery so large that most items are several neighbours away from what changes."""
    crowd = people(500, of=60, seed=seed, spread=0.9)
    settings = RerankSettings(k1, k2, 0.3)
    graph = ReciprocalGraph.build(crowd[:490].copy(), settings=settings)
    graph.add(np.arange(490, 500), crowd[490:])
    graph.remove([17, 44])
    marked = graph.stale
    graph.refresh()
    kept = np.delete(np.arange(500), [17, 44])
    fresh = ReciprocalGraph.build(crowd[kept], kept, settings)
    ours, anew = graph.rank(crowd, top=498), fresh.rank(crowd, top=498)
    in_order = [np.take_along_axis(one.reranked, np.argsort(one.ids, axis=1), axis=1) for one in (ours, anew)]
    np.testing.assert_allclose(*in_order, atol=2e-6)
    assert 12 <= marked < 490, "not everything was made anew"


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_farthest_item_that_comes_or_goes_changes_those_it_is_farthest_from(people, change):
    crowd = people(60, of=3, spread=0.1)
    outlier = unit(-crowd[:1])  # in nobody's list, but what many distances are divided by
    settings = RerankSettings(4, 3, 0.3)
    if change == "add":
        graph = ReciprocalGraph.build(crowd.copy(), settings=settings)
        graph.add([60], outlier)
        vectors = np.concatenate((crowd, outlier))
    else:
        graph = ReciprocalGraph.build(np.concatenate((crowd, outlier)), settings=settings)
        graph.remove([60])
        vectors = crowd
    assert graph.stale > 0
    graph.refresh()
    assert_equals_a_rebuild(graph, dict(enumerate(vectors)), crowd[:3], seed=0)


def reciprocal_pairs(graph):
    """The pairs of keys that the graph holds to be reciprocal within h."""
    items = graph._versions.now
    row, place = np.nonzero(items.mutual_half & items.alive[:, None])
    return set(zip(items.keys[row].tolist(), items.keys[items.indices[row, place]].tolist(), strict=True))


@pytest.mark.parametrize("change", ["add", "remove"])
def test_until_the_refresh_no_old_pair_is_taken_for_reciprocal_that_was_not(people, change):
    graph = ReciprocalGraph.build(people(120))
    before = reciprocal_pairs(graph)
    if change == "add":
        graph.add(np.arange(120, 140), people(20, seed=4))
    else:
        graph.remove(np.arange(0, 120, 9))
    after = {(left, right) for left, right in reciprocal_pairs(graph) if left < 120}
    assert after <= before
    assert len(after) > len(before) / 4


def test_the_callers_vectors_are_never_written_and_may_be_read_only(people):
    vectors = people(40)
    before = vectors.copy()
    vectors.flags.writeable = False
    graph = ReciprocalGraph.build(vectors)
    graph.remove([3])
    graph.add([40], people(1, seed=4))
    graph.remove([7, 40])
    graph.compact()
    np.testing.assert_array_equal(vectors, before)
    assert set(graph.rank(before[:1], top=40).ids[0].tolist()) == set(range(40)) - {3, 7}


def test_a_refresh_in_bounded_steps_comes_to_an_end(people):
    graph = ReciprocalGraph.build(people(80))
    graph.remove([3, 5, 8, 13])
    graph.add(np.arange(80, 90), people(10, seed=4))
    left = graph.stale
    assert left > 0
    steps = 0
    while left:
        left = graph.refresh(limit=20)
        steps += 1
        assert steps < 40
    assert steps > 1


def test_a_new_item_is_found_and_encoded_before_any_refresh(people):
    gallery = people(200, of=10)
    graph = ReciprocalGraph.build(gallery)
    twin = unit(gallery[:1] + 0.01)
    graph.add([500], twin)
    ranking = graph.rank(twin, top=5)
    assert ranking.ids[0, 0] == 500
    assert ranking.reranked[0, 0] < 0.5, "the new item shares its neighbours with the probe already"


def test_what_was_removed_is_in_no_answer_and_no_saved_byte(people, tmp_path):
    gallery = people(120)
    graph = ReciprocalGraph.build(gallery.copy(), keys=np.arange(1000, 1120))
    graph.remove([1007])
    assert not (graph._versions.now.vectors == gallery[7]).all(axis=1).any(), "nor in memory"
    assert 1007 not in graph.rank(gallery, top=120).ids
    assert all(key != 1007 for support in graph.explain(gallery[7], [1008]) for key, _ in support.shared)
    graph.save(tmp_path / "graph")
    raw = (tmp_path / "graph").read_bytes()
    assert gallery[7].tobytes() not in raw
    assert gallery[8].tobytes() in raw
    assert np.int64(1007).tobytes() not in ReciprocalGraph.load(tmp_path / "graph").keys.tobytes()


# ---- with another index in front


def test_an_indexs_own_neighbours_give_nearly_the_distances_of_the_exact_search(people):
    gallery, probes = people(400, of=20), people(6, of=20, seed=5)
    graph = ReciprocalGraph.build(gallery, keys=np.arange(400) * 3)
    own = graph.rank(probes, top=400)
    found = graph.rank(probes, top=10, found=graph.search(probes, 40))
    for n in range(len(probes)):
        exact = by_key(own, n)
        for key, distance in by_key(found, n).items():
            assert distance == pytest.approx(exact[key], abs=0.02)  # the farthest item is sought only near at hand


def test_items_that_an_index_still_names_but_that_are_gone_are_passed_over(people):
    gallery, probes = people(100), people(2, seed=5)
    graph = ReciprocalGraph.build(gallery)
    outdated = graph.search(probes, 30)
    graph.remove(outdated.ids[0, :3])
    assert not np.isin(graph.rank(probes, 100, found=outdated).ids, outdated.ids[0, :3]).any()


def test_a_removed_item_is_not_taken_for_the_farthest_when_an_index_names_the_nearest(people):
    crowd = unit(np.abs(people(100)) + 0.5)  # all alike to some degree, so that nothing is as far as a right angle
    graph, probes = ReciprocalGraph.build(crowd.copy()), unit(np.abs(people(3, seed=5)) + 0.5)
    graph.remove(np.unique(graph._versions.now.farthest)[:2])
    own, found = graph.rank(probes, 98), graph.rank(probes, 98, found=graph.search(probes, 98))
    for n in range(len(probes)):
        assert by_key(found, n) == pytest.approx(by_key(own, n), abs=0.05)


def test_allowed_candidates_of_an_index_give_the_same_ranking(people):
    gallery, probes = people(400, of=20), people(3, of=20, seed=5)
    graph = ReciprocalGraph.build(gallery)
    allowed = np.arange(0, 400, 5)
    exact = graph.rank(probes, 10, allowed=allowed)
    named = graph.rank(probes, 10, allowed=allowed, candidates=graph.search(probes, 10, allowed=allowed))
    np.testing.assert_array_equal(named.ids, exact.ids)
    assert np.isin(exact.ids, allowed).all()


def test_fewer_allowed_than_asked_for_give_a_short_row(people):
    graph = ReciprocalGraph.build(people(300))
    ranking = graph.rank(people(2, seed=5), top=10, allowed=[4, 7])
    assert sorted(ranking.ids[0].tolist()) == [4, 7]
    assert graph.rank(people(2, seed=5), top=10, allowed=[]).counts.tolist() == [0, 0]
    assert graph.search(people(2, seed=5), 10, allowed=[4]).ids.tolist() == [[4], [4]]


def test_a_probe_is_answered_alike_alone_and_among_others(people):
    graph, probes = ReciprocalGraph.build(people(300)), people(7, seed=5)
    together = graph.rank(probes, top=20)
    for n in range(len(probes)):
        alone = graph.rank(probes[n : n + 1], top=20)
        np.testing.assert_array_equal(alone.ids[0], together.ids[n])
        np.testing.assert_allclose(alone.reranked[0], together.reranked[n], atol=1e-6)


def test_the_plain_search_names_the_nearest(people):
    gallery, probes = people(50), people(3, seed=5)
    ranking = ReciprocalGraph.build(gallery).search(probes, 50)
    np.testing.assert_allclose(ranking.distances, np.sort(2 - 2 * probes @ gallery.T, axis=1), atol=1e-6)
    assert ranking.reranked is None


def test_neighbour_lists_are_told_as_keys_and_end_with_nobody(people):
    keys = 10 * np.arange(60) + 7
    graph = ReciprocalGraph.build(people(60), keys)
    for key, row in zip(keys[:5], graph.neighbours_of(keys[:5]), strict=True):
        [nearest] = graph.search(graph.vectors_of([key]), graph.settings.reach + 1).ids
        assert row.tolist() == [other for other in nearest.tolist() if other != key][: graph.settings.reach]
    few = ReciprocalGraph.build(people(4))
    assert (few.neighbours_of([0, 3]) == NOBODY).sum(axis=1).tolist() == [few.settings.reach - 3] * 2
    with pytest.raises(RetrievalError, match="no item with key 99"):
        few.neighbours_of([99])


def test_an_explanation_adds_up_to_the_distance(people):
    gallery, probe = people(200, of=10), people(1, of=10, seed=5)
    graph = ReciprocalGraph.build(gallery)
    ranking = graph.rank(probe, top=5)
    lowest = float((gallery @ probe[0]).min())
    supports = graph.explain(probe[0], ranking.ids[0])
    for n, support in enumerate(supports):
        shared = sum(weight for _, weight in support.shared)
        expected = 0.7 * (1 - shared / (2 - shared)) + 0.3 * support.distance / (2 - 2 * lowest)
        assert support.key == ranking.ids[0, n]
        assert support.distance == pytest.approx(ranking.distances[0, n])
        assert support.reranked == pytest.approx(ranking.reranked[0, n], abs=1e-6)
        assert support.reranked == pytest.approx(expected, abs=1e-5)
    assert supports[0].mutual
    assert [weight for _, weight in supports[0].shared] == sorted((w for _, w in supports[0].shared), reverse=True)


# ---- kept on disk


def test_a_saved_graph_answers_as_before_and_goes_on_changing(people, tmp_path):
    gallery, probes = people(150), people(4, seed=5)
    graph = ReciprocalGraph.build(gallery, keys=np.arange(150) + 7, settings=RerankSettings(10, 4, 0.2))
    graph.save(tmp_path / "graph")
    loaded = ReciprocalGraph.load(tmp_path / "graph")
    assert (len(loaded), loaded.dimension, loaded.settings, loaded.stale) == (150, 16, graph.settings, 0)
    for one in (graph, loaded):
        one.add([900], probes[:1])
        one.remove([10])
        one.refresh()
    np.testing.assert_array_equal(loaded.rank(probes, 20).ids, graph.rank(probes, 20).ids)
    np.testing.assert_array_equal(loaded.rank(probes, 20).reranked, graph.rank(probes, 20).reranked)


def test_a_damaged_file_is_never_believed(people, tmp_path):
    ReciprocalGraph.build(people(30)).save(tmp_path / "graph")
    whole = (tmp_path / "graph").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad").write_bytes(flipped)
        with pytest.raises(CorruptGraphError, match="rebuild it"):
            ReciprocalGraph.load(tmp_path / "bad")
    for length in (0, 10, 24, 200, len(whole) // 2, len(whole) - 1, len(whole) + 1):
        (tmp_path / "bad").write_bytes((whole + b"!")[:length])
        with pytest.raises(CorruptGraphError, match="rebuild it"):
            ReciprocalGraph.load(tmp_path / "bad")


# ---- small and wrong


def test_an_empty_graph_takes_items_but_answers_with_a_sentence(people):
    graph = ReciprocalGraph.build(np.zeros((0, 16), np.float32))
    with pytest.raises(RetrievalError, match="the gallery is empty: add items"):
        graph.rank(people(1))
    graph.add([4], people(1))
    assert graph.rank(people(2)).ids.tolist() == [[4], [4]]
    graph.remove([4])
    with pytest.raises(RetrievalError, match="the gallery is empty"):
        graph.search(people(1), 3)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda graph, rows: graph.rank(rows[:, :8] * 0 + 8**-0.5), "8 dimensions and the graph 16"),
        (lambda graph, rows: graph.add([99], rows[:1, :8] * 0 + 8**-0.5), "8 dimensions and the graph 16"),
        (lambda graph, rows: graph.rank(rows * 2), "probes row 0 has length 2"),
        (lambda graph, rows: graph.rank(rows, top=0), "top is 0"),
        (lambda graph, rows: graph.add([5], rows[:1]), "key 5 cannot be added: the last key used is 29"),
        (lambda graph, rows: graph.add([40, 39], rows[:2]), "keys must ascend"),
        (lambda graph, rows: graph.add([40, 40], rows[:2]), "keys must ascend, each used once"),
        (lambda graph, rows: graph.add([40], rows[:2]), "one integer for each of the 2 vectors"),
        (lambda graph, rows: graph.add([0.5], rows[:1]), "one integer for each"),
        (lambda graph, rows: graph.remove([77]), "no item with key 77"),
        (lambda graph, rows: graph.refresh(limit=0), "limit is 0: let a step"),
        (lambda graph, rows: graph.explain(rows[0], [77]), "no item with key 77"),
        (
            lambda graph, rows: graph.rank(rows, found=Ranking(np.array([[NOBODY]]), np.array([[np.inf]]))),
            "30 probes came with a ranking of 1 queries",
        ),
        (lambda graph, rows: ReciprocalGraph.build(rows, keys=np.arange(30) - 1), "key -1 cannot be added"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_changes_nothing(people, act, sentence):
    graph = ReciprocalGraph.build(people(30))
    before = graph.rank(people(3, seed=5), top=30)
    with pytest.raises(RetrievalError, match=sentence):
        act(graph, people(30))
    np.testing.assert_array_equal(graph.rank(people(3, seed=5), top=30).reranked, before.reranked)


# ---- a build that is watched


@pytest.mark.parametrize("threads", [1, 2])
def test_a_build_says_how_far_it_is_and_changes_nothing_by_it(people, threads):
    gallery, seen = people(3000), []
    graph = ReciprocalGraph.build(gallery, threads=threads, progress=lambda done, of: seen.append((done, of)))
    done = [count for count, _ in seen]
    assert len(done) > 3
    assert done == sorted(done)
    assert done[0] < 3000
    assert done[-1] == 3000
    assert {of for _, of in seen} == {3000}
    probes = people(4, seed=5)
    np.testing.assert_array_equal(graph.rank(probes).reranked, ReciprocalGraph.build(gallery).rank(probes).reranked)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("when", [0.1, 0.9])
def test_what_the_watcher_raises_abandons_the_build(people, threads, when):
    calls = []

    def cancel(done, of):
        calls.append(done)
        if done > when * of:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ReciprocalGraph.build(people(3000), threads=threads, progress=cancel)
    assert [done > when * 3000 for done in calls] == [False] * (len(calls) - 1) + [True]
