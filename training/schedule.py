"""How the learning rate goes, as a function of the epochs that are done: there is nothing to save."""

import math
from bisect import bisect_right

from training.recipe import ScheduleTable


def learning_rate_share(schedule: ScheduleTable, done: float) -> float:
    """The factor on the recipe's learning rate once `done` of E epochs are done, fractions included.

    cosine       final + (1 - final) (1 + cos(pi u)) / 2,   u = (done - warmup) / (E - warmup)
    step         gamma ^ (milestones that are done)
    exponential  1 until `hold`, then final ^ u,            u = (done - hold) / (E - hold)

    times, for the first `warmup` epochs, warmup_from + (1 - warmup_from) done / warmup.

    The exponential with hold = 75 and final = 0.001 is the support-neighbour paper's: base · 0.001^((e-75) / (E-75))
    in its epoch e = 76, 77, ..., read as the end of that epoch and continued in between.
    """
    share = _after_warmup(schedule, done)
    if done < schedule.warmup:
        share *= schedule.warmup_from + (1 - schedule.warmup_from) * done / schedule.warmup
    return share


def _after_warmup(schedule: ScheduleTable, done: float) -> float:
    if schedule.kind == "step":
        return float(schedule.gamma ** bisect_right(schedule.milestones, done))
    begins = schedule.warmup if schedule.kind == "cosine" else schedule.hold
    left = schedule.epochs - begins
    u = 0.0 if left <= 0 else min(max((done - begins) / left, 0.0), 1.0)
    if schedule.kind == "cosine":
        return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * u)) / 2
    return float(schedule.final**u)
