"""Which estimate of a symmetric point keeps up when the point moves?

Soft-bounds cells whose response curves move by v at every step (steadily), or by a normal draw of std s (a
random walk), under an open-loop gradient. Followed by the filter of E-RIDER, a moving average of P at its
default rate and at the best one for the drift; by the observer of O-RIDER, which knows the increments, at its
default forgetting and at the best one; and by zero-shifting repeated with as many pulses per step as training
sends anyway, in the number per calibration that is best for the drift, from where training has left P.

Above: how old what an estimator says is. A filter waits for P to drift to its point, 1/(1 - a) steps, before
its own delay; an observer does not, its age is its memory. Below: the error of Q against the drift, at one
rate and, dashed, at the rate that balances noise and lag best. Lines of the observer hold the noise of pulses
alone, which it reaches within a factor.

What to use: the observer where increments are known and points move slowly (`tracking_rate` gives the rate to
leading order), its forgetting not above P's own rate 1 - a. Its estimate is P less the mean increment over
the slope of G, and a memory shorter than 1/(1 - a) steps, in which P hardly moves, does not show that slope:
the slopes used scatter, the small ones among them carry the estimate past the point, by P's own lag 1/(1 - a)
times the mean of (true slope/slope - 1). The lag at rates .02 and .05 (above) is therefore shorter than
the memory, or negative: the estimate runs ahead. With slopes kept from below the nominal one (`floor=1`) it
is that of the memory again, 76 and 41 steps instead of 4 and -68 on 64 cells. This costs scatter, not only
lag: the advice is the longer memory. Its estimates are limited to a share of the nominal range, which a
moving point can leave: `ObserverSettings(limit=...)` is raised here. A filter as fast as the drift asks for
is never best. Zero-shifting again, with as many pulses as training has, is best where points move fast and
training can wait. E-RIDER's copy of Q is older than Q by another 1/p steps.
"""  # noqa: D400

from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from analysis._cells import each
from sptrack.blocks import Boxcar, Chopper
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells, Drift, sample_cells
from sptrack.intervals import positive_interval, student_interval
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
    show_outside,
)
from sptrack.results import dataset, provenance
from sptrack.theory import (
    GradientStatistics,
    Loop,
    linearise,
    moving_gain,
    observer_density,
    observer_gain,
    recalibration_within,
)
from sptrack.tracking import Method, Tracker, method, with_settings
from sptrack.tracking.problems import default_device, open_loop

Array = NDArray[Any]

ALPHA, MEAN, STD, FLIPS = 0.02, 0.03, 0.3, 0.05
EVERY = 16
"""Steps between reads of the observer."""
DEFAULTS = {"filter": 0.005, "observer": 0.0002}
FASTEST, SLOWEST = 0.2, 2e-4
"""Limits of the rates that are chosen for a drift."""
LIMIT = 10.0
"""Estimates of the observer stay within so many times the nominal bounds: points leave them."""
LOOKS = {
    "filter": ("moving average of P", BLUE, "o"),
    "boxcar": ("boxcar of the same delay", PURPLE, "D"),
    "observer": ("observer", VERMILLION, "^"),
    "zero-shifting": ("zero-shifting again", GREEN, "s"),
}
KINDS = {"steady": "per_step", "walk": "walk"}


class _Amount(NamedTuple):
    """Cells, steps scored, memories waited for before, rounds of zero-shifting; rates and drifts."""

    cells: int
    scored: int
    memories: float
    rounds: int
    rates: tuple[float, ...]
    drifts: dict[str, tuple[float, ...]]


