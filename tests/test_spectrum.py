import numpy as np
import pytest
from scipy.signal import lfilter

from sptrack.blocks import CIC, EMA, Boxcar, Chain, Chopper, PeriodicChopper
from sptrack.errors import ParameterError
from sptrack.spectrum import Tones, Welch


def flat(omega):
    return np.ones_like(omega)


def coloured(omega):
    return np.abs(EMA(eta=0.2).frequency_response(omega)) ** 2


STREAMS = {
    "white": (flat, lambda noise: noise),
    "coloured": (coloured, lambda noise: lfilter([0.2], [1, -0.8], noise, axis=0)),
}


def repeats(colour, welch, count=400, cells=4, samples=1200, **options):
    """Estimates of independent streams, and the expected density."""
    rng = np.random.default_rng(7)
    density, shape = STREAMS[colour]
    made = []
    for _ in range(count):
        stream = shape(rng.standard_normal((samples + 200, cells)))[200:]
        made.append(welch.estimate(stream, **options))
    return made, welch.expected(density)


@pytest.mark.parametrize("interval", ["chi-square", "cells"])
@pytest.mark.parametrize("colour", STREAMS)
def test_intervals_cover_the_expected_density_in_95_of_100_streams(colour, interval):
    # 400 repeats: a bin is 95 % +- 1.1 % (1 sigma), the mean over 25 well-separated bins 0.25 %
    made, truth = repeats(colour, Welch(segment=48, centre="none"), interval=interval)
    covered = np.mean([(one.low <= truth) & (truth <= one.high) for one in made], axis=0)
    assert covered.mean() == pytest.approx(0.95, abs=0.012)
    assert covered.min() > 0.95 - 0.05
    assert covered.max() < 0.95 + 0.04
    assert {one.interval for one in made} == {interval}


@pytest.mark.parametrize(
    ("overlap", "window"), [(0.0, "boxcar"), (0.5, "hann"), (0.75, "hann"), (0.5, "boxcar")]
)
def test_degrees_of_freedom_are_those_of_the_spread(overlap, window):
    # variance over 600 estimates: 6 % (1 sigma) a bin, over 17 or more bins 1.5 %
    made, _ = repeats("white", Welch(segment=32, overlap=overlap, window=window, centre="none"), 600, 1, 400)
    density = np.array([one.density for one in made])
    spread = 2 * density.mean(axis=0) ** 2 / density.var(axis=0)
    assert (spread / made[0].freedom)[1:-1].mean() == pytest.approx(1, abs=0.06)
    for end in (0, -1):
        assert spread[end] / made[0].freedom[end] == pytest.approx(1, abs=0.25)


def test_degrees_of_freedom_in_closed_form():
    # segments that do not overlap: two each, one at omega = 0 and pi
    freedom = Welch(segment=32, overlap=0.0, window="boxcar").freedom(320)
    np.testing.assert_allclose(freedom, [10, *[20] * 15, 10])
    # Hann, half overlapped: 36/19 = 1.89 K degrees for many segments (Welch 1967)
    many = Welch(segment=64).freedom(64 * 2000)
    assert many[10] / (2 * 2000 - 1) == pytest.approx(36 / 19, rel=1e-3)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("overlap", [0.5, 0.75])
def test_degrees_of_freedom_of_few_segments(count, overlap):
    """2/sum of r_|i - j|/K^2 over all pairs of segments; in mid-band r_m = (sum of w_n w_(n + m hop)/c_0)^2.

    Hann has no second term there, as w_n w_(n + m hop) is band-limited.
    """
    welch = Welch(segment=64, overlap=overlap)
    taper, hop = welch.taper(), welch.hop
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    shifts = [m * hop for m in range(count)]
    r = [(taper[: max(64 - s, 0)] @ taper[s:] / (taper @ taper)) ** 2 for s in shifts]
    samples = 64 + (count - 1) * hop
    expected = 2 / np.mean(np.array(r)[lags])
    np.testing.assert_allclose(welch.freedom(samples)[12:21], expected, rtol=1e-6)


@pytest.mark.parametrize("colour", STREAMS)
def test_estimates_are_unbiased_about_the_expected_density(colour):
    # 400 estimates of about 380 degrees of freedom each: 0.36 % (1 sigma) a bin
    made, truth = repeats(colour, Welch(segment=48, centre="none"))
    ratio = np.mean([one.density for one in made], axis=0) / truth
    assert np.abs(ratio - 1).max() < 0.02


