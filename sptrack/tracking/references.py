"""The reference of P as the fused recursion wants it: the kernel's estimator, its start, its cost."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sptrack.blocks import (
    BoxcarReference,
    DriveErrors,
    FixedGains,
    InputAwareObserver,
    PointLimits,
    ResponsePrior,
)
from sptrack.blocks.responses import nominal_response, pulse_noise
from sptrack.devices import Cells, Device
from sptrack.kernels import estimators
from sptrack.tracking.methods import OBSERVERS, Method

Array = NDArray[Any]


def steps_between(method: Method, columns: int) -> int:
    """Steps between two reads of a cell of an array with so many columns."""
    return method.transfer.every * (columns if method.transfer.by_column else 1)


def observer_of(
    method: Method, cells: Cells, read_noise: float, counts: tuple[str, int] = ("rounded", 31)
) -> InputAwareObserver:
    """The observer of a method as a block, for cells of P and their reads (std ``read_noise``, weight units).

    The observer has to know the device. ``counts`` = (count law, slots of the binomial law).

    Raises
    ------
    ParameterError
        A device without symmetric points.
    """
    settings, device = method.observing, cells.device
    response, dw = device.response, cells.dw_min
    pulse, relative = pulse_noise(cells)
    prior = ResponsePrior.population if settings.prior == "population" else ResponsePrior.flat
    gains = FixedGains(drive=settings.drive, weight_bits=settings.weight_bits, point_bits=settings.point_bits)
    errors = DriveErrors(
        read_noise=math.hypot(read_noise, device.write_noise * dw),
        pulse=pulse,
        relative=relative,
        counts="known" if settings.sent else counts[0],
        train=counts[1],
    )
    floor = settings.floor * nominal_response(device)[1]
    low, high = settings.limit * response.w_min, settings.limit * response.w_max
    return InputAwareObserver(
        dw_min=dw,
        prior=prior(device, settings.weight),
        errors=errors,
        form=OBSERVERS[method.estimator],
        every=steps_between(method, cells.shape[1]),
        forgetting=method.eta,
        limits=PointLimits(low=low, high=high, floor=floor),
        gains=gains,
    )


def kernel_estimator(
    method: Method,
    cells: Cells,
    read_noise: float,
    dtype: DTypeLike = np.float32,
    counts: tuple[str, int] = ("rounded", 31),
) -> tuple[Any, Array]:
    """The estimator of `sptrack.kernels.estimators` that a method asks for, and its memory [slots, cells].

    Its numbers and the memory, as it is before the first read, are of ``dtype``; other arguments and errors
    as in `observer_of`.
    """
    if method.observes:
        observer = observer_of(method, cells, read_noise, counts)
        return observer.law(dtype), observer.init(cells.size, dtype).memory.copy()
    estimator = _filter(method, np.dtype(dtype))
    return estimator, np.zeros((estimator.slots, cells.size), dtype)


def _filter(method: Method, dtype: np.dtype[Any]) -> Any:
    if method.reference != "filter":
        return estimators.FixedEstimator(1)
    eta = dtype.type(method.eta)
    if method.estimator == "boxcar":
        return BoxcarReference(length=max(1, round(2.0 / method.eta) - 1)).law(dtype)
    return {
        "ema": estimators.EmaEstimator(1, eta),
        "corrected-ema": estimators.CorrectedEmaEstimator(2, dtype.type(1) - eta),
        "last": estimators.LastEstimator(1),
        "period-mean": estimators.PeriodMeanEstimator(2, eta),
    }[method.estimator]


def quantum(method: Method, device: Device) -> float:
    """Least difference of two values of Q in its fixed-point register, weight units; 0: floating point."""
    response = device.response
    return (response.w_max - response.w_min) / 2**method.bits if method.bits else 0.0


def operations_per_read(method: Method, columns: int = 1) -> int:
    """Digital multiplications, additions and divisions per cell read: difference, scale, buffer, reference.

    A block observer takes 16 decays, 14 sums of products and a 4 x 4 Cholesky solution with its variance, a
    direction-observer 12 decays, 5 sums and two 2 x 2 solutions; a scalar-observer a handful, a
    predictor-observer two products and two sums. What the steps in between add to N, A and the variance of
    the counts (6 a step; of a predictor 5) is counted with the read that closes the stretch.
    """
    per_step = {"observer": 6, "direction-observer": 6, "scalar-observer": 6, "predictor-observer": 5}
    per_read = {
        "ema": 2,
        "corrected-ema": 5,
        "boxcar": 3,
        "last": 0,
        "period-mean": 2,
        "observer": 225,
        "direction-observer": 120,
        "scalar-observer": 45,
        "predictor-observer": 5,
    }
    buffering = 2 if method.transfer.threshold > 0 else 0
    if method.reference != "filter":
        return 2 + buffering
    steps = steps_between(method, columns) * per_step.get(method.estimator, 0)
    return 2 + buffering + per_read[method.estimator] + steps
