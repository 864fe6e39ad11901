"""Counts of a count law against scipy's inverse distribution functions, word by word."""

import numpy as np
import pytest
from scipy import stats

from sptrack.kernels.counts import BINOMIAL, POISSON, draw_counts
from sptrack.kernels.random import TILE, Draws, stream_key

CELLS = 700


def counted(wanted, law, slots=1, near=()):
    """Signed counts of ``wanted`` pulses, and the uniform numbers that decided them.

    These are drawn, or lie within 1e-6 of one of the probabilities ``near``.
    """
    key, rng = stream_key(1, "counts"), np.random.default_rng(2)
    words = rng.integers(0, 2**32, (-(-CELLS // TILE), 4, TILE), dtype=np.uint32)
    if len(near):
        drawn = 2.0**32 * (rng.choice(near, words.shape) + rng.uniform(-1e-6, 1e-6, words.shape))
        words = np.clip(drawn, 0, 2**32 - 1).astype(np.uint32)
    out = np.zeros(CELLS, np.int32)
    draws = Draws(key, key, np.uint32(0), np.uint32(6))
    draw_counts(wanted, (1.0, law, slots), draws, (0, CELLS), out, words, False)
    return out, (words[:, 2].ravel()[:CELLS] + 0.5) / 2.0**32


def signed(size, seed=3):
    return size * np.random.default_rng(seed).choice([-1.0, 1.0], CELLS)


@pytest.mark.parametrize("slots", [1, 2, 7, 8, 9, 31, 1000])
@pytest.mark.parametrize("p", [1e-6, 0.003, 0.4, 0.6, 0.997, 1.0, 1.3])
def test_binomial_counts_invert_the_distribution(slots, p):
    wanted = signed(np.full(CELLS, p * slots))
    got, uniform = counted(wanted, BINOMIAL, slots)
    expected = stats.binom.ppf(uniform, slots, min(p, 1.0))
    if 0.5 < p < 1.0:  # inverted by what stays away
        expected = slots - stats.binom.ppf(uniform, slots, 1.0 - p)
    np.testing.assert_array_equal(got, np.sign(wanted) * expected)


@pytest.mark.parametrize("mean", [0.0, 1e-6, 0.5, 3.0, 7.9, 31.9])
def test_poisson_counts_invert_the_distribution(mean):
    wanted = signed(np.full(CELLS, mean))
    got, uniform = counted(wanted, POISSON)
    np.testing.assert_array_equal(got, np.sign(wanted) * stats.poisson.ppf(uniform, mean))


@pytest.mark.parametrize("mean", [0.01, 0.5, 3.0, 7.9])
def test_poisson_counts_are_right_beside_the_steps_of_the_distribution(mean):
    """Where single precision could decide otherwise than double precision."""
    got, uniform = counted(np.full(CELLS, mean), POISSON, near=stats.poisson.cdf(np.arange(8), mean))
    np.testing.assert_array_equal(got, stats.poisson.ppf(uniform, mean))


@pytest.mark.parametrize("slots", [5, 31, 1000])
@pytest.mark.parametrize("mean", [0.01, 0.5, 2.4])
def test_binomial_counts_are_right_beside_the_steps_of_the_distribution(slots, mean):
    p = mean / slots
    near = stats.binom.cdf(np.arange(min(slots, 8)), slots, p)
    got, uniform = counted(np.full(CELLS, mean), BINOMIAL, slots, near)
    np.testing.assert_array_equal(got, stats.binom.ppf(uniform, slots, p))


def test_poisson_counts_of_large_means_are_sums():
    """Means beyond 32 are split; mean and variance within 4 sigma (700 cells, sigma of a mean .6)."""
    got, _ = counted(np.full(CELLS, 250.0), POISSON)
    assert abs(got.mean() - 250.0) < 4 * (250.0 / CELLS) ** 0.5
    assert abs(got.var(ddof=1) / 250.0 - 1.0) < 4 * (2.0 / CELLS) ** 0.5
