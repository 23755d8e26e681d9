import numpy as np
import pytest

from retrieval.errors import RetrievalError
from retrieval.labels import Labels, match_labels


def labels(person, camera):
    return Labels(np.array(person), np.array(camera))


def why_no_match(query, gallery, **options):
    with pytest.raises(RetrievalError) as error:
        match_labels(query, gallery, **options).require_a_match()
    return str(error.value)


def test_disjoint_labels_are_named_as_the_reason():
    assert "no gallery item shares the person" in why_no_match(labels([1, 2], [1, 1]), labels([3, 4], [2, 2]))


def test_matches_only_in_the_own_camera_are_named_as_the_reason_with_the_remedy():
    sentence = why_no_match(labels([1, 2], [1, 1]), labels([1, 2], [1, 1]))
    assert "own camera, for 2 of 2 queries" in sentence
    assert "ignore_cameras=True" in sentence
    assert "no gallery item of their person" not in sentence


def test_a_mixture_of_both_reasons_counts_each():
    sentence = why_no_match(labels([1, 2, 7], [1, 1, 1]), labels([1, 3], [1, 1]))
    assert "own camera, for 1 of 3 queries" in sentence
    assert "the other 2 have no gallery item of their person" in sentence


def test_an_empty_side_is_named():
    assert "there are no queries" in why_no_match(labels([], []), labels([1], [1]))
    assert "the gallery is empty" in why_no_match(labels([1], [1]), labels([], []))


def test_a_side_that_is_all_junk_is_named():
    assert "all 2 gallery items carry the junk label" in why_no_match(labels([1], [1]), labels([-1, -1], [1, 2]))
    assert "all 1 queries carry the junk label" in why_no_match(labels([-1], [1]), labels([-1, 1], [1, 2]))


def test_withheld_items_take_no_part():
    matching = match_labels(labels([1], [1]), labels([1, 1, 2], [2, 3, 2]), withheld=np.array([True, False, False]))
    assert matching.kept.tolist() == [1, 2]
    assert matching.matches.tolist() == [1]
    assert matching.gallery_junk == 0


def test_members_are_listed_query_after_query_in_gallery_order():
    query = labels([2, 9, 1, -1], [1, 1, 1, 1])
    gallery = labels([1, 2, -1, 1, 2], [1, 1, 2, 2, 3])
    matching = match_labels(query, gallery)
    assert matching.kept.tolist() == [0, 1, 3, 4]
    rows, positions, ignored = matching.members(0, 4)
    assert rows.tolist() == [0, 0, 2, 2]
    assert positions.tolist() == [1, 3, 0, 2]  # places in `kept`, hence gallery 1, 4, 0, 3
    assert ignored.tolist() == [True, False, True, False]
    rows, positions, _ = matching.members(2, 4)
    assert (rows.tolist(), positions.tolist()) == ([0, 0], [0, 2])
    assert matching.valid.tolist() == [3, 4, 3, 0]


def test_members_of_a_large_gallery_are_in_gallery_order():
    person = np.random.default_rng(0).integers(0, 2, 5000)
    matching = match_labels(labels([0], [1]), Labels(person, np.full(5000, 2)))
    np.testing.assert_array_equal(matching.members(0, 1)[1], np.flatnonzero(person == 0))


def test_text_in_object_arrays_is_taken_and_numbers_in_disguise_are_not():
    side = Labels(np.array(["anna", "ben"], dtype=object), np.array([1, 2]))
    assert match_labels(side, labels(["ben", "anna"], [3, 3])).matches.tolist() == [1, 1]
    with pytest.raises(RetrievalError, match="dtype object: give integers or strings"):
        Labels(np.array(["anna", 2], dtype=object), np.array([1, 2]))
    with pytest.raises(RetrievalError, match="dtype float64: give integers or strings"):
        labels([1.0], [1])


def test_unsigned_and_signed_labels_meet():
    assert match_labels(labels(np.array([7], np.uint64), [1]), labels([7], [2])).matches.tolist() == [1]


def test_labels_that_could_never_be_equal_are_refused():
    with pytest.raises(RetrievalError, match="person labels of the queries are integers, those of the gallery strings"):
        match_labels(labels([1], [1]), labels(["1"], [1]))
    with pytest.raises(RetrievalError, match="camera labels of the queries are strings"):
        match_labels(labels([1], ["c1"]), labels([1], [1]))


def test_sides_of_the_wrong_shape_are_refused():
    with pytest.raises(RetrievalError, match="2 person labels but 1 camera labels"):
        labels([1, 2], [1])
    with pytest.raises(RetrievalError, match=r"person labels have shape \(1, 2\)"):
        labels([[1, 2]], [1])


def test_a_junk_label_that_is_no_integer_is_refused_beside_integer_labels():
    with pytest.raises(RetrievalError, match="junk is 'nobody' but the person labels are integers"):
        match_labels(labels([1], [1]), labels([1], [2]), junk="nobody")


@pytest.mark.parametrize("labels_given", [[1, 2], ["a", "b"]])
def test_labels_are_copied_and_read_only(labels_given):
    person = np.array(labels_given)
    side = Labels(person, np.array([1, 1]))
    person[0] = person[1]
    assert side.person.tolist() == labels_given
    with pytest.raises(ValueError, match="read-only"):
        side.person[0] = side.person[1]
