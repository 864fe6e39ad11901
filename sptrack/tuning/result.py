"""Tuning as a whole: search, then start and best on problems that no trial has seen."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import MissingExtraError, ParameterError
from sptrack.intervals import student_interval
from sptrack.results import dataset, provenance
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import problem
from sptrack.tracking.run import Tracker
from sptrack.tuning.evaluation import OBJECTIVES, Scores, evaluate, excess
from sptrack.tuning.plan import Plan
from sptrack.tuning.space import CHOICES, edges, moved, read_setting, start_point, with_point
from sptrack.tuning.trials import Trial, best_trials

if TYPE_CHECKING:
    import xarray as xr

    from sptrack.tuning._study import Worker

Array = NDArray[Any]
Progress = Callable[[int, int], None]

UNITS = {
    "threshold": "weight units",
    "pulses": "pulses",
    "half_period": "steps",
    "every": "steps",
    "p": "1/step",
}
"""Units of settings that are not pure numbers; of a chopper per column "step" is a read of the column."""


class Found(NamedTuple):
    """Result of a search.

    Attributes
    ----------
    plan : Plan
        What was asked.
    trials : tuple of Trial
        All trials, by slot.
    best : tuple of Trial
        The best trial; with more than one objective the front, by the first of them.
    chosen : int
        Which of ``best`` to take.
    finals : mapping
        Slots of the finalists to their objective on the final seeds; may be empty.
    importances : mapping
        Share of each setting in what makes a trial one of the best tenth (PED-ANOVA); may be empty.
    """

    plan: Plan
    trials: tuple[Trial, ...]
    best: tuple[Trial, ...]
    chosen: int
    finals: Mapping[int, float]
    importances: Mapping[str, float]

    @property
    def methods(self) -> tuple[Method, ...]:
        """The start, then the methods of ``best``."""
        return (self.plan.start, *(with_point(self.plan.start, trial.point) for trial in self.best))

    @property
    def method(self) -> Method:
        """The method to take."""
        return self.methods[1 + self.chosen]


def tune(plan: Plan, study: Path | None = None) -> "xr.Dataset":
    """Search, and compare start and best on held-out problems.

    Parameters
    ----------
    plan : Plan
        Start, task, space, objectives, budget.
    study : Path or None
        Journal file, which makes the search resumable and several processes able to share it; None: memory.

    Returns
    -------
    Dataset
        As `tuning_dataset`.

    Raises
    ------
    ParameterError
        Optuna is missing; a journal of another plan or damaged; a problem that is refused; no trial that was
        completed (then a journal made here is removed).

    Examples
    --------
    >>> from sptrack.tracking import ProblemSettings, method
    >>> from sptrack.tuning import Budget, Plan, Task, tune
    >>> task = Task(settings=ProblemSettings(size=8), steps=400)
    >>> budget = Budget(trials=3, seeds=1, finalists=0, held_out=2)
    >>> data = tune(Plan(start=method("e-rider"), task=task, budget=budget))
    >>> data["candidate"].values.tolist()[0], data["setting"].values.tolist()
    ('start', ['alpha', 'beta', 'gamma', 'eta', 'p'])
    """
    found = search(plan, study)
    return tuning_dataset(found, hold_out(found))


def search(plan: Plan, study: Path | None = None, progress: Progress | None = None) -> Found:
    """Take trials until the study has as many as ``plan`` wants.

    Parameters
    ----------
    plan, study
        As in `tune`.
    progress : callable or None
        Called with the finished trials, then finalists, and all of them.

    Raises
    ------
    ParameterError
        As `tune`.
    """
    Tracker(problem(plan.task.problem, plan.task.settings, seed=plan.budget.seed), plan.start)
    made = study is not None and not study.exists()
    worker = _worker()(plan, study)
    worker.work(progress)
    trials = worker.trials()
    states = {trial.state for trial in trials}
    if "complete" not in states:
        if study is not None and made and "running" not in states:
            study.unlink()
        limits = ", ".join(f"{name} {limit:g}" for name, limit in plan.search.limits.items())
        other = f"{limits} exceeded" if "excluded" in states else "all are still running"
        reason = next((trial.reason for trial in trials if trial.reason), other)
        raise ParameterError(f"study without a complete trial ({len(trials)} tried): {reason}")
    finals = _finals(plan, trials, progress)
    winner = min(finals, key=finals.__getitem__, default=None)
    entitled = [trial for trial in trials if winner in (None, trial.slot)]
    best, chosen = best_trials(entitled, plan.search.objectives)
    return Found(plan, trials, best, chosen, finals, worker.importances())


def _finals(plan: Plan, trials: Sequence[Trial], progress: Progress | None) -> dict[int, float]:
    """Objective on the final seeds of the first trial and of the best on the tuning seeds, by slot.

    Trials that exceed a limit there make room for the next best.
    """
    name, *others = plan.search.objectives
    if others or not plan.budget.finalists:
        return {}
    complete = [trial for trial in trials if trial.state == "complete"]
    ranked = sorted(complete, key=lambda trial: trial.scores[name])
    first = [trial for trial in complete if trial.slot == 0 and trial not in ranked[: plan.budget.finalists]]
    values: dict[int, float] = {}
    wanted = plan.budget.finalists + len(first)
    for trial in (*first, *(one for one in ranked if one not in first)):
        if len(values) == min(wanted, len(complete)):
            break
        if progress is not None:
            progress(plan.budget.trials + len(values), plan.budget.trials + wanted)
        scores = evaluate(with_point(plan.start, trial.point), plan.task, plan.budget.final_seeds)
        if not excess(scores, plan.search.limits):
            values[trial.slot] = float(scores[name].mean())
    if not values:
        raise ParameterError("no trial within the limits on further problems: raise limits, trials or seeds")
    return values


def hold_out(found: Found, progress: Progress | None = None) -> tuple[Scores, ...]:
    """Scores of start and ``best`` of a search on the held-out seeds, the same for all.

    Parameters
    ----------
    found : Found
        What a search found.
    progress : callable or None
        Called with the methods scored and all of them.
    """
    scores: list[Scores] = []
    for k, method in enumerate(found.methods):
        if progress is not None:
            progress(k, len(found.methods))
        same = next((scores[i] for i in range(k) if found.methods[i] == method), None)
        seeds = found.plan.budget.held_out_seeds
        scores.append(evaluate(method, found.plan.task, seeds) if same is None else same)
    return tuple(scores)


def _worker() -> "type[Worker]":
    try:
        from sptrack.tuning._study import Worker
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "optuna":
            raise
        raise MissingExtraError("tuning needs Optuna: pip install 'sptrack[tune]'") from error
    return Worker


def tuning_dataset(found: Found, scores: tuple[Scores, ...]) -> "xr.Dataset":
    """Dataset of a search and of what `hold_out` said.

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
            units = {"units": UNITS.get(name, "1")}
            variables[f"setting_{name}"] = (("trial",), np.array(values, np.float64), units)
    for name, unit in OBJECTIVES.items():
        values = [trial.scores.get(name, np.nan) for trial in found.trials]
        variables[name] = (("trial",), values, {"units": unit})
    name = found.plan.search.objectives[0]
    finals = [found.finals.get(trial.slot, np.nan) for trial in found.trials]
    variables["final"] = (("trial",), finals, {"units": OBJECTIVES[name]})
    seen = [trial.seen if trial.state == "pruned" else np.nan for trial in found.trials]
    variables["seen"] = (("trial",), seen, {"units": OBJECTIVES[name]})
    variables |= _held_out(scores) | _moves(found)
    origin = provenance(seed=found.plan.budget.seed, parameters=found.plan.identity())
    made = dataset(variables, coordinates, origin)
    return made.assign_attrs(
        objectives=list(found.plan.search.objectives),
        chosen=f"trial {found.best[found.chosen].slot}",
        source=found.plan.source,
    )


