"""Base of every block: a frozen description, an explicit state, a step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.kernels.chains import run_chain, scratch_of
from sptrack.kernels.stages import Stage, pack, slots
from sptrack.values import check_choice, check_whole, plain_fields, real_array

if TYPE_CHECKING:
    from collections.abc import Iterable

Array = NDArray[Any]
Shape = int | tuple[int, ...]
Clock = Literal["pulse", "step", "read", "transfer", "flip"]
_NO_FLIPS = np.zeros((0, 1), np.int8)


class State(NamedTuple):
    """Everything that a block remembers between two calls.

    Parameters
    ----------
    sample : int
        Number of samples seen; the next one has this number.
    memory : ndarray of float64, shape [slots, *shape]
        Rows of numbers per cell, read-only.
    """

    sample: int
    memory: Array


Response = NDArray[np.complex128]
"""Complex gain over frequencies."""


def delay(omega: ArrayLike) -> Response:
    """exp(-j omega), the response of a delay by one sample, of the shape of ``omega``."""
    return np.asarray(np.exp(-1j * real_array(omega, "omega")))


class ZeroPoleGain(NamedTuple):
    """A rational filter, k prod(z - zeros)/prod(z - poles), in the form of `scipy.signal`.

    Attributes
    ----------
    zeros, poles : ndarray of complex128
        In the plane of z.
    gain : float
        Factor k.
    """

    zeros: NDArray[np.complex128]
    poles: NDArray[np.complex128]
    gain: float


class Filtered(NamedTuple):
    """Outputs of a block along a stream (`Block.run`).

    Attributes
    ----------
    pulses : ndarray of int64, shape [samples]
        Pulses per cell before each sample.
    values : ndarray, shape [samples, *shape]
        Outputs, weight units, in the precision of the samples.
    state : State
        State after the last sample.
    """

    pulses: Array
    values: Array
    state: State


def as_samples(x: ArrayLike) -> Array:
    """Samples [time, *shape], contiguous and read-only: float32 stays, anything else becomes float64.

    Raises
    ------
    ParameterError
        Not real numbers, masked, or no time axis.
    """
    array = real_array(x, "x", None)
    if array.ndim == 0:
        raise ParameterError("x must be an array with time on axis 0, got a single number (see step)")
    samples = np.ascontiguousarray(array, np.float32 if array.dtype == np.float32 else np.float64)
    return frozen(samples.view())


def as_shape(shape: Shape) -> tuple[int, ...]:
    """Shape of the cells as a tuple of whole numbers >= 1 (ParameterError)."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for size in sizes:
        check_whole("shape", size, 1)
    return tuple(int(size) for size in sizes)


def frozen(array: Array) -> Array:
    """Make an array read-only and return it."""
    array.flags.writeable = False
    return array


