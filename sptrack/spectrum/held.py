"""Max-hold, min-hold and percentile spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc, gammaincinv

from sptrack.errors import ParameterError
from sptrack.spectrum.streams import Real
from sptrack.values import check_number

PERCENTILES = (10.0, 50.0, 90.0)
_HALVINGS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldSpectrum:
    """Order statistics of periodograms, bin by bin (`sptrack.spectrum.Welch.held`).

    Attributes
    ----------
    omega : array [bins]
        0 to pi, rad per sample.
    maximum, minimum, mean : arrays [bins]
        Two-sided densities, units squared per cycle per sample.
    percentiles : tuple of float
        Percent.
    levels : array [percentiles, bins]
        Densities that so many percent of the periodograms do not exceed.
    periodograms, cells : int
        Segments times cells; cells.
    """

    omega: Real
    maximum: Real
    minimum: Real
    mean: Real
    percentiles: tuple[float, ...]
    levels: Real
    periodograms: int
    cells: int

    @property
    def freedom(self) -> Real:
        """Degrees of freedom [bins] of one periodogram of a Gaussian stream: 2, but 1 at omega = 0 and pi."""
        freedom = np.full(self.omega.shape, 2.0)
        freedom[self.omega == 0] = 1.0
        freedom[np.isclose(self.omega, np.pi)] = 1.0
        return freedom

    def gaussian(self, shares: Real | None = None) -> Real:
        """Expected `levels` over the mean density [percentiles, bins] for steady Gaussian streams.

        Quantiles of chi-square over its degrees of freedom; ln(1/(1 - q)) at q = percent / 100 inside, where
        the periodogram is exponential. Densities must be flat over a bin.

        Parameters
        ----------
        shares : array [cells, bins], optional
            Density of each cell over the mean of all: the quantiles are those of the mixture. Default: cells
            alike.
        """
        half = self.freedom / 2
        level = np.array(self.percentiles)[:, None] / 100
        alike = gammaincinv(half, level) / half
        if shares is None:
            return np.asarray(alike)
        scale = np.maximum(shares, np.finfo(np.float64).tiny)
        low, high = alike * scale.min(axis=0), alike * scale.max(axis=0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            reached = np.stack([gammainc(half, half * one / scale).mean(axis=0) for one in middle])
            low, high = np.where(reached < level, middle, low), np.where(reached < level, high, middle)
        return np.asarray((low + high) / 2)

    def gaussian_ends(self) -> tuple[float, float]:
        """Expected `minimum` and `maximum` over the mean density, inside, for a steady Gaussian stream.

        1/n and 1 + 1/2 + ... + 1/n for n independent periodograms; overlapping segments count as
        independent, so that the maximum expected is a little high.
        """
        n = self.periodograms
        return 1 / n, float(np.sum(1 / np.arange(1, n + 1)))


def held_spectrum(omega: Real, each: Real, percentiles: Sequence[float], cells: int) -> HeldSpectrum:
    """Order statistics of periodograms [bins, periodograms]. Errors: percentiles that do not fit."""
    for percent in percentiles:
        check_number("percentile", percent, least=0, most=100)
    if sorted(percentiles) != list(percentiles):
        raise ParameterError(f"percentiles must rise, got {list(percentiles)}")
    return HeldSpectrum(
        omega=omega,
        maximum=each.max(axis=1),
        minimum=each.min(axis=1),
        mean=each.mean(axis=1),
        percentiles=tuple(float(percent) for percent in percentiles),
        levels=np.percentile(each, percentiles, axis=1),
        periodograms=each.shape[1],
        cells=cells,
    )
