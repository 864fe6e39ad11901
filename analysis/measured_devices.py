"""What do published measurements tell of symmetric points, and what do they not tell?

Four sets: the pulse response of one ReRAM cell (Gong et al. 2022), SET and RESET ramps of CrossSim's look-up
table example (the device is not stated), and look-up tables of an electrochemical cell (ENODe, CrossSim) and
of an RRAM cell pulsed at 1.5 V (XBTorch). Pulse responses are fitted, tables become devices; steps are drawn
over the range of each, with the symmetric point where there is one.

- ReRAM: reading noise is 70 steps high, so 2000 readings leave the symmetric point open over more than a
  quarter of
  the range.
- Ramps: steps up rise with the conductance and cross the steps down the wrong way round, so there is no
  symmetric
  point; residuals are correlated, ramp differs from ramp.
- ENODe: 790 uS in 298 to 978 uS, 162 states; the table holds no reading noise and no sampling error.
- RRAM: 18.1 uS in 5 to 30 uS with 23 states; one pulse scatters by twice its mean there.

The data are looked for below SPTRACK_DATA, or in ``shared/data`` beside the checkout. A small run without
them redraws the dataset of the gallery and says so in the title.
"""  # noqa: D400

import os
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis import GALLERY
from sptrack.devices import Device, sample_cells
from sptrack.errors import ParameterError
from sptrack.fitting import fit_responses, read_measurement, to_device
from sptrack.fitting.lookup import read_lookup, table_device
from sptrack.fitting.report import verdict
from sptrack.plotting.style import BLUE, GREEN, GREY, VERMILLION, headline, house_style, label, new_figure
from sptrack.results import dataset, load, provenance

FOLDER = Path("devices")
RESPONSES = {
    "ReRAM, pulse response": ("gong_et_al_2022_pulse_response.csv",),
    "unknown, ramps": ("crosssim_ramps/set.csv", "crosssim_ramps/reset.csv"),
}
TABLES = {"ENODe, table": "crosssim_enode", "RRAM 1.5 V, table": "xbtorch_rram"}
_POINTS = 65
_WIDE = 0.5
_COLUMNS = 44
_LOOKS = (("up", BLUE), ("down", VERMILLION))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Fit or tabulate every set (``small``: soft bounds, the ramps left out); no ``seed``, no ``threads``.

    Returns
    -------
    Dataset
        Over ``set``: ``symmetric_point`` and its ``interval`` (weight units; NaN: not told), ``low`` and
        ``high`` of the range (``unit``), ``states``, ``asymmetry`` (difference of the steps at w = 0 over
        their sum), ``read_noise`` and ``cycle_noise`` (in steps); mean ``step`` over ``direction`` and
        ``weight``, in units of the mean step at w = 0. Attributes: ``family``, ``verdict``, ``redrawn`` where
        the data were not found.

    Raises
    ------
    ParameterError
        The data are not found, and the run is not small or the gallery has no dataset.
    """
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("SPTRACK_DATA") or root.parent / "shared" / "data") / FOLDER
    if not folder.is_dir():
        stored = root / GALLERY / "measured_devices.nc"
        if not small or not stored.is_file():
            raise ParameterError(f"{folder}: not found; set SPTRACK_DATA to the folder of measured data")
        return load(stored).assign_attrs(redrawn="data not found: redrawn from the gallery")
    rows = []
    for name, files in RESPONSES.items():
        if small and len(files) > 1:
            continue
        fit = fit_responses(
            read_measurement([folder / file for file in files]), "soft-bounds" if small else None
        )
        said = verdict(fit)
        point = fit.symmetric_point
        ends = [end if np.isfinite(end) else np.nan for end in (point.low, point.high)]
        value = point.value if said.determined or np.isfinite(ends).any() else np.nan
        rows.append(_row(name, to_device(fit), (fit.family, said.reason or "determined"), [value, *ends]))
    for name, part in TABLES.items():
        tables = read_lookup([folder / part])
        device = table_device(tables)
        value = (
            np.nan if device.fit is None or device.fit.symmetric_point is None else device.fit.symmetric_point
        )
        rows.append(
            _row(name, device, ("look-up table", "no sampling error in a table"), [value, np.nan, np.nan])
        )
    return _dataset(rows)


def _row(name: str, device: Device, words: tuple[str, str], point: list[float]) -> dict[str, Any]:
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    lower, upper = max(device.response.w_min, -1.0), min(device.response.w_max, 1.0)
    weights = np.linspace(-1.0, 1.0, _POINTS)
    inside = (weights >= lower) & (weights <= upper)
    steps = np.stack([step.ravel() for step in cells.steps(weights[:, None, None])])
    middle = [float(step.ravel()[0]) for step in cells.steps(np.zeros((1, 1)))]
    scale = device.scale
    return {
        "set": name,
        "family": words[0],
        "verdict": words[1],
        "symmetric_point": point[0],
        "interval": point[1:],
        "low": -1.0 if scale is None else scale.low,
        "high": 1.0 if scale is None else scale.high,
        "unit": "weight units" if scale is None else scale.unit or "reading units",
        "states": device.states,
        "asymmetry": (middle[0] - middle[1]) / sum(middle),
        "read_noise": device.read_noise / device.dw_min,
        "cycle_noise": device.cycle_noise.std * (1.0 + device.cycle_noise.offset / device.dw_min),
        "step": np.where(inside, steps / device.dw_min, np.nan),
    }


def _dataset(rows: list[dict[str, Any]]) -> xr.Dataset:
    def along(name: str, units: str) -> tuple[Any, Any, dict[str, str]]:
        return (("set",), [row[name] for row in rows], {"units": units})

    variables: dict[str, tuple[Any, Any, dict[str, str]]] = {
        "symmetric_point": along("symmetric_point", "weight units"),
        "interval": (("set", "end"), [row["interval"] for row in rows], {"units": "weight units"}),
        "low": along("low", "unit of the set"),
        "high": along("high", "unit of the set"),
        "states": along("states", "1"),
        "asymmetry": along("asymmetry", "1"),
        "read_noise": along("read_noise", "steps"),
        "cycle_noise": along("cycle_noise", "steps"),
        "step": (("set", "direction", "weight"), [row["step"] for row in rows], {"units": "steps at w = 0"}),
    }
    coordinates = {
        "set": (("set",), [row["set"] for row in rows], {}),
        "family": (("set",), [row["family"] for row in rows], {}),
        "verdict": (("set",), [row["verdict"] for row in rows], {}),
        "unit": (("set",), [row["unit"] for row in rows], {}),
        "direction": (("direction",), ["up", "down"], {}),
        "weight": (("weight",), np.linspace(-1.0, 1.0, _POINTS), {"units": "weight units"}),
    }
    return dataset(
        variables, coordinates, provenance(seed=None, parameters={"sets": [row["set"] for row in rows]})
    )


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Mean steps over the range of every set, with its symmetric point, and what is known of it in words."""
    count = data.sizes["set"]
    width = data["interval"].isel(end=1) - data["interval"].isel(end=0)
    found = int((np.isfinite(data["symmetric_point"]) & ~(width > _WIDE)).sum())
    more = f" {data.attrs['redrawn'].capitalize()}." if "redrawn" in data.attrs else ""
    figure = new_figure(7.2, 1.4 + 1.75 * count)
    headline(
        figure,
        f"{found} of {count} published sets of readings or tables determine a symmetric point",
        "Mean steps over the visited range, in steps at its middle. Dashed: symmetric point; band: its 95 % "
        f"interval, open ends to the edge.{more}",
    )
    axes = figure.subplots(count, 2, sharex="col", squeeze=False, width_ratios=[1.25, 1.0])
    for (ax, words), name in zip(axes, data["set"].values.tolist(), strict=True):
        one = data.sel(set=name)
        for (word, colour), side in zip(_LOOKS, one["step"].values, strict=True):
            ax.plot(one["weight"], side, color=colour)
            seen = np.flatnonzero(np.isfinite(side))
            ax.annotate(
                word, (one["weight"].values[seen[-1]], side[seen[-1]]), (4, 0), textcoords="offset points",
                color=colour, va="center", annotation_clip=False,
            )  # fmt: skip
        _mark_point(ax, one)
        ax.set_ylim(0.0, 1.1 * float(np.nanmax(one["step"])))
        ax.set_xlim(-1.0, 1.0)
        label(ax, name, "", "step")
        words.set_axis_off()
        words.text(0.06, 1.0, _words(one), transform=words.transAxes, va="top", color=GREY, linespacing=1.4)
    axes[-1, 0].set_xlabel("weight (-1 .. 1: the visited range)")
    return figure


