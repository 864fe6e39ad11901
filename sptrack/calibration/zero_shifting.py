"""Zero-shifting: pulse every cell up and down until it rests at its symmetric point, and read it there.

Source: Kim et al. 2019 (the procedure); Xiao et al. 2026, arXiv 2602.21321, eq. (7) and Theorems 2.2, C.2 to
C.4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration.interface import Calibrator, Driver, Estimate, Estimates, Progress, StopRule
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
        An empty schedule, counts that do not rise from at least 1 or are not whole, odd counts in cyclic
        mode, an unknown mode, or a reading noise that is negative or not finite.
    """
    return ZeroShifting(mode=mode).calibrate(
        array, pulses, read_noise=read_noise, progress=progress, stop=stop
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShifting(Calibrator):
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

    fewest_reads: ClassVar[int] = 1

    mode: str = "cyclic"
    average: float = 0.0
    reads: int = 1

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, PROGRAMS)
        check_whole("reads", self.reads, 1)
        check_number("average", self.average, least=0, most=1)

    @property
    def name(self) -> str:
        """Name of the method."""
        kind = "zero-shifting" if self.mode == "cyclic" else "stochastic zero-shifting"
        return f"{kind}, tail average" if self.average else kind

    def _estimates(self, driver: Driver, counts: tuple[int, ...]) -> Iterator[Estimate]:
        part = 2 * max(1, counts[-1] // (2 * _REPORTS))
        for begin, end in pairwise((0, *counts)):
            reads = (self._read_at(driver, place, part) for place in self._places(begin, end))
            yield Estimate(reduce(add, reads) / self.reads)

    def _places(self, begin: int, end: int) -> list[int]:
        """Pulse counts at which the reads of a stretch are taken, the last at its end; else even."""
        first = end - self.average * (end - begin)
        return [2 * round(n / 2) if n < end else end for n in np.linspace(end, first, self.reads)][::-1]

    def _read_at(self, driver: Driver, place: int, part: int) -> Array:
        """Send pulses up to a count, in parts, and read."""
        while driver.pulses < place:
            driver.send(PROGRAMS[self.mode], int(min(part, place - driver.pulses)))
        driver.reads += 1
        return driver.array.read(driver.read_noise)
