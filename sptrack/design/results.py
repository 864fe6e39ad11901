"""Designs and tunings as labelled datasets, from which their pictures are drawn, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.design.candidates import Candidate
from sptrack.design.designing import Design
from sptrack.design.fronts import FRONTS, front
from sptrack.design.scores import OBJECTIVES, Scores
from sptrack.design.settings import CHOICES, SETTING_UNITS, read_setting
from sptrack.design.space import edges, moved, start_point
from sptrack.design.specification import QUANTITIES, UNITS, Specification
from sptrack.design.trials import Trial
from sptrack.design.tuning import Study, Tuning
from sptrack.intervals import student_interval
from sptrack.results import dataset, provenance
from sptrack.tracking import Method

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]


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


def design_record(made: Design) -> dict[str, Any]:
    """A design as plain data: what was asked for, chosen, predicted, measured, and what is in the way."""
    spec, chosen, s = made.search.specification, made.chosen, made.chosen.setting
    return {
        "device": spec.device.source.name,
        "steps": spec.steps,
        "met": made.met,
        "feasible": made.search.feasible,
        "attempts": made.attempts,
        "estimator": s.estimator,
        "filter": str(chosen.filter) if chosen.filter is not None else None,
        "read_every": s.every,
        "chopper": str(chosen.chopper) if chosen.chopper is not None else "none",
        "alpha": s.alpha,
        "eta": s.eta,
        "gamma": chosen.gamma,
        "beta": chosen.beta,
        "enbw": chosen.enbw,
        "quantities": [asdict(row) for row in made.check.rows],
        "misses": [miss._asdict() for miss in made.misses],
        "conflicts": [one._asdict() for one in made.conflicts],
        "training": made.check.training,
        "warnings": list(made.warnings),
        "notes": list(made.notes),
    }


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


def tuning_dataset(made: Tuning) -> xr.Dataset:
    """Trials of a study, and start and best on held-out problems.

    Returns
    -------
    Dataset
        Over ``trial``: ``state``, ``setting_NAME`` of all that is varied, the scores ``w``, ``q``,
        ``pulses``, ``reads``, ``programs``, ``cost`` (means over the tuning seeds; NaN unless complete),
        ``final``, the first objective of finalists on the final seeds, and ``seen``, that of trials given up
        when they were.

        Over ``candidate`` ("start", "trial 17", ...) and ``seed``: ``held_w`` ..., the scores on held-out
        problems; over ``candidate``: ``difference_w`` ... from the start, mean over the seeds,
        ``difference_w_ci`` ..., its 95 % interval (Student, paired by seed), and over ``setting`` too
        ``moved``, value over that of the start (NaN where it is no number).

        Over ``setting``: ``importance`` (NaN if not known). Attributes: ``objectives``, ``chosen`` (which
        candidate to take), ``source`` (of the start).
    """
    found = made.study
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {
        "trial": (("trial",), [trial.slot for trial in found.trials], {"units": "1"}),
        "state": (("trial",), [trial.state for trial in found.trials], {}),
        "candidate": (("candidate",), ["start", *(f"trial {trial.slot}" for trial in found.best)], {}),
        "seed": (("seed",), list(found.plan.budget.held_out_seeds), {"units": "1"}),
        "setting": (("setting",), list(found.plan.space), {}),
    }
    for name in found.plan.space:
        values = [trial.point.get(name, np.nan) for trial in found.trials]
        if name in CHOICES:
            coordinates[f"setting_{name}"] = (("trial",), [str(value) for value in values], {})
        else:
            units = {"units": SETTING_UNITS.get(name, "1")}
            variables[f"setting_{name}"] = (("trial",), np.array(values, np.float64), units)
    for name, unit in OBJECTIVES.items():
        values = [trial.scores.get(name, np.nan) for trial in found.trials]
        variables[name] = (("trial",), values, {"units": unit})
    name = found.plan.search.objectives[0]
    finals = [found.finals.get(trial.slot, np.nan) for trial in found.trials]
    variables["final"] = (("trial",), finals, {"units": OBJECTIVES[name]})
    seen = [trial.seen if trial.state == "pruned" else np.nan for trial in found.trials]
    variables["seen"] = (("trial",), seen, {"units": OBJECTIVES[name]})
    variables |= _held_out(made) | _moves(found)
    origin = provenance(seed=found.plan.budget.seed, parameters=found.plan.identity())
    return dataset(variables, coordinates, origin).assign_attrs(
        objectives=list(found.plan.search.objectives),
        chosen=f"trial {found.best[found.chosen].slot}",
        source=found.plan.source,
    )


class Gains(NamedTuple):
    """One score of start and candidates on the held-out problems.

    Attributes
    ----------
    values : ndarray [candidates, seeds]
        The start first.
    difference : ndarray [candidates]
        From the start, mean over the seeds.
    interval : ndarray [candidates, 2]
        95 % interval of the difference (Student, paired by seed).
    """

    values: Array
    difference: Array
    interval: Array


def gains(scores: Sequence[Scores], name: str) -> Gains:
    """One score of start and candidates, as `sptrack.design.hold_out` gives them, beside the start's."""
    values = np.array([one[name] for one in scores])
    change = values - values[0]
    return Gains(values, change.mean(axis=1), student_interval(change))


