"""Ripple and aliasing of a chopper behind a filter that is read every few steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Block, SignSource
from sptrack.blocks.choppers import PatternChopper
from sptrack.theory.chopping import chopped_power
from sptrack.values import check_number, check_whole

Real = NDArray[Any]

_GRID = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChopperBudget:
    """Parts of the chopped signal that reach the decimated reference (`fold_chopper`).

    Attributes
    ----------
    every : int
        Steps between reads of the reference.
    omega : array [lines]
        Lines of the chopper above 0, rad per step.
    gain : array [lines]
        Gain of the filter there.
    alias : array [lines]
        Where the decimated reference has them, 0 to pi, rad per read; 0 is a constant offset.
    level : array [lines]
        Their rms in the reference, both signs of omega together, in the unit of ``amplitude``.
    decibels : array [lines]
        ``level`` over ``chopped``, dB.
    chopped : float
        Rms of the chopped signal before the filter.
    mean : float
        Mean that the mean of the signs leaves, signed.
    offset : float
        Largest constant that lines leave which fold to 0, over the phases of the reads: indistinguishable
        from a shift of the symmetric point.
    ripple : float
        Largest rms, over the phases of the reads, of what lines leave otherwise.
    band, folded : float
        Rms of the density (telegraph) that passes below pi / every, and above, where it folds.
    """

    every: int
    omega: Real
    gain: Real
    alias: Real
    level: Real
    decibels: Real
    chopped: float
    mean: float
    offset: float
    ripple: float
    band: float
    folded: float

    @property
    def total(self) -> float:
        """Rms bound of everything but the mean: offset, ripple and density in quadrature."""
        return float(np.sqrt(self.offset**2 + self.ripple**2 + self.band**2 + self.folded**2))


def fold_chopper(
    chopper: SignSource, low_pass: Block, every: int, *, pole: float = 0.0, amplitude: float = 1.0
) -> ChopperBudget:
    """Budget of ripple and aliases of a chopped signal behind a filter and a decimation.

    The signs go through 1 / (1 - pole / z), the cells, times ``amplitude``, and the filter; the reference is
    read every ``every`` steps. A line at omega appears at every * omega, folded into 0 .. pi. With signs that
    repeat after M steps the reads meet M / gcd(M, every) places of the period, in one of gcd(M, every)
    phases: all is exact. Of a density the sum over all aliases is that before the decimation.

    Parameters
    ----------
    chopper : chopper
        On the clock of the filter.
    low_pass : LinearBlock or Chain of them
        Filter, one sample a step.
    every : int
        Steps between reads, at least 1.
    pole : float
        Pole a of the cells, from above -1 to below 1; 0: the signs themselves.
    amplitude : float
        Chopped increment of a step (`sptrack.theory.Loop.chopped`), weight units, at least 0.

    Returns
    -------
    ChopperBudget

    Raises
    ------
    ParameterError
        A value outside its range, a filter without a frequency response, a chopper that neither repeats nor
        is a telegraph.
    """
    check_whole("every", every, 1)
    check_number("pole", pole, above=-1, below=1)
    check_number("amplitude", amplitude, least=0)
    settled = low_pass.settled

    def gain(omega: Real) -> Real:
        return np.asarray(settled.frequency_response(omega))

    def cells(omega: Real) -> Real:
        return np.asarray(amplitude / (1 - pole * np.exp(-1j * omega)))

    lines = chopper.lines()
    above = lines.omega > 0
    omega = lines.omega[above]
    sides = np.where(np.isclose(omega, np.pi), 1.0, 2.0)
    passed = gain(omega)
    level = np.abs(passed * cells(omega)) * np.sqrt(sides * lines.power[above])
    chopped = float(amplitude * np.sqrt(chopped_power(np.array([pole]), chopper)[0]))
    mean, offset, ripple = _repeating(chopper, every, lambda w: gain(w) * cells(w))
    band, folded = _density(chopper, every, lambda w: np.abs(gain(w) * cells(w)) ** 2)
    with np.errstate(divide="ignore"):
        decibels = 20 * np.log10(level / chopped) if chopped > 0 else np.full(level.shape, -np.inf)
    turned = np.mod(every * omega, 2 * np.pi)
    alias = np.minimum(turned, 2 * np.pi - turned)
    return ChopperBudget(
        every=int(every),
        omega=omega,
        gain=np.abs(passed),
        alias=np.where(alias < 1e-9, 0.0, alias),
        level=level,
        decibels=decibels,
        chopped=chopped,
        mean=mean,
        offset=offset,
        ripple=ripple,
        band=band,
        folded=folded,
    )


def _repeating(chopper: SignSource, every: int, response: Any) -> tuple[float, float, float]:
    """Mean, largest offset and largest ripple over the phases of the reads of signs that repeat."""
    if isinstance(chopper, PatternChopper):
        signs = np.asarray(chopper.pattern(), np.float64)
    else:
        lines = chopper.lines()
        if not lines.omega.size:
            return 0.0, 0.0, 0.0
        signs = np.array([1.0]) if lines.omega[0] == 0 else np.array([1.0, -1.0])
    period = signs.size
    omega = 2 * np.pi * np.arange(period // 2 + 1) / period
    settled = np.fft.irfft(np.fft.rfft(signs) * response(omega), period)
    mean = float(settled.mean())
    phases = gcd(every, period)
    seen = (settled - mean).reshape(-1, phases)
    return mean, float(np.abs(seen.mean(axis=0)).max()), float(seen.std(axis=0).max())


def _density(chopper: SignSource, every: int, power: Any) -> tuple[float, float]:
    """Rms of the density that passes below pi / every, and of the rest."""
    omega = np.pi * (np.arange(_GRID) + 0.5) / _GRID
    density = np.asarray(chopper.psd(omega))
    if not density.any():
        return 0.0, 0.0
    passed = density * power(omega) / _GRID
    inside = omega < np.pi / every
    return float(np.sqrt(passed[inside].sum())), float(np.sqrt(passed[~inside].sum()))
