"""From the fit of a measured cell to an array of simulated ones."""

from __future__ import annotations

from sptrack.devices.cells import Cells
from sptrack.devices.device import CycleNoise, Device, Source, Spread
from sptrack.devices.families import PiecewiseStep, SoftBounds
from sptrack.devices.measured.device import MeasuredDevice
from sptrack.devices.sampling import cells_from_parameters

__all__ = ["measured_cells", "to_device"]


def to_device(measured: MeasuredDevice, name: str = "measured") -> Device:
    """Describe the fitted cell as a device.

    Parameters
    ----------
    measured : MeasuredDevice
        The fit.
    name : str
        Name of the source, such as the file.

    Returns
    -------
    Device
        Its bounds are the visited range, its cycle noise the estimate; what the readings cannot identify
        stands in the note of the source. It has no spread: see `measured_cells`.
    """
    low, high = measured.range
    if measured.family == "soft-bounds":
        response: SoftBounds | PiecewiseStep = SoftBounds(w_max=high, w_min=low)
    else:
        nodes = {
            side: tuple(
                value.value / measured.dw_min
                for key, value in measured.parameters.items()
                if key.startswith(f"step_{side}_")
            )
            for side in ("up", "down")
        }
        response = PiecewiseStep(w_max=high, w_min=low, nodes_up=nodes["up"], nodes_down=nodes["down"])
    open_points = "; ".join(f"{item.name}: {item.reason}" for item in measured.unidentified)
    return Device(
        response=response,
        dw_min=measured.dw_min,
        spread=Spread(),
        cycle_noise=CycleNoise(std=measured.parameters["cycle_noise"].value),
        source=Source(
            name=name, note=f"not identified by the readings: {open_points}" if open_points else ""
        ),
    )


def measured_cells(
    measured: MeasuredDevice, shape: tuple[int, int], *, seed: int = 0, name: str = "measured"
) -> Cells:
    """Cells that differ by the uncertainty of the fit: every cell is one bootstrap refit of the readings.

    This is what the readings leave open about one cell, not the spread between cells.

    Parameters
    ----------
    measured : MeasuredDevice
        The fit.
    shape : (int, int)
        Rows and columns.
    seed : int
        Seed of the draw.
    name : str
        Name of the source.

    Returns
    -------
    Cells

    Raises
    ------
    ParameterError
        If the shape is not two positive integers.
    """
    drawn = measured.draw(shape, seed)
    device = to_device(measured, name)
    if measured.family == "soft-bounds":
        parameters = {
            "step_up": drawn["step_up"],
            "step_down": drawn["step_down"],
            "w_max": drawn["tau_max"],
            "w_min": drawn["tau_min"],
        }
        return cells_from_parameters(device, parameters)
    nodes = {
        f"node_{side}_{k}": drawn[f"nodes_{side}"][..., k] / measured.dw_min
        for side in ("up", "down")
        for k in range(drawn[f"nodes_{side}"].shape[-1])
    }
    return cells_from_parameters(device, nodes)
