"""Constants of a response that the bounds and the small-step formulas need: extremes, slopes, potential.

q_plus and q_minus are dimensionless, so a slope is per weight unit. G = (q_minus - q_plus)/2 is the
asymmetry, its only zero w* the symmetric point, and phi its potential: phi' = G, phi(w*) = 0
(Xiao et al. 2026, arXiv 2602.21321).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.values import real_array

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Interval = tuple[ArrayLike, ArrayLike]

_GRID_PARTS, _VALUES_AT_ONCE = 512, 1 << 18
_PANELS, _NODES = 8, 8
_EDGE_NEAR, _EDGE_FAR = 2.0**-24, 2.0**-16
_EDGE_RATIO, _EDGE_NOISE = 1.01, 1e-6
_DERIVATIVE_STEP = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constants:
    """Constants of both responses of every cell over an interval; each field has shape [*shape].

    Parameters
    ----------
    q_min, q_max : ndarray
        Smallest q and largest |q| of the two responses, dimensionless.
    q0 : ndarray
        Response at the symmetric point, dimensionless.
    mu : ndarray
        Smallest slope of G, per weight unit.
    mu_each : ndarray
        Smallest of q_minus' and -q_plus' (monotone modulus mu_q), per weight unit.
    slope_max : ndarray
        L_q, largest |G'|, per weight unit; inf when it has no limit.
    lipschitz_plus, lipschitz_minus : ndarray
        Largest |q_plus'| and |q_minus'|, per weight unit; inf when they have no limit.
    """

    q_min: Array
    q_max: Array
    q0: Array
    mu: Array
    mu_each: Array
    slope_max: Array
    lipschitz_plus: Array
    lipschitz_minus: Array


class Derivatives(NamedTuple):
    """Derivatives at the symmetric point, shape [*shape]: -q_plus', q_minus' (per weight unit) and G''."""

    plus: Array
    minus: Array
    curvature: Array


def working_interval(cells: Cells, interval: Interval | None = None) -> tuple[Array, Array]:
    """Lower and upper end, shape [*shape], of an interval of weights within the hard bounds.

    Parameters
    ----------
    cells : cells of a device
        Any cells.
    interval : (lower, upper), optional
        Ends in weight units, broadcastable to [*shape]; the hard bounds when not given.

    Returns
    -------
    (ndarray, ndarray)
        NaN in cells whose bounds leave no interval.

    Raises
    ------
    ParameterError
        If an end lies outside the hard bounds, or the ends are out of order.
    """
    lower, upper = np.asarray(cells.lower, dtype=np.float64), np.asarray(cells.upper, dtype=np.float64)
    wide = lower < upper
    lower, upper = np.where(wide, lower, np.nan), np.where(wide, upper, np.nan)
    if interval is None:
        return lower, upper
    low = np.broadcast_to(np.asarray(interval[0], dtype=np.float64), lower.shape)
    high = np.broadcast_to(np.asarray(interval[1], dtype=np.float64), upper.shape)
    if not (~wide | ((low >= lower) & (low < high) & (high <= upper))).all():
        raise ParameterError(
            f"interval must rise within the hard bounds {np.nanmax(lower):g} to {np.nanmin(upper):g}, "
            f"got {np.min(low):g} to {np.max(high):g}"
        )
    return np.where(wide, low, np.nan), np.where(wide, high, np.nan)


def _edge_slopes(cells: Cells, edge: Array, inward: Array) -> tuple[Array, Array]:
    """-q_plus' and q_minus' at an end of an interval; `inward` is the signed width of the interval.

    Difference quotients at two distances tell a finite slope from a power law in the distance, whose slope
    at the end is 0 or infinite.
    """
    result = []
    parts = (0.0, _EDGE_NEAR, _EDGE_FAR)
    weights = np.stack([edge + part * inward for part in parts])
    for steps, sign in zip(cells.steps(weights), (-1.0, 1.0), strict=True):
        q = steps / cells.dw_min
        near, far = (sign * (q[k] - q[0]) / (parts[k] * inward) for k in (1, 2))
        grows = np.abs(near) > _EDGE_RATIO * np.abs(far) + _EDGE_NOISE / np.abs(inward)
        fades = np.abs(far) > _EDGE_RATIO * np.abs(near)
        result.append(np.where(grows, np.copysign(np.inf, near), np.where(fades, 0.0, near)))
    return result[0], result[1]


def _samples(cells: Cells, low: Array, high: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Responses, -q_plus' and q_minus' over the interval, some rows at a time; linear cells need one part."""
    parts = _GRID_PARTS if cells.linear is None else 1
    rows = max(1, _VALUES_AT_ONCE // low.size)
    for first in range(0, parts, rows):
        fraction = np.arange(first, min(first + rows, parts) + 1).reshape(-1, *[1] * low.ndim) / parts
        plus, minus = (step / cells.dw_min for step in cells.steps(low + (high - low) * fraction))
        width = (high - low) / parts
        yield np.concatenate([plus, minus]), -np.diff(plus, axis=0) / width, np.diff(minus, axis=0) / width
    if cells.linear is None:
        for edge, inward in ((low, high - low), (high, low - high)):
            plus, minus = _edge_slopes(cells, edge, inward)
            yield np.stack([step / cells.dw_min for step in cells.steps(edge)]), plus[None], minus[None]


def response_constants(cells: Cells, interval: Interval | None = None) -> Constants:
    """Extremes and slopes of the responses over an interval, in float64.

    Linear cells: exact. Others: difference quotients over 512 equal parts, a few parts in memory at a time,
    and the limits at both ends, where a slope that grows without limit (a power law with exponent below 1)
    comes out as inf and one that vanishes as 0. Features narrower than 1/512 of the interval are smoothed.

    Parameters
    ----------
    cells : cells of a device
        Any cells.
    interval : (lower, upper), optional
        Ends in weight units, broadcastable to [*shape]; the hard bounds when not given.

    Returns
    -------
    Constants

    Raises
    ------
    ParameterError
        If the interval is not within the hard bounds.
    """
    low, high = working_interval(cells, interval)
    q_min = mu = mu_each = np.full(low.shape, np.inf)
    q_max = slope_max = steep_plus = steep_minus = np.zeros(low.shape)
    for q, plus, minus in _samples(cells, low, high):
        q_min, q_max = np.minimum(q_min, q.min(axis=0)), np.maximum(q_max, np.abs(q).max(axis=0))
        slope = (plus + minus) / 2
        mu = np.minimum(mu, slope.min(axis=0))
        mu_each = np.minimum(mu_each, np.minimum(plus, minus).min(axis=0))
        slope_max = np.maximum(slope_max, np.abs(slope).max(axis=0))
        steep_plus = np.maximum(steep_plus, np.abs(plus).max(axis=0))
        steep_minus = np.maximum(steep_minus, np.abs(minus).max(axis=0))
    return Constants(
        q_min=q_min,
        q_max=q_max,
        q0=cells.q_plus(cells.symmetric_point),
        mu=mu,
        mu_each=mu_each,
        slope_max=slope_max,
        lipschitz_plus=steep_plus,
        lipschitz_minus=steep_minus,
    )


def potential(cells: Cells, start: ArrayLike = 0.0) -> Array:
    """phi(w_0) - phi(w*), the integral of G from the symmetric point to the start.

    Gauss-Legendre quadrature with 8 nodes on each of 8 panels: exact for linear cells, where it is G' (w_0
    - w*)^2 / 2.

    Parameters
    ----------
    cells : cells of a device
        Any cells.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.

    Returns
    -------
    ndarray, shape [*shape]
        Weight units; NaN without a symmetric point.
    """
    nodes, weights = leggauss(_NODES)
    symmetric_point = np.asarray(cells.symmetric_point, dtype=np.float64)
    distance = real_array(start, "start") - symmetric_point
    total = np.zeros_like(distance)
    for panel in range(_PANELS):
        for node, weight in zip(nodes, weights, strict=True):
            part = (panel + (node + 1) / 2) / _PANELS
            total += weight * cells.G(symmetric_point + part * distance)
    return total * distance / (2 * _PANELS)


def local_derivatives(cells: Cells) -> Derivatives:
    """Slopes of the responses and curvature of G at the symmetric point, by five-point differences.

    Parameters
    ----------
    cells : cells of a device
        Any cells; linear ones give exact slopes and no curvature.

    Returns
    -------
    Derivatives
        NaN where there is no symmetric point.
    """
    if cells.linear is not None:
        plus, minus = -cells.linear.slope_up / cells.dw_min, cells.linear.slope_down / cells.dw_min
        return Derivatives(plus, minus, np.zeros_like(plus))
    centre = np.asarray(cells.symmetric_point, dtype=np.float64)
    low, high = working_interval(cells)
    step = np.minimum(_DERIVATIVE_STEP * (high - low), np.minimum(centre - low, high - centre) / 2)
    first, second = [], []
    for response in (cells.q_plus, cells.q_minus):
        far_left, left, middle, right, far_right = (response(centre + k * step) for k in (-2, -1, 0, 1, 2))
        first.append((8 * (right - left) - (far_right - far_left)) / (12 * step))
        second.append((16 * (right + left) - (far_right + far_left) - 30 * middle) / (12 * step**2))
    return Derivatives(-first[0], first[1], (second[1] - second[0]) / 2)


def noise_power(cells: Cells, level: Array, additive_level: Array, weight: Array) -> Array:
    """Variance of one pulse's cycle noise over dw_min squared, shape [*shape].

    Parameters
    ----------
    cells : cells of a device
        Any cells.
    level, additive_level : ndarray, shape [*shape]
        What the relative deviation sigma multiplies when the noise is proportional to the step, and when it
        is additive; dimensionless.
    weight : ndarray, shape [*shape]
        Weight at which a deviation that depends on |w| is taken, weight units.

    Returns
    -------
    ndarray
        sigma^2 (level + (offset + slope |w|)/dw_min)^2.
    """
    noise = cells.cycle_noise
    base = additive_level if noise.additive else level
    further = (noise.offset + noise.slope * np.abs(weight)) / cells.dw_min
    return np.asarray(noise.std**2 * (base + further) ** 2, dtype=np.float64)


def additive_levels(cells: Cells) -> tuple[Array, Array]:
    """Scale over dw_min of additive noise, up and down: the steps at weight zero of linear cells.

    Parameters
    ----------
    cells : cells of a device
        Any cells.

    Returns
    -------
    (ndarray, ndarray)
        Dimensionless, shape [*shape]; NaN on other devices, where no such scale is defined.
    """
    if cells.linear is None:
        return np.full(cells.shape, np.nan), np.full(cells.shape, np.nan)
    return cells.linear.up / cells.dw_min, cells.linear.down / cells.dw_min
