"""`sptrack explain`: table, JSON, refusals."""

import json

import pytest

from sptrack.cli import main
from sptrack.explain import explain
from sptrack.tracking import METHODS, method, problem


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
def test_the_table_has_a_line_for_every_number_and_warning(run, name):
    _, out, _ = run("--method", name)
    made = explain(problem(), method(name))
    assert len(out.splitlines()) == 1 + len(made.quantities) + len(made.warnings)
    assert out.startswith(f"{name} on quadratic")
    assert all(f"  {item.name} " in out for item in made.quantities)


def test_without_names_the_file_or_e_rider(run, tmp_path):
    assert run()[1].startswith("e-rider")
    path = tmp_path / "setup.toml"
    path.write_text('device = "soft-bounds"\n[method]\nname = "rider"\neta = 0.01\n')
    _, out, _ = run("--config", path)
    assert out.startswith("rider on quadratic, device soft-bounds")
    assert "warning: filter reference without a chopper" in out
    assert " 100 steps " in out


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


def test_a_filter_of_its_own_is_not_passed_over(run, tmp_path):
    path = tmp_path / "setup.toml"
    path.write_text('filter = "ema:eta=0.1"\n')
    status, out, err = run("--config", path)
    assert (status, out) == (2, "")
    assert "table 'filter' is for `sptrack response`" in err
