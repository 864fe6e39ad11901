"""Cramer-Rao bounds against closed forms, independent simulation, and an efficient estimator."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.calibration import BurstFit, calibrator
from sptrack.crossbar import Crossbar
from sptrack.devices import CycleNoise, Device, ExpStep, SoftBounds, cells_from_parameters, sample_cells
from sptrack.errors import ParameterError
from sptrack.theory import Experiment, array_bound, fisher_information, point_bound, pulse_floor
from sptrack.theory.cramer_rao import read_moments, simple_experiments

STEPS = {"step_up": 0.0013, "step_down": 0.0009}


def equal(shape=(1, 1), **changes):
    """Equal soft-bounds cells with steps 0.0013 and 0.0009: symmetric point 2/11."""
    given = {name: np.full(shape, value) for name, value in (STEPS | changes).items()}
    return cells_from_parameters(Device(), given, dtype=np.float64)


def quiet(cells):
    return replace(cells, device=replace(cells.device, cycle_noise=CycleNoise()))


def test_mean_and_covariance_of_the_reads_are_those_of_a_simulation():
    """16384 equal cells; means and covariances within 4 sigma of normal samples."""
    cells, experiment = equal((128, 128)), Experiment((300, -150), (1, 1, 1))
    bar = Crossbar(cells, seed=3, threads=1, weights=0.1)
    reads = [bar.read()]
    for run in experiment.runs:
        bar.pulse("up" if run > 0 else "down", abs(run))
        reads.append(bar.read())
    seen = np.stack(reads).reshape(3, -1)[1:]
    mean, covariance = (x[0] for x in read_moments(equal(), experiment, 0.1))
    wanted = covariance[1:, 1:]
    deviation = np.abs(seen.mean(1) - mean[1:])
    assert (deviation < 4 * np.sqrt(np.diag(wanted) / cells.size)).all()
    variances = np.outer(np.diag(wanted), np.diag(wanted))
    sigma = np.sqrt((variances + wanted**2) / cells.size)
    assert (np.abs(np.cov(seen) - wanted) < 4 * sigma).all()
    assert mean[0] == 0.1
    assert not covariance[0].any()


def test_read_noise_alone_has_the_closed_form_of_two_short_bursts():
    """No cycle noise, n pulses up and down, so few that steps are constant: both displacements are n times a
    step, read with variance 2 s^2 and covariance s^2, and w* = (u - d)/(u + d) by the quotient rule."""
    cells, n, s = quiet(equal()), 20, 0.01
    up, down = STEPS["step_up"], STEPS["step_down"]
    found = point_bound(cells, Experiment((n, -n), (1, 1, 1)), s, bounds="known")[0, 0]
    by_up, by_down = (2 * down / (up + down) ** 2, -2 * up / (up + down) ** 2)
    variance = (by_up**2 + by_down**2) * 2 + 2 * by_up * by_down
    assert found == pytest.approx(s / n * np.sqrt(variance), rel=0.03)


def test_a_read_after_every_pulse_reaches_the_floor_of_pulses():
    """Perfect reads after each of 2 x 30 pulses: sigma q0/(G' sqrt(N(1 + 2 sigma^2)))."""
    cells = equal()
    runs = (1, -1) * 30
    found = point_bound(cells, Experiment(runs, (1,) * 61), 0.0, bounds="known", start=cells.symmetric_point)
    assert found[0, 0] == pytest.approx(pulse_floor(cells, 60)[0, 0], rel=0.02)


@pytest.mark.parametrize("bounds", ["known", "unknown"])
def test_no_experiment_beats_the_floor_of_pulses(bounds):
    cells = sample_cells(Device(), (4, 4), dtype=np.float64)
    floor = pulse_floor(cells, 1000)
    for experiment in simple_experiments(cells, 1000, 24):
        sent = [2 * run[0] * run[1] if isinstance(run, tuple) else abs(run) for run in experiment.runs]
        assert 700 < sum(sent) <= 1000 + 2 * len(sent)
        assert sum(experiment.reads) == 24
        found = point_bound(cells, experiment, 1e-6, bounds=bounds, start=cells.symmetric_point)
        assert (found > 0.999 * floor).all()


def test_more_knowledge_never_raises_the_bound():
    cells = sample_cells(Device(), (4, 4), dtype=np.float64)
    experiment = Experiment((300, -300, 200, -200), (5,) * 5)
    known = point_bound(cells, experiment, 0.02, bounds="known")
    flat = point_bound(cells, experiment, 0.02)
    prior = point_bound(cells, experiment, 0.02, prior=(0, 0, 10, 10))
    sure = point_bound(cells, experiment, 0.02, prior=(0, 0, 1e9, 1e9))
    assert (known <= prior).all()
    assert (prior <= flat).all()
    np.testing.assert_allclose(sure, known, rtol=1e-3)
    more = point_bound(cells, experiment._replace(reads=(20,) * 5), 0.02, bounds="known")
    assert (more < known).all()


def test_units_of_weight_do_not_matter():
    """Steps, bounds and noise three times as large: three times the bound."""
    wide = Device(response=SoftBounds(w_min=-3.0, w_max=3.0), dw_min=0.003)
    given = {name: np.full((1, 1), 3 * value) for name, value in STEPS.items()}
    cells = cells_from_parameters(wide, given, dtype=np.float64)
    experiment = Experiment((200, -200), (4, 4, 4))
    one = point_bound(equal(), experiment, 0.02, bounds="known")
    np.testing.assert_allclose(point_bound(cells, experiment, 0.06, bounds="known"), 3 * one, rtol=1e-6)


@pytest.mark.parametrize("read_noise", [0.002, 0.02])
def test_the_burst_fit_with_known_bounds_reaches_the_bound(read_noise):
    """2304 equal cells: RMS error over bound within 4 sigma = 4/sqrt(2 x 2304) = 6 %, 2 % more for curvature
    of the fit; its own standard errors agree with the bound to 5 %. The probe is one read of the 25."""
    cells = equal((48, 48))
    estimates = BurstFit(bounds="known", reads=24).calibrate(
        Crossbar(cells, seed=5, threads=1), 700, read_noise=read_noise
    )
    bound = point_bound(equal(), Experiment((350, -350), (8, 8, 8)), read_noise, bounds="known")[0, 0]
    error = estimates.points[0] - cells.symmetric_point
    ratio = np.sqrt(np.mean(error**2)) / bound
    assert 0.94 < ratio < 1.08
    assert np.median(estimates.uncertainty[0]) == pytest.approx(bound, rel=0.05)


@pytest.mark.parametrize("method", ["transient", "bursts-known", "bursts", "root-finding", "observer"])
def test_no_calibrator_beats_the_bound_of_an_array(method):
    """1024 equal cells, 1000 pulses, 24 reads: not below the bound for known bounds by more than 4 sigma."""
    cells = equal((32, 32))
    found = calibrator(method, Device(), reads=24).calibrate(
        Crossbar(cells, seed=2, threads=1), 1000, read_noise=0.02
    )
    rms, _ = array_bound(equal(), int(found.pulses[0]), 24, 0.02, bounds="known")
    error = found.points[0] - cells.symmetric_point
    assert np.sqrt(np.mean(error**2)) > rms * (1 - 4 / np.sqrt(2 * cells.size))


def test_cells_without_a_symmetric_point_are_left_out():
    given = {name: np.full((1, 2), value) for name, value in STEPS.items()}
    given["step_up"] = np.array([[0.0013, 0.0]])
    cells = cells_from_parameters(Device(), given, dtype=np.float64)
    found = point_bound(cells, Experiment((20, -20), (4, 4, 4)), 0.02, bounds="known")
    assert np.isfinite(found).tolist() == [[True, False]]


def test_the_bound_of_an_array_falls_with_pulses_and_reads():
    cells = sample_cells(Device(), (3, 3), dtype=np.float64)
    few, many = (array_bound(cells, n, 12, 0.02, bounds="known") for n in (400, 1600))
    read = array_bound(cells, 400, 48, 0.02, bounds="known")
    assert few[0] > few[1]
    assert many[0] < few[0]
    assert read[0] < few[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bounds": "guessed"}, "bounds must be 'known' or 'unknown', got 'guessed'"),
        ({"read_noise": -0.1}, "read noise must be .*>= 0, got -0.1"),
        ({"experiment": Experiment((10,), (1,))}, "reads .*2 numbers"),
        ({"experiment": Experiment((10,), (0, 0))}, "reads .*2 numbers"),
        ({"cells": sample_cells(Device(response=ExpStep()), (1, 1))}, "not linear"),
    ],
)
def test_refusals(arguments, words):
    usual = {"cells": equal(), "experiment": Experiment((10, -10), (1, 1, 1)), "read_noise": 0.01}
    with pytest.raises(ParameterError, match=words):
        fisher_information(**(usual | arguments))


def test_a_floor_needs_pulses():
    with pytest.raises(ParameterError, match="pulses must be > 0, got 0"):
        pulse_floor(equal(), 0)
