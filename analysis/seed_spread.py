"""How far do accuracies of one setting spread, by the training's noise and by the cells of the device?

AGAD on MNIST, fully connected net, arrays of the HfO2 preset (4 states), error of the subtracted reference
0 +- 0.05 weight units, published settings, 40 epochs: one cell of `published_tables`, trained with three
seeds of start weights, order and noise on each of three draws of the cells. Published spreads are those of
runs that share one draw of the cells. A run's state is kept after every epoch in ``runs/seed_spread`` of the
working folder; SPTRACK_HOURS and SPTRACK_DATA are as in `published_tables`.

A spread over training is the root mean square of the deviations from the mean of each device, one over
devices that from the mean of each training seed, each with six degrees of freedom; both hold what depends on
the pair of seeds. Intervals are those of a normal variance.

Measured: 92.88 % in the mean, 0.19 points over either. Means over devices differ by less than runs do (mean
square over that of the rest: 0.4 with 2 and 4 degrees of freedom), and so do those over training seeds (0.6):
what varies is the pair of both, and a draw of the cells is worth no more than other noise. Published for this
setting: 92.59 %.
"""  # noqa: D400

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import chi2

from analysis._training import mnist_folder, sitting_ends, trained
from analysis.published_tables import PUBLISHED
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    new_figure,
    text_colour,
)
from sptrack.results import dataset, provenance

METHOD, NET, MEAN, STD = "agad", "fcn", 0.0, 0.05
EPOCHS, SEEDS = 40, 3
RUNS = Path("runs") / "seed_spread"
_LOOKS = (Look(BLUE, "o"), Look(VERMILLION, "^"), Look(GREEN, "s"))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train all pairs of seeds (``small``: two of each for one epoch on scikit-learn's digits).

    Returns
    -------
    Dataset
        Over ``device_seed``, ``training_seed`` and ``epoch``: test ``accuracy`` (percent, NaN where not
        trained yet) and ``pulses`` so far.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _trained(load_images("digits"), 2, 1, Path(folder), seed)
    return _trained(load_images(str(mnist_folder())), SEEDS, EPOCHS, RUNS, seed)


def _trained(images, seeds, epochs, folder, seed):  # type: ignore[no-untyped-def]
    from sptrack.nn.training import TrainSettings, published_batch, published_device, published_settings

    folder.mkdir(parents=True, exist_ok=True)
    settings, lr = published_settings(METHOD, NET)
    device, batch, end = published_device(MEAN, STD), published_batch(NET), sitting_ends()
    found = {key: np.full((seeds, seeds, epochs), np.nan) for key in ("accuracy", "pulses")}
    for i, k in np.ndindex(seeds, seeds):
        one = TrainSettings(
            net=NET,
            settings=settings,
            device=device,
            lr=lr,
            batch=batch,
            seed=seed + k,
            device_seed=seed + i,
        )
        made = trained(one, images, epochs, folder / f"{METHOD}-{seed + k}-{seed + i}.pt", end)
        for key, values in found.items() if len(made.history) >= epochs else ():
            values[i, k] = [record[key] for record in made.history[:epochs]]
    over = ("device_seed", "training_seed", "epoch")
    units = {"accuracy": "percent", "pulses": "pulses"}
    variables = {key: (over, values, {"units": units[key]}) for key, values in found.items()}
    coordinates = {name: ((name,), np.arange(seed, seed + seeds), {"units": "1"}) for name in over[:2]}
    coordinates["epoch"] = (("epoch",), np.arange(1, epochs + 1), {"units": "1"})
    asked = {"method": METHOD, "net": NET, "mean": MEAN, "std": STD, "batch": batch}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def spread_over(values: np.ndarray, axis: int) -> tuple[float, float, float]:
    """Root mean square deviation of a table from its means along an axis, and its 95 % interval."""
    freedom = values.size - values.size // values.shape[axis]
    squares = float(((values - values.mean(axis, keepdims=True)) ** 2).sum())
    low, high = (squares / chi2.ppf(q, freedom) for q in (0.975, 0.025))
    return (squares / freedom) ** 0.5, low**0.5, high**0.5


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Accuracy against epochs, and at the end for each draw of the cells; dashes: published."""
    figure = new_figure(7.2, 4.0)
    last = data["accuracy"].values[..., -1]
    told = f"{METHOD.upper()}, MNIST, fully connected net, reference error {MEAN:g} ± {STD:g} weight units. "
    headline(
        figure, _finding(last), told + "A colour for each draw of the cells, bars: means; dashes: published."
    )
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    ends = []
    for i, (look, device) in enumerate(zip(_LOOKS, data["device_seed"].values.tolist(), strict=False)):
        curves = data["accuracy"].values[i]
        left.plot(data["epoch"], curves.T, color=look.colour, linewidth=0.8)
        right.plot(np.full(len(last[i]), device), last[i], look.marker, color=look.colour, markersize=5)
        right.plot([device - 0.2, device + 0.2], [last[i].mean()] * 2, color=look.colour, linewidth=2)
        ends.append((float(last[i].mean()), f"cells {device}", text_colour(look.colour)))
    published = PUBLISHED[NET][MEAN, STD][1]
    for ax in (left, right):
        ax.axhline(published, color=GREY, linestyle="--", linewidth=1)
    label(left, "While training", "epoch", "test accuracy (%)")
    label(right, f"After {data.sizes['epoch']} epochs", "seed of the cells", "test accuracy (%)")
    right.set_xticks(data["device_seed"])
    right.margins(x=0.2)
    label_ends(left, ends, size=9.0)
    return figure


def _finding(last: np.ndarray) -> str:
    if not np.isfinite(last).all():
        return f"{int(np.isfinite(last).sum())} of {last.size} runs are trained"
    (training, *one), (cells, *two) = spread_over(last, 1), spread_over(last, 0)
    return (
        f"Accuracy {last.mean():.2f} %: spread by {training:.2f} [{one[0]:.2f}, {one[1]:.2f}] points over "
        f"seeds of training, by {cells:.2f} [{two[0]:.2f}, {two[1]:.2f}] over draws of the cells"
    )
