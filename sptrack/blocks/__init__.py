"""The signal chain: choppers, filters, demodulators, reference estimators, and chains of them."""

from sptrack.blocks.averages import EMA, CorrectedEMA, LastSample, SteadyKalman
from sptrack.blocks.block import Block, Filtered, LinearBlock, State
from sptrack.blocks.boxcars import CIC, Boxcar, GrowingBoxcar
from sptrack.blocks.chain import Chain
from sptrack.blocks.choppers import (
    Chopper,
    MaximumLengthChopper,
    PatternChopper,
    PeriodicChopper,
    SignSource,
    SpectralLines,
)
from sptrack.blocks.coefficients import FIR, SOS
from sptrack.blocks.custom import CustomFilter
from sptrack.blocks.demodulation import Demodulator, LockIn
from sptrack.blocks.estimators import Fixed, Kalman, PeriodMean, SPEstimator
from sptrack.blocks.fixed_point import FixedPoint, fixed_point
from sptrack.blocks.linear import enbw, group_delay, impulse_response, settling, step_response
from sptrack.blocks.loop import TrackingLoop, first_order
from sptrack.blocks.observers import DriveErrors, FixedGains, InputAwareObserver, Observed, PointLimits
from sptrack.blocks.responses import ResponsePrior
from sptrack.blocks.settings import ObserverSettings
from sptrack.blocks.times import FilterTimes, corner, filter_times, pole_radius

__all__ = [
    "CIC",
    "EMA",
    "FIR",
    "SOS",
    "Block",
    "Boxcar",
    "Chain",
    "Chopper",
    "CorrectedEMA",
    "CustomFilter",
    "Demodulator",
    "DriveErrors",
    "FilterTimes",
    "Filtered",
    "Fixed",
    "FixedPoint",
    "FixedGains",
    "GrowingBoxcar",
    "InputAwareObserver",
    "Kalman",
    "LastSample",
    "LinearBlock",
    "LockIn",
    "MaximumLengthChopper",
    "Observed",
    "ObserverSettings",
    "PatternChopper",
    "PeriodMean",
    "PeriodicChopper",
    "PointLimits",
    "ResponsePrior",
    "SPEstimator",
    "SignSource",
    "SpectralLines",
    "State",
    "SteadyKalman",
    "TrackingLoop",
    "corner",
    "enbw",
    "filter_times",
    "first_order",
    "fixed_point",
    "group_delay",
    "impulse_response",
    "pole_radius",
    "settling",
    "step_response",
]
