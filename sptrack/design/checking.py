"""A design held against simulation: the real, non-linear, noisy device instead of the linear model.

P of cells drawn from the device is pulsed by the chopped gradient, the reference follows, W is moved; every
quantity of the specification is measured, with an interval over independent noises.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import PatternChopper
from sptrack.design._progress import Progress
from sptrack.design.candidates import Candidate, left_curve, loop_of
from sptrack.design.observers import error_after
from sptrack.design.scores import Task, evaluate
from sptrack.design.specification import QUANTITIES, SETTLED, Specification
from sptrack.devices import Cells
from sptrack.intervals import Interval, half_width, positive_interval, student_interval
from sptrack.theory.closed_loop import Loop
from sptrack.tracking import Tracker, open_loop, problem
from sptrack.values import check_whole

Array = NDArray[Any]

MET, UNCERTAIN, MISSED = "met", "uncertain", "missed"
"""Verdicts: the measured interval lies within the limit, across it, beyond it."""
PREDICTED, FREE = "predicted", "no limit"
"""Within the limit by prediction alone; nothing was asked for."""
_WINDOW, _CURVE = 0.1, 200
_UNKNOWN = (float("nan"), (float("nan"), float("nan")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity: what was asked for, predicted and measured.

    Parameters
    ----------
    name : str
        Quantity.
    limit : float or None
        Requirement.
    predicted, measured : float
        By the linear model and by simulation; NaN where it is not measured.
    interval : (float, float)
        95 % interval of the measured value; its upper end is infinite for a settling that the run is too
        short to show, and the measured value the end of the run then.
    margin : float or None
        Limit over measured value (for ``signal`` the reverse): above 1 is met; None where only a bound of the
        value was measured.
    verdict : str
        "met", "uncertain", "missed", "predicted" or "no limit".
    """

    name: str
    limit: float | None
    predicted: float
    measured: float
    interval: Interval
    margin: float | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """Result of `check`.

    Parameters
    ----------
    rows : tuple of Row
        Every quantity.
    seeds : int
        Independent noises.
    steps : array [samples]
        Steps at which the curves below are given.
    left_measured, left_predicted : arrays [samples]
        Fraction of the start offset left in Q: of a filter the difference of two runs with the same random
        numbers, one from 0 and one from the symmetric points; of an observer its error, projected on that at
        the start.
    rms_measured : array [samples]
        Rms of Q - w* over cells and seeds, weight units.
    training : dict
        Mean squared errors of W and Q (weight units squared, last tenth of the run) of the same method in
        closed loop on the default quadratic problem, and of W left where it starts, means over the seeds.
    """

    rows: tuple[Row, ...]
    seeds: int
    steps: Array
    left_measured: Array
    left_predicted: Array
    rms_measured: Array
    training: dict[str, float]

    @property
    def met(self) -> bool:
        """Whether no requirement is missed or uncertain."""
        return all(row.verdict in (MET, PREDICTED, FREE) for row in self.rows)


