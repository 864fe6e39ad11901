"""Devices on which bounds are checked, of every response family that has a symmetric point."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sptrack.devices.device import Asymmetry, CycleNoise, Device, Source, Spread
from sptrack.devices.families import (
    CustomResponse,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    Response,
    SoftBounds,
)

CELLS = 64
"""Cells drawn of an array with spread."""

_GRANULARITIES = (0.02, 0.002)
_STICKING_SLOPE, _STICKING_RAMP, _STICKING_POINT = 0.0356, 10.0, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A device as `sptrack.evaluation.verify` runs it.

    Parameters
    ----------
    device : Device
        Its name is that of its source.
    granularities : tuple of float
        Values of dw_min, weight units.
    cells : int
        Number of cells drawn.
    start : float
        Start weight as a fraction of the way from each cell's lower to its upper bound.
    """

    device: Device
    granularities: tuple[float, ...] = _GRANULARITIES
    cells: int = 1
    start: float = 0.1

    @property
    def name(self) -> str:
        """Name of the device."""
        return self.device.source.name


def _case(name: str, response: Response, skew: float = 0.0, noise: CycleNoise | None = None) -> Case:
    """Single cell with scales 1 + skew and 1 - skew."""
    device = Device(
        response=response,
        dw_min=_GRANULARITIES[0],
        spread=Spread(asymmetry=Asymmetry(mean=skew)),
        cycle_noise=CycleNoise() if noise is None else noise,
        source=Source(name=name),
    )
    return Case(device=device)


def _saturating_up(w: float, rate: float) -> float:
    return (math.exp(rate * (1 - w) / 2) - 1) / (math.exp(rate) - 1)


def _saturating_down(w: float, rate: float) -> float:
    return (math.exp(rate * (1 + w) / 2) - 1) / (math.exp(rate) - 1)


def _sticking() -> Case:
    """Device on which cyclic zero-shifting sticks at -.5, far from its symmetric point at .9.

    F = 1 + 10 ramp(w), where the ramp rises from 0 at -.5 to .05 at -.45, and G = .0356 (w - .9). On the ramp
    a down pulse undoes the up pulse before it, 2 G(w) = q_minus(w) - q_minus(u). Both responses are piecewise
    linear with nodes every .05, so that they are exact here.
    """
    w = np.linspace(-1.0, 1.0, 41)
    symmetric = 1 + _STICKING_RAMP * np.clip(w + 0.5, 0, 0.05)
    asymmetric = _STICKING_SLOPE * (w - _STICKING_POINT)
    response = PiecewiseStep(nodes_up=tuple(symmetric - asymmetric), nodes_down=tuple(symmetric + asymmetric))
    return replace(_case("sticking", response), granularities=(0.01,), start=0.25)


@cache
def suite() -> dict[str, Case]:
    """Devices that `sptrack.evaluation.verify` checks by default: every family with a symmetric point.

    Smooth and clipped, symmetric and skewed, with and without cycle noise, an array with spread, and
    "sticking", on which Theorem C.3 of Xiao et al. 2026 (arXiv 2602.21321) fails as printed.
    """
    noise, additive = CycleNoise(std=0.3), CycleNoise(std=0.5, additive=True)
    exponential = CustomResponse(q_plus=_saturating_up, q_minus=_saturating_down, parameters={"rate": 3.0})
    falling = (1.5, 1.4, 1.1, 0.7, 0.4, 0.2)
    cases = (
        _case("linear", SoftBounds()),
        _case("linear-skewed", SoftBounds(), 0.3),
        Case(device=Device(source=Source(name="linear-array")), cells=CELLS),
        _case("linear-step", LinearStep(gamma_up=0.5, gamma_down=0.3), 0.1, additive),
        _case("exp-step", ExpStep(a=1.0, b=0.0, A_up=0.2, gamma_up=1.5, A_down=0.2, gamma_down=1.5), 0.1),
        _case("exp-step-reram", ExpStep(), 0.0, noise),
        _case("soft-exponential", exponential, 0.2),
        _case("power-2", PowStep(gamma_up=2.0, gamma_down=2.0), 0.2, noise),
        _case("piecewise", PiecewiseStep(nodes_up=falling, nodes_down=falling[::-1]), 0.1, noise),
        _sticking(),
    )
    return {case.name: case for case in cases}
