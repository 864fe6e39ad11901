"""Closing the loop: every algorithm as settings of one recursion, run on problems with known optimum."""

from sptrack.tracking.compounds import (
    Buffer,
    Compound,
    CompoundSettings,
    FastUpdate,
    SliceChopper,
    SliceTransfer,
)
from sptrack.tracking.methods import METHODS, Chop, Method, Transfer, method, with_settings
from sptrack.tracking.plain import PlainTracker, problem_gradient
from sptrack.tracking.problems import PROBLEMS, Problem, ProblemSettings, problem
from sptrack.tracking.run import Track, Tracker, track

__all__ = [
    "METHODS",
    "PROBLEMS",
    "Buffer",
    "Chop",
    "Compound",
    "CompoundSettings",
    "FastUpdate",
    "Method",
    "PlainTracker",
    "Problem",
    "ProblemSettings",
    "SliceChopper",
    "SliceTransfer",
    "Track",
    "Tracker",
    "Transfer",
    "method",
    "problem",
    "problem_gradient",
    "track",
    "with_settings",
]
