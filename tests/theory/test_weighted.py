"""The error of a weighted mean after K steps: against another derivation and simulation of the model."""

import numpy as np
import pytest

from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.devices import Device, cells_from_parameters
from sptrack.errors import ParameterError
from sptrack.theory import GradientStatistics, error_after, linearise
from sptrack.theory.weighted import error_of_weights


def loop(number=1, **gradient):
    scales = {"step_up": np.full((1, number), 1.3e-3), "step_down": np.full((1, number), 0.7e-3)}
    cells = cells_from_parameters(Device(dw_min=1e-3), scales)
    return linearise(cells, alpha=0.01, gradient=GradientStatistics(**gradient))


@pytest.mark.parametrize("steps", [1, 30, 500, 3000])
@pytest.mark.parametrize("chopper", [Chopper(p=0.1), None], ids=["telegraph", "none"])
def test_the_weights_of_an_ema_give_the_error_of_an_ema(steps, chopper):
    made, eta = loop(mean=0.3, std=1.0), 0.004
    weights = eta * (1 - eta) ** np.arange(steps)
    found = error_of_weights(made, weights, start=-0.3, chopper=chopper, read_noise=0.02)
    known = error_after(made, eta, steps, start=-0.3, chopper=chopper, read_noise=0.02)
    np.testing.assert_allclose(found, known, rtol=1e-9)


@pytest.mark.parametrize("chopper", [Chopper(p=0.1), PeriodicChopper(half_period=5)], ids=str)
def test_any_weights_against_the_recursion_itself(chopper):
    # x' = a x - alpha q0 m c + noise, 20000 runs with the chopper at a random place: std to 0.5 % (1 sigma)
    made, rng, steps, runs = loop(mean=1.0, std=0.3), np.random.default_rng(1), 60, 20000
    weights = rng.uniform(0, 2 / steps, steps)
    a, start = made.pole[0, 0], 0.2
    if isinstance(chopper, Chopper):
        flips = rng.random((steps, runs)) < chopper.p
        signs = rng.choice([-1, 1], runs) * np.cumprod(1 - 2 * flips, axis=0)
    else:
        signs = chopper.signs(0, 2000)[np.arange(steps)[:, None] + rng.integers(0, 10, runs)]
    x, q = np.full(runs, start), (1 - weights.sum()) * np.full(runs, start)
    for k in range(steps):
        noise = np.sqrt(made.white[0, 0]) * rng.standard_normal(runs)
        x = a * x - made.chopped[0, 0] * signs[k] + noise
        q += weights[steps - 1 - k] * x
    mean, variance = error_of_weights(made, weights, start=start, chopper=chopper)
    bias = made.predict(1.0, chopper).bias[0, 0]
    left = float(weights @ a ** np.arange(steps, 0, -1.0))
    assert q.std() == pytest.approx(np.sqrt(variance[0, 0]), rel=0.02)
    plain = mean[0, 0] - bias * (weights.sum() - left)
    assert q.mean() == pytest.approx(plain, abs=4 * q.std() / np.sqrt(runs))


def test_without_memory_of_the_start_only_the_bias_is_left():
    made = loop(mean=0.3, std=1.0)
    weights = np.full(4000, 1 / 4000)
    weights[3000:] = 0
    weights /= weights.sum()
    chopper = Chopper(p=0.1)
    mean, _ = error_of_weights(made, weights, start=5.0, chopper=chopper)
    assert mean[0, 0] == pytest.approx(made.predict(1.0, chopper).bias[0, 0], abs=5 * made.pole[0, 0] ** 1000)


def test_cells_without_a_stable_pole_have_no_error():
    made = loop(number=2, mean=0.3, std=1.0)
    object.__setattr__(made, "pole", np.array([[0.9, 1.1]]))
    mean, variance = error_of_weights(made, [0.5, 0.5], start=0.1)
    assert np.isfinite([mean[0, 0], variance[0, 0]]).all()
    assert np.isnan([mean[0, 1], variance[0, 1]]).all()


@pytest.mark.parametrize("weights", [[], [[1.0]], [np.nan]])
def test_refused_weights(weights):
    with pytest.raises(ParameterError, match="weights must be .*got shape"):
        error_of_weights(loop(), weights, start=0.0)
