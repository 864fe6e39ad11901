"""How often should the chopper flip while a net trains?

Figure 5 of Xiao et al. 2026 (arXiv 2602.21321): a fully connected net on MNIST, 50 epochs, by E-RIDER in its
published form with the printed settings, on arrays of the HfO2 preset (4 states). The chopper flips the sign
of a column after every 1/p of its reads and takes the mean of the past period as reference; without a chopper
(p = 0) no mean is ever taken over, and the reference stays 0, though reads of P are off by 0.4 +- 0.05 weight
units. A column of the first layer is read 15 times in an epoch. A score is the mean test accuracy of the last
ten epochs. States are kept in ``runs/chopper_probability`` of the working folder; finished runs of the stored
figure are not made again, and SPTRACK_HOURS ends a sitting.

Without a chopper the run is at 81 % after two epochs, at 40 after eight, and its loss runs off to infinity
in epoch 31. With any p from 0.02 to 0.5 the net comes to 96.1 to 96.4 %; one run each does
not rank them: the last ten epochs of a run differ by up to 0.8 points. With p = 0.02, whose first period ends
after three epochs, it starts later.
"""  # noqa: D400

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis._training import course, mnist_folder, of_same_setting, sitting_ends
from sptrack.intervals import student_interval
from sptrack.plotting.style import BLUE, COLOURS, GREY, headline, house_style, label, label_ends, new_figure
from sptrack.results import dataset, load, provenance

