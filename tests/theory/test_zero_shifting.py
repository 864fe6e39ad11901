import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.theory.moments import Moments, program_map
from sptrack.theory.zero_shifting import (
    _BLOCK,
    ZeroShiftingCourse,
    array_offset,
    cyclic_limits,
    pulses_to_target,
    start_moments,
    stationary_moments,
    zero_shifting_map,
    zero_shifting_moments,
)
from tests.theory.standins import Noise, default_array, linear_cells

# pulses: mean, std and rms offset, stochastic then cyclic; array of Figure 1, dw_min 1e-3, cycle noise .3
TABLE = {
    500: ((-0.1900, -0.2022, 0.2853), (-0.1901, -0.2035, 0.2848)),
    1000: ((-0.1207, -0.1333, 0.1908), (-0.1209, -0.1342, 0.1897)),
    2000: ((-0.0511, -0.0608, 0.0924), (-0.0514, -0.0615, 0.0901)),
    4000: ((-0.0107, -0.0141, 0.0321), (-0.0110, -0.0146, 0.0252)),
    8000: ((-0.0007, -0.0005, 0.0208), (-0.0011, -0.0010, 0.0066)),
}


@pytest.fixture(scope="module")
def figure_cells():
    return default_array(200, 1e-3)


def iterate(moment_map, state):
    for _ in range(6):
        moment_map = moment_map.then(moment_map).then(moment_map)
        moment_map = moment_map.then(moment_map)
    return moment_map.apply(state)


