"""Recursive observers against batch regressions written out, and what their numbers mean."""

import numpy as np
import pytest

from sptrack.kernels import estimators, observers

DW, KEEP, READ, PULSE = 0.01, 0.97, 1.5, 1.09
LIMITS = observers.Limits(-0.95, 0.95, 0.1)


def prior_of(size, seed, mean):
    """A positive definite information matrix and its product with the mean."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    information = 0.05 * (root @ root.T + np.eye(size))
    return information, information @ mean


def stretches(every, reads=60, cells=3, seed=0):
    """Increments [steps, cells] of both signs and reads that follow a linear cell, with errors."""
    rng = np.random.default_rng(seed)
    drive = 0.02 * rng.normal(size=(every * reads, cells))
    x, out = np.zeros(cells), []
    for k, step in enumerate(drive):
        x = x + step * (0.9 - 0.2 * x) - np.abs(step) * (-0.3 + 0.8 * x)
        if (k + 1) % every == 0:
            out.append(x + 0.01 * rng.normal(size=cells))
    return drive, np.array(out)


def run(observer, drive, reads, every):
    memory, out = np.zeros((observer.slots, drive.shape[1])), np.zeros((3, *reads.shape))
    pulses = np.zeros(drive.shape, np.int32)
    estimators.run_observer(observer, memory, drive, pulses, (0, every), reads, out)
    return out


def batch(rows, targets, weights, information, moment):
    """Mean and covariance of a regression whose older rows have been forgotten."""
    age = KEEP ** np.arange(len(rows) - 1, -1, -1)
    inner = information + (rows.T * (weights * age)) @ rows
    return np.linalg.solve(inner, moment + (rows.T * (weights * age)) @ targets), np.linalg.inv(inner)


def regression(drive, reads, every, cell):
    """N and A in pulses, midpoints, changes and inverse variances of the stretches after the first read."""
    parts = drive[:, cell].reshape(-1, every)[1:]
    n, a = parts.sum(axis=1) / DW, np.abs(parts).sum(axis=1) / DW
    x = (reads[1:, cell] + reads[:-1, cell]) / 2
    return n, a, x, np.diff(reads[:, cell]) / DW, 1 / (2 * READ + PULSE * a)


def expected(mean, covariance, direction, slope, information):
    """Variance of the symmetric point and the prior's share of the information on it."""
    through = covariance @ direction
    spread = direction @ through
    return spread / slope**2, through @ information @ through / spread


def test_the_block_observer_is_a_ridge_regression():
    information, moment = prior_of(4, 1, np.array([1.0, 0.0, 0.0, 1.0]))
    prior = np.concatenate([information[np.triu_indices(4)], moment])
    observer = observers.BlockObserver(observers.BLOCK_SLOTS, KEEP, READ, PULSE, DW, False, prior, LIMITS)
    drive, reads = stretches(8)
    point, variance, share = run(observer, drive, reads, 8)
    for cell in range(3):
        n, a, x, y, weights = regression(drive, reads, 8, cell)
        rows = np.stack([n, n * x, -a, -a * x], axis=1)
        mean, covariance = batch(rows, y, weights, information, moment)
        sp = -mean[2] / mean[3]
        direction = np.array([0.0, 0.0, 1.0, sp])
        wanted = expected(mean, covariance, direction, mean[3], information)
        got = (point[-1, cell], variance[-1, cell], share[-1, cell])
        np.testing.assert_allclose(got, (sp, *wanted), rtol=1e-9)


