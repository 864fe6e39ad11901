"""Premise of T3.7: algebra of its proof, level and regions, against brute force and against RIDER's rest."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.devices.constants import response_constants
from sptrack.errors import ParameterError
from sptrack.theory.drive import mean_size
from sptrack.theory.premise import drive_premise, mean_for_size, multiplier_interval
from tests.theory.standins import linear_cells

CELLS = linear_cells([1.4, 1.0, 0.6], [0.6, 1.0, 1.2], 0.001)
CONSTANTS = response_constants(CELLS, (np.full(3, -0.5), np.full(3, 0.5)))


def _premise(noise=0.2, convexity=0.2, smoothness=1.0):
    return drive_premise(CONSTANTS, noise=noise, convexity=convexity, smoothness=smoothness)


def test_mean_for_size_inverts_mean_size():
    for std in (0.2, 3.0):
        mean = np.array([0.01, 0.3, 2.0, 50.0]) * std
        np.testing.assert_allclose(mean_for_size(mean_size(mean, std), std), mean, rtol=1e-6)
    np.testing.assert_array_equal(mean_for_size([0.1, 0.79, np.inf], 1.0), [0.0, 0.0, np.inf])
    np.testing.assert_array_equal(mean_for_size([0.3, np.inf], 0.0), [0.3, np.inf])


def test_the_interval_of_c2_opens_at_the_level_of_existence():
    premise = _premise()
    for cell, size in enumerate(premise.existence):
        for factor, open_ in ((1 - 1e-9, False), (1 + 1e-9, True)):
            low, high = multiplier_interval(CONSTANTS, 0.2, factor * size)
            assert (low[cell] < high[cell]) == open_
    with pytest.raises(ParameterError, match="must be a number > 0, got 0"):
        multiplier_interval(CONSTANTS, 0.2, 0.0)


def test_the_printed_level_implies_existence_only_up_to_a_curvature():
    for convexity, enough in ((2.8, True), (2.9, False)):
        premise = _premise(convexity=convexity, smoothness=3.0)
        assert (premise.printed > premise.existence).all() == enough
        np.testing.assert_array_equal(premise.level, np.maximum(premise.printed, premise.existence))


def test_existence_scales_with_the_unit_of_the_loss_and_the_printed_level_does_not():
    one, thousand = _premise(), _premise(200.0, 200.0, 1000.0)
    np.testing.assert_allclose(thousand.existence, 1000 * one.existence)
    np.testing.assert_allclose(thousand.printed, one.printed)


def _descends(multiplier, noise, size, cell):
    """Whether d f + C2 d phi (worst signs) is negative in all directions of |m|, |G|."""
    angle = np.linspace(1e-3, np.pi / 2 - 1e-3, 2001)
    m, g = np.cos(angle), np.sin(angle)
    q_min, q_max = CONSTANTS.q_min[cell], CONSTANTS.q_max[cell]
    loss = -q_min * m**2 + noise * m * g
    potential = -size * g**2 + q_max * m * g
    return (loss + multiplier * potential < 0).all()


@pytest.mark.parametrize("cell", [0, 1, 2])
def test_the_weakest_level_is_where_some_c2_begins_to_work(cell):
    """Brute force over C2 and directions; the best C2 is s/q_max. Every C2 of the printed interval works."""
    premise, multipliers = _premise(), np.geomspace(1e-3, 10, 400)
    for factor, works in ((0.98, False), (1.02, True)):
        size = factor * premise.descent[cell]
        assert any(_descends(c, 0.2, size, cell) for c in multipliers) == works
    assert _descends(0.2 / CONSTANTS.q_max[cell], 0.2, 1.001 * premise.descent[cell], cell)
    size = 1.5 * premise.existence[cell]
    low, high = (end[cell] for end in multiplier_interval(CONSTANTS, 0.2, size))
    assert all(_descends(c, 0.2, size, cell) for c in np.linspace(low, high, 20))
    assert not _descends(0.01 * low, 0.2, size, cell)


def test_no_rest_point_of_rider_has_a_gradient_above_the_level_of_rest():
    """Rest points m F + E|g| G = 0 of all mean gradients, on a fine grid of P, for the noise that gives the
    largest: two values +-s, E|g| = max(|m|, s), and for normal noise."""
    p = np.linspace(-0.5, 0.5, 20001)[:, None]
    up, down = CELLS.q_plus(p), CELLS.q_minus(p)
    premise = _premise()
    for size_of in (
        lambda m: max(abs(m), 0.2),
        lambda m: float(mean_size(m, 0.2)),
        lambda m: np.hypot(m, 0.2),
    ):
        most = np.zeros(3)
        for mean in np.concatenate([-np.geomspace(1e-3, 5, 60), np.geomspace(1e-3, 5, 60)]):
            size = size_of(mean)
            rest = mean * (up + down) / 2 + size * (down - up) / 2
            crossed = (np.sign(rest[1:]) != np.sign(rest[:-1])).any(axis=0)
            most = np.maximum(most, np.where(crossed, size, 0.0))
        assert (most <= premise.rest).all()
    assert (most > 0.7 * premise.rest).all()
    assert (premise.rest < premise.descent).all()


def test_the_optimum_never_meets_the_premise():
    for noise in (0.0, 1e-6, 0.2, 5.0):
        premise = _premise(noise)
        assert not premise.met(np.zeros(3)).any()
        assert not premise.met(np.zeros(3), premise.rest).any()


def test_without_noise_any_gradient_meets_it():
    premise = _premise(0.0)
    assert premise.met([1e-9, -1.0, 0.2]).all()
    assert (premise.least_distance, premise.least_error(0.5)) == (0.0, 0.0)


def test_the_mean_needed_is_the_edge_of_the_region():
    premise = _premise()
    assert premise.met(1.001 * premise.mean_needed).all()
    assert not premise.met(-0.999 * premise.mean_needed).any()
    assert premise.met(1.001 * premise.rest, premise.rest).all()
    assert (premise.mean_needed > 0.99 * premise.level).all()


def test_least_error_and_distance_hold_for_gradients_that_meet_the_premise():
    """Weights of a loss with curvatures mu .. L whose every element just meets the level."""
    rng = np.random.default_rng(1)
    premise, gamma = _premise(0.01), 0.5
    basis, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    hessian = (basis * [0.2, 0.5, 1.0]) @ basis.T
    seen = []
    for _ in range(200):
        gradient = premise.mean_needed * rng.choice([-1.0, 1.0], 3)
        away = np.linalg.solve(hessian, gradient)
        residual = gamma * away / (1 + gamma**2)
        weights = away - gamma * residual / 1.0
        least = np.mean(weights**2 + (residual / 1.0) ** 2)
        assert np.sqrt(np.mean(away**2)) >= 0.999 * premise.least_distance
        seen.append(least / premise.least_error(gamma))
    assert min(seen) >= 0.99


def test_cells_whose_response_vanishes_never_meet_it_with_noise():
    whole = response_constants(CELLS)
    premise = drive_premise(whole, noise=0.1, convexity=0.2, smoothness=1.0)
    assert np.isinf(premise.level).all()
    assert not premise.met(np.full(3, 1e6)).any()
    assert np.isinf(premise.least_distance)
    quiet = replace(premise, noise=0.0)
    assert quiet.met(np.ones(3)).all()


@pytest.mark.parametrize(
    "wrong",
    [{"noise": -1.0}, {"noise": np.nan}, {"convexity": 0.0}, {"convexity": 2.0}, {"smoothness": np.inf}],
    ids=str,
)
def test_refusals(wrong):
    with pytest.raises(ParameterError, match="must|needs"):
        drive_premise(CONSTANTS, **({"noise": 0.2, "convexity": 0.2, "smoothness": 1.0} | wrong))
