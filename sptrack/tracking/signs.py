"""Chopper signs by step, as the fused recursion takes them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import SignSource
from sptrack.tracking.methods import Method

Array = NDArray[Any]


def method_chopper(method: Method, seed: int) -> SignSource | None:
    """The chopper of a method with the random signs of a run's seed."""
    return None if method.chopper is None else method.chopper.seeded(seed)


def sign_groups(method: Method, columns: int) -> int:
    """Number of independent signs of an array of one row with so many columns."""
    return 1 if method.chopper is None else method.chopper.groups((1, columns))


def chopper_signs(method: Method, first: int, count: int, shape: tuple[int, int], seed: int) -> Array:
    """Signs [count + 1, groups] (float32) of the steps from first - 1 to first + count - 1.

    Cell i of an array of ``shape`` [rows, columns] belongs to group i modulo the number of groups. A chopper
    on the clock of steps may flip at every step but step 0. One on the clock of reads may flip right after a
    read, where columns are read in turn after each read of the cell's column: at step k it shows the sign
    after the reads in the steps before k.
    """
    chopper, columns = method_chopper(method, seed), shape[1]
    if chopper is None:
        return np.ones((count + 1, 1), np.float32)
    groups = chopper.groups(shape)
    cells = {1: (), columns: (columns,)}.get(groups, shape)
    if chopper.clock == "step":
        signs = chopper.signs(max(first - 1, 0), count + min(first, 1), cells).reshape(-1, groups)
        return np.ascontiguousarray(signs if first > 0 else np.concatenate([signs[:1], signs]), np.float32)
    every, turns = method.transfer.every, columns if method.transfer.by_column else 1
    steps = np.arange(first - 1, first + count)
    index = (np.maximum(steps, 0) // every)[:, None]
    if method.transfer.by_column:
        index = np.maximum((index - np.arange(groups) % columns + turns - 1) // turns, 0)
    table = chopper.signs(0, int(index.max()) + 1, cells).reshape(-1, groups)
    chosen = np.broadcast_to(index, (count + 1, groups))
    return np.ascontiguousarray(np.take_along_axis(table, chosen, axis=0), np.float32)
