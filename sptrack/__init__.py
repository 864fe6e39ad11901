"""Signal processing for analog reference tracking: symmetric points of resistive crossbar cells."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sptrack.errors import ConvergenceError, ParameterError, SptrackError

if TYPE_CHECKING:
    from sptrack.calibration import calibrator, zero_shift
    from sptrack.cost import CostModel
    from sptrack.crossbar import Crossbar, PulseScheme
    from sptrack.devices import (
        Asymmetry,
        ConstantStep,
        CustomResponse,
        CycleNoise,
        Device,
        Drift,
        ExpStep,
        LinearStep,
        PiecewiseStep,
        PowStep,
        Reference,
        SoftBounds,
        Source,
        Spread,
        SymmetricPoints,
        cells_from_parameters,
        sample_cells,
    )
    from sptrack.devices.config import load_device
    from sptrack.devices.presets import preset
    from sptrack.evaluation.budget import error_budget
    from sptrack.evaluation.certificate import certify
    from sptrack.evaluation.recommendation import recommend
    from sptrack.results import dataset, load, save
    from sptrack.tracking import Tracker, method, problem, track
    from sptrack.tracking.compare import compare

__version__ = "0.1.0"

_NAMES_IN = {
    "sptrack.evaluation.budget": ("error_budget",),
    "sptrack.calibration": ("calibrator", "zero_shift"),
    "sptrack.evaluation.certificate": ("certify",),
    "sptrack.cost": ("CostModel",),
    "sptrack.crossbar": ("Crossbar", "PulseScheme"),
    "sptrack.devices": (
        "Asymmetry",
        "ConstantStep",
        "CustomResponse",
        "CycleNoise",
        "Device",
        "Drift",
        "ExpStep",
        "LinearStep",
        "PiecewiseStep",
        "PowStep",
        "Reference",
        "SoftBounds",
        "Source",
        "Spread",
        "SymmetricPoints",
        "cells_from_parameters",
        "sample_cells",
    ),
    "sptrack.devices.config": ("load_device",),
    "sptrack.devices.presets": ("preset",),
    "sptrack.evaluation.recommendation": ("recommend",),
    "sptrack.results": ("dataset", "load", "save"),
    "sptrack.tracking": ("Tracker", "method", "problem", "track"),
    "sptrack.tracking.compare": ("compare",),
}
_HOME_OF = {name: home for home, names in _NAMES_IN.items() for name in names}

__all__ = [
    "Asymmetry",
    "ConstantStep",
    "ConvergenceError",
    "CostModel",
    "Crossbar",
    "CustomResponse",
    "CycleNoise",
    "Device",
    "Drift",
    "ExpStep",
    "LinearStep",
    "ParameterError",
    "PiecewiseStep",
    "PowStep",
    "PulseScheme",
    "Reference",
    "SoftBounds",
    "Source",
    "Spread",
    "SptrackError",
    "SymmetricPoints",
    "Tracker",
    "__version__",
    "calibrator",
    "cells_from_parameters",
    "certify",
    "compare",
    "dataset",
    "error_budget",
    "load",
    "load_device",
    "method",
    "preset",
    "problem",
    "recommend",
    "sample_cells",
    "save",
    "track",
    "zero_shift",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sptrack' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported yet or not."""
    return sorted({*globals(), *_HOME_OF})