def test_the_mean_over_a_turn_is_the_power():
    x = np.random.default_rng(1).standard_normal((64, 3))
    whole = Welch(segment=64, overlap=0.0, window="boxcar", centre="none").estimate(x)
    assert whole.power == pytest.approx(np.mean(x**2), rel=1e-12)
    odd = Welch(segment=63, overlap=0.0, window="boxcar", centre="none").estimate(x[:63])
    assert odd.power == pytest.approx(np.mean(x[:63] ** 2), rel=1e-12)
    assert whole.omega[-1] == pytest.approx(np.pi)


def test_centring_takes_the_mean_of_each_stream_off_and_no_more():
    x = np.random.default_rng(2).standard_normal((500, 2))
    level = np.array([3.0, -5.0])
    plain = Welch(segment=50, centre="none").estimate(x - x.mean(axis=0))
    centred = Welch(segment=50).estimate(x + level)
    np.testing.assert_allclose(centred.density, plain.density, rtol=1e-9)
    assert Welch(segment=50, centre="none").estimate(x + level).density[0] > 100 * plain.density[0]


def test_a_telegraph_shows_its_density():
    chopper = Chopper(p=0.1, scope="cell", seed=3)
    welch = Welch(segment=256)
    made = welch.estimate(chopper.signs(0, 4096, 40))
    truth = welch.expected(chopper.psd, chopper.lines())
    inside = (made.low <= truth) & (truth <= made.high)
    assert made.interval == "cells"
    # 129 bins, neighbours correlated: 95 % +- 3 % (1 sigma); the first bin is biased by centring
    assert inside[1:].mean() > 0.86
    np.testing.assert_allclose(truth[2:], chopper.psd(made.omega)[2:], rtol=0.01)


def test_the_lines_of_a_periodic_chopper_stand_where_and_as_high_as_expected():
    chopper = PeriodicChopper(half_period=8)
    welch = Welch(segment=64, centre="none")
    made = welch.estimate(chopper.signs(0, 16 * 64).astype(float))
    truth = welch.expected(chopper.psd, chopper.lines())
    np.testing.assert_allclose(made.density, truth, atol=1e-9 * truth.max())
    high = truth > 1e-6 * truth.max()
    peaks = 1 + np.flatnonzero(high[1:-1] & (truth[1:-1] > truth[:-2]) & (truth[1:-1] > truth[2:]))
    np.testing.assert_array_equal(peaks, [4, 12, 20, 28])


def test_the_line_at_zero_is_left_out_when_the_mean_is_taken_off():
    chopper = PeriodicChopper(half_period=8, duty=0.25)
    signs = chopper.signs(0, 16 * 64).astype(float)
    for centre in ("none", "stream"):
        welch = Welch(segment=64, centre=centre)
        truth = welch.expected(chopper.psd, chopper.lines())
        np.testing.assert_allclose(welch.estimate(signs).density, truth, atol=1e-9 * truth.max())


def test_streams_with_a_chopper_in_common_count_as_one():
    signs = np.repeat(Chopper(p=0.1, seed=1).signs(0, 2000)[:, None], 30, axis=1)
    welch = Welch(segment=100)
    together = welch.estimate(signs, independent=False)
    one = welch.estimate(signs[:, 0])
    np.testing.assert_allclose(together.low, one.low)
    np.testing.assert_allclose(together.high, one.high)
    assert together.interval == "chi-square"


TONES = Tones.spaced(512, 12, amplitude=0.3, seed=4)


@pytest.mark.parametrize(
    "chain",
    [EMA(eta=0.05), Boxcar(length=20), Chain(EMA(eta=0.1), CIC(length=8, order=2))],
    ids=lambda block: block.label(),
)
def test_tones_through_a_linear_chain_give_its_response(chain):
    x = TONES.samples(4 * 512)
    y, _ = chain.process(x)
    made = TONES.response(x, y, skip=2)
    np.testing.assert_allclose(made.gain, chain.frequency_response(TONES.omega), atol=1e-9)
    np.testing.assert_allclose(made.coherence, 1, atol=1e-9)
    assert made.averages == 2
    assert made.half_width.max() < 1e-9


