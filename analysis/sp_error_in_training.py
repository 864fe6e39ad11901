"""How many zero-shifting pulses does a net need before training, and does it matter where the error is?

A fully connected net on scikit-learn's digits (not on MNIST, and fewer epochs than published runs), trained
by TT-v1 on the default soft-bounds array (2000 states). The reference that is subtracted from reads of P is
wrong by what zero-shifting with N pulses leaves. "Array-wide", as Figure 2 of Xiao et al. 2026 (arXiv
2602.21321) puts it in: each cell's error is drawn from a normal distribution whose mean and std are the
offsets of the estimated array's mean and std from the true ones. "Per cell": each cell has the error that
zero-shifting, from 0, leaves in that very cell. Dashes: the true symmetric points are subtracted. States are
kept in ``runs/sp_error_in_training`` of the working folder.

One run a point: with 500 and 1000 pulses the net hardly learns (16 to 45 %), with 4000 it is within a point
of the true symmetric points (80 and 81 against 82 %), whether the error is drawn for the array or left in the
cells. The drawn error is smaller than the one that is left, by 4.5 times at 8000 pulses: the offset of an
array's mean and std says less and less about its cells.
"""  # noqa: D400

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import trained
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells, Device, Reference
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
from sptrack.results import dataset, provenance

