"""Recorded gradients as the drive of commands: one file for design, response and track."""

import json

import numpy as np
import pytest

from sptrack.cli import main

FEW = ["--seeds", "2", "--quiet"]


@pytest.fixture
def gradients(tmp_path):
    rng = np.random.default_rng(3)
    values = 0.05 * rng.standard_normal(4) + 0.5 * rng.standard_normal((3000, 4))
    np.save(tmp_path / "g.npy", values)
    rows = [",".join(f"{value:.6g}" for value in row) for row in values]
    (tmp_path / "g.csv").write_text("\n".join(["a,b,c,d", *rows]) + "\n")
    np.savetxt(tmp_path / "one.csv", values[:, 0])
    return tmp_path


def told(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["g.npy", "g.csv", "one.csv"])
def test_track_compares_the_reference_alone(gradients, capsys, name):
    main(
        [
            "track",
            "--gradient",
            str(gradients / name),
            "--method",
            "e-rider",
            "--steps",
            "2000",
            "--json",
            *FEW,
        ]
    )
    (row,) = told(capsys)
    assert row["w_mse"] is None
    assert row["sp_mse"] > 0
    assert row["sp_mse_predicted"] > 0


@pytest.mark.compiled
def test_track_draws_the_reference_alone(gradients, capsys):
    out = gradients / "out"
    main(["track", "--gradient", str(gradients / "g.csv"), "--steps", "400", "--out", str(out), *FEW])
    assert (out / "track.png").exists()
    assert "recorded, 64 weights" in capsys.readouterr().out


@pytest.mark.compiled
def test_response_measures_and_predicts(gradients, capsys):
    """Of the same recording as CSV and npy the same; the rms of Q within 15 % of theory."""
    made = []
    for name in ("g.npy", "g.csv"):
        options = ["--filter", "ema:eta=0.02", "--chopper", "telegraph:p=0.05"]
        main(["response", "--gradient", str(gradients / name), *options, "--json"])
        made.append(told(capsys))
    first, second = ({row["term"]: row for row in one["errors"]}["rms error of Q"] for one in made)
    assert first["measured"] == pytest.approx(second["measured"], rel=1e-3)
    assert first["measured"] == pytest.approx(first["predicted"], rel=0.15)
    assert any("columns drive" in text for text in made[0]["warnings"])


@pytest.mark.slow
@pytest.mark.compiled
def test_design_plays_the_recording(gradients, capsys):
    spec = gradients / "spec.toml"
    spec.write_text("steps = 2000\ntrain = false\n[require]\nrms = 0.25\n")
    status = main(["design", "--spec", str(spec), "--gradient", str(gradients / "g.npy"), "--json", *FEW])
    found = told(capsys)
    assert (status == 0) == found["met"]
    assert found["met"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["track", "--problem", "quadratic"], "only one of them can be given"),
        (["response", "--mean", "0.1"], "--gradient replaces --mean and --std"),
        (["budget", "--config", "setup.toml"], "problem must be one of quadratic"),
    ],
)
def test_contradictions_are_refused(gradients, capsys, monkeypatch, command, message):
    monkeypatch.chdir(gradients)
    (gradients / "setup.toml").write_text("[problem]\nrecorded = 'g.npy'\n")
    given = [] if command[0] == "budget" else ["--gradient", "g.npy"]
    assert main([*command, *given]) != 0
    assert message in capsys.readouterr().err
