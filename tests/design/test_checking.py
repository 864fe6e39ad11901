"""Verdicts of a design's check, from measured intervals alone."""

import numpy as np
import pytest

from sptrack.blocks import EMA
from sptrack.design import Candidate, Requirements, Setting, Specification
from sptrack.design.checking import _row
from sptrack.design.specification import QUANTITIES

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
