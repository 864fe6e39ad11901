"""Measured pulse responses: truth recovery on synthetic data, noise kept apart, bad files refused."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy.optimize import least_squares

from sptrack.devices.measured import PulseResponse, fit_pulse_response, read_pulse_response
from sptrack.devices.measured.device import Estimate, find_unidentified
from sptrack.devices.measured.fit import _block_length
from sptrack.devices.measured.laws import Piecewise, SoftBounds
from sptrack.devices.measured.statespace import likelihood, maximise, run_filter, simulate
from sptrack.errors import ParameterError

TRUTH = {
    "step_up": 0.02,
    "step_down": 0.016,
    "tau_max": 1.0,
    "tau_min": -1.0,
    "symmetric_point": 0.004 / 0.036,
}
READ_DOMINATED = {"read": 0.1, "cycle": 0.3}
CYCLE_DOMINATED = {"read": 0.005, "cycle": 2.0}


def synthetic(seed, *, n=150, read, cycle, slow=0.0, memory=8.0, scale=1.0):
    """Soft-bounds cell of TRUTH (steps times scale), up run from -0.6 and down run from 0.6."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1.0 / memory)
    runs = []
    for sign, step, state in ((1, 0.02 * scale, -0.6), (-1, 0.016 * scale, 0.6)):
        readings, drift = [], slow * rng.normal()
        for _ in range(n):
            readings.append(state + drift + read * rng.normal())
            state += sign * step * (1 - sign * state) * (1 + cycle * rng.normal())
            drift = keep * drift + np.sqrt(1 - keep**2) * slow * rng.normal()
        runs.append(np.array(readings))
    return PulseResponse(up=runs[0], down=runs[1])


def vector(read, cycle, *, slow=1e-9, memory=8.0, start=(-0.6, 0.6), coefficients=(0.02, 1.0, 0.016, 1.0)):
    return np.array([*start, *np.log([read, cycle, slow, memory, *coefficients])])


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


def near(estimate, truth):
    """Within 4 standard deviations, a 95 % interval being 3.92 wide."""
    return abs(estimate.value - truth) < 4.0 * (estimate.high - estimate.low) / 3.92


@pytest.fixture(scope="module")
def read_dominated():
    return fit_pulse_response(synthetic(1, **READ_DOMINATED), resamples=60)


@pytest.fixture(scope="module")
def cycle_dominated():
    return fit_pulse_response(synthetic(2, **CYCLE_DOMINATED), resamples=60)


# --- the state-space likelihood against independent truth


def test_likelihood_equals_the_joint_normal_density():
    """Linear law without cycle noise: mean and covariance of the readings in closed form, no filter."""
    n, read, slow, memory = 12, 0.05, 0.08, 4.0
    theta = vector(read, 1e-9, slow=slow, memory=memory)
    readings = np.random.default_rng(0).normal(0.0, 0.5, (n, 2, 1))
    total = 0.0
    for i, (sign, step, start) in enumerate(((1, 0.02, -0.6), (-1, 0.016, 0.6))):
        factor = 1 - step
        mean = start * factor ** np.arange(n) + sign * (1 - factor ** np.arange(n))
        lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        covariance = slow**2 * np.exp(-lag / memory) + read**2 * np.eye(n)
        error = readings[:, i, 0] - mean
        total -= 0.5 * (np.linalg.slogdet(covariance)[1] + error @ np.linalg.solve(covariance, error))
    assert likelihood(SoftBounds(), theta[None], readings).value[0] == pytest.approx(total, rel=1e-12)


def test_cycle_noise_accumulates_in_the_predicted_variance():
    """Without a reading in between, the predicted variance is the exact moment of the linear law."""
    n, cycle, step, start = 40, 1.5, 0.02, -0.6
    readings = np.zeros((n, 2, 1))
    theta = vector(1e6, cycle)[None, None]
    predicted = run_filter(SoftBounds(), theta, readings).last
    mean, second = start, start**2
    for _ in range(n - 1):
        mean, second = (
            mean * (1 - step) + step,
            second * (1 - 2 * step + (1 + cycle**2) * step**2)
            + 2 * mean * (step - (1 + cycle**2) * step**2)
            + (1 + cycle**2) * step**2,
        )
    assert predicted.state[0, 0, 0] == pytest.approx(mean, rel=1e-6)
    assert predicted.state_variance[0, 0, 0] == pytest.approx(second - mean**2, rel=1e-6)


