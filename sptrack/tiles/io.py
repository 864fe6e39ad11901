"""Analog input and output of an array: converters, output noise, noise and bound management.

The order of operations is that of aihwkit 1.2.0: a vector is divided by its largest magnitude, rounded to the
bins of the input converter and limited to its bound; the output of the array gets noise, is rounded to the
bins of the output converter and limited; the result is multiplied by what was divided by. Where an output is
beyond the bound, the vector is sent again at half the size (forward only).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar import Crossbar
from sptrack.errors import ParameterError
from sptrack.kernels._jit import Direct
from sptrack.kernels.converters import Converter, Management, analog_pass, convert
from sptrack.kernels.random import Key, stream_key
from sptrack.tiles.array import TileArray

Array = NDArray[Any]

MAX_PASSES = 10
"""Bound management stops when inputs are 1 / 2**10 of their size."""
COARSEST = 0.25
"""... or when the bins of the input converter exceed this part of the largest input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalogIO:
    """Converters of one direction through an array.

    Parameters
    ----------
    input_resolution, output_resolution : float
        Bin width of the converters as a fraction of the full range 2 bound; above 1: number of bins; 0:
        values are not rounded.
    input_bound, output_bound : float
        Limits of the converters, analog units (above 0; infinity: none).
    output_noise : float
        Std of the noise on each output before its conversion, analog units.
    noise_management : bool
        Divide each vector by its largest magnitude. Needs an input bound of 1.
    bound_management : bool
        Send a vector again at half the size while an output is beyond the bound.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    input_resolution: float = 1 / 126
    output_resolution: float = 1 / 510
    input_bound: float = 1.0
    output_bound: float = 12.0
    output_noise: float = 0.06
    noise_management: bool = True
    bound_management: bool = True

    def __post_init__(self) -> None:
        for side in ("input", "output"):
            resolution, bound = getattr(self, f"{side}_resolution"), getattr(self, f"{side}_bound")
            if not (np.isfinite(resolution) and resolution >= 0):
                raise ParameterError(f"{side}_resolution must be finite and >= 0, got {resolution}")
            if not bound > 0:
                raise ParameterError(f"{side}_bound must be > 0, got {bound}")
            if resolution > 0 and not np.isfinite(bound):
                raise ParameterError(f"{side}_bound must be finite where {side}_resolution is not 0")
        if not (np.isfinite(self.output_noise) and self.output_noise >= 0):
            raise ParameterError(f"output_noise must be finite and >= 0, got {self.output_noise}")
        for name in ("noise_management", "bound_management"):
            if not isinstance(getattr(self, name), bool):
                raise ParameterError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.noise_management and self.input_bound != 1:
            raise ParameterError(f"input_bound must be 1 with noise_management, got {self.input_bound}")

    @property
    def read_noise(self) -> float:
        """Std of a converted output: its noise, and bins of the converter as uniform errors, analog units."""
        return math.hypot(self.output_noise, float(_bin(self.output_resolution, self.output_bound)) / 12**0.5)

    @property
    def dac(self) -> Converter:
        """Input converter as the kernels take it."""
        return Converter(
            _bin(self.input_resolution, self.input_bound), np.float32(self.input_bound), np.float32(0)
        )

    @property
    def adc(self) -> Converter:
        """Output converter as the kernels take it."""
        width = _bin(self.output_resolution, self.output_bound)
        return Converter(width, np.float32(self.output_bound), np.float32(self.output_noise))


IDEAL_IO = AnalogIO(
    input_resolution=0.0,
    output_resolution=0.0,
    input_bound=np.inf,
    output_bound=np.inf,
    output_noise=0.0,
    noise_management=False,
    bound_management=False,
)
"""Exact products."""


def _bin(resolution: float, bound: float) -> np.float32:
    """Bin width in analog units; 0 where values are not rounded."""
    if resolution == 0:
        return np.float32(0)
    fraction = 1.0 / resolution if resolution > 1 else resolution
    return np.float32(fraction * 2 * bound)


class Passed(NamedTuple):
    """Result of a pass: ``values`` [n, lines] in float32, and the ``passes`` [n] that each vector took."""

    values: Array
    passes: Array


class Port:
    """Analog access to arrays through converters whose noise is reproducible.

    Parameters
    ----------
    io : AnalogIO
        Converters.
    seed : int
        Root seed of the noise.
    stream : str
        Name of its stream, so that several ports of one seed differ.

    Attributes
    ----------
    event : int
        Conversions so far: the state of the noise.
    sent : int
        Vectors sent so far, repeats of bound management included.
    """

    def __init__(self, io: AnalogIO, *, seed: int = 0, stream: str = "port") -> None:
        self.io, self.event, self.sent = io, 0, 0
        self._key: Key = stream_key(seed, f"io/{stream}")
        self._converters = io.dac, io.adc
        self._managed = Management(io.noise_management, self._most_shrunk)
        self._unmanaged = Management(io.noise_management, 0.0)
        self._passes = Direct(analog_pass), Direct(analog_pass)
        self._convert = Direct(convert)

    def forward(self, weights: Any, x: ArrayLike) -> Passed:
        """Outputs W x of vectors ``x`` [n, C] for weights [R, C], with bound management.

        Parameters
        ----------
        weights : array_like [R, C] or Crossbar
            Weights as they are read. The ledger of a crossbar counts the passes, phase "forward".
        x : array_like [n, C]
            Digital inputs.

        Returns
        -------
        Passed
            Outputs [n, R] and passes per vector (0 for a vector of zeros under noise management).

        Raises
        ------
        ParameterError
            A shape that does not fit.
        """
        found = self.send(_matrix(weights).T, x, managed=self.io.bound_management)
        return _counted(found, weights, "forward")

    def backward(self, weights: Any, d: ArrayLike) -> Passed:
        """Outputs d W of vectors ``d`` [n, R]: as `forward` through the transpose, no bound management."""
        return _counted(self.send(_matrix(weights), d, managed=False), weights, "backward")

    def convert(self, values: Array) -> Array:
        """Outputs [lines] (float32) as they come from the output converter, with noise: reads of a line."""
        out = np.empty(len(values), np.float32)
        self._convert(np.ascontiguousarray(values, np.float32), self._converters[1], self._draws(), out)
        self.event += 1
        return out

    def _draws(self) -> tuple[Key, np.uint32]:
        return self._key, np.uint32(self.event & 0xFFFFFFFF)

    def send(self, matrix: Array, x: ArrayLike, *, managed: bool) -> Passed:
        """Outputs of vectors ``x`` [n, lines] through a matrix, with bound management if ``managed``.

        Parameters
        ----------
        matrix : float32 array [lines, outputs]
            Read-only; in the order of C, or the transpose of such a one.
        x : array_like [n, lines]
            Digital inputs.
        managed : bool
            Whether a vector is sent again where outputs are beyond the bound.

        Raises
        ------
        ParameterError
            A shape that does not fit.
        """
        given = np.ascontiguousarray(x, np.float32)
        if given.ndim != 2 or given.shape[1] != len(matrix):
            raise ParameterError(f"vectors must have the shape [n, {len(matrix)}], got {list(given.shape)}")
        out = np.empty((len(given), matrix.shape[1]), np.float32)
        passes = np.zeros(len(given), np.int64)
        manage = self._managed if managed else self._unmanaged
        run = self._passes[matrix.flags.c_contiguous]
        events, sent = run(given, matrix, self._converters, manage, self._draws(), out, passes)
        self.event, self.sent = self.event + events, self.sent + sent
        return Passed(out, passes)

    @property
    def _most_shrunk(self) -> float:
        """Largest divisor of the inputs from which bound management goes on."""
        step = float(self.io.dac.step)
        return min(2.0**MAX_PASSES - 1, COARSEST / step if step > 0 else np.inf)


def _counted(found: Passed, weights: Any, phase: str) -> Passed:
    """The same result; the ledger of the array, where ``weights`` is one, counts its passes."""
    if isinstance(weights, Crossbar | TileArray):
        weights.ledger.add_passes(phase, weights.name, int(found.passes.sum()))
    return found


def _matrix(weights: Any) -> Array:
    """Weights in single precision, never to be written: one type of array, whoever owns them."""
    matrix = np.ascontiguousarray(getattr(weights, "weights", weights), np.float32).view()
    matrix.flags.writeable = False
    return matrix
