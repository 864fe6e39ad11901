"""Common parts of calibrators: estimates with their cost, the driver that counts pulses and reads."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

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


@runtime_checkable
class Calibrator(Protocol):
    """A frozen description of a way to find symmetric points.

    ``calibrate`` pulses and reads an array and returns `Estimates`, one per pulse count; later counts go on
    from earlier ones and use their reads too.
    """

    @property
    def name(self) -> str:
        """Name of the method."""
        ...

    @property
    def reads(self) -> int:
        """Reads of each cell per pulse count."""
        ...

    @property
    def fewest_reads(self) -> int:
        """Fewest reads that it works with."""
        ...

    def calibrate(
        self,
        array: PulsedArray,
        pulses: int | Sequence[int],
        *,
        read_noise: float = 0.0,
        progress: Progress | None = None,
        stop: StopRule | None = None,
    ) -> Estimates:
        """Estimate the symmetric point of every cell with so many pulses."""
        ...


def check_read_noise(read_noise: float) -> float:
    """The std of the reading noise as it is given.

    Raises
    ------
    ParameterError
        If it is negative or not finite.
    """
    check_number("read_noise", read_noise, least=0)
    return read_noise


def check_counts(pulses: int | Sequence[int], least: int = 1) -> tuple[int, ...]:
    """Pulse counts of a schedule, checked before anything is sent.

    Raises
    ------
    ParameterError
        An empty schedule, or counts that are not whole, do not rise, or start below ``least``.
    """
    counts = tuple(pulses) if isinstance(pulses, Sequence | np.ndarray) else (pulses,)
    rises = all(a < b for a, b in zip((0, *counts), counts, strict=False))
    if not (len(counts) and rises and all(n == int(n) for n in counts) and counts[0] >= least):
        given = " ".join(map(str, counts)) or "(none)"
        raise ParameterError(f"pulses must be rising whole numbers >= {least}, got {given}")
    return tuple(int(n) for n in counts)


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


class Record:
    """Estimates collected along a schedule.

    Parameters
    ----------
    driver : Driver
        What was driven.
    method, mode : str
        As in `Estimates`.
    stop : callable or None
        See `StopRule`.
    """

    def __init__(self, driver: Driver, method: str, mode: str, stop: StopRule | None) -> None:
        self._driver, self._method, self._mode, self._stop = driver, method, mode, stop
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        point: Array,
        *,
        uncertainty: Array | None = None,
        placement: float | None = None,
        prior_fraction: float | None = None,
    ) -> bool:
        """Note an estimate [R, C]; True if the stop rule wants to end."""
        pulses = int(np.ceil(self._driver.pulses - 1e-9))
        row = {"pulses": pulses, "reads": self._driver.reads, "points": point, "uncertainty": uncertainty}
        self._rows.append(row | {"placement": placement, "prior_fraction": prior_fraction})
        if self._stop is None or len(self._rows) < 2:
            return False
        return bool(self._stop(pulses, point, self._rows[-2]["points"]))

    def estimates(self, *, stopped: bool) -> Estimates:
        """All of them."""

        def column(name: str) -> Array | None:
            values = [row[name] for row in self._rows]
            return None if any(value is None for value in values) else np.stack(values)

        return Estimates(
            np.array([row["pulses"] for row in self._rows], np.int64),
            np.stack([row["points"] for row in self._rows]),
            self._mode,
            self._driver.read_noise,
            stopped,
            np.array([row["reads"] for row in self._rows], np.int64),
            column("uncertainty"),
            column("placement"),
            column("prior_fraction"),
            self._method,
        )
