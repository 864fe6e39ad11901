"""A chain of chopper, cells and filter: numbers against closed forms, curves against measurement."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import (
    EMA,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CorrectedEMA,
    Fixed,
    MaximumLengthChopper,
    PeriodicChopper,
    group_delay,
)
from sptrack.devices import ConstantStep, Device, Spread, SymmetricPoints, sample_cells
from sptrack.errors import ParameterError
from sptrack.response import OpenLoop, respond
from sptrack.response.chain import TERMS, chopper_omega, corner
from sptrack.response.defaults import method_filter, method_signs, start_gradient
from sptrack.theory.chopping import sign_power
from sptrack.tracking import ProblemSettings, method, problem, with_settings

pytestmark = pytest.mark.compiled

DEVICE = Device(spread=Spread(asymmetry=SymmetricPoints(mean=0.2, std=0.2)))


def chain(chopper=None, **settings):
    base = {"alpha": 0.01, "mean": 0.3, "std": 0.5}
    cells = sample_cells(DEVICE, (1, 32), seed=1)
    return OpenLoop(cells=cells, chopper=Chopper(p=0.1) if chopper is None else chopper, **base | settings)


@pytest.fixture(scope="module")
def made():
    return respond(EMA(eta=0.02), chain())


def test_numbers_of_an_ema_in_closed_form(made):
    eta = 0.02
    assert made["dc_gain"] == pytest.approx(1)
    assert np.cos(made["corner"]) == pytest.approx(1 - eta**2 / (2 * (1 - eta)), rel=1e-9)
    assert made["enbw"] == pytest.approx(eta / (2 - eta))
    assert made["group_delay"] == pytest.approx((1 - eta) / eta)
    assert made["settling"] == np.ceil(np.log(0.01) / np.log(1 - eta)) - 1
    assert made["flips"] == pytest.approx(0.1)
    b, r = 1 - eta, 0.8
    assert made["chopped_fraction"] == pytest.approx(eta * (1 + r * b) / ((2 - eta) * (1 - r * b)))
    with pytest.raises(KeyError):
        made["none"]


def test_curves_are_those_of_the_filter(made):
    data = made.data
    response = EMA(eta=0.02).frequency_response(data["omega"].values)
    np.testing.assert_allclose(data["magnitude"] * np.exp(1j * data["phase"]), response)
    slope = -np.gradient(data["phase"].values, data["omega"].values)
    np.testing.assert_allclose(data["group_delay"][5:-5], slope[5:-5], atol=0.02 * 49)
    few = data.isel({"omega": slice(None, None, 200)})
    known = group_delay(EMA(eta=0.02), few["omega"].values)
    np.testing.assert_allclose(few["group_delay"][:-1], known[:-1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(data["step_response"], 1 - 0.98 ** data["sample"].values, rtol=1e-9)


@pytest.mark.parametrize(
    "chopper",
    [Chopper(p=0.1), PeriodicChopper(half_period=10), MaximumLengthChopper(register=5)],
    ids=["telegraph", "periodic", "mls"],
)
def test_measured_spectra_lie_on_theory(chopper):
    # 257 bins, intervals of 95 %: a share of 0.95 +- 0.02 (1 sigma); the chopped mean is exact
    data = respond(EMA(eta=0.05), chain(chopper)).data
    for name in ("chopped", "passed"):
        inside = (data[f"{name}_low"] <= data[f"{name}_expected"]) & (
            data[f"{name}_expected"] <= data[f"{name}_high"]
        )
        assert 0.86 < float(inside.mean()) <= 1
    power = 0.3**2 + 0.5**2
    turns = np.r_[1, np.full(data.sizes["bin"] - 2, 2), 1] / (2 * (data.sizes["bin"] - 1))
    assert float(data["chopped_expected"].values @ turns) == pytest.approx(power, rel=1e-3)


def half_widths(data):
    return data["measured_ci"].diff("end").squeeze("end", drop=True) / 2


def test_measured_errors_agree_with_the_model(made):
    data = made.data.sel({"term": ["bias of Q", "rms error of Q", "rms error of P"]})
    # halves of the intervals are 2 sigma: 4 sigma, and 5 % for what the model leaves out
    allowed = half_widths(data) * 2 + 0.05 * abs(data["predicted"])
    assert (abs(data["measured"] - data["predicted"]) < allowed).all()
    parts = made["bias"], made["chopped_rms"], made["noise_rms"]
    assert made["reference_rms"] == pytest.approx(np.sqrt(np.sum(np.square(parts))), rel=0.02)
    assert np.isnan(made.data["measured"].sel({"term": TERMS[1]}))
    assert made.warnings == ()


def test_reading_noise_adds_to_reads_and_passes_the_filter_as_white():
    quiet, noisy = (respond(EMA(eta=0.02), chain(read_noise=std)) for std in (0.0, 0.1))
    assert noisy["p_rms"] ** 2 == pytest.approx(quiet["p_rms"] ** 2 + 0.01)
    assert noisy["noise_rms"] ** 2 == pytest.approx(quiet["noise_rms"] ** 2 + 0.01 * noisy["enbw"])
    data = noisy.data.isel({"term": [3, 4]})
    assert (
        abs(data["measured"] - data["predicted"]) < 2 * half_widths(data) + 0.05 * data["predicted"]
    ).all()


def test_where_a_chopper_stands():
    assert chopper_omega(PeriodicChopper(half_period=20)) == pytest.approx(np.pi / 20)
    assert chopper_omega(Chopper(p=0.0)) is None
    assert chopper_omega(Chopper(p=0.5)) is None
    assert chopper_omega(Chopper(p=1.0)) == pytest.approx(np.pi)
    telegraph = Chopper(p=0.02)
    place = chopper_omega(telegraph)
    assert telegraph.psd(place) == pytest.approx(telegraph.psd(0.0) / 2)
    assert chopper_omega(MaximumLengthChopper(register=5)) > 0


def test_shares_of_choppers_that_pass():
    box = Boxcar(length=40)
    assert sign_power(PeriodicChopper(half_period=20), box) == pytest.approx(0, abs=1e-12)
    assert sign_power(Chopper(p=0.0), box) == pytest.approx(1)
    sequence = MaximumLengthChopper(register=5)
    passed = box.process(np.tile(sequence.pattern(), 10))[0][40 : 40 + 31 * 5]
    assert sign_power(sequence, box) == pytest.approx(np.mean(passed**2), rel=1e-9)


def test_an_estimator_is_the_filter_that_it_settles_to():
    made, plain = (respond(one, chain()) for one in (CorrectedEMA(eta=0.1), EMA(eta=0.1)))
    assert [item.value for item in made.quantities] == [item.value for item in plain.quantities]


def test_a_chopper_with_a_duty_and_a_sequence_are_predicted_as_they_are_measured():
    """Bias and rms of Q within 4.2 standard errors (half of the interval is two) over 32 cells.


    The mean sign of a duty of .4 is -.2: it moves the mean of Q with the mean of the gradient.
    """
    for chopper in (PeriodicChopper(half_period=10, duty=0.4), MaximumLengthChopper(register=5)):
        made = respond(EMA(eta=0.05), chain(chopper))
        for term in ("bias of Q", "rms error of Q", "rms error of P"):
            row = made.data.sel({"term": term})
            assert abs(row["measured"] - row["predicted"]) < 2.1 * half_widths(row), (str(chopper), term)


def test_corners():
    sos = SOS(sos=signal.butter(3, 0.1, output="sos"))
    assert corner(sos) == pytest.approx(0.1 * np.pi, rel=1e-9)
    assert corner(EMA(eta=1.0)) is None
    assert corner(Chain(EMA(eta=0.1), EMA(eta=0.1))) == pytest.approx(corner(EMA(eta=0.1, order=2)))


def test_a_filter_that_takes_too_long_is_predicted_but_not_measured():
    slow = respond(EMA(eta=1e-4), chain())
    assert any("settling takes" in warning for warning in slow.warnings)
    assert np.isnan(slow.data["measured"]).all()
    assert slow["reference_rms"] > 0


def test_what_is_refused():
    with pytest.raises(ParameterError, match="Fixed.*no frequency response"):
        respond(Fixed(), chain())
    with pytest.raises(ParameterError, match="no frequency response"):
        respond(Chain(EMA(eta=0.1), Chopper(p=0.1)), chain())
    with pytest.raises(ParameterError, match="no gain at omega = 0"):
        respond(SOS(sos=signal.butter(2, 0.1, "high", output="sos")), chain())
    without = sample_cells(Device(response=ConstantStep()), (1, 4))
    with pytest.raises(ParameterError, match="symmetric point"):
        respond(EMA(eta=0.1), OpenLoop(cells=without, chopper=Chopper(p=0.1), alpha=0.01, std=1.0))


def test_filter_chopper_and_gradient_of_a_method():
    chosen = method("e-rider", eta=0.03, p=0.01)
    assert method_filter(chosen) == EMA(eta=0.03)
    for eta in (0.1, 0.03, 0.7, 1.0):
        boxcar = with_settings(chosen, estimator="boxcar", eta=eta)
        assert method_filter(boxcar) == Boxcar(length=boxcar.filter.length) == Boxcar.like(eta)
    assert method_signs(chosen, seed=4) == Chopper(p=0.01, seed=4)
    periodic = with_settings(chosen, half_period=6)
    assert method_signs(periodic) == PeriodicChopper(half_period=6)
    made = problem("separable", ProblemSettings(size=16, low=0.5, high=0.5))
    assert start_gradient(made) == pytest.approx(0.5 * np.sqrt(np.mean(made.optimum**2)), rel=1e-5)
    for name, text in (("sgd", "no filter"), ("agad", "in turns"), ("residual", "no filter")):
        with pytest.raises(ParameterError, match=text):
            method_filter(method(name))
    with pytest.raises(ParameterError, match="pass --chopper"):
        method_signs(method("agad"))
