"""The calibration certificate: how well zero-shifting found the symmetric points, held against truth and theory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from sptrack.calibration.zero_shifting import Estimates, Progress, StopRule, check_schedule, zero_shift
from sptrack.cost import CostModel
from sptrack.crossbar.array import Crossbar
from sptrack.devices.cells import Cells
from sptrack.devices.constants import response_constants
from sptrack.errors import ParameterError
from sptrack.results import dataset, json_text, provenance
from sptrack.theory import (
    array_offset,
    pulses_to_target,
    small_step_moments,
    stationary_moments,
    zero_shifting_bounds,
    zero_shifting_moments,
)

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
Interval = tuple[float, float]

RESAMPLES = 200
NORMAL_ABOVE = 4096
DEFAULT_TARGET = 0.01
"""Default target: this share of the nominal range."""
_LEVEL = 0.95
_BOUND_CELLS = 4096
_THEORY_CELLS = 1 << 18
_FEW = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What `certify` found; all errors over the live cells, in weight units.

    A cell is live if it has a symmetric point between its bounds. Lists have one entry per pulse count; ``*_ci`` are
    95 % intervals over cells (200 bootstrap resamples, normal theory above 4096 cells).

    Attributes
    ----------
    device : str
        Name of the device.
    cells : list of int
        Rows and columns.
    live_cells, overshooting_cells : int
        Cells with a symmetric point; cells of which one pulse passes it (dw_min times slope >= 1), which no bound covers.
    clip_fraction : float
        Share of the cells with a drawn parameter that had to be clipped.
    mode : str
        "cyclic" or "stochastic".
    target : float
        Wanted RMS error.
    pulses : list of int
        Pulses per cell.
    rms_error, median_error, mean_offset, std_offset : list of float
        RMS and median |estimate - truth|; mean of estimate - truth; std of the estimates minus std of the truth.
    rms_theory : list of float or None
        RMS error predicted by exact moments, on linear devices.
    floor : float or None
        RMS error that is left after ever more pulses: exact on linear devices, leading order in dw_min else; None
        where cells overshoot and neither holds.
    pulses_needed_theory : int or None
        Smallest even number of pulses for the target: exact moments on linear devices, else the corrected bound.
    theory : str
        Where that number comes from, or why there is none.
    pulses_needed_measured : int or None
        The same from the measured errors, log-linear between the pulse counts; None if the target was not met.
    recommended_pulses : int or None
        First measured count whose interval lies below the target, refined by theory where both are at hand.
    cost : float or None
        Of the recommended calibration and its read, per cell, by the cost model.
    met : bool
        Whether the last RMS error is at most the target.
    verdict : str
        One line for a person.
    """

    device: str
    cells: list[int]
    live_cells: int
    overshooting_cells: int
    clip_fraction: float
    mode: str
    target: float
    read_noise: float
    pulses: list[int]
    rms_error: list[float]
    rms_error_ci: list[Interval]
    median_error: list[float]
    median_error_ci: list[Interval]
    mean_offset: list[float]
    mean_offset_ci: list[Interval]
    std_offset: list[float]
    std_offset_ci: list[Interval]
    rms_theory: list[float] | None
    floor: float | None
    pulses_needed_theory: int | None
    theory: str
    pulses_needed_measured: int | None
    recommended_pulses: int | None
    cost: float | None
    met: bool
    verdict: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """A certificate with what it was made from: the cells, the estimates and the start weights."""

    certificate: Certificate
    cells: Cells
    estimates: Estimates
    start: Array