_FULL = _Amount(
    256,
    4000,
    5.0,
    6,
    (0.05, 0.02, 0.01, 0.005, 0.002),
    {"steady": (1e-7, 1e-6, 1e-5, 1e-4, 1e-3), "walk": (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)},
)
_SMALL = _Amount(64, 500, 1.0, 2, (0.05, 0.01), {"steady": (1e-5, 1e-3), "walk": (1e-4, 1e-3)})


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Run every estimator at every drift on 256 cells (``small``: 64, fewer drifts).

    Returns
    -------
    Dataset
        ``lag``, ``lag_ci``, ``lag_theory`` (steps) over ``estimator`` and ``rate``; by kind of drift (KIND is
        steady or walk) ``KIND_rms``, ``KIND_ci`` over ``follower``, ``setting`` (default, best) and
        ``KIND_drift``; ``KIND_theory`` over ``KIND_line``; ``fluctuation`` of P, its ``own_rate`` 1 - a and
        ``pulses`` per step.
    """
    amount = _SMALL if small else _FULL
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {
        "estimator": (("estimator",), ["filter", "boxcar", "observer"], {}),
        "rate": (("rate",), list(amount.rates), {"units": "1/step"}),
        "follower": (("follower",), ["filter", "observer", "zero-shifting"], {}),
        "setting": (("setting",), ["default", "best"], {}),
    }
    variables |= _lags(amount, seed, threads)
    for kind, drifts in amount.drifts.items():
        line = np.geomspace(0.3 * drifts[0], 3 * drifts[-1], 60 if not small else 12)
        units = {"units": "weight units"}
        coordinates[f"{kind}_drift"] = ((f"{kind}_drift",), list(drifts), {"units": "weight units/step"})
        coordinates[f"{kind}_line"] = ((f"{kind}_line",), line, {"units": "weight units/step"})
        theory = np.array([_theory(kind, float(size), amount, seed) for size in line])
        dims = ("follower", "setting", f"{kind}_line")
        variables[f"{kind}_theory"] = (dims, np.moveaxis(theory, 0, -1), units)
        points = [(kind, size) for size in drifts]
        made = np.array(each(_measured, points, amount=amount, seed=seed, threads=threads))
        dims = ("follower", "setting", f"{kind}_drift")
        variables[f"{kind}_rms"] = (dims, np.moveaxis(made[..., 0], 0, -1), units)
        variables[f"{kind}_ci"] = ((*dims, "end"), np.moveaxis(made[..., 1:], 0, -2), units)
    variables["fluctuation"] = (
        (),
        float(_fluctuation(_loop(_cells(amount, seed)))),
        {"units": "weight units"},
    )
    own = np.mean(1 - _loop(_cells(amount, seed)).pole)
    variables["own_rate"] = ((), float(own), {"units": "1/step"})
    variables["pulses"] = ((), float(_loop(_cells(amount, seed)).pulses.mean()), {"units": "pulses/step"})
    parameters = {"alpha": ALPHA, "gradient": (MEAN, STD), "flips": FLIPS, "amount": amount}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=parameters))


def _cells(amount: _Amount, seed: int, **drift: float) -> Cells:
    device = replace(default_device(), drift=Drift(**drift) if drift else None)
    return sample_cells(device, (1, amount.cells), seed=seed)


def _loop(cells: Cells) -> Loop:
    return linearise(cells, alpha=ALPHA, gradient=GradientStatistics(mean=MEAN, std=STD))


def _fluctuation(loop: Loop) -> Any:
    """RMS of P around its point over the cells, weight units."""
    return np.sqrt(np.mean(loop.predict(1.0, Chopper(p=FLIPS)).rms_p ** 2))


def _method(estimator: str, rate: float) -> Method:
    if estimator == "observer":
        chosen = method("o-rider", alpha=ALPHA, beta=0.0, gamma=0.0, eta=rate, every=EVERY, p=FLIPS)
        return with_settings(chosen, estimator="observer", observing={"limit": LIMIT})
    chosen = method("e-rider", alpha=ALPHA, beta=0.0, gamma=0.0, eta=rate, p=FLIPS)
    return with_settings(chosen, estimator="boxcar" if estimator == "boxcar" else "ema")


def _errors(cells: Cells, chosen: Method, amount: _Amount, seed: int, threads: int | None) -> Array:
    """Q - w* [steps, cells] once settled."""
    tracker = Tracker(open_loop(cells, mean=MEAN, std=STD), chosen, seed=seed, threads=threads)
    tracker.run(EVERY * round((amount.memories / chosen.eta + 1000) / EVERY), samples=1)
    recording = tracker.record(amount.scored)
    return np.asarray(recording.q - recording.target, np.float64)


def _lags(amount: _Amount, seed: int, threads: int | None) -> dict[str, Any]:
    """Lag over velocity: the mean difference of runs with and without drift, with common random numbers."""
    names = ("filter", "boxcar", "observer")
    poles = _loop(_cells(amount, seed)).pole.ravel()
    points = list(product(names, amount.rates))
    found = np.array(each(_lag, points, amount=amount, seed=seed, threads=threads))
    measured = found.reshape(len(names), len(amount.rates), 3)
    theory = np.empty(measured.shape[:2])
    for i, name in enumerate(names):
        for j, rate in enumerate(amount.rates):
            gain = {
                "filter": lambda rate=rate: moving_gain(poles, rate),
                "boxcar": lambda rate=rate: moving_gain(poles, Boxcar(length=round(2 / rate) - 1)),
                "observer": lambda rate=rate: observer_gain(rate, every=EVERY),
            }[name]()
            theory[i, j] = np.mean(gain.lag)
    dims, steps = ("estimator", "rate"), {"units": "steps"}
    return {
        "lag": (dims, measured[..., 0], steps),
        "lag_ci": ((*dims, "end"), measured[..., 1:], steps),
        "lag_theory": (dims, theory, steps),
    }


def _lag(name: str, rate: float, *, amount: _Amount, seed: int, threads: int | None) -> list[float]:
    """Lag of an estimator over the cells, and the ends of its interval."""
    velocity = rate * (0.002 if name == "observer" else 0.01)
    still, moving = (
        _errors(_cells(amount, seed, **drift), _method(name, rate), amount, seed, threads).mean(axis=0)
        for drift in ({}, {"per_step": velocity})
    )
    lags = (still - moving) / velocity
    return [lags.mean(), *student_interval(lags)]


def _law(name: str, rate: float, kind: str, size: float, loop: Loop) -> float:
    """RMS error of a tracker by the laws, over the cells."""
    if name == "filter":
        settled, gain = loop.predict(rate, Chopper(p=FLIPS)), moving_gain(loop.pole, rate)
        bias, variance = settled.bias, settled.var_q
    else:
        gain = observer_gain(rate, every=EVERY)
        bias, variance = 0.0, rate / 2 * observer_density(loop)
    mean, spread = gain.error(**{"velocity" if kind == "steady" else "walk": size})
    return float(np.sqrt(np.mean((bias + mean) ** 2 + variance + spread)))


def _rates(kind: str, size: float, loop: Loop) -> dict[str, tuple[float, float]]:
    """Default and, of a grid, best rate of each tracker by its law; observers stay within 1 - a."""
    out = {}
    for name, fastest in (("filter", FASTEST), ("observer", float(np.mean(1 - loop.pole)))):
        grid = np.geomspace(SLOWEST, fastest, 25).tolist()
        out[name] = (
            DEFAULTS[name],
            grid[int(np.argmin([_law(name, rate, kind, size, loop) for rate in grid]))],
        )
    return out


def _theory(kind: str, size: float, amount: _Amount, seed: int) -> list[list[float]]:
    """RMS error [follower, setting] by the laws."""
    cells = _cells(amount, seed, **{KINDS[kind]: size})
    loop = _loop(cells)
    rows = [
        [_law(name, rate, kind, size, loop) for rate in rates]
        for name, rates in _rates(kind, size, loop).items()
    ]
    plan = recalibration_within(cells, float(loop.pulses.mean()), start=float(_fluctuation(loop)))
    return [*rows, [np.nan, plan.mean]]


def _measured(kind: str, size: float, *, amount: _Amount, seed: int, threads: int | None) -> list[list[Any]]:
    """RMS error and its interval [follower, setting, 3] by simulation."""
    cells = _cells(amount, seed, **{KINDS[kind]: size})
    rows: list[list[Any]] = []
    for name, rates in _rates(kind, size, _loop(cells)).items():
        squares = [
            np.mean(_errors(cells, _method(name, rate), amount, seed, threads) ** 2, axis=0) for rate in rates
        ]
        rows.append([_rms(one) for one in squares])
    return [*rows, [[np.nan] * 3, _rms(_repeated(cells, amount, seed))]]


def _rms(squares: Array) -> list[float]:
    return np.sqrt([squares.mean(), *positive_interval(squares)]).tolist()


def _repeated(cells: Cells, amount: _Amount, seed: int) -> Array:
    """Mean square error [cells] of zero-shifting repeated as planned, over the intervals."""
    loop = _loop(cells)
    start = float(_fluctuation(loop))
    plan = recalibration_within(cells, float(loop.pulses.mean()), start=start)
    array, rng = Crossbar(cells, seed=seed, threads=1), np.random.default_rng(seed)
    parts = np.diff(np.rint(np.linspace(0, plan.interval, 9)).astype(int))
    squares = []
    for _ in range(amount.rounds):
        array.set_weights(array.symmetric_point + start * rng.standard_normal(cells.shape))
        array.pulse("alternating", plan.pulses)
        estimate, ages = array.weights, []
        for part in parts:
            array.rest(int(part) // 2)
            ages.append((estimate - array.symmetric_point) ** 2)
            array.rest(int(part) - int(part) // 2)
        squares.append(np.mean(ages, axis=0))
    return np.mean(squares, axis=0).ravel()


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Lag against the rate of the estimator, and error against the drift."""
    figure = new_figure(7.2, 8.4)
    headline(
        figure,
        "The observer follows slow symmetric points best, repeated zero-shifting fast ones; a fast "
        "observer runs "
        "ahead of the point",
        "Lines: theory, open markers: simulated, 95 %. Below: solid, default rate; dashed, best rate "
        "for the drift.",
    )
    axes = figure.subplot_mosaic([["lag", "lag"], ["steady", "walk"]], height_ratios=(0.85, 1.0))
    _plot_lag(axes["lag"], data)
    _plot_error(axes["steady"], data, "steady", "Steady drift", "v (weight units per step)")
    _plot_error(axes["walk"], data, "walk", "Random walk", "std of a step (weight units)")
    axes["walk"].set_yticklabels([])
    axes["steady"].set_ylabel("RMS error of Q (weight units)")
    ends = []
    for name in data["follower"].values.tolist():
        text, colour, _ = LOOKS[name]
        for setting, more in (("default", f",\nrate {DEFAULTS.get(name, 0):g}"), ("best", ",\nbest rate")):
            last = float(data["walk_theory"].sel(follower=name, setting=setting)[-1])
            own = text.replace("moving average of P", "average of P").replace(
                "zero-shifting again", "zero-shifting"
            )
            ends.append((last, own + ("" if name == "zero-shifting" else more), colour))
    label_ends(axes["walk"], ends, size=9.0)
    return figure


