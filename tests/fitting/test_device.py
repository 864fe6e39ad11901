"""From a fit to one device: the same for every family, and one that draws what the fit says."""

import numpy as np
import pytest

from sptrack import Device, ParameterError, sample_cells
from sptrack.devices import device_named, device_to_toml
from sptrack.fitting import FAMILIES, Measurement, PulseResponse, fit_responses, read_measurement, to_device
from tests.fitting.lab import PROGRAM, cell, conductance, table, words

pytestmark = pytest.mark.compiled


def measured(seeds, ratios=(0.8,), family="soft"):
    """Cells with a step of 0.05 up, and that times a ratio down: SP (1 - ratio)/(1 + ratio) (soft bounds)."""
    steps = [(0.05, 0.05 * ratios[k % len(ratios)]) for k in range(len(seeds))]
    program = np.tile(PROGRAM, 2)
    cells = tuple(
        PulseResponse(readings=cell(seed, family, program, steps=pair), pulses=program, name=str(seed))
        for seed, pair in zip(seeds, steps, strict=True)
    )
    return Measurement(cells=cells, unit="uS", low=10.0, high=90.0, quantity="conductance", name="cells.csv")


@pytest.fixture(scope="module")
def one():
    return {family: fit_responses(measured([0]), family) for family in FAMILIES}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_tells_the_same_granularity_and_states(one, family):
    """dw_min is the mean step at w = 0, 0.045; states are 2/0.045, to 15 % (for what is not visited)."""
    device = to_device(one[family])
    assert device.dw_min == pytest.approx(0.045, rel=0.06)
    assert device.states == pytest.approx(2.0 / 0.045, rel=0.15)
    cells = sample_cells(device, (2, 2))
    up, down = (step[0, 0] for step in cells.steps(0.0))
    assert (up + down) / 2 == pytest.approx(device.dw_min, rel=0.01)
    assert cells.symmetric_point.mean() == pytest.approx(one[family].symmetric_point.value, abs=0.01)


@pytest.mark.slow
def test_the_device_draws_the_mean_point_that_the_fit_says():
    """Five cells, SP -0.2 .. 0.2: mean of 4096 drawn points within 4 standard errors, and their spread."""
    fit = fit_responses(measured(range(5), (1.5, 1.2, 1.0, 1 / 1.2, 1 / 1.5)), "soft-bounds")
    device = to_device(fit)
    points = sample_cells(device, (64, 64)).symmetric_point
    said = fit.spread["symmetric_point"]
    assert points.mean() == pytest.approx(said.mean.value, abs=4 * said.std.value / 64)
    assert points.std() == pytest.approx(said.std.value, rel=0.1)
    assert device.fit.symmetric_point == said.mean.value


def test_device_holds_scale_noise_uncertainty_and_origin(tmp_path):
    device = to_device(fit_responses(measured([0]), "soft-bounds"))
    assert device.read_noise == pytest.approx(0.01, rel=0.2)
    assert (device.scale.low, device.scale.high, device.scale.unit) == (10.0, 90.0, "uS")
    assert device.scale.reading(device.fit.symmetric_point) == pytest.approx(50 + 40 / 9, abs=1.5)
    assert device.fit.symmetric_point_low < device.fit.symmetric_point < device.fit.symmetric_point_high
    assert device.fit.file == "cells.csv"
    path = tmp_path / "device.toml"
    device.save(path)
    assert Device.load(path) == device
    assert device_named("device.toml", tmp_path) == device
    path.write_text("[device]\n" + device_to_toml(device).replace("\n[", "\n[device."))
    assert Device.load(path) == device
    path.write_text('device = "ecram"\n')
    assert Device.load(path) == Device.load("ecram")


def test_refused_names_of_devices(tmp_path):
    with pytest.raises(ParameterError, match=r"did you mean 'soft-bounds'.*or a TOML file"):
        Device.load("soft-bound")
    with pytest.raises(ParameterError, match="cannot be read"):
        Device.load(tmp_path / "none.toml")
    with pytest.raises(ParameterError, match="cannot be written"):
        Device().save(tmp_path / "none" / "device.toml")
    (tmp_path / "bad.toml").write_text("read_noise = -1\n")
    with pytest.raises(ParameterError, match="read_noise must .*got -1"):
        Device.load(tmp_path / "bad.toml")


@pytest.mark.slow
def test_many_cells_are_fitted_quickly_and_said_so(tmp_path):
    """60 cells: 12 in full; mean SP within 4 standard errors of the truth, 1/9."""
    fit = fit_responses(measured(range(60)), "soft-bounds")
    assert len(fit.cells) == 60
    assert any("12 of 60 cells fitted in full" in note for note in fit.notes)
    said = fit.spread["symmetric_point"].mean
    assert abs(said.value - 1 / 9) < 4 * (said.high - said.low) / 3.92


@pytest.mark.slow
def test_one_lab_file_through_every_command(tmp_path, capsys):
    """fit -> calibrate -> design -> track -> explain -> response -> budget -> tune, with one device file."""
    from sptrack.cli import main

    pytest.importorskip("optuna")
    path = tmp_path / "cell.csv"
    path.write_text(
        "\n".join(table({"direction": words("up", "down"), "conductance (uS)": conductance(cell(0))})) + "\n"
    )
    device = ["--device", str(tmp_path / "fitted" / "device.toml")]
    few = ["--steps", "400", "--seeds", "2", "--quiet"]
    for words_ in (
        ["fit", str(path), "--family", "soft-bounds", "--out", str(tmp_path / "fitted")],
        ["calibrate", *device, "--cells", "8x8", "--pulses", "100", "200"],
        ["design", *device, "--seeds", "2", "--quiet"],
        ["track", *device, *few],
        ["explain", *device],
        ["response", *device],
        ["budget", *device, *few],
        [
            "tune",
            *device,
            "--trials",
            "2",
            "--finalists",
            "1",
            "--held-out",
            "2",
            "--steps",
            "400",
            "--seeds",
            "1",
        ],
        ["devices", "show", device[1]],
    ):
        assert main(words_) in (0, 1), words_
    assert "cell" in capsys.readouterr().out
    noise = Device.load(device[1]).read_noise
    assert noise > 0.0
    assert read_measurement(path).unit == "uS"


def test_reading_noise_is_used_from_then_on(tmp_path):
    from sptrack.cli._input import ArrayInput
    from sptrack.cli._setup import SetupInput
    from sptrack.design.specification import Specification, specification_from_mapping

    path = tmp_path / "device.toml"
    Device(read_noise=0.03).save(path)
    assert ArrayInput(device=str(path), cells="2x2").draw()[1] == 0.03
    assert SetupInput(device=str(path)).load().settings.read_noise == 0.03
    (tmp_path / "track.toml").write_text('device = "device.toml"\n[problem]\nread_noise = 0.0\n')
    assert SetupInput(config=tmp_path / "track.toml").load().settings.read_noise == 0.0
    spec = specification_from_mapping({"device": "device.toml", "require": {"rms": 0.1}}, folder=tmp_path)
    assert spec.read_noise == 0.03
    assert Specification(read_noise=0.1).with_device(Device.load(path)).read_noise == 0.1