def certify(
    cells: Cells,
    pulses: Sequence[int] = (500, 1000, 2000, 4000, 8000),
    *,
    mode: str = "cyclic",
    target: float | None = None,
    read_noise: float = 0.0,
    seed: int = 0,
    start: ArrayLike = 0.0,
    threads: int | None = None,
    cost: CostModel | None = None,
    progress: Progress | None = None,
    stop: StopRule | None = None,
) -> Calibration:
    """Calibrate simulated cells by zero-shifting and certify the result.

    Parameters
    ----------
    cells : Cells
        The array; its true symmetric points are what the estimates are compared with.
    pulses, mode, read_noise, progress, stop
        As in `sptrack.calibration.zero_shift`.
    target : float or None
        Wanted RMS error over live cells, weight units; None: 1 % of the nominal range.
    seed : int
        Root seed of cycle, coin and reading noise.
    start : array_like, broadcastable to [R, C]
        Start weights (visible), weight units.
    threads : int or None
        Threads of the kernels.
    cost : CostModel or None
        Weights of pulses and reads.

    Returns
    -------
    Calibration

    Raises
    ------
    ParameterError
        A device without any symmetric point between its bounds, a target that is not above 0, a bad schedule.
    """
    counts = check_schedule(pulses, mode)
    limit = default_target(cells) if target is None else target
    if not (np.isfinite(limit) and limit > 0):
        raise ParameterError(f"target = {limit}: a finite number above 0 (weight units) wanted")
    _require_symmetric_points(cells)
    bar = Crossbar(cells, seed=seed, weights=start, threads=threads)
    begin = bar.weights.astype(np.float64)
    estimates = zero_shift(bar, counts, mode=mode, read_noise=read_noise, progress=progress, stop=stop)
    certificate = _assess(cells, estimates, begin, limit, read_noise, CostModel() if cost is None else cost)
    return Calibration(certificate=certificate, cells=cells, estimates=estimates, start=begin)


def calibration_dataset(calibration: Calibration, seed: int) -> "xr.Dataset":
    """Labelled dataset of a calibration: what the certificate and its figures are drawn from.

    Parameters
    ----------
    calibration : Calibration
        What `certify` returned.
    seed : int
        Root seed that was used, for the provenance.

    Returns
    -------
    xarray.Dataset
        ``estimate`` (pulses, row, column), ``symmetric_point`` (row, column), and per pulse count the errors of the
        certificate with their intervals, all in weight units; the certificate as JSON attribute.
    """
    c, weight = calibration.certificate, {"units": "weight units"}
    variables: dict[str, Any] = {
        "estimate": (("pulses", "row", "column"), calibration.estimates.points.astype(np.float32), weight),
        "symmetric_point": (("row", "column"), calibration.cells.target.astype(np.float32), weight),
    }
    for name in ("rms_error", "median_error", "mean_offset", "std_offset"):
        variables[name] = ("pulses", np.array(getattr(c, name)), weight)
        variables[f"{name}_ci"] = (("pulses", "end"), np.array(getattr(c, f"{name}_ci")), weight)
    if c.rms_theory is not None:
        variables["rms_theory"] = ("pulses", np.array(c.rms_theory), weight)
    coordinates = {
        "pulses": ("pulses", np.array(c.pulses), {"units": "pulses per cell"}),
        "end": ("end", np.array(["low", "high"]), {}),
    }
    settings = {"mode": c.mode, "target": c.target, "read_noise": c.read_noise, "device": c.device, "cells": c.cells}
    made = dataset(variables, coordinates, provenance(seed=seed, parameters=settings))
    made.attrs["certificate"] = json_text(c)
    return made


def default_target(cells: Cells) -> float:
    """1 % of the nominal range of the device, weight units."""
    return DEFAULT_TARGET * (cells.device.response.w_max - cells.device.response.w_min)


def _require_symmetric_points(cells: Cells) -> None:
    if not np.isfinite(cells.target).any():
        raise ParameterError(
            f"device {cells.device.source.name!r} ({cells.device.response.family}): no cell has a symmetric point "
            "between its bounds; there is nothing to calibrate"
        )


