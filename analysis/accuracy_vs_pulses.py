"""How accurate does a net become for a given number of pulses, when every method is tuned alike?

MNIST, fully connected net, arrays of the HfO2 preset (4 states), error of the subtracted reference 0.4 +- 1.0
weight units: the hardest setting of `published_tables`. Each of TT-v2, AGAD, E-RIDER and O-RIDER (E-RIDER
with the observer) gets the same search: its printed settings and eight others, from a Sobol sequence over
factors on four of its rates: that of the gradient and of the transfer (a tenth to ten times the printed one),
the learning rate and one of its own (a third to three times: the scale of TT-v2's buffer, AGAD's granularity,
the weight of the residual pass). A trial is three epochs on the first 50000 training images, judged on the
other 10000; the test images have no part in it. For a budget of pulses, that of E-RIDER as printed and a
tenth of it, the best of the trials that sent no more than this part of what the trial of E-RIDER as printed
sent is trained anew, 40 epochs on all training images, and counts as far as the budget lasts: 7.1e8 pulses
and a tenth of them, which E-RIDER as printed sends in its 40 epochs in `published_tables`. Runs keep their
state in ``runs/accuracy_vs_pulses``, epoch by epoch; SPTRACK_HOURS and SPTRACK_DATA are as there.
"""  # noqa: D400

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import qmc

from analysis._training import BATCH, mnist_folder, sitting_ends, trained
from analysis.published_tables import METHODS as PRINTED_METHODS
from analysis.published_tables import NETS as PRINTED_NETS
from analysis.published_tables import STORED
from sptrack.plotting.style import GREY, headline, house_style, label, look_of, new_figure, text_colour
from sptrack.results import dataset, load, provenance

NET, MEAN, STD = "fcn", 0.4, 1.0
METHODS = ("tt-v2", "agad", "e-rider", "o-rider")
KNOBS = {"fast": 10.0, "transfer": 10.0, "lr": 3.0, "own": 3.0}
"""What a trial changes, and the largest factor up or down."""
BUDGETS = {"as E-RIDER": 1.0, "a tenth": 0.1}
"""Budgets of pulses, in those of E-RIDER with its printed settings."""
RUNS = Path("runs") / "accuracy_vs_pulses"


class Effort(NamedTuple):
    """Length of a study: trials besides the printed settings, their epochs, epochs of a final run."""

    trials: int
    short: int
    long: int


