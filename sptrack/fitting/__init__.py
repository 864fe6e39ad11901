"""Lab files to cells to a device: readings in, a device with its uncertainty out."""

from sptrack.fitting.cell import Diagnostics, Estimate, MeasuredDevice, Unidentified
from sptrack.fitting.files import Measurement, read_measurement
from sptrack.fitting.fit import fit_pulse_response, step_curves
from sptrack.fitting.laws import FAMILIES
from sptrack.fitting.population import (
    CellSpread,
    ResponseFit,
    cell_spread,
    fit_responses,
    measured_cells,
    not_identified,
    to_device,
)
from sptrack.fitting.readings import PulseResponse, two_runs
from sptrack.fitting.recipe import Recipe, load_recipe
from sptrack.fitting.selection import FamilyScore, Selection, select_family

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
