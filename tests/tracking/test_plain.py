"""The recursion in plain Python against the fused one, and where only it can go."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Device, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.tracking import METHODS, ProblemSettings, Tracker, Transfer, method, problem, with_settings
from sptrack.tracking.plain import PlainTracker, problem_gradient

STEPS = 300


def arrays_of(made, seed):
    return tuple(
        Crossbar(cells, seed=seed, name=name, threads=1)
        for cells, name in ((made.w_cells, "W"), (made.p_cells, "P"))
    )


def plain_tracker(made, chosen, seed=3, **options):
    """A plain tracker whose pulses are drawn as the fused one draws them: event = step + 1."""
    main, fast = arrays_of(made, seed)
    noisy = problem_gradient(made, seed=seed)
    points = None
    if chosen.reference == "true":
        points = made.p_cells.target
    elif chosen.reference == "calibrated":
        points = zero_shift(fast, (chosen.pulses,)).points[-1]

    def gradient(weights, step):
        main._clock["event"] = fast._clock["event"] = step
        return noisy(weights, step)

    return PlainTracker(chosen, gradient, main, fast, reference=points, seed=seed, **options)


def assert_equal_runs(made, chosen, seed=3, steps=STEPS, **options):
    """Same pulses of every cell, reads and programs; weights and reference to rounding."""
    plain = plain_tracker(made, chosen, seed, **options)
    fused = Tracker(made, chosen, seed=seed, **options)
    plain.run(steps)
    fused.run(steps, samples=1)
    ledgers = (plain.w_array.ledger, plain.p_array.ledger)
    for array, ledger in zip("WP", ledgers, strict=True):
        np.testing.assert_array_equal(ledger.per_cell(array), fused.ledger.per_cell(array))
        for quantity in ("reads", "programs"):
            assert ledger.total(quantity) == fused.ledger.total(quantity, array=array)
    assert plain.w_array.ledger.total() > 0
    np.testing.assert_allclose(plain.w_array.weights.ravel(), fused.result.weights, rtol=0, atol=2e-6)
    np.testing.assert_allclose(plain.reference.ravel(), fused.result.reference, rtol=0, atol=2e-6)


@pytest.mark.compiled
@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_the_fused_one(name):
    """300 steps of 16 coupled weights, faster than the defaults so that all of W moves."""
    made = problem("quadratic", ProblemSettings(size=16), seed=5)
    settings = {"alpha": 0.05, "beta": 0.02} if name != "sgd" else {"alpha": 0.05}
    if name in ("e-rider", "c-ttv2", "agad"):
        settings |= {"p": 0.05}
    if name == "two-stage":
        settings |= {"pulses": 200}
    if name == "o-rider":
        settings |= {"every": 4}
    chosen = method(name, **settings)
    # a prior strong enough that rounding is not magnified by a regression that knows little yet
    if chosen.observer is not None:
        chosen = with_settings(chosen, observing={"weight": 1000.0})
    assert_equal_runs(made, chosen)


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("estimator", "every"),
    [("direction-observer", 1), ("scalar-observer", 4), ("predictor-observer", 4)],
)
def test_every_observer_is_the_fused_one(estimator, every):
    made = problem("quadratic", ProblemSettings(size=16), seed=5)
    chosen = method("o-rider", alpha=0.05, beta=0.02, every=every)
    assert_equal_runs(made, with_settings(chosen, estimator=estimator, observing={"weight": 1000.0}))


@pytest.mark.parametrize("name", ["sgd", "rider", "e-rider", "agad"])
def test_a_few_steps_are_the_fused_ones(name):
    """Ten steps of three weights, which kernels run as plain Python manage too."""
    made = problem("separable", ProblemSettings(size=3, read_noise=0.0), seed=5)
    settings = {"beta": 0.2} if name != "sgd" else {}
    settings |= {"threshold": 0.001} if name == "agad" else {}
    assert_equal_runs(made, method(name, alpha=0.02, **settings), steps=10)


@pytest.mark.compiled
@pytest.mark.parametrize("law", ["rounded", "binomial", "poisson"])
@pytest.mark.parametrize("application", ["sequential", "burst"])
def test_every_law_is_the_fused_one(law, application):
    made = problem("separable", ProblemSettings(size=16), seed=5)
    assert_equal_runs(made, method("e-rider", p=0.05), law=law, application=application)


@pytest.mark.compiled
@pytest.mark.parametrize("forget", [True, False])
def test_sparse_reads_and_transfers_are_the_fused_ones(forget):
    """One column every three steps, through a buffer of small limit, with reads every three steps."""
    made = problem("quadratic", ProblemSettings(size=8), seed=2)
    transfer = Transfer(every=3, by_column=True, threshold=0.002, keep=0.3, forget=forget, max_pulses=2)
    for scope in ("array", "column"):
        chosen = with_settings(
            method("e-rider", alpha=0.05, beta=0.2),
            transfer=transfer,
            chop={"probability": 0.2, "scope": scope},
        )
        assert_equal_runs(made, chosen)


def matrix_tracker(seed=0, **settings):
    """W (3 x 4) to be found from |A (W - W*)|^2 / 2 by E-RIDER with a chopper per column."""
    rng = np.random.default_rng(seed)
    optimum = np.clip(0.3 * rng.standard_normal((3, 4)), -0.6, 0.6)
    mixing = np.eye(3) + 0.1 * rng.standard_normal((3, 3))
    device = Device(spread=Spread(dw_min=0.1, log_normal=True))
    main, fast = (
        Crossbar(sample_cells(device, (3, 4), seed=root), seed=seed, name=name, threads=1)
        for root, name in ((10, "W"), (11, "P"))
    )
    chosen = with_settings(
        method("e-rider", alpha=0.05, beta=0.005),
        chop={"probability": 0.004, "scope": "column"},
        **settings,
    )

    def gradient(weights, step):
        noise = np.random.default_rng([seed, step]).standard_normal((3, 4))
        return mixing.T @ mixing @ (weights - optimum) + 0.05 * noise

    return PlainTracker(chosen, gradient, main, fast, seed=seed), optimum


@pytest.mark.compiled
def test_a_matrix_with_an_objective_of_ones_own():
    """3000 steps bring the squared error of W below a tenth of the start's (about 0.09)."""
    tracker, optimum = matrix_tracker()
    start = np.mean(optimum**2)
    tracker.run(3000)
    assert np.mean((tracker.w_array.weights - optimum) ** 2) < 0.1 * start
    assert tracker.reference.shape == (3, 4)