def test_the_direction_observer_is_a_regression_per_direction():
    up, up_moment = prior_of(2, 1, np.array([1.0, -1.0]))
    down, down_moment = prior_of(2, 2, np.array([1.0, 1.0]))
    pick = ([0, 0, 1], [0, 1, 1])
    prior = np.concatenate([up[pick], up_moment, down[pick], down_moment])
    observer = observers.DirectionObserver(
        observers.DIRECTION_SLOTS, KEEP, READ, PULSE, DW, False, prior, LIMITS
    )
    drive, reads = stretches(1, reads=200)
    point, variance, share = run(observer, drive, reads, 1)
    for cell in range(3):
        n, a, x, y, weights = regression(drive, reads, 1, cell)
        lines = []
        for sign, information, moment in ((1, up, up_moment), (-1, down, down_moment)):
            live = np.where(np.sign(n) == sign, weights * a**2, 0.0)
            rows = np.stack([np.ones_like(x), x], axis=1)
            lines.append(batch(rows, sign * y / a, live, information, moment))
        (rise, rise_spread), (fall, fall_spread) = lines
        sp = (rise[0] - fall[0]) / (fall[1] - rise[1])
        direction = np.array([1.0, sp])
        spread = direction @ (rise_spread + fall_spread) @ direction
        known = sum(
            direction @ covariance @ information @ covariance @ direction
            for covariance, information in ((rise_spread, up), (fall_spread, down))
        )
        got = (point[-1, cell], variance[-1, cell], share[-1, cell])
        np.testing.assert_allclose(got, (sp, spread / (fall[1] - rise[1]) ** 2, known / spread), rtol=1e-9)


def test_the_scalar_observer_is_a_weighted_mean():
    prior = np.array([2.0, 2.0 * 0.1])
    observer = observers.ScalarObserver(
        observers.SCALAR_SLOTS, KEEP, READ, PULSE, DW, False, prior, LIMITS, 0.9, 0.8, 0.0
    )
    drive, reads = stretches(8)
    memory, out = np.zeros((observer.slots, 3)), np.zeros((3, *reads.shape))
    memory[observers.POINT] = 0.1
    pulses = np.zeros(drive.shape, np.int32)
    estimators.run_observer(observer, memory, drive, pulses, (0, 8), reads, out)
    for cell in range(3):
        n, a, x, y, weights = regression(drive, reads, 8, cell)
        says = x + (y - 0.9 * n) / (0.8 * a)
        mean, covariance = batch(
            np.ones((len(says), 1)), says, weights * (0.8 * a) ** 2, prior[:1], prior[1:]
        )
        got = (out[0, -1, cell], out[1, -1, cell], out[2, -1, cell])
        np.testing.assert_allclose(got, (mean[0], covariance[0, 0], 2.0 * covariance[0, 0]), rtol=1e-9)


def test_without_excitation_an_observer_says_what_its_prior_says():
    information = np.diag([1.0, 1.0, 4.0, 4.0])
    mean = np.array([1.0, 0.0, -0.2, 0.8])
    prior = np.concatenate([information[np.triu_indices(4)], information @ mean])
    observer = observers.BlockObserver(observers.BLOCK_SLOTS, 1.0, READ, PULSE, DW, False, prior, LIMITS)
    point, variance, share = run(observer, np.zeros((20, 2)), np.full((5, 2), 0.3), 4)
    np.testing.assert_allclose(point, 0.25, rtol=1e-12)
    np.testing.assert_allclose(variance, (0.25 + 0.25 * 0.25**2) / 0.8**2, rtol=1e-12)
    np.testing.assert_allclose(share, 1.0, rtol=1e-12)


@pytest.mark.parametrize("knows", [False, True])
def test_an_observer_counts_what_was_asked_for_or_what_was_sent(knows):
    """Pulses that differ from the increments asked for change the result only if they are known."""
    prior = np.concatenate([np.eye(4)[np.triu_indices(4)], [1.0, 0.0, 0.0, 1.0]])
    observer = observers.BlockObserver(observers.BLOCK_SLOTS, KEEP, READ, PULSE, DW, knows, prior, LIMITS)
    drive, reads = stretches(8)
    results = []
    for pulses in (np.rint(drive / DW).astype(np.int32), np.ones(drive.shape, np.int32)):
        memory, out = np.zeros((observer.slots, 3)), np.zeros((3, *reads.shape))
        estimators.run_observer(observer, memory, drive, pulses, (0, 8), reads, out)
        results.append(out)
    assert np.array_equal(*results) is not knows


def test_estimates_stay_within_their_limits():
    prior = np.concatenate([1e-6 * np.eye(4)[np.triu_indices(4)], [1e-6, 0.0, -0.97e-6, 1e-6]])
    observer = observers.BlockObserver(observers.BLOCK_SLOTS, 1.0, READ, PULSE, DW, False, prior, LIMITS)
    point = run(observer, np.zeros((8, 1)), np.zeros((2, 1)), 4)[0]
    np.testing.assert_array_equal(point, 0.95)
