import dataclasses
import math

import numpy as np
import pytest

from sptrack.devices.constants import response_constants
from sptrack.errors import ParameterError
from sptrack.theory.bounds import BOUND_NAMES, corollary_pulses, zero_shifting_bounds
from tests.theory.standins import (
    Noise,
    ResponseCells,
    exponential_cells,
    linear_cells,
    measure,
    power_cells,
    sticking_cells,
)

DEVICES = {
    "linear 1/1": lambda h, noise: linear_cells(1.0, 1.0, h, noise=noise),
    "linear array": lambda h, noise: linear_cells([1.3, 1.0, 0.6], [0.7, 1.0, 1.1], h, noise=noise),
    "exponential": exponential_cells,
    "square law": lambda h, noise: power_cells(h, 2.0, noise),
    "square root": lambda h, noise: power_cells(h, 0.5, noise),
}
VOID = {"square law": {"TC.4"}, "square root": {"T2.2", "TC.3", "TC.4"}}


def samples_for(cells, kind):
    return 1 if kind.mode == "cyclic" and cells.cycle_noise.std == 0 else 100


@pytest.mark.parametrize("noise", [Noise(), Noise(0.5), Noise(0.5, offset=0.01, slope=0.02)])
@pytest.mark.parametrize("device", DEVICES)
def test_corrected_bounds_hold_within_three_standard_errors(device, noise):
    """M = 100 where random, h = .02, from near a bound of the device: transient and floor both matter."""
    cells = DEVICES[device](0.02, noise)
    for name, bound in zero_shifting_bounds(cells, -0.8).items():
        assert bound.void == (name in VOID.get(device, ())), name
        if bound.void:
            assert math.isnan(bound.value(2))
            continue
        for pulses in (20, 300):
            mean, error = measure(cells, bound.kind, pulses, -0.8, samples_for(cells, bound.kind), seed=2)
            assert bound.value(pulses) >= mean - 3 * error, (name, pulses)


@pytest.mark.parametrize("name", BOUND_NAMES)
def test_additive_noise_is_bounded_on_linear_devices_and_refused_on_others(name):
    """M = 100, 3 standard errors; elsewhere the scale of additive noise is not defined."""
    noise = Noise(0.5, additive=True)
    bound = zero_shifting_bounds(DEVICES["linear array"](0.02, noise), -0.8)[name]
    mean, error = measure(DEVICES["linear array"](0.02, noise), bound.kind, 300, -0.8, 100, seed=3)
    assert bound.value(300) >= mean - 3 * error
    other = zero_shifting_bounds(DEVICES["exponential"](0.02, noise), -0.8)[name]
    assert other.void
    assert "cycle noise" in other.reason


@pytest.mark.parametrize(
    ("name", "pulses", "largest"),
    [("T2.2", 200, 1.15), ("TC.2", 20, 1.1), ("TC.3", 200, 2.1), ("TC.4", 20, 1.05), ("TC.4", 2000, 1.001)],
)
def test_corrected_bounds_are_tight_on_the_symmetric_linear_device(name, pulses, largest):
    """Halving any start value or dividing the C.4 floor would break these."""
    cells = linear_cells(1.0, 1.0, 0.01)
    bound = zero_shifting_bounds(cells, -0.8)[name]
    mean, error = measure(cells, bound.kind, pulses, -0.8, samples_for(cells, bound.kind), seed=4)
    assert mean - 3 * error <= bound.value(pulses) <= largest * (mean + 3 * error)


@pytest.mark.parametrize(("sigma", "largest"), [(0.0, 4.3), (0.5, 8.5)])
@pytest.mark.parametrize("name", BOUND_NAMES)
def test_floor_holds_and_a_tenth_of_it_fails(name, sigma, largest):
    """From the symmetric point only the floor is left.

    It is (q_max/q0)^2 = 4 times the truth, TC.4 without noise excepted; the noise term of TC.3 has another 2.
    """
    cells = linear_cells(np.ones(20), np.ones(20), 0.02, noise=Noise(sigma))
    bound = zero_shifting_bounds(cells, 0.0)[name]
    pulses = 1000
    mean, error = measure(cells, bound.kind, pulses, 0.0, samples_for(cells, bound.kind), seed=6)
    wrong = dataclasses.replace(bound, law=lambda n: bound.law(n) - 0.9 * bound.floor)
    assert mean - 3 * error <= bound.value(pulses) <= largest * mean
    assert wrong.value(pulses) < mean - 3 * error


