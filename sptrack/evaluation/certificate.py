"""The calibration certificate: how good the symmetric points are, compared with truth and theory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.calibration.interface import Estimates
from sptrack.cost import CostModel
from sptrack.devices.cells import Cells
from sptrack.devices.constants import response_constants
from sptrack.devices.statistics import overshooting
from sptrack.errors import ParameterError
from sptrack.evaluation.recommendation import Candidate
from sptrack.evaluation.scaling import crossing
from sptrack.intervals import Interval, interval_text, summarise
from sptrack.results import Arrays, arrays, json_text, provenance
from sptrack.theory import (
    ZeroShiftingCourse,
    array_offset,
    pulse_floor,
    small_step_moments,
    zero_shifting_bounds,
)
from sptrack.values import check_number, real_array

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

PLAIN = ("zero-shifting", "stochastic zero-shifting")
"""Methods whose estimates are reads of the last state: what theory predicts."""
DEFAULT_TARGET = 0.01
"""Default target: this fraction of the nominal range."""
_BOUND_CELLS = 4096
_THEORY_CELLS = 1 << 18
_FEW = 0.01
_TINY = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Result of `certify`; all errors over the live cells, in weight units.

    A cell is live if it has a symmetric point between its bounds. Lists have one entry per pulse count;
    ``*_ci`` are 95 % intervals over cells (200 bootstrap resamples, normal theory above 4096 cells).

    Attributes
    ----------
    device : str
        Name of the device.
    cells : list of int
        Rows and columns.
    live_cells, overshooting_cells : int
        Cells with a symmetric point; cells of which one pulse passes it (dw_min times slope >= 1), which no
        bound covers.
    clip_fraction : float
        Share of the cells with a drawn parameter that had to be clipped.
    mode, method : str
        "cyclic" or "stochastic", "bursts" for methods that send neither; name of the calibrator.
    target, read_noise : float
        Wanted RMS error; std of the reading noise.
    pulses, reads : list of int
        Pulses and reads per cell.
    placement : list of float
        Pulses per cell that would still bring the cells to their points; 0 where they end there.
    rms_error, median_error, mean_offset, std_offset : list of float
        RMS and median |estimate - truth|; mean of estimate - truth; std of the estimates minus std of the
        truth.
    rms_theory : list of float or None
        RMS error predicted by exact moments, on linear devices.
    rms_bound : list of float or None
        Least RMS error that any unbiased method can have with these pulses, however well it reads; on linear
        devices.
    floor : float or None
        RMS error that is left after ever more pulses: exact on linear devices, leading order in dw_min else;
        None where cells overshoot and neither holds.
    pulses_needed_theory : int or None
        Smallest even number of pulses for the target: exact moments on linear devices, else the corrected
        bound.
    theory : str
        Where that number comes from, or why there is none.
    pulses_needed_measured : int or None
        The same from the measured errors, log-linear between the pulse counts; None if the target was not
        met.
    recommended_pulses : int or None
        Enough for the upper end of the measured interval, and for theory with that margin where it is exact;
        no more than the first measured count whose interval lies below the target. None if nothing promises
        it.
    cost : float or None
        Of the recommended calibration, its reads and the placement of the cells, per cell, by the cost model.
    met : bool
        Whether the last RMS error is at most the target.
    verdict, notes : str, list of str
        One line for a person, and what to know beside it.
    candidates : list of Candidate
        Calibrators that were tried for this device and price of reads, the cheapest first; empty if none
        was asked for.
    """

    device: str
    cells: list[int]
    live_cells: int
    overshooting_cells: int
    clip_fraction: float
    mode: str
    method: str
    target: float
    read_noise: float
    pulses: list[int]
    reads: list[int]
    placement: list[float]
    rms_error: list[float]
    rms_error_ci: list[Interval]
    median_error: list[float]
    median_error_ci: list[Interval]
    mean_offset: list[float]
    mean_offset_ci: list[Interval]
    std_offset: list[float]
    std_offset_ci: list[Interval]
    rms_theory: list[float] | None
    rms_bound: list[float] | None
    floor: float | None
    pulses_needed_theory: int | None
    theory: str
    pulses_needed_measured: int | None
    recommended_pulses: int | None
    cost: float | None
    met: bool
    verdict: str
    notes: list[str] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """A certificate with what it was made from: the cells, the estimates and the start weights."""

    certificate: Certificate
    cells: Cells
    estimates: Estimates
    start: Array

    def labelled(self) -> "xr.Dataset":
        """The calibration as a dataset, see `calibration_arrays`; the seed of its pulses is not in it."""
        return calibration_arrays(self, None).labelled()

    def __str__(self) -> str:
        return self.certificate.verdict


