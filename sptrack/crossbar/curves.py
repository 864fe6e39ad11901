"""The response curves of an array, which move if its device drifts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.crossbar.checkpoint import entry
from sptrack.crossbar.threads import over_blocks
from sptrack.devices.cells import Cells
from sptrack.kernels import drift as kernels
from sptrack.kernels.random import Key

Array = NDArray[Any]

STATE = ("offset", "point", "due")
"""Arrays of moving curves that a checkpoint has to keep."""


class ResponseCurves:
    """Displacement of the curves of an array, and its causes.

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
        self._cells, self._threads = cells, threads
        self._cell = cells.law.cell
        real = self._cell.dtype
        none = np.empty(0, real)
        self.drift, self.moves = kernels.no_drift(real), kernels.Moved(none, none, none)
        if cells.drift is not None:
            pulse, step, walk = (np.array(rate, real, order="C").ravel() for rate in cells.drift)
            point = np.array(cells.symmetric_point, real, order="C").ravel()
            rest = np.zeros((2, cells.size), real)
            self.drift = self.drift._replace(
                active=1, per_pulse=pulse, per_step=step, walk=walk, walks=int(walk.any()), walk_key=key
            )
            self.moves = kernels.Moved(rest[0], point, rest[1])

    @property
    def move(self) -> bool:
        """Whether they move at all."""
        return bool(self.drift.active)

    @property
    def moved(self) -> Array:
        """Displacements [R, C] (a copy), weight units."""
        if self.move:
            return np.asarray(-self.moves.offset.reshape(self._cells.shape))
        return np.zeros(self._cells.shape, self._cell.dtype)

    def seen(self, internal: Array) -> Array:
        """Internal weights [cells], relative to the curves, as an observer sees them."""
        return internal - self.moves.offset if self.move else internal

    def by_pulses(self, weight: Array, number: Array) -> None:
        """Move by ``number`` [cells] of pulses received; ``weight`` [cells], relative, changes in place."""
        if self.move:
            over_blocks(
                lambda part: kernels.drift_by_pulses(
                    self.drift, self.moves, self._cell, weight, part, number
                ),
                self._cells.size,
                self._threads,
            )

    def by_steps(self, weight: Array, first: int, steps: int) -> None:
        """Move by ``steps`` steps of time from step ``first`` on; ``weight`` as in `by_pulses`."""
        if self.move and (self.drift.per_step.any() or self.drift.walks):
            over_blocks(
                lambda part: kernels.drift_by_steps(
                    self.drift, self.moves, self._cell, weight, part, first, steps
                ),
                self._cells.size,
                self._threads,
            )

    def state(self) -> dict[str, Array]:
        """Arrays by name for a checkpoint."""
        return {name: getattr(self.moves, name).copy() for name in STATE} if self.move else {}

    def checked(self, state: dict[str, Array]) -> Any:
        """``moves`` to go on from, of the arrays of `state` (ParameterError if they are anything else)."""
        if not self.move:
            return self.moves
        return self.moves._replace(**{name: entry(state, name, getattr(self.moves, name)) for name in STATE})
