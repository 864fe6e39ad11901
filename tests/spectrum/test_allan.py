"""Allan deviation against published numbers, closed forms, and the coverage of its intervals."""

import numpy as np
import pytest
from scipy.signal import lfilter

from sptrack.blocks import EMA, Boxcar, Chopper, PeriodicChopper
from sptrack.errors import ParameterError
from sptrack.spectrum import allan_deviation, expected_allan, one_pole_allan

ETA = 0.05
AVERAGES = [1, 3, 10, 40]


def ema_density(omega):
    return np.abs(EMA(eta=ETA).frequency_response(omega)) ** 2


def walk_density(omega):
    return 1 / (2 * np.sin(omega / 2)) ** 2


def white(rng, shape):
    return rng.standard_normal(shape)


def ema(rng, shape):
    return lfilter([ETA], [1, ETA - 1], rng.standard_normal((shape[0] + 400, *shape[1:])), axis=0)[400:]


def walk(rng, shape):
    return np.cumsum(rng.standard_normal(shape), axis=0)


def violet(rng, shape):
    return np.diff(rng.standard_normal((shape[0] + 1, *shape[1:])), axis=0)


EXPECTED = {
    "white": lambda m: 1 / np.sqrt(m),
    "ema": lambda m: one_pole_allan(1 - ETA, ETA / (2 - ETA), m),
    "walk": lambda m: np.sqrt((2 * m**2 + 1) / (6 * m)),
    "violet": lambda m: np.sqrt(3) / m,
}
NOISES = {"white": white, "ema": ema, "walk": walk, "violet": violet}


def test_numbers_published_for_a_thousand_points():
    # NIST Special Publication 1065 (Riley 2008), section 12.4: overlapping Allan deviation of its test suite
    n = [1234567890]
    for _ in range(999):
        n.append(16807 * n[-1] % 2147483647)
    found = allan_deviation(np.array(n) / 2147483647, [1, 10, 100])
    np.testing.assert_allclose(found.deviation, [2.922319e-01, 9.159953e-02, 3.241343e-02], rtol=2e-6)
    assert found.noise[0] == "white"


def test_it_is_half_the_mean_square_of_differences_of_means():
    x = np.random.default_rng(0).normal(size=(50, 3)) + [0.0, 5.0, -2.0]
    for m in (1, 4, 25):
        means = np.array([x[k : k + m].mean(axis=0) for k in range(50 - m + 1)])
        direct = np.mean((means[m:] - means[:-m]) ** 2) / 2
        assert allan_deviation(x, [m]).deviation[0] == pytest.approx(direct**0.5)


@pytest.mark.parametrize("name", NOISES)
def test_expected_deviations_agree_with_simulation(name):
    # 4000 streams: a relative error of at most 1/sqrt(2 * 4000 * 0.9), 1.2 %; 4 sigma
    found = allan_deviation(NOISES[name](np.random.default_rng(1), (120, 4000)), AVERAGES)
    np.testing.assert_allclose(found.deviation, EXPECTED[name](np.array(AVERAGES)), rtol=0.05)
    error = (found.high - found.low) / 3.92
    assert (abs(found.deviation - EXPECTED[name](np.array(AVERAGES))) < 4 * error).all()


def test_densities_give_the_closed_forms():
    m = np.array([1, 2, 7, 100, 3000])
    np.testing.assert_allclose(expected_allan(np.ones_like, m), m**-0.5, rtol=1e-9)
    np.testing.assert_allclose(expected_allan(ema_density, m), EXPECTED["ema"](m), rtol=1e-9)
    np.testing.assert_allclose(expected_allan(lambda w: (2 * np.sin(w / 2)) ** 2, m), 3**0.5 / m, rtol=1e-9)
    np.testing.assert_allclose(expected_allan(walk_density, m[:4]), EXPECTED["walk"](m[:4]), rtol=1e-3)
    telegraph = Chopper(p=0.02)
    np.testing.assert_allclose(expected_allan(telegraph.psd, m), one_pole_allan(0.96, 1.0, m), rtol=1e-6)