def test_cyclic_limits_are_the_limits_of_the_iteration():
    cells = linear_cells([1.3, 1.0, 0.6], [0.7, 1.0, 1.1], 0.05, noise=Noise(0.3), tau=(-0.8, 1.2))
    limits = cyclic_limits(cells)
    start = start_moments(cells, 0.4)
    down = iterate(program_map(cells, [1, -1]), start)
    up = iterate(program_map(cells, [-1, 1]), start)
    np.testing.assert_allclose(limits.after_down, down.mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(limits.after_up, up.mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(stationary_moments(cells, "cyclic"), down, rtol=0, atol=1e-14)
    mixed = (1 - limits.up_weight) * limits.after_down + limits.up_weight * limits.after_up
    np.testing.assert_allclose(mixed, 0, atol=1e-17)


def test_plain_average_of_the_limits_keeps_its_bias():
    h, plus, minus = 0.02, 1.3, 0.7
    cells = linear_cells(plus, minus, h)
    limits = cyclic_limits(cells)
    q0 = cells.q_plus(cells.symmetric_point)
    bias = h * q0 * (plus - minus) / (2 * (plus + minus - h * plus * minus))
    np.testing.assert_allclose((limits.after_down + limits.after_up) / 2, bias, rtol=1e-12)


def test_stationary_stochastic_moments_are_the_closed_form():
    h, sigma, plus, minus = 0.02, 0.5, 1.3, 0.7
    cells = linear_cells(plus, minus, h, noise=Noise(sigma))
    kappa, q0 = 1 + sigma**2, cells.q_plus(cells.symmetric_point)
    moments = stationary_moments(cells, "stochastic")
    expected = h * kappa * q0**2 / (plus + minus - h * kappa * (plus**2 + minus**2) / 2)
    np.testing.assert_array_equal(moments.mean, 0)
    np.testing.assert_allclose(moments.variance, expected, rtol=1e-13)


def test_cyclic_variance_is_the_noise_share_of_the_stochastic_one():
    """sigma^2/(1 + sigma^2), up to a relative correction of order h."""
    cells = linear_cells([1.0, 1.3], [1.0, 0.7], 1e-4, noise=Noise(0.3))
    ratio = stationary_moments(cells, "cyclic").variance / stationary_moments(cells, "stochastic").variance
    np.testing.assert_allclose(ratio, 0.09 / 1.09, rtol=1e-3)


@pytest.mark.parametrize("pulses", TABLE)
@pytest.mark.parametrize(("mode", "column"), [("stochastic", 0), ("cyclic", 1)])
def test_array_offsets_of_figure_one(figure_cells, pulses, mode, column):
    """4 standard errors of 200 x 200 cells here and 512 x 512 there; the table is rounded to 5e-5."""
    moments = zero_shifting_moments(figure_cells, mode, pulses)
    offset = array_offset(figure_cells, moments)
    share = np.sqrt(1 / 200**2 + 1 / 512**2)
    mean, std, rms = TABLE[pulses][column]
    mean_error = moments.mean.std() * share
    truth = figure_cells.symmetric_point
    estimate = truth + moments.mean
    pull = (estimate - estimate.mean()) ** 2 / (2 * estimate.std()) - (truth - truth.mean()) ** 2 / (
        2 * truth.std()
    )
    square_error = moments.mean_square.std() * share / (2 * rms)
    assert abs(offset.mean - mean) < 4 * mean_error + 5e-5
    assert abs(offset.std - std) < 4 * pull.std() * share + 5e-5
    assert abs(offset.rms - rms) < 4 * square_error + 5e-5


def test_pulses_to_one_percent_of_the_mean_scale_as_one_over_granularity():
    """N h = 5.77 on 512 x 512 cells; 200 x 200 cells scatter by 0.24 % (20 seeds): four of these."""
    for dw_min in (1e-3, 1e-4):
        cells = default_array(200, dw_min)
        target = 0.01 * float(cells.symmetric_point.mean())
        pulses = pulses_to_target(cells, target, mode="stochastic", criterion="mean")
        assert pulses * dw_min == pytest.approx(5.77, rel=0.01)


def test_pulses_to_one_percent_rms_of_the_range(figure_cells):
    assert pulses_to_target(figure_cells, 0.02, mode="cyclic") == pytest.approx(4424, rel=0.02)
    assert pulses_to_target(figure_cells, 0.02, mode="stochastic") is None
    finer = default_array(200, 5e-4)
    assert pulses_to_target(finer, 0.02, mode="stochastic") == pytest.approx(10008, rel=0.02)


@pytest.mark.parametrize("mode", ["stochastic", "cyclic"])
@pytest.mark.parametrize("target", [0.299, 0.1, 0.06, 0.055])
def test_pulses_to_target_is_the_first_that_a_scan_finds(mode, target):
    cells = default_array(4, 5e-3, seed=1)
    pair, state, scanned = zero_shifting_map(cells, mode), start_moments(cells), 0
    while array_offset(cells, state).rms > target:
        state, scanned = pair.apply(state), scanned + 2
    assert pulses_to_target(cells, target, mode=mode) == scanned


def test_target_met_before_the_first_pulse_needs_none():
    cells = default_array(4, 1e-3)
    assert pulses_to_target(cells, 0.01, start=cells.symmetric_point) == 0


@pytest.mark.parametrize("mode", ["cyclic", "stochastic"])
def test_a_course_is_the_plain_sequence_of_pulses(mode):
    """More cells than a block, overshooting ones among them, against one application per pair of pulses."""
    size = _BLOCK + 37
    up = np.linspace(0.4, 1.6, size).reshape(1, size)
    up[0, 5] = 60.0
    cells = linear_cells(up, 2.0 - np.minimum(up, 1.9), 0.02, noise=Noise(0.3))
    course = ZeroShiftingCourse(cells, mode, 0.3)
    pairs, state = zero_shifting_map(cells, mode), zero_shifting_map(cells, mode).repeated(0)
    state, found = state.apply(start_moments(cells, 0.3)), course.after([0, 6, 14, 15])
    for count in range(8):
        if 2 * count in (0, 6, 14):
            one = found[(0, 6, 14).index(2 * count)]
            np.testing.assert_allclose(one.mean, state.mean, rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(one.variance, state.variance, rtol=1e-12, atol=1e-18)
        state = pairs.apply(state)
    assert np.isnan(found[3].mean).sum() == np.isnan(found[0].mean).sum() == 1
    np.testing.assert_array_equal(found[3], zero_shifting_moments(cells, mode, 15, 0.3))
    np.testing.assert_array_equal(course.limit(), stationary_moments(cells, mode))
    target = 1.5 * array_offset(cells, course.limit()).rms
    assert course.pulses_to(target) == ZeroShiftingCourse(cells, mode, 0.3).pulses_to(target)


def test_array_offset_counts_live_cells_and_the_noise_of_each():
    cells = linear_cells([1.2, 0.9, 1.0], [1.0, 1.0, 1.0], 1e-3, live=np.array([True, True, False]))
    offset = array_offset(cells, Moments(np.array([0.1, -0.3, np.nan]), np.array([0.02, 0.04, np.nan])))
    truth = cells.symmetric_point[:2]
    assert offset.cells == 2
    assert offset.mean == pytest.approx(-0.1)
    assert offset.rms == pytest.approx(np.sqrt((0.01 + 0.02 + 0.09 + 0.04) / 2))
    assert offset.std == pytest.approx(np.sqrt((truth + [0.1, -0.3]).var() + 0.03) - truth.std())


def test_refusals():
    cells = default_array(2, 1e-3)
    with pytest.raises(ParameterError, match="-0.1"):
        pulses_to_target(cells, -0.1)
    with pytest.raises(ParameterError, match="median"):
        pulses_to_target(cells, 0.1, criterion="median")
    with pytest.raises(ParameterError, match="-2"):
        zero_shifting_moments(cells, "cyclic", -2)
    with pytest.raises(ParameterError, match="finite"):
        zero_shifting_moments(cells, "cyclic", 2, np.nan)
    dead = linear_cells([1.0], [1.0], 1e-3, live=False)
    with pytest.raises(ParameterError, match="no cell"):
        pulses_to_target(dead, 0.1)
