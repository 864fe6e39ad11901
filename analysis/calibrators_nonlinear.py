"""What does a calibrator that assumes a linear response cost on a device that is not linear?

RMS error and bias (mean error over the cells) against pulses for a linear, an exponentially saturating and
a power-law device, with 96 reads of every cell at 1 % of the range. The fits assume steps that fall
linearly to the bounds; root finding and the methods on zero-shifting do not.
"""  # noqa: D400

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    ExpStep,
    PowStep,
    SoftBounds,
    Spread,
    sample_cells,
)
from sptrack.evaluation.recommendation import trial
from sptrack.plotting.style import COLOURS, label, new_figure
from sptrack.results import dataset, provenance

READ_NOISE, READS, TARGET = 0.02, 96, 0.02
METHODS = ("zero-shifting", "transient", "observer", "root-finding", "bursts-known", "bursts", "bursts-prior")
_LOOK = dict(
    zip(
        METHODS,
        zip((*(COLOURS[k] for k in (5, 3, 4, 2)), "#999999", *COLOURS[:2]), "osD^xP*", strict=True),
        strict=True,
    )
)


_EXPONENTIAL = ExpStep(a=0.5, b=0.0, A_up=math.exp(-1.5), A_down=math.exp(-1.5), gamma_up=3.0, gamma_down=3.0)
"""q_plus = 1 - exp(-1.5 (1 - w)), and its mirror image."""


def devices() -> dict[str, Device]:
    """Three devices whose cells differ in gain and asymmetry alike."""
    spread = Spread(dw_min=0.2, log_normal=True, asymmetry=Asymmetry(mean=0.2, std=0.2))
    responses = {
        "linear": (SoftBounds(), 0.001),
        "exponential saturation": (_EXPONENTIAL, 0.001),
        "power law (exponent 2)": (PowStep(gamma_up=2.0, gamma_down=2.0), 0.004),
    }
    noise = CycleNoise(std=0.3)
    return {
        name: Device(response=response, dw_min=step, spread=spread, cycle_noise=noise)
        for name, (response, step) in responses.items()
    }


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Calibrate 24 x 24 cells (``small``: 6 x 6) of each device.

    Returns
    -------
    Dataset
        Over device, method and pulses: ``rms`` and ``mean`` error with ``_low`` and ``_high`` (95 % over
        cells).
    """
    side = 6 if small else 24
    pulses = np.array([800, 3200] if small else [500, 800, 1200, 2000, 3200, 5000, 8000])
    kinds = devices()
    values = np.empty((2, 3, len(kinds), len(METHODS), len(pulses)))
    for d, kind in enumerate(kinds.values()):
        cells = sample_cells(kind, (side, side), seed=seed)
        for m, method in enumerate(METHODS):
            for k, n in enumerate(pulses):
                row = trial(cells, method, int(n), READS, target=TARGET, read_noise=READ_NOISE, seed=seed)
                values[:, :, d, m, k] = [(row.rms, *row.rms_ci), (row.mean, *row.mean_ci)]
    axes, units = ("device", "method", "pulses"), {"units": "weight units"}
    variables: dict[str, Any] = {
        f"{name}{end}": (axes, values[i, j], units)
        for i, name in enumerate(("rms", "mean"))
        for j, end in enumerate(("", "_low", "_high"))
    }
    coordinates = {
        "device": (("device",), list(kinds), {}),
        "method": (("method",), list(METHODS), {}),
        "pulses": (("pulses",), pulses, {"units": "pulses per cell"}),
    }
    settings = {"cells": (side, side), "read_noise": READ_NOISE, "reads": READS}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=settings))


def plot(data: xr.Dataset) -> Figure:
    """RMS error above, bias below, one column per device."""
    figure = new_figure(14.0, 7.6)
    axes = figure.subplots(2, data.sizes["device"], sharex=True, sharey="row")
    for d, device in enumerate(data["device"].values):
        for row, name in enumerate(("rms", "mean")):
            ax = axes[row, d]
            for method in data["method"].values:
                one = data.isel(device=d).sel({"method": method})
                colour, marker = _LOOK[str(method)]
                value = one[name].values
                ends = np.abs(np.stack([one[f"{name}_low"].values, one[f"{name}_high"].values]) - value)
                ax.errorbar(
                    one["pulses"],
                    value,
                    ends,
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linewidth=1,
                    label=method,
                )
            x, y = ("", "RMS error") if row == 0 else ("pulses per cell", "bias: mean error")
            label(ax, str(device) if row == 0 else "", x, f"{y} (weight units)" if d == 0 else "")
            ax.set_xscale("log")
            ax.set_xticks(data["pulses"].values, [f"{n}" for n in data["pulses"].values])
            ax.minorticks_off()
            if row == 0:
                ax.axhline(TARGET, color="#cc3311", linewidth=0.8, label="target: 1 % of the range")
                ax.set_yscale("log")
            else:
                ax.axhline(0.0, color="#cc3311", linewidth=0.8)
                ax.set_ylim(-0.1, 0.1)
    handles, texts = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=8, fontsize=9)
    figure.suptitle(
        "Calibrators on devices that are not linear: 96 reads of each cell, read noise 1 % of the range"
    )
    return figure
