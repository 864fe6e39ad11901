"""Simulated loops against their predictions, and the evidence for the limits of validity."""

from pathlib import Path

import numpy as np
import pytest

from sptrack import load
from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.devices import Asymmetry, CycleNoise, Device, SoftBounds, Spread, preset, sample_cells
from sptrack.errors import ParameterError
from sptrack.evaluation.suite import suite
from sptrack.evaluation.validity import (
    DRIVES,
    FAMILIES,
    TOLERANCE,
    LoopRuns,
    OutOfReach,
    _limit,
    case,
    validity_map,
)
from sptrack.theory import VALIDITY_LIMITS, GradientStatistics, error_after

GALLERY = Path(__file__).parents[2] / "figures"


def _open_loop(**options):
    device = Device(
        dw_min=0.004, spread=Spread(asymmetry=Asymmetry(mean=0.3)), cycle_noise=CycleNoise(std=0.3)
    )
    given = {
        "cells": sample_cells(device, (1, 1), dtype=np.float64),
        "alpha": 0.02,
        "gradient": GradientStatistics(mean=0.4, std=0.6),
        "chopper": Chopper(p=0.2),
        "seed": 3,
    }
    return LoopRuns(**(given | options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"law": "poisson", "chopper": PeriodicChopper(half_period=12), "read_noise": 0.05},
        {"law": "binomial", "slots": 20, "alpha": 0.01},
    ],
    ids=str,
)
def test_a_settled_loop_is_as_predicted(options):
    """4 standard errors of 256 runs, and 3 % of the variances for terms beyond the expansion."""
    run = _open_loop(**options)
    rates = [0.1, 0.02]
    found = run.settled(rates, runs=256)
    for k, eta in enumerate(rates):
        predicted = run.loop.predict(eta, run.chopper, read_noise=run.read_noise)
        assert abs(found.var_q[k] - predicted.var_q) < 4 * found.var_q_error[k] + 0.03 * predicted.var_q
    assert abs(found.var_p - predicted.var_p) < 4 * found.var_p_error + 0.03 * predicted.var_p
    assert abs(found.bias - predicted.bias) < 4 * found.bias_error
    tolerance = 4 * found.demodulated_error + 0.02 * abs(predicted.demodulated)
    assert abs(found.demodulated - predicted.demodulated) < tolerance
    assert found.var_p_error < 0.05 * predicted.var_p


def test_cells_of_an_array_are_measured_one_by_one():
    cells = sample_cells(Device(dw_min=0.01), (2, 3), dtype=np.float64)
    run = _open_loop(cells=cells, alpha=0.04, gradient=GradientStatistics(mean=[0.1, 0.3, 0.6], std=0.7))
    found = run.settled([0.05], runs=32)
    predicted = run.loop.predict(0.05, run.chopper)
    assert found.bias.shape == found.demodulated.shape == (2, 3)
    assert found.var_q.shape == (1, 2, 3)
    ratio = (found.demodulated / predicted.demodulated).ravel()
    error = np.abs(found.demodulated_error / predicted.demodulated).ravel()
    assert (np.abs(ratio - 1) < 4.5 * error + 0.05).all()


def test_the_error_after_some_steps_is_as_predicted():
    run, rates = _open_loop(), [0.005, 0.05]
    found = run.after(rates, 300, start=0.0, runs=400)
    for k, eta in enumerate(rates):
        mean, variance = error_after(run.loop, eta, 300, start=-run.loop.point, chopper=run.chopper)
        predicted = np.sqrt(mean**2 + variance)
        assert abs(found.rms[k] - predicted) < 4 * found.rms_error[k] + 0.02 * predicted


def test_runs_are_reproducible_and_differ_between_seeds():
    a, b, c = (_open_loop(seed=s).after([0.1], 40, runs=8).rms.item() for s in (1, 1, 2))
    assert a == b != c


@pytest.mark.parametrize("drive", DRIVES)
def test_a_case_has_the_size_it_is_made_for(drive):
    run = case("power-2", drive, 0.12)
    std = np.sqrt(run.loop.predict(1.0, run.chopper).var_p) / run.loop.half_range
    assert std.item() == pytest.approx(0.12, rel=1e-6)
    assert run.loop.limit == VALIDITY_LIMITS["pow-step"]


def test_bad_input_is_refused():
    with pytest.raises(OutOfReach, match=r"size = 0\.001"):
        case("power-2", "noise", 0.001)
    with pytest.raises(ParameterError, match="drive 'wind'"):
        case("power-2", "wind", 0.1)
    with pytest.raises(ParameterError, match="runs must .*got 1"):
        _open_loop().settled([0.1], runs=1)
    with pytest.raises(ParameterError, match="runs and steps must .*and 0"):
        _open_loop().after([0.1], 0)
    with pytest.raises(ParameterError, match="read_noise must .*got -1"):
        _open_loop(read_noise=-1.0)
    with pytest.raises(ParameterError, match="a loop that settles"):
        _open_loop(alpha=5.0).settled([0.1])
    with pytest.raises(ParameterError, match="without a symmetric point"):
        _open_loop(cells=sample_cells(preset("idealized"), (2, 2)))


