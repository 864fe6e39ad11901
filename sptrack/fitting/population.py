"""Fit of one or many cells, the spread between them, and the device that describes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from sptrack.devices.cells import Cells
from sptrack.devices.device import (
    MAX_ASYMMETRY,
    Asymmetry,
    CycleNoise,
    Device,
    Fit,
    ReadingScale,
    Source,
    Spread,
    SymmetricPoints,
)
from sptrack.devices.sampling import cells_from_parameters, sample_cells
from sptrack.devices.statistics import symmetric_points
from sptrack.errors import ParameterError
from sptrack.fitting._parallel import in_threads
from sptrack.fitting.cell import Estimate, MeasuredDevice
from sptrack.fitting.estimate import swift_estimate
from sptrack.fitting.files import Measurement
from sptrack.fitting.fit import (
    LONG,
    describe_fit,
    fit_long_response,
    fit_pulse_response,
    uncertainty_draws,
)
from sptrack.fitting.laws import FAMILIES, Floats, Law
from sptrack.fitting.readings import PulseResponse
from sptrack.fitting.selection import Selection, select_family
from sptrack.fitting.spread import CellSpread, cell_spread
from sptrack.fitting.thinning import MORE, thinned
from sptrack.values import as_seed

__all__ = [
    "ResponseFit",
    "fit_responses",
    "measured_cells",
    "not_identified",
    "to_device",
]

_DRAWS = 200
_MAX_OF_MANY, _ALL = 1000, 2_000_000
_CHOSEN_ON, _IN_FULL = 4, 12
_FIT_UNITS = 6
_BATCH = 100
_LIMITS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
_TRIAL_SHAPE = (32, 32)
_FEWEST_CELLS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResponseFit:
    """Fit of all cells of a measurement: what `fit_responses` returns.

    Attributes
    ----------
    measurement : Measurement
        Readings, weight units.
    family : str
        Family of all cells.
    cells : tuple of MeasuredDevice
        A fit for every cell.
    selection : Selection or None
        Held-out scores; None if the family was given.
    spread : mapping of str to CellSpread
        Spread over cells by parameter; empty for fewer than 3 cells.
    notes : tuple of str
        What was left out, and what that costs.
    """

    measurement: Measurement
    family: str
    cells: tuple[MeasuredDevice, ...]
    selection: Selection | None
    spread: Mapping[str, CellSpread]
    notes: tuple[str, ...] = ()

    @property
    def read_noise(self) -> float:
        """Std of a single reading about the state, root mean square over cells, weight units."""
        return float(np.sqrt(np.mean([cell.read_noise**2 for cell in self.cells])))

    @property
    def symmetric_point(self) -> Estimate:
        """Symmetric point of the cell, or its mean over cells, weight units."""
        found = self.spread.get("symmetric_point")
        if found is not None:
            return found.mean
        if len(self.cells) == 1:
            return self.cells[0].symmetric_point
        return Estimate(float(np.mean([cell.symmetric_point.value for cell in self.cells])), -np.inf, np.inf)


def fit_responses(
    measurement: Measurement,
    family: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ResponseFit:
    """Fit every cell of a measurement, with the family chosen by held-out readings unless given.

    The family is chosen on at most 4 cells. Of more than 12 cells, 12 that are evenly spaced are fitted in
    full; the others start from their median, with intervals from the information alone. Of a record of more
    than 4000 readings (1000 of many cells) fewer choose the family (see `sptrack.fitting.thinning`); the
    likelihood of a cell that is fitted in full is that of all its readings, up to 2 million of all cells.
    `ResponseFit.notes` says what was left out.

    Parameters
    ----------
    measurement : Measurement
        What `read_measurement` returns.
    family : str, optional
        One of `FAMILIES`.
    progress : callable, optional
        Called with (done, total) units of work, about equally long.

    Returns
    -------
    ResponseFit

    Raises
    ------
    ParameterError
        Unknown family.
    ConvergenceError
        The fit of a cell did not converge.
    """
    given, notes = measurement.cells, []
    few = len(given) <= _IN_FULL
    whole = tuple(thinned(cell, max(_ALL // len(given), LONG)) for cell in given)
    short = tuple(_shortened(cell, LONG if few else _MAX_OF_MANY) for cell in whole)
    hidden = {k for k, cell in enumerate(short) if cell is None}
    in_full = sorted(hidden | set(_evenly(len(given), _IN_FULL)))
    swift = [k for k in range(len(given)) if k not in in_full]
    seen = [cell for cell in short if cell is not None]
    chosen_on = [seen[k] for k in _evenly(len(seen), _CHOSEN_ON)] if family is None else []
    cells = [whole[k] if cell is None or k in in_full else cell for k, cell in enumerate(short)]
    if family is None and not chosen_on:
        family = FAMILIES[0]
        notes.append(
            f"steps too small for a choice of family by {LONG * MORE:,} readings: {family}, the simplest, is "
            "fitted to all"
        )
    elif chosen_on and any(cells[k].readings.size > LONG for k in in_full):
        notes.append("the family is chosen on a part of the readings")
    notes += _left_out(given, cells)
    rounds = len(FAMILIES) * len(chosen_on) + _FIT_UNITS * len(in_full) + len(swift)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, rounds)

    selection = select_family(chosen_on, progress=advance) if chosen_on else None
    chosen = str(family if selection is None else selection.chosen)
    fitted: dict[int, MeasuredDevice] = {}
    for k, one in zip(
        in_full, in_threads(lambda k: _in_full(cells[k], short[k], chosen), in_full), strict=True
    ):
        fitted[k] = one
        advance(_FIT_UNITS)
    if swift:
        notes.append(
            f"{len(in_full)} of {len(cells)} cells fitted in full, the others from their median, with "
            "intervals from "
            "the information alone"
        )
        fitted |= _swift(cells, swift, list(fitted.values()), chosen, advance)
    made = tuple(fitted[k] for k in sorted(fitted))
    missing = len(cells) - len(made)
    if missing:
        notes.append(f"{missing} of {len(cells)} cells left out: their fits did not converge")
    spread = {}
    if len(made) >= _FEWEST_CELLS:
        for name in made[0].parameters:
            found = [cell.parameters[name] for cell in made if name in cell.parameters]
            finite = [one for one in found if np.isfinite(one.high - one.low) and one.high > one.low]
            if len(finite) >= _FEWEST_CELLS:
                spread[name] = cell_spread(finite)
    return ResponseFit(
        measurement=replace(measurement, cells=tuple(cells[k] for k in sorted(fitted))),
        family=chosen,
        cells=made,
        selection=selection,
        spread=spread,
        notes=tuple(notes),
    )


def _shortened(cell: PulseResponse, most: int) -> PulseResponse | None:
    """Response with about ``most`` readings; None if these do not show the directions of the steps."""
    try:
        return thinned(cell, most)
    except ParameterError:
        return None


def _in_full(cell: PulseResponse, short: PulseResponse | None, family: str) -> MeasuredDevice:
    if cell.readings.size <= LONG:
        return fit_pulse_response(cell, family)
    return fit_long_response(cell, short, family)


def _left_out(given: Sequence[PulseResponse], used: Sequence[PulseResponse]) -> Iterator[str]:
    """What was left out of the readings, and what that costs."""
    total, kept = (sum(int(np.sum(~np.isnan(cell.readings))) for cell in group) for group in (given, used))
    if kept < total:
        yield (
            f"{kept:,} of {total:,} readings used: intervals are up to {np.sqrt(total / kept):.1f} times as "
            "long as all would give"
        )


def _evenly(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of ``count`` numbers, evenly spaced."""
    return sorted(set(np.linspace(0, count - 1, min(count, wanted)).round().astype(int).tolist()))


