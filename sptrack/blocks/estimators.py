"""Estimators of the symmetric point that are no linear filters, and those that are told of a chopper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sptrack.blocks.averages import SteadyKalman
from sptrack.blocks.block import Array, Block
from sptrack.blocks.choppers import SignSource
from sptrack.blocks.demodulation import same_clock
from sptrack.errors import ParameterError
from sptrack.kernels.filters import fixed_tile, kalman_tile, period_mean_tile
from sptrack.kernels.signs import flips_tile
from sptrack.kernels.stages import Stage, slots
from sptrack.values import check_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed(Block):
    """A reference that never moves: the initial output, whatever comes in."""

    operations: ClassVar[int] = 0
    output_row: ClassVar[int] = 0

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(fixed_tile, 1),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodMean(Block):
    """Chopper-period mean of AGAD: a running mean of the reads, taken as the reference at each flip.

    The running mean M <- (1 - nu) M + nu read never starts anew (AGAD: nu = min(tail / period, 1)); on a flip
    the reference becomes M as it was before the read. In the steady state of a periodic chopper with T reads
    between flips and a chopped signal +-g, M at a flip is s +- g (1 - b**T) / (1 + b**T) with b = 1 - nu:
    the reference sees the last sign, and the mean of two in a row is the symmetric point s. Source: Rasch et
    al. 2024 (Nat. Commun.), as in aihwkit 1.2.0.

    Parameters
    ----------
    eta : float
        Weight nu of the new read in the running mean, 0 < eta <= 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    operations: ClassVar[int] = 2
    output_row: ClassVar[int] = 0

    eta: float

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_number("eta", self.eta, above=0, most=1)

    @classmethod
    def over(cls, period: float, tail: float = 5.0) -> PeriodMean:
        """The mean with nu = min(tail / period, 1): it looks back over period / tail reads.

        Parameters
        ----------
        period : float
            Reads between flips, at least 1.
        tail : float
            Weight of the end of the period, above 0.

        Raises
        ------
        ParameterError
            A value outside its range.
        """
        check_number("period", period, least=1)
        check_number("tail", tail, above=0)
        return cls(eta=min(tail / period, 1.0))

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(period_mean_tile, 2, (self.eta,)),)

    def initial_memory(self, initial: Array) -> Array:
        """Output and running mean."""
        return np.stack([initial, initial])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kalman(Block):
    """Kalman filter of a symmetric point that drifts as a random walk; a chopped signal counts as noise.

    Each read first adds drift_std**2 to the variance v, then moves the mean by v / (v + read_std**2) of the
    difference. In the long run it is a `SteadyKalman`.

    Parameters
    ----------
    read_std : float
        Std of a read about the symmetric point, chopped signal included, weight units, above 0.
    drift_std : float
        Std of the drift of the symmetric point per read, weight units, at least 0.
    initial_std : float
        Std of the error of the initial output, weight units, at least 0.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    operations: ClassVar[int] = 6
    output_row: ClassVar[int] = 0

    read_std: float
    drift_std: float = 0.0
    initial_std: float = 1.0

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_number("read_std", self.read_std, above=0)
        check_number("drift_std", self.drift_std, least=0)
        check_number("initial_std", self.initial_std, least=0)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(kalman_tile, 2, (self.drift_std**2, self.read_std**2)),)

    @property
    def settled(self) -> SteadyKalman:
        """The moving average that it becomes (ParameterError without drift: its gain falls for ever)."""
        if self.drift_std == 0:
            raise ParameterError(f"{self} has no frequency response: without drift its gain never settles")
        return SteadyKalman(drift_std=self.drift_std, read_std=self.read_std, clock=self.clock)

    def initial_memory(self, initial: Array) -> Array:
        """The output so far and the variance of its error."""
        return np.stack([initial, np.full_like(initial, self.initial_std**2)])


@dataclass(frozen=True, slots=True, kw_only=True)
class SPEstimator(Block):
    """An estimator of the symmetric point that is told of a chopper's flips: reads in, symmetric point out.

    Parameters
    ----------
    estimator : Block
        Filter or estimator, on the same clock.
    chopper : chopper
        The one whose flips the estimator is told of, on the same clock.

    Raises
    ------
    ParameterError
        No block, or blocks on different clocks.
    """

    estimator: Block
    chopper: SignSource

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        if not isinstance(self.estimator, Block):
            raise ParameterError(f"estimator must be a block, got {self.estimator!r}")
        if self.estimator.clock != self.clock:
            raise ParameterError(
                f"estimator must be on the {self.clock} clock, got the {self.estimator.clock} clock"
            )
        same_clock(self, self.chopper)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stages of the compiled loop: flips of the chopper, then the estimator."""
        flips = Stage(flips_tile, 2, signs=self.chopper.signs_of(shape))
        return (flips, *self.estimator.stages(shape))

    @property
    def settled(self) -> Block:
        """Filter that the estimator becomes in the long run."""
        found: Block = self.estimator.settled
        return found

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return self.estimator.operations

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the estimator's output; -1 for none."""
        own = self.estimator.output_row
        return own + slots(self.stages((1,))) - slots(self.estimator.stages((1,))) if own >= 0 else -1

    def initial_memory(self, initial: Array) -> Array:
        """Memory of the chopper, then that of the estimator."""
        own = np.zeros((slots(self.stages(initial.shape)[:1]), *initial.shape))
        return np.concatenate([own, self.estimator.initial_memory(initial)])
