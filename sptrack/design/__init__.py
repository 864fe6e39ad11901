"""From requirements to settings: predicted by theory, searched, and checked by simulation.

`design` finds the cheapest settings that a linear model says to meet a specification, and simulates them;
`tune` searches the settings of a method by simulation alone, from a start, with Optuna.
"""

from sptrack.design.candidates import Candidate, Setting
from sptrack.design.checking import Check, Row, check
from sptrack.design.choice import Miss, Search, search
from sptrack.design.designing import Design, design
from sptrack.design.fronts import FRONTS, Confirmed, confirm, front, survey
from sptrack.design.plan import Budget, Plan, SearchSettings, parse_limits
from sptrack.design.results import (
    candidate_variables,
    described,
    design_dataset,
    design_record,
    tuning_dataset,
    tuning_record,
)
from sptrack.design.scores import OBJECTIVES, Task, evaluate
from sptrack.design.space import RANGES, Choice, Range, default_space, edges, parse_space
from sptrack.design.specification import (
    Gradient,
    Requirements,
    Specification,
    load_specification,
    specification_from_mapping,
)
from sptrack.design.tuning import Study, Tuning, hold_out, run_study, tune

__all__ = [
    "FRONTS",
    "OBJECTIVES",
    "RANGES",
    "Budget",
    "Candidate",
    "Check",
    "Choice",
    "Confirmed",
    "Design",
    "Gradient",
    "Miss",
    "Plan",
    "Range",
    "Requirements",
    "Row",
    "Search",
    "SearchSettings",
    "Setting",
    "Specification",
    "Study",
    "Task",
    "Tuning",
    "candidate_variables",
    "check",
    "confirm",
    "default_space",
    "described",
    "design",
    "design_dataset",
    "design_record",
    "edges",
    "evaluate",
    "front",
    "hold_out",
    "load_specification",
    "parse_limits",
    "parse_space",
    "run_study",
    "search",
    "specification_from_mapping",
    "survey",
    "tune",
    "tuning_dataset",
    "tuning_record",
]
