"""How often should the chopper flip, so that the reference is neither biased nor deaf to the gradient?

Against the flip probability p of a telegraph chopper: the bias of the filtered reference Q on a linear
device, for three mean gradients; the three terms of the bias on a square-law device; the RMS error of Q for
four filter rates; and the signal that the mean gradient leaves on P, over P's own fluctuation. Lines are
closed forms of the linearised loop (dotted where its limit of validity is exceeded), points are simulated
(95 % intervals).

One sees: for rare flips P locks to one side of the symmetric point (dashed: limit p -> 0) and no filter
helps. The bias falls as 1/p down to a floor that the later pulses of each step leave. Each factor in p costs
as much signal: the gradient reaches W through a P that fluctuates ever more than it holds. Flip as rarely as
the bias allows.
"""  # noqa: D400

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.blocks import Chopper
from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    PowStep,
    Source,
    Spread,
    sample_cells,
)
from sptrack.evaluation.validity import LoopRuns
from sptrack.intervals import error_arms
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance, read_provenance
from sptrack.theory import GradientStatistics

MEANS, STD, SHOWN = (0.1, 0.3, 0.6), 1.0, 0.3
RATES = (0.0005, 0.002, 0.008, 0.03)
FLIPS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
TERMS = ("correlation", "multi_pulse", "curvature")
WEIGHT, ONE = {"units": "weight units"}, {"units": "1"}


def devices() -> tuple[tuple[Device, float], ...]:
    """Linear device with scales 1.3 and .7, square-law device with 1.6 and .4, each with its rate alpha."""
    noise = CycleNoise(std=0.3)
    linear = Device(
        spread=Spread(asymmetry=Asymmetry(mean=0.3)), cycle_noise=noise, source=Source(name="linear")
    )
    power = Device(
        response=PowStep(gamma_up=2.0, gamma_down=2.0),
        dw_min=0.004,
        spread=Spread(asymmetry=Asymmetry(mean=0.6)),
        cycle_noise=noise,
        source=Source(name="square law"),
    )
    return (linear, 0.01), (power, 0.03)