KINDS = ("array-wide", "per cell")
PULSES = (500, 1000, 2000, 4000, 8000)
EPOCHS, SCORED, BATCH = 25, 5, 10
LR, FAST, TRANSFER = 0.1, 0.05, 0.02
RUNS = Path("runs") / "sp_error_in_training"
_LOOKS = {"array-wide": (VERMILLION, "-s"), "per cell": (BLUE, "-o")}


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train with each error (``small``: two numbers of pulses, one epoch in batches of 50).

    Returns
    -------
    Dataset
        Over ``kind``, ``pulses`` and ``epoch``: test ``accuracy``, percent. Over the first two: ``score``,
        the mean accuracy of the last epochs, and ``mean``, ``std`` and ``rms`` of the error over the cells,
        weight units. Over ``epoch``: ``exact`` accuracy, without an error; ``exact_score``.
    """
    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(Path(folder), PULSES[::4], epochs=1, batch=50, seed=seed)
    return _table(RUNS, PULSES, epochs=EPOCHS, batch=BATCH, seed=seed)


def _table(folder: Path, counts: tuple[int, ...], *, epochs: int, batch: int, seed: int) -> xr.Dataset:
    from sptrack.nn.data import load_images

    folder.mkdir(parents=True, exist_ok=True)
    images = load_images("digits")
    exact, _ = _accuracy(images, None, folder / f"exact-{seed}.pt", epochs, batch, seed)
    shape = (len(KINDS), len(counts))
    accuracy, errors = np.empty((*shape, epochs)), np.empty((*shape, 3))
    for (i, kind), (j, pulses) in product(enumerate(KINDS), enumerate(counts)):
        state = folder / f"{kind.replace(' ', '_')}-{pulses}-{seed}.pt"
        accuracy[i, j], errors[i, j] = _accuracy(images, (kind, pulses), state, epochs, batch, seed)
    over, percent, weight = ("kind", "pulses"), {"units": "percent"}, {"units": "weight units"}
    variables = {
        "accuracy": ((*over, "epoch"), accuracy, percent),
        "score": (over, accuracy[..., -SCORED:].mean(axis=-1), percent),
        "exact": (("epoch",), exact, percent),
        "exact_score": ((), float(exact[-SCORED:].mean()), percent),
        **{name: (over, errors[..., k], weight) for k, name in enumerate(("mean", "std", "rms"))},
    }
    coordinates = {
        "kind": (("kind",), list(KINDS), {}),
        "pulses": (("pulses",), list(counts), {"units": "pulses"}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    asked = {"lr": LR, "fast": FAST, "transfer": TRANSFER, "batch": batch, "device": Device()}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def _accuracy(images, asked, state, epochs, batch, seed):  # type: ignore[no-untyped-def]
    """Accuracy after each epoch, and mean, std and rms of the error of the reference over all cells."""
    from sptrack.nn.training import Trainer, TrainSettings
    from sptrack.tiles import algorithm

    settings = algorithm("tt-v1")
    settings = replace(
        settings,
        fast=replace(settings.fast, rate=FAST),
        transfer=replace(settings.transfer, rate=TRANSFER),
    )
    one = TrainSettings(
        settings=settings,
        device=Device(reference=Reference(subtract=True)),
        lr=LR,
        batch=batch,
        per_sample=True,
        seed=seed,
        device_seed=seed,
    )
    start = Trainer(one, images)
    found = []
    for layer in start.layers:
        for tile in layer.tiles:
            error = np.zeros(tile.shape) if asked is None else _error(tile.p_array.cells, *asked, seed)
            tile.restore(tile.state() | {"reference": error.T})
            found.append(error.ravel())
    if not state.exists():
        start.save(state)
    run = trained(one, images, epochs, state)
    errors = np.concatenate(found)
    sizes = errors.mean(), errors.std(), np.sqrt(np.mean(errors**2))
    return np.array([record["accuracy"] for record in run.history[:epochs]]), sizes


def _error(cells: Cells, kind: str, pulses: int, seed: int) -> np.ndarray:
    """Error [R, C] of the reference; reads of ``cells`` are 0 at the true symmetric points."""
    points = cells.symmetric_point
    array = Crossbar(cells, seed=seed, weights=-points, threads=1)
    array.pulse("alternating", pulses)
    error = np.asarray(array.read(), np.float64)
    if kind == "per cell":
        return error
    shift, widening = error.mean(), abs((points + error).std() - points.std())
    return shift + widening * np.random.default_rng([seed, pulses]).standard_normal(cells.shape)


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Accuracy and size of the error against the pulses of zero-shifting."""
    figure = new_figure(7.2, 4.4)
    headline(
        figure, _finding(data),
        f"Digits, fully connected net, {len(data['epoch'])} epochs of TT-v1, one run a point. Array-wide: "
        "drawn with the offset of the array's mean and std, as published; per cell: what zero-shifting "
        "leaves.",
    )  # fmt: skip
    left, right = figure.subplots(1, 2)
    ends, last = {"score": [], "rms": []}, data.isel(pulses=-1)  # type: ignore[var-annotated]
    for kind in data["kind"].values.tolist():
        one, (colour, line) = data.sel({"kind": kind}), _LOOKS[kind]
        for ax, name in ((left, "score"), (right, "rms")):
            ax.plot(data["pulses"], one[name], line, color=colour, markerfacecolor="white")
            ends[name].append((float(last[name].sel({"kind": kind})), kind, colour))
    exact = float(data["exact_score"])
    left.axhline(exact, color=GREY, linestyle="--")
    ends["score"].append((exact, "true SP", GREY))
    log_scale(right, "y")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_xticks(data["pulses"].values, [f"{n:,}" for n in data["pulses"].values], minor=False)
        ax.minorticks_off()
    score = f"test accuracy, last {SCORED} epochs (%)"
    label(left, "Accuracy", "zero-shifting pulses per cell", score)
    label(right, "Error of the reference", "zero-shifting pulses per cell", "rms (weight units)")
    label_ends(left, ends["score"])
    label_ends(right, ends["rms"])
    return figure


def _finding(data: xr.Dataset) -> str:
    """Accuracy at the fewest and the most pulses, where the error is in the very cells, and without error."""
    score = data["score"].sel({"kind": "per cell"})
    few, many = (float(score.isel(pulses=k)) for k in (0, -1))
    first, last = (int(data["pulses"][k]) for k in (0, -1))
    exact = float(data["exact_score"])
    return (
        f"{few:.0f} % with {first:,} zero-shifting pulses before training, {many:.0f} % with {last:,}; "
        f"{exact:.0f} % with the true symmetric points"
    )
