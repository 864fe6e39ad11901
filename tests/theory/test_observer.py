"""Error law of observers against simulated linear cells, limits, and settings that follow from it."""

import numpy as np
import pytest

from sptrack.blocks import DriveErrors, InputAwareObserver, ResponsePrior
from sptrack.errors import ParameterError
from sptrack.theory.observer import (
    NormalDrive,
    ObservedCell,
    observer_error,
    recommend_observer,
    slope_kept,
    tracking_forgetting,
    weight_statistics,
)

DW, SIGMA, LEVEL, POINT, CELLS = 0.001, 0.3, 0.91, 0.3, 400


def linear_weights(drive, start, law="rounded", seed=3):
    """Weights after each step of cells F = LEVEL - .3 x', G = x' around POINT, in plain numpy."""
    rng = np.random.default_rng(seed)
    x, out = np.full(drive.shape[1], start), np.empty(drive.shape)
    for k, asked in enumerate(drive):
        wanted, sign = np.abs(asked) / DW, np.sign(asked)
        if law == "poisson":
            number = rng.poisson(wanted)
        else:
            number = np.floor(wanted) + (rng.random(len(x)) < wanted % 1)
        gain = LEVEL * sign - (1 + 0.3 * sign) * (x - POINT)
        x = x + DW * (number + SIGMA * np.sqrt(number) * rng.standard_normal(len(x))) * gain
        out[k] = x
    return out


def cell(**settings):
    return ObservedCell(**({"dw_min": DW, "level": LEVEL, "slope": 1.0, "relative": SIGMA**2} | settings))


@pytest.mark.parametrize(
    ("scale", "every", "read_noise", "forgetting", "law"),
    [
        (0.0004, 16, 0.0, 0.0, "rounded"),
        (0.0004, 64, 0.02, 0.0, "rounded"),
        (0.003, 1, 0.0, 0.0, "rounded"),
        (0.003, 16, 0.02, 1e-3, "rounded"),
        (0.003, 48, 0.02, 0.0, "rounded"),
        (0.003, 16, 0.0, 1e-3, "poisson"),
        (0.012, 4, 0.02, 2e-3, "rounded"),
        (0.012, 128, 0.02, 0.0, "rounded"),
        (0.012, 384, 0.0, 0.0, "poisson"),
    ],
)
def test_error_law(scale, every, read_noise, forgetting, law):
    """Root mean square of 400 points within 15 % of the law (4 sigma: 14 %); its slope and F known."""
    steps = 3840
    drive = scale * np.random.default_rng(1).standard_normal((steps, CELLS))
    weights = linear_weights(drive, POINT, law)
    reads = weights[every - 1 :: every]
    reads = reads + read_noise * np.random.default_rng(2).standard_normal(reads.shape)
    prior = ResponsePrior.of([LEVEL + 0.3 * POINT, -0.3, -POINT, 1.0], 1e-3 * np.eye(4))
    errors = DriveErrors(read_noise=read_noise, pulse=0.0, relative=SIGMA**2, counts=law)
    made = InputAwareObserver(
        dw_min=DW, prior=prior, errors=errors, form="scalar", every=every, forgetting=forgetting
    )
    seen, _ = made.process(drive, reads)
    expected = observer_error(
        cell(read_noise=read_noise, counts=law),
        NormalDrive(std=scale),
        every=every,
        forgetting=forgetting,
        steps=float(steps - every),
        form="scalar",
    )
    rms = np.sqrt(((seen.point[-1] - POINT) ** 2).mean())
    np.testing.assert_allclose(rms, expected.rms, rtol=0.15)


def test_the_limit_is_q0_over_slope_times_root_kappa_over_pulses():
    """Poisson pulses, no reading noise: (q0/G') sqrt((1 + sigma^2)/pulses)."""
    made = observer_error(
        cell(counts="poisson", dw_min=1e-5), NormalDrive(std=1e-5), every=1, steps=10000.0, form="scalar"
    )
    pulses = 10000 * np.sqrt(2 / np.pi)
    np.testing.assert_allclose(made.pulses, pulses, rtol=1e-9)
    np.testing.assert_allclose(made.rms, LEVEL * np.sqrt((1 + SIGMA**2) / pulses), rtol=1e-9)