def test_without_cycle_noise_the_fit_is_output_error_least_squares():
    """Closed-form mean x0 (1-s)^k + (1-(1-s)^k) tau fitted by scipy gives the same parameters."""
    response = synthetic(3, read=0.05, cycle=0.0)
    k = np.arange(response.up.size)

    def error(p):
        keep = (1 - p[2] * p[3]) ** k, (1 - p[4] * p[5]) ** k
        up = p[0] * keep[0] + (1 - keep[0]) / p[3]
        down = p[1] * keep[1] - (1 - keep[1]) / p[5]
        return np.concatenate([up - response.up, down - response.down])

    expected = least_squares(error, [-0.6, 0.6, 0.02, 1.0, 0.016, 1.0], x_scale="jac", xtol=1e-12).x
    start = vector(0.05, 1e-6)[None]
    limits = np.array([start - 2.0, start + 2.0])
    limits[:, :, 3:6] = start[:, 3:6]
    readings = np.stack([response.up, response.down], axis=1)[..., None]
    found = maximise(SoftBounds(), start, readings, limits, tolerance=1e-12)
    assert found.converged.all()
    np.testing.assert_allclose(found.theta[0, :2], expected[:2], rtol=1e-4)
    np.testing.assert_allclose(np.exp(found.theta[0, 6:]), expected[2:], rtol=1e-4)


@pytest.mark.parametrize("law", [SoftBounds(), Piecewise(-1.0, 1.0)])
def test_simulate_inverts_the_filter(law):
    steps = np.full((2, law.coefficients), 0.02)
    steps[:, 1] = 0.7
    theta = vector(0.05, 1.0, slow=0.05, coefficients=steps.ravel())
    residuals = np.random.default_rng(4).normal(size=(30, 2, 3))
    filtered = run_filter(law, np.tile(theta, (3, 1, 1)), simulate(law, np.tile(theta, (3, 1)), residuals))
    back = (filtered.innovation / np.sqrt(filtered.variance))[..., 0]
    np.testing.assert_allclose(back, residuals, atol=1e-9)


def test_score_is_the_derivative_of_the_likelihood():
    theta = vector(0.05, 1.0, slow=0.05)
    response = synthetic(5, **READ_DOMINATED)
    readings = np.stack([response.up, response.down], axis=1)[..., None]
    found = likelihood(SoftBounds(), theta[None], readings).score[0]
    for i, move in enumerate(1e-4 * np.eye(theta.size)):
        up, down = (likelihood(SoftBounds(), (theta + s * move)[None], readings).value[0] for s in (1, -1))
        assert found[i] == pytest.approx((up - down) / 2e-4, rel=1e-2, abs=0.05)


def test_piecewise_with_linear_nodes_is_the_soft_bounds_law():
    state = np.linspace(-0.9, 0.9, 7).reshape(1, 7, 1).repeat(2, axis=0)
    nodes = np.linspace(-1.0, 1.0, 5)
    coefficients = np.stack([0.02 * (1 - 0.8 * nodes), 0.016 * (1 + 0.7 * nodes)], axis=1)
    linear = np.array([[0.02, 0.016], [0.8, 0.7]])
    wide = [np.broadcast_to(c[..., None, None], (*c.shape, 7, 1)) for c in (coefficients, linear)]
    got, want = Piecewise(-1.0, 1.0).step(wide[0], state), SoftBounds().step(wide[1], state)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    np.testing.assert_allclose(got[1], np.broadcast_to(want[1], got[1].shape), rtol=1e-12)
    described = [
        law.describe(c[..., None])["symmetric_point"][0]
        for law, c in ((Piecewise(-1.0, 1.0), coefficients), (SoftBounds(), linear))
    ]
    assert described[0] == pytest.approx(described[1], rel=1e-12)
    assert described[1] == pytest.approx(0.004 / (0.02 * 0.8 + 0.016 * 0.7))


