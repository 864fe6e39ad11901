"""What a cell is: response families, spreads, noise, presets, measured parameters."""

from sptrack.devices.cells import Cells
from sptrack.devices.constants import Constants, response_constants
from sptrack.devices.device import (
    Asymmetry,
    CycleNoise,
    Device,
    OneSidedAsymmetry,
    Reference,
    Source,
    Spread,
    SymmetricPoints,
)
from sptrack.devices.families import (
    ConstantStep,
    CustomResponse,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    Response,
    SoftBounds,
)
from sptrack.devices.sampling import cells_from_parameters, load_map, sample_cells

__all__ = [
    "Asymmetry",
    "Cells",
    "ConstantStep",
    "Constants",
    "CustomResponse",
    "CycleNoise",
    "Device",
    "ExpStep",
    "LinearStep",
    "OneSidedAsymmetry",
    "PiecewiseStep",
    "PowStep",
    "Reference",
    "Response",
    "SoftBounds",
    "Source",
    "Spread",
    "SymmetricPoints",
    "cells_from_parameters",
    "load_map",
    "response_constants",
    "sample_cells",
]
