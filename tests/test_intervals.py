"""Coverage of the intervals over cells, by repeated draws with known truth."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from sptrack.intervals import NORMAL_ABOVE, summarise

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


@pytest.mark.parametrize("cells", [150, NORMAL_ABOVE + 1])
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
