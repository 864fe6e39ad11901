"""Signals that end a command: an exception that cannot be lost removes what is unfinished on the way out."""

import os
import signal
import sys
from threading import current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any, Self

_AGAIN = 0.1
"""Seconds after which the exception is raised again if nothing is handling it."""


class Terminated(BaseException):
    """The process is asked to end: what is unfinished is removed on the way out, as after an interrupt."""


_RAISED: dict[int, type[BaseException]] = {signal.SIGTERM: Terminated, signal.SIGINT: KeyboardInterrupt}


class EndingSignals:
    """Context in which SIGTERM raises `Terminated` and SIGINT `KeyboardInterrupt`, until it is left.

    An exception that a signal raises may be lost: Python ignores it within ``__del__``, weak references,
    the collector and callbacks from C. So an alarm raises it anew while the context lasts and nothing
    is handling it; while ``finally`` and ``except`` blocks clean up, neither alarms nor further signals
    disturb them. The notes that Python writes on ignored exceptions are silenced for these.

    Only signals with Python's own handlers are taken over, in the main thread; all are given back at the end.
    A forked child ends by the signal at once.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._over = False
        self._process = os.getpid()
        self._before: dict[int, Any] = {}
        self._note = sys.unraisablehook

    def __enter__(self) -> Self:
        if current_thread() is main_thread():
            sys.unraisablehook = self._ignored
            for number, own in (
                (signal.SIGTERM, signal.SIG_DFL),
                (signal.SIGINT, signal.default_int_handler),
            ):
                if signal.getsignal(number) is own:
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if current_thread() is main_thread():
            if self._asked:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            sys.unraisablehook = self._note

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self._over:
            return
        if not self._asked:
            self._asked = number
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._stop)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        if not _handled():
            raise _RAISED[self._asked]

    def _ignored(self, ignored: Any) -> None:
        if not (self._asked and issubclass(ignored.exc_type, _RAISED[self._asked])):
            self._note(ignored)


def _handled() -> bool:
    """Whether the interrupted code runs since one of these exceptions was raised: in ``finally``, say."""
    error = sys.exception()
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, tuple(_RAISED.values())):
            return True
        seen.add(id(error))
        error = error.__context__
    return False
