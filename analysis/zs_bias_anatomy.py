"""What is left of the error when zero-shifting has settled: which bias, which noise, and by which pulse mode?

Above a linear device, below a power-law one. Left: mean offset from the symmetric point against the
granularity, in units of it, after an up and after a down pulse. Right: standard deviation against cycle
noise. Points are simulated (95 % intervals), lines are closed forms: exact for the linear device, leading
order in dw_min for the other.

One sees: alternating pulses leave a bias of a fraction of dw_min, whose sign is that of the last pulse, and
which does not average out over the two when the device is asymmetric; random pulses leave none (but curvature
does, below). In return random pulses fluctuate even in a device without noise, while the fluctuation of
alternating pulses is that of the cycle noise alone: below a noise of about one step they are more accurate.
"""  # noqa: D400

from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis._cells import each
from sptrack.devices import (
    Asymmetry,
    Cells,
    CycleNoise,
    Device,
    PowStep,
    Source,
    Spread,
    sample_cells,
)
from sptrack.evaluation.verify import settled_offsets
from sptrack.intervals import error_arms
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
    text_colour,
)
from sptrack.results import dataset, provenance, read_provenance
from sptrack.theory import cyclic_limits, small_step_moments, stationary_moments

MODES = ("cyclic", "stochastic")
LAST = ("up", "down")
NOISE, GRANULARITY = 0.3, 0.01
WEIGHT = {"units": "weight units"}
AXES = ("device", "mode", "last")