def test_lines_are_seen_through_the_differences():
    chopper = PeriodicChopper(half_period=20)
    low_pass = Boxcar(length=7)
    passed = low_pass.process(chopper.signs(0, 4040).astype(float))[0][40:]
    lines = chopper.lines()
    power = lines.power * np.abs(low_pass.frequency_response(lines.omega)) ** 2
    m = [1, 5, 20, 40]
    expected = expected_allan(np.zeros_like, m, lines=(lines.omega, power))
    np.testing.assert_allclose(allan_deviation(passed[: 40 * 99 + 39], m).deviation, expected, atol=2e-3)
    assert expected[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("name", ["white", "ema", "walk"])
def test_intervals_cover_in_95_of_100_streams(name, stated):
    # 500 streams: 1 % (1 sigma) a point; a noise that has to be identified may cost some
    law = {"white": "white", "ema": ema_density, "walk": "random walk"}[name] if stated else None
    rng, truth = np.random.default_rng(2), EXPECTED[name](np.array(AVERAGES))
    made = [allan_deviation(NOISES[name](rng, (256, 1)), AVERAGES, noise=law) for _ in range(500)]
    covered = np.mean([(one.low <= truth) & (truth <= one.high) for one in made], axis=0)
    assert covered.min() > (0.92 if stated else 0.88)
    assert covered.max() < 0.99


def test_degrees_of_freedom_of_white_noise_in_closed_form():
    # not overlapping, m = 1: correlations 1, -1/2, so 2 mean^2/variance = M/(1 + (1 - 1/M)/2)
    x = white(np.random.default_rng(3), (101, 2))
    count = 100
    one = allan_deviation(x, [1], noise="white")
    assert one.freedom[0] == pytest.approx(2 * count / (1 + 0.5 * (1 - 1 / count)))
    assert allan_deviation(x, [1], noise="white", independent=False).freedom[0] == one.freedom[0] / 2
    assert allan_deviation(x, [50], noise=np.ones_like).freedom[0] == pytest.approx(
        allan_deviation(x, [50], noise="white").freedom[0], rel=1e-9
    )


@pytest.mark.parametrize("name", ["violet", "white", "walk"])
def test_noise_is_identified(name):
    x = NOISES[name](np.random.default_rng(4), (4096, 1))
    expected = "random walk" if name == "walk" else name
    assert set(allan_deviation(x, [1, 4, 16, 64]).noise) == {expected}


def test_intervals_from_cells_hold_where_cells_differ():
    rng = np.random.default_rng(5)
    scale = np.exp(0.5 * rng.standard_normal(400))
    x = rng.standard_normal((200, 400)) * scale
    found = allan_deviation(x, [4])
    assert found.interval == "cells"
    truth = np.exp(0.25) / 2  # root of E exp(2 s z) / m with s = 1/2, m = 4
    assert found.low[0] < truth < found.high[0]
    assert found.high[0] / found.low[0] > 1.05  # chi-square of 400 x 100 would say 1.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: allan_deviation([1.0, 2.0]), "at least 4 samples"),
        (lambda: allan_deviation(np.ones(10), [6]), "from 1 to 5"),
        (lambda: allan_deviation(np.ones(10), [0]), "at least 1"),
        (lambda: allan_deviation(np.ones(10), noise="pink"), "unknown noise 'pink'"),
        (lambda: allan_deviation(np.ones(10), interval="cells"), "two independent cells"),
        (lambda: one_pole_allan(1.0, 1.0, 3), "pole must"),
        (lambda: one_pole_allan(0.5, -1.0, 3), "variance must"),
        (lambda: expected_allan(np.ones_like, [1.5]), "whole numbers"),
    ],
)
def test_input_that_does_not_fit_is_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
