import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import cases, commands, kernels, measure, report
from benchmarks.__main__ import main
from benchmarks.ceiling import best_time
from benchmarks.sweeps import command_of_no_work, course, plan, slope
from sptrack.sweep import Serial

pytestmark = pytest.mark.compiled


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(cases, "SIDE", 16)
    monkeypatch.setattr(cases, "PULSES", 8)


def test_the_list_holds_every_case(capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == list(cases.CASES)
    groups = (kernels.Trains, kernels.Updates, kernels.Loops, kernels.Tiles)
    assert {name for group in groups for name in group.params[0]} == set(cases.CASES)


def test_an_unknown_case_gives_one_line_and_status_2(capsys):
    assert main(["measure", "alternatng"]) == 2
    assert "did you mean 'alternating'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "load"), [("alternating", 28), ("alternating, two threads", 14), ("alternating, float64", 31)]
)
def test_the_share_of_a_rate_is_of_the_ceiling_of_its_threads(tiny, monkeypatch, capsys, name, load):
    monkeypatch.setitem(measure.CEILINGS, "multiply-adds", lambda repeats: 1e9)
    assert main(["measure", name, "--repeats", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rate"] > 0
    assert found["share"] == pytest.approx(found["rate"] * load / 1e9)


def test_pulses_are_counted_by_the_ledger(tiny, capsys):
    assert main(["measure", "alternating", "--repeats", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pulses"] == pytest.approx(found["rate"])


def test_targets_hold_on_any_machine():
    for case in cases.CASES.values():
        assert case.fraction is None or 0 < case.fraction < 1
        assert case.ratio is None or 0 < case.ratio < 1


def test_work_counts_the_pulses_of_the_ledger(tiny):
    bar = cases.CASES["random signs"].subject()
    assert cases.CASES["random signs"].work(bar) == bar.ledger.total() == 8 * 16 * 16


def test_asv_finds_a_class_with_setup_and_time(tiny):
    timed = kernels.Trains()
    timed.setup("piecewise")
    before = timed.bar.ledger.total()
    timed.time_work("piecewise")
    assert timed.bar.ledger.total() == 2 * before > 0


@pytest.mark.parametrize(
    ("value", "target", "at_most", "verdict"),
    [
        (2.0, 1.8, False, "ok"),
        (1.7, 1.8, False, "MISSED"),
        (4.0, 5.0, True, "ok"),
        (6.0, 5.0, True, "MISSED"),
        (2.0, None, False, "-"),
        (None, 1.0, True, "not measured"),
    ],
)
def test_verdicts(value, target, at_most, verdict):
    assert report.Row("x", value, "s", target, at_most).verdict == verdict


def test_the_report_of_two_cases(tiny, monkeypatch, capsys):
    two = {name: cases.CASES[name] for name in ("alternating", "alternating, two threads")}
    for module in (measure, report):
        monkeypatch.setattr(module, "CASES", two)
    monkeypatch.setattr(report, "REPORTED", ())
    assert main(["report", "--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in found["measured"]]
    assert names == [
        "alternating",
        "alternating: share of the ceiling",
        "alternating, two threads",
        "alternating: two threads / one",
    ]
    assert found["machine"]["multiply-adds/s"] > 1e8
    assert main(["report", "--quick"]) == 0
    assert all(name in capsys.readouterr().out for name in ("multiply-adds/s",))


def test_the_shortest_call_counts():
    durations = iter([0.02, 0.0, 0.01])

    def work():
        import time

        time.sleep(next(durations))

    shortest, spread = best_time(work, 3)
    assert shortest < 0.01
    assert spread > 0


def test_a_case_is_changed_without_touching_the_table(tiny):
    changed = replace(cases.CASES["alternating"], threads=2)
    assert changed.subject().threads == 2
    assert cases.CASES["alternating"].threads == 1


def test_a_calibration_is_held_against_its_pulses(monkeypatch):
    monkeypatch.setattr(commands, "multiply_adds_per_second", lambda: 2.4e10)
    found = commands.Calibration(5.0, 1.0, 0.1)
    assert found.ratio == 5.0
    assert found.beyond == pytest.approx(2.0)  # a machine of half the yardstick's speed takes twice as long


def test_commands_are_measured_as_processes(tiny, monkeypatch):
    monkeypatch.setattr(commands, "SIDE", 16)
    monkeypatch.setattr(commands, "PULSES", (8,))
    assert commands.pulses_alone(1) > 0
    monkeypatch.setattr(commands, "STARTS", ("--version", "no-such-command"))
    ((name, ratio),) = commands.starts(1)
    assert name == "--version"
    assert ratio > 0.2
    monkeypatch.setattr(measure, "command", lambda *words, repeats: None)
    assert commands.calibration(1) is None


def test_the_slope_of_memory_covers_the_truth():
    """Of 200 lines with noise the 95 % interval holds the slope in 95 %, within 4 sigma of a binomial."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        found, half = slope(3.0 * np.arange(2000) + rng.normal(0.0, 1000.0, 2000))
        inside += abs(found - 3.0) <= half
    assert abs(inside - 190) <= 4 * (200 * 0.95 * 0.05) ** 0.5


def test_a_sweep_of_no_work_is_followed_cell_by_cell():
    with command_of_no_work() as name:
        found = course(plan(40, 200, name), Serial())
    assert len(found.seconds) == len(found.memory) == 40
    assert (np.diff(found.seconds) >= 0).all()
    assert 0 < found.per_cell * 39 < found.whole
