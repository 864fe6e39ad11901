"""`sptrack budget`: streams, exit statuses, files, refusals."""

import json
from dataclasses import replace

import pytest

from sptrack.blocks import CIC, MaximumLengthChopper
from sptrack.cli import main
from sptrack.evaluation.budget import budget_rows, error_budget
from sptrack.results import load
from sptrack.tracking import ProblemSettings, method

AMOUNT = ["--steps", "100", "--seeds", "2", "--threads", "1"]
FILES = [".sptrack", "budget.json", "budget.nc", "budget.png", "budget.svg"]


@pytest.fixture
def run(capfd):
    """Run `sptrack budget` for few steps: status, stdout, stderr."""

    def call(*arguments):
        amount = [] if "--steps" in arguments else AMOUNT
        return main(["budget", *map(str, arguments), *amount]), *capfd.readouterr()

    return call


@pytest.fixture
def small(tmp_path):
    """A problem of eight weights."""
    path = tmp_path / "setup.toml"
    path.write_text("[problem]\nname = 'separable'\nsize = 8\n")
    return path


@pytest.mark.compiled
def test_json_is_the_budget(run, small):
    status, out, err = run("--config", small, "--json", "--read-noise", "0.01", "--bits", "12")
    rows = json.loads(out)
    assert (status, err) == (0, "")
    names = [row["source"] for row in rows["sources"]]
    assert names == [
        "granularity",
        "cycle-noise",
        "spread",
        "read-noise",
        "leakage",
        "chopper",
        "fixed-point",
    ]
    settings = ProblemSettings(size=8, read_noise=0.01)
    made = error_budget(replace(method("e-rider"), bits=12), "separable", settings, steps=100, seeds=2)
    assert rows == json.loads(json.dumps(budget_rows(made)))


@pytest.mark.compiled
def test_table_and_files(run, small, tmp_path):
    out = tmp_path / "budget"
    status, text, err = run("--config", small, "--method", "o-rider", "--out", out)
    assert status == 0
    assert err.strip() == f"wrote {out}"
    assert sorted(path.name for path in out.iterdir()) == FILES
    rows = json.loads((out / "budget.json").read_text())
    for name in [row["source"] for row in rows["sources"]] + ["remainder", "floor", "total"]:
        assert any(line.split()[:1] == [name] for line in text.splitlines())
    assert budget_rows(load(out / "budget.nc")) == rows


@pytest.mark.compiled
def test_filter_and_chopper_of_the_options(run, small):
    options = ["--filter", "cic:length=16,order=2", "--chopper", "mls:register=5"]
    status, out, err = run("--config", small, *options, "--json")
    assert (status, err) == (0, "")
    chosen = replace(
        method("e-rider"), reference=CIC(length=16, order=2), chopper=MaximumLengthChopper(register=5)
    )
    made = error_budget(chosen, "separable", ProblemSettings(size=8), steps=100, seeds=2)
    assert json.loads(out) == json.loads(json.dumps(budget_rows(made)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "sgd"], "no symmetric point"),
        (["--method", "e-rider", "--bits", "40"], "bits must be a whole number in 0 .. 22"),
        (["--read-noise", "-1"], "read_noise"),
        (["--device", "nowhere"], "nowhere"),
        (["--problem", "cubic"], "cubic"),
        (["--seeds", "1", "--steps", "100"], "seeds must be"),
        (["--steps", "0"], "steps must be"),
        (["--config", "missing.toml"], "missing.toml"),
    ],
)
def test_bad_input_leaves_nothing(run, tmp_path, arguments, message):
    out = tmp_path / "folder"
    status, text, err = run(*arguments, "--out", out)
    assert (status, text) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
