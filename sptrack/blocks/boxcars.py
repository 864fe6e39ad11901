"""Moving averages: boxcars, those that grow to their length, cascades of them (CIC); all start at rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sptrack.blocks.block import Array, Block, LinearBlock, Response
from sptrack.kernels.filters import boxcar_tile, growing_boxcar_tile
from sptrack.kernels.stages import Stage
from sptrack.values import check_number, check_whole, real_array

if TYPE_CHECKING:
    from sptrack.blocks.choppers import PatternChopper


def boxcar_response(length: int, stages: int, omega: ArrayLike) -> Response:
    """(1/M sum over n < M of exp(-j omega n))**stages with M = ``length``, of the shape of ``omega``.

    The sum is the Dirichlet kernel sin(M w/2) / (M sin(w/2)) exp(-j w (M - 1)/2), and 1 where w = 0.
    """
    half = real_array(omega, "omega") / 2
    sine = np.sin(half)
    pole = np.abs(sine) < 1e-12
    safe = np.where(pole, 1.0, sine)
    kernel = np.where(pole, np.cos(length * half) / np.cos(half), np.sin(length * half) / (length * safe))
    return np.asarray((kernel * np.exp(-1j * half * (length - 1))) ** stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxcar(LinearBlock):
    """Mean of the last ``length`` samples: nulls at all multiples of 2 pi / length.

    Over a whole number of chopper periods the lines of the chopper fall on its nulls (`Boxcar.over`). Before
    the first sample stand zeros, or the initial output; see `GrowingBoxcar` for a mean of what there is.

    Parameters
    ----------
    length : int
        Samples, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    operations: ClassVar[int] = 3

    length: int

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_whole("length", self.length, 1)

    @classmethod
    def over(cls, chopper: PatternChopper, periods: int = 1) -> Boxcar:
        """Moving average over ``periods`` whole periods of ``chopper``, on its clock."""
        check_whole("periods", periods, 1)
        return cls(length=periods * chopper.period, clock=chopper.clock)

    @classmethod
    def like(cls, eta: float) -> Boxcar:
        """The moving average with the mean delay of an `EMA`: 2 / eta - 1 samples, rounded.

        Raises
        ------
        ParameterError
            A rate outside 0 < eta <= 1.
        """
        check_number("eta", eta, above=0, most=1)
        return cls(length=max(1, round(2 / eta - 1)))

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(boxcar_tile, self.length + 1, repeats=1, length=self.length),)

    def initial_memory(self, initial: Array) -> Array:
        """Samples so far all equal to that output."""
        return np.stack([initial] * (self.length + 1))

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain sin(M omega/2) / (M sin(omega/2)) exp(-j omega (M - 1)/2), M being the length."""
        return boxcar_response(self.length, 1, omega)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingBoxcar(Block):
    """Mean of the last ``length`` samples, of all samples while they are fewer.

    It has no transient from its start; after ``length`` samples it is a `Boxcar`, whose frequency response is
    that of `settled`. An initial output counts until the first sample.

    Parameters
    ----------
    length : int
        Samples, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    operations: ClassVar[int] = 3

    length: int

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_whole("length", self.length, 1)

    @classmethod
    def like(cls, eta: float) -> GrowingBoxcar:
        """The mean with the delay of an `EMA` in the long run, see `Boxcar.like`."""
        return cls(length=Boxcar.like(eta).length)

    @classmethod
    def over(cls, chopper: PatternChopper, periods: int = 1) -> GrowingBoxcar:
        """Mean over ``periods`` whole periods of ``chopper``, on its clock."""
        return cls(length=Boxcar.over(chopper, periods).length, clock=chopper.clock)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(growing_boxcar_tile, self.length + 1, repeats=1, length=self.length),)

    @property
    def settled(self) -> Boxcar:
        """The moving average that it becomes."""
        return Boxcar(length=self.length, clock=self.clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class CIC(LinearBlock):
    """Cascaded integrator-comb filter of unit gain at the input rate: ``order`` moving averages in a row.

    The response is that of the decimating filter before its decimation (Hogenauer, IEEE Trans. ASSP 29, 155,
    1981); take every ``length``-th output to decimate. No integrator runs free, so floats do not overflow.

    Parameters
    ----------
    length : int
        Samples per stage (rate change times differential delay), at least 1.
    order : int
        Number of stages, at least 1.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    length: int
    order: int = 2

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_whole("length", self.length, 1)
        check_whole("order", self.order, 1)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        rows = self.order * (self.length + 1)
        return (Stage(boxcar_tile, rows, repeats=self.order, length=self.length),)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell."""
        return 3 * self.order

    def initial_memory(self, initial: Array) -> Array:
        """Samples so far all equal to that output, in every stage."""
        return np.stack([initial] * (self.order * (self.length + 1)))

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain (sin(R omega/2) / (R sin(omega/2)))**order times its delay, R being the length."""
        return boxcar_response(self.length, self.order, omega)
