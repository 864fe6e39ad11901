"""How many zero-shifting pulses does a net need before training, and does it matter where the error is?

Figure 2 of Xiao et al. 2026 (arXiv 2602.21321): LeNet-5 on MNIST by TT-v1, whose reference is wrong by what
zero-shifting with N pulses leaves. "Array-wide", as published: each cell's error is drawn from a normal
distribution whose mean and std are the offsets that N pulses leave in the mean and std of a 512 x 512 array.
"Per cell": each cell has the error that they leave in that very cell. P starts where calibration left it.
Dashes: the true symmetric points are subtracted. Arrays are those of figure 4 with 2000 states (soft bounds,
asymmetry 0.4 +- 0.08, one-sided), zero-shifting starts from -0.5. What is not printed for figure 2 is taken
from elsewhere: learning rate 0.05, fast_lr 0.01 and transfer_lr 1 from the calibrated baseline of figure 4,
both absolute here; mini-batches of 8 from the tables, a column of P read after each; trains of up to 31
pulses on W from the simulator's preset of TT-v1. Two epochs.

States are kept in ``runs/sp_error_in_training`` of the working folder; finished runs of the stored figure are
not made again, and SPTRACK_HOURS ends a sitting.

After up to 2000 pulses the net does not learn (10 to 11 %), after 4000 it is at 94 % and after 8000 at 97.3
(array-wide) and 97.6 %, 0.6 and 0.4 points below the run with the true points (one run a point; the 95 %
interval of 10,000 test images is 0.3 points there). Each read of P is off by its cell's error, 0.20 to 0.55
weight units rms up to 2000 pulses, where P itself holds 0.02 to 0.10 rms in the four layers after 12,000
images (with true points): W is driven by the error. Where the error is makes no difference here: per cell it
is 1.03 to 1.6 times as large as what is drawn for the array, and at no number of pulses is the accuracy more
than 0.5 points away.
"""  # noqa: D400

