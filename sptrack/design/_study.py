"""The study in Optuna: its journal, its sampler, the loop of a worker. Imported late: it needs Optuna."""

import os
import platform
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from sptrack.design._journal import Journal, check_journal
from sptrack.design._progress import Progress
from sptrack.design.plan import Plan, difference
from sptrack.design.scores import Scores, evaluate, excess
from sptrack.design.settings import Value, with_point
from sptrack.design.space import Choice, Range, start_point
from sptrack.design.trials import Trial
from sptrack.errors import ParameterError
from sptrack.files import SESSION, FileLock, is_alive

NAME = "sptrack"
"""Name of the study in its journal, and of the attribute that holds the plan."""
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
_LIMITS = "limits"
"""Name of the constraint: largest excess over a limit."""
_FEWEST_FOR_IMPORTANCE = 10
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
"""Signals whose handlers may raise; a command's alarm repeats what was lost."""


class SlotSampler(BaseSampler):
    """A sampler made anew for every trial from the root seed and the trial's slot.

    A slot is the place of a trial in the unbroken study: a trial that repeats an interrupted one keeps its
    slot, all others count on. What is drawn depends on the seed, the slot and the finished trials alone, not
    on how often the study was interrupted; no two slots draw the same numbers, whatever worker takes them.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._inner: BaseSampler = RandomSampler(seed=0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the sampler of the trial's slot."""
        slot = _slot(trial, study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self._seed, slot]).generate_state(1)[0])
        self._inner = TPESampler(seed=seed) if self._kind == "tpe" else RandomSampler(seed=seed)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the sampler of the slot."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler of the slot."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler of the slot."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the sampler of the slot."""
        self._inner.after_trial(study, trial, state, values)


