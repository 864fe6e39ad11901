"""Design from a specification: settings that meet requirements by prediction, held against simulation."""

from sptrack.design.candidates import Candidate, Setting
from sptrack.design.check import Check, Row, check
from sptrack.design.choice import Miss, Search, search
from sptrack.design.design import Design, design
from sptrack.design.specification import (
    Gradient,
    Requirements,
    Specification,
    load_specification,
    specification_from_mapping,
)

__all__ = [
    "Candidate",
    "Check",
    "Design",
    "Gradient",
    "Miss",
    "Requirements",
    "Row",
    "Search",
    "Setting",
    "Specification",
    "check",
    "design",
    "load_specification",
    "search",
    "specification_from_mapping",
]
