"""Every step kept, a drive added to the gradient, the open loop, write noise: what the recursion can show."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.devices import Device, SoftBounds, Spread, SymmetricPoints, sample_cells
from sptrack.errors import ParameterError
from sptrack.tracking import ProblemSettings, Tracker, method, open_loop, problem, with_settings

pytestmark = pytest.mark.compiled

STEPS = 200


def test_a_recorded_run_is_a_run_with_every_step_kept():
    made = problem("quadratic", ProblemSettings(size=16), seed=1)
    chosen = method("e-rider", p=0.05)
    one, other = Tracker(made, chosen, seed=2), Tracker(made, chosen, seed=2)
    kept = one.record(STEPS)
    for k in range(STEPS):
        other.run(1, samples=1)
        np.testing.assert_array_equal(kept.w[k], other.result.weights)
        np.testing.assert_array_equal(kept.q[k], other.result.reference)
    np.testing.assert_array_equal(one.result.weights, other.result.weights)
    np.testing.assert_allclose(one.result.errors[0], other.result.errors.mean(axis=0), rtol=1e-5)
    assert one.ledger.table() == other.ledger.table()
    errors = ((kept.w - np.float32(made.optimum)) ** 2).mean()
    np.testing.assert_allclose(one.result.errors[0, 0], errors, rtol=1e-5)
    q = kept.q.astype(np.float64)
    np.testing.assert_allclose(q[1:], 0.995 * q[:-1] + 0.005 * kept.p[1:], rtol=0, atol=1e-6)


def test_recording_can_be_cut_anywhere():
    made = problem("separable", ProblemSettings(size=300), seed=1)
    whole, parts = (Tracker(made, method("e-rider"), seed=2) for _ in range(2))
    kept = whole.record(STEPS)
    cut = [parts.record(n) for n in (1, 67, STEPS - 68)]
    for name in ("w", "p", "q", "signs"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(one, name) for one in cut]), getattr(kept, name)
        )


def test_a_drive_is_part_of_the_gradient():
    """A constant slope of 0.3, or a slope of 0.1 and a drive of 0.2: the same pulses."""
    cells = sample_cells(Device(), (1, 20), seed=1)
    chosen = with_settings(method("e-rider", beta=0.0), chop={"half_period": 7})
    one = Tracker(open_loop(cells, mean=0.25, std=0.5), chosen).record(STEPS)
    for drive in (np.full(STEPS, 0.125), np.full((STEPS, 20), 0.125)):
        other = Tracker(open_loop(cells, mean=0.125, std=0.5), chosen).record(STEPS, drive=drive)
        np.testing.assert_array_equal(other.p, one.p)
    np.testing.assert_array_equal(one.w, one.w[:1].repeat(STEPS, axis=0))


def test_an_open_loop_without_a_mean_leads_to_the_symmetric_points():
    """P settles at w* with variance dw q0^2 kappa / (2 G') + alpha q0^2 std / (2 sqrt(2/pi) G')."""
    spread = Spread(asymmetry=SymmetricPoints(mean=0.3, std=0.2))
    cells = sample_cells(Device(spread=spread), (1, 512), seed=1)
    run = Tracker(open_loop(cells, std=1.0), method("e-rider", alpha=0.02, beta=0.0), seed=1).record(3000)
    offset = run.p[-1] - cells.target.ravel()
    q0 = cells.F(cells.symmetric_point).ravel()
    size = np.sqrt(2 / np.pi)
    variance = (q0**2 * (0.001 * 1.09 + 0.02 / size) / 2).mean()
    assert abs(offset.mean()) < 4 * np.sqrt(variance / 512)
    assert abs(offset.var() / variance - 1) < 4 * np.sqrt(2 / 512) + 0.05


def test_write_noise_is_what_is_read_and_not_what_is_kept():
    """With write noise of 5 steps: reads scatter by it (4 sigma), only pulsed cells get a new draw."""
    quiet = Device(response=SoftBounds(), spread=Spread())
    noisy = replace(quiet, write_noise=5.0)
    chosen = method("e-rider", alpha=0.004, beta=0.0)
    runs = []
    for device in (quiet, noisy):
        cells = sample_cells(device, (1, 600), seed=1)
        runs.append(Tracker(open_loop(cells, std=0.05), chosen, seed=3).record(400))
    written = runs[1].p.astype(np.float64) - runs[0].p
    settled = written[-1]
    assert abs(settled.std() / 0.005 - 1) < 4 / np.sqrt(2 * 600)
    assert abs(settled.mean()) < 4 * 0.005 / np.sqrt(600)
    pulsed = np.diff(runs[0].p, axis=0) != 0
    redrawn = np.abs(np.diff(written, axis=0)) > 1e-6
    assert not (redrawn & ~pulsed).any()
    assert (redrawn & pulsed).sum() > 0.999 * pulsed.sum()
    assert 0.05 < pulsed.mean() < 0.5


def test_write_noise_survives_cutting():
    made = problem("quadratic", ProblemSettings(size=16, device=replace(Device(), write_noise=2.0)), seed=1)
    whole, parts = (Tracker(made, method("e-rider"), seed=2) for _ in range(2))
    whole.run(STEPS, samples=1)
    parts.run(77, samples=1)
    again = Tracker(made, method("e-rider"), seed=2)
    again.resume(parts.checkpoint())
    again.run(STEPS - 77, samples=1)
    np.testing.assert_array_equal(again.result.weights, whole.result.weights)
    np.testing.assert_array_equal(again.result.reference, whole.result.reference)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda one: one.record(0), "steps must .*got 0"),
        (lambda one: one.record(10**8), "steps must .*got 100000000"),
        (lambda one: one.record(10, drive=np.zeros(9)), r"drive must be finite.*got shape \[9, 1\]"),
        (lambda one: one.record(2, drive=[0.0, np.nan]), "finite"),
    ],
)
def test_refusals(call, text):
    made = problem("separable", ProblemSettings(size=4), seed=1)
    with pytest.raises(ParameterError, match=text):
        call(Tracker(made, method("e-rider")))


@pytest.mark.parametrize("mean", [[1.0, 2.0], np.nan])
def test_a_mean_gradient_that_does_not_fit_is_refused(mean):
    with pytest.raises(ParameterError, match="mean"):
        open_loop(sample_cells(Device(), (1, 3)), mean=mean)
