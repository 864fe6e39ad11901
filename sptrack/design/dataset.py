"""A design as a labelled dataset, from which its pictures are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.design.candidates import Candidate
from sptrack.design.designing import Design
from sptrack.design.pareto import FRONTS, front
from sptrack.design.specification import QUANTITIES, UNITS, Specification
from sptrack.results import dataset, provenance

if TYPE_CHECKING:
    import xarray as xr


def design_dataset(made: Design, *, seed: int = 0) -> xr.Dataset:
    """Quantities, curves and candidates of a design.

    Returns
    -------
    Dataset
        Over ``quantity``: ``limit`` (NaN for none), ``predicted``, ``measured``, ``measured_ci``, ``verdict``
        (units in ``quantity_units``). Over ``sample`` (``step``): ``left_measured``, ``left_predicted``,
        ``rms_measured``. Over ``candidate``: every quantity by prediction, ``estimator``, ``chopper``,
        ``eta``, ``alpha``, and for each of `FRONTS` whether it is undominated.
    """
    rows, spec = made.check.rows, made.search.specification
    limits = [np.nan if row.limit is None else row.limit for row in rows]
    mixed = {"units": "see quantity_units"}
    variables: dict[str, Any] = {
        "limit": (("quantity",), limits, mixed),
        "predicted": (("quantity",), [row.predicted for row in rows], mixed),
        "measured": (("quantity",), [row.measured for row in rows], mixed),
        "measured_ci": (("quantity", "end"), [row.interval for row in rows], mixed),
        "verdict": (("quantity",), [row.verdict for row in rows], {"units": "1"}),
        "quantity_units": (("quantity",), [UNITS[row.name] for row in rows], {"units": "1"}),
        "left_measured": (("sample",), made.check.left_measured, {"units": "1"}),
        "left_predicted": (("sample",), made.check.left_predicted, {"units": "1"}),
        "rms_measured": (("sample",), made.check.rms_measured, {"units": "weight units"}),
    } | candidate_variables(made.search.candidates)
    coordinates = {
        "quantity": (("quantity",), list(QUANTITIES), {}),
        "step": (("sample",), made.check.steps, {"units": "steps"}),
    }
    chosen = made.chosen
    asked = {
        "specification": described(spec),
        "setting": {
            "alpha": chosen.setting.alpha,
            "estimator": chosen.setting.estimator,
            "eta": chosen.setting.eta,
            "rate": chosen.setting.rate,
            "reference": str(chosen.setting.reference),
            "chopper": chopper_text(chosen),
            "every": chosen.setting.every,
        },
        "gamma": chosen.gamma,
        "beta": chosen.beta,
        "seeds": made.check.seeds,
        "met": made.met,
        "training": made.check.training,
    }
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def described(spec: Specification) -> dict[str, Any]:
    """The specification as plain data; a device by its name."""
    return {
        "requirements": spec.requirements.limits,
        "device": spec.device.source.name,
        "half_range": (spec.device.response.w_max - spec.device.response.w_min) / 2,
        "gradient": {"mean": spec.gradient.mean, "std": spec.gradient.std},
        "recorded": spec.gradient.recording is not None,
        "steps": spec.steps,
        "read_noise": spec.read_noise,
        "curvature": spec.curvature,
        "train": spec.train,
    }


def candidate_variables(found: tuple[Candidate, ...]) -> dict[str, Any]:
    """Predictions and settings over ``candidate``, and which of them are undominated."""
    over = ("candidate",)
    out: dict[str, Any] = {
        f"candidate_{name}": (over, [one.values[name] for one in found], {"units": UNITS[name]})
        for name in QUANTITIES
    }
    settings = [one.setting for one in found]
    out |= {
        "estimator": (over, [s.estimator for s in settings], {"units": "1"}),
        "chopper": (over, [chopper_text(one) for one in found], {"units": "1"}),
        "eta": (over, [s.eta for s in settings], {"units": "1/step"}),
        "alpha": (over, [s.alpha for s in settings], {"units": "weight units per unit of gradient"}),
    }
    for name, quantities in FRONTS.items():
        chosen = np.zeros(len(found), np.bool_)
        chosen[front(found, quantities)] = True
        out[f"front_{name}"] = (over, chosen, {"units": "1"})
    return out


def chopper_text(one: Candidate) -> str:
    """A candidate's chopper in a few words."""
    chopper = one.chopper
    if isinstance(chopper, Chopper):
        return f"telegraph {chopper.p:.3g}"
    if isinstance(chopper, PeriodicChopper):
        return f"periodic {chopper.half_period}"
    return "none" if chopper is None else str(chopper)
