"""Statistics of an array of cells: symmetric points, response curves with their spread."""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.devices.cells import Cells
from sptrack.devices.device import Device, Spread
from sptrack.devices.sampling import sample_cells

Array = NDArray[Any]

_ROUNDING = 1e-6

BAND = (10.0, 90.0)
"""Percentiles of the cells between which `response_curves` gives the spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and standard deviation over cells, weight units."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatistics:
    """Statistics of the cells of an array; all shares are between 0 and 1.

    Parameters
    ----------
    cells : int
        Number of cells.
    stuck, clipped : float
        Share of all cells that do not move, and share with a drawn parameter that had to be clipped.
    without_point : float
        Share of the live (not stuck) cells without a symmetric point inside their bounds.
    overshooting : float
        Share of the cells with a symmetric point of which one pulse can pass it, see `overshooting`. NaN if
        no cell has a point.
    point, target : Moments or None
        Symmetric points as pulses see them and as they are read (reference subtracted); None if no cell has
        one.
    """

    cells: int
    stuck: float
    clipped: float
    without_point: float
    overshooting: float
    point: Moments | None
    target: Moments | None


class ResponseCurves(NamedTuple):
    """Responses against the weight, dimensionless: a pulse moves a cell by +dw_min q_plus or -dw_min q_minus.

    ``weights`` [n] (weight units, from nominal bound to nominal bound); ``nominal``, ``low``, ``high`` [2,
    n]: q_plus and q_minus of the nominal cell and the ends of the band of the array's live cells, NaN where
    no cell reaches the weight; ``point``: symmetric point of the nominal cell, NaN if it has none.
    """

    weights: Array
    nominal: Array
    low: Array
    high: Array
    point: float


def nominal_cells(device: Device) -> Cells:
    """The one cell (float64, no reference) that ``device`` describes without any spread."""
    asymmetry = replace(device.spread.asymmetry, std=0.0)
    plain = replace(device, spread=Spread(asymmetry=asymmetry), reference=None)
    return sample_cells(plain, (1, 1), dtype=np.float64)


def symmetric_points(cells: Cells) -> Array:
    """Internal symmetric points [R, C], NaN where there is none: stuck, out of bounds, or pulsed up only."""
    if cells.device.one_sided:
        return np.full(cells.shape, np.nan)
    return np.where(cells.upper > cells.lower, cells.symmetric_point, np.nan)


def overshooting(cells: Cells) -> Array:
    """Cells [R, C] of which one pulse can pass the symmetric point: dw_min times a slope of q is >= 1."""
    point = np.nan_to_num(cells.symmetric_point, nan=0.0)
    width = 1e-4 * (cells.upper - cells.lower)
    steps = cells.steps(np.stack([point - width, point + width]))
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = [np.abs(step[1] - step[0]) / (2.0 * width) for step in steps]
        return np.asarray(np.isfinite(cells.symmetric_point) & (np.maximum(*slopes) >= 1.0 - _ROUNDING))


def cell_statistics(cells: Cells) -> CellStatistics:
    """Statistics of stuck cells, clipped parameters and symmetric points of an array."""
    points = symmetric_points(cells)
    has_point = np.isfinite(points)
    live = int(np.count_nonzero(cells.upper > cells.lower))
    number = int(np.count_nonzero(has_point))
    over = has_point & overshooting(cells)
    read = points if cells.reference is None else points - cells.reference
    return CellStatistics(
        cells=cells.size,
        stuck=1.0 - live / cells.size,
        clipped=cells.clip_fraction,
        without_point=1.0 - number / live if live else math.nan,
        overshooting=int(np.count_nonzero(over)) / number if number else math.nan,
        point=_moments(points[has_point]),
        target=_moments(read[has_point]),
    )


def _moments(values: Array) -> Moments | None:
    return Moments(mean=float(values.mean()), std=float(values.std())) if values.size else None


def response_curves(cells: Cells, points: int = 201) -> ResponseCurves:
    """Response curves of the nominal cell and their spread over the live cells of an array.

    Parameters
    ----------
    cells : Cells
        The array whose spread is computed.
    points : int
        Number of weights.

    Returns
    -------
    ResponseCurves
        The band at a weight is that of the cells whose bounds contain it, between the percentiles `BAND`.
    """
    response, nominal = cells.device.response, nominal_cells(cells.device)
    weights = np.linspace(response.w_min, response.w_max, points)
    band = np.full((2, 2, points), np.nan)
    for k, w in enumerate(weights):
        inside = (cells.lower <= w) & (w <= cells.upper) & (cells.lower < cells.upper)
        if inside.any():
            band[:, :, k] = [np.percentile(q[inside], BAND) for q in (cells.q_plus(w), cells.q_minus(w))]
    grid = weights[:, None, None]
    middle = np.stack([nominal.q_plus(grid).ravel(), nominal.q_minus(grid).ravel()])
    return ResponseCurves(weights, middle, band[:, 0], band[:, 1], float(symmetric_points(nominal)[0, 0]))
