import numpy as np
import pytest

from sptrack.blocks import Chopper, MaximumLengthChopper, PeriodicChopper
from sptrack.errors import ParameterError
from sptrack.kernels.random import philox, stream_key
from tests.blocks.zoo import CHOPPERS

PATTERNS = [
    PeriodicChopper(half_period=1),
    PeriodicChopper(half_period=7),
    PeriodicChopper(half_period=10, duty=0.3),
    MaximumLengthChopper(register=2),
    MaximumLengthChopper(register=5),
]


def circular_autocorrelation(signs):
    return np.array([np.mean(signs * np.roll(signs, -lag)) for lag in range(len(signs))])


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
def test_output_is_sign_times_input(chopper):
    x = np.random.default_rng(1).normal(size=(30, 2, 3))
    np.testing.assert_array_equal(chopper.process(x)[0], chopper.signs(0, 30, (2, 3)) * x)


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
def test_signs_and_flips_do_not_depend_on_the_cut(chopper):
    signs, flips = chopper.signs(0, 40, 5), chopper.flips(0, 40, 5)
    assert set(np.unique(signs)) == {-1, 1}
    np.testing.assert_array_equal(chopper.signs(13, 9, 5), signs[13:22])
    np.testing.assert_array_equal(chopper.flips(13, 9, 5), flips[13:22])
    assert not flips[0].any()
    np.testing.assert_array_equal(flips[1:], signs[1:] != signs[:-1])
    assert (
        chopper.signs(4, 0, 5).shape == chopper.flips(4, 0, 5).shape == chopper.flips(0, 0, 5).shape == (0, 5)
    )


def test_telegraph_starts_at_plus_one_even_where_it_always_flips():
    np.testing.assert_array_equal(Chopper(p=1.0).signs(0, 5), [1, -1, 1, -1, 1])
    np.testing.assert_array_equal(Chopper(p=0.0).signs(0, 5), np.ones(5))