@pytest.mark.parametrize("name", ["T2.2", "TC.3"])
def test_a_halved_start_potential_fails(name):
    cells = linear_cells(1.0, 1.0, 1e-3)
    bound = zero_shifting_bounds(cells, -0.8)[name]
    share = 0.5 if name == "T2.2" else 0.25
    wrong = dataclasses.replace(bound, law=lambda n: share * (bound.law(n) - bound.floor) + bound.floor)
    mean, error = measure(cells, bound.kind, 4000, -0.8, samples_for(cells, bound.kind), seed=7)
    assert wrong.value(4000) < mean - 3 * error


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_corrected_cyclic_bounds_are_their_formulas(sigma):
    """On q = 1 -+ w: q_max = 2, q_0 = L = Lip(q_minus) = mu = 1; v = 4 sigma^2, phi = w^2/2, x = w.

    TC.3: 2 phi/(N h) + h^2 (q_max^2 + v)/4 + h v (1 + h).
    TC.4: (h/(2 - h) + sqrt((1 - h)^(2 N) x^2 + h v/(2 - h)))^2.
    """
    h, start, v = 0.02, -0.8, 4 * sigma**2
    made = zero_shifting_bounds(linear_cells(1.0, 1.0, h, noise=Noise(sigma)), start)
    for pulses in (20, 400, 100_000):
        mean = start**2 / (pulses * h) + h**2 * (4 + v) / 4 + h * v * (1 + h)
        last = (h / (2 - h) + math.sqrt((1 - h) ** (2 * pulses) * start**2 + h * v / (2 - h))) ** 2
        assert made["TC.3"].value(pulses) == pytest.approx(mean, rel=1e-6)
        assert made["TC.4"].value(pulses) == pytest.approx(last, rel=1e-6)


def test_printed_cyclic_bound_fails_on_a_locally_steep_mean_response():
    """The weight sticks at -.5 with G^2 = 2.5e-3; the printed floor is 1.3e-3, the corrected one 6.0e-3."""
    cells, pulses = sticking_cells(), 20_000
    printed = zero_shifting_bounds(cells, -0.5, form="printed")["TC.3"]
    corrected = zero_shifting_bounds(cells, -0.5)["TC.3"]
    stuck, _ = measure(cells, printed.kind, pulses, -0.5)
    assert stuck == pytest.approx(2.47e-3, rel=0.01)
    assert printed.applies.all()
    assert printed.floor == pytest.approx(1.28e-3, rel=0.01)
    assert printed.value(pulses) < stuck
    measured, _ = measure(cells, corrected.kind, pulses, -0.5)
    assert measured <= corrected.value(pulses) <= 3 * measured


def test_corrected_cyclic_bound_survives_noise_on_the_steep_device():
    """M = 100, sigma = .5: noise enters through the slope of q_minus as well."""
    cells = dataclasses.replace(sticking_cells(), cycle_noise=Noise(0.5))
    bound = zero_shifting_bounds(cells, -0.5)["TC.3"]
    mean, error = measure(cells, bound.kind, 1000, -0.5, 100, seed=8)
    assert bound.value(1000) >= mean - 3 * error


def test_printed_bounds_fail_on_many_cells_for_want_of_a_sum():
    """64 cells at their symmetric point: measured sum of G^2 over the printed floor is 64/4 = 16."""
    cells = linear_cells(np.ones(64), np.ones(64), 0.01)
    printed = zero_shifting_bounds(cells, form="printed")["T2.2"]
    corrected = zero_shifting_bounds(cells)["T2.2"]
    mean, error = measure(cells, printed.kind, 1500, 0.0, 20, seed=9)
    assert printed.value(1500) == pytest.approx(0.02)
    assert mean - 3 * error > 10 * printed.value(1500)
    assert mean < corrected.value(1500) == pytest.approx(1.28)


def test_printed_values_are_the_published_formulas():
    """q_max = 2, L_q = mu_q = 1, phi(w_0) = .32, ||w_0 - w*||^2 = .64."""
    h, pulses = 0.01, 100
    bounds = zero_shifting_bounds(linear_cells(1.0, 1.0, h), 0.8, form="printed")
    assert bounds["T2.2"].value(pulses) == pytest.approx(0.32 / (pulses * h) + h / 2 * 4)
    assert bounds["TC.2"].value(pulses) == pytest.approx((1 - 2 * h) ** pulses * 0.64 + 4 * h)
    assert bounds["TC.3"].value(pulses) == pytest.approx(0.32 / (pulses * h) + 1.5 * h * 4)
    assert bounds["TC.4"].value(pulses) == pytest.approx((1 - 2 * h) ** pulses * 0.64 + h * 4 * (4 + 1 + 2))


def test_error_bounds_of_several_cells_add_up():
    plus, minus = [1.3, 0.6], [0.7, 1.1]
    whole = zero_shifting_bounds(linear_cells(plus, minus, 0.01, noise=Noise(0.3)), 0.5)
    parts = [
        zero_shifting_bounds(linear_cells(p, m, 0.01, noise=Noise(0.3)), 0.5)
        for p, m in zip(plus, minus, strict=True)
    ]
    for name, bound in whole.items():
        assert bound.value(50) == pytest.approx(sum(part[name].value(50) for part in parts), rel=1e-13)


def test_cells_out_of_reach_of_a_bound_are_left_out_with_the_reason():
    """Second cell without a symmetric point, third overshoots: h times the slope is 1.5."""
    live = np.array([True, False, True])
    cells = linear_cells([1.0, 1.0, 30.0], [1.0, 1.0, 30.0], 0.05, live=live)
    bound = zero_shifting_bounds(cells)["TC.4"]
    np.testing.assert_array_equal(bound.applies, [True, False, False])
    assert bound.reason.startswith("symmetric point inside the interval by one pulse fails in 2 cells")
    alone = zero_shifting_bounds(linear_cells(1.0, 1.0, 0.05))["TC.4"]
    assert bound.value(10) == alone.value(10)


