"""The reference of P as the fused recursion wants it: the kernel's estimator, its start, its cost."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sptrack.blocks import BoxcarReference
from sptrack.devices import Cells, Device, sample_cells
from sptrack.devices.constants import additive_levels, local_derivatives, noise_power
from sptrack.devices.statistics import nominal_cells
from sptrack.errors import ParameterError
from sptrack.kernels import estimators, observers
from sptrack.tracking.methods import Method

Array = NDArray[Any]

POPULATION = (32, 32)
"""Cells over which the prior of a population is taken."""
_POPULATION_SEED = 271828
_LEAST_PULSE = 0.01
"""Least variance of a pulse, in steps squared, that an observer reckons with: no response is exact."""
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


def _live(cells: Cells) -> Array:
    """Cells [R, C] with a symmetric point (ParameterError if there are none)."""
    live = np.isfinite(np.asarray(cells.symmetric_point, np.float64)) & np.isfinite(cells.target)
    if not live.any():
        raise ParameterError(
            f"device {cells.device.source.name!r}: cells with a symmetric point wanted by an observer"
        )
    return live


def pulse_power(cells: Cells, *, sent: bool = False) -> float:
    """Variance of what one pulse adds around the symmetric point, mean over cells, dw_min squared.

    F^2 for not knowing whether it is sent (unless the pulses ``sent`` are known), plus its cycle noise.

    Raises
    ------
    ParameterError
        No cell with a symmetric point.
    """
    live = _live(cells)
    place = np.asarray(cells.symmetric_point, np.float64)
    level = cells.F(np.nan_to_num(place))
    scale = np.hypot(*additive_levels(cells)) / np.sqrt(2)
    noise = noise_power(cells, level, np.nan_to_num(scale, nan=1.0), np.nan_to_num(place))
    power = noise if sent else noise + level**2
    return max(float(np.mean(power[live])), _LEAST_PULSE)


def flat_prior(device: Device, weight: float) -> tuple[Array, Array]:
    """Information [4, 4] and mean [4] on (f0, f1, g0, g1): nominal level and slope, symmetric point 0."""
    f0, g1 = _nominal(device)
    return weight * np.eye(4), np.array([f0, 0.0, 0.0, g1])


def population_prior(device: Device, weight: float) -> tuple[Array, Array]:
    """The same from cells drawn from the device: their mean and the inverse of their covariance."""
    line = np.stack(response_line(sample_cells(device, POPULATION, seed=_POPULATION_SEED)))
    covariance = np.cov(line) + _RIDGE * np.eye(4)
    return weight * np.linalg.inv(covariance), line.mean(axis=1)


def _nominal(device: Device) -> tuple[float, float]:
    """Level of the response and slope of G of a cell without spread, at its symmetric point."""
    cells = nominal_cells(device)
    if not np.isfinite(cells.symmetric_point).all():
        return 1.0, 2.0 / (device.response.w_max - device.response.w_min)
    plus, minus, _ = local_derivatives(cells)
    return float(cells.F(cells.symmetric_point)[0, 0]), float((plus + minus)[0, 0] / 2)


def kernel_estimator(method: Method, cells: Cells, read_noise: float, dtype: DTypeLike = np.float32) -> Any:
    """The estimator of `sptrack.kernels.estimators` that a method asks for, its numbers of ``dtype``.

    ``cells`` are those of P (an observer has to know their device), ``read_noise`` is the std of their reads,
    weight units.

    Raises
    ------
    ParameterError
        An observer on a device without symmetric points.
    """
    if method.reference != "filter":
        return estimators.FixedEstimator(1)
    real: Any = np.dtype(dtype).type
    if method.observes:
        return _observer(method, cells, read_noise, real)
    eta = real(method.eta)
    if method.estimator == "boxcar":
        return BoxcarReference(length=max(1, round(2.0 / method.eta) - 1)).law(np.dtype(dtype))
    return {
        "ema": estimators.EmaEstimator(1, eta),
        "corrected-ema": estimators.CorrectedEmaEstimator(2, real(1) - eta),
        "last": estimators.LastEstimator(1),
        "period-mean": estimators.PeriodMeanEstimator(2, eta),
    }[method.estimator]


def _observer(method: Method, cells: Cells, read_noise: float, real: Any) -> Any:
    settings = method.observing
    device = cells.device
    f0, g1 = _nominal(device)
    between = method.transfer.every * (cells.shape[1] if method.transfer.by_column else 1)
    dw = cells.dw_min
    response = device.response
    limits = observers.Limits(
        real(settings.limit * response.w_min),
        real(settings.limit * response.w_max),
        real(settings.floor * g1),
    )
    common = (
        real((1 - method.eta) ** between),
        real((read_noise / dw) ** 2),
        real(pulse_power(cells, sent=settings.sent)),
        real(dw),
        settings.sent,
    )
    information, mean = (population_prior if settings.prior == "population" else flat_prior)(
        device, settings.weight
    )
    if method.estimator == "scalar-observer":
        point = -mean[2] / mean[3]
        known = (mean[0] + mean[1] * point, mean[3])
        prior = np.array([information[2, 2] * known[1] ** 2, information[2, 2] * known[1] ** 2 * point])
        return observers.ScalarObserver(
            observers.SCALAR_SLOTS, *common, prior, limits, real(known[0]), real(known[1]), real(0)
        )
    if method.estimator == "observer":
        prior = np.concatenate([information[np.triu_indices(4)], information @ mean])
        return observers.BlockObserver(observers.BLOCK_SLOTS, *common, prior, limits)
    return observers.DirectionObserver(
        observers.DIRECTION_SLOTS, *common, _direction_prior(information, mean), limits
    )


def _direction_prior(information: Array, mean: Array) -> Array:
    """The prior by direction: up response F - G, down response F + G, each on its own."""
    covariance, out = np.linalg.inv(information), []
    for sign in (-1.0, 1.0):
        pick = np.array([[1.0, 0.0, sign, 0.0], [0.0, 1.0, 0.0, sign]])
        own = np.linalg.inv(pick @ covariance @ pick.T)
        out += [own[0, 0], own[0, 1], own[1, 1], *(own @ pick @ mean)]
    return np.array(out)


def start_memory(method: Method, estimator: Any, cells: int) -> Array:
    """Memory [slots, cells] before the first read: zeros, and what an observer's prior says."""
    memory = np.zeros((estimator.slots, cells), np.float32)
    if not method.observes:
        return memory
    prior = estimator.prior
    if method.estimator == "observer":
        g0, g1 = np.linalg.solve(_symmetric(prior[:10]), prior[10:])[2:]
        memory[observers.POINT] = -g0 / g1
    elif method.estimator == "scalar-observer":
        memory[observers.POINT] = prior[1] / prior[0]
    else:
        up = np.linalg.solve(prior[[[0, 1], [1, 2]]], prior[3:5])
        down = np.linalg.solve(prior[[[5, 6], [6, 7]]], prior[8:10])
        memory[observers.POINT] = (up[0] - down[0]) / (down[1] - up[1])
    return memory


