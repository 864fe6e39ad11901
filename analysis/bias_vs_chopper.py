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
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
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


_LOOKS = (Look(BLUE, "o"), Look(VERMILLION, "^"), Look(GREEN, "s"), Look(PURPLE, "D"))
_PROBABILITY = "flip probability p"


@house_style()
def plot(dataset: xr.Dataset) -> Figure:
    """Bias of two devices above; error of Q and signal on P below."""
    figure = new_figure(7.2, 7.4)
    headline(
        figure,
        _finding(dataset),
        "Lines: closed forms, dotted beyond their limit of validity; open markers: simulated, 95 %. "
        f"Linear device except upper right. g: mean gradient, {SHOWN:g} at upper right and lower left.",
    )
    panels = figure.subplots(2, 2, sharex=True)
    linear = dataset.isel(arm=slice(0, -1))
    ends = [
        _biases(panels[0, 0], linear),
        _terms(panels[0, 1], dataset.isel(arm=-1)),
        _errors(panels[1, 0], dataset),
        _signals(panels[1, 1], linear),
    ]
    for ax in panels.ravel():
        log_scale(ax, "x", most=5)
    label(panels[0, 0], "Bias of Q", "", "SP - mean of Q (weight units)")
    label(panels[0, 1], "Square-law device: terms", "", "mean of Q - SP (weight units)")
    label(panels[1, 0], "RMS error of Q", _PROBABILITY, "RMS of Q - SP (weight units)")
    label(panels[1, 1], "Signal on P", _PROBABILITY, "mean of P, demodulated / RMS")
    for ax, texts in zip(panels.ravel(), ends, strict=True):
        label_ends(ax, texts, size=9.0)
    return figure


def _finding(data: xr.Dataset) -> str:
    """Factors by which bias and signal grow between two simulated flip probabilities."""
    arm = data.isel(arm=MEANS.index(SHOWN))
    flips = arm["p"].values.tolist()
    rare = min(flips[:-1], key=lambda p: abs(np.log(p / 0.01)))
    often = min((p for p in flips if p > rare), key=lambda p: abs(np.log(p / 0.1)))
    bias, signal = (
        abs(arm[name].sel(p=rare).item() / arm[name].sel(p=often).item()) for name in ("bias", "signal")
    )
    return (
        f"Flipping with p = {rare:g} instead of {often:g} multiplies the bias of the reference by {bias:.1f} "
        f"and the signal for the weights by {signal:.1f}"
    )


def _line(ax: Axes, data: xr.Dataset, values: xr.DataArray, colour: str, width: float = 1.8) -> None:
    """Solid where the theory holds, dotted where it warns."""
    holds = data["valid"] > 0
    ax.plot(data["p_line"], values.where(holds), color=colour, linewidth=width)
    ax.plot(data["p_line"], values.where(~holds), color=colour, linewidth=width, linestyle=":")


def _dots(ax: Axes, data: xr.Dataset, names: tuple[str, str], look: Look, sign: float = 1.0) -> None:
    value, error = names
    runs = read_provenance(data)["parameters"]["runs"]
    repeats = runs // 2 if value == "rms_q_simulated" else runs
    arms = error_arms(sign * data[value], data[error], repeats=repeats, positive=value != "bias")
    ax.errorbar(
        data["p"], sign * data[value], arms, fmt=look.marker, color=look.colour, markersize=4.5,
        markerfacecolor="white", capsize=2, elinewidth=1,
    )  # fmt: skip


def _biases(ax: Axes, data: xr.Dataset) -> list[tuple[float, str, str]]:
    ends = []
    log_scale(ax, "y")
    for look, mean, k in zip(_LOOKS, MEANS, range(len(MEANS)), strict=False):
        arm = data.isel(arm=k)
        total = -sum(arm[f"bias_{term}"] for term in TERMS)
        _line(ax, arm, total, look.colour)
        _dots(ax, arm, ("bias", "bias_error"), look, -1.0)
        limit = -(arm["lock"] + arm["bias_multi_pulse"])[0]
        ax.plot([2e-4, 6e-4], [limit, limit], color=look.colour, linestyle="--", linewidth=1.2)
        ends.append((float(total[-1]), f"g = {mean:g}", look.colour))
    floor = -data.isel(arm=MEANS.index(SHOWN))["bias_multi_pulse"]
    ax.plot(data["p_line"], floor, color=GREY, linewidth=1.0, linestyle="-.")
    ax.annotate(
        "floor: later pulses\nof each step", (2e-4, float(floor[0])), (0, -4), textcoords="offset points",
        va="top", fontsize=9, color=GREY,
    )  # fmt: skip
    ax.annotate(
        "dashes: limit p → 0", (0.98, 0.96), xycoords="axes fraction", ha="right", va="top", fontsize=9,
        color=GREY,
    )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(0.5 * low, 1.5 * high)
    return ends


def _terms(ax: Axes, arm: xr.Dataset) -> list[tuple[float, str, str]]:
    ends = []
    texts = ("correlation with\nthe chopper", "later pulses", "curvature")
    for look, term, text in zip(_LOOKS[1:], TERMS, texts, strict=True):
        _line(ax, arm, arm[f"bias_{term}"], look.colour, 1.2)
        ends.append((float(arm[f"bias_{term}"][-1]), text, look.colour))
    total = sum(arm[f"bias_{term}"] for term in TERMS)
    _line(ax, arm, total, BLUE, 2.2)
    _dots(ax, arm, ("bias", "bias_error"), _LOOKS[0])
    ax.axhline(0, color=GREY, linewidth=0.8)
    return [*ends, (float(total[-1]), "sum", BLUE)]


def _errors(ax: Axes, data: xr.Dataset) -> list[tuple[float, str, str]]:
    ends = []
    arm = data.isel(arm=MEANS.index(SHOWN))
    log_scale(ax, "y")
    for look, eta in zip(_LOOKS, data["eta"].values.tolist(), strict=False):
        one = data.sel(eta=eta)
        _line(ax, one.assign(valid=arm["valid"]), one["rms_q"], look.colour)
        _dots(ax, one, ("rms_q_simulated", "rms_q_error"), look)
        ends.append((float(one["rms_q"][-1]), f"eta {eta:g}", look.colour))
    return ends


def _signals(ax: Axes, data: xr.Dataset) -> list[tuple[float, str, str]]:
    ends = []
    log_scale(ax, "y")
    for look, mean, k in zip(_LOOKS, MEANS, range(len(MEANS)), strict=False):
        arm = data.isel(arm=k)
        _line(ax, arm, arm["signal_over_rms"], look.colour)
        _dots(ax, arm, ("signal", "signal_error"), look)
        ends.append((float(arm["signal_over_rms"][-1]), f"g = {mean:g}", look.colour))
    return ends
