"""The response curves of an array, which move if its device drifts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.crossbar.threads import over_blocks
from sptrack.devices.cells import Cells
from sptrack.kernels import drift
from sptrack.kernels.random import Key
from sptrack.kernels.wander import STILL, Curves

Array = NDArray[Any]

STATE = ("offset", "truth", "due")
"""Arrays of moving curves that a checkpoint has to keep."""


class ResponseCurves:
    """How far the curves of an array have moved, and what moves them.

    Parameters
    ----------
    cells : Cells
        Their rates, in the precision of the law.
    key : Key
        Stream of the random moves.
    threads : int
        Threads of the kernels.
    """

    def __init__(self, cells: Cells, key: Key, threads: int) -> None:
        self.kernel: Any = STILL
        self._cells, self._threads = cells, threads
        self._cell = cells.law.cell
        if cells.drift is not None:
            real = self._cell.dtype
            pulse, step, walk = (np.ascontiguousarray(rate, real).ravel() for rate in cells.drift)
            truth = np.ascontiguousarray(cells.symmetric_point, real).ravel()
            rest = np.zeros((2, cells.size), real)
            self.kernel = Curves(pulse, step, walk, int(walk.any()), key, rest[0], truth, rest[1])

    @property
    def move(self) -> bool:
        """Whether they move at all."""
        return isinstance(self.kernel, Curves)

    @property
    def moved(self) -> Array:
        """How far they have moved [R, C] (a copy), weight units."""
        if self.move:
            return np.asarray(-self.kernel.offset.reshape(self._cells.shape))
        return np.zeros(self._cells.shape, self._cell.dtype)

    def seen(self, internal: Array) -> Array:
        """Internal weights [cells], relative to the curves, as an observer sees them."""
        return internal - self.kernel.offset if self.move else internal

    def by_pulses(self, weight: Array, number: Array) -> None:
        """Move by ``number`` [cells] of pulses received; ``weight`` [cells], relative, changes in place."""
        if self.move:
            over_blocks(
                lambda part: drift.drift_by_pulses(self.kernel, self._cell, weight, part, number),
                self._cells.size,
                self._threads,
            )

    def by_steps(self, weight: Array, first: int, steps: int) -> None:
        """Move by ``steps`` steps of time from step ``first`` on; ``weight`` as in `by_pulses`."""
        if self.move and (self.kernel.per_step.any() or self.kernel.walks):
            over_blocks(
                lambda part: drift.drift_by_steps(self.kernel, self._cell, weight, part, first, steps),
                self._cells.size,
                self._threads,
            )

    def state(self) -> dict[str, Array]:
        """Arrays by name for a checkpoint."""
        return {name: getattr(self.kernel, name).copy() for name in STATE} if self.move else {}

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from the arrays of `state`."""
        if self.move:
            self.kernel = self.kernel._replace(**{name: np.array(state[name]) for name in STATE})
