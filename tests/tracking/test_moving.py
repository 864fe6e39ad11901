"""Tracking a symmetric point that moves: fused against plain, errors against theory, fixed point."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.devices import Asymmetry, Device, Drift, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.kernels import tracking_state
from sptrack.theory import GradientStatistics, linearise, moving_gain, observer_density, observer_gain
from sptrack.tracking import ProblemSettings, Tracker, Transfer, method, problem, with_settings
from sptrack.tracking.plain import PlainTracker, problem_gradient
from sptrack.tracking.problems import default_device, open_loop
from tests.tracking.test_plain import arrays_of, assert_equal_runs

DRIFT = Drift(per_pulse=1e-6, per_pulse_std=1e-6, per_step=1e-5, per_step_std=1e-5, walk=1e-4)


def drifting(**settings):
    device = replace(default_device(), drift=DRIFT)
    return problem("separable", ProblemSettings(device=device, **settings), seed=5)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["e-rider", "sgd", "two-stage", "c-ttv2"])
def test_plain_and_fused_drift_alike(name):
    """Same pulses of every cell in 300 steps, weights and reference to rounding, symmetric points too."""
    made = drifting(size=16)
    settings = {"e-rider": {"p": 0.05, "beta": 0.02}, "sgd": {"alpha": 0.05}, "two-stage": {"pulses": 200}}
    assert_equal_runs(made, method(name, **settings.get(name, {"beta": 0.02})))


def test_a_few_steps_drift_alike():
    """Twelve steps of three weights, also where kernels are plain Python; points against rates and pulses."""
    made, seed = drifting(size=3), 3
    chosen = method("e-rider", alpha=0.02, beta=0.2)
    main, fast = arrays_of(made, seed)
    noisy = problem_gradient(made, seed=seed)

    def gradient(weights, step):
        main._clock["event"] = fast._clock["event"] = step
        return noisy(weights, step)

    plain = PlainTracker(chosen, gradient, main, fast, seed=seed)
    fused = Tracker(made, chosen, seed=seed)
    plain.run(12)
    fused.run(12, samples=1)
    np.testing.assert_allclose(fast.symmetric_point.ravel(), fused.result.target, rtol=0, atol=5e-7)
    rows = dict(zip(tracking_state.STATE_ROWS, fused._state.rows, strict=True))
    np.testing.assert_allclose(fast.weights.ravel(), rows["p"] - rows["offset_p"], atol=5e-7)


def test_points_move_by_pulses_and_steps():
    device = replace(default_device(), drift=replace(DRIFT, walk=0.0))
    made = problem("separable", ProblemSettings(device=device, size=8), seed=5)
    tracker = Tracker(made, method("e-rider"), seed=1)
    recording = tracker.record(40)
    rates, pulses = made.p_cells.drift, tracker.ledger.per_cell("P")
    wanted = made.p_cells.target + 40 * rates.per_step + rates.per_pulse * pulses
    np.testing.assert_allclose(tracker.result.target, wanted.ravel(), rtol=0, atol=2e-6)
    np.testing.assert_array_equal(recording.target[-1], tracker.result.target)
    error = np.mean((recording.q - recording.target) ** 2)
    assert tracker.result.errors[-1, 2] == pytest.approx(error, rel=1e-5)


@pytest.mark.compiled
def test_threads_cutting_and_checkpoints_change_nothing():
    made = drifting(size=600)
    runs = [Tracker(made, method("e-rider"), seed=2, threads=threads) for threads in (1, 2, 1)]
    runs[0].run(60, samples=1)
    for steps in (7, 13, 40):
        runs[1].run(steps, samples=1)
    runs[2].run(20, samples=1)
    state = runs[2].checkpoint()
    resumed = Tracker(made, method("e-rider"), seed=2)
    resumed.resume(state)
    resumed.run(40, samples=1)
    for other in (runs[1], resumed):
        for name, value in runs[0].checkpoint().items():
            if name.startswith("state"):
                np.testing.assert_array_equal(value, other.checkpoint()[name], err_msg=name)


SPREAD = Spread(dw_min=0.1, log_normal=True, asymmetry=Asymmetry(mean=0.2, std=0.05))
GRADIENT = {"mean": 0.0, "std": 1.0}


def still_reference(drift, method_, steps, cells=256):
    """Errors Q - SP of open-loop tracking over the last half: mean over time [cells], variance."""
    made = sample_cells(Device(dw_min=0.001, spread=SPREAD, drift=drift), (1, cells), seed=3)
    tracker = Tracker(open_loop(made, **GRADIENT), method_, seed=4)
    tracker.run(steps, samples=1)
    recording = tracker.record(steps)
    return made, recording.q - recording.target


@pytest.mark.compiled
@pytest.mark.parametrize("every", [1, 16])
@pytest.mark.parametrize("estimator", ["ema", "boxcar"])
def test_the_lag_of_a_filter(estimator, every):
    """Velocity 1e-4, 256 cells, common noise with and without drift: the lag within 3 % of the law.

    The noise of the two runs is the same but for the rounding to pulses. What is left of it in the mean over
    256 cells and 3000 steps has a std of 1 % of the lag (four other seeds: -.9 to 1.2 %).
    """
    velocity, eta = 1e-4, 0.02
    chosen = with_settings(method("rider", alpha=0.02, beta=0.0, eta=eta), estimator=estimator)
    chosen = replace(chosen, transfer=Transfer(every=every))
    cells, moving = still_reference(Drift(per_step=velocity), chosen, 3000)
    _, still = still_reference(None, chosen, 3000)
    gradient = GradientStatistics(**GRADIENT)
    pole = linearise(cells, alpha=0.02, gradient=gradient).pole
    length = 2 / eta - 1
    delay = moving_gain(pole, eta, every=every).lag.mean()
    if estimator == "boxcar":
        delay += every * ((length - 1) / 2 - (1 - eta) / eta)
    assert (still.mean() - moving.mean()) / velocity == pytest.approx(delay, rel=0.03)


def regression(forget, every):
    made = method("o-rider", alpha=0.02, beta=0.0, eta=forget, every=every)
    return with_settings(made, estimator="observer")


@pytest.mark.compiled
@pytest.mark.parametrize(("every", "tolerance"), [(4, 0.06), (16, 0.2)])
def test_the_lag_of_an_observer(every, tolerance):
    """The same for the block observer: its memory 1/forget, whatever P does, for short stretches.

    Velocity 1e-6 and memory 2000 steps: the point moves by .002 within the memory, a fiftieth of P's rms. The
    path that is expected within a stretch takes the point of the stretch before, which makes the memory
    longer: by 3 to 5 % where a cell goes 2 % of the way back in a stretch, by 13 to 15 % where it goes 8 %.
    """
    velocity, forget = 1e-6, 5e-4
    chosen = regression(forget, every)
    _, moving = still_reference(Drift(per_step=velocity), chosen, 8000)
    _, still = still_reference(None, chosen, 8000)
    lag = (still.mean() - moving.mean()) / velocity
    assert lag == pytest.approx(float(observer_gain(forget, every=every).lag), rel=tolerance)


@pytest.mark.compiled
def test_the_noise_of_an_observer():
    """Points at rest, P moving by half its rms within a block: 1 to 3.5 times what pulse noise alone leaves.

    2.9 with this seed and at half and twice the forgetting; an EMA of that memory leaves 82 times as much.
    """
    forget = 1e-3
    chosen = regression(forget, 16)
    cells, errors = still_reference(None, chosen, 6000)
    loop = linearise(cells, alpha=0.02, gradient=GradientStatistics(**GRADIENT))
    least = forget / 2 * observer_density(loop).mean()
    assert 1.0 < np.mean(errors**2) / least < 3.5
    assert loop.predict(forget).var_q.mean() > 10 * np.mean(errors**2)


@pytest.mark.compiled
def test_the_variance_of_a_walk():
    """Walk 2e-3 a step, no gradient noise in the difference of two runs of common noise; within 10 %.

    About 256 x 3000/(2 x 70) = 5500 independent errors: standard error of a variance 2 %.
    """
    walk, eta = 2e-3, 0.02
    chosen = method("rider", alpha=0.02, beta=0.0, eta=eta)
    cells, moving = still_reference(Drift(walk=walk), chosen, 3000)
    _, still = still_reference(None, chosen, 3000)
    pole = linearise(cells, alpha=0.02, gradient=GradientStatistics(**GRADIENT)).pole
    wanted = walk**2 * moving_gain(pole, eta).walk.mean()
    assert np.var(moving - still) == pytest.approx(wanted, rel=0.1)


@pytest.mark.compiled
def test_a_fixed_point_reference():
    """Plain and fused alike; values on the grid; a register too short stands still."""
    made = problem("separable", ProblemSettings(size=16), seed=5)
    chosen = replace(method("e-rider", p=0.05, eta=0.05), bits=12)
    assert_equal_runs(made, chosen)
    tracker = Tracker(made, chosen, seed=1)
    tracker.run(300, samples=1)
    digits = tracker.result.reference * 2**12 / 2
    np.testing.assert_allclose(digits, np.rint(digits), atol=1e-3)
    assert np.any(digits != 0)
    stuck = Tracker(made, replace(chosen, bits=3), seed=1)
    stuck.run(300, samples=1)
    assert (stuck.result.reference == 0).all()


def test_bits_are_refused():
    with pytest.raises(ParameterError, match="bits must be a whole number in 0 .. 22"):
        replace(method("e-rider"), bits=23)
