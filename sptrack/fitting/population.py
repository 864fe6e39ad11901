"""Fit of one or many cells, the spread between them, and the device that describes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from sptrack.devices.cells import Cells
from sptrack.devices.device import MAX_ASYMMETRY, Asymmetry, CycleNoise, Device, Source, Spread
from sptrack.fitting.cell import Estimate, MeasuredDevice
from sptrack.fitting.files import Measurement
from sptrack.fitting.fit import fit_pulse_response, uncertainty_draws
from sptrack.fitting.laws import Floats, Law
from sptrack.fitting.selection import Selection, select_family
from sptrack.devices.sampling import cells_from_parameters, sample_cells

__all__ = [
    "CellSpread",
    "ResponseFit",
    "cell_spread",
    "fit_responses",
    "measured_cells",
    "not_identified",
    "to_device",
]

_DRAWS = 200
_FEWEST_CELLS = 3
_HALF_WIDTH = 1.96
_CHI = 1.92


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpread:
    """Mean and standard deviation of a parameter over cells, each with its 95 % interval.

    Attributes
    ----------
    mean, std : Estimate
        Of the population; the sampling error of each cell's estimate is removed from the std.
    cells : int
        Cells with a finite interval, which are the ones used.
    """

    mean: Estimate
    std: Estimate
    cells: int


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
    """

    measurement: Measurement
    family: str
    cells: tuple[MeasuredDevice, ...]
    selection: Selection | None
    spread: Mapping[str, CellSpread]

    @property
    def read_noise(self) -> float:
        """Std of a single reading about the state, root mean square over cells, weight units."""
        return float(np.sqrt(np.mean([cell.read_noise**2 for cell in self.cells])))


def fit_responses(
    measurement: Measurement,
    family: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ResponseFit:
    """Fit every cell of a measurement, with the family chosen by held-out readings unless given.

    Parameters
    ----------
    measurement : Measurement
        What `read_measurement` returns.
    family : str, optional
        One of `FAMILIES`.
    progress : callable, optional
        Called with 1 after every fit of a cell while families are compared.

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
    selection = None if family is not None else select_family(measurement.cells, progress=progress)
    chosen = family if selection is None else selection.chosen
    cells = tuple(fit_pulse_response(cell, str(chosen)) for cell in measurement.cells)
    spread = {}
    if len(cells) >= _FEWEST_CELLS:
        for name in cells[0].parameters:
            found = [cell.parameters[name] for cell in cells if name in cell.parameters]
            finite = [one for one in found if np.isfinite(one.high - one.low) and one.high > one.low]
            if len(finite) >= _FEWEST_CELLS:
                spread[name] = cell_spread(finite)
    return ResponseFit(
        measurement=measurement, family=str(chosen), cells=cells, selection=selection, spread=spread
    )


def cell_spread(estimates: list[Estimate]) -> CellSpread:
    """Mean and std of a population from estimates with their own errors (random-effects model).

    Estimate i is normal with variance tau^2 + s_i^2, s_i a 95 % interval over 3.92. The std tau maximises the
    restricted likelihood; its interval is where that falls by 1.92.

    Parameters
    ----------
    estimates : list of Estimate
        At least 3, with finite intervals.
    """
    values = np.array([one.value for one in estimates])
    errors = np.array([(one.high - one.low) / (2.0 * _HALF_WIDTH) for one in estimates])
    top = 10.0 * float(np.ptp(values)) + 1e-12

    def cost(tau: float) -> float:
        weight = 1.0 / (tau * tau + errors**2)
        mean = np.sum(weight * values) / weight.sum()
        return float(
            0.5 * np.sum(weight * (values - mean) ** 2 - np.log(weight)) + 0.5 * np.log(weight.sum())
        )

    grid = np.linspace(0.0, top, 200)
    start = grid[int(np.argmin([cost(tau) for tau in grid]))]
    step = grid[1]
    best = float(minimize_scalar(cost, bounds=(max(start - step, 0.0), start + step), method="bounded").x)
    if cost(0.0) <= cost(best):
        best = 0.0
    limit = cost(best) + _CHI

    def excess(tau: float) -> float:
        return cost(tau) - limit

    low = 0.0 if excess(0.0) <= 0.0 else float(brentq(excess, 0.0, best))
    high = top if excess(top) <= 0.0 else float(brentq(excess, best, top))
    weight = 1.0 / (best * best + errors**2)
    mean, half = float(np.sum(weight * values) / weight.sum()), float(_HALF_WIDTH / np.sqrt(weight.sum()))
    return CellSpread(
        mean=Estimate(mean, mean - half, mean + half), std=Estimate(best, low, high), cells=len(estimates)
    )


def to_device(fit: ResponseFit) -> Device:
    """Describe the fitted cells as a device.

    One cell: that cell, without spread. Three or more: the cell of the median coefficients, with the spread
    between cells of gain, asymmetry and bounds, and the mean noises. What the readings cannot identify stands
    in the note of the source.

    Parameters
    ----------
    fit : ResponseFit
        The fit.

    Raises
    ------
    ParameterError
        The fitted steps are none that the family can describe (bounds without 0 between them, say).
    """
    coefficients = np.exp(np.median([np.log(cell.coefficients) for cell in fit.cells], axis=0))
    low, high = (float(np.median([cell.range[k] for cell in fit.cells])) for k in (0, 1))
    law = Law(family=fit.family, low=low, high=high)
    response, scales = law.response(coefficients)
    if abs(scales[0] - scales[1]) > MAX_ASYMMETRY * scales.sum():
        response, scales = law.sampled(coefficients)
    width = response.w_max - response.w_min
    dw_min, skew = float(scales.mean()), float((scales[0] - scales[1]) / scales.sum())
    cycle = float(np.median([cell.parameters["cycle_noise"].value for cell in fit.cells]))
    return Device(
        response=response,
        dw_min=min(dw_min, 0.99 * width),
        spread=_spread(fit, skew),
        cycle_noise=CycleNoise(std=cycle),
        source=Source(name=fit.measurement.name, note=_note(fit)),
    )


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
    """Reading noise, and what the readings leave open."""
    noise, parts = f"reading noise {fit.read_noise:.3g} weight units", not_identified(fit)
    return noise + (f"; not identified by the readings: {'; '.join(parts)}" if parts else "")


def not_identified(fit: ResponseFit) -> list[str]:
    """What the readings cannot tell: name and reason for one cell, else in how many of the cells."""
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
    if fit.spread:
        return sample_cells(device, shape, seed=seed)
    cell = fit.cells[0]
    generator = np.random.default_rng(seed)
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
