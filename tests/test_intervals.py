"""Coverage of the intervals over cells, by repeated draws with known truth."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from sptrack.intervals import (
    NORMAL_ABOVE,
    error_arms,
    interval_text,
    positive_interval,
    student_interval,
    summarise,
    wilson_interval,
)

MEAN, STD, SPREAD = 0.02, 0.05, 0.3
TRUTH = {
    "rms": np.hypot(MEAN, STD),
    "median": brentq(lambda x: norm.cdf((x - MEAN) / STD) - norm.cdf((-x - MEAN) / STD) - 0.5, 0, 1),
    "mean": MEAN,
    "std": np.hypot(STD, SPREAD) - SPREAD,
}


def draw(rng, cells):
    truth = rng.normal(0.1, SPREAD, cells)
    return summarise(truth + rng.normal(MEAN, STD, cells), truth)


@pytest.mark.parametrize("cells", [pytest.param(150, marks=pytest.mark.slow), NORMAL_ABOVE + 1])
def test_intervals_cover_the_truth_in_95_percent_of_the_draws(cells):
    """250 draws: sigma of the share is 1.4 %; 0.90 is 3.6 sigma below 0.95, and all 250 has p = 3e-6."""
    rng = np.random.default_rng(1)
    inside = {name: [] for name in TRUTH}
    for _ in range(250):
        for name, (value, (low, high)) in draw(rng, cells).items():
            assert low <= value <= high
            inside[name].append(low <= TRUTH[name] <= high)
    for name, hits in inside.items():
        assert 0.90 <= np.mean(hits) < 1.0, (name, np.mean(hits))


def test_both_kinds_of_interval_agree_where_they_meet():
    """Widths for the same spread of errors at 4096 and 4097 cells differ by the scatter of 200 resamples."""
    widths = []
    for cells in (NORMAL_ABOVE, NORMAL_ABOVE + 1):
        found = draw(np.random.default_rng(2), cells)
        widths.append([high - low for _, (low, high) in found.values()])
    np.testing.assert_allclose(*widths, rtol=0.35)


def test_the_summary_is_what_it_says():
    truth, estimate = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 1.0])
    found = summarise(estimate, truth)
    assert found["rms"][0] == pytest.approx(np.sqrt(1.25 / 3))
    assert found["median"][0] == 0.5
    assert found["mean"][0] == pytest.approx(-0.5 / 3)
    assert found["std"][0] == pytest.approx(estimate.std() - truth.std())


@pytest.mark.parametrize("cells", [1, NORMAL_ABOVE + 1])
def test_perfect_estimates_have_intervals_of_no_width(cells):
    points = np.linspace(-0.5, 0.5, cells)
    assert all(entry == (0.0, (0.0, 0.0)) for entry in summarise(points, points).values())


def test_students_interval_of_two_and_of_ten_values():
    """t quantiles of tables: 12.706 for one degree of freedom, 2.2622 for nine."""
    assert student_interval([1.0, 3.0]) == pytest.approx([2 - 12.7062, 2 + 12.7062], rel=1e-5)
    values = np.arange(1.0, 11.0)
    half = 2.26216 * values.std(ddof=1) / np.sqrt(10)
    assert student_interval(values) == pytest.approx([5.5 - half, 5.5 + half], rel=1e-5)
    assert positive_interval(values) == pytest.approx(5.5 * np.exp([-half / 5.5, half / 5.5]), rel=1e-5)
    assert np.isnan([student_interval([1.0]), positive_interval([1.0])]).all()


def test_positive_intervals_hold_for_scattered_values_and_for_zeros():
    assert (positive_interval([0.0, 0.0, 0.0]) == 0).all()
    low, high = positive_interval([1e-6, 1e-6, 1.0])
    assert 0 < low < 1 / 3 < high
    table = np.random.default_rng(0).chisquare(2, (3, 4, 6))
    ends = positive_interval(table, axis=1)
    assert ends.shape == (3, 6, 2)
    np.testing.assert_array_equal(ends[1, 2], positive_interval(table[1, :, 2]))
    centre = table.mean(axis=1)
    np.testing.assert_allclose(ends.prod(axis=-1), centre**2)


def test_known_expectations_do_not_widen_an_interval():
    """Values that differ as they are known to differ have an interval of no width."""
    known = np.array([1.0, 4.0, 9.0])
    assert positive_interval(known, expected=known) == pytest.approx([14 / 3, 14 / 3])


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng, shape: 20 + rng.standard_normal(shape), 20.0),
        (lambda rng, shape: rng.chisquare(8, shape), 8.0),
        (lambda rng, shape: rng.chisquare(64, shape), 64.0),
    ],
    ids=["normal", "mean squares of 8", "mean squares of 64"],
)
def test_positive_intervals_cover_the_mean_in_95_percent(draw, truth):
    """4000 intervals of 8 values: the fraction has sigma .0034; the skew of mean squares of 8 costs 1 %."""
    low, high = positive_interval(draw(np.random.default_rng(0), (4000, 8))).T
    assert abs(np.mean((low <= truth) & (truth <= high)) - 0.95) < 4 * 0.0034 + 0.005


def test_intervals_as_text():
    assert interval_text(0.284, 0.276, 0.292) == "0.284 ± 0.008"
    assert interval_text(2.0, 0.5, 8.0) == "2.0 (0.5 .. 8.0)"
    assert interval_text(1.0, 1.0, 1.0) == "1"
    assert interval_text(0.284, 0.2832, 0.2848) == "0.2840 ± 0.0008"
    assert interval_text(34771.2, 34760.0, 34782.4) == "34,771 ± 11"
    assert interval_text(1.02e-5, 1.0e-5, 1.04e-5) == "(1.02 ± 0.02)e-05"
    assert interval_text(-3e-7, -1.3e-6, 7e-7) == "(-3 ± 10)e-07"
    assert interval_text(0.188, 0.178, 0.197) == "0.19 ± 0.01"
    assert interval_text(0.399, 0.379, 0.412) == "0.399 (0.379 .. 0.412)"
    assert interval_text(0.0, -0.5, 0.5) == "0.0 ± 0.5"
    assert interval_text(-0.0001, -0.0041, 0.0039) == "0.000 ± 0.004"
    assert interval_text(float("nan"), 0.0, 1.0) == "nan (0 .. 1)"


def test_arms_from_standard_errors_are_those_of_the_values():
    values = np.random.default_rng(0).gamma(2.0, size=(4, 6))
    mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(6)
    signed = error_arms(mean, error, repeats=6)
    low, high = student_interval(values).T
    np.testing.assert_allclose(signed, [mean - low, high - mean])
    low, high = positive_interval(values).T
    np.testing.assert_allclose(error_arms(mean, error, repeats=6, positive=True), [mean - low, high - mean])
    np.testing.assert_allclose(error_arms(0.0, 1.0, repeats=None), 1.959964, rtol=1e-6)
    assert (error_arms([0.1, 0.0], [1.0, 1.0], repeats=None, positive=True)[0] <= [0.1, 0.0]).all()


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (0, 20), (7, 20), (950, 1000), (20, 20)])
def test_wilson_interval_is_that_of_scipy(successes, count):
    expected = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes / count, count) == pytest.approx(tuple(expected), abs=1e-12)
