"""Interface that calibrators and trackers need of an array: simulated here, or your own hardware."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.values import real_array

Array = NDArray[Any]


@runtime_checkable
class PulsedArray(Protocol):
    """Anything that can be pulsed and read: a `Crossbar`, or a driver of a laboratory bench.

    ``pulse`` sends ``count`` pulses to all cells: ``program`` is "up", "down", "alternating" (up first; a
    later call goes on where the last one stopped), "random" (fair coin per cell and pulse), or an array of
    +1, -1 and 0, [count] for all cells or [count, R, C]. ``read`` returns the weights [R, C].
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def pulse(self, program: str | Array, count: int | None = None) -> None:
        """Send pulses."""
        ...

    def read(self, noise: float = 0.0) -> Array:
        """Weights [R, C], weight units, with read noise of the given std."""
        ...


_CHUNK = 64
"""Pulses of a program per cell that are held as a table at a time."""


def send_counts(array: PulsedArray, counts: Array) -> None:
    """Send every cell its number of pulses [R, C], up where it is positive, else down."""
    signs, number = np.sign(counts).astype(np.int8), np.abs(counts)
    most = int(number.max(initial=0))
    for start in range(0, most, _CHUNK):
        length = min(_CHUNK, most - start)
        active = np.arange(start, start + length)[:, None, None] < number
        array.pulse(active * signs, length)


class CheckedArray:
    """A bench whose answers are checked: one clear error instead of NaN in a result.

    Parameters
    ----------
    bench : PulsedArray
        Anything with ``shape``, ``pulse`` and ``read``.

    Raises
    ------
    ParameterError
        A method is missing, or the shape is not two positive numbers; on reading: a wrong shape, or a value
        that is not finite (the cell is named).
    """

    def __init__(self, bench: PulsedArray) -> None:
        kind = type(bench).__name__
        for name in ("pulse", "read"):
            if not callable(getattr(bench, name, None)):
                raise ParameterError(
                    f"bench {kind}: method {name}() is missing; it needs shape, pulse(), read()"
                )
        try:
            rows, columns = (int(n) for n in bench.shape)
        except (AttributeError, TypeError, ValueError) as error:
            raise ParameterError(f"bench {kind}: shape must be (rows, columns)") from error
        if rows < 1 or columns < 1:
            raise ParameterError(f"bench {kind}: shape must be two numbers above 0, got {rows}, {columns}")
        self._bench, self._kind, self._shape = bench, kind, (rows, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._shape

    def pulse(self, program: str | Array, count: int | None = None) -> None:
        """Send pulses."""
        self._bench.pulse(program, count)

    def read(self, noise: float = 0.0) -> Array:
        """Weights [R, C], checked."""
        answer = self._bench.read(noise)
        values = real_array(answer, f"bench {self._kind}: what read() returns", None)
        numbers = values.astype(np.float64)
        if numbers.shape != self._shape:
            raise ParameterError(
                f"bench {self._kind}: read() must have shape {self._shape}, got {numbers.shape}"
            )
        bad = np.argwhere(~np.isfinite(numbers))
        if bad.size:
            place = tuple(int(n) for n in bad[0])
            raise ParameterError(
                f"bench {self._kind}: read() must be finite, got {numbers[place]} in cell {place}"
            )
        return values if values.dtype.kind == "f" else numbers


def checked_array(array: PulsedArray) -> PulsedArray:
    """The array itself if it is simulated, else with its answers checked."""
    from sptrack.crossbar.array import Crossbar

    return array if isinstance(array, Crossbar | CheckedArray) else CheckedArray(array)
