"""Do the 95 % intervals of a pulse-response fit hold the truth in 95 % of the cases?

Soft-bounds cells are pulsed 150 (few: 60) times up from -0.6 and as often down from 0.6 and read after every
pulse; every repeat has fresh noise and is fitted anew, with the choice of slow reading noise part of the fit.
Simulated pulse by pulse, in code that knows nothing of the filter.

Ten settings: soft bounds under five mixtures of noises, and a cell of each other family, fitted by its own
family; 200 repeats each (about 12 minutes of one core in all). Measured, Wilson intervals of +- 3 to 4 %:

- Soft bounds, balanced 93.5 to 95 %, few readings 93.5 to 96 %, cycle-dominated 92.5 to 96 %, read-dominated
  95 to 97.5 %; clear of 95 % is the upper bound of the balanced cell, 90.0 % [85, 93].
- pow-step 94.5 to 97.5 %, soft-exponential 95 to 96.5 %, linear-step 93.5 to 97.5 %.
- exp-step 91.5 to 94 %: its symmetric point, 91.5 % [87, 95], is clear of 95 %, its steps and cycle noise
  (92 to 93 %) are not.
- piecewise 90.5 to 95 %: step up, 91.0 % [86, 94], and symmetric point, 90.5 % [86, 94], are clear of 95 %.
- Without cycle noise 96 to 99.5 %, steps and symmetric point clear of 95 %: readings that cannot show a cycle
  noise of 0.3 steps cannot tell it from the read-dominated cell, and one interval has to serve both.

In the four that fall short the truth lies on either side of the intervals: these are short, estimates are not
biased by more than a quarter of their scatter. Of 60 coverages 1.5 would fall short by chance.
"""  # noqa: D400

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.fitting.coverage import Coverage, Setting, coverage
from sptrack.plotting.style import BLUE, VERMILLION, headline, house_style, label, new_figure
from sptrack.results import dataset, provenance, read_provenance

SETTINGS = {
    "balanced": Setting(readings=150, read_noise=0.02, cycle_noise=1.0),
    "few readings": Setting(readings=60, read_noise=0.02, cycle_noise=1.0, scale=2.0),
    "cycle-dominated": Setting(readings=150, read_noise=0.005, cycle_noise=2.0),
    "no cycle noise": Setting(readings=150, read_noise=0.1, cycle_noise=0.0),
    "read-dominated": Setting(readings=150, read_noise=0.1, cycle_noise=0.3),
    "pow-step": Setting(family="pow-step", readings=300, cycle_noise=0.3),
    "exp-step": Setting(family="exp-step", readings=300, cycle_noise=0.3),
    "soft-exponential": Setting(family="soft-exponential", readings=300, cycle_noise=0.3),
    "linear-step": Setting(family="linear-step", readings=150, cycle_noise=0.3),
    "piecewise": Setting(family="piecewise", readings=300, cycle_noise=0.3),
}
REPEATS = 1000
"""Repeats of each setting."""
_BAND, _NOMINAL = (93.0, 97.0), 95.0
_NAN = float("nan")
_NONE = Coverage(
    covered=_NAN, covered_ci=(_NAN, _NAN), below=_NAN, above=_NAN, bias=_NAN, scatter=_NAN, missing=_NAN
)
NAMES = ("step_up", "step_down", "tau_max", "tau_min", "symmetric_point", "read_noise", "cycle_noise")


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Fit 1000 repeats of every setting (``small``: 10 of two); one thread, whatever ``threads``.

    Returns
    -------
    Dataset
        ``covered`` (share of the repeats), ``covered_ci`` (Wilson, 95 %), ``below``, ``above`` (shares in
        which the truth lies below or above the interval), ``bias`` and ``scatter`` of the estimates (in units
        of the truth) and ``missing`` (ends not found), over ``setting`` and ``parameter``.
    """
    repeats = 10 if small else REPEATS
    chosen = dict(list(SETTINGS.items())[:2]) if small else SETTINGS
    found = [
        coverage(setting, [n for n in NAMES if n in setting.truth], repeats=repeats, seed=seed + k)
        for k, setting in enumerate(chosen.values())
    ]
    over = ("setting", "parameter")
    variables: dict[str, Any] = {
        name: (over, [[getattr(one.get(key, _NONE), name) for key in NAMES] for one in found], {"units": "1"})
        for name in ("covered", "below", "above", "bias", "scatter", "missing")
    }
    ends = [[one.get(key, _NONE).covered_ci for key in NAMES] for one in found]
    variables["covered_ci"] = ((*over, "end"), ends, {"units": "1"})
    coordinates: dict[str, Any] = {
        "setting": (("setting",), list(chosen), {}),
        "parameter": (("parameter",), list(NAMES), {}),
    }
    return dataset(
        variables,
        coordinates,
        provenance(seed=seed, parameters={"settings": chosen, "repeats": repeats}),
    )


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Coverage of every parameter, a panel each, in every setting; red where it is clear of 95 %."""
    names, settings = data["parameter"].values.tolist(), data["setting"].values.tolist()
    covered, ends = 100 * data["covered"], 100 * data["covered_ci"]
    short, beyond = ends.isel(end=1) < _NOMINAL, ends.isel(end=0) > _NOMINAL
    count = int(covered.count())
    repeats = read_provenance(data)["parameters"]["repeats"]
    figure = new_figure(7.2, 1.9 + 0.36 * len(settings))
    headline(
        figure,
        f"{count - int(short.sum()) - int(beyond.sum())} of {count} coverages agree with 95 %: "
        f"{int(short.sum())} short, {int(beyond.sum())} beyond",
        f"Share of {repeats} fits of a setting whose interval holds the truth, with Wilson 95 % intervals. "
        "SP: symmetric point. Grey band: 93 to 97 %. Red: clear of 95 %.",
    )
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    lowest = min(88.0, float(ends.min()) - 1.0)
    for ax, name in zip(axes, names, strict=True):
        ax.axvspan(*_BAND, color="#e3e3e3", linewidth=0)
        for y, one in enumerate(settings):
            place = {"setting": one, "parameter": name}
            value = float(covered.sel(place))
            if not np.isfinite(value):
                continue
            low, high = ends.sel(place).values
            colour = VERMILLION if bool(short.sel(place)) or bool(beyond.sel(place)) else BLUE
            ax.plot([low, high], [y, y], color=colour, linewidth=1.4)
            ax.plot(value, y, "o", color=colour, markersize=4.5)
        ax.set_xlim(lowest, 100.5)
        ax.set_xticks([85, 95])
        label(ax, "SP" if name == "symmetric_point" else name.replace("_", "\n"), "", "")
    axes[0].set_yticks(range(len(settings)), settings)
    axes[0].invert_yaxis()
    axes[len(names) // 2].set_xlabel("fits whose interval holds the truth (%)")
    return figure
