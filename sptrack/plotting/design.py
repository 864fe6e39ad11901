"""Pictures of a design, drawn from its dataset alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import read_provenance

_VERDICTS = {
    "met": COLOURS[2],
    "predicted": COLOURS[0],
    "uncertain": COLOURS[4],
    "missed": COLOURS[1],
    "no limit": GREY,
}
_ESTIMATORS = {"ema": "o", "corrected-ema": "s", "boxcar": "^", "observer": "D"}
_LEVEL = 0.05
_LEAST = {"bias": 1e-5, "rms": 1e-5}
"""Least errors that are drawn: no simulation tells smaller ones from 0."""


def design_figure(data: xr.Dataset) -> Figure:
    """Every requirement against its limit; start offset and rms of Q against steps."""
    figure = new_figure(15.0, 5.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    plot_requirements(left, data)
    plot_left(middle, data)
    plot_rms(right, data)
    told = read_provenance(data)["parameters"]
    s, spec = told["setting"], told["specification"]
    outcome = "all requirements met" if told["met"] else "not all requirements met"
    figure.suptitle(
        f"{spec['device']}: {s['estimator']}, eta {s['eta']:.3g}, alpha {s['alpha']:.3g}, "
        f"gamma {told['gamma']:.2g}, beta {told['beta']:.2g}: {outcome} in {told['seeds']} simulations"
    )
    return figure


def plot_requirements(ax: Axes, data: xr.Dataset) -> Axes:
    """Prediction and measurement over the limit (of signal: limit over them), 1 being the limit."""
    asked = [
        name for name in data["quantity"].values.tolist() if np.isfinite(data["limit"].sel(quantity=name))
    ]
    for place, name in enumerate(reversed(asked)):
        one = data.sel(quantity=name)
        limit, verdict = float(one["limit"]), str(one["verdict"].values)
        predicted, measured = (_over(name, float(one[key]), limit) for key in ("predicted", "measured"))
        ax.plot(predicted, place, "|", color="black", markersize=18, markeredgewidth=2)
        if np.isfinite(measured):
            ends = sorted(_over(name, float(end), limit) for end in one["measured_ci"])
            ax.plot(np.clip(ends, 1e-3, 1e3), [place, place], color=_VERDICTS[verdict], linewidth=2)
            ax.plot(measured, place, "o", color=_VERDICTS[verdict], markersize=8)
        text = f"{verdict} (limit {limit:g} {one['quantity_units'].values})"
        ax.annotate(text, (0.02, place + 0.22), xycoords=("axes fraction", "data"), fontsize=8, color=GREY)
    ax.axvline(1.0, color=COLOURS[1], linestyle="--", linewidth=1.2)
    ax.set(xscale="log", ylim=(-0.6, len(asked) - 0.2))
    ax.set_yticks(range(len(asked)), list(reversed(asked)))
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.3), max(high, 2.0))
    handles = [
        ax.plot([], [], "|", color="black", markersize=12, markeredgewidth=2, label="predicted")[0],
        ax.plot([], [], "o-", color=GREY, label="measured, 95 %")[0],
        ax.plot([], [], "--", color=COLOURS[1], label="limit")[0],
    ]
    ax.legend(handles=handles, fontsize=8, loc="lower right")
    return label(ax, "Requirements", "value over its limit (left of the line: met)", "")


def _over(name: str, value: float, limit: float) -> float:
    """Ratio that is below 1 where the requirement is met."""
    over = limit / value if name == "signal" and value else value / limit if limit else np.inf
    return float(np.clip(over, 1e-3, 1e3)) if np.isfinite(over) else float("nan")


def plot_left(ax: Axes, data: xr.Dataset) -> Axes:
    """Share of the start offset left in Q, theory and simulation."""
    ax.plot(data["step"], data["left_predicted"], color="black", label="predicted")
    ax.plot(data["step"], data["left_measured"], ".", color=COLOURS[0], markersize=4, label="simulated, mean")
    ax.axhline(_LEVEL, color=GREY, linestyle=":", label="5 %: settled")
    ax.legend(fontsize=8)
    return label(ax, "Q comes to the symmetric points", "steps", "share of the start offset left")


def plot_rms(ax: Axes, data: xr.Dataset) -> Axes:
    """Rms of Q - w* against steps, and what is predicted for the end of the run."""
    told = read_provenance(data)["parameters"]["specification"]
    ax.plot(data["step"], data["rms_measured"], color=COLOURS[0], label="simulated, all cells and seeds")
    ax.plot(float(data["step"][-1]), float(data["predicted"].sel(quantity="rms")), "k|", markersize=18,
            markeredgewidth=2, label="predicted at the end")  # fmt: skip
    limit = told["requirements"].get("rms")
    if limit is not None:
        ax.axhline(limit, color=COLOURS[1], linestyle="--", label="limit")
    ax.set_yscale("log")
    ax.legend(fontsize=8)
    return label(ax, "Error of Q", "steps", "rms of Q - w* (weight units)")


def pareto_figure(data: xr.Dataset, measured: xr.Dataset | None = None) -> Figure:
    """Bias and rms of Q against pulses, coloured by programming events; undominated settings in front.

    ``measured`` may hold simulated ``bias``, ``rms``, ``pulses`` with ``_ci`` over ``point``.
    """
    figure = new_figure(13.5, 5.8)
    panels = figure.subplots(1, 2, sharex=True)
    shown = None
    for ax, name in zip(panels, ("bias", "rms"), strict=True):
        shown = plot_front(ax, data, name)
        if measured is not None:
            _simulated(ax, measured, name)
    found = {
        text: handle for ax in panels for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    for estimator, marker in _ESTIMATORS.items():
        text = f"{estimator}, undominated"
        if text in found:
            found[text] = panels[1].plot([], [], marker, color=GREY, markersize=6)[0]
    panels[1].legend(list(found.values()), list(found), fontsize=8, loc="upper right")
    if shown is not None:
        figure.colorbar(shown, ax=panels, label="programming events per cell and run", shrink=0.9)
    told = read_provenance(data)["parameters"]["specification"]
    figure.suptitle(
        f"What can be had: {told['device']}, {told['steps']} steps, gradient {told['gradient']['mean']:g} ± "
        f"{told['gradient']['std']:g}; faint: dominated settings"
    )
    return figure


def plot_front(ax: Axes, data: xr.Dataset, name: str):  # type: ignore[no-untyped-def]
    """All settings faintly, those of the front of ``name`` coloured by programming events."""
    x, y = data["candidate_pulses"].values, data[f"candidate_{name}"].values
    usable = np.isfinite(data["candidate_settling"].values)
    ax.plot(x[usable], y[usable], ".", color="#cccccc", markersize=2, zorder=1, rasterized=True)
    members, shown = data[f"front_{name}"].values.astype(bool), None
    programs = data["candidate_programs"].values
    top = max(float(programs[members].max(initial=1.0)), 2.0)
    for estimator, marker in _ESTIMATORS.items():
        own = members & (data["estimator"].values == estimator)
        if own.any():
            shown = ax.scatter(
                x[own], y[own], c=np.maximum(programs[own], 0.5), marker=marker, s=26, cmap="viridis",
                norm="log", vmin=0.5, vmax=top, label=f"{estimator}, undominated", zorder=3,
            )  # fmt: skip
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(bottom=max(float(np.min(y[usable], initial=1.0)), _LEAST[name]))
    what = {"bias": "rms over cells of the mean error of Q", "rms": "rms error of Q at the end of the run"}[
        name
    ]
    label(ax, {"bias": "Bias", "rms": "Error"}[name] + " against pulses", "pulses per cell and run",
          f"{what} (weight units)")  # fmt: skip
    return shown


def _simulated(ax: Axes, measured: xr.Dataset, name: str) -> None:
    x, y, ends = measured["pulses"].values, measured[name].values, measured[f"{name}_ci"].values
    shown = ends[:, 0] > 0
    bars = np.abs(ends.T - y)[:, shown]
    ax.errorbar(
        x[shown], y[shown], bars, fmt="x", color=COLOURS[1], markersize=8, markeredgewidth=2, capsize=4,
        label="simulated, 95 %", zorder=5,
    )  # fmt: skip
    top = np.where(ends[:, 1] > 0, ends[:, 1], np.nan)[~shown]
    ax.plot(x[~shown], top, "v", color=COLOURS[1], markerfacecolor="white", markersize=8, zorder=5,
            label="simulated: not above" if (~shown).any() else None)  # fmt: skip
