"""Choice among candidates: what is undominated, nearest, in the way; the search as a whole."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.cost import CostModel
from sptrack.design import Candidate, Requirements, Setting, Specification, search
from sptrack.design.choice import conflicts, misses, price, rank
from sptrack.errors import ParameterError
from sptrack.tracking.methods import telegraph
from sptrack.tracking.rated import rated_reference

VALUES = {
    "bias": 0.01,
    "rms": 0.04,
    "settling": 900.0,
    "converging": 5000.0,
    "weights": 0.04,
    "pulses": 1000.0,
    "reads": 20000.0,
    "programs": 50.0,
    "signal": 0.5,
}


def candidate(**values):
    setting = Setting(0.02, telegraph(0.002), rated_reference("ema", 0.005))
    return Candidate(setting=setting, gamma=0.5, beta=0.002, values=VALUES | values, warnings=())


def specification(**limits):
    return Specification(requirements=Requirements(**limits), train=False)


def test_rank_is_the_worst_excess_with_margin_then_the_cost():
    spec, cost = specification(rms=0.05, programs=50), CostModel()
    worst, paid, operations = rank(spec, candidate(), 1.0, cost)
    assert (worst, paid) == (1.0, price(candidate(), cost))
    assert rank(spec, candidate(), 1.5, cost)[0] == pytest.approx(0.04 * 1.5 / 0.05)
    assert rank(spec, candidate(programs=100.0), 1.5, cost)[0] == pytest.approx(2.0)
    assert rank(spec, candidate(), 1.0, cost, {False: {"rms": 2.0}})[0] == pytest.approx(1.6)
    assert paid == cost.total(pulses=1000.0, reads=20000.0, programs=50.0)


def test_misses_say_what_is_in_the_way_and_what_would_do():
    """Of two settings each meets one limit: either limit could give way, and to what."""
    spec = specification(rms=0.05, programs=10)
    accurate, idle = candidate(), candidate(rms=0.08, programs=5.0)
    found = {miss.name: miss for miss in misses(spec, [accurate, idle], idle)}
    assert found["rms"] == ("rms", 0.05, 0.08, 0.08)
    assert found["programs"] == ("programs", 10.0, 50.0, 5.0)


def test_misses_of_two_limits_that_no_setting_nears_have_nothing_reachable():
    spec = specification(rms=0.01, programs=10)
    found = {miss.name: miss for miss in misses(spec, [candidate()], candidate())}
    assert np.isnan(found["rms"].reachable)
    assert np.isnan(found["programs"].reachable)
    assert found["programs"].nearest == 50.0


def test_no_misses_where_all_is_met():
    assert misses(specification(rms=0.05), [candidate()], candidate()) == ()


def test_two_limits_that_exclude_each_other_are_a_pair():
    """Each is met by one of two settings; a third limit that both meet is in no pair."""
    spec = specification(rms=0.05, programs=10, pulses=2000)
    accurate, idle = candidate(), candidate(rms=0.08, programs=5.0)
    assert conflicts(spec, [accurate, idle], idle) == ((("rms", "programs"), (0.08, 50.0)),)
    assert conflicts(spec, [accurate, idle, candidate(programs=9.0)], idle) == ()


def test_a_limit_that_no_setting_meets_stands_alone_with_the_nearest_value():
    spec = specification(rms=0.01, programs=10)
    made = [candidate(), candidate(rms=0.08, programs=5.0)]
    assert conflicts(spec, made, made[0]) == ((("rms",), (0.04,)),)
    assert conflicts(spec, made, made[0], {False: {"rms": 0.2}}) == ((("rms", "programs"), (0.016, 50.0)),)


def test_a_value_without_bound_is_nothing_that_could_be_reached():
    spec = specification(settling=100.0)
    (found,) = conflicts(spec, [], candidate(settling=np.inf))
    assert found.names == ("settling",)
    assert np.isnan(found.reachable[0])


@pytest.fixture(scope="module")
def found():
    return search(replace(specification(rms=0.05, settling=3000.0), steps=5000), margin=1.2)


def test_the_best_meets_the_limits_with_margin(found):
    assert found.feasible
    assert found.best.values["rms"] * 1.2 <= 0.05
    assert found.best.values["settling"] * 1.2 <= 3000
    assert found.best.valid
    assert found.cells.size == 64


def test_nothing_cheaper_was_seen(found):
    spec = found.specification
    good = [one for one in found.candidates if rank(spec, one, found.margin, CostModel())[0] <= 1]
    cheapest = min(price(one, CostModel()) for one in good)
    assert price(found.best, CostModel()) == pytest.approx(cheapest, rel=1e-8)
    alike = [one for one in good if price(one, CostModel()) < cheapest * (1 + 1e-9)]
    assert found.best.setting.reference.operations == min(one.setting.reference.operations for one in alike)


@pytest.mark.slow
def test_an_impossible_limit_leaves_the_nearest_setting():
    spec = replace(specification(rms=1e-4), steps=1000)
    made = search(spec)
    assert not made.feasible
    (miss,) = misses(spec, made.candidates, made.best)
    assert miss.name == "rms"
    assert miss.reachable <= made.best.values["rms"] * 1.1
    assert miss.reachable > 1e-4


@pytest.mark.parametrize("margin", [0.9, np.inf, np.nan])
def test_a_margin_below_one_is_refused(margin):
    with pytest.raises(ParameterError, match="margin"):
        search(specification(rms=0.05), margin=margin)
