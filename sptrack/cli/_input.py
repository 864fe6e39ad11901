"""What several commands read from their command line: shapes, and the device in its three forms."""

import re
from pathlib import Path

from sptrack.devices import Cells, sample_cells
from sptrack.errors import ParameterError

DEFAULT_DEVICE = "soft-bounds"


def cells_shape(text: str) -> tuple[int, int]:
    """Rows and columns from "RxC".

    Raises
    ------
    ParameterError
        If the text is not two positive numbers joined by an x.
    """
    match = re.fullmatch(r"\s*([1-9]\d*)\s*[xX]\s*([1-9]\d*)\s*", text)
    if match is None:
        raise ParameterError(f"cells {text!r}: rows x columns wanted, such as 512x512")
    return int(match[1]), int(match[2])


def device_cells(
    device: str | None, config: Path | None, measured: Path | None, shape: tuple[int, int], seed: int
) -> tuple[Cells, float]:
    """Cells of the named, described or measured device, and the reading noise that comes with them.

    Raises
    ------
    ParameterError
        If more than one of the three is given, or it is refused where it is read.
    """
    given = [name for name, value in (("device", device), ("config", config), ("measured", measured)) if value is not None]
    if len(given) > 1:
        raise ParameterError(f"--{given[0]} and --{given[1]}: only one of --device, --config, --measured can be given")
    if measured is not None:
        from sptrack.devices.measured import fit_pulse_response, measured_cells, read_pulse_response

        fit = fit_pulse_response(read_pulse_response(measured), seed=seed)
        return measured_cells(fit, shape, seed=seed, name=measured.name), fit.read_noise
    if config is not None:
        from sptrack.devices.config import load_device

        return sample_cells(load_device(config), shape, seed=seed), 0.0
    from sptrack.devices.presets import preset

    return sample_cells(preset(device or DEFAULT_DEVICE), shape, seed=seed), 0.0