def test_telegraph_draws_are_a_function_of_seed_stream_group_and_sample():
    chopper = Chopper(p=0.4, scope="cell", seed=9, stream="c")
    key, law = stream_key(9, "c"), getattr(philox, "py_func", philox)
    flips = chopper.flips(0, 20, 3)
    for group in range(3):
        for k in range(1, 20):
            words = law(np.uint32(k // 4), np.uint32(0), np.uint32(group), np.uint32(0), key.low, key.high)
            assert flips[k, group] == (words[k % 4] < 0.4 * 2**32)


def test_scope_says_which_cells_share_a_sign():
    shape = (4, 5)
    array, column, cell = (
        Chopper(p=0.5, scope=scope).signs(0, 60, shape) for scope in ("array", "column", "cell")
    )
    assert np.all(array == array[:, :1, :1])
    assert np.all(column == column[:, :1, :])
    assert np.unique(column[:, 0], axis=1).shape[1] == 5
    assert np.unique(cell.reshape(60, -1), axis=1).shape[1] == 20
    np.testing.assert_array_equal(array[:, 0, 0], column[:, 0, 0])


@pytest.mark.parametrize("groups", [1, 300])
def test_groups_repeat_across_tiles(groups):
    signs = Chopper(p=0.5, scope="column").signs(0, 6, (900 // groups, groups))
    assert np.all(signs == signs[:, :1])


def test_stagger_runs_ahead():
    signs = PeriodicChopper(half_period=4, scope="column", stagger=3).signs(0, 30, 4)
    plain = PeriodicChopper(half_period=4).signs(0, 50)
    for group in range(4):
        np.testing.assert_array_equal(signs[:, group], plain[3 * group : 3 * group + 30])


@pytest.mark.compiled
@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_telegraph_autocorrelation(p):
    """2000 cells, 500 samples: at each lag the mean within 5 sigma of the spread over cells."""
    chopper = Chopper(p=p, scope="cell", seed=3)
    signs = chopper.signs(0, 500, 2000).astype(float)
    for lag in (0, 1, 2, 5, 20):
        products = signs[lag:] * signs[: len(signs) - lag]
        error = np.std(products.mean(axis=0)) / np.sqrt(2000)
        assert abs(products.mean() - chopper.autocorrelation(lag)) <= 5 * error + 1e-12


@pytest.mark.compiled
def test_telegraph_psd_is_that_of_its_signs():
    """Periodograms of 2000 cells (rel. sigma 1/sqrt(2000) = 2.2 % a bin), 5 sigma and 1 % of leakage."""
    chopper = Chopper(p=0.2, scope="cell", seed=4)
    signs = chopper.signs(0, 512, 2000)
    periodogram = np.mean(np.abs(np.fft.fft(signs, axis=0)) ** 2, axis=1) / 512
    omega = 2 * np.pi * np.fft.fftfreq(512)
    np.testing.assert_allclose(periodogram, chopper.psd(omega), rtol=0.125)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9])
def test_telegraph_psd_is_the_transform_of_its_autocorrelation(p):
    chopper = Chopper(p=p)
    lag, omega = np.arange(-3000, 3001), np.array([0.0, 0.3, 1.0, np.pi])
    total = np.sum(chopper.autocorrelation(lag) * np.cos(omega[:, None] * lag), axis=1)
    np.testing.assert_allclose(chopper.psd(omega), total, rtol=1e-10, atol=1e-12)
    assert chopper.psd(0.0) == pytest.approx((1 - p) / p)


@pytest.mark.parametrize("chopper", [Chopper(p=0.1), Chopper(p=0.0), Chopper(p=1.0), *PATTERNS], ids=str)
def test_power_of_density_and_lines_is_one(chopper):
    omega = np.arange(4096) * 2 * np.pi / 4096
    lines = chopper.lines()
    assert np.mean(chopper.psd(omega)) + lines.power.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.all((lines.omega > -np.pi) & (lines.omega <= np.pi))


@pytest.mark.parametrize("chopper", PATTERNS, ids=str)
def test_pattern_autocorrelation_and_lines_are_those_of_its_signs(chopper):
    period = chopper.period
    signs = chopper.signs(0, 3 * period)
    np.testing.assert_array_equal(signs[:period], signs[period : 2 * period])
    assert signs[0] == 1
    measured = circular_autocorrelation(signs[:period])
    np.testing.assert_allclose(chopper.autocorrelation(np.arange(period)), measured, atol=1e-12)
    assert chopper.autocorrelation(-1) == pytest.approx(measured[1])
    power = np.abs(np.fft.fft(signs[:period])) ** 2 / period**2
    lines = chopper.lines()
    place = np.rint(lines.omega * period / (2 * np.pi)).astype(int) % period
    found = np.zeros(period)
    found[place] = lines.power
    np.testing.assert_allclose(found, power, atol=1e-12)


def test_lines_of_the_symmetric_chopper_are_the_published_ones():
    half = 6
    lines = PeriodicChopper(half_period=half).lines()
    m = np.rint(lines.omega * half / np.pi)
    assert np.all(m % 2 != 0)
    np.testing.assert_allclose(lines.power, 1 / (half * np.sin(np.pi * m / (2 * half))) ** 2, rtol=1e-12)


@pytest.mark.parametrize("register", range(2, 13))
def test_period_of_the_shift_register(register):
    """No shorter period: a primitive polynomial has the two-valued autocorrelation."""
    pattern = MaximumLengthChopper(register=register).pattern()
    period = 2**register - 1
    assert len(pattern) == period
    spectrum = np.fft.ifft(np.abs(np.fft.fft(pattern)) ** 2).real
    np.testing.assert_allclose(spectrum, np.where(np.arange(period) == 0, period, -1), atol=1e-7)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Chopper(p=-0.1), r"p must lie in 0 .. 1, got -0.1"),
        (lambda: Chopper(p=0.1, scope="row"), "unknown scope 'row'; choose from array, column, cell"),
        (lambda: Chopper(p=0.1, seed=-1), "seed must be a whole number >= 0, got -1"),
        (lambda: PeriodicChopper(half_period=0), "half_period must be a whole number >= 1, got 0"),
        (
            lambda: PeriodicChopper(half_period=2, duty=0.01),
            "duty must leave a sample of each .*got 0.01",
        ),
        (lambda: PeriodicChopper(half_period=2, duty=1.0), "duty must .*got 1.0"),
        (lambda: PeriodicChopper(half_period=2, stagger=-1), "stagger must .*got -1"),
        (lambda: MaximumLengthChopper(register=1), "register must .*got 1"),
        (lambda: MaximumLengthChopper(register=21), "register must be a whole number in 2 .. 20, got 21"),
        (lambda: Chopper(p=0.1).signs(-1, 2), "first must .*got -1"),
        (lambda: Chopper(p=0.1).flips(-1, 2), "first must .*got -1"),
        (lambda: Chopper(p=0.1).signs(0, -2), "count must .*got -2"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
