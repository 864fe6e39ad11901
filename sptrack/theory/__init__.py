"""Predictions about zero-shifting and about tracking, without simulation.

Zero-shifting: `moments` and `zero_shifting` are exact on linear devices, `small_step` is the leading order
on any smooth device, and `bounds` limits the error on every device whose response meets its premises.
Calibration by any method: `cramer_rao` says what it can reach. Tracking: `closed_loop` linearises the loop
around the symmetric point, `budget` says what it reaches in a number of steps, `moving` what a drift of the
symmetric point costs.
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
from sptrack.theory.budget import Budget, error_after, optimal_eta, settling, transient
from sptrack.theory.chopping import (
    demodulated_gain,
    loop_pole,
    passed_fraction,
    passed_fraction_periodic,
    periodic_gain,
    telegraph_gain,
)
from sptrack.theory.closed_loop import VALIDITY_LIMITS, Loop, Prediction, Spectrum, linearise
from sptrack.theory.cramer_rao import (
    Experiment,
    array_bound,
    fisher_information,
    point_bound,
    pulse_floor,
)
from sptrack.theory.drive import CountMoments, GradientStatistics, count_moments, mean_size
from sptrack.theory.moments import MomentMap, Moments, coin_map, down_map, program_map, up_map
from sptrack.theory.moving import (
    MovingGain,
    Recalibration,
    kalman_gain,
    moving_gain,
    observer_density,
    observer_gain,
    recalibration,
    recalibration_within,
    tracking_rate,
)
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
    ZeroShiftingCourse,
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
    "VALIDITY_LIMITS",
    "ArrayOffset",
    "Bound",
    "BoundKind",
    "Budget",
    "CountMoments",
    "CyclicLimits",
    "Experiment",
    "GradientStatistics",
    "Loop",
    "MomentMap",
    "Moments",
    "MovingGain",
    "NormalDrive",
    "ObservedCell",
    "ObserverAdvice",
    "ObserverError",
    "Prediction",
    "Premise",
    "PulsesNeeded",
    "Recalibration",
    "Spectrum",
    "ZeroShiftingCourse",
    "array_bound",
    "array_offset",
    "array_offset_error",
    "coin_map",
    "corollary_pulses",
    "count_moments",
    "cyclic_limits",
    "demodulated_gain",
    "down_map",
    "error_after",
    "fisher_information",
    "kalman_gain",
    "linearise",
    "loop_pole",
    "mean_size",
    "moving_gain",
    "observer_density",
    "observer_error",
    "observer_gain",
    "optimal_eta",
    "passed_fraction",
    "passed_fraction_periodic",
    "periodic_gain",
    "point_bound",
    "program_map",
    "pulse_floor",
    "pulses_to_target",
    "recalibration",
    "recalibration_within",
    "recommend_observer",
    "settling",
    "slope_kept",
    "small_step_moments",
    "start_moments",
    "stationary_moments",
    "telegraph_gain",
    "tracking_forgetting",
    "tracking_rate",
    "transient",
    "up_map",
    "zero_shifting_bounds",
    "zero_shifting_map",
    "zero_shifting_moments",
]
