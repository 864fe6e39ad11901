"""Chains of stages over a stream: a few samples of a tile of cells at a time, stage after stage."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import kernel, tile_function
from sptrack.kernels.stages import FLUSH_EVERY, flush, run_stages

Array = NDArray[Any]

_CELLS, _LEAST_CELLS, _NUMBERS, _ROW_NUMBERS = 4096, 64, 1 << 15, 1 << 12
"""Most and fewest cells of a tile, numbers of memory that a tile should not exceed, numbers of samples."""


@tile_function
def _load(x: Any, first: Any, rows: Any, start: Any, n: Any, block: Any, total: Any) -> None:
    """Samples into ``block`` [rows, >= n] (float64); ``total`` [>= n] stays 0 while they are finite."""
    for r in range(rows):
        source, target = x[first + r, start:], block[r]
        for i in range(n):
            value = float(source[i])
            target[i] = value
            total[i] += 0.0 * value


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
    """Room for one tile: ``memory`` [slots, tile], samples and flips [`FLUSH_EVERY`, tile], ``total``."""

    memory: Array
    block: Array
    flip: Array
    total: Array


def scratch_of(slots: int) -> Scratch:
    """Room for tiles of a chain with so many rows of memory: as many cells as stay in a processor's cache."""
    tile = min(_CELLS, max(_LEAST_CELLS, _NUMBERS // max(slots, 1)))
    block, flip = np.zeros((FLUSH_EVERY, tile)), np.zeros((FLUSH_EVERY, tile), np.int8)
    return Scratch(np.zeros((slots, tile)), block, flip, np.zeros(tile))


@kernel
def run_chain(
    stages: Any, memory: Array, first: int, x: Array, flips: Array, y: Array, scratch: Scratch
) -> bool:
    """Outputs ``y`` [samples, cells] of the samples ``x`` of that shape, the first being number ``first``.

    ``memory`` [slots, cells] (float64) is updated in place. ``flips`` [samples or 0, 1 or cells] (int8) marks
    the samples before which a chopper has flipped. Returns whether all of ``x`` was finite.
    """
    samples, cells = x.shape
    own, block, flip, total = scratch
    tile = total.shape[0]
    given, shared = flips.shape[0] > 0, flips.shape[1] == 1
    most = min(FLUSH_EVERY, max(1, _ROW_NUMBERS // tile))
    for i in range(tile):
        total[i] = 0.0
    for start in range(0, cells, tile):
        n = min(tile, cells - start)
        _copy(memory, start, own, 0, n)
        k = 0
        while k < samples:
            rows = min(FLUSH_EVERY - (first + k) % FLUSH_EVERY, samples - k, most)
            _load(x, k, rows, start, n, block, total)
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
    finite = True
    for i in range(tile):
        finite &= total[i] == 0.0
    return finite
