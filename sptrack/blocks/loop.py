"""Second-order tracking loop designed from noise bandwidth and damping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sptrack.blocks.averages import EMA
from sptrack.blocks.block import Array, Block, LinearBlock, Response, ZeroPoleGain
from sptrack.blocks.coefficients import SOS
from sptrack.errors import ParameterError
from sptrack.kernels.stages import Stage
from sptrack.values import check_number

_SCAN = 400
_FASTEST = 30.0


def first_order(bandwidth: float) -> EMA:
    """First-order loop of a noise bandwidth B: the EMA of rate eta = 2 B / (1 + B), as B = eta / (2 - eta).

    Parameters
    ----------
    bandwidth : float
        Equivalent noise bandwidth, two-sided, cycles per sample, above 0 and at most 1.

    Raises
    ------
    ParameterError
        A bandwidth outside its range.
    """
    check_number("bandwidth", bandwidth, above=0, most=1)
    return EMA(eta=2 * bandwidth / (1 + bandwidth))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingLoop(LinearBlock):
    """Second-order loop of type 2: it follows a reference that drifts at a constant rate without lag.

    q <- q + v + alpha e, v <- v + beta e with e = x - (q + v): the alpha-beta filter. Its poles are
    exp(s) with s = omega_n (-damping +- sqrt(damping^2 - 1)), the poles of the analog loop; omega_n is such
    that the bandwidth is exactly as asked for, and close to bandwidth / (damping + 1 / (4 damping)) for a
    slow loop (Gardner, Phaselock Techniques 2005, section 6.1, with B two-sided). The bandwidth is that of
    Benedict and Bordner 1962: (2 alpha^2 + beta (2 - 3 alpha)) / (alpha (4 - 2 alpha - beta)).

    Parameters
    ----------
    bandwidth : float
        Equivalent noise bandwidth, two-sided, cycles per sample: the fraction of the variance of white noise
        that passes (`sptrack.blocks.enbw`). Twice the loop bandwidth B_L of the literature, above 0, below 1.
    damping : float
        Damping ratio, above 0.

    Raises
    ------
    ParameterError
        A value outside its range, or a bandwidth that no loop of that damping has.
    """

    operations: ClassVar[int] = 6  # two products, four sums

    bandwidth: float
    damping: float = 0.7071

    def __post_init__(self) -> None:
        Block.__post_init__(self)
        check_number("bandwidth", self.bandwidth, above=0, below=1)
        check_number("damping", self.damping, above=0)
        _natural(float(self.bandwidth), float(self.damping))

    @property
    def natural(self) -> float:
        """Natural frequency omega_n, rad per sample."""
        return _natural(float(self.bandwidth), float(self.damping))

    @property
    def gains(self) -> tuple[float, float]:
        """Gains alpha of the value and beta of the rate."""
        return _gains(self.natural, self.damping)

    @property
    def sections(self) -> SOS:
        """The loop as a second-order section."""
        return loop_sections(*self.gains, clock=self)

    def stages(self, shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """Stage of the compiled loop."""
        return self.sections.stages(shape)

    def initial_memory(self, initial: Array) -> Array:
        """A loop at rest with that output."""
        return self.sections.initial_memory(initial)

    def frequency_response(self, omega: ArrayLike) -> Response:
        """Complex gain (alpha + (beta - alpha) / z) / (1 + (alpha + beta - 2) / z + (1 - alpha) / z^2)."""
        return self.sections.frequency_response(omega)

    def zpk(self) -> ZeroPoleGain:
        """Those of the section."""
        return self.sections.zpk()


def loop_sections(alpha: float, beta: float, *, clock: Block) -> SOS:
    """Second-order section of a loop of gains alpha and beta, on the clock of another block."""
    return SOS(
        sos=np.array([[alpha, beta - alpha, 0.0, 1.0, alpha + beta - 2, 1 - alpha]]), clock=clock.clock
    )


def _gains(natural: float, damping: float) -> tuple[float, float]:
    """Gains alpha and beta of a loop with the poles of the analog one."""
    root = np.sqrt(complex(damping**2 - 1))
    first, second = natural * (-damping + root), natural * (-damping - root)
    beta = (np.expm1(first) * np.expm1(second)).real
    return float(-np.expm1(-2 * damping * natural)), float(beta)


def _bandwidth(natural: float, damping: float) -> float:
    alpha, beta = _gains(natural, damping)
    return (2 * alpha**2 + beta * (2 - 3 * alpha)) / (alpha * (4 - 2 * alpha - beta))


@lru_cache(maxsize=256)
def _natural(bandwidth: float, damping: float) -> float:
    """Smallest natural frequency that gives a bandwidth; below half the sampling rate for damped swings."""
    swing = math.sqrt(1 - damping**2) if damping < 1 else 0.0
    most = min(_FASTEST, math.pi / swing) if swing else _FASTEST
    slow = bandwidth / (damping + 1 / (4 * damping))
    grid = np.geomspace(min(slow / 4, most / 2), most * (1 - 1e-9), _SCAN)
    reached = np.array([_bandwidth(w, damping) for w in grid.tolist()])
    above = np.flatnonzero(reached >= bandwidth)
    if not above.size:
        raise ParameterError(
            f"bandwidth must be at most {reached.max():.3g} with damping {damping:g}, got {bandwidth:g}"
        )
    from scipy.optimize import brentq

    low, high = grid[max(above[0] - 1, 0)], grid[above[0]]
    if low == high:
        low /= 64
    return float(brentq(lambda w: _bandwidth(w, damping) - bandwidth, low, high, xtol=1e-15, rtol=1e-13))