def certify(
    cells: Cells,
    estimates: Estimates,
    *,
    start: ArrayLike = 0.0,
    target: float | None = None,
    cost: CostModel | None = None,
    candidates: Sequence[Candidate] = (),
) -> Calibration:
    """Certify estimates of symmetric points of simulated cells, whose truth is known.

    Parameters
    ----------
    cells : Cells
        The array; its true symmetric points are what the estimates are compared with.
    estimates : Estimates
        What `sptrack.calibration.zero_shift` or another calibrator read from it.
    start : array_like, broadcastable to [R, C]
        Weights (visible) before the first pulse, weight units, for theory.
    target : float or None
        Wanted RMS error over live cells, weight units; None: 1 % of the nominal range.
    cost : CostModel or None
        Weights of pulses and reads.
    candidates : sequence of Candidate
        What `sptrack.evaluation.recommendation.recommend` found, to be kept with the certificate.

    Returns
    -------
    Calibration

    Raises
    ------
    ParameterError
        A device without any symmetric point between its bounds, a target that is not above 0, estimates of
        another shape than the cells, start weights that are not finite.

    Examples
    --------
    >>> from sptrack import Crossbar, Device, certify, sample_cells, zero_shift
    >>> cells = sample_cells(Device(), (32, 32))
    >>> calibration = certify(cells, zero_shift(Crossbar(cells), (2000, 8000)))
    >>> calibration.certificate.met
    True
    """
    limit = default_target(cells) if target is None else check_target(target)
    require_symmetric_points(cells)
    if estimates.points.shape[1:] != cells.shape:
        raise ParameterError(
            f"estimates must have the shape {cells.shape} of the cells, got {estimates.points.shape[1:]}"
        )
    begin = np.broadcast_to(real_array(start, "start"), cells.shape)
    if not np.isfinite(begin).all():
        raise ParameterError(f"start must be finite weights, got {begin[~np.isfinite(begin)][0]}")
    certificate = _assess(cells, estimates, begin, limit, CostModel() if cost is None else cost)
    certificate = replace(certificate, candidates=list(candidates))
    return Calibration(certificate=certificate, cells=cells, estimates=estimates, start=begin)


