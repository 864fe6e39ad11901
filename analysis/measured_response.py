"""What do 2000 readings of a measured cell tell, and what can they not tell?

Pulse response of a resistive memory cell (Gong et al. 2022): 1000 readings under up and 1000 under down
pulses, one pulse between readings, in weight units. All families are held against readings that they have not
seen; the simplest within one standard error of the best is fitted, with reading noise (white and slow) and
cycle noise apart, and 95 % profile-likelihood intervals.

The readings scatter by 0.18 about a state that moves by 0.002 to 0.003 per pulse. Steps that fall
exponentially (soft-exponential) are chosen, by little: soft bounds, linear-step and piecewise are behind by
1.4 to 1.6 standard errors of the difference; the best pow-step and exp-step lie at the limit of their shapes.
Reading noise is known (0.104 to 0.118, slow noise 0.116 to 0.153), mean steps at 0 to a third or so. Not
known: the cycle noise (none to eight steps), both bounds, the shapes of the steps. The symmetric point lies
between -0.50 and 0.09, more than a quarter of the visited states: the readings do not determine it.

The data are looked for below SPTRACK_DATA, or in ``shared/data`` beside the checkout. A small run without
them redraws the dataset of the gallery and says so in the title.
"""  # noqa: D400

import os
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from analysis import GALLERY
from sptrack.errors import ParameterError
from sptrack.fitting import fit_responses, read_measurement
from sptrack.plotting.fit import fit_dataset, fit_figure
from sptrack.results import load

FILE = Path("devices", "gong_et_al_2022_pulse_response.csv")


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Fit the measured cell (``small``: soft bounds alone); neither ``seed`` nor ``threads`` is used.

    Returns
    -------
    Dataset
        That of `sptrack.plotting.fit.fit_dataset`; attribute ``redrawn`` where the data were not found.

    Raises
    ------
    ParameterError
        The data are not found, and the run is not small or the gallery has no dataset.
    """
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("SPTRACK_DATA") or root.parent / "shared" / "data")
    if (folder / FILE).is_file():
        return fit_dataset(fit_responses(read_measurement(folder / FILE), "soft-bounds" if small else None))
    stored = root / GALLERY / "measured_response.nc"
    if not small or not stored.is_file():
        raise ParameterError(f"{folder / FILE}: not found; set SPTRACK_DATA to the folder of measured data")
    return load(stored).assign_attrs(redrawn=f"data not found in {folder}: redrawn from the gallery")


def plot(data: xr.Dataset) -> Figure:
    """Readings over the fit, residuals, steps with the symmetric point, families, what remains unknown."""
    figure = fit_figure(data)
    if "redrawn" in data.attrs:
        figure.suptitle(f"{figure.get_suptitle()} ({data.attrs['redrawn']})")
    return figure