def _swift(
    cells: Sequence[PulseResponse],
    places: list[int],
    like: list[MeasuredDevice],
    family: str,
    advance: Callable[[int], None],
) -> dict[int, MeasuredDevice]:
    """Quick fits of many cells, in batches under one program; those that do not converge are left out."""
    slow = sum(one.fitted.slow for one in like) > len(like) / 2
    chosen = [one for one in like if one.fitted.slow == slow]
    start = np.median([one.fitted.theta[0, one.fitted.problem.runs :] for one in chosen], axis=0)
    low, high = (float(f([one.range[k] for one in like])) for k, f in ((0, np.min), (1, np.max)))
    batches: dict[bytes, list[int]] = {}
    for k in places:
        program = cells[k].program
        batches.setdefault(program.pulses.tobytes() + program.runs.tobytes(), []).append(k)
    found = {}
    for batch in batches.values():
        for first in range(0, len(batch), _BATCH):
            part = batch[first : first + _BATCH]
            readings = np.stack([cells[k].readings for k in part])
            law = Law(family=family, low=low, high=high)
            fitted = swift_estimate(law, cells[part[0]].program, readings, start, slow)
            for row, k in enumerate(part):
                one = fitted.rows(np.array([row]))
                if fitted.converged[row]:
                    found[k] = describe_fit(cells[k], one, one.wald_intervals())
            advance(len(part))
    return found


