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

from analysis._cells import each
from sptrack.devices import Device, ExpStep, LinearStep, PiecewiseStep, PowStep, SoftBounds
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    log_scale,
    new_figure,
)
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
CASES = {
    "response": "response",
    "write": "write",
    "wrong": "wrong",
    "weight_bits": "bits",
    "point_bits": "bits",
}
"""What is changed, and its axis."""
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
        return with_settings(method("o-rider"), estimator="observer", observing=observing)
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
    responses = list(RESPONSES)[::4] if small else list(RESPONSES)
    axes: dict[str, list[Any]] = {
        "response": responses,
        "write": list(WRITE[::skip]),
        "wrong": list(WRONG[::skip]),
        "bits": list(BITS[::skip]),
    }
    points = [
        (name, form, x)
        for name, axis in CASES.items()
        for x in axes[axis]
        for form in (FORMS if name in ("response", "write") else ("two", "few"))
    ]
    scores = dict(zip(points, each(_score, points, **amount), strict=True))
    nothing = np.full((2, 3), np.nan)
    variables = {}
    for name, axis in CASES.items():
        values = np.array([[scores.get((name, form, x), nothing) for form in FORMS] for x in axes[axis]])
        for k, metric in enumerate(("w", "q")):
            told = ((axis, "form", "end"), values[:, :, k], {"units": "weight units squared"})
            variables[f"{name}_{metric}"] = told
    units = {"write": "dw_min", "wrong": "1", "bits": "1"}
    coordinates = {
        name: ((name,), values, {"units": units[name]} if name in units else {})
        for name, values in axes.items()
    } | {"form": (("form",), list(FORMS), {})}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=amount))


def _changed(name: str, form: str, x: Any) -> tuple[Method, Device]:
    """A form and the cells, one of them changed."""
    chosen, device = _method(form), default_device()
    if name == "response":
        return chosen, replace(device, response=RESPONSES[x])
    if name == "write":
        return chosen, replace(device, write_noise=x)
    observing = {"drive": 0.16 * x * chosen.alpha} if name == "wrong" else {name: x}
    return _method(form, **observing), device


def _score(name: str, form: str, x: Any, **amount: Any) -> list[list[float]]:
    """Mean squared error over the last tenth and the ends of its interval, of W and of Q."""
    chosen, device = _changed(name, form, x)
    settings = ProblemSettings(device=device, read_noise=0.0 if name == "write" else 0.02)
    one = compare([chosen], settings=settings, **amount).squeeze("method")
    return [[float(one[f"{m}_tail"]), *one[f"{m}_tail_ci"].values.tolist()] for m in ("w", "q")]


TICKS = {"write": WRITE, "wrong": (0.5, 0.7, 1.0, 1.5, 2.0)}
IDLE = 0.095
"""Mean squared error of weights that are left alone, weight units squared."""
_LOOKS = {
    "regression": Look(VERMILLION, "^"),
    "two": Look(GREEN, "s", "--"),
    "few": Look(PURPLE, "D", "-."),
    "e-rider": Look(BLUE, "o"),
}
_PANELS = (
    ("response_w", "Response", ""),
    ("response_q", "Response", ""),
    ("write_w", "Write noise", "write noise (steps)"),
    ("wrong_w", "Gains made for a wrong drive", "assumed / true drive"),
    ("weight_bits_w", "Bits of the expected weight", "bits over 2.56 weight units"),
    ("point_bits_q", "Bits of the symmetric point", "bits over 2.56 weight units"),
)


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """A panel per change: errors of W, and of Q where they tell more."""
    figure = new_figure(7.2, 9.4)
    headline(
        figure,
        "The regression fails on power laws, two accumulators with few pulses on exponential steps; 12 to "
        "14 bits suffice",
        "Mean squared error over the last tenth of 20,000 steps, simulated, 95 %. Dotted: weights left "
        "alone; filled "
        "arrow: interval reaches 0. Read noise 0.02, none with write noise.",
    )
    panels = figure.subplots(3, 2)
    for ax, (name, title, text) in zip(panels.flat, _PANELS, strict=True):
        metric = name[-1].upper()
        _draw(ax, data[name])
        log_scale(ax, "y")
        label(ax, title, text, f"error of {metric} (weight units²)")
        axis = str(data[name].dims[0])
        if axis in TICKS:
            log_scale(ax, "x")
            ax.set_xticks(TICKS[axis], [f"{tick:g}" for tick in TICKS[axis]])
        elif axis == "bits":
            ax.set_xticks(data["bits"].values)
        if metric == "W":
            ax.axhline(IDLE, color=GREY, linestyle=":", linewidth=1.2)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def _draw(ax: Axes, values: xr.DataArray) -> None:
    axis = values.dims[0]
    for k, form in enumerate(values["form"].values.tolist()):
        one, look = values.sel(form=form).values, _LOOKS[form]
        if np.isnan(one).all():
            continue
        bars = np.nan_to_num(np.abs(one[:, 1:] - one[:, :1])).T
        x = np.arange(len(one)) + 0.15 * (k - 1.5) if axis == "response" else values[axis].values
        ax.errorbar(
            x, one[:, 0], bars, color=look.colour, marker=look.marker, markerfacecolor="white", capsize=2,
            linestyle="none" if axis == "response" else look.line, markersize=5.5, linewidth=1.3,
            label=FORMS[form],
        )  # fmt: skip
        open_end = np.asarray(x)[one[:, 1] <= 0]
        if open_end.size:
            ax.plot(
                open_end, np.zeros(open_end.size), "v", color=look.colour, clip_on=False,
                transform=ax.get_xaxis_transform(),
            )  # fmt: skip
    if axis == "response":
        names = [name.replace(" ", "\n").replace("exp-", "exp-\n") for name in values[axis].values.tolist()]
        names = [name.replace("piecewise", "piece-\nwise") for name in names]
        ax.set_xticks(np.arange(values.sizes[axis]), names)
