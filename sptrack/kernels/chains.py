"""Chains of blocks over a stream: sample after sample, every law in turn, on a tile of cells at a time."""

from typing import Any

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.choppers import (
    DemodulatorLaw,
    LockInLaw,
    PatternLaw,
    TelegraphLaw,
    chop_tile,
    demodulate_tile,
    lock_in_tile,
)
from sptrack.kernels.estimators import ReferenceLaw, reference_tile
from sptrack.kernels.filters import (
    BoxcarLaw,
    CorrectedEmaLaw,
    EmaLaw,
    FirLaw,
    SosLaw,
    boxcar_tile,
    corrected_ema_tile,
    ema_tile,
    fir_tile,
    sos_tile,
)

Array = NDArray[Any]

_SMALLEST, _LARGEST, _NUMBERS = 256, 4096, 1 << 16

_TILES: dict[type, Any] = {
    EmaLaw: ema_tile,
    CorrectedEmaLaw: corrected_ema_tile,
    SosLaw: sos_tile,
    FirLaw: fir_tile,
    BoxcarLaw: boxcar_tile,
    TelegraphLaw: chop_tile,
    PatternLaw: chop_tile,
    DemodulatorLaw: demodulate_tile,
    LockInLaw: lock_in_tile,
    ReferenceLaw: reference_tile,
}


def advance(laws: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Replace sample ``k`` of a tile, ``x`` [>= n], by the output of all ``laws`` in turn.

    ``start`` is the number of the tile's first cell. ``memory`` [slots, >= n] holds the rows of the first
    law, then those of the second, and so on.
    """
    for law in laws:
        _TILES[type(law)](law, memory, k, start, x, n)
        memory = memory[law.slots :]


@overload(advance)
def _advance(laws: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> Any:
    head = _TILES[laws[0].instance_class]

    def last(laws: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
        head(laws[0], memory, k, start, x, n)

    def more(laws: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
        head(laws[0], memory, k, start, x, n)
        advance(laws[1:], memory[laws[0].slots :], k, start, x, n)

    return last if len(laws) == 1 else more


@inline
def _tile_size(slots: Any) -> Any:
    """Cells worked on together: many for long rows, not so many that their memory leaves the cache."""
    return min(_LARGEST, max(_SMALLEST, _NUMBERS // slots))


@kernel
def run_chain(laws: Any, memory: Array, first: int, x: Array, y: Array) -> bool:
    """Outputs ``y`` [samples, cells] of the samples ``x`` of that shape, the first being number ``first``.

    ``memory`` [slots, cells] is updated in place. Returns whether all of ``x`` was finite.
    """
    samples, cells = x.shape
    tile = _tile_size(memory.shape[0])
    scratch = np.zeros((memory.shape[0], tile), memory.dtype)
    value = np.empty(tile, x.dtype)
    wrong = np.zeros(tile, np.bool_)
    for start in range(0, cells, tile):
        n = min(tile, cells - start)
        scratch[:, :n] = memory[:, start : start + n]
        for k in range(samples):
            row = x[k, start : start + n]
            for i in range(n):
                value[i] = row[i]
                wrong[i] |= row[i] - row[i] != 0
            advance(laws, scratch, first + k, start, value, n)
            out = y[k, start : start + n]
            for i in range(n):
                out[i] = value[i]
        memory[:, start : start + n] = scratch[:, :n]
    return not wrong.any()
