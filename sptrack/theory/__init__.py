"""Predictions about zero-shifting, without simulation: exact moments, small-step limits, and bounds.

`moments` and `zero_shifting` are exact on linear devices, `small_step` is the leading order on any smooth
device, and `bounds` limits the error on every device whose response meets its premises.
"""

from sptrack.theory.bounds import (
    BOUND_NAMES,
    Bound,
    BoundKind,
    Premise,
    PulsesNeeded,
    corollary_pulses,
    zero_shifting_bounds,
)
from sptrack.theory.moments import MomentMap, Moments, coin_map, down_map, program_map, up_map
from sptrack.theory.observer import (
    NormalDrive,
    ObservedCell,
    ObserverAdvice,
    ObserverError,
    observer_error,
    recommend_observer,
    slope_kept,
    tracking_forgetting,
)
from sptrack.theory.sampling import array_offset_error
from sptrack.theory.small_step import small_step_moments
from sptrack.theory.zero_shifting import (
    ArrayOffset,
    CyclicLimits,
    array_offset,
    cyclic_limits,
    pulses_to_target,
    start_moments,
    stationary_moments,
    zero_shifting_map,
    zero_shifting_moments,
)

__all__ = [
    "BOUND_NAMES",
    "ArrayOffset",
    "Bound",
    "BoundKind",
    "CyclicLimits",
    "MomentMap",
    "Moments",
    "NormalDrive",
    "ObservedCell",
    "ObserverAdvice",
    "ObserverError",
    "Premise",
    "PulsesNeeded",
    "array_offset",
    "array_offset_error",
    "coin_map",
    "corollary_pulses",
    "cyclic_limits",
    "down_map",
    "observer_error",
    "program_map",
    "pulses_to_target",
    "recommend_observer",
    "slope_kept",
    "small_step_moments",
    "start_moments",
    "stationary_moments",
    "tracking_forgetting",
    "up_map",
    "zero_shifting_bounds",
    "zero_shifting_map",
    "zero_shifting_moments",
]
