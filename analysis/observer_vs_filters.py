"""When does an input-aware observer find weights and references with fewer pulses than a filter?

RIDER with three observers, and E-RIDER (chopper and EMA), on the default problem (64 coupled weights), for
read noise 0, .005 and .02 weight units. Each method has the same number of settings, drawn at random from
ranges around its hand-picked ones (alpha log-uniform over a factor of 60, so that all budgets of pulses are
met; beta, gamma, the filter's rate and the flip probability each within a factor of 4 of values that follow
alpha). Settings are chosen on two seeds, per budget of pulses; what is drawn is their error on others.

One sees: at every read noise and budget of pulses the best observer is below E-RIDER, in W by 3 to 40 times,
with a sixteenth to a hundredth of the reads and, its reference subtracted digitally, no programming. With
read noise the forms that know the response beforehand stay good at a third of a pulse a step, where the
regression has too little to learn slopes from; with two pulses a step it is the best in Q. What speaks for
E-RIDER is not in these axes: it wants to know neither the increments nor the device, and holds W on responses
that defeat the observers (see `observer_limits`). Below: reads and programming events of the settings chosen.
"""  # noqa: D400

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.plotting.style import COLOURS, label, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import METHODS, Method, ProblemSettings, with_settings
from sptrack.tracking.compare import compare

NOISES = (0.0, 0.005, 0.02)
BUDGETS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Pulses per cell and step up to which settings compete."""
TICKS = (0.3, 0.5, 1.0, 2.0, 4.0, 8.0)
FORMS = {
    "e-rider": "E-RIDER (chopper, EMA)",
    "observer": "O-RIDER, regression",
    "scalar-observer": "O-RIDER, known response",
    "predictor-observer": "O-RIDER, two accumulators",
}


def _setting(form: str, number: int, noise: float) -> Method:
    """Setting ``number`` of a form, drawn at random; the first is the hand-picked one."""
    rng = np.random.default_rng([number, sorted(FORMS).index(form)])
    u = rng.uniform(-1, 1, 4) if number else np.zeros(4)
    factor = 4.0**u
    if form == "e-rider":
        alpha = 0.05 if not number else float(np.exp(rng.uniform(np.log(0.0015), np.log(0.09))))
        name = f"{form} {number}"
        made = METHODS["e-rider"](
            alpha=alpha,
            beta=0.0025 * float(factor[0]),
            gamma=0.45 * float(factor[1]),
            eta=min(0.5, 0.005 * float(factor[2])),
            p=0.002 * float(factor[3]),
        )
        return with_settings(made, name=name)
    alpha = 0.015 if not number else float(np.exp(rng.uniform(np.log(0.0015), np.log(0.09))))
    every = 64 if not number else int(rng.choice([16, 32, 64, 128]))
    made = METHODS["o-rider"](
        alpha=alpha,
        beta=0.003 * float(factor[0]),
        gamma=0.45 * float(factor[1]),
        eta=2e-4 * float(factor[2]),
        every=every,
    )
    observing = {"weight": float(factor[3]) * 4, "drive": alpha * 0.16}
    return with_settings(made, name=f"{form} {number}", estimator=form, observing=observing)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Search on two seeds, score on others: 20000 steps, 24 settings a form, 6 seeds (``small``: 1000, 2, 2).

    Returns
    -------
    Dataset
        ``w``, ``q`` (errors of the setting that is best in W for its budget on the search seeds, on the
        others), ``w_ci``, ``q_ci`` (95 %), ``pulses``, ``reads``, ``programs`` (per cell and step) over
        ``noise``, ``form``, ``budget``; NaN where no setting keeps to a budget.
    """
    steps, count, seeds = (1000, 2, 2) if small else (20000, 24, 6)
    shape = (len(NOISES), len(FORMS), len(BUDGETS))
    out: dict[str, Any] = {name: np.full(shape, np.nan) for name in ("w", "q", "pulses", "reads", "programs")}
    out |= {f"{name}_ci": np.full((*shape, 2), np.nan) for name in ("w", "q")}
    common = {"steps": steps, "threads": threads}
    for a, noise in enumerate(NOISES):
        settings = ProblemSettings(read_noise=noise)
        for b, form in enumerate(FORMS):
            methods = [_setting(form, k, noise) for k in range(count)]
            found = compare(methods, settings=settings, seeds=2, seed=seed, **common)
            spent = _per_step(found, "pulses", steps, settings.size)
            best = [_best(found["w_tail"].values, spent, budget) for budget in BUDGETS]
            chosen = sorted({k for k in best if k is not None})
            if not chosen:
                continue
            scored = compare(
                [methods[k] for k in chosen], settings=settings, seeds=seeds, seed=seed + 100, **common
            )
            for c, k in enumerate(best):
                if k is not None:
                    _store(out, (a, b, c), scored.isel({"method": chosen.index(k)}), steps, settings.size)
    return _dataset(out, seed, {"steps": steps, "settings": count, "seeds": seeds})


