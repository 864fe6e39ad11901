"""Candidates with an observer: predicted and simulated errors on cells with spread, for both forms."""

import numpy as np
import pytest

from sptrack.design import Requirements, Specification, check
from sptrack.design.observers import FORMS, predict_observers
from sptrack.design.specification import Gradient
from sptrack.devices import sample_cells
from sptrack.devices.presets import preset

pytestmark = pytest.mark.compiled


def specification(mean, read_noise=0.0, steps=4000):
    return Specification(
        requirements=Requirements(rms=1.0),
        device=preset("soft-bounds"),
        gradient=Gradient(mean=mean, std=0.2),
        steps=steps,
        read_noise=read_noise,
        train=False,
    )


def checked(spec, alpha, form):
    """The candidate of a form on 64 cells and its simulation with 4 noises."""
    cells = sample_cells(spec.device, (1, 64), seed=1)
    (one,) = predict_observers(spec, cells, np.array([alpha]), (form,))
    return one, {row.name: row for row in check(spec, cells, one, seeds=4, seed=3).rows}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("mean", "alpha"), [(0.02, 0.02), (0.02, 0.1)])
def test_errors_with_exact_reads_are_as_predicted(form, mean, alpha):
    """Within 20 % and half the 95 % interval over the noises; pulses within 10 %."""
    one, rows = checked(specification(mean), alpha, form)
    assert one.valid
    for name, tolerance in (("rms", 0.2), ("pulses", 0.1)):
        row = rows[name]
        half = (row.interval[1] - row.interval[0]) / 2
        assert abs(row.measured - row.predicted) <= tolerance * row.predicted + half, name


@pytest.mark.parametrize(
    ("mean", "read_noise", "alpha", "steps"),
    [(0.02, 0.0, 0.1, 4000), (0.1, 0.02, 0.05, 4000), (0.0, 0.02, 0.05, 8000)],
)
def test_a_known_response_settles_and_errs_as_predicted_whatever_the_gradient(mean, read_noise, alpha, steps):
    """Rms and settling within 20 % and half the interval, with a mean gradient five times the other's too.

    The spread of the cells, which the observer does not know of, is what the rms is made of.
    """
    _, rows = checked(specification(mean, read_noise, steps), alpha, "scalar")
    for name in ("rms", "settling"):
        row = rows[name]
        half = (row.interval[1] - row.interval[0]) / 2
        assert abs(row.measured - row.predicted) <= 0.2 * row.predicted + half, name
    assert rows["bias"].interval[0] <= rows["bias"].predicted <= rows["bias"].interval[1]


def test_both_forms_are_searched_with_the_same_reads():
    spec = specification(0.02)
    cells = sample_cells(spec.device, (1, 16), seed=1)
    made = list(predict_observers(spec, cells, np.array([0.02, 0.1])))
    assert [one.setting.estimator for one in made] == ["observer", "scalar-observer"] * 2
    assert all(one.method.observer is one.setting.reference for one in made)
    assert made[0].setting.every == made[1].setting.every