def _held_out(made: Tuning) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for name, unit in OBJECTIVES.items():
        found, about = gains(made.scores, name), {"units": unit}
        variables[f"held_{name}"] = (("candidate", "seed"), found.values, about)
        variables[f"difference_{name}"] = (("candidate",), found.difference, about)
        variables[f"difference_{name}_ci"] = (("candidate", "end"), found.interval, about)
    return variables


def _moves(found: Study) -> dict[str, Any]:
    space = found.plan.space
    rows = [moved(space, found.plan.start, method) for method in found.methods]
    ratios = np.array([[row[name] for name in space] for row in rows], np.float64)
    fractions = [found.importances.get(name, np.nan) for name in space]
    return {
        "moved": (("candidate", "setting"), ratios, {"units": "1"}),
        "importance": (("setting",), fractions, {"units": "1"}),
    }


def verdict(low: float, high: float) -> str:
    """Verdict on a difference from the start: "better", "worse", "same" or "not told apart"."""
    if low == high == 0:
        return "same"
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not told apart"


def tuning_record(made: Tuning) -> dict[str, Any]:
    """Outcome of tuning as plain data for tables and JSON.

    Keys: ``method``, ``problem``, ``steps``, ``objectives``, ``limits``, ``start`` (its ``source``,
    ``settings`` and those ``outside`` of their range), ``trials`` (how many in which state),
    ``tuning_seeds``, ``final_seeds``, ``held_out_seeds``, ``chosen`` (a trial), ``importance``, and
    ``candidates``, a list with ``trial``, ``at_edge`` (settings at an end of their range, see `edges`),
    ``settings`` (per name ``start``, ``tuned``, ``moved``: their ratio) and ``scores`` (per score ``tuning``,
    the mean over the tuning seeds; ``start`` and ``tuned``, means over the held-out ones; ``difference`` with
    its interval ``difference_ci``; ``verdict``).
    """
    found = made.study
    nearest = start_point(found.plan.space, found.plan.start)
    settings = {name: read_setting(found.plan.start, name) for name in nearest}
    plan, states = found.plan, [trial.state for trial in found.trials]
    counts = {name: states.count(name) for name in ("complete", "pruned", "excluded", "failed", "running")}
    pairs = zip(found.best, found.methods[1:], strict=True)
    return {
        "method": plan.start.name,
        "problem": plan.task.problem,
        "steps": plan.task.steps,
        "objectives": list(plan.search.objectives),
        "limits": dict(plan.search.limits),
        "start": {
            "source": plan.source,
            "settings": settings,
            "outside": [name for name, value in settings.items() if value != nearest[name]],
        },
        "trials": counts,
        "tuning_seeds": list(plan.budget.tuning_seeds),
        "final_seeds": list(plan.budget.final_seeds) if found.finals else [],
        "held_out_seeds": list(plan.budget.held_out_seeds),
        "chosen": found.best[found.chosen].slot,
        "importance": dict(found.importances),
        "candidates": [_candidate(made, k, *pair) for k, pair in enumerate(pairs, 1)],
    }


def _candidate(made: Tuning, k: int, trial: Trial, method: Method) -> dict[str, Any]:
    plan = made.study.plan
    ratios = moved(plan.space, plan.start, method)
    settings = {
        name: {"start": read_setting(plan.start, name), "tuned": read_setting(method, name), "moved": ratio}
        for name, ratio in ratios.items()
    }
    scores = {}
    for name in OBJECTIVES:
        if name not in trial.scores:
            continue
        found = gains(made.scores, name)
        low, high = (float(end) for end in found.interval[k])
        scores[name] = {
            "tuning": trial.scores[name],
            "start": float(found.values[0].mean()),
            "tuned": float(found.values[k].mean()),
            "difference": float(found.difference[k]),
            "difference_ci": [low, high],
            "verdict": verdict(low, high),
        }
    at_edge = list(edges(plan.space, trial.point))
    return {"trial": trial.slot, "at_edge": at_edge, "settings": settings, "scores": scores}
