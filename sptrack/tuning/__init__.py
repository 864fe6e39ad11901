"""Tuning the settings of a method on a problem, from a start, with what it gained on held-out problems.

Needs Optuna: ``pip install 'sptrack[tune]'``. A study is a journal file that processes and machines can share
and that an interrupt leaves ready to go on with. The same plan and one worker make the same trials, in one go
or in pieces.
"""

from sptrack.tuning.evaluation import OBJECTIVES, Task, evaluate
from sptrack.tuning.plan import Budget, Plan, Search, parse_limits
from sptrack.tuning.result import Found, hold_out, search, tune, tuning_dataset, tuning_record
from sptrack.tuning.space import RANGES, Choice, Range, default_space, edges, parse_space

__all__ = [
    "OBJECTIVES",
    "RANGES",
    "Budget",
    "Choice",
    "Found",
    "Plan",
    "Range",
    "Search",
    "Task",
    "default_space",
    "edges",
    "evaluate",
    "hold_out",
    "parse_limits",
    "parse_space",
    "search",
    "tune",
    "tuning_dataset",
    "tuning_record",
]
