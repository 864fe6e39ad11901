"""Write noise of an array: what its cells show instead of the weights that pulses left."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.devices.cells import Cells
from sptrack.kernels.random import Key, fill_normals

Array = NDArray[Any]


class WriteNoise:
    """Weights that are seen, with noise drawn anew for every cell that is pulsed.

    Parameters
    ----------
    cells : Cells
        Their device says how much.
    key, train_key : Key
        Streams of the noise after updates and after trains of pulses.

    Attributes
    ----------
    visible : array [cells] or None
        Internal weights with the noise of the last pulses, weight units; None for a device without.
    """

    def __init__(self, cells: Cells, key: Key, train_key: Key) -> None:
        self._std = cells.device.write_noise * cells.dw_min
        self._key, self._train_key = key, train_key
        self.visible: Array | None = None

    def write(self, weight: Array, event: int) -> None:
        """Noise of every cell at the internal ``weight`` [cells], by the number of an update."""
        self.visible = self._noisy(weight, self._key, event) if self._std else None

    def by_train(self, weight: Array, event: int) -> None:
        """The same after a train of pulses, by the number of the last one."""
        self.visible = self._noisy(weight, self._train_key, event) if self._std else None

    def by_pulses(self, weight: Array, event: int, pulsed: Array) -> None:
        """The same of the cells alone whose number of pulses, signed or not, is not 0."""
        if self.visible is not None:
            self.visible = np.where(pulsed != 0, self._noisy(weight, self._key, event), self.visible)

    def move(self, change: Array) -> None:
        """Follow internal weights that moved by themselves."""
        if self.visible is not None:
            self.visible = self.visible + change

    def blur(self, record: Array, every: int, event: int) -> Array:
        """Recorded internal weights [n, cells], the last of pulse ``event``, with their noise, in place."""
        if self._std:
            for k in range(len(record)):
                record[k] = self._noisy(record[k], self._train_key, event - every * (len(record) - 1 - k))
        return record

    def _noisy(self, weight: Array, key: Key, event: int) -> Array:
        z = np.empty(weight.size, np.float32)
        fill_normals(z, key, np.uint32(event & 0xFFFFFFFF))
        return np.asarray(weight + np.asarray(self._std * z, weight.dtype))
