"""The attempts of a design: what a simulation that disagrees changes, and for which settings."""

import numpy as np
import pytest

from sptrack.blocks import EMA, ObserverSettings
from sptrack.cost import CostModel
from sptrack.design import Candidate, Requirements, Setting, Specification, designing
from sptrack.design.checking import MET, MISSED, Check, Row
from sptrack.design.choice import Search, rank
from sptrack.devices import sample_cells
from sptrack.tracking.methods import telegraph

SPEC = Specification(requirements=Requirements(rms=0.05), steps=5000, train=False)
VALUES = {
    "bias": 0.0,
    "rms": 0.04,
    "settling": 900.0,
    "converging": 5000.0,
    "weights": 0.04,
    "pulses": 1000.0,
    "reads": 5000.0,
    "programs": 50.0,
    "signal": 0.5,
}


def candidate(reference, **values):
    chopper = telegraph(0.01) if isinstance(reference, EMA) else None
    setting = Setting(0.02, chopper, reference)
    return Candidate(setting=setting, gamma=0.5, beta=0.002, values=VALUES | values, warnings=())


FILTER = candidate(EMA(eta=0.01), pulses=9000.0)
OBSERVERS = [
    candidate(ObserverSettings(forgetting=1e-3 / (k + 1)), rms=0.04 / 1.2**k, pulses=100.0 + k)
    for k in range(8)
]


@pytest.fixture
def design(monkeypatch):
    """Design among given candidates; ``factor`` gives measured over predicted rms of each."""
    tried = []

    def check(spec, cells, chosen, *, seeds, seed, progress):
        tried.append(chosen)
        measured = chosen.values["rms"] * factor(chosen)
        ends = (measured * 0.99, measured * 1.01)
        verdict = MET if ends[1] <= 0.05 else MISSED
        row = Row(
            name="rms",
            limit=0.05,
            predicted=chosen.values["rms"],
            measured=measured,
            interval=ends,
            margin=0.05 / measured,
            verdict=verdict,
        )
        none = np.zeros(1)
        return Check(
            rows=(row,),
            seeds=seeds,
            steps=none,
            left_measured=none,
            left_predicted=none,
            rms_measured=none,
            training={},
        )

    def pick(spec, cells, found, margin, cost, correction):
        return min(found, key=lambda one: rank(spec, one, margin, cost, correction))

    def run(among, how):
        nonlocal factor
        factor = how
        cells = sample_cells(SPEC.device, (1, 4), seed=0)
        best = pick(SPEC, cells, among, 1.15, CostModel(), {})
        searched = Search(
            specification=SPEC, cells=cells, best=best, feasible=True, margin=1.15, candidates=tuple(among)
        )
        monkeypatch.setattr(designing, "search", lambda *_, **__: searched)
        return designing.design(SPEC), tried

    factor = float
    monkeypatch.setattr(designing, "check", check)
    monkeypatch.setattr(designing, "pick", pick)
    return run


def test_what_is_predicted_right_is_simulated_once(design):
    made, tried = design([*OBSERVERS, FILTER], lambda one: 1.0)
    assert made.met
    assert made.attempts == len(tried) == 1
    assert made.chosen.observes


def test_a_small_miss_is_corrected_within_the_kind(design):
    made, tried = design([*OBSERVERS, FILTER], lambda one: 1.4 if one.observes else 1.0)
    assert made.met
    assert all(one.observes for one in tried)
    assert made.chosen.values["rms"] * 1.4 * 1.01 <= 0.05


def test_where_observers_fail_throughout_a_filter_that_is_predicted_to_do_is_tried(design):
    made, tried = design([*OBSERVERS, FILTER], lambda one: 5.0 if one.observes else 1.0)
    assert made.met
    assert made.chosen is FILTER
    assert [one.observes for one in tried] == [True, True, False]


def test_a_filter_that_is_not_predicted_to_do_is_not_tried(design):
    made, tried = design([*OBSERVERS, candidate(EMA(eta=0.1), rms=0.06)], lambda one: 5.0)
    assert not made.met
    assert all(one.observes for one in tried)
    assert made.attempts == designing.ATTEMPTS


def test_what_is_left_is_reported_by_corrected_predictions(design):
    """After the observer fails the filter stands as predicted; after both fail, both are corrected."""
    made, tried = design([OBSERVERS[0], FILTER], lambda one: 5.0)
    assert [one.observes for one in tried[:2]] == [True, False]
    assert not made.met
    (miss,) = made.misses
    assert (miss.name, miss.reachable) == ("rms", pytest.approx(0.04 * designing.LARGEST_STEP))
