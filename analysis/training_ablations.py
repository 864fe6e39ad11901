"""Which part of an algorithm learns: W, the residual pass, the reference or the digital parameters?

A cell of `published_tables`, the fully connected net on MNIST with reads of P off by 0.4 +- 0.05 weight units
and the printed settings, by E-RIDER and AGAD, whole and with one part taken away: the residual pass (gamma
0), the digital parameters (biases and output scalars stay as they start), W (never pulsed), the reference
(0), or with the true symmetric points as the reference. A score is the mean test accuracy of the last ten of
40 epochs. The whole runs are those of the table; states of the others are kept in ``runs/training_ablations``
of the working folder, finished runs of the stored figure are not made again, and SPTRACK_HOURS ends a
sitting.

One run each, whose last ten epochs differ by less than two points (E-RIDER with W frozen by three, AGAD with
digital parts frozen by four). E-RIDER comes to 96.1 %. With W frozen it is at 82.4: that much is the residual
pass, with biases and scalars. Without the residual pass it is at 95.9, and only starts later (12.9 % after
two epochs, 83.2 whole): at the end it is W that has learned. Digital parts frozen cost 3.8 points. The
tracked reference is worth nothing at the end here: with 0, though reads are off by 0.4, it is at 95.7, with
the true points at 96.2, both behind in the first ten epochs. What makes up for the offset is the chopper,
which turns the sign of what goes to W: with reference 0 and no chopper the run diverges
(`chopper_probability`).

AGAD comes to 93.0 %, with W frozen to 76.3, with digital parts frozen to 62.4 (five epochs on the plateau on
which the net starts). With the true points it ends 4.5 points lower, at 88.5, as with 0 (88.6). Its reference
is no estimate of them: a cell has four states, and with digital parts frozen the mean of a period is 0.5 to
0.6 weight units rms off. But W's four tiles get 2448, 2532, 24 and 2 pulses with the true points, and 9751,
10617, 936 and 18 with the tracked reference. That fits a threshold which the transfer of a true difference
seldom reaches, and which the error of the reference takes, as a dither; it is not shown.
"""  # noqa: D400

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._training import course, mnist_folder, of_same_setting, sitting_ends
from analysis.published_tables import stored_cell
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
from sptrack.results import dataset, load, provenance, read_provenance

