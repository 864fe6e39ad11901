"""Pictures of a design, drawn from its dataset alone."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.plotting.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
    show_outside,
)
from sptrack.results import read_provenance

_VERDICTS = {"met": GREEN, "predicted": BLUE, "uncertain": COLOURS[4], "missed": VERMILLION, "no limit": GREY}
_SETTLED = 0.05
"""Fraction of the start offset at which a reference is settled."""
_LEAST = {"bias": 1e-5, "rms": 1e-5}
"""Least errors that are drawn: no simulation tells smaller ones from 0."""
_FEW = 100.0
"""Programming events per cell and run that are few."""
_GROUPS = {
    "observer": ("observer", Look(VERMILLION, "^")),
    "none": ("filter, not\nprogrammed", Look(GREY, "v", "-.")),
    "few": (f"filter, up to\n{_FEW:.0f} events", Look(GREEN, "s", "--")),
    "many": ("filter, more\nevents", Look(BLUE, "o")),
}


@house_style()
def design_figure(data: xr.Dataset) -> Figure:
    """Every requirement against its limit; start offset and RMS error of Q against steps."""
    told = read_provenance(data)["parameters"]
    s, spec = told["setting"], told["specification"]
    asked = int(np.isfinite(data["limit"].values).sum())
    missed = [
        name
        for name, verdict in zip(
            data["quantity"].values.tolist(), data["verdict"].values.tolist(), strict=True
        )
        if verdict == "missed"
    ]
    outcome = "all requirements met" if told["met"] else "not all requirements met"
    if missed:
        outcome += f" (missed: {', '.join(missed)})"
    figure = new_figure(7.2, 4.6 + 0.42 * asked)
    headline(
        figure,
        f"{spec['device']}: {outcome}",
        f"{s['estimator']}, {s['rate']}, alpha {s['alpha']:.3g}, gamma {told['gamma']:.2g}, beta "
        f"{told['beta']:.2g}; {told['seeds']} simulations. Bar and line: theory; open marker: "
        "simulated, 95 %.",
    )
    axes = figure.subplot_mosaic(
        [["requirements"] * 2, ["left", "rms"]], height_ratios=[0.9 + 0.42 * asked, 2.6]
    )
    plot_requirements(axes["requirements"], data)
    plot_left(axes["left"], data)
    plot_rms(axes["rms"], data)
    return figure


def plot_requirements(ax: Axes, data: xr.Dataset) -> Axes:
    """Prediction and simulation over the limit (of signal: limit over them), 1 being the limit."""
    asked = [
        name for name in data["quantity"].values.tolist() if np.isfinite(data["limit"].sel(quantity=name))
    ]
    for place, name in enumerate(reversed(asked)):
        one = data.sel(quantity=name)
        limit, verdict = float(one["limit"]), str(one["verdict"].values)
        predicted, simulated = (_over(name, float(one[key]), limit) for key in ("predicted", "measured"))
        ax.plot(predicted, place, "|", color="black", markersize=16, markeredgewidth=2)
        if np.isfinite(simulated):
            reach = sorted(_over(name, float(end), limit) for end in one["measured_ci"])
            ax.plot(np.clip(reach, 1e-3, 1e3), [place, place], color=_VERDICTS[verdict], linewidth=2)
            ax.plot(simulated, place, "o", color=_VERDICTS[verdict], markerfacecolor="white", markersize=7)
        units = str(one["quantity_units"].values)
        ax.annotate(
            f"{verdict}, limit {limit:g} {units}", (0.01, place + 0.28), xycoords=("axes fraction", "data"),
            fontsize=9, color=_VERDICTS[verdict] if verdict != "uncertain" else GREY,
        )  # fmt: skip
    ax.axvline(1.0, color=VERMILLION, linestyle="--", linewidth=1.2)
    log_scale(ax, "x")
    ax.set_ylim(-0.6, len(asked) - 0.15)
    ax.set_yticks(range(len(asked)), list(reversed(asked)))
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.3), max(high, 2.0))
    return label(ax, "Requirements", "value over its limit (left of the dashed line: met)", "")


def _over(name: str, value: float, limit: float) -> float:
    """Ratio that is below 1 where the requirement is met."""
    over = limit / value if name == "signal" and value else value / limit if limit else np.inf
    return float(np.clip(over, 1e-3, 1e3)) if np.isfinite(over) else float("nan")


def plot_left(ax: Axes, data: xr.Dataset) -> Axes:
    """Fraction of the start offset left in Q, theory and simulation."""
    step = data["step"].values
    ax.plot(step, data["left_predicted"], color="black", label="predicted")
    few = np.unique(np.linspace(0, step.size - 1, 40).astype(int))
    ax.plot(
        step[few], data["left_measured"].values[few], "o", color=BLUE, markerfacecolor="white", markersize=4,
        label="simulated, mean",
    )  # fmt: skip
    ax.axhline(_SETTLED, color=GREY, linestyle=":", label="5 %: settled")
    ax.legend(fontsize=9, loc="upper right", handlelength=1.2)
    _few_ticks(ax)
    return label(ax, "Start offset left", "steps", "fraction of start offset")


def plot_rms(ax: Axes, data: xr.Dataset) -> Axes:
    """RMS of Q - w* against steps, and what is predicted for the end of the run."""
    told = read_provenance(data)["parameters"]["specification"]
    ax.plot(data["step"], data["rms_measured"], color=BLUE, label="simulated")
    ax.plot(float(data["step"][-1]), float(data["predicted"].sel(quantity="rms")), "|", color="black",
            markersize=16, markeredgewidth=2, label="predicted at the end")  # fmt: skip
    limit = told["requirements"].get("rms")
    if limit is not None:
        ax.axhline(limit, color=VERMILLION, linestyle="--", label="limit")
    log_scale(ax, "y")
    _few_ticks(ax)
    ax.legend(fontsize=9, loc="upper right", handlelength=1.2)
    return label(ax, "Error of Q", "steps", "RMS of Q - w*\n(weight units)")


def _few_ticks(ax: Axes) -> None:
    ax.locator_params(axis="x", nbins=4)
    ax.xaxis.set_major_formatter("{x:,.0f}")


@house_style()
def pareto_figure(data: xr.Dataset, measured: xr.Dataset | None = None) -> Figure:
    """Least bias and RMS error of Q that a number of pulses affords, by kind of setting.

    ``measured`` may hold simulated ``bias``, ``rms``, ``pulses`` with ``_ci`` over ``point``.
    """
    told = read_provenance(data)["parameters"]["specification"]
    figure = new_figure(7.2, 4.6)
    gradient = told["gradient"]
    simulated = " Black diamonds: simulated, 95 % (arrow: upper end)." if measured is not None else ""
    headline(
        figure, _finding(data),
        f"{told['device']}, {told['steps']:,} steps, gradient {gradient['mean']:g} ± "
        f"{gradient['std']:g}. Lines: least error of the undominated settings, theory; dots: all; "
        f"an observer also knows the requested changes.{simulated}",
    )  # fmt: skip
    panels = figure.subplots(1, 2, sharex=True)
    for ax, name in zip(panels, _LEAST, strict=True):
        ends = plot_front(ax, data, name)
        if measured is not None:
            _simulated(ax, measured, name)
    label_ends(panels[1], ends)
    return figure


def _finding(data: xr.Dataset) -> str:
    """Number of pulses above which an observer has the smaller RMS error than any filter; else the least."""
    group, rms = _group(data), data["candidate_rms"].values
    usable = np.isfinite(data["candidate_settling"].values)
    least = {key: float(np.min(rms[(group == key) & usable], initial=np.inf)) for key in _GROUPS}
    filters, pulses = min(least["none"], least["few"], least["many"]), data["candidate_pulses"].values
    ahead = pulses[(group == "observer") & usable & (rms < filters)]
    if not ahead.size or not np.isfinite(filters):
        return f"The least RMS error of Q among the settings is {min(least.values()):.2g} weight units"
    return (
        f"From some {float(f'{ahead.min():.2g}'):,.0f} pulses per cell on an observer is predicted to have a "
        f"smaller RMS error of Q than any filter ({filters:.2g})"
    )


def _group(data: xr.Dataset) -> np.ndarray:
    """Kind of every setting: key of ``_GROUPS``."""
    programs = data["candidate_programs"].values
    kinds = np.where(programs < 0.5, "none", np.where(programs <= _FEW, "few", "many"))
    return np.where(np.char.endswith(data["estimator"].values.astype(str), "observer"), "observer", kinds)


def plot_front(ax: Axes, data: xr.Dataset, name: str) -> list[tuple[float, str, str]]:
    """All settings faintly, the least error of each kind as a line; returns labels of the lines' ends."""
    x, y = data["candidate_pulses"].values, data[f"candidate_{name}"].values
    usable = np.isfinite(data["candidate_settling"].values)
    ax.plot(x[usable], y[usable], ".", color="#d5d5d5", markersize=2, zorder=1, rasterized=True)
    members, group = data[f"front_{name}"].values.astype(bool), _group(data)
    ends, outside = [], []
    for front, (key, (text, look)) in enumerate(reversed(_GROUPS.items()), start=3):
        own = np.flatnonzero(members & (group == key))
        if own.size:
            order = own[np.argsort(x[own], kind="stable")]
            least = np.minimum.accumulate(y[order])
            far = max(float(x[usable].max()), float(x[order[-1]]))
            ax.step(
                np.append(x[order], far), np.append(least, least[-1]), look.line, where="post",
                color=look.colour, label=text.replace("\n", " "), zorder=front,
            )  # fmt: skip
            ends.append((float(least[-1]), text, look.colour))
            outside.append((far, float(least[-1]), look.colour))
    log_scale(ax, "x", most=4)
    log_scale(ax, "y")
    ax.set_ylim(bottom=max(0.8 * float(np.min(y[usable], initial=1.0)), _LEAST[name]))
    for at, value, colour in outside:
        show_outside(ax, at, value, colour)
    title = {"bias": "Mean error, RMS over cells", "rms": "RMS error at the end"}[name]
    label(ax, title, "pulses per cell and run", "error of Q (weight units)" if name == "bias" else "")
    return ends


def _simulated(ax: Axes, measured: xr.Dataset, name: str) -> None:
    x, y, ends = measured["pulses"].values, measured[name].values, measured[f"{name}_ci"].values
    shown = ends[:, 0] > 0
    bars = np.abs(ends.T - y)[:, shown]
    ax.errorbar(
        x[shown], y[shown], bars, fmt="D", color="black", markerfacecolor="white", markersize=5, capsize=2,
        elinewidth=1, label="simulated, 95 %", zorder=5,
    )  # fmt: skip
    top = np.where(ends[:, 1] > 0, ends[:, 1], np.nan)[~shown]
    ax.plot(x[~shown], top, "v", color="black", markerfacecolor="white", markersize=7, zorder=5,
            label="simulated: not above" if (~shown).any() else None)  # fmt: skip
