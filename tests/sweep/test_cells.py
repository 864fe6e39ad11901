"""Cells: what is computed, how it is kept, what a damaged record does, and how folders refuse."""

import gc
import json
import math
import os
import sys
import time

import numpy as np
import pytest

from sptrack.design.scores import Task, evaluate
from sptrack.errors import ParameterError
from sptrack.sweep import COMMANDS, SweepFolder, plan_from_mapping, run_sweep
from sptrack.sweep.cells import Damaged, cell_path, kinds, read_record, run_cell
from sptrack.sweep.commands import prepare
from sptrack.tracking.methods import method
from sptrack.tracking.problems import ProblemSettings


def test_a_cell_of_track_is_what_evaluate_says(small, tmp_path):
    folder = run_sweep(small, tmp_path / "out").folder
    for cell in folder.cells():
        name, noise = cell.point
        task = Task(settings=ProblemSettings(size=2, read_noise=noise), steps=200)
        found = evaluate(method(name), task, [cell.seed])
        record = read_record(cell_path(folder.path, cell.key))
        assert {key: value for key, (value, _) in record.quantities.items()} == {
            key: float(values[0]) for key, values in found.items()
        }


def test_numbers_come_back_exactly_also_those_that_are_not_finite(monkeypatch, tmp_path):
    values = {"nan": math.nan, "high": math.inf, "low": -math.inf, "third": 1 / 3, "tiny": 5e-324}
    made = COMMANDS["track"]._replace(prepare=lambda p: lambda seed: {k: (v, "1") for k, v in values.items()})
    monkeypatch.setitem(COMMANDS, "track", made)
    path = run_cell(str(tmp_path), "track", {}, 3, "ab" * 16)
    text = cell_path(tmp_path, "ab" * 16).read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    found = read_record(cell_path(tmp_path, "ab" * 16)).quantities
    assert path == str(cell_path(tmp_path, "ab" * 16))
    assert math.isnan(found.pop("nan")[0])
    del values["nan"]
    assert found == {name: (value, "1") for name, value in values.items()}


def test_every_bit_of_a_record_is_guarded(small, tmp_path):
    folder = run_sweep(small, tmp_path / "out").folder
    path = cell_path(folder.path, next(folder.cells()).key)
    whole, record = path.read_bytes(), read_record(path)
    for place in range(len(whole.rstrip())):
        for bit in (1, 32):
            changed = bytearray(whole)
            changed[place] ^= bit
            path.write_bytes(changed)
            try:
                assert read_record(path) == record
            except Damaged:
                continue
    for length in range(len(whole.rstrip())):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            read_record(path)


def test_a_damaged_record_is_made_again(small, tmp_path, digests):
    folder = run_sweep(small, tmp_path / "out").folder
    before = digests(folder.path)
    paths = [cell_path(folder.path, cell.key) for cell in folder.cells()]
    paths[0].write_bytes(b"")
    paths[1].write_bytes(paths[2].read_bytes())
    assert folder.standing().damaged == 2
    report = run_sweep(small, folder.path)
    assert (report.found, report.made) == (10, 2)
    assert digests(folder.path) == before


def test_what_a_command_refuses_is_a_result(tmp_path):
    """Spectrum 0.9 .. 0.5 is met only where both axes leave their first values."""
    plan = plan_from_mapping(
        {
            "sweep": {"command": "track"},
            "set": {"steps": 200},
            "vary": {"problem": {"low": [0.1, 0.9], "high": [1.0, 0.5], "size": [2]}},
        }
    )
    report = run_sweep(plan, tmp_path / "out")
    standing = report.folder.standing()
    assert not report.failed
    assert (standing.done, standing.refused) == (4, 1)
    ((reason, count),) = standing.reasons
    assert "0.9 .. 0.5" in reason
    assert count == 1
    assert run_sweep(plan, tmp_path / "out").made == 0


def test_what_goes_wrong_is_tried_again(small, tmp_path, monkeypatch):
    def broken(parameters):
        if parameters["problem"]["read_noise"] == 0.01:
            raise MemoryError("no room")
        return whole(parameters)

    command = COMMANDS["track"]
    whole = command.prepare
    monkeypatch.setitem(COMMANDS, "track", command._replace(prepare=broken))
    report = run_sweep(small, tmp_path / "out")
    assert sorted(set(report.failed.values())) == ["MemoryError: no room"]
    assert (report.made, len(report.failed)) == (8, 4)
    monkeypatch.setitem(COMMANDS, "track", command)
    report = run_sweep(small, tmp_path / "out")
    assert (report.found, report.made, report.failed) == (8, 4, {})


