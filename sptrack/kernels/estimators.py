"""Estimators of the reference (the symmetric point) from reads of a cell: one scalar law each.

An estimator is a NamedTuple whose first field ``slots`` is the number of rows of memory it needs; its type
selects the law. Observers (`sptrack.kernels.observers`) are also told what the cell was asked for. Row 0 of
``memory`` [slots, cells] is the reference now; the rows after it start as zeros, but for the variance of
`KalmanEstimator` and of observers.
"""

from typing import Any, NamedTuple

from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.choppers import advance_sign, copy_row
from sptrack.kernels.filters import boxcar_sum, boxcar_turn, corrected_gain, ema
from sptrack.kernels.observers import (
    SHARE,
    VARIANCE,
    BlockObserver,
    DirectionObserver,
    PredictorObserver,
    ScalarObserver,
    collect,
    observe_block,
    observe_direction,
    observe_predicted,
    observe_scalar,
    predict,
)

Array = NDArray[Any]


class FixedEstimator(NamedTuple):
    """The reference never moves."""

    slots: int


class LastEstimator(NamedTuple):
    """The last read."""

    slots: int


class EmaEstimator(NamedTuple):
    """Low-pass of the reads."""

    slots: int
    eta: Any


class CorrectedEmaEstimator(NamedTuple):
    """Bias-corrected low-pass of the reads; rows: reference, sum of weights."""

    slots: int
    decay: Any


class BoxcarEstimator(NamedTuple):
    """Mean of the last ``length`` reads, of all while they are fewer; rows: reference, reads, ring."""

    slots: int
    length: int


class PeriodMeanEstimator(NamedTuple):
    """Running mean of the reads, taken as the reference at flips; rows: reference, running mean."""

    slots: int
    eta: Any


class KalmanEstimator(NamedTuple):
    """Kalman filter of a random walk; rows: reference, its variance. ``drift`` and ``read`` are variances."""

    slots: int
    drift: Any
    read: Any


class ReferenceLaw(NamedTuple):
    """Reads in, reference out: ``estimator`` told of the flips of ``chopper``."""

    slots: int
    estimator: Any
    chopper: Any