import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis._calibration import KINDS, START, calibrate, device
from analysis._training import course, doubled, mnist_folder, sitting_ends
from sptrack.plotting.style import (
    BLUE,
    GREY,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
from sptrack.results import dataset, load, provenance, read_provenance

PULSES = (500, 1000, 2000, 4000, 8000)
EPOCHS, BATCH = 2, 8
STATES = 2000
LR, FAST, TRANSFER, LENGTH = 0.05, 0.01, 1.0, 31
RUNS = Path("runs") / "sp_error_in_training"
STORED = Path(__file__).parents[1] / "figures" / "sp_error_in_training.nc"
_LOOKS = {"array-wide": (VERMILLION, "-s"), "per cell": (BLUE, "-o")}


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train with each error (``small``: two numbers of pulses, one epoch on 320 digits, pixels doubled).

    Returns
    -------
    Dataset
        Over ``kind``, ``pulses`` and ``epoch``: test ``accuracy``, percent, NaN of a run that is not finished
        and from the epoch on in which a loss ran off to infinity. Over the first two: ``diverged``, and
        ``mean``, ``std`` and ``rms`` of the error over all cells, weight units. Over ``epoch``: ``exact``
        accuracy, with the true symmetric points.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(doubled(load_images("digits")), Path(folder), PULSES[::4], epochs=1, seed=seed)
    stored = load(STORED) if STORED.exists() else None
    return _table(load_images(str(mnist_folder())), RUNS, PULSES, epochs=EPOCHS, seed=seed, stored=stored)


def _table(  # type: ignore[no-untyped-def]
    images,
    folder: Path,
    counts: tuple[int, ...],
    *,
    epochs: int,
    seed: int,
    stored: xr.Dataset | None = None,
) -> xr.Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "images": list(images.train.shape), "epochs": epochs, "batch": BATCH, "states": STATES, "lr": LR,
        "fast": FAST, "transfer": TRANSFER, "train_length": LENGTH, "start": START, "pulses": list(counts),
    }  # fmt: skip
    told = provenance(seed=seed, parameters=asked)
    if stored is not None and any(
        read_provenance(stored)[key] != told[key] for key in ("seed", "parameters")
    ):
        stored = None
    end, shape = sitting_ends(), (len(KINDS), len(counts))
    exact, accuracy = np.full(epochs, np.nan), np.full((*shape, epochs), np.nan)
    sizes, diverged = np.full((*shape, 3), np.nan), np.zeros(shape, bool)
    if stored is not None and np.isfinite(stored["exact"][-1]):
        exact[:] = stored["exact"]
    else:
        found, _, _ = trained_with(images, None, folder, epochs, seed, end)
        exact[: len(found)] = found
    for (j, pulses), (i, kind) in product(enumerate(counts), enumerate(KINDS)):
        if stored is not None and (stored["diverged"][i, j] or np.isfinite(stored["accuracy"][i, j, -1])):
            accuracy[i, j], diverged[i, j] = stored["accuracy"][i, j], stored["diverged"][i, j]
            sizes[i, j] = [float(stored[name][i, j]) for name in ("mean", "std", "rms")]
            continue
        found, diverged[i, j], error = trained_with(images, (kind, pulses), folder, epochs, seed, end)
        if error is not None:
            sizes[i, j] = error.mean(), error.std(), np.sqrt(np.mean(error**2))
        if diverged[i, j] or len(found) >= epochs:
            accuracy[i, j, : len(found)] = found
    over, percent, weight = ("kind", "pulses"), {"units": "percent"}, {"units": "weight units"}
    variables = {
        "accuracy": ((*over, "epoch"), accuracy, percent),
        "diverged": (over, diverged, {"units": "1"}),
        "exact": (("epoch",), exact, percent),
        **{name: (over, sizes[..., k], weight) for k, name in enumerate(("mean", "std", "rms"))},
    }
    coordinates = {
        "kind": (("kind",), list(KINDS), {}),
        "pulses": (("pulses",), list(counts), {"units": "pulses"}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    return dataset(variables, coordinates, told)


def train_settings(seed: int):  # type: ignore[no-untyped-def]
    """Settings of every run; the error is put in by `trained_with`."""
    from sptrack.nn.training import TrainSettings
    from sptrack.tiles import algorithm

    whole = algorithm("tt-v1")
    scheme = replace(whole.transfer.scheme, train_length=LENGTH)
    return TrainSettings(
        net="lenet5",
        settings=replace(
            whole,
            fast=replace(whole.fast, rate=FAST),
            transfer=replace(whole.transfer, rate=TRANSFER, scheme=scheme),
        ),
        device=device(STATES, calibrated=True),
        lr=LR,
        batch=BATCH,
        seed=seed,
        device_seed=seed,
    )


def trained_with(  # type: ignore[no-untyped-def]
    images, asked: tuple[str, int] | None, folder: Path, epochs: int, seed: int, end: float = float("inf")
):
    """Train with the error of a kind and a number of pulses (None: no error), or until the time ``end``.

    Returns
    -------
    accuracy : list of float
        Of the epochs that were trained, at most ``epochs``.
    diverged : bool
        Whether the loss ran off.
    error : ndarray or None
        Error of the reference in all cells, weight units; None: there was no time.
    """
    from sptrack.nn.training import Trainer

    name = "exact" if asked is None else f"{asked[0].replace(' ', '_')}-{asked[1]}"
    state = folder / f"{name}-{seed}.pt"
    if not state.exists() and time.monotonic() >= end:
        return [], False, None
    one = train_settings(seed)
    start = Trainer(one, images)
    error = np.zeros(1) if asked is None else calibrate(start, *asked, STATES, seed)
    if not state.exists():
        start.save(state)
    made, lost = course(one, images, epochs, state, end)
    return [record["accuracy"] for record in made.history[:epochs]], lost, error


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Accuracy and size of the error against the pulses of zero-shifting."""
    figure = new_figure(7.2, 4.4)
    headline(figure, _finding(data), _setting(data))
    left, right = figure.subplots(1, 2)
    _draw_accuracy(left, data)
    ends = []
    for kind in data["kind"].values.tolist():
        colour, line = _LOOKS[kind]
        rms = data["rms"].sel({"kind": kind})
        right.plot(data["pulses"], rms, line, color=colour, markerfacecolor="white")
        ends.append((float(rms[-1]), kind, colour))
    log_scale(right, "y")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xticks(data["pulses"].values, [f"{n:,}" for n in data["pulses"].values], minor=False)
        ax.minorticks_off()
    label(right, "Error of the reference", "zero-shifting pulses per cell", "rms (weight units)")
    label_ends(right, ends)
    return figure


def _draw_accuracy(ax: Axes, data: xr.Dataset) -> None:
    """Accuracy after the last epoch; crosses at the bottom: the loss ran off."""
    ends = []
    for kind in data["kind"].values.tolist():
        one, (colour, line) = data.sel({"kind": kind}), _LOOKS[kind]
        last = one["accuracy"].isel(epoch=-1)
        ax.plot(data["pulses"], last, line, color=colour, markerfacecolor="white")
        lost = data["pulses"].values[one["diverged"].values]
        ax.plot(lost, np.zeros(lost.size), "x", color=colour)
        if np.isfinite(last[-1]):
            ends.append((float(last[-1]), kind, colour))
    exact = float(data["exact"][-1])
    if np.isfinite(exact):
        ax.axhline(exact, color=GREY, linestyle="--")
        ends.append((exact, "true SP", GREY))
    ax.set_ylim(-3, 103)
    label(ax, "Accuracy", "zero-shifting pulses per cell", "test accuracy (%)")
    label_ends(ax, ends)


def missing(data: xr.Dataset) -> list[str]:
    """Runs that are not finished, as "kind, pulses"."""
    left = [] if np.isfinite(data["exact"][-1]) else ["true SP"]
    return left + [
        f"{kind}, {pulses}"
        for kind, pulses in product(data["kind"].values.tolist(), data["pulses"].values.tolist())
        if not bool(data["diverged"].sel(kind=kind, pulses=pulses))
        and np.isnan(float(data["accuracy"].sel(kind=kind, pulses=pulses)[-1]))
    ]


def _setting(data: xr.Dataset) -> str:
    asked, left = read_provenance(data)["parameters"], missing(data)
    lost = " Crosses: the loss ran off." if bool(data["diverged"].any()) else ""
    waiting = f" Not finished: {'; '.join(left)}." if left else ""
    return (
        f"LeNet-5, {asked['images'][0]:,} images, {len(data['epoch'])} epochs of TT-v1, {asked['states']} "
        "states, one run a point. Array-wide: drawn with the offset of the array's mean and std, as "
        f"published; per cell: what zero-shifting leaves.{lost}{waiting}"
    )


def _finding(data: xr.Dataset) -> str:
    """Accuracy by pulses, where the error is in the very cells, and without error."""
    if missing(data):
        return f"{len(missing(data))} of {1 + data['diverged'].size} runs are not finished yet"
    own = data.sel({"kind": "per cell"})
    told = [
        "diverged" if lost else f"{last:.0f} %"
        for lost, last in zip(own["diverged"].values, own["accuracy"].values[:, -1], strict=True)
    ]
    counts = [f"{n:,}" for n in data["pulses"].values.tolist()]
    return (
        f"{_listed(told)} after {_listed(counts)} zero-shifting pulses before training; "
        f"{float(data['exact'][-1]):.0f} % with the true symmetric points"
    )


def _listed(told: list[str]) -> str:
    return " and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]
