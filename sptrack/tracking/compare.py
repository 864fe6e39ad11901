"""Methods side by side on the same problems: errors against pulses and cost, with intervals over seeds."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.cost import CostModel
from sptrack.crossbar.checkpoint import counts as checked_counts
from sptrack.crossbar.checkpoint import read_state, write_state
from sptrack.crossbar.threads import thread_count
from sptrack.devices import CustomResponse
from sptrack.errors import ParameterError
from sptrack.intervals import positive_interval
from sptrack.results import dataset, json_text, provenance
from sptrack.tracking.config import method_mapping
from sptrack.tracking.methods import Method, method
from sptrack.tracking.problems import RECORDED, ProblemSettings, problem
from sptrack.tracking.run import Tracker
from sptrack.values import as_seed

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

SAMPLE = 200
"""Steps of a sample, the same for any number of steps, so that a longer run goes on where a shorter ended."""
TAIL = 0.1
"""Fraction of the steps, at the end, over which the errors of a method are averaged."""
QUANTITIES = ("pulses", "reads", "programs")
_ERRORS = ("w", "mix", "q")
_MEANING = ("|W - W*|^2", "|mixed weight - W*|^2", "|Q - symmetric point|^2")
_SAVE_EVERY = 30.0
"""Seconds between states of a run."""


class Comparison(NamedTuple):
    """Subject of a comparison: methods, name and settings of the problem, steps, seeds."""

    methods: tuple[Method, ...]
    problem: str
    settings: ProblemSettings
    steps: int
    seeds: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Execution of a comparison; none of it changes the result.

    Parameters
    ----------
    threads : int or None
        Runs at a time; None: one per processor.
    progress : callable or None
        Called with the runs done so far and all runs.
    checkpoints : Path or None
        Folder (made if need be) in which every run keeps its state, METHOD-SEED.npz.
    resume : bool
        Go on from the states in that folder instead of from the start.
    """

    threads: int | None = None
    progress: Callable[[int, int], None] | None = None
    checkpoints: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        thread_count(self.threads)
        if self.resume and self.checkpoints is None:
            raise ParameterError("resume needs a folder of checkpoints, got checkpoints = None")


class _Run(NamedTuple):
    """Errors [samples, 3] and cumulative counts of pulses, reads and programs [samples, 3]."""

    errors: Array
    counts: Array


def compare(
    methods: Sequence[str | Method],
    problem: str = "quadratic",
    settings: ProblemSettings | None = None,
    steps: int = 20000,
    seeds: int = 10,
    seed: int = 0,
    cost: CostModel | None = None,
    **running: Any,
) -> "xr.Dataset":
    """Run methods on the same problems.

    Parameters
    ----------
    methods : sequence of str or Method
        Names of factories, or methods with names of their own.
    problem : str
        Name of the problem.
    settings : ProblemSettings or None
        Its settings; None: the default.
    steps : int
        Steps of each run, a multiple of 200.
    seeds, seed : int
        Seeds seed .. seed + seeds - 1, each a problem of its own with its own noise.
    cost : CostModel or None
        What pulses, reads and programming events weigh; None: the default weights.
    **running
        Fields of `Running`: threads, progress, checkpoints, resume.

    Returns
    -------
    Dataset
        Over ``method``, ``seed`` and ``sample`` (of 200 steps, ``step`` is its last): ``w_error``,
        ``mix_error``, ``q_error`` (mean over the weights and the steps of the sample, weight units squared;
        Q's is NaN for methods without one, those of the weights with recorded gradients) and ``pulses``,
        ``reads``, ``programs``, ``cost`` so far, of all cells of W and P, calibration included: programs are
        renewals of an analog copy of the reference, ``cost_digital`` is the cost where it is subtracted
        digitally instead. Over ``method``: ``w_tail``, ``mix_tail``, ``q_tail``, means over the last tenth of
        the steps and all seeds, and ``w_tail_ci`` ..., their 95 % intervals over seeds
        (`sptrack.intervals.positive_interval`).

    Raises
    ------
    ParameterError
        Unknown or repeated method, unknown problem, steps or seeds out of range, a device that `Tracker`
        refuses, a state in the folder that belongs to other settings or to more steps.
    """
    chosen = tuple(method(item) if isinstance(item, str) else item for item in methods)
    made = ProblemSettings() if settings is None else settings
    what = Comparison(chosen, problem, made, steps, range(as_seed(seed), seed + seeds))
    _check(what)
    runs = _run_all(what, Running(**running))
    return _dataset(what, runs, CostModel() if cost is None else cost)


