"""Chains of stages over a stream: a few samples of a tile of cells at a time, stage after stage."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, kernel, tile_function
from sptrack.kernels.filters import ema
from sptrack.kernels.stages import FIRST, FLUSH_EVERY, ONE_POLE, flush, run_stages

Array = NDArray[Any]

_CELLS, _LEAST_CELLS, _NUMBERS, _ROW_NUMBERS = 4096, 64, 1 << 15, 1 << 12
"""Most and fewest cells of a tile, numbers of memory that a tile should not exceed, numbers of samples."""


@disjoint_tile
def _load(x: Any, start: Any, n: Any, block: Any) -> Any:
    """Samples [>= start + n] into ``block`` [>= n] (float64); whether all were finite."""
    source, wrong = x[start:], 0
    for i in range(n):
        value = source[i]
        wrong |= int(value - value != 0)
        block[i] = value
    return wrong == 0


@disjoint_tile
def _one_pole(x: Any, start: Any, n: Any, q: Any, eta: Any, y: Any) -> Any:
    """One sample of a chain of one `ema`, without a copy of the samples; whether all were finite."""
    source, target, wrong = x[start:], y[start:], 0
    for i in range(n):
        value = source[i]
        wrong |= int(value - value != 0)
        q[i] = ema(q[i], float(value), eta)
        target[i] = q[i]
    return wrong == 0


@tile_function
def _unload(block: Any, first: Any, rows: Any, start: Any, n: Any, y: Any) -> None:
    for r in range(rows):
        source, target = block[r], y[first + r, start:]
        for i in range(n):
            target[i] = source[i]


@tile_function
def _copy(source: Any, at: Any, target: Any, start: Any, n: Any) -> None:
    for row in range(source.shape[0]):
        one, other = source[row, at:], target[row, start:]
        for i in range(n):
            other[i] = one[i]


class Scratch(NamedTuple):
    """Room for one tile: ``memory`` [slots, tile], samples and flips [`FLUSH_EVERY`, tile]."""

    memory: Array
    block: Array
    flip: Array


def scratch_of(slots: int) -> Scratch:
    """Room for tiles of a chain with so many rows of memory: as many cells as stay in a processor's cache."""
    tile = min(_CELLS, max(_LEAST_CELLS, _NUMBERS // max(slots, 1)))
    block, flip = np.zeros((FLUSH_EVERY, tile)), np.zeros((FLUSH_EVERY, tile), np.int8)
    return Scratch(np.zeros((slots, tile)), block, flip)


@kernel
def run_chain(
    stages: Any, memory: Array, first: int, x: Array, flips: Array, y: Array, scratch: Scratch
) -> bool:
    """Outputs ``y`` [samples, cells] of the samples ``x`` of that shape, the first being number ``first``.

    ``memory`` [slots, cells] (float64) is updated in place. ``flips`` [samples or 0, 1 or cells] (int8) marks
    the samples before which a chopper has flipped. Returns whether all of ``x`` was finite.
    """
    samples, cells = x.shape
    own, block, flip = scratch
    tile, finite = block.shape[1], True
    one_pole = stages.code.shape[0] == 1 and stages.code[0, ONE_POLE] == 1
    eta = stages.number[stages.code[0, FIRST]] if one_pole else 0.0
    given, shared = flips.shape[0] > 0, flips.shape[1] == 1
    most = min(FLUSH_EVERY, max(1, _ROW_NUMBERS // tile))
    for start in range(0, cells, tile):
        n = min(tile, cells - start)
        _copy(memory, start, own, 0, n)
        k = 0
        while k < samples:
            rows = min(FLUSH_EVERY - (first + k) % FLUSH_EVERY, samples - k, most)
            if one_pole:
                for r in range(rows):
                    finite &= _one_pole(x[k + r], start, n, own[0], eta, y[k + r])
            else:
                for r in range(rows):
                    finite &= _load(x[k + r], start, n, block[r])
                if given:
                    for r in range(rows):
                        for i in range(n):
                            flip[r, i] = flips[k + r, 0 if shared else start + i]
                run_stages(stages, own, block, flip, (first + k, start, rows, n, k))
                _unload(block, k, rows, start, n, y)
            k += rows
            if (first + k) % FLUSH_EVERY == 0:
                flush(own, n)
        _copy(own, 0, memory, start, n)
    return finite
