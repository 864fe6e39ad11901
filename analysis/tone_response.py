"""Does a chopper hide the gradient from the reference and leave it to the weights?

Tones are added to the gradient of a running method (128 separate weights at their optimum, symmetric points
at 0) and read in P (demodulated), in the reference Q and in W, at the tones' own frequencies. Lines are the
linear model of the loop in the mean over the chopper, points are measured, with 95 % intervals from their
coherence.

One sees: without a chopper (RIDER) a slow tone goes into Q as it goes into P, so that Q cannot tell it
from the symmetric point. With it (E-RIDER, same rates but for the flips) W follows the tone as well, while Q
shows none: its arrows, upper ends of intervals that hold 0, only say how well that is known. The price is
P, which forgets at every flip: its demodulated answer to slow tones is weaker.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from sptrack.devices import Device, Spread
from sptrack.plotting.style import (
    BLUE,
    GREY,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
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
_LOOKS = (Look(GREY, "v", "--"), Look(BLUE, "o"))


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


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Gain (above) and phase (below) from the tone to P, Q and W."""
    figure = new_figure(7.2, 6.2)
    headline(
        figure,
        "With a chopper a slow gradient reaches the weights, but not the reference",
        "Tones added to the gradient. Lines: linear model, open markers: simulated, 95 %. Arrows: "
        "upper ends of "
        "intervals that hold 0.",
    )
    panels = figure.subplots(2, 3, sharex=True, height_ratios=[1.5, 1])
    for column, output in zip(panels.T, OUTPUTS, strict=True):
        for look, name in zip(_LOOKS, data["method"].values.tolist(), strict=True):
            _plot_one(column, data.sel({"method": name, "output": output}), look)
        log_scale(column[0], "x", most=3)
        log_scale(column[0], "y", most=5)
        shown = data["gain"].sel({"output": output})
        column[0].set_ylim(0.3 * float(shown[0].min()), 3 * float(shown.max()))
        column[1].yaxis.set_major_locator(MultipleLocator(90))
        label(column[0], _NAMES[output], "", "gain (weight units\nper gradient)" if output == "p" else "")
        label(
            column[1],
            "",
            "ω (rad per step)" if output == "q" else "",
            "phase (degrees)" if output == "p" else "",
        )
    last = data.sel({"output": "w"})
    ends = [
        (float(last["gain"][k, -1]), name.replace(", ", ",\n"), look.colour)
        for k, (look, name) in enumerate(zip(_LOOKS, data["method"].values.tolist(), strict=True))
    ]
    label_ends(panels[0, 2], ends)
    return figure


def _plot_one(column: np.ndarray, data: xr.Dataset, look: Look) -> None:
    """Points with intervals where those leave out 0, triangles at their upper ends elsewhere."""
    upper, lower = column
    gain, half = data["gain"].values, data["half_width"].values
    sure = gain > half
    x, omega = data["tone"].values, data["omega"].values
    style = {"color": look.colour, "markerfacecolor": "white", "markersize": 4.5}
    upper.errorbar(x[sure], gain[sure], half[sure], fmt=look.marker, capsize=2, **style)
    upper.errorbar(
        x[~sure],
        (gain + half)[~sure],
        0.45 * (gain + half)[~sure],
        uplims=True,
        fmt="none",
        color=look.colour,
    )
    if not (data["model"] > 0).all():
        return
    upper.plot(omega, data["model"], look.line, color=look.colour, linewidth=1.2)
    degrees = np.degrees(np.unwrap(data["model_phase"].values))
    measured = np.degrees(data["phase"].values)
    measured += 360 * np.round((np.interp(x, omega, degrees) - measured) / 360)
    half_width = np.degrees(data["phase_half_width"].values)[sure]
    lower.errorbar(x[sure], measured[sure], half_width, fmt=look.marker, capsize=2, **style)
    lower.plot(omega, degrees, look.line, color=look.colour, linewidth=1.2)
