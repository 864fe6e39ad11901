"""`sptrack tune`: streams, exit statuses, files that other commands read, interrupts, refusals."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sptrack.blocks import CIC, PeriodicChopper
from sptrack.cli import main
from sptrack.design import (
    Budget,
    Plan,
    SearchSettings,
    Task,
    Tuning,
    hold_out,
    parse_space,
    run_study,
)
from sptrack.results import load
from sptrack.tracking import ProblemSettings, method
from sptrack.tracking.config import Setup, load_setup, setup_to_toml

SETTINGS = ProblemSettings(size=6, read_noise=0.01)
START = method("e-rider", alpha=0.02)
FILES = [".sptrack", "best.toml", "tune.journal", "tune.json", "tune.nc", "tune.png", "tune.svg"]
AMOUNT = [
    "--trials",
    "12",
    "--seeds",
    "2",
    "--finalists",
    "2",
    "--held-out",
    "3",
    "--steps",
    "400",
    "--seed",
    "1",
]


@pytest.fixture
def setup(tmp_path):
    path = tmp_path / "setup.toml"
    path.write_text(setup_to_toml(Setup(method=START, problem="quadratic", settings=SETTINGS)))
    return path


@pytest.fixture
def run(capfd):
    """Run `sptrack tune`: status, stdout, stderr."""

    def call(*arguments):
        return main(["tune", *map(str, arguments)]), *capfd.readouterr()

    return call


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("sptrack.plotting.style.save_figure", lambda *_: None)


def expected(path, *vary, **chosen):
    """What the options of these tests stand for."""
    return Plan(
        start=START,
        source=f"settings of {path}",
        task=Task(settings=SETTINGS, steps=400),
        search=SearchSettings(space=parse_space(vary, START), **chosen),
        budget=Budget(trials=12, seeds=2, finalists=2, held_out=3, seed=1),
    )


def test_json_is_the_record_of_the_plan(run, setup):
    status, out, err = run("--config", setup, "--vary", "alpha=1e-3:0.1", "eta", *AMOUNT, "--json")
    found = run_study(expected(setup, "alpha=1e-3:0.1", "eta"))
    record = Tuning(found, hold_out(found)).record()
    assert (status, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(record))


def test_the_tables_show_the_numbers_of_the_json(run, setup, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    _, text, _ = run("--config", setup, *AMOUNT)
    record = json.loads(run("--config", setup, *AMOUNT, "--json")[1])
    (candidate,) = record["candidates"]
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    for name, values in candidate["settings"].items():
        assert f"{values['tuned']:.4g}" in lines[name]
        assert f"{values['moved']:.3g}" in lines[name]
    text = " ".join(text.split())
    w = candidate["scores"]["w"]
    low, high = w["difference_ci"]
    for value in (f"{w['start']:.4g}", f"{w['tuned']:.4g}", f"{low:+.3g} .. {high:+.3g}", w["verdict"]):
        assert value in text
    assert f"Start: settings of {setup}" in text
    assert f"{record['trials']['complete']} complete" in text


def test_files_that_other_commands_read(run, setup, tmp_path, capfd):
    out = tmp_path / "made"
    status, text, err = run("--config", setup, *AMOUNT, "--out", out, "--json")
    assert (status, err) == (0, f"wrote {out}\n")
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert (out / "tune.json").read_text(encoding="utf-8") == text
    found = run_study(expected(setup))
    best = load_setup(out / "best.toml")
    assert (best.method, best.problem, best.settings) == (found.method, "quadratic", SETTINGS)
    data = load(out / "tune.nc")
    assert data.sizes["trial"] == 12
    np.testing.assert_array_equal(data["w"], [one.scores.get("w", np.nan) for one in found.trials])
    held = ["--seed", "101", "--seeds", "3", "--steps", "400", "--json"]
    assert main(["track", "--config", str(out / "best.toml"), *held]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    (candidate,) = json.loads(text)["candidates"]
    assert row["w_mse"] == pytest.approx(candidate["scores"]["w"]["tuned"], rel=1e-12)
    assert main(["explain", "--config", str(out / "best.toml")]) == 0


@pytest.mark.usefixtures("without_figures")
def test_again_into_the_same_folder_is_the_same(run, setup, tmp_path):
    words = ("--config", setup, *AMOUNT, "--out", tmp_path / "made", "--json", "--quiet")
    first = run(*words)
    journal = (tmp_path / "made" / "tune.journal").read_bytes()
    assert run(*words) == first
    assert (tmp_path / "made" / "tune.journal").read_bytes() == journal


def test_a_limit_and_the_edge_of_a_range_are_told(run, setup):
    words = ("--config", setup, *AMOUNT, "--vary", "alpha=1e-3:0.1", "every=2:3")
    record = json.loads(run(*words, "--limit", "pulses=1500", "--json")[1])
    assert record["limits"] == {"pulses": 1500.0}
    (candidate,) = record["candidates"]
    assert candidate["scores"]["pulses"]["tuning"] <= 1500
    assert record["trials"]["excluded"] > 0
    assert candidate["at_edge"] == ["every"]
    _, text, _ = run(*words, "--limit", "pulses=1500")
    assert "The search ended at the edge of the range of every" in " ".join(text.split())


@pytest.mark.usefixtures("without_figures")
def test_a_front_has_a_file_for_each_of_its_methods(run, setup, tmp_path):
    out = tmp_path / "made"
    status, text, _ = run("--config", setup, *AMOUNT, "--objective", "w", "pulses", "--out", out, "--json")
    record = json.loads(text)
    assert status == 0
    assert len(record["candidates"]) > 1
    for candidate in record["candidates"]:
        made = load_setup(out / f"front-{candidate['trial']}.toml").method
        assert made.alpha == candidate["settings"]["alpha"]["tuned"]
    _, table, _ = run("--config", setup, *AMOUNT, "--objective", "w", "pulses")
    assert f"{record['chosen']} <" in table


def test_the_table_of_a_file_and_options_before_it(run, setup):
    text = setup.read_text()
    table = "\n[tune]\ntrials = 12\nseeds = 2\nfinalists = 2\nheld_out = 3\nsteps = 400\nseed = 1\n"
    setup.write_text(text + table + '[tune.vary]\nalpha = [1e-3, 0.1]\n"chop.probability" = "1e-3:0.1"\n')
    vary = ("alpha=1e-3:0.1", "p=1e-3:0.1")
    record = json.loads(run("--config", setup, "--json")[1])
    assert record == json.loads(run("--config", setup, *AMOUNT, "--vary", *vary, "--json")[1])
    assert list(record["start"]["settings"]) == ["alpha", "p"]
    other = json.loads(run("--config", setup, "--vary", "eta", "--trials", "3", "--json")[1])
    assert sum(other["trials"].values()) == 3
    assert list(other["start"]["settings"]) == ["eta"]
    assert main(["explain", "--config", str(setup)]) == 0


def test_a_start_outside_of_the_space_is_said(run, setup):
    _, text, _ = run("--config", setup, *AMOUNT, "--vary", "alpha=0.1:0.2")
    assert "outside the range of alpha" in text


@pytest.mark.usefixtures("without_figures")
def test_filter_and_chopper_of_the_options_are_tuned(run, setup, tmp_path, capfd):
    options = ["--filter", "cic:length=16,order=2", "--chopper", "periodic:half_period=20,duty=0.4"]
    vary = ["--vary", "filter.length=4:40", "chopper.half_period", "alpha"]
    out = tmp_path / "made"
    status, text, _ = run("--config", setup, *options, *vary, *AMOUNT, "--out", out, "--json", "--quiet")
    assert status == 0
    record = json.loads(text)
    asked = record["start"]
    assert asked["settings"] == {"filter.length": 16, "chopper.half_period": 20, "alpha": 0.02}
    blocks = "filter CIC(length=16) and chopper PeriodicChopper(half_period=20, duty=0.4)"
    assert asked["source"] == f"settings of {setup} with {blocks}"
    (candidate,) = record["candidates"]
    best = load_setup(out / "best.toml").method
    assert best.filter == CIC(length=candidate["settings"]["filter.length"]["tuned"], order=2)
    half_period = candidate["settings"]["chopper.half_period"]["tuned"]
    assert best.chopper == PeriodicChopper(half_period=half_period, duty=0.4)
    held = ["--seed", "101", "--seeds", "3", "--steps", "400", "--json"]
    assert main(["track", "--config", str(out / "best.toml"), *held]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert row["w_mse"] == pytest.approx(candidate["scores"]["w"]["tuned"], rel=1e-12)
    assert load(out / "tune.nc")["setting_filter.length"].values[0] == 16


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="needs signals")
def test_ctrl_c_keeps_the_study(run, setup, tmp_path):
    """A study of 1000 trials is interrupted after some; going on to 12 gives what 12 without a break give."""
    journal = tmp_path / "a.journal"
    words = ["--config", str(setup), *AMOUNT, "--study", str(journal), "--json"]
    words[words.index("12")] = "1000"
    command = [sys.executable, "-m", "sptrack", "tune", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        limit = time.monotonic() + 120
        while time.monotonic() < limit and not (journal.exists() and journal.read_bytes().count(b"\n") > 30):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "sptrack: interrupted\n")
    assert [item.name for item in tmp_path.iterdir() if "a.journal" in item.name] == ["a.journal"]
    done = run_study(expected(setup), journal)
    alone = run_study(expected(setup))
    assert len(done.trials) >= 12
    assert [one.point for one in done.trials[:12]] == [one.point for one in alone.trials]
    assert [one.scores for one in done.trials[:12]] == [one.scores for one in alone.trials]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--method", "erider"], "did you mean 'e-rider'"),
        (["--vary", "alpa"], "did you mean 'alpha'"),
        (["--limit", "pulse=1"], "did you mean 'pulses'"),
        (["--limit", "pulses"], "NAME=NUMBER"),
        (["--vary", "alpha=0.1:0.01"], "alpha: range must be finite"),
        (["--vary", "alpha=0.1:0.1"], "alpha: range must be finite"),
        (["--objective", "v"], "objective 'v'"),
        (["--method", "sgd", "--objective", "q"], "no estimate"),
        (["--trials", "0"], "trials must be a whole number >= 1, got 0"),
        (["--seeds", "0"], "seeds must be 1 to 90, got 0"),
        (["--held-out", "1"], "held_out must be a whole number >= 2, got 1"),
        (["--steps", "150"], "steps must be a positive multiple of 200, got 150"),
        (["--seed", "-1"], "seed must be a whole number >= 0, got -1"),
        (["--prune", "all"], "prune 'all'"),
        (["--problem", "quad"], "did you mean 'quadratic'"),
        (["--config", "/not/there.toml"], "cannot be read"),
        (["--study", "/not/there/a.journal"], "does not exist"),
        (["--vary", "alpha=1e4:1e5", "--trials", "2", "--steps", "200"], "without a complete trial"),
    ],
)
def test_refusals_leave_nothing_behind(run, tmp_path, words, text):
    status, out, err = run(*words, "--out", tmp_path / "made", "--quiet")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err
    assert list(tmp_path.iterdir()) == []


def test_refused_journals(run, setup, tmp_path):
    journal = tmp_path / "a.journal"
    words = ["--config", setup, *AMOUNT, "--study", journal]
    assert run(*words)[0] == 0
    status, out, err = run(*words, "--problem", "separable", "--out", tmp_path / "made")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert 'problem: "quadratic" there, "separable" here' in err
    journal.write_bytes(b"damaged\n")
    status, _, err = run(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.journal", "setup.toml"]


def test_without_optuna(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "sptrack.design._study", raising=False)
    status, _, err = run("--out", tmp_path / "made", "--quiet")
    assert (status, err.count("\n")) == (2, 1)
    assert "pip install 'sptrack[tune]'" in err
    assert list(tmp_path.iterdir()) == []