@pytest.mark.parametrize(("excess", "end"), [(0.001, 1.0), (-0.001, -1.0)])
def test_symmetric_point_without_crossing_is_the_nearest_end(excess, end):
    coefficients = np.full((5, 2, 1), 0.01)
    coefficients[:, 0] += excess
    assert Piecewise(-1.0, 1.0).describe(coefficients)["symmetric_point"][0] == end


# --- recovery of the truth


def test_reading_noise_is_not_taken_for_cycle_noise(read_dominated):
    """300 readings: the reading noise is known to about 1/sqrt(600) = 4 %, allow 5 sigma."""
    noise = read_dominated.parameters["read_noise"]
    assert noise.value == pytest.approx(0.1, rel=0.2)
    assert near(noise, 0.1)
    assert read_dominated.parameters["cycle_noise"].high < 3.0
    assert "cycle_noise" in {name for name, _ in read_dominated.unidentified}


def test_cycle_noise_is_not_taken_for_reading_noise(cycle_dominated):
    """Cycle noise 2 of steps below 0.03: 8 % of the differences' deviation would be 0.03 as reading noise."""
    cycle = cycle_dominated.parameters["cycle_noise"]
    assert near(cycle, 2.0)
    assert cycle.value == pytest.approx(2.0, rel=0.4)
    assert cycle_dominated.parameters["read_noise"].high < 0.01
    assert "cycle_noise" not in {name for name, _ in cycle_dominated.unidentified}


@pytest.mark.parametrize("case", ["read_dominated", "cycle_dominated"])
def test_symmetric_point_and_steps_are_recovered(case, request):
    device = request.getfixturevalue(case)
    for name in ("symmetric_point", "step_up", "step_down"):
        assert near(device.parameters[name], TRUTH[name]), name
        assert device.parameters[name].low < device.parameters[name].value < device.parameters[name].high
    assert "slow_noise" not in device.parameters


def test_slow_reading_noise_is_not_taken_for_cycle_noise():
    """Memory of 8 pulses, 800 readings: white noise alone would need a cycle noise of about 5 steps."""
    response = synthetic(6, n=400, read=0.05, cycle=0.3, slow=0.08, scale=0.4)
    device = fit_pulse_response(response, resamples=20)
    assert device.parameters["slow_noise"].value == pytest.approx(0.08, rel=0.3)
    assert device.parameters["slow_memory"].value == pytest.approx(8.0, rel=0.6)
    assert device.parameters["cycle_noise"].low < 0.3
    assert near(device.symmetric_point, TRUTH["symmetric_point"])
    assert device.diagnostics.start_gap < -3.0  # the up run ends above 0.8, the down run starts at 0.6


def test_piecewise_recovers_a_linear_cell():
    device = fit_pulse_response(synthetic(7, read=0.02, cycle=0.3), "piecewise", resamples=20)
    assert device.symmetric_point.value == pytest.approx(TRUTH["symmetric_point"], abs=0.1)
    assert device.parameters["step_up"].value == pytest.approx(0.02, rel=0.25)
    cells = device.draw((3, 2), seed=1)
    assert cells["nodes_up"].shape == cells["nodes_down"].shape == (3, 2, 5)
    assert (cells["nodes_up"] > 0.0).all()


def test_trajectory_does_not_absorb_the_cycle_noise():
    """12 repeats: plain likelihood covers a cycle noise of 0.3 in a quarter of them, restricted in 95 %."""
    devices = [fit_pulse_response(synthetic(i, **READ_DOMINATED), resamples=20) for i in range(12)]
    assert sum(covers(device.parameters["cycle_noise"], 0.3) for device in devices) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("noise", [READ_DOMINATED, CYCLE_DOMINATED | {"n": 400, "scale": 0.4}])
