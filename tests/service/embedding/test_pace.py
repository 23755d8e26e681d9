import math

import pytest

from service.embedding.pace import Arrivals, RunTimes


def times_of(seconds: dict[int, float], padded: bool) -> RunTimes:
    times = RunTimes(tuple(seconds), padded)
    for size, each in seconds.items():
        for _ in range(3):
            times.ran(size, each)
    return times


PROCESSOR = {1: 0.01, 2: 0.0199, 4: 0.0397, 8: 0.079}
GPU = {1: 0.010, 2: 0.010, 4: 0.011, 8: 0.013}


@pytest.mark.parametrize("waiting", [1, 2, 5, 8, 100])
def test_on_a_processor_one_crop_is_run_at_a_time(waiting: int) -> None:
    assert times_of(PROCESSOR, padded=False).take(waiting) == 1


@pytest.mark.parametrize(("waiting", "taken"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (8, 8), (100, 8)])
def test_on_a_gpu_all_that_waits_is_run_at_once(waiting: int, taken: int) -> None:
    assert times_of(GPU, padded=True).take(waiting) == taken


def test_a_batch_is_not_padded_where_that_costs_more_than_running_the_rest_later() -> None:
    # Five as eight take 2.4 a crop, four take 1.
    assert times_of({1: 2.0, 2: 2.5, 4: 4.0, 8: 12.0}, padded=True).take(5) == 4


def test_sizes_are_tried_from_the_smallest_on_until_one_saves_nothing() -> None:
    times = RunTimes((1, 2, 4, 8), padded=False)
    tried = []
    for _ in range(30):
        size = times.take(8)
        tried.append(size)
        times.ran(size, {1: 1.0, 2: 1.5, 4: 3.0, 8: 1.0}[size])
    assert tried[:9] == [1, 1, 1, 2, 2, 2, 4, 4, 4]
    assert set(tried[9:]) == {2}


def test_one_slow_run_among_quick_ones_changes_nothing() -> None:
    times = times_of(GPU, padded=True)
    times.ran(8, 10.0)
    assert times.take(8) == 8


def test_a_size_that_was_slow_long_ago_is_tried_again() -> None:
    times = times_of({1: 1.0, 2: 4.0}, padded=False)
    taken = []
    for _ in range(2100):
        size = times.take(2)
        taken.append(size)
        times.ran(size, 1.0)
    assert taken[:1000] == [1] * 1000
    assert taken[-1] == 2
    assert times.seconds(2) == 1.0


def test_a_session_of_one_fixed_batch_is_given_what_there_is() -> None:
    times = times_of({4: 1.0}, padded=True)
    assert [times.take(waiting) for waiting in (1, 3, 4, 9)] == [1, 3, 4, 4]


@pytest.mark.parametrize("gap", [1e-6, 0.001, 1.0])
def test_on_a_processor_it_never_pays_to_wait(gap: float) -> None:
    assert times_of(PROCESSOR, padded=False).worth_waiting(1, gap) is None


def test_on_a_gpu_it_pays_to_wait_while_crops_come_faster_than_they_are_run() -> None:
    times = times_of(GPU, padded=True)
    assert times.worth_waiting(1, gap=0.0001) == (8, pytest.approx(0.0007))
    assert times.worth_waiting(7, gap=0.0001) == (8, pytest.approx(0.0001))
    assert times.worth_waiting(1, gap=0.02) is None
    assert times.worth_waiting(1, math.inf) is None
    assert times.worth_waiting(8, gap=0.0001) is None


@pytest.mark.parametrize("gap", [0.0005, 0.002, 0.004, 0.01])
@pytest.mark.parametrize("waiting", [1, 2, 3, 5])
def test_waiting_is_advised_exactly_where_it_shortens_the_sum_of_all_times(waiting: int, gap: float) -> None:
    times = times_of(GPU, padded=True)

    def run(crops: int) -> float:
        return GPU[next(size for size in GPU if size >= crops)]

    gains = {}
    for crops in (size for size in GPU if size > waiting):
        first_run_ends = run(waiting)
        at_once = [first_run_ends] * waiting + [first_run_ends + run(crops - waiting)] * (crops - waiting)
        together = [(crops - waiting) * gap + run(crops)] * crops
        gains[crops] = sum(at_once) - sum(together)
    best = max(gains, key=lambda crops: gains[crops])
    advised = times.worth_waiting(waiting, gap)
    if gains[best] <= 0:
        assert advised is None
    else:
        assert advised == (best, pytest.approx((best - waiting) * gap))


def test_arrivals_tell_the_distance_of_crops_and_notice_silence() -> None:
    arrivals = Arrivals()
    assert arrivals.gap(0.0) == math.inf
    for step in range(100):
        arrivals.came(2, step * 1.0)
    assert arrivals.gap(99.1) == pytest.approx(0.5)
    assert arrivals.gap(200.0) == 101.0


def test_the_time_of_a_crop_is_that_of_late_runs_and_unknown_before_any() -> None:
    times = RunTimes((1, 4), padded=True)
    assert times.per_crop() is None
    times.ran(4, 2.0)
    assert times.per_crop() == 0.5


def test_what_runs_took_of_late_is_no_single_slow_or_quick_one() -> None:
    times = RunTimes((1, 2), padded=False)
    times.ran(1, 9.0)
    times.ran(1, 2.0)
    assert times.lately(1) is None
    times.ran(1, 1.0)
    assert times.lately(1) == 2.0
    times.ran(1, 5.0)
    times.ran(1, 5.0)
    assert times.lately(1) == 5.0
    assert times.lately(2) is None
