"""Figures are drawn after the results, and no fault of theirs costs any."""

import os
import subprocess
import sys

import pytest

from sptrack.cli import main

WORDS = ["calibrate", "--cells", "6x5", "--pulses", "20", "100", "--quiet"]
DATA = {"certificate.json", "symmetric_points.csv", "calibration.nc"}
FIGURES = {f"{name}.{ending}" for name in ("certificate", "map") for ending in ("png", "svg")}


def made(folder):
    return {path.name for path in folder.iterdir()} - {".sptrack"}


def test_a_figure_that_cannot_be_drawn_is_left_out(tmp_path, monkeypatch, capsys):
    def broken(data):
        raise RuntimeError("no font\nfound")

    monkeypatch.setattr("sptrack.plotting.calibration.map_figure", broken)
    assert main([*WORDS, "--out", str(tmp_path / "out")]) == 0
    assert made(tmp_path / "out") == DATA | {"certificate.png", "certificate.svg"}
    assert capsys.readouterr().err == "sptrack: figure 'map' is left out (RuntimeError: no font found)\n"


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        (b"text.usetex: True\nfont.family: No Such Font\nsavefig.bbox: tight\n", True),
        pytest.param(b"figure.autolayout: True\naxes.prop_cycle: nonsense\n", True, marks=pytest.mark.slow),
        pytest.param(b"font.family: \xff\xfe\n", False, marks=pytest.mark.slow),
    ],
    ids=["LaTeX and missing fonts", "bad values", "not text"],
)
def test_settings_of_the_user_cost_no_result(tmp_path, settings, drawn):
    (tmp_path / "matplotlibrc").write_bytes(settings)
    environment = {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "sptrack", *WORDS, "--out", str(tmp_path / "out")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "+-" in done.stdout
    assert "Traceback" not in done.stderr
    assert made(tmp_path / "out") == (DATA | FIGURES if drawn else DATA)


@pytest.mark.compiled
def test_xarray_and_scipy_stats_are_not_imported_for_a_calibration(tmp_path):
    code = f"""
import sys
from sptrack.cli import main
main({[*WORDS, "--out", str(tmp_path / "out")]!r})
print(sorted({{"xarray", "pandas", "scipy.stats", "scipy.signal", "scipy.optimize"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
