import numpy as np
import pytest

from sptrack import ParameterError
from sptrack.evaluation.scaling import crossing, geometric_mean, median_cost, power_law, tie


def test_power_law_recovers_an_exact_law():
    x = np.array([1e-5, 3e-4, 2e-3, 0.1])
    fit = power_law(x, 5.77 * x**-0.963)
    assert fit == pytest.approx((-0.963, -0.963, -0.963, 5.77), rel=1e-9)


def test_the_interval_of_a_power_law_covers_the_truth_in_95_of_100():
    # 2000 fits of 6 points with log-normal scatter: the share has a standard error of 0.5 %
    rng = np.random.default_rng(1)
    x = np.geomspace(1e-4, 1e-2, 6)
    fits = [power_law(x, 3 * x**-1 * np.exp(0.1 * rng.standard_normal(6))) for _ in range(2000)]
    share = np.mean([fit.low <= -1 <= fit.high for fit in fits])
    assert abs(share - 0.95) < 4 * 0.005


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([1, 2, 0], [1, 1, 1]), ([1, 2, 3], [1, 2, np.nan])]
)
def test_power_law_refuses_what_it_cannot_fit(x, y):
    with pytest.raises(ParameterError, match="3 or more pairs"):
        power_law(x, y)


def test_power_law_refuses_a_single_place():
    with pytest.raises(ParameterError, match="2 different values"):
        power_law([2, 2, 2], [1, 2, 3])


def test_crossing_of_an_exponential_is_exact_between_coarse_samples():
    n = np.array([0, 1000, 4000])
    error = -0.3 * np.exp(-n / 700)
    at = 700 * np.log(0.3 / 0.01)
    found = crossing(n, error, 0.01)
    assert found == pytest.approx((at, at, at), rel=1e-12)


def test_the_interval_of_a_crossing_follows_the_sampling_error():
    n = np.linspace(2000, 3000, 201)
    error = 0.3 * np.exp(-n / 700)
    found = crossing(n, error, 0.01, 1e-4)
    half = 1.96 * 1e-4 / (0.01 / 700)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.01)
    assert found.low < found.at < found.high


def test_crossing_says_nan_for_what_the_samples_do_not_hold():
    n = np.array([10, 20, 30])
    assert np.isnan(crossing(n, [3, 2, 1.5], 1.0)).all()
    assert np.isnan(crossing(n, [0.9, 0.8, 0.7], 1.0)).all()
    found = crossing(n, [3, 1.1, 0.95], 1.0, 0.1)
    assert np.isnan(found.high)
    assert 10 < found.low < found.at < 30


@pytest.mark.parametrize(
    ("x", "errors", "target"), [([1], [1], 1), ([1, 2], [1, 2, 3], 1), ([1, 2], [2, 1], 0)]
)
def test_crossing_refuses_bad_samples(x, errors, target):
    with pytest.raises(ParameterError, match="must|needs"):
        crossing(x, errors, target)


def test_geometric_mean_and_its_interval_cover_the_truth_in_95_of_100():
    # 2000 samples of 6 log-normal costs: the share has a standard error of 0.5 %
    rng = np.random.default_rng(2)
    found = [geometric_mean(50 * np.exp(0.4 * rng.standard_normal(6))) for _ in range(2000)]
    share = np.mean([one.low <= 50 <= one.high for one in found])
    assert abs(share - 0.95) < 4 * 0.005
    assert geometric_mean([2.0, 8.0]).value == pytest.approx(4.0)


def test_geometric_mean_of_one_has_no_interval_and_of_a_miss_no_value():
    assert geometric_mean([3.0])[0] == pytest.approx(3.0)
    assert np.isnan(geometric_mean([3.0])[1:]).all()
    assert np.isnan(geometric_mean([3.0, np.nan])).all()
    with pytest.raises(ParameterError, match="> 0"):
        geometric_mean([1.0, 0.0])


def test_tie_of_two_power_laws_is_exact_with_or_without_scatter():
    x = np.geomspace(1e-4, 1e-2, 5)
    cost = np.ones((5, 3)) * 2.0
    other = (2.0 * (x / 7e-4) ** 0.5)[:, None] * np.ones((5, 3))
    for first, second in ((cost, other), (other, cost)):
        assert tie(x, first, second) == pytest.approx((7e-4, 7e-4, 7e-4))


def test_the_interval_of_a_tie_covers_the_truth_at_least_95_of_100_times():
    # 1000 ties of laws with slopes 0 and -1 and 8 paired seeds; 8 order statistics cover 99.2 %, standard
    # error of the share 0.3 %
    rng, hits = np.random.default_rng(3), []
    x = np.geomspace(1e-6, 1, 13)
    for _ in range(1000):
        ratio = np.log(x / 1e-3)[:, None] + 0.3 * rng.standard_normal((1, 8))
        found = tie(x, np.exp(ratio), np.ones((13, 8)))
        hits.append(found.low <= 1e-3 <= found.high)
    assert abs(np.mean(hits) - 0.992) < 4 * 0.003


@pytest.mark.parametrize(("n", "share"), [(6, 1 - 2 / 64), (9, 1 - 2 * 10 / 512), (15, 1 - 2 * 576 / 32768)])
def test_the_interval_of_a_median_has_its_binomial_coverage(n, share):
    # 4000 samples of skewed costs: standard error at most 0.35 %
    rng = np.random.default_rng(4)
    found = [median_cost(np.exp(rng.exponential(size=n))) for _ in range(4000)]
    hits = np.mean([one.low <= 2.0 <= one.high for one in found])
    assert share >= 0.95
    assert abs(hits - share) < 4 * 0.0035


def test_a_median_with_misses_is_that_of_infinite_costs():
    found = median_cost([1.0, 4.0, np.nan, 2.0, 8.0, np.nan])
    assert (found.value, found.low) == (pytest.approx(np.sqrt(32.0)), pytest.approx(1.0))
    assert np.isnan(found.high)
    assert np.isnan(median_cost([1.0, np.nan, np.nan]).value)
    with pytest.raises(ParameterError, match="> 0"):
        median_cost([0.0])


def test_tie_says_nan_where_there_is_none():
    x, one = [1.0, 2.0, 4.0], np.ones((3, 4))
    assert np.isnan(tie(x, one, 2 * one)).all()
    unreached = np.array([[0.5], [np.nan], [2.0]]) * np.ones(4)
    assert 1.0 < tie(x, unreached, one).at < 1.1
    assert np.isnan(tie(x, np.nan * one, np.nan * one)).all()
    wide = np.array([[0.9], [1.0], [1.2]]) * np.exp([[-0.5, 0.5, -0.5, 0.5]])
    found = tie(x, wide, one)
    assert found.at == pytest.approx(2.0)
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(
    ("x", "costs"), [([1], [[1]]), ([2, 1], [[1], [1]]), ([0, 1], [[1], [1]]), ([1, 2], [1, 1])]
)
def test_tie_refuses_what_does_not_fit(x, costs):
    with pytest.raises(ParameterError, match="must|needs"):
        tie(x, costs, costs)
