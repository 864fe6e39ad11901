"""One block of every kind, with settings that show it: a new class enters here, and every suite runs it."""

import math

import numpy as np
from scipy import signal

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CorrectedEMA,
    CustomFilter,
    Demodulator,
    Fixed,
    GrowingBoxcar,
    Kalman,
    LastSample,
    LockIn,
    MaximumLengthChopper,
    PeriodicChopper,
    PeriodMean,
    SPEstimator,
    SteadyKalman,
    TrackingLoop,
)

TELEGRAPH = Chopper(p=0.3, scope="cell", seed=5)
PERIODIC = PeriodicChopper(half_period=4, duty=0.4, scope="column", stagger=3)
SEQUENCE = MaximumLengthChopper(register=4, scope="column", stagger=2)
CHOPPERS = [TELEGRAPH, PERIODIC, SEQUENCE]


def two_pole(memory, x, fast, slow):
    """A stranger's filter: an exponential average of an exponential average."""
    memory[0] += fast * (x - memory[0])
    memory[1] += slow * (memory[0] - memory[1])
    return memory[1]


def two_pole_response(omega):
    """Its frequency response."""
    z = np.exp(-1j * omega)
    return 0.3 / (1 - 0.7 * z) * 0.1 / (1 - 0.9 * z)


def soft_limited(memory, x, rate):
    """One that is not linear: large surprises count less."""
    surprise = x - memory[0]
    memory[0] += rate * math.tanh(surprise)
    return memory[0]


CUSTOM = CustomFilter(
    update=two_pole, rows=2, parameters={"fast": 0.3, "slow": 0.1}, response=two_pole_response
)
NONLINEAR = CustomFilter(update=soft_limited, parameters={"rate": 0.2})

LINEAR = {
    "EMA order 1": EMA(eta=0.2),
    "EMA order 2": EMA(eta=0.25, order=2),
    "EMA order 3": EMA(eta=0.3, order=3),
    "EMA order 4": EMA(eta=0.4, order=4),
    "EMA of rate 1": EMA(eta=1.0),
    "Butterworth": SOS(sos=signal.butter(4, 0.2, output="sos")),
    "elliptic": SOS(sos=signal.ellip(5, 0.5, 60, 0.3, output="sos")),
    "Chebyshev": SOS(sos=signal.cheby1(3, 1.0, 0.25, output="sos")),
    "Chebyshev band": SOS(sos=signal.cheby2(3, 40, [0.2, 0.4], "bandpass", output="sos")),
    "Bessel": SOS(sos=signal.bessel(3, 0.2, output="sos")),
    "from b and a": SOS.from_ba([0.2, 0.1], [2.0, -1.2, 0.3]),
    "a zero at the origin": SOS.from_ba([0.0, 0.5], [1.0, -0.5]),
    "FIR": FIR(taps=signal.firwin(7, 0.3)),
    "FIR of one tap": FIR(taps=[0.5]),
    "FIR without gain": FIR(taps=[1.0, -1.0]),
    "boxcar": Boxcar(length=5),
    "boxcar of one": Boxcar(length=1),
    "boxcar over a chopper": Boxcar.over(PeriodicChopper(half_period=4, duty=0.3), periods=2),
    "boxcar like an EMA": Boxcar.like(0.2),
    "CIC": CIC(length=3, order=3),
    "steady Kalman": SteadyKalman(drift_std=0.1, read_std=0.5),
    "last sample": LastSample(),
    "loop": TrackingLoop(bandwidth=0.2, damping=0.6),
    "loop without swings": TrackingLoop(bandwidth=0.1, damping=1.5),
    "custom": CUSTOM,
    "chain": Chain(EMA(eta=0.2), Boxcar(length=3)),
    "chain of gains": Chain(
        FIR(taps=[0.5, 0.3]), SOS(sos=signal.cheby1(2, 3.0, 0.3, output="sos")), FIR(taps=[2.0, 0.5])
    ),
    "chain of many": Chain(LastSample(), CIC(length=2), FIR(taps=[0.5, 0.3]), CUSTOM, EMA(eta=0.5, order=2)),
}
"""Blocks with a frequency response."""
SETTLING = {
    "corrected EMA": CorrectedEMA(eta=0.2),
    "growing boxcar": GrowingBoxcar(length=6),
    "growing boxcar over a chopper": GrowingBoxcar.over(PeriodicChopper(half_period=3)),
    "Kalman": Kalman(read_std=0.5, drift_std=0.2),
    "chain of them": Chain(CorrectedEMA(eta=0.3), GrowingBoxcar(length=4)),
}
"""Blocks that become linear ones in the long run."""
OTHERS = {
    "telegraph": TELEGRAPH,
    "periodic": PERIODIC,
    "sequence": SEQUENCE,
    "demodulator": Demodulator(chopper=TELEGRAPH, hold=2),
    "lock-in": LockIn(chopper=PERIODIC),
    "period mean": PeriodMean(eta=0.4),
    "fixed": Fixed(),
    "custom, not linear": NONLINEAR,
    "estimator told of flips": SPEstimator(estimator=PeriodMean(eta=0.9), chopper=TELEGRAPH),
    "estimator that needs no flips": SPEstimator(estimator=GrowingBoxcar(length=4), chopper=TELEGRAPH),
    "chopped filters": Chain(TELEGRAPH, EMA(eta=0.2), Boxcar(length=3), Demodulator(chopper=TELEGRAPH)),
    "signal chain": Chain(
        PERIODIC, Demodulator(chopper=PERIODIC, hold=1), SPEstimator(estimator=EMA(eta=0.1), chopper=PERIODIC)
    ),
}
BLOCKS = LINEAR | SETTLING | OTHERS
"""All of them, by name."""


def of(blocks):
    """Arguments of `pytest.mark.parametrize` for blocks by name."""
    return {"argvalues": list(blocks.values()), "ids": list(blocks)}


def is_chopped(block):
    """Whether a block's output depends on the number of its cell."""
    parts = block.blocks if isinstance(block, Chain) else (block,)
    return any(hasattr(part, "chopper") or part in CHOPPERS for part in parts)
