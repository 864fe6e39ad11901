"""`sptrack design`: a file in, a verdict and files out; bad input leaves nothing behind."""

import json
import shlex

import numpy as np
import pytest

from sptrack import load
from sptrack.cli import main
from sptrack.tracking.config import load_setup

SMALL = """
steps = 2000
train = false
device = "soft-bounds"

[gradient]
mean = 0.05
std = 0.5

[require]
rms = {rms}
pulses = {pulses}
"""


@pytest.fixture
def spec(tmp_path):
    def made(rms=0.2, pulses=20000):
        path = tmp_path / "spec.toml"
        path.write_text(SMALL.format(rms=rms, pulses=pulses), encoding="utf-8")
        return path

    return made


@pytest.mark.slow
@pytest.mark.compiled
def test_a_design_is_met_written_and_read_by_others(spec, tmp_path, capsys):
    out = tmp_path / "made"
    status = main(["design", "--spec", str(spec()), "--out", str(out), "--seeds", "3", "--json", "--quiet"])
    told = json.loads(capsys.readouterr().out)
    assert (status, told["met"], told["misses"]) == (0, True, [])
    rows = {row["name"]: row for row in told["quantities"]}
    assert rows["rms"]["interval"][1] <= rows["rms"]["limit"] == 0.2
    assert rows["pulses"]["verdict"] == "met"
    assert rows["bias"]["verdict"] == "no limit"
    names = {path.name for path in out.iterdir()}
    assert {"design.toml", "design.json", "design.nc", "design.png", "pareto.svg"} <= names
    assert ("filter.npz" in names) is (told["filter"] is not None)
    setup = load_setup(out / "design.toml")
    assert setup.method.alpha == pytest.approx(told["alpha"])
    data = load(out / "design.nc")
    assert float(data["measured"].sel(quantity="rms")) == pytest.approx(rows["rms"]["measured"])
    assert np.isfinite(data["candidate_rms"].values).all()


@pytest.mark.slow
@pytest.mark.compiled
def test_what_cannot_be_met_is_named(spec, capsys):
    status = main(["design", "--spec", str(spec(rms=1e-4, pulses=500)), "--seeds", "2", "--quiet"])
    printed = " ".join(capsys.readouterr().out.split())
    assert status == 1
    assert printed.startswith("NOT FEASIBLE rms 0.0001 is out of reach; nearest is rms 0.0")
    assert "missed" in printed


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        ("steps = 2000\n", "", "[require]"),
        ("[require]\nrsm = 0.1\n", "", "did you mean 'rms'"),
        ("[require]\nrms = -1.0\n", "", "rms must be > 0, got -1.0"),
        ("[require]\nrms = 0.1\nbias = 0.2\n", "", "includes the bias"),
        ("[require]\nrms = 0.1\n[gradient]\nmean = 0.0\nstd = 0.0\n", "", "without pulses"),
        ("[require]\nrms = 0.1\n[gradient]\nrecorded = 'nothing.csv'\n", "", "nothing.csv"),
        ("[require]\nrms = 0.1\n", "--device soft", "device 'soft'"),
        ("[require]\nrms = 0.1\n", "--seeds 1", "seeds must be a whole number >= 2, got 1"),
        ("[require]\nrms = 0.1\n", "--margin 0.5", "margin must be >= 1, got 0.5"),
        ("[require\n", "", "not a TOML file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(text, words, error, tmp_path, capsys):
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    where = ["--spec", str(tmp_path / "spec.toml"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(["design", *where, *shlex.split(words)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert error in err
    assert [path.name for path in tmp_path.iterdir()] == ["spec.toml"]