def to_device(fit: ResponseFit) -> Device:
    """Describe the fitted cells as a device.

    One cell: that cell, without spread. Three or more: the cell of the median coefficients, with the spread
    between cells of gain and bounds, the mean and spread of their symmetric points, and the mean noises. The
    granularity is the mean of the up and the down step at w = 0, whatever the family. Scale of the readings,
    uncertainty and origin stand in `Device.scale` and `Device.fit`.

    Parameters
    ----------
    fit : ResponseFit
        The fit.

    Raises
    ------
    ParameterError
        The granularity is above the range.
    """
    coefficients = np.exp(np.median([np.log(cell.coefficients) for cell in fit.cells], axis=0))
    low, high = (float(np.median([cell.range[k] for cell in fit.cells])) for k in (0, 1))
    law = Law(family=fit.family, low=low, high=high)
    response, scales = law.response(coefficients)
    if abs(scales[0] - scales[1]) > MAX_ASYMMETRY * scales.sum():
        response, scales = law.sampled(coefficients)
    dw_min, skew = float(scales.mean()), float((scales[0] - scales[1]) / scales.sum())
    cycle = float(np.median([cell.parameters["cycle_noise"].value for cell in fit.cells]))
    measured = fit.measurement
    made = Device(
        response=response,
        dw_min=min(dw_min, 0.99 * (response.w_max - response.w_min)),
        spread=_spread(fit, skew),
        cycle_noise=CycleNoise(std=cycle),
        read_noise=fit.read_noise,
        scale=None
        if measured.in_weights
        else ReadingScale(
            low=measured.low, high=measured.high, unit=measured.unit, quantity=measured.quantity
        ),
        fit=_record(fit),
        source=Source(name=measured.name, note=_note(fit)),
    )
    return made if len(fit.cells) == 1 else _with_points(made, fit)


def _record(fit: ResponseFit) -> Fit:
    """Uncertainty and origin of the device."""
    from sptrack import __version__

    one, measured = fit.cells[0], fit.measurement
    single = len(fit.cells) == 1
    steps = [cell.dw_min for cell in fit.cells]
    ends: dict[str, float | None] = {}
    pairs = {"symmetric_point": fit.symmetric_point}
    for name in ("read_noise", "cycle_noise"):
        found = one.parameters[name] if single else fit.spread[name].mean if name in fit.spread else None
        if found is not None:
            pairs[name] = found
    if single:
        up, down = one.parameters["step_up"], one.parameters["step_down"]
        pairs["dw_min"] = Estimate(one.dw_min, 0.5 * (up.low + down.low), 0.5 * (up.high + down.high))
    for name, found in pairs.items():
        for side, value in (("low", found.low), ("high", found.high)):
            ends[f"{name}_{side}"] = float(value) if np.isfinite(value) else None
    points = fit.spread.get("symmetric_point")
    return Fit(
        file=measured.name,
        sha256=measured.sha256,
        family=fit.family,
        cells=len(fit.cells),
        readings=sum(cell.diagnostics.readings for cell in fit.cells),
        symmetric_point=fit.symmetric_point.value,
        symmetric_point_std=None if points is None else points.std.value,
        dw_min=float(np.median(steps)),
        not_identified=tuple(not_identified(fit)),
        version=__version__,
        created=datetime.now(UTC).date().isoformat(),
        **ends,
    )


def _with_points(device: Device, fit: ResponseFit) -> Device:
    """Device whose symmetric points have the mean and spread of the fit, if its family can have them.

    Points are kept inside the share of the range in which every cell's steps can cross: the largest of a few
    shares at which an array can be drawn.
    """
    point = fit.symmetric_point.value
    spread = fit.spread.get("symmetric_point")
    std = 0.0 if spread is None else spread.std.value
    for limit in _LIMITS:
        asymmetry = SymmetricPoints(mean=point, std=std, limit=limit)
        trial = replace(device, spread=replace(device.spread, asymmetry=asymmetry))
        with suppress(ParameterError):
            drawn = symmetric_points(sample_cells(trial, _TRIAL_SHAPE))
            if np.isfinite(drawn).all() and abs(float(drawn.mean()) - point) < 0.1 * std + 0.02:
                return trial
    return device