def calibration_arrays(calibration: Calibration, seed: int | None) -> Arrays:
    """Labelled arrays of a calibration: what is saved, and what its figures are drawn from.

    Parameters
    ----------
    calibration : Calibration
        What `certify` returned.
    seed : int or None
        Root seed that was used, for the provenance; None if it is not known.

    Returns
    -------
    Arrays
        ``estimate`` (pulses, row, column), ``symmetric_point`` (row, column), and per pulse count the errors
        of the certificate with their intervals, all in weight units; the certificate as JSON attribute.
    """
    c, weight = calibration.certificate, {"units": "weight units"}
    variables: dict[str, Any] = {
        "reads": ("pulses", np.array(c.reads), {"units": "reads per cell"}),
        "placement": ("pulses", np.array(c.placement), {"units": "pulses per cell"}),
        "estimate": (("pulses", "row", "column"), calibration.estimates.points.astype(np.float32), weight),
        "symmetric_point": (("row", "column"), calibration.cells.target.astype(np.float32), weight),
    }
    for name in ("rms_error", "median_error", "mean_offset", "std_offset"):
        variables[name] = ("pulses", np.array(getattr(c, name)), weight)
        variables[f"{name}_ci"] = (("pulses", "end"), np.array(getattr(c, f"{name}_ci")), weight)
    uncertainty = calibration.estimates.uncertainty
    if uncertainty is not None:
        variables["uncertainty"] = (("pulses", "row", "column"), uncertainty.astype(np.float32), weight)
    if c.rms_theory is not None:
        variables["rms_theory"] = ("pulses", np.array(c.rms_theory), weight)
    coordinates = {
        "pulses": ("pulses", np.array(c.pulses), {"units": "pulses per cell"}),
        "end": ("end", np.array(["low", "high"]), {}),
    }
    settings = {
        "mode": c.mode,
        "method": c.method,
        "target": c.target,
        "read_noise": c.read_noise,
        "device": c.device,
        "cells": c.cells,
    }
    made = arrays(variables, coordinates, provenance(seed=seed, parameters=settings))
    made.attrs["certificate"] = json_text(c)
    return made


def default_target(cells: Cells) -> float:
    """1 % of the nominal range of the device, weight units."""
    return DEFAULT_TARGET * (cells.device.response.w_max - cells.device.response.w_min)


def check_target(target: float) -> float:
    """The target as it is given.

    Raises
    ------
    ParameterError
        If it is not a finite number above 0.
    """
    check_number("target", target, above=0)
    return target


def require_symmetric_points(cells: Cells) -> None:
    """Refuse cells of which none can be calibrated.

    Raises
    ------
    ParameterError
        If the cells are one-sided or none has a symmetric point between its bounds.
    """
    device = cells.device
    if device.one_sided or not np.isfinite(cells.target).any():
        reason = "cells are only pulsed up and have no" if device.one_sided else "no cell has a"
        raise ParameterError(
            f"device {device.source.name!r} ({device.response.family}): {reason} symmetric point between its "
            "bounds; there is nothing to calibrate"
        )


def _assess(cells: Cells, estimates: Estimates, begin: Array, target: float, cost: CostModel) -> Certificate:
    true = cells.target
    live = np.isfinite(true)
    summaries = [summarise(np.asarray(points, np.float64)[live], true[live]) for points in estimates.points]
    rms = [s["rms"] for s in summaries]
    overshoot = overshooting(cells)
    prediction, safe = _predict(
        cells, estimates, begin, target, max(high / max(value, _TINY) for value, (_, high) in rms)
    )
    recommended = _recommend(estimates, rms, target, safe)
    met = rms[-1][0] <= target
    return Certificate(
        device=cells.device.source.name,
        cells=list(cells.shape),
        live_cells=int(live.sum()),
        overshooting_cells=int(overshoot.sum()),
        clip_fraction=cells.clip_fraction,
        mode=estimates.mode,
        method=estimates.method,
        target=target,
        read_noise=estimates.read_noise,
        pulses=[int(n) for n in estimates.pulses],
        reads=[int(n) for n in estimates.reads_spent],
        placement=[float(n) for n in estimates.placement_pulses],
        **_columns(summaries),
        **prediction,
        rms_bound=_pulse_bound(cells, estimates.pulses),
        pulses_needed_measured=_first_below(estimates, [value for value, _ in rms], target),
        recommended_pulses=recommended,
        cost=None if recommended is None else _cost(estimates, recommended, cost, cells.shape[1]),
        met=bool(met),
        verdict=_verdict(met, rms[-1], target, int(estimates.pulses[-1]), recommended, prediction["floor"]),
        notes=_notes(cells, live, overshoot, estimates),
    )