def check(
    spec: Specification,
    cells: Cells,
    chosen: Candidate,
    *,
    seeds: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Check:
    """Measure every quantity of a specification for a candidate.

    Parameters
    ----------
    spec : Specification
        What was asked for.
    cells : Cells
        Cells of the device on which the prediction was made.
    chosen : Candidate
        The design.
    seeds : int
        Independent noises, at least 2; the intervals are over them.
    seed : int
        First seed.
    progress : callable or None
        Called with the runs done and all runs.

    Raises
    ------
    ParameterError
        Fewer than 2 seeds.
    """
    enough_seeds(seeds)
    runs = []
    for k in range(seeds):
        runs.append(_run(spec, cells, chosen, seed + k))
        if progress is not None:
            progress(k + 1, seeds)
    loop = loop_of(spec, cells, chosen.setting.alpha)
    live = np.isfinite(loop.pole.ravel())
    point = cells.target.ravel()[live]
    error = np.stack([run["q"] for run in runs])[:, :, live] - point
    left = np.stack([run["left"] for run in runs])
    late = np.stack([run["late"] for run in runs])[:, live] - point
    steps = np.array(runs[0]["steps"])
    predicted = _left(spec, cells, chosen, loop, steps)
    measured = _measure(error, runs)
    measured |= {"bias": _bias(late), "converging": _UNKNOWN}
    measured["settling"] = settling_time(left)
    trained = _training(spec, chosen, range(seed, seed + seeds))
    measured["weights"] = _root(trained["w"])
    measured["signal"] = _signal(np.stack([run["signal"] for run in runs])[:, live], loop, live)
    return Check(
        rows=tuple(_row(spec, chosen, name, *measured[name]) for name in QUANTITIES),
        seeds=seeds,
        steps=steps,
        left_measured=left.mean(axis=0)[steps - 1],
        left_predicted=predicted,
        rms_measured=np.sqrt(np.mean(error**2, axis=(0, 2))),
        training={name: float(values.mean()) for name, values in trained.items()},
    )


def enough_seeds(seeds: int) -> None:
    """Refuse fewer seeds than intervals need (ParameterError)."""
    check_whole("seeds", seeds, 2)


def _run(spec: Specification, cells: Cells, chosen: Candidate, seed: int) -> dict[str, Any]:
    """Reference at `_CURVE` points; its mean and that of demodulated P over whole chopper periods; counts.

    And the fraction of the start offset left after each step.
    """
    mean, std = (0.0, 0.0) if spec.gradient.recording is not None else (spec.gradient.mean, spec.gradient.std)
    made = open_loop(cells, mean=mean, std=std, read_noise=spec.read_noise)
    tracker = Tracker(made, chosen.method, seed=seed)
    settled = None if chosen.observes else Tracker(made, chosen.method, seed=seed, settled=True)
    offset = -np.nan_to_num(cells.target.ravel())
    power = float(offset @ offset)
    left = []
    drive = spec.gradient.drive(spec.steps, cells.size)
    every = max(1, spec.steps // _CURVE)
    period = chosen.chopper.period if isinstance(chosen.chopper, PatternChopper) else 1
    window = max(spec.steps - max(spec.steps // 2 // period, 1) * period, 0)
    last = max(spec.steps - max(math.ceil(_WINDOW * spec.steps / period), 1) * period, 0)
    q, steps, late, signal = [], [], np.zeros(cells.size), np.zeros(cells.size)
    for first in range(0, spec.steps, every):
        count = min(every, spec.steps - first)
        added = None if drive is None else drive[first : first + count]
        part = tracker.record(count, drive=added)
        rest = -offset if settled is None else settled.record(count, drive=added).q
        left.append((part.q.astype(np.float64) - rest) @ offset / power if power else np.zeros(count))
        q.append(part.q[-1].astype(np.float64))
        steps.append(first + count)
        counted = slice(max(window - first, 0), None)
        late += part.q[max(last - first, 0) :].sum(axis=0, dtype=np.float64)
        leaning = part.signs[counted] * (part.p[counted].astype(np.float64) - cells.target.ravel())
        signal += leaning.sum(axis=0)
    ledger = tracker.ledger
    size = float(cells.size)
    counts = {name: ledger.total(name) / size for name in ("pulses", "reads", "programs")}
    late, signal = late / (spec.steps - last), signal / (spec.steps - window)
    return {
        "q": np.array(q),
        "steps": steps,
        "late": late,
        "signal": signal,
        "left": np.concatenate(left),
        **counts,
    }


def _measure(error: Array, runs: list[Any]) -> dict[str, tuple[float, Interval]]:
    """Values with their intervals, from errors [seeds, samples, cells] of Q and the counts of the runs."""
    tail = max(1, int(_WINDOW * error.shape[1]))
    out = {"rms": _root(np.mean(error[:, -tail:] ** 2, axis=(1, 2)))}
    for name in ("pulses", "reads", "programs"):
        counted = np.array([run[name] for run in runs], np.float64)
        low, high = positive_interval(counted)
        out[name] = float(counted.mean()), (float(low), float(high))
    return out


def _left(spec: Specification, cells: Cells, chosen: Candidate, loop: Loop, steps: Array) -> Array:
    """Predicted fraction of the start offset left after ``steps`` [samples]."""
    if not chosen.observes:
        return left_curve(loop, chosen.setting, steps)
    after = error_after(spec, cells, loop, chosen.setting)
    few = np.unique(np.geomspace(max(1.0, steps[0]), steps[-1], 25))
    return np.interp(np.log(np.maximum(steps, 1.0)), np.log(few), [after(k).left for k in few])


def settling_time(left: Array) -> tuple[float, Interval]:
    """Steps after which the fraction left stays within `SETTLED`: mean over runs and its 95 % interval.

    Parameters
    ----------
    left : array [runs, steps]
        Fraction of the start offset left after each step.

    Returns
    -------
    float, (float, float)
        Where a run ends outside, only bounds are known: the number of steps, and an interval from the
        earliest settling, or the number of steps, to infinity.
    """
    outside = np.abs(left) > SETTLED
    steps = left.shape[1]
    last = np.where(outside.any(axis=1), steps - np.argmax(outside[:, ::-1], axis=1), 0)
    if (last == steps).any():
        return float(steps), (float(min(last.min() + 1, steps)), float("inf"))
    low, high = positive_interval(last + 1)
    return float(last.mean() + 1), (float(low), float(high))


def _signal(demodulated: Array, loop: Loop, live: Array) -> tuple[float, Interval]:
    """Share of the gradient that survives: demodulated P [seeds, cells] over that of a still chopper.

    Projected over the cells; NaN for a gradient without a mean.
    """
    still = -(loop.chopped / (1 - loop.pole)).ravel()[live]
    power = float(still @ still)
    if power == 0:
        return _UNKNOWN
    return _mean(demodulated @ still / power)


def _row(spec: Specification, chosen: Candidate, name: str, value: float, ends: Interval) -> Row:
    limit, needs = spec.requirements.limits.get(name), spec.requirements
    known = not np.isnan(value)
    shown = value if known else chosen.values[name]
    margin, verdict = None, FREE
    if limit is not None and not (name == "signal" and limit == 0):
        excess = [needs.excess(name, end) for end in (ends if known else (shown,))]
        within, beyond = max(excess) <= 1, min(excess) > 1
        verdict = MISSED if beyond else UNCERTAIN if not within else MET if known else PREDICTED
        over = needs.excess(name, shown)
        if not (known and math.isinf(ends[1])):
            margin = float("inf") if over == 0 else 1 / over
    return Row(
        name=name,
        limit=limit,
        predicted=chosen.values[name],
        measured=value,
        interval=ends,
        margin=margin,
        verdict=verdict,
    )


def _training(spec: Specification, chosen: Candidate, seeds: range) -> dict[str, Array]:
    """The method in closed loop on the quadratic problem with the specification's device, run and reads.

    Mean squared errors [seeds] of W and Q over the last tenth of the run, and of W left where it starts.
    """
    samples = next(n for n in (100, 50, 20, 10, 5, 4, 2, 1) if spec.steps % n == 0)
    task = Task(settings=spec.problem, steps=spec.steps, sample=spec.steps // samples)
    scores = evaluate(chosen.method, task, seeds)
    optima = [problem(task.problem, task.settings, seed=seed).optimum for seed in seeds]
    return {"w": scores["w"], "q": scores["q"], "untrained": np.mean(np.square(optima), axis=1)}


def _mean(values: Array) -> tuple[float, Interval]:
    """Mean of values of either sign, with its interval."""
    low, high = student_interval(values)
    return float(values.mean()), (float(low), float(high))


def _root(squares: Array) -> tuple[float, Interval]:
    """Root of a mean square, from the squares of each seed."""
    low, high = np.sqrt(positive_interval(squares))
    return float(np.sqrt(squares.mean())), (float(low), float(high))


def _bias(late: Array) -> tuple[float, Interval]:
    """Rms over cells of the mean error, from time means [seeds, cells].

    Products of different seeds have the square of the mean as expectation: noise does not add, and a mean
    that is 0 gives estimates of either sign, which count as 0. The interval is over cells.
    """
    seeds = len(late)
    total = late.sum(axis=0)
    product = (total**2 - (late**2).sum(axis=0)) / (seeds * (seeds - 1))
    half = float(half_width(product)) if product.size > 1 else np.inf
    value = float(product.mean())
    return float(np.sqrt(max(value, 0.0))), (
        float(np.sqrt(max(value - half, 0.0))),
        float(np.sqrt(max(value + half, 0.0))),
    )