METHODS = ("e-rider", "agad")
VARIANTS = (
    "whole",
    "no residual pass",
    "digital parts frozen",
    "W frozen",
    "reference 0",
    "true reference",
)
NET = "fcn"
EPOCHS, SCORED = 40, 10
MEAN, STD = 0.4, 0.05
RUNS = Path("runs") / "training_ablations"
STORED = Path(__file__).parents[1] / "figures" / "training_ablations.nc"
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
"""Points of accuracy between the whole and a run without a part, from which on the part is needed."""


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Train every variant (``small``: for one epoch on scikit-learn's digits).

    Returns
    -------
    Dataset
        Over ``method``, ``variant`` and ``epoch``: test ``accuracy`` (percent) and ``pulses`` so far, NaN of
        a run that is not finished, of a variant that the method does not have (AGAD has no residual pass),
        and from the epoch on in which a loss ran off to infinity. Over the first two: ``score``, the mean
        accuracy of the last ten epochs, and ``diverged``, whether the loss ran off.
    """
    from sptrack.nn.data import load_images

    if small:
        with tempfile.TemporaryDirectory() as folder:
            return _table(load_images("digits"), Path(folder), epochs=1, seed=seed, known={})
    images = load_images(str(mnist_folder()))
    stored = load(STORED) if STORED.exists() else None
    known = _whole(seed) | _finished(of_same_setting(stored, _told(images, EPOCHS, seed)))
    return _table(images, RUNS, epochs=EPOCHS, seed=seed, known=known)


def _told(images, epochs: int, seed: int) -> dict[str, object]:  # type: ignore[no-untyped-def]
    asked = {"images": list(images.train.shape), "net": NET, "mean": MEAN, "std": STD, "epochs": epochs}
    return provenance(seed=seed, parameters=asked)


def _whole(seed: int) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Courses of the whole methods in the stored table, by method and variant."""
    cell = stored_cell(NET, MEAN, STD, METHODS)
    if read_provenance(cell)["seed"] != seed:
        return {}
    return {
        (method, VARIANTS[0]): {key: cell[key].values[i] for key in ("accuracy", "pulses")}
        for i, method in enumerate(METHODS)
        if np.isfinite(cell["accuracy"].values[i, -1])
    }


def _finished(stored: xr.Dataset | None) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Courses of the stored figure that ended, but for the whole methods."""
    if stored is None:
        return {}
    return {
        (method, variant): {key: stored[key].values[i, j] for key in ("accuracy", "pulses")}
        for (i, method), (j, variant) in product(enumerate(METHODS), enumerate(VARIANTS))
        if variant != "whole" and (stored["diverged"][i, j] or np.isfinite(stored["score"][i, j]))
    }


def _table(images, folder: Path, *, epochs: int, seed: int, known) -> xr.Dataset:  # type: ignore[no-untyped-def]
    """All runs; courses that are ``known`` are taken over."""
    folder.mkdir(parents=True, exist_ok=True)
    end, shape = sitting_ends(), (len(METHODS), len(VARIANTS))
    found = {key: np.full((*shape, epochs), np.nan) for key in ("accuracy", "pulses")}
    diverged = np.zeros(shape, bool)
    for (j, variant), (i, method) in product(enumerate(VARIANTS), enumerate(METHODS)):
        if method == "agad" and variant == "no residual pass":
            continue
        if (method, variant) in known:
            for key, values in found.items():
                values[i, j] = known[method, variant][key]
            diverged[i, j] = np.isnan(found["accuracy"][i, j, -1])
            continue
        state = folder / f"{method}-{variant.replace(' ', '_')}-{seed}.pt"
        made, diverged[i, j] = course(train_settings(method, variant, seed), images, epochs, state, end)
        if diverged[i, j] or len(made.history) >= epochs:
            for key, values in found.items():
                values[i, j, : len(made.history)] = [record[key] for record in made.history[:epochs]]
    over, percent = ("method", "variant"), {"units": "percent"}
    variables = {
        "accuracy": ((*over, "epoch"), found["accuracy"], percent),
        "pulses": ((*over, "epoch"), found["pulses"], {"units": "pulses"}),
        "score": (over, found["accuracy"][..., -SCORED:].mean(axis=-1), percent),
        "diverged": (over, diverged, {"units": "1"}),
    }
    coordinates = {
        "method": (("method",), list(METHODS), {}),
        "variant": (("variant",), list(VARIANTS), {}),
        "epoch": (("epoch",), np.arange(1, epochs + 1), {"units": "1"}),
    }
    return dataset(variables, coordinates, _told(images, epochs, seed))


def train_settings(method: str, variant: str, seed: int):  # type: ignore[no-untyped-def]
    """Settings of the run of a variant."""
    from sptrack.nn.training import TrainSettings, published_batch, published_device, published_settings

    whole, lr = published_settings(method, NET)
    changes = {
        "no residual pass": {"gamma": 0.0},
        "W frozen": {"frozen": True},
        "reference 0": {"reference": "zero"},
        "true reference": {"reference": "true"},
    }
    return TrainSettings(
        net=NET,
        settings=replace(whole, **changes.get(variant, {})),
        device=published_device(MEAN, STD),
        lr=lr,
        batch=published_batch(NET),
        digital=variant != "digital parts frozen",
        seed=seed,
    )


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Scores by variant and accuracy against epochs; a row a method."""
    figure = new_figure(7.2, 6.6)
    methods, variants = data["method"].values.tolist(), data["variant"].values.tolist()
    headline(figure, _finding(data), _setting(data))
    panels = figure.subplots(len(methods), 2, sharex="col", squeeze=False, width_ratios=[1, 1.1])
    for (scores, curves), method in zip(panels, methods, strict=True):
        ends = []
        for place, name in enumerate(variants):
            one = data.sel({"method": method, "variant": name})
            curve = one["accuracy"].values[np.isfinite(one["accuracy"].values)]
            if not curve.size:
                continue
            look = _LOOKS[name]
            curves.plot(
                data["epoch"][: curve.size], curve, look.line, color=look.colour, linewidth=_width(name)
            )
            told = name
            if one["diverged"]:
                told = f"{name} (diverged)"
                curves.plot(data["epoch"][curve.size - 1], curve[-1], "x", color=look.colour)
                scores.plot(curve[-1], place, "x", color=look.colour)
            else:
                late = curve[-SCORED:]
                scores.plot([late.min(), late.max()], [place, place], color=look.colour, linewidth=1)
                scores.plot(one["score"], place, look.marker, color=look.colour, markerfacecolor="white")
            ends.append((float(curve[-1]), told, text_colour(look.colour)))
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


def _setting(data: xr.Dataset) -> str:
    late = min(SCORED, data.sizes["epoch"])
    left = missing(data)
    waiting = f" Not finished: {'; '.join(left)}." if left else ""
    return (
        f"Fully connected net, reads of P off by {MEAN:g} ± {STD:g} weight units, one run each. Needed: the "
        f"run without it scores over {MARGIN:g} points less, or diverges (cross: accuracy before that). "
        f"Score: mean accuracy of the last {late} epochs, line: their range.{waiting}"
    )


def missing(data: xr.Dataset) -> list[str]:
    """Runs that are not finished, as "method, variant"."""
    return [
        f"{_NAMES[method]}, {variant}"
        for method in data["method"].values.tolist()
        for variant in data["variant"].values.tolist()
        if (method, variant) != ("agad", "no residual pass")
        and not bool(data["diverged"].sel({"method": method, "variant": variant}))
        and not np.isfinite(float(data["score"].sel({"method": method, "variant": variant})))
    ]


def _needs(data: xr.Dataset, method: str) -> list[str]:
    """Parts without which a run diverges, or scores less than the whole by the margin, with its score."""
    one = data.sel({"method": method})
    whole = float(one["score"].sel(variant=VARIANTS[0]))
    told = []
    for name, part in _PARTS.items():
        score = float(one["score"].sel(variant=name))
        if one["diverged"].sel(variant=name):
            told.append(f"{part} (diverges without)")
        elif score < whole - MARGIN:
            told.append(f"{part} ({score:.0f} % without)")
    return told


def _finding(data: xr.Dataset) -> str:
    clauses = []
    for method in data["method"].values.tolist():
        name = _NAMES[method]
        if any(one.startswith(f"{name}, ") for one in missing(data)):
            clauses.append(f"{name}: not all runs are finished")
            continue
        whole = float(data["score"].sel({"method": method, "variant": VARIANTS[0]}))
        needs = " and ".join(_needs(data, method)) or "none of the parts alone"
        clauses.append(f"{name} ({whole:.0f} %) needs {needs}")
    return "; ".join(clauses)
