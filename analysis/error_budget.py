"""What limits the symmetric points that E-RIDER and O-RIDER track?

The default problem on soft-bounds cells with every source of error that a real array has: pulses of 1/2000
of the range, cycle noise, spread, reading noise 0.02, write noise of one pulse, symmetric points that wander
by 1e-5 a step and move 1e-7 per pulse, Q in a register of 14 bits. Each source is switched off alone, and on
alone, with the same random numbers.

E-RIDER is limited by what of the chopped gradient leaks through its filter and by the randomness of its
chopper: choose filter and flips, not a better device. O-RIDER, which hears nothing of the gradient, has a
fifth of the error. What limits it are reading noise and the spread of the cells, whose responses it takes as
nominal: without the one or the other its square would be two fifths or a third of what it is, alone they make
a third and a fifth of it. They multiply (last row), so single effects do not add up.
"""  # noqa: D400

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack import Device, Drift, error_budget
from sptrack.plotting.budget import KEY, plot_sources
from sptrack.plotting.style import headline, house_style, new_figure
from sptrack.results import dataset, provenance, read_provenance
from sptrack.tracking import ProblemSettings, method
from sptrack.tracking.problems import default_device

METHODS = ("e-rider", "o-rider")
BITS, READ_NOISE = 14, 0.02


def device() -> Device:
    """The default cells, with write noise and drift."""
    return replace(default_device(), write_noise=1.0, drift=Drift(per_pulse=1e-7, walk=1e-5))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Budgets of both methods: 20000 steps, 8 seeds (``small``: 200, 2).

    Returns
    -------
    Dataset
        Variables of `error_budget`, each with its method in front: ``e-rider|saved``, ...; sources that a
        method has not are NaN.
    """
    steps, seeds = (200, 2) if small else (20000, 8)
    settings = ProblemSettings(device=device(), read_noise=READ_NOISE)
    made = {
        name: error_budget(
            replace(method(name), bits=BITS), "quadratic", settings, steps=steps, seeds=seeds, seed=seed,
            threads=threads,
        )
        for name in METHODS
    }  # fmt: skip
    sources = list(dict.fromkeys(source for one in made.values() for source in one["source"].values.tolist()))
    variables: dict[str, Any] = {}
    for name, one in made.items():
        full = one.reindex(source=sources)
        variables |= {
            f"{name}|{key}": (value.dims, value.values, value.attrs) for key, value in full.data_vars.items()
        }
    coordinates = {
        "source": (("source",), sources, {}),
        "seed": (("seed",), list(range(seed, seed + seeds)), {"units": "1"}),
    }
    parameters = {"methods": METHODS, "settings": settings, "bits": BITS, "steps": steps, "seeds": seeds}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=parameters))


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """What each source saves when off and adds when alone, a panel per method."""
    asked = read_provenance(data)["parameters"]
    figure = new_figure(7.2, 8.6)
    ratio = float(data["o-rider|total"]) / float(data["e-rider|total"])
    headline(
        figure,
        "Leakage of the chopped gradient limits E-RIDER, reading noise and spread O-RIDER, whose mean square "
        f"error is {100 * ratio:.0f} % of it",
        f"{asked['steps']:,} steps, {asked['seeds']} seeds. {KEY}",
    )
    for ax, name in zip(figure.subplots(2, 1), METHODS, strict=True):
        own = [key for key in data.data_vars if str(key).startswith(f"{name}|")]
        one = data[own].rename({key: str(key).partition("|")[2] for key in own})
        plot_sources(ax, one.isel(source=np.flatnonzero(np.isfinite(one["saved"].values))))
        ax.set_title(f"{name.upper()}. {ax.get_title(loc='left')}", loc="left")
    return figure
