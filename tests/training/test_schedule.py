import math

import pytest

from training.recipe import ScheduleTable
from training.schedule import learning_rate_share


def test_the_warmup_rises_in_a_straight_line_to_the_full_rate() -> None:
    schedule = ScheduleTable("step", 100, warmup=10, warmup_from=0.1, milestones=(50,))
    assert [learning_rate_share(schedule, done) for done in (0, 5, 10, 20)] == pytest.approx([0.1, 0.55, 1, 1])


def test_the_step_schedule_multiplies_at_every_milestone() -> None:
    schedule = ScheduleTable("step", 100, milestones=(30, 60), gamma=0.1)
    shares = [learning_rate_share(schedule, done) for done in (0, 29.99, 30, 59.99, 60, 100)]
    assert shares == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_cosine_starts_after_the_warmup_and_ends_at_its_final_share() -> None:
    schedule = ScheduleTable("cosine", 50, warmup=10, final=0.02)
    assert learning_rate_share(schedule, 10) == pytest.approx(1)
    assert learning_rate_share(schedule, 30) == pytest.approx(0.51)
    assert learning_rate_share(schedule, 20) == pytest.approx(0.02 + 0.98 * (1 + math.cos(math.pi / 4)) / 2)
    assert learning_rate_share(schedule, 50) == pytest.approx(0.02)


def test_the_exponential_is_the_support_neighbour_papers() -> None:
    epochs = 150
    schedule = ScheduleTable("exponential", epochs, hold=75, final=0.001)
    for epoch in range(1, epochs + 1):  # as their code counts
        theirs = 1.0 if epoch < 76 else 0.001 ** ((epoch + 1 - 76) / (epochs + 1 - 76))
        assert learning_rate_share(schedule, epoch) == pytest.approx(theirs)


@pytest.mark.parametrize("kind", ["cosine", "exponential"])
def test_a_run_shorter_than_its_warmup_or_its_hold_has_a_rate_all_the_same(kind: str) -> None:
    schedule = ScheduleTable(kind, 2, warmup=5, hold=5, final=0.01)  # type: ignore[arg-type]
    assert 0 < learning_rate_share(schedule, 0) < learning_rate_share(schedule, 2) < 1
