"""Compiled gradients against central differences of the objectives written out, in float64."""

import numpy as np
import pytest

from sptrack.kernels.objectives import (
    LeastSquares,
    Logistic,
    Quadratic,
    Separable,
    gradient,
    is_separable,
    samples,
    zeros_like_objective,
)

N, SAMPLES = 6, 11
RNG = np.random.default_rng(12)
FEATURES = RNG.standard_normal((SAMPLES, N))
ROOT = RNG.standard_normal((N, N))
LABELS = np.where(RNG.random(SAMPLES) < 0.5, -1.0, 1.0)
TARGETS, OPTIMUM = RNG.standard_normal(SAMPLES), RNG.standard_normal(N)
CURVATURE = RNG.uniform(0.1, 2.0, N)

VALUES = {
    "separable": (
        Separable(CURVATURE, OPTIMUM),
        lambda w: np.sum(CURVATURE * (w - OPTIMUM) ** 2) / 2,
    ),
    "quadratic": (
        Quadratic(ROOT @ ROOT.T, OPTIMUM),
        lambda w: np.sum((ROOT.T @ (w - OPTIMUM)) ** 2) / 2,
    ),
    "least-squares": (
        LeastSquares(FEATURES, TARGETS),
        lambda w: np.mean((FEATURES @ w - TARGETS) ** 2) / 2,
    ),
    "logistic": (
        Logistic(FEATURES, LABELS, 0.3),
        lambda w: np.mean(np.log1p(np.exp(-LABELS * (FEATURES @ w)))) + 0.15 * np.sum(w**2),
    ),
}
EVERY = pytest.mark.parametrize("name", VALUES)


def gradient_of(objective, w, start=0):
    g = np.full_like(w, np.nan)
    gradient(objective, w, g, start, zeros_like_objective(objective))
    return g


@EVERY
def test_gradient_is_the_derivative(name):
    """Central differences with h = 1e-5: truncation and rounding below 1e-8."""
    objective, value = VALUES[name]
    w = np.random.default_rng(3).standard_normal(N)
    h = 1e-5
    numeric = [(value(w + h * e) - value(w - h * e)) / (2 * h) for e in np.eye(N)]
    np.testing.assert_allclose(gradient_of(objective, w), numeric, rtol=0, atol=1e-8)


@EVERY
def test_single_precision_is_the_double_one_rounded(name):
    objective, _ = VALUES[name]
    single = type(objective)(*(np.float32(field) for field in objective))
    w = np.random.default_rng(4).standard_normal(N)
    g = gradient_of(single, np.float32(w))
    assert g.dtype == np.float32
    np.testing.assert_allclose(g, gradient_of(objective, w), rtol=2e-5, atol=2e-6)


def test_a_part_of_a_separable_objective_stands_alone():
    objective, _ = VALUES["separable"]
    w = np.random.default_rng(5).standard_normal(N)
    np.testing.assert_array_equal(gradient_of(objective, w[2:5], start=2), gradient_of(objective, w)[2:5])


@EVERY
def test_weights_are_left_alone(name):
    objective, _ = VALUES[name]
    w = np.ones(N)
    gradient_of(objective, w)
    np.testing.assert_array_equal(w, 1.0)


@EVERY
def test_scratch_and_kind(name):
    objective, _ = VALUES[name]
    assert samples(objective) == (SAMPLES if name in ("least-squares", "logistic") else 0)
    assert is_separable(objective) == (name == "separable")
