"""Coverage of intervals on synthetic cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from sptrack.fitting._filter import Program
from sptrack.fitting.estimate import estimate
from sptrack.fitting.laws import Floats, Law
from sptrack.intervals import wilson_interval
from sptrack.values import as_seed, check_choice, check_whole

__all__ = ["Coverage", "Setting", "coverage", "simulated_readings"]

_BATCH = 250
_EXPONENT, _RATE, _SLOPE = 2.0, 2.0, 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A cell with bounds at -1 and 1, pulsed up from ``start[0]`` and down from ``start[1]``.

    Parameters
    ----------
    family : str
        Family of the cell, and of the fit; the cell of the piecewise family has linear steps, as soft bounds.
    readings : int
        Readings per run, one pulse between them.
    read_noise : float
        Std of the white reading noise, weight units.
    cycle_noise : float
        Std of a step over its mean.
    scale : float
        Steps are 0.02 up and 0.016 down (weight units, at w = 0) times this.
    start : (float, float)
        First states, weight units.
    """

    family: str = "soft-bounds"
    readings: int = 150
    read_noise: float = 0.02
    cycle_noise: float = 1.0
    scale: float = 1.0
    start: tuple[float, float] = (-0.6, 0.6)

    @property
    def steps(self) -> tuple[float, float]:
        """Mean steps up and down at w = 0, weight units."""
        return 0.02 * self.scale, 0.016 * self.scale

    def step(self, side: int, weights: Floats) -> Floats:
        """Mean steps up (0) or down (1) at weights, weight units; what a hard bound leaves of them."""
        x = weights if side == 0 else -weights
        fall = {
            "pow-step": np.maximum(1.0 - x, 0.0) ** _EXPONENT,
            "exp-step": -np.expm1(_RATE * (x - 1.0)) / -np.expm1(-_RATE),
            "soft-exponential": (np.exp(-_RATE * x) - np.exp(-_RATE)) / -np.expm1(-_RATE),
            "linear-step": 1.0 - _SLOPE * x,
        }.get(self.family, 1.0 - x)
        size = self.steps[side] * fall
        return np.asarray(np.minimum(size, 1.0 - x) if self.family == "linear-step" else size)

    @property
    def truth(self) -> dict[str, float]:
        """True values by the names of `MeasuredDevice`."""
        up, down = self.steps
        known = {
            "step_up": up,
            "step_down": down,
            "read_noise": self.read_noise,
            "cycle_noise": self.cycle_noise,
            "symmetric_point": float(brentq(lambda w: float(self.step(0, w) - self.step(1, w)), -0.99, 0.99)),
        }
        return known | ({"tau_max": 1.0, "tau_min": -1.0} if self.family == "soft-bounds" else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Share of repeats whose interval holds the truth, with its Wilson 95 % interval, and how it fails.

    ``below``, ``above``: shares in which the truth lies below or above the interval. ``bias``, ``scatter``:
    mean and std of estimate minus truth, over the truth (over 1 if that is 0). ``missing``: share of
    intervals of which an end was not found; they count as failures.
    """

    covered: float
    covered_ci: tuple[float, float]
    below: float
    above: float
    bias: float
    scatter: float
    missing: float


def simulated_readings(setting: Setting, repeats: int, seed: int) -> Floats:
    """Readings [repeats, 2 n]: up run, then down run, pulse by pulse with independent normal noises."""
    generator = np.random.default_rng(as_seed(seed))
    out = np.empty((repeats, 2, setting.readings))
    for side, sign in enumerate((1.0, -1.0)):
        state = np.full(repeats, setting.start[side])
        for k in range(setting.readings):
            out[:, side, k] = state + setting.read_noise * generator.standard_normal(repeats)
            step = setting.step(side, state)
            state = state + sign * step * (1.0 + setting.cycle_noise * generator.standard_normal(repeats))
    return out.reshape(repeats, -1)


def coverage(
    setting: Setting, names: Sequence[str], *, repeats: int = 1000, seed: int = 0, resamples: int = 20
) -> dict[str, Coverage]:
    """Fit many synthetic repeats and count how often each interval holds the truth.

    Parameters
    ----------
    setting : Setting
        The cell and its readings.
    names : sequence of str
        Parameters, by the names of `Setting.truth`.
    repeats : int
        Number of repeats, at least 1.
    seed : int
        Seed of the noise.
    resamples : int
        Resamples behind each interval. The limits allow for their number: fewer make intervals longer.

    Raises
    ------
    ParameterError
        Fewer than 1 repeat, or an unknown name.
    """
    check_whole("repeats", repeats, 1)
    for name in names:
        check_choice("name", name, setting.truth)
    readings = simulated_readings(setting, repeats, seed)
    sign = np.r_[np.ones(setting.readings, np.int64), -np.ones(setting.readings, np.int64)]
    program = Program(sign, (sign < 0).astype(np.int64))
    low, high = (float(f(readings.mean(axis=0))) for f in (np.min, np.max))
    law = Law(family=setting.family, low=low, high=high)
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for batch in np.array_split(readings, -(-repeats // _BATCH)):
        for _, fitted in estimate(law, program, batch):
            ends, values = fitted.intervals(tuple(names), resamples=resamples, seed=seed), fitted.named()
            for name in names:
                found[name].append(np.column_stack([values[name], ends[name]]))
    return {name: _count(np.concatenate(rows), setting.truth[name]) for name, rows in found.items()}


def _count(rows: Floats, truth: float) -> Coverage:
    values, low, high = rows.T
    below, above, missing = truth < low, truth > high, np.isnan(low + high)
    fraction = 1.0 - float(np.mean(below | above | missing))
    scaled = (values - truth) / (abs(truth) or 1.0)
    return Coverage(
        covered=fraction,
        covered_ci=wilson_interval(fraction, values.size),
        below=float(below.mean()),
        above=float(above.mean()),
        bias=float(scaled.mean()),
        scatter=float(scaled.std()),
        missing=float(missing.mean()),
    )
