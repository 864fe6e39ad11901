"""The observer that takes the response as known, on another: against its definition in plain numpy."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.theory.known_response import KnownResponse, known_response_error
from sptrack.theory.observer import NormalDrive, ObservedCell, observer_error

LANES = 4000
CELL = ObservedCell(dw_min=0.001, level=0.85, slope=1.3, pulse=0.01, relative=0.09, counts="known")
DRIVE = NormalDrive(mean=-0.002, std=0.004)


def simulated(level, slope, *, tilt=0.0, start=0.0, keep=1.0, steps=3000, drive=DRIVE):
    """Estimates less the symmetric point [lanes]: sums over steps of z, each with information w A^2 ~ A.

    Reads are exact and at every step; a step adds pulse noise of the cell's variance per pulse.
    """
    rng = np.random.default_rng(5)
    x, top, bottom = np.full(LANES, float(start)), np.zeros(LANES), np.zeros(LANES)
    power = CELL.pulse + CELL.relative * CELL.level**2
    for _ in range(steps):
        asked = drive.mean + drive.std * rng.standard_normal(LANES)
        size = np.abs(asked)
        noise = CELL.dw_min * np.sqrt(size / CELL.dw_min * power) * rng.standard_normal(LANES)
        moved = asked * (CELL.level + tilt * x) - size * CELL.slope * x + noise
        top = keep * top + size * x + (moved - asked * level) / slope
        bottom = keep * bottom + size
        x = x + moved
    return top / bottom


@pytest.mark.parametrize(
    ("level", "slope", "options"),
    [
        (0.85, 1.3, {}),
        (0.85, 1.0, {"start": 0.4}),
        (1.1, 1.3, {"start": -0.3}),
        (1.0, 1.0, {"tilt": 0.25, "start": 0.3}),
        (1.0, 1.0, {"keep": 1 - 2e-3, "start": 0.3}),
        (1.0, 1.0, {"drive": NormalDrive(mean=0.0, std=0.004), "start": 0.5}),
        (1.2, 0.9, {"steps": 300, "start": 0.5}),
    ],
)
def test_mean_and_spread_are_those_of_the_definition(level, slope, options):
    """4000 lanes: the mean within 4 errors and 3 % of itself, the std within 8 %: the law is of first order.

    4 sigma of a std are 4/sqrt(2 * 4000) = 4.5 %. One run is as short as 1.4 times the way back of P.
    """
    found = simulated(level, slope, **options)
    told = {name: options[name] for name in ("tilt", "start") if name in options}
    steps = options.get("steps", 3000)
    law = known_response_error(
        CELL,
        options.get("drive", DRIVE),
        KnownResponse(level, slope),
        forgetting=1 - options.get("keep", 1.0),
        steps=steps,
        **told,
    )
    error = 4 * found.std() / np.sqrt(LANES)
    assert abs(found.mean() - law.mean) < error + 0.03 * abs(law.mean) + 2e-4
    assert found.std() == pytest.approx(law.std, rel=0.08)


def test_the_right_response_leaves_the_error_of_the_observer():
    law = known_response_error(CELL, DRIVE, KnownResponse(CELL.level, CELL.slope), start=0.7, steps=2000.0)
    right = observer_error(CELL, DRIVE, every=1, steps=2000.0, form="scalar")
    assert law.mean == pytest.approx(0, abs=1e-15)
    assert law.std == pytest.approx(right.rms, rel=1e-12)


def test_in_the_long_run_the_mean_error_is_the_difference_of_two_places_of_rest():
    law = known_response_error(CELL, DRIVE, KnownResponse(1.0, 1.0), start=0.7, forgetting=1e-3, steps=1e6)
    lean = DRIVE.mean / DRIVE.size
    assert law.mean == pytest.approx(lean * (CELL.level / CELL.slope - 1.0))


@pytest.mark.parametrize(
    ("known", "steps", "name"),
    [
        ((0.0, 1.0), 100.0, "level"),
        ((1.0, -1.0), 100.0, "slope"),
        ((1.0, 1.0), 0.5, "steps"),
        ((1.0, 1.0), np.inf, "steps"),
    ],
)
def test_values_outside_their_range_are_refused(known, steps, name):
    with pytest.raises(ParameterError, match=name):
        known_response_error(CELL, DRIVE, KnownResponse(*known), steps=steps)
