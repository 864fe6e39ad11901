"""Tuning: settings searched by simulation, then start and best on problems that no trial has seen.

Needs Optuna: ``pip install 'sptrack[tune]'``. A study is a journal file that processes and machines can share
and that an interrupt leaves ready to go on with. The same plan and one worker make the same trials, in one go
or in pieces.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sptrack.design._progress import Progress, Stage, of_stage
from sptrack.design.plan import Plan
from sptrack.design.scores import Scores, evaluate, excess
from sptrack.design.settings import with_point
from sptrack.design.trials import Trial, best_trials
from sptrack.errors import MissingExtraError, ParameterError
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import problem
from sptrack.tracking.run import Tracker

if TYPE_CHECKING:
    import xarray as xr

    from sptrack.design._study import Worker


class Study(NamedTuple):
    """Result of `run_study`.

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


def run_study(plan: Plan, journal: Path | None = None, progress: Progress | None = None) -> Study:
    """Take trials until the study has as many as ``plan`` wants.

    Parameters
    ----------
    plan, journal
        As in `tune`.
    progress : callable or None
        Called with the finished trials, then finalists, and all of them.

    Raises
    ------
    ParameterError
        As `tune`.
    """
    Tracker(problem(plan.task.problem, plan.task.settings, seed=plan.budget.seed), plan.start)
    made = journal is not None and not journal.exists()
    worker = _worker()(plan, journal)
    worker.work(progress)
    trials = worker.trials()
    states = {trial.state for trial in trials}
    if "complete" not in states:
        if journal is not None and made and "running" not in states:
            journal.unlink()
        limits = ", ".join(f"{name} {limit:g}" for name, limit in plan.search.limits.items())
        other = f"{limits} exceeded" if "excluded" in states else "all are still running"
        reason = next((trial.reason for trial in trials if trial.reason), other)
        raise ParameterError(f"study without a complete trial ({len(trials)} tried): {reason}")
    finals = _finals(plan, trials, progress)
    winner = min(finals, key=finals.__getitem__, default=None)
    entitled = [trial for trial in trials if winner in (None, trial.slot)]
    best, chosen = best_trials(entitled, plan.search.objectives)
    return Study(plan, trials, best, chosen, finals, worker.importances())


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


def hold_out(study: Study, progress: Progress | None = None) -> tuple[Scores, ...]:
    """Scores of start and ``best`` of a study on the held-out seeds, the same for all.

    Parameters
    ----------
    study : Study
        Trials and the best of them.
    progress : callable or None
        Called with the methods scored and all of them.
    """
    scores: list[Scores] = []
    for k, method in enumerate(study.methods):
        if progress is not None:
            progress(k, len(study.methods))
        same = next((scores[i] for i in range(k) if study.methods[i] == method), None)
        seeds = study.plan.budget.held_out_seeds
        scores.append(evaluate(method, study.plan.task, seeds) if same is None else same)
    return tuple(scores)


class Tuning(NamedTuple):
    """Result of `tune`.

    Attributes
    ----------
    study : Study
        Trials and the best of them.
    scores : tuple of dict
        Of the start, then of each of ``study.best``: values [seeds] on the held-out problems by objective.
    """

    study: Study
    scores: tuple[Scores, ...]

    @property
    def method(self) -> Method:
        """The method to take."""
        return self.study.method

    def labelled(self) -> "xr.Dataset":
        """Trials and comparison as a dataset, see `sptrack.design.tuning_dataset`."""
        from sptrack.design.results import tuning_dataset

        return tuning_dataset(self)

    def record(self) -> dict[str, Any]:
        """The outcome as plain data, see `sptrack.design.tuning_record`."""
        from sptrack.design.results import tuning_record

        return tuning_record(self)


def tune(plan: Plan, journal: Path | None = None, progress: Stage | None = None) -> Tuning:
    """Search, and compare start and best on held-out problems.

    Parameters
    ----------
    plan : Plan
        Start, task, space, objectives, budget.
    journal : Path or None
        Journal file, which makes the search resumable and several processes able to share it; None: memory.
    progress : callable or None
        Called with the name of the stage ("trials", "held-out problems"), what of it is done, and all of it.

    Returns
    -------
    Tuning

    Raises
    ------
    ParameterError
        Optuna is missing; a journal of another plan or damaged; a problem that is refused; no trial that was
        completed (then a journal made here is removed).

    Examples
    --------
    >>> from sptrack.design import Budget, Plan, Task, tune
    >>> from sptrack.tracking import ProblemSettings, method
    >>> task = Task(settings=ProblemSettings(size=8), steps=400)
    >>> budget = Budget(trials=3, seeds=1, finalists=0, held_out=2)
    >>> data = tune(Plan(start=method("e-rider"), task=task, budget=budget)).labelled()
    >>> data["candidate"].values.tolist()[0], data["setting"].values.tolist()
    ('start', ['alpha', 'beta', 'gamma', 'eta', 'p'])
    """
    study = run_study(plan, journal, of_stage(progress, "trials"))
    return Tuning(study, hold_out(study, of_stage(progress, "held-out problems")))


def _worker() -> "type[Worker]":
    try:
        from sptrack.design._study import Worker
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "optuna":
            raise
        raise MissingExtraError("tuning needs Optuna: pip install 'sptrack[tune]'") from error
    return Worker
