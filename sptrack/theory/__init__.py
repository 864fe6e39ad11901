"""Predictions about zero-shifting, without simulation: exact moments, small-step limits, and bounds.

`moments` and `zero_shifting` are exact on linear devices, `small_step` is the leading order on any smooth
device, `bounds` limits the error on every device whose response meets its premises, and
`cramer_rao` what any method can reach.
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
from sptrack.theory.cramer_rao import (
    Experiment,
    array_bound,
    fisher_information,
    point_bound,
    pulse_floor,
)
from sptrack.theory.moments import MomentMap, Moments, coin_map, down_map, program_map, up_map
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
    "Experiment",
    "MomentMap",
    "Moments",
    "Premise",
    "PulsesNeeded",
    "array_bound",
    "array_offset",
    "array_offset_error",
    "coin_map",
    "corollary_pulses",
    "cyclic_limits",
    "down_map",
    "fisher_information",
    "point_bound",
    "program_map",
    "pulse_floor",
    "pulses_to_target",
    "small_step_moments",
    "start_moments",
    "stationary_moments",
    "up_map",
    "zero_shifting_bounds",
    "zero_shifting_map",
    "zero_shifting_moments",
]
