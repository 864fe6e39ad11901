"""Recursive observers against batch regressions written out, and what their numbers mean."""

import math

import numpy as np
import pytest

from sptrack.kernels import counts, observer_rows, observers

DW, KEEP, READ, PULSE, RELATIVE = 0.01, 0.97, 1.5, 0.2, 0.09
LIMITS = observers.Limits(-0.95, 0.95, 0.1, 0.1)
FREE = observers.Limits(-100.0, 100.0, 1e-6, 1e-6)
NOISE = observers.Noise(READ, PULSE, RELATIVE, counts.ROUNDED, 31)
F0, G1, START = 0.9, 0.8, 0.1


def prior_of(size, seed, mean):
    """A positive definite information matrix and its product with the mean."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    information = 0.05 * (root @ root.T + np.eye(size))
    return information, information @ mean


def block_rows(information, moment):
    pivots = np.diag(np.linalg.cholesky(information)) ** 2
    return np.concatenate([information[np.triu_indices(4)], moment, pivots])


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


def made(form, prior=(), *, keep=KEEP, noise=NOISE, sent=False, limits=LIMITS, **numbers):
    """An observer of some form; what it does not use is 0."""
    rows = np.zeros(observers.PRIOR_NUMBERS)
    rows[: len(prior)] = prior
    fields = dict.fromkeys(observers.Observer._fields[9:], 0.0) | numbers
    tell, observe = observers.addresses(form)
    return observers.Observer(
        tell,
        observe,
        float(keep),
        noise,
        DW,
        int(sent),
        rows,
        limits,
        F0,
        G1,
        **{k: fields[k] for k in FREE_FIELDS},
    )


FREE_FIELDS = ("weight_gain", "point_gain", "weight_grid", "point_grid", "variance")


def read_only(values):
    """As `InputAwareObserver` passes increments and reads on."""
    shown = values.view()
    shown.flags.writeable = False
    return shown


def run(observer, form, drive, reads, every, pulses=None):
    """References, variances and shares [3, reads, cells], and the memory, begun at `START`, `F0`, `G1`."""
    memory = np.zeros((observers.SLOTS[form], drive.shape[1]))
    memory[observers.POINT] = START
    if form != observers.PREDICTOR:
        memory[observer_rows.LEVEL], memory[observer_rows.SLOPE] = F0, G1
    out = np.zeros((3, *reads.shape))
    sent = np.zeros(drive.shape, np.int32) if pulses is None else pulses
    drive, sent, reads = (read_only(one) for one in (drive, sent, reads))
    observers.run_observer(observer, memory, drive, sent, (0, every), reads, out)
    return out, memory


class Stretch:
    """N, A, point of the path, change, weight and error of the point of one stretch, by the formulas."""

    def __init__(self, drive, old, read, estimate, reading=READ):
        point, level, slope = estimate
        number = np.abs(drive) / DW
        counted = (number % 1 * (1 - number % 1)).sum()
        self.n, self.a = drive.sum() / DW, number.sum()
        self.pulses = PULSE * self.a + level**2 * (RELATIVE * self.a + counted)
        self.y = (read - old) / DW
        decay = self.a * slope * DW
        left = math.exp(-decay)
        expected = (self.n * level - self.a * slope * (old - point)) * (1 - left) / decay
        share = reading / (2 * reading + self.pulses)
        self.x = old + DW * (expected * (1 / (1 - left) - 1 / decay) + share * (self.y - expected))
        self.excess = reading * (1 - share) * DW**2
        self.own = self.pulses + (self.a * slope) ** 2 * self.excess
        self.weight = 1 / (2 * reading + self.own)


def squared(parts, levers, reading=READ):
    """Variance of the sum of the changes, each read's error being in two of them."""
    age = KEEP ** np.arange(len(parts) - 1, -1, -1)
    levers = np.array(levers) * age
    read = reading * (np.diff(np.concatenate([[0.0], levers, [0.0]])) ** 2).sum()
    return float((np.array([part.own for part in parts]) * levers**2).sum() + read)


