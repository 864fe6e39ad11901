import numpy as np
import pytest

from sptrack.blocks import EMA, Chain, Chopper, Demodulator, LockIn, PeriodicChopper
from sptrack.errors import ParameterError
from tests.blocks.zoo import CHOPPERS


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
def test_demodulation_undoes_the_chopper(chopper):
    x = np.random.default_rng(1).normal(size=(30, 2, 3))
    np.testing.assert_array_equal(Chain(chopper, Demodulator(chopper=chopper)).process(x)[0], x)


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
@pytest.mark.parametrize("hold", [1, 3])
def test_output_is_held_from_each_flip_on(chopper, hold):
    x = np.random.default_rng(2).normal(size=(60, 2, 3))
    signs, flips = chopper.signs(0, 60, (2, 3)), chopper.flips(0, 60, (2, 3))
    expected = signs * x
    for k in range(60):
        recent = flips[max(0, k - hold + 1) : k + 1].any(axis=0)
        before = expected[k - 1] if k else np.zeros((2, 3))
        expected[k] = np.where(recent, before, expected[k])
    y, _ = Demodulator(chopper=chopper, hold=hold).process(x)
    np.testing.assert_array_equal(y, expected)


def test_hold_keeps_the_transient_of_a_filter_out():
    """x = c g through an EMA: after a flip the error is 2 g b**n / (1 + b**T), largest at the flip."""
    chopper, eta, g = PeriodicChopper(half_period=40), 0.2, 0.7
    errors = []
    for hold in (0, 20):
        chain = Chain(chopper, EMA(eta=eta), Demodulator(chopper=chopper, hold=hold))
        errors.append(np.abs(chain.process(np.full(800, g))[0][400:] - g).max())
    settled = (1 - eta) ** 40
    assert errors[0] == pytest.approx(2 * g * (1 - eta) / (1 + settled), rel=1e-9)
    assert errors[1] == pytest.approx(2 * g * (1 - eta) ** 21 / (1 + settled), rel=1e-9)


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
def test_lock_in_finds_the_chopped_signal_beside_any_constant(chopper):
    """Exact for stretches of any length, from the third stretch on."""
    signs, flips = chopper.signs(0, 80, (2, 3)), chopper.flips(0, 80, (2, 3))
    y, _ = LockIn(chopper=chopper).process(5.0 + 0.25 * signs)
    number = np.cumsum(flips, axis=0)
    np.testing.assert_array_equal(y[number < 2], 0.0)
    np.testing.assert_allclose(y[number >= 2], 0.25, atol=1e-14)


def test_lock_in_averages_whole_stretches():
    chopper = PeriodicChopper(half_period=3)
    x = np.random.default_rng(3).normal(size=30)
    means = (chopper.signs(0, 30) * x).reshape(-1, 3).mean(axis=1)
    y, _ = LockIn(chopper=chopper).process(x)
    np.testing.assert_allclose(y[6:], np.repeat((means[1:] + means[:-1]) / 2, 3)[:-3], atol=1e-14)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Demodulator(chopper=Chopper(p=0.1), hold=-1), "hold must .*a whole number >= 0.*got -1"),
        (
            lambda: Demodulator(chopper=Chopper(p=0.1, clock="read")),
            "must run on the step clock, got the read",
        ),
        (lambda: LockIn(chopper=EMA(eta=0.1)), "chopper must be a chopper, got EMA"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
