"""Do the 95 % intervals of a pulse-response fit hold the truth in 95 % of the cases?

Soft-bounds cells are pulsed 150 (few: 60) times up from -0.6 and as often down from 0.6 and read after every
pulse; every repeat has fresh noise and is fitted anew, with the choice of slow reading noise part of the fit.
Simulated pulse by pulse, in code that knows nothing of the filter.

Ten settings: soft bounds under five mixtures of noises, and a cell of each other family, fitted by its own
family; three of them with 1000 repeats, the others with 200 (about 15 minutes of one core in all). Measured,
with Wilson intervals of +- 1.5 % (1000 repeats) and +- 4 % (200):

- 1000 repeats: balanced 94.0 to 95.4 %, few readings 93.6 to 95.7 %. Read-dominated: 94.1 to 96.3 %,
  its symmetric point 92.9 % [91.1, 94.3].
- 200 repeats: pow-step 93.0 to 96.5 %, soft-exponential 94.5 to 95.5 %, linear-step 93.0 to 96.5 %, exp-step
  92.0 to 95.0 %.
- 200 repeats: piecewise falls short, step up and symmetric point 89.5 % [84, 93], with the truth on either
  side of the intervals; its noises are covered (93.5 and 94.5 %).
- 200 repeats: cycle-dominated 92.5 to 96 %, its reading noise 90 % [85, 93] (an end is not found in 3 %).
- 200 repeats: without cycle noise 95.5 to 98.5 %: readings that cannot show a cycle noise of 0.3 steps cannot
  tell it from the read-dominated cell, and one interval has to serve both.
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
REPEATS = {"balanced": 1000, "few readings": 1000, "read-dominated": 1000}
"""Repeats by setting; 200 for the others."""
_REPEATS = 200
_BAND, _NOMINAL = (93.0, 97.0), 95.0
_NAN = float("nan")
_NONE = Coverage(
    covered=_NAN, covered_ci=(_NAN, _NAN), below=_NAN, above=_NAN, bias=_NAN, scatter=_NAN, missing=_NAN
)
NAMES = ("step_up", "step_down", "tau_max", "tau_min", "symmetric_point", "read_noise", "cycle_noise")


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Fit 1000 or 200 repeats of every setting (``small``: 10 of two); one thread, whatever ``threads``.

    Returns
    -------
    Dataset
        ``covered`` (share of the repeats), ``covered_ci`` (Wilson, 95 %), ``below``, ``above`` (shares in
        which the truth lies below or above the interval), ``bias`` and ``scatter`` of the estimates (in units
        of the truth) and ``missing`` (ends not found), over ``setting`` and ``parameter``.
    """
    repeats = {name: 10 if small else REPEATS.get(name, _REPEATS) for name in SETTINGS}
    chosen = dict(list(SETTINGS.items())[:2]) if small else SETTINGS
    found = [
        coverage(setting, [n for n in NAMES if n in setting.truth], repeats=repeats[name], seed=seed + k)
        for k, (name, setting) in enumerate(chosen.items())
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
        provenance(
            seed=seed, parameters={"settings": chosen, "repeats": {name: repeats[name] for name in chosen}}
        ),
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
        f"{count - int(short.sum()) - int(beyond.sum())} of {count} coverages agree with the nominal 95 %: "
        f"{int(short.sum())} fall short, {int(beyond.sum())} go beyond",
        "Share of fits whose interval holds the truth, with Wilson 95 % intervals; fits per setting: "
        f"{min(repeats.values()):,} to {max(repeats.values()):,}. Grey band: 93 to 97 %. Red: clear of 95 %.",
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
        label(ax, name.replace("_", "\n"), "", "")
        ax.title.set_fontsize(9.5)
    axes[0].set_yticks(range(len(settings)), settings)
    axes[0].invert_yaxis()
    axes[len(names) // 2].set_xlabel("fits whose interval holds the truth (%)")
    return figure
