"""How many pulses, calibration included, does a net need to get to a training loss of 0.2?

Figure 4, left, of Xiao et al. 2026 (arXiv 2602.21321): LeNet-5 on MNIST, mini-batches of 64, on soft-bounds
arrays of 2000, 1000 and 500 states (asymmetry 0.4 +- 0.08, one-sided). E-RIDER (lr 0.1, fast_lr 0.1,
transfer_lr 1, chopper period 5) knows nothing of the symmetric points: none is subtracted, P starts at 0.
TT-v2 (lr 0.05, fast_lr 0.01, transfer_lr 1) is calibrated by zero-shifting from -0.5. "Array-wide", as
published: each cell's error is drawn from a normal distribution whose mean and std are the offsets that N
pulses leave in the mean and std of a 512 x 512 array. "Per cell": each cell has the error that they leave in
that very cell. P starts where calibration left it. What is not printed is as in the published tables. A run
ends with the first epoch whose mean loss is at most 0.2, or after 8 epochs without a result.

The published count is N + epochs x mini-batches x 5: one train for each mini-batch. Counted as well is what
is sent, over both arrays and divided by the number of weights, and reads likewise. Each of the 64 images of a
mini-batch sends a train of its own, in convolutions each patch.

A run keeps its state in ``runs/pulse_cost_to_loss`` of the working folder and goes on there; SPTRACK_HOURS
ends a sitting, also within an epoch. Finished runs of the stored figure are not made again.

Runs of seed 0 are here. By E-RIDER with 500 states losses of its epochs are 1.47, 0.51, 0.44, 0.31, 0.25,
0.21 and 0.18, so that it gets there in 7 epochs, where 3 are published; with 1000 and 2000 it is at 0.22 and
0.30 after 8 epochs (4 and 5 published), and more states take longer, as published. The published count is far
from what is sent: on P the gradient of every image and patch, after four epochs (500 states) 47 thousand
pulses per cell in the third layer and 346 thousand in the second, where 18,760 are counted. W gets 40, 3, 1
and 21 pulses per cell of the four layers by then: it is held for six passes over the columns (2400 and 3072
mini-batches in the second and third layer) and gets at most one pulse per read, of which a column of the
third layer has 1.8 in an epoch. That leaves those layers to the residual pass, biases and output scalars,
which grow to 3 to 9. With 64 reads per mini-batch instead of one (a read for each image, a trial that is not
stored) the loss is 0.36 in the fifth hundred of mini-batches.

TT-v2 has no residual pass, and no run of it is there after 8 epochs. Its fast_lr is multiplied by lr (5e-4),
so that P holds 0.004 to 0.008 rms after 200 mini-batches (500 states, N = 4000) under a read noise of 0.06,
and W gets one pulse per read, mostly of that noise: for three to six epochs the loss stays at 2.3, then it
falls. With N = 4000 it is at 0.52, 0.78 and 1.63 after 8 epochs with 500, 1000 and 2000 states (array-wide;
per cell 0.50, 0.73 and 1.47): the same order as published, 3, 3 and never. More pulses of calibration shorten
it at no number of states (N = 8000: 0.51, 0.79 and 1.69, per cell 0.54, 0.75 and 1.55), although at 2000
states they lower the error that is left from 0.090 to 0.023 rms; published are 6 epochs with N = 6000 where
N = 4000 never gets there. With an absolute fast_lr and 64 reads per mini-batch, of which neither is printed,
the loss is at 2.20 after 300 mini-batches, with either alone at 2.30. At 500 states the error is no obstacle:
4000 pulses leave -0.0016 in the mean of the array and 0.012 rms in its cells.
"""  # noqa: D400

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis._calibration import KINDS, START, device
from analysis._loss_runs import (
    BATCH,
    CURVES,
    LENGTH,
    TARGET,
    Run,
    counted_pulses,
    reached_at,
    settings_of,
    trained_to_loss,
)
from analysis._training import doubled, mnist_folder, of_same_setting, sitting_ends
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    SMALLEST,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
from sptrack.results import dataset, load, provenance, read_provenance

STATES = (2000, 1000, 500)
CALIBRATIONS = (4000, 6000, 8000)
EPOCHS = 8
"""Epochs after which a run is given up."""
PUBLISHED = {
    ("e-rider", 0): {2000: 5, 1000: 4, 500: 3},
    ("tt-v2", 4000): {2000: np.inf, 1000: 3, 500: 3},
    ("tt-v2", 6000): {2000: 6, 1000: 4, 500: 5},
    ("tt-v2", 8000): {2000: 6, 1000: 4, 500: 5},
}
"""Epochs to the target by method, pulses of calibration and states, read off the published figure."""
RUNS = Path("runs") / "pulse_cost_to_loss"
STORED = Path(__file__).parents[1] / "figures" / "pulse_cost_to_loss.nc"


