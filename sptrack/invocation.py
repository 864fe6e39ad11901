"""The command line under which results are made, so that a result can say how to make it again."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_COMMAND: ContextVar[str | None] = ContextVar("command", default=None)


@contextmanager
def invoked_as(words: Sequence[str]) -> Iterator[None]:
    """Keep the words of a command line, after the program's name, for results made inside the block.

    Bytes of file names that are no text in UTF-8 are shown by their numbers.
    """
    text = shlex.join(["sptrack", *words])
    token = _COMMAND.set(os.fsencode(text).decode(errors="backslashreplace"))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def command_line() -> str | None:
    """Command line that is running, quoted for a shell; None in a Python program."""
    return _COMMAND.get()
