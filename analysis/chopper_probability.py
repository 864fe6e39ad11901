"""How often should the chopper flip while a net trains?

A fully connected net on scikit-learn's digits (not on MNIST), by E-RIDER in its published form, whose chopper
flips the sign of a column after every 1/p of its reads and takes the mean of the past period as reference;
without a chopper (p = 0) no mean is ever taken over, and the reference stays 0, though reads of P are off by
0.4 +- 0.05 weight units. Figure 5 of Xiao et al. 2026 (arXiv 2602.21321) shows the same on MNIST after 50
epochs. Arrays of the HfO2 preset (4 states); settings as in `training_ablations`: learning rate 0.2, and W
gets a pulse for 0.03 of the transferred weight. A column is read some 90 times in 40 epochs, on MNIST 613
times. A score is the mean test accuracy of the last ten epochs; states are kept in
``runs/chopper_probability`` of the working folder.

Three runs each: without a chopper two stay at chance (8, 10 %) and one diverges; every p from 0.02 to 0.5
learns, to 82 to 94 %. Among those the order is not that of p: 0.02, with which a column flips once or twice,
is best (92 to 94 %), the printed 0.05 last (82 to 86 %).
"""  # noqa: D400

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import sitting_ends, trained
from analysis.training_ablations import AUTO_GRANULARITY, BATCH, LR, MEAN, SCORED, STD
from sptrack.intervals import student_interval
from sptrack.plotting.style import BLUE, GREY, headline, house_style, label, new_figure
from sptrack.results import dataset, provenance

PROBABILITIES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
EPOCHS, SEEDS = 40, 3
_CLEAR = 5.0
"""Points of accuracy by which every run must be above every other to count."""
RUNS = Path("runs") / "chopper_probability"


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train with every flip probability (``small``: three of them, one seed, one epoch in batches of 50).

    Returns
    -------
    Dataset
        Over ``p``, ``seed`` and ``epoch``: test ``accuracy``, percent, NaN of a run that is not finished.
        Over the first two: ``score``, the mean of the last epochs, and ``diverged``, whether the loss ran
        off to infinity.
    """
    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(Path(folder), PROBABILITIES[::2], epochs=1, seeds=1, batch=50, seed=seed)
    return _table(RUNS, PROBABILITIES, epochs=EPOCHS, seeds=SEEDS, batch=BATCH, seed=seed)


def _table(
    folder: Path, among: tuple[float, ...], *, epochs: int, seeds: int, batch: int, seed: int
) -> xr.Dataset:
    from sptrack.nn.data import load_images
    from sptrack.nn.training import TrainingError, TrainSettings, published_device

    folder.mkdir(parents=True, exist_ok=True)
    images, device, end = load_images("digits"), published_device(MEAN, STD), sitting_ends()
    accuracy = np.full((len(among), seeds, epochs), np.nan)
    diverged = np.zeros((len(among), seeds), bool)
    for k, (i, p) in product(range(seeds), enumerate(among)):
        one = TrainSettings(
            settings=settings_of(p),
            device=device,
            lr=LR,
            batch=batch,
            per_sample=True,
            seed=seed + k,
            device_seed=seed + k,
        )
        try:
            history = trained(one, images, epochs, folder / f"{p:g}-{seed + k}.pt", end).history
        except TrainingError:
            diverged[i, k] = True
            continue
        if len(history) >= epochs:
            accuracy[i, k] = [record["accuracy"] for record in history[:epochs]]
    over, percent = ("p", "seed"), {"units": "percent"}
    variables = {
        "accuracy": ((*over, "epoch"), accuracy, percent),
        "score": (over, accuracy[..., -SCORED:].mean(axis=-1), percent),
        "diverged": (over, diverged, {"units": "1"}),
    }
    coordinates = {
        "p": (("p",), list(among), {"units": "1/read"}),
        "seed": (("seed",), np.arange(seed, seed + seeds), {"units": "1"}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    asked = {"lr": LR, "auto_granularity": AUTO_GRANULARITY, "mean": MEAN, "std": STD, "batch": batch}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def settings_of(p: float):  # type: ignore[no-untyped-def]
    """E-RIDER of the published form with flip probability ``p`` per read of a column."""
    from sptrack.blocks import PeriodMean
    from sptrack.tiles import algorithm
    from sptrack.tiles.settings import regular

    whole = algorithm("e-rider")
    whole = replace(whole, buffer=replace(whole.buffer, auto_granularity=AUTO_GRANULARITY))
    if p == 0:
        return replace(whole, chopper=None, reference="zero", hold=0)
    chopper = regular(p)
    reference = PeriodMean.over(chopper.half_period, 5.0)
    return replace(whole, chopper=chopper, reference=reference, hold=chopper.half_period + 1)


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Score against p: single runs, their mean and its 95 % interval."""
    figure = new_figure(7.2, 4.2)
    headline(
        figure, _finding(data),
        f"Digits, fully connected net, E-RIDER, reads of P off by {MEAN:g} ± {STD:g} weight units. Dots: "
        "runs, each with cells of its own; open markers: mean of three or more, 95 %.",
    )  # fmt: skip
    ax = figure.subplots()
    place = np.arange(data.sizes["p"])
    for k, name in zip(place, data["p"].values, strict=True):
        score = _scores(data, name)
        ax.plot(np.full(score.size, k - 0.12), score, ".", color=GREY)
        if score.size > 2:
            mean, (low, high) = score.mean(), student_interval(score)
            ax.errorbar(
                k,
                mean,
                [[mean - low], [high - mean]],
                fmt="o",
                color=BLUE,
                markerfacecolor="white",
                capsize=3,
            )
        lost = int(data["diverged"].sel({"p": name}).sum())
        if lost:
            ax.annotate(f"{lost} diverged", (k, 0.0), (8, 6), xycoords=ax.get_xaxis_transform(),
                        textcoords="offset points", fontsize=9, color=GREY)  # fmt: skip
    ax.set_ylim(0, 100)
    ax.set_xticks(place, [f"{one:g}" for one in data["p"].values])
    title = f"Test accuracy, mean of the last {min(SCORED, data.sizes['epoch'])} epochs"
    label(ax, title, "flip probability p per read of a column", "accuracy (%)")
    return figure


def _scores(data: xr.Dataset, p: float) -> np.ndarray:
    """Scores of the runs at one p that ended."""
    score = data["score"].sel({"p": p}).values
    return np.asarray(score[np.isfinite(score)])


def _finding(data: xr.Dataset) -> str:
    """Best mean with a chopper beside that without, and whether all its runs are clearly above."""
    scores = {float(p): _scores(data, p) for p in data["p"].values}
    chopped = {p: float(score.mean()) for p, score in scores.items() if p > 0 and score.size}
    if not (chopped and scores[0.0].size):
        return "No runs with and without a chopper are trained yet"
    best = max(chopped, key=lambda p: chopped[p])
    told = f"{chopped[best]:.0f} % at p = {best:g}, {scores[0.0].mean():.0f} % without a chopper"
    if min(scores[best].size, scores[0.0].size) < 2:
        return f"One run each: {told}"
    worst = max(scores[0.0])
    if min(scores[best]) > worst + _CLEAR:
        return f"A chopper pays: {told}"
    return f"A chopper is not shown to pay: {told}"
