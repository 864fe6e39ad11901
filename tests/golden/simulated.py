"""Cells and crossbars from the reference simulator's stored parameters (tests/reference/aihwkit)."""

import json

import numpy as np

from sptrack.devices import (
    ConstantStep,
    CycleNoise,
    Device,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    SoftBounds,
    cells_from_parameters,
)

_OWN = ("slope_up", "slope_down", "gamma_up", "gamma_down")
_EXPONENTIAL = ("a", "b", "A_up", "gamma_up", "A_down", "gamma_down")


def manifest(archive):
    """Parameters of every case of an archive."""
    return json.loads(str(archive["manifest"]))


def _response(name, values):
    bounds = {key: values[key] for key in ("w_max", "w_min")}
    if name == "ConstantStepDevice":
        return ConstantStep(**bounds)
    if name == "LinearStepDevice":
        return LinearStep(gamma_up=values["gamma_up"], gamma_down=values["gamma_down"], **bounds)
    if name == "ExpStepDevice":
        return ExpStep(**{key: values[key] for key in _EXPONENTIAL if key in values}, **bounds)
    if name.startswith("PowStep"):
        return PowStep(**bounds)
    if name == "PiecewiseStepDevice":
        return PiecewiseStep(nodes_up=values["piecewise_up"], nodes_down=values["piecewise_down"], **bounds)
    return SoftBounds(**bounds)


def simulated_cells(archive, case, *, shape=None, dtype=np.float32):
    """Cells of a case; single-cell cases are repeated to ``shape``."""
    entry = manifest(archive)[case]
    values = entry["parameters"]
    device = Device(
        response=_response(entry["device"], values),
        dw_min=values["dw_min"],
        cycle_noise=CycleNoise(
            std=values.get("dw_min_std", 0.0), additive=not values.get("mult_noise", True)
        ),
        write_noise=values.get("write_noise_std", 0.0),
    )
    stored = {
        "w_max": "max_bound",
        "w_min": "min_bound",
        "step_up": "dwmin_up",
        "step_down": "dwmin_down",
    } | {name: name for name in _OWN}
    own = {
        ours: archive[f"{case}/{theirs}"] for ours, theirs in stored.items() if f"{case}/{theirs}" in archive
    }
    reference = archive.get(f"{case}/reference")
    if shape is not None:
        own = {name: np.broadcast_to(value, shape) for name, value in own.items()}
        reference = None if reference is None else np.broadcast_to(reference, shape)
    return cells_from_parameters(device, own, reference=reference, dtype=dtype)