def batch(rows, targets, weights, taken, prior):
    """Mean and inverse information of a regression whose older rows have been forgotten."""
    information, moment = prior
    age = KEEP ** np.arange(len(rows) - 1, -1, -1)
    scaled = rows.T * (weights * age)
    inner = information + scaled @ rows - np.tensordot(weights * age, taken, 1)
    return np.linalg.solve(inner, moment + scaled @ targets), np.linalg.inv(inner)


def solve_block(parts, prior, reading):
    """Estimate (point, level, slope), its variance and the prior's share."""
    rows = np.array([[s.n, s.n * s.x, -s.a, -s.a * s.x] for s in parts])
    weights = np.array([s.weight for s in parts])
    taken = np.zeros((len(parts), 4, 4))
    for one, s in zip(taken, parts, strict=True):
        one[1, 1], one[3, 3], one[1, 3] = s.n**2, s.a**2, -s.n * s.a
        one[3, 1] = one[1, 3]
        one *= s.excess
    mean, covariance = batch(rows, np.array([s.y for s in parts]), weights, taken, prior)
    point = -mean[2] / mean[3]
    through = covariance @ np.array([0.0, 0.0, 1.0, point])
    spread, own = through[2] + point * through[3], through @ prior[0] @ through
    age = KEEP ** np.arange(len(parts) - 1, -1, -1)
    information = (weights * age * rows[:, 2] ** 2).sum()
    noisy = (weights * age * taken[:, 3, 3]).sum()
    aged = squared(parts, [s.weight * s.a for s in parts], reading) / information
    variance = (own + aged * (spread - own + noisy * through[3] ** 2)) / mean[3] ** 2
    return (point, mean[0] + mean[1] * point, mean[3]), variance, own / spread


def believed(prior):
    """Point, level and slope of the prior, which is what counts after the first read."""
    mean = np.linalg.solve(*prior)
    point = -mean[2] / mean[3]
    return point, mean[0] + mean[1] * point, mean[3]


@pytest.mark.parametrize(("reading", "tolerance", "first"), [(0.0, 1e-7, 1), (READ, 0.02, 59)])
def test_the_block_observer_is_a_corrected_ridge_regression(reading, tolerance, first):
    """Exactly without reading noise; with it, pivots held up at the start leave their trace."""
    prior = tuple(20 * part for part in prior_of(4, 1, np.array([1.0, 0.0, 0.0, 1.0])))
    observer = made("block", block_rows(*prior), noise=NOISE._replace(reading=reading), limits=FREE)
    drive, reads = stretches(8)
    point, variance, share = run(observer, "block", drive, reads, 8)[0]
    for cell in range(3):
        asked, estimate, parts = drive[:, cell].reshape(-1, 8), believed(prior), []
        for k in range(1, len(reads)):
            parts.append(Stretch(asked[k], reads[k - 1, cell], reads[k, cell], estimate, reading))
            estimate, wanted, part = solve_block(parts, prior, reading)
            got = (point[k, cell], variance[k, cell], share[k, cell])
            if k >= first:
                np.testing.assert_allclose(got, (estimate[0], wanted, part), rtol=tolerance)


def test_the_direction_observer_is_a_regression_per_direction():
    up, down = prior_of(2, 1, np.array([1.0, -1.0])), prior_of(2, 2, np.array([1.0, 1.0]))
    rows = [
        [*matrix[[0, 0, 1], [0, 1, 1]], *moment, matrix[1, 1] - matrix[0, 1] ** 2 / matrix[0, 0]]
        for matrix, moment in (up, down)
    ]
    drive, reads = stretches(1, reads=150)
    point = run(made("direction", np.concatenate(rows)), "direction", drive, reads, 1)[0][0]
    for cell in range(3):
        parts, lines = [], [np.linalg.solve(*one) for one in (up, down)]
        for k in range(1, len(reads)):
            rise, fall = lines
            slope = (fall[1] - rise[1]) / 2
            place = (rise[0] - fall[0]) / (2 * slope)
            level = (rise[0] + fall[0] + (rise[1] + fall[1]) * place) / 2
            parts.append(
                Stretch(drive[k : k + 1, cell], reads[k - 1, cell], reads[k, cell], (place, level, slope))
            )
            lines = []
            for sign, prior in ((1, up), (-1, down)):
                live = [s.weight * s.a**2 * (np.sign(s.n) == sign) for s in parts]
                taken = np.zeros((len(parts), 2, 2))
                taken[:, 1, 1] = [s.excess for s in parts]
                seen = np.array([[1.0, s.x] for s in parts])
                y = np.array([sign * s.y / s.a for s in parts])
                lines.append(batch(seen, y, np.array(live), taken, prior)[0])
        rise, fall = lines
        np.testing.assert_allclose(point[-1, cell], (rise[0] - fall[0]) / (fall[1] - rise[1]), rtol=3e-4)


