"""Moments of what an array does, against exact ones: counts, trains, bursts, write noise, read noise."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sptrack.crossbar import Crossbar
from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    SoftBounds,
    Spread,
    cells_from_parameters,
    sample_cells,
)
from sptrack.theory.moments import program_map
from sptrack.theory.zero_shifting import start_moments, zero_shifting_moments
from tests.devices.zoo import WITH_POINT, device

LANES = 40_000
"""Independent cells of equal parameters, one per column."""


def equal_cells(
    plus, minus, *, dw_min=0.01, noise=0.3, additive=False, write_noise=0.0, dtype=np.float64, lanes=LANES
):
    """[len(plus), lanes] soft-bounds cells on -0.8 .. 1.2, each row with parameters of its own."""
    description = Device(
        response=SoftBounds(w_max=1.2, w_min=-0.8),
        dw_min=dw_min,
        cycle_noise=CycleNoise(std=noise, additive=additive),
        write_noise=write_noise,
    )
    up, down = (np.repeat(dw_min * np.array(a)[:, None], lanes, axis=1) for a in (plus, minus))
    return cells_from_parameters(description, {"step_up": up, "step_down": down}, dtype=dtype)


def z_scores(sample, mean, variance):
    """z of the mean and of the variance over axis 1, near normal samples: sigma of s^2 is s^2 sqrt(2/n)."""
    n = sample.shape[1]
    z_mean = (sample.mean(axis=1) - mean) / np.sqrt(variance / n)
    z_variance = (sample.var(axis=1, ddof=1) / variance - 1.0) / np.sqrt(2.0 / n)
    return np.abs([z_mean, z_variance])


def assert_moments(crossbar, moments):
    offset = crossbar.hidden.astype(np.float64) - crossbar.cells.symmetric_point
    z = z_scores(offset, moments.mean[:, 0], moments.variance[:, 0])
    assert z.max() < 4.0, z


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_pulses_have_their_exact_moments(dtype):
    """40 000 cells: E and Var of stochastic zero-shifting within 4 sigma. The coin makes w near normal by n =
    60.
    """
    cells = equal_cells([1.3, 1.0, 0.6], [0.7, 1.0, 1.1], dtype=dtype)
    crossbar = Crossbar(cells, seed=1, weights=0.3)
    crossbar.pulse("random", 60)
    assert_moments(crossbar, zero_shifting_moments(cells, "stochastic", 60, 0.3))


@pytest.mark.compiled
@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("count", [1, 60, 61])
def test_alternating_pulses_have_their_exact_moments(count, additive):
    cells = equal_cells([1.3, 1.0, 0.6], [0.7, 1.0, 1.1], additive=additive)
    crossbar = Crossbar(cells, seed=2, weights=0.3)
    crossbar.pulse("alternating", count)
    assert_moments(crossbar, zero_shifting_moments(cells, "cyclic", count, 0.3))


@pytest.mark.compiled
def test_a_program_has_its_exact_moments():
    cells = equal_cells([1.3, 0.6], [0.7, 1.1])
    crossbar = Crossbar(cells, seed=3, weights=-0.2)
    crossbar.pulse([1, 1, 1, -1, 0, 1, -1, -1])
    moments = program_map(cells, [3, -1, 1, -2]).apply(start_moments(cells, -0.2))
    assert_moments(crossbar, moments)


@pytest.mark.compiled
@pytest.mark.parametrize("application", ["sequential", "burst"])
@pytest.mark.parametrize("count", [5, -5])
def test_bursts_agree_with_sequences_to_leading_order(application, count):
    """Exact moments of 5 pulses in sequence; a burst has the same mean and, with dw_min small, the same
    variance but for a relative 2 n dw_min slope: 1e-2 here at dw_min 1e-3, beside a sigma of 7e-3.
    """
    cells = equal_cells([1.3, 0.6], [0.7, 1.1], dw_min=1e-3)
    crossbar = Crossbar(cells, seed=4, weights=0.3)
    sent = crossbar.apply(count * 1e-3, application=application)
    assert (sent == count).all()
    offset = crossbar.hidden - cells.symmetric_point
    exact = program_map(cells, [count]).apply(start_moments(cells, 0.3))
    z = z_scores(offset, exact.mean[:, 0], exact.variance[:, 0])
    assert z[0].max() < 4.0
    tolerance = 4.0 + (2.0 if application == "burst" else 0.0)
    assert z[1].max() < tolerance


def counts_of(fraction, law, *, slots=31, cells=LANES):
    """Signed counts of the increments ``fraction`` granularities, one row each."""
    fraction = np.asarray(fraction, np.float64)
    crossbar = Crossbar(equal_cells(np.ones(len(fraction)), np.ones(len(fraction)), lanes=cells), seed=6)
    return crossbar.apply(0.01 * np.repeat(fraction[:, None], cells, axis=1), law=law, slots=slots).astype(
        float
    )


FRACTIONS = np.array([0.003, 0.25, 0.5, 0.97, 1.3, 2.75, 7.5, -0.25, -2.75])


@pytest.mark.compiled
@pytest.mark.parametrize("law", ["rounded", "binomial", "poisson"])
def test_count_laws_are_unbiased_and_have_their_variance(law):
    """40 000 cells: mean within 4 sigma of the increment; variance f(1 - f), f(1 - f/31), f within 4 sigma,
    where the sigma of the variance comes from the exact fourth moment of the law.
    """
    size = np.abs(FRACTIONS)
    counts = counts_of(FRACTIONS, law)
    fourth = {
        "rounded": lambda f: stats.bernoulli.stats(f - np.floor(f), moments="mvsk"),
        "binomial": lambda f: stats.binom.stats(31, f / 31.0, moments="mvsk"),
        "poisson": lambda f: stats.poisson.stats(f, moments="mvsk"),
    }[law]
    _, variance, _, excess = fourth(size)
    n = counts.shape[1]
    assert np.max(np.abs(counts.mean(axis=1) - FRACTIONS) / np.sqrt(variance / n)) < 4.0
    sigma = variance * np.sqrt((excess + 2.0) / n + 2.0 / n**2)
    assert np.max(np.abs(counts.var(axis=1) - variance) / sigma) < 4.0


@pytest.mark.compiled
@pytest.mark.parametrize("mean", [40.0, 200.0])
def test_large_poisson_means_are_sums_of_independent_counts(mean):
    """40 000 cells: mean and variance within 4 sigma of the mean; chi-square over ten bins."""
    counts = counts_of([mean], "poisson")[0]
    assert abs(counts.mean() - mean) < 4.0 * np.sqrt(mean / counts.size)
    assert abs(counts.var() / mean - 1.0) < 4.0 * np.sqrt(2.0 / counts.size)
    edges = stats.poisson.ppf(np.linspace(0.1, 0.9, 9), mean)
    observed = np.bincount(np.digitize(counts, edges, right=True), minlength=10)
    expected = np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])) * counts.size
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.compiled
@pytest.mark.parametrize("slots", [1, 7, 31, 1000])
def test_binomial_counts_have_their_distribution(slots):
    """Chi-square over the counts with at least ten expected of 40 000 and, if it expects as many, the rest.

    At the 1e-3 level; p = 0.9 takes the mirror.
    """
    for p in (0.06, 0.9):
        counts = counts_of([slots * p], "binomial", slots=slots)[0]
        assert counts.max() <= slots
        expected = stats.binom.pmf(np.arange(slots + 1), slots, p) * counts.size
        observed = np.bincount(counts.astype(int), minlength=slots + 1)
        keep = expected >= 10
        rest = ([observed[~keep].sum()], [expected[~keep].sum()]) if expected[~keep].sum() >= 10 else ([], [])
        assert (
            stats.chisquare([*observed[keep], *rest[0]], [*expected[keep], *rest[1]], sum_check=False).pvalue
            > 1e-3
        )


def test_limits_of_the_count_laws():
    """Whole numbers of granularities need no coin; the binomial law cannot send more than its slots."""
    np.testing.assert_array_equal(counts_of([0.0, 1.0, -4.0], "rounded", cells=50).T, [[0, 1, -4]] * 50)
    np.testing.assert_array_equal(
        counts_of([31.0, 50.0, -99.0], "binomial", cells=50).T, [[31, 31, -31]] * 50
    )
    assert not counts_of([0.0], "poisson", cells=50).any()


@pytest.mark.compiled
def test_counts_and_noise_of_an_update_are_independent():
    """40 000 cells sent 0 or 1 pulses from the same start: given a pulse, the noise is standard normal (4
    sigma).
    """
    cells = equal_cells([1.0], [1.0])
    crossbar = Crossbar(cells, seed=7)
    sent = crossbar.apply(0.004)[0].astype(bool)
    noise = (crossbar.hidden[0][sent] / 0.01 - 1.0) / 0.3
    assert abs(noise.mean()) < 4.0 / np.sqrt(noise.size)
    assert abs(noise.var() - 1.0) < 4.0 * np.sqrt(2.0 / noise.size)


@pytest.mark.compiled
def test_pulses_of_one_update_have_noise_of_their_own():
    """n pulses on a constant step add n variances; one draw for all would give n squared. n = 2 .. 9, 4
    sigma.
    """
    for count in range(2, 10):
        cells = equal_cells([1.0], [1.0], dw_min=1e-5)
        crossbar = Crossbar(cells, seed=8)
        crossbar.apply(count * 1e-5)
        spread = crossbar.hidden[0].var() / (0.3e-5) ** 2
        assert spread == pytest.approx(count, rel=4.0 * np.sqrt(2.0 / LANES) + 1e-3)


@pytest.mark.compiled
@pytest.mark.parametrize("name", WITH_POINT)
def test_the_symmetric_point_is_fixed_in_the_mean(name):
    """Started at the point, one random pulse on 40 000 equal cells: mean move 0 within 4 sigma."""
    cells = sample_cells(
        device(name, noise=0.3, spread=0.0, asymmetry=Asymmetry(mean=0.1)), (1, LANES), dtype=np.float64
    )
    crossbar = Crossbar(cells, seed=9, weights=cells.symmetric_point)
    crossbar.pulse("random", 1)
    move = crossbar.hidden - cells.symmetric_point
    assert abs(move.mean()) < 4.0 * move.std() / np.sqrt(LANES)
    assert move.std() == pytest.approx(np.sqrt(1.09) * cells.steps(cells.symmetric_point)[0][0, 0], rel=0.02)


@pytest.mark.compiled
def test_float32_stalls_where_float64_goes_on():
    """A device with dw_min 1e-5 and no noise: near the point a pair of pulses moves by less than half a unit
    of float32, and 1e5 more pulses change no bit; float64 follows the closed form to the limit -dw_min q0/2.
    """
    description = Device(dw_min=1e-5, spread=Spread(asymmetry=Asymmetry(mean=0.3)), cycle_noise=CycleNoise())
    for dtype, stalls in ((np.float32, True), (np.float64, False)):
        cells = sample_cells(description, (1, 1), dtype=dtype)
        crossbar = Crossbar(cells, weights=0.3 - 2e-3)
        crossbar.pulse("alternating", 600_000)
        before = crossbar.hidden.item()
        crossbar.pulse("alternating", 100_000)
        assert (crossbar.hidden.item() == before) == stalls
        expected = zero_shifting_moments(cells, "cyclic", 700_000, 0.3 - 2e-3).mean.item()
        missed = crossbar.hidden.item() - cells.symmetric_point.item() - expected
        assert abs(missed) > 1e-4 if stalls else abs(missed) < 1e-10


@pytest.mark.compiled
def test_read_noise_is_fresh_and_of_the_std_asked_for():
    crossbar = Crossbar(equal_cells([1.0], [1.0]), seed=10, weights=0.2)
    first, second = crossbar.read(0.05)[0], crossbar.read(0.05)[0]
    for reading in (first, second):
        assert abs(reading.mean() - 0.2) < 4.0 * 0.05 / np.sqrt(LANES)
        assert reading.std() == pytest.approx(0.05, rel=4.0 / np.sqrt(2.0 * LANES))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.0 / np.sqrt(LANES)
    np.testing.assert_array_equal(crossbar.read()[0], crossbar.weights[0])


@pytest.mark.compiled
def test_write_noise_hides_the_weight_and_is_redrawn_by_pulses_only():
    cells = equal_cells([1.0], [1.0], write_noise=4.0)
    crossbar = Crossbar(cells, seed=11, weights=0.2)

    def hidden_by():
        return (crossbar.weights - crossbar.hidden)[0] / 0.04

    draws = [hidden_by()]
    crossbar.read(0.1)
    np.testing.assert_array_equal(hidden_by(), draws[0])
    crossbar.set_weights(0.2)
    draws.append(hidden_by())
    crossbar.pulse("up", 1)
    draws.append(hidden_by())
    sent = crossbar.apply(0.005)[0]
    after = hidden_by()
    np.testing.assert_allclose(after[sent == 0], draws[-1][sent == 0], atol=1e-12)
    assert (after[sent != 0] != draws[-1][sent != 0]).all()
    for z in draws:
        assert abs(z.mean()) < 4.0 / np.sqrt(LANES)
        assert abs(z.std() - 1.0) < 4.0 / np.sqrt(2.0 * LANES)
    assert np.abs(np.corrcoef(draws)[np.triu_indices(3, 1)]).max() < 4.0 / np.sqrt(LANES)


def test_write_noise_leaves_the_hidden_weight_alone():
    description = device("soft-bounds", noise=0.3)
    quiet, loud = (
        Crossbar(sample_cells(replace(description, write_noise=value), (3, 4)), seed=1)
        for value in (0.0, 5.0)
    )
    for crossbar in (quiet, loud):
        crossbar.pulse("random", 20)
        crossbar.apply(0.03, law="poisson")
    np.testing.assert_array_equal(quiet.hidden, loud.hidden)


def test_weights_are_limited_to_the_bounds_and_seen_through_the_reference():
    reference = np.array([[0.1, -0.2]])
    cells = cells_from_parameters(
        Device(cycle_noise=CycleNoise()), {"w_max": np.array([[0.5, 0.9]])}, reference=reference
    )
    crossbar = Crossbar(cells, weights=2.0)
    np.testing.assert_allclose(crossbar.hidden, [[0.5, 0.9]], rtol=1e-6)
    np.testing.assert_allclose(crossbar.weights, [[0.4, 1.1]], rtol=1e-6)
    crossbar.set_weights(0.3)
    np.testing.assert_allclose(crossbar.weights, 0.3, rtol=1e-6)
    np.testing.assert_allclose(crossbar.hidden, [[0.4, 0.1]], rtol=1e-6)
