"""`sptrack tune --start design`: the first trial is what theory picks for the problem."""

import json

import pytest

from sptrack.cli import main
from sptrack.design import search
from sptrack.design.specification import problem_specification
from sptrack.devices.presets import preset
from sptrack.tracking import ProblemSettings
from sptrack.tracking.config import Setup, setup_to_toml

SETTINGS = ProblemSettings(
    size=6, read_noise=0.01, low=0.3, gradient_noise=0.15, device=preset("soft-bounds")
)
AMOUNT = ["--trials", "2", "--seeds", "1", "--finalists", "0", "--held-out", "2", "--steps", "2000"]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "setup.toml"
    path.write_text(setup_to_toml(Setup(settings=SETTINGS)))
    return path


def test_a_specification_is_the_problem_s():
    spec = problem_specification(SETTINGS, 2000)
    assert (spec.device, spec.steps, spec.read_noise) == (SETTINGS.device, 2000, 0.01)
    assert (spec.curvature, spec.gradient.std) == ((0.3, 1.0), 0.15)
    half = (SETTINGS.device.response.w_max - SETTINGS.device.response.w_min) / 2
    assert spec.requirements.limits["rms"] == pytest.approx(0.05 * half)


@pytest.mark.slow
def test_tuning_starts_at_the_design(config, capfd):
    status = main(["tune", "--config", str(config), "--start", "design", *AMOUNT, "--json", "--quiet"])
    out, _ = capfd.readouterr()
    assert status == 0
    told = json.loads(out)
    expected = search(problem_specification(SETTINGS, 2000)).best.method
    assert told["method"] == expected.name
    assert told["start"]["settings"]["alpha"] == pytest.approx(expected.alpha)
    assert told["start"]["settings"]["eta"] == pytest.approx(expected.eta)
    assert told["start"]["source"].startswith("design ")


@pytest.mark.parametrize(
    "extra",
    [
        ["--method", "e-rider"],
        ["--filter", "ema:eta=0.1"],
        ["--chopper", "periodic:half_period=50"],
        ["--start", "theory"],
    ],
)
def test_a_method_or_an_unknown_start_is_refused(config, tmp_path, capfd, extra):
    folder = tmp_path / "out"
    status = main(["tune", "--config", str(config), "--start", "design", *extra, "--out", str(folder)])
    _, err = capfd.readouterr()
    assert status == 2
    assert len(err.splitlines()) == 1
    assert not folder.exists()
