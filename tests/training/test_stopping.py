import os
import signal
from collections.abc import Iterator

import pytest

from training.stopping import stop_on_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_leaves_a_note_and_the_handlers_are_put_back(number: signal.Signals, code: int) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with stop_on_signals() as request:
        assert request.signal == 0
        os.kill(os.getpid(), number)
        assert (request.signal, request.exit_code) == (number, code)
    assert {each: signal.getsignal(each) for each in before} == before


def test_without_a_signal_the_handlers_are_put_back_too() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    with stop_on_signals():
        assert all(signal.getsignal(each) is not handler for each, handler in before.items())
    assert {each: signal.getsignal(each) for each in before} == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Also where the suite runs in the background of a shell, which has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_second_signal_does_what_it_always_does() -> None:
    with stop_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