def test_cutting_the_steps_changes_nothing():
    whole, cut = matrix_tracker(3)[0], matrix_tracker(3)[0]
    whole.run(60)
    for steps in (1, 0, 25, 34):
        cut.run(steps)
    for name in ("w_array", "p_array"):
        np.testing.assert_array_equal(getattr(whole, name).weights, getattr(cut, name).weights)
    np.testing.assert_array_equal(whole.reference, cut.reference)


@pytest.mark.compiled
def test_read_noise_has_its_std_and_cells_are_counted():
    """eta = 1: the reference is the last read, 600 reads of 12 cells; std .1 within 4 sigma (.0008)."""
    main, fast = (Crossbar(sample_cells(Device(), (3, 4)), name=name, threads=1) for name in "WP")
    chosen = replace(method("rider", alpha=0.0, beta=0.0, eta=1.0), transfer=Transfer(every=2))
    tracker = PlainTracker(chosen, lambda weights, step: np.zeros_like(weights), main, fast, read_noise=0.1)
    reads = []
    for _ in range(600):
        tracker.run(2)
        reads.append(tracker.reference.copy())
    noise = np.array(reads) - fast.weights
    assert abs(noise.std() - 0.1) < 4 * 0.1 / np.sqrt(2 * noise.size)
    assert abs(noise.mean()) < 4 * 0.1 / np.sqrt(noise.size)
    assert fast.ledger.total("reads") == 600 * 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": None}, "must hold the true symmetric points"),
        ({"read_noise": -1.0}, "read noise must .*got -1.0"),
        ({"w_array": "other"}, "must have one shape"),
    ],
)
def test_refusals(change, message):
    w_array, p_array, other = (
        Crossbar(sample_cells(Device(), shape), name=name, threads=1)
        for shape, name in (((3, 4), "W"), ((3, 4), "P"), ((2, 2), "X"))
    )
    values = {"reference": 0.1, "w_array": w_array} | change
    values["w_array"] = other if values["w_array"] == "other" else w_array
    with pytest.raises(ParameterError, match=message):
        PlainTracker(method("oracle"), lambda weights, step: weights, p_array=p_array, **values)


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ParameterError, match="steps must .*got -1"):
        matrix_tracker()[0].run(-1)
