from dataclasses import asdict

from training.scoreboard import Scoreboard
from training.validation import Score


def test_the_best_is_the_highest_and_of_equals_the_earliest() -> None:
    board = Scoreboard()
    for epoch, value in ((0, 0.2), (5, 0.6), (10, 0.6), (15, 0.5)):
        board = board.with_score(epoch, Score(value, 0.0))
    assert board == Scoreboard(untrained=0.2, best=0.6, best_epoch=5, latest_epoch=15)
    assert Scoreboard.from_dict(asdict(board)) == board


def test_a_worthless_first_network_is_still_the_best_so_far() -> None:
    assert Scoreboard().with_score(0, Score(0.0, 0.0)).best == 0