def _assess(
    cells: Cells, estimates: Estimates, begin: Array, target: float, read_noise: float, cost: CostModel
) -> Certificate:
    truth = cells.target
    live = np.isfinite(truth)
    true = truth[live]
    summaries = [summarise(np.asarray(points, np.float64)[live], true) for points in estimates.points]
    rms = [s["rms"] for s in summaries]
    overshoot = overshooting(cells)
    beyond_theory = overshoot.sum() > _FEW * live.sum()
    few = cells.thinned(_THEORY_CELLS)
    spaced = begin.reshape(1, -1)[:, :: -(-cells.size // _THEORY_CELLS)].reshape(few.shape)
    prediction = _predict(few, estimates, spaced, target, read_noise, bool(beyond_theory))
    measured = _first_below(estimates.pulses, [value for value, _ in rms], target, estimates.mode)
    recommended = _recommend(estimates.pulses, rms, target, measured, prediction["pulses_needed_theory"])
    met = rms[-1][0] <= target
    per_cell = None if recommended is None else cost.total(pulses=recommended, reads=1, columns=cells.shape[1])
    return Certificate(
        device=cells.device.source.name,
        cells=list(cells.shape),
        live_cells=int(live.sum()),
        overshooting_cells=int(overshoot.sum()),
        clip_fraction=cells.clip_fraction,
        mode=estimates.mode,
        target=target,
        read_noise=read_noise,
        pulses=[int(n) for n in estimates.pulses],
        **_columns(summaries),
        **prediction,
        pulses_needed_measured=measured,
        recommended_pulses=recommended,
        cost=per_cell,
        met=bool(met),
        verdict=_verdict(met, rms[-1], target, int(estimates.pulses[-1]), recommended, prediction["floor"]),
        notes=_notes(cells, live, overshoot, estimates),
    )


def _columns(summaries: list[dict[str, tuple[float, Interval]]]) -> dict[str, Any]:
    names = {"rms": "rms_error", "median": "median_error", "mean": "mean_offset", "std": "std_offset"}
    columns: dict[str, Any] = {}
    for short, name in names.items():
        columns[name] = [s[short][0] for s in summaries]
        columns[f"{name}_ci"] = [s[short][1] for s in summaries]
    return columns


def summarise(estimate: Array, truth: Array) -> dict[str, tuple[float, Interval]]:
    """RMS and median |error|, mean error and std offset of estimates [n], each with a 95 % interval over cells.

    Up to 4096 cells: percentiles of 200 bootstrap resamples (fixed seed). Above: normal theory, with the delta method
    for the RMS and the stds and order statistics for the median.
    """
    error = estimate - truth
    values = _statistics(error, estimate, truth)
    if len(error) > NORMAL_ABOVE:
        return {name: (value, _normal_interval(name, value, error, estimate, truth)) for name, value in values.items()}
    rng = np.random.default_rng(0)
    draws = rng.integers(len(error), size=(RESAMPLES, len(error)))
    samples = [_statistics(error[k], estimate[k], truth[k]) for k in draws]
    ends = (50 * (1 - _LEVEL), 50 * (1 + _LEVEL))
    return {
        name: (value, _pair(np.percentile([sample[name] for sample in samples], ends))) for name, value in values.items()
    }


def _statistics(error: Array, estimate: Array, truth: Array) -> dict[str, float]:
    return {
        "rms": float(np.sqrt(np.mean(error**2))),
        "median": float(np.median(np.abs(error))),
        "mean": float(error.mean()),
        "std": float(estimate.std() - truth.std()),
    }


def _normal_interval(name: str, value: float, error: Array, estimate: Array, truth: Array) -> Interval:
    z, n = float(norm.ppf(0.5 + _LEVEL / 2)), len(error)
    if name == "median":
        ranks = 0.5 * n + z * 0.5 * math.sqrt(n) * np.array([-1.0, 1.0])
        return _pair(np.sort(np.abs(error))[np.clip(ranks.astype(int), 0, n - 1)])
    influence = error
    if name == "rms":
        influence = error**2 / (2.0 * value) if value else np.zeros(n)
    elif name == "std":
        influence = _std_influence(estimate) - _std_influence(truth)
    half = z * float(influence.std()) / math.sqrt(n)
    return value - half, value + half


def _std_influence(values: Array) -> Array:
    std = values.std()
    return (values - values.mean()) ** 2 / (2.0 * std) if std else np.zeros(len(values))


def _pair(values: ArrayLike) -> Interval:
    low, high = np.asarray(values, float)
    return float(low), float(high)


def overshooting(cells: Cells) -> Array:
    """Cells [R, C] of which one pulse can pass the symmetric point: dw_min times the slope of q_plus or q_minus >= 1."""
    point = np.nan_to_num(cells.symmetric_point, nan=0.0)
    width = 1e-4 * (cells.upper - cells.lower)
    low, high = cells.steps(np.stack([point - width, point + width]))
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = [np.abs(step[1] - step[0]) / (2.0 * width) for step in (low, high)]
        return np.asarray(np.isfinite(cells.symmetric_point) & (np.maximum(*slopes) >= 1.0))


def _predict(
    cells: Cells, estimates: Estimates, begin: Array, target: float, read_noise: float, overshoots: bool
) -> dict[str, Any]:
    """What theory says of this calibration: floor, errors after each count, pulses for the target."""
    mode: Any = estimates.mode
    internal = begin if cells.reference is None else begin + cells.reference
    nothing = {"rms_theory": None, "floor": None, "pulses_needed_theory": None}
    if overshoots:
        return nothing | {"theory": "no bound applies: cells overshoot (dw_min times slope >= 1)"}
    noise = cells.cycle_noise
    if cells.linear is None or noise.offset or noise.slope:
        return _predict_by_bound(cells, internal, target, read_noise, mode)

    def rms(moments: Any) -> float:
        return math.hypot(array_offset(cells, moments).rms, read_noise)

    left = math.sqrt(target**2 - read_noise**2) if target > read_noise else 0.0
    needed = pulses_to_target(cells, left, mode=mode, start=internal) if left else None
    return {
        "rms_theory": [rms(zero_shifting_moments(cells, mode, int(n), internal)) for n in estimates.pulses],
        "floor": rms(stationary_moments(cells, mode)),
        "pulses_needed_theory": needed,
        "theory": "exact moments" if needed is not None else "exact moments: the floor is above the target",
    }


def _predict_by_bound(cells: Cells, internal: Array, target: float, read_noise: float, mode: Any) -> dict[str, Any]:
    limited = small_step_moments(cells, mode).mean_square
    finite = np.isfinite(limited)
    floor = float(np.sqrt(np.mean(limited[finite]) + read_noise**2)) if finite.any() else None
    nothing = {"rms_theory": None, "floor": floor, "pulses_needed_theory": None}
    every = -(-cells.size // _BOUND_CELLS)
    cells, internal = cells.thinned(_BOUND_CELLS), internal.reshape(1, -1)[:, ::every]
    internal = internal.reshape(cells.shape)
    name = "TC.4" if mode == "cyclic" else "TC.2"
    bound = zero_shifting_bounds(cells, internal, constants=response_constants(cells))[name]
    share = max(target**2 - read_noise**2, 0.0) * int(bound.applies.sum())
    if bound.void or share == 0:
        return nothing | {"theory": f"bound {name}: {bound.reason or 'the reading noise is above the target'}"}
    needed = bound.pulses_to(share)
    return nothing | {
        "pulses_needed_theory": needed.pulses,
        "theory": f"bound {name}, corrected" if needed.pulses else f"bound {name}: {needed.reason}",
    }


def _first_below(pulses: Array, rms: list[float], target: float, mode: str) -> int | None:
    """Smallest pulse count with an RMS error of at most ``target``, log-linear between the measured ones."""
    below = [k for k, value in enumerate(rms) if value <= target]
    if not below:
        return None
    k = below[0]
    if k == 0:
        return int(pulses[0])
    share = math.log(rms[k - 1] / target) / math.log(rms[k - 1] / rms[k])
    count = math.ceil(pulses[k - 1] + share * (pulses[k] - pulses[k - 1]))
    return min(count + count % 2, int(pulses[k])) if mode == "cyclic" else count


def _recommend(
    pulses: Array, rms: list[tuple[float, Interval]], target: float, measured: int | None, theory: int | None
) -> int | None:
    """Pulses to send: what measurement and theory both call enough, within the measured counts where possible."""
    safe = [int(n) for n, (_, (_, high)) in zip(pulses, rms, strict=True) if high <= target]
    if not safe:
        return theory
    if measured is not None and theory is not None:
        return min(safe[0], max(measured, theory))
    return safe[0]


def _verdict(
    met: bool, last: tuple[float, Interval], target: float, pulses: int, recommended: int | None, floor: float | None
) -> str:
    rms, (low, high) = last
    text = f"RMS error {rms:.4g} [{low:.4g}, {high:.4g}] after {pulses} pulses: target {target:.4g} "
    if met:
        return text + f"met; {recommended} pulses recommended" if recommended else text + "met"
    if floor is not None and floor > target:
        return text + f"missed, and out of reach: {floor:.4g} is left after ever more pulses"
    return text + (f"missed; theory asks for {recommended} pulses" if recommended else "missed")


def _notes(cells: Cells, live: Array, overshoot: Array, estimates: Estimates) -> list[str]:
    notes = [cells.device.source.note] if cells.device.source.note else []
    if not live.all():
        notes.append(f"{live.size - int(live.sum())} of {live.size} cells have no symmetric point and are left out")
    if overshoot.any():
        notes.append(f"{int(overshoot.sum())} cells overshoot (dw_min times slope >= 1): no bound applies to them")
    if cells.clip_fraction:
        notes.append(f"{100 * cells.clip_fraction:.1f} % of the cells have a drawn parameter that was clipped")
    if cells.size > _THEORY_CELLS:
        notes.append(f"theory: over every {-(-cells.size // _THEORY_CELLS)}th cell")
    if estimates.stopped:
        notes.append("ended early by the stop rule")
    return notes