def test_intervals_of_a_noisy_response_cover_its_gain():
    # 12 tones x 200 repeats: 95 % +- 0.45 % (1 sigma)
    rng, chain = np.random.default_rng(5), EMA(eta=0.1)
    x, truth = TONES.samples(4 * 512), chain.frequency_response(TONES.omega)
    clean = chain.process(x)[0][:, None]
    size, phase = [], []
    for _ in range(200):
        made = TONES.response(x, clean + 0.2 * rng.standard_normal((len(x), 2)))
        size.append(np.abs(np.abs(made.gain) - np.abs(truth)) <= made.half_width)
        phase.append(np.abs(np.angle(made.gain / truth)) <= made.phase_half_width)
    assert np.mean(size) == pytest.approx(0.95, abs=0.02)
    assert np.mean(phase) == pytest.approx(0.95, abs=0.02)


def test_coherence_is_the_share_of_the_output_that_the_tones_explain():
    # at a tone the signal has (A period / 2)^2, the noise period: coherence 1 / (1 + noise / signal)
    rng = np.random.default_rng(6)
    x = TONES.samples(200 * 512)
    made = TONES.response(x, x + 2.0 * rng.standard_normal(len(x)), skip=0)
    signal = (0.3 * 512 / 2) ** 2
    np.testing.assert_allclose(made.coherence, signal / (signal + 4 * 512), atol=0.05)


def test_cells_with_common_noise_count_as_one_stream():
    # noise that all 20 cells share: as independent ones their interval is too narrow by sqrt(20)
    rng = np.random.default_rng(9)
    x = TONES.samples(40 * 512)
    y = np.repeat((x + rng.standard_normal(len(x)))[:, None], 20, axis=1)
    right, wrong = (TONES.response(x, y, independent=kind) for kind in (False, True))
    one = TONES.response(x, y[:, 0])
    np.testing.assert_allclose(right.half_width, one.half_width)
    np.testing.assert_allclose(right.gain, wrong.gain)
    assert (right.averages, wrong.averages) == (39, 780)
    np.testing.assert_allclose(right.half_width / wrong.half_width, np.sqrt(20), rtol=0.05)


def test_one_average_has_a_gain_but_no_interval():
    made = TONES.response(TONES.samples(512), TONES.samples(512), skip=0)
    np.testing.assert_allclose(made.gain, 1, atol=1e-12)
    assert np.isnan(made.half_width).all()
    assert np.isnan(made.phase_half_width).all()


def test_tones_repeat_have_their_power_and_go_on_where_they_were_cut():
    x = TONES.samples(1024)
    np.testing.assert_array_equal(x[:512], x[512:])
    assert np.mean(x**2) == pytest.approx(len(TONES.bins) * 0.3**2 / 2)
    np.testing.assert_array_equal(TONES.samples(300, first=700), TONES.samples(1000)[700:])
    assert all(k % 2 for k in TONES.bins)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Welch(segment=4), "segment must be a whole number >= 8, got 4"),
        (lambda: Welch(segment=64, overlap=1.0), "overlap must lie in 0 .. 0.95, got 1.0"),
        (lambda: Welch(segment=64, window="hamn"), "without parameters, got 'hamn'"),
        (lambda: Welch(segment=64, window="kaiser"), "without parameters, got 'kaiser'"),
        (lambda: Welch(segment=64, centre="mean"), "unknown centre 'mean'"),
        (lambda: Welch(segment=64).estimate(np.ones(63)), "a segment of 64 samples, got 63"),
        (lambda: Welch(segment=64).estimate([np.nan] * 64), "must be a finite number"),
        (lambda: Welch(segment=64).estimate(np.ones((64, 2, 2))), "not empty, got shape [64, 2, 2]"),
        (
            lambda: Welch(segment=8).estimate(np.ones(64), interval="cells"),
            "two independent cells or more, got 1",
        ),
        (lambda: Welch(segment=8).estimate(np.ones(64), interval="normal"), "unknown interval 'normal'"),
        (lambda: Tones(period=16, bins=(8,)), "below 8, got [8]"),
        (lambda: Tones(period=16, bins=(1, 1)), "below 8, got [1, 1]"),
        (lambda: Tones(period=16, bins=(1,), amplitude=0), "amplitude must be > 0, got 0"),
        (lambda: TONES.response(np.ones(512), np.ones(511)), "must have equal shapes"),
        (lambda: TONES.response(np.ones(512), np.ones(512)), "got 512 samples with skip = 1"),
        (lambda: TONES.response(np.ones(1024), np.ones(1024)), "x must have power at every tone"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError) as error:
        make()
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_inputs_are_left_as_they_were():
    x = np.random.default_rng(8).standard_normal((1024, 2))
    x.flags.writeable = False
    Welch(segment=64).estimate(x)
    TONES.response(x + TONES.samples(1024)[:, None], x)
