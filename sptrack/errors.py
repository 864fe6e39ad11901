"""Errors that sptrack raises: the text states the offending value and the allowed range on one line."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["ConvergenceError", "MissingExtraError", "ParameterError", "SptrackError", "nearest", "one_line"]


_LONGEST, _BEGIN, _END = 800, 500, 250


class SptrackError(Exception):
    """Base class of every error raised by sptrack; of a long text (800 characters) the middle is left out."""

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[:_BEGIN]} ... {text[-_END:]}"


class ParameterError(SptrackError, ValueError):
    """A value, name or file that sptrack refuses."""


class MissingExtraError(ParameterError, ImportError):
    """A part of sptrack that needs packages which are not installed: the text names the extra."""


class ConvergenceError(SptrackError, RuntimeError):
    """An iteration that ended before reaching its tolerance."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """Suggest the valid name closest to an unknown one.

    Parameters
    ----------
    name
        The unknown name.
    choices
        The valid names.

    Returns
    -------
    str
        `` (did you mean 'x'?)`` to append to an error text, or an empty string when nothing is close.
    """
    matches = get_close_matches(name.lower(), list(choices), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def one_line(text: object) -> str:
    """Return a text with every run of blanks and line breaks as one space."""
    return " ".join(str(text).split())