def _symmetric(triangle: Array) -> Array:
    full = np.zeros((4, 4))
    full[np.triu_indices(4)] = triangle
    return np.asarray(full + np.triu(full, 1).T)


def quantum(method: Method, device: Device) -> float:
    """Least difference of two values of Q in its fixed-point register, weight units; 0: floating point."""
    response = device.response
    return (response.w_max - response.w_min) / 2**method.bits if method.bits else 0.0


def operations_per_read(method: Method) -> int:
    """Digital multiplications and additions per cell read: difference and scale, buffer, reference.

    A block observer takes 14 decays, 14 sums of products and a 4 x 4 Cholesky solution with its variance; a
    direction-observer half the sums and two 2 x 2 solutions; a scalar-observer a handful. What a step adds
    to an observer's N and A is counted with the read that closes the stretch.
    """
    filtering = {
        "ema": 2,
        "corrected-ema": 5,
        "boxcar": 3,
        "last": 0,
        "period-mean": 2,
        "observer": 150 + 2 * method.transfer.every,
        "direction-observer": 70,
        "scalar-observer": 16 + 2 * method.transfer.every,
    }[method.estimator]
    buffering = 2 if method.transfer.threshold > 0 else 0
    return 2 + buffering + (filtering if method.reference == "filter" else 0)