def test_intervals_cover_the_truth(noise):
    """40 repeats, nominal 95 %: 38 expected, binomial deviation 1.4, allow 4 deviations below."""
    devices = [fit_pulse_response(synthetic(100 + i, **noise), resamples=60) for i in range(40)]
    assert sum(covers(device.symmetric_point, TRUTH["symmetric_point"]) for device in devices) >= 32
    assert sum(covers(device.parameters["cycle_noise"], noise["cycle"]) for device in devices) >= 32


# --- the device


def test_runs_of_different_length_and_block_bootstrap():
    """Readings beyond the shorter run change nothing: NaN there, not zeros."""
    response = synthetic(8, **READ_DOMINATED)
    device = fit_pulse_response(PulseResponse(up=response.up, down=response.down[:100]), resamples=20)
    assert near(device.parameters["step_up"], 0.02)
    assert device.parameters["read_noise"].value == pytest.approx(0.1, rel=0.2)


def test_block_length_grows_with_memory():
    """AR(1) with coefficient r: the rule tends to (6 r^2/(1-r^2)^2 n)^(1/3); 1 for white residuals."""
    assert _block_length(np.zeros(20), 2000) == 1
    expected = (6 * 0.25 / 0.75**2 * 2000) ** (1 / 3)
    assert _block_length(0.5 ** np.arange(1, 21), 2000) == pytest.approx(expected, rel=0.15)


def test_granularity_and_draws(read_dominated):
    device = read_dominated
    up, down = device.parameters["step_up"].value, device.parameters["step_down"].value
    assert device.dw_min * (up / device.dw_min + down / device.dw_min) / 2 == pytest.approx(device.dw_min)
    assert device.dw_min == pytest.approx(0.018, rel=0.3)
    assert device.draws.shape == (device.diagnostics.resamples, len(device.parameters))
    cells = device.draw((20, 30), seed=5)
    assert set(cells) == {"step_up", "step_down", "tau_max", "tau_min"}
    rows = {tuple(row) for row in device.draws[:, [list(device.parameters).index(name) for name in cells]]}
    drawn = set(zip(*(cells[name].ravel() for name in cells), strict=True))
    assert drawn <= rows
    assert len(drawn) > 30
    np.testing.assert_array_equal(cells["tau_min"], device.draw((20, 30), seed=5)["tau_min"])
    assert not np.array_equal(cells["tau_min"], device.draw((20, 30), seed=6)["tau_min"])
    with pytest.raises(FrozenInstanceError):
        device.family = "piecewise"


def test_same_seed_same_draws():
    response = synthetic(9, n=40, read=0.02, cycle=0.3, scale=3.0)
    first, again, other = (fit_pulse_response(response, seed=s, resamples=20) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)


def test_unidentified_names_and_reasons():
    parameters = {
        "start_up": Estimate(0.0, -9.0, 9.0),
        "cycle_noise": Estimate(0.3, 0.01, 2.0),
        "tau_max": Estimate(8.0, 2.0, 40.0),
        "tau_min": Estimate(-1.0, -1.2, -0.9),
        "symmetric_point": Estimate(0.0, -0.3, 0.3),
    }
    found = dict(find_unidentified(parameters, (-1.0, 1.0), 0.01))
    assert set(found) == {"cycle_noise", "tau_max", "symmetric_point"}
    assert "at most 2" in found["cycle_noise"]
    assert "factor 3" in found["tau_max"]
    outside = {"symmetric_point": Estimate(1.0, 0.9, 1.1)}
    assert "leaves" in dict(find_unidentified(outside, (-1.0, 1.0), 0.01))["symmetric_point"]


def test_refuses_bad_requests():
    good = synthetic(1, n=40, **READ_DOMINATED)
    with pytest.raises(ParameterError, match="did you mean 'piecewise'"):
        fit_pulse_response(good, "piecewize")
    with pytest.raises(ParameterError, match="resamples is 5"):
        fit_pulse_response(good, resamples=5)
    with pytest.raises(ParameterError, match="up must raise"):
        fit_pulse_response(PulseResponse(up=good.down, down=good.up))
    with pytest.raises(ParameterError, match="with 0 inside"):
        fit_pulse_response(PulseResponse(up=good.up + 5.0, down=good.down + 5.0))