@inline
def _fixed(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    return memory[0, i]


@inline
def _last(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    memory[0, i] = read
    return memory[0, i]


@inline
def _ema(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    memory[0, i] = ema(memory[0, i], read, estimator.eta)
    return memory[0, i]


@inline
def _corrected_ema(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    memory[1, i], gain = corrected_gain(memory[1, i], estimator.decay)
    memory[0, i] = ema(memory[0, i], read, gain)
    return memory[0, i]


@inline
def _boxcar(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    length = estimator.length
    seen = int(memory[1, i])
    position = seen % length
    if position == 0:
        boxcar_turn(memory[2:], length, i, i + 1)
    total = boxcar_sum(memory[2:], i, position, length, read)
    seen = seen + 1 if seen + 1 < 2 * length else length
    memory[1, i] = seen
    memory[0, i] = total / type(total)(min(seen, length))
    return memory[0, i]


@inline
def _period_mean(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    memory[0, i] = memory[1, i] if flipped else memory[0, i]
    memory[1, i] = ema(memory[1, i], read, estimator.eta)
    return memory[0, i]


@inline
def kalman_update(mean: Any, variance: Any, read: Any, drift: Any, noise: Any) -> Any:
    """Mean and variance after one step of a random walk (variance ``drift``) and one read (``noise``)."""
    predicted = variance + drift
    gain = predicted / (predicted + noise)
    return ema(mean, read, gain), gain * noise


@inline
def _kalman(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    memory[0, i], memory[1, i] = kalman_update(
        memory[0, i], memory[1, i], read, estimator.drift, estimator.read
    )
    return memory[0, i]


_UPDATES: dict[type, Any] = {
    FixedEstimator: _fixed,
    LastEstimator: _last,
    EmaEstimator: _ema,
    CorrectedEmaEstimator: _corrected_ema,
    BoxcarEstimator: _boxcar,
    PeriodMeanEstimator: _period_mean,
    KalmanEstimator: _kalman,
    BlockObserver: observe_block,
    DirectionObserver: observe_direction,
    ScalarObserver: observe_scalar,
    PredictorObserver: observe_predicted,
}
_TOLD: dict[type, Any] = {
    BlockObserver: collect,
    DirectionObserver: collect,
    ScalarObserver: collect,
    PredictorObserver: predict,
}
OBSERVERS = tuple(_TOLD)
"""Estimators that are told of the drive."""


def update_reference(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    """Reference of cell ``i`` after one more ``read`` (weight units), also left in row 0 of ``memory``.

    ``flipped`` says whether the chopper of the cell has flipped since the read before.
    """
    return _UPDATES[type(estimator)](estimator, memory, i, read, flipped)


@overload(update_reference)
def _update_reference(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
    update = _UPDATES[estimator.instance_class]

    def compiled(estimator: Any, memory: Any, i: Any, read: Any, flipped: Any) -> Any:
        return update(estimator, memory, i, read, flipped)

    return compiled


def note_drive(estimator: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    """Tell an observer of a step: increments ``wanted`` (weight units) or signed ``pulses`` sent, [>= n]."""
    if isinstance(estimator, OBSERVERS):
        _TOLD[type(estimator)](estimator, memory, wanted, pulses, n)


@inline
def _not_told(estimator: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
    return


@overload(note_drive)
def _note_drive(estimator: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> Any:
    law = _TOLD.get(estimator.instance_class, _not_told)

    def compiled(estimator: Any, memory: Any, wanted: Any, pulses: Any, n: Any) -> None:
        law(estimator, memory, wanted, pulses, n)

    return compiled


@inline
def reference_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Reads to references; rows: those of the estimator, sign before, those of the chopper."""
    before, sign = memory[law.estimator.slots], memory[law.estimator.slots + 1]
    copy_row(sign, before, n)
    advance_sign(law.chopper, memory[law.estimator.slots + 1 :], k, start, n)
    started = k > 0
    for i in range(n):
        x[i] = update_reference(law.estimator, memory, i, x[i], started & (sign[i] != before[i]))


@kernel
def run_estimator(estimator: Any, memory: Array, reads: Array, flipped: Array, references: Array) -> None:
    """References [reads, cells] after each of ``reads`` [reads, cells]; ``memory`` is updated in place.

    ``flipped`` [reads, 1 or cells] (bool) marks the reads before which the chopper has flipped.
    """
    shared = flipped.shape[1] == 1
    for k in range(reads.shape[0]):
        for i in range(reads.shape[1]):
            flip = flipped[k, 0] if shared else flipped[k, i]
            references[k, i] = update_reference(estimator, memory, i, reads[k, i], flip)


@kernel
def tell_drive(estimator: Any, memory: Array, wanted: Array, pulses: Array) -> None:
    """`note_drive` of one step for all cells: ``wanted`` and ``pulses`` [cells]."""
    note_drive(estimator, memory, wanted, pulses, wanted.shape[0])


@kernel
def run_observer(
    observer: Any, memory: Array, drive: Array, pulses: Array, clock: Any, reads: Array, out: Array
) -> None:
    """References, variances and prior shares ``out`` [3, reads, cells] along increments ``drive``.

    ``drive`` (weight units) and ``pulses`` (signed, sent) are [steps, cells], ``clock`` = (number of the
    first step, steps between reads): the cells are read after every so many steps, the next row of ``reads``
    [reads, cells]. ``memory`` is updated in place.
    """
    first, every = clock
    taken = 0
    for k in range(drive.shape[0]):
        note_drive(observer, memory, drive[k], pulses[k], drive.shape[1])
        if (first + k + 1) % every == 0:
            for i in range(drive.shape[1]):
                out[0, taken, i] = update_reference(observer, memory, i, reads[taken, i], False)
                out[1, taken, i] = memory[VARIANCE, i]
                out[2, taken, i] = memory[SHARE, i]
            taken += 1
