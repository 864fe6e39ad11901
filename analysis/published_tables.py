"""How accurate do nets become on tracked arrays, beside the published tables?

MNIST on arrays of the HfO2 preset (4 states), by TT-v2, AGAD and E-RIDER with the published settings, for
means and stds of the error of the subtracted reference (weight units); fully connected net. Published: mean
of three runs after 40 epochs (arXiv 2602.21321). A cell is one training run, whose state is kept after every
epoch in ``runs/published_tables`` of the working folder: interrupted, it goes on there; finished cells, and
those of the stored figure, are not run again. SPTRACK_HOURS=2 ends a sitting after two hours, and 0 only
draws what is there: a cell counts when its 40 epochs are done. Images are looked for in SPTRACK_DATA/mnist,
or in ``shared/data/mnist`` beside the checkout.

First epochs tell the methods apart, not the runs of one: a net of sigmoids starts on a plateau. By AGAD it
leaves it with W as it started, by its digital parameters, in an epoch that depends on the seed: at mean 0 and
std 0.05, seeds 0 and 1 give 32.9 and 54.0 % after five epochs, with at most 1.3 pulses on a thousand cells of
W. By E-RIDER the residual pass is off it within the first epoch. By TT-v2 the first layer's W has no part in
it: with the printed rates a read a of P adds 0.01 lr a to the buffer and a pulse is due at 0.37, so that the
613 reads of a column in 40 epochs (rate halved every 15) are worth 0.52 a pulses at lr 0.05: what it learns
are digital parameters. At mean 0.4 and std 0.05 its 40 epochs sent 3, 8, 397 and 182 pulses to the W of the
four tiles and reached 73 %; AGAD's sent 9751, 10617, 936 and 18 and reached 93 %. At mean 0 TT-v2 ends at
75 % too, where 90 are published, and at std 1 at 67 instead of 79: the mean of the reference cannot tell on a
W that hardly moves. At mean 0.4 and std 1 its 73 % lie above the 58 that are published, by the same cause.
Its learning rate is not printed, and 0.05 may be too small; no other was tried.
"""  # noqa: D400

import os
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import sitting_ends, trained
from sptrack.plotting.style import headline, house_style, label, label_ends, look_of, new_figure
from sptrack.results import dataset, load, provenance, read_provenance

