"""Undoing the chopper: sign by sign, or averaged by stretches between its flips."""

from __future__ import annotations

from dataclasses import dataclass

from sptrack.blocks.block import Block
from sptrack.blocks.choppers import SignSource
from sptrack.errors import ParameterError
from sptrack.kernels.signs import demodulate_tile, lock_in_tile
from sptrack.kernels.stages import Stage
from sptrack.values import check_whole


def same_clock(block: Block, chopper: SignSource) -> None:
    """Refuse a chopper on another clock than its user's (ParameterError)."""
    if not isinstance(chopper, SignSource):
        raise ParameterError(f"chopper must be a chopper, got {chopper!r}")
    if chopper.clock != block.clock:
        raise ParameterError(f"chopper must run on the {block.clock} clock, got the {chopper.clock} clock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demodulator(Block):
    """Synchronous de-chopping y_k = c_k x_k, with the output held across flips.

    From each flip on, ``hold`` outputs repeat the last one before the flip (zero if there was none), so that
    the transient of a filter between chopper and demodulator does not pass. A flip during a hold starts it
    anew.

    Parameters
    ----------
    chopper : chopper
        The one to undo, on the same clock.
    hold : int
        Samples held from each flip on, at least 0.

    Raises
    ------
    ParameterError
        A value outside its range, or a chopper on another clock.
    """

    chopper: SignSource
    hold: int = 0

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        same_clock(self, self.chopper)
        check_whole("hold", self.hold, 0)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        signs = self.chopper.signs_of(shape)
        return (Stage(demodulate_tile, 4, repeats=self.hold, signs=signs),)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockIn(Block):
    """Lock-in view by period: the mean of c_k x_k over the last two complete stretches between flips.

    The means of the two stretches, one of each sign, have equal weight: for x_k = s + c_k g the output is g
    whatever the constant s and the lengths. It changes at flips only, and is zero until two stretches are
    complete.

    Parameters
    ----------
    chopper : chopper
        The one to undo, on the same clock.

    Raises
    ------
    ParameterError
        A chopper on another clock.
    """

    chopper: SignSource

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        same_clock(self, self.chopper)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return (Stage(lock_in_tile, 7, signs=self.chopper.signs_of(shape)),)
