import numpy as np
import pytest

from retrieval.approximate.tuning import FINE, Questions, tuned


@pytest.fixture
def rows(people):
    return people(300, of=20, dimensions=16, seed=7)


def truth(rows, probe, count):
    return np.argsort(-(rows @ probe[0]), kind="stable")[:count]


class Asked:
    """Questions whose recall is a known function of effort."""

    def __init__(self, enough):
        self.enough, self.efforts = enough, []

    def recall(self, find, effort):
        self.efforts.append(effort)
        return 0.99 if effort >= self.enough else 0.5


@pytest.mark.parametrize("enough", [1, 10, 37, 100, 999, 4096])
def test_the_least_effort_that_is_enough_is_settled_on(enough):
    asked = Asked(enough)
    tuning = tuned(asked, None, (10, 4096), 0.99, 5000)
    assert max(enough, 10) <= tuning.effort <= max(FINE * enough, 10)
    assert (tuning.recall, tuning.target, tuning.items) == (0.99, 0.99, 5000)
    assert len(asked.efforts) < 15


def test_where_nothing_is_enough_the_most_is_settled_on_and_its_recall_told():
    tuning = tuned(Asked(10_000), None, (10, 4096), 0.99, 5000)
    assert (tuning.effort, tuning.recall) == (4096, 0.5)


def test_a_finder_that_finds_all_has_recall_one_and_one_that_finds_half_has_half(rows):
    questions = Questions(rows, None, also_new=True)
    assert questions.recall(lambda probe, count, effort: truth(rows, probe, count), 1) == 1
    half = questions.recall(lambda probe, count, effort: truth(rows, probe, count)[: 1 + 4], 1)
    assert half == pytest.approx(0.4, abs=1e-9)  # an item finds itself among the five


def test_an_item_does_not_count_for_having_found_itself(rows):
    questions = Questions(rows, None, also_new=True)
    only_itself = questions.recall(lambda probe, count, effort: truth(rows, probe, 1), 1)
    assert only_itself == 0


def test_of_equal_items_one_is_as_good_as_the_other(people):
    rows = np.repeat(people(20, of=20, dimensions=16), 15, axis=0)

    def last_of_its_equals(probe, count, effort):
        alike = np.flatnonzero(rows @ probe[0] > 0.9999)
        return alike[-11:] if len(alike) else truth(rows, probe, 11)

    assert Questions(rows, None, also_new=True).recall(last_of_its_equals, 1) == 1


def test_removed_items_are_neither_asked_about_nor_expected(rows):
    dead = np.arange(0, 300, 2)
    alive = np.arange(1, 300, 2)

    def find(probe, count, effort):
        return alive[truth(rows[alive], probe, count)]

    assert Questions(rows, dead, also_new=True).recall(find, 1) == 1
