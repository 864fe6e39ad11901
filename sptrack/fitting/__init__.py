"""Lab files to cells to a device: readings in, a device with its uncertainty out."""

from sptrack.fitting.cell import Diagnostics, Estimate, MeasuredDevice, Unidentified
from sptrack.fitting.files import Measurement, read_measurement
from sptrack.fitting.fit import fit_pulse_response, step_curves
from sptrack.fitting.laws import FAMILIES
from sptrack.fitting.population import (
    ResponseFit,
    fit_responses,
    measured_cells,
    not_identified,
    to_device,
)
from sptrack.fitting.readings import PulseResponse, two_runs
from sptrack.fitting.recipe import Recipe, load_recipe
from sptrack.fitting.selection import FamilyScore, Selection, select_family
from sptrack.fitting.spread import CellSpread, cell_spread

__all__ = [
    "FAMILIES",
    "CellSpread",
    "Diagnostics",
    "Estimate",
    "FamilyScore",
    "MeasuredDevice",
    "Measurement",
    "PulseResponse",
    "Recipe",
    "ResponseFit",
    "Selection",
    "Unidentified",
    "cell_spread",
    "fit_pulse_response",
    "fit_responses",
    "load_recipe",
    "measured_cells",
    "not_identified",
    "read_measurement",
    "select_family",
    "step_curves",
    "to_device",
    "two_runs",
]
