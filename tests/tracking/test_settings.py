"""Settings beyond the defaults: periodic choppers, other estimators, operations, limits."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.tracking import method, problem, track, with_settings

pytestmark = pytest.mark.compiled


def tail(changed, seeds=range(400, 406), steps=20000):
    runs = [track(problem(seed=seed), changed, steps, seed=seed, application="burst") for seed in seeds]
    return np.array([run.tail() for run in runs])


def test_a_periodic_chopper_tracks_as_well_as_a_random_one():
    """Half period 500: W .00078 +- .00019, Q .00075 +- .00012 over seeds; 4 sigma of the mean of 6."""
    errors = tail(with_settings(method("e-rider"), half_period=500))
    assert abs(errors[:, 0].mean() - 0.00078) < 4 * 0.00019 / np.sqrt(6)
    assert abs(errors[:, 2].mean() - 0.00075) < 4 * 0.00012 / np.sqrt(6)


@pytest.mark.parametrize("estimator", ["corrected-ema", "boxcar", "last", "period-mean"])
def test_every_estimator_finds_the_symmetric_points(estimator):
    """From |Q - SP|^2 = .28 to below .01: an estimator that tracks nothing stays at the start."""
    settings = {"eta": 0.02, "sync": True} if estimator == "period-mean" else {}
    errors = tail(with_settings(method("e-rider"), estimator=estimator, **settings), seeds=range(3))
    assert errors[:, 2].max() < 0.01
    assert errors[:, 0].max() < 0.005


@pytest.mark.parametrize(("name", "operations"), [("sgd", 0), ("residual", 2), ("e-rider", 4), ("tt-v2", 4)])
def test_digital_operations_are_counted_per_read(name, operations):
    ledger = track(problem(), method(name), 100).ledger
    assert ledger.total("operations") == operations * ledger.total("reads")


def test_rates_beyond_any_device_are_refused():
    with pytest.raises(ParameterError, match="at most 1e\\+06"):
        track(problem(), method("sgd", alpha=1e4), 100)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"estimator": "emaa"}, "did you mean 'ema'"),
        ({"estimator": "boxcar", "eta": 0.0}, "eta must .*got 0.0"),
        ({"reference": "none"}, "one of zero, calibrated, true, got 'none'"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, text):
    with pytest.raises(ParameterError, match=text):
        with_settings(method("e-rider"), **settings)


def test_a_chopper_is_random_or_periodic():
    with pytest.raises(ParameterError, match="cannot both be above 0, got 0.1 and 5"):
        with_settings(method("e-rider"), chop={"probability": 0.1, "half_period": 5})
