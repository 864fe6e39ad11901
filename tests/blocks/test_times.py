"""Table of a filter: closed forms of stages, corner, bandwidth, settling and delay."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    CorrectedEMA,
    LastSample,
    TrackingLoop,
    filter_times,
    first_order,
)
from sptrack.errors import ParameterError


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_lock_in_of_equal_stages(order):
    # analog stages: corner sqrt(2^(1/n) - 1)/tau, two-sided ENBW 1/2, 1/4, 3/16, 5/32 over tau, delay n tau
    tau = 2000.0
    found = filter_times(EMA(eta=-np.expm1(-1 / tau), order=order))
    assert found.order == order
    assert found.stage_time == pytest.approx(tau)
    assert found.corner * tau == pytest.approx(np.sqrt(2 ** (1 / order) - 1), rel=1e-3)
    assert found.corner_time == pytest.approx(1 / found.corner)
    assert found.enbw * tau == pytest.approx([1 / 2, 1 / 4, 3 / 16, 5 / 32][order - 1], rel=1e-3)
    assert found.delay == pytest.approx(order * tau, rel=1e-3)
    assert found.settling / tau == pytest.approx([4.605, 6.638, 8.406, 10.045][order - 1], rel=1e-3)


def test_both_definitions_agree_for_one_stage_alone():
    # corner of 1 - b/z: cos w = 1 - eta^2/(2 b), so w tau = 1 to order 1/tau^2
    one, four = (filter_times(EMA(eta=1e-3, order=n)) for n in (1, 4))
    assert one.corner_time == pytest.approx(one.stage_time, rel=1e-3)
    assert one.noise_time == pytest.approx(one.stage_time)
    assert four.corner_time == pytest.approx(four.stage_time / np.sqrt(2**0.25 - 1), rel=1e-3)


def test_the_noise_time_is_that_of_the_equal_first_order_filter():
    for block in (Boxcar(length=40), CIC(length=9, order=3), TrackingLoop(bandwidth=0.02)):
        found = filter_times(block)
        assert filter_times(first_order(found.enbw)).stage_time == pytest.approx(found.noise_time)


@pytest.mark.parametrize(
    ("block", "order", "stage"),
    [
        (Boxcar(length=8), 7, None),
        (CIC(length=8, order=2), 14, None),
        (FIR(taps=[0.25, 0.5, 0.25]), 2, None),
        (LastSample(), 0, None),
        (SOS(sos=[[1, 0, 0, 1, -0.5, 0]]), 1, -1 / np.log(0.5)),
        (SOS(sos=signal.butter(5, 0.1, output="sos")), 5, None),
        (Chain(EMA(eta=0.5), EMA(eta=0.1)), 2, -1 / np.log(0.9)),
        (CorrectedEMA(eta=0.1), 1, -1 / np.log(0.9)),
        (TrackingLoop(bandwidth=0.01), 2, None),
        (EMA(eta=1.0), 1, 0.0),
    ],
    ids=str,
)
def test_order_and_slowest_pole(block, order, stage):
    found = filter_times(block)
    assert found.order == order
    if stage is None and isinstance(block, SOS | TrackingLoop):
        a = block.sos[:, 3:] if isinstance(block, SOS) else block.sections.sos[:, 3:]
        radius = max(np.abs(np.roots(row)).max() for row in a)
        stage = -1 / np.log(radius)
    assert found.stage_time == (None if stage is None else pytest.approx(stage))


def test_a_filter_without_gain_at_zero_is_refused():
    with pytest.raises(ParameterError, match="low-pass"):
        filter_times(FIR(taps=[1.0, -1.0]))