def refuse_unbounded(x: Array) -> None:
    """Say where ``x`` [time, ...] first is not finite (ParameterError)."""
    bad = np.argwhere(~np.isfinite(x))[0]
    raise ParameterError(f"x{bad.tolist()} must be finite numbers, got {x[tuple(bad)]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(ABC):
    """A block of the signal chain.

    Parameters
    ----------
    clock : {"step", "pulse", "read", "transfer", "flip"}
        What one sample is. Blocks of a chain share a clock, and omega is in rad per sample of it.
    """

    clock: Clock = "step"

    def __post_init__(self) -> None:
        plain_fields(self)
        check_choice("clock", self.clock, get_args(Clock))

    @abstractmethod
    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stages that the compiled loop runs for cells of ``shape``, in order."""

    @property
    def settled(self) -> LinearBlock | Any:
        """The time-invariant linear block (or `Chain` of them) that this becomes in the long run.

        Raises
        ------
        ParameterError
            There is none: it is not linear.
        """
        raise ParameterError(f"{self} has no frequency response: it is not a linear filter")

    @property
    def operations(self) -> int:
        """Digital multiplications, additions and divisions per sample and cell."""
        return 1

    @property
    def output_row(self) -> int:
        """Row of the memory that holds the output itself, which fixed point rounds with it; -1 for none."""
        return -1

    def initial_memory(self, initial: Array) -> Array:
        """Memory [slots, *shape] of a block whose output has long been ``initial`` [*shape].

        Zeros, with the output in `output_row` if the block has one.
        """
        memory = np.zeros((slots(self.stages(initial.shape)), *initial.shape))
        if self.output_row >= 0:
            memory[self.output_row] = initial
        return memory

    def init(self, shape: Shape = (), initial: ArrayLike = 0.0) -> State:
        """State before the first sample.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the cells; () for a single stream.
        initial : array_like, broadcastable to [*shape]
            Output so far: 0 for a filter at rest, or a calibrated symmetric point, weight units.

        Returns
        -------
        State
            Sample number 0.

        Raises
        ------
        ParameterError
            An empty shape, or an initial output of another shape or not finite.
        """
        cells = as_shape(shape)
        numbers = real_array(initial, "initial")
        try:
            start = np.broadcast_to(numbers, cells)
        except ValueError:
            raise ParameterError(f"initial must be numbers of shape {list(cells)}") from None
        if not np.isfinite(start).all():
            raise ParameterError("initial must be finite, got NaN or infinity")
        return State(0, frozen(self.initial_memory(start)))

    def step(self, state: State, x: ArrayLike, flips: ArrayLike | None = None) -> tuple[State, Array]:
        """Next state and output of one sample.

        Parameters
        ----------
        state : State
            From `init`, `step` or `process`; not modified.
        x : array_like, shape [*shape]
            One sample a cell.
        flips : array_like of bool, broadcastable to [*shape], optional
            Whether the chopper has flipped since the sample before.

        Returns
        -------
        State, ndarray of shape [*shape]
            Same bytes as those of `process`.

        Raises
        ------
        ParameterError
            Another shape than the state's, NaN or infinity.
        """
        flipped = None if flips is None else np.broadcast_to(flips, np.shape(x))[None]
        y, after = self.process(real_array(x, "x", None)[None], state, flipped)
        return after, y[0]

    def process(
        self, x: ArrayLike, state: State | None = None, flips: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Outputs of a stretch of samples, and the state after it.

        Parameters
        ----------
        x : array_like, shape [time, *shape]
            Samples. Whatever their precision, the block computes in float64.
        state : State, optional
            State before the first of them, not modified; that of `init` when not given.
        flips : array_like of bool, shape [time] or [time, *shape], optional
            Samples before which the chopper has flipped (`SignSource.flips`), for estimators that are told of
            them; none when not given.

        Returns
        -------
        ndarray of shape [time, *shape], State
            Outputs in float32 for samples in float32, else float64. However a stream is cut into stretches,
            the bytes are the same.

        Raises
        ------
        ParameterError
            Another shape than the state's, NaN or infinity.
        """
        samples = as_samples(x)
        cells = samples.shape[1:]
        before = self.init(cells) if state is None else as_state(state)
        stages = self.stages(cells)
        memory = writable_memory(before, slots(stages), cells)
        y = np.empty_like(samples)
        length = samples.shape[0]
        flat = (length, math.prod(cells))
        flags = _NO_FLIPS if flips is None else _flags(flips, samples)
        with np.errstate(over="ignore", invalid="ignore"):
            finite = run_chain(
                pack(stages, before.sample, length),
                memory,
                before.sample,
                samples.reshape(flat),
                flags,
                y.reshape(flat),
                scratch_of(len(memory)),
            )
        if not finite:
            refuse_unbounded(samples)
        return y, State(before.sample + length, frozen(memory.reshape(-1, *cells)))

    def run(self, stream: Iterable[Any], state: State | None = None) -> Filtered:
        """Outputs along a stream, such as that of `sptrack.Crossbar.stream`, in one call.

        Parameters
        ----------
        stream : iterable
            Blocks of samples, in order, with ``pulses`` [samples] and ``weights`` [samples, *shape].
        state : State, optional
            State before the first of them.

        Returns
        -------
        Filtered

        Raises
        ------
        ParameterError
            An empty stream; as `process`.
        """
        pulses, values = [], []
        for block in stream:
            y, state = self.process(block.weights, state)
            pulses.append(np.asarray(block.pulses))
            values.append(y)
        if state is None:
            raise ParameterError("stream must hold at least one block of samples, got none")
        return Filtered(np.concatenate(pulses), np.concatenate(values), state)

    def label(self) -> str:
        """Name and settings that differ from their defaults, as in ``EMA(eta=0.01)``."""
        return describe(self)

    def __str__(self) -> str:
        return self.label()


def _flags(flips: ArrayLike, samples: Array) -> Array:
    """Flips as int8 [time, 1 or cells] (ParameterError if they do not fit)."""
    flags = np.asarray(flips)
    count = samples.shape[0]
    if flags.dtype != np.bool_:
        raise ParameterError(f"flips must be True or False, got type {flags.dtype}")
    if flags.shape == (count,):
        flags = flags[:, None]
    elif flags.shape != samples.shape:
        raise ParameterError(
            f"flips must have the shape [{count}] or {list(samples.shape)}, got {list(flags.shape)}"
        )
    return np.array(flags.reshape(count, math.prod(flags.shape[1:])), np.int8, order="C")


def describe(description: Any) -> str:
    """Class name of a dataclass and its settings that differ from their defaults; nested ones likewise."""
    settings = [
        f"{item.name}={_short(getattr(description, item.name))}"
        for item in fields(description)
        if item.default is MISSING or getattr(description, item.name) != item.default
    ]
    return f"{type(description).__name__}({', '.join(settings)})"


def _short(value: Any) -> str:
    if isinstance(value, Block):
        return value.label()
    if is_dataclass(value):
        return describe(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_state(state: Any) -> State:
    """A state that was handed in (ParameterError if it is none)."""
    if not isinstance(state, State):
        raise ParameterError(
            f"state must be what a call before returned, or None, got {type(state).__name__}"
        )
    return state


def writable_memory(state: State, slots: int, cells: tuple[int, ...]) -> Array:
    """Copy of a state's memory as [slots, number of cells] (ParameterError if it belongs elsewhere)."""
    if state.memory.shape != (slots, *cells):
        raise ParameterError(
            f"state must have shape [{slots}, *shape], got {list(state.memory.shape)}; "
            f"x is [time, *shape] = [time, {', '.join(map(str, cells))}]"
        )
    return np.array(state.memory.reshape(slots, -1), np.float64, order="C")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBlock(Block):
    """A linear block that does not change with time."""

    @abstractmethod
    def frequency_response(self, omega: ArrayLike) -> NDArray[np.complex128]:
        """Complex gain H(exp(j omega)) at ``omega``, any shape, rad per sample of the clock."""

    @property
    def settled(self) -> LinearBlock:
        """The block itself."""
        return self

    def zpk(self) -> ZeroPoleGain | None:
        """Zeros, poles and gain of a filter with feedback; None of any other."""
        return None


def dc_gain(block: LinearBlock) -> float:
    """Gain of a linear block at omega = 0."""
    return float(np.real(block.frequency_response(np.zeros(1))[0]))
