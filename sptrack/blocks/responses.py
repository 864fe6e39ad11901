"""Priors of the responses of cells, for observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.devices import Cells, Device, sample_cells
from sptrack.devices.constants import additive_levels, local_derivatives, noise_power
from sptrack.devices.statistics import nominal_cells
from sptrack.errors import ParameterError

Array = NDArray[Any]

POPULATION = (32, 32)
"""Cells over which the prior of a population is taken."""
LEAST_PULSE = 0.01
"""Least variance of a pulse, in steps squared, that an observer reckons with: no response is exact."""
_POPULATION_SEED = 271828
_RIDGE = 1e-6


class ResponseLine(NamedTuple):
    """F = f0 + f1 w and G = g0 + g1 w of each cell, linearised at its symmetric point: arrays [cells].

    Dimensionless and per weight unit, w as read; only cells with a symmetric point.
    """

    f0: Array
    f1: Array
    g0: Array
    g1: Array


def response_line(cells: Cells) -> ResponseLine:
    """Level and slopes of the response of cells around their symmetric points.

    Raises
    ------
    ParameterError
        No cell with a symmetric point.
    """
    place = np.asarray(cells.symmetric_point, np.float64)
    live = _live(cells)
    plus, minus, _ = local_derivatives(cells)
    level = cells.F(np.nan_to_num(place))[live]
    slope, other, point = ((minus + plus) / 2)[live], ((minus - plus) / 2)[live], cells.target[live]
    return ResponseLine(level - other * point, other, -slope * point, slope)


def pulse_noise(cells: Cells) -> tuple[float, float]:
    """Variance of a pulse's cycle noise around the symmetric point, dw_min squared: constant, and over F^2.

    Means over cells. Noise that is proportional to the step is the second, any other the first.

    Raises
    ------
    ParameterError
        No cell with a symmetric point.
    """
    live = _live(cells)
    place = np.nan_to_num(np.asarray(cells.symmetric_point, np.float64))
    level, noise = cells.F(place), cells.cycle_noise
    if not (noise.additive or noise.offset or noise.slope):
        return LEAST_PULSE, noise.std**2
    scale = np.nan_to_num(np.hypot(*additive_levels(cells)) / np.sqrt(2), nan=1.0)
    power = noise_power(cells, level, scale, place)
    return max(float(np.mean(power[live])), LEAST_PULSE), 0.0


def nominal_response(device: Device) -> tuple[float, float]:
    """Level F and slope of G of a cell without spread at its symmetric point (without one: 1 and linear)."""
    cells = nominal_cells(device)
    if not np.isfinite(cells.symmetric_point).all():
        return 1.0, 2.0 / (device.response.w_max - device.response.w_min)
    plus, minus, _ = local_derivatives(cells)
    return float(cells.F(cells.symmetric_point)[0, 0]), float((plus + minus)[0, 0] / 2)


def _live(cells: Cells) -> Array:
    """Cells [R, C] with a symmetric point (ParameterError if there are none)."""
    live = np.isfinite(np.asarray(cells.symmetric_point, np.float64)) & np.isfinite(cells.target)
    if not live.any():
        raise ParameterError(
            f"device {cells.device.source.name!r} has no symmetric point; an observer needs one"
        )
    return live


@dataclass(frozen=True, slots=True)
class ResponsePrior:
    """Normal prior of (f0, f1, g0, g1), the lines F = f0 + f1 w and G = g0 + g1 w of a cell.

    Parameters
    ----------
    mean : tuple of 4 floats
        Dimensionless and per weight unit; the slope g1 above 0.
    information : tuple of 4 tuples of 4 floats
        Inverse covariance, positive definite. A flat prior is a multiple of the identity; one pulse is
        worth about 1.

    Raises
    ------
    ParameterError
        Numbers that do not fit.
    """

    mean: tuple[float, ...]
    information: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        mean, matrix = np.asarray(self.mean, np.float64), np.asarray(self.information, np.float64)
        if mean.shape != (4,) or not np.isfinite(mean).all() or not mean[3] > 0:
            raise ParameterError(f"mean must be four numbers, the last above 0, got {self.mean}")
        fits = matrix.shape == (4, 4) and np.isfinite(matrix).all() and np.allclose(matrix, matrix.T)
        if not fits or np.linalg.eigvalsh(matrix)[0] <= 0:
            raise ParameterError("information must be a positive definite 4 x 4 matrix")

    @classmethod
    def of(cls, mean: ArrayLike, information: ArrayLike) -> ResponsePrior:
        """From arrays [4] and [4, 4]. Errors as for the class."""
        return cls(tuple(np.asarray(mean).tolist()), tuple(map(tuple, np.asarray(information).tolist())))

    @classmethod
    def flat(cls, device: Device, weight: float = 1.0) -> ResponsePrior:
        """Nominal level and slope, symmetric point 0, each worth ``weight`` pulses."""
        f0, g1 = nominal_response(device)
        return cls.of([f0, 0.0, 0.0, g1], weight * np.eye(4))

    @classmethod
    def wide(cls, device: Device, weight: float = 1.0) -> ResponsePrior:
        """Nominal level and slope within 40 %, symmetric point in the middle within a quarter of the range.

        These are stds; F' 0 within half of the level per half range; ``weight`` multiplies the information.
        """
        f0, g1 = nominal_response(device)
        response = device.response
        centre, half = (response.w_max + response.w_min) / 2, (response.w_max - response.w_min) / 2
        spread = np.array([0.4 * f0, 0.5 * f0 / half, 0.5 * half * g1, 0.4 * g1])
        turn = np.eye(4)
        turn[0, 1] = turn[2, 3] = -centre
        covariance = turn @ np.diag(spread**2) @ turn.T
        return cls.of([f0, 0.0, -g1 * centre, g1], weight * np.linalg.inv(covariance))

    @classmethod
    def population(cls, device: Device, weight: float = 1.0) -> ResponsePrior:
        """Mean and covariance over cells drawn from the device; ``weight`` multiplies the information."""
        line = np.stack(response_line(sample_cells(device, POPULATION, seed=_POPULATION_SEED)))
        covariance = np.cov(line) + _RIDGE * np.eye(4)
        return cls.of(line.mean(axis=1), weight * np.linalg.inv(covariance))

    @property
    def point(self) -> float:
        """Symmetric point of the mean, weight units."""
        return -self.mean[2] / self.mean[3]

    @property
    def slope(self) -> float:
        """Slope of G of the mean, per weight unit."""
        return self.mean[3]

    @property
    def level(self) -> float:
        """F of the mean at its symmetric point."""
        return self.mean[0] + self.mean[1] * self.point

    @property
    def point_information(self) -> float:
        """Inverse variance of the symmetric point, (g0, g1) moving it by -(1, point)/slope."""
        lean = np.array([0.0, 0.0, 1.0, self.point]) / self.slope
        return float(1 / (lean @ np.linalg.inv(np.asarray(self.information)) @ lean))

    def lines(self) -> tuple[Array, Array]:
        """Mean and variance [4] of (g0, f0, g1, f1), the order of an adaptive observer."""
        order = [2, 0, 3, 1]
        covariance = np.linalg.inv(np.asarray(self.information))
        return np.asarray(self.mean)[order], np.diag(covariance)[order]

    def rows(self) -> Array:
        """Numbers [18] of a `BlockObserver`."""
        matrix = np.asarray(self.information)
        pivots = np.diag(np.linalg.cholesky(matrix)) ** 2
        return np.concatenate([matrix[np.triu_indices(4)], matrix @ np.asarray(self.mean), pivots])

    def direction_rows(self) -> Array:
        """Numbers [12] of a `DirectionObserver`: up response F - G, down response F + G, each on its own."""
        covariance, out = np.linalg.inv(np.asarray(self.information)), []
        for sign in (-1.0, 1.0):
            pick = np.array([[1.0, 0.0, sign, 0.0], [0.0, 1.0, 0.0, sign]])
            own = np.linalg.inv(pick @ covariance @ pick.T)
            pivot = own[1, 1] - own[0, 1] ** 2 / own[0, 0]
            out += [own[0, 0], own[0, 1], own[1, 1], *(own @ pick @ np.asarray(self.mean)), pivot]
        return np.array(out)
