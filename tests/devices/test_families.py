import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sptrack.devices import (
    Asymmetry,
    ConstantStep,
    CustomResponse,
    Device,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    SoftBounds,
    Spread,
    sample_cells,
)
from sptrack.errors import ParameterError
from tests.devices.zoo import RESPONSES, WITH_POINT, device, plain_steps

SHAPE = (3, 5)
EVERY = pytest.mark.parametrize("name", list(RESPONSES))
POINTED = pytest.mark.parametrize("name", WITH_POINT)


def inside(cells, shares):
    """Weights [len(shares), R, C] at these shares of each cell's range."""
    fraction = np.asarray(shares, np.float64)[:, None, None]
    return cells.lower + fraction * (cells.upper - cells.lower)


@EVERY
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 3e-7)])
def test_steps_follow_the_formula(name, dtype, rtol):
    cells = sample_cells(device(name), SHAPE, seed=2, dtype=dtype)
    w = inside(cells, [0.02, 0.3, 0.5, 0.77, 0.99])
    for got, truth in zip(cells.steps(w), plain_steps(cells, w), strict=True):
        np.testing.assert_allclose(got, truth, rtol=rtol, atol=1e-15)


@EVERY
def test_split_into_symmetric_and_asymmetric_part(name):
    cells = sample_cells(device(name), SHAPE, seed=3)
    w = inside(cells, [0.2, 0.6])
    np.testing.assert_allclose(cells.F(w) - cells.G(w), cells.q_plus(w), rtol=1e-12)
    np.testing.assert_allclose(cells.F(w) + cells.G(w), cells.q_minus(w), rtol=1e-12)


@POINTED
def test_both_steps_are_equal_at_the_symmetric_point(name):
    """Closed forms and bisection alike: to 1e-9 of the step."""
    cells = sample_cells(device(name), (20, 20), seed=4, dtype=np.float64)
    point = cells.symmetric_point
    has = np.isfinite(point)
    assert has.mean() > 0.9
    up, down = cells.steps(np.where(has, point, 0.0))
    np.testing.assert_allclose(up[has], down[has], rtol=1e-9)


@pytest.mark.parametrize("name", ["linear-step", "soft-bounds", "exp-step", "pow-step"])
def test_closed_form_equals_bisection(name):
    cells = sample_cells(device(name, shape=0.0), (10, 10), seed=5, dtype=np.float64)
    assert cells.device.response.symmetric_point(cells.law.cell) is not None
    closed = cells.symmetric_point
    has = np.isfinite(closed)
    assert has.sum() > 80
    np.testing.assert_allclose(closed[has], cells._bisect()[has], atol=1e-9)


def test_soft_bounds_point_by_hand():
    """w* = (a+ - a-)/(a+/tau_max - a-/tau_min) = 0.6/(1.3/0.5 + 0.7/2) with a+- = 1 +- 0.3."""
    description = Device(
        response=SoftBounds(w_max=0.5, w_min=-2.0), spread=Spread(asymmetry=Asymmetry(mean=0.3)), dw_min=0.01
    )
    cells = sample_cells(description, (1, 1), dtype=np.float64)
    assert cells.symmetric_point.item() == pytest.approx(0.6 / (1.3 / 0.5 + 0.7 / 2.0), rel=1e-14)


def test_constant_steps_have_no_symmetric_point():
    assert np.isnan(sample_cells(device("constant-step"), SHAPE).symmetric_point).all()


@EVERY
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), spread=st.floats(0.0, 0.3), fraction=st.floats(0.01, 0.99))
def test_steps_are_positive_inside_the_bounds(name, seed, spread, fraction):
    cells = sample_cells(device(name, spread=spread), SHAPE, seed=seed)
    for step in cells.steps(inside(cells, [fraction])):
        assert (step > 0).all() if name != "custom" else (step >= 0).all()


@POINTED
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), spread=st.floats(0.0, 0.3), fraction=st.floats(0.0, 0.95))
def test_pairs_of_pulses_drift_toward_the_symmetric_point(name, seed, spread, fraction):
    """G < 0 below the point and > 0 above it: the mean of a fair pair of pulses, -dw_min G, pulls back."""
    cells = sample_cells(device(name, spread=spread), SHAPE, seed=seed, dtype=np.float64)
    point = cells.symmetric_point
    has = np.isfinite(point)
    start = np.where(has, point, 0.0)
    below, above = (start + (1.0 - fraction) * (bound - start) for bound in (cells.lower, cells.upper))
    assert (cells.G(below)[has] < 0).all()
    assert (cells.G(above)[has] > 0).all()


