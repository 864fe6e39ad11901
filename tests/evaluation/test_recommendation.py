"""The recommendation: what it costs is what is spent, and what it promises holds on another array."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.calibration import calibrator
from sptrack.cost import CostModel
from sptrack.crossbar import Crossbar
from sptrack.devices import Asymmetry, ConstantStep, Device, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.evaluation import recommendation
from sptrack.evaluation.recommendation import least_errors, recommend, trial

QUICK = Device(dw_min=0.01, spread=Spread(dw_min=0.1, asymmetry=Asymmetry(mean=0.2, std=0.15)))
SETTINGS = {"target": 0.06, "read_noise": 0.02}
FEW = ("zero-shifting", "bursts-known", "bursts")


@pytest.fixture(autouse=True)
def _small_pilot(monkeypatch):
    monkeypatch.setattr(recommendation, "PILOT", (10, 10))


@pytest.fixture(scope="module")
def cheap():
    return recommend(QUICK, methods=FEW, cost=CostModel(read=0.1), **SETTINGS)


def test_the_cheapest_that_meets_the_target_comes_first(cheap):
    assert {row.method for row in cheap} == set(FEW)
    assert all(row.met and row.rms <= 0.06 for row in cheap)
    assert [row.cost for row in cheap] == sorted(row.cost for row in cheap)


def test_dear_reads_are_taken_less(cheap):
    dear = recommend(QUICK, methods=FEW, cost=CostModel(read=100.0), **SETTINGS)
    for row in dear:
        other = next(r for r in cheap if r.method == row.method)
        assert row.reads <= other.reads
    assert sum(row.reads for row in dear) < sum(row.reads for row in cheap)


def test_the_promise_holds_on_another_array(cheap):
    """400 cells that the pilot did not see: within 30 % of the target (100 pilot cells: 7 % a sigma)."""
    cells = sample_cells(QUICK, (20, 20), seed=3)
    for row in cheap:
        found = calibrator(row.method, QUICK, reads=row.reads).calibrate(
            Crossbar(cells, threads=1), row.pulses + row.pulses % 2, read_noise=0.02
        )
        rms = np.sqrt(np.mean((found.points[-1] - cells.symmetric_point) ** 2))
        assert rms < 1.3 * 0.06


def test_bounds_that_are_not_known_rule_out_the_method_that_wants_them():
    kind = replace(QUICK, spread=replace(QUICK.spread, w_max=0.4, w_min=0.4))
    rows = recommend(kind, methods=("bursts-known", "bursts"), cost=CostModel(read=1.0), **SETTINGS)
    assert [(row.method, row.met) for row in rows] == [("bursts", True), ("bursts-known", False)]


def test_a_trial_counts_pulses_reads_and_placement():
    cells = sample_cells(QUICK, (6, 6))
    row = trial(cells, "bursts", 301, 20, target=0.1, read_noise=0.02, cost=CostModel(pulse=2.0, read=5.0))
    assert row.reads == 20
    assert row.pulses == pytest.approx(302, abs=10)
    assert row.placement > 0
    assert row.cost == pytest.approx(2 * (row.pulses + row.placement) + 100)
    assert trial(cells, "zero-shifting", 300, 1, target=0.1).placement == 0


def test_progress_counts_the_methods():
    seen = []
    recommend(QUICK, methods=("zero-shifting",), progress=lambda *a: seen.append(a), target=0.3)
    assert seen == [(1, 1)]


def test_least_errors_by_hand():
    found = least_errors([10, 20, 30, 40], [0.4, 0.2, 0.3, 0.1], [5, 10, 25, 35, 100])
    assert found.tolist() == [-1, 0, 1, 1, 3]


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (QUICK, {"target": 0.0}, "target must be > 0, got 0.0"),
        (QUICK, {"target": 0.1, "methods": ("burst",)}, "did you mean 'bursts'"),
        (Device(response=ConstantStep()), {"target": 0.1}, "no cell has a symmetric point"),
    ],
)
def test_refusals(kind, settings, words):
    with pytest.raises(ParameterError, match=words):
        recommend(kind, **settings)
