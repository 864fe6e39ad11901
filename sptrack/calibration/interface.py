"""Common parts of calibrators: estimates with their cost, the driver that counts pulses and reads."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.crossbar.protocol import PulsedArray, checked_array, send_counts
from sptrack.errors import ParameterError
from sptrack.values import check_number

Array = NDArray[Any]

Progress = Callable[[int, int], None]
"""Called with the pulses sent so far and the last pulse count of the schedule."""

StopRule = Callable[[int, Array, Array], bool]
"""Called with the pulses sent, the new and the previous estimate [R, C]: True ends the calibration."""


class Estimates(NamedTuple):
    """Symmetric points estimated after each pulse count of the schedule, and what they cost.

    Attributes
    ----------
    pulses : int64 array [n]
        Pulses sent to each cell; their mean over cells, rounded up, where cells get different numbers.
    points : array [n, R, C]
        Estimates, weight units.
    mode : str
        "cyclic" or "stochastic"; "bursts" for methods that send none of both.
    read_noise : float
        Std of the reading noise asked for, weight units.
    stopped : bool
        Whether a stop rule ended the run before its schedule.
    reads : int64 array [n] or None
        Reads of each cell so far; None counts one per estimate.
    uncertainty : array [n, R, C] or None
        Standard error that the method itself states for each cell, weight units.
    placement : array [n] or None
        Pulses per cell, on average, that would still bring the cells to their points; None: they are there.
    prior_fraction : array [n] or None
        Share of the estimates that comes from a prior and not from reads, 0 to 1, mean over cells.
    method : str
        Name of the calibrator.
    """

    pulses: Array
    points: Array
    mode: str
    read_noise: float
    stopped: bool
    reads: Array | None = None
    uncertainty: Array | None = None
    placement: Array | None = None
    prior_fraction: Array | None = None
    method: str = "zero-shifting"

    @property
    def reads_spent(self) -> Array:
        """Reads of each cell up to each estimate, int64 [n]."""
        return np.arange(1, len(self.pulses) + 1) if self.reads is None else self.reads

    @property
    def placement_pulses(self) -> Array:
        """Pulses per cell that would bring the cells to their points, [n]; 0 where they are there."""
        return np.zeros(len(self.pulses)) if self.placement is None else self.placement


def check_read_noise(read_noise: float) -> float:
    """The std of the reading noise as it is given.

    Raises
    ------
    ParameterError
        If it is negative or not finite.
    """
    check_number("read_noise", read_noise, least=0)
    return read_noise


def check_counts(pulses: int | Sequence[int], least: int = 1, *, mode: str = "bursts") -> tuple[int, ...]:
    """Pulse counts of a schedule, checked before anything is sent.

    Raises
    ------
    ParameterError
        An empty schedule, or counts that are not whole, do not rise, start below ``least``, or are odd in
        cyclic mode.
    """
    counts = tuple(pulses) if isinstance(pulses, Sequence | np.ndarray) else (pulses,)
    rises = all(a < b for a, b in zip((0, *counts), counts, strict=False))
    if not (len(counts) and rises and all(n == int(n) for n in counts) and counts[0] >= least):
        given = " ".join(map(str, counts)) or "(none)"
        raise ParameterError(f"pulses must be rising whole numbers >= {least}, got {given}")
    odd = [n for n in counts if n % 2]
    if mode == "cyclic" and odd:
        raise ParameterError(
            f"pulses must be even in cyclic mode (the bias changes sign with the last pulse), got {odd[0]}"
        )
    return tuple(int(n) for n in counts)


def check_range(nominal: tuple[float, float]) -> tuple[float, float]:
    """Middle and half width of a nominal range.

    Raises
    ------
    ParameterError
        If it is not two finite rising numbers.
    """
    low, high = nominal
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ParameterError(f"nominal must be two finite rising bounds (weight units), got {low}, {high}")
    return 0.5 * (low + high), 0.5 * (high - low)


def split_reads(reads: int, points: int) -> list[int]:
    """Reads at each of so many points: as equal as whole numbers allow, the last ones get more."""
    base, rest = divmod(reads, points)
    return [base + (k >= points - rest) for k in range(points)]


def check_above_zero(**values: float) -> None:
    """Refuse settings that are not above 0; infinity is one.

    Raises
    ------
    ParameterError
        If a value is NaN or not above 0.
    """
    for name, value in values.items():
        if not value > 0:
            raise ParameterError(f"{name} must be a number > 0, got {value}")


def drawn_inside(points: Array, sigma: Array, within: float) -> tuple[Array, Array, Array]:
    """Estimates drawn to the middle of the range by what is known of it: points scatter about it.

    Parameters
    ----------
    points, sigma : array
        Estimates about the middle and their standard errors, in units of half the nominal range.
    within : float
        Std of the true points, in these units; infinity: nothing is known.

    Returns
    -------
    points, sigma, prior_fraction : array
        Posterior mean and std, and the prior's share of the information.
    """
    prior_fraction = sigma**2 / (sigma**2 + within**2)
    return points * (1 - prior_fraction), sigma * np.sqrt(1 - prior_fraction), prior_fraction


class Driver:
    """Sends bursts to an array and averages reads of it, counting both.

    Parameters
    ----------
    array : PulsedArray
        What is driven.
    read_noise : float
        Std of the reading noise asked of it, weight units.
    progress : callable or None
        See `Progress`.
    total : int
        Last pulse count, for the progress.
    """

    def __init__(self, array: PulsedArray, read_noise: float, progress: Progress | None, total: int) -> None:
        self.array, self.read_noise = checked_array(array), read_noise
        self.pulses, self.reads = 0.0, 0
        self._progress, self._total = progress, total

    def burst(self, counts: int | Array) -> None:
        """Send a burst: up pulses where ``counts`` (one number, or int [R, C]) is positive, else down."""
        if np.ndim(counts) == 0:
            self.send("up" if counts > 0 else "down", abs(int(counts)))
            return
        send_counts(self.array, np.asarray(counts))
        self._count(float(np.abs(counts).mean()))

    def send(self, program: str | Array, count: int) -> None:
        """Send a program that all cells share."""
        if count:
            self.array.pulse(program, count)
            self._count(count)

    def read(self, times: int = 1) -> Array:
        """Mean of so many reads, float64 [R, C], weight units."""
        total = np.zeros(self.array.shape)
        for _ in range(times):
            total += self.array.read(self.read_noise)
        self.reads += times
        return total / times

    def _count(self, number: float) -> None:
        self.pulses += number
        if self._progress is not None:
            self._progress(min(round(self.pulses), self._total), self._total)


class Estimate(NamedTuple):
    """Estimate after one pulse count; entries as the rows of `Estimates`."""

    points: Array
    uncertainty: Array | None = None
    placement: float | None = None
    prior_fraction: float | None = None


class NominalUnits:
    """A driven array in units of half its nominal range from the middle.

    Parameters
    ----------
    driver : Driver
        What is driven.
    nominal : (float, float)
        Nominal bounds, weight units.
    """

    def __init__(self, driver: Driver, nominal: tuple[float, float]) -> None:
        self.driver = driver
        self._middle, self._half = check_range(nominal)
        self.read_variance = (driver.read_noise / self._half) ** 2

    def read(self, times: int) -> Array:
        """Mean of so many reads, [cells]."""
        return ((self.driver.read(times) - self._middle) / self._half).ravel()

    def estimate(self, points: Array, sigma: Array, placement: float, prior_fraction: float) -> Estimate:
        """Estimate in weight units from points and standard errors [cells]."""
        shape = self.driver.array.shape
        at = (self._middle + self._half * points).reshape(shape)
        return Estimate(at, self._half * sigma.reshape(shape), placement, prior_fraction)


class Calibrator(ABC):
    """A frozen description of a way to find symmetric points.

    ``calibrate`` pulses and reads an array and returns `Estimates`, one per pulse count; later counts go on
    from earlier ones and use their reads too. A method defines ``_estimates``.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the method."""

    @property
    @abstractmethod
    def reads(self) -> int:
        """Reads of each cell per pulse count."""

    @property
    @abstractmethod
    def fewest_reads(self) -> int:
        """Fewest reads of a cell per pulse count."""

    @property
    def mode(self) -> str:
        """Kind of pulses, as in `Estimates`."""
        return "bursts"

    @property
    def _fewest_pulses(self) -> int:
        """Least first pulse count."""
        return 1

    @abstractmethod
    def _estimates(self, driver: Driver, counts: tuple[int, ...]) -> Iterator[Estimate]:
        """Estimates after each pulse count."""

    def calibrate(
        self,
        array: PulsedArray,
        pulses: int | Sequence[int],
        *,
        read_noise: float = 0.0,
        progress: Progress | None = None,
        stop: StopRule | None = None,
    ) -> Estimates:
        """Estimate the symmetric point of every cell.

        Parameters
        ----------
        array : PulsedArray
            A `Crossbar` or a bench that takes the programs of the method.
        pulses : int or sequence of int
            Rising pulse counts per cell (their mean over the cells, within a few, where cells get different
            numbers); even in cyclic mode. Every count uses the reads of those before.
        read_noise : float
            Std of the reading noise, weight units: asked of the array, and the weight of the reads.
        progress, stop : callable or None
            See `Progress`, `StopRule`.

        Returns
        -------
        Estimates

        Raises
        ------
        ParameterError
            A schedule that does not rise from the fewest pulses of the method, odd counts in cyclic mode, or
            a bad reading noise.
        """
        counts = check_counts(pulses, self._fewest_pulses, mode=self.mode)
        driver = Driver(array, check_read_noise(read_noise), progress, counts[-1])
        rows: list[dict[str, Any]] = []
        for estimate in self._estimates(driver, counts):
            spent = {"pulses": math.ceil(driver.pulses - 1e-9), "reads": driver.reads}
            rows.append(spent | estimate._asdict())
            if stop and len(rows) > 1 and stop(spent["pulses"], estimate.points, rows[-2]["points"]):
                break
        columns = {
            key: np.stack([row[key] for row in rows]) for key, given in rows[0].items() if given is not None
        }
        return Estimates(
            mode=self.mode,
            read_noise=read_noise,
            stopped=len(rows) < len(counts),
            method=self.name,
            **columns,
        )
