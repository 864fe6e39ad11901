"""Readings of pulse responses: one or many cells, any order of pulses, in weight units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.fitting._filter import Program
from sptrack.fitting.estimate import speeds
from sptrack.fitting.laws import Floats
from sptrack.values import integer_array, real_array

__all__ = ["FEWEST_READINGS", "PulseResponse", "two_runs", "visited_range"]

FEWEST_READINGS = 20
"""Fewest readings under up and under down pulses, per cell."""
_STRETCH, _FEWEST_OF_STRETCH = 8, 3
_SIGMAS = 5.0
_PARTS, _SEEN, _LEAST_STEP = 8, 3.0, 0.01
_SHARE = 0.25
_REMEDY = (
    "up pulses must raise readings: is this a resistance? pass --quantity resistance; or are the directions "
    "reversed? pass --direction up=WORD --direction down=WORD, or --column direction=NAME:-sign"
)

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PulseResponse:
    """Consecutive readings of one cell and the pulses between them.

    Attributes
    ----------
    readings : array [N]
        Readings, weight units; NaN where there is none, although pulses were given. Copied, read-only.
    pulses : array [N]
        Pulses between the reading before and this one: up positive, down negative, 0 for a repeated reading.
        Those of the first reading of a run are not used: the state before it is unknown.
    runs : array [N]
        Number of the run of each reading, from 0 rising; within a run no pulse is missing. One run by
        default.
    name : str
        Name of the cell.
    rows : array [N]
        Where each reading stands in its file, for error texts; counted from 1 by default.

    Raises
    ------
    ParameterError
        Arrays that do not fit each other, fewer than 20 readings under up or under down pulses, readings that
        are infinite or constant, or move against the pulses (the rows are named).
    """

    readings: Floats
    pulses: Integers
    runs: Integers | None = None
    name: str = ""
    rows: Integers | None = None

    def __post_init__(self) -> None:
        """Check and freeze all arrays."""
        count = np.size(self.readings)
        runs = np.zeros(count) if self.runs is None else self.runs
        given = {
            "readings": np.array(real_array(self.readings, f"{self.label}readings")),
            "pulses": np.array(integer_array(self.pulses, f"{self.label}pulses")),
            "runs": np.array(integer_array(runs, f"{self.label}runs")),
            "rows": np.array(np.arange(1, count + 1) if self.rows is None else self.rows, np.int64),
        }
        for name, values in given.items():
            if values.shape != (count,):
                raise ParameterError(f"{self.label}{name} have shape {values.shape}: ({count},) is needed")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        _check(self)

    @property
    def label(self) -> str:
        """Name of the cell as error texts put it in front."""
        return f"cell {self.name}: " if self.name else ""

    @property
    def program(self) -> Program:
        """Pulses and runs as the filter wants them: contiguous, numbered from 0."""
        runs = np.asarray(self.runs)
        new = np.diff(runs, prepend=runs[:1] - 1) != 0
        return Program(np.where(new, 0, self.pulses), np.cumsum(new) - 1)


def two_runs(up: ArrayLike, down: ArrayLike, name: str = "") -> PulseResponse:
    """Response from two runs of consecutive readings, one pulse between neighbours.

    Parameters
    ----------
    up, down : array [n], array [m]
        Readings during the up run and during the down run, weight units.
    name : str
        Name of the cell.

    Raises
    ------
    ParameterError
        As in `PulseResponse`.
    """
    rising, falling = real_array(up, "up"), real_array(down, "down")
    if rising.ndim != 1 or falling.ndim != 1:
        raise ParameterError(f"runs of shape {rising.shape} and {falling.shape}: one dimension is needed")
    return PulseResponse(
        readings=np.concatenate([rising, falling]),
        pulses=np.r_[np.ones(rising.size, np.int64), -np.ones(falling.size, np.int64)],
        runs=np.r_[np.zeros(rising.size, np.int64), np.ones(falling.size, np.int64)],
        name=name,
        rows=np.r_[1 : rising.size + 1, 1 : falling.size + 1],
    )


def _check(response: PulseResponse) -> None:
    readings, pulses, rows = response.readings, np.asarray(response.pulses), np.asarray(response.rows)
    bad = np.flatnonzero(np.isinf(readings))
    if bad.size:
        raise ParameterError(
            f"{response.label}row {rows[bad[0]]}: reading must be finite, got {readings[bad[0]]}"
        )
    seen = ~np.isnan(readings)
    counts = {word: int(np.sum(seen & (sign * pulses > 0))) for word, sign in (("up", 1), ("down", -1))}
    if min(counts.values()) == 0 < max(counts.values()):
        word, other = sorted(counts, key=lambda word: counts[word])
        raise ParameterError(
            f"{response.label}{counts[other]} readings under {other} pulses, 0 under {word} pulses: "
            "readings of one "
            "direction do not tell a symmetric point; measure both, or add the file of the other direction"
        )
    for word, count in counts.items():
        if count < FEWEST_READINGS:
            raise ParameterError(
                f"{response.label}{count} readings under {word} pulses: at least {FEWEST_READINGS} are needed"
            )
    if np.ptp(readings[seen]) == 0.0:
        raise ParameterError(
            f"{response.label}all readings are {readings[seen][0]:g}: a response must change"
        )
    _check_directions(response)


def _stretches(response: PulseResponse, least: int) -> list[NDArray[np.intp]]:
    """Places of the readings of every stretch of one run in one direction that has so many at least."""
    runs, sign = np.asarray(response.runs), np.sign(response.pulses)
    starts = np.flatnonzero(np.r_[True, (runs[1:] != runs[:-1]) | (sign[1:] != sign[:-1])])
    ends = np.append(starts[1:], sign.size)
    long = np.flatnonzero(ends - starts >= least)
    return [np.arange(starts[k], ends[k]) for k in long]


def _check_directions(response: PulseResponse) -> None:
    """Refuse stretches, then directions, in which the readings move against the pulses."""
    readings, rows = response.readings, np.asarray(response.rows)
    low, high = visited_range(response)
    for place in _stretches(response, _STRETCH):
        sign = int(np.sign(response.pulses[place[-1]]))
        place = place[~np.isnan(readings[place])]
        if sign == 0 or place.size < _STRETCH:
            continue
        quarter = place.size // 4
        part = readings[place]
        rise = sign * float(part[-quarter:].mean() - part[:quarter].mean())
        error = float(np.std(np.diff(part))) / np.sqrt(quarter)
        if rise < -max(_SIGMAS * error, _SHARE * (high - low)):
            word, moved = ("up", "fall") if sign > 0 else ("down", "rise")
            raise ParameterError(
                f"{response.label}rows {rows[place].min()} to {rows[place].max()}: readings {moved} by "
                f"{-rise:.4g} "
                f"under {word} pulses; {_REMEDY}"
            )
    up, down = speeds(response.program, readings[None])[0]
    if min(up, down) <= 0.0:
        _check_size(response, min(up, down))
        raise ParameterError(
            f"{response.label}rows {rows.min()} to {rows.max()}: readings move by {up:.4g} per up and "
            f"{-down:.4g} per down pulse; {_REMEDY}"
        )


def _check_size(response: PulseResponse, least: float) -> None:
    """Refuse readings that move against the pulses by no more than noise as too few, not as reversed."""
    scatter = float(np.nanstd(np.diff(response.readings))) / np.sqrt(2.0)
    parts = np.array_split(np.arange(response.readings.size), _PARTS)
    found = []
    for part in parts:
        pulses = np.asarray(response.pulses)[part]
        seen = ~np.isnan(response.readings[part])
        if min(np.sum(seen & (pulses > 0)), np.sum(seen & (pulses < 0))) < FEWEST_READINGS:
            return
        program = Program(pulses, np.zeros(part.size, np.int64))
        found.append(speeds(program, response.readings[part][None])[0])
    error = float(np.max(np.std(found, axis=0, ddof=1))) / np.sqrt(_PARTS)
    if least > -_SEEN * error:
        visible = response.readings.size * (_SEEN * error / (_LEAST_STEP * scatter)) ** 2
        raise ParameterError(
            f"{response.label}steps are hidden in the noise: mean steps are known to {error:.2g} and "
            f"readings scatter by {scatter:.2g}; steps of {_LEAST_STEP:g} times that scatter would show in "
            f"{visible:,.0f} readings; give more, or several pulses in one direction between readings"
        )


def _levels(response: PulseResponse) -> list[Floats]:
    """Means of consecutive readings of each run, over the number of readings that tells a state best.

    That is the number, a power of 2 so that up and down pulses come in pairs, at which the Allan variance
    (half the mean square of the difference of neighbouring means) is least: reading noise rules it below,
    the wander of the state above.
    """
    found, runs = [], np.asarray(response.runs)
    for run in np.unique(runs):
        values = response.readings[(runs == run) & ~np.isnan(response.readings)]
        least, best = np.inf, None
        for power in range(1, int(values.size // 8).bit_length()):
            size = 2**power
            means = values[: values.size // size * size].reshape(-1, size).mean(axis=1)
            allan = 0.5 * float(np.mean(np.diff(means) ** 2))
            if allan < least:
                least, best = allan, means
        if best is not None:
            found.append(best)
    return found


def visited_range(response: PulseResponse) -> tuple[float, float]:
    """Lowest and highest state visited, in the units of the readings.

    That of the means of (up to) 20 consecutive parts of each stretch in one direction; where directions
    change too often for stretches, that of means over as many readings as tell a state best (see
    `_levels`).
    """
    means = []
    for place in _stretches(response, _FEWEST_OF_STRETCH):
        values = response.readings[place]
        values = values[~np.isnan(values)]
        parts = max(min(20, values.size // 5), 1)
        if values.size >= _FEWEST_OF_STRETCH:
            edges = np.linspace(0, values.size, parts + 1).astype(np.intp)
            means.append(np.add.reduceat(values, edges[:-1]) / np.diff(edges))
    found = np.concatenate(means or _levels(response) or [np.empty(0)])
    values = found if found.size and np.ptp(found) > 0.0 else response.readings
    return float(np.nanmin(values)), float(np.nanmax(values))
