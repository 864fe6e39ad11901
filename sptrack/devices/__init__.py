"""Devices: response families, spreads, noise, presets, measured parameters."""

from sptrack.devices.cells import Cells, DriftRates
from sptrack.devices.config import device_from_mapping, device_named, device_to_toml, load_device
from sptrack.devices.constants import Constants, response_constants
from sptrack.devices.device import (
    Asymmetry,
    CycleNoise,
    Device,
    Drift,
    Fit,
    OneSidedAsymmetry,
    ReadingScale,
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
from sptrack.devices.presets import preset, preset_names
from sptrack.devices.sampling import cells_from_parameters, load_map, sample_cells
from sptrack.devices.statistics import cell_statistics, overshooting, response_curves

__all__ = [
    "Asymmetry",
    "Cells",
    "ConstantStep",
    "Constants",
    "CustomResponse",
    "CycleNoise",
    "Device",
    "Drift",
    "DriftRates",
    "ExpStep",
    "Fit",
    "LinearStep",
    "OneSidedAsymmetry",
    "PiecewiseStep",
    "PowStep",
    "ReadingScale",
    "Reference",
    "Response",
    "SoftBounds",
    "Source",
    "Spread",
    "SymmetricPoints",
    "cell_statistics",
    "cells_from_parameters",
    "device_from_mapping",
    "device_named",
    "device_to_toml",
    "load_device",
    "load_map",
    "overshooting",
    "preset",
    "preset_names",
    "response_constants",
    "response_curves",
    "sample_cells",
]
