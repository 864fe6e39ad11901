"""Problems: known optimum, spectrum, noise of the gradient, cells."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.kernels.objectives import LEAST_SQUARES, LOGISTIC, gradient_of
from sptrack.tracking import PROBLEMS, ProblemSettings, problem
from sptrack.tracking.plain import problem_gradient

EVERY = pytest.mark.parametrize("name", PROBLEMS)
SETTINGS = ProblemSettings(size=12, low=0.3, high=1.5)


def slope(made, w):
    """Gradient in float64 at ``w``, written out, of the problem's own (float32) constants."""
    objective = made.objective
    matrix, data = objective.matrix.astype(np.float64), objective.data.astype(np.float64)
    curvature, optimum = objective.cell.astype(np.float64)
    if objective.kind == LEAST_SQUARES:
        return matrix.T @ (matrix @ w - data) / len(data)
    if objective.kind == LOGISTIC:
        pull = -data / (1 + np.exp(data * (matrix @ w)))
        return matrix.T @ pull / len(data) + float(objective.ridge) * np.asarray(w)
    return curvature * (w - optimum) if matrix.size == 0 else matrix @ (w - optimum)


@EVERY
def test_compiled_gradients_are_those_written_out(name):
    made = problem(name, SETTINGS, seed=1)
    w = np.random.default_rng(6).uniform(-0.5, 0.5, 12)
    np.testing.assert_allclose(
        gradient_of(made.objective, np.float32(w)), slope(made, np.float32(w)), rtol=2e-5, atol=2e-6
    )


def hessian(made, w, h=1e-4):
    return np.array([(slope(made, w + h * e) - slope(made, w - h * e)) / (2 * h) for e in np.eye(len(w))])


@EVERY
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_vanishes_at_the_optimum(name, seed):
    """To the rounding of the objective's float32 constants; elsewhere it does not."""
    made = problem(name, SETTINGS, seed=seed)
    assert np.abs(slope(made, made.optimum)).max() < 3e-7
    assert np.abs(slope(made, made.optimum + 0.1)).max() > 1e-3


@pytest.mark.parametrize("name", ["quadratic", "separable", "least-squares"])
def test_the_spectrum_is_the_one_asked_for(name):
    made = problem(name, SETTINGS, seed=2)
    found = np.linalg.eigvalsh(hessian(made, made.optimum))
    np.testing.assert_allclose(found, np.linspace(0.3, 1.5, 12), rtol=0, atol=2e-6)


def test_the_logistic_problem_is_strongly_convex():
    """The ridge of a tenth of ``low`` is the least curvature."""
    made = problem("logistic", SETTINGS, seed=2)
    assert np.linalg.eigvalsh(hessian(made, made.optimum)).min() > 0.03


@pytest.mark.compiled
@EVERY
def test_gradient_noise_has_its_std(name):
    """2000 steps of 12 weights: std and mean within 4 sigma (.0037 and .0052 of .2), no step like another."""
    made = problem(name, SETTINGS, seed=3)
    noisy = problem_gradient(made, seed=9)
    at = np.float32(made.optimum)[None]
    noise = np.array([noisy(at, step)[0] for step in range(2000)]) - slope(made, at[0])
    assert abs(noise.std() - 0.2) < 4 * 0.2 / np.sqrt(2 * noise.size)
    assert abs(noise.mean()) < 4 * 0.2 / np.sqrt(noise.size)
    assert len(np.unique(noise[:, 0])) > 1990
    correlation = np.mean(noise[1:] * noise[:-1]) / 0.04
    assert abs(correlation) < 4 / np.sqrt(noise.size)


def test_two_seeds_are_two_problems():
    one, other = (problem(seed=seed) for seed in (0, 1))
    for first, second in (
        (one.optimum, other.optimum),
        (one.w_cells.target, other.w_cells.target),
        (one.w_cells.target, one.p_cells.target),
        (one.objective.matrix, other.objective.matrix),
    ):
        assert np.abs(first - second).max() > 0.1


@EVERY
def test_a_seed_is_one_problem(name):
    one, other = (problem(name, SETTINGS, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.optimum, other.optimum)
    np.testing.assert_array_equal(one.p_cells.law.cell, other.p_cells.law.cell)


def test_statistics_of_the_default_problem():
    """60 problems of 64 weights: optima 0 +- .3 clipped at .7, points .4 +- .4 at .9, within 4 sigma."""
    made = [problem(seed=seed) for seed in range(60)]
    optima = np.concatenate([each.optimum for each in made])
    points = np.concatenate([each.p_cells.target.ravel() for each in made])
    assert np.abs(optima).max() == 0.7
    assert np.abs(points).max() < 0.9 + 1e-6
    normal = np.random.default_rng(0).standard_normal(10**6)
    for values, model in (
        (optima, np.clip(0.3 * normal, -0.7, 0.7)),
        (points, np.clip(0.4 + 0.4 * normal, -0.9, 0.9)),
    ):
        sigma = model.std() / np.sqrt(values.size)
        assert abs(values.mean() - model.mean()) < 4 * sigma
        assert abs(values.std() - model.std()) < 4 * sigma


@pytest.mark.parametrize(
    "make",
    [
        lambda: problem("no such"),
        lambda: ProblemSettings(size=0),
        lambda: ProblemSettings(low=0.0),
        lambda: ProblemSettings(low=2.0, high=1.0),
        lambda: problem(settings=ProblemSettings(gradient_noise=-1.0)),
        lambda: problem(settings=ProblemSettings(read_noise=np.inf)),
    ],
)
def test_refusals(make):
    with pytest.raises(ParameterError, match="must|unknown"):
        make()
