"""The loop's answer to a tone: against the recursions it stands for, run as they are."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.theory import mean_size
from sptrack.theory.chopping import telegraph_gain
from sptrack.theory.tones import ToneLoop, pulsed_balance

OMEGA = np.array([2 * np.pi * k / 256 for k in (1, 5, 40, 111)])
SETTINGS = {
    "step": 0.02, "pole": 0.98, "transfer": 0.05, "drag": 0.999, "curvature": 0.5, "gamma": 0.4, "eta": 0.02,
}  # fmt: skip


def settled(signal, period=256):
    """Transform at OMEGA of the last period."""
    return np.fft.rfft(signal[-period:], axis=0)[[1, 5, 40, 111]]


def tone(steps):
    return np.cos(np.outer(np.arange(steps), OMEGA)).sum(axis=1)


def test_rider_is_its_recursion():
    s, u = SETTINGS, tone(256 * 80)
    p = q = w = 0.0
    rows = []
    for k in range(len(u)):
        g = s["curvature"] * (w + s["gamma"] * (p - q)) + u[k]
        p = s["pole"] * p - s["step"] * g
        d = p - q
        q = (1 - s["eta"]) * q + s["eta"] * p
        w = s["drag"] * w + s["transfer"] * d
        rows.append((p, q, w))
    found = np.array(rows)
    gains = ToneLoop(**s, correlation=None).gains(OMEGA)
    for name, column in zip("pqw", found.T, strict=True):
        np.testing.assert_allclose(getattr(gains, name), settled(column) / settled(u), rtol=1e-6)


def test_a_chopped_loop_is_its_recursion_in_the_mean():
    # mean over 40000 choppers of the recursion of P itself: 3 sigma at each frequency
    s, u, runs = SETTINGS, tone(256 * 5), 40000
    rng, r = np.random.default_rng(3), 0.9
    x, w, sign = np.zeros(runs), np.zeros(runs), np.ones(runs)
    rows = np.empty((len(u), 2, 2))
    for k in range(len(u)):
        sign = np.where(rng.random(runs) < (1 - r) / 2, -sign, sign)
        g = s["curvature"] * (w + s["gamma"] * sign * x) + u[k]
        x = s["pole"] * x - s["step"] * sign * g
        w = s["drag"] * w + s["transfer"] * sign * x
        rows[k] = [(sign * x).mean(), (sign * x).std()], [w.mean(), w.std()]
    gains = ToneLoop(**s, correlation=r).gains(OMEGA)
    for k, name in enumerate("pw"):
        error = 4 * rows[-256:, k, 1].max() / np.sqrt(runs) * 256 / np.abs(settled(u))
        assert (np.abs(getattr(gains, name) - settled(rows[:, k, 0]) / settled(u)) < error).all()
    np.testing.assert_array_equal(gains.q, 0)


def test_without_transfer_the_gain_at_zero_is_that_of_the_demodulated_mean():
    made = ToneLoop(**SETTINGS | {"transfer": 0.0, "curvature": 0.0}, correlation=0.8)
    gains = made.gains(np.array([1e-9]))
    assert gains.p[0] == pytest.approx(-0.02 * float(telegraph_gain(0.98, 0.8)), rel=1e-6)


def test_a_slow_tone_is_followed_by_w():
    """At omega = 0 an ideal W (no drag) moves by -u/h, so that the gradient is 0, if there is a chopper.

    RIDER stops short: W - (b/eta) Q is conserved, so Q = P goes along, and its pull balances a gradient.
    """
    chopped, plain = (
        ToneLoop(**SETTINGS | {"drag": 1.0}, correlation=r).gains(np.array([1e-7])).w[0] for r in (0.9, None)
    )
    assert chopped == pytest.approx(-1 / 0.5, rel=1e-3)
    assert plain == pytest.approx(-0.02 / (0.02 * 0.5 + (1 - 0.98) * 0.02 / 0.05), rel=1e-3)


def test_balance_is_where_pulses_neither_raise_nor_lower():
    f, g, s = np.array([1.0, 0.8, 1.0]), np.array([0.0, 0.3, -0.6]), np.array([0.1, 0.2, 0.3])
    made = pulsed_balance(f, g, s)
    np.testing.assert_allclose(made.mean * f, made.size * g, atol=1e-12)
    np.testing.assert_allclose(made.size, mean_size(made.mean, s))
    step = 1e-6
    drift = [(made.mean + e) * f - mean_size(made.mean + e, s) * g for e in (step, -step)]
    np.testing.assert_allclose(made.gain, (drift[0] - drift[1]) / (2 * step), rtol=1e-6)


def test_an_unstable_loop_is_refused():
    with pytest.raises(ParameterError, match="unstable loop"):
        ToneLoop(**SETTINGS | {"pole": 1.1}, correlation=0.99).gains(OMEGA)