def test_a_folder_of_another_sweep_is_refused_and_left(small, slower, tmp_path, digests):
    folder = run_sweep(small, tmp_path / "out").folder
    before, manifest = digests(folder.path), (folder.path / "sweep.json").read_bytes()
    with pytest.raises(ParameterError, match="holds another sweep .12 of its 12 cells are not in this plan"):
        run_sweep(slower, folder.path)
    assert digests(folder.path) == before
    assert (folder.path / "sweep.json").read_bytes() == manifest


def test_other_folders_are_refused(small, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("x")
    for name, message in {
        "mine": "holds files that are not of a sweep",
        "file": "is a file, a folder name is needed",
        "no/where": "does not exist",
    }.items():
        with pytest.raises(ParameterError, match=message):
            run_sweep(small, tmp_path / name)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(ParameterError, match="holds no sweep"):
        SweepFolder(tmp_path / "mine")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 9}', '{"form": 1, "cells": [[1]]}', "\xff"])
def test_a_damaged_manifest_is_refused(small, tmp_path, text):
    folder = run_sweep(small, tmp_path / "out").folder
    (folder.path / "sweep.json").write_text(text, encoding="latin-1")
    with pytest.raises(ParameterError, match="manifest of a sweep"):
        SweepFolder(folder.path)


def test_a_sweep_of_another_version_is_refused(small, tmp_path):
    folder = run_sweep(small, tmp_path / "out").folder
    path = folder.path / "sweep.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"sptrack": "0.0.1"}))
    with pytest.raises(ParameterError, match=r"a sweep of sptrack 0\.0\.1"):
        run_sweep(small, folder.path)


def test_what_a_killed_process_left_is_removed_after_an_hour(small, tmp_path):
    folder = run_sweep(small, tmp_path / "out").folder
    old, young = (folder.path / "cells" / name for name in ("00", "01"))
    for each in (old, young):
        each.mkdir(exist_ok=True)
        (each / ".sptrack-0123").write_bytes(b"half")
    hour_ago = time.time() - 3700
    os.utime(old / ".sptrack-0123", (hour_ago, hour_ago))
    run_sweep(small, folder.path)
    assert not (old / ".sptrack-0123").exists()
    assert (young / ".sptrack-0123").exists()


def test_kinds_differ_in_more_than_numbers(small):
    found = kinds(small.cells())
    assert [one["method"]["name"] for one in found] == ["e-rider", "agad"]


@pytest.mark.parametrize(
    ("command", "parameters"),
    {
        "calibrate": {"cells": "8x8", "pulses": [200, 400], "method": "tail-average", "target": 0.5},
        "budget": {"steps": 400, "seeds": 2, "problem": {"size": 2}},
        "response": {"filter": "ema:eta=0.1", "chopper": "telegraph:p=0.1", "problem": {"size": 4}},
    }.items(),
)
def test_every_command_gives_numbers_with_units_that_follow_from_the_seed(command, parameters):
    cell = prepare(command, parameters)
    found, again, other = cell(5), cell(5), cell(6)
    assert found == again or all(
        a == b or (math.isnan(a[0]) and math.isnan(b[0]))
        for a, b in zip(found.values(), again.values(), strict=True)
    )
    assert found != other
    assert found[COMMANDS[command].best][0] > 0
    assert all(isinstance(value, float) and unit for value, unit in found.values())


@pytest.mark.slow
@pytest.mark.compiled
def test_cells_leave_nothing_in_memory(tmp_path):
    """Blocks that Python holds, over 400 cells: the slope is below one per cell, with its 95 % interval.

    Behind the first 1000 cells, in which Python's lists of freed objects fill.
    """
    cells = 1400
    plan = plan_from_mapping(
        {
            "sweep": {"command": "track", "repeats": 10},
            "set": {"steps": 200, "problem": {"size": 1}},
            "vary": {"problem": {"read_noise": {"low": 0.0, "high": 0.1, "count": cells // 10}}},
        }
    )
    held = []

    def note(done, total):
        if done > 1000 and done % 10 == 0:
            gc.collect()
            held.append(sys.getallocatedblocks())

    run_sweep(plan, tmp_path / "out", progress=note)
    place = 10.0 * np.arange(len(held))
    fit, covariance = np.polyfit(place, held, 1, cov=True)
    assert len(held) == 40
    assert abs(fit[0]) + 2.05 * covariance[0, 0] ** 0.5 < 1.0


@pytest.mark.slow
def test_a_design_says_what_was_predicted_and_measured():
    found = prepare("design", {"steps": 4000, "seeds": 2, "require": {"rms": 0.1}})(1)
    assert found["feasible"] == (1.0, "1")
    assert 0 < found["predicted_rms"][0] <= 0.1
    assert 0 < found["measured_rms"][0] < 0.4
    assert found["measured_rms"][1] == "weight units"