@pytest.mark.parametrize("mean", [0.0, 0.0003])
def test_weight_statistics(mean):
    """Mean and std of the weight about the point, 400 cells after settling, within 4 sigma (+ 2 %)."""
    drive = NormalDrive(mean=mean, std=0.004)
    asked = mean + 0.004 * np.random.default_rng(1).standard_normal((2500, CELLS))
    x = linear_weights(asked, POINT)[-1] - POINT
    away, spread = weight_statistics(cell(), drive)
    assert abs(x.mean() - away) < 4 * spread / np.sqrt(CELLS) + 0.1 * abs(away)
    np.testing.assert_allclose(x.std(), spread, rtol=4 / np.sqrt(2 * CELLS) + 0.02)


def test_moments_of_a_drive():
    values = 0.3 + 0.7 * np.random.default_rng(1).standard_normal(1_000_000)
    drive = NormalDrive(mean=0.3, std=0.7)
    np.testing.assert_allclose(drive.size, np.abs(values).mean(), rtol=0.005)
    np.testing.assert_allclose(drive.signed_square, (values * np.abs(values)).mean(), rtol=0.01)


def test_slope_of_the_midpoint():
    """Regression of each step's change on D, D x, |D|, |D| x: midpoint and old read, stationary data."""
    scale, steps = 0.001, 20000
    drive = scale * np.random.default_rng(1).standard_normal((steps, 40))
    x = linear_weights(drive, POINT)
    old, y, d = x[3000:-1], np.diff(x[3000:], axis=0), drive[3001:]
    found = []
    for place in ((old + old + y) / 2, old):
        rows = np.stack([d, d * place, -np.abs(d), -np.abs(d) * place], axis=-1).reshape(-1, 4)
        weight = (1 / np.sqrt(np.abs(d))).reshape(-1, 1)
        middle = rows * weight
        found.append(np.linalg.lstsq(middle, (y.reshape(-1, 1) * weight)[:, 0], rcond=None)[0][3])
    np.testing.assert_allclose(found[1], 1.0, atol=0.1)
    np.testing.assert_allclose(found[0], slope_kept(cell(), NormalDrive(std=scale)), atol=0.1)


@pytest.mark.parametrize(("walk", "ramp"), [(1e-4, 0.0), (0.0, 1e-6), (1e-4, 1e-6)])
def test_best_forgetting_is_a_minimum(walk, ramp):
    best = tracking_forgetting(0.5, walk=walk, ramp=ramp)

    def error(h):
        return np.sqrt(0.5 * h / 2 + walk**2 / (2 * h) + (ramp / h) ** 2)

    np.testing.assert_allclose(best.rms, error(best.forgetting), rtol=1e-9)
    assert best.rms < min(error(0.9 * best.forgetting), error(1.1 * best.forgetting))
    if not ramp:
        np.testing.assert_allclose(best.forgetting, walk / np.sqrt(0.5), rtol=1e-6)


def test_a_walking_point_is_followed_as_well_as_predicted():
    """Symmetric points that walk 2e-4 a step: rms within 20 % of the trade, at three rates."""
    steps, every, walk, scale = 8000, 8, 2e-4, 0.006
    rng = np.random.default_rng(5)
    point = 0.3 + np.cumsum(walk * rng.standard_normal((steps, CELLS)), axis=0)
    drive = scale * rng.standard_normal((steps, CELLS))
    x, weights = np.full(CELLS, 0.3), np.empty(drive.shape)
    for k, asked in enumerate(drive):
        wanted, sign = np.abs(asked) / DW, np.sign(asked)
        number = np.floor(wanted) + (rng.random(CELLS) < wanted % 1)
        noise = number + SIGMA * np.sqrt(number) * rng.standard_normal(CELLS)
        x = x + DW * noise * (LEVEL * sign - (x - point[k]))
        weights[k] = x
    observed, asked = cell(), NormalDrive(std=scale)
    one = observer_error(observed, asked, every=every, steps=float(steps), form="scalar")
    per_step = one.centre**2 * steps
    best = tracking_forgetting(per_step, walk=walk)
    prior = ResponsePrior.of([LEVEL, 0.0, -0.3, 1.0], 1e-3 * np.eye(4))
    for factor in (0.25, 1.0, 4.0):
        h = factor * best.forgetting
        made = InputAwareObserver(
            dw_min=DW,
            prior=prior,
            errors=DriveErrors(pulse=0.0, relative=SIGMA**2),
            form="scalar",
            every=every,
            forgetting=h,
        )
        seen, _ = made.process(drive, weights[every - 1 :: every])
        rms = np.sqrt(((seen.point[-200::20] - point[every - 1 :: every][-200::20]) ** 2).mean())
        np.testing.assert_allclose(rms, np.sqrt(per_step * h / 2 + walk**2 / (2 * h)), rtol=0.2)