def _ratios(*worst):
    """Measurements [4, 2 drives, sizes] with errors of 1 %: P of one drive off as given, the rest exact."""
    found = np.ones((4, 2, len(worst)))
    found[[1, 3]] = 0.01
    found[0, 1] += worst
    return found


def test_the_limit_is_where_a_ratio_leaves_ten_percent_for_good():
    sizes = np.array([0.05, 0.1, 0.2])
    assert np.isnan(_limit(sizes, _ratios(0.0, 0.02, 0.115)))
    assert _limit(sizes, _ratios(0.0, 0.05, -0.15)) == pytest.approx(np.sqrt(0.02))
    assert _limit(sizes, _ratios(0.06, 0.11, 0.3)) == pytest.approx(0.05 * 2**0.8)
    assert _limit(sizes, _ratios(0.2, 0.3, 0.4)) == 0.05
    gap = _ratios(0.0, 0.05, 0.15)
    gap[:, 0, 0] = np.nan
    assert _limit(sizes, gap) == pytest.approx(np.sqrt(0.02))


@pytest.mark.slow
def test_a_small_map_has_every_variable():
    data = validity_map(["linear-skewed"], [0.2, 0.28], runs=32)
    assert data["ratio_p"].dims == ("family", "drive", "size")
    assert data["rule"].item() == VALIDITY_LIMITS["linear"]
    assert float(abs(data["ratio_p"] - 1).max()) < 0.2


def test_the_gallery_bears_out_the_limits_of_the_theory():
    """Committed measurement: every family within 10 % up to the limit at which predictions warn."""
    data = load(GALLERY / "validity_map.nc")
    assert tuple(data["family"].values) == FAMILIES
    for name in FAMILIES:
        of = data.sel(family=name)
        response = suite()[name].device.response
        linear = isinstance(response, SoftBounds)
        limit = VALIDITY_LIMITS["linear" if linear else response.family]
        assert of["rule"].item() == limit
        assert limit <= of["limit"].item() < 0.4
        inside = of.sel(size=slice(None, limit))
        for ratio in ("ratio_p", "ratio_q"):
            off = abs(inside[ratio] - 1) - 2 * inside[f"{ratio}_error"]
            assert float(off.max()) < TOLERANCE


def test_the_gallery_holds_simulations_that_agree_with_the_budget():
    """At the nine rates around each optimum: 4 standard errors and 4 % for terms beyond the expansion."""
    data = load(GALLERY / "eta_budget.nc")
    for gradient in data["gradient"].values:
        for steps in data["steps"].values:
            of = data.sel(gradient=gradient, steps=steps)
            exact = np.interp(np.log(of["eta_simulated"]), np.log(of["eta"]), of["rms_exact"])
            off = abs(of["rms_simulated"] - exact) - 4 * of["rms_error"] - 0.04 * exact
            assert float(off.max()) < 0


def test_mirrored_runs_leave_the_bias_alone():
    """Opposite drives cancel: an error several times smaller at the same cost; 5 % for higher terms."""
    run = _open_loop(alpha=0.04)
    plain, mirrored = (run.settled([], runs=128, mirrored=m) for m in (False, True))
    predicted = run.loop.predict(1.0, run.chopper).bias
    assert mirrored.bias_error < plain.bias_error / 3
    assert abs(mirrored.bias - predicted) < 4 * mirrored.bias_error + 0.05 * abs(predicted)
    assert mirrored.var_q.shape == (0, 1, 1)
    for runs in (2, 7):
        with pytest.raises(ParameterError, match=f"runs must .*got {runs}"):
            run.settled([], runs=runs, mirrored=True)


def test_the_gallery_holds_biases_that_agree_with_the_theory():
    """Where predictions do not warn: 4 standard errors and 6 % for terms beyond the expansion."""
    data = load(GALLERY / "bias_vs_chopper.nc")
    place = np.log(data["p_line"].values)
    for arm in data["arm"].values:
        of = data.sel(arm=arm)
        total = of["bias_correlation"] + of["bias_multi_pulse"] + of["bias_curvature"]
        inside = np.interp(np.log(of["p"]), place, of["valid"]) == 1
        predicted = np.interp(np.log(of["p"]), place, total)
        off = abs(of["bias"] - predicted) - 4 * of["bias_error"] - 0.06 * abs(predicted)
        assert inside.sum() >= 7
        assert float(off[inside].max()) < 0
