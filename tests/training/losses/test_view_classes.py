"""`ViewClasses` maps (person, view) to a class and back, with three views a person or only those that occur."""

import pytest
import torch

from training.losses import LossError, ViewClasses


def test_with_every_view_the_class_is_three_times_the_person_plus_the_view() -> None:
    mapping = ViewClasses.every_view(4)
    assert (mapping.num_classes, mapping.num_persons) == (12, 4)
    for person in range(4):
        for view in range(3):
            found = mapping.classes(torch.tensor([person]), torch.tensor([view])).item()
            assert found == 3 * person + view
            assert (mapping.person_of[found].item(), mapping.view_of[found].item()) == (person, view)


def test_only_combinations_that_occur_get_a_class_ordered_by_person_then_view() -> None:
    persons = torch.tensor([2, 0, 0, 2, 1, 0, 3])
    views = torch.tensor([1, 2, 0, 1, -1, 2, 2])
    mapping = ViewClasses.occurring(persons, views)
    assert list(zip(mapping.person_of.tolist(), mapping.view_of.tolist(), strict=True)) == [
        (0, 0),
        (0, 2),
        (2, 1),
        (3, 2),
    ]
    assert mapping.class_of.tolist() == [[0, -1, 1], [-1, -1, -1], [-1, 2, -1], [-1, -1, 3]]
    assert mapping.classes(persons, views).tolist() == [2, 1, 0, 2, -1, 1, 3]


def test_a_combination_without_a_class_is_refused_by_name() -> None:
    mapping = ViewClasses.occurring(torch.tensor([0, 1]), torch.tensor([0, 2]))
    with pytest.raises(LossError, match="person 1 has no class for view 0 among the 2 id x view classes of 2 persons"):
        mapping.classes(torch.tensor([0, 1]), torch.tensor([0, 0]))


def test_a_person_beyond_the_last_is_refused_by_name() -> None:
    with pytest.raises(LossError, match="person 7 has no class for view 1"):
        ViewClasses.every_view(2).classes(torch.tensor([0, 7]), torch.tensor([0, 1]))


def test_a_training_set_without_any_known_view_is_refused() -> None:
    with pytest.raises(LossError, match="no training image has a known viewpoint"):
        ViewClasses.occurring(torch.tensor([0, 1]), torch.tensor([-1, -1]))


def test_a_label_that_is_no_view_is_refused() -> None:
    with pytest.raises(LossError, match="view label 3"):
        ViewClasses.occurring(torch.tensor([0, 1]), torch.tensor([0, 3]))


def test_existence_must_be_said_for_three_views_a_person() -> None:
    with pytest.raises(LossError, match=r"exists must be bool \(persons, 3\)"):
        ViewClasses(torch.ones(4, 2, dtype=torch.bool))


def test_the_mapping_stays_with_the_checkpoint() -> None:
    saved = ViewClasses.occurring(torch.tensor([0, 1]), torch.tensor([0, 2]))
    other = ViewClasses.occurring(torch.tensor([0, 1]), torch.tensor([1, 1]))
    other.load_state_dict(saved.state_dict())
    assert other.class_of.tolist() == saved.class_of.tolist()
    assert other.view_of.tolist() == [0, 2]
