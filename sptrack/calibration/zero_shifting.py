"""Zero-shifting: pulse every cell up and down until it rests at its symmetric point, and read it there.

Source: Kim et al. 2019 (the procedure); Xiao et al. 2026, arXiv 2602.21321, eq. (7) and Theorems 2.2, C.2 to
C.4.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.crossbar.protocol import PulsedArray
from sptrack.errors import ParameterError, nearest

Array = NDArray[Any]

PROGRAMS = {"cyclic": "alternating", "stochastic": "random"}
_REPORTS = 20

Progress = Callable[[int, int], None]
"""Called with the pulses sent so far and the last pulse count of the schedule."""

StopRule = Callable[[int, Array, Array], bool]
"""Called with the pulses sent, the new and the previous estimate [R, C]: True ends the calibration."""


class Estimates(NamedTuple):
    """Symmetric points read after each pulse count of the schedule.

    Attributes
    ----------
    pulses : int64 array [n]
        Pulses sent to each cell.
    points : array [n, R, C]
        Estimates, weight units.
    mode : str
        "cyclic" or "stochastic".
    read_noise : float
        Std of the reading noise asked for, weight units.
    stopped : bool
        Whether a stop rule ended the run before its schedule.
    """

    pulses: Array
    points: Array
    mode: str
    read_noise: float
    stopped: bool


def settled(tolerance: float) -> StopRule:
    """Stop rule: the RMS change of the estimates between reads is at most ``tolerance`` (weight units).

    The change is not the error: where the error shrinks by a factor r from read to read, what is left is r/(1
    - r) times the last change.

    Raises
    ------
    ParameterError
        If the tolerance is not above 0.
    """
    if not tolerance > 0:
        raise ParameterError(f"tolerance = {tolerance}: above 0 wanted")
    return lambda pulses, new, old: bool(np.sqrt(np.mean((new - old) ** 2)) <= tolerance)


def check_schedule(pulses: Sequence[int], mode: str, read_noise: float = 0.0) -> tuple[int, ...]:
    """Pulse counts of a schedule, checked with the mode and the reading noise before anything is sent.

    Parameters
    ----------
    pulses, mode, read_noise
        As in `zero_shift`.

    Returns
    -------
    tuple of int
        The counts.

    Raises
    ------
    ParameterError
        An empty schedule, counts that do not rise from at least 1 or are not whole, odd counts in cyclic
        mode, an unknown mode, or a reading noise that is negative or not finite.
    """
    if mode not in PROGRAMS:
        raise ParameterError(f"mode {mode!r}: one of {', '.join(PROGRAMS)} wanted{nearest(mode, PROGRAMS)}")
    if not (np.isfinite(read_noise) and read_noise >= 0):
        raise ParameterError(f"read_noise = {read_noise}: a finite number >= 0 (weight units) wanted")
    rises = all(a < b for a, b in zip((0, *pulses), pulses, strict=False))
    if not (len(pulses) and rises and all(n == int(n) for n in pulses)):
        given = " ".join(map(str, pulses)) or "(none)"
        raise ParameterError(f"pulses {given}: rising whole numbers from 1 on wanted")
    odd = [n for n in pulses if n % 2]
    if mode == "cyclic" and odd:
        raise ParameterError(
            f"pulses {odd[0]}: even counts wanted in cyclic mode (the bias changes sign with the last pulse)"
        )
    return tuple(int(n) for n in pulses)


def zero_shift(
    array: PulsedArray,
    pulses: Sequence[int] = (500, 1000, 2000, 4000, 8000),
    *,
    mode: str = "cyclic",
    read_noise: float = 0.0,
    progress: Progress | None = None,
    stop: StopRule | None = None,
) -> Estimates:
    """Estimate the symmetric point of every cell by zero-shifting, with reads along the way.

    Parameters
    ----------
    array : PulsedArray
        A `Crossbar` or a bench of one's own. Its cells end near their symmetric points. In cyclic mode every
        call of its ``pulse`` asks for an even number of pulses.
    pulses : sequence of int
        Rising pulse counts after which the cells are read; even in cyclic mode.
    mode : str
        "cyclic" (up, down, up, ..., as hardware does) or "stochastic" (a fair coin per cell and pulse, eq.
        (7)).
    read_noise : float
        Std of the reading noise asked of the array, weight units.
    progress : callable or None
        Called about twenty times with (pulses sent, last count).
    stop : callable or None
        See `StopRule`, for instance `settled`.

    Returns
    -------
    Estimates

    Raises
    ------
    ParameterError
        See `check_schedule`.
    """
    counts = check_schedule(pulses, mode, read_noise)
    part = 2 * max(1, counts[-1] // (2 * _REPORTS))
    points: list[Array] = []
    sent = 0
    for count in counts:
        while sent < count:
            step = min(part, count - sent)
            array.pulse(PROGRAMS[mode], step)
            sent += step
            if progress is not None:
                progress(sent, counts[-1])
        points.append(array.read(read_noise))
        if stop is not None and len(points) > 1 and stop(sent, points[-1], points[-2]):
            break
    done = np.array(counts[: len(points)], np.int64)
    return Estimates(done, np.stack(points), mode, read_noise, len(points) < len(counts))
