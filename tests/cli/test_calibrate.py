"""`sptrack calibrate`: streams, exit statuses, files, refusals."""

import json

import numpy as np
import pytest

from sptrack import Crossbar, preset, sample_cells
from sptrack.cli import main
from sptrack.cli.calibrate import _announce
from sptrack.devices.config import device_to_toml
from sptrack.intervals import interval_text
from sptrack.results import load

FILES = ["calibration.nc", "certificate.json", "certificate.png", "certificate.svg", "map.png", "map.svg"]
FILES += ["symmetric_points.csv"]
SMALL = {"--cells": ["16x12"], "--pulses": ["20", "200"]}


@pytest.fixture
def run(capfd):
    """Run `sptrack calibrate` on few cells: status, stdout, stderr."""

    def call(*arguments):
        small = [word for name, values in SMALL.items() if name not in arguments for word in (name, *values)]
        status = main(["calibrate", *small, *map(str, arguments)])
        return status, *capfd.readouterr()

    return call


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("sptrack.plotting.style.save_figure", lambda *_: None)


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """File of a synthetic cell with its symmetric point at 1/9: steps 0.02 and 0.016, reading noise 0.05."""
    rng = np.random.default_rng(4)
    columns = []
    for sign, step, state in ((1, 0.02, -0.6), (-1, 0.016, 0.6)):
        readings = []
        for _ in range(150):
            readings.append(state + 0.05 * rng.normal())
            state += sign * step * (1 - sign * state)
        columns.append(readings)
    path = tmp_path_factory.mktemp("measured") / "cell.csv"
    rows = "\n".join(f"{up:.6f},{down:.6f}" for up, down in zip(*columns, strict=True))
    path.write_text(f"up,down\n{rows}\n")
    return path


def test_json_is_alone_on_stdout(run):
    status, out, _ = run("--json")
    certificate = json.loads(out)
    assert status == 0
    assert certificate["cells"] == [16, 12]
    assert certificate["pulses"] == [20, 200]
    assert certificate["device"] == "soft-bounds"


def test_the_table_shows_the_numbers_of_the_certificate(run):
    _, text, _ = run()
    certificate = json.loads(run("--json")[1])
    for error, ends in zip(certificate["rms_error"], certificate["rms_error_ci"], strict=True):
        assert interval_text(error, *ends) in text
    assert certificate["verdict"] in " ".join(text.split())
    assert "exact moments" in text


@pytest.mark.usefixtures("without_figures")
def test_quiet_says_nothing_on_stderr(run, tmp_path):
    assert run("--quiet", "--out", tmp_path / "made")[2] == ""
    assert run("--out", tmp_path / "made")[2] == f"wrote {tmp_path / 'made'}\n"


def test_only_a_given_target_can_fail(run):
    assert run()[0] == 0
    status, out, err = run("--target", 0.001, "--json", "--quiet")
    assert (status, json.loads(out)["met"], err) == (1, False, "")
    assert run("--target", 1.9)[0] == 0


@pytest.mark.usefixtures("without_figures")
def test_a_missed_target_still_writes_everything(run, tmp_path):
    assert run("--target", 0.001, "--out", tmp_path / "made")[0] == 1
    assert (tmp_path / "made" / "calibration.nc").is_file()


