"""Predictions of settings: against pulses drawn in plain numpy, and against the tracker on a real device."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfilt, zpk2sos

from sptrack.blocks import EMA, Boxcar, TrackingLoop
from sptrack.design import Requirements, Specification, check
from sptrack.design.candidates import choppers, loop_of, predict_filters, transient_left
from sptrack.design.families import FAMILIES
from sptrack.design.specification import QUANTITIES, Gradient
from sptrack.devices import Asymmetry, CycleNoise, Device, Spread, cells_from_parameters, sample_cells
from sptrack.devices.presets import preset
from sptrack.evaluation.prediction import predict
from sptrack.tracking import open_loop
from sptrack.tracking.methods import periodic, telegraph
from tests.theory.openloop import Drive, LinearCell, run, signs_of_pattern, signs_of_telegraph

STEPS, LANES = 400, 500


def equal_poles(order, eta):
    """Sections of ``order`` one-pole averages with the delay of one of rate eta."""
    rate = order / (order + 1 / eta - 1)
    return zpk2sos(np.zeros(order), np.full(order, 1 - rate), rate**order)


SECTIONS = {
    "ema-2": lambda eta: equal_poles(2, eta),
    "ema-4": lambda eta: equal_poles(4, eta),
    "butterworth-2": lambda eta: butter(
        2, 2 / np.pi * np.arctan(1 / (np.sqrt(2) * (1 / eta - 1))), output="sos"
    ),
}
ONE_CELL = Device(dw_min=0.004, spread=Spread(asymmetry=Asymmetry(mean=0.3)), cycle_noise=CycleNoise(std=0.3))
SPEC = Specification(
    requirements=Requirements(rms=1.0),
    device=ONE_CELL,
    gradient=Gradient(mean=0.3, std=1.0),
    steps=STEPS,
    train=False,
)


def predicted(spec, cells, alpha, chop, estimator, eta):
    (one,) = predict_filters(spec, cells, [(alpha, chop)], np.array([eta]), (estimator,))
    return one


def reference(p, estimator, eta):
    """Q [steps, lanes] of P [steps, lanes] from 0, by its definition."""
    if estimator == "boxcar":
        length = Boxcar.like(eta).length
        return np.stack([p[max(k - length, 0) : k].mean(axis=0) for k in range(1, len(p) + 1)])
    if estimator in FAMILIES:
        return sosfilt(SECTIONS[estimator](eta), p, axis=0)
    out, q, weight = [], 0.0, 0.0
    for row in p:
        q, weight = q + eta * (row - q), weight + eta * (1 - weight)
        out.append(q / weight if estimator == "corrected-ema" else q)
    return np.stack(out)


@pytest.mark.parametrize(
    ("estimator", "eta", "half_period"),
    [
        ("ema", 0.02, 0),
        ("corrected-ema", 0.02, 0),
        ("ema", 0.02, 10),
        ("boxcar", 2 / 101, 10),
        ("ema-2", 0.02, 0),
        ("ema-4", 0.02, 10),
        ("butterworth-2", 0.02, 0),
        ("butterworth-2", 0.02, 10),
    ],
)
def test_predictions_are_those_of_simulated_pulses(estimator, eta, half_period):
    """500 lanes of one cell. Rms within 4 errors of its square and 4 %, pulses within 1 %; the mean error
    within 4 errors of the predicted bias; after the predicted settling at most the 5 % of the start is left.
    """
    rng = np.random.default_rng(8)
    chop = periodic(half_period) if half_period else telegraph(0.1)
    signs = (
        signs_of_pattern([1.0] * half_period + [-1.0] * half_period, STEPS, LANES, rng)
        if half_period
        else signs_of_telegraph(0.1, STEPS, LANES, rng)
    )
    cell, drive = LinearCell(dw=0.004), Drive(mean=0.3, std=1.0)
    q = reference(run(cell, drive, signs, seed=7, start=0.0), estimator, eta) - cell.point
    cells = sample_cells(ONE_CELL, (1, 1), dtype=np.float64)
    values = predicted(SPEC, cells, 0.02, chop, estimator, eta).values
    square = q[-1] ** 2
    tolerance = 4 * square.std() / np.sqrt(LANES) + 0.08 * values["rms"] ** 2
    assert abs(square.mean() - values["rms"] ** 2) < tolerance
    at_end = q[-1].mean() - 4 * q[-1].std() / np.sqrt(LANES), q[-1].mean() + 4 * q[-1].std() / np.sqrt(LANES)
    left = 0.05 * cell.point
    assert at_end[0] - left < values["bias"] < at_end[1] + left
    settled = int(values["settling"])
    noise = 4 * q[settled].std() / np.sqrt(LANES)
    assert abs(q[settled].mean() - q[-1].mean()) < left + noise + 0.02
    assert abs(q[settled // 2].mean() - q[-1].mean()) > left - noise


def test_pulses_reads_and_programs_are_counts():
    cells = sample_cells(ONE_CELL, (1, 1), dtype=np.float64)
    one = predicted(SPEC, cells, 0.02, periodic(8), "ema", 0.02)
    rng = np.random.default_rng(3)
    on_p = np.abs(0.02 * (0.3 + rng.standard_normal(200_000)) / 0.004).mean() * STEPS
    assert one.values["reads"] == STEPS
    assert one.values["programs"] == STEPS // 8
    assert on_p < one.values["pulses"] < on_p + STEPS * one.beta * 1.0 / 0.004
    still = predicted(SPEC, cells, 0.02, telegraph(0.05), "ema", 0.02)
    assert still.values["programs"] == 0.05 * STEPS


@pytest.mark.parametrize("estimator", ["ema", "corrected-ema"])
def test_signal_falls_with_the_rate_of_flips(estimator):
    cells = sample_cells(ONE_CELL, (1, 1), dtype=np.float64)
    rates = (0.0, 0.001, 0.01, 0.1, 0.5)
    kept = [predicted(SPEC, cells, 0.02, telegraph(p), estimator, 0.02).values["signal"] for p in rates]
    assert kept[0] == pytest.approx(1)
    assert (np.diff(kept) < 0).all()


def test_boxcars_are_whole_periods_and_at_most_half_the_run():
    cells = sample_cells(ONE_CELL, (1, 1), dtype=np.float64)
    made = list(predict_filters(SPEC, cells, [(0.02, periodic(9))], np.geomspace(0.005, 0.5, 9), ("boxcar",)))
    lengths = [one.setting.reference.length for one in made]
    assert lengths
    assert all(n % 18 == 0 and n <= STEPS // 2 for n in lengths)
    assert not list(predict_filters(SPEC, cells, [(0.02, telegraph(0.1))], np.array([0.1]), ("boxcar",)))


def test_outside_the_model_a_candidate_is_not_valid():
    cells = sample_cells(ONE_CELL, (1, 1), dtype=np.float64)
    assert predicted(SPEC, cells, 0.02, telegraph(0.1), "ema", 0.02).valid
    wild = predicted(SPEC, cells, 3.0, telegraph(0.1), "ema", 0.02)
    assert not wild.valid
    assert wild.values["settling"] == wild.values["converging"] == wild.values["weights"] == np.inf


def test_cells_without_a_symmetric_point_do_not_count_against_the_training():
    """Of two cells one has no downward step: the law is that of the other."""
    pair = {"step_up": [[0.0052, 0.004]], "step_down": [[0.0028, 0.0]]}
    both = cells_from_parameters(ONE_CELL, pair, dtype=np.float64)
    assert np.isnan(both.symmetric_point).tolist() == [[False, True]]
    chosen = (0.02, telegraph(0.01), "ema", 0.02)
    one = predicted(SPEC, cells_from_parameters(ONE_CELL, {k: [[v[0][0]]] for k, v in pair.items()}), *chosen)
    two = predicted(SPEC, both, *chosen)
    for name in ("weights", "converging", "rms", "settling"):
        assert two.values[name] == pytest.approx(one.values[name], rel=1e-4)


SOFT = Specification(
    requirements=Requirements(rms=0.2, programs=1.0),
    device=preset("soft-bounds"),
    gradient=Gradient(mean=0.02, std=0.2),
    steps=4000,
    train=False,
)


@pytest.fixture(scope="module")
def held():
    """A periodic chopper on 64 cells of the default device, 8 noises; setting and its check."""
    cells = sample_cells(SOFT.device, (1, 64), seed=1)
    one = predicted(SOFT, cells, 0.05, periodic(50), "ema", 0.01)
    return one, check(SOFT, cells, one, seeds=8, seed=3)


def row(made, name):
    (found,) = [one for one in made.rows if one.name == name]
    return found


def test_the_check_names_every_quantity(held):
    assert [one.name for one in held[1].rows] == list(QUANTITIES)
    assert all(one.predicted == held[0].values[one.name] for one in held[1].rows)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("rms", 0.12), ("settling", 0.05), ("pulses", 0.02), ("reads", 0.0), ("programs", 0.02)],
)
def test_measured_is_as_predicted(held, name, tolerance):
    """On cells with spread, within the stated share and half the 95 % interval."""
    one = row(held[1], name)
    half = (one.interval[1] - one.interval[0]) / 2
    assert abs(one.measured - one.predicted) <= tolerance * one.predicted + half


def test_a_settling_beyond_the_run_is_a_bound_and_never_met(held):
    """Of an average over 2000 steps 13 % of the offset are left after 4000: e^-2."""
    spec = replace(SOFT, requirements=Requirements(settling=SOFT.steps))
    cells = sample_cells(spec.device, (1, 16), seed=1)
    slow = predicted(spec, cells, 0.05, periodic(50), "ema", 0.0005)
    made = check(spec, cells, slow, seeds=2, seed=3)
    found = row(made, "settling")
    assert made.left_measured[-1] == pytest.approx(np.exp(-2), rel=0.1)
    assert (found.measured, found.interval) == (spec.steps, (spec.steps, np.inf))
    assert (found.verdict, found.margin) == ("uncertain", None)


def test_verdicts_follow_from_the_intervals(held):
    made = held[1]
    rms, programs, pulses = (row(made, name) for name in ("rms", "programs", "pulses"))
    assert (rms.verdict, programs.verdict, pulses.verdict) == ("met", "missed", "no limit")
    assert rms.interval[1] <= 0.2
    assert rms.margin == pytest.approx(0.2 / rms.measured)
    assert programs.interval[0] > 1
    assert not made.met


def test_curves_start_at_all_of_the_offset_and_end_near_none(held):
    made = held[1]
    assert made.steps[-1] == SOFT.steps
    assert made.left_predicted[0] > 0.8
    assert np.abs(made.left_measured - made.left_predicted).max() < 0.1
    assert made.rms_measured[0] > 3 * made.rms_measured[-1]


def test_weights_are_predicted_where_e_rider_works():
    """Rare flips in a whole run: simulated rms error of W within 1.6 times the law; W trained."""
    spec = replace(SOFT, steps=20000, requirements=Requirements(weights=1.0))
    cells = sample_cells(spec.device, (1, 64), seed=1)
    one = predicted(spec, cells, 0.05, telegraph(0.002), "ema", 0.005)
    made = check(spec, cells, one, seeds=4, seed=3)
    found = row(made, "weights")
    assert one.values["weights"] / 1.6 < found.measured < 1.6 * one.values["weights"]
    assert made.training["w"] < 0.05 * made.training["untrained"]


def test_a_given_filter_is_designed_around_as_the_same_filter_that_was_searched():
    """An EMA as the specification's own filter: settled errors and transient beside the closed forms."""
    cells = sample_cells(SPEC.device, (1, 16), seed=3)
    chopper = periodic(20)
    given = replace(SPEC, filter=EMA(eta=0.02), chopper=chopper)
    (one,) = predict_filters(given, cells, [(0.02, chopper)], np.array([0.5]))
    (searched,) = predict_filters(SPEC, cells, [(0.02, chopper)], np.array([0.02]), ("ema",))
    assert one.setting.reference == EMA(eta=0.02)
    for name in ("bias", "rms", "settling", "weights", "signal"):
        assert one.values[name] == pytest.approx(searched.values[name], rel=0.02), name
    assert choppers(given, 5) == [chopper]


