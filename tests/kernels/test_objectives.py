"""Compiled gradients against central differences of the objectives written out, in float64."""

import numpy as np
import pytest

from sptrack.kernels.objectives import (
    constant,
    gradient_of,
    gradient_scratch,
    is_separable,
    least_squares,
    logistic,
    quadratic,
    separable,
)

N, SAMPLES = 6, 11
RNG = np.random.default_rng(12)
FEATURES = RNG.standard_normal((SAMPLES, N))
ROOT = RNG.standard_normal((N, N))
LABELS = np.where(RNG.random(SAMPLES) < 0.5, -1.0, 1.0)
TARGETS, OPTIMUM, SLOPE = RNG.standard_normal(SAMPLES), RNG.standard_normal(N), RNG.standard_normal(N)
CURVATURE = RNG.uniform(0.1, 2.0, N)

VALUES = {
    "separable": (
        separable(CURVATURE, OPTIMUM),
        lambda w: np.sum(CURVATURE * (w - OPTIMUM) ** 2) / 2,
    ),
    "constant": (constant(SLOPE), lambda w: SLOPE @ w),
    "quadratic": (
        quadratic(ROOT @ ROOT.T, OPTIMUM),
        lambda w: np.sum((ROOT.T @ (w - OPTIMUM)) ** 2) / 2,
    ),
    "least-squares": (
        least_squares(FEATURES, TARGETS),
        lambda w: np.mean((FEATURES @ w - TARGETS) ** 2) / 2,
    ),
    "logistic": (
        logistic(FEATURES, LABELS, 0.3),
        lambda w: np.mean(np.log1p(np.exp(-LABELS * (FEATURES @ w)))) + 0.15 * np.sum(w**2),
    ),
}
EVERY = pytest.mark.parametrize("name", VALUES)


@EVERY
def test_gradient_is_the_derivative(name):
    """Central differences with h = 1e-5, at the float32 weights: to the rounding of float32 sums."""
    objective, value = VALUES[name]
    w = np.random.default_rng(3).standard_normal(N).astype(np.float32)
    h = 1e-5
    numeric = [(value(w + h * e) - value(w - h * e)) / (2 * h) for e in np.eye(N)]
    g = gradient_of(objective, w)
    assert g.dtype == np.float32
    np.testing.assert_allclose(g, numeric, rtol=2e-6, atol=8e-6)


@pytest.mark.parametrize("name", ["separable", "constant"])
def test_a_part_of_a_separable_objective_stands_alone(name):
    """What a tile of cells sees: the objective of those cells alone."""
    parts = {
        "separable": separable(CURVATURE[2:5], OPTIMUM[2:5]),
        "constant": constant(SLOPE[2:5]),
    }
    w = np.random.default_rng(5).standard_normal(N)
    np.testing.assert_array_equal(gradient_of(parts[name], w[2:5]), gradient_of(VALUES[name][0], w)[2:5])


@EVERY
def test_weights_are_left_alone(name):
    objective, _ = VALUES[name]
    w = np.ones(N, np.float32)
    gradient_of(objective, w)
    np.testing.assert_array_equal(w, 1.0)


@EVERY
def test_every_objective_is_one_type(name):
    """One record with empty fields: shapes differ, types and dimensions do not."""
    objective, _ = VALUES[name]
    one = VALUES["separable"][0]
    for mine, other in zip(objective, one, strict=True):
        assert type(mine) is type(other)
        if isinstance(mine, np.ndarray):
            assert (mine.dtype, mine.ndim) == (other.dtype, other.ndim) == (np.float32, other.ndim)


@EVERY
def test_scratch_and_kind(name):
    objective, _ = VALUES[name]
    assert len(gradient_scratch(objective)) == (SAMPLES if name in ("least-squares", "logistic") else 0)
    assert is_separable(objective) == (name in ("separable", "constant"))
