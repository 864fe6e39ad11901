"""Errors and costs of a method on a set of problems, the objectives of tuning and of Pareto views."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.cost import CostModel
from sptrack.errors import ParameterError
from sptrack.tracking.compare import QUANTITIES, SAMPLE, TAIL
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import RECORDED, ProblemSettings, problem
from sptrack.tracking.run import Tracker
from sptrack.values import check_choice

Array = NDArray[Any]
Scores = dict[str, Array]
Watch = Callable[[Scores], None]

OBJECTIVES: dict[str, str] = {
    "w": "weight units squared",
    "q": "weight units squared",
    "pulses": "pulses/cell",
    "reads": "reads/cell",
    "programs": "programs/cell",
    "cost": "pulse units/cell",
}
"""Objectives of a search, with units: |W - W*|^2 and |Q - symmetric point|^2, means over the weights and the
last tenth of the steps; pulses, reads, programming events and cost of a whole run, W and P together,
calibration included, per weight of the problem."""
_ERRORS = ("w", "q")
"""Objectives that can fall as a run goes on; all others count up."""
STRETCHES = 5
"""Parts into which a run is cut: between them it can be watched, and an interrupt is noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Problems on which methods are scored.

    Parameters
    ----------
    problem : str
        Name of the problem.
    settings : ProblemSettings
        Its settings, with the device.
    steps : int
        Steps of each run, a multiple of ``sample``.
    cost : CostModel
        What pulses, reads and programming events weigh.
    sample : int
        Steps of a sample; errors are means over the samples of the last tenth of a run.
    """

    problem: str = "quadratic"
    settings: ProblemSettings = field(default_factory=ProblemSettings)
    steps: int = 20000
    cost: CostModel = CostModel()
    sample: int = SAMPLE

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps % self.sample:
            raise ParameterError(f"steps must be a positive multiple of {self.sample}, got {self.steps}")

    @property
    def stretches(self) -> list[int]:
        """Samples of each of the (at most five) stretches of a run, as even as can be."""
        samples = self.steps // self.sample
        edges = [samples * k // STRETCHES for k in range(STRETCHES + 1)]
        return [b - a for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]


def check_objectives(objectives: Sequence[str], method: Method, problem: str = "quadratic") -> None:
    """Refuse objectives that are unknown, repeated, or mean nothing for ``method`` or ``problem``.

    Raises
    ------
    ParameterError
        As said; "q" for a method that neither estimates nor is told the symmetric point, "w" for recorded
        gradients.
    """
    if not objectives or len(set(objectives)) < len(objectives):
        raise ParameterError(
            f"objectives must be one or more different names, got {', '.join(objectives) or 'none'}"
        )
    for name in objectives:
        check_choice("objective", name, OBJECTIVES)
    if "q" in objectives and not method.has_reference:
        raise ParameterError(f"objective 'q': {method.name} has no estimate of the symmetric point")
    if "w" in objectives and problem == RECORDED:
        raise ParameterError("objective 'w': W has no optimum under recorded gradients; choose 'q'")


def evaluate(
    method: Method,
    task: Task,
    seeds: Sequence[int],
    *,
    by_steps: bool = False,
    watch: Watch | None = None,
) -> Scores:
    """Run ``method`` on the problems of ``seeds`` and score it.

    Parameters
    ----------
    method : Method
        Settings of the recursion.
    task : Task
        Problem, steps, cost.
    seeds : sequence of int
        Each a problem of its own with its own noise, as in `sptrack.tracking.compare.compare`.
    by_steps : bool
        All runs move on together, a stretch at a time, instead of one after the other.
    watch : callable or None
        Called with the scores so far, before the end: after every run but the last, or, ``by_steps``, after
        every stretch but the last. What it raises ends the evaluation.

    Returns
    -------
    dict
        Every name of `OBJECTIVES` to its values [seeds]; "q" is NaN where the method has no estimate.

    Raises
    ------
    ParameterError
        A problem or device that is refused, rates out of range.
    """
    trackers: list[Tracker] = []
    if by_steps:
        trackers = [_tracker(method, task, seed) for seed in seeds]
        for k, samples in enumerate(task.stretches):
            for tracker in trackers:
                tracker.run(samples * task.sample, samples=samples)
            if watch is not None and k + 1 < len(task.stretches):
                watch(_scores(trackers, task))
    else:
        for k, seed in enumerate(seeds):
            trackers.append(_tracker(method, task, seed))
            for samples in task.stretches:
                trackers[-1].run(samples * task.sample, samples=samples)
            if watch is not None and k + 1 < len(seeds):
                watch(_scores(trackers, task))
    return _scores(trackers, task)


def excess(scores: Scores, limits: Mapping[str, float], *, whole: bool = True) -> float:
    """Largest excess over a limit on any problem, relative to the limit; 0 if all are kept.

    Not ``whole``: of runs that have not ended, whose counts alone can be held against a limit.
    """
    known = [name for name in limits if whole or name not in _ERRORS]
    return max([0.0, *(float(scores[name].max()) / limits[name] - 1.0 for name in known)])


def _tracker(method: Method, task: Task, seed: int) -> Tracker:
    return Tracker(problem(task.problem, task.settings, seed=seed), method, seed=seed)


def _scores(trackers: Sequence[Tracker], task: Task) -> Scores:
    size = task.settings.size
    rows = []
    for tracker in trackers:
        w, _, q = tracker.result.tail(TAIL)
        counts = {name: tracker.ledger.total(name) for name in QUANTITIES}
        cost = task.cost.total(**counts, columns=size)
        known = q if tracker.method.has_reference else np.nan
        rows.append([w, known, *(count / size for count in counts.values()), cost / size])
    return dict(zip(OBJECTIVES, np.array(rows, np.float64).T, strict=True))