def _cost(estimates: Estimates, recommended: int, cost: CostModel, columns: int) -> float:
    """Of a calibration with so many pulses. Reads on the way count if the method needs them."""
    last = min(int(np.searchsorted(estimates.pulses, recommended)), len(estimates.pulses) - 1)
    reads = estimates.reads_spent[0 if estimates.method in PLAIN else last]
    pulses = recommended + float(estimates.placement_pulses[last])
    return cost.total(pulses=pulses, reads=float(reads), columns=columns)


def _pulse_bound(cells: Cells, pulses: Array) -> list[float] | None:
    """RMS over cells of `pulse_floor`; None where it does not hold."""
    noise = cells.cycle_noise
    if cells.linear is None or noise.additive or noise.offset or noise.slope:
        return None
    one = pulse_floor(cells.thinned(_THEORY_CELLS), 1)
    if not np.isfinite(one).any():
        return None
    rms = float(np.sqrt(np.nanmean(one**2)))
    return [rms / math.sqrt(n) for n in pulses]


def _columns(summaries: list[dict[str, tuple[float, Interval]]]) -> dict[str, Any]:
    names = {"rms": "rms_error", "median": "median_error", "mean": "mean_offset", "std": "std_offset"}
    columns: dict[str, Any] = {}
    for short, name in names.items():
        columns[name] = [s[short][0] for s in summaries]
        columns[f"{name}_ci"] = [s[short][1] for s in summaries]
    return columns


def _predict(
    cells: Cells, estimates: Estimates, begin: Array, target: float, margin: float
) -> tuple[dict[str, Any], int | None]:
    """Theory's prediction for this calibration, and the pulses it needs for the target over ``margin``."""
    if estimates.method not in PLAIN:
        nothing = {"rms_theory": None, "floor": None, "pulses_needed_theory": None}
        return nothing | {"theory": f"none for {estimates.method}"}, None
    live = np.isfinite(cells.symmetric_point)
    if overshooting(cells).sum() > _FEW * live.sum():
        nothing = {"rms_theory": None, "floor": None, "pulses_needed_theory": None}
        return nothing | {"theory": "no bound applies: cells overshoot (dw_min times slope >= 1)"}, None
    internal = begin if cells.reference is None else begin + cells.reference
    internal = np.clip(internal, cells.lower, cells.upper)
    read_noise = estimates.read_noise / math.sqrt(estimates.reads_spent[0])
    reading = math.hypot(read_noise, cells.device.write_noise * cells.dw_min)
    noise = cells.cycle_noise
    if cells.linear is None or noise.offset or noise.slope:
        prediction = _predict_by_bound(cells, internal, target, reading, estimates.mode)
        return prediction, prediction["pulses_needed_theory"]
    few, start = cells.thinned(_THEORY_CELLS), _thinned(internal, _THEORY_CELLS)
    mode: Any = estimates.mode
    course = ZeroShiftingCourse(few, mode, start)

    def rms(moments: Any) -> float:
        return math.hypot(array_offset(few, moments).rms, reading)

    def needed(limit: float) -> int | None:
        left = math.sqrt(max(limit**2 - reading**2, 0.0))
        return course.pulses_to(left) if left else None

    moments = course.after([int(n) for n in estimates.pulses])
    first = needed(target)
    return {
        "rms_theory": [rms(each) for each in moments],
        "floor": rms(course.limit()),
        "pulses_needed_theory": first,
        "theory": "exact moments" if first is not None else "exact moments: the floor is above the target",
    }, needed(target / margin)


