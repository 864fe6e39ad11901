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
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    PURPLE,
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
_PARTS = {
    "no residual pass": "the residual pass",
    "digital parts frozen": "digital parameters",
    "W frozen": "W",
    "reference 0": "the reference",
}
"""What each variant takes away."""
_LOOKS = {
    "whole": Look(BLUE, "o"),
    "no residual pass": Look(GREY, "v", ":"),
    "digital parts frozen": Look(GREEN, "s"),
    "W frozen": Look(PURPLE, "D"),
    "reference 0": Look(VERMILLION, "^"),
    "true reference": Look(LIGHT, "P", "--"),
}
MARGIN = 5.0
"""Points of accuracy between runs with a part and runs without it, from which on the part is needed."""


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
        on_w[i, j, k] = sum(tile.w_array.pulses for tile in tiles)
        on_p[i, j, k] = sum(tile.p_array.pulses for tile in tiles)
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


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Scores of the single runs by variant and accuracy against epochs; a row a method."""
    figure = new_figure(7.2, 6.6)
    methods, variants = data["method"].values.tolist(), data["variant"].values.tolist()
    runs = len(data["seed"])
    headline(
        figure,
        _finding(data),
        f"Needed: each of {runs} runs without it scores over {MARGIN:g} points less than each whole run. "
        f"Score: mean accuracy of the last {SCORED} epochs; every run has cells of its own. "
        "Curves: means of the runs.",
    )
    panels = figure.subplots(len(methods), 2, sharex="col", squeeze=False, width_ratios=[1, 1.1])
    for (scores, curves), method in zip(panels, methods, strict=True):
        ends = []
        for place, name in enumerate(variants):
            one = data.sel({"method": method, "variant": name})
            if not np.isfinite(one["accuracy"]).all():
                continue
            look = _LOOKS[name]
            scores.plot(
                one["score"], np.full(runs, place), look.marker, color=look.colour, markerfacecolor="white"
            )
            mean = one["accuracy"].mean("seed")
            curves.plot(data["epoch"], mean, look.line, color=look.colour, linewidth=_width(name))
            ends.append((float(mean[-1]), name, text_colour(look.colour)))
        label(scores, _NAMES[method], "", "")
        label(curves, "", "", "test accuracy (%)")
        scores.set_yticks(range(len(variants)), variants)
        scores.set_ylim(len(variants) - 0.5, -0.5)
        scores.set_xlim(0, 100)
        curves.set_ylim(0, 100)
        label_ends(curves, ends, size=9.0)
    panels[-1, 0].set_xlabel("score (%)")
    panels[-1, 1].set_xlabel("epoch")
    return figure


def _width(variant: str) -> float:
    return 2.2 if variant == VARIANTS[0] else 1.3


def _needs(data: xr.Dataset, method: str) -> list[str]:
    """Parts without which every run of a method scores less than every whole run, by the margin."""
    scores = data["score"].sel({"method": method})
    least = scores.sel(variant=VARIANTS[0]).min()
    return [_PARTS[name] for name in VARIANTS[1:-1] if bool(least - scores.sel(variant=name).max() > MARGIN)]


def _finding(data: xr.Dataset) -> str:
    clauses = []
    for method in data["method"].values.tolist():
        needs = _needs(data, method)
        clauses.append(f"{_NAMES[method]} needs {' and '.join(needs) or 'none of the parts alone'}")
    return "; ".join(clauses)
