"""Exact laws of the recursion: special cases of one another, digital limit, a conserved quantity, bytes."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.blocks import Fixed
from sptrack.crossbar import Crossbar, Ledger
from sptrack.devices import ConstantStep, CycleNoise, Device, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.kernels.random import TILE
from sptrack.tracking import METHODS, ProblemSettings, Tracker, method, problem, track, with_settings
from sptrack.tracking.plain import PlainTracker, problem_gradient
from sptrack.tracking.signs import chopper_signs

pytestmark = pytest.mark.compiled

RATES = {"alpha": 0.05, "beta": 0.0025, "gamma": 0.45, "eta": 0.005}
FINE = 2.0**-20
PUBLISHED = {
    "sgd": (0.0316, 0.0072),
    "tt-v1": (0.058, 0.018),
    "residual": (0.0495, 0.011),
    "rider": (0.048, 0.010),
    "e-rider": (0.00106, 0.00037),
    "oracle": (0.00027, 0.00009),
}
"""Mean and std over 10 problems of the mean squared error of W over the last tenth of 20000 steps."""
PUBLISHED_POINT = (0.00119, 0.00053)
"""The same of Q, for E-RIDER."""


def ideal_device(dw_min=FINE):
    """Constant steps without asymmetry, spread, noise or bounds within reach."""
    return Device(
        response=ConstantStep(w_max=8.0, w_min=-8.0),
        dw_min=dw_min,
        spread=Spread(),
        cycle_noise=CycleNoise(),
    )


def assert_same_bytes(one, other):
    """Two runs: weights, reference, errors and ledger."""
    for name in ("weights", "reference", "errors", "steps"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.ledger.table() == other.ledger.table()
    for array in "WP":
        np.testing.assert_array_equal(one.ledger.per_cell(array), other.ledger.per_cell(array))


def test_e_rider_without_chopper_and_with_a_fresh_copy_is_rider():
    made = problem(seed=1)
    ours = with_settings(method("e-rider", p=0.0, **RATES), sync=True)
    assert_same_bytes(track(made, ours, 500), track(made, method("rider", **RATES), 500))


def test_rider_is_eqs_11_and_12():
    """Against the equations written out, on arrays of one's own: same bytes of W and P over 400 steps, and of
    Q, which is a float64 number that is rounded to float32 where it is used.
    """
    made, gradient = problem(seed=1), problem_gradient(problem(seed=1), seed=4)
    ours, theirs = (
        [
            Crossbar(cells, seed=4, name=name, threads=1)
            for cells, name in ((made.w_cells, "W"), (made.p_cells, "P"))
        ]
        for _ in range(2)
    )
    tracker = PlainTracker(method("rider", **RATES), gradient, *ours)
    tracker.run(400)
    (main, fast), filtered = theirs, np.zeros((1, 64))
    for step in range(400):
        q = np.float32(filtered)
        g = gradient(main.weights + RATES["gamma"] * (fast.weights - q), step)
        fast.apply(-RATES["alpha"] * g)
        d = fast.weights - q
        main.apply(RATES["beta"] * d)
        filtered = filtered + RATES["eta"] * (fast.weights - filtered)
    np.testing.assert_array_equal(main.weights, ours[0].weights)
    np.testing.assert_array_equal(fast.weights, ours[1].weights)
    np.testing.assert_allclose(tracker.reference, filtered, rtol=2.0**-24 * (1 + 1e-6))


def test_rider_with_a_reference_at_rest_is_residual_learning():
    made = problem(seed=1)
    rates = {key: value for key, value in RATES.items() if key != "eta"}
    still = track(made, replace(method("rider", **RATES), reference=Fixed()), 500)
    plain = track(made, method("residual", **rates), 500)
    assert still.errors.tobytes() == plain.errors.tobytes()
    assert still.weights.tobytes() == plain.weights.tobytes()
    for quantity in ("pulses", "reads"):
        assert still.ledger.total(quantity) == plain.ledger.total(quantity)


def test_the_oracle_is_residual_learning_with_the_points_subtracted():
    """Reading P against its true points and subtracting the points beforehand is one thing (to rounding)."""
    made = problem(seed=1)
    points = made.p_cells.target.astype(np.float32)
    shifted = replace(made, p_cells=replace(made.p_cells, reference=points))
    plain = {}
    for name, chosen, of in (("oracle", "oracle", made), ("residual", "residual", shifted)):
        rates = {"alpha": 0.05, "beta": 0.0025, "gamma": 0.45}
        main, fast = (
            Crossbar(cells, seed=2, name=array, threads=1)
            for cells, array in ((of.w_cells, "W"), (of.p_cells, "P"))
        )
        fast.set_weights(points if name == "oracle" else 0.0)
        reference = points if name == "oracle" else None
        tracker = PlainTracker(
            method(chosen, **rates), problem_gradient(made, seed=2), main, fast, reference=reference
        )
        tracker.run(300)
        plain[name] = main
    np.testing.assert_allclose(plain["oracle"].weights, plain["residual"].weights, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(*(plain[name].ledger.per_cell("W") for name in plain))


def digital(made, chosen, gradient, steps):
    """The algorithm in float64 with exact increments; a buffer holds nothing back."""
    n, t = len(made.optimum), chosen.transfer
    w, p, q, held = (np.zeros(n) for _ in range(4))
    signs = chopper_signs(chosen, 0, steps, (1, n), 0)
    for step in range(steps):
        flips = np.broadcast_to(signs[step] != signs[step + 1], n)
        held = np.where(chosen.sync | flips, q, held)
        c = signs[step + 1].astype(np.float64)
        g = gradient(w + chosen.gamma * c * (p - held), step)
        if chosen.direct:
            w = w - chosen.alpha * g
            continue
        p = p - chosen.alpha * c * g
        if (step + 1) % t.every == 0:
            turn = np.arange(n) == step // t.every % n if t.by_column else np.ones(n, bool)
            w = w + np.where(turn, chosen.beta * c * (p - held), 0.0)
            q = np.where(turn & chosen.moving, q + chosen.eta * (p - q), q)
    return w, p, q


@pytest.mark.parametrize("name", [name for name in METHODS if name != "o-rider"])
def test_without_asymmetry_every_method_is_the_digital_one(name):
    """Constant steps of 2**-20: each application is off by less than one step. 400 of them on W and P, in a
    stable loop, stay within 100 steps (1e-4), 1/1000 of how far W has come. A buffer with the threshold of a
    step and nothing forgotten holds back less than a step per cell.
    """
    settings = ProblemSettings(size=8, device=ideal_device())
    made = problem("quadratic", settings, seed=3)
    rates = {"alpha": 0.05} if name == "sgd" else {"alpha": 0.05, "beta": 0.05}
    rates |= {"p": 0.1} if name in ("e-rider", "c-ttv2", "agad") else {}
    chosen = method(name, **rates)
    if chosen.transfer.threshold:
        whole = replace(chosen.transfer, threshold=FINE, keep=0.0, forget=False, max_pulses=1 << 22)
        chosen = replace(chosen, transfer=whole)
    if name == "two-stage":
        chosen = replace(chosen, pulses=100)
    run = track(made, chosen, 400, samples=1, application="burst")
    noisy = problem_gradient(made)
    w, _, q = digital(made, chosen, lambda weights, step: noisy(weights[None], step)[0], 400)
    assert np.abs(w).max() > 0.1
    np.testing.assert_allclose(run.weights, w, rtol=0, atol=100 * FINE)
    np.testing.assert_allclose(run.reference, q, rtol=0, atol=100 * FINE)


def test_an_observer_wants_a_device_with_symmetric_points():
    made = problem("quadratic", ProblemSettings(size=8, device=ideal_device()), seed=3)
    with pytest.raises(ParameterError, match="symmetric point"):
        Tracker(made, method("o-rider"))


class IdealArray:
    """An array that moves by just what it is asked for."""

    name = "W"

    def __init__(self, shape):
        self.ledger, self._weights = Ledger(), np.zeros(shape)
        self.ledger.open(self.name, shape)

    @property
    def weights(self):
        return self._weights.copy()

    def apply(self, increment, **options):
        self._weights += increment


def invariant_drift(chosen, steps=2000):
    """Change of W - (beta/eta) Q with an ideal W and a pulsed P, and how far W came."""
    made = problem(seed=6)
    main = IdealArray((1, 64))
    fast = Crossbar(sample_cells(Device(), (1, 64), seed=1, dtype=np.float64), name="P", threads=1)
    tracker = PlainTracker(chosen, problem_gradient(made), main, fast)
    tracker.run(steps)
    drift = main.weights - chosen.beta / chosen.eta * tracker.reference
    return np.abs(drift).max(), np.abs(main.weights).max()


def test_rider_conserves_w_minus_beta_over_eta_q():
    """W moves by beta d and Q by eta d, with one and the same d = P - Q."""
    drift, moved = invariant_drift(method("rider", **RATES))
    assert moved > 0.05
    assert drift < 1e-13


def test_the_chopper_breaks_the_invariant():
    drift, _ = invariant_drift(method("e-rider", p=0.01, **RATES))
    assert drift > 0.01


def test_pulses_on_w_break_the_invariant_by_count_noise_only():
    """A rounded count is off by at most dw_min/2 rms: sqrt(K) dw_min/2 after K steps; 5 sigma, 64 cells."""
    steps, dw_min = 2000, 1e-4
    settings = ProblemSettings()
    made = problem(settings=settings, seed=6)
    main = sample_cells(ideal_device(dw_min), (1, 64))
    run = track(replace(made, w_cells=main), method("rider", **RATES), steps)
    drift = run.weights - RATES["beta"] / RATES["eta"] * run.reference
    assert np.abs(drift).max() < 5 * 0.5 * np.sqrt(steps) * dw_min
    assert 0.1 * 0.5 * np.sqrt(steps) * dw_min < np.std(drift)
    assert np.abs(run.weights).max() > 0.05


def squared_errors(name, application, seeds):
    runs = [track(problem(seed=seed), method(name), seed=seed, application=application) for seed in seeds]
    return np.array([run.tail() for run in runs]), runs


@pytest.mark.parametrize(
    ("name", "application"), [(name, "burst") for name in PUBLISHED] + [("e-rider", "sequential")]
)
def test_default_problem(name, application):
    """Ten fresh problems against the published ten: means within 4 standard errors of their difference."""
    errors, _ = squared_errors(name, application, range(400, 410))
    wanted = [(0, *PUBLISHED[name])] + ([(2, *PUBLISHED_POINT)] if name == "e-rider" else [])
    for metric, mean, spread in wanted:
        ours = errors[:, metric]
        sigma = np.sqrt((spread**2 + ours.var(ddof=1)) / 10)
        assert abs(ours.mean() - mean) < 4 * sigma
        assert 0.4 < ours.mean() / mean < 2.0


def test_plain_rider_finds_neither_optimum_nor_points():
    """The conserved quantity forbids both; in ten problems out of ten W stays off by .02 and Q by .1."""
    errors, _ = squared_errors("rider", "burst", range(400, 410))
    assert errors[:, 0].min() > 0.02
    assert errors[:, 2].min() > 0.1


def many_cells(threads=1, cells=3 * TILE + 40):
    made = problem("separable", ProblemSettings(size=cells, read_noise=0.01), seed=8)
    return Tracker(made, method("e-rider", p=0.05), seed=5, threads=threads)


@pytest.mark.parametrize("name", ["e-rider", "agad", "rider", "sgd"])
def test_cutting_the_steps_changes_no_byte(name):
    made = problem("separable", ProblemSettings(size=TILE + 9, read_noise=0.01), seed=8)
    whole, cut = (Tracker(made, method(name), seed=5) for _ in range(2))
    whole.run(120, samples=12)
    for steps in (10, 70, 40):
        cut.run(steps, samples=steps // 10)
    assert_same_bytes(whole.result, cut.result)


def test_threads_change_no_byte():
    one, three = many_cells(), many_cells(threads=3)
    for tracker in (one, three):
        tracker.run(60, samples=3)
    assert_same_bytes(one.result, three.result)


@pytest.mark.parametrize("name", METHODS)
def test_resumed_is_uninterrupted(name, tmp_path):
    made = problem(settings=ProblemSettings(size=16, read_noise=0.01), seed=8)
    trackers = [Tracker(made, method(name), seed=5) for _ in range(3)]
    trackers[0].run(90, samples=9)
    trackers[1].run(50, samples=5)
    np.savez(tmp_path / "state.npz", **trackers[1].checkpoint())
    with np.load(tmp_path / "state.npz") as state:
        trackers[2].resume(dict(state))
    trackers[2].run(40, samples=4)
    assert_same_bytes(trackers[0].result, trackers[2].result)


def test_a_checkpoint_is_a_copy():
    tracker = many_cells()
    tracker.run(10, samples=1)
    state = tracker.checkpoint()
    before = {name: value.copy() for name, value in state.items()}
    tracker.run(10, samples=1)
    for name, value in before.items():
        np.testing.assert_array_equal(state[name], value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("step"), "checkpoint without"),
        (
            lambda state: state.update({"state|w": np.zeros(3, np.float32)}),
            "another size, precision or method",
        ),
    ],
)
def test_wrong_checkpoints_are_refused(change, message):
    tracker = many_cells()
    state = tracker.checkpoint()
    change(state)
    with pytest.raises(ParameterError, match=message):
        tracker.resume(state)


def test_ledger_of_e_rider():
    """Every cell is read at each step and programmed at each flip; pulses are those of the cells."""
    tracker = many_cells()
    tracker.run(200, samples=1)
    ledger, cells = tracker.ledger, tracker.problem.p_cells.size
    signs = chopper_signs(tracker.method, 0, 200, (1, cells), 5)
    flips = int(np.count_nonzero(signs[1:] != signs[:-1]))
    assert flips > 2
    table = ledger.table()
    assert set(table) == {("gradient", "P"), ("transfer", "W"), ("transfer", "P"), ("program", "P")}
    assert ledger.total("reads") == table["transfer", "P"]["reads"] == 200 * cells
    assert ledger.total("programs") == table["program", "P"]["programs"] == flips * cells
    for phase, array in (("gradient", "P"), ("transfer", "W")):
        assert table[phase, array]["pulses"] == ledger.per_cell(array).sum() > 0


def test_ledger_of_sgd_and_of_columns():
    """SGD pulses W and reads nothing; a transfer by columns reads one cell of a row at a step."""
    made = problem(settings=ProblemSettings(size=16), seed=8)
    direct = track(made, method("sgd", alpha=0.01), 100).ledger
    assert set(direct.table()) == {("gradient", "W")}
    assert direct.total("reads") == direct.total("programs") == 0
    assert track(made, method("tt-v2"), 100).ledger.total("reads") == 100


def test_renewals_of_the_reference_are_counted_alike():
    """A copy is programmed per flip, per read where it follows Q, once where Q is given, else never."""
    made = problem(settings=ProblemSettings(size=16), seed=8)

    def programs(chosen, steps=320, **settings):
        chosen = method(chosen, **settings) if isinstance(chosen, str) else chosen
        return track(made, chosen, steps, samples=1).ledger.total("programs")

    assert programs("o-rider", every=64) == 5 * 16
    assert programs("o-rider", every=64, steps=128) == 2 * 16
    assert programs("rider") == 320 * 16
    assert programs(with_settings(method("e-rider"), half_period=100)) == 3 * 16
    assert programs("two-stage", pulses=20) == programs("oracle") == 16
    assert programs("residual") == programs("tt-v1") == 0


def test_ledger_of_two_stages():
    """Calibration pulses P alone, as often as asked."""
    made = problem(settings=ProblemSettings(size=16), seed=8)
    ledger = track(made, method("two-stage", pulses=300), 100).ledger
    assert ledger.total(phase="calibrate") == 300 * 16
    assert ledger.total(phase="calibrate", array="P") == 300 * 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "normal"}, "count law 'normal'"),
        ({"application": "at once"}, "application 'at once'"),
        ({"slots": 0}, "slots must .*1 .. 1000.*got 0"),
        ({"slots": 1001}, "slots must .*got 1001"),
    ],
)
def test_unknown_ways_to_pulse_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        Tracker(problem(), method("rider"), **options)


@pytest.mark.parametrize(("steps", "samples"), [(0, 1), (10, 3), (10, 0), (-4, 2)])
def test_odd_numbers_of_steps_are_refused(steps, samples):
    tracker = Tracker(problem(), method("rider"))
    with pytest.raises(ParameterError, match=f"steps must .*got {steps}"):
        tracker.run(steps, samples=samples)
