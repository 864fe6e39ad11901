"""Moving curves of a whole array: by counts of pulses, and by steps of time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import kernel
from sptrack.kernels.pulses import TILE, Draws
from sptrack.kernels.random import Key
from sptrack.kernels.wander import move_by_pulses, move_by_step

Array = NDArray[Any]


@kernel
def drift_by_pulses(curves: Any, cell: Array, weight: Array, cells: Any, count: Array) -> None:
    """Move the curves of cells[0] <= i < cells[1] by ``count`` [cells] pulses received."""
    start, stop = cells
    side = (weight[start:], curves.offset[start:], curves.truth[start:], curves.due[start:])
    move_by_pulses(curves, cell[:, start:], count[start:stop], start, stop - start, side)


@kernel
def drift_by_steps(curves: Any, cell: Array, weight: Array, cells: Any, first: Any, steps: Any) -> None:
    """Move the curves of cells[0] <= i < cells[1] by ``steps`` steps, the first of which is ``first``."""
    z, words = np.zeros((4, TILE), np.float32), np.empty((4, TILE), np.uint32)
    place = np.empty(TILE, np.uint32)
    none = Key(np.uint32(0), np.uint32(0))
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        for i in range(n):
            place[i] = np.uint32(start + i)
        side = (weight[start:], curves.offset[start:], curves.truth[start:], curves.due[start:])
        for k in range(steps):
            step = np.uint32(first + k)
            drawn = (z, words, k == 0 or step & 3 == 0)
            draws = Draws(none, none, np.uint32(0), step)
            move_by_step(curves, cell[:, start:], drawn, draws, place, n, side)