def open_loop(which: int, mean: float, p: float, seed: int) -> LoopRuns:
    """One of the devices under a gradient chopped with flip probability p."""
    device, alpha = devices()[which]
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    gradient = GradientStatistics(mean=mean, std=STD)
    return LoopRuns(cells=cells, alpha=alpha, gradient=gradient, chopper=Chopper(p=p), seed=seed)


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Predict over a fine grid of p, simulate at ten."""
    flips = np.array(FLIPS[3::3] if small else FLIPS)
    grid = np.geomspace(2e-4, 1.0, 30 if small else 120)
    runs, times = (64, 3) if small else (512, 20)
    arms = [(0, mean) for mean in MEANS] + [(1, SHOWN)]
    lines = np.array([[_predicted(open_loop(*arm, p, seed)) for p in grid] for arm in arms])
    points = np.array(
        [[_measured(open_loop(*arm, p, seed), runs, times, threads) for p in flips] for arm in arms]
    )
    slow = np.array([[open_loop(0, SHOWN, p, seed).loop.predict(eta, Chopper(p=p)).rms_q.item()
                      for p in grid] for eta in RATES])  # fmt: skip
    rates = RATES[2:] if small else RATES
    rms = np.array(
        [_rms(open_loop(0, SHOWN, p, seed), rates, runs // 2, times // 3 + 1, threads) for p in flips]
    )
    names = [*(f"bias_{term}" for term in TERMS), "signal_over_rms", "valid", "lock"]
    axes, units = ("arm", "p_line"), (WEIGHT, WEIGHT, WEIGHT, ONE, ONE, WEIGHT)
    texts = [f"{devices()[k][0].source.name}, mean gradient {mean:g}" for k, mean in arms]
    return dataset(
        {
            **{name: (axes, lines[..., k], units[k]) for k, name in enumerate(names)},
            "bias": (("arm", "p"), points[..., 0], WEIGHT),
            "bias_error": (("arm", "p"), points[..., 1], WEIGHT),
            "signal": (("arm", "p"), points[..., 2], ONE),
            "signal_error": (("arm", "p"), points[..., 3], ONE),
            "rms_q": (("eta", "p_line"), slow[-len(rates):], WEIGHT),
            "rms_q_simulated": (("eta", "p"), rms[:, 0].T, WEIGHT),
            "rms_q_error": (("eta", "p"), rms[:, 1].T, WEIGHT),
        },
        {
            "arm": ("arm", texts, {}),
            "p_line": ("p_line", grid, ONE),
            "p": ("p", flips, ONE),
            "eta": ("eta", list(rates), ONE),
        },
        provenance(seed=seed, parameters={"means": MEANS, "std": STD, "runs": runs, "times": times}),
    )  # fmt: skip


def _predicted(loop: LoopRuns) -> tuple[float, ...]:
    """Three bias terms, signal over rms of P, whether the prediction holds, and the bias for p -> 0."""
    found = loop.loop.predict(1.0, loop.chopper)
    terms = [getattr(found, f"bias_{term}").item() for term in TERMS]
    signal = abs(found.demodulated.item()) / np.sqrt(found.var_p.item())
    lock = (found.lock_up + found.lock_down).item() / 2
    return (*terms, signal, float(not found.warnings), lock)


def _measured(loop: LoopRuns, runs: int, times: int, threads: int | None) -> tuple[float, ...]:
    """Bias of P and signal over its rms, each with its standard error."""
    found = loop.settled([], runs=runs, times=times, mirrored=True, threads=threads)
    rms = np.sqrt(found.var_p.item())
    return (
        found.bias.item(),
        found.bias_error.item(),
        abs(found.demodulated.item()) / rms,
        found.demodulated_error.item() / rms,
    )


def _rms(loop: LoopRuns, rates: Any, runs: int, times: int, threads: int | None) -> np.ndarray:
    """RMS of Q around the symmetric point and its standard error [2, rates]."""
    found = loop.settled(rates, runs=runs, times=times, threads=threads)
    rms = np.sqrt(found.var_q[:, 0, 0] + found.bias.item() ** 2)
    return np.stack([rms, found.var_q_error[:, 0, 0] / (2 * rms)])


def plot(dataset: xr.Dataset) -> Figure:
    """Bias of two devices above; error of Q and signal on P below."""
    figure = new_figure(13.0, 10.0)
    panels = figure.subplots(2, 2).ravel()
    _bias(panels[0], dataset)
    _terms(panels[1], dataset.isel(arm=-1))
    _errors(panels[2], dataset)
    _signals(panels[3], dataset.isel(arm=slice(0, -1)))
    for ax in panels:
        ax.set_xscale("log")
        ax.legend(fontsize=8, ncols=2)
    p = "flip probability p"
    label(panels[0], "linear device: bias of Q", p, "-(E Q - w*) (weight units)")
    label(
        panels[1],
        f"square-law device, mean gradient {SHOWN:g}: terms of the bias",
        p,
        "E Q - w* (weight units)",
    )
    label(panels[2], f"linear device, mean gradient {SHOWN:g}: error of Q", p, "rms of Q - w* (weight units)")
    label(panels[3], "linear device: what P tells W of the gradient", p, "demodulated mean of P / rms of P")
    figure.suptitle("Rare flips bias the reference, frequent ones drown the gradient")
    return figure


def _line(ax: Axes, data: xr.Dataset, values: xr.DataArray, **style: Any) -> None:
    """Solid where the theory holds, dotted where it warns."""
    holds = data["valid"] > 0
    ax.plot(data["p_line"], values.where(holds), **style)
    ax.plot(data["p_line"], values.where(~holds), **{**style, "label": None, "linestyle": ":"})


def _dots(ax: Axes, data: xr.Dataset, names: tuple[str, str], sign: float = 1.0, **style: Any) -> None:
    value, error = names
    runs = read_provenance(data)["parameters"]["runs"]
    rms = value == "rms_q_simulated"
    arms = error_arms(
        sign * data[value], data[error], repeats=runs // 2 if rms else runs, positive=value != "bias"
    )
    ax.errorbar(data["p"], sign * data[value], arms, fmt="o", markersize=5, capsize=2, **style)


def _bias(ax: Axes, data: xr.Dataset) -> None:
    for k, mean in enumerate(MEANS):
        arm, colour = data.isel(arm=k), COLOURS[k]
        total = sum(arm[f"bias_{term}"] for term in TERMS)
        _line(ax, arm, -total, color=colour, label=f"mean {mean:g}, closed form")
        _dots(ax, arm, ("bias", "bias_error"), -1.0, color=colour, label=f"mean {mean:g}, simulated")
        limit = -(arm["lock"] + arm["bias_multi_pulse"])[0]
        ax.plot([2e-4, 6e-4], [limit, limit], color=colour, linestyle="--")
    arm = data.isel(arm=MEANS.index(SHOWN))
    ax.plot([], [], color=GREY, linestyle="--", label="limit p -> 0 (lock)")
    chopper = (-arm["bias_correlation"]).where(arm["bias_correlation"] < 0)
    ax.plot(arm["p_line"], chopper, color=GREY, linewidth=0.9, label=f"chopper term alone ({SHOWN:g})")
    ax.plot(arm["p_line"], -arm["bias_multi_pulse"], color=GREY, linewidth=0.9, linestyle="-.",
            label=f"multi-pulse term alone ({SHOWN:g})")  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(3e-4, 2.0)


def _terms(ax: Axes, arm: xr.Dataset) -> None:
    texts = ("chopper-state correlation", "multi-pulse update", "curvature")
    for k, (term, text) in enumerate(zip(TERMS, texts, strict=True)):
        _line(ax, arm, arm[f"bias_{term}"], color=COLOURS[k + 1], label=text)
    total = sum(arm[f"bias_{term}"] for term in TERMS)
    _line(ax, arm, total, color=COLOURS[0], linewidth=2, label="sum")
    _dots(ax, arm, ("bias", "bias_error"), color=COLOURS[0], label="simulated")
    ax.axhline(0, color=GREY, linewidth=0.8)


def _errors(ax: Axes, data: xr.Dataset) -> None:
    arm = data.isel(arm=MEANS.index(SHOWN))
    for k, eta in enumerate(data["eta"].values):
        one, colour = data.sel(eta=eta), COLOURS[k]
        _line(ax, one.assign(valid=arm["valid"]), one["rms_q"], color=colour, label=f"eta {eta:g}")
        _dots(ax, one, ("rms_q_simulated", "rms_q_error"), color=colour)
    ax.set_yscale("log")
    ax.set_ylim(0.01, 1.0)
    _how(ax)


def _signals(ax: Axes, data: xr.Dataset) -> None:
    for k, mean in enumerate(MEANS):
        arm, colour = data.isel(arm=k), COLOURS[k]
        _line(ax, arm, arm["signal_over_rms"], color=colour, label=f"mean {mean:g}")
        _dots(ax, arm, ("signal", "signal_error"), color=colour)
    ax.set_yscale("log")
    ax.set_ylim(0.003, 3.0)
    _how(ax)


def _how(ax: Axes) -> None:
    """Legend entries of points and dotted lines."""
    ax.errorbar([], [], [], fmt="o", markersize=5, capsize=2, color=GREY, label="simulated")
    ax.plot([], [], linestyle=":", color=GREY, label="beyond the limit of validity")