def _plot_lag(ax: Axes, data: xr.Dataset) -> None:
    ends = []
    for name in data["estimator"].values.tolist():
        text, colour, marker = LOOKS[name]
        one = data.sel(estimator=name)
        line, size = (":", 11) if name == "boxcar" else ("-", 6)
        ax.plot(one["rate"], one["lag_theory"], line, color=colour)
        reach = np.abs(one["lag_ci"].values - one["lag"].values[:, None]).T
        ax.errorbar(
            one["rate"], one["lag"], reach, fmt=marker, markersize=size, color=colour,
            markerfacecolor="none" if name == "boxcar" else "white", capsize=3,
        )  # fmt: skip
        ends.append((float(one["lag_theory"][int(np.argmax(one["rate"].values))]), text, colour))
    own = float(data["own_rate"])
    ax.axvline(own, color=GREY, linewidth=1, linestyle=":")
    note = " P's own rate 1 - a: an observer with a\n shorter memory does not see the slope"
    ax.annotate(note, (own, 0.04), xycoords=ax.get_xaxis_transform(), fontsize=9.5, color=GREY)
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    ax.set(xscale="log", xlim=(1.7e-3, 0.06))
    ax.set_yscale("symlog", linthresh=30, linscale=0.6)
    lowest = min(0.0, float(np.nanmin(data["lag_ci"])))
    ax.set_ylim(1.5 * lowest - 20, 1.8 * float(data["lag_ci"].max()))
    shown = (-100, -30, 0, 30, 100, 300, 1000)
    for axis, places in ((ax.yaxis, shown), (ax.xaxis, (0.002, 0.005, 0.01, 0.02, 0.05))):
        axis.set_major_locator(FixedLocator(places))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    rate = "rate of the filter, fraction forgotten per step by the observer"
    label(
        ax, "Age of an estimate: lag behind a moving point over its velocity", rate, "lag / velocity (steps)"
    )
    label_ends(ax, ends)


