"""Where does an input-aware observer stop working, and how little hardware does it need?

O-RIDER on the default problem with one thing changed at a time, read noise .02 unless it is what changes:
responses that are not lines, write noise, gains made for another drive, and fixed-point numbers of so many
bits in the form with two accumulators. The regression reads every 64 steps at 2.5 pulses a
step; the two accumulators at 0.37 and at 2.5. E-RIDER with its default settings (8.2 pulses) for comparison.

Limits, as drawn: with read noise the regression fails on the power law (its W is worse than doing nothing),
whose slopes vanish towards the bounds; fixed gains survive there, no worse than E-RIDER. At 0.37 pulses a
step fixed gains made for the nominal response fail on exp-step cells, and are three times worse than
E-RIDER on the piecewise law. Write noise counts as read noise in Q; what it does to W is the same for all.
A drive that is overestimated twice costs 1.2 to 2 times in W. Twelve bits of the symmetric point are
enough; the expected weight wants 10 bits at 2.5 pulses a step, and 14 at 0.37, whose increments else round
to nothing. The nominal level and slope that fixed gains assume are wrong here as cells spread: F is 0.19 to
1 times nominal.
"""  # noqa: D400

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.devices import Device, ExpStep, LinearStep, PiecewiseStep, PowStep, SoftBounds
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import Method, ProblemSettings, method, with_settings
from sptrack.tracking.compare import compare
from sptrack.tracking.problems import default_device

RESPONSES = {
    "linear": SoftBounds(),
    "linear step": LinearStep(gamma_up=0.5, gamma_down=0.5),
    "power 2": PowStep(gamma_up=2.0, gamma_down=2.0),
    "piecewise": PiecewiseStep(nodes_up=(1.0, 0.9, 0.4, 0.1), nodes_down=(0.1, 0.5, 0.9, 1.0)),
    "exp-step": ExpStep(),
}
WRITE = (1.0, 5.0, 20.0, 60.0)
"""Write noise, steps."""
WRONG = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)
BITS = (8, 10, 12, 14, 16, 18, 20)
FORMS = {
    "regression": "regression, 2.5 pulses a step",
    "two": "two accumulators, 2.5 pulses a step",
    "few": "two accumulators, 0.37 pulses a step",
    "e-rider": "E-RIDER, 8.2 pulses a step",
}


