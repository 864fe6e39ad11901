"""`sptrack track`: streams, exit statuses, files, resuming, refusals."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from scipy.signal import ellip

from sptrack.blocks import SOS, Boxcar, MaximumLengthChopper
from sptrack.cli import main
from sptrack.evaluation.prediction import predict
from sptrack.intervals import interval_text
from sptrack.results import load
from sptrack.tracking import METHODS, ProblemSettings, method, problem, with_settings
from sptrack.tracking.compare import compare, comparison_rows
from sptrack.tracking.config import Setup, setup_to_toml

SPENT = ["pulses", "reads", "programs", "cost", "cost_digital"]
KEYS = ["method", "w_mse", "w_mse_ci", "sp_mse", "sp_mse_ci", "sp_mse_predicted", "not_predicted", *SPENT]
AMOUNT = ["--steps", "400", "--seeds", "2"]
FILES = [".sptrack", "checkpoints", "track.json", "track.nc", "track.png", "track.svg"]


@pytest.fixture
def run(capfd):
    """Run `sptrack track` for few steps: status, stdout, stderr."""

    def call(*arguments):
        amount = [] if "--steps" in arguments else AMOUNT
        return main(["track", *map(str, arguments), *amount]), *capfd.readouterr()

    return call


def simulated(rows):
    """Records without the predictions that the command puts beside them."""
    return [
        {key: row[key] for key in row if key not in ("sp_mse_predicted", "not_predicted")} for row in rows
    ]


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("sptrack.plotting.style.save_figure", lambda *_: None)


def test_json_of_one_method(run):
    status, out, err = run("--method", "e-rider", "--json")
    (row,) = json.loads(out)
    assert (status, err) == (0, "")
    assert list(row) == KEYS
    assert simulated([row]) == comparison_rows(compare(["e-rider"], steps=400, seeds=2))
    expected = [predict(problem(seed=seed), method("e-rider")).reference.mse for seed in (0, 1)]
    assert row["sp_mse_predicted"] == pytest.approx(sum(expected) / 2)


def test_compare_without_names_is_all_methods(run):
    _, out, _ = run("--compare", "--json")
    rows = json.loads(out)
    assert [row["method"] for row in rows] == list(METHODS)
    assert all(list(row) == KEYS for row in rows)
    assert rows[0]["sp_mse"] is None
    assert rows[0]["sp_mse_ci"] is None


def test_the_table_shows_the_numbers_of_the_json(run):
    _, text, _ = run("--compare", "sgd", "e-rider")
    rows = json.loads(run("--compare", "sgd", "e-rider", "--json")[1])
    for row in rows:
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [row["method"]]]
        assert interval_text(row["w_mse"], *row["w_mse_ci"]) in line
        assert f"{row['pulses'] / 64:,.0f}" in line
        assert f"{row['cost'] / 64:,.0f}" in line
    assert rows[0]["method"] == "sgd"


def test_files(run, tmp_path):
    out = tmp_path / "made"
    _, text, err = run("--compare", "e-rider", "sgd", "--out", out, "--json")
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert (out / "track.json").read_text(encoding="utf-8") == text
    assert err == f"wrote {out}\n"
    data = load(out / "track.nc")
    assert comparison_rows(data) == simulated(json.loads(text))
    assert {path.name for path in (out / "checkpoints").iterdir()} == {
        f"{name}-{seed}.npz" for name in ("e-rider", "sgd") for seed in (0, 1)
    }


@pytest.mark.usefixtures("without_figures")
def test_more_steps_are_the_same_run(run, tmp_path):
    run("--compare", "e-rider", "two-stage", "--out", tmp_path / "a")
    longer = ("--compare", "e-rider", "two-stage", "--seeds", "2", "--steps", "1000")
    run(*longer, "--out", tmp_path / "a", "--resume")
    run(*longer, "--out", tmp_path / "b")
    assert (tmp_path / "a" / "track.json").read_bytes() == (tmp_path / "b" / "track.json").read_bytes()
    one, other = (load(tmp_path / name / "track.nc").drop_attrs() for name in "ab")
    assert one.identical(other)


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="needs signals")
def test_an_interrupted_run_goes_on(run, tmp_path):
    """A run of 2e8 steps is interrupted once its first state is on disk; it goes on from there."""
    command = ["track", "--method", "sgd", "--seeds", "1", "--out", str(tmp_path / "made")]
    soon = "import sys; from sptrack.tracking import compare; from sptrack.cli import main; "
    soon += "sys.modules['sptrack.tracking.compare']._SAVE_EVERY = 0.1; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", soon, *command, "--steps", "200000000"]
    kept = tmp_path / "made" / "checkpoints" / "sgd-0.npz"
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        limit = time.monotonic() + 120
        while not kept.exists() and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "sptrack: interrupted\n")
    status, _, err = run(*command[1:], "--steps", "200", "--resume")
    assert status == 2
    assert "already at step" in err


def test_a_file_gives_problem_and_settings(run, tmp_path):
    path = tmp_path / "setup.toml"
    settings = ProblemSettings(size=6, read_noise=0.01)
    chosen = method("e-rider", alpha=0.02)
    path.write_text(setup_to_toml(Setup(method=chosen, problem="separable", settings=settings)))
    expected = compare([chosen], "separable", settings, steps=400, seeds=2)
    assert simulated(json.loads(run("--config", path, "--json")[1])) == comparison_rows(expected)
    both = json.loads(run("--config", path, "--compare", "sgd", "e-rider", "--json")[1])
    assert simulated(both)[1] == comparison_rows(expected)[0]
    assert run("--config", path, "--method", "sgd")[0] == 2
    other = json.loads(run("--config", path, "--problem", "quadratic", "--json")[1])
    assert simulated(other) != comparison_rows(expected)


def test_filter_and_chopper_close_the_loop(run, tmp_path):
    """Options, a file with tables, and the library make the same run; W and Q are those of that filter."""
    sections = ellip(4, 0.1, 40, 0.004, output="sos")
    (tmp_path / "elliptic.json").write_text(json.dumps(sections.tolist()))
    words = ("--filter", f"sos:file={tmp_path / 'elliptic.json'}", "--chopper", "periodic:half_period=50")
    status, out, _ = run("--method", "e-rider", *words, "--json")
    own = with_settings(method("e-rider"), reference=SOS(sos=sections), half_period=50)
    assert status == 0
    assert simulated(json.loads(out)) == comparison_rows(compare([own], steps=400, seeds=2))
    path = tmp_path / "setup.toml"
    rows = "".join(f"  {row},\n" for row in sections.tolist())
    path.write_text(f'chopper = "periodic:half_period=50"\n[filter]\nkind = "sos"\nsos = [\n{rows}]\n')
    assert run("--config", path, "--json")[1] == out
    path.write_text(setup_to_toml(Setup(method=own)))
    assert run("--config", path, "--json")[1] == out


def test_of_several_methods_those_with_a_moving_reference_get_the_filter(run):
    words = (
        "--compare",
        "sgd",
        "c-ttv2",
        "rider",
        "--filter",
        "boxcar:length=50",
        "--chopper",
        "mls:register=5",
    )
    _, out, err = run(*words, "--json")
    changed = [
        method("sgd"),
        with_settings(method("c-ttv2"), chopper=MaximumLengthChopper(register=5)),
        with_settings(method("rider"), reference=Boxcar(length=50), chopper=MaximumLengthChopper(register=5)),
    ]
    assert simulated(json.loads(out)) == comparison_rows(compare(changed, steps=400, seeds=2))
    assert err == (
        "sptrack: the filter is not for sgd, c-ttv2, whose reference does not move; "
        "the chopper is not for sgd, whose reference does not move\n"
    )
    assert run(*words, "--json", "--quiet")[2] == ""


def test_what_is_not_predicted_says_why(run, monkeypatch):
    words = ("--compare", "sgd", "two-stage", "rider", "agad", "o-rider")
    rows = {row["method"]: row for row in json.loads(run(*words, "--json")[1])}
    assert rows["agad"]["not_predicted"] is None
    assert rows["agad"]["sp_mse_predicted"] > 0
    assert rows["o-rider"]["sp_mse_predicted"] > 0
    for name, text in (("sgd", "no reference"), ("two-stage", "fixed (calibrated)"), ("rider", "no chopper")):
        assert rows[name]["sp_mse_predicted"] is None
        assert text in rows[name]["not_predicted"]
    monkeypatch.setenv("COLUMNS", "140")
    text = run(*words)[1]
    assert f" {rows['agad']['sp_mse_predicted']:.3g} " in text
    assert "rider not predicted: no chopper" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--method", "erider"], "did you mean 'e-rider'"),
        (["--compare", "sgd", "sgd"], "must differ, got 'sgd' 2 times"),
        (["--compare", "sgd", "--method", "sgd"], "only one of them"),
        (["--resume"], "--out"),
        (["--problem", "quad"], "did you mean 'quadratic'"),
        (["--device", "soft"], "device 'soft'"),
        (["--threads", "0"], "threads must be a whole number >= 1, got 0"),
        (["--steps", "150"], "steps must be a positive multiple of 200, got 150"),
        (["--seed", "-1"], "seed must be a whole number >= 0, got -1"),
        (["--config", "/not/there.toml"], "cannot be read"),
        (["--method", "sgd", "--filter", "ema:eta=0.1"], "cannot be used with sgd, which has no reference"),
        (
            ["--method", "oracle", "--chopper", "mls:register=4"],
            "with oracle, whose reference is fixed (true)",
        ),
        (["--compare", "sgd", "tt-v1", "--filter", "last"], "filter last cannot be used with sgd"),
        (["--filter", "emma:eta=0.1"], "did you mean 'ema'"),
        (["--filter", "sos:file=/not/there.json"], "cannot read /not/there.json"),
        (["--chopper", "periodic:half_period=0"], "half_period must be a whole number >= 1, got 0"),
    ],
)
def test_refusals(run, words, text):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err


def test_a_folder_of_others_is_not_touched(run, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    status, _, err = run("--method", "sgd", "--out", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
