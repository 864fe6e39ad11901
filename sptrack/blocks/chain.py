"""Blocks in a row, compiled into one loop."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sptrack.blocks.block import Block, Laws, LinearBlock, Shape, State, frozen
from sptrack.errors import ParameterError


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
                raise ParameterError(f"block = {block!r}: a block wanted")
        clocks = list(dict.fromkeys(block.clock for block in blocks))
        if len(clocks) != 1:
            raise ParameterError(f"blocks on the clocks {clocks}: one or more blocks on one clock wanted")
        parts = (block.blocks if isinstance(block, Chain) else (block,) for block in blocks)
        object.__setattr__(self, "blocks", tuple(chain.from_iterable(parts)))
        object.__setattr__(self, "clock", clocks[0])

    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """Laws of all blocks, in order."""
        return tuple(chain.from_iterable(block.laws(shape, dtype) for block in self.blocks))

    def init(self, shape: Shape = (), dtype: DTypeLike = np.float32) -> State:
        """State before the first sample, the blocks' memories in order; arguments as for any block."""
        memories = [block.init(shape, dtype).memory for block in self.blocks]
        return State(0, frozen(np.concatenate(memories)))

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

    def label(self) -> str:
        """The line of signal flow."""
        return " -> ".join(["x", *(block.label() for block in self.blocks), "y"])
