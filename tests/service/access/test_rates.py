import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.access import BadKeyError, Rate, RateLimiter


class Clock:
    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


class Bucket:
    """The slow, literal one: tokens that drip in."""

    def __init__(self, rate, now):
        self.rate, self.tokens, self.at = rate, float(rate.burst), now

    def take(self, tokens, now):
        self.tokens = min(self.rate.burst, self.tokens + (now - self.at) * self.rate.per_second)
        self.at = now
        wanted = min(tokens, self.rate.burst)
        if self.tokens >= wanted - 1e-6:
            self.tokens -= wanted
            return 0.0
        return (wanted - self.tokens) / self.rate.per_second


@settings(deadline=None, max_examples=60)
@given(
    per_second=st.floats(0.1, 100),
    burst=st.integers(1, 20),
    asked=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 25)), max_size=40),
)
def test_it_does_what_a_bucket_of_tokens_does(per_second, burst, asked):
    clock, rate = Clock(), Rate(per_second, burst)
    limiter, bucket = RateLimiter(clock=clock), Bucket(rate, clock.time)
    for passed, tokens in asked:
        clock.time += passed
        assert limiter.take("k", rate, tokens) == pytest.approx(bucket.take(tokens, clock.time), abs=1e-5)


def test_a_burst_is_let_in_and_the_next_is_told_how_long_to_wait():
    clock = Clock()
    limiter, rate = RateLimiter(clock=clock), Rate(2.0, 3)
    assert [limiter.take("k", rate) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("k", rate) == pytest.approx(0.5)
    assert limiter.take("k", rate) == pytest.approx(0.5)  # a refusal takes nothing
    clock.time += 0.5
    assert limiter.take("k", rate) == 0
    assert limiter.take("k", rate) > 0
    assert limiter.take("another", rate) == 0


def test_waiting_as_long_as_was_told_is_long_enough():
    clock = Clock()
    clock.time = 1e7 / 3
    limiter, rate = RateLimiter(clock=clock), Rate(0.3, 1)
    assert limiter.take("k", rate) == 0
    for _ in range(100):
        clock.time += limiter.take("k", rate)
        assert limiter.take("k", rate) == 0


def test_memory_is_bounded_and_those_last_seen_are_kept():
    clock = Clock()
    limiter, rate = RateLimiter(most=10, clock=clock), Rate(0.001, 1)
    assert limiter.take("busy", rate) == 0
    for number in range(100):
        limiter.take(f"address {number}", rate)
        assert len(limiter) <= 10
    assert limiter.take("address 99", rate) > 0
    assert limiter.take("busy", rate) == 0  # forgotten, so full again


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (1e9, 1), (1, 0), (1, 10**9)])
def test_a_rate_that_cannot_be_is_refused(per_second, burst):
    with pytest.raises(BadKeyError, match=r"give"):
        Rate(per_second, burst)
