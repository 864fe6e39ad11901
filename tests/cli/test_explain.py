"""`sptrack explain`: table, JSON, refusals."""

import json
import re

import pytest

from sptrack.blocks import EMA, Boxcar, Chain, PeriodicChopper
from sptrack.cli import main
from sptrack.evaluation.explain import explain
from sptrack.results import json_text
from sptrack.tracking import METHODS, method, problem, with_settings


@pytest.fixture
def run(capsys):
    def call(*arguments):
        return main(["explain", *map(str, arguments)]), *capsys.readouterr()

    return call


def test_json_holds_the_explanation(run):
    status, out, err = run("--method", "agad", "--json")
    found = json.loads(out)
    made = explain(problem(), method("agad"))
    assert (status, err) == (0, "")
    assert {item["name"]: item["value"] for item in found["quantities"]} == {
        item.name: item.value for item in made.quantities
    }
    assert found["warnings"] == list(made.warnings)


@pytest.mark.parametrize("name", METHODS)
def test_the_table_has_a_row_for_every_number_and_a_line_for_every_warning(run, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run("--method", name)
    made = explain(problem(), method(name))
    assert out.startswith(f"WARNING  {name} on quadratic" if made.warnings else f"NO WARNINGS  {name} on")
    assert all(f" {item.name} " in out and item.meaning in out for item in made.quantities)
    assert all(f"warning: {warning}" in out for warning in made.warnings)
    assert all(f"note: {note}" in out for note in made.notes)


def test_without_names_the_file_or_e_rider(run, tmp_path):
    assert run()[1].startswith("NO WARNINGS  e-rider")
    path = tmp_path / "setup.toml"
    path.write_text('device = "soft-bounds"\n[method]\nname = "rider"\neta = 0.01\n')
    _, out, _ = run("--config", path)
    assert out.startswith("WARNING  rider on quadratic, device soft-bounds")
    assert "warning: filter reference without a chopper" in out
    assert re.search(r" filter_time +100 +steps ", out)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--method", "erider"], "did you mean 'e-rider'"),
        (["--device", "none"], "device 'none'"),
        (["--problem", "none"], "problem 'none'"),
        (["--config", "/not/there.toml"], "cannot be read"),
    ],
)
def test_refusals(run, words, text):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err


def test_filter_and_chopper_of_options_and_files(run, tmp_path):
    chosen = with_settings(
        method("e-rider"),
        reference=Chain(EMA(eta=0.1), Boxcar(length=20)),
        chopper=PeriodicChopper(half_period=40, duty=0.25),
    )
    made = json.loads(json_text(explain(problem(), chosen)))
    words = ("--filter", "ema:eta=0.1+boxcar:length=20", "--chopper", "periodic:half_period=40,duty=0.25")
    assert json.loads(run(*words, "--json")[1]) == made
    path = tmp_path / "setup.toml"
    path.write_text(
        'filter = "ema:eta=0.1+boxcar:length=20"\nchopper = "periodic:half_period=40,duty=0.25"\n'
    )
    assert json.loads(run("--config", path, "--json")[1]) == made
    assert run("--config", path, *words[:1], "last")[1] == run(*words[2:], "--filter", "last")[1]
    assert run("--config", path, "--method", "sgd")[0] == 2
