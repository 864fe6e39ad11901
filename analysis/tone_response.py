"""Does a chopper hide the gradient from the reference and leave it to the weights?

Tones are added to the gradient of a running method (128 separate weights at their optimum, symmetric points
at 0) and read in P (demodulated), in the reference Q and in W, at the tones' own frequencies. Lines are the
linear model of the loop in the mean over the chopper, points are measured, with 95 % intervals from their
coherence.

One sees: without a chopper (RIDER) a slow tone goes into Q as it goes into P, so that Q cannot tell it
from the symmetric point. With it (E-RIDER, same rates but for the flips) W follows the tone as well, while Q
shows none: its triangles, upper ends of intervals that hold 0, only say how well that is known. The price is
P, which forgets at every flip: its demodulated answer to slow tones is weaker.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from sptrack.devices import Device, Spread
from sptrack.plotting.style import COLOURS, label, new_figure
from sptrack.response import measure_loop, tone_loop
from sptrack.results import dataset, provenance
from sptrack.spectrum import Tones
from sptrack.tracking import Method, ProblemSettings, method, problem

RATES = {"alpha": 0.02, "beta": 0.01, "gamma": 0.3, "eta": 0.005}
METHODS: dict[str, Method] = {
    "RIDER, no chopper": method("rider", **RATES),
    "E-RIDER, p = 0.005": method("e-rider", p=0.005, **RATES),
}
OUTPUTS = ("p", "q", "w")
_NAMES = {"p": "P, demodulated", "q": "Reference Q", "w": "Weights W"}
_COLOUR = (COLOURS[1], COLOURS[0])


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Measure both methods: 150 blocks of 4096 steps (``small``: 4 of 1024). ``threads`` is not used.

    Returns
    -------
    Dataset
        ``gain`` and ``half_width``, ``phase`` and ``phase_half_width``, ``coherence`` over method, output and
        tone; ``model`` and ``model_phase`` over method, output and omega (weight units per unit of gradient).
    """
    settings = ProblemSettings(size=128, low=0.5, high=0.5, spread=0.0, device=Device(spread=Spread()))
    tracked = problem("separable", settings, seed=seed)
    tones = Tones.spaced(1024 if small else 4096, 12, amplitude=0.025, seed=seed, lowest=3)
    blocks = 4 if small else 150
    omega = np.geomspace(tones.omega[0] / 2, np.pi, 200)
    made = [measure_loop(tracked, m, tones, blocks=blocks, skip=2, seed=seed) for m in METHODS.values()]
    found = [[getattr(one, name) for name in OUTPUTS] for one in made]
    model = np.array(
        [[gain.mean(axis=0) for gain in tone_loop(tracked, m).gains(omega)] for m in METHODS.values()]
    )
    units = {"units": "weight units per unit of gradient"}
    at, over = ("method", "output", "tone"), ("method", "output", "omega")
    variables = {
        "gain": (at, [[np.abs(r.gain) for r in row] for row in found], units),
        "half_width": (at, [[r.half_width for r in row] for row in found], units),
        "phase": (at, [[np.angle(r.gain) for r in row] for row in found], {"units": "rad"}),
        "phase_half_width": (at, [[r.phase_half_width for r in row] for row in found], {"units": "rad"}),
        "coherence": (at, [[r.coherence for r in row] for row in found], {"units": "1"}),
        "model": (over, np.abs(model), units),
        "model_phase": (over, np.angle(model), {"units": "rad"}),
    }
    coordinates = {
        "method": (("method",), list(METHODS), {}),
        "output": (("output",), list(OUTPUTS), {}),
        "tone": (("tone",), tones.omega, {"units": "rad per step"}),
        "omega": (("omega",), omega, {"units": "rad per step"}),
    }
    parameters = {"rates": RATES, "tones": tones, "blocks": blocks, "settings": settings}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=parameters))


def plot(data: xr.Dataset) -> Figure:
    """Gain (above) and phase (below) from the tone to P, Q and W."""
    figure = new_figure(15.0, 8.0)
    panels = figure.subplots(2, 3, sharex=True, height_ratios=[1.5, 1])
    for column, output in zip(panels.T, OUTPUTS, strict=True):
        for k, name in enumerate(data["method"].values.tolist()):
            _plot_one(column, data.sel({"method": name, "output": output}), name, _COLOUR[k])
        column[0].set(xscale="log", yscale="log")
        shown = data["gain"].sel({"output": output})
        column[0].set_ylim(0.3 * float(shown[0].min()), 3 * float(shown.max()))
        column[1].yaxis.set_major_locator(MultipleLocator(45))
        first = output == "p"
        label(column[0], _NAMES[output], "", "gain (weight units per gradient)" if first else "")
        label(column[1], "", "omega of the tone (rad per step)", "phase (degrees)" if first else "")
    panels[0, 1].plot([], [], "v", color=_COLOUR[1], markerfacecolor="none", label="E-RIDER, at most")
    for ax in panels[0, :2]:
        ax.legend(fontsize=9)
    return figure


def _plot_one(column: np.ndarray, data: xr.Dataset, name: str, colour: str) -> None:
    """Points with intervals where those leave out 0, triangles at their upper ends elsewhere."""
    upper, lower = column
    gain, half = data["gain"].values, data["half_width"].values
    sure = gain > half
    x, omega = data["tone"].values, data["omega"].values
    upper.errorbar(
        x[sure], gain[sure], half[sure], fmt="o", color=colour, markersize=4, capsize=3, label=name
    )
    upper.plot(x[~sure], (gain + half)[~sure], "v", color=colour, markersize=6, markerfacecolor="none")
    if not (data["model"] > 0).all():
        return
    upper.plot(omega, data["model"], color=colour, linewidth=1)
    degrees = np.degrees(np.unwrap(data["model_phase"].values))
    nearest = np.interp(x, omega, degrees)
    measured = np.degrees(data["phase"].values)
    measured += 360 * np.round((nearest - measured) / 360)
    _phases(lower, (x[sure], measured[sure], np.degrees(data["phase_half_width"].values)[sure]), colour)
    lower.plot(omega, degrees, color=colour, linewidth=1)


def _phases(ax: Axes, points: tuple[np.ndarray, np.ndarray, np.ndarray], colour: str) -> None:
    ax.errorbar(*points, fmt="o", color=colour, markersize=4, capsize=3)
