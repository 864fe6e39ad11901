"""Errors after a number of steps: against the plain recursions, drawn linear loops, and published optima."""

import numpy as np
import pytest

from sptrack.blocks import CIC, EMA, Boxcar, Chopper, PeriodicChopper
from sptrack.devices import Asymmetry, CycleNoise, Device, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.theory import GradientStatistics, error_after, linearise, optimal_eta, settling, transient

from .openloop import Drive, LinearCell, ema, run, signs_of_telegraph


def _loop(mean, std, *, alpha=0.02, dw=0.001, law="binomial", noise=0.3):
    device = Device(
        dw_min=dw,
        spread=Spread(asymmetry=Asymmetry(mean=0.3)),
        cycle_noise=CycleNoise(std=noise),
    )
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    return linearise(cells, alpha=alpha, gradient=GradientStatistics(mean=mean, std=std), law=law)


@pytest.mark.parametrize(("pole", "eta"), [(0.95, 0.02), (0.98, 0.02), (0.98, 0.02 + 1e-13), (-0.3, 0.5)])
def test_transient_is_that_of_the_recursion(pole, eta):
    x = q = 1.0
    for k in range(40):
        x *= pole
        q += eta * (x - q)
        assert transient(pole, eta, k + 1) == pytest.approx(q, rel=1e-9, abs=1e-15)


def test_mean_and_variance_after_few_steps_are_sums_over_the_recursion():
    """Impulse response of Q to a step's noise, and to the chopped mean with every lag of its correlation."""
    loop, eta, steps, r = _loop(0.3, 1.0), 0.03, 60, 0.8
    a, b = loop.pole.item(), 1 - eta
    h = np.convolve(a ** np.arange(steps), eta * b ** np.arange(steps))[:steps]
    lags = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    direct = loop.white.item() * np.sum(h**2) + loop.chopped.item() ** 2 * h @ (r**lags) @ h
    direct += 0.05**2 * np.sum((eta * b ** np.arange(steps)) ** 2)
    mean, variance = error_after(loop, eta, steps, start=-0.3, chopper=Chopper(p=0.1), read_noise=0.05)
    assert variance.item() == pytest.approx(direct, rel=1e-9)
    bias = loop.predict(eta, Chopper(p=0.1)).bias.item()
    assert mean.item() == pytest.approx(bias + (-0.3 - bias) * transient(a, eta, steps))


@pytest.mark.parametrize("chopper", [None, Chopper(p=0.1), PeriodicChopper(half_period=9)], ids=str)
def test_after_many_steps_the_settled_numbers_are_left(chopper):
    loop = _loop(0.4, 0.6)
    mean, variance = error_after(loop, 0.01, 100_000, start=0.4, chopper=chopper, read_noise=0.01)
    found = loop.predict(0.01, chopper, read_noise=0.01)
    assert mean.item() == pytest.approx(found.bias.item())
    assert variance.item() == pytest.approx(found.var_q.item(), rel=1e-6)


def test_error_after_some_steps_is_that_of_simulated_pulses():
    """500 lanes from -.3; mean and mean square at three lengths within 4 errors and 3 % for higher terms."""
    cell, drive = LinearCell(dw=0.004), Drive(mean=0.3, std=1.0, law="binomial")
    signs = signs_of_telegraph(0.1, 800, 500, np.random.default_rng(4))
    q = ema(run(cell, drive, signs, seed=9, start=0.0), 0.008, 0.0) - cell.point
    loop = _loop(0.3, 1.0, dw=0.004)
    for steps in (100, 300, 800):
        mean, variance = error_after(loop, 0.008, steps, start=-0.3, chopper=Chopper(p=0.1))
        values = q[steps - 1]
        assert abs(values.mean() - mean.item()) < 4 * values.std() / np.sqrt(500) + 0.03 * abs(mean.item())
        assert values.var() == pytest.approx(variance.item(), rel=4 * np.sqrt(2 / 500) + 0.03)


PUBLISHED = [
    (0.3, 1.0, 500, 0.0057, 0.0049, 0.0748),
    (0.3, 1.0, 2000, 0.0016, 0.0015, 0.0441),
    (0.3, 1.0, 8000, 0.0005, 0.0005, 0.0256),
    (1.0, 0.3, 500, None, None, 0.132),
    (1.0, 0.3, 2000, None, None, 0.081),
    (1.0, 0.3, 8000, None, None, 0.051),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=str)
