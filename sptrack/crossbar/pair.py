"""A weight as the difference of two cells that can only be pulsed up."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar import inputs
from sptrack.crossbar.array import Crossbar
from sptrack.crossbar.ledger import Ledger
from sptrack.devices.cells import Cells
from sptrack.devices.device import Device
from sptrack.devices.sampling import draw_cells
from sptrack.errors import ParameterError
from sptrack.kernels.random import fill_uniforms, stream_key
from sptrack.values import as_seed, check_choice, real_array

Array = NDArray[Any]

_CHUNK = 256


class OneSidedPair:
    """Two arrays of one-sided cells: W = plus - minus. Up pulses raise plus, down pulses raise minus.

    A pair has no symmetric point: pulses lower no cell on average, so both arrays climb to their upper bounds
    and W ends where they saturate, in whatever order pulses come, unless `refresh` resets them in time.

    Parameters
    ----------
    plus, minus : Cells
        Cells of one-sided devices, of one shape.
    seed : int
        Root seed of all random numbers drawn while running.
    name : str
        The arrays are ``name+`` and ``name-`` in the ledger.
    ledger : Ledger or None
        A ledger to share with other arrays; None: one of its own.

    Raises
    ------
    ParameterError
        Cells that are not one-sided, or two shapes.
    """

    def __init__(
        self, plus: Cells, minus: Cells, *, seed: int = 0, name: str = "W", ledger: Ledger | None = None
    ) -> None:
        if plus.shape != minus.shape:
            raise ParameterError(f"plus and minus must have one shape, got {plus.shape} and {minus.shape}")
        self.ledger = Ledger() if ledger is None else ledger
        self._coin_key = stream_key(as_seed(seed), f"{name}/coin")
        self._clock = {"alternating": 0, "random": 0, "up": 0, "down": 0}
        self.plus, self.minus = (
            Crossbar(_pulsed_up(cells), seed=seed, name=f"{name}{sign}", ledger=self.ledger)
            for cells, sign in ((plus, "+"), (minus, "-"))
        )

    @classmethod
    def sample(cls, device: Device, shape: tuple[int, int], *, seed: int = 0) -> "OneSidedPair":
        """Pair of R x C arrays of a one-sided device, plus drawn with ``seed``, minus with -1 - ``seed``."""
        root = as_seed(seed)
        plus, minus = (draw_cells(device, shape, one) for one in (root, -1 - root))
        return cls(plus, minus, seed=seed)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.plus.shape

    @property
    def weights(self) -> Array:
        """Visible weights plus - minus [R, C], without read noise, weight units."""
        return self.plus.weights - self.minus.weights

    def set_weights(self, weights: ArrayLike) -> None:
        """Put positive weights on plus and negative ones on minus, the other cell at 0 (not counted).

        Raises
        ------
        ParameterError
            If a weight is not finite or the shape does not broadcast to [R, C].
        """
        values = inputs.over_cells(weights, "weights", self.shape)
        self.plus.set_weights(np.maximum(values, 0.0))
        self.minus.set_weights(np.maximum(-values, 0.0))

    def pulse(self, program: str | Array, count: int | None = None, *, phase: str = "calibrate") -> None:
        """Send pulses, each to the array that it raises; parameters and errors as in `Crossbar.pulse`."""
        if not isinstance(program, str):
            self._send(inputs.explicit(real_array(program, "program", None), self.shape)[1], count, phase)
            return
        check_choice("program", program, inputs.PROGRAMS)
        total = inputs.pulse_count(count)
        for start in range(0, total, _CHUNK):
            number, sent = min(_CHUNK, total - start), self._clock[program]
            coins = program == "random"
            table = self._coins(number, sent) if coins else inputs.named(program, number, sent)[1]
            self._clock[program] += number
            self._send(table, number, phase)

    def read(self, noise: float = 0.0, *, phase: str = "calibrate") -> Array:
        """Visible weights [R, C] plus reading noise of std ``noise`` (weight units); both arrays are read."""
        return self.plus.read(noise, phase=phase) - self.minus.read(phase=phase)

    def refresh(self, *, upper: float = 0.75, lower: float = 0.25, phase: str = "program") -> Array:
        """Reset the pairs that are about to saturate and rewrite their difference on one cell.

        Both cells are read. Where the larger value is above ``upper`` and the smaller above ``lower`` (shares
        of the nominal upper bound), both are reset to 0 and one is set to the difference: three programming
        events, no pulses. Returns where, bool [R, C]. Source: aihwkit 1.2.0, which writes with pulses.

        Raises
        ------
        ParameterError
            Unless 0 <= lower <= upper.
        """
        if not 0 <= lower <= upper:
            raise ParameterError(f"thresholds must satisfy 0 <= lower <= upper, got {lower} and {upper}")
        full = self.plus.cells.device.response.w_max
        plus, minus = self.plus.read(phase=phase), self.minus.read(phase=phase)
        worn = np.asarray((np.maximum(plus, minus) > upper * full) & (np.minimum(plus, minus) > lower * full))
        for array, difference in ((self.plus, plus - minus), (self.minus, minus - plus)):
            if worn.any():
                reference = array.cells.reference
                kept = array.hidden if reference is None else array.hidden - reference
                array.set_weights(np.where(worn, np.maximum(difference, 0.0), kept))
            self.ledger.add_programs(phase, array.name, int(worn.sum() + (worn & (difference > 0)).sum()))
        return worn

    def _send(self, table: Array, count: int | None, phase: str) -> None:
        """Send directions [n, 1 or cells]: those above 0 to plus, those below to minus as up pulses."""
        for array, sign in ((self.plus, 1), (self.minus, -1)):
            up = np.maximum(sign * table, 0)
            array.pulse(up[:, 0] if up.shape[1] == 1 else up.reshape(-1, *self.shape), count, phase=phase)

    def _coins(self, number: int, sent: int) -> Array:
        """Fair directions [number, cells]: those of a pulse depend on its number since the start alone."""
        uniform = np.empty((number, self.plus.cells.size), np.float32)
        for k, row in enumerate(uniform):
            fill_uniforms(row, self._coin_key, np.uint32(sent + k))
        return np.where(uniform > 0.5, 1, -1)


def _pulsed_up(cells: Cells) -> Cells:
    """The same cells as a `Crossbar` takes them."""
    if not cells.device.one_sided:
        raise ParameterError(f"device {cells.device.source.name!r} is not one-sided: use Crossbar")
    return replace(cells, device=replace(cells.device, one_sided=False))
