"""The crossbar: cells, their weights, and a ledger of every pulse they get."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar import inputs
from sptrack.crossbar.checkpoint import counts, entry, read_state, write_state
from sptrack.crossbar.curves import STATE, ResponseCurves
from sptrack.crossbar.increments import PulseNumbers, check_law
from sptrack.crossbar.ledger import Ledger
from sptrack.crossbar.outer import (
    PulseScheme,
    Trains,
    deterministic_counts,
    firing_lines,
    plan_trains,
    quantised,
)
from sptrack.crossbar.threads import over_blocks, thread_count
from sptrack.crossbar.write_noise import WriteNoise
from sptrack.devices.cells import Cells
from sptrack.errors import ParameterError
from sptrack.kernels import pulses, updates
from sptrack.kernels.random import Draws, fill_normals, stream_key
from sptrack.kernels.responses import LINEAR, callable_law
from sptrack.values import as_seed, check_number, check_whole

Array = NDArray[Any]

MAX_STEPS = 10**8
"""Most steps of one rest."""


class Block(NamedTuple):
    """Some samples of a stream: ``pulses`` [n] sent when each was taken, ``weights`` [n, R, C] (visible)."""

    pulses: Array
    weights: Array


class Crossbar:
    """An array of cells that can be pulsed, updated and read.

    The same cells, seed and calls give the same bytes for any number of threads and any cutting of the pulse
    trains. Response curves of a device with drift move with every pulse of a train, after the pulses of an
    update, and with the time that `rest` lets pass.

    Parameters
    ----------
    cells : Cells
        Per-cell parameters; their precision (float32 or float64) is that of the simulation.
    seed : int
        Root seed of all random numbers drawn while running.
    weights : array_like, broadcastable to [R, C]
        Start weights as they are read (visible), weight units; limited to the bounds.
    name : str
        Name of the array in the ledger.
    ledger : Ledger or None
        A ledger to share with other arrays, or None for one of its own.
    threads : int or None
        Threads of the kernels; None: one per processor.

    Raises
    ------
    ParameterError
        One-sided cells, weights that are not finite or of another shape, less than one thread.
    """

    def __init__(
        self,
        cells: Cells,
        *,
        seed: int = 0,
        weights: ArrayLike = 0.0,
        name: str = "W",
        ledger: Ledger | None = None,
        threads: int | None = None,
    ) -> None:
        if cells.device.one_sided:
            raise ParameterError(f"device {cells.device.source.name!r} is one-sided: use OneSidedPair")
        self.cells = cells
        self.seed = as_seed(seed)
        self.name = name
        self.threads = thread_count(threads)
        self.ledger = Ledger() if ledger is None else ledger
        self.ledger.open(name, cells.shape)
        self._dtype = cells.law.cell.dtype
        self._noise = cells.kernel_noise
        self._clock = {"train": 0, "alternation": 0, "event": 0, "read": 0, "time": 0}
        self._curves = ResponseCurves(cells, self._key("walk"), self.threads)
        self._numbers = PulseNumbers(cells, self.threads)
        self._write_noise = WriteNoise(cells, self._key("write"), self._key("write-train"))
        self.set_weights(weights)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.cells.shape

    @property
    def hidden(self) -> Array:
        """Internal weights [R, C] that pulses act on (a copy), weight units, relative to curves that move."""
        return self._weight.reshape(self.shape).copy()

    @property
    def weights(self) -> Array:
        """Visible weights [R, C] (a copy): internal plus write noise minus reference, without read noise."""
        visible = self._write_noise.visible
        return self._present(self._curves.seen(self._weight if visible is None else visible))

    @property
    def moved(self) -> Array:
        """Displacement of the response curves [R, C], weight units."""
        return self._curves.moved

    @property
    def symmetric_point(self) -> Array:
        """Symmetric points as they are read now [R, C], weight units; NaN where there is none."""
        return np.asarray(self.cells.target + self.moved)

    def set_weights(self, weights: ArrayLike) -> None:
        """Set the visible weights without pulses (start of a simulation; not counted). Limited to the bounds.

        Raises
        ------
        ParameterError
            If a weight is not finite or the shape does not broadcast to [R, C].
        """
        full = inputs.over_cells(weights, "weights", self.shape)
        internal = full if self.cells.reference is None else full + self.cells.reference
        bounded = np.clip(internal - self.moved, self.cells.lower, self.cells.upper)
        self._weight = np.ascontiguousarray(bounded, self._dtype).ravel()
        self._clock["event"] += 1
        self._write_noise.write(self._weight, self._clock["event"])

    def pulse(self, program: str | Array, count: int | None = None, *, phase: str = "calibrate") -> None:
        """Send pulses to all cells.

        Parameters
        ----------
        program : str or array of +1, -1, 0
            "up", "down", "alternating" (up first; a later call goes on where the last one stopped), "random"
            (a fair coin per cell and pulse), or directions [count] for all cells, or [count, R, C] per cell.
        count : int
            Number of pulses, >= 0; may be left out where directions are given.
        phase : str
            Phase in the ledger.

        Raises
        ------
        ParameterError
            Unknown program, negative count, or directions other than +1, -1, 0.
        """
        for source, directions, number in inputs.cut_program(program, count, self.shape, self._clock):
            self._train(source, directions, number, phase, np.empty((0, self.cells.size), self._dtype))

    def stream(
        self,
        program: str | Array,
        count: int | None = None,
        *,
        every: int = 1,
        samples: int = 64,
        phase: str = "calibrate",
    ) -> Iterator[Block]:
        """Send pulses and yield blocks of samples: at most ``samples`` of them are held at a time.

        Parameters
        ----------
        program, count, phase
            As in `pulse`.
        every : int
            Pulses between samples, >= 1. A remainder of ``count`` is sent unseen, before the last block
            comes.
        samples : int
            Samples per block, >= 1.

        Yields
        ------
        Block
            Pulse counts since the start of the stream and visible weights.
        """
        if every < 1 or samples < 1:
            raise ParameterError(f"every and samples must be at least 1, got {every} and {samples}")
        sent = 0
        for source, directions, number in inputs.cut_program(
            program, count, self.shape, self._clock, every * samples
        ):
            rows, rest = divmod(number, every)
            record = np.empty((rows, self.cells.size), self._dtype)
            self._train(source, directions[: rows * every], rows * every, phase, record)
            weights = self._present(self._write_noise.blur(record, every, self._clock["train"]))
            if rest:
                self._train(source, directions[rows * every :], rest, phase, record[:0])
            if rows:
                yield Block(sent + every * np.arange(1, rows + 1), weights)
            sent += number

    def updates(
        self, increments: Iterable[ArrayLike], *, samples: int = 64, **options: Any
    ) -> Iterator[Block]:
        """Apply increments in turn and yield blocks of samples, one sample after each increment.

        With a chopped gradient as increments and a chain of `sptrack.blocks` on what comes out, this is the
        signal path of a tracked array, open loop.

        Parameters
        ----------
        increments : iterable of array_like, broadcastable to [R, C]
            Requested changes, weight units, such as an array [steps, R, C].
        samples : int
            Samples per block, >= 1.
        **options
            Passed to `apply`.

        Yields
        ------
        Block
            Number of increments so far and visible weights.

        Raises
        ------
        ParameterError
            ``samples`` below 1; as `apply`.
        """
        if samples < 1:
            raise ParameterError(f"samples must be at least 1, got {samples}")
        done, kept = 0, []
        for increment in increments:
            self.apply(increment, **options)
            kept.append(self.weights.copy())
            done += 1
            if len(kept) == samples:
                yield Block(np.arange(done - len(kept), done) + 1, np.stack(kept))
                kept = []
        if kept:
            yield Block(np.arange(done - len(kept), done) + 1, np.stack(kept))

    def apply(
        self,
        increment: ArrayLike,
        *,
        law: str = "rounded",
        application: str = "sequential",
        slots: int = 31,
        phase: str = "gradient",
    ) -> Array:
        """Ask for an increment of each cell and send the whole pulses that a count law makes of it.

        Parameters
        ----------
        increment : array_like, broadcastable to [R, C]
            Wanted change, weight units: |increment| / dw_min pulses on average, up where it is positive.
        law : str
            "rounded" (floor plus a Bernoulli of the fraction), "binomial" (``slots`` Bernoulli slots) or
            "poisson".
        application : str
            "sequential": each pulse sees the weight left by the last and has its own noise. "burst": the
            closed form for linear families, one normal times sqrt(n) with the noise of the first step.
        slots : int
            Train length of the binomial law; a larger |increment| / dw_min is limited to it.
        phase : str
            Phase in the ledger.

        Returns
        -------
        int32 array [R, C]
            Signed number of pulses that were sent.

        Raises
        ------
        ParameterError
            NaN or infinity, wrong shape, more than 1e8 pulses of a cell, unknown law or application, slots
            outside 1 .. 1000, a burst on a family that is not linear.
        """
        check_law(law, slots, application)
        if application == "burst" and self.cells.law.kind != LINEAR:
            family = self.cells.device.response.family
            raise ParameterError(
                f"application 'burst' on {family}: the closed form exists for linear families only"
            )
        asked, draws = self._numbers.asked(increment), self._event("count")
        counts = self._numbers.draw(asked, law, slots, draws)
        self._apply_counts(counts, draws, phase, burst=application == "burst")
        return counts.reshape(self.shape)

    def update(
        self,
        x: ArrayLike,
        d: ArrayLike,
        lr: float,
        *,
        scheme: PulseScheme | None = None,
        phase: str = "gradient",
    ) -> None:
        """Rank-1 update w <- w - lr d x^T by coincident pulse trains.

        Parameters
        ----------
        x, d : array_like [C], [R]
            Input and error vector.
        lr : float
            Learning rate, >= 0.
        scheme : PulseScheme or None
            Trains, their length and its management; None: the defaults.
        phase : str
            Phase in the ledger.

        Raises
        ------
        ParameterError
            Wrong lengths, NaN or infinity, a negative learning rate.
        """
        scheme = PulseScheme() if scheme is None else scheme
        x, d = inputs.vector(x, "x", self.shape[1]), inputs.vector(d, "d", self.shape[0])
        check_number("lr", lr, least=0)
        trains = plan_trains(x, d, lr, self.cells.dw_min, scheme)
        draws = self._event("train")
        if trains is None:
            return
        if scheme.resolution:
            trains = quantised(trains, scheme, self._key, draws.event)
        if scheme.pulse_type == "stochastic-compressed":
            counts = self._coincide(trains, x, d, draws)
        else:
            signs = -np.sign(np.multiply.outer(d, x)).astype(np.int32)
            counts = np.ascontiguousarray((deterministic_counts(trains, scheme) * signs).ravel())
        self._apply_counts(counts, draws, phase, burst=False)

    def rest(self, steps: int) -> None:
        """Let ``steps`` steps of time pass without pulses: the response curves of a device that drifts move.

        Raises
        ------
        ParameterError
            A negative number, or more than 1e8.
        """
        check_whole("steps", steps, 0, MAX_STEPS)
        before = self._weight.copy()
        self._curves.by_steps(self._weight, self._clock["time"], int(steps))
        self._clock["time"] += int(steps)
        self._write_noise.move(self._weight - before)

    def read(self, noise: float = 0.0, *, phase: str = "calibrate") -> Array:
        """Read all cells.

        Parameters
        ----------
        noise : float
            Std of the reading noise, weight units, >= 0.
        phase : str
            Phase in the ledger.

        Returns
        -------
        array [R, C]
            Visible weights plus reading noise, weight units, in the precision of the cells.
        """
        check_number("noise", noise, least=0)
        weights = self.weights
        self._clock["read"] += 1
        self.ledger.add_reads(phase, self.name, self.cells.size)
        if noise > 0:
            z = np.empty(self.cells.size, np.float32)
            fill_normals(z, self._key("read"), np.uint32(self._clock["read"]))
            weights += np.asarray(noise * z.reshape(self.shape), self._dtype)
        return weights

    def checkpoint(self) -> dict[str, Array]:
        """State as named arrays (weights, clocks, ledger); `resume` continues with the same bytes."""
        state: dict[str, Array] = {
            "weight": self._weight.copy(),
            "clock": np.array(list(self._clock.values())),
        }
        if self._write_noise.visible is not None:
            state["visible"] = self._write_noise.visible.copy()
        state |= self._curves.state()
        return state | {f"ledger|{key}": np.array(value) for key, value in self.ledger.state().items()}

    def resume(self, state: dict[str, Array]) -> None:
        """Continue from a `checkpoint` of an array with the same cells and seed.

        Raises
        ------
        ParameterError
            If the state is incomplete or of an array of another size, precision or noise.
        """
        weight = entry(state, "weight", self._weight)
        clock = counts(state, "clock", (len(self._clock),)).tolist()
        visible = self._write_noise.visible
        if ("visible" in state) != (visible is not None):
            raise ParameterError("checkpoint and device disagree about write noise")
        visible = None if visible is None else entry(state, "visible", visible)
        if any((name in state) != self._curves.move for name in STATE):
            raise ParameterError("checkpoint and device disagree about drift")
        moves = self._curves.checked(state)
        outside = (weight < self.cells.lower.ravel()) | (weight > self.cells.upper.ravel())
        if outside.any():
            raise ParameterError(f"checkpoint: weight must lie within the bounds, got {weight[outside][0]}")
        known = {"weight", "clock", "visible", *STATE}
        unknown = [name for name in state if name not in known and not name.startswith("ledger|")]
        if unknown:
            raise ParameterError(f"checkpoint holds {unknown[0]!r}: not made by `checkpoint` of an array")
        self.ledger.restore(
            {name.removeprefix("ledger|"): value for name, value in state.items() if name not in known}
        )
        self._curves.moves = moves
        self._weight, self._write_noise.visible = weight, visible
        self._clock = dict(zip(self._clock, clock, strict=True))

    def save(self, path: str | Path) -> None:
        """Write a `checkpoint` to the ``.npz`` file ``path`` (temporary name, flushed, renamed)."""
        write_state(path, self.checkpoint())

    def load(self, path: str | Path) -> None:
        """Continue from the file ``path`` written by `save`.

        Raises
        ------
        ParameterError
            If the file is missing or not a checkpoint, or does not fit (see `resume`).
        """
        self.resume(read_state(path))

    def _train(self, source: int, directions: Array, number: int, phase: str, record: Array) -> None:
        program = pulses.Program(source, directions, self._clock["train"], number)
        draws = Draws(self._key("cycle"), self._key("coin"), np.uint32(0), np.uint32(0))
        law, curves = callable_law(self.cells.law), self._curves

        def part(cells: tuple[int, int]) -> None:
            common = (law, self._noise, draws, self._weight, cells, program, record)
            if source == pulses.SHARED and not curves.move:
                pulses.train(*common)
            else:
                pulses.train_apart(*common, (curves.drift, curves.moves))

        over_blocks(part, self.cells.size, self.threads)
        self._clock["train"] += number
        self._write_noise.by_train(self._weight, self._clock["train"])
        sent: int | Array = number
        if source == pulses.SHARED:
            sent = int(np.count_nonzero(directions))
        elif source == pulses.PER_CELL:
            sent = np.count_nonzero(directions, axis=0)
        self.ledger.add_pulses(phase, self.name, sent)

    def _apply_counts(self, counts: Array, draws: Any, phase: str, *, burst: bool) -> None:
        """Send signed ``counts`` [cells] (int32) of pulses, counted in the ledger; drift and write noise."""
        law = callable_law(self.cells.law)
        arrays = self._weight, self.ledger.counter(phase, self.name)

        def part(cells: tuple[int, int]) -> None:
            scratch = updates.pulse_scratch(law, self._noise, draws, self._weight)
            updates.apply_counts(law, self._noise, draws, arrays, cells, counts, bool(burst), scratch)

        over_blocks(part, self.cells.size, self.threads)
        self._curves.by_pulses(self._weight, counts)
        self._write_noise.by_pulses(self._weight, self._clock["event"], counts)

    def _coincide(self, trains: Trains, x: Array, d: Array, draws: Any) -> Array:
        """Signed pulses [cells] (int32) of trains that coincide."""
        rows, columns = self.shape
        both = firing_lines(trains, x, d, self._key, draws)
        counts = np.empty(self.cells.size, np.int32)
        over_blocks(
            lambda part: updates.outer_product(part, both, counts),
            rows,
            self.threads,
            block=max(1, 4096 // columns),
        )
        return counts

    def _key(self, stream: str) -> Any:
        return stream_key(self.seed, f"{self.name}/{stream}")

    def _event(self, coin: str) -> Any:
        """Draws of the next update: its number is the event of all its counters."""
        self._clock["event"] += 1
        return Draws(self._key("event"), self._key(coin), np.uint32(0), np.uint32(self._clock["event"]))

    def _present(self, internal: Array) -> Array:
        """Internal weights [..., cells] as they are seen: shaped, reference subtracted, always a copy."""
        shaped = internal.reshape(*internal.shape[:-1], *self.shape)
        if self.cells.reference is None:
            return shaped.copy()
        return np.asarray(shaped - self.cells.reference.astype(self._dtype))
