"""Does knowing the pulses help to find symmetric points while a net is trained?

A fully connected net is trained on scikit-learn's digits by E-RIDER, whose reference is a mean of reads over
a chopper period with a memory of a few periods; by O-RIDER, whose scalar observer is told how many pulses up
and down each cell was sent since its last read; by E-RIDER with a plain mean of all reads so far; and with
the true symmetric points. Residual form, settings and cells are the same for all: arrays of the HfO2 preset
(4 states), reads off by 0.4 +- 0.05 weight units. Settings are those printed for the fully connected net but
for two, as an epoch has 144 mini-batches here and 6000 on MNIST: the learning rate is 0.2, and W gets a pulse
for 0.03 of the transferred weight.

Knowledge of the pulses itself is worth little here: with 4 states a cell forgets its weight in about two
pulses, and is sent a hundred between two reads of its column. Each read is then a sample around the symmetric
point by itself, and the observer is a mean of all reads, weighed by what they are worth and with a prior. Its
reference errs by 0.23 weight units after 40 epochs, that of E-RIDER by 0.42 (RMS over all cells of P, also
those that are hardly pulsed). Accuracy does not follow: the gain is not resolved, and neither is that of the
true points, which leave no error at all. What limits these runs is not the reference's error. Settings were
tuned for neither method; one data set, four runs.
"""  # noqa: D400

from dataclasses import replace
from itertools import product

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.intervals import student_interval
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

