"""Verdicts of a design's check, from measured intervals alone."""

import numpy as np
import pytest

from sptrack.blocks import EMA
from sptrack.design import Candidate, Requirements, Setting, Specification
from sptrack.design.checking import _bias, _row, settling_time
from sptrack.design.specification import QUANTITIES
from sptrack.intervals import student_interval

SPEC = Specification(requirements=Requirements(rms=0.1, signal=0.5), train=False)
NAN = (np.nan, np.nan)


def verdict(name, value, ends, predicted=0.05):
    setting = Setting(0.01, None, EMA(eta=0.01))
    values = dict.fromkeys(QUANTITIES, predicted)
    one = Candidate(setting=setting, gamma=0.5, beta=0.001, values=values, warnings=())
    return _row(SPEC, one, name, value, ends)


@pytest.mark.parametrize(
    ("name", "value", "ends", "wanted"),
    [
        ("rms", 0.05, (0.04, 0.06), "met"),
        ("rms", 0.09, (0.07, 0.11), "uncertain"),
        ("rms", 0.11, (0.09, 0.13), "uncertain"),
        ("rms", 0.2, (0.15, 0.25), "missed"),
        ("signal", 0.8, (0.7, 0.9), "met"),
        ("signal", 0.5, (0.4, 0.6), "uncertain"),
        ("signal", 0.2, (0.1, 0.3), "missed"),
        ("rms", np.nan, NAN, "predicted"),
        ("bias", 0.3, (0.2, 0.4), "no limit"),
    ],
)
def test_the_whole_interval_decides(name, value, ends, wanted):
    assert verdict(name, value, ends).verdict == wanted


def test_a_prediction_beyond_the_limit_is_missed_and_margins_are_limit_over_value():
    assert verdict("rms", np.nan, NAN, predicted=0.2).verdict == "missed"
    assert verdict("rms", 0.05, (0.04, 0.06)).margin == pytest.approx(2.0)
    assert verdict("signal", 0.8, (0.7, 0.9)).margin == pytest.approx(1.6)
    assert verdict("bias", 0.3, (0.2, 0.4)).margin is None


def test_settling_is_the_first_step_after_which_the_curve_stays_inside():
    """e^(-k/tau) is below .05 from k = tau ln 20 on; an overshoot counts until it is over."""
    k = np.arange(1, 401)
    decay = np.exp(-k / 30)
    assert settling_time(np.stack([decay, decay])) == (90, (90, 90))
    wave = decay * np.cos(2 * np.pi * k / 50)
    outside = k[np.abs(wave) > 0.05]
    assert outside[-1] > 50 > k[np.abs(wave) <= 0.05][0]
    assert settling_time(np.stack([wave] * 3))[0] == outside[-1] + 1
    value, (low, high) = settling_time(np.stack([np.exp(-k / 20), np.exp(-k / 30), np.exp(-k / 40)]))
    assert value == pytest.approx(np.mean([60, 90, 120]))
    assert 0 < low < 60 < 120 < high


def test_a_curve_that_ends_outside_gives_bounds_alone():
    k = np.arange(1, 101)
    early, never = np.exp(-k / 10), np.exp(-k / 100)
    assert settling_time(np.stack([never, never])) == (100, (100, np.inf))
    assert settling_time(np.stack([early, never])) == (100, (30, np.inf))
    ends = settling_time(np.stack([never, never]))[1]
    assert verdict("settling", 100.0, ends).verdict == "no limit"
    spec = Specification(requirements=Requirements(settling=500.0), train=False)
    setting = Setting(0.01, None, EMA(eta=0.01))
    values = dict.fromkeys(QUANTITIES, 50.0)
    one = Candidate(setting=setting, gamma=0.5, beta=0.001, values=values, warnings=())
    row = _row(spec, one, "settling", 100.0, ends)
    assert (row.verdict, row.margin) == ("uncertain", None)


def test_the_bias_does_not_hold_the_noise_of_the_means():
    """Products of different seeds, by hand for 3; of pure noise the square has expectation 0, not s^2/n.

    4096 cells of 4 seeds: the mean of 6 products of pairs over 6 has sigma s^2/sqrt(6 4096).
    """
    late = np.array([[0.3, -0.1], [0.1, 0.2], [0.5, 0.4]])
    pairs = (late[0] * late[1] + late[0] * late[2] + late[1] * late[2]) / 3
    assert _bias(late)[0] == pytest.approx(np.sqrt(pairs.mean()))
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4, 4096))
    value, (low, high) = _bias(noise)
    assert value**2 < 4 / np.sqrt(6 * 4096)
    assert low == 0 < high < 0.5
    shifted = _bias(noise + 0.3)[0]
    assert shifted == pytest.approx(0.3, abs=0.05)


def test_the_interval_of_the_bias_is_students_over_the_cells():
    late = np.array([[0.3, 0.4, 0.6], [0.2, 0.5, 0.5]])
    ends = student_interval(late[0] * late[1])
    assert _bias(late)[1] == pytest.approx(np.sqrt(np.maximum(ends, 0.0)))