def test_a_given_filter_that_rings_has_settled_when_it_stays_inside():
    """A loop of damping 0.2 leaves 5 % of the start many times before it stays within."""
    cells = sample_cells(SPEC.device, (1, 16), seed=3)
    ringing = TrackingLoop(bandwidth=0.3, damping=0.2)
    given = replace(SPEC, filter=ringing, chopper=periodic(20))
    (one,) = predict_filters(given, cells, [(0.2, given.chopper)], np.array([0.5]))
    loop = loop_of(given, cells, 0.2)
    weight = loop.point.ravel() ** 2 / np.sum(loop.point**2)
    curve = np.abs(transient_left(ringing, loop.pole.ravel(), STEPS) @ weight)
    outside = np.flatnonzero(curve > 0.05)
    assert np.count_nonzero(np.diff(outside) > 1) >= 2
    assert outside[-1] + 2 < STEPS
    assert one.values["settling"] == pytest.approx(outside[-1] + 2, abs=1)


@pytest.mark.parametrize("estimator", ["ema", "ema-2", "butterworth-2"])
def test_without_a_mean_gradient_a_settled_candidate_errs_as_its_method_on_the_problem(estimator):
    """Two ways to one law: the search's own, of all rates at once, and `predict` of the method."""
    spec = replace(SPEC, gradient=Gradient(mean=0.0, std=1.0), steps=100_000, read_noise=0.01)
    cells = sample_cells(SPEC.device, (1, 16), seed=3)
    one = predicted(spec, cells, 0.02, telegraph(0.1), estimator, 0.02)
    found = predict(open_loop(cells, std=1.0, read_noise=0.01), one.method).reference
    assert found.warnings == ()
    assert one.values["rms"] ** 2 == pytest.approx(found.mse, rel=1e-9)
