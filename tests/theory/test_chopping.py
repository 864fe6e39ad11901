"""Poles, filters and choppers: shares, gains and cycles against sums over plain recursions."""

import numpy as np
import pytest

from sptrack.theory import loop_pole, passed_share, passed_share_periodic, periodic_gain, telegraph_gain


@pytest.mark.parametrize(("pole", "eta"), [(0.95, 0.02), (-0.3, 0.4), (0.9, 1.0)])
def test_passed_share_is_the_energy_behind_both_poles(pole, eta):
    """White noise through a pole, then through the filter: energies of the impulse responses."""
    first = pole ** np.arange(3000)
    second = np.convolve(first, eta * (1 - eta) ** np.arange(3000))[:3000]
    assert passed_share(pole, eta) == pytest.approx(np.sum(second**2) / np.sum(first**2))


def test_passed_share_at_its_limits():
    assert passed_share(0.0, 0.1) == pytest.approx(0.1 / 1.9)
    assert passed_share(1.0, 0.1) == pytest.approx(1.0)
    assert passed_share(1.1, 0.1) == passed_share(np.nan, 0.1) == np.inf


def test_telegraph_gain_is_that_of_the_recursion():
    """Mean of c x' over 4e6 steps of 40 chains; its std over the chains gives the error of the mean."""
    a, p, drive = 0.98, 0.02, 0.01
    rng = np.random.default_rng(1)
    c, x, total = np.ones(40), np.zeros(40), np.zeros(40)
    for step in range(101000):
        c = np.where(rng.random(40) < p, -c, c)
        x = a * x - drive * c
        total += c * x if step >= 1000 else 0.0
    mean = total / 100000
    predicted = -drive * telegraph_gain(a, 1 - 2 * p)
    assert abs(mean.mean() - predicted) < 4 * mean.std(ddof=1) / np.sqrt(40)
    assert 4 * mean.std(ddof=1) / np.sqrt(40) < 0.02 * abs(predicted)


@pytest.mark.parametrize(("pole", "half"), [(0.98, 25), (0.7, 1), (0.999, 7)])
def test_periodic_gain_and_share_are_those_of_the_recursion(pole, half):
    """Sums over the last period of a deterministic run; pole = 1 - eta makes the loop the filter, over
    eta."""
    c = np.where(np.arange(2 * half * 3000) // half % 2 == 0, 1.0, -1.0)
    x = np.zeros(len(c) + 1)
    for k, sign in enumerate(c):
        x[k + 1] = pole * x[k] + sign
    last = slice(-2 * half, None)
    assert periodic_gain(pole, half) == pytest.approx(np.mean(c[last] * x[1:][last]), rel=1e-6)
    share = np.mean((x[1:][last] * (1 - pole)) ** 2)
    assert passed_share_periodic(half, 1 - pole) == pytest.approx(share, rel=1e-6)


def test_gains_agree_where_the_choppers_are_the_same():
    """Flipping at every step is a telegraph with p = 1 and a half period of 1."""
    assert periodic_gain(0.8, 1) == pytest.approx(telegraph_gain(0.8, -1.0))
    assert periodic_gain(1.0, 50) == pytest.approx(periodic_gain(1 - 1e-7, 50), rel=1e-3)
    assert telegraph_gain(1.0, 1.0) == np.inf
    assert (passed_share_periodic(7, 0.0), passed_share_periodic(7, 1.0)) == (0.0, 1.0)
    assert loop_pole(0.0, 1.0, 1.0) == 1.0
