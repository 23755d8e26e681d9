import threading

from retrieval.versions import Versions


def in_a_thread(act):
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_whoever_asks_keeps_the_version_that_was_there_when_it_began():
    versions = Versions("first")
    with versions.asked() as before:
        versions.publish("second")
        with versions.asked() as after:
            assert (before, after, versions.now) == ("first", "second", "second")


def test_nobody_who_asks_waits_while_a_change_is_made():
    versions, answers = Versions("first"), []

    def ask():
        with versions.asked() as value:
            answers.append(value)

    with versions.changing:
        in_a_thread(ask).join(30)
        assert answers == ["first"]


def test_earlier_questions_are_waited_for_and_later_ones_are_not():
    versions, order, asking, finish = Versions("first"), [], threading.Event(), threading.Event()

    def ask():
        with versions.asked():
            asking.set()
            finish.wait(30)
            order.append("answered")

    def change():
        versions.publish("second")
        with versions.asked():  # a question asked after the change keeps nobody
            finish.set()
            versions.wait_for_earlier()
            order.append("waited")

    early = in_a_thread(ask)
    asking.wait(30)
    changing = in_a_thread(change)
    changing.join(30)
    early.join(30)
    assert order == ["answered", "waited"]


def test_a_question_that_fails_keeps_nobody_waiting():
    versions = Versions("first")
    try:
        with versions.asked():
            raise KeyError
    except KeyError:
        pass
    versions.publish("second")
    waiting = in_a_thread(versions.wait_for_earlier)
    waiting.join(30)
    assert not waiting.is_alive()
