"""Stamps of figures: what they hash, what makes them stale, what a redraw is compared with."""

import ast
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis import _provenance, _sources, eta_budget
from analysis.__main__ import main
from sptrack import load, save
from sptrack.results import read_provenance

NAME = "eta_budget"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored():
    return eta_budget.run(small=True, seed=3)


@pytest.fixture
def folder(tmp_path, monkeypatch, stored):
    monkeypatch.setattr(eta_budget, "run", lambda **options: stored)
    analysis.produce(NAME, tmp_path, small=True, seed=3, threads=None)
    return tmp_path


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Copy of the sources to be changed."""
    for package in ("analysis", "sptrack"):
        shutil.copytree(
            _sources.ROOT / package, tmp_path / "tree" / package, ignore=shutil.ignore_patterns("*.pyc")
        )
    monkeypatch.setattr(_sources, "ROOT", tmp_path / "tree")
    caches = [one for one in vars(_sources).values() if hasattr(one, "cache_clear")]

    def change(module, old, new):
        path = tmp_path / "tree" / module
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        clear()

    def clear():
        for one in caches:
            one.cache_clear()

    clear()
    yield change
    monkeypatch.undo()
    clear()


def test_a_stamp_says_how_to_draw_again(folder):
    told = read_provenance(load(folder / f"{NAME}.nc"))
    assert told["command"] == f"python -m analysis {NAME} --small --seed 3"
    assert told["sptrack"]
    assert (told["seed"], told["study"]["seed"], told["study"]["small"]) == (3, 3, True)
    sources = told["study"]["sources"]
    assert {f"analysis.{NAME}", "sptrack.kernels.random", "sptrack.values"} <= sources.keys()
    assert not any(name.startswith("sptrack.plotting") for name in sources)
    assert "sptrack.plotting.style" in told["study"]["picture"]


def test_names_that_the_package_loads_late_count():
    for text, home in (
        ("from sptrack import Device", "sptrack.devices"),
        ("def f():\n    from sptrack import preset", "sptrack.devices.presets"),
    ):
        assert home in set(_sources._imports(ast.parse(text).body, "somewhere"))


def test_a_fresh_figure_is_current(folder, capsys):
    assert main(["check", NAME, "--out", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [NAME, "current"]


@pytest.mark.parametrize(
    ("module", "old", "new", "verdict", "changed"),
    [
        (f"analysis/{NAME}.py", '"""Exact error', '# a comment\n    """Other words', "current", ""),
        ("sptrack/cli/response.py", "_LINES = 8", "_LINES = 9", "current", ""),
        (f"analysis/{NAME}.py", "START = 0.02", "START = 0.03", "stale", f"analysis.{NAME}"),
        ("sptrack/kernels/counts.py", "\nfrom ", "\nNEW = 1\nfrom ", "stale", "sptrack.kernels.counts"),
        (f"analysis/{NAME}.py", "markersize=4", "markersize=5", "stale picture", f"analysis.{NAME}"),
        ("sptrack/plotting/style.py", '"#555555"', '"#666666"', "stale picture", "sptrack.plotting.style"),
    ],
)
def test_what_a_change_makes_stale(folder, tree, module, old, new, verdict, changed):
    analysis.produce(NAME, folder, small=True, seed=3)
    tree(module, old, new)
    found = analysis.state(NAME, folder)
    assert (found.verdict, found.detail) == (verdict, changed)


def test_drawing_again_mends_the_picture_alone(folder, tree):
    analysis.produce(NAME, folder, small=True, seed=3)
    tree("sptrack/plotting/style.py", 'GREY = "#555555"', 'GREY = "#666666"')
    analysis.draw(NAME, folder)
    assert analysis.state(NAME, folder).verdict == "current"
    tree("sptrack/kernels/counts.py", "\nfrom ", "\nNEW = 1\nfrom ")
    analysis.draw(NAME, folder)
    assert analysis.state(NAME, folder).verdict == "stale"


def test_missing_and_unstamped_figures_are_named(folder, stored, capsys):
    save(stored, folder / f"{NAME}.nc")
    assert main(["check", NAME, "--out", str(folder)]) == 1
    assert "not stamped" in capsys.readouterr().out
    analysis.draw(NAME, folder)
    assert analysis.state(NAME, folder).verdict == "not stamped"
    (folder / f"{NAME}.svg").unlink()
    assert analysis.state(NAME, folder).detail == f"{NAME}.svg"
    assert main(["check", NAME, "--out", str(folder)]) == 1


def test_a_redraw_is_compared_within_the_tolerances(folder, stored, monkeypatch, capsys):
    assert analysis.compare(NAME, folder) == []
    moved = stored.assign(rms_simulated=stored["rms_simulated"] * (1 + 1e-3))
    monkeypatch.setattr(eta_budget, "run", lambda **options: moved)
    (line,) = analysis.compare(NAME, folder)
    assert line.startswith("rms_simulated: off by 0.001 ")
    assert main(["check", NAME, "--redraw", "--out", str(folder)]) == 1
    assert "rms_simulated: off by" in capsys.readouterr().out
    monkeypatch.setattr(eta_budget, "TOLERANCE", {"rms_simulated": 0.01}, raising=False)
    assert analysis.compare(NAME, folder) == []


def test_shapes_labels_and_variables_are_compared(stored):
    other = stored.assign(extra=stored["rms_exact"]).drop_vars("rms_rule").isel(rate=slice(1, None))
    lines = _provenance.differences(stored, other, {})
    assert [line.partition(":")[0] for line in lines] == [
        "eta_simulated", "extra", "rate", "rms_error", "rms_rule", "rms_simulated"
    ]  # fmt: skip
    named = stored.assign_coords(gradient=["a", "b"])
    assert _provenance.differences(stored, named, {}) == ["gradient: other labels"]
    broken = stored.assign(rms_rule=stored["rms_rule"] * np.nan)
    assert "off by inf" in _provenance.differences(stored, broken, {})[0]


def test_of_many_changed_modules_the_study_and_some_are_named():
    changed = ["analysis.own", *(f"sptrack.m{k}" for k in range(9))]
    assert _provenance._some(changed) == "analysis.own, sptrack.m0, sptrack.m1, sptrack.m2 and 6 more"
    assert _provenance._some(changed[:2]) == "analysis.own, sptrack.m0"


def test_a_closed_pipe_ends_the_check_without_a_traceback():
    made = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m analysis check | head -n 1; exit $PIPESTATUS"],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode in (1, 141)
    assert made.stderr == ""