def test_the_scalar_observer_is_a_weighted_mean():
    """Moments of a relaxation: lever 1 - e, noise of pulses and their order, e times the old read's error."""
    prior = np.array([2.0, 2.0 * START])
    drive, reads = stretches(8)
    out, _ = run(made("scalar", prior), "scalar", drive, reads, 8)
    for cell in range(3):
        asked = drive[1 * 8 :, cell].reshape(-1, 8) / DW
        n, a = asked.sum(1), np.abs(asked).sum(1)
        part = np.abs(asked) % 1
        decay = a * G1 * DW
        left = np.exp(-decay)
        pulses = PULSE * a + F0**2 * (RELATIVE * a + (part * (1 - part)).sum(1))
        spent, lasting = (1 - left**2) / (2 * decay), (1 - left) / decay
        order = (asked**2).sum(1) * (1 - (n / a) ** 2) * (spent - lasting**2)
        pulses = pulses * spent + F0**2 * order
        old, new = reads[:-1, cell], reads[1:, cell]
        says = (new - left * old) / (1 - left) - F0 * n / (a * G1)
        levers = (1 - left) / DW / (pulses + READ * (1 + left**2))
        age = KEEP ** np.arange(len(n) - 1, -1, -1)
        info = age * levers * (1 - left) / DW
        total = info.sum() + prior[0]
        levers = age * levers
        read = np.append(levers, 0.0) * np.append(left, 0.0) - np.append(0.0, levers)
        variance = ((pulses * levers**2).sum() + READ * (read**2).sum() + prior[0]) / total**2
        wanted = (((info * says).sum() + prior[1]) / total, variance, prior[0] / total)
        np.testing.assert_allclose(out[:, -1, cell], wanted, rtol=1e-7)


