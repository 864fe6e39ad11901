"""Which part of an algorithm learns: W, the residual pass, the reference or the digital parameters?

A fully connected net is trained on scikit-learn's digits by E-RIDER and AGAD, whole and with one part taken
away: the residual pass (gamma 0), the digital parameters (biases and output scalars stay as they start), W
(never pulsed), the reference (0, though reads of P are off by 0.4 +- 0.05 weight units), or with the true
symmetric points as the reference. Arrays of the HfO2 preset (4 states); settings as printed for the fully
connected net but for two: the learning rate is 0.2 and W gets a pulse for 0.03 of the transferred weight,
since an epoch has 144 mini-batches here, 6000 on MNIST. A score is the mean test accuracy of the last ten of
40 epochs; states are kept in ``runs/training_ablations`` of the working folder.

Means of two runs, so that only large differences count: E-RIDER 84 %, of which it loses 14 points without
the reference or with digital parts frozen; W frozen (82) and no residual pass (84) are not told apart from
the whole, though without the residual pass it starts to learn six epochs later. AGAD 90 %, but 9 and 59 with
W frozen: W is what learns. The true reference (86 and 92) is not told apart from the tracked one.
"""  # noqa: D400

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import trained
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance

METHODS = ("e-rider", "agad")
VARIANTS = (
    "whole",
    "no residual pass",
    "digital parts frozen",
    "W frozen",
    "reference 0",
    "true reference",
)
EPOCHS, SCORED, SEEDS, BATCH = 40, 10, 2, 10
LR, AUTO_GRANULARITY = 0.2, 30.0
MEAN, STD = 0.4, 0.05
RUNS = Path("runs") / "training_ablations"
_NAMES = {"e-rider": "E-RIDER", "agad": "AGAD"}
_LOOKS = {name: (COLOURS[k], 2.4 if k == 0 else 1.3) for k, name in enumerate(VARIANTS)}


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train every variant (``small``: one seed for two epochs in batches of 50).

    Returns
    -------
    Dataset
        Over ``method``, ``variant``, ``seed`` and ``epoch``: test ``accuracy``, percent, NaN for a variant
        that the method does not have (AGAD has no residual pass). Over the first three: ``score``, the mean
        accuracy of the last ten epochs, and ``w_pulses`` and ``p_pulses``, pulses on W and on P.
    """
    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(Path(folder), epochs=2, seeds=1, batch=50, seed=seed)
    return _table(RUNS, epochs=EPOCHS, seeds=SEEDS, batch=BATCH, seed=seed)


def _table(folder: Path, *, epochs: int, seeds: int, batch: int, seed: int) -> xr.Dataset:
    from sptrack.nn.data import load_images
    from sptrack.nn.training import TrainSettings, published_device

    folder.mkdir(parents=True, exist_ok=True)
    images, device = load_images("digits"), published_device(MEAN, STD)
    shape = (len(METHODS), len(VARIANTS), seeds)
    accuracy = np.full((*shape, epochs), np.nan)
    on_w, on_p = np.full(shape, np.nan), np.full(shape, np.nan)
    for k, (i, method), (j, variant) in product(range(seeds), enumerate(METHODS), enumerate(VARIANTS)):
        if method == "agad" and variant == "no residual pass":
            continue
        settings, digital = _settings(method, variant)
        one = TrainSettings(
            settings=settings,
            device=device,
            lr=LR,
            batch=batch,
            per_sample=True,
            digital=digital,
            seed=seed + k,
            device_seed=seed + k,
        )
        state = folder / f"{method}-{variant.replace(' ', '_')}-{seed + k}.pt"
        cell = trained(one, images, epochs, state)
        accuracy[i, j, k] = [record["accuracy"] for record in cell.history[:epochs]]
        tiles = [tile for layer in cell.layers for tile in layer.tiles]
        on_w[i, j, k] = sum(tile.main.pulses for tile in tiles)
        on_p[i, j, k] = sum(tile.fast.pulses for tile in tiles)
    over = ("method", "variant", "seed")
    variables = {
        "accuracy": ((*over, "epoch"), accuracy, {"units": "percent"}),
        "score": (over, accuracy[..., -SCORED:].mean(axis=-1), {"units": "percent"}),
        "w_pulses": (over, on_w, {"units": "pulses"}),
        "p_pulses": (over, on_p, {"units": "pulses"}),
    }
    coordinates = {
        "method": (("method",), list(METHODS), {}),
        "variant": (("variant",), list(VARIANTS), {}),
        "seed": (("seed",), np.arange(seed, seed + seeds), {"units": "1"}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    asked = {"lr": LR, "auto_granularity": AUTO_GRANULARITY, "mean": MEAN, "std": STD, "batch": batch}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def _settings(method: str, variant: str):  # type: ignore[no-untyped-def]
    """Settings of the tiles, and whether digital parameters learn."""
    from sptrack.tiles import algorithm

    whole = algorithm(method)
    whole = replace(whole, buffer=replace(whole.buffer, auto_granularity=AUTO_GRANULARITY))
    changes = {
        "no residual pass": {"gamma": 0.0},
        "W frozen": {"frozen": True},
        "reference 0": {"reference": "zero"},
        "true reference": {"reference": "true"},
    }
    return replace(whole, **changes.get(variant, {})), variant != "digital parts frozen"


def plot(data: xr.Dataset) -> Figure:
    """Accuracy against epochs by method: means over the seeds; dots: scores of the single runs."""
    figure = new_figure(11.0, 4.4)
    methods = data["method"].values.tolist()
    panels = figure.subplots(1, 2 * len(methods), width_ratios=[3, 1] * len(methods), sharey=True)
    for k, method in enumerate(methods):
        curves, dots = panels[2 * k], panels[2 * k + 1]
        for place, name in enumerate(data["variant"].values.tolist()):
            one = data.sel({"method": method, "variant": name})
            if not np.isfinite(one["accuracy"]).all():
                continue
            colour, width = _LOOKS[name]
            curves.plot(
                data["epoch"], one["accuracy"].mean("seed"), color=colour, linewidth=width, label=name
            )
            scores = one["score"].values
            dots.plot(np.full(len(scores), place), scores, "o", color=colour, markersize=4)
        score = data["score"].sel({"method": method, "variant": "whole"}).mean("seed")
        label(curves, f"{_NAMES[method]}: {float(score):.0f} % when whole", "epoch", "")
        label(dots, "", "run", "")
        dots.set_xticks([])
        dots.set_xlim(-0.8, len(data["variant"]) - 0.2)
    panels[0].set_ylabel("test accuracy (%)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", title="part taken away")
    runs = len(data["seed"])
    text = (
        f"Lines: mean of {runs} runs, each with cells of its own. Dots: mean of a run's last {SCORED} epochs."
    )
    figure.supxlabel(text, fontsize=9, color=GREY)
    return figure
