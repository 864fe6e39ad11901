"""Small devices with known laws, and a plain simulation of zero-shifting, for the tests of the theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

Law = Callable[[np.ndarray], np.ndarray]


class Noise(NamedTuple):
    std: float = 0.0
    additive: bool = False
    offset: float = 0.0
    slope: float = 0.0


QUIET = Noise()


class Line(NamedTuple):
    up: np.ndarray
    down: np.ndarray
    slope_up: np.ndarray
    slope_down: np.ndarray


class Steps:
    def steps(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.dw_min * self.q_plus(w), self.dw_min * self.q_minus(w)

    def G(self, w: np.ndarray) -> np.ndarray:
        return (self.q_minus(w) - self.q_plus(w)) / 2


@dataclass(frozen=True, kw_only=True)
class LinearCells(Steps):
    """q_plus = a_plus (1 - w/tau_max), q_minus = a_minus (1 - w/tau_min)."""

    a_plus: np.ndarray
    a_minus: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    dw_min: float
    cycle_noise: Noise = QUIET
    live: np.ndarray | bool = True
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.a_plus.shape)

    def q_plus(self, w: np.ndarray) -> np.ndarray:
        return self.a_plus * (1 - w / self.upper)

    def q_minus(self, w: np.ndarray) -> np.ndarray:
        return self.a_minus * (1 - w / self.lower)

    @property
    def linear(self) -> Line:
        h = self.dw_min
        return Line(
            h * self.a_plus, h * self.a_minus, -h * self.a_plus / self.upper, -h * self.a_minus / self.lower
        )

    @property
    def symmetric_point(self) -> np.ndarray:
        point = (self.a_plus - self.a_minus) / (self.a_plus / self.upper - self.a_minus / self.lower)
        return np.where(self.live, point, np.nan)


def linear_cells(a_plus, a_minus, dw_min, *, noise=QUIET, tau=(-1.0, 1.0), live=True) -> LinearCells:
    a_plus, a_minus = np.atleast_1d(np.asarray(a_plus, float)), np.atleast_1d(np.asarray(a_minus, float))
    lower, upper = (np.broadcast_to(np.asarray(t, float), a_plus.shape) for t in tau)
    return LinearCells(
        a_plus=a_plus, a_minus=a_minus, lower=lower, upper=upper, dw_min=dw_min, cycle_noise=noise, live=live
    )


def default_array(cells_each_way: int, dw_min: float, seed: int = 7, sigma: float = 0.3) -> LinearCells:
    """gamma = exp(.3 N), rho = .3 + .3 N clipped to .95 gamma, bounds +-1: the array of Figure 1."""
    rng = np.random.default_rng(seed)
    shape = (cells_each_way, cells_each_way)
    gamma = np.exp(0.3 * rng.standard_normal(shape))
    rho = np.clip(0.3 + 0.3 * rng.standard_normal(shape), -0.95 * gamma, 0.95 * gamma)
    return linear_cells(gamma + rho, gamma - rho, dw_min, noise=Noise(sigma))


@dataclass(frozen=True, kw_only=True)
class ResponseCells(Steps):
    """One cell from two plain functions; its symmetric point by bisection."""

    q_plus: Law
    q_minus: Law
    dw_min: float
    lower: np.ndarray = field(default_factory=lambda: np.array([-1.0]))
    upper: np.ndarray = field(default_factory=lambda: np.array([1.0]))
    cycle_noise: Noise = QUIET
    linear: None = None
    shape: tuple[int, ...] = (1,)

    @property
    def symmetric_point(self) -> np.ndarray:
        low, high = self.lower.copy(), self.upper.copy()
        for _ in range(60):
            middle = (low + high) / 2
            rising = self.q_plus(middle) > self.q_minus(middle)
            low, high = np.where(rising, middle, low), np.where(rising, high, middle)
        return (low + high) / 2


def exponential_cells(dw_min: float, noise: Noise = QUIET, *, up=1.2, down=0.8, rate=3.0) -> ResponseCells:
    """Soft exponential: q falls from its largest value to 0 at the bound."""

    def shape(u: np.ndarray) -> np.ndarray:
        return (np.exp(rate * u) - 1) / (np.exp(rate) - 1)

    return ResponseCells(
        q_plus=lambda w: up * shape((1 - w) / 2),
        q_minus=lambda w: down * shape((1 + w) / 2),
        dw_min=dw_min,
        cycle_noise=noise,
    )


def power_cells(dw_min: float, exponent: float, noise: Noise = QUIET, *, up=1.2, down=0.8) -> ResponseCells:
    """q = a (distance to the bound / range)^exponent."""
    return ResponseCells(
        q_plus=lambda w: up * np.clip((1 - w) / 2, 0, None) ** exponent,
        q_minus=lambda w: down * np.clip((1 + w) / 2, 0, None) ** exponent,
        dw_min=dw_min,
        cycle_noise=noise,
    )


STICKING_DW_MIN = 1e-2
STICKING_SLOPE = 0.0356


def _sticking_mean(w: np.ndarray) -> np.ndarray:
    return 1 + 10 * np.clip(w + 0.5, 0, 0.05)


def sticking_q_plus(w: np.ndarray) -> np.ndarray:
    """F - G with F = 1 + 10 ramp(w) (ramp: 0 below -.5, rising to .05 at -.45) and G = .0356 (w - .9)."""
    return _sticking_mean(w) - STICKING_SLOPE * (w - 0.9)


def sticking_q_minus(w: np.ndarray) -> np.ndarray:
    """F + G of the same device: on its ramp a down pulse undoes the up pulse before it."""
    return _sticking_mean(w) + STICKING_SLOPE * (w - 0.9)


def sticking_cells() -> ResponseCells:
    """Device on which cyclic zero-shifting sticks at -.5, far from its symmetric point at .9."""
    return ResponseCells(q_plus=sticking_q_plus, q_minus=sticking_q_minus, dw_min=STICKING_DW_MIN)


def weights_under_zero_shifting(cells, mode, pulses, start, replicas=1, seed=0):
    """Yield weights [replicas, *shape] before the first pulse and after each, clipped at the bounds."""
    rng = np.random.default_rng(seed)
    w = np.broadcast_to(np.asarray(start, float), (replicas, *cells.shape)).copy()
    zero = np.zeros(cells.shape)
    sigma, additive, offset, slope = cells.cycle_noise
    yield w
    for n in range(pulses):
        up = np.full(w.shape, n % 2 == 0) if mode == "cyclic" else rng.random(w.shape) < 0.5
        step = np.where(up, cells.q_plus(w), -cells.q_minus(w))
        if sigma:
            level = np.where(up, cells.q_plus(zero), cells.q_minus(zero)) if additive else np.abs(step)
            deviation = sigma * (level + (offset + slope * np.abs(w)) / cells.dw_min)
            step = step + deviation * rng.standard_normal(w.shape)
        w = np.clip(w + cells.dw_min * step, cells.lower, cells.upper)
        yield w


def measure(cells, kind, pulses, start, replicas=1, seed=0) -> tuple[float, float]:
    """Simulated value of what a bound speaks of, and its standard error."""
    total, samples, point = np.zeros(replicas), 0, cells.symmetric_point
    for n, w in enumerate(weights_under_zero_shifting(cells, kind.mode, pulses, start, replicas, seed)):
        stride = 2 if kind.samples == "after down" else 1
        taken = n == pulses if kind.samples == "last" else n < pulses and n % stride == 0
        if taken:
            value = w - point
            if kind.quantity == "asymmetry":
                value = cells.G(w)
            total += (value**2).sum(axis=tuple(range(1, w.ndim)))
            samples += 1
    mean = total / samples
    return float(mean.mean()), float(mean.std() / np.sqrt(replicas))