def test_the_folder_holds_certificate_map_dataset_and_figures(run, tmp_path):
    made = tmp_path / "made"
    _, out, _ = run("--json", "--out", made, "--seed", 3)
    assert {path.name for path in made.iterdir()} == {*FILES, ".sptrack"}
    assert (made / "certificate.json").read_text() == out
    data = load(made / "calibration.nc")
    points = np.loadtxt(made / "symmetric_points.csv", delimiter=",")
    np.testing.assert_allclose(points, data["estimate"].sel(pulses=200), rtol=1e-5, atol=1e-6)
    truth = sample_cells(preset("soft-bounds"), (16, 12), seed=3).symmetric_point
    np.testing.assert_allclose(data["symmetric_point"], truth, rtol=1e-6)
    assert json.loads(data.attrs["certificate"]) == json.loads(out)
    assert json.loads(data.attrs["provenance"])["seed"] == 3
    assert (made / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (made / "certificate.svg").read_text()


def test_a_seed_gives_the_same_bytes_for_any_threads(run, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    first = run("--seed", 5, "--threads", 1, "--json", "--out", one)[1]
    assert run("--seed", 5, "--threads", 2, "--json", "--out", two)[1] == first
    assert run("--seed", 6, "--json")[1] != first
    for name in ("certificate.json", "symmetric_points.csv", "certificate.png", "map.svg"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_description_in_a_file_is_that_device(run, tmp_path):
    file = tmp_path / "device.toml"
    file.write_text(device_to_toml(preset("ecram")))
    assert run("--config", file, "--json")[1] == run("--device", "ecram", "--json")[1]


def test_stochastic_mode_and_reading_noise(run):
    certificate = json.loads(run("--mode", "stochastic", "--read-noise", 0.25, "--pulses", "31", "--json")[1])
    assert (certificate["mode"], certificate["read_noise"], certificate["pulses"]) == (
        "stochastic",
        0.25,
        [31],
    )
    assert certificate["floor"] > 0.25


def test_another_method_reports_its_reads_and_placement(run):
    status, out, _ = run(
        "--method", "bursts", "--pulses", 400, 800, "--read-noise", 0.01, "--reads", 14, "--json"
    )
    certificate = json.loads(out)
    assert status == 0
    assert (certificate["method"], certificate["mode"]) == ("bursts, unknown bounds", "bursts")
    assert certificate["reads"] == [14, 28]
    assert min(certificate["placement"]) > 0
    assert certificate["rms_error"][1] < certificate["rms_error"][0]
    assert certificate["rms_theory"] is None
    assert np.all(np.array(certificate["rms_bound"]) < certificate["rms_error"])
    assert certificate["candidates"] == []


@pytest.mark.slow
def test_auto_tries_all_and_takes_the_cheapest(run, monkeypatch):
    monkeypatch.setattr("sptrack.evaluation.recommendation.PILOT", (6, 6))
    monkeypatch.setattr("sptrack.evaluation.recommendation._READS", (1, 24))
    words = ("--method", "auto", "--read-cost", 2, "--read-noise", 0.02, "--target", 0.1)
    status, out, _ = run(*words, "--pulses", "500", "--json")
    certificate = json.loads(out)
    rows = certificate["candidates"]
    assert status == 0
    assert len(rows) == len({row["method"] for row in rows}) == 9
    costs = [row["cost"] for row in rows if row["met"]]
    assert costs == sorted(costs)
    assert rows[0]["met"]
    assert certificate["reads"][-1] == rows[0]["reads"]
    text = run(*words, "--pulses", "500")[1]
    assert "cheapest first" in text
    assert all(row["method"] in text for row in rows)


@pytest.mark.usefixtures("without_figures")
def test_a_measured_cell_from_end_to_end(run, readings, tmp_path):
    """The symmetric points of the cells drawn scatter by the uncertainty of the fit about the truth."""
    status, out, _ = run("--measured", readings, "--pulses", "2000", "--json", "--out", tmp_path / "made")
    certificate = json.loads(out)
    truth = load(tmp_path / "made" / "calibration.nc")["symmetric_point"].values
    assert status == 0
    assert certificate["device"] == "cell.csv"
    assert certificate["read_noise"] == pytest.approx(0.05, rel=0.15)
    assert np.nanstd(truth) < 0.1
    assert abs(np.nanmedian(truth) - 1 / 9) < 4 * np.nanstd(truth)
    assert certificate["floor"] > certificate["read_noise"]
    assert any("cycle_noise" in note for note in certificate["notes"])
    assert json.loads(run("--measured", readings, "--read-noise", 0, "--json")[1])["read_noise"] == 0


@pytest.mark.slow
def test_the_measured_device_of_the_literature(run, data_folder):
    """Its scatter is reading noise, not cycle noise; its symmetric point stays open."""
    file = data_folder / "devices" / "gong_et_al_2022_pulse_response.csv"
    status, out, _ = run("--measured", file, "--family", "soft-bounds", "--json")
    certificate = json.loads(out)
    assert status == 0
    assert certificate["device"] == file.name
    scatter = np.diff(np.genfromtxt(file, delimiter=",")[-200:], axis=0).std() / np.sqrt(2)
    assert scatter < certificate["read_noise"] < 3 * scatter
    assert any("symmetric_point" in note for note in certificate["notes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "soft-bound"], ["'soft-bound'", "reram-es", "did you mean 'soft-bounds'"]),
        (["--device", "idealized"], ["'idealized'", "no cell has a symmetric point"]),
        (["--device", "pcm"], ["'pcm'", "only pulsed up"]),
        (["--device", "ecram", "--config", "x.toml"], ["--device and --config", "only one"]),
        (["--config", "none.toml"], ["none.toml", "cannot be read"]),
        (["--measured", "none.csv"], ["none.csv", "cannot be read"]),
        (["--cells", "0x4"], ["'0x4'", "ROWSxCOLUMNS", "512x512"]),
        (["--cells", "16"], ["'16'", "ROWSxCOLUMNS"]),
        (["--pulses", "21"], ["pulses must be even", "got 21"]),
        (["--pulses", "20", "10"], ["pulses must be rising", "got 20 10"]),
        (["--pulses", "-4"], ["pulses must", ">= 1, got -4"]),
        (["--pulses", "ten"], ["ten", "int"]),
        (["--pulses"], ["(none)", ">= 1"]),
        (["--pulse", "10"], ["--pulse", "--pulses"]),
        (["--mode", "cylic"], ["cylic", "stochastic", 'Did you mean "cyclic"']),
        (["--method", "burst"], ["'burst'", "did you mean 'bursts'"]),
        (["--method", "auto", "--reads", "5"], ["reads = 5", "auto"]),
        (["--method", "bursts", "--reads", "3"], ["reads must be a whole number >= 7, got 3"]),
        (["--method", "bursts", "--mode", "stochastic"], ["stochastic", "zero-shifting"]),
        (["--read-cost", "-1"], ["cost of a read must", ">= 0, got -1.0"]),
        (["--target", "-1"], ["target must be > 0, got -1.0"]),
        (["--target", "nan"], ["target must", "> 0, got nan"]),
        (["--read-noise", "-0.1"], ["read_noise must be >= 0, got -0.1"]),
        (["--threads", "0"], ["threads must be a whole number >= 1, got 0"]),
        (["--seed", "-1"], ["seed must be a whole number >= 0, got -1", ">= 0"]),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_before_any_time_is_spent(capfd, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sptrack.cli.calibrate._run", lambda *_, **__: pytest.fail("calibrated"))
    size = [] if "--cells" in arguments else ["--cells", "4x4"]
    assert main(["calibrate", "--out", "made", *size, *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("bad.csv", "up,down\n" + "0.1,0.2\n" * 30 + "0.2,oops\n", ["bad.csv, row 32", "'oops'", "a number"]),
        ("bad.csv", "0.1\n0.2\n", ["bad.csv", "no directions", "--program"]),
        ("bad.csv", "0.1,0.2\n", ["bad.csv", "at least 20"]),
        ("bad.toml", "dw_mn = 0.1", ["bad.toml", "'dw_mn'", "did you mean 'dw_min'"]),
        ("bad.toml", "dw_min = -0.1", ["bad.toml", "dw_min must be > 0", "got -0.1"]),
        ("bad.toml", "dw_min = [", ["bad.toml", "not a TOML file"]),
    ],
)
def test_bad_files_are_named_with_place_value_and_range(run, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    option = "--measured" if name.endswith("csv") else "--config"
    status, out, err = run(option, tmp_path / name, "--out", tmp_path / "made")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert all(word in err for word in words), err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_place_that_cannot_be_written_is_refused_before_calibrating(run, monkeypatch, tmp_path):
    monkeypatch.setattr("sptrack.cli.calibrate._run", lambda *_, **__: pytest.fail("calibrated"))
    (tmp_path / "file").write_text("mine")
    for place, words in (("file", "is a file"), ("no/where", "does not exist"), (".", "did not write")):
        status, _, err = run("--out", tmp_path / place)
        assert (status, err.count("\n")) == (2, 1)
        assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (MemoryError, 2)])
def test_a_run_that_breaks_off_leaves_nothing_behind(run, monkeypatch, tmp_path, error, status):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr("sptrack.cli.calibrate._run", stop)
    found, out, err = run("--out", tmp_path / "made")
    assert (found, out, err.count("\n")) == (status, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_long_run_is_announced_with_time_and_memory(run, monkeypatch):
    assert "minutes" not in run()[2]
    monkeypatch.setattr("sptrack.cli.calibrate._LONG", 0.0)
    err = run()[2]
    assert "minutes and 0.3 GB of memory" in err
    assert "minutes" not in run("--quiet")[2]


def test_the_announced_time_grows_with_the_pulses(capsys, monkeypatch):
    """A clock that runs 1 s per look: 64 pulses of pilot last 1 s, 19200 pulses 300 s."""
    clock = iter(range(100))
    monkeypatch.setattr("sptrack.cli.calibrate.time.perf_counter", lambda: next(clock))
    bar = Crossbar(sample_cells(preset("soft-bounds"), (2, 2)))
    _announce(bar, (64, 19200), "cyclic")
    assert capsys.readouterr().err.startswith("about 5 minutes and 0.3 GB")
    assert not bar.weights.any()
