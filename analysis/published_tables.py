"""How accurate do nets become on tracked arrays, beside the published tables?

MNIST on arrays of the HfO2 preset (4 states), by TT-v2, AGAD and E-RIDER with the published settings, for
means and stds of the error of the subtracted reference (weight units); fully connected net. Published: mean
of three runs after 40 epochs (arXiv 2602.21321). A cell is one training run, whose state is kept after every
epoch in ``runs/published_tables`` of the working folder: interrupted, it goes on there; finished cells are
not run again. Images are looked for in SPTRACK_DATA/mnist, or in ``shared/data/mnist`` beside the checkout.

First epochs tell the methods apart, not the runs of one: a net of sigmoids starts on a plateau. By AGAD it
leaves it with W as it started, by its digital parameters, in an epoch that depends on the seed: at mean 0 and
std 0.05, seeds 0 and 1 give 32.9 and 54.0 % after five epochs, with at most 1.3 pulses on a thousand cells of
W. By E-RIDER the residual pass is off it within the first epoch. By TT-v2 the first layer's W has no part in
it: with the printed rates a read a of P adds 0.01 lr a to the buffer and a pulse is due at 0.37, so that the
613 reads of a column in 40 epochs (rate halved every 15) are worth 0.52 a pulses at lr 0.05: what it learns
are digital parameters.
"""  # noqa: D400

import os
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import trained
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance

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
_LOOKS = dict(zip(METHODS, (COLOURS[3], COLOURS[4], COLOURS[0]), strict=True))


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
    return _table(load_images(str(_mnist())), MEANS, STDS, EPOCHS, RUNS, seed=seed, batch=10)


def _mnist() -> Path:
    root = Path(__file__).parents[1]
    return Path(os.environ.get("SPTRACK_DATA") or root.parent / "shared" / "data") / "mnist"


def _table(images, means, stds, epochs, folder, *, seed, batch):  # type: ignore[no-untyped-def]
    from sptrack.nn.training import TrainSettings, published_device, published_settings

    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(means), len(stds), len(METHODS), epochs)
    found = {key: np.full(shape, np.nan) for key in ("accuracy", "loss", "pulses")}
    published = np.full(shape[:3], np.nan)
    for (i, mean), (j, std), (k, name) in product(enumerate(means), enumerate(stds), enumerate(METHODS)):
        settings, lr = published_settings(name)
        device = published_device(mean, std)
        one = TrainSettings(settings=settings, device=device, lr=lr, batch=batch, seed=seed)
        state = folder / f"fcn-{mean:g}-{std:g}-{name}-{seed}.pt"
        cell = trained(one, images, epochs, state)
        for key, values in found.items():
            values[i, j, k] = [record[key] for record in cell.history[:epochs]]
        published[i, j, k] = PUBLISHED[mean, std][k]
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
    asked = {"images": list(images.train.shape), "batch": batch, "epochs": epochs}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def plot(data: xr.Dataset) -> Figure:
    """Accuracy against epochs, one panel per mean and std; dashes: published after 40 epochs."""
    means, stds = data["mean"].values, data["std"].values
    figure = new_figure(4.2 * len(stds) + 1.5, 3.6 * len(means))
    panels = figure.subplots(len(means), len(stds), squeeze=False, sharex=True, sharey=True)
    for (i, mean), (j, std) in product(enumerate(means), enumerate(stds)):
        ax = panels[i, j]
        for name in data["method"].values.tolist():
            one = data.sel({"mean": mean, "std": std, "method": name})
            ax.plot(data["epoch"], one["accuracy"], "-o", markersize=3, color=_LOOKS[name], label=name)
            ax.axhline(float(one["published"]), color=_LOOKS[name], linestyle="--", linewidth=1)
        label(ax, f"reference error {mean:g} ± {std:g}", "epoch", "test accuracy (%)")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", title="line: simulated\ndashes: published")
    figure.supxlabel("One run per cell; published values are means of three.", fontsize=9, color=GREY)
    return figure