REFERENCES = ("period mean", "observer", "mean of all reads", "true points")
EPOCHS, SCORED, SEEDS, BATCH = 40, 10, 4, 10
LR, AUTO_GRANULARITY = 0.2, 30.0
MEAN, STD = 0.4, 0.05
_LOOKS = {
    "period mean": Look(BLUE, "o"),
    "observer": Look(VERMILLION, "^"),
    "mean of all reads": Look(GREEN, "s"),
    "true points": Look(GREY, "P", "--"),
}


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train with every reference (``small``: one seed for two epochs in batches of 50).

    Returns
    -------
    Dataset
        Over ``reference``, ``seed`` and ``epoch``: test ``accuracy`` (percent), ``pulses`` so far, and
        ``error``, RMS over all cells of P of the reference minus the symmetric point as it is read, weight
        units. ``pulses_between``: pulses of a cell of P between two reads, mean over the first run's cells.
    """
    if small:
        return _table(epochs=2, seeds=1, batch=50, seed=seed)
    return _table(epochs=EPOCHS, seeds=SEEDS, batch=BATCH, seed=seed)


def _table(*, epochs: int, seeds: int, batch: int, seed: int) -> xr.Dataset:
    from sptrack.nn.config import one_thread
    from sptrack.nn.data import load_images
    from sptrack.nn.training import Trainer, TrainSettings, published_device

    images, device = load_images("digits"), published_device(MEAN, STD)
    found = {
        name: np.full((len(REFERENCES), seeds, epochs), np.nan) for name in ("accuracy", "pulses", "error")
    }
    between = np.nan
    for k, (i, reference) in product(range(seeds), enumerate(REFERENCES)):
        one = TrainSettings(
            settings=_settings(reference),
            device=device,
            lr=LR,
            batch=batch,
            per_sample=True,
            seed=seed + k,
            device_seed=seed + k,
        )
        run = Trainer(one, images)
        tiles = [tile for layer in run.layers for tile in layer.tiles]
        for epoch in range(epochs):
            with one_thread():
                run.run(epoch + 1)
            squares = np.concatenate([((t.reference - t.p_array.cells.target) ** 2).ravel() for t in tiles])
            found["error"][i, k, epoch] = np.sqrt(squares.mean())
            for name in ("accuracy", "pulses"):
                found[name][i, k, epoch] = run.history[epoch][name]
        if np.isnan(between):
            reads = sum(t.reads.sum() * t.shape[0] for t in tiles)
            between = sum(t.p_array.pulses for t in tiles) / reads
    over = ("reference", "seed", "epoch")
    units = {"accuracy": "percent", "pulses": "pulses", "error": "weight units"}
    variables = {name: (over, values, {"units": units[name]}) for name, values in found.items()}
    variables["pulses_between"] = ((), between, {"units": "pulses"})
    coordinates = {
        "reference": (("reference",), list(REFERENCES), {}),
        "seed": (("seed",), np.arange(seed, seed + seeds), {"units": "1"}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    asked = {"lr": LR, "auto_granularity": AUTO_GRANULARITY, "mean": MEAN, "std": STD, "batch": batch}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def _settings(reference: str):  # type: ignore[no-untyped-def]
    from sptrack.blocks import CorrectedEMA
    from sptrack.tiles import algorithm

    whole = algorithm("o-rider" if reference == "observer" else "e-rider")
    whole = replace(whole, buffer=replace(whole.buffer, auto_granularity=AUTO_GRANULARITY))
    others = {"true points": "true", "mean of all reads": CorrectedEMA(eta=1e-4)}
    return replace(whole, reference=others[reference]) if reference in others else whole


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Error of the reference and test accuracy against epochs, means of the runs and the runs."""
    figure = new_figure(7.2, 4.4)
    runs = len(data["seed"])
    headline(
        figure,
        _finding(data),
        f"Digits, 4 states, {float(data['pulses_between']):.0f} pulses of a cell of P between two reads. "
        f"Thick: geometric mean (errors) and mean (accuracy) of {runs} runs, thin: the runs, each with cells "
        f"of its own. Change of accuracy: mean of the last {SCORED} epochs.",
    )
    left, right = figure.subplots(1, 2)
    ends: tuple[list, list] = ([], [])
    for name in data["reference"].values.tolist():
        one, look = data.sel(reference=name), _LOOKS[name]
        for ax, values, mean, end in (
            (
                left,
                one["error"].values,
                np.exp(np.log(np.maximum(one["error"].values, 1e-9)).mean(0)),
                ends[0],
            ),
            (right, one["accuracy"].values, one["accuracy"].values.mean(0), ends[1]),
        ):
            if ax is left and not (values > 1e-6).all():
                continue
            ax.plot(data["epoch"], values.T, color=look.colour, linewidth=0.5, alpha=0.5)
            ax.plot(data["epoch"], mean, look.line, color=look.colour, linewidth=2.0)
            end.append((float(mean[-1]), name, text_colour(look.colour)))
    label(left, "Reference minus symmetric point", "epoch", "RMS error (weight units)")
    label(right, "Accuracy", "epoch", "test accuracy (%)")
    left.set_ylim(bottom=0.0)
    right.set_ylim(0, 100)
    for ax, end in zip((left, right), ends, strict=True):
        label_ends(ax, end, size=9.0)
    return figure


def _finding(data: xr.Dataset) -> str:
    error = data["error"].isel(epoch=-1)
    before, after = (float(np.exp(np.log(error.sel(reference=name)).mean())) for name in REFERENCES[:2])
    scores = data["accuracy"].isel(epoch=slice(-SCORED, None)).mean("epoch")
    gains = [_gain(scores, name) for name in (REFERENCES[1], REFERENCES[3])]
    return (
        f"O-RIDER's reference errs by {after:.2f}, E-RIDER's by {before:.2f}; accuracy changes by {gains[0]} "
        f"points, with the true points by {gains[1]}"
    )


def _gain(scores: xr.DataArray, reference: str) -> str:
    """Mean gain over the first reference, with its 95 % Student interval over the runs."""
    gain = (scores.sel(reference=reference) - scores.sel(reference=REFERENCES[0])).values
    if len(gain) < 2:
        return f"{gain.mean():+.1f}"
    low, high = student_interval(gain)
    return f"{gain.mean():+.1f} [{low:.1f}, {high:.1f}]"