def _check(what: Comparison) -> None:
    names = [item.name for item in what.methods]
    if not names:
        raise ParameterError("methods must name at least one, got none")
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"methods must differ, got {name!r} {names.count(name)} times")
    if what.steps < 1 or what.steps % SAMPLE:
        raise ParameterError(f"steps must be a positive multiple of {SAMPLE}, got {what.steps}")
    if len(what.seeds) < 1:
        raise ParameterError(f"seeds must be at least 1, got {len(what.seeds)}")
    _tracker(what, what.methods[0], what.seeds[0])


def _tracker(what: Comparison, method: Method, seed: int) -> Tracker:
    return Tracker(problem(what.problem, what.settings, seed=seed), method, seed=seed)


def _run_all(what: Comparison, running: Running) -> list[list[_Run]]:
    """Runs by method and seed. The first error, or an interrupt, ends all at their next sample."""
    if running.checkpoints is not None:
        running.checkpoints.mkdir(exist_ok=True)
    jobs = [(method, seed) for method in what.methods for seed in what.seeds]
    stop = Event()
    with ThreadPoolExecutor(thread_count(running.threads), thread_name_prefix="sptrack") as pool:
        futures: list[Future[_Run]] = [pool.submit(_run, what, running, stop, *job) for job in jobs]
        try:
            _follow(futures, running)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    done = [future.result() for future in futures]
    count = len(what.seeds)
    return [done[first : first + count] for first in range(0, len(done), count)]


def _follow(futures: Sequence[Future[_Run]], running: Running) -> None:
    """Wait for all, reporting; raise the first error."""
    open_: set[Future[_Run]] = set(futures)
    while open_:
        finished, open_ = wait(open_, return_when=FIRST_COMPLETED)
        for future in finished:
            future.result()
        if running.progress is not None:
            running.progress(len(futures) - len(open_), len(futures))


def _run(what: Comparison, running: Running, stop: Event, method: Method, seed: int) -> _Run:
    tracker = _tracker(what, method, seed)
    counts: list[list[int]] = []
    path = None if running.checkpoints is None else running.checkpoints / f"{method.name}-{seed}.npz"
    asked = {"method": method_mapping(method), "problem": what.problem, "seed": seed}
    asked["settings"] = _described(what.settings)
    made_by = json_text(asked)
    if running.resume and path is not None and path.exists():
        counts = _resume(tracker, path, made_by, what.steps)
    saved = time.monotonic()
    while tracker.step < what.steps and not stop.is_set():
        tracker.run(SAMPLE, samples=1)
        counts.append([tracker.ledger.total(name) for name in QUANTITIES])
        due = time.monotonic() - saved > _SAVE_EVERY or tracker.step == what.steps or stop.is_set()
        if path is not None and due:
            state = {"counts": np.array(counts), "made_by": np.array(made_by)}
            write_state(path, tracker.checkpoint() | state)
            saved = time.monotonic()
    return _Run(tracker.result.errors, np.array(counts))


def _described(settings: ProblemSettings) -> dict[str, Any]:
    """Settings as data; a device with a user's own functions, which are none, by its name alone."""
    made = {field.name: getattr(settings, field.name) for field in fields(settings)}
    own = isinstance(settings.device.response, CustomResponse)
    return made | {"device": settings.device.source.name} if own else made