def _spread(fit: ResponseFit, skew: float) -> Spread:
    """Relative spreads; sampling errors are removed."""
    asymmetry = Asymmetry(mean=skew)
    if not fit.spread:
        return Spread(asymmetry=asymmetry)
    gains: list[tuple[float, float]] = []
    skews: list[tuple[float, float]] = []
    for cell in fit.cells:
        up, down = cell.parameters["step_up"], cell.parameters["step_down"]
        error = 0.5 * np.hypot(up.high - up.low, down.high - down.low) / (2.0 * cell.dw_min)
        for values, value in ((gains, cell.dw_min), (skews, 0.5 * (up.value - down.value))):
            values.append((value, error))
    middle = float(np.median([value for value, _ in gains]))

    def std(values: list[tuple[float, float]]) -> float:
        scaled = [Estimate(v / middle, v / middle - e, v / middle + e) for v, e in values if np.isfinite(e)]
        return cell_spread(scaled).std.value if len(scaled) >= _FEWEST_CELLS else 0.0

    bounds: dict[str, float] = {}
    for side, names in (("w_max", ("tau_max", "w_max")), ("w_min", ("tau_min", "w_min"))):
        found = next((fit.spread[name] for name in names if name in fit.spread), None)
        bounds[side] = 0.0 if found is None else found.std.value / abs(found.mean.value)
    return Spread(
        dw_min=std(gains),
        asymmetry=replace(asymmetry, std=std(skews)),
        w_max=bounds["w_max"],
        w_min=bounds["w_min"],
    )


def _note(fit: ResponseFit) -> str:
    """Parameters that the readings leave open."""
    parts = not_identified(fit)
    return f"not identified by the readings: {'; '.join(parts)}" if parts else ""


def not_identified(fit: ResponseFit) -> list[str]:
    """Parameters not determined by the readings: name and reason for one cell, else the number of cells."""
    if len(fit.cells) == 1:
        return [f"{item.name}: {item.reason}" for item in fit.cells[0].unidentified]
    names = [item.name for cell in fit.cells for item in cell.unidentified]
    return [f"{name} in {count} of {len(fit.cells)} cells" for name, count in Counter(names).items()]


def measured_cells(fit: ResponseFit, shape: tuple[int, int], *, seed: int = 0) -> Cells:
    """Cells for a simulation: of one measured cell, cells that differ by what its readings leave open.

    Every cell is then one bootstrap refit of the readings: the uncertainty about one cell, not the spread
    between cells. Of three or more measured cells, cells drawn with the spread between them.

    Parameters
    ----------
    fit : ResponseFit
        The fit.
    shape : (int, int)
        Rows and columns.
    seed : int
        Seed of the draw.

    Returns
    -------
    Cells

    Raises
    ------
    ParameterError
        As in `to_device`; a shape that is not two positive integers.
    """
    device = to_device(fit)
    if len(fit.cells) > 1:
        return sample_cells(device, shape, seed=seed)
    cell = fit.cells[0]
    generator = np.random.default_rng(as_seed(seed))
    drawn = uncertainty_draws(cell.fitted, _DRAWS, generator)
    law = cell.fitted.problem.law
    if fit.family == "soft-bounds":
        parameters = _soft_parameters(law, drawn)
    else:
        response, scales = law.sampled(cell.coefficients)
        plain = Spread(asymmetry=Asymmetry())
        device = replace(device, response=response, dw_min=float(scales[0]), spread=plain)
        parameters = _node_parameters(law, drawn, device.dw_min)
    rows = generator.integers(len(drawn), size=shape)
    return cells_from_parameters(device, {name: values[rows] for name, values in parameters.items()})


def _soft_parameters(law: Law, drawn: Floats) -> dict[str, Floats]:
    up, down = law.steps(drawn, np.zeros((len(drawn), 1)))[..., 0]
    upper, lower = law.bounds(drawn)
    keep = (up > 0.0) & (down > 0.0) & (lower < 0.0) & (upper > 0.0)
    parameters = {"step_up": up, "step_down": down, "w_max": upper, "w_min": lower}
    return {name: np.where(keep, values, np.median(values)) for name, values in parameters.items()}


def _node_parameters(law: Law, drawn: Floats, scale: float) -> dict[str, Floats]:
    upper, lower = law.ends(drawn)
    nodes = law.nodes(drawn) / scale
    named = {
        f"node_{side}_{k}": nodes[i, :, k]
        for i, side in enumerate(("up", "down"))
        for k in range(nodes.shape[-1])
    }
    return named | {"w_max": upper, "w_min": lower}
