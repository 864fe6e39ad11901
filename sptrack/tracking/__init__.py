"""Closing the loop: every algorithm as settings of one recursion, run on problems with known optimum."""

from sptrack.tracking.bench import BenchArray
from sptrack.tracking.compounds import (
    Buffer,
    Compound,
    CompoundSettings,
    FastUpdate,
    SliceChopper,
    SliceTransfer,
)
from sptrack.tracking.methods import METHODS, Method, Transfer, method, with_settings
from sptrack.tracking.plain import PlainTracker, problem_gradient
from sptrack.tracking.problems import PROBLEMS, Problem, ProblemSettings, open_loop, problem
from sptrack.tracking.rated import rated_reference
from sptrack.tracking.results import Recording, Track
from sptrack.tracking.run import Tracker, track

__all__ = [
    "METHODS",
    "PROBLEMS",
    "BenchArray",
    "Buffer",
    "Compound",
    "CompoundSettings",
    "FastUpdate",
    "Method",
    "PlainTracker",
    "Problem",
    "ProblemSettings",
    "Recording",
    "SliceChopper",
    "SliceTransfer",
    "Track",
    "Tracker",
    "Transfer",
    "method",
    "open_loop",
    "problem",
    "problem_gradient",
    "rated_reference",
    "track",
    "with_settings",
]
