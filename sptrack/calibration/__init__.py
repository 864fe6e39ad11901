"""Calibration of symmetric points by pulses, on anything that has pulse() and read()."""

from sptrack.calibration.bursts import BurstFit
from sptrack.calibration.interface import Calibrator, Estimates, Progress, StopRule
from sptrack.calibration.methods import METHODS, calibrator
from sptrack.calibration.observer import ObserverFit
from sptrack.calibration.response import Population, population
from sptrack.calibration.roots import RootFinding
from sptrack.calibration.transient import TransientFit
from sptrack.calibration.zero_shifting import ZeroShifting, settled, zero_shift

__all__ = [
    "METHODS",
    "BurstFit",
    "Calibrator",
    "Estimates",
    "ObserverFit",
    "Population",
    "Progress",
    "RootFinding",
    "StopRule",
    "TransientFit",
    "ZeroShifting",
    "calibrator",
    "population",
    "settled",
    "zero_shift",
]
