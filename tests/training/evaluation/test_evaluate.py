"""The whole way, from files on disk to scores, against a literal evaluation: plain loops, no onnxruntime."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import Bundle, InputSpec, Session, to_crop
from training.data import Dataset, load_dataset
from training.evaluation import EvaluationError, evaluate, open_trial, unknown_queries

SPEC = InputSpec(name="x", height=16, width=8, resize="bilinear", layout="NHWC", dtype="uint8", colour="RGB")


def session_of(model):
    return Session(Bundle.open(model.path), device="cpu", threads=1)


def crops_of(split):
    crops = []
    for picture in split:
        with Image.open(picture.source) as image:
            crops.append(to_crop(image, SPEC))
    return np.stack(crops)


def literal(model, dataset, *, ignore_cameras=False, vectors=None, gallery_rows=None):
    """Per scored query (place: step AP, trapezoid AP, INP, first rank), and the scores of pairs, one by one."""
    query_vectors = model.embed(crops_of(dataset.query)) if vectors is None else vectors
    gallery_vectors = model.embed(crops_of(dataset.gallery))
    scores, same, different = {}, [], []
    for q, asked in enumerate(dataset.query):
        found = []
        for g, other in enumerate(dataset.gallery):
            if other.person == "-1" or (gallery_rows is not None and g not in gallery_rows):
                continue
            if other.person == asked.person and other.camera == asked.camera and not ignore_cameras:
                continue
            cosine = float(query_vectors[q] @ gallery_vectors[g])
            found.append((-cosine, g, other.person == asked.person))
            (same if other.person == asked.person else different).append(cosine)
        right = [rank for rank, (_, _, match) in enumerate(sorted(found), start=1) if match]
        if not right:
            continue
        step = sum(k / rank for k, rank in enumerate(right, start=1)) / len(right)
        trapezoid = 0.0
        for k, rank in enumerate(right, start=1):
            before = 1.0 if rank == 1 else (k - 1) / (rank - 1)
            trapezoid += (before + k / rank) / 2 / len(right)
        scores[q] = step, trapezoid, len(right) / right[-1], right[0]
    return scores, np.array(same), np.array(different)


@pytest.mark.parametrize("foreign", [False, True])
def test_scores_are_those_of_a_literal_evaluation(linear_model, colourful_market, foreign):
    model = linear_model(foreign=foreign)
    dataset = load_dataset(f"market1501:{colourful_market()}")
    evaluation = evaluate(open_trial(session_of(model), dataset))
    scores, same, different = literal(model, dataset)
    ranking = evaluation.ranking
    steps, trapezoids, inps, firsts = zip(*scores.values(), strict=True)
    assert 0.15 < np.mean(steps) < 0.95  # neither trivial nor hopeless
    assert ranking.map_step == pytest.approx(np.mean(steps), abs=1e-12)
    assert ranking.map_trapezoid == pytest.approx(np.mean(trapezoids), abs=1e-12)
    assert ranking.minp == pytest.approx(np.mean(inps), abs=1e-12)
    for rank, share in ((1, ranking.rank1), (5, ranking.rank5), (10, ranking.rank10)):
        assert share == np.mean([first <= rank for first in firsts])
    for point in evaluation.verification:
        assert (point.positives, point.negatives) == (len(same), len(different))
        assert point.true_accept_rate == np.mean(same >= point.threshold)
        assert np.mean(different >= point.threshold) <= point.false_accept_rate


def test_ignored_cameras_make_finds_in_the_own_camera_count(linear_model, colourful_market):
    model = linear_model()
    dataset = load_dataset(f"market1501:{colourful_market()}")
    evaluation = evaluate(open_trial(session_of(model), dataset, ignore_cameras=True))
    scores, same, _ = literal(model, dataset, ignore_cameras=True)
    assert evaluation.ranking.map_step == pytest.approx(np.mean([score[0] for score in scores.values()]), abs=1e-12)
    assert evaluation.verification[0].positives == len(same)
    assert evaluation.ranking.pairs_own_camera == 0


def test_junk_is_counted_and_changes_nothing(linear_model, colourful_market):
    session = session_of(linear_model())
    dataset = load_dataset(f"market1501:{colourful_market(junk=4)}")
    cleaned = Dataset("clean", query=dataset.query, gallery=dataset.gallery.take(range(4, len(dataset.gallery))))
    with_junk = open_trial(session, dataset, keep_junk=True)
    without = open_trial(session, cleaned)
    assert (with_junk.junk, without.junk) == (4, 0)
    assert {picture.person for picture in with_junk.junk_pictures.split} == {"-1"}
    assert "-1" not in with_junk.gallery.split.people
    for rerank in ("off", "exact"):
        assert evaluate(with_junk, rerank).ranking.map_step == evaluate(without, rerank).ranking.map_step


def test_a_multi_query_is_the_mean_of_the_persons_pictures_from_that_camera(linear_model, colourful_market):
    model = linear_model()
    dataset = load_dataset(f"market1501:{colourful_market(pooled=3)}")
    # the first query is left without further pictures
    first = dataset.query[0]
    rest = [p for p in dataset.multi_query if (p.person, p.camera) != (first.person, first.camera)]
    dataset = Dataset(
        "m", query=dataset.query, gallery=dataset.gallery, multi_query=type(dataset.query)(tuple(rest)), junk="-1"
    )
    vectors = model.embed(crops_of(dataset.query))
    further = model.embed(crops_of(dataset.multi_query))
    for place, picture in enumerate(dataset.query):
        rows = [r for r, p in enumerate(rest) if (p.person, p.camera) == (picture.person, picture.camera)]
        assert len(rows) == (0 if place == 0 else 3)
        if rows:
            mean = sum(further[row] for row in rows)
            vectors[place] = mean / math.sqrt(sum(mean**2))
    trial = open_trial(session_of(model), dataset, multi_query=True)
    assert (trial.multi_query, trial.multi_query_alone) == (len(rest), 1)
    np.testing.assert_allclose(trial.query.vectors, vectors, atol=1e-6)
    scores, _, _ = literal(model, dataset, vectors=vectors)
    assert evaluate(trial).ranking.map_step == pytest.approx(np.mean([s[0] for s in scores.values()]), abs=1e-12)


def test_pictures_that_cannot_be_read_are_named_and_left_out(linear_model, colourful_market):
    session = session_of(linear_model())
    root = colourful_market()
    broken = [root / "query" / "0001_c1s1_000001_00.png", root / "bounding_box_test" / "0002_c2s1_000002_00.png"]
    for file in broken:
        file.write_bytes(b"no picture")
    trial = open_trial(session, load_dataset(f"market1501:{root}"))
    assert len(trial.unreadable) == 2
    for file, sentence in zip(broken, trial.unreadable, strict=True):
        assert str(file) in sentence
    for file in broken:
        file.unlink()
    again = open_trial(session, load_dataset(f"market1501:{root}"))
    assert not again.unreadable
    assert evaluate(trial).ranking.map_step == evaluate(again).ranking.map_step


def test_a_split_without_a_readable_picture_is_a_sentence(linear_model, colourful_market):
    root = colourful_market(people=2)
    for file in (root / "query").iterdir():
        file.write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"none of the \d+ query pictures can be read; the first: .*query"):
        open_trial(session_of(linear_model()), load_dataset(f"market1501:{root}"))


def test_the_view_table_keeps_one_view_of_the_gallery_at_a_time(linear_model, colourful_market):
    model = linear_model()
    root = colourful_market(viewpoints=True)
    dataset = load_dataset(f"market1501:{root},viewpoints={root / 'viewpoints.csv'}")
    table = evaluate(open_trial(session_of(model), dataset)).views
    assert table.source == "labels of the dataset"
    same, cross = [], []
    for gallery_view in range(3):
        kept = set(np.flatnonzero(dataset.gallery.views == gallery_view).tolist())
        scores, _, _ = literal(model, dataset, gallery_rows=kept)
        not_junk = [g for g in kept if dataset.gallery[g].person != "-1"]
        assert table.gallery[gallery_view] == len(not_junk)
        for query_view in range(3):
            mine = [score[0] for q, score in scores.items() if dataset.query.views[q] == query_view]
            assert table.queries[query_view, gallery_view] == len(mine)
            assert table.mean_ap[query_view, gallery_view] == pytest.approx(np.mean(mine), abs=1e-12)
            (same if query_view == gallery_view else cross).extend(mine)
    assert table.same == pytest.approx(np.mean(same), abs=1e-12)
    assert table.cross == pytest.approx(np.mean(cross), abs=1e-12)


def test_the_camera_table_keeps_one_camera_of_the_gallery_at_a_time(linear_model, colourful_market):
    model, root = linear_model(), colourful_market()
    dataset = load_dataset(f"market1501:{root}")
    table = evaluate(open_trial(session_of(model), dataset), "online").cameras
    assert table.names == tuple(sorted(set(dataset.query.cameras) | set(dataset.gallery.cameras)))
    plain = evaluate(open_trial(session_of(model), dataset)).cameras
    assert not np.isfinite(np.diag(plain.mean_ap)).any()  # finds in the query's own camera do not count
    cross = []
    for place, camera in enumerate(table.names):
        kept = set(np.flatnonzero(dataset.gallery.cameras == camera).tolist())
        scores, _, _ = literal(model, dataset, gallery_rows=kept)
        for asked_place, asked in enumerate(table.names):
            mine = [score[0] for q, score in scores.items() if dataset.query.cameras[q] == asked]
            assert plain.queries[asked_place, place] == len(mine)
            if mine:
                assert plain.mean_ap[asked_place, place] == pytest.approx(np.mean(mine), abs=1e-12)
            cross.extend(mine)
    assert plain.cross == pytest.approx(np.mean(cross), abs=1e-12)
    ignoring = evaluate(open_trial(session_of(model), dataset, ignore_cameras=True))
    assert ignoring.cameras is None


def test_without_labels_the_models_own_viewpoints_are_used_and_said_to_be(linear_model, colourful_market):
    model = linear_model(viewpoint=True)
    dataset = load_dataset(f"market1501:{colourful_market(junk=0)}")
    trial = open_trial(session_of(model), dataset)
    assert trial.views.source == "the model's own answers"
    np.testing.assert_array_equal(trial.views.gallery, model.viewpoints(crops_of(dataset.gallery)))
    assert evaluate(trial).views.gallery.sum() == len(dataset.gallery)


def test_without_labels_or_a_telling_model_there_is_no_view_table(linear_model, colourful_market):
    trial = open_trial(session_of(linear_model()), load_dataset(f"market1501:{colourful_market()}"))
    assert trial.views is None
    assert evaluate(trial).views is None


def test_open_set_withholds_half_of_the_people_and_counts_their_alarms(linear_model, colourful_market):
    model = linear_model()
    dataset = load_dataset(f"market1501:{colourful_market()}")
    metrics = evaluate(open_trial(session_of(model), dataset)).open_set
    unknown = unknown_queries(dataset.query.persons)
    strangers = {picture.person for picture, gone in zip(dataset.query, unknown, strict=True) if gone}
    assert len(strangers) == 3  # half of 7
    query, gallery = model.embed(crops_of(dataset.query)), model.embed(crops_of(dataset.gallery))
    alarms, finds, known = [], [], 0
    for q, asked in enumerate(dataset.query):
        counting = [
            (float(query[q] @ gallery[g]), other.person == asked.person)
            for g, other in enumerate(dataset.gallery)
            if other.person != "-1"
            and other.person not in strangers
            and not (other.person == asked.person and other.camera == asked.camera)
        ]
        score, right = max(counting)
        if asked.person in strangers:
            alarms.append(score)
        else:
            known += 1
            finds += [score] if right else []
    assert (metrics.known, metrics.unknown) == (known, len(alarms))
    for point in metrics.points:
        assert point.false_alarms == sum(alarm >= point.threshold for alarm in alarms)
        assert point.false_alarms <= point.false_alarm_rate * len(alarms)
        assert point.detection_rate == pytest.approx(sum(find >= point.threshold for find in finds) / known)
    assert metrics.points[0].detection_rate > 0


def test_who_is_unknown_depends_on_the_labels_alone():
    persons = np.array(["7", "2", "9", "4", "2", "5"])
    order = np.array([3, 1, 0, 5, 4, 2])
    unknown = unknown_queries(persons)
    np.testing.assert_array_equal(unknown_queries(persons[order]), unknown[order])
    assert len(set(persons[unknown])) == 2
    assert not set(persons[unknown]) & set(persons[~unknown])
    assert not unknown_queries(np.array(["1", "1"])).any()


def test_one_queried_person_leaves_the_open_set_unmeasured_with_the_reason(linear_model, colourful_market):
    dataset = load_dataset(f"market1501:{colourful_market()}")
    alone = [place for place, picture in enumerate(dataset.query) if picture.person == "0002"]
    dataset = Dataset("m", query=dataset.query.take(alone), gallery=dataset.gallery, junk="-1")
    evaluation = evaluate(open_trial(session_of(linear_model()), dataset))
    assert evaluation.open_set is None
    assert "one person alone is queried" in evaluation.open_set_reason


def test_what_cannot_be_evaluated_is_said_before_anything_is_embedded(linear_model, colourful_market, tmp_path):
    session = session_of(linear_model())
    dataset = load_dataset(f"market1501:{colourful_market()}")
    with pytest.raises(EvaluationError, match=r"market1501 has no query pictures.*split=test"):
        open_trial(session, Dataset("market1501", train=dataset.train, gallery=dataset.gallery))
    with pytest.raises(EvaluationError, match=r"--multi-query needs Market-1501's folder gt_bbox"):
        open_trial(session, dataset, multi_query=True)
    for person in ("a", "b"):
        (tmp_path / "f" / person).mkdir(parents=True)
        for at in range(3):
            Image.new("RGB", (4, 8), (at, 9, 9)).save(tmp_path / "f" / person / f"{at}.png")
    with pytest.raises(EvaluationError, match=r"camera of 2 of 2 query pictures is not known.*--ignore-cameras"):
        open_trial(session, load_dataset(f"folder:{Path(tmp_path / 'f')},split=test"))
