"""Array of a tile: the cells of a `Crossbar` under updates of whole mini-batches and reads of columns.

Pulses are counted per cell by the kernels. The write noise of a cell is drawn when the cell is next seen
after a pulse: what is seen has the same distribution as if it had been drawn at every pulse.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar import Ledger, PulseScheme
from sptrack.devices.cells import Cells
from sptrack.errors import ParameterError
from sptrack.kernels._jit import Direct
from sptrack.kernels.coincidences import (
    TrainRule,
    line_scratch,
    pulse_cells,
    pulse_queue,
    show,
    tile_scratch,
    update_batch,
)
from sptrack.kernels.random import stream_key
from sptrack.kernels.responses import callable_law

Array = NDArray[Any]


class TileArray:
    """Cells with weights, pulse counts and what is seen of them.

    Parameters
    ----------
    cells : Cells
        Parameters of the cells, float32, without drift.
    seed : int
        Root seed of all random numbers drawn while running.
    weights : array_like, broadcastable to [R, C]
        Start weights as they are read, weight units; limited to the bounds.
    name, phase : str
        Name of the array and phase of its pulses in the ledger.
    ledger : Ledger or None
        Ledger to share with other arrays.
    signed : bool
        Count up minus down pulses too.
    beyond_bounds : bool
        As of `set_weights`, for the start weights.

    Raises
    ------
    ParameterError
        One-sided cells, cells that drift, or parameters that are not float32.
    """

    def __init__(
        self,
        cells: Cells,
        *,
        seed: int = 0,
        weights: ArrayLike = 0.0,
        name: str = "W",
        phase: str = "gradient",
        ledger: Ledger | None = None,
        signed: bool = False,
        beyond_bounds: bool = False,
    ) -> None:
        if cells.device.one_sided or cells.drift is not None:
            raise ParameterError(
                f"device {cells.device.source.name!r} of a tile must not be one-sided or drift"
            )
        if cells.law.cell.dtype != np.float32:
            raise ParameterError(f"cells of a tile must be float32, got {cells.law.cell.dtype}")
        self.cells, self.name, self.phase = cells, name, phase
        self.shape = cells.shape
        self.ledger = Ledger() if ledger is None else ledger
        self.ledger.open(name, cells.shape)
        self.ledger.watch(self.count)
        self._law, self._noise = callable_law(cells.law), cells.kernel_noise
        self._key = stream_key(seed, f"tile/{name}")
        self._blur = np.float32(cells.device.write_noise * cells.dw_min)
        given = np.zeros(cells.shape) if cells.reference is None else cells.reference
        self._reference = np.ascontiguousarray(given, np.float32).ravel()
        self._weight = np.empty(cells.size, np.float32)
        self._pulsed, self._seen = np.zeros(cells.size, np.int32), np.zeros(cells.size, np.int32)
        self._counted = np.zeros(cells.size, np.int32)
        self._net = np.zeros(cells.size if signed else 0, np.int32)
        self._shown = np.empty(cells.size, np.float32)
        self._seen_weights = self._view()
        self._event = 0
        self._every = 0, cells.size, 1
        self._stale: tuple[int, int, int] | None = self._every  # cells that may have to be shown anew
        self._scratch = tile_scratch(self._law, self._weight)
        sides = line_scratch(cells.shape[1]), line_scratch(cells.shape[0])
        self._waiting = pulse_queue(cells.shape), *sides
        self._update, self._pulse, self._renew = map(Direct, (update_batch, pulse_cells, show))
        self._unsigned = np.ones(cells.shape[1], np.int8), np.ones(cells.shape[0], np.int8)
        self._rules: dict[PulseScheme, TrainRule] = {}
        self.set_weights(weights, beyond_bounds=beyond_bounds)

    def _view(self) -> Array:
        """What is seen, as a matrix [R, C] that cannot be written."""
        view = self._shown.reshape(self.shape)
        view.flags.writeable = False
        return view

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # of a copy, whose view is no longer of its memory
        self._seen_weights = self._view()

    @property
    def weights(self) -> Array:
        """Visible weights [R, C], read-only: memory that the kernels write."""
        if self._stale is not None:
            self._show(self._stale)
            self._stale = None
        return self._seen_weights

    def column(self, k: int) -> Array:
        """Visible weights of column ``k`` [R], a copy; one read per cell is counted.

        Raises
        ------
        ParameterError
            There is no such column.
        """
        self._require_column(k)
        self._show(self._column(k))
        self.ledger.add_reads("transfer", self.name, self.shape[0])
        return self._shown[k :: self.shape[1]].copy()

    def directions(self, k: int) -> tuple[Array, Array]:
        """Up and down pulses of the cells of column ``k`` so far, [R] each; only of a ``signed`` array."""
        every, net = (one[k :: self.shape[1]] for one in (self._pulsed, self._net))
        return (every + net) // 2, (every - net) // 2

    def set_weights(self, weights: ArrayLike, *, beyond_bounds: bool = False) -> None:
        """Set the visible weights without pulses; all write noise is drawn anew.

        Parameters
        ----------
        weights : array_like, broadcastable to [R, C]
            Weights as they are read, weight units.
        beyond_bounds : bool
            Limit what is read, not the cell, to the bounds, see `TileSettings`.

        Raises
        ------
        ParameterError
            A weight that is not finite.
        """
        asked = np.broadcast_to(np.asarray(weights, np.float32), self.shape).ravel()
        if not np.isfinite(asked).all():
            raise ParameterError("weights must be finite, got NaN or infinity")
        bounds = self.cells.lower.ravel(), self.cells.upper.ravel()
        if beyond_bounds:
            self._weight[:] = np.clip(asked, *bounds) + self._reference
        else:
            self._weight[:] = np.clip(asked + self._reference, *bounds)
        self._seen[:] = self._pulsed - 1
        self._show(self._every)
        self._stale = None

    def update(self, x: Array, d: Array, lr: float, scheme: PulseScheme, signs: Array | None = None) -> None:
        """Rank-1 updates w <- w - lr d x^T of each sample of a mini-batch in turn.

        Parameters
        ----------
        x, d : float32 arrays [n, C] and [n, R]
            Inputs and errors.
        lr : float
            Learning rate >= 0.
        scheme : PulseScheme
            Stochastic trains.
        signs : int8 array [C], optional
            Signs +-1 of the columns, by which ``x`` is multiplied.

        Raises
        ------
        ParameterError
            Inputs or errors of another shape.
        """
        if (np.shape(x)[1:], np.shape(d)) != (self.shape[1:], (*np.shape(x)[:1], self.shape[0])):
            raise ParameterError(
                f"inputs and errors of {self.name} must have the shapes [n, {self.shape[1]}] and "
                f"[n, {self.shape[0]}], got {list(np.shape(x))} and {list(np.shape(d))}"
            )
        columns, rows = self._unsigned
        batch = (
            np.ascontiguousarray(x, np.float32),
            np.ascontiguousarray(d, np.float32),
            columns if signs is None else signs,
            rows,
        )
        event = self._next(len(batch[0]))
        self._stale = self._every
        arrays = self._weight, self._pulsed, self._net
        scratch = self._scratch, *self._waiting
        rule, place = self._rule_of(scheme), (self._key, event)
        self._update(self._law, self._noise, place, arrays, batch, float(lr), rule, scratch)

    def _rule_of(self, scheme: PulseScheme) -> TrainRule:
        if scheme not in self._rules:
            self._rules[scheme] = TrainRule(
                scheme.train_length,
                scheme.update_management,
                scheme.length_management,
                scheme.fixed_length,
                float(scheme.gradient_scale),
                float(self.cells.dw_min),
            )
        return self._rules[scheme]

    def pulse_column(self, k: int, numbers: Array) -> None:
        """Send signed ``numbers`` [R] of pulses to the cells of column ``k``.

        Raises
        ------
        ParameterError
            There is no such column, or another number of rows.
        """
        self._require_column(k)
        if np.shape(numbers) != self.shape[:1]:
            raise ParameterError(
                f"pulses of a column of {self.name} must have the shape {list(self.shape[:1])}, "
                f"got {list(np.shape(numbers))}"
            )
        rows = np.flatnonzero(numbers)
        if len(rows) == 0:
            return
        sent = (rows * self.shape[1] + k).astype(np.uint32), numbers[rows].astype(np.int64)
        self._stale = self._column(k) if self._stale in (None, self._column(k)) else self._every
        arrays = self._weight, self._pulsed, self._net
        self._pulse(self._law, self._noise, self._key, arrays, sent, self._scratch)

    def count(self) -> None:
        """Bring the ledger up to date."""
        self.ledger.add_pulses(self.phase, self.name, self._pulsed - self._counted)
        self._counted[:] = self._pulsed

    @property
    def pulses(self) -> int:
        """Pulses so far."""
        return int(self._pulsed.sum(dtype=np.int64))

    def state(self) -> dict[str, Array]:
        """Everything that `restore` needs to go on with the same bytes, but the ledger."""
        return {
            "weight": self._weight.copy(),
            "shown": self._shown.copy(),
            "pulsed": self._pulsed.copy(),
            "seen": self._seen.copy(),
            "counted": self._counted.copy(),
            "net": self._net.copy(),
            "event": np.array([self._event, self._stale is not None]),
        }

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from a `state` of an array with the same cells and seed.

        Raises
        ------
        ParameterError
            A state of another size.
        """
        for name, value in state.items():
            if name == "event":
                self._event, self._stale = int(value[0]), self._every if value[1] else None
                continue
            own = getattr(self, f"_{name}")
            if np.shape(value) != own.shape:
                raise ParameterError(f"state {name} must have the shape {own.shape}, got {np.shape(value)}")
            own[:] = value

    def _require_column(self, k: int) -> None:
        if not 0 <= k < self.shape[1]:
            raise ParameterError(f"column of {self.name} must lie in 0 .. {self.shape[1] - 1}, got {k}")

    def _next(self, events: int) -> int:
        first = self._event + 1
        self._event += events
        return first

    def _column(self, k: int) -> tuple[int, int, int]:
        """First, end and stride of the cells of column ``k``."""
        return k, self.cells.size, self.shape[1]

    def _show(self, cells: tuple[int, int, int]) -> None:
        place = self._key, np.uint32(self._next(1) & 0xFFFFFFFF)
        seen = self._pulsed, self._seen
        self._renew(self._weight, self._reference, self._blur, place, seen, cells, self._shown)
