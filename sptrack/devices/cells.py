"""Cells: the parameters drawn, measured or given for every cell of an array, and what follows from them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.devices.device import CycleNoise, Device
from sptrack.devices.families import Response
from sptrack.errors import ParameterError
from sptrack.kernels import pulses
from sptrack.kernels import responses as laws
from sptrack.values import real_array

Array = NDArray[Any]

_CHUNK = 1 << 18
_BISECTIONS = 60


class LinearSteps(NamedTuple):
    """Steps of linear cells, weight units: up + slope_up w and down + slope_down w, float64 arrays [R, C]."""

    up: Array
    down: Array
    slope_up: Array
    slope_down: Array


class DriftRates(NamedTuple):
    """Motion of response curves: arrays [R, C], weight units; see `Drift`.

    Attributes
    ----------
    per_pulse, per_step : float64 arrays [R, C]
        Move per pulse received and per step of time.
    walk : float64 array [R, C]
        Std of the normal move per step.
    """

    per_pulse: Array
    per_step: Array
    walk: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Per-cell parameters of an R x C array.

    Weights are *internal*: what the pulses act on. What is read is the internal weight minus `reference`.

    Parameters
    ----------
    device : Device
        The description they belong to.
    law : NamedTuple
        Kernel law with one row per parameter and one column per cell (row-major), float32 or float64.
    shape : (int, int)
        Rows (outputs) and columns (inputs).
    reference : array [R, C] or None
        Weight subtracted from reads, weight units.
    clip_fraction : float
        Share of the cells with a drawn parameter that had to be clipped.
    drift : DriftRates or None
        How their response curves move; symmetric points, steps and bounds of `Cells` are those before any
        move.
    """

    device: Device
    law: Any
    shape: tuple[int, int]
    reference: Array | None = None
    clip_fraction: float = 0.0
    drift: DriftRates | None = None
    _checked: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        rows, columns = self.shape
        if self.law.cell.dtype not in (np.float32, np.float64):
            raise ParameterError(f"parameters must be float32 or float64, got {self.law.cell.dtype}")
        if rows < 1 or columns < 1 or rows * columns != self.law.cell.shape[1]:
            raise ParameterError(f"shape {self.shape}: {self.law.cell.shape[1]} cells were given")
        if not self._checked and not np.isfinite(self.law.cell).all():
            row, cell = np.argwhere(~np.isfinite(self.law.cell))[0]
            raise ParameterError(f"parameter row {row} of cell {divmod(int(cell), columns)} is not finite")
        if self.drift is not None and any(rate.shape != self.shape for rate in self.drift):
            raise ParameterError(f"drift rates must have shape {self.shape}, got {self.drift[0].shape}")
        object.__setattr__(self, "_checked", True)

    @property
    def dw_min(self) -> float:
        """Nominal granularity, weight units."""
        return self.device.dw_min

    @property
    def cycle_noise(self) -> CycleNoise:
        """Cycle-to-cycle noise of the device."""
        return self.device.cycle_noise

    @property
    def kernel_noise(self) -> Any:
        """Cycle noise as the kernels want it, in the precision of the law."""
        noise, real = self.cycle_noise, self.law.cell.dtype.type
        mixed = noise.additive or noise.offset or noise.slope
        relative, additive = (0.0, noise.std) if noise.additive else (noise.std, 0.0)
        return pulses.Noise(
            pulses.MIXED if mixed else pulses.PROPORTIONAL,
            int(noise.std > 0),
            real(relative),
            real(additive),
            real(noise.std * noise.offset),
            real(noise.std * noise.slope),
        )

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    def _row(self, row: int) -> Array:
        return np.asarray(self.law.cell[row], np.float64).reshape(self.shape)

    @cached_property
    def lower(self) -> Array:
        """Lower hard bound of each cell [R, C], internal weight units."""
        return self._row(laws.LOWER)

    @cached_property
    def upper(self) -> Array:
        """Upper hard bound of each cell [R, C], internal weight units."""
        return self._row(laws.UPPER)

    @property
    def linear(self) -> LinearSteps | None:
        """The steps in weight units if they are linear in the weight, else None."""
        if self.law.kind != laws.LINEAR:
            return None
        return LinearSteps(*(self._row(row) for row in (laws.UP, laws.DOWN, laws.SLOPE_UP, laws.SLOPE_DOWN)))

    def astype(self, dtype: Any) -> "Cells":
        """The same cells with parameters in float32 or float64."""
        law = self.law._replace(cell=self.law.cell.astype(dtype), shared=self.law.shared.astype(dtype))
        return replace(self, law=law)

    def thinned(self, most: int) -> "Cells":
        """At most ``most`` of the cells, evenly spaced, as one row: enough for averages over an array."""
        every = -(-self.size // most)
        if every == 1:
            return self
        law = self.law._replace(cell=np.ascontiguousarray(self.law.cell[:, ::every]))
        reference = None if self.reference is None else self.reference.reshape(1, -1)[:, ::every]
        drift = self.drift
        if drift is not None:
            drift = DriftRates(*(rate.reshape(1, -1)[:, ::every] for rate in drift))
        return replace(self, law=law, shape=(1, law.cell.shape[1]), reference=reference, drift=drift)

    def _chunks(self) -> Iterator[tuple[slice, Any]]:
        for start in range(0, self.size, _CHUNK):
            cut = slice(start, min(start + _CHUNK, self.size))
            cell = np.ascontiguousarray(self.law.cell[:, cut], np.float64)
            yield cut, self.law._replace(cell=cell, shared=self.law.shared.astype(np.float64))

    def steps(self, w: ArrayLike) -> tuple[Array, Array]:
        """Mean up and down step at internal weights.

        Parameters
        ----------
        w : array_like, broadcastable to [..., R, C]
            Internal weights, weight units. One number means the same weight in every cell.

        Returns
        -------
        up, down : float64 arrays [..., R, C]
            Size of the step of one pulse, weight units (a down pulse subtracts ``down``).
        """
        weights = real_array(w, "w")
        full = np.broadcast_to(weights, np.broadcast_shapes(weights.shape, self.shape))
        flat = full.reshape(-1, self.size)
        up, down = np.empty(flat.shape), np.empty(flat.shape)
        for cut, law in self._chunks():
            out_up, out_down = np.empty((2, flat.shape[0], cut.stop - cut.start))
            laws.steps(laws.callable_law(law), np.array(flat[:, cut], order="C"), out_up, out_down)
            up[:, cut], down[:, cut] = out_up, out_down
        return up.reshape(full.shape), down.reshape(full.shape)

    def q_plus(self, w: ArrayLike) -> Array:
        """Up response q_plus(w), dimensionless: a pulse moves the weight by +dw_min q_plus (as `steps`)."""
        return self.steps(w)[0] / self.dw_min

    def q_minus(self, w: ArrayLike) -> Array:
        """Down response q_minus(w), dimensionless: a pulse moves the weight by -dw_min q_minus."""
        return self.steps(w)[1] / self.dw_min

    def F(self, w: ArrayLike) -> Array:
        """Symmetric part (q_minus + q_plus)/2, dimensionless."""
        up, down = self.steps(w)
        return (down + up) / (2.0 * self.dw_min)

    def G(self, w: ArrayLike) -> Array:
        """Asymmetric part (q_minus - q_plus)/2, dimensionless; zero at the symmetric point."""
        up, down = self.steps(w)
        return (down - up) / (2.0 * self.dw_min)

    @cached_property
    def symmetric_point(self) -> Array:
        """Internal weight where up and down steps are equal, float64 [R, C]; NaN where none is inside.

        Closed form where the family has one, else bisection of G over the bounds, which must bracket a sign
        change.
        """
        with np.errstate(invalid="ignore"):
            closed = self.device.response.symmetric_point(np.asarray(self.law.cell, np.float64))
            point = self._bisect() if closed is None else closed.reshape(self.shape)
            inside = (point > self.lower) & (point < self.upper)
        return np.where(inside, point, np.nan)

    def _bisect(self) -> Array:
        lower, upper = self.lower.copy(), self.upper.copy()
        bracketed = (self.G(lower) < 0) & (self.G(upper) > 0)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (lower + upper)
            below = self.G(middle) < 0
            lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
        return np.where(bracketed, 0.5 * (lower + upper), np.nan)

    @property
    def target(self) -> Array:
        """Symmetric point as it is read: internal symmetric point minus reference, float64 [R, C]."""
        return self.symmetric_point if self.reference is None else self.symmetric_point - self.reference

    def with_reference(self, reference: ArrayLike | None) -> "Cells":
        """The same cells with another reference map [R, C] subtracted from reads (None: none).

        Raises
        ------
        ParameterError
            If the map is not finite or has another shape.
        """
        if reference is None:
            return replace(self, reference=None)
        map_ = np.array(real_array(reference, "reference map"))
        if map_.shape != self.shape or not np.isfinite(map_).all():
            raise ParameterError(
                f"reference map must be finite values of shape {self.shape}, got shape {map_.shape}"
            )
        return replace(self, reference=map_)


def build_law(response: Response, rows: Array, dtype: Any) -> Any:
    """Kernel law of ``response`` from complete per-cell ``rows`` [parameters, cells]."""
    return response.kernel_law(
        np.array(rows, dtype, order="C"), np.array(response.shared(), dtype, order="C")
    )