def _resume(tracker: Tracker, path: Path, made_by: str, steps: int) -> list[list[int]]:
    state = read_state(path)
    if str(state.get("made_by")) != made_by or "counts" not in state:
        raise ParameterError(f"{path}: a run with other settings; resume with its method, problem and seed")
    tracker.resume(state)
    if tracker.step > steps:
        raise ParameterError(f"{path}: already at step {tracker.step}; steps = {steps} must not be fewer")
    found: list[list[int]] = checked_counts(state, "counts", (tracker.step // SAMPLE, 3)).tolist()
    return found


def _dataset(what: Comparison, runs: list[list[_Run]], cost: CostModel) -> "xr.Dataset":
    errors = np.array([[run.errors for run in row] for row in runs])
    if what.problem == RECORDED:
        errors[..., :2] = np.nan
    for k, item in enumerate(what.methods):
        if not item.has_reference:
            errors[k, :, :, 2] = np.nan
    counts = np.array([[run.counts for run in row] for row in runs])
    every = ("method", "seed", "sample")
    squared = {"units": "weight units squared"}
    variables: dict[str, Any] = {
        name: (every, counts[..., k], {"units": name}) for k, name in enumerate(QUANTITIES)
    }
    for name, weights in (("cost", cost), ("cost_digital", cost.digital)):
        total = counts @ _weights(weights, what.settings.size)
        variables[name] = (every, total, {"units": "pulse units"})
    last = max(1, round(TAIL * errors.shape[2]))
    for k, (name, meaning) in enumerate(zip(_ERRORS, _MEANING, strict=True)):
        tails = errors[:, :, -last:, k].mean(axis=2)
        about = squared | {"long_name": meaning}
        variables[f"{name}_error"] = (every, errors[..., k], about)
        variables[f"{name}_tail"] = (("method",), tails.mean(axis=1), about)
        variables[f"{name}_tail_ci"] = (("method", "end"), positive_interval(tails), squared)
    step = SAMPLE * np.arange(1, errors.shape[2] + 1)
    coordinates = {
        "method": (("method",), [item.name for item in what.methods], {}),
        "seed": (("seed",), list(what.seeds), {"units": "1"}),
        "step": (("sample",), step, {"units": "steps"}),
    }
    asked: dict[str, Any] = {
        "methods": [method_mapping(item) for item in what.methods],
        "problem": what.problem,
        "settings": _described(what.settings),
    }
    asked |= {"steps": what.steps, "seeds": list(what.seeds), "cost": cost}
    return dataset(variables, coordinates, provenance(seed=what.seeds.start, parameters=asked))


def _weights(cost: CostModel, cells: int) -> Array:
    """Cost of one pulse, one read and one programming event on a row of so many cells."""
    single = ({"pulses": 1}, {"pulses": 0, "reads": 1}, {"pulses": 0, "programs": 1})
    return np.array([cost.total(**one, columns=cells) for one in single])


def comparison_rows(data: "xr.Dataset") -> list[dict[str, Any]]:
    """One record per method of a dataset of `compare`, for tables and JSON.

    Keys: ``method``; ``w_mse``, ``w_mse_ci``, ``sp_mse``, ``sp_mse_ci`` (tail errors of W and Q with their
    intervals, weight units squared; None for Q where it means nothing and for intervals of one seed);
    ``pulses``, ``reads``, ``programs``, ``cost``, ``cost_digital`` (of a whole run, all cells, mean over
    seeds).
    """
    rows = []
    for name in data["method"].values.tolist():
        one = data.sel({"method": name})
        row: dict[str, Any] = {"method": name}
        for key, variable in (("w_mse", "w_tail"), ("sp_mse", "q_tail")):
            value, ends = float(one[variable]), one[f"{variable}_ci"].values.tolist()
            row[key] = value if np.isfinite(value) else None
            row[f"{key}_ci"] = ends if np.isfinite(ends).all() else None
        for quantity in (*QUANTITIES, "cost", "cost_digital"):
            row[quantity] = float(one[quantity].isel(sample=-1).mean())
        rows.append(row)
    return rows