def test_optimum_rate_and_rule_of_published_budgets(row):
    """Linear cell 1.3/.7 from 0, alpha .02, p .1; the published numbers have two or three digits."""
    mean, std, steps, eta, rule, rms = row
    found = optimal_eta(_loop(mean, std), steps, start=-0.3, chopper=Chopper(p=0.1))
    assert found.rms.item() == pytest.approx(rms, rel=0.02)
    if eta is not None:
        assert found.eta.item() == pytest.approx(eta, abs=0.6e-4)
        assert found.rule_eta.item() == pytest.approx(rule, abs=0.6e-4)
    for factor in (0.25, 4.0):
        off, variance = error_after(loop := _loop(mean, std), factor * found.eta, steps, start=-0.3,
                                    chopper=Chopper(p=0.1))  # fmt: skip
        ratio = ((off**2 + variance) / found.rms**2).item()
        assert (2.0 < ratio < 25) if factor < 1 else (1.0 < ratio < 3.1)
    assert loop.pole.item() == pytest.approx(1 - 0.02 * loop.gradient_size.item())


def test_the_optimum_is_one_on_an_array_with_read_noise():
    cells = sample_cells(Device(), (2, 3), dtype=np.float64)
    loop = linearise(cells, alpha=0.05, gradient=GradientStatistics(mean=[0.1, 0.2, 0.3], std=1.0))
    arguments = {"start": 0.5, "chopper": PeriodicChopper(half_period=8), "read_noise": 0.05}
    best = optimal_eta(loop, 1000, **arguments)
    assert best.eta.shape == best.rms.shape == best.rule_eta.shape == (2, 3)
    for factor in (0.999, 0.97, 1.001, 1.03):
        mean, variance = error_after(loop, factor * best.eta, 1000, **arguments)
        assert (np.sqrt(mean**2 + variance) >= best.rms * (1 - 1e-7)).all()
    small = optimal_eta(loop, 2, **arguments)
    assert np.isnan(small.rule_eta).all()


@pytest.mark.parametrize("low_pass", [0.02, 0.3, EMA(eta=0.01), Boxcar(length=50), CIC(length=30)], ids=str)
@pytest.mark.parametrize("tolerance", [0.01, 0.2])
def test_settling_is_that_of_the_mean_of_q(low_pass, tolerance):
    """A start offset of 1 on P and, long before, on the filter; the largest step still outside, plus one."""
    loop = _loop(0.3, 1.0, alpha=0.05)
    p = loop.pole.item() ** np.arange(1, 3000)
    if isinstance(low_pass, float):
        q = ema(p[:, None], low_pass, 1.0)[:, 0]
    else:
        q = low_pass.process(np.concatenate([np.ones(4000), p]))[0][4000:]
    last = np.flatnonzero(np.abs(q) > tolerance)[-1] + 1
    assert settling(loop, low_pass, tolerance=tolerance).item() == last + 1


def test_settling_of_unstable_and_idle_loops():
    assert settling(_loop(0.0, 1.0, alpha=5.0), 0.1).item() == np.inf
    assert settling(_loop(0.0, 0.0), 0.1).item() == np.inf
    assert settling(_loop(0.0, 1.0, alpha=5.0), Boxcar(length=3)).item() == np.inf
    negative = _loop(0.0, 1.0, alpha=1.8)
    assert negative.pole.item() < 0
    x = negative.pole.item() ** np.arange(1, 60)
    last = np.flatnonzero(np.abs(ema(x[:, None], 0.5, 1.0)[:, 0]) > 0.01)[-1] + 1
    assert settling(negative, 0.5).item() == last + 1


def test_bad_input_is_refused():
    loop = _loop(0.3, 1.0)
    with pytest.raises(ParameterError, match="steps must .*got 0"):
        error_after(loop, 0.1, 0, start=0.0)
    with pytest.raises(ParameterError, match="eta must .*got 0"):
        error_after(loop, [0.0, 0.1], 10, start=0.0)
    with pytest.raises(ParameterError, match="tolerance must .*got 1"):
        settling(loop, 0.1, tolerance=1.0)
