"""Chopper signs by step, as the fused recursion takes them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.tracking.methods import Method

Array = NDArray[Any]


def method_chopper(method: Method, seed: int) -> Chopper | PeriodicChopper:
    """The chopper of a method as a block; a sample is a step, or, with scope "column", a column's read."""
    chop = method.chop
    scope: Any = chop.scope
    if chop.half_period:
        return PeriodicChopper(half_period=chop.half_period, scope=scope)
    return Chopper(p=chop.probability, seed=seed, scope=scope)


def chopper_signs(method: Method, first: int, count: int, columns: int, seed: int) -> Array:
    """Signs [count + 1, groups] (float32) of the steps from first - 1 to first + count - 1.

    An array chopper may flip at every step but step 0. A column's chopper may flip right after each read
    of that column: at step k it shows the sign after the reads of the column in the steps before k.
    """
    chop = method.chop
    steps = np.arange(first - 1, first + count)
    if not chop.active:
        return np.ones((count + 1, 1), np.float32)
    if chop.scope == "array":
        block = method_chopper(method, seed)
        signs = block.signs(max(first - 1, 0), count + min(first, 1), 1)
        return np.asarray(signs if first > 0 else np.concatenate([signs[:1], signs]), np.float32)
    block = method_chopper(method, seed)
    every, turns = method.transfer.every, columns if method.transfer.by_column else 1
    reads_so_far = np.maximum(steps, 0) // every
    index = reads_so_far[:, None]
    if method.transfer.by_column:
        index = np.maximum((index - np.arange(columns) + turns - 1) // turns, 0)
    table = block.signs(0, int(index.max()) + 1, columns)
    return np.take_along_axis(table, np.broadcast_to(index, (count + 1, columns)), axis=0).astype(np.float32)
