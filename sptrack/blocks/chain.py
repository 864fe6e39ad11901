"""Blocks in a row, compiled into one loop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import Array, Block, LinearBlock, ZeroPoleGain, dc_gain
from sptrack.errors import ParameterError
from sptrack.kernels.stages import Stage, slots

_NO_GAIN = 1e-12


def _rest_gain(block: Block) -> float:
    """Gain at omega = 0; 1 for a block that has no frequency response."""
    try:
        return dc_gain(block.settled)
    except ParameterError:
        return 1.0


@dataclass(frozen=True, slots=True, init=False)
class Chain(Block):
    """Blocks in a row, itself a block: each gets the output of the one before.

    Printed as a line of signal flow: ``x -> Chopper(p=0.1) -> EMA(eta=0.01) -> y``.

    Parameters
    ----------
    *blocks : Block
        One or more, all on the same clock; chains among them are taken apart.

    Raises
    ------
    ParameterError
        No block, something else than a block, or different clocks.
    """

    blocks: tuple[Block, ...]

    def __init__(self, *blocks: Block) -> None:
        for block in blocks:
            if not isinstance(block, Block):
                raise ParameterError(f"every part of a chain must be a block, got {block!r}")
        clocks = list(dict.fromkeys(block.clock for block in blocks))
        if len(clocks) != 1:
            raise ParameterError(f"a chain must be one or more blocks on one clock, got the clocks {clocks}")
        parts = (block.blocks if isinstance(block, Chain) else (block,) for block in blocks)
        object.__setattr__(self, "blocks", tuple(chain.from_iterable(parts)))
        object.__setattr__(self, "clock", clocks[0])

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stages of all blocks, in order."""
        return tuple(chain.from_iterable(block.stages(shape) for block in self.blocks))

    @property
    def settled(self) -> Chain | LinearBlock:
        """The chain of what the blocks become in the long run (errors as for any block)."""
        parts = tuple(block.settled for block in self.blocks)
        return self if parts == self.blocks else Chain(*parts)

    @property
    def operations(self) -> int:
        """Digital operations per sample and cell, those of all blocks."""
        return sum(block.operations for block in self.blocks)

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the output itself; -1 for none."""
        last = self.blocks[-1].output_row
        before = sum(slots(block.stages((1,))) for block in self.blocks[:-1])
        return last + before if last >= 0 else -1

    def initial_memory(self, initial: Array) -> Array:
        """Memories of the blocks in order, each at rest with the output that makes the chain's ``initial``.

        Blocks without a known response count as gain 1; before one without gain at omega = 0 stand zeros.
        """
        memories = []
        for block in reversed(self.blocks):
            memories.append(block.initial_memory(initial))
            gain = _rest_gain(block)
            initial = initial / gain if abs(gain) > _NO_GAIN else np.zeros_like(initial)
        return np.concatenate(memories[::-1])

    def frequency_response(self, omega: ArrayLike) -> NDArray[np.complex128]:
        """Complex gain of the linear part: the product of the responses of the blocks that have one.

        Choppers, demodulators and estimators count as 1. Between a chopper and its demodulator a filter sees
        the spectrum of the signal as the chopper has spread it.
        """
        gain = np.ones(np.shape(omega), np.complex128)
        for block in self.blocks:
            if isinstance(block, LinearBlock):
                gain = gain * block.frequency_response(omega)
        return gain

    def zpk(self) -> ZeroPoleGain | None:
        """Zeros and poles of all blocks, and the product of their gains; None if one block has none."""
        parts = [block.zpk() if isinstance(block, LinearBlock) else None for block in self.blocks]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        zeros, poles = (np.concatenate([part[k] for part in known]) for k in (0, 1))
        return ZeroPoleGain(zeros, poles, float(np.prod([part.gain for part in known])))

    def label(self) -> str:
        """The line of signal flow."""
        return " -> ".join(["x", *(block.label() for block in self.blocks), "y"])
