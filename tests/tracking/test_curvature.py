"""Mean gradients and curvatures of the problems against closed forms."""

import numpy as np
import pytest

from sptrack.tracking import ProblemSettings, problem
from sptrack.tracking.problems import curvatures, mean_gradient


@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.parametrize("name", ["quadratic", "separable", "least-squares"])
def test_curvatures_are_the_ends_of_the_spectrum(name, size):
    made = problem(name, ProblemSettings(size=size, low=0.1, high=3.0))
    assert curvatures(made) == pytest.approx((0.1, 0.1 if size == 1 else 3.0), rel=1e-4)


def test_curvatures_of_the_logistic_loss_are_those_of_its_hessian():
    made = problem("logistic", ProblemSettings(size=20))
    features, labels = made.objective.matrix, made.objective.data
    ridge = made.objective.ridge
    p = 1 / (1 + np.exp(-labels * (features @ made.optimum)))
    hessian = (features.T * (p * (1 - p))) @ features / len(labels) + ridge * np.eye(20)
    assert curvatures(made) == pytest.approx(np.linalg.eigvalsh(hessian)[[0, -1]], rel=0.02)


def test_mean_gradient_takes_any_leading_axes():
    made = problem("quadratic", ProblemSettings(size=7))
    weights = np.random.default_rng(0).uniform(-1, 1, (2, 3, 7))
    expected = (weights - made.optimum) @ made.objective.matrix
    np.testing.assert_allclose(mean_gradient(made, weights), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(mean_gradient(made, made.optimum), 0.0, atol=1e-6)
