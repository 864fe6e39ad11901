"""The likelihood's tangents against central differences; gaps and groups of pulses; quick fits."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting._filter import EXACT, Program
from sptrack.fitting.coverage import Setting, simulated_readings
from sptrack.fitting.estimate import estimate, pose, swift_estimate
from sptrack.fitting.fit import best_fit, fit_long_response
from sptrack.fitting.laws import FAMILIES, Law, family_law
from sptrack.fitting.readings import PulseResponse, two_runs, visited_range
from sptrack.fitting.statespace import _sums, innovations, likelihood, with_slopes
from sptrack.fitting.thinning import thinned
from tests.fitting.lab import PROGRAM, cell

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_and_information_are_those_of_central_differences(family):
    """Vectors, pulse counts (one by one, and in groups) and gaps at random; error of a difference: 1e-6."""
    rng, n, shift = np.random.default_rng(0), 40, 1e-6
    pulses = np.r_[0, rng.choice([1, -1, 2, -3, 0, 100, -60], n - 1), 0, rng.choice([1, -1], n - 1)]
    program = Program(pulses.astype(np.int64), np.repeat([0, 1], n))
    readings = rng.normal(0.0, 0.2, (3, 2 * n))
    readings[0, 5] = np.nan
    problem, theta = pose(Law(family=family, low=-1.0, high=1.0), program, readings)
    theta[:, 2:6] = np.log([0.1, 0.02, 0.05, 5.0])
    theta += rng.normal(0.0, 0.05, theta.shape)
    theta[:, 6:] = np.clip(theta[:, 6:], *problem.limits[:, 6:])
    plain, score, errors, variances = _sums(problem, theta, True)
    error, variance = (part[:, 0] for part in innovations(problem, theta[:, None]))
    moves = shift * np.eye(theta.shape[1])
    there, back = (innovations(problem, theta[:, None] + sign * moves) for sign in (1, -1))
    slope, spread = ((a - b) / (2 * shift) for a, b in zip(there, back, strict=True))
    seen = ~np.isnan(readings)
    expected = -0.5 * np.sum(seen * (np.log(variance) + error**2 / variance), axis=1)
    np.testing.assert_allclose(plain, expected, rtol=1e-12)
    scaled = variance[:, None]
    gradient = np.sum(
        0.5 * (error**2 / variance - 1)[:, None] * spread / scaled - error[:, None] * slope / scaled, axis=2
    )
    of_errors = np.einsum("bin,bjn->bij", slope / scaled, slope)
    of_variances = np.einsum("bin,bjn->bij", spread / scaled**2 / 2, spread)
    for found, wanted in ((score, gradient), (errors, of_errors), (variances, of_variances)):
        np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("start", [0.90, 0.95, 0.97])
def test_a_hard_bound_is_met_by_a_part_of_the_distribution(start):
    """Mean after two pulses, the first of which scatters the state: against a sum over a fine grid."""
    step, slope, cycle, bound = 0.03, 0.2, 0.5, 1.0
    law = Law(family="linear-step", low=-1.0, high=1.0)
    problem, theta = pose(law, Program(np.r_[0, np.ones(39, int)], np.zeros(40, int)), np.zeros((1, 40)))
    plan = Program(np.array([0, 1, 1]), np.zeros(3, np.int64))
    problem = problem._replace(program=plan, readings=np.array([[np.nan, np.nan, 0.0]]))
    coefficients = np.log([step, slope, 1.0 / bound] * 2)
    theta[0] = [start, np.log(1e-6), np.log(cycle * step), -20.0, 1.0, *coefficients]
    error, _ = innovations(problem, theta[:, None])
    first = min(step * (1 - slope * start), bound - start)
    nodes = np.linspace(-9.0, 9.0, 100_001)
    weights = np.exp(-0.5 * nodes**2)
    state = start + first * (1 + cycle * nodes)
    after = state + np.minimum(step * (1 - slope * state), bound - state)
    assert -error[0, 0, 2] == pytest.approx(weights @ after / weights.sum(), abs=1e-6 * step)


def test_a_hard_bound_that_was_reached_is_found_and_no_slow_noise_stands_for_it():
    """Ten cells with bounds at -1 and 1: mean of the bounds found, within 4 standard errors.

    Most readings lie on the upper bound, which is worth 27 and more in the log-likelihood; the lower one is
    worth less than its cost of log(300)/2 to about a quarter of the cells, which leave it open.
    """
    setting = Setting(family="linear-step", readings=150, cycle_noise=0.3)
    readings = simulated_readings(setting, 10, seed=5)
    sign = np.r_[np.ones(150, np.int64), -np.ones(150, np.int64)]
    law = Law(family="linear-step", low=float(readings.min()), high=float(readings.max()))
    groups = estimate(law, Program(sign, (sign < 0).astype(np.int64)), readings)
    ((_, found),) = [group for group in groups if not group[1].slow]
    assert len(found.theta) >= 9
    for name, bound, least in (("w_max", 1.0, len(found.theta)), ("w_min", -1.0, 6)):
        values = found.named()[name]
        values = values[np.abs(values) < 1.2]
        assert len(values) >= least
        assert abs(values.mean() - bound) < 4 * values.std() / np.sqrt(len(values))
        assert values.std() < setting.read_noise


def test_groups_of_pulses_are_exact_for_linear_steps():
    """200 pulses between two readings, more than are followed singly: mean and variance in closed form."""
    step, cycle, start, count = 0.01, 0.5, -0.6, 5 * EXACT
    law = Law(family="soft-bounds", low=-1.0, high=1.0)
    plan = Program(np.array([0, count]), np.array([0, 0]))
    problem, theta = pose(law, Program(np.r_[0, np.ones(39, int)], np.zeros(40, int)), np.zeros((1, 40)))
    problem = problem._replace(program=plan, readings=np.array([[np.nan, 0.0]]))
    theta[0] = [start, np.log(1e-6), np.log(cycle * step), -20.0, 1.0, np.log(step), 0.0, np.log(step), 0.0]
    error, variance = innovations(problem, theta[:, None])
    left = (1.0 - step) ** count
    assert -error[0, 0, 1] == pytest.approx(1.0 - (1.0 - start) * left, rel=1e-9)
    steps = step * (1.0 - start) * (1.0 - step) ** np.arange(count)
    scatter = np.sum((cycle * steps) ** 2 * (1.0 - step) ** (2 * np.arange(count)[::-1]))
    assert variance[0, 0, 1] == pytest.approx(scatter, rel=0.01)


def test_gaps_leave_the_estimates_where_they_were():
    """A tenth of the readings missing: within two standard errors (95 % intervals over 3.92) of the whole."""
    response = PulseResponse(readings=cell(5), pulses=PROGRAM)
    readings = response.readings.copy()
    readings[np.random.default_rng(0).choice(240, 24, replace=False)] = np.nan
    gappy = best_fit(PulseResponse(readings=readings, pulses=PROGRAM), "soft-bounds")
    whole = best_fit(response, "soft-bounds")
    for name, (low, high) in ((name, ends[0]) for name, ends in whole.wald_intervals().items()):
        if name != "cycle_noise":
            assert abs(gappy.named()[name][0] - whole.named()[name][0]) < 2 * (high - low) / 3.92, name


def test_quick_fits_agree_with_full_ones():
    cells = [PulseResponse(readings=cell(seed), pulses=PROGRAM) for seed in range(4)]
    full = [best_fit(one, "soft-bounds") for one in cells]
    start = np.median([one.theta[0, one.problem.runs :] for one in full], axis=0)
    law = full[0].problem.law
    swift = swift_estimate(
        law, cells[0].program, np.stack([one.readings for one in cells]), start, slow=False
    )
    assert swift.converged.all()
    points = swift.named()["symmetric_point"]
    np.testing.assert_allclose(points, [one.named()["symmetric_point"][0] for one in full], atol=0.01)


def test_thinned_records_keep_their_pulses():
    """Long sweeps keep every m-th reading and all pulses; many short ones are cut to windows."""
    rise = np.linspace(-0.9, 0.9, 5000)
    response = two_runs(rise, -rise)
    short = thinned(response, 400)
    assert short.readings.size <= 440
    for sign in (1, -1):
        kept = np.asarray(short.pulses) * sign > 0
        assert np.sum(np.abs(np.asarray(short.program.pulses)[kept])) == 4999
    position = np.searchsorted(rise, short.readings[:200])
    np.testing.assert_array_equal(np.diff(position), np.asarray(short.program.pulses)[1:200])
    many = PulseResponse(readings=np.tile(cell(0), 50), pulses=np.tile(PROGRAM, 50))
    cut = thinned(many, 1000)
    assert cut.readings.size <= 1000
    assert cut.program.runs[-1] == 7
    assert thinned(many, 20000) is many


def alternating(steps, count=200_000, read_noise=0.02, cycle_noise=0.5, start=-0.6, seed=1):
    """Readings after each of alternating pulses on a soft-bounds cell."""
    rng, state, readings = np.random.default_rng(seed), start, np.empty(count)
    factors, noise = 1 + cycle_noise * rng.normal(size=count), read_noise * rng.normal(size=count)
    for k in range(count):
        sign = 1 - 2 * (k % 2)
        state += sign * steps[k % 2] * (1 - sign * state) * factors[k]
        readings[k] = state + noise[k]
    return PulseResponse(readings=readings, pulses=np.tile([1, -1], count // 2))


def test_windows_of_ramps_in_one_direction_each_are_kept():
    """A run without down pulses says nothing of down steps, neither that they are too small."""
    rise = np.linspace(-0.9, 0.9, 150)
    noise = 0.002 * np.random.default_rng(3).normal(size=80 * 150)
    response = PulseResponse(
        readings=np.tile(np.r_[rise, -rise], 40) + noise,
        pulses=np.repeat(np.tile([1, -1], 40), 150),
        runs=np.repeat(np.arange(80), 150),
    )
    short = thinned(response, 1000)
    assert short.readings.size <= 1100
    assert min(np.sum(np.asarray(short.pulses) > 0), np.sum(np.asarray(short.pulses) < 0)) > 100


def near(found, truth, ends):
    """Within 4 standard errors, a 95 % interval being 3.92 of them wide."""
    return abs(found - truth) < 4 * (ends[1] - ends[0]) / 3.92


@pytest.mark.slow
def test_long_alternating_records_tell_symmetric_point_steps_and_noises():
    """Windows of 2 % of the readings, and all of them: the intervals of all are the shorter ones."""
    response = alternating((0.02, 0.016))
    short = thinned(response, 4000)
    assert short.readings.size == 4000
    truth = {"symmetric_point": 1 / 9, "read_noise": 0.02, "cycle_noise": 0.5}
    found = best_fit(short, "soft-bounds")
    named, ends = found.named(), found.wald_intervals()
    whole = fit_long_response(response, short, "soft-bounds").parameters
    for name, value in truth.items():
        low, high = ends[name][0]
        assert near(named[name][0], value, (low, high)), name
        assert near(whole[name].value, value, whole[name][1:]), name
        assert whole[name].high - whole[name].low < 0.3 * (high - low), name


@pytest.mark.slow
def test_a_way_to_the_states_that_are_visited_adds_information():
    """24 records that start far away: coverage by 4 binomial sigma, intervals no longer than from near by.

    The way takes some 20 of 6,000 readings; visited states, around the symmetric point, span 0.05. Of 24
    intervals 22.8 hold the truth, deviation 1.07; at least 18. A tenth of the lengths for their own scatter.
    """
    truth = {"symmetric_point": 1 / 9, "read_noise": 0.02, "cycle_noise": 0.3}
    truth |= dict.fromkeys(("step_up", "step_down"), 0.1 * 8 / 9)
    widths, held = {}, dict.fromkeys(truth, 0)
    for start in (1 / 9, -0.6):
        widths[start] = {name: [] for name in truth}
        for seed in range(24):
            response = alternating((0.1, 0.08), count=6_000, cycle_noise=0.3, start=start, seed=seed)
            law = family_law("soft-bounds", *visited_range(response))
            assert 0.0 < law.low < law.high < 0.2
            ((_, found),) = estimate(law, response.program, response.readings[None], brief=True)
            assert not found.slow
            ends = found.wald_intervals()
            for name, value in truth.items():
                low, high = ends[name][0]
                widths[start][name].append(high - low)
                held[name] += start < 0 and low <= value <= high
    for name in truth:
        assert held[name] >= 18, name
        assert np.median(widths[-0.6][name]) < 1.1 * np.median(widths[1 / 9][name]), name


@pytest.mark.slow
def test_steps_far_below_the_noise_are_found_in_a_long_record():
    """Steps of a tenth of the reading noise; too small for windows of it to show."""
    response = alternating((0.0022, 0.0018), count=60_000, cycle_noise=0.3)
    with pytest.raises(ParameterError, match="steps are lost in the noise"):
        thinned(response, 400)
    found = fit_long_response(response, None, "soft-bounds")
    truth = {"symmetric_point": 0.1, "step_up": 0.0022, "step_down": 0.0018, "read_noise": 0.02}
    for name, value in truth.items():
        one = found.parameters[name]
        assert near(one.value, value, one[1:]), name
    assert found.parameters["symmetric_point"].high - found.parameters["symmetric_point"].low < 0.03
    assert "symmetric_point" not in [item.name for item in found.unidentified]


@pytest.mark.slow
def test_estimates_of_long_records_reach_the_information_of_all_readings():
    """16 records: mean squares of errors over their bounds within 4 sigma of 1 (chi square over 16)."""
    truth = {"symmetric_point": 0.1, "step_up": 0.00198, "read_noise": 0.02, "cycle_noise": 0.3}
    errors = {name: [] for name in truth}
    for seed in range(16):
        response = alternating((0.0022, 0.0018), count=40_000, cycle_noise=0.3, start=0.1, seed=seed)
        law = family_law("soft-bounds", *visited_range(response))
        ((_, found),) = estimate(law, response.program, response.readings[None], brief=True)
        named, ends = found.named(), found.wald_intervals()
        for name, value in truth.items():
            moved = (np.log if min(ends[name][0]) > 0 and name != "symmetric_point" else np.asarray)(
                [named[name][0], value, *ends[name][0]]
            )
            errors[name].append((moved[0] - moved[1]) / ((moved[3] - moved[2]) / 3.92))
    for name, ratios in errors.items():
        assert abs(np.mean(np.square(ratios)) - 1) < 4 * np.sqrt(2 / 16), name


def test_the_linearised_restriction_has_the_gradient_of_the_exact_one():
    """At the vectors of its information both have the same derivatives by the noises (1e-3 steps: 1 %)."""
    response = alternating((0.02, 0.016), count=600)
    law = family_law("soft-bounds", *visited_range(response))
    problem, theta = pose(law, response.program, response.readings[None])
    exact = likelihood(problem._replace(means=theta), theta)
    linear = likelihood(with_slopes(problem, theta), theta)
    np.testing.assert_allclose(linear.score, exact.score, rtol=0.01, atol=1e-6)


def test_steps_that_noise_hides_are_refused_with_a_number_of_readings():
    """Noise, and steps against the pulses that are smaller: no word of directions that are reversed."""
    noise = np.random.default_rng(2).normal(size=2000)
    pulses = np.tile([1, -1], 1000)
    noise -= 0.01 * pulses
    with pytest.raises(ParameterError, match=r"hidden in the noise: .* would show in [\d,]+ readings"):
        PulseResponse(readings=noise, pulses=pulses)


def test_visited_states_of_alternating_pulses_are_not_those_of_the_noise():
    """States around 0.1 with a std of 0.016 (q/2k of the walk); readings span 0.4."""
    response = alternating((0.0022, 0.0018), count=20_000, read_noise=0.05, start=0.1)
    low, high = visited_range(response)
    assert np.ptp(response.readings) > 0.35
    assert 0.1 - 4 * 0.016 < low < 0.1 < high < 0.1 + 4 * 0.016


def test_a_record_whose_parts_move_against_the_pulses_is_refused_and_not_fitted_whole():
    """Up pulses raise the readings, but not near the eight evenly spaced windows."""
    count = 40_000
    place = np.arange(count)
    near = np.abs(place[:, None] - np.linspace(0, count, 8)).min(axis=1) < 500
    readings = np.where(place % 2 == 0, np.where(near, -0.1, 1.0), 0.0)
    response = PulseResponse(readings=readings, pulses=np.tile([1, -1], count // 2))
    with pytest.raises(ParameterError, match="steps too small to be seen in 1,600 of 40,000 readings"):
        thinned(response, 400)
