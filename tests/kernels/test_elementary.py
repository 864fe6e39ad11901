import numpy as np
import pytest

from sptrack.kernels._jit import kernel
from sptrack.kernels.elementary import exp, log32, power


@kernel
def _log(x, out):
    for i in range(x.size):
        out[i] = log32(x[i])


@kernel
def _exp(x, out):
    for i in range(x.size):
        out[i] = exp(x[i])


@kernel
def _power(x, y, out):
    for i in range(x.size):
        out[i] = power(x[i], y[i])


def evaluate(function, *arguments):
    out = np.empty_like(arguments[0])
    function(*arguments, out)
    return out


def points(low, high, count=2000, seed=1):
    return np.random.default_rng(seed).uniform(low, high, count)


@pytest.mark.parametrize("spread", [80.0, 1.0, 1e-3])
def test_log_within_two_and_a_half_units_in_the_last_place(spread):
    x = np.exp(points(-spread, spread)).astype(np.float32)
    truth = np.log(x.astype(np.float64))
    assert np.max(np.abs(evaluate(_log, x) - truth) / np.spacing(np.abs(truth).astype(np.float32))) < 2.5


@pytest.mark.parametrize("limit", [1.0, 80.0])
def test_exp_within_its_stated_error(limit):
    x = points(-limit, limit).astype(np.float32)
    np.testing.assert_allclose(evaluate(_exp, x), np.exp(x.astype(np.float64)), rtol=3e-7)


def test_exp_saturates_instead_of_overflowing():
    low, least = evaluate(_exp, np.array([-500.0, -87.0], np.float32))
    assert low == least < 2e-38
    assert np.isfinite(evaluate(_exp, np.array([500.0], np.float32))[0])


def test_power_within_its_stated_errors():
    x, y = points(0.0, 1.0).astype(np.float32), points(0.2, 5.0, seed=2).astype(np.float32)
    truth = x.astype(np.float64) ** y.astype(np.float64)
    got = evaluate(_power, x, y).astype(np.float64)
    assert np.max(np.abs(got - truth)) < 3e-7
    large = truth > 3e-4
    assert np.max(np.abs(got / truth - 1.0)[large]) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_power_of_zero_and_below_is_zero(dtype):
    x = np.array([0.0, -1e-9, -0.5], dtype)
    np.testing.assert_array_equal(evaluate(_power, x, np.full(3, 0.7, dtype)), 0.0)


def test_float64_uses_the_exact_functions():
    x = points(0.1, 3.0)
    np.testing.assert_allclose(evaluate(_exp, x), np.exp(x), rtol=1e-15)
    np.testing.assert_allclose(evaluate(_power, x, x), x**x, rtol=1e-15)
