"""What calibrators and trackers need of an array: simulated here, or a bench of one's own."""

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

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
