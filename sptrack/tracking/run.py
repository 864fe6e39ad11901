"""Running a method on a problem: the fused recursion over chunks of steps, ledger, samples, checkpoints."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar, Ledger
from sptrack.crossbar.checkpoint import counts, entry
from sptrack.crossbar.increments import COUNT_LAWS, check_law
from sptrack.crossbar.threads import over_blocks, thread_count
from sptrack.devices import Cells
from sptrack.errors import ParameterError
from sptrack.kernels import drift as moving
from sptrack.kernels import tracking as kernels
from sptrack.kernels import tracking_state
from sptrack.kernels.objectives import gradient_address, gradient_scratch, is_separable
from sptrack.kernels.random import TILE, Draws, stream_key
from sptrack.kernels.responses import LINEAR, callable_law
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Belief, Problem
from sptrack.tracking.rated import GIVEN
from sptrack.tracking.references import kernel_reference, operations_per_read, quantum
from sptrack.tracking.results import Recording, Track
from sptrack.tracking.signs import chopper_signs, sign_groups
from sptrack.values import as_seed, real_array

Array = NDArray[Any]

SAMPLES = 100
MAX_PER_UNIT = 1e6
MAX_RECORDED = 100_000_000
"""Most steps times cells that `Tracker.record` keeps (1.6 GB)."""
_CHUNK_VALUES = 1 << 20
_NO_DRIVE = np.zeros((0, 1), np.float32)
_NO_RECORD = np.zeros((4, 0, 0), np.float32)


class Tracker:
    """A method running on a problem: arrays, reference and buffer, moved on by any number of steps.

    The same problem, method and seed give the same bytes for any number of threads and any cutting of the
    steps, also after `checkpoint` and `resume`.

    Parameters
    ----------
    problem : Problem
        Objective, cells, noise.
    method : Method
        Settings of the recursion.
    seed : int
        Root seed of gradient, cycle, coin, chopper and reading noise.
    law, application : str
        Count law and application of the pulses, see `Crossbar.apply`.
    slots : int
        Train length of the binomial law.
    threads : int or None
        Threads (separable objectives only; the others run in one).
    settled : bool
        P and the memory of a filter start at P's symmetric points (where there are any) instead of at 0: with
        the same seed, the difference of a run from 0 is the transient of the start alone. An observer starts
        from its prior all the same.

    Raises
    ------
    ParameterError
        Unknown law or application, slots outside 1 .. 1000; cells that can only be pulsed up; a burst on
        cells that are not linear; rates that ask for a million pulses per unit or more.
    """

    def __init__(
        self,
        problem: Problem,
        method: Method,
        *,
        seed: int = 0,
        law: str = "rounded",
        application: str = "sequential",
        slots: int = 31,
        threads: int | None = 1,
        settled: bool = False,
    ) -> None:
        check_law(law, slots, application)
        for cells in (problem.w_cells, problem.p_cells):
            _check_cells(cells, application)
        most = max(method.alpha, method.beta) / min(problem.w_cells.dw_min, problem.p_cells.dw_min)
        if most > MAX_PER_UNIT:
            raise ParameterError(
                f"{method.name} must ask for at most {MAX_PER_UNIT:g} pulses per unit of gradient or read, "
                f"got {most:.3g}; lower alpha or beta"
            )
        self.problem, self.method, self.seed = problem, method, as_seed(seed)
        self.threads = thread_count(threads)
        self.ledger = Ledger()
        self.step = 0
        self._size = problem.p_cells.size
        for name, cells in (("W", problem.w_cells), ("P", problem.p_cells)):
            self.ledger.open(name, cells.shape)
        size = (COUNT_LAWS[law], slots)
        self._arrays = (
            _drive(problem.w_cells, "W", self.seed, size, application),
            _drive(problem.p_cells, "P", self.seed, size, application),
        )
        self._reference, self._state = self._start((law, slots), settled)
        if method.reference in GIVEN:
            self.ledger.add_programs("program", "P", self._size)
        self._errors: list[Array] = []
        self._steps: list[int] = []
        self._calls: kernels.Calls | None = None

    def _start(self, counts: tuple[str, int], settled: bool) -> tuple[Any, Any]:
        """Weights at 0 as read, or, after a calibration, P where that left it and Q what it found."""
        cells, n = self.problem.p_cells, self._size
        pair = (self.problem.w_cells, cells)
        offset = np.stack([_offset(one) for one in pair])
        points = np.stack([_single(np.nan_to_num(one.target)) for one in pair])
        w, p = (np.clip(row, *_bounds(one)) for row, one in zip(offset, pair, strict=True))
        initial = np.zeros(n)
        if settled:
            p = np.clip(offset[1] + points[1], *_bounds(cells))
        if self.method.reference == "true" or settled:
            initial = np.nan_to_num(cells.target.ravel()).astype(np.float64)
        elif self.method.reference == "calibrated":
            array = Crossbar(cells, seed=self.seed, name="P", ledger=self.ledger, threads=1)
            estimates = zero_shift(array, (self.method.pulses,), read_noise=self.problem.read_noise)
            initial = estimates.points[-1].ravel().astype(np.float64)
            p = array.hidden.ravel()
            offset[1] -= array.moved.ravel()
            points[1] += array.moved.ravel()
        believed = self.problem.believed or Belief(cells, self.problem.read_noise)
        told, memory, start = kernel_reference(self.method, *believed, initial, counts)
        rows = np.zeros((len(tracking_state.STATE_ROWS), n), np.float32)
        rows[tracking_state.W], rows[tracking_state.P] = w, p
        rows[tracking_state.REFERENCE] = rows[tracking_state.REFERENCE_COPY] = start
        rows[tracking_state.OFFSET : tracking_state.OFFSET + 2] = offset
        rows[tracking_state.POINT : tracking_state.POINT + 2] = points
        return told, tracking_state.State(rows, memory)

    def run(self, steps: int, *, samples: int = SAMPLES) -> None:
        """Go on for ``steps`` steps and take ``samples`` samples of the mean errors on the way.

        Raises
        ------
        ParameterError
            If ``steps`` is not a positive multiple of ``samples``.
        """
        if steps < 1 or samples < 1 or steps % samples:
            raise ParameterError(f"steps must be a positive multiple of {samples} samples, got {steps}")
        every = steps // samples
        per_chunk = max(1, min(samples, _CHUNK_VALUES // (every * self._groups(driven=True))))
        for first in range(0, samples, per_chunk):
            self._advance(every, min(per_chunk, samples - first))

    def record(self, steps: int, *, drive: ArrayLike | None = None) -> Recording:
        """Go on for ``steps`` steps and keep W, P, Q and P's symmetric point of each; then `run` goes on.

        Parameters
        ----------
        steps : int
            Number of steps; they become one sample of the mean errors.
        drive : array_like [steps] or [steps, cells] or None
            Added to the gradient of each step: a test signal.

        Raises
        ------
        ParameterError
            Fewer than one step, more than 1e8 numbers to keep, a drive of another shape or not finite.
        """
        if steps < 1 or steps * self._size > MAX_RECORDED:
            raise ParameterError(
                f"steps must lie in 1 .. {MAX_RECORDED // self._size} for {self._size} cells, got {steps}"
            )
        added = _NO_DRIVE if drive is None else self._checked_drive(drive, steps)
        record = np.zeros((4, steps, self._size), np.float32)
        signs = self._advance(steps, 1, added=added, record=record)
        return Recording(signs[1:], *record)

    def _checked_drive(self, drive: ArrayLike, steps: int) -> Array:
        added = np.array(real_array(drive, "drive", np.float32), order="C")
        added = added[:, None] if added.ndim == 1 else added
        if added.shape not in ((steps, 1), (steps, self._size)) or not np.isfinite(added).all():
            raise ParameterError(
                f"drive must be finite, [{steps}] or [{steps}, {self._size}], got shape {list(added.shape)}"
            )
        return added

    def _groups(self, *, driven: bool = False) -> int:
        """Columns of the signs of the chopper, or of a recorded gradient if it has more."""
        recorded = self._size if driven and self.problem.recording is not None else 1
        return max(sign_groups(self.method, self._size), recorded)

    def _recorded(self, count: int, added: Array) -> Array:
        """Gradient added to the next ``count`` steps: a test signal, a recording, or both."""
        recording = self.problem.recording
        if recording is None:
            return added
        played = recording.drive(count, self._size, first=self.step)
        return np.ascontiguousarray(played + added if len(added) else played)

    def _advance(
        self, every: int, samples: int, *, added: Array = _NO_DRIVE, record: Array = _NO_RECORD
    ) -> Array:
        """Go on for ``samples`` samples of ``every`` steps; signs [steps + 1, groups] of the chopper."""
        count = every * samples
        signs = chopper_signs(self.method, self.step, count, (1, self._size), self.seed)
        added = self._recorded(count, added)
        span = tracking_state.Span(self.step, signs, every, _single(self.problem.optimum), added)
        tile = TILE if is_separable(self.problem.objective) else self._size
        tiles = -(-self._size // tile)
        errors, tally = np.zeros((tiles, samples, 3)), np.zeros((tiles, 2), np.int64)
        pulsed = np.zeros((2, self._size), np.int64)
        work = gradient_scratch(self.problem.objective)
        rule, noises = _rule(self.method, self.problem.p_cells), self._noises()
        calls = self._addresses(rule)

        def part(tiles: tuple[int, int]) -> None:
            scratch = tracking_state.tile_of(self._arrays, len(self._state.memory), tile)
            out = (*tiles, calls, scratch, errors, tally, pulsed, work, record)
            kernels.track(
                self.problem.objective, self._arrays, rule, self._reference, noises, self._state, span, out
            )

        over_blocks(part, tiles, self.threads, block=1)
        self.step += count
        self._errors.extend(errors.sum(axis=0) / self._size)
        self._steps.extend(self.step - count + every * np.arange(1, samples + 1))
        self._count(tally.sum(axis=0), pulsed)
        return signs

    def _addresses(self, rule: Any) -> kernels.Calls:
        """Functions that a step is made of: found once, since records of other types never come."""
        if self._calls is None:
            gradient = gradient_address(self.problem.objective)
            scratch = tracking_state.tile_of(self._arrays, len(self._state.memory), 1)
            self._calls = kernels.calls_of(self._arrays, self._reference, rule, gradient, scratch)
        return self._calls

    def _count(self, tally: Array, pulsed: Array) -> None:
        if self.method.direct:
            self.ledger.add_pulses("gradient", "W", pulsed[0])
            return
        self.ledger.add_pulses("gradient", "P", pulsed[1])
        self.ledger.add_pulses("transfer", "W", pulsed[0])
        reads = int(tally[kernels.READS])
        self.ledger.add_reads("transfer", "P", reads)
        self.ledger.add_operations("transfer", "P", reads * operations_per_read(self.method, self._size))
        if self.method.moving:
            renewed = kernels.READS if self.method.sync else kernels.PROGRAMS
            self.ledger.add_programs("program", "P", int(tally[renewed]))

    def _noises(self) -> Any:
        key = f"{self.problem.name}/"
        return tracking_state.Noises(
            np.float32(self.problem.gradient_noise),
            stream_key(self.seed, key + "gradient"),
            np.float32(self.problem.read_noise),
            stream_key(self.seed, key + "read"),
            np.uint32(0),
        )

    @property
    def result(self) -> Track:
        """Result so far."""
        rows = self._state.rows
        return Track(
            method=self.method,
            problem=self.problem.name,
            seed=self.seed,
            steps=np.array(self._steps),
            errors=np.array(self._errors).reshape(-1, 3),
            ledger=self.ledger,
            weights=rows[tracking_state.W] - rows[tracking_state.OFFSET],
            reference=rows[tracking_state.REFERENCE].copy(),
            target=rows[tracking_state.POINT + 1].copy(),
        )

    def checkpoint(self) -> dict[str, Array]:
        """State as named arrays; `resume` goes on with the same bytes."""
        state = {f"state|{name}": value.copy() for name, value in self._fields().items()}
        state |= {f"ledger|{name}": np.array(value) for name, value in self.ledger.state().items()}
        taken = np.array(self._errors).reshape(-1, 3)
        return state | {"step": np.array(self.step), "steps": np.array(self._steps), "errors": taken}

    def _fields(self) -> dict[str, Array]:
        """State by name, as views."""
        rows = dict(zip(tracking_state.STATE_ROWS, self._state.rows, strict=True))
        return rows | {"memory": self._state.memory}

    def resume(self, state: dict[str, Array]) -> None:
        """Continue from a `checkpoint` of a tracker with the same problem, method and seed.

        Raises
        ------
        ParameterError
            If the state is incomplete or of another size.
        """
        own = self._fields()
        fields = {name: entry(state, f"state|{name}", value) for name, value in own.items()}
        step = int(counts(state, "step", ()))
        steps = counts(state, "steps", (None,))
        errors = entry(state, "errors", np.empty((len(steps), 3)))
        if (np.diff(steps, prepend=0, append=step)[:-1] <= 0).any() or (len(steps) and steps[-1] != step):
            raise ParameterError("checkpoint: steps must rise to the last step")
        self.ledger.restore(
            {key.removeprefix("ledger|"): state[key] for key in state if key.startswith("ledger|")}
        )
        for name, value in fields.items():
            own[name][:] = value
        self.step, self._steps, self._errors = step, steps.tolist(), list(errors)


def _check_cells(cells: Cells, application: str) -> None:
    if cells.device.one_sided:
        raise ParameterError(
            f"device {cells.device.source.name!r} is one-sided; tracking needs cells with up and down pulses"
        )
    if cells.law.cell.dtype != np.float32:
        raise ParameterError("cells in float64: the fused recursion works in float32")
    if application == "burst" and cells.law.kind != LINEAR:
        raise ParameterError(f"application 'burst' on {cells.device.response.family}: linear families only")


def _single(values: Array) -> Array:
    """A copy, contiguous and writable as kernels take it."""
    return np.array(values, np.float32, order="C").ravel()


def _offset(cells: Cells) -> Array:
    zero = np.zeros(cells.size, np.float32)
    return zero if cells.reference is None else _single(cells.reference)


def _bounds(cells: Cells) -> tuple[Array, Array]:
    return _single(cells.lower), _single(cells.upper)


def _drive(cells: Cells, name: str, seed: int, size: tuple[int, int], application: str) -> Any:
    draws = Draws(
        stream_key(seed, f"{name}/event"), stream_key(seed, f"{name}/count"), np.uint32(0), np.uint32(0)
    )
    whole = (np.float32(cells.dw_min), *size)
    moved = _wander(cells, name, seed)
    return tracking_state.Drive(
        callable_law(cells.law), cells.kernel_noise, draws, whole, application == "burst", moved
    )


def _wander(cells: Cells, name: str, seed: int) -> Any:
    """Write noise and drift of the device."""
    made = moving.no_drift(
        np.float32,
        write=cells.device.write_noise * cells.dw_min,
        write_key=stream_key(seed, f"{name}/track-write"),
    )
    if cells.drift is None:
        return made
    pulse, step, walk = (_single(rate) for rate in cells.drift)
    return made._replace(
        active=int(pulse.any() or step.any() or walk.any()),
        per_pulse=pulse,
        per_step=step,
        walk=walk,
        walks=int(walk.any()),
        walk_key=stream_key(seed, f"{name}/walk"),
    )


def _rule(method: Method, cells: Cells) -> Any:
    t, real = method.transfer, np.float32
    return tracking_state.Rule(
        real(method.alpha),
        real(method.beta),
        real(method.gamma),
        method.sync,
        method.direct,
        t.every,
        t.every,
        cells.size if t.by_column else 0,
        real(t.threshold),
        real(t.keep),
        t.forget,
        t.max_pulses,
        float(quantum(method, cells.device)),
    )


def track(
    problem: Problem,
    method: Method,
    steps: int = 20000,
    *,
    seed: int = 0,
    samples: int = SAMPLES,
    **options: Any,
) -> Track:
    """Run ``method`` on ``problem`` for ``steps`` steps.

    Parameters
    ----------
    problem, method, seed
        As in `Tracker`; ``options`` are its other parameters.
    steps : int
        Number of steps, a multiple of ``samples``.
    samples : int
        Number of samples of the mean errors.

    Returns
    -------
    Track

    Raises
    ------
    ParameterError
        As `Tracker` and `Tracker.run`.
    """
    tracker = Tracker(problem, method, seed=seed, **options)
    tracker.run(steps, samples=samples)
    return tracker.result