METHODS = ("tt-v2", "agad", "e-rider")
MEANS, STDS = (0.0, 0.4), (0.05, 1.0)
EPOCHS = 40
PUBLISHED = {
    (0.0, 0.05): (90.26, 92.59, 95.45),
    (0.0, 1.0): (79.20, 91.37, 93.86),
    (0.4, 0.05): (72.00, 92.55, 96.07),
    (0.4, 1.0): (57.79, 90.43, 95.14),
}
RUNS = Path("runs") / "published_tables"
STORED = Path(__file__).parents[1] / "figures" / "published_tables.nc"


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train all cells (``small``: one cell for one epoch on scikit-learn's digits).

    Returns
    -------
    Dataset
        Over ``mean``, ``std``, ``method`` and ``epoch``: test ``accuracy`` (percent, NaN where not trained
        yet), ``loss`` and ``pulses`` so far. Over the first three: ``published`` accuracy.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(load_images("digits"), (0.0,), (0.05,), 1, Path(folder), seed=seed, batch=50)
    stored = load(STORED) if STORED.exists() else None
    return _table(load_images(str(_mnist())), MEANS, STDS, EPOCHS, RUNS, seed=seed, batch=10, stored=stored)


def _mnist() -> Path:
    root = Path(__file__).parents[1]
    return Path(os.environ.get("SPTRACK_DATA") or root.parent / "shared" / "data") / "mnist"


def _table(images, means, stds, epochs, folder, *, seed, batch, stored=None):  # type: ignore[no-untyped-def]
    """Cells as a dataset; those that ``stored`` holds for the same seed, images and batch come from it."""
    from sptrack.nn.training import TrainSettings, published_device, published_settings

    folder.mkdir(parents=True, exist_ok=True)
    end = sitting_ends()
    shape = (len(means), len(stds), len(METHODS), epochs)
    found = {key: np.full(shape, np.nan) for key in ("accuracy", "loss", "pulses")}
    published = np.full(shape[:3], np.nan)
    asked = {"images": list(images.train.shape), "batch": batch, "epochs": epochs}
    if stored is not None and not _same(stored, asked, seed):
        stored = None
    for (i, mean), (j, std), (k, name) in product(enumerate(means), enumerate(stds), enumerate(METHODS)):
        published[i, j, k] = PUBLISHED[mean, std][k]
        if stored is not None and np.isfinite(stored["accuracy"].values[i, j, k, -1]):
            for key, values in found.items():
                values[i, j, k] = stored[key].values[i, j, k]
            continue
        settings, lr = published_settings(name)
        device = published_device(mean, std)
        one = TrainSettings(settings=settings, device=device, lr=lr, batch=batch, seed=seed)
        state = folder / f"fcn-{mean:g}-{std:g}-{name}-{seed}.pt"
        cell = trained(one, images, epochs, state, end)
        for key, values in found.items() if len(cell.history) >= epochs else ():
            values[i, j, k] = [record[key] for record in cell.history[:epochs]]
    units = {"accuracy": "percent", "loss": "nat", "pulses": "pulses"}
    over = ("mean", "std", "method", "epoch")
    variables = {key: (over, values, {"units": units[key]}) for key, values in found.items()}
    variables["published"] = (over[:3], published, {"units": "percent"})
    coordinates = {
        "mean": (("mean",), list(means), {"units": "weight units"}),
        "std": (("std",), list(stds), {"units": "weight units"}),
        "method": (("method",), list(METHODS), {}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def _same(stored: xr.Dataset, asked: dict[str, object], seed: int) -> bool:
    """Whether a stored table is of the same seed, images, batch, epochs, means, stds and methods."""
    told = read_provenance(stored)
    axes = {"mean": MEANS, "std": STDS, "method": METHODS}
    return (
        told["seed"] == seed
        and told["parameters"] == asked
        and all(tuple(stored[name].values.tolist()) == values for name, values in axes.items())
    )


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Accuracy against epochs, a panel for each mean and std with a finished cell; dashes: published."""
    done = np.isfinite(data["accuracy"].values[..., -1])
    places = [tuple(place) for place in np.argwhere(done.any(axis=2))]
    figure = new_figure(7.2, 1.6 + 2.9 * max(1, -(-len(places) // 2)))
    headline(figure, _finding(data, done), _SETTING)
    if not places:
        return figure
    columns = min(2, len(places))
    panels = figure.subplots(-(-len(places) // columns), columns, squeeze=False, sharex=True, sharey=True)
    for ax, (i, j) in zip(panels.flat, places, strict=False):
        ends = []
        for k, name in enumerate(data["method"].values.tolist()):
            if not done[i, j, k]:
                continue
            look, one = look_of(name), data.isel(mean=i, std=j, method=k)
            ax.plot(data["epoch"], one["accuracy"], marker=look.marker, markersize=3, color=look.colour)
            ax.axhline(float(one["published"]), color=look.colour, linestyle="--", linewidth=1)
            ends.append((float(one["accuracy"][-1]), name, look.colour))
        title = f"reference error {float(data['mean'][i]):g} ± {float(data['std'][j]):g} weight units"
        label(ax, title, "epoch", "test accuracy (%)")
        ax.tick_params(labelbottom=True)
        label_ends(ax, ends)
    for ax in panels.flat[len(places) :]:
        ax.set_axis_off()
    return figure


_SETTING = (
    "MNIST, fully connected net, one run per cell. Lines: simulated; dashes: published (3 runs). "
    f"The table has {len(MEANS) * len(STDS) * len(METHODS)} cells."
)
_NEAR = 1.5
"""Points of accuracy by which a cell may lie below the published one."""


def _finding(data: xr.Dataset, done: np.ndarray) -> str:
    """How many of the cells that are done come near the published figures, and those that do not."""
    if not done.any():
        return "No cell is trained yet"
    missed = []
    for i, j, k in np.argwhere(done):
        one = data.isel({"mean": i, "std": j, "method": k})
        lack = float(one["published"] - one["accuracy"][-1])
        if lack > _NEAR:
            place = f"{float(one['mean']):g} ± {float(one['std']):g}"
            missed.append(f"{str(one['method'].values).upper()} at {place} by {lack:.1f}")
    count = int(done.sum())
    near = f"within {_NEAR:g} points of the published ones or above"
    told = f"{count - len(missed)} of {count} trained cells are {near}"
    return f"{told}; missed: {', '.join(missed)}" if missed else told