def devices() -> tuple[Device, ...]:
    """Linear device with scales 1.3 and .7, and a square-law device with 1.2 and .8."""
    linear = Device(spread=Spread(asymmetry=Asymmetry(mean=0.3)), source=Source(name="linear (soft bounds)"))
    power = Device(
        response=PowStep(gamma_up=2.0, gamma_down=2.0),
        spread=Spread(asymmetry=Asymmetry(mean=0.2)),
        source=Source(name="square law"),
    )
    return linear, power


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Simulate the settled offset against granularity and against cycle noise, with the closed forms."""
    granularities = np.geomspace(2e-3, 0.1, 4 if small else 8)
    noises = np.geomspace(0.05, 3.0, 4 if small else 8)
    runs = 128 if small else 2048
    arms = {"dw_min": [(h, NOISE) for h in granularities], "cycle_noise": [(GRANULARITY, s) for s in noises]}
    which = range(len(devices()))
    variables = {}
    for axis, arm in arms.items():
        points = [(k, float(step), float(noise)) for k in which for step, noise in arm]
        found = np.array(each(_settle, points, runs=runs, seed=seed, threads=threads))
        values = found.reshape(len(which), len(arm), *found.shape[1:])
        names = ("mean", "mean_error", "std", "std_error", "mean_theory", "std_theory")
        variables |= {
            f"{name}_by_{axis}": ((*AXES, axis), np.moveaxis(values[:, :, k], 1, -1), WEIGHT)
            for k, name in enumerate(names)
        }
    coordinates = {
        "device": ("device", [d.source.name for d in devices()], {}),
        "mode": ("mode", list(MODES), {}),
        "last": ("last", list(LAST), {}),
        "dw_min": ("dw_min", granularities, WEIGHT),
        "cycle_noise": ("cycle_noise", noises, {"units": "1"}),
    }
    parameters = {"runs": runs, "cycle_noise": NOISE, "dw_min": GRANULARITY}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=parameters))


def _settle(
    which: int, step: float, noise: float, *, runs: int, seed: int, threads: int | None
) -> np.ndarray:
    """Simulated and predicted moments [6, mode, last pulse] of one cell."""
    device = replace(devices()[which], dw_min=step, cycle_noise=CycleNoise(std=noise))
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    simulated = [settled_offsets(cells, mode, runs=runs, seed=seed, threads=threads) for mode in MODES]
    found = np.array([[field.ravel() for field in offsets] for offsets in simulated]).swapaxes(0, 1)
    return np.concatenate([found, _theory(device, cells)])


def _theory(device: Device, cells: Cells) -> np.ndarray:
    """Predicted mean and std [2, mode, last pulse]; after up: the mirrored device after down."""
    skew = -device.spread.asymmetry.mean
    mirrored = sample_cells(
        replace(device, spread=Spread(asymmetry=Asymmetry(mean=skew))), (1, 1), dtype=np.float64
    )
    moments = stationary_moments if cells.linear is not None else small_step_moments
    both = [[moments(mirrored, mode), moments(cells, mode)] for mode in MODES]
    mean = np.array([[-up.mean.item(), down.mean.item()] for up, down in both])
    if cells.linear is not None:
        limits = cyclic_limits(cells)
        mean[0] = limits.after_up.item(), limits.after_down.item()
    return np.stack([mean, np.sqrt([[m.variance.item() for m in pair] for pair in both])])


@house_style()
def plot(dataset: xr.Dataset) -> Figure:
    """Bias against granularity and noise floor against cycle noise, a row per device."""
    figure = new_figure(7.2, 7.2)
    names = dataset["device"].values
    headline(
        figure,
        "Settled zero-shifting: alternating pulses leave a bias below one pulse, random ones noise",
        f"Lines: exact moments (soft bounds) or small steps ({names[1]}); open markers: simulated, 95 %. "
        f"Cycle noise {NOISE:g} on the left, dw_min {GRANULARITY:g} on the right.",
    )
    panels = figure.subplots(2, 2, sharex="col")
    for row, ((left, right), name) in enumerate(zip(panels, names, strict=True)):
        of_device = dataset.sel(device=name)
        _bias(left, of_device)
        ends = _floor(right, of_device)
        last = row == len(panels) - 1
        label(left, f"{name}: bias", "dw_min (weight units)" if last else "", "mean offset / dw_min")
        label(right, f"{name}: noise", "cycle noise / step" if last else "", "std of offset (weight units)")
        label_ends(right, ends)
    return figure


def _bias(ax: Axes, data: xr.Dataset) -> None:
    h, runs = data["dw_min"], read_provenance(data)["parameters"]["runs"]
    kinds = (
        ("cyclic", "up", BLUE, "^", "alternating, last up"),
        ("stochastic", "down", VERMILLION, "o", "random"),
        ("cyclic", "down", GREEN, "v", "alternating, last down"),
    )
    for mode, last, colour, marker, text in kinds:
        chosen = data.sel(mode=mode, last=last)
        theory = chosen["mean_theory_by_dw_min"] / h
        ax.plot(h, theory, color=colour)
        arms = error_arms(chosen["mean_by_dw_min"] / h, chosen["mean_error_by_dw_min"] / h, repeats=runs)
        style = {"fmt": marker, "color": colour, "markerfacecolor": "white", "capsize": 3}
        ax.errorbar(h, chosen["mean_by_dw_min"] / h, arms, **style)
        ax.annotate(
            text, (float(h[-1]), float(theory[-1])), (0, 8), textcoords="offset points", ha="right",
            color=text_colour(colour), fontsize=9.5,
        )  # fmt: skip
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    ax.margins(y=0.15)
    log_scale(ax, "x", most=4)


def _floor(ax: Axes, data: xr.Dataset) -> list[tuple[float, str, str]]:
    """Curves of a panel; heights, labels and colours of their ends."""
    noise, runs = data["cycle_noise"], read_provenance(data)["parameters"]["runs"]
    ends = []
    kinds = (("cyclic", "alternating", BLUE, "v"), ("stochastic", "random", VERMILLION, "o"))
    for mode, text, colour, marker in kinds:
        chosen = data.sel(mode=mode, last="down")
        value, error = chosen["std_by_cycle_noise"], chosen["std_error_by_cycle_noise"]
        theory = chosen["std_theory_by_cycle_noise"]
        ax.plot(noise, theory, color=colour)
        arms = error_arms(value, error, repeats=runs, positive=True)
        style = {"fmt": marker, "color": colour, "markerfacecolor": "white", "capsize": 3}
        ax.errorbar(noise, value, arms, **style)
        ends.append((float(theory[-1]), text, colour))
    log_scale(ax, "xy")
    return ends
