"""Calibration of symmetric points by pulses: zero-shifting, on anything that has pulse() and read()."""

from sptrack.calibration.zero_shifting import Estimates, Progress, StopRule, settled, zero_shift

__all__ = ["Estimates", "Progress", "StopRule", "settled", "zero_shift"]
