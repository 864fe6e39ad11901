"""`sptrack sweep`: run, go on, parts, status, collect, plot, and what is refused."""

import json

import numpy as np
import pytest
import xarray as xr

from sptrack.cli import main
from sptrack.plotting.sweep import sweep_figure
from sptrack.results import load
from sptrack.sweep import SweepFolder, sweep_dataset

TOML = """
[sweep]
command = "track"
repeats = 3
[set]
steps = 200
problem.size = 2
[vary]
method.alpha = [0.01, 0.02]
problem.read_noise = { low = 0.0, high = 0.1, count = 3 }
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scan.toml"
    path.write_text(TOML)
    return path


def test_a_sweep_is_one_labelled_dataset(file, tmp_path, capsys):
    assert main(["sweep", "scan.toml", "--netcdf"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("COMPLETE  18 of 18 cells of track are done\n")
    assert "wrote" in err
    data = xr.open_zarr(tmp_path / "scan" / "sweep.zarr").load()
    assert data["w"].dims == ("method.alpha", "problem.read_noise", "repeat")
    assert data["problem.read_noise"].values.tolist() == [0.0, 0.05, 0.1]
    assert data["problem.read_noise"].attrs["units"] == "weight units"
    assert data["w"].attrs["units"] == "weight units squared"
    assert (data["state"] == 1).all()
    assert load(tmp_path / "scan" / "sweep.nc").identical(data)
    one = data.isel({"method.alpha": 1, "problem.read_noise": 2, "repeat": 1})
    key = str(one["key"].values)
    told = json.loads((tmp_path / "scan" / "cells" / key[:2] / f"{key}.json").read_text())["record"]
    assert told["quantities"]["w"] == [float(one["w"]), "weight units squared"]
    assert told["seed"] == int(one["seed"])


def test_the_points_as_json(file, tmp_path, capsys):
    assert main(["sweep", "scan.toml", "--json", "--quiet"]) == 0
    rows = json.loads(capsys.readouterr().out)
    data = xr.open_zarr(tmp_path / "scan" / "sweep.zarr").load()
    assert len(rows) == 6
    for row in rows:
        mean = float(data["w"].sel(row["point"]).mean("repeat"))
        assert row["quantities"]["w"]["mean"] == pytest.approx(mean, rel=1e-14)
        assert row["done"] == 3


def test_a_sweep_grows_by_repeats_and_values(file, tmp_path, capsys):
    assert main(["sweep", "scan.toml", "--quiet"]) == 0
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "scan").rglob("cells/*/*.json")}
    file.write_text(TOML.replace("repeats = 3", "repeats = 4").replace("0.02]", "0.02, 0.04]"))
    assert main(["sweep", "scan.toml", "--quiet"]) == 0
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "scan").rglob("cells/*/*.json")}
    assert len(after) == 36
    assert before.items() <= after.items()
    file.write_text(TOML)
    capsys.readouterr()
    assert main(["sweep", "scan.toml", "--quiet"]) == 2
    assert "holds another sweep (18 of its 36 cells are not in this plan)" in capsys.readouterr().err


def test_job_arrays_compute_the_same_cells(file, tmp_path, capsys):
    assert main(["sweep", "scan.toml", "--quiet"]) == 0
    assert main(["sweep", "scan.toml", "--out", "jobs", "--jobs", "2"]) == 0
    script = capsys.readouterr().out
    assert "#SBATCH --array=0-1\n" in script
    assert "export NUMBA_NUM_THREADS=1\n" in script
    assert f'sweep worker {tmp_path / "jobs"} --part "$SLURM_ARRAY_TASK_ID/2"' in script
    assert main(["sweep", "status", "jobs"]) == 0
    assert "INCOMPLETE  0 of 18 cells of track are done, 18 missing" in capsys.readouterr().out
    assert main(["sweep", "worker", "jobs", "--part", "1/2", "--quiet"]) == 0
    assert main(["sweep", "status", "jobs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 9
    assert main(["sweep", "collect", "jobs", "--quiet"]) == 75
    assert "run the sweep again: it computes the 9 missing cells" in capsys.readouterr().out
    half = xr.open_zarr(tmp_path / "jobs" / "sweep.zarr").load()
    assert int((half["state"] == 1).sum()) == int(np.isfinite(half["w"]).sum()) == 9
    assert main(["sweep", "worker", "jobs", "--part", "0/2", "--quiet"]) == 0
    assert main(["sweep", "collect", "jobs", "--quiet"]) == 0
    whole, same = (xr.open_zarr(tmp_path / name / "sweep.zarr").load() for name in ("scan", "jobs"))
    assert whole.equals(same)


@pytest.mark.parametrize("design", ["grid", "random"])
def test_a_sweep_is_drawn(file, tmp_path, capsys, design):
    text = TOML.replace("repeats = 3", f'repeats = 2\ndesign = "{design}"\nsamples = 8')
    file.write_text(text)
    assert main(["sweep", "scan.toml", "--quiet"]) == 0
    assert main(["sweep", "plot", "scan", "--quantity", "q", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert {"sweep.png", "sweep.svg"} <= {path.name for path in (tmp_path / "scan").iterdir()}
    data = sweep_dataset(SweepFolder(tmp_path / "scan"))
    mean = data["q"].mean("repeat")
    data.attrs["shown"] = "q"
    figure = sweep_figure(data)
    title = " ".join(figure.get_suptitle().split())
    assert title.startswith(f"q is smallest, {float(mean.min()):.3g}, at method.alpha")
    shown = [line.get_ydata() for line in figure.axes[0].lines]
    expected = mean.values if design == "grid" else [mean.values]
    assert sorted(np.concatenate(shown)) == pytest.approx(sorted(np.concatenate(expected)))
    assert main(["sweep", "plot", "scan", "--quantity", "r"]) == 2
    assert "unknown quantity 'r'; choose from" in capsys.readouterr().err


def test_cells_that_are_refused_are_counted_with_their_reason(file, capsys):
    text = TOML.split("[vary]")[0] + "[vary]\nproblem.low = [0.1, 0.9]\nproblem.high = [1.0, 0.5]\n"
    file.write_text(text)
    assert main(["sweep", "scan.toml", "--quiet"]) == 2
    assert (
        "3 refused: track: spectrum must satisfy 0 < low <= high, got 0.9 .. 0.5" in capsys.readouterr().out
    )
    assert main(["sweep", "status", "scan"]) == 0
    out = capsys.readouterr().out
    assert "9 of 12 cells of track are done, 3 refused" in out
    assert "3 refused" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scan.toml", "--local", "2", "--processes", "2"], "--processes and --local: only one of them"),
        (["scan.toml", "--processes", "0"], "processes must be at least 1, got 0"),
        (["scan.toml", "--jobs", "0"], "jobs must be at least 1, got 0"),
        (["nothing.toml"], "nothing.toml: cannot be read"),
        (["status", "nowhere"], "nowhere: holds no sweep"),
        (["collect", "nowhere"], "nowhere: holds no sweep"),
        (["plot", "nowhere"], "nowhere: holds no sweep"),
        (["worker", "nowhere"], "nowhere: holds no sweep"),
        (["worker", "nowhere", "--part", "half"], "part must be K/N, such as 0/4, got 'half'"),
    ],
)
def test_bad_words_give_one_line_and_status_2(file, capsys, words, message):
    assert main(["sweep", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_package_names_the_extra(file, capsys, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "zarr" else find(name))
    assert main(["sweep", "scan.toml"]) == 2
    assert "sweep needs zarr: pip install 'sptrack[sweep]'" in capsys.readouterr().err
