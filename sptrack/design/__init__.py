"""Design from a specification: settings that meet requirements by prediction, held against simulation."""

from sptrack.design.candidates import Candidate, Setting
from sptrack.design.checking import Check, Row, check
from sptrack.design.choice import Miss, Search, search
from sptrack.design.dataset import candidate_variables, described, design_dataset
from sptrack.design.designing import Design, design
from sptrack.design.pareto import FRONTS, Confirmed, confirm, front, survey
from sptrack.design.specification import (
    Gradient,
    Requirements,
    Specification,
    load_specification,
    specification_from_mapping,
)

__all__ = [
    "FRONTS",
    "Candidate",
    "Check",
    "Confirmed",
    "Design",
    "Gradient",
    "Miss",
    "Requirements",
    "Row",
    "Search",
    "Setting",
    "Specification",
    "check",
    "confirm",
    "design",
    "design_dataset",
    "front",
    "survey",
    "candidate_variables",
    "described",
    "load_specification",
    "search",
    "specification_from_mapping",
]
