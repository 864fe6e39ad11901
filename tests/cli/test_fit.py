"""`sptrack fit`: readings in; table, JSON, device, dataset and figure out; bad input in one line."""

import json

import numpy as np
import pytest

from sptrack import load, load_device, sample_cells
from sptrack.cli import main
from sptrack.cli.fit import Output, print_fit
from sptrack.fitting import fit_responses, read_measurement
from tests.fitting import lab

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Three cells, up and down twice without a break, in microsiemens: 10 + 5 w."""
    rng, lines = np.random.default_rng(1), ["cell,direction,conductance (uS)"]
    for cell in range(3):
        state = -0.8
        for word, sign, step in (("up", 1, 0.04), ("down", -1, 0.03)) * 2:
            for _ in range(40):
                state += sign * step * (1 - sign * state) * (1 + 0.2 * rng.normal())
                lines.append(f"c{cell},{word},{10 + 5 * (state + 0.01 * rng.normal()):.5f}")
    path = tmp_path_factory.mktemp("fit") / "cells.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(capsys, *words):
    status = main(["fit", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_table_and_files(capsys, file, tmp_path):
    status, out, _ = run(
        capsys, file, "--range", 5, 15, "--family", "soft-bounds", "--out", tmp_path / "made"
    )
    assert status == 0
    assert "3 cells" in out
    assert "5 .. 15 uS are -1 .. 1" in out
    assert "FITTED  mean symmetric point" in out.splitlines()[0]
    names = sorted(path.name for path in (tmp_path / "made").iterdir() if not path.name.startswith("."))
    assert names == ["device.toml", "fit.json", "fit.nc", "fit.png", "fit.svg", "recipe.toml"]
    report = json.loads((tmp_path / "made" / "fit.json").read_text())
    points = [cell["parameters"]["symmetric_point"] for cell in report["cells"]]
    assert sum(one["low"] < 1 / 7 < one["high"] for one in points) >= 2
    data = load(tmp_path / "made" / "fit.nc")
    assert data.sizes["reading"] == 480
    assert np.std(data["residual"]) == pytest.approx(1.0, abs=0.15)
    np.testing.assert_allclose(
        data["estimate"].sel(parameter="symmetric_point"), [p["value"] for p in points]
    )
    cells = sample_cells(load_device(tmp_path / "made" / "device.toml"), (8, 8))
    assert cells.symmetric_point.mean() == pytest.approx(1 / 7, abs=0.1)


def test_json_is_alone_and_the_family_is_chosen(capsys, file):
    status, out, err = run(capsys, file, "--json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert report["unit"] == "uS"
    assert {one["family"] for one in report["selection"]} >= {report["family"], "soft-bounds"}
    assert "w_max" in report["toml"]
    assert set(report["spread"]["symmetric_point"]) == {"mean", "std", "cells"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.csv"], "cannot be read"),
        (["FILE", "--family", "soft-bound"], "did you mean 'soft-bounds'"),
        (["FILE", "--range", "3", "1"], "the lower first"),
        (["FILE", "--rang", "1", "3"], "--rang"),
        (["BAD"], "row 32, column 'up': a reading must be a number, got 'x'"),
        (["FILE", "--column", "reading=Q"], "no such column"),
        (["FILE", "--column", "reading"], "--column must be ROLE=NAME"),
        (["FILE", "--program", "up:3"], "has 3 pulses, but there are 160 readings"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(capsys, file, tmp_path, words, message):
    bad = tmp_path / "bad.csv"
    bad.write_text("up,down\n" + "".join(f"{k},{40 - k}\n" for k in range(30)) + "x,3\n")
    places = {"FILE": file, "BAD": bad}
    status, out, err = run(capsys, *(places.get(word, word) for word in words), "--out", tmp_path / "made")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "cell.csv"
    lines = lab.table({"dir": lab.words("P", "D"), "G (uS)": lab.conductance(lab.cell(3))})
    path.write_text("\n".join(lines))
    return fit_responses(read_measurement(path), "soft-bounds")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_output_is_whole_at_every_width(capsys, monkeypatch, fitted, width):
    """Verdict first, in the user's unit; the next step last; nothing cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    print_fit(fitted, Output())
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert "…" not in out
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("FITTED  symmetric point")
    assert "uS, weight" in " ".join(lines[:2])
    assert out.rpartition("Next: ")[2].startswith("--out DIR")
    for name in fitted.cells[0].parameters:
        assert name in out


@pytest.mark.parametrize("width", [60, 80])
def test_the_look_is_whole_at_every_width(capsys, monkeypatch, file, width):
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, _ = run(capsys, file, "--look")
    assert status == 0
    assert max(map(len, out.splitlines())) <= width
    assert out.rpartition("Next: ")[2].startswith("sptrack fit")
