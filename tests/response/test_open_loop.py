"""Recorded cells under a chopped gradient, and the choice of a filter."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.blocks import CIC, EMA, Boxcar, Chopper, CorrectedEMA, MaximumLengthChopper, PeriodicChopper
from sptrack.devices import Device, cells_from_parameters
from sptrack.errors import ParameterError
from sptrack.response import OpenLoop, best_filter, final_weights

pytestmark = pytest.mark.compiled


def linear_cells(number, **device):
    scales = {"step_up": np.full((1, number), 1.3e-3), "step_down": np.full((1, number), 0.7e-3)}
    return cells_from_parameters(Device(dw_min=1e-3, **device), scales)


def driven(number=64, **settings):
    base = {"chopper": Chopper(p=0.1, scope="cell"), "alpha": 0.01, "mean": 0.3, "std": 1.0}
    return OpenLoop(cells=linear_cells(number), **base | settings)


def test_a_record_holds_the_signs_the_gradient_and_p():
    one = driven(8, chopper=MaximumLengthChopper(register=3), std=0.0)
    made = one.record(50)
    signs = MaximumLengthChopper(register=3).signs(0, 50, 8)
    np.testing.assert_array_equal(made.signs, signs)
    np.testing.assert_allclose(made.chopped, 0.3 * signs, rtol=1e-6)
    np.testing.assert_allclose(made.point, 0.3, rtol=1e-6)
    # three pulses of dw 1.3 (1 - w) up, where the chopped gradient is negative, 30 % cycle noise
    first = made.p[0] * np.where(made.signs[0] < 0, 1 / 1.3e-3, -1 / 0.7e-3)
    assert first.mean() == pytest.approx(3, abs=4 * 0.3 * np.sqrt(3 / 8))


def test_skipped_steps_are_those_before():
    whole, late = driven(8).record(60), driven(8).record(20, skip=40)
    for name in ("signs", "chopped", "p"):
        np.testing.assert_array_equal(getattr(late, name), getattr(whole, name)[40:])


def test_the_gradient_has_its_mean_and_std():
    made = driven(64, chopper=PeriodicChopper(half_period=3)).record(500)
    gradient = made.chopped * made.signs
    # 32000 normals: mean to 0.0056, std to 0.004 (1 sigma)
    assert gradient.mean() == pytest.approx(0.3, abs=4 * 0.0056)
    assert gradient.std() == pytest.approx(1.0, abs=4 * 0.004)
    assert driven(64, seed=1).record(5).chopped[0, 0] != driven(64).record(5).chopped[0, 0]


def test_reading_noise_is_added_to_what_is_read():
    quiet, noisy = driven().record(200), driven(read_noise=0.02).record(200)
    added = noisy.p - quiet.p
    assert added.std() == pytest.approx(0.02, rel=4 / np.sqrt(2 * added.size))
    assert driven(read_noise=0.03).reading_std == 0.03
    written = OpenLoop(
        cells=linear_cells(1, write_noise=4.0), chopper=Chopper(p=0.1), alpha=0.01, read_noise=0.003
    )
    assert written.reading_std == pytest.approx(0.005)


@pytest.mark.parametrize("law", ["rounded", "binomial", "poisson"])
@pytest.mark.parametrize(
    ("chopper", "mean", "std"),
    [(Chopper(p=0.1, scope="cell"), 0.3, 1.0), (PeriodicChopper(half_period=50), 1.0, 0.3)],
    ids=["telegraph", "periodic"],
)
def test_settled_errors_are_those_of_the_linear_model(law, chopper, mean, std):
    one = driven(128, chopper=chopper, mean=mean, std=std, law=law)
    made, loop = one.record(4000, skip=1500), one.linear()
    for block in (EMA(eta=1 / 101), Boxcar(length=200), CIC(length=100)):
        square = (block.process(made.error)[0][1000:] ** 2).mean(axis=0)
        predicted = float(loop.predict(block, chopper).rms_q[0, 0] ** 2)
        # 4 sigma over the cells, and 5 % for what the model leaves out
        assert square.mean() == pytest.approx(
            predicted, abs=4 * square.std() / np.sqrt(128) + 0.05 * predicted
        )


def test_final_weights_are_what_the_filter_does():
    x = np.random.default_rng(2).standard_normal(40)
    for block in (
        EMA(eta=0.1),
        CorrectedEMA(eta=0.1),
        Boxcar(length=7),
        CIC(length=60),
        EMA(eta=0.1, order=2),
    ):
        weights = final_weights(block, 40)
        assert weights.shape == (40,)
        assert block.process(x)[0][-1] == pytest.approx(weights @ x[::-1], rel=1e-9)


def test_the_best_filter_is_the_best_in_simulation():
    """Ends of a range of rates around the best, scored on 512 cells: both are worse by more than 4 sigma."""
    one, steps = driven(512, law="binomial"), 1000
    single = driven(1, law="binomial")
    rates = [0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05]
    block, rms = best_filter(
        single.linear(), [EMA(eta=eta) for eta in rates], steps, start=-0.3, chopper=one.chopper
    )
    made = one.record(steps)
    square = {eta: (EMA(eta=eta).process(made.p)[0][-1] - made.point) ** 2 for eta in rates}
    assert square[block.eta].mean() == pytest.approx(rms**2, abs=4 * square[block.eta].std() / np.sqrt(512))
    for eta in (0.0005, 0.05):
        worse = square[eta] - square[block.eta]
        assert worse.mean() > 4 * worse.std() / np.sqrt(512)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: driven(alpha=-1.0), "alpha must be >= 0, got -1.0"),
        (lambda: driven(std=-1.0), "gradient std must be a finite number >= 0, got -1.0"),
        (lambda: driven(read_noise=-1.0), "read_noise must be >= 0, got -1"),
        (lambda: driven(read_noise=np.nan), "read_noise must be a finite number >= 0, got nan"),
        (lambda: driven().record(0), "steps must be a whole number >= 1, got 0"),
        (lambda: driven().record(5, skip=-1), "skip must be a whole number >= 0, got -1"),
        (lambda: replace(driven(), law="fair"), "'fair'"),
        (lambda: best_filter(driven().linear(), [], 5, start=0.0, chopper=Chopper(p=0.1)), "no filter"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError) as error:
        make()
    assert text in str(error.value)