def _mark_point(ax: Any, one: xr.Dataset) -> None:
    """Symmetric point with its interval, where they are known; an open end reaches the edge."""
    value, ends = float(one["symmetric_point"]), one["interval"].values
    if np.isfinite(ends).any() and not np.all(np.abs(ends) > 1.0):
        ax.axvspan(*np.where(np.isfinite(ends), ends, [-1.0, 1.0]), color=GREEN, alpha=0.15, linewidth=0)
    if -1.0 < value < 1.0:
        ax.axvline(value, color=GREEN, linestyle="--")


def _words(one: xr.Dataset) -> str:
    """Symmetric point and interval in the unit of the set, or why there is none; states, family, noises."""
    value, ends = float(one["symmetric_point"]), one["interval"].values
    low, high = float(one["low"]), float(one["high"])
    unit = str(one["unit"].values)

    def text(weight: float) -> str:
        return f"{low + 0.5 * (weight + 1.0) * (high - low):.3g}" if np.isfinite(weight) else "open"

    if not -1.0 < value < 1.0:
        lines = []
    elif np.isfinite(ends).any():
        lines = [f"symmetric point {text(value)} {unit}", f"95 %: {text(ends[0])} to {text(ends[1])}"]
    else:
        lines = [f"symmetric point {text(value)} {unit}", "a table has no interval"]
    said = str(one["verdict"].values)
    if np.isfinite(ends).any() or not np.isfinite(value):
        lines += wrap(f"not determined: {said}", _COLUMNS) if said != "determined" else []
    lines += [
        f"{low:.3g} to {high:.3g} {unit}",
        f"{float(one['states']):.0f} states, {one['family'].values}",
        f"noise per pulse {float(one['cycle_noise']):.2g} steps",
    ]
    read = float(one["read_noise"])
    return "\n".join(
        [*lines, f"reading noise {read:.2g} steps" if read else "reading noise not in the table"]
    )
