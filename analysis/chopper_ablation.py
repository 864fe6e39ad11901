"""How often should the chopper flip?

E-RIDER with its default settings but for the flip probability p, on the default problem; p = 0 is the same
method without a chopper, whose reference copy then stays at 0 for ever. Crosses are figures of an independent
simulation (seeds 0 to 4, closed-form bursts instead of single pulses).

One sees a narrow optimum of p for W. With fewer flips Q settles on a P that the gradient holds off its
symmetric point, and the copy that is subtracted is old. With more, Q stays good, but P cannot accumulate the
gradient between flips: the demodulated signal shrinks as 1/(1 - r a), r = 1 - 2 p (below), and W, driven by
noise, drifts to its own symmetric point. The best p makes 20 to 40 flips in 20000 steps.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.evaluation.explain import explain
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
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
    made = [compare([METHODS["e-rider"](p=p)], **amount).squeeze("method") for p in points]
    sgd = float(compare(["sgd"], **amount)["w_tail"][0])
    squared = {"units": "weight units squared"}
    variables = {}
    for name in ("w", "q"):
        variables[name] = (("p",), [float(one[f"{name}_tail"]) for one in made], squared)
        variables[f"{name}_ci"] = (("p", "end"), [one[f"{name}_tail_ci"].values for one in made], squared)
    variables |= {
        "signal": (("p",), _signal(points, seed), {"units": "1"}),
        "earlier": (("p",), [EARLIER.get(p, np.nan) for p in points], squared),
        "sgd": ((), sgd, squared),
    }
    parameters = {"method": method("e-rider"), "steps": steps, "seeds": seeds}
    return dataset(
        variables, {"p": (("p",), points, {"units": "1/step"})}, provenance(seed=seed, parameters=parameters)
    )


def _signal(points: list[float], seed: int) -> np.ndarray:
    """Demodulated signal of P at a constant gradient, (1 - a)/(1 - r a): 1 without flips."""
    pole = explain(problem(seed=seed), method("e-rider"))["loop_pole"]
    return (1 - pole) / (1 - (1 - 2 * np.array(points)) * pole)


def plot(data: xr.Dataset) -> Figure:
    """Errors of W and of Q against p; below, the demodulated signal."""
    figure = new_figure(10.0, 7.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    x = np.where(data["p"].values > 0, data["p"].values, ZERO)
    for name, colour, text in (
        ("w", COLOURS[0], "W from its optimum"),
        ("q", COLOURS[1], "Q from the symmetric point"),
    ):
        value = data[name].values
        bars = np.nan_to_num(np.abs(data[f"{name}_ci"].values.T - value))
        upper.errorbar(x[1:], value[1:], bars[:, 1:], fmt="o-", color=colour, capsize=3, label=text)
        upper.errorbar(
            x[:1], value[:1], bars[:, :1], fmt="o", color=colour, capsize=3, markerfacecolor="white"
        )
    upper.plot(
        x, data["earlier"], "x", color="black", markersize=8, label="W, independent simulation", zorder=4
    )
    _finish(upper, data)
    lower.plot(x[1:], data["signal"][1:], color=COLOURS[2])
    lower.set_ylim(0, 1.05)
    text = "flip probability p per step (open symbols: p = 0)"
    label(lower, "How much of the gradient survives the chopping", text, "(1 - a) / (1 - r a)")
    return figure


def _finish(ax: Axes, data: xr.Dataset) -> None:
    ax.axhline(float(data["sgd"]), color=GREY, linestyle=":")
    ax.text(0.5, float(data["sgd"]), "analog SGD", color=GREY, va="bottom", ha="right", fontsize=9)
    ax.set(xscale="log", yscale="log")
    ax.legend(fontsize=9, loc="lower left")
    label(
        ax, "E-RIDER: error against the chopper's flip probability", "", "mean squared error (weight units²)"
    )
