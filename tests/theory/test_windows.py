"""Estimators that start with the run: against plain recursions, explicit weights and drawn pulses."""

import numpy as np
import pytest

from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.devices import Asymmetry, CycleNoise, Device, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.theory import GradientStatistics, error_after, linearise
from sptrack.theory.weighted import error_of_weights
from sptrack.theory.windows import (
    boxcar_error_after,
    boxcar_fraction,
    boxcar_transient,
    corrected_error,
    corrected_transient,
)
from tests.theory.openloop import Drive, LinearCell, run, signs_of_pattern

POLES = (0.97, 0.6, -0.3)


@pytest.fixture
def loop():
    device = Device(
        dw_min=0.004, spread=Spread(asymmetry=Asymmetry(mean=0.3)), cycle_noise=CycleNoise(std=0.3)
    )
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    gradient = GradientStatistics(mean=0.3, std=1.0)
    return linearise(cells, alpha=0.02, gradient=gradient, law="binomial")


@pytest.mark.parametrize("pole", POLES)
def test_corrected_transient_is_that_of_the_recursion(pole):
    x, total, weight = 1.0, 0.0, 0.0
    for k in range(1, 40):
        x *= pole
        total, weight = 0.9 * total + 0.1 * x, 0.9 * weight + 0.1
        assert corrected_transient(pole, 0.1, k) == pytest.approx(total / weight, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("pole", [*POLES, 1.0])
def test_boxcar_transient_is_the_mean_of_the_last_values(pole):
    values = pole ** np.arange(1, 40)
    for k in range(1, 40):
        expected = values[max(k - 12, 0) : k].mean()
        assert boxcar_transient(pole, 12, k) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("pole", POLES)
@pytest.mark.parametrize("length", [1, 2, 30])
def test_boxcar_share_is_the_mean_of_all_pairs(pole, length):
    lags = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    assert boxcar_fraction(pole, length) == pytest.approx(np.mean(pole**lags), rel=1e-9)


def test_corrected_error_is_that_of_its_weights(loop):
    """Weights eta b^n/(1 - b^K) of P_(K-n), none of the start."""
    eta, steps, chopper = 0.02, 60, Chopper(p=0.1)
    given = {"start": -0.3, "chopper": chopper, "read_noise": 0.05}
    mean, variance = corrected_error(*error_after(loop, eta, steps, **given), -0.3, (1 - eta) ** steps)
    weights = eta * (1 - eta) ** np.arange(steps)
    expected = error_of_weights(loop, weights / weights.sum(), **given)
    assert mean.item() == pytest.approx(expected[0].item(), rel=1e-9)
    assert variance.item() == pytest.approx(expected[1].item(), rel=1e-9)


@pytest.mark.parametrize("length", [10, 60, 300])
def test_boxcar_error_is_that_of_equal_weights_once_settled(loop, length):
    """A mean over whole periods: of the chopped mean only what P's pole left of it at the ends remains."""
    given = {"start": -0.3, "read_noise": 0.05}
    steps = 4000
    mean, variance = boxcar_error_after(loop, length, steps, **given)
    weights = np.zeros(steps)
    weights[:length] = 1 / length
    expected = error_of_weights(loop, weights, **given)
    assert mean.item() == pytest.approx(expected[0].item(), rel=1e-9)
    assert variance.item() == pytest.approx(expected[1].item(), rel=1e-6)


def test_boxcar_over_whole_periods_is_that_of_simulated_pulses(loop):
    """600 lanes chopped with half period 10, mean of 200: mean and variance within 4 errors and 3 %."""
    steps, lanes, length = 600, 600, 200
    cell, drive = LinearCell(dw=0.004), Drive(mean=0.3, std=1.0, law="binomial")
    signs = signs_of_pattern([1.0] * 10 + [-1.0] * 10, steps, lanes, np.random.default_rng(5))
    q = run(cell, drive, signs, seed=6, start=0.0)[-length:].mean(axis=0) - cell.point
    chopper = PeriodicChopper(half_period=10)
    mean, variance = boxcar_error_after(loop, length, steps, start=-0.3, chopper=chopper)
    assert abs(q.mean() - mean.item()) < 4 * q.std() / np.sqrt(lanes) + 0.03 * abs(mean.item())
    assert q.var() == pytest.approx(variance.item(), rel=4 * np.sqrt(2 / lanes) + 0.03)


def test_cells_beyond_stability_are_infinite():
    device = Device(dw_min=0.004)
    cells = sample_cells(device, (1, 2), dtype=np.float64)
    wild = linearise(cells, alpha=5.0, gradient=GradientStatistics(std=1.0))
    assert np.isinf(boxcar_error_after(wild, 20, 100, start=0.0)[1]).all()


@pytest.mark.parametrize("length", [0, 101])
def test_a_boxcar_longer_than_the_run_is_refused(loop, length):
    with pytest.raises(ParameterError, match="must lie in 1 .. 100"):
        boxcar_error_after(loop, length, 100, start=0.0)
