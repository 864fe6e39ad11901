"""How accurate does a net become for a given number of pulses, when every method is tuned alike?

MNIST, fully connected net, arrays of the HfO2 preset (4 states), error of the subtracted reference 0.4 +- 1.0
weight units, the largest of `published_tables`. Each of TT-v2, AGAD, E-RIDER and O-RIDER (E-RIDER
with the observer) gets the same search: its printed settings and eight others, from a Sobol sequence over
factors on four of its rates: that of the gradient and of the transfer (a tenth to ten times the printed one),
the learning rate and one of its own (a third to three times: the scale of TT-v2's buffer, AGAD's granularity,
the weight of the residual pass). A trial is three epochs on the first 50000 training images, judged on the
other 10000; the test images have no part in it. For a budget of pulses, that of E-RIDER as printed and a
tenth of it, the best of the trials that sent no more than this part of what the trial of E-RIDER as printed
sent is trained anew, 40 epochs on all training images, and counts as far as the budget lasts: 7.1e8 pulses
and a tenth of them, which E-RIDER as printed sends in its 40 epochs in `published_tables`. Runs keep their
state in ``runs/accuracy_vs_pulses``, epoch by epoch; SPTRACK_HOURS and SPTRACK_DATA are as there. The winner
is also trained at mean 0, where nothing was tuned. All arrays here, those of the printed settings too, start
within their bounds; `published_tables` has since been made with the simulator's start at std 1.

AGAD wins: 96.2 %, with 2.6e8 pulses, by five times the printed rate of the gradient and seven times that of
the transfer; printed settings give 92.6 here, published are 90.4 and, for E-RIDER, 95.1. At mean 0 the same
setting gives 95.8 % (published: AGAD 91.4, E-RIDER 93.9), so that both rows of the published column of std 1
are beaten. O-RIDER gets to 93.9 and E-RIDER to 93.3, less than the 95.7 of E-RIDER as printed: three epochs
reward what learns fast, and that setting, one of the nine, was passed over. TT-v2 gets to 78.7 (73.1 as
printed). Within a tenth of the pulses E-RIDER reaches 93.6, O-RIDER 93.5 and AGAD 93.1 (with 3.7e7), where
E-RIDER as printed is at 62.8. One run each: with a spread of 0.2 points over seeds (AGAD, `seed_spread`)
differences of half a point, as between AGAD and E-RIDER as printed, do not rank methods. The rate of the
gradient that E-RIDER and O-RIDER got for a tenth is the lowest of the search, a tenth of the printed one: it
is not known to be the best. All runs take about three hours of a core.

The observer finds the symmetric points better, and the net gains late. After a trial with printed settings
its reference errs by 0.22 in those cells of the first layer that are pulsed most, E-RIDER's by 0.35 to 0.39.
Yet it is 5 to 24 points behind E-RIDER in the trials with at most 1.2 times the printed rate of transfer, and
within 2.1 points or ahead with 2.4 times and more. It sends fewer pulses to W: 4.3 thousand on the first
layer against 20.8 with printed settings, 225 against 267 with 7.3 times the rate. That fits a threshold:
reads are summed until they make a whole pulse; E-RIDER's error of the reference, whose sign turns with the
chopper, takes the sum across it early, as a dither does, and without it small gradients wait. After 40 epochs
O-RIDER is ahead in both settings that both methods chose, by 0.6 and 0.9 points, with 1.2 and 1.5 times the
pulses.
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

from analysis._training import mnist_folder, sitting_ends, trained
from analysis.published_tables import stored_cell
from sptrack.plotting.style import (
    GREY,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    look_of,
    new_figure,
    text_colour,
)
from sptrack.results import dataset, provenance

NET, MEAN, STD = "fcn", 0.4, 1.0
OTHER_MEAN = 0.0
"""Mean of the reference error at which nothing is tuned."""
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
        `published_tables`, whose settings are not run again. Over ``epoch``: ``other_accuracy`` and
        ``other_pulses`` of the winner at mean `OTHER_MEAN`.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            effort, full = Effort(1, 1, 2), {"pulses": np.full((len(METHODS), 2), 1e7)}
            return _searched(effort, load_images("digits"), Path(folder), seed, full)
    return _searched(WHOLE, load_images(str(mnist_folder())), RUNS, seed, _printed())


def _printed() -> dict[str, np.ndarray]:
    """Test accuracy and pulses [method, epoch] of printed settings in `published_tables`; NaN of O-RIDER."""
    cell = stored_cell(NET, MEAN, STD, METHODS[:-1])
    nothing = np.full((1, cell.sizes["epoch"]), np.nan)
    return {key: np.vstack([cell[key].values, nothing]) for key in ("accuracy", "pulses")}


def factors(trials: int) -> np.ndarray:
    """Factors [1 + trials, knobs] on the printed settings; the first row is 1."""
    points = qmc.Sobol(len(KNOBS), seed=0).random(2 ** int(np.ceil(np.log2(max(trials, 1)))))[:trials]
    return np.vstack([np.ones(len(KNOBS)), np.array(list(KNOBS.values())) ** (2 * points - 1)])


def _settings(method: str, factor: np.ndarray, seed: int, mean: float = MEAN):  # type: ignore[no-untyped-def]
    from sptrack.nn.training import TrainSettings, published_batch, published_device, published_settings

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
    device = published_device(mean, STD)
    return TrainSettings(
        net=NET, settings=whole, device=device, lr=lr * digital, batch=published_batch(NET), seed=seed
    )


def held_out(images):  # type: ignore[no-untyped-def]
    """Images whose last sixth of the training ones takes the place of the test images."""
    cut = len(images.train) - len(images.train) // 6
    x, y = images.train, images.train_labels
    return images._replace(train=x[:cut], train_labels=y[:cut], test=x[cut:], test_labels=y[cut:])


def _searched(effort, images, folder, seed, printed):  # type: ignore[no-untyped-def]
    """The study; ``printed``: what is known of printed settings, whose pulses of E-RIDER are the budget."""
    folder.mkdir(parents=True, exist_ok=True)
    end, asked = sitting_ends(), factors(effort.trials)
    score, sent = _tried(asked, effort.short, held_out(images), folder, seed, end)
    parts = np.array(list(BUDGETS.values()))
    most = sent[METHODS.index("e-rider"), 0] * parts
    chosen = np.array([[_best(*one, limit) for limit in most] for one in zip(score, sent, strict=True)])
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
    found |= {f"other_{key}": np.full(effort.long, np.nan) for key in found}
    if (best := _winner(score, chosen)) is not None:
        factor, state = asked[best[1]], folder / f"other-{METHODS[best[0]]}-{best[1]}-{seed}.pt"
        made = trained(_settings(METHODS[best[0]], factor, seed, OTHER_MEAN), images, effort.long, state, end)
        if len(made.history) >= effort.long:
            for key in ("accuracy", "pulses"):
                found[f"other_{key}"][:] = [record[key] for record in made.history[: effort.long]]
    trials = {"factors": asked, "held_out": score, "sent": sent, "chosen": chosen}
    trials["limit"] = printed["pulses"][METHODS.index("e-rider"), -1] * parts
    for key in ("accuracy", "pulses"):
        trials[f"printed_{key}"] = printed.get(key, np.full((len(METHODS), effort.long), np.nan))
    return _table(trials, found | {"reference_error": error}, effort, seed)


def _tried(asked, epochs, images, folder, seed, end):  # type: ignore[no-untyped-def]
    """Held-out accuracy and pulses [method, trial] of all trials; NaN: not trained."""
    score, sent = np.full((2, len(METHODS), len(asked)), np.nan)
    for i, k in np.ndindex(score.shape):
        state = folder / f"trial-{METHODS[i]}-{k}-{seed}.pt"
        made = trained(_settings(METHODS[i], asked[k], seed), images, epochs, state, end)
        if len(made.history) >= epochs:
            score[i, k] = made.history[epochs - 1]["accuracy"]
            sent[i, k] = made.history[epochs - 1]["pulses"]
    return score, sent


def _best(score: np.ndarray, sent: np.ndarray, limit: float) -> int:
    """Trial with the best score among those that keep to the limit; -1: a trial is missing, or none does."""
    if np.isnan(score).any() or not (sent <= limit).any():
        return -1
    return int(np.argmax(np.where(sent <= limit, score, -np.inf)))


def _winner(score: np.ndarray, chosen: np.ndarray) -> tuple[int, int] | None:
    """Method and trial with the best score of those chosen for the full budget; None: one is missing."""
    if (chosen[:, 0] < 0).any():
        return None
    best = int(np.argmax(np.take_along_axis(score, chosen[:, :1], axis=1)))
    return best, int(chosen[best, 0])


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
        "other_accuracy": (("epoch",), "percent"),
        "other_pulses": (("epoch",), "pulses"),
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
    from sptrack.nn.training import published_batch

    batch = published_batch(NET)
    asked = {"net": NET, "mean": MEAN, "std": STD, "batch": batch, "knobs": KNOBS, "budgets": BUDGETS}
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
    """Test error against pulses of the chosen and the printed settings, and held-out error of all trials."""
    figure = new_figure(7.2, 5.0)
    headline(
        figure,
        _finding(data),
        f"MNIST, fully connected net, reference error {MEAN:g} ± {STD:g} weight units; one run each. Dashes: "
        "the budgets. Left: lines with marks are tuned (hollow: for a tenth), dots printed settings. Right: "
        "filled marks are printed settings.",
    )
    left, right = figure.subplots(1, 2)
    ends = []
    for i, name in enumerate(data["method"].values.tolist()):
        look, one = look_of(name), data.isel(method=i)
        shown = set()
        for b in range(data.sizes["budget"]):
            run, trial = one.isel(budget=b), int(one["chosen"][b])
            if trial in shown or not np.isfinite(run["accuracy"][-1]):
                continue
            shown.add(trial)
            face = {"mfc": "white"} if b > 0 else {}
            wrong = 100 - run["accuracy"]
            left.plot(run["pulses"], wrong, look.marker, ls="-", lw=1, ms=3.5, color=look.colour, **face)
        left.plot(one["printed_pulses"], 100 - one["printed_accuracy"], color=look.colour, lw=1.2, ls=":")
        wrong = 100 - one["held_out"]
        right.plot(one["sent"], wrong, look.marker, mfc="none", color=look.colour, ms=6)
        right.plot(one["sent"][0], wrong[0], look.marker, color=look.colour, ms=7)
        ends.append((float(wrong.min()), name, text_colour(look.colour)))
    most = float(data["sent"][data["method"].values.tolist().index("e-rider"), 0])
    for ax, full in ((left, float(data["limit"][0])), (right, most)):
        log_scale(ax, "xy", most=5)
        for fraction in BUDGETS.values():
            ax.axvline(full * fraction, color=GREY, linestyle="--", linewidth=1)
    label(left, f"Runs of {data.sizes['epoch']} epochs", "pulses so far", "test error (%)")
    label(right, "Trials", "pulses", "error on held-out images (%)")
    label_ends(right, ends, size=9.0)
    return figure


def _finding(data: xr.Dataset) -> str:
    """The best method within each budget, beside E-RIDER with its printed settings."""
    printed = data.isel(method=data["method"].values.tolist().index("e-rider"))
    told = []
    for b, words in enumerate(("the pulses of E-RIDER as printed", "a tenth of them")):
        column = within(data).isel(budget=b)
        if np.isnan(column.values).all():
            continue
        best = int(column.argmax("method"))
        kept = printed["printed_accuracy"].where(printed["printed_pulses"] <= data["limit"][b])
        last = kept.dropna("epoch").values[-1:]
        beside = f" ({last[0]:.1f} %)" if len(last) else ""
        reached = f"{str(data['method'].values[best]).upper()} reaches {float(column[best]):.1f} %"
        told.append(f"{reached} within {words}{beside}")
    return f"Tuned alike, {', '.join(told)}" if told else "No chosen setting is trained yet"
