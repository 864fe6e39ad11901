"""The certificate against exact moments, closed forms, and runs of its own recommendation."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from sptrack.calibration import settled, zero_shift
from sptrack.calibration.zero_shifting import ZeroShifting
from sptrack.cost import CostModel
from sptrack.crossbar import Crossbar
from sptrack.devices import (
    Asymmetry,
    ConstantStep,
    CycleNoise,
    Device,
    ExpStep,
    LinearStep,
    Reference,
    SoftBounds,
    Spread,
    cells_from_parameters,
    sample_cells,
)
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError
from sptrack.evaluation.certificate import calibration_arrays, certify, default_target, overshooting
from sptrack.results import json_text, load, save
from sptrack.theory import zero_shifting_moments
from sptrack.theory.sampling import array_offset_error

LISTS = ("pulses", "rms_error", "median_error", "mean_offset", "std_offset")
COUNTS = (200, 1000, 4000, 8000)
QUICK = Device(dw_min=0.01)
EXPONENTIAL = Device(
    response=ExpStep(a=0.25, b=0.0, A_up=0.1, A_down=0.1, gamma_up=6.0, gamma_down=6.0),
    dw_min=0.004,
    spread=Spread(dw_min=0.1, asymmetry=Asymmetry(mean=0.1, std=0.05)),
    cycle_noise=CycleNoise(std=0.1),
)


def calibrate(cells, counts=COUNTS, *, seed=0, start=0.0, mode="cyclic", read_noise=0.0, **settings):
    bar = Crossbar(cells, seed=seed, weights=start)
    return certify(cells, zero_shift(bar, counts, mode=mode, read_noise=read_noise), start=start, **settings)


@pytest.fixture(scope="module")
def usual():
    return calibrate(sample_cells(Device(), (32, 32), seed=1), read_noise=0.001)


@pytest.fixture(scope="module")
def exponential():
    return calibrate(sample_cells(EXPONENTIAL, (24, 24)), (500, 2000, 12000), target=0.1)


def test_schema_of_the_json(usual):
    content = json.loads(json_text(usual.certificate))
    scalars = {"device", "cells", "mode", "target", "floor", "pulses_needed_theory", "pulses_needed_measured"}
    assert {*scalars, *LISTS, "recommended_pulses", "cost", "verdict"} <= set(content)
    assert content["cells"] == [32, 32]
    assert content["pulses"] == list(COUNTS)
    assert {len(content[name]) for name in LISTS} == {len(COUNTS)}
    for name in LISTS[1:]:
        for value, (low, high) in zip(content[name], content[f"{name}_ci"], strict=True):
            assert low <= value <= high


def test_errors_are_those_of_the_estimates(usual):
    points, truth = usual.estimates.points[-1].astype(np.float64), usual.cells.symmetric_point
    error, certificate = points - truth, usual.certificate
    assert certificate.rms_error[-1] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert certificate.median_error[-1] == pytest.approx(np.median(np.abs(error)))
    assert certificate.mean_offset[-1] == pytest.approx(error.mean())
    assert certificate.std_offset[-1] == pytest.approx(points.std() - truth.std())


@pytest.mark.parametrize("mode", ["cyclic", "stochastic"])
@pytest.mark.parametrize(
    ("read_noise", "write_noise"), [(0.0, 0.0), (0.05, 0.0), (0.0, 5.0)], ids=["quiet", "read", "write"]
)
def test_theory_and_measurement_agree_within_the_sampling_error(mode, read_noise, write_noise):
    """4 sigma of one run on these cells; reading or write noise s adds s^2, scattering by sqrt(2/n) s^2."""
    cells = sample_cells(replace(QUICK, write_noise=write_noise), (32, 32), seed=2)
    counts = (20, 200, 2000)
    found = calibrate(cells, counts, seed=3, mode=mode, read_noise=read_noise).certificate
    noise = np.hypot(read_noise, write_noise * cells.dw_min)
    for count, rms, theory in zip(counts, found.rms_error, found.rms_theory, strict=True):
        sigma = array_offset_error(cells, zero_shifting_moments(cells, mode, count)).rms
        sigma = np.hypot(sigma, noise * np.sqrt(1 / (2 * cells.size)))
        assert abs(rms - theory) < 4 * sigma
    assert found.floor == pytest.approx(found.rms_theory[-1], rel=0.01)
    assert found.floor > noise


def test_the_floor_without_noise_is_the_bias_after_a_down_pulse():
    """Equal noiseless cells with slopes a, b and step s end at -s b / (a + b - a b)."""
    device = Device(dw_min=0.02, spread=Spread(), cycle_noise=CycleNoise())
    cells = sample_cells(device, (4, 4))
    found = calibrate(cells, (2000,)).certificate
    bias = 0.02 * 0.02 / (0.04 - 0.0004)
    assert found.floor == pytest.approx(bias, rel=1e-6)
    assert found.mean_offset[0] == pytest.approx(-bias, rel=1e-4)


def test_reading_noise_falls_with_the_root_of_the_reads():
    """9 reads of noise .3 leave .1 beside the bias above; the RMS over 1024 cells scatters by 2 %."""
    device = Device(dw_min=0.02, spread=Spread(), cycle_noise=CycleNoise())
    cells = sample_cells(device, (32, 32))
    estimates = ZeroShifting(reads=9).calibrate(Crossbar(cells), (2000,), read_noise=0.3)
    found = certify(cells, estimates, target=0.2).certificate
    expected = np.hypot(0.1, 0.02 * 0.02 / (0.04 - 0.0004))
    assert found.rms_theory == pytest.approx([expected], rel=1e-4)
    assert found.floor == pytest.approx(expected, rel=1e-4)
    assert found.rms_error[0] == pytest.approx(expected, rel=4 / np.sqrt(2 * 1024))
    one_read = certify(cells, zero_shift(Crossbar(cells), (2000,), read_noise=0.3), target=0.2).certificate
    assert one_read.floor == pytest.approx(np.hypot(0.3, 0.02 * 0.02 / (0.04 - 0.0004)), rel=1e-4)


def test_the_start_is_taken_into_account():
    cells = sample_cells(QUICK, (16, 16))
    found = calibrate(cells, (2,), start=0.8).certificate
    assert found.rms_error[0] == pytest.approx(found.rms_theory[0], rel=0.01)
    assert found.rms_theory[0] > 1.1 * calibrate(cells, (2,)).certificate.rms_theory[0]


def test_theory_starts_from_the_internal_weight_behind_a_reference():
    cells = sample_cells(replace(QUICK, reference=Reference(subtract=False, mean=0.3)), (16, 16))
    found = calibrate(cells, (2,), start=0.1).certificate
    assert found.rms_error[0] == pytest.approx(found.rms_theory[0], rel=0.01)


@pytest.mark.parametrize("fresh_cells", [False, True], ids=["same cells", "fresh cells"])
def test_recommended_pulses_reach_the_target_in_fresh_runs(usual, fresh_cells):
    """All of 6 runs on the same cells; on fresh ones, which scatter more, 5 of 6 at least."""
    recommended = usual.certificate.recommended_pulses
    met = []
    for seed in range(11, 17):
        cells = sample_cells(Device(), (32, 32), seed=seed) if fresh_cells else usual.cells
        met.append(calibrate(cells, (recommended,), seed=seed, read_noise=0.001).certificate.met)
    assert sum(met) >= 6 - fresh_cells
    assert recommended < COUNTS[-1]


def test_theory_recommends_where_the_schedule_was_too_short(usual):
    found = calibrate(usual.cells, (200, 400), target=0.02).certificate
    assert not found.met
    assert found.pulses_needed_measured is None
    assert found.recommended_pulses > found.pulses_needed_theory > 400
    assert f"theory needs {found.recommended_pulses:,} pulses" in found.verdict
    assert calibrate(usual.cells, (found.recommended_pulses,), seed=5).certificate.met


def test_needed_pulses_are_in_their_places(usual):
    """The chord from 4000 to 8000 lies above a convex decay: measured is later than theory."""
    found = usual.certificate
    assert found.rms_error[1] > found.target > found.rms_error[3]
    assert found.pulses_needed_theory <= found.pulses_needed_measured <= found.recommended_pulses <= 8000
    assert found.theory == "exact moments"
    assert found.met
    assert f"<= {found.target:.4g} after" in found.verdict


def test_the_first_count_may_be_enough_already():
    found = calibrate(sample_cells(QUICK, (16, 16)), (1000, 1200), target=0.1).certificate
    assert found.pulses_needed_measured == found.recommended_pulses == 1000


def test_a_target_below_the_floor_is_called_out_of_reach(usual):
    found = certify(usual.cells, usual.estimates, target=1e-3).certificate
    assert found.floor > 1e-3
    assert (found.met, found.pulses_needed_theory, found.recommended_pulses, found.cost) == (
        False,
        None,
        None,
        None,
    )
    assert "out of reach" in found.verdict
    assert found.theory == "exact moments: the floor is above the target"


def test_reading_noise_above_the_target_leaves_nothing_to_compute():
    found = calibrate(sample_cells(EXPONENTIAL, (4, 4)), (20,), read_noise=0.5, target=0.1).certificate
    assert found.theory == "bound TC.4: reading and write noise are above the target"
    assert found.floor > 0.5


def test_the_default_target_is_one_percent_of_the_range():
    assert default_target(sample_cells(Device(response=SoftBounds(w_min=-2.0, w_max=3.0)), (1, 1))) == 0.05


def test_cost_is_that_of_the_recommended_run(usual):
    recommended = usual.certificate.recommended_pulses
    assert usual.certificate.cost == recommended + 10
    model = CostModel(pulse=2.0, read_product=64.0)
    assert certify(usual.cells, usual.estimates, cost=model).certificate.cost == 2 * recommended + 2


def test_other_responses_get_the_corrected_bound(exponential):
    found = exponential.certificate
    assert found.theory == "bound TC.4, corrected"
    assert found.rms_theory is None
    assert found.pulses_needed_theory >= found.pulses_needed_measured
    assert found.recommended_pulses in found.pulses
    assert calibrate(exponential.cells, (found.recommended_pulses,), seed=7, target=0.1).certificate.met


def test_a_count_is_recommended_only_if_its_whole_interval_is_below_the_target(exponential):
    error, (_, high) = exponential.certificate.rms_error[1], exponential.certificate.rms_error_ci[1]
    found = certify(exponential.cells, exponential.estimates, target=0.5 * (error + high)).certificate
    assert found.pulses_needed_measured <= 2000
    assert found.recommended_pulses == 12000


def test_a_bound_that_cannot_promise_the_target_says_what_it_can(exponential):
    """What TC.4 can promise is above this target and above the floor."""
    found = certify(exponential.cells, exponential.estimates, target=0.03).certificate
    promised = float(found.theory.removeprefix("bound TC.4: it can promise no RMS error below "))
    assert promised > 0.03 > found.floor
    assert found.pulses_needed_theory is None
    assert found.met
    assert certify(
        exponential.cells, exponential.estimates, target=1.1 * promised
    ).certificate.pulses_needed_theory


def test_the_floor_of_other_responses_is_leading_order(exponential):
    """The next order is smaller by dw_min; the RMS over 576 cells scatters by 3 %, so 10 % is wide."""
    assert exponential.certificate.rms_error[-1] == pytest.approx(exponential.certificate.floor, rel=0.1)


def test_bounds_are_computed_on_at_most_4096_cells():
    cells = sample_cells(EXPONENTIAL, (80, 80))
    start = np.linspace(-0.5, 0.5, 6400).reshape(80, 80)
    found = calibrate(cells, (200,), start=start, target=0.1).certificate
    few = calibrate(cells.thinned(4096), (200,), start=start.reshape(1, -1)[:, ::2], target=0.1).certificate
    assert found.pulses_needed_theory > 0
    assert found.pulses_needed_theory == few.pulses_needed_theory


def test_theory_of_a_huge_array_is_that_of_a_sample():
    """1 % is 4 sigma of the RMS over 150000 cells; the note says how many cells were counted."""
    cells = sample_cells(QUICK, (600, 500))
    found = calibrate(cells, (2, 40)).certificate
    assert found.rms_error == pytest.approx(found.rms_theory, rel=0.01)
    assert "theory: over one cell in 2" in found.notes


def test_cells_that_overshoot_are_calibrated_without_a_bound():
    """Soft bounds: the slope of a step is the step at w = 0 over the bound."""
    shape = (8, 8)
    up = np.linspace(0.3, 1.5, 64).reshape(shape)
    cells = cells_from_parameters(Device(dw_min=0.5), {"step_up": up, "step_down": np.full(shape, 0.4)})
    np.testing.assert_array_equal(overshooting(cells), up >= 1.0)
    found = calibrate(cells, (10, 100)).certificate
    assert found.overshooting_cells == (up >= 1.0).sum()
    assert found.theory.startswith("no bound applies")
    assert (found.floor, found.rms_theory, found.pulses_needed_theory) == (None, None, None)
    assert np.isfinite(found.rms_error).all()
    assert any("overshoot" in note and "no bound applies" in note for note in found.notes)


def test_cells_without_a_symmetric_point_are_left_out():
    device = Device(response=LinearStep(gamma_up=0.2, gamma_down=0.2), dw_min=0.01)
    cells = sample_cells(device, (16, 16))
    result = calibrate(cells, (100,))
    live = np.isfinite(cells.symmetric_point)
    error = (result.estimates.points[0] - cells.symmetric_point)[live]
    assert 0 < live.sum() == result.certificate.live_cells < 256
    assert result.certificate.rms_error[0] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert any(
        f"{256 - live.sum()} of 256 cells have no symmetric point" in note
        for note in result.certificate.notes
    )


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (Device(response=ConstantStep()), "'custom' .constant-step.: no cell has a symmetric point"),
        (preset("idealized"), "'idealized'.*no cell has a symmetric point"),
        (preset("pcm"), "'pcm'.*only pulsed up"),
    ],
)
def test_devices_without_a_symmetric_point_are_refused(device, words):
    cells = sample_cells(device, (2, 2))
    estimates = zero_shift(Crossbar(sample_cells(QUICK, (2, 2))), (2,))
    with pytest.raises(ParameterError, match=words):
        certify(cells, estimates)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": -0.1}, "target must be > 0, got -0.1"),
        ({"target": 0.0}, "target must be > 0, got 0.0"),
        ({"target": np.nan}, "target must .*finite.*got nan"),
        ({"start": np.nan}, "start must .*finite.*got nan"),
    ],
)
def test_bad_settings_are_refused(usual, settings, words):
    with pytest.raises(ParameterError, match=words):
        certify(usual.cells, usual.estimates, **settings)


def test_estimates_of_another_array_are_refused(usual):
    with pytest.raises(ParameterError, match=r"must have the shape \(8, 8\) of the cells, got \(32, 32\)"):
        certify(sample_cells(Device(), (8, 8)), usual.estimates)


def test_a_run_that_was_stopped_says_so():
    cells = sample_cells(QUICK, (8, 8))
    result = certify(cells, zero_shift(Crossbar(cells), (100, 200, 400), stop=settled(1.0)))
    assert result.certificate.pulses == [100, 200]
    assert "ended early by the stop rule" in result.certificate.notes


def test_the_dataset_holds_all_of_it_through_a_file(usual, tmp_path):
    save(calibration_arrays(usual, seed=3), tmp_path / "c.nc")
    data = load(tmp_path / "c.nc")
    assert json.loads(data.attrs["certificate"]) == json.loads(json_text(asdict(usual.certificate)))
    np.testing.assert_array_equal(data["estimate"], usual.estimates.points)
    np.testing.assert_allclose(data["symmetric_point"], usual.cells.symmetric_point, rtol=1e-6)
    np.testing.assert_array_equal(
        data["rms_error_ci"].sel(end="high"), [b for _, b in usual.certificate.rms_error_ci]
    )
    np.testing.assert_array_equal(data["rms_theory"], usual.certificate.rms_theory)
    counted = {"reads", "placement"}
    assert {data[name].attrs["units"] for name in set(data.data_vars) - counted} == {"weight units"}
    assert json.loads(data.attrs["provenance"])["seed"] == 3
