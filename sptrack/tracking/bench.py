"""Benches in the loop: whatever can be pulsed and read, as the recursion takes an array."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar import Ledger, PulsedArray
from sptrack.crossbar.increments import PulseNumbers, check_law
from sptrack.crossbar.protocol import checked_array, send_counts
from sptrack.devices import Cells, Device, sample_cells
from sptrack.errors import ParameterError
from sptrack.kernels.random import Draws, stream_key

Array = NDArray[Any]


class BenchArray:
    """W or P on a bench, for `PlainTracker`: increments go out as whole pulses, weights are reads.

    The bench is read once between two pulse trains, however often the recursion asks for the weights; pulses
    and reads are in the ledger as those of a simulated array are.

    Parameters
    ----------
    bench : PulsedArray
        Anything with ``shape``, ``pulse(program, count)`` and ``read(noise)``; checked on the way.
    device : Device
        What is known of its cells, such as the device of a fit: the granularity that turns increments into
        pulses, and what observers have to know. Where it has a scale of readings, ``in_unit`` applies it.
    name : str
        Name in the ledger and in the random numbers: "W" and "P" of one tracker differ.
    seed : int
        Root seed of the rounding of pulse numbers.
    ledger : Ledger or None
        A ledger to share with other arrays; None: one of its own.
    in_unit : bool
        Whether the bench reads in the unit of the device's scale and not in weight units.

    Raises
    ------
    ParameterError
        A bench without ``shape``, ``pulse`` or ``read``; ``in_unit`` for a device without a scale; on
        reading, a wrong shape or a value that is not finite.
    """

    def __init__(
        self,
        bench: PulsedArray,
        device: Device,
        *,
        name: str = "P",
        seed: int = 0,
        ledger: Ledger | None = None,
        in_unit: bool = False,
    ) -> None:
        if in_unit and device.scale is None:
            raise ParameterError("in_unit needs a device with a scale of readings, such as that of a fit")
        self._bench = checked_array(bench)
        self.name, self.ledger = name, Ledger() if ledger is None else ledger
        self.cells: Cells = sample_cells(device, self._bench.shape)
        self._numbers = PulseNumbers(self.cells, threads=1)
        self.ledger.open(name, self.cells.shape)
        self.reads = 0
        self._scale = device.scale if in_unit else None
        self._keys = stream_key(seed, f"{name}/event"), stream_key(seed, f"{name}/count")
        self._event = 1  # as of a crossbar, whose first event sets its weights
        self._read: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.cells.shape

    @property
    def weights(self) -> Array:
        """Weights [R, C] as the bench reads them, weight units; read anew after pulses."""
        if self._read is None:
            self._read = self.read()
        return self._read.copy()

    def read(self, noise: float = 0.0) -> Array:
        """Read the bench [R, C], weight units, float32; ``noise`` is what a simulated bench is asked for."""
        values = np.asarray(self._bench.read(noise), np.float64)
        self.reads += 1
        if self._scale is not None:
            values = (values - self._scale.reading(0.0)) / self._scale.size(1.0)
        return values.astype(np.float32)

    def pulse(self, program: str | Array, count: int | None = None) -> None:
        """Send pulses, not counted in the ledger."""
        self._bench.pulse(program, count)
        self._read = None

    def apply(
        self, increment: ArrayLike, *, law: str = "rounded", slots: int = 31, phase: str = "gradient"
    ) -> Array:
        """Send the whole pulses that a count law makes of an increment of each cell.

        Parameters
        ----------
        increment : array_like, broadcastable to [R, C]
            Weight units: |increment| / dw_min pulses on average, up where it is positive.
        law, slots
            Count law and train length of the binomial one, as in `Crossbar.apply`.
        phase : str
            Phase in the ledger.

        Returns
        -------
        int32 array [R, C]
            Signed number of pulses that were sent.

        Raises
        ------
        ParameterError
            As `Crossbar.apply`.
        """
        check_law(law, slots)
        asked = self._numbers.asked(increment)
        self._event += 1
        draws = Draws(*self._keys, np.uint32(0), np.uint32(self._event))
        counts = self._numbers.draw(asked, law, slots, draws)
        signed = counts.reshape(self.shape)
        if counts.any():
            send_counts(self._bench, signed)
            self._read = None
        self.ledger.add_pulses(phase, self.name, np.abs(counts))
        return signed