WHOLE = Effort(8, 3, 40)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Search and train (``small``: two trials of one epoch and runs of two on scikit-learn's digits).

    Returns
    -------
    Dataset
        Over ``method`` and ``trial``, of which 0 is the printed setting: ``factors`` (also over ``knob``),
        accuracy on the images held out from training ``held_out`` (percent) and pulses ``sent``. Over
        ``budget``: its pulses ``limit``. Over ``method`` and ``budget``: the ``chosen`` trial (-1: none keeps
        to it). Over these and ``epoch``: test ``accuracy`` (percent, NaN where not trained yet) and
        ``pulses`` so far; ``reference_error`` at the end, RMS over the cells of P (weight units). Over
        ``method`` and ``epoch``: ``printed_accuracy`` and ``printed_pulses`` of the stored
        `published_tables`, whose settings are not run again.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            effort, full = Effort(1, 1, 2), {"pulses": np.full((len(METHODS), 2), 1e7)}
            return _searched(effort, load_images("digits"), Path(folder), seed, full)
    return _searched(WHOLE, load_images(str(mnist_folder())), RUNS, seed, _printed())


def _printed() -> dict[str, np.ndarray]:
    """Test accuracy and pulses [method, epoch] of printed settings in `published_tables`; NaN of O-RIDER."""
    cells = load(STORED).isel(net=PRINTED_NETS.index(NET)).sel(mean=MEAN, std=STD)
    rows = [*map(PRINTED_METHODS.index, METHODS[:-1])]
    nothing = np.full((1, cells.sizes["epoch"]), np.nan)
    return {key: np.vstack([cells[key].values[rows], nothing]) for key in ("accuracy", "pulses")}


def factors(trials: int) -> np.ndarray:
    """Factors [1 + trials, knobs] on the printed settings; the first row is 1."""
    points = qmc.Sobol(len(KNOBS), seed=0).random(2 ** int(np.ceil(np.log2(max(trials, 1)))))[:trials]
    return np.vstack([np.ones(len(KNOBS)), np.array(list(KNOBS.values())) ** (2 * points - 1)])


def _settings(method: str, factor: np.ndarray, seed: int):  # type: ignore[no-untyped-def]
    from sptrack.nn.training import TrainSettings, published_device, published_settings

    whole, lr = published_settings(method, NET)
    fast, transfer, digital, own = factor
    whole = replace(
        whole,
        fast=replace(whole.fast, rate=whole.fast.rate * fast),
        transfer=replace(whole.transfer, rate=whole.transfer.rate * transfer),
        gamma=whole.gamma * own,
    )
    if method == "tt-v2":
        whole = replace(whole, buffer=replace(whole.buffer, scale=whole.buffer.scale * own))
    elif method == "agad":
        granularity = whole.buffer.auto_granularity * own
        whole = replace(whole, buffer=replace(whole.buffer, auto_granularity=granularity))
    device = published_device(MEAN, STD)
    return TrainSettings(net=NET, settings=whole, device=device, lr=lr * digital, batch=BATCH[NET], seed=seed)


def held_out(images):  # type: ignore[no-untyped-def]
    """Images whose last sixth of the training ones takes the place of the test images."""
    cut = len(images.train) - len(images.train) // 6
    x, y = images.train, images.train_labels
    return images._replace(train=x[:cut], train_labels=y[:cut], test=x[cut:], test_labels=y[cut:])


def _searched(effort, images, folder, seed, printed):  # type: ignore[no-untyped-def]
    """The study; ``printed``: what is known of printed settings, whose pulses of E-RIDER are the budget."""
    folder.mkdir(parents=True, exist_ok=True)
    end, asked, part = sitting_ends(), factors(effort.trials), held_out(images)
    shape = len(METHODS), len(asked)
    score, sent = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, k in np.ndindex(*shape):
        state = folder / f"trial-{METHODS[i]}-{k}-{seed}.pt"
        made = trained(_settings(METHODS[i], asked[k], seed), part, effort.short, state, end)
        if len(made.history) >= effort.short:
            score[i, k] = made.history[effort.short - 1]["accuracy"]
            sent[i, k] = made.history[effort.short - 1]["pulses"]
    parts = np.array(list(BUDGETS.values()))
    most = sent[METHODS.index("e-rider"), 0] * parts
    chosen = np.array([[_best(score[i], sent[i], limit) for limit in most] for i in range(shape[0])])
    over = (*chosen.shape, effort.long)
    found = {key: np.full(over, np.nan) for key in ("accuracy", "pulses")}
    error = np.full(over[:2], np.nan)
    for i, b in np.argwhere(chosen >= 0):
        state = folder / f"final-{METHODS[i]}-{chosen[i, b]}-{seed}.pt"
        made = trained(_settings(METHODS[i], asked[chosen[i, b]], seed), images, effort.long, state, end)
        if len(made.history) >= effort.long:
            for key, values in found.items():
                values[i, b] = [record[key] for record in made.history[: effort.long]]
            error[i, b] = _reference_error(made)
    trials = {"factors": asked, "held_out": score, "sent": sent, "chosen": chosen}
    trials["limit"] = printed["pulses"][METHODS.index("e-rider"), -1] * parts
    for key in ("accuracy", "pulses"):
        trials[f"printed_{key}"] = printed.get(key, np.full((shape[0], effort.long), np.nan))
    return _table(trials, found | {"reference_error": error}, effort, seed)


def _best(score: np.ndarray, sent: np.ndarray, limit: float) -> int:
    """Trial with the best score among those that keep to the limit; -1: a trial is missing, or none does."""
    if np.isnan(score).any() or not (sent <= limit).any():
        return -1
    return int(np.argmax(np.where(sent <= limit, score, -np.inf)))


def _reference_error(run) -> float:  # type: ignore[no-untyped-def]
    tiles = [tile for layer in run.layers for tile in layer.tiles]
    squares = [((tile.reference - tile.p_array.cells.target) ** 2).ravel() for tile in tiles]
    return float(np.sqrt(np.concatenate(squares).mean()))


def _table(trials: Mapping, found: Mapping, effort: Effort, seed: int) -> xr.Dataset:
    over = {
        "factors": (("trial", "knob"), "1"),
        "held_out": (("method", "trial"), "percent"),
        "sent": (("method", "trial"), "pulses"),
        "limit": (("budget",), "pulses"),
        "chosen": (("method", "budget"), "1"),
        "accuracy": (("method", "budget", "epoch"), "percent"),
        "pulses": (("method", "budget", "epoch"), "pulses"),
        "reference_error": (("method", "budget"), "weight units"),
        "printed_accuracy": (("method", "epoch"), "percent"),
        "printed_pulses": (("method", "epoch"), "pulses"),
    }
    values = {**trials, **found}
    variables = {key: (axes, values[key], {"units": unit}) for key, (axes, unit) in over.items()}
    coordinates = {
        "method": (("method",), list(METHODS), {}),
        "trial": (("trial",), np.arange(effort.trials + 1), {"units": "1"}),
        "knob": (("knob",), list(KNOBS), {}),
        "budget": (("budget",), list(BUDGETS), {}),
        "epoch": (("epoch",), np.arange(1, effort.long + 1), {"units": "1"}),
    }
    asked = {"net": NET, "mean": MEAN, "std": STD, "batch": BATCH[NET], "knobs": KNOBS, "budgets": BUDGETS}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def within(data: xr.Dataset) -> xr.DataArray:
    """Test accuracy [method, budget] (percent) after the last epoch within each budget; NaN: not trained."""
    epochs = (data["pulses"] <= data["limit"]).sum("epoch")
    return (
        data["accuracy"]
        .isel(epoch=(epochs - 1).clip(min=0))
        .where(epochs > 0)
        .drop_vars("epoch", errors="ignore")
    )


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Test accuracy against pulses of the chosen settings, and held-out accuracy of all trials."""
    figure = new_figure(7.2, 4.6)
    headline(
        figure,
        _finding(data),
        f"MNIST, fully connected net, reference error {MEAN:g} ± {STD:g} weight units; one run each. Dashes: "
        "budgets, the pulses of E-RIDER as printed, and a tenth. Dots, filled marks: printed settings.",
    )
    left, right = figure.subplots(1, 2)
    for i, name in enumerate(data["method"].values.tolist()):
        look, one = look_of(name), data.isel(method=i)
        shown = set()
        for b in range(data.sizes["budget"]):
            run, trial = one.isel(budget=b), int(one["chosen"][b])
            if trial in shown or not np.isfinite(run["accuracy"][-1]):
                continue
            shown.add(trial)
            left.plot(run["pulses"], run["accuracy"], look.marker, markersize=3, color=look.colour, ls="-")
        left.plot(one["printed_pulses"], one["printed_accuracy"], color=look.colour, lw=0.8, ls=":")
        right.plot(one["sent"], one["held_out"], look.marker, mfc="none", color=look.colour, markersize=6)
        right.plot(one["sent"][0], one["held_out"][0], look.marker, color=look.colour, markersize=7)
        place = (0.03, 0.97 - 0.055 * i)
        right.annotate(name, place, xycoords="axes fraction", color=text_colour(look.colour), va="top")
    most = float(data["sent"][data["method"].values.tolist().index("e-rider"), 0])
    for ax, full in ((left, float(data["limit"][0])), (right, most)):
        ax.set_xscale("log")
        for fraction in BUDGETS.values():
            ax.axvline(full * fraction, color=GREY, linestyle="--", linewidth=1)
    label(left, "Chosen settings, 40 epochs", "pulses so far", "test accuracy (%)")
    label(right, "Trials, 3 epochs", "pulses", "accuracy on held-out images (%)")
    return figure


def _finding(data: xr.Dataset) -> str:
    reached = within(data)
    told = []
    for budget, words in zip(reached["budget"].values.tolist(), ("at its pulses", "at a tenth"), strict=True):
        column = reached.sel(budget=budget).dropna("method")
        if len(column):
            scores = zip(column["method"].values.tolist(), column.values, strict=True)
            told.append(
                f"{words} " + ", ".join(f"{name.upper()} {score:.1f}" for name, score in scores) + " %"
            )
    return "Tuned alike, " + "; ".join(told) if told else "No chosen setting is trained yet"
