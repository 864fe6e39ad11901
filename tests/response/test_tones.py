"""A tone in the gradient of a closed loop, read in P, Q and W, against the linear model."""

import numpy as np
import pytest

from sptrack.devices import Device, Spread
from sptrack.errors import ParameterError
from sptrack.response.tones import held_reference, measure_loop, tone_loop
from sptrack.spectrum import Tones
from sptrack.tracking import ProblemSettings, Tracker, method, problem, with_settings

pytestmark = pytest.mark.compiled

TONES = Tones.spaced(2048, 6, amplitude=0.05, seed=2, lowest=5)


def test_rider_passes_the_tone_to_p_q_and_w():
    """From its equilibrium (optimum and symmetric points at 0): gains within 4 %, phases within 0.06 rad."""
    settings = ProblemSettings(size=128, low=0.5, high=0.5, spread=0.0, device=Device(spread=Spread()))
    chosen = method("rider", alpha=0.02, beta=0.01, gamma=0.3, eta=0.005)
    made = measure_loop(problem("separable", settings, seed=1), chosen, TONES, blocks=6, skip=3, seed=3)
    for name in "pqw":
        found, predicted = getattr(made, name), getattr(made.predicted, name)
        strong = found.coherence > 0.99
        assert strong[:3].all()
        ratio = found.gain[strong] / predicted[strong]
        assert np.abs(np.abs(ratio) - 1).max() < 0.04
        assert np.abs(np.angle(ratio)).max() < 0.06


def test_a_chopped_loop_shows_the_tone_in_w_and_hides_it_from_q():
    """E-RIDER with its default rates and spread of cells: within three half widths of the model."""
    settings = ProblemSettings(size=128, low=0.5, high=0.5, spread=0.2)
    made = measure_loop(
        problem("separable", settings, seed=1), method("e-rider"), TONES, blocks=12, skip=6, seed=3
    )
    for name, known in (("p", 6), ("w", 3)):
        found, predicted = getattr(made, name), getattr(made.predicted, name)
        error = np.abs(found.gain - predicted)[:known]
        assert (error < 3 * found.half_width[:known]).all()
        assert (found.half_width < 0.3 * np.abs(found.gain))[:known].all()
    # the model has nothing at the tone in Q: 3 half widths are 6 sigma, each of 6 tones
    assert (np.abs(made.q.gain) < 3 * made.q.half_width).all()
    unchopped = 0.005 / np.abs(1 - 0.995 * np.exp(-1j * TONES.omega)) * np.abs(made.predicted.p)
    assert (np.abs(made.q.gain) < 0.3 * unchopped)[1:3].all()


def test_the_held_reference_is_that_of_the_last_flip():
    settings = ProblemSettings(size=8)
    kept = Tracker(problem("separable", settings), method("e-rider", p=0.1), seed=1).record(300)
    copy = held_reference(kept.signs, kept.q, np.zeros((1, 8)))
    flips = np.flatnonzero(kept.signs[1:, 0] != kept.signs[:-1, 0]) + 1
    assert (copy[: flips[0]] == 0).all()
    for first, last in zip(flips, [*flips[1:], 300], strict=True):
        np.testing.assert_array_equal(copy[first:last], np.broadcast_to(kept.q[first - 1], (last - first, 8)))


@pytest.mark.parametrize(
    ("name", "chosen", "text"),
    [
        ("quadratic", method("e-rider"), "separable"),
        ("separable", method("sgd"), "RIDER or E-RIDER"),
        ("separable", method("agad"), "RIDER or E-RIDER"),
        ("separable", method("oracle"), "RIDER or E-RIDER"),
        ("separable", with_settings(method("e-rider"), half_period=9), "telegraph"),
        ("separable", with_settings(method("e-rider"), chopper=None), "telegraph"),
    ],
)
def test_loops_without_a_model_are_refused(name, chosen, text):
    with pytest.raises(ParameterError, match=text):
        tone_loop(problem(name, ProblemSettings(size=4)), chosen)


def test_one_block_has_no_interval():
    with pytest.raises(ParameterError, match="blocks must be a whole number >= 2, got 1"):
        measure_loop(problem("separable", ProblemSettings(size=4)), method("e-rider"), TONES, blocks=1)