class Worker:
    """One process at work on a study, alone or beside others.

    Parameters
    ----------
    plan : Plan
        What is tuned.
    path : Path or None
        Journal of the study, made if need be; None: the study is kept in memory.

    Raises
    ------
    ParameterError
        A journal of another plan, of other studies, or damaged.
    """

    def __init__(self, plan: Plan, path: Path | None) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._plan = plan
        self._lock = None if path is None else FileLock(Path(f"{path}.next.lock"))
        self._distributions = {name: _distribution(plan.space[name]) for name in sorted(plan.space)}
        if path is not None:
            check_journal(path)
        with _uninterrupted(), self._alone():
            self._study = self._open(_storage(path), path)

    def work(self, progress: Progress | None) -> None:
        """Take trials until the study has all; one that is interrupted is put in line to be repeated."""
        trial: optuna.Trial | None = None
        try:
            while True:
                if progress is not None:
                    progress(min(self._finished(), self._plan.budget.trials), self._plan.budget.trials)
                with _uninterrupted():
                    trial = self._next()
                if trial is None:
                    return
                self._run(trial)
                trial = None
        except BaseException:
            with _uninterrupted():
                if trial is not None:
                    self._give_up(trial.number)
            raise

    def trials(self) -> tuple[Trial, ...]:
        """Trials by slot, those that were given up and repeated left out."""
        known = self._study.get_trials(deepcopy=False)
        repeated = _repeated(known)
        found = [self._plain(trial, known) for trial in known if trial.number not in repeated]
        return tuple(sorted(found, key=lambda trial: trial.slot))

    def importances(self) -> dict[str, float]:
        """Share of each setting in what decides whether a trial is among the best tenth (PED-ANOVA).

        Empty with more than one objective, one setting, or fewer than ten complete trials.
        """
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        several = len(self._plan.search.objectives) > 1 or len(self._plan.space) < 2
        if several or len(complete) < _FEWEST_FOR_IMPORTANCE:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return {
            name: float(fraction)
            for name, fraction in optuna.importance.get_param_importances(
                self._study, evaluator=evaluator
            ).items()
        }

    def _open(self, storage: BaseStorage, path: Path | None) -> optuna.Study:
        search, budget = self._plan.search, self._plan.budget
        sampler = SlotSampler(search.sampler, budget.seed)
        pruner = optuna.pruners.NopPruner() if search.prune == "none" else optuna.pruners.MedianPruner()
        tools: dict[str, Any] = {"storage": storage, "sampler": sampler, "pruner": pruner}
        names = [study.study_name for study in storage.get_all_studies()]
        if names and names != [NAME]:
            raise ParameterError(
                f"{path}: a journal of other studies ({', '.join(names)}); name a file of its own"
            )
        directions = [optuna.study.StudyDirection.MINIMIZE] * len(search.objectives)
        if not names:
            optuna.create_study(study_name=NAME, directions=directions, **tools)
        study = optuna.load_study(study_name=NAME, **tools)
        begun = bool(study.get_trials(deepcopy=False))
        if not begun and NAME not in study.user_attrs:
            study.set_user_attr(NAME, self._plan.identity())
        found = difference(study.user_attrs.get(NAME, {}), self._plan.identity())
        found = found or ("" if study.directions == directions else "other objectives")
        if found:
            raise ParameterError(f"{path}: a study of something else ({found}); name another file")
        if not begun:
            point = start_point(self._plan.space, self._plan.start)
            study.enqueue_trial(_raw_point(self._plan.space, point))
        return study

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one worker at a time opens the study or decides what comes next."""
        if self._lock is None:
            yield
            return
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def _next(self) -> optuna.Trial | None:
        """Next trial, or None when as many as planned were taken."""
        with self._alone():
            self._reclaim()
            trials = self._study.get_trials(deepcopy=False)
            waiting = any(trial.state is TrialState.WAITING for trial in trials)
            if len(trials) - len(_repeated(trials)) >= self._plan.budget.trials and not waiting:
                return None
            trial = self._study.ask(self._distributions)
            trial.set_user_attr("worker", [platform.node(), os.getpid(), SESSION])
            return trial

    def _run(self, trial: optuna.Trial) -> None:
        search, tuned = self._plan.search, dict(trial.params)
        prunes = len(search.objectives) == 1 and search.prune != "none"
        reports = count()

        def hold(scores: Scores, *, whole: bool = True) -> None:
            over = excess(scores, search.limits, whole=whole)
            if over > 0:
                trial.set_constraint(_LIMITS, over)
                raise optuna.TrialPruned

        def watch(scores: Scores) -> None:
            if prunes:
                trial.report(float(scores[search.objectives[0]].mean()), next(reports))
            hold(scores, whole=search.prune != "steps")
            if prunes and trial.should_prune():
                raise optuna.TrialPruned

        try:
            method = with_point(self._plan.start, _point(self._plan.space, tuned))
            scores = evaluate(
                method,
                self._plan.task,
                self._plan.budget.tuning_seeds,
                by_steps=search.prune == "steps",
                watch=watch if prunes or search.limits else None,
            )
            hold(scores)
        except optuna.TrialPruned:
            self._tell(trial, state=TrialState.PRUNED)
        except ParameterError as error:
            trial.set_user_attr("reason", str(error))
            self._tell(trial, state=TrialState.FAIL)
        else:
            means = {name: float(values.mean()) for name, values in scores.items()}
            trial.set_user_attr("scores", {name: v for name, v in means.items() if np.isfinite(v)})
            self._tell(trial, values=[means[name] for name in search.objectives])

    def _tell(self, trial: optuna.Trial, **outcome: Any) -> None:
        with _uninterrupted():
            self._study.tell(trial, **outcome)

    def _reclaim(self) -> None:
        """Trials of processes of this machine that ended without a word are to be repeated.

        So are those that nobody has claimed: who asks for one claims it before the lock is given back.
        """
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            host, process, session = trial.user_attrs.get("worker", (platform.node(), 0, ""))
            if host == platform.node() and not is_alive(int(process), session):
                self._give_up(trial.number)

    def _give_up(self, number: int) -> None:
        """Put a trial with the settings and slot of a running one in line, which then counts as failed.

        One that was given no settings, or not all, gets them as it would have.
        """
        known = self._study.get_trials(deepcopy=False)
        trial = known[number]
        if trial.state is not TrialState.RUNNING:
            return
        if number not in _repeated(known):
            whole = set(trial.params) == set(self._distributions)
            params = trial.params if whole else trial.system_attrs.get("fixed_params", {})
            again = {"slot": _slot(trial, known), "repeats": number}
            self._study.enqueue_trial(params, user_attrs=again)
        self._study.tell(number, state=TrialState.FAIL)

    def _finished(self) -> int:
        known = self._study.get_trials(deepcopy=False)
        return sum(trial.state.is_finished() for trial in known) - len(_repeated(known))

    def _plain(self, trial: FrozenTrial, known: Sequence[FrozenTrial]) -> Trial:
        reports = trial.intermediate_values
        state = _STATES.get(trial.state, "running")
        return Trial(
            slot=_slot(trial, known),
            state="excluded" if trial.constraints.get(_LIMITS, 0.0) > 0 else state,
            point=_point(self._plan.space, trial.params),
            scores=dict(trial.user_attrs.get("scores", {})),
            seen=float(reports[max(reports)]) if reports else float("nan"),
            reason=str(trial.user_attrs.get("reason", "")),
        )


def _storage(path: Path | None) -> BaseStorage:
    if path is None:
        return InMemoryStorage()
    try:
        return JournalStorage(Journal(path))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ParameterError(f"{path}: not a journal, or damaged: its records do not fit together") from error


def _slot(trial: FrozenTrial, known: Sequence[FrozenTrial]) -> int:
    """Own slot of a repetition, else the number less the repetitions before it."""
    if "slot" in trial.user_attrs:
        return int(trial.user_attrs["slot"])
    return trial.number - sum("slot" in other.user_attrs for other in known[: trial.number])


def _repeated(known: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that others repeat."""
    return {int(trial.user_attrs["repeats"]) for trial in known if "repeats" in trial.user_attrs}


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off signals that end the process until the block has ended, so that the journal is whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in _ENDING}
    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    for number in dict.fromkeys(caught):
        signal.raise_signal(number)


def _distribution(range_: Range | Choice) -> BaseDistribution:
    if isinstance(range_, Choice):
        return CategoricalDistribution(range_.values)
    if range_.multiple:
        low, high = (round(end / range_.multiple) for end in (range_.low, range_.high))
        return IntDistribution(low, high, log=range_.log)
    return FloatDistribution(range_.low, range_.high, log=range_.log)


def _point(space: Mapping[str, Range | Choice], raw: Mapping[str, Any]) -> dict[str, Value]:
    """Settings from what Optuna keeps: of whole multiples the count."""
    multiples = {name: getattr(range_, "multiple", 0) or 1 for name, range_ in space.items()}
    return {name: raw[name] * multiples[name] if multiples[name] > 1 else raw[name] for name in raw}


def _raw_point(space: Mapping[str, Range | Choice], point: Mapping[str, Value]) -> dict[str, Value]:
    """The other way."""
    multiples = {name: getattr(range_, "multiple", 0) for name, range_ in space.items()}
    return {
        name: round(float(value) / multiples[name]) if multiples[name] else value
        for name, value in point.items()
    }