def _method(form: str, **observing: Any) -> Method:
    """One of the forms, at its usual settings."""
    if form == "e-rider":
        return method("e-rider")
    if form == "regression":
        return with_settings(method("o-rider"), observing=observing)
    few = form == "few"
    rates = {"alpha": 0.0018, "beta": 0.0017, "gamma": 0.27} if few else {}
    made = method("o-rider", eta=2e-4, **rates)
    drive = 0.16 * made.alpha
    return with_settings(
        made,
        name=form,
        estimator="predictor-observer",
        observing={"drive": drive} | observing,
    )


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Run every form through every change: 20000 steps, 4 seeds (``small``: 1000, 2, a third of the changes).

    Returns
    -------
    Dataset
        ``response_w``, ``response_q`` over ``response``; ``write_*`` over ``write`` (steps), ``wrong_*`` over
        ``wrong``, ``weight_bits_*`` and ``point_bits_*`` over ``bits``; each with ``form`` and ``end`` (mean
        squared error over the last tenth, then the ends of its 95 % interval), weight units squared.
    """
    amount = {"steps": 1000 if small else 20000, "seeds": 2 if small else 4, "seed": seed, "threads": threads}
    skip = 3 if small else 1
    device = default_device()
    responses = list(RESPONSES)[::4] if small else list(RESPONSES)
    axes: dict[str, list[Any]] = {
        "response": responses,
        "write": list(WRITE[::skip]),
        "wrong": list(WRONG[::skip]),
        "bits": list(BITS[::skip]),
    }
    out: dict[str, Any] = {}
    cases: dict[str, tuple[str, Any]] = {
        "response": ("response", lambda form, x: (_method(form), replace(device, response=RESPONSES[x]))),
        "write": ("write", lambda form, x: (_method(form), replace(device, write_noise=x))),
        "wrong": ("wrong", lambda form, x: (_method(form, drive=0.16 * x * _alpha(form)), device)),
        "weight_bits": ("bits", lambda form, x: (_method(form, weight_bits=x), device)),
        "point_bits": ("bits", lambda form, x: (_method(form, point_bits=x), device)),
    }
    for name, (axis, make) in cases.items():
        forms = list(FORMS) if name in ("response", "write") else ["two", "few"]
        for metric in ("w", "q"):
            out[f"{name}_{metric}"] = np.full((len(axes[axis]), len(FORMS), 3), np.nan)
        for a, x in enumerate(axes[axis]):
            for form in forms:
                _fill(out, name, (a, list(FORMS).index(form)), _score(*make(form, x), name, amount))
    variables = {
        name: ((cases[name[:-2]][0], "form", "end"), values, {"units": "weight units squared"})
        for name, values in out.items()
    }
    units = {"write": "dw_min", "wrong": "1", "bits": "1"}
    coordinates = {
        name: ((name,), values, {"units": units[name]} if name in units else {})
        for name, values in axes.items()
    } | {"form": (("form",), list(FORMS), {})}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=amount))


def _alpha(form: str) -> float:
    return _method(form).alpha


def _score(chosen: Method, device: Device, name: str, amount: dict[str, Any]) -> xr.Dataset:
    noise = 0.0 if name == "write" else 0.02
    settings = ProblemSettings(device=device, read_noise=noise)
    return compare([chosen], settings=settings, **amount).squeeze("method")


def _fill(out: dict[str, Any], name: str, place: tuple[int, int], one: xr.Dataset) -> None:
    for metric in ("w", "q"):
        value = float(one[f"{metric}_tail"])
        out[f"{name}_{metric}"][place] = [value, *one[f"{metric}_tail_ci"].values.tolist()]


TICKS = {"write": WRITE, "wrong": (0.5, 0.7, 1.0, 1.5, 2.0)}
_PANELS = {
    "response": ("Response, read noise .02", "response"),
    "write": ("Write noise", "write noise (steps)"),
    "wrong": ("Gains made for a drive wrong by a factor", "assumed drive / true drive"),
    "weight_bits": ("Bits of the expected weight", "bits over 2.56 weight units"),
    "point_bits": ("Bits of the symmetric point", "bits over 2.56 weight units"),
}


def plot(data: xr.Dataset) -> Figure:
    """A column per change; errors of W above, of Q below."""
    figure = new_figure(17.0, 7.6)
    panels = figure.subplots(2, len(_PANELS), sharex="col", sharey="row")
    for column, (name, (title, text)) in enumerate(_PANELS.items()):
        for row, metric in enumerate(("w", "q")):
            ax = panels[row, column]
            _draw(ax, data[f"{name}_{metric}"])
            label(
                ax,
                title if row == 0 else "",
                text if row else "",
                f"mean squared error of {metric.upper()} (weight units²)" if column == 0 else "",
            )
            ax.set_yscale("log")
            if name == "response":
                ax.tick_params(axis="x", rotation=30)
            if name in TICKS:
                ax.set_xscale("log")
                ax.set_xticks(TICKS[name], [f"{tick:g}" for tick in TICKS[name]])
                ax.minorticks_off()
            if metric == "w":
                ax.axhline(0.095, color=GREY, linestyle=":", linewidth=1)
    panels[0, 0].text(0, 0.1, "doing nothing", color=GREY, fontsize=9, va="bottom")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=10)
    return figure


def _draw(ax: Axes, values: xr.DataArray) -> None:
    axis = values.dims[0]
    for k, form in enumerate(values["form"].values.tolist()):
        one = values.sel(form=form).values
        if np.isnan(one).all():
            continue
        bars = np.nan_to_num(np.abs(one[:, 1:] - one[:, :1])).T
        line = "o" if axis == "response" else "o-"
        x = np.arange(len(one)) + 0.12 * (k - 1.5) if axis == "response" else values[axis].values
        ax.errorbar(x, one[:, 0], bars, fmt=line, color=COLOURS[k], capsize=3, label=FORMS[form])
    if axis == "response":
        ax.set_xticks(np.arange(values.sizes[axis]), values[axis].values.tolist())
