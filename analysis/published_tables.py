"""How accurate do nets become on tracked arrays, beside the published tables?

MNIST on arrays of the HfO2 preset (4 states), by TT-v2, AGAD and E-RIDER with the published settings, for
means and stds of the error of the subtracted reference (weight units); fully connected net and LeNet-5.
Published: mean of three runs after 40 epochs (arXiv 2602.21321). A cell is one training run, whose state is
kept after every epoch in ``runs/published_tables`` of the working folder: interrupted, it goes on there;
finished cells, and those of the stored figure, are not run again. SPTRACK_HOURS=2 ends a sitting after two
hours, and 0 only draws what is there: a cell counts when its 40 epochs are done. Images are looked for in
SPTRACK_DATA/mnist, or in ``shared/data/mnist`` beside the checkout.

Where the error of the reference is large, it matters how weights are set. A cell whose reference is off by
1 cannot hold every weight that is asked of it: of arrays that start within their bounds, 41 % of the cells at
mean 0.4 and std 1 are read by more than 0.01 off, 0.54 rms over all. aihwkit 1.2.0 limits what is read
instead, so that W starts as asked and a cell jumps between its bounds at its first pulse; with std 1 the runs
start like that (`TileSettings.beyond_bounds`; 128 x 512 cells of it and of the simulator start alike). The
cells with std 0.05 start within their bounds, where 4 % (mean 0) and 12 % (mean 0.4) of the cells differ. By
E-RIDER LeNet-5 at 0.4 +- 1 ends at 89.8 % from the simulator's start; from the other it is at 11 % after ten
epochs: the output scalar of the last layer has gone from 1 to -0.05, and no gradient passes it. At std 1
the fully connected net of arrays within their bounds came to 94.6 and 95.7 % (means 0 and 0.4) by E-RIDER,
91.9 and 92.6 by AGAD, and 67 and 73 by TT-v2; from the simulator's start it comes nearer to what is published
in five of the six cells.

In the fully connected net, first epochs tell the methods apart, not the runs of one: a net of sigmoids starts
on a plateau. By AGAD it leaves it with W as it started, by its digital parameters, in an epoch that depends
on the seed: at mean 0 and std 0.05, seeds 0 and 1 give 32.9 and 54.0 % after five epochs, with at most 1.3
pulses on a thousand cells of W. By E-RIDER the residual pass is off it within the first epoch. By TT-v2 the
first layer's W has no part in it: with the printed rates a read a of P adds 0.01 lr a to the buffer and a
pulse is due at 0.37, so that the 613 reads of a column in 40 epochs (rate halved every 15) are worth 0.52 a
pulses at lr 0.05: what it learns are digital parameters. At mean 0.4 and std 0.05 its 40 epochs sent 3, 8,
397 and 182 pulses to the W of the four tiles and reached 73 %; AGAD's sent 9751, 10617, 936 and 18 and
reached 93 %. TT-v2's cells at mean 0 end 16 and 20 points below the published ones. That is not this code:
the simulator itself, with the same settings (mean 0, std 0.05, by `sptrack.interop`), is at 11, 12, 10, 14,
26, 45, 52, 57, 59, 62, 63 and 64 % after its first twelve epochs, where the run here is at 11, 11, 15, 18,
32, 48, 55, 61, 65, 66, 68 and 70. The learning rate of TT-v2 is not printed for this net, and it decides: at
0.5 instead of 0.05 it comes to 89.0 and 81.4 % at mean 0 (90.3 and 79.2 published), but at mean 0.4 to 36.2 %
with std 0.05, and with std 1 its loss runs off to infinity in epoch 8, while 0.05 gives the published figures
there or better. At 0 +- 0.05 the rates 0.05, 0.1, 0.2, 0.5 and 1 end at 74.6, 76.4, 82.5, 89.0 and 92.3 %.
These are test images and one run each: they show what the misses come from, and that no single one of these
rates gives all four published figures. In LeNet-5 its learning rate is printed (0.005), and it ends 2.0
points below at 0 +- 0.05, and 4.8 at 0.4 +- 1, where it is at 70.5 % after 18 epochs, 3.4 above, and loses
that before the rate falls in epoch 31. In that cell E-RIDER and AGAD, 0.7 points apart, are too near to be
ranked by a run each; elsewhere the order is E-RIDER, AGAD, TT-v2. Not here are the columns of the published
tables at std 0.2 and 0.4, and what the figure names.
"""  # noqa: D400

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import course, mnist_folder, of_same_setting, sitting_ends
from sptrack.plotting.style import headline, house_style, label, label_ends, look_of, new_figure
from sptrack.results import dataset, load, provenance