def _plot_error(ax: Axes, data: xr.Dataset, kind: str, title: str, x: str) -> None:
    drift = data[f"{kind}_drift"].values
    log_scale(ax, "x", most=4)
    log_scale(ax, "y")
    ax.set(ylim=(5e-4, 5), xlim=(0.6 * drift[0], 1.7 * drift[-1]))
    for name in data["follower"].values.tolist():
        _, colour, marker = LOOKS[name]
        for setting, line in (("default", "-"), ("best", "--")):
            if name == "zero-shifting" and setting == "default":
                continue
            one = data.sel(follower=name, setting=setting)
            ax.plot(one[f"{kind}_line"], one[f"{kind}_theory"], line, color=colour)
            value = one[f"{kind}_rms"].values
            reach = np.abs(one[f"{kind}_ci"].values - value[:, None]).T
            ax.errorbar(drift, value, reach, fmt=marker, color=colour, markerfacecolor="white", capsize=2)
            show_outside(ax, drift, value, colour)
    level = float(data["fluctuation"])
    ax.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
    if kind == "walk":
        ax.annotate("RMS of P at rest", (0.02, level * 1.12), xycoords=ax.get_yaxis_transform(),
                    fontsize=9, color=GREY)  # fmt: skip
    label(ax, title, x, "")
