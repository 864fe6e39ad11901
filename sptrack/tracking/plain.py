"""The tracking recursion in plain Python: the same steps as the fused one, for any gradient and any array.

The order of a step is that of `sptrack.kernels.tracking`. Slower by orders of magnitude, it takes what the
fused recursion does not: matrices [R, C], objectives of one's own, float64, other arrays.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import frozen
from sptrack.crossbar import Ledger
from sptrack.errors import ParameterError
from sptrack.kernels import objectives
from sptrack.kernels.chains import run_chain, scratch_of
from sptrack.kernels.observer_rows import POINT
from sptrack.kernels.observers import observe_cells, tell_cells
from sptrack.kernels.random import fill_normals, step_normals, stream_key
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Problem
from sptrack.tracking.rated import GIVEN
from sptrack.tracking.references import kernel_reference, quantum
from sptrack.tracking.signs import chopper_signs
from sptrack.values import as_seed, check_whole, real_array

Array = NDArray[Any]

Gradient = Callable[[Array, int], Array]
"""Gradient [R, C] at the weights [R, C] (weight units) of a step (the first is 0), with its noise."""


class TrackedArray(Protocol):
    """Interface of an array for the recursion: a `Crossbar`, a `BenchArray`, or anything with these names.

    Of ``cells`` only the granularity ``dw_min`` is used, by a buffered transfer, by an input-aware observer
    the device, whose response and noise it has to know, and by a fixed-point Q its nominal range.
    """

    name: str
    ledger: Ledger
    cells: Any

    @property
    def apply(self) -> Callable[..., Any]:
        """Sends the pulses that an increment [R, C] (weight units) asks for, and returns their number.

        Signed, [R, C]; only an observer that knows the pulses sent needs it.
        """
        ...

    @property
    def weights(self) -> Array:
        """Visible weights [R, C], without read noise, weight units."""
        ...


@runtime_checkable
class AgeingArray(Protocol):
    """An array that has to be told of time, such as a `Crossbar`; others age by themselves or not at all."""

    def rest(self, steps: int) -> None:
        """Let ``steps`` steps of time pass."""
        ...


class Reader:
    """Reads parts of an array, with noise, and counts the cells that were read.

    Parameters
    ----------
    array : TrackedArray
        What is read.
    noise : float
        Std of the reading noise, weight units.
    seed : int
        Root seed of the noise.

    Raises
    ------
    ParameterError
        A noise that is negative or not finite.
    """

    def __init__(self, array: TrackedArray, noise: float, seed: int) -> None:
        if not (np.isfinite(noise) and noise >= 0):
            raise ParameterError(f"read noise must be a finite number >= 0, got {noise}")
        self.count = 0
        self._array, self._noise = array, noise
        self._key = stream_key(seed, f"{array.name}/transfer-read")

    def read(self, part: Any = ..., *, phase: str = "transfer") -> Array:
        """Visible weights of ``part`` (an index of [R, C]) plus noise, weight units."""
        weights = self._array.weights
        if self._noise > 0:
            z = np.empty(weights.size, np.float32)
            fill_normals(z, self._key, np.uint32(self.count))
            weights = weights + np.asarray(self._noise * z.reshape(weights.shape), weights.dtype)
        self.count += 1
        read = np.asarray(weights[part])
        self._array.ledger.add_reads(phase, self._array.name, read.size)
        return read


class PlainTracker:
    """A method at work on two arrays and a gradient.

    The same arrays, gradient, method and seed give the same bytes for any cutting of the steps. Weights start
    where the arrays are.

    Parameters
    ----------
    method : Method
        Settings of the recursion.
    gradient : callable
        ``gradient(weights [R, C], step) -> [R, C]``.
    w_array, p_array : TrackedArray
        W and P, of one shape.
    reference : array_like, broadcastable to [R, C], or None
        Q at the start, weight units; None: zeros, or what an observer's prior says. A method with a
        calibrated or true reference needs it.
    seed : int
        Root seed of the chopper and of the reading noise.
    read_noise : float
        Std of the noise of reading P, weight units.
    **options
        Passed to ``apply`` of both arrays (count law, application, slots). The buffer's whole pulses are
        always "rounded", which sends them exactly.

    Raises
    ------
    ParameterError
        An array without what `TrackedArray` names, arrays of two shapes, a missing reference, a read noise
        out of range.
    """

    def __init__(
        self,
        method: Method,
        gradient: Gradient,
        w_array: TrackedArray,
        p_array: TrackedArray,
        *,
        reference: ArrayLike | None = None,
        seed: int = 0,
        read_noise: float = 0.0,
        **options: Any,
    ) -> None:
        for array in (w_array, p_array):
            needed = ("name", "ledger", *(("cells",) if array is p_array else ()), "apply", "weights")
            missing = [key for key in needed if not hasattr(array, key)]
            if missing:
                raise ParameterError(
                    f"array {type(array).__name__}: {', '.join(missing)} missing; pass a Crossbar, or "
                    "BenchArray(bench, device) for what has pulse() and read()"
                )
        shape, dtype = p_array.weights.shape, p_array.weights.dtype
        if w_array.weights.shape != shape:
            raise ParameterError(f"W and P must have one shape, got {w_array.weights.shape} and {shape}")
        if reference is None and method.reference in GIVEN:
            raise ParameterError(
                f"reference must hold the {method.reference} symmetric points for {method.name}, got none"
            )
        self.method, self.gradient, self.w_array, self.p_array = method, gradient, w_array, p_array
        self.seed, self.step = as_seed(seed), 0
        self._ageing = [array for array in (w_array, p_array) if isinstance(array, AgeingArray)]
        self._options = options
        self._reader = Reader(p_array, read_noise, self.seed)
        counts = (options.get("law", "rounded"), options.get("slots", 31))
        initial = (
            np.zeros(shape)
            if reference is None
            else np.broadcast_to(real_array(reference, "reference"), shape)
        )
        self._told, memory, start = kernel_reference(
            method, p_array.cells, read_noise, np.asarray(initial, np.float64).ravel(), counts
        )
        self._memory = memory.reshape(len(memory), *shape)
        given = start if reference is None else np.asarray(initial)
        self._reference = np.array(given, dtype).reshape(shape)
        self._quantum = quantum(method, p_array.cells.device) if method.bits else 0.0
        self._flipped = np.zeros(shape, np.bool_)
        self._reference_copy, self._buffer = self.reference.copy(), np.zeros(shape, dtype)
        if method.reference in GIVEN:
            self._programmed(self.reference.size)

    @property
    def reference(self) -> Array:
        """The reference Q [R, C], weight units."""
        return self._reference

    def run(self, steps: int) -> None:
        """Go on for ``steps`` steps.

        Raises
        ------
        ParameterError
            A negative number.
        """
        check_whole("steps", steps, 0)
        signs = chopper_signs(self.method, self.step, steps, self.reference.shape, self.seed)
        signs = signs.astype(self.reference.dtype)
        if signs.shape[1] == self.reference.size:
            signs = signs.reshape(-1, *self.reference.shape)
        for before, now in zip(signs[:-1], signs[1:], strict=True):
            self._advance(np.broadcast_to(before != now, self.reference.shape), now)
            for array in self._ageing:
                array.rest(1)
            self.step += 1

    def _advance(self, flips: Array, chop: Array) -> None:
        """One step; the chopper has just flipped where ``flips`` [R, C], to signs ``chop`` [1, C or R, C]."""
        m = self.method
        self._renew(flips)
        mix = self.w_array.weights
        if m.gamma != 0:
            mix = mix + m.gamma * chop * (self.p_array.weights - self._reference_copy)
        g = self.gradient(mix, self.step)
        if m.direct:
            self.w_array.apply(-m.alpha * g, phase="gradient", **self._options)
            return
        wanted = -m.alpha * chop * g
        sent = self.p_array.apply(wanted, phase="gradient", **self._options)
        if m.observer is not None:
            told = (np.asarray(one, kind).ravel() for one, kind in ((wanted, np.float64), (sent, np.int32)))
            flat = self._memory.reshape(len(self._memory), -1)
            tell_cells(self._told.observer, flat, *told)
        if (self.step + 1) % m.transfer.every:
            return
        part = self._part()
        read = self._reference_copy.copy()
        read[part] = self._reader.read(part)
        self._transfer(m.beta * chop * (read - self._reference_copy), part)
        self._refer(read, part)
        if m.moving and m.sync:
            self._programmed(read[part].size)

    def _refer(self, read: Array, part: Any) -> None:
        """Tell what finds the reference of the cells read, and of the flips since their last read."""
        memory = np.ascontiguousarray(self._memory[:, *part].reshape(len(self._memory), -1))
        reads = np.ascontiguousarray(read[part], np.float64).reshape(1, -1)
        if self._told.observes:
            observe_cells(self._told.observer, memory, reads[0])
            found = memory[POINT].copy()
        else:
            flips = np.ascontiguousarray(self._flipped[part]).reshape(1, -1).astype(np.int8)
            scratch = scratch_of(len(memory))
            values = np.empty_like(reads)
            run_chain(self._told.stages, memory, self._number(), frozen(reads), flips, values, scratch)
            found = values[0]
        self._flipped[part] = False
        if self._quantum > 0:
            found = self._quantum * np.rint(found / self._quantum)
            if self._told.register >= 0:
                memory[self._told.register] = found
        self._memory[:, *part] = memory.reshape(self._memory[:, *part].shape)
        self._reference[part] = found.reshape(self._reference[part].shape)

    def _number(self) -> int:
        """Number of reads so far of the cells that are read at this step."""
        turn = self.step // self.method.transfer.every
        return turn // self.reference.shape[1] if self.method.transfer.by_column else turn

    def _renew(self, flips: Array) -> None:
        """Copy the reference, at every step or where the chopper has flipped (which is programming)."""
        m = self.method
        self._flipped |= flips
        self._reference_copy = np.where(m.sync | flips, self.reference, self._reference_copy)
        if m.moving and not m.sync:
            self._programmed(int(flips.sum()))

    def _programmed(self, cells: int) -> None:
        """Count the cells whose copy of the reference was renewed."""
        self.p_array.ledger.add_programs("program", self.p_array.name, cells)

    def _part(self) -> Any:
        """Index of the cells that are read at this step: all, or the column whose turn it is."""
        t = self.method.transfer
        turn = self.step // t.every % self.reference.shape[1]
        return np.s_[:, turn] if t.by_column else np.s_[:, :]

    def _transfer(self, wanted: Array, part: Any) -> None:
        """Move W by the increment (0 outside ``part``), or by the whole pulses that the buffer lets go of."""
        t = self.method.transfer
        if t.threshold == 0:
            self.w_array.apply(wanted, phase="transfer", **self._options)
            return
        level, number = self._buffer + wanted, np.zeros_like(wanted)
        number[part] = np.clip(np.trunc(level / t.threshold), -t.max_pulses, t.max_pulses)[part]
        kept = t.keep * level if t.forget else level - (1 - t.keep) * number * t.threshold
        self._buffer = np.where(number != 0, kept, level)
        whole = self._options | {"law": "rounded"}
        self.w_array.apply(number * self.w_array.cells.dw_min, phase="transfer", **whole)


def problem_gradient(problem: Problem, *, seed: int = 0) -> Gradient:
    """Gradient of a problem, with the noise that `Tracker` would draw with the same seed.

    Parameters
    ----------
    problem : Problem
        Objective and gradient noise.
    seed : int
        Root seed.

    Returns
    -------
    callable
        ``gradient(weights [1, cells], step) -> [1, cells]``, float32.
    """
    key, n = stream_key(as_seed(seed), f"{problem.name}/gradient"), len(problem.optimum)
    index = np.arange(n, dtype=np.uint32)
    words, z = np.empty((4, n), np.uint32), np.empty((4, n), np.float32)

    def gradient(weights: Array, step: int) -> Array:
        g = objectives.gradient_of(problem.objective, weights.ravel())
        if problem.gradient_noise > 0:
            step_normals(z, words, key, step, index)
            g += np.float32(problem.gradient_noise) * z[step & 3]
        if problem.recording is not None:
            g += problem.recording.drive(1, n, first=step)[0]
        return g.reshape(weights.shape)

    return gradient
