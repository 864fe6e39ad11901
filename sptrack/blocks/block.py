"""What every block is: a frozen description, an explicit state, a step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sptrack.errors import ParameterError
from sptrack.kernels.chains import run_chain

Array = NDArray[Any]
Shape = int | tuple[int, ...]
Clock = Literal["pulse", "step", "read", "transfer", "flip"]
Laws = tuple[Any, ...]


class State(NamedTuple):
    """Everything that a block remembers between two calls.

    Parameters
    ----------
    sample : int
        Number of samples seen; the next one has this number.
    memory : ndarray, shape [slots, *shape]
        Rows of numbers per cell, read-only; their precision is that of the samples.
    """

    sample: int
    memory: Array


def within(name: str, value: float, allowed: bool, wanted: str) -> None:
    """Refuse a value that is not finite or not ``allowed``.

    Raises
    ------
    ParameterError
        With the name, the value and what was ``wanted``.
    """
    if not (math.isfinite(value) and allowed):
        raise ParameterError(f"{name} = {value}: {wanted} wanted")


def whole(name: str, value: Any, least: int) -> None:
    """Refuse a value that is not a whole number of at least ``least`` (ParameterError)."""
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (integer and value >= least):
        raise ParameterError(f"{name} = {value}: a whole number >= {least} wanted")


def as_samples(x: ArrayLike, dtype: DTypeLike | None = None) -> Array:
    """Samples [time, *shape], contiguous and read-only: float32 stays, anything else becomes float64.

    Raises
    ------
    ParameterError
        Not numbers, or no time axis.
    """
    try:
        array = np.asarray(x)
        wanted = np.dtype(dtype or (array.dtype if array.dtype == np.float32 else np.float64))
        if np.issubdtype(array.dtype, np.complexfloating):
            raise TypeError("complex")
        samples = np.ascontiguousarray(array, wanted)
    except (TypeError, ValueError):
        raise ParameterError("x: an array of real numbers, time on axis 0, wanted") from None
    if array.ndim == 0:
        raise ParameterError("x is a single number: an array with time on axis 0 wanted (see step)")
    return frozen(samples.view())


def as_shape(shape: Shape) -> tuple[int, ...]:
    """Shape of the cells as a tuple of whole numbers >= 1 (ParameterError)."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for size in sizes:
        whole("shape", size, 1)
    return tuple(int(size) for size in sizes)


def floating(dtype: DTypeLike) -> np.dtype[Any]:
    """Precision of a state: float32 or float64 (ParameterError)."""
    wanted = np.dtype(dtype)
    if wanted not in (np.float32, np.float64):
        raise ParameterError(f"dtype = {wanted}: float32 or float64 wanted")
    return wanted


def frozen(array: Array) -> Array:
    """Make an array read-only and return it."""
    array.flags.writeable = False
    return array


def refuse_unbounded(x: Array) -> None:
    """Say where ``x`` [time, ...] first is not finite (ParameterError)."""
    bad = np.argwhere(~np.isfinite(x))[0]
    raise ParameterError(f"x{bad.tolist()} = {x[tuple(bad)]}: finite numbers wanted")


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
        if self.clock not in get_args(Clock):
            raise ParameterError(f"clock = {self.clock!r}: one of {', '.join(get_args(Clock))} wanted")

    @abstractmethod
    def laws(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Laws:
        """What the compiled loop runs: one law a stage, for cells of ``shape`` and samples of ``dtype``."""

    def init(self, shape: Shape = (), dtype: DTypeLike = np.float32) -> State:
        """State before the first sample.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the cells; () for a single stream.
        dtype : {float32, float64}
            Precision of the samples.

        Returns
        -------
        State
            Sample number 0, memory of zeros.

        Raises
        ------
        ParameterError
            An empty shape or another precision.
        """
        cells, precision = as_shape(shape), floating(dtype)
        slots = sum(law.slots for law in self.laws(cells, precision))
        return State(0, frozen(np.zeros((slots, *cells), precision)))

    def step(self, state: State, x: ArrayLike) -> tuple[State, Array]:
        """Next state and output of one sample.

        Parameters
        ----------
        state : State
            From `init`, `step` or `process`; not modified.
        x : array_like, shape [*shape]
            One sample a cell.

        Returns
        -------
        State, ndarray of shape [*shape]
            Same bytes as those of `process`.

        Raises
        ------
        ParameterError
            Another shape than the state's, NaN or infinity.
        """
        y, after = self.process(np.asarray(x)[None], state)
        return after, y[0]

    def process(self, x: ArrayLike, state: State | None = None) -> tuple[Array, State]:
        """Outputs of a stretch of samples, and the state after it.

        Parameters
        ----------
        x : array_like, shape [time, *shape]
            Samples, computed on in float32 if they are that, else in float64. A given state decides shape and
            precision.
        state : State, optional
            State before the first of them, not modified; that of `init` when not given.

        Returns
        -------
        ndarray of shape [time, *shape], State
            However a stream is cut into stretches, the bytes are the same.

        Raises
        ------
        ParameterError
            Another shape than the state's, NaN or infinity.
        """
        samples = as_samples(x, None if state is None else state.memory.dtype)
        cells = samples.shape[1:]
        before = self.init(cells, samples.dtype) if state is None else state
        laws = self.laws(cells, samples.dtype)
        memory = writable_memory(before, sum(law.slots for law in laws), cells)
        y = np.empty_like(samples)
        length = samples.shape[0]
        flat = (length, math.prod(cells))
        with np.errstate(over="ignore", invalid="ignore"):
            finite = run_chain(laws, memory, before.sample, samples.reshape(flat), y.reshape(flat))
        if not finite:
            refuse_unbounded(samples)
        return y, State(before.sample + length, frozen(memory.reshape(-1, *cells)))

    def label(self) -> str:
        """Name and settings that differ from their defaults, as in ``EMA(eta=0.01)``."""
        return describe(self)

    def __str__(self) -> str:
        return self.label()


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


def writable_memory(state: State, slots: int, cells: tuple[int, ...]) -> Array:
    """Copy of a state's memory as [slots, number of cells] (ParameterError if it belongs elsewhere)."""
    if state.memory.shape != (slots, *cells):
        raise ParameterError(
            f"state of shape {list(state.memory.shape)}: [{slots}, *shape] wanted, x being [time, *shape] = "
            f"[time, {', '.join(map(str, cells))}]"
        )
    return np.array(state.memory.reshape(slots, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBlock(Block):
    """A linear block that does not change with time."""

    @abstractmethod
    def frequency_response(self, omega: ArrayLike) -> NDArray[np.complex128]:
        """Complex gain H(exp(j omega)) at ``omega``, any shape, rad per sample of the clock."""
