"""One block of every kind, and one estimator of every kind: a new class enters here."""

from scipy import signal

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    BoxcarReference,
    Chain,
    Chopper,
    CorrectedEMA,
    Demodulator,
    EMAReference,
    FixedReference,
    KalmanReference,
    LastReference,
    LockIn,
    MaximumLengthChopper,
    PeriodicChopper,
    PeriodMeanReference,
    ReferenceTracker,
    SteadyKalman,
)

TELEGRAPH = Chopper(p=0.3, scope="cell", seed=5)
PERIODIC = PeriodicChopper(half_period=4, duty=0.4, scope="column", stagger=3)
SEQUENCE = MaximumLengthChopper(register=4, scope="column", stagger=2)
CHOPPERS = [TELEGRAPH, PERIODIC, SEQUENCE]

LINEAR = [
    EMA(eta=0.2),
    EMA(eta=0.3, stages=3),
    SOS(sos=signal.butter(4, 0.2, output="sos")),
    FIR(taps=signal.firwin(7, 0.3)),
    FIR(taps=[0.5]),
    Boxcar(length=5),
    Boxcar(length=1),
    CIC(length=3, order=3),
    SteadyKalman(drift_std=0.1, read_std=0.5),
]

BLOCKS = [
    *LINEAR,
    CorrectedEMA(eta=0.2),
    *CHOPPERS,
    Demodulator(chopper=TELEGRAPH, hold=2),
    LockIn(chopper=PERIODIC),
    ReferenceTracker(estimator=PeriodMeanReference(period=5.0), chopper=TELEGRAPH),
    ReferenceTracker(estimator=BoxcarReference(length=4), chopper=TELEGRAPH),
    Chain(TELEGRAPH, EMA(eta=0.2), Boxcar(length=3), Demodulator(chopper=TELEGRAPH)),
]

ESTIMATORS = [
    FixedReference(),
    LastReference(),
    EMAReference(eta=0.02),
    EMAReference(eta=0.02, corrected=True),
    BoxcarReference(length=80),
    PeriodMeanReference(period=20.0, tail=5.0),
    KalmanReference(read_std=0.4, drift_std=0.004),
]


def name(block):
    """Short identifier of a test case."""
    return type(block).__name__
