"""The signal chain: choppers, filters, demodulators, reference estimators, and chains of them."""

from sptrack.blocks.block import Block, LinearBlock, State
from sptrack.blocks.chain import Chain
from sptrack.blocks.choppers import (
    Chopper,
    MaximumLengthChopper,
    PatternChopper,
    PeriodicChopper,
    SignSource,
    SpectralLines,
)
from sptrack.blocks.demodulation import Demodulator, LockIn
from sptrack.blocks.filters import CIC, EMA, FIR, SOS, Boxcar, CorrectedEMA, SteadyKalman
from sptrack.blocks.linear import enbw, group_delay, impulse_response, settling, step_response
from sptrack.blocks.observers import DriveErrors, FixedGains, InputAwareObserver, Observed, PointLimits
from sptrack.blocks.references import (
    BoxcarReference,
    EMAReference,
    FixedReference,
    KalmanReference,
    LastReference,
    PeriodMeanReference,
    Reference,
    ReferenceTracker,
)
from sptrack.blocks.responses import ResponsePrior

__all__ = [
    "CIC",
    "EMA",
    "FIR",
    "SOS",
    "Block",
    "Boxcar",
    "BoxcarReference",
    "Chain",
    "Chopper",
    "CorrectedEMA",
    "Demodulator",
    "DriveErrors",
    "EMAReference",
    "FixedGains",
    "FixedReference",
    "InputAwareObserver",
    "KalmanReference",
    "LastReference",
    "LinearBlock",
    "LockIn",
    "MaximumLengthChopper",
    "Observed",
    "PatternChopper",
    "PeriodMeanReference",
    "PeriodicChopper",
    "PointLimits",
    "Reference",
    "ReferenceTracker",
    "ResponsePrior",
    "SignSource",
    "SpectralLines",
    "State",
    "SteadyKalman",
    "enbw",
    "group_delay",
    "impulse_response",
    "settling",
    "step_response",
]
