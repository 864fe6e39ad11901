"""`sptrack response`: table, JSON, files, refusals."""

import json

import numpy as np
import pytest

from sptrack import load
from sptrack.blocks import EMA, Chopper
from sptrack.cli import main
from sptrack.response import OpenLoop, respond
from sptrack.response.defaults import start_gradient
from sptrack.tracking import method, problem

pytestmark = pytest.mark.compiled


@pytest.fixture
def run(capsys):
    def call(*arguments):
        return main(["response", *map(str, arguments)]), *capsys.readouterr()

    return call


FAST = ("--filter", "ema:eta=0.05", "--chopper", "telegraph:p=0.2", "--mean", "0.2", "--alpha", "0.01")


def test_json_holds_the_numbers_of_the_library(run):
    status, out, err = run("--json")
    found = {item["name"]: item["value"] for item in json.loads(out)["quantities"]}
    tracked, chosen = problem(), method("e-rider")
    driven = OpenLoop(
        cells=tracked.p_cells,
        chopper=Chopper(p=chosen.chopper.p),
        alpha=chosen.alpha,
        mean=start_gradient(tracked),
        std=tracked.gradient_noise,
    )
    made = respond(EMA(eta=chosen.eta), driven)
    assert (status, err) == (0, "")
    assert found == {item.name: item.value for item in made.quantities}
    assert json.loads(out)["warnings"] == list(made.warnings)


def test_the_table_has_a_row_for_every_number(run):
    status, out, err = run(*FAST)
    assert (status, err) == (0, "")
    names = [item["name"] for item in json.loads(run(*FAST, "--json")[1])["quantities"]]
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(names) <= set(rows)
    assert out.splitlines()[0].startswith(("AGREES  rms error of Q", "DIFFERS  rms error of Q"))
    assert "EMA(eta=0.05), Chopper(p=0.2)" in out
    assert all("±" in rows[name] for name in ("bias", "reference_rms", "p_rms"))


def test_out_holds_numbers_data_and_pictures(run, tmp_path):
    folder = tmp_path / "made"
    status, out, err = run(*FAST, "--out", folder, "--json")
    assert status == 0
    assert err == f"wrote {folder}\n"
    names = {"response.json", "response.nc", "response.png", "response.svg"}
    assert names <= {path.name for path in folder.iterdir()}
    assert (folder / "response.json").read_text() == out
    data = load(folder / "response.nc")
    errors = json.loads(out)["errors"]
    assert [row["term"] for row in errors] == data["term"].values.tolist()
    np.testing.assert_array_equal([row["predicted"] for row in errors], data["predicted"])
    assert errors[1]["measured"] is None


def test_options_go_before_the_file_and_the_file_before_defaults(run, tmp_path):
    path = tmp_path / "chain.toml"
    path.write_text(
        'device = "soft-bounds"\nchopper = "periodic:half_period=8"\n'
        '[method]\nname = "e-rider"\nalpha = 0.01\n[filter]\nkind = "boxcar"\nlength = 32\n'
    )
    _, out, _ = run("--config", path)
    assert "\nBoxcar(length=32), PeriodicChopper(half_period=8)" in out
    path.write_text(path.read_text() + "[problem]\nread_noise = 0.3\n")
    noisy = {i["name"]: i["value"] for i in json.loads(run("--config", path, "--json")[1])["quantities"]}
    assert noisy["p_rms"] > 0.3
    _, out, _ = run("--config", path, "--filter", "ema:eta=0.1+boxcar:length=4", "--chopper", "none")
    assert "\nx -> EMA(eta=0.1) -> Boxcar(length=4) -> y, Chopper(p=0)" in out
    plain, other = (
        json.loads(run("--config", path, "--json", *more)[1])["quantities"]
        for more in ((), ("--alpha", "0.02"))
    )
    pulses = [next(i["value"] for i in found if i["name"] == "pulses") for found in (plain, other)]
    assert pulses[1] == pytest.approx(2 * pulses[0])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--filter", "emma:eta=0.1"], "did you mean 'ema'"),
        (["--filter", "fixed"], "no frequency response"),
        (["--filter", "sos:file=/not/there.json"], "cannot read"),
        (["--chopper", "telegraph:p=2"], "p must lie in 0 .. 1, got 2.0"),
        (["--device", "none"], "device 'none'"),
        (["--device", "idealized"], "symmetric point"),
        (["--device", "pcm"], "one-sided"),
        (["--config", "/not/there.toml"], "cannot be read"),
        (["--std", "-1"], "std must be a finite number >= 0, got -1.0"),
        (["--alpha", "-1"], "alpha must be >= 0, got -1.0"),
        (["--mean", "nan"], "mean must be a finite number, got nan"),
        (["--seed", "-1"], "seed must be a whole number >= 0, got -1"),
    ],
)
def test_refusals_leave_nothing_behind(run, tmp_path, words, text):
    status, out, err = run(*words, "--out", tmp_path / "made")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err
    assert list(tmp_path.iterdir()) == []
