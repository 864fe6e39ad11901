"""Knowledge that an input-aware observer rests on, and the errors in it that were measured to cost its lead.

`LOST` holds, for each form and family of responses, the cases of the study `observer_misknown` in which its
error of W was larger than that of E-RIDER, which is told nothing, beyond the 95 % interval of their paired
ratio (default settings of both, read noise .02). A form without an entry was not measured.
"""

from collections.abc import Mapping

from sptrack.blocks import ObserverSettings
from sptrack.devices import Device, ExpStep, PiecewiseStep, PowStep, Response, SoftBounds

TOLD = {
    "adaptive": "the requested weight changes (told steps, bounds and read noise are a start alone)",
    "block": "the requested weight changes, nominal bounds, read noise",
    "direction": "the requested weight changes, nominal bounds, read noise",
    "scalar": "the requested weight changes, nominal response, read noise",
    "predictor": "the requested weight changes, nominal response, read noise, mean drive",
}
"""Knowledge behind the error of each form."""
FAMILIES: Mapping[str, tuple[type[Response], ...]] = {
    "linear": (SoftBounds,),
    "power 2": (PowStep,),
    "piecewise": (PiecewiseStep,),
    "exp-step": (ExpStep,),
}
"""Families of responses by the names of the study."""
TRUE = "nothing"
"""Case in which all that is told is true."""
SCATTER, SCATTERED = 0.3, "bounds scatter 30 %"
"""Scatter of the bounds in the study, over their nominal values, and its case."""
ALL = (
    "nothing",
    "steps + 30 %",
    "steps - 30 %",
    "bounds + 30 %, - 20 %",
    "bounds scatter 30 %",
    "noise told x 0",
    "noise told x 0.7",
    "noise told x 1.3",
    "noise told x 3",
    "drive x 0.5",
    "drive x 2",
    "drive x 4",
    "all, steps + 30 %, noise x 0",
    "all, steps - 30 %, noise x 3",
    "scatter, steps + 30 %, noise x 0.7",
)
"""All cases of the study."""
_BOUNDS, _HALF = "bounds + 30 %, - 20 %", "drive x 0.5"
_COMBINED = ("all, steps + 30 %, noise x 0", "all, steps - 30 %, noise x 3")
_SCATTERED_TOO = (*_COMBINED, "scatter, steps + 30 %, noise x 0.7")
LOST: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "scalar": {"linear": (), "power 2": (), "piecewise": (), "exp-step": (_HALF,)},
    "predictor": {
        "linear": (),
        "power 2": ("drive x 4",),
        "piecewise": (),
        "exp-step": ("drive x 4", "all, steps - 30 %, noise x 3"),
    },
    "block": {
        "linear": (_BOUNDS, SCATTERED, "noise told x 0", *_SCATTERED_TOO),
        "power 2": tuple(case for case in ALL if case != "drive x 4"),
        "piecewise": (_BOUNDS, SCATTERED, "noise told x 0", *_SCATTERED_TOO),
        "exp-step": ("steps - 30 %", _BOUNDS, SCATTERED, _HALF, *_SCATTERED_TOO),
    },
    "adaptive": {
        "linear": (),
        "power 2": (),
        "piecewise": (SCATTERED, "noise told x 0", *_SCATTERED_TOO),
        "exp-step": ALL,
    },
}


def family_of(device: Device) -> str:
    """Family under which the response of a device was measured; empty if it was not."""
    return next((name for name, kinds in FAMILIES.items() if isinstance(device.response, kinds)), "")


def knowledge(observer: ObserverSettings | None, device: Device) -> tuple[str, ...]:
    """Lines on what the error of an observer rests on and where it was measured not to hold; none without.

    Parameters
    ----------
    observer : ObserverSettings or None
        Observer of a method.
    device : Device
        Device of P, as told.
    """
    if observer is None:
        return ()
    lines = [f"the observer's error rests on {TOLD[observer.form]}"]
    family = family_of(device)
    if observer.form not in LOST or not family:
        return (*lines, f"the {observer.form} form was not measured on such cells told wrong")
    lost = LOST[observer.form][family]
    if lost and TRUE not in lost:
        lines.append(f"measured behind E-RIDER on {family} cells where wrong: {'; '.join(lost)}")
    return tuple(lines)


def knowledge_warnings(observer: ObserverSettings | None, device: Device) -> tuple[str, ...]:
    """Warnings where the cells as told are of a kind on which a form was measured to lose; a line each."""
    if observer is None:
        return ()
    family = family_of(device)
    lost = LOST.get(observer.form, {}).get(family, ())
    out = []
    if TRUE in lost:
        out.append(
            f"{observer.form} observer on {family} cells: measured behind E-RIDER even if told the truth"
        )
    spread = max(device.spread.w_max, device.spread.w_min)
    if spread >= 0.5 * SCATTER and SCATTERED in lost:
        out.append(f"bounds that scatter by {spread:.2g}: {observer.form} observer measured behind E-RIDER")
    return tuple(out)
