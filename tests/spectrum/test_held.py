"""Held spectra: order statistics by hand, and the law of Gaussian periodograms."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.spectrum import Welch


def test_order_statistics_of_segments_by_hand():
    x = np.random.default_rng(0).normal(size=(96, 2))
    welch = Welch(segment=16, overlap=0.0, window="boxcar", centre="none")
    held = welch.held(x, percentiles=(0, 25, 100))
    each = np.abs(np.fft.rfft(x.reshape(6, 16, 2), axis=1)) ** 2 / 16
    each = each.transpose(1, 0, 2).reshape(9, 12)
    assert held.periodograms == 12
    np.testing.assert_allclose(held.maximum, each.max(axis=1))
    np.testing.assert_allclose(held.minimum, each.min(axis=1))
    np.testing.assert_allclose(held.levels, np.percentile(each, (0, 25, 100), axis=1))
    np.testing.assert_allclose(held.mean, welch.estimate(x).density)


def test_white_noise_follows_the_law_of_gaussian_periodograms():
    # 2000 periodograms: a percentile of an exponential is off by at most 4 % (1 sigma), 29 bins averaged 1 %
    x = np.random.default_rng(1).normal(size=(64 * 250, 8))
    held = Welch(segment=64, overlap=0.0, centre="none").held(x)
    ratio = held.levels / held.gaussian()
    np.testing.assert_allclose(ratio[:, 2:-2].mean(axis=1), 1, atol=0.04)
    np.testing.assert_allclose(held.gaussian()[:, 5], -np.log1p([-0.1, -0.5, -0.9]))
    low, high = held.gaussian_ends()
    assert high == pytest.approx(np.log(2000) + np.euler_gamma, rel=1e-3)
    # the spread of a maximum is pi/sqrt 6 = 1.28; neighbours of a Hann window share some of it
    assert held.maximum[2:-2].mean() == pytest.approx(high, abs=1.0)
    assert held.minimum[2:-2].mean() == pytest.approx(low, rel=0.8)


def test_max_hold_shows_a_burst_that_the_mean_hides():
    x = np.random.default_rng(2).normal(size=64 * 400)
    burst = slice(64 * 100, 64 * 101)
    x[burst] += 2 * np.cos(2 * np.pi * 10 * np.arange(64) / 64)
    held = Welch(segment=64, overlap=0.0, centre="none").held(x)
    others = np.delete(np.arange(5, 28), [4, 5, 6])
    assert held.maximum[10] > 2 * held.maximum[others].max()
    assert held.mean[10] < 1.5 * held.mean[others].max()


def test_cells_of_different_density_make_a_mixture():
    # 8000 periodograms of cells of two variances: a percentile within 4 % (1 sigma), bins averaged below 1 %
    x = np.random.default_rng(3).normal(size=(64 * 250, 32)) * np.where(np.arange(32) % 2, 0.2, 1.0)
    held = Welch(segment=64, overlap=0.0, window="boxcar", centre="none").held(x)
    mean = (1 + 0.04) / 2
    shares = np.where(np.arange(32) % 2, 0.04, 1.0)[:, None] / mean * np.ones(33)
    ratio = held.levels / (mean * held.gaussian(shares))
    np.testing.assert_allclose(ratio[:, 1:-1].mean(axis=1), 1, atol=0.03)
    np.testing.assert_allclose(held.gaussian(np.ones((3, 33))), held.gaussian(), rtol=1e-6)


@pytest.mark.parametrize("wrong", [(-1.0,), (101.0,), (50.0, 10.0)])
def test_percentiles_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ParameterError, match="percentile"):
        Welch(segment=16).held(np.ones(32), percentiles=wrong)