class Table(NamedTuple):
    """States, runs, and the most epochs of a run."""

    states: tuple[int, ...]
    runs: tuple[Run, ...]
    epochs: int


RIDER = Run("e-rider", "none", 0)
WHOLE = Table(STATES, (RIDER, *(Run("tt-v2", kind, n) for n in CALIBRATIONS for kind in KINDS)), EPOCHS)
SMALL = Table((500,), (RIDER, Run("tt-v2", "array-wide", 100), Run("tt-v2", "per cell", 100)), 2)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train all runs (``small``: 500 states, two epochs on 320 of scikit-learn's digits, pixels doubled).

    Returns
    -------
    Dataset
        Over ``states``, ``run`` and ``epoch``, NaN where not trained: training ``loss``, test ``accuracy``,
        and so far, calibration included, ``sent`` pulses and ``reads`` per weight. Over the first two:
        ``finished`` and ``reached`` (the target); ``epochs`` to the target, or that were trained without
        getting there, and ``counted``, the published count of pulses for them (NaN where not finished);
        ``printed`` epochs (infinite: never; NaN: not published); ``error_mean``, ``error_std`` and
        ``error_rms`` of the calibrated reference.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _trained(SMALL, doubled(load_images("digits")), Path(folder), seed=seed)
    stored = load(STORED) if STORED.exists() else None
    return _trained(WHOLE, load_images(str(mnist_folder())), RUNS, seed=seed, stored=stored)


def _trained(  # type: ignore[no-untyped-def]
    table: Table, images, folder: Path, *, seed: int, stored: xr.Dataset | None = None
) -> xr.Dataset:
    """Runs as a dataset; those that ``stored`` holds finished for the same seed and images come from it."""
    folder.mkdir(parents=True, exist_ok=True)
    end, shape = sitting_ends(), (len(table.states), len(table.runs))
    curves = {key: np.full((*shape, table.epochs), np.nan) for key in CURVES}
    errors = np.full((*shape, 3), np.nan)
    asked = _asked(table, images)
    told = provenance(seed=seed, parameters=asked)
    known = of_same_setting(stored, told)
    for i, j in _cheapest_first(table):
        states, one = table.states[i], table.runs[j]
        state = folder / f"{one.name.replace(' ', '_')}-{states}-{seed}.pt"
        idle = not state.exists() and time.monotonic() >= end
        if known is not None and (idle or bool(known["finished"][i, j])):
            for key, values in curves.items():
                values[i, j] = known[key].values[i, j]
            errors[i, j] = [float(known[f"error_{name}"][i, j]) for name in ("mean", "std", "rms")]
            continue
        if idle:
            continue
        history, error = trained_to_loss(one, states, images, table.epochs, state, seed=seed, end=end)
        errors[i, j] = error.mean(), error.std(), np.sqrt(np.mean(error**2))
        for key, values in curves.items():
            values[i, j, : len(history[key])] = history[key]
    return _dataset(table, curves, errors, len(images.train), told)


def _cheapest_first(table: Table) -> Iterator[tuple[int, int]]:
    """Places of the table: E-RIDER first, then by pulses of calibration; fewest states first."""
    rows = sorted(range(len(table.states)), key=lambda i: table.states[i])
    return ((i, j) for j in range(len(table.runs)) for i in rows)


def _asked(table: Table, images) -> dict[str, object]:  # type: ignore[no-untyped-def]
    return {
        "images": list(images.train.shape),
        "states": list(table.states),
        "runs": [one.name for one in table.runs],
        "epochs": table.epochs,
        "target": TARGET,
        "batch": BATCH,
        "train_length": LENGTH,
        "start": START,
        "device": device(2000, calibrated=True),
        "settings": {method: settings_of(method) for method in ("e-rider", "tt-v2")},
    }


def _dataset(
    table: Table,
    curves: Mapping[str, np.ndarray],
    errors: np.ndarray,
    images: int,
    told: dict[str, object],
) -> xr.Dataset:
    over, shape = ("states", "run"), errors.shape[:2]
    reached, finished = np.zeros(shape, bool), np.zeros(shape, bool)
    epochs, counted, printed = (np.full(shape, np.nan) for _ in range(3))
    for i, j in np.ndindex(*shape):
        one, losses = table.runs[j], curves["loss"][i, j]
        losses = losses[np.isfinite(losses)].tolist()
        first = reached_at(losses)
        reached[i, j], finished[i, j] = first is not None, first is not None or len(losses) >= table.epochs
        if finished[i, j]:
            epochs[i, j] = first or len(losses)
            counted[i, j] = counted_pulses(one.calibration, epochs[i, j], images)
        if one.kind != "per cell":
            read = PUBLISHED.get((one.method, one.calibration), {})
            printed[i, j] = read.get(table.states[i], np.nan)
    variables = {
        **{key: ((*over, "epoch"), curves[key], {"units": unit}) for key, unit in CURVES.items()},
        "finished": (over, finished, {"units": "1"}),
        "reached": (over, reached, {"units": "1"}),
        "epochs": (over, epochs, {"units": "epochs"}),
        "counted": (over, counted, {"units": "pulses per cell"}),
        "printed": (over, printed, {"units": "epochs"}),
        **{
            f"error_{name}": (over, errors[..., k], {"units": "weight units"})
            for k, name in enumerate(("mean", "std", "rms"))
        },
        "calibration": (("run",), [one.calibration for one in table.runs], {"units": "pulses per cell"}),
    }
    coordinates = {
        "states": (("states",), list(table.states), {"units": "1"}),
        "run": (("run",), [one.name for one in table.runs], {}),
        "epoch": (("epoch",), np.arange(1, table.epochs + 1), {"units": "1"}),
    }
    return dataset(variables, coordinates, told)


def missing(data: xr.Dataset) -> list[str]:
    """Runs that are not finished, as "name, states"."""
    return [
        f"{run_name}, {states} states"
        for run_name in data["run"].values.tolist()
        for states in data["states"].values.tolist()
        if not bool(data["finished"].sel(run=run_name, states=states))
    ]


_LOOKS = {"none": Look(BLUE, "o"), "array-wide": Look(VERMILLION, "s"), "per cell": Look(GREEN, "^")}
_NAMES = {"none": "E-RIDER", "array-wide": "TT-v2,\narray-wide", "per cell": "TT-v2,\nper cell"}
_LINES = {2000: "-", 1000: "--", 500: ":"}
_APART = 1.1
"""Factor between the places of neighbouring numbers of pulses of calibration."""


def _kind(run_name: str) -> str:
    return next((kind for kind in KINDS if kind in run_name), "none")


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Counted and sent pulses to the target against the states; loss against counted pulses."""
    figure = new_figure(7.2, 7.4)
    headline(figure, _finding(data), _setting(data))
    grid = figure.add_gridspec(2, 2)
    images = read_provenance(data)["parameters"]["images"][0]
    states = sorted(data["states"].values.tolist())
    for k, (name, title) in enumerate(
        (("counted", "Counted as published"), ("sent", "Sent per weight, W and P"))
    ):
        ax = figure.add_subplot(grid[0, k])
        drawn = _draw_costs(ax, data, name) + (_draw_printed(ax, data, images) if name == "counted" else [])
        log_scale(ax, "xy", most=5)
        ax.set_xlim(states[0] / 1.5, states[-1] * 1.5)
        ax.set_xticks(states, [f"{n:,}" for n in states])
        if drawn:
            room = max(1.9, (max(drawn) / min(drawn)) ** 0.3)  # for arrows
            ax.set_ylim(min(drawn) / 1.4, max(drawn) * room)
        else:
            ax.text(0.5, 0.5, "no run is finished", color=GREY, ha="center", transform=ax.transAxes)
        label(ax, title, "number of states, 2 / dw", f"pulses to a loss of {TARGET:g}")
    _draw_curves(figure.add_subplot(grid[1, :]), data, images)
    return figure


def _points(data: xr.Dataset) -> Iterator[tuple[xr.Dataset, Look, float]]:
    """Each run with its look, and the place of its marker: beside its number of states, if calibrated."""
    calibrations = sorted({*data["calibration"].values.tolist()})
    for k, run_name in enumerate(data["run"].values.tolist()):
        beside = _APART ** calibrations.index(int(data["calibration"][k]))
        for i, states in enumerate(data["states"].values.tolist()):
            yield data.isel(states=i, run=k), _LOOKS[_kind(run_name)], states * beside


def _draw_costs(ax: Axes, data: xr.Dataset, name: str) -> list[float]:
    """Filled markers: runs that got to the target; arrows from a bar: given up. Returns the heights."""
    drawn = []
    for one, look, x in _points(data):
        if not bool(one["finished"]):
            continue
        values = np.atleast_1d(one[name].values)
        cost = float(values[min(int(one["epochs"]), values.size) - 1])
        drawn.append(cost)
        if bool(one["reached"]):
            ax.plot(x, cost, look.marker, color=look.colour)
            continue
        arrow = {"arrowstyle": "<-", "color": look.colour, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (x, cost), (0, 26), textcoords="offset points", arrowprops=arrow)
        ax.plot(x, cost, "_", color=look.colour)
    return drawn


def _draw_printed(ax: Axes, data: xr.Dataset, images: int) -> list[float]:
    """Hollow markers: the published readings. Returns their heights."""
    drawn = []
    for one, look, x in _points(data):
        cost = counted_pulses(float(one["calibration"]), float(one["printed"]), images)
        if np.isfinite(cost):
            ax.plot(x, cost, look.marker, color=look.colour, markerfacecolor="white")
            drawn.append(cost)
        elif cost == np.inf:
            top = ax.get_xaxis_transform()
            ax.plot(x, 0.95, look.marker, color=look.colour, markerfacecolor="white", transform=top)
            ax.annotate(
                "never", (x, 0.95), (-6, 0), xycoords=top, textcoords="offset points", color=look.colour,
                fontsize=SMALLEST, ha="right", va="center",
            )  # fmt: skip
    return drawn


def _draw_curves(ax: Axes, data: xr.Dataset, images: int) -> None:
    """Training loss against the published count; colours tell kinds of run, lines numbers of states."""
    ends: dict[str, list[float]] = {}
    for one, look, _ in _points(data):
        loss = one["loss"].values[np.isfinite(one["loss"].values)]
        if loss.size == 0:
            continue
        at = [counted_pulses(float(one["calibration"]), k, images) for k in range(1, loss.size + 1)]
        line = _LINES.get(int(one["states"]), "-")
        ax.plot(at, loss, line, color=look.colour, marker=look.marker, markersize=4, linewidth=1.2)
        ends.setdefault(_kind(str(one["run"].values)), []).append(float(loss[-1]))
    ax.axhline(TARGET, color=GREY, linestyle="--", linewidth=1)
    log_scale(ax, "y", most=5)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    label(ax, "Training", "pulses per cell, counted as published", "training loss (nat)")
    labels = [(float(np.median(last)), _NAMES[kind], _LOOKS[kind].colour) for kind, last in ends.items()]
    label_ends(ax, [*labels, (TARGET, "target", GREY)])


def _setting(data: xr.Dataset) -> str:
    asked, left = read_provenance(data)["parameters"], len(missing(data))
    waiting = f" {left} of {data['finished'].size} runs are not finished." if left else ""
    return (
        f"LeNet-5, {asked['images'][0]:,} images, one run a point, at most {asked['epochs']} epochs (arrow "
        "from a bar: not there by then). Filled: simulated, hollow: published. Circles: E-RIDER, squares: "
        "TT-v2, error array-wide, triangles: per cell. Calibration: "
        f"{_counts(data)} pulses, left to right. Lines: 2000 (solid), 1000 (dashed), 500 states (dotted)."
        f"{waiting}"
    )


def _counts(data: xr.Dataset) -> str:
    counts = sorted({int(n) for n in data["calibration"].values if n})
    return ", ".join(f"{n:,}" for n in counts)


def _finding(data: xr.Dataset) -> str:
    """How many of the finished runs of either method got to the target, and what the first one cost."""
    told = []
    for method, name in (("e-rider", "E-RIDER"), ("tt-v2", "calibrated TT-v2")):
        mine = data.isel(run=[k for k, one in enumerate(data["run"].values) if str(one).startswith(method)])
        done, there = int(mine["finished"].sum()), int((mine["reached"] & mine["finished"]).sum())
        if done:
            told.append(f"{name} in {there} of {done} finished runs")
    if not told:
        return "No run is finished yet"
    return f"A loss of {TARGET:g} is reached by {', by '.join(told)}{_first_cost(data)}"


def _first_cost(data: xr.Dataset) -> str:
    """Counted, published and sent pulses of E-RIDER on the coarsest device on which it got there."""
    images = read_provenance(data)["parameters"]["images"][0]
    for states in sorted(data["states"].values.tolist()):
        one = data.sel(states=states, run=RIDER.name)
        if bool(one["reached"]):
            sent = float(one["sent"].values[int(one["epochs"]) - 1])
            printed = counted_pulses(0, float(one["printed"]), images)
            return (
                f"; E-RIDER with {states:,} states: {float(one['counted']):,.0f} pulses as counted "
                f"(published: {printed:,.0f}), {sent:,.0f} sent"
            )
    return ""
