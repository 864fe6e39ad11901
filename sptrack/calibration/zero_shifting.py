"""Zero-shifting: pulse every cell up and down until it rests at its symmetric point, and read it there.

Source: Kim et al. 2019 (the procedure); Xiao et al. 2026, arXiv 2602.21321, eq. (7) and Theorems 2.2, C.2 to
C.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration.interface import (
    Driver,
    Estimates,
    Progress,
    Record,
    StopRule,
    check_counts,
    check_read_noise,
)
from sptrack.crossbar.protocol import PulsedArray
from sptrack.errors import ParameterError
from sptrack.values import check_choice, check_number, check_whole

Array = NDArray[Any]

PROGRAMS = {"cyclic": "alternating", "stochastic": "random"}
_REPORTS = 20


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
        raise ParameterError(f"tolerance must be > 0, got {tolerance}")
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
    check_choice("mode", mode, PROGRAMS)
    check_read_noise(read_noise)
    counts = check_counts(pulses)
    odd = [n for n in counts if n % 2]
    if mode == "cyclic" and odd:
        raise ParameterError(
            f"pulses must be even in cyclic mode (the bias changes sign with the last pulse), got {odd[0]}"
        )
    return counts


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
    return ZeroShifting(mode=mode).calibrate(
        array, pulses, read_noise=read_noise, progress=progress, stop=stop
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShifting:
    """Calibrator that pulses up and down until the cells rest at their symmetric points, and reads them.

    Parameters
    ----------
    mode : str
        "cyclic" or "stochastic".
    average : float
        Share of each stretch of pulses, at its end, over which the reads are spread and averaged; 0 averages
        reads of the last state.
    reads : int
        Reads of each cell per pulse count.

    Raises
    ------
    ParameterError
        A setting outside its range.
    """

    mode: str = "cyclic"
    average: float = 0.0
    reads: int = 1

    def __post_init__(self) -> None:
        check_schedule((2,), self.mode)
        check_whole("reads", self.reads, 1)
        check_number("average", self.average, least=0, most=1)

    @property
    def name(self) -> str:
        """Name of the method."""
        kind = "zero-shifting" if self.mode == "cyclic" else "stochastic zero-shifting"
        return f"{kind}, tail average" if self.average else kind

    @property
    def fewest_reads(self) -> int:
        """Fewest reads of a cell per pulse count."""
        return 1

    def calibrate(
        self,
        array: PulsedArray,
        pulses: int | Sequence[int],
        *,
        read_noise: float = 0.0,
        progress: Progress | None = None,
        stop: StopRule | None = None,
    ) -> Estimates:
        """Estimate the symmetric point of every cell; arguments, result and errors as `zero_shift`."""
        schedule = check_counts(pulses)
        counts = check_schedule(schedule, self.mode, read_noise)
        driver = Driver(array, read_noise, progress, counts[-1])
        record = Record(driver, self.name, self.mode, stop)
        part = 2 * max(1, counts[-1] // (2 * _REPORTS))
        stopped, begin = False, 0
        for count in counts:
            places = self._places(begin, count)
            total: Array | None = None
            for place in places:
                _send(driver, PROGRAMS[self.mode], place, part)
                reading = driver.array.read(read_noise)
                driver.reads += 1
                total = reading if total is None else total + reading
            begin = count
            if record.add(np.asarray(total) if len(places) == 1 else np.asarray(total) / len(places)):
                stopped = count != counts[-1]
                break
        return record.estimates(stopped=stopped)

    def _places(self, begin: int, end: int) -> list[int]:
        """Pulse counts at which the reads of a stretch are taken, the last at its end; else even."""
        first = end - self.average * (end - begin)
        return [2 * round(n / 2) if n < end else end for n in np.linspace(end, first, self.reads)][::-1]


def _send(driver: Driver, program: str, until: int, part: int) -> None:
    """Send pulses up to a count, in parts."""
    while driver.pulses < until:
        driver.send(program, int(min(part, until - driver.pulses)))