def test_sub_interval_rescues_the_contraction_bound_without_noise_only():
    interval, start, pulses = (-0.25, 0.45), -0.2, 200
    cells = power_cells(0.01, 2.0)
    bounds = zero_shifting_bounds(cells, start, interval=interval)
    mean, _ = measure(cells, bounds["TC.4"].kind, pulses, start)
    assert mean <= bounds["TC.4"].value(pulses) <= 5 * mean
    assert bounds["T2.2"].void
    noisy = zero_shifting_bounds(power_cells(0.01, 2.0, Noise(0.1)), start, interval=interval)
    assert noisy["TC.4"].void
    assert "interval never left" in noisy["TC.4"].reason
    tight = zero_shifting_bounds(cells, start, interval=(-0.2, 0.45))
    assert tight["TC.4"].void


def test_no_bound_where_the_asymmetry_has_no_zero_inside():
    cells = ResponseCells(q_plus=lambda w: 1.5 - w, q_minus=lambda w: 0.2 + 0 * w, dw_min=0.01)
    assert all(bound.void for bound in zero_shifting_bounds(cells).values())


@pytest.mark.parametrize("form", ["printed", "corrected"])
@pytest.mark.parametrize("name", BOUND_NAMES)
def test_pulses_to_target_is_the_first_number_that_the_bound_grants(name, form):
    cells = linear_cells([1.3, 0.6], [0.7, 1.1], 1e-3, noise=Noise(0.3))
    bound = zero_shifting_bounds(cells, 0.7, form=form)[name]
    unit = 2 if bound.kind.mode == "cyclic" else 1
    needed = bound.pulses_to(1.05 * bound.floor)
    assert needed.pulses % unit == 0
    assert bound.value(needed.pulses) <= 1.05 * bound.floor < bound.value(needed.pulses - unit)
    refused = bound.pulses_to(0.99 * bound.floor)
    assert refused.pulses is None
    assert "floor" in refused.reason


def test_void_bound_gives_its_premise_as_the_reason():
    bound = zero_shifting_bounds(power_cells(1e-3, 0.5))["T2.2"]
    needed = bound.pulses_to(0.1)
    assert needed.pulses is None
    assert "finite slope of G fails in 1 cells" in needed.reason


def test_corollary_pulses_are_the_published_formula_and_suffice():
    """q_max = 2, mu = 1, ||w_0 - w*||^2 = .64 for one cell; kappa = 1.25."""
    h = 1e-3
    cells = linear_cells(1.0, 1.0, h, noise=Noise(0.5))
    printed, corrected = (corollary_pulses(cells, 0.02, 0.8, form=form) for form in ("printed", "corrected"))
    assert printed.pulses == corrected.pulses == math.ceil(math.log(2 * 0.64 / 0.02) / (2 * h))
    assert printed.floor == pytest.approx(8 * h)
    assert corrected.floor == pytest.approx(1.25 * 4 * h)
    assert zero_shifting_bounds(cells, 0.8)["TC.2"].value(corrected.pulses) <= 0.02
    below = corollary_pulses(cells, 4.9e-3, 0.8)
    assert below.pulses is None
    assert "floor" in below.reason


def test_corollary_with_several_cells_suffices():
    cells = linear_cells([1.3, 1.0, 0.6], [0.7, 1.0, 1.1], 1e-3)
    bound = zero_shifting_bounds(cells, 0.8)["TC.2"]
    floor = corollary_pulses(cells, 1.0, 0.8).floor
    needed = corollary_pulses(cells, 1.01 * floor, 0.8)
    assert bound.value(needed.pulses) <= 1.01 * floor


def test_inputs_stay_untouched():
    start, plus, minus = np.array([0.1, -0.2]), np.array([1.3, 0.6]), np.array([0.7, 1.1])
    for array in (start, plus, minus):
        array.flags.writeable = False
    cells = linear_cells(plus, minus, 0.01)
    constants = response_constants(cells)
    zero_shifting_bounds(cells, start, constants=constants)
    corollary_pulses(cells, 1.0, start)


def test_refusals():
    cells = linear_cells(1.0, 1.0, 0.01)
    bounds = zero_shifting_bounds(cells)
    with pytest.raises(ParameterError, match="even in cyclic"):
        bounds["TC.4"].value(3)
    with pytest.raises(ParameterError, match="pulses must be 1 or more, got 0"):
        bounds["T2.2"].value(0)
    with pytest.raises(ParameterError, match="target must be > 0, got -1"):
        bounds["T2.2"].pulses_to(-1)
    with pytest.raises(ParameterError, match="'loose'"):
        zero_shifting_bounds(cells, form="loose")
    with pytest.raises(ParameterError, match="finite"):
        zero_shifting_bounds(cells, np.inf)