PROBABILITIES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
EPOCHS, SCORED, SEEDS = 50, 10, 1
MEAN, STD = 0.4, 0.05
_CLEAR = 5.0
"""Points of accuracy by which every run must be above every other to count."""
RUNS = Path("runs") / "chopper_probability"
STORED = Path(__file__).parents[1] / "figures" / "chopper_probability.nc"


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train with every flip probability (``small``: three of them for one epoch on scikit-learn's digits).

    Returns
    -------
    Dataset
        Over ``p``, ``seed`` and ``epoch``: test ``accuracy``, percent, NaN of a run that is not finished and
        from the epoch on in which one diverged.
        Over the first two: ``score``, the mean of the last epochs, and ``diverged``, whether the loss ran
        off to infinity.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(load_images("digits"), Path(folder), PROBABILITIES[::2], epochs=1, seed=seed)
    stored = load(STORED) if STORED.exists() else None
    images = load_images(str(mnist_folder()))
    return _table(images, RUNS, PROBABILITIES, epochs=EPOCHS, seed=seed, stored=stored)


def _table(  # type: ignore[no-untyped-def]
    images,
    folder: Path,
    among: tuple[float, ...],
    *,
    epochs: int,
    seed: int,
    stored: xr.Dataset | None = None,
) -> xr.Dataset:
    from sptrack.nn.training import TrainSettings, published_batch, published_device

    folder.mkdir(parents=True, exist_ok=True)
    device, end = published_device(MEAN, STD), sitting_ends()
    accuracy = np.full((len(among), SEEDS, epochs), np.nan)
    diverged = np.zeros((len(among), SEEDS), bool)
    asked = {"images": list(images.train.shape), "mean": MEAN, "std": STD, "p": list(among), "epochs": epochs}
    told = provenance(seed=seed, parameters=asked)
    stored = of_same_setting(stored, told)
    for k, (i, p) in product(range(SEEDS), enumerate(among)):
        if stored is not None and (bool(stored["diverged"][i, k]) or np.isfinite(stored["score"][i, k])):
            accuracy[i, k], diverged[i, k] = stored["accuracy"][i, k], stored["diverged"][i, k]
            continue
        one = TrainSettings(
            settings=settings_of(p),
            device=device,
            batch=published_batch(),
            seed=seed + k,
            device_seed=seed + k,
        )
        state = folder / f"{p:g}-{seed + k}.pt"
        made, diverged[i, k] = course(one, images, epochs, state, end)
        history = made.history
        if diverged[i, k] or len(history) >= epochs:
            accuracy[i, k, : len(history)] = [record["accuracy"] for record in history[:epochs]]
    over, percent = ("p", "seed"), {"units": "percent"}
    variables = {
        "accuracy": ((*over, "epoch"), accuracy, percent),
        "score": (over, accuracy[..., -SCORED:].mean(axis=-1), percent),
        "diverged": (over, diverged, {"units": "1"}),
    }
    coordinates = {
        "p": (("p",), list(among), {"units": "1/read"}),
        "seed": (("seed",), np.arange(seed, seed + SEEDS), {"units": "1"}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    return dataset(variables, coordinates, told)


def settings_of(p: float):  # type: ignore[no-untyped-def]
    """E-RIDER of the published form with flip probability ``p`` per read of a column."""
    from sptrack.blocks import PeriodMean
    from sptrack.tiles import algorithm
    from sptrack.tiles.settings import regular

    whole = algorithm("e-rider")
    if p == 0:
        return replace(whole, chopper=None, reference="zero", hold=0)
    chopper = regular(p)
    reference = PeriodMean.over(chopper.half_period, 5.0)
    return replace(whole, chopper=chopper, reference=reference, hold=chopper.half_period + 1)


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Accuracy against epochs for each p; score against p."""
    figure = new_figure(7.2, 4.2)
    headline(
        figure, _finding(data),
        f"MNIST, fully connected net, E-RIDER, reads of P off by {MEAN:g} ± {STD:g} weight units. "
        f"Runs for each p: {data.sizes['seed']}. Right: mean and range of the epochs.",
    )  # fmt: skip
    left, right = figure.subplots(1, 2)
    _draw_courses(left, data)
    _draw_scores(right, data)
    return figure


def _draw_courses(ax: Axes, data: xr.Dataset) -> None:
    """First run at each p, epoch by epoch; a cross where it diverged."""
    ends = []
    for p, colour in zip(data["p"].values, (GREY, *COLOURS), strict=False):
        course = data["accuracy"].sel({"p": p}).values[0]
        course = course[np.isfinite(course)]
        if not course.size:
            continue
        epochs = data["epoch"].values[: course.size]
        ax.plot(epochs, course, color=colour, linestyle="--" if p == 0 else "-")
        lost = bool(data["diverged"].sel({"p": p})[0])
        if lost:
            ax.plot(epochs[-1], course[-1], "x", color=colour)
        ends.append((float(course[-1]), f"p = {p:g}{' (diverged)' if lost else ''}", colour))
    label(ax, "Course of training", "epoch", "test accuracy (%)")
    label_ends(ax, ends)


def _draw_scores(ax: Axes, data: xr.Dataset) -> None:
    """Single runs, with the range of the epochs; of three or more their mean and its 95 % interval."""
    place = np.arange(data.sizes["p"])
    for k, p in zip(place, data["p"].values, strict=True):
        score = _scores(data, p)
        ax.plot(np.full(score.size, k), score, "o", color=BLUE)
        late = data["accuracy"].sel({"p": p}).values[:, -SCORED:]
        for one in late[np.isfinite(late).all(axis=-1)]:
            ax.plot([k, k], [one.min(), one.max()], color=BLUE, linewidth=1)
        if score.size > 2:
            mean, (low, high) = score.mean(), student_interval(score)
            around = [[mean - low], [high - mean]]
            ax.errorbar(k + 0.15, mean, around, fmt="o", color=BLUE, markerfacecolor="white", capsize=3)
        lost = int(data["diverged"].sel({"p": p}).sum())
        if lost:
            above = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
            ax.annotate(f"{lost} diverged", (k, 0.0), (0, 6), fontsize=9, color=GREY, rotation=90, **above)
    ax.set_xlim(-0.8, place[-1] + 0.4)
    ax.set_xticks(place, [f"{one:g}" for one in data["p"].values])
    title = f"Mean of the last {min(SCORED, data.sizes['epoch'])} epochs"
    label(ax, title, "flip probability p per read", "test accuracy (%)")


def _scores(data: xr.Dataset, p: float) -> np.ndarray:
    """Scores of the runs at one p that ended."""
    score = data["score"].sel({"p": p}).values
    return np.asarray(score[np.isfinite(score)])


def _finding(data: xr.Dataset) -> str:
    """Best mean with a chopper beside that without, and whether all its runs are clearly above."""
    scores = {float(p): _scores(data, p) for p in data["p"].values}
    chopped = {p: float(score.mean()) for p, score in scores.items() if p > 0 and score.size}
    lost = int(data["diverged"].sel({"p": 0.0}).sum())
    if not (chopped and (scores[0.0].size or lost)):
        return "No runs with and without a chopper are trained yet"
    best = max(chopped, key=lambda p: chopped[p])
    if not scores[0.0].size:
        low, high = min(chopped.values()), max(chopped.values())
        flips = f"p = {min(chopped):g} to {max(chopped):g}"
        return f"Without a chopper training diverges; with {flips} it ends at {low:.1f} to {high:.1f} %"
    told = f"{chopped[best]:.0f} % at p = {best:g}, {scores[0.0].mean():.0f} % without a chopper"
    if min(scores[best].size, scores[0.0].size) < 2:
        return f"One run each: {told}"
    worst = max(scores[0.0])
    if min(scores[best]) > worst + _CLEAR:
        return f"A chopper pays: {told}"
    return f"A chopper is not shown to pay: {told}"