def _held_out(scores: tuple[Scores, ...]) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for name, unit in OBJECTIVES.items():
        held = np.array([one[name] for one in scores])
        change = held - held[0]
        about = {"units": unit}
        variables[f"held_{name}"] = (("candidate", "seed"), held, about)
        variables[f"difference_{name}"] = (("candidate",), change.mean(axis=1), about)
        variables[f"difference_{name}_ci"] = (("candidate", "end"), student_interval(change), about)
    return variables


def _moves(found: Found) -> dict[str, Any]:
    space = found.plan.space
    rows = [moved(space, found.plan.start, method) for method in found.methods]
    ratios = np.array([[row[name] for name in space] for row in rows], np.float64)
    shares = [found.importances.get(name, np.nan) for name in space]
    return {
        "moved": (("candidate", "setting"), ratios, {"units": "1"}),
        "importance": (("setting",), shares, {"units": "1"}),
    }


def verdict(low: float, high: float) -> str:
    """Verdict on a difference from the start: "better", "worse", "same" or "not told apart"."""
    if low == high == 0:
        return "same"
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not told apart"


def tuning_record(found: Found, data: "xr.Dataset") -> dict[str, Any]:
    """Outcome of tuning as plain data for tables and JSON.

    Keys: ``method``, ``problem``, ``steps``, ``objectives``, ``limits``, ``start`` (its ``source``,
    ``settings`` and those ``outside`` of their range), ``trials`` (how many in which state),
    ``tuning_seeds``, ``final_seeds``, ``held_out_seeds``, ``chosen`` (a trial), ``importance``, and
    ``candidates``, a list with ``trial``, ``at_edge`` (settings at an end of their range, see `edges`),
    ``settings`` (per name ``start``, ``tuned``, ``moved``: their ratio) and ``scores`` (per score ``tuning``,
    the mean over the tuning seeds; ``start`` and ``tuned``, means over the held-out ones; ``difference`` with
    its interval ``difference_ci``; ``verdict``).
    """
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
        "candidates": [_candidate(found, data, k + 1, *pair) for k, pair in enumerate(pairs)],
    }


def _candidate(found: Found, data: "xr.Dataset", k: int, trial: Trial, method: Method) -> dict[str, Any]:
    plan = found.plan
    ratios = moved(plan.space, plan.start, method)
    settings = {
        name: {"start": read_setting(plan.start, name), "tuned": read_setting(method, name), "moved": ratio}
        for name, ratio in ratios.items()
    }
    scores = {}
    for name in OBJECTIVES:
        if name not in trial.scores:
            continue
        held = data[f"held_{name}"].mean("seed").values
        low, high = (float(end) for end in data[f"difference_{name}_ci"].values[k])
        scores[name] = {
            "tuning": trial.scores[name],
            "start": float(held[0]),
            "tuned": float(held[k]),
            "difference": float(data[f"difference_{name}"][k]),
            "difference_ci": [low, high],
            "verdict": verdict(low, high),
        }
    at_edge = list(edges(plan.space, trial.point))
    return {"trial": trial.slot, "at_edge": at_edge, "settings": settings, "scores": scores}
