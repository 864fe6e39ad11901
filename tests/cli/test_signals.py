"""Signals that end a command, whatever they interrupt."""

import os
import signal
import sys
import time
import weakref

import pytest

from sptrack.cli import _signals, main


class Interrupted:
    """Sends a signal to this process while it is destroyed, where Python ignores exceptions."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)
        for _ in range(1000):
            pass


class Plain:
    pass


def in_del(number):
    Interrupted(number)


def in_weak_callback(number):
    made = Plain()
    weakref.finalize(made, os.kill, os.getpid(), number)
    watch = weakref.ref(made, lambda _: [None for _ in range(1000)])
    del made
    return watch


def in_code_that_swallows(number):
    try:
        os.kill(os.getpid(), number)
        time.sleep(1)
    except BaseException:
        return


def plainly(number):
    os.kill(os.getpid(), number)


PLACES = [in_del, in_weak_callback, in_code_that_swallows, plainly]
ENDS = {signal.SIGTERM: (143, "sptrack: terminated\n"), signal.SIGINT: (130, "sptrack: interrupted\n")}


def run(monkeypatch, command):
    monkeypatch.setattr("sptrack.cli._app.app", lambda *_, **__: command())
    return main([])


@pytest.fixture
def as_found():
    """Handlers and hook are given back."""
    numbers = (*ENDS, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    yield
    assert ([signal.getsignal(number) for number in numbers], sys.unraisablehook) == before


@pytest.mark.usefixtures("as_found")
@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_ends_the_command_wherever_it_arrives(capfd, monkeypatch, place, number):
    done = []

    def command():
        try:
            place(number)
            begin = time.monotonic()
            while time.monotonic() < begin + 20:
                time.sleep(0.01)
            done.append("never ended")
        finally:
            done.append("cleaned")

    assert run(monkeypatch, command) == ENDS[number][0]
    assert done == ["cleaned"]
    assert capfd.readouterr() == ("", ENDS[number][1])


@pytest.mark.usefixtures("as_found")
def test_cleaning_up_is_not_disturbed(capfd, monkeypatch):
    """Neither by the alarm, nor by a second signal, nor in handlers of other errors within."""
    done = []

    def command():
        try:
            plainly(signal.SIGTERM)
            time.sleep(20)
        finally:
            try:
                plainly(signal.SIGINT)
                time.sleep(3 * _signals._AGAIN)
                raise OSError("while cleaning up")
            except OSError:
                time.sleep(3 * _signals._AGAIN)
            done.append("cleaned")

    assert run(monkeypatch, command) == 143
    assert done == ["cleaned"]
    assert capfd.readouterr() == ("", "sptrack: terminated\n")


@pytest.mark.usefixtures("as_found")
def test_a_signal_to_a_forked_child_ends_the_child_alone(monkeypatch):
    def command():
        child = os.fork()
        if not child:
            plainly(signal.SIGTERM)
            time.sleep(20)
            os._exit(0)
        return os.waitpid(child, 0)[1]

    assert run(monkeypatch, command) == signal.SIGTERM


@pytest.mark.usefixtures("as_found")
def test_other_ignored_errors_are_still_told(capfd, monkeypatch):
    """Through the hook that was there."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Faulty:
        def __del__(self):
            raise ValueError("of its own")

    def command():
        Faulty()
        in_del(signal.SIGTERM)
        time.sleep(20)

    assert run(monkeypatch, command) == 143
    assert [one.exc_type for one in told] == [ValueError]


def test_handlers_of_others_are_left_alone(monkeypatch):
    caught = []
    before = signal.signal(signal.SIGTERM, lambda *_: caught.append("theirs"))
    try:
        assert run(monkeypatch, lambda: plainly(signal.SIGTERM)) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == ["theirs"]