def _per_step(data: xr.Dataset, name: str, steps: int, size: int) -> np.ndarray:
    return np.asarray(data[name].isel(sample=-1).mean("seed").values) / (steps * size)


def _best(errors: np.ndarray, spent: np.ndarray, budget: float) -> int | None:
    allowed = np.where((spent <= budget) & np.isfinite(errors), errors, np.inf)
    return int(allowed.argmin()) if np.isfinite(allowed).any() else None


def _store(out: dict[str, Any], place: tuple[int, ...], one: xr.Dataset, steps: int, size: int) -> None:
    for name in ("w", "q"):
        out[name][place] = float(one[f"{name}_tail"])
        out[f"{name}_ci"][place] = one[f"{name}_tail_ci"].values
    for name in ("pulses", "reads", "programs"):
        out[name][place] = float(_per_step(one, name, steps, size))


def _dataset(out: dict[str, Any], seed: int, amount: dict[str, int]) -> xr.Dataset:
    axes = ("noise", "form", "budget")
    units = dict.fromkeys(("pulses", "reads", "programs"), "1/step")
    variables = {
        name: (
            (*axes, "end") if name.endswith("_ci") else axes,
            values,
            {"units": units.get(name, "weight units squared")},
        )
        for name, values in out.items()
    }
    coordinates = {
        "noise": (("noise",), list(NOISES), {"units": "weight units"}),
        "form": (("form",), list(FORMS), {}),
        "budget": (("budget",), list(BUDGETS), {"units": "pulses/step"}),
    }
    return dataset(variables, coordinates, provenance(seed=seed, parameters=amount))


def plot(data: xr.Dataset) -> Figure:
    """Errors of W and Q against pulses, a column per read noise; below, reads and programming events."""
    figure = new_figure(13.0, 10.0)
    panels = figure.subplots(3, len(NOISES), sharex=True, sharey="row")
    for column, noise in enumerate(data["noise"].values.tolist()):
        for row, name in enumerate(("w", "q")):
            ax = panels[row, column]
            for k, form in enumerate(data["form"].values.tolist()):
                one = data.sel(noise=noise, form=form)
                value = one[name].values
                bars = np.nan_to_num(np.abs(one[f"{name}_ci"].values.T - value))
                ax.errorbar(
                    one["pulses"], value, bars, fmt="o-", color=COLOURS[k], capsize=3, label=FORMS[form]
                )
            ax.set(xscale="log", yscale="log")
            title = f"{'Weights W' if name == 'w' else 'Reference Q'}, read noise {noise:g}"
            unit = "mean squared error (weight units²)" if column == 0 else ""
            label(ax, title, "", unit)
        _cost(panels[2, column], data.sel(noise=noise), first=column == 0)
    for ax in panels[-1]:
        ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        ax.minorticks_off()
    panels[0, 0].legend(fontsize=9)
    return figure


def _cost(ax: Any, data: xr.Dataset, *, first: bool) -> None:
    for k, form in enumerate(data["form"].values.tolist()):
        one = data.sel(form=form)
        ax.plot(one["pulses"], one["reads"], "o-", color=COLOURS[k], label="reads" if k == 0 else None)
        if (one["programs"].fillna(0) > 0).any():
            ax.plot(one["pulses"], one["programs"], "s:", color=COLOURS[k], label="programming")
    ax.set(xscale="log", yscale="log")
    if first:
        ax.legend(fontsize=9)
    unit = "per cell and step" if first else ""
    label(ax, "Reads (round), programming events (square)", "pulses per cell and step", unit)
