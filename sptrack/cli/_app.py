"""The `sptrack` command: registration of its commands and the meaning of exit statuses.

A command is a function that returns an exit status or None (0). It writes results to stdout, messages to
stderr, and reports bad input by raising `SptrackError`: exit status 2 and one line.
"""

import codecs
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, get_args

from cyclopts import App, CoercionError, CycloptsError, Group, Parameter, Token, convert

from sptrack import SptrackError, __version__
from sptrack.cli._signals import EndingSignals, Terminated
from sptrack.errors import ParameterError, one_line
from sptrack.invocation import invoked_as

BAD_INPUT, DEFECT, INCOMPLETE = 2, 70, 75
_ASCII = str.maketrans({"±": "+-", "≤": "<=", "≥": ">=", "×": "x", "µ": "u", "…": "...", "─": "-", "━": "-"})


def _exactly(kind: Any, tokens: Sequence[Token]) -> Any:
    """Value of the words of an option; fractions are not rounded to whole numbers."""
    if int in (kind, *get_args(kind)):
        for token in tokens:
            if "." in token.value:
                raise CoercionError(token=token, target_type=int)
    return convert(kind, tokens)


app = App(
    name="sptrack",
    version=__version__,
    help="Signal processing for analog reference tracking: symmetric points of resistive crossbar cells.\n\n"
    "Start with sptrack calibrate: it finds the symmetric points of a default device, in seconds. "
    "sptrack COMMAND --help tells the options of a command.",
    default_parameter=Parameter(negative="", converter=_exactly),
    suppress_keyboard_interrupt=False,
)
_COMMANDS = {
    "Devices": {
        "devices": "List devices, or show one.",
        "fit": "Fit a device to measured pulse responses of one or many cells.",
    },
    "Symmetric points before training": {
        "calibrate": "Find the symmetric point of every cell and certify the result.",
        "verify": "Check the bounds on zero-shifting by simulation.",
    },
    "Filters and choppers": {
        "design": "Choose filter, chopper and rates for requirements, and simulate the choice.",
        "response": "Show the response of a filter and a chopper, and the error that remains.",
        "explain": "Explain what the settings of a method amount to, with warnings.",
    },
    "Tracking during training": {
        "track": "Run methods on a problem and compare them.",
        "tune": "Tune the settings of a method, scored on held-out problems.",
        "budget": "Split the error of the tracked symmetric points by its sources.",
        "train": "Train a neural network on analog arrays and compare methods.",
    },
    "Many runs, reports, installation": {
        "sweep": "Run a command over a grid or sample of its parameters.",
        "report": "Make one HTML page of a result folder.",
        "doctor": "Report what this installation offers.",
        "warmup": "Compile all kernels now, so that no command has to wait.",
    },
}
for _place, (_group, _helps) in enumerate(_COMMANDS.items()):
    _shown = Group(_group, sort_key=_place)
    for _name, _help in _helps.items():
        app.command(f"sptrack.cli.{_name}:{_name}", name=_name, help=_help, group=_shown)

app.register_install_completion_command(help="Install completion for bash, zsh or fish, and say where.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Parameters
    ----------
    arguments
        Words after the program name; those of the process by default.

    Returns
    -------
    int
        Exit status: the command's own (0 when it returns None, 1 where a target is missed), 2 on bad input,
        too little memory or a refusing file system, 130 when interrupted, 143 when terminated, 141 when the
        reader of stdout went away, 70 after a defect, whose traceback is printed, 75 when a sweep misses
        cells that the same command would compute.
    """
    _open_closed_streams()
    _tolerate_narrow_streams()
    try:
        with EndingSignals():
            return _status(sys.argv[1:] if arguments is None else arguments)
    except Exception:
        traceback.print_exc()
        return _fail("a defect of sptrack, please report it with the lines above", DEFECT)
    except Terminated:
        return _fail("terminated", 128 + signal.SIGTERM)
    except KeyboardInterrupt:
        return _fail("interrupted", 128 + signal.SIGINT)


def _status(arguments: Sequence[str]) -> int:
    try:
        _check_variables()
        status = run(arguments)
        sys.stdout.flush()
    except (CycloptsError, SptrackError) as error:
        return _fail(str(error), BAD_INPUT)
    except MemoryError as error:
        return _fail(f"not enough memory: {error or 'use fewer cells'}", BAD_INPUT)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        return _fail("the system lets this process start no more threads; use --threads 1", BAD_INPUT)
    except BrokenPipeError:
        # what Python still holds for stdout must not be flushed into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich has turned it into status 1
            return 128 + signal.SIGPIPE
        raise
    except OSError as error:
        return _fail(f"{error.filename or 'file system'}: {error.strerror or error}", BAD_INPUT)
    return status


def _check_variables() -> None:
    """Refuse a variable with which numba cannot be imported, or prints a traceback (ParameterError)."""
    name = "NUMBA_NUM_THREADS"
    value = os.environ.get(name, "1")
    if not value.strip():
        del os.environ[name]
    elif not (value.strip().isdecimal() and int(value) >= 1):
        raise ParameterError(f"{name} must be a whole number >= 1, got {value!r}: unset it")


def _open_closed_streams() -> None:
    """Open what the caller closed (``>&-``), lest a file of results be opened in its place."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))


def _tolerate_narrow_streams() -> None:
    """Print characters that a stream cannot show (±, lines of tables on ASCII terminals) by ASCII ones."""
    codecs.register_error("sptrack", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="sptrack")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].translate(_ASCII).encode(
        "ascii", "replace"
    ).decode(), error.end


def run(arguments: Sequence[str]) -> int:
    """Exit status of the command, whose errors are raised."""
    with invoked_as(arguments):
        result = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def _fail(message: str, status: int) -> int:
    with suppress(OSError):  # where stderr cannot be written to, the status tells
        print("sptrack:", one_line(message), file=sys.stderr)
    return status