# --- files


ROWS = [(0.01 * k, 1.0 - 0.01 * k) for k in range(25)]


@pytest.mark.parametrize("header", ["", "up,down\n", "# made by hand\n\nup; down\n", "\ufeffup,down\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("split", [",", " ; ", "\t", "  "])
def test_reads_any_plain_table(tmp_path, header, end, split):
    path = tmp_path / "cell.csv"
    text = header + end.join(f"{up!r}{split}{down!r}" for up, down in ROWS) + end
    path.write_bytes(text.encode())
    response = read_pulse_response(path)
    np.testing.assert_array_equal(np.column_stack([response.up, response.down]), ROWS)
    assert not response.up.flags.writeable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no readings"),
        ("up,down\n", "no readings"),
        ("0.1,0.2\n0.1,high\n", r"cell\.csv, row 2: 'high' is not a finite number"),
        ("up,down\n0.1,0.2\n\n0.3,nan\n", "row 4: 'nan'"),
        ("0.1,inf\n", "row 1: 'inf'"),
        ("0.1\n0.2\n", r"row 1: 1 column\(s\)"),
        ("0.1,0.2,0.3\n", r"row 1: 3 column\(s\)"),
        ("0.1,0.2\nup,down\n", "row 2: 'up'"),
        ("0.1,\n", "row 1: '' is not"),
        ("0.1,0.2\n0.2,0.1\n", "2 up readings: at least 20"),
        ("0.1,0.2\n" * 30, "all up readings are 0.1"),
    ],
)
def test_refuses_bad_files_in_one_line(tmp_path, text, message):
    path = tmp_path / "cell.csv"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message) as caught:
        read_pulse_response(path)
    assert "\n" not in str(caught.value)
    assert "cell.csv" in str(caught.value)


def test_refuses_missing_and_binary_files(tmp_path):
    with pytest.raises(ParameterError, match=r"none\.csv: cannot be read \(No such file"):
        read_pulse_response(tmp_path / "none.csv")
    (tmp_path / "cell.bin").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ParameterError, match="not a UTF-8"):
        read_pulse_response(tmp_path / "cell.bin")


def test_response_is_copied_and_checked():
    up = np.linspace(-1.0, 1.0, 30)
    response = PulseResponse(up=up, down=-up)
    up[0] = 7.0
    assert response.up[0] == -1.0
    with pytest.raises(ParameterError, match="one dimension"):
        PulseResponse(up=np.zeros((20, 2)), down=-up)
    with pytest.raises(ParameterError, match="down reading 3 is inf"):
        PulseResponse(up=up, down=np.where(np.arange(30) == 2, np.inf, up))


# --- the measured cell


def test_measured_file(data_folder):
    """Gong et al. 2022: lag-1 correlation -0.44 of the differences: reading noise 0.11, steps of 0.002."""
    path = data_folder / "devices" / "gong_et_al_2022_pulse_response.csv"
    if not path.is_file():
        pytest.skip(f"{path} not found")
    response = read_pulse_response(path)
    device = fit_pulse_response(response, resamples=40)
    differences = np.concatenate([np.diff(response.up), np.diff(response.down)])
    lag = np.mean(differences[1:] * differences[:-1])
    assert device.parameters["read_noise"].value == pytest.approx(np.sqrt(-lag), rel=0.1)
    assert device.dw_min == pytest.approx(0.0024, rel=0.15)
    assert device.parameters["slow_noise"].value == pytest.approx(0.13, rel=0.15)
    assert device.parameters["cycle_noise"].high < 12.0
    assert {"cycle_noise", "tau_max"} <= {name for name, _ in device.unidentified}
    assert device.diagnostics.whiteness > 0.05
    assert abs(device.diagnostics.start_gap) < 3.0
