"""The open loop in plain numpy, drawn by numpy's generators: a reference for the predictions of the loop.

Lanes are independent runs of one cell: P takes the pulses of a chopped normal gradient, one after the other,
each with its own cycle noise; Q is P, plus read noise, through a filter.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter


@dataclass(frozen=True, kw_only=True)
class LinearCell:
    """Steps dw (up - slope_up w) and dw (down + slope_down w); relative cycle noise ``noise``; no bounds."""

    up: float = 1.3
    down: float = 0.7
    slope_up: float = 1.3
    slope_down: float = 0.7
    dw: float = 1e-3
    noise: float = 0.3

    def steps(self, w):
        return self.dw * (self.up - self.slope_up * w), self.dw * (self.down + self.slope_down * w)

    @property
    def point(self):
        return (self.up - self.down) / (self.slope_up + self.slope_down)


@dataclass(frozen=True, kw_only=True)
class PowerCell:
    """Steps dw up ((1 - w)/2)^2 and dw down ((1 + w)/2)^2 between the bounds -1 and 1."""

    up: float = 1.2
    down: float = 0.8
    dw: float = 1e-3
    noise: float = 0.3

    def steps(self, w):
        return self.dw * self.up * ((1 - w) / 2) ** 2, self.dw * self.down * ((1 + w) / 2) ** 2

    @property
    def point(self):
        rho = np.sqrt(self.up / self.down)
        return (rho - 1) / (rho + 1)


def signs_of_telegraph(p, steps, lanes, rng):
    """Signs [steps, lanes] that start at a random one and flip with probability p."""
    flips = rng.random((steps, lanes)) < p
    flips[0] = rng.random(lanes) < 0.5
    return 1.0 - 2.0 * (np.cumsum(flips, axis=0) % 2)


def signs_of_pattern(pattern, steps, lanes, rng):
    """Signs [steps, lanes] of a repeating pattern, each lane at a phase of its own."""
    phase = rng.integers(len(pattern), size=lanes)
    return np.asarray(pattern)[(np.arange(steps)[:, None] + phase) % len(pattern)]


def drawn_counts(wanted, law, slots, rng):
    """Whole pulses for the wanted number of pulses, not signed."""
    if law == "rounded":
        return np.floor(wanted + rng.random(wanted.shape)).astype(int)
    if law == "binomial":
        return rng.binomial(slots, np.minimum(wanted / slots, 1.0))
    return rng.poisson(wanted)


@dataclass(frozen=True, kw_only=True)
class Drive:
    """Gradient mean and std, rate, and how increments become pulses."""

    alpha: float = 0.02
    mean: float = 0.0
    std: float = 0.0
    law: str = "rounded"
    slots: int = 31
    euler: bool = False


def run(cell, drive, signs, *, seed, start=None):
    """P [steps, lanes] after each step, from ``start`` (the symmetric point by default)."""
    rng = np.random.default_rng(seed)
    lanes = signs.shape[1]
    w = np.full(lanes, cell.point if start is None else start)
    out = np.empty(signs.shape)
    for k, c in enumerate(signs):
        gradient = drive.mean + drive.std * rng.standard_normal(lanes)
        wanted = -drive.alpha * c * gradient / cell.dw
        count = drawn_counts(np.abs(wanted), drive.law, drive.slots, rng)
        w = (_euler if drive.euler else _pulses)(cell, w, wanted > 0, count, rng)
        out[k] = w
    return out


def _pulses(cell, w, up, count, rng):
    """One pulse after the other on the lanes that still have one to come, most pulses first."""
    order = np.argsort(-count)
    x, rising, left = w[order], up[order], count[order]
    for k in range(left[0]):
        n = np.count_nonzero(left > k)
        y = x[:n]
        plus, minus = cell.steps(y)
        push = np.where(rising[:n], plus, -minus)
        if cell.noise:
            push = push * (1 + cell.noise * rng.standard_normal(n))
        x[:n] = np.clip(y + push, -1.0, 1.0)
    out = np.empty_like(w)
    out[order] = x
    return out


def _euler(cell, w, up, count, rng):
    plus, minus = cell.steps(w)
    noisy = count + cell.noise * np.sqrt(count) * rng.standard_normal(w.size)
    return w + np.where(up, plus, -minus) * noisy


def ema(p, eta, start, read_noise=0.0, seed=0):
    """Q [steps, lanes] of the reads of P, from ``start``."""
    reads = p
    if read_noise:
        reads = p + read_noise * np.random.default_rng(seed).standard_normal(p.shape)
    first = np.full((1, p.shape[1]), (1 - eta) * start)
    return lfilter([eta], [1.0, eta - 1.0], reads, axis=0, zi=first)[0]


def lane_statistics(series):
    """Mean over lanes of the time averages, and its standard error."""
    averages = series.mean(axis=0)
    return averages.mean(), averages.std(ddof=1) / np.sqrt(averages.size)
