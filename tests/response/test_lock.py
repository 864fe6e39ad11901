"""A loop designed from bandwidth and damping on simulated cells: noise and lock time as predicted."""

import numpy as np
import pytest

from sptrack.blocks import Chopper, TrackingLoop, first_order, settling
from sptrack.devices import Device, Spread, SymmetricPoints, sample_cells
from sptrack.response import OpenLoop

pytestmark = pytest.mark.compiled

CELLS, SKIP = 2048, 2500


@pytest.fixture(scope="module")
def driven():
    """Cells 0.4 away from where they start, under gradient noise: loop pole about 0.99."""
    device = Device(spread=Spread(asymmetry=SymmetricPoints(mean=0.4, std=0.0)), dw_min=2e-3)
    cells = sample_cells(device, (1, CELLS), seed=3)
    return OpenLoop(cells=cells, chopper=Chopper(p=0.5, scope="cell"), alpha=0.01, std=1.0)


@pytest.fixture(scope="module")
def error(driven):
    return driven.record(6000).error


@pytest.mark.parametrize(
    "loop", [TrackingLoop(bandwidth=0.01), TrackingLoop(bandwidth=0.01, damping=1.2)], ids=str
)
def test_it_locks_when_the_linear_model_says(driven, error, loop):
    # mean over 2048 cells: 0.1/sqrt(2048) = 0.002 of noise, half a percent of the start; 4 sigma
    pole, start = float(driven.linear().pole.mean()), -0.4
    mean = loop.process(error.mean(axis=1))[0]
    predicted = loop.process(start * pole ** np.arange(1, len(mean) + 1))[0]
    np.testing.assert_allclose(mean, predicted, atol=0.02 * abs(start))
    after = [int(np.flatnonzero(np.abs(one) > 0.05 * abs(start))[-1]) for one in (mean, predicted)]
    assert after[0] == pytest.approx(after[1], rel=0.1)
    assert after[1] > settling(loop, 0.05) / 3


@pytest.mark.parametrize("loop", [TrackingLoop(bandwidth=0.005), first_order(0.005)], ids=str)
def test_its_noise_is_that_of_the_linear_model(driven, error, loop):
    # 3500 steps over the correlation time of P and loop, about 800, times 2048 cells: 1.5 % (1 sigma)
    settled = loop.process(error)[0][SKIP:]
    predicted = float(np.mean(driven.linear().predict(loop).var_q))
    assert settled.var(axis=1).mean() == pytest.approx(predicted, rel=4 * 0.015 + 0.03)


def test_white_reads_pass_by_the_bandwidth():
    # 40000 steps over 200 of correlation: 1 % (1 sigma) of a variance over 100 streams
    reads = np.random.default_rng(0).normal(size=(40000, 100))
    for loop in (TrackingLoop(bandwidth=0.005, damping=0.5), first_order(0.005)):
        assert loop.process(reads)[0][2000:].var() == pytest.approx(0.005, rel=0.04)