NETS = ("fcn", "lenet5")
METHODS = ("tt-v2", "agad", "e-rider")
MEANS, STDS = (0.0, 0.4), (0.05, 1.0)
EPOCHS = 40
FASTER = 0.5
"""Another learning rate for the fully connected net by TT-v2, where none is printed."""
FAR = 0.5
"""Std of the reference error, weight units, from which arrays start as the simulator sets weights."""
PUBLISHED = {
    "fcn": {
        (0.0, 0.05): (90.26, 92.59, 95.45),
        (0.0, 1.0): (79.20, 91.37, 93.86),
        (0.4, 0.05): (72.00, 92.55, 96.07),
        (0.4, 1.0): (57.79, 90.43, 95.14),
    },
    "lenet5": {
        (0.0, 0.05): (75.19, 90.81, 93.75),
        (0.0, 1.0): (66.96, 88.11, 89.02),
        (0.4, 0.05): (71.71, 89.63, 91.72),
        (0.4, 1.0): (67.08, 86.54, 88.02),
    },
}


class Table(NamedTuple):
    """Axes of the table, and the epochs of a cell."""

    nets: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    epochs: int


WHOLE = Table(NETS, MEANS, STDS, EPOCHS)
RUNS = Path("runs") / "published_tables"
STORED = Path(__file__).parents[1] / "figures" / "published_tables.nc"


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train all cells (``small``: one cell for one epoch on scikit-learn's digits).

    Returns
    -------
    Dataset
        Over ``net``, ``mean``, ``std``, ``method`` and ``epoch``: test ``accuracy`` (percent, NaN where not
        trained yet), ``loss`` and ``pulses`` so far. Over all but the epoch: ``published`` accuracy. Over
        ``mean``, ``std`` and ``epoch``: ``faster``, accuracy of the fully connected net by TT-v2 at the
        learning rate `FASTER`, NaN from the epoch on in which its loss ran off to infinity.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            small_table = Table(("fcn",), (0.0,), (0.05,), 1)
            return _trained(small_table, load_images("digits"), Path(folder), seed=seed)
    stored = load(STORED) if STORED.exists() else None
    return _trained(WHOLE, load_images(str(mnist_folder())), RUNS, seed=seed, stored=stored)


def _trained(table, images, folder, *, seed, stored=None):  # type: ignore[no-untyped-def]
    """Cells as a dataset; those that ``stored`` holds for the same seed and images come from it."""
    from sptrack.nn.training import TrainSettings, published_batch, published_device, published_settings

    folder.mkdir(parents=True, exist_ok=True)
    end = sitting_ends()

    def cell(net, mean, std, name, rate=None):  # type: ignore[no-untyped-def]
        """Records of the epochs of a run, empty until it is over; fewer than asked if its loss ran off."""
        settings, lr = published_settings(name, net)
        one = TrainSettings(
            net=net,
            settings=replace(settings, beyond_bounds=std >= FAR),
            device=published_device(mean, std),
            lr=lr if rate is None else rate,
            batch=published_batch(net),
            seed=seed,
        )
        told = name if rate is None else f"{name}-{rate:g}"
        state = folder / f"{net}-{mean:g}-{std:g}-{told}-{seed}.pt"
        made, lost = course(one, images, table.epochs, state, end)
        return made.history[: table.epochs] if lost or len(made.history) >= table.epochs else []

    axes = {"net": table.nets, "mean": table.means, "std": table.stds, "method": METHODS}
    shape = tuple(map(len, axes.values()))
    found = {key: np.full((*shape, table.epochs), np.nan) for key in ("accuracy", "loss", "pulses")}
    published = np.full(shape, np.nan)
    asked = {"images": list(images.train.shape), "epochs": table.epochs}
    told = provenance(seed=seed, parameters=asked)
    stored = of_same_setting(stored, told)
    if stored is not None and any(tuple(stored[name].values.tolist()) != axes[name] for name in axes):
        stored = None
    for place in np.ndindex(*shape):
        net, mean, std, name = (values[k] for values, k in zip(axes.values(), place, strict=True))
        published[place] = PUBLISHED[net][mean, std][place[-1]]
        if stored is not None and np.isfinite(stored["accuracy"].values[place]).any():
            for key, values in found.items():
                values[place] = stored[key].values[place]
            continue
        history = cell(net, mean, std, name)
        for key, values in found.items():
            values[place][: len(history)] = [record[key] for record in history]
    faster = np.full((len(table.means), len(table.stds), table.epochs), np.nan)
    for place in np.ndindex(*faster.shape[:2]):
        if stored is not None and np.isfinite(stored["faster"].values[place]).any():
            faster[place] = stored["faster"].values[place]
            continue
        mean, std = table.means[place[0]], table.stds[place[1]]
        history = cell("fcn", mean, std, "tt-v2", FASTER)
        faster[place][: len(history)] = [record["accuracy"] for record in history]
    units = {"accuracy": "percent", "loss": "nat", "pulses": "pulses"}
    over = (*axes, "epoch")
    variables = {key: (over, values, {"units": units[key]}) for key, values in found.items()}
    variables["faster"] = (("mean", "std", "epoch"), faster, {"units": "percent"})
    variables["published"] = (over[:-1], published, {"units": "percent"})
    coordinates = {
        key: ((key,), list(values), {"units": "weight units"} if key in ("mean", "std") else {})
        for key, values in axes.items()
    }
    coordinates["epoch"] = (("epoch",), np.arange(1, table.epochs + 1), {"units": "1"})
    return dataset(variables, coordinates, told)


def stored_cell(net: str, mean: float, std: float, methods: Sequence[str]) -> xr.Dataset:
    """Stored courses of ``methods`` in a cell, over ``method`` and ``epoch``; NaN where none is trained."""
    rows = [METHODS.index(name) for name in methods]
    return load(STORED).isel(net=NETS.index(net), method=rows).sel(mean=mean, std=std)


def missing(data: xr.Dataset) -> list[str]:
    """Cells of which a method is not trained, as "net, mean ± std"."""
    done = np.isfinite(data["accuracy"].values[..., -1]).all(axis=-1)
    axes = [data[name].values.tolist() for name in ("net", "mean", "std")]
    places = (tuple(values[k] for values, k in zip(axes, place, strict=True)) for place in np.argwhere(~done))
    return [f"{_NAMES[net]}, {mean:g} ± {std:g}" for net, mean, std in places]


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Accuracy against epochs, a panel for each net, mean and std with a finished cell; dashes: published."""
    done = np.isfinite(data["accuracy"].values[..., -1])
    places = [tuple(place) for place in np.argwhere(done.any(axis=-1))]
    figure = new_figure(7.2, 1.6 + 2.9 * max(1, -(-len(places) // 2)))
    left = missing(data)
    waiting = f" Not trained: {'; '.join(left)}." if left else ""
    headline(figure, _finding(data, done), f"{_SETTING}{waiting}")
    if not places:
        return figure
    columns = min(2, len(places))
    panels = figure.subplots(-(-len(places) // columns), columns, squeeze=False, sharex=True, sharey=True)
    for ax, place in zip(panels.flat, places, strict=False):
        ends = []
        panel = data.isel(dict(zip(("net", "mean", "std"), place, strict=True)))
        for k, name in enumerate(data["method"].values.tolist()):
            if not done[place][k]:
                continue
            look, one = look_of(name), panel.isel(method=k)
            ax.plot(data["epoch"], one["accuracy"], marker=look.marker, markersize=3, color=look.colour)
            ax.axhline(float(one["published"]), color=look.colour, linestyle="--", linewidth=1)
            ends.append((float(one["accuracy"][-1]), name, look.colour))
        course = panel["faster"].values[np.isfinite(panel["faster"].values)]
        if panel["net"] == "fcn" and course.size:
            colour = look_of("tt-v2").colour
            ax.plot(data["epoch"][: course.size], course, color=colour, linestyle=":")
            ends.append((float(course[-1]), f"tt-v2, lr {FASTER:g}", colour))
        net = _NAMES[str(panel["net"].values)]
        title = f"{net}, reference error {float(panel['mean']):g} ± {float(panel['std']):g}"
        label(ax, title, "epoch", "test accuracy (%)")
        ax.tick_params(labelbottom=True)
        label_ends(ax, ends)
    for ax in panels.flat[len(places) :]:
        ax.set_axis_off()
    return figure


_NAMES = {"fcn": "FCN", "lenet5": "LeNet-5"}
_SETTING = (
    "MNIST, one run per cell, errors of the reference in weight units. Lines: simulated; dashes: published "
    f"(3 runs); dots: TT-v2 at a learning rate of {FASTER:g}, not 0.05 (none is printed)."
)
_NEAR = 1.5
"""Points of accuracy by which a cell may lie below the published one."""


def _finding(data: xr.Dataset, done: np.ndarray) -> str:
    """How many of the cells that are done come near the published figures, and those that do not."""
    if not done.any():
        return "No cell is trained yet"
    missed = []
    for place in np.argwhere(done):
        one = data.isel(dict(zip(("net", "mean", "std", "method"), place, strict=True)))
        lack = float(one["published"] - one["accuracy"][-1])
        if lack > _NEAR:
            where = f"{one['net'].values}, {float(one['mean']):g} ± {float(one['std']):g}"
            missed.append(f"{str(one['method'].values).upper()} ({where}) by {lack:.1f}")
    count = int(done.sum())
    near = f"within {_NEAR:g} points of the published ones or above"
    told = f"{count - len(missed)} of {count} trained cells are {near}"
    return f"{told}; missed: {', '.join(missed)}" if missed else told
