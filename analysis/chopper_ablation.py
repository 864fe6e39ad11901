"""How often should the chopper flip?

E-RIDER with its default settings but for the flip probability p, on the default problem; p = 0 is the same
method without a chopper, whose reference copy then stays at 0 for ever. Crosses are figures of an independent
simulation (seeds 0 to 4, closed-form bursts instead of single pulses).

One sees a narrow optimum of p for W. With fewer flips Q settles on a P that the gradient holds off its
symmetric point, and the copy that is subtracted is old. With more, Q stays good, but P cannot accumulate the
gradient between flips: the demodulated signal shrinks as 1/(1 - r a), r = 1 - 2 p (below), and W, driven by
noise, drifts to its own symmetric point. The best p makes 20 to 40 flips in 20000 steps.
"""  # noqa: D400

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis._cells import each
from sptrack.evaluation.explain import explain
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
from sptrack.results import dataset, provenance
from sptrack.tracking import METHODS, method, problem
from sptrack.tracking.compare import compare

EARLIER = {
    0.0: 0.067, 1e-4: 0.046, 5e-4: 0.0027, 2e-3: 0.0010, 5e-3: 0.0035, 0.01: 0.017, 0.03: 0.063, 0.1: 0.137,
    0.3: 0.179,
}  # fmt: skip
"""|W - W*|^2 by p of the independent simulation, weight units squared."""
ZERO = 3e-5
"""Where p = 0 is drawn on the logarithmic axis."""


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Run E-RIDER at every p, and analog SGD for comparison: 20000 steps, 10 seeds (``small``: 4000, 2).

    Returns
    -------
    Dataset
        ``w``, ``w_ci``, ``q``, ``q_ci`` (means over the last tenth of the steps, 95 % intervals over seeds),
        ``signal`` (demodulated, by formula, relative to p -> 0) and ``earlier`` over p; ``sgd``.
    """
    steps, seeds = (4000, 2) if small else (20000, 10)
    amount = {"steps": steps, "seeds": seeds, "seed": seed, "threads": threads}
    points = sorted(EARLIER) if small else sorted({*EARLIER, 2e-4, 1e-3, 3e-3})
    *made, sgd = each(_tails, [*((p,) for p in points), (None,)], **amount)
    squared = {"units": "weight units squared"}
    variables = {}
    for k, name in enumerate(("w", "q")):
        variables[name] = (("p",), [one[k, 0] for one in made], squared)
        variables[f"{name}_ci"] = (("p", "end"), [one[k, 1:] for one in made], squared)
    variables |= {
        "signal": (("p",), _signal(points, seed), {"units": "1"}),
        "earlier": (("p",), [EARLIER.get(p, np.nan) for p in points], squared),
        "sgd": ((), sgd[0, 0], squared),
    }
    parameters = {"method": method("e-rider"), "steps": steps, "seeds": seeds}
    return dataset(
        variables, {"p": (("p",), points, {"units": "1/step"})}, provenance(seed=seed, parameters=parameters)
    )


def _tails(p: float | None, **amount: Any) -> list[list[float]]:
    """Mean squared errors of W and Q over the last tenth, each with its interval; analog SGD for None."""
    chosen = METHODS["sgd"]() if p is None else METHODS["e-rider"](p=p)
    one = compare([chosen], **amount).squeeze("method")
    return [[float(one[f"{m}_tail"]), *one[f"{m}_tail_ci"].values.tolist()] for m in ("w", "q")]


def _signal(points: list[float], seed: int) -> np.ndarray:
    """Demodulated signal of P at a constant gradient, (1 - a)/(1 - r a): 1 without flips."""
    pole = explain(problem(seed=seed), method("e-rider"))["loop_pole"]
    return (1 - pole) / (1 - (1 - 2 * np.array(points)) * pole)


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Errors of W and of Q against p; below, the demodulated signal."""
    figure = new_figure(7.2, 6.6)
    p, w = data["p"].values, data["w"].values
    best = int(np.argmin(w))
    headline(
        figure,
        f"E-RIDER needs rare flips: its error of W is least near p = {p[best]:g}, {w[0] / w[best]:.0f} "
        "times below "
        "that without a chopper",
        "Open markers: simulated, 95 % over the seeds; crosses: W of an independent simulation; filled "
        "arrows: interval reaches 0. Left "
        "of the axis "
        "break: p = 0.",
    )
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.1])
    x = np.where(p > 0, p, ZERO)
    ends = []
    for name, colour, marker, text in (("w", BLUE, "o", "W"), ("q", VERMILLION, "^", "Q")):
        value = data[name].values
        bars = np.nan_to_num(np.abs(data[f"{name}_ci"].values.T - value))
        style = {"color": colour, "marker": marker, "markerfacecolor": "white", "capsize": 3}
        upper.errorbar(x[1:], value[1:], bars[:, 1:], **style)
        upper.errorbar(x[:1], value[:1], bars[:, :1], linestyle="none", **style)
        reaches_zero = x[data[f"{name}_ci"].values[:, 0] <= 0]
        if reaches_zero.size:
            bottom = np.zeros(reaches_zero.size)
            place = upper.get_xaxis_transform()
            upper.plot(reaches_zero, bottom, "v", color=colour, transform=place, clip_on=False)
        ends.append((float(value[-1]), f"{text}, E-RIDER", colour))
    upper.plot(x, data["earlier"], "x", color="black", markersize=7, zorder=4)
    sgd = float(data["sgd"])
    upper.axhline(sgd, color=GREY, linestyle=":")
    ends.append((sgd, "W, analog SGD", GREY))
    lower.plot(x[1:], data["signal"][1:], color=GREEN)
    lower.set_ylim(0, 1.05)
    log_scale(upper, "xy")
    _mark_zero(upper, x)
    label(upper, "Error", "", "mean squared error\n(weight units²)")
    label(lower, "Gradient that survives the chopping, theory", "flip probability p per step", "fraction")
    label_ends(upper, ends)
    return figure


def _mark_zero(ax: Axes, x: np.ndarray) -> None:
    """Label the place of p = 0 and part it from the logarithmic axis."""
    ticks = [1e-4, 1e-3, 1e-2, 1e-1]
    ax.set_xticks([ZERO, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])
    ax.set_xlim(0.6 * ZERO, 1.5 * float(x.max()))
    ax.axvline(1.9 * ZERO, color=GREY, linewidth=0.8)
