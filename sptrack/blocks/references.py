"""Estimators of the reference (the symmetric point) from a stream of reads of a chopped cell."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sptrack.blocks.block import (
    Array,
    Block,
    Laws,
    Shape,
    State,
    as_samples,
    as_shape,
    floating,
    frozen,
    refuse_unbounded,
    whole,
    within,
    writable_memory,
)
from sptrack.blocks.choppers import SignSource
from sptrack.blocks.demodulation import same_clock
from sptrack.errors import ParameterError
from sptrack.kernels import estimators


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(ABC):
    """An estimator of the reference: reads of a cell and flips of its chopper in, reference out.

    Row 0 of a state's memory is the reference now. The clock is "read".
    """

    @property
    def clock(self) -> str:
        """What one sample is."""
        return "read"

    @abstractmethod
    def law(self, dtype: np.dtype[Any]) -> Any:
        """The law of `sptrack.kernels.estimators` that this describes, its numbers of ``dtype``."""

    def init(self, shape: Shape = (), dtype: DTypeLike = np.float32, initial: ArrayLike = 0.0) -> State:
        """State before the first read.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the cells; () for a single one.
        dtype : {float32, float64}
            Precision of the reads.
        initial : array_like, broadcastable to [*shape]
            Reference at the start, weight units: 0, or a calibrated symmetric point.

        Returns
        -------
        State
            Sample number 0.

        Raises
        ------
        ParameterError
            Another precision, or an initial reference of another shape or not finite.
        """
        cells, precision = as_shape(shape), floating(dtype)
        memory = np.zeros((self.law(precision).slots, *cells), precision)
        try:
            memory[0] = initial
        except (TypeError, ValueError):
            raise ParameterError(f"initial: numbers of shape {list(cells)} wanted") from None
        if not np.isfinite(memory[0]).all():
            raise ParameterError("initial holds NaN or infinity: finite numbers wanted")
        if len(memory) > 1:
            memory[1] = self._second_row(memory[0])
        return State(0, frozen(memory))

    def _second_row(self, reference: Array) -> ArrayLike:
        """Start of the row after the reference, which most estimators count up from zero."""
        return 0.0

    def step(self, state: State, x: ArrayLike, flipped: ArrayLike = False) -> tuple[State, Array]:
        """Next state and reference after one read.

        Parameters
        ----------
        state : State
            Not modified.
        x : array_like, shape [*shape]
            One read a cell, weight units.
        flipped : array_like of bool, broadcastable to [*shape]
            Whether the chopper has flipped since the read before.

        Returns
        -------
        State, ndarray of shape [*shape]
            The reference in weight units.

        Raises
        ------
        ParameterError
            Another shape than the state's, NaN or infinity.
        """
        y, after = self.process(np.asarray(x)[None], state, np.asarray(flipped)[None])
        return after, y[0]

    def process(
        self, x: ArrayLike, state: State | None = None, flipped: ArrayLike = False
    ) -> tuple[Array, State]:
        """References after each of a stretch of reads, and the state after them.

        Parameters
        ----------
        x : array_like, shape [reads, *shape]
            Reads, weight units: computed on in float32 if they are that, else in float64.
        state : State, optional
            State before the first of them, not modified; that of `init` when not given.
        flipped : array_like of bool, shape [reads] or [reads, *shape] or a single one
            Reads before which the chopper has flipped (`SignSource.flips`).

        Returns
        -------
        ndarray of shape [reads, *shape], State
            However the reads are cut into stretches, the bytes are the same.

        Raises
        ------
        ParameterError
            Shapes that do not fit, NaN or infinity.
        """
        reads = as_samples(x, None if state is None else state.memory.dtype)
        if not np.isfinite(reads).all():
            refuse_unbounded(reads)
        cells = reads.shape[1:]
        before = self.init(cells, reads.dtype) if state is None else state
        law = self.law(reads.dtype)
        memory = writable_memory(before, law.slots, cells)
        flat = (reads.shape[0], math.prod(cells))
        y = np.empty_like(reads)
        estimators.run_estimator(law, memory, reads.reshape(flat), _flags(flipped, reads), y.reshape(flat))
        return y, State(before.sample + reads.shape[0], frozen(memory.reshape(-1, *cells)))


def _flags(flipped: ArrayLike, reads: Array) -> Array:
    """Flips as [reads, 1 or cells] (ParameterError if they do not fit)."""
    flags = np.asarray(flipped)
    count = reads.shape[0]
    if flags.dtype != np.bool_:
        raise ParameterError(f"flipped of type {flags.dtype}: True and False wanted")
    if flags.ndim <= 1 and flags.shape in ((), (1,), (count,)):
        return frozen(np.broadcast_to(flags, count).copy()[:, None])
    if flags.shape != reads.shape:
        raise ParameterError(f"flipped of shape {list(flags.shape)}: [{count}] or {list(reads.shape)} wanted")
    return frozen(flags.reshape(count, -1).copy())


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedReference(Reference):
    """A reference that never moves: that of `init`."""

    def law(self, dtype: np.dtype[Any]) -> Any:
        """Law of the compiled loop."""
        return estimators.FixedEstimator(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastReference(Reference):
    """The last read. Unbiased only where neither a chopped signal nor noise is on the reads."""

    def law(self, dtype: np.dtype[Any]) -> Any:
        """Law of the compiled loop."""
        return estimators.LastEstimator(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EMAReference(Reference):
    """Exponential moving average of the reads, eq. (12) of Xiao et al. 2026 (arXiv 2602.21321).

    Parameters
    ----------
    eta : float
        Weight of the new read, 0 < eta <= 1.
    corrected : bool
        Forget the initial reference: weighted mean of the reads alone, as `CorrectedEMA`.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    eta: float
    corrected: bool = False

    def __post_init__(self) -> None:
        within("eta", self.eta, 0 < self.eta <= 1, "a number above 0 and at most 1")

    def law(self, dtype: np.dtype[Any]) -> Any:
        """Law of the compiled loop."""
        if self.corrected:
            return estimators.CorrectedEmaEstimator(2, dtype.type(1 - self.eta))
        return estimators.EmaEstimator(1, dtype.type(self.eta))


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxcarReference(Reference):
    """Mean of the last ``length`` reads, of all reads while they are fewer.

    Parameters
    ----------
    length : int
        Reads, at least 1; over whole chopper periods the chopped signal cancels.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    length: int

    def __post_init__(self) -> None:
        whole("length", self.length, 1)

    def law(self, dtype: np.dtype[Any]) -> Any:
        """Law of the compiled loop."""
        return estimators.BoxcarEstimator(self.length + 3, self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodMeanReference(Reference):
    """Chopper-period mean of AGAD: a running mean of the reads, taken as the reference at each flip.

    The running mean M <- (1 - nu) M + nu read has nu = min(tail / period, 1) and never starts anew; on a flip
    the reference becomes M as it was before the read. In the steady state of a periodic chopper with T reads
    between flips and a chopped signal +-g, M at a flip is s +- g (1 - b**T) / (1 + b**T) with b = 1 - nu:
    the reference sees the last sign, and the mean of two in a row is the symmetric point s. Source: Rasch et
    al. 2024 (Nat. Commun.), as in aihwkit 1.2.0.

    Parameters
    ----------
    period : float
        Reads between flips, at least 1.
    tail : float
        Weight of the end of the period, above 0: the mean looks back over period / tail reads.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    period: float
    tail: float = 5.0

    def __post_init__(self) -> None:
        within("period", self.period, self.period >= 1, "a number >= 1")
        within("tail", self.tail, self.tail > 0, "a number above 0")

    @property
    def eta(self) -> float:
        """Weight nu of the new read in the running mean."""
        return min(self.tail / self.period, 1.0)

    def law(self, dtype: np.dtype[Any]) -> Any:
        """Law of the compiled loop."""
        return estimators.PeriodMeanEstimator(2, dtype.type(self.eta))

    def _second_row(self, reference: Array) -> ArrayLike:
        return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class KalmanReference(Reference):
    """Kalman filter of a symmetric point that drifts as a random walk; a chopped signal counts as noise.

    Each read first adds drift_std**2 to the variance v, then moves the mean by v / (v + read_std**2) of the
    difference. In the long run it is `SteadyKalman`.

    Parameters
    ----------
    read_std : float
        Std of a read about the symmetric point, chopped signal included, weight units, above 0.
    drift_std : float
        Std of the drift of the symmetric point per read, weight units, at least 0.
    initial_std : float
        Std of the error of the initial reference, weight units, at least 0.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    read_std: float
    drift_std: float = 0.0
    initial_std: float = 1.0

    def __post_init__(self) -> None:
        within("read_std", self.read_std, self.read_std > 0, "a number above 0")
        within("drift_std", self.drift_std, self.drift_std >= 0, "a number >= 0")
        within("initial_std", self.initial_std, self.initial_std >= 0, "a number >= 0")

    def law(self, dtype: np.dtype[Any]) -> Any:
        """Law of the compiled loop."""
        return estimators.KalmanEstimator(2, dtype.type(self.drift_std**2), dtype.type(self.read_std**2))

    def _second_row(self, reference: Array) -> ArrayLike:
        return self.initial_std**2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTracker(Block):
    """A reference estimator as a block of a chain: reads in, reference out, from a start at 0.

    Parameters
    ----------
    estimator : Reference
        Any of them.
    chopper : chopper
        The one whose flips the estimator is told of, on the same clock.

    Raises
    ------
    ParameterError
        No estimator, or a chopper on another clock.
    """

    estimator: Reference
    chopper: SignSource

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        if not isinstance(self.estimator, Reference):
            raise ParameterError(f"estimator = {self.estimator!r}: a reference estimator wanted")
        same_clock(self, self.chopper)

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Law of the compiled loop."""
        estimator = self.estimator.law(dtype)
        (chopper,) = self.chopper.laws(shape, dtype)
        return (estimators.ReferenceLaw(estimator.slots + 1 + chopper.slots, estimator, chopper),)

    def init(self, shape: Shape = (), dtype: DTypeLike = np.float32) -> State:
        """State before the first read; arguments and errors as for any block."""
        plain = Block.init(self, shape, dtype)
        memory = plain.memory.copy()
        start = self.estimator.init(shape, dtype).memory
        memory[: len(start)] = start
        return State(0, frozen(memory))
