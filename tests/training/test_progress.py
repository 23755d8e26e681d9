import io

from rich.console import Console

from training.progress import BarReporter, LineReporter, StepReport, console_reporter
from training.validation import Score

REPORT = StepReport(
    epoch=2,
    epochs=8,
    step=30,
    steps=120,
    parts={"identity": 2.0, "viewpoint": 1.5},
    learning_rate=1e-3,
    images_per_second=250.4,
    seconds_left=95.0,
)


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    reporter = console_reporter(Console(file=out, width=40))
    assert type(reporter) is LineReporter
    reporter.stepped(REPORT)
    reporter.epoch_done(REPORT)
    reporter.validated(0, Score(0.123, 0.2), best=True)
    reporter.validated(2, Score(0.1, 0.25), best=False)
    reporter.noted("[1] is no markup")
    reporter.close()
    assert out.getvalue().splitlines() == [
        "epoch 2/8  loss 3.500 = identity 2.000 + viewpoint 1.500  250 images/s  0:01:35 left",
        "untrained: held-out mAP 12.3%, rank-1 20.0%, the best so far",
        "after epoch 2: held-out mAP 10.0%, rank-1 25.0%",
        "[1] is no markup",
    ]


def test_on_a_terminal_a_bar_shows_the_parts_the_speed_the_time_left_and_the_score() -> None:
    out = io.StringIO()
    reporter = console_reporter(Console(file=out, force_terminal=True, width=160))
    assert isinstance(reporter, BarReporter)
    reporter.validated(1, Score(0.123, 0.2), best=True)
    reporter.stepped(REPORT)
    reporter.close()
    shown = out.getvalue()
    assert "after epoch 1: held-out mAP 12.3%" in shown
    assert "25%" in shown
    assert "identity 2.000 + viewpoint 1.500  250 images/s  0:01:35 left  mAP 12.3%" in shown
