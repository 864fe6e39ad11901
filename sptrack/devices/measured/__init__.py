"""Cells known from measured pulses: readings in, a device with its uncertainty out."""

from sptrack.devices.measured.cells import measured_cells, to_device
from sptrack.devices.measured.device import Diagnostics, Estimate, MeasuredDevice, Unidentified
from sptrack.devices.measured.fit import fit_pulse_response
from sptrack.devices.measured.readings import PulseResponse, read_pulse_response

__all__ = [
    "Diagnostics",
    "Estimate",
    "MeasuredDevice",
    "PulseResponse",
    "Unidentified",
    "fit_pulse_response",
    "measured_cells",
    "read_pulse_response",
    "to_device",
]
