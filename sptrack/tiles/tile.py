"""One tile: arrays W and P of one shape with the algorithm between them, and its analog access.

Per mini-batch: the gradient is pulsed onto P sample by sample, with the signs of the columns; then one column
k of P is read through the converter, the reference of the column is renewed from the read, what the read
holds beyond it is added to the buffer with the sign of the column, whole pulses are sent to W, and the sign
of the column may flip for its next turn.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks import Block, ObserverSettings, PeriodMean
from sptrack.blocks.block import frozen
from sptrack.crossbar import Crossbar, Ledger
from sptrack.devices import Device, sample_cells
from sptrack.errors import ParameterError
from sptrack.kernels._jit import Direct
from sptrack.kernels.buffers import BufferRule, collect
from sptrack.kernels.chains import run_chain, scratch_of
from sptrack.kernels.observer_rows import POINT
from sptrack.kernels.observers import observe_cells, tell_counts
from sptrack.kernels.stages import pack
from sptrack.tiles.array import TileArray
from sptrack.tiles.io import Port
from sptrack.tiles.settings import TileSettings

Array = NDArray[Any]

_SIGNS_AT_A_TIME = 64
_FLIPS = np.zeros((1, 1), np.int8), np.ones((1, 1), np.int8)
_PASSES = ("forward", "backward", "residual-forward", "residual-backward")
_PORTS = (*_PASSES, "reads")


class Tile:
    """Arrays W and P under one algorithm.

    Parameters
    ----------
    settings : TileSettings
        Algorithm and converters.
    device : Device
        Device of both arrays.
    shape : (int, int)
        Outputs R and inputs C.
    weights : array_like [R, C]
        Start weights of W as they are read, weight units; P starts at 0.
    seed, device_seed : int
        Root seeds of what is drawn while running, and of the parameters of the cells.
    name : str
        Name of the tile; its arrays are "<name>/W" and "<name>/P" in the ledger.
    ledger : Ledger or None
        Ledger to share with other tiles.

    Attributes
    ----------
    w_array, p_array : TileArray
        W and P (of analog SGD, W only: ``p_array`` is None).
    buffer, stored : float64 [C, R], float32 [R, C]
        Digital buffer, column by column; matrix of the latest reads c (P - reference).
    reads : int64 [C]
        Reads of each column.
    """

    def __init__(
        self,
        settings: TileSettings,
        device: Device,
        shape: tuple[int, int],
        *,
        weights: ArrayLike = 0.0,
        seed: int = 0,
        device_seed: int = 0,
        name: str = "tile",
        ledger: Ledger | None = None,
    ) -> None:
        self.settings, self.shape, self.name = settings, shape, name
        self.ledger = Ledger() if ledger is None else ledger
        streams = {"W": device_seed * 2, "P": device_seed * 2 + 1}
        cells = {key: sample_cells(device, shape, seed=one) for key, one in streams.items()}
        phase = "gradient" if settings.single else "transfer"
        self.w_array = TileArray(
            cells["W"],
            seed=seed,
            weights=weights,
            name=f"{name}/W",
            phase=phase,
            ledger=self.ledger,
            beyond_bounds=settings.beyond_bounds,
        )
        self.p_array = None
        if not settings.single:
            observed = isinstance(settings.reference, ObserverSettings)
            self.p_array = TileArray(
                cells["P"],
                seed=seed,
                name=f"{name}/P",
                ledger=self.ledger,
                signed=observed,
                beyond_bounds=settings.beyond_bounds,
            )
        ios = (settings.forward, settings.backward, settings.forward, settings.backward, settings.reads)
        self._ports = {
            key: Port(io, seed=seed, stream=f"{name}/{key}") for key, io in zip(_PORTS, ios, strict=True)
        }
        rows, columns = shape
        self.buffer = np.zeros((columns, rows))
        self.stored = np.zeros(shape, np.float32)
        self._shown_stored = frozen(self.stored.view())
        self.reads = np.zeros(columns, np.int64)
        self._turn = 0
        self._batches = 0
        self._maxima = np.zeros(2)
        self._signs: tuple[int, Array] = (-1, np.ones((1, 1)))
        self._now: tuple[Array, Array] | None = None
        chopper = settings.chopper
        self._chopper = None if chopper is None else chopper.seeded(seed)
        self._memory: Array | None = None
        self._filter: tuple[Any, Any] | None = None
        self._observer: Any = None
        self._told: Array | None = None
        self._beyond = np.zeros((2, rows))
        self._chain, self._buffered = Direct(run_chain), Direct(collect)
        self._counted = dict.fromkeys(_PASSES, 0)
        self._renewed_at_flips = isinstance(settings.reference, PeriodMean)
        self._reference = self._start_reference(seed)
        self.ledger.watch(self.count)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # of a copy, whose view is no longer of its memory
        self._shown_stored = frozen(self.stored.view())

    def _start_reference(self, seed: int) -> Array:
        """Reference [C, R] at the start; opens the states of a block."""
        rows, columns = self.shape
        reference, p_array = self.settings.reference, self.p_array
        if p_array is None:
            return np.zeros((columns, rows))
        if isinstance(reference, Block):
            stages = reference.stages((rows,))
            if any(stage.signs is not None for stage in stages):
                raise ParameterError(f"reference must be a filter or an estimator, got {reference}")
            self._memory = np.array([reference.init(rows).memory] * columns)
            self._filter = pack(stages), scratch_of(self._memory.shape[1])
        elif isinstance(reference, ObserverSettings):
            known = replace(reference, sent=True)
            observer = known.bind(p_array.cells, read_noise=self.settings.reads.read_noise)
            self._observer = observer.record()
            self._told = np.zeros((2, columns, rows), np.int32)
            self._memory = np.array([observer.init(rows).memory] * columns)
            return self._memory[:, POINT].copy()
        elif reference == "true":
            target = p_array.cells.target
            if not np.isfinite(target).all():
                raise ParameterError("reference 'true' needs a symmetric point in every cell")
            return np.array(target.T, np.float64, order="C")
        elif reference == "calibrated":
            pulsed = Crossbar(p_array.cells, seed=seed, name=p_array.name, ledger=self.ledger, threads=1)
            pulsed.pulse("alternating", self.settings.calibration)
            found = self._ports["reads"].convert(pulsed.read().ravel()).reshape(self.shape)
            return np.array(found.T, np.float64, order="C")
        return np.zeros((columns, rows))

    @property
    def reference(self) -> Array:
        """Reference [R, C] that is subtracted from reads of P, a copy, weight units."""
        return self._reference.T.copy()

    def signs(self) -> Array:
        """Chopper signs of the columns now, float32 [C]."""
        return self._turns()[0].astype(np.float32)

    def _turns(self) -> tuple[Array, Array]:
        """Signs of the columns now, int8 [C], and whether each has flipped since its last read [C]."""
        if self._now is None:
            self._now = np.ones(self.shape[1], np.int8), np.zeros(self.shape[1], np.bool_)
            for k, number in enumerate(self.reads.tolist() if self._chopper is not None else ()):
                self._now[0][k] = self._sign_block(number)[0, k]
                self._now[1][k] = number > 0 and self._sign_block(number - 1)[0, k] != self._now[0][k]
        return self._now

    def _sign_block(self, first: int) -> Array:
        """Signs [>= 2, C] of reads ``first``, ``first`` + 1."""
        assert self._chopper is not None
        block, row = divmod(first, _SIGNS_AT_A_TIME)
        if self._signs[0] != block:
            columns = self.shape[1]
            groups = self._chopper.groups((self.shape[0], columns))
            made = self._chopper.group_signs(block * _SIGNS_AT_A_TIME, _SIGNS_AT_A_TIME + 1, groups)
            if groups not in (1, columns):
                raise ParameterError("chopper.scope of a tile must be array or column, got cell")
            self._signs = block, np.broadcast_to(made, (_SIGNS_AT_A_TIME + 1, columns))
        return self._signs[1][row : row + 2]

    def forward(self, x: Array) -> Array:
        """Outputs [n, R] of digital inputs [n, C]."""
        ports, managed = self._ports, self.settings.forward.bound_management
        y = ports["forward"].send(self._sum().T, x, managed=managed).values
        if self._stores:
            y += (
                self.settings.gamma
                * ports["residual-forward"].send(self._shown_stored.T, x, managed=managed).values
            )
        return y

    def backward(self, d: Array) -> Array:
        """Outputs [n, C] of errors [n, R] through the transpose."""
        g = self._ports["backward"].send(self._sum(), d, managed=False).values
        if self._stores:
            g += (
                self.settings.gamma
                * self._ports["residual-backward"].send(self._shown_stored, d, managed=False).values
            )
        return g

    @property
    def _stores(self) -> bool:
        return self.settings.residual == "stored" and self.settings.gamma > 0

    def _sum(self) -> Array:
        """Matrix of the array's sum, read-only."""
        if self.settings.residual != "array" or self.settings.gamma == 0 or self.p_array is None:
            return self.w_array.weights
        beyond = (self.p_array.weights - self._reference.T) * self._turns()[0]
        return frozen(np.asarray(self.w_array.weights + self.settings.gamma * beyond, np.float32))

    def update(self, x: Array, d: Array, lr: float) -> None:
        """One step of the algorithm for the inputs and errors of a mini-batch.

        Parameters
        ----------
        x, d : float32 arrays [n, C], [n, R]
            Inputs and errors (gradients of the loss by the outputs, in units of the array).
        lr : float
            Learning rate >= 0.
        """
        rate = self._rate(x, d, lr)
        if self.p_array is None:
            if not self.settings.frozen:
                self.w_array.update(x, d, rate, self.settings.fast.scheme)
            return
        self.p_array.update(x, d, rate, self.settings.fast.scheme, self._turns()[0])
        self._batches += 1
        if self._batches % self.settings.transfer.every == 0:
            self._transfer(self._turn, rate, lr)
            self._turn = (self._turn + 1) % self.shape[1]

    def _rate(self, x: Array, d: Array, lr: float) -> float:
        dw_min = self.w_array.cells.dw_min
        rate, self._maxima = self.settings.fast.rate_of(x, d, self._maxima, lr=lr, dw_min=dw_min)
        return rate

    def _transfer(self, k: int, rate: float, lr: float) -> None:
        """Read column ``k`` of P and send what is due to W."""
        assert self.p_array is not None
        s, transfer = self.settings, self.settings.transfer
        number = int(self.reads[k])
        read = self._ports["reads"].convert(self.p_array.column(k)).astype(np.float64)
        signs, flips = self._turns()
        sign, flipped = float(signs[k]), bool(flips[k])
        if self._chopper is not None:
            signs[k] = self._sign_block(number)[1, k]
            flips[k] = signs[k] != sign
        if self._memory is not None:
            before = self._reference[k].copy() if flipped or not self._renewed_at_flips else None
            if self._observer is not None:
                self._observe(k, read)
            else:
                self._follow(k, read, number, flipped)
            if before is not None:
                renewed = int(np.count_nonzero(before != self._reference[k]))
                self.ledger.add_programs("program", self.p_array.name, renewed)
        self.reads[k] += 1
        gain = transfer.rate * lr if transfer.scaled else transfer.rate
        if s.buffer is None:
            self._beyond[0] = sign * (read - self._reference[k])
            self._send_trains(k, self._beyond[0], gain)
        else:
            gains = sign, gain, self._unit(rate)
            rule, level = self._rule, self.buffer[k]
            due = self._buffered(read, self._reference[k], gains, rule, level, self._beyond)
            if due and number >= s.hold and not s.frozen:
                self.w_array.pulse_column(k, self._beyond[1].astype(np.int64))
        if s.residual == "stored":
            self.stored[:, k] = self._beyond[0]

    def _follow(self, k: int, read: Array, number: int, flipped: bool) -> None:
        """Renew the reference of column ``k`` by its block."""
        assert self._memory is not None
        assert self._filter is not None
        packed, scratch = self._filter
        flips, y = _FLIPS[flipped], self._reference[k : k + 1]
        if not self._chain(packed, self._memory[k], number, frozen(read[None]), flips, y, scratch):
            raise ParameterError(f"read of column {k} of {self.name} is not finite")

    def _observe(self, k: int, read: Array) -> None:
        """Tell the observer of column ``k`` of the pulses since its last read, then of this read."""
        assert self.p_array is not None
        assert self._memory is not None
        assert self._told is not None
        counts = np.stack(self.p_array.directions(k))
        up, down = counts - self._told[:, k]
        self._told[:, k] = counts
        tell_counts(self._observer, self._memory[k], up, down)
        observe_cells(self._observer, self._memory[k], read)
        self._reference[k] = self._memory[k, POINT]

    def _send_trains(self, k: int, change: Array, gain: float) -> None:
        """Pulse column ``k`` of W by trains for ``gain`` times ``change`` [R]."""
        if self.settings.frozen:
            return
        one = np.zeros((1, self.shape[1]), np.float32)
        one[0, k] = 1.0
        self.w_array.update(one, -change[None].astype(np.float32), gain, self.settings.transfer.scheme)

    @cached_property
    def _rule(self) -> BufferRule:
        """Buffer as the kernel takes it."""
        buffer, most = self.settings.buffer, float(self.settings.transfer.scheme.train_length)
        assert buffer is not None
        return BufferRule(most, float(buffer.momentum), buffer.forget, float(buffer.cap))

    def _unit(self, rate: float) -> float:
        """Transferred weight that makes one pulse, weight units."""
        buffer = self.settings.buffer
        assert buffer is not None
        unit = float(buffer.scale * self.w_array.cells.dw_min)
        if buffer.auto_granularity > 0:
            unit *= buffer.auto_granularity / (self.shape[1] * self.settings.transfer.every)
        return unit * rate if buffer.correct_magnitudes and rate > 0 else unit

    @property
    def pulses(self) -> int:
        """Pulses on both arrays so far."""
        return self.w_array.pulses + (0 if self.p_array is None else self.p_array.pulses)

    @property
    def passes(self) -> int:
        """Vectors sent through the tile so far: by sample, residual passes and repeats counted."""
        return sum(self._ports[key].sent for key in _PASSES)

    def count(self) -> None:
        """Tell the ledger of the passes since the last time."""
        for key, told in self._counted.items():
            sent = self._ports[key].sent
            if sent > told:
                self.ledger.add_passes(key, self.w_array.name, sent - told)
                self._counted[key] = sent

    def state(self) -> dict[str, Array]:
        """Everything that `restore` needs to go on with the same bytes, but the ledger, as named arrays."""
        events = [[port.event, port.sent] for port in self._ports.values()]
        out = {
            "numbers": np.array([self._turn, self._batches]),
            "events": np.array(events),
            "maxima": self._maxima.copy(),
            "buffer": self.buffer.copy(),
            "stored": self.stored.copy(),
            "reads": self.reads.copy(),
            "reference": self._reference.copy(),
        }
        if self._memory is not None:
            out["memory"] = self._memory.copy()
        if self._told is not None:
            out["told"] = self._told.copy()
        for key, array in (("W", self.w_array), ("P", self.p_array)):
            if array is not None:
                out |= {f"{key}.{name}": value for name, value in array.state().items()}
        return out

    def check(self, state: Mapping[str, Array]) -> None:
        """Refuse a state that `restore` would refuse.

        Raises
        ------
        ParameterError
            A state that lacks something or has another shape.
        """
        own = self.state()
        for name, value in own.items():
            if name not in state or np.shape(state[name]) != value.shape:
                found = "nothing" if name not in state else f"shape {np.shape(state[name])}"
                raise ParameterError(
                    f"state {name} of {self.name} must have shape {value.shape}, got {found}"
                )

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a `state` of a tile with the same settings, device and seeds.

        Raises
        ------
        ParameterError
            As `check`; nothing is changed then.
        """
        self.check(state)
        self._turn, self._batches = (int(v) for v in state["numbers"])
        for port, (event, sent) in zip(self._ports.values(), state["events"].tolist(), strict=True):
            port.event, port.sent = event, sent
        self._counted = {key: self._ports[key].sent for key in _PASSES}
        self._maxima, self.buffer = np.array(state["maxima"]), np.array(state["buffer"])
        self.stored[:] = state["stored"]
        self.reads, self._reference = np.array(state["reads"]), np.array(state["reference"])
        self._now = None
        if self._memory is not None:
            self._memory = np.array(state["memory"])
        if self._told is not None:
            self._told = np.array(state["told"])
        for key, array in (("W", self.w_array), ("P", self.p_array)):
            if array is not None:
                array.restore(
                    {name[2:]: value for name, value in state.items() if name.startswith(f"{key}.")}
                )


def split(lines: int, most: int) -> list[slice]:
    """Nearly equal parts of at most ``most`` lines."""
    parts = math.ceil(lines / most)
    edges = [lines * k // parts for k in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