def test_a_predictor_is_two_recursions():
    drive, reads = stretches(8)
    observer = made("predictor", weight_gain=0.4, point_gain=0.1, variance=0.01)
    out, _ = run(observer, "predictor", drive, reads, 8)
    p, q = np.zeros(3), np.full(3, START)
    for k, step in enumerate(drive):
        p = p + F0 * step - G1 * np.abs(step) * (p - q)
        if (k + 1) % 8 == 0:
            surprise = reads[k // 8] - p
            p, q = (reads[0], q) if k < 8 else (p + 0.4 * surprise, q + 0.1 * surprise)
    np.testing.assert_allclose(out[0, -1], q, rtol=1e-12)
    np.testing.assert_array_equal(out[1], 0.01)


@pytest.mark.parametrize("grid", [2.0**-11, 2.0**-9])
def test_fixed_point_numbers_are_multiples_of_their_step(grid):
    drive, reads = stretches(8)
    gains = {"weight_gain": 0.4, "point_gain": 0.1}
    observer = made("predictor", weight_grid=grid, point_grid=4 * grid, **gains)
    out, memory = run(observer, "predictor", drive, reads, 8)
    for value, step in ((memory[observer_rows.PREDICTED], grid), (out[0, 1:], 4 * grid)):
        np.testing.assert_array_equal(value / step, np.rint(value / step))
    assert np.ptp(out[0]) > 0


def test_without_excitation_an_observer_says_what_its_prior_says():
    information = np.diag([1.0, 1.0, 4.0, 4.0])
    rows = block_rows(information, information @ np.array([1.0, 0.0, -0.2, 0.8]))
    observer = made("block", rows, keep=1.0)
    point, variance, share = run(observer, "block", np.zeros((20, 2)), np.full((5, 2), 0.3), 4)[0]
    np.testing.assert_allclose(point, 0.25, rtol=1e-12)
    np.testing.assert_allclose(variance, (0.25 + 0.25 * 0.25**2) / 0.8**2, rtol=1e-12)
    np.testing.assert_allclose(share, 1.0, rtol=1e-12)


@pytest.mark.parametrize("knows", [False, True])
def test_an_observer_counts_what_was_asked_for_or_what_was_sent(knows):
    """Pulses that differ from the increments asked for change the result only if they are known."""
    rows = block_rows(np.eye(4), np.array([1.0, 0.0, 0.0, 1.0]))
    observer = made("block", rows, sent=knows)
    drive, reads = stretches(8)
    results = [
        run(observer, "block", drive, reads, 8, pulses)[0]
        for pulses in (np.rint(drive / DW).astype(np.int32), np.ones(drive.shape, np.int32))
    ]
    assert np.array_equal(*results) is not knows


def test_estimates_stay_within_their_limits():
    rows = block_rows(1e-6 * np.eye(4), 1e-6 * np.array([1.0, 0.0, -0.97, 1.0]))
    observer = made("block", rows, keep=1.0)
    point = run(observer, "block", np.zeros((8, 1)), np.zeros((2, 1)), 4)[0][0]
    np.testing.assert_array_equal(point, 0.95)


@pytest.mark.compiled
@pytest.mark.parametrize("keep", [1.0, 0.999])
@pytest.mark.parametrize("size", [1e-9, 0.02, 30.0])
@pytest.mark.parametrize("form", ["block", "scalar"])
def test_estimates_stay_finite_and_their_variances_positive(form, keep, size):
    """No drive to speak of, 4e5 pulses, and a drive far beyond the range; reads of single precision."""
    prior = block_rows(np.eye(4), np.array([1.0, 0.0, 0.0, 1.0])) if form == "block" else (1.0, 0.0)
    rng = np.random.default_rng(2)
    drive, x, reads = size * rng.normal(size=(200_000, 1)), np.zeros(1), []
    for first in range(0, len(drive), 8):
        n, a = drive[first : first + 8].sum(), np.abs(drive[first : first + 8]).sum()
        x = x + (n * 0.9 - 0.8 * a * (x - 0.4)) / (1 + 0.8 * a) + DW * np.sqrt(a / DW) * 0.5 * rng.normal()
        x = np.clip(x, -1, 1)
        reads.append(x)
    observer = made(form, prior, keep=keep)
    double = run(observer, form, drive, np.array(reads), 8)[0]
    single = run(observer, form, drive.astype(np.float32).astype(float), np.float32(reads).astype(float), 8)[
        0
    ]
    for out in (double, single):
        assert np.isfinite(out).all()
        assert (out[1] >= 0).all()
        assert np.abs(out[0]).max() <= 0.95
    if size == 0.02:
        assert abs(single[0] - double[0]).max() < 0.1 * np.sqrt(double[1].min())


@pytest.mark.parametrize("form", observers.SLOTS)
def test_cells_are_observed_one_by_one(form):
    """The tile functions of every form: a cell's estimate does not depend on its neighbours."""
    priors = {"block": block_rows(np.eye(4), np.ones(4)), "scalar": (2.0, 0.1), "predictor": ()}
    priors["direction"] = np.tile([1.0, 0.1, 1.0, 0.9, 0.1, 0.99], 2)
    if form == "adaptive":
        pytest.skip("its cells learn noise and priors from each other")
    observer = made(form, priors[form], weight_gain=0.3, point_gain=0.1)
    drive, reads = stretches(1 if form == "direction" else 4, reads=20)
    every = len(drive) // len(reads)
    whole, _ = run(observer, form, drive, reads, every)
    for cell in range(3):
        part = (np.ascontiguousarray(one[:, cell : cell + 1]) for one in (drive, reads))
        alone, _ = run(observer, form, *part, every)
        np.testing.assert_array_equal(alone[:, :, 0], whole[:, :, cell])


@pytest.mark.compiled
def test_forms_are_data():
    """Every form above in one specialisation of the loop."""
    assert len(observers.run_observer.signatures) <= 1