@pytest.mark.parametrize("scale", [0.00036, 0.003])
@pytest.mark.parametrize("read_noise", [0.0, 0.005, 0.02, 0.05])
def test_recommended_settings_are_near_the_best_of_a_grid(scale, read_noise):
    """Cells of spread slope (20 %) and F: rms no more than 1.5 times the best of 18 settings."""
    rng = np.random.default_rng(8)
    steps, n = 6000, 200
    drive = scale * rng.standard_normal((steps, n))
    point, gain = 0.3 + 0.3 * rng.standard_normal(n), np.exp(0.2 * rng.standard_normal(n))
    x, weights = np.zeros(n), np.empty(drive.shape)
    for k, asked in enumerate(drive):
        wanted, sign = np.abs(asked) / DW, np.sign(asked)
        number = np.floor(wanted) + (rng.random(n) < wanted % 1)
        noise = number + SIGMA * np.sqrt(number) * rng.standard_normal(n)
        x = x + DW * noise * gain * (LEVEL * sign - (x - point))
        weights[k] = x

    def rms(form, every, forgetting, weight):
        prior = ResponsePrior.of([LEVEL, 0.0, -0.3, 1.0], weight * np.eye(4))
        errors = DriveErrors(read_noise=read_noise, relative=SIGMA**2)
        made = InputAwareObserver(
            dw_min=DW, prior=prior, errors=errors, form=form, every=every, forgetting=forgetting
        )
        taken = weights[every - 1 :: every]
        reads = taken + read_noise * np.random.default_rng(every).standard_normal(taken.shape)
        seen, _ = made.process(drive, reads)
        return np.sqrt(((seen.point[-1] - point) ** 2).mean())

    advice = recommend_observer(
        cell(read_noise=read_noise), NormalDrive(std=scale), steps=steps, point_spread=0.3, slope_spread=0.2
    )
    grid = [
        rms(form, every, forgetting, 10.0)
        for form in ("block", "scalar")
        for every in (1, 16, 120)
        for forgetting in (0.0, 1 / 6000, 1 / 1500)
    ]
    assert rms(advice.form, advice.every, advice.forgetting, advice.weight) < 1.5 * min(grid)


def test_warnings_of_a_rule():
    quiet = recommend_observer(cell(), NormalDrive(std=1e-8), steps=1000)
    noisy = recommend_observer(cell(read_noise=0.3), NormalDrive(std=0.003), steps=1000)
    assert "no excitation" in quiet.warnings[0]
    assert any("read noise too large" in text for text in noisy.warnings)
    assert recommend_observer(cell(), NormalDrive(std=0.003), steps=20000).warnings == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: NormalDrive(std=0.0),
        lambda: NormalDrive(std=-1.0),
        lambda: cell(slope=0.0),
        lambda: cell(read_noise=-1.0),
        lambda: cell(counts="round").step_variance(NormalDrive(std=1.0)),
        lambda: observer_error(cell(), NormalDrive(std=1.0), every=1),
        lambda: observer_error(cell(), NormalDrive(std=1.0), every=8, steps=4.0),
        lambda: tracking_forgetting(1.0),
        lambda: recommend_observer(cell(), NormalDrive(std=1.0), steps=3),
    ],
)
def test_refusals(make):
    with pytest.raises(ParameterError):
        make()