@POINTED
def test_responses_are_monotone_toward_their_bounds(name):
    cells = sample_cells(device(name, shape=0.0), SHAPE, seed=6, dtype=np.float64)
    w = inside(cells, np.linspace(0.01, 0.99, 50))
    assert (np.diff(cells.q_plus(w), axis=0) <= 1e-15).all()
    assert (np.diff(cells.q_minus(w), axis=0) >= -1e-15).all()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SoftBounds(w_max=-1.0, w_min=1.0), "w_min < w_max"),
        (lambda: SoftBounds(w_max=float("nan")), "w_max = nan"),
        (lambda: SoftBounds(w_min=0.0), "w_min and w_max must lie below and above 0"),
        (lambda: LinearStep(gamma_up=-0.1), "gamma_up = -0.1"),
        (lambda: LinearStep(gamma_down=float("nan")), "gamma_down must be a finite number, got nan"),
        (lambda: LinearStep(w_min=0.1), "w_min and w_max must lie below and above 0"),
        (lambda: ExpStep(gamma_up=0.0), "gamma_up must be > 0, got 0.0"),
        (lambda: ExpStep(A_up=float("inf")), "A_up must be a finite number, got inf"),
        (lambda: PowStep(gamma_down=-1.0), "gamma_down must be > 0, got -1.0"),
        (lambda: PiecewiseStep(nodes_up=(1.0,), nodes_down=(1.0,)), "at least 2"),
        (lambda: PiecewiseStep(nodes_up=(1.0, 2.0), nodes_down=(1.0, 2.0, 3.0)), "2 up nodes and 3"),
        (lambda: PiecewiseStep(nodes_up=(1.0, -0.1), nodes_down=(1.0, 1.0)), "-0.1"),
        (lambda: PiecewiseStep(nodes_up=(1.0, float("nan")), nodes_down=(1.0, 1.0)), "nan"),
    ],
)
def test_bad_responses_are_refused_on_one_line(make, says):
    with pytest.raises(ParameterError) as caught:
        make()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("up", "down", "says"),
    [
        (lambda w: 0.5 - w, lambda w: 1.0 + w, r"q_plus\(0\.5\) = 0: must be finite and above 0"),
        (lambda w: 1.0 - w, lambda w: float("nan"), r"q_minus\(.*\) = nan"),
        (lambda w: 1.5 + w, lambda w: 1.6 + w, "q_plus rises"),
        (lambda w: 2.0 - w, lambda w: 3.0 - w, "q_minus falls"),
        (lambda w: 2.0 - w, lambda w: 4.0 + w, "no symmetric point"),
        (
            lambda w: 1.0 - min(0.0, w + 0.5) - max(0.0, w - 0.5),
            lambda w: 1.0 + min(0.0, w + 0.5) + max(0.0, w - 0.5),
            "not unique",
        ),
    ],
)
def test_a_custom_response_is_checked(up, down, says):
    with pytest.raises(ParameterError, match=says):
        CustomResponse(q_plus=up, q_minus=down)


def test_a_custom_response_without_parameters_runs():
    response = CustomResponse(q_plus=lambda w: 1.0 - 0.5 * w, q_minus=lambda w: 1.0 + 0.5 * w)
    cells = sample_cells(Device(response=response, spread=Spread(), dw_min=0.01), (2, 2))
    np.testing.assert_allclose(cells.symmetric_point, 0.0, atol=1e-12)
    np.testing.assert_allclose(cells.q_plus(0.4), 0.8, rtol=1e-7)


def test_families_differ_where_they_should():
    """At full range from the bound ahead a power step is whole; soft bounds are whole at w = 0."""
    flat = Spread()
    power = sample_cells(Device(response=PowStep(), spread=flat, dw_min=0.01), (1, 1))
    soft = sample_cells(Device(response=SoftBounds(), spread=flat, dw_min=0.01), (1, 1))
    constant = sample_cells(Device(response=ConstantStep(), spread=flat, dw_min=0.01), (1, 1))
    assert power.q_plus(-1.0).item() == pytest.approx(1.0)
    assert power.q_plus(0.0).item() == pytest.approx(0.5)
    assert soft.q_plus(0.0).item() == pytest.approx(1.0)
    assert constant.q_minus(0.9).item() == pytest.approx(1.0)


def test_two_custom_responses_keep_their_own_laws():
    """Both have one per-cell parameter and the same shapes: only the functions tell them apart."""
    soft = CustomResponse(
        q_plus=lambda w, c: c * (1.0 - w), q_minus=lambda w, c: c * (1.0 + w), parameters={"c": 1.0}
    )
    flat = CustomResponse(
        q_plus=lambda w, c: c - 0.5 * w, q_minus=lambda w, c: c + 0.5 * w, parameters={"c": 1.0}
    )
    for response, expected in ((soft, 0.6), (flat, 0.8), (soft, 0.6)):
        cells = sample_cells(Device(response=response, spread=Spread(), dw_min=0.01), (2, 2))
        np.testing.assert_allclose(cells.q_plus(0.4), expected, rtol=1e-6)