def _thinned(values: Array, most: int) -> Array:
    """Per-cell values [R, C] of the cells that `Cells.thinned` keeps."""
    every = -(-values.size // most)
    return values if every == 1 else values.reshape(1, -1)[:, ::every]


def _predict_by_bound(
    cells: Cells, internal: Array, target: float, reading: float, mode: Any
) -> dict[str, Any]:
    limits = small_step_moments(cells.thinned(_THEORY_CELLS), mode).mean_square
    finite = np.isfinite(limits)
    floor = float(np.sqrt(np.mean(limits[finite]) + reading**2)) if finite.any() else None
    nothing = {"rms_theory": None, "floor": floor, "pulses_needed_theory": None}
    few, start = cells.thinned(_BOUND_CELLS), _thinned(internal, _BOUND_CELLS)
    name = "TC.4" if mode == "cyclic" else "TC.2"
    bound = zero_shifting_bounds(few, start, constants=response_constants(few))[name]
    allowed = max(target**2 - reading**2, 0.0) * int(bound.applies.sum())
    if allowed == 0:
        return nothing | {"theory": f"bound {name}: reading and write noise are above the target"}
    if bound.void:
        return nothing | {"theory": f"bound {name}: {bound.reason}"}
    needed = bound.pulses_to(allowed)
    theory = f"bound {name}, corrected"
    if needed.floor > allowed:
        least = math.sqrt(needed.floor / int(bound.applies.sum()) + reading**2)
        theory = f"bound {name}: it can promise no RMS error below {least:.3g}"
    elif needed.pulses is None:
        theory = f"bound {name}: {needed.reason}"
    return nothing | {"pulses_needed_theory": needed.pulses, "theory": theory}


def _first_below(estimates: Estimates, errors: list[float], target: float) -> int | None:
    """Smallest pulse count with an error of at most ``target``, log-linear between the measured ones."""
    below = [int(n) for n, value in zip(estimates.pulses, errors, strict=True) if value <= target]
    if not below or below[0] == estimates.pulses[0]:
        return below[0] if below else None
    count = math.ceil(crossing(estimates.pulses, errors, target).at)
    return min(count + count % 2, below[0]) if estimates.mode == "cyclic" else count


def _recommend(
    estimates: Estimates, rms: list[tuple[float, Interval]], target: float, theory: int | None
) -> int | None:
    """Pulses to send: enough for the upper end of the measured interval and for theory with the same margin.

    No more than the first measured count that is safe; where none is, what theory asks for.
    """
    highs = [high for _, (_, high) in rms]
    measured = _first_below(estimates, highs, target)
    if measured is None:
        return theory
    safe = next(int(n) for n, high in zip(estimates.pulses, highs, strict=True) if high <= target)
    return safe if theory is None else min(safe, max(measured, theory))


def _verdict(
    met: bool,
    last: tuple[float, Interval],
    target: float,
    pulses: int,
    recommended: int | None,
    floor: float | None,
) -> str:
    rms = interval_text(last[0], *last[1])
    text = f"RMS error {rms} {'<=' if met else '>'} {target:.4g} after {pulses:,} pulses"
    if met:
        return f"{text}; use {recommended:,} pulses per cell" if recommended else text
    if floor is not None and floor > target:
        return f"{text}: out of reach, {floor:.4g} remains however many pulses are applied"
    return f"{text}; theory needs {recommended:,} pulses per cell" if recommended else text


def _notes(cells: Cells, live: Array, overshoot: Array, estimates: Estimates) -> list[str]:
    notes = [cells.device.source.note] if cells.device.source.note else []
    if not live.all():
        notes.append(
            f"{live.size - int(live.sum())} of {live.size} cells have no symmetric point and are left out"
        )
    if overshoot.any():
        notes.append(
            f"{int(overshoot.sum())} cells overshoot (dw_min times slope >= 1): no bound applies to them"
        )
    if cells.clip_fraction:
        notes.append(
            f"{100 * cells.clip_fraction:.1f} % of the cells have a drawn parameter that was clipped"
        )
    if cells.size > _THEORY_CELLS:
        notes.append(f"theory: over one cell in {-(-cells.size // _THEORY_CELLS)}")
    if estimates.stopped:
        notes.append("ended early by the stop rule")
    return notes
