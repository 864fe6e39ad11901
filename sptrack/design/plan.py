"""Plan of a search of settings: its start, the settings varied, the objectives and the effort."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sptrack.design.scores import OBJECTIVES, Task, check_objectives
from sptrack.design.space import Choice, Range, check_space, default_space
from sptrack.devices import CustomResponse
from sptrack.devices.config import described_scalar, refuse_unknown
from sptrack.errors import ParameterError
from sptrack.results import json_text
from sptrack.tracking.config import method_mapping
from sptrack.tracking.methods import Method
from sptrack.values import as_seed, check_choice, check_number, check_whole

SAMPLERS = ("tpe", "random")
PRUNERS = ("seeds", "steps", "none")
HELD_OUT = 100
"""First held-out seed less the first tuning seed."""
FINAL_SEEDS = 10
"""Further problems on which the finalists are run."""
FILE_KEYS = (
    "objective", "limit", "sampler", "prune", "trials", "seeds", "finalists", "held_out", "seed", "steps",
    "vary",
)  # fmt: skip
"""Keys of the table [tune] of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Settings varied and objectives.

    Parameters
    ----------
    space : mapping
        Settings by name to `Range` or `Choice`; empty: those of the method's factory over default ranges.
    objectives : tuple of str
        Names of `OBJECTIVES`, all to be made small; with more than one the front is kept.
    limits : mapping
        Names of `OBJECTIVES` to the largest value on any problem; trials above are excluded.
    sampler : str
        "tpe": tree-structured Parzen estimator, after ten random trials; "random".
    prune : str
        What an objective so far is taken from, for a trial to be given up when it is worse than the median of
        the complete trials there, once there are five: "seeds", the runs ended so far, which only ever
        compares the objective itself; "steps", all runs up to a stretch of their steps, which saves more but
        favours settings that start fast; "none". With more than one objective nothing is given up.
    """

    space: Mapping[str, Range | Choice] = field(default_factory=dict)
    objectives: tuple[str, ...] = ("w",)
    limits: Mapping[str, float] = field(default_factory=dict)
    sampler: str = "tpe"
    prune: str = "seeds"

    def __post_init__(self) -> None:
        for name, choices in (("sampler", SAMPLERS), ("prune", PRUNERS)):
            check_choice(name, getattr(self, name), choices)
        for name, limit in self.limits.items():
            check_choice("limit", name, OBJECTIVES)
            check_number(f"limit of {name}", limit, above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Effort of the search.

    Parameters
    ----------
    trials : int
        Trials of the study in all; workers that share it share them out, a resumed study goes on to them.
    seeds : int
        Problems on which a trial is scored: seeds seed .. seed + seeds - 1, at most 90.
    finalists : int
        So many of the best trials, and the first, are run on 10 further problems, and the best of them there
        is taken: the best of many trials on few problems owes its place to luck as well. 0, or more than one
        objective: no such round.
    held_out : int
        Problems on which start and best are compared: seeds seed + 100 .. seed + 99 + held_out.
    seed : int
        First problem, and root of the sampler's draws.
    """

    trials: int = 100
    seeds: int = 4
    finalists: int = 5
    held_out: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("trials", self.trials, 1)
        if not 1 <= self.seeds <= HELD_OUT - FINAL_SEEDS:
            raise ParameterError(f"seeds must be 1 to {HELD_OUT - FINAL_SEEDS}, got {self.seeds}")
        check_whole("finalists", self.finalists, 0)
        check_whole("held_out", self.held_out, 2)
        as_seed(self.seed)

    @property
    def tuning_seeds(self) -> range:
        """Seeds of the problems on which trials are scored."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def final_seeds(self) -> range:
        """Seeds of the problems on which finalists are scored."""
        return range(self.seed + self.seeds, self.seed + self.seeds + FINAL_SEEDS)

    @property
    def held_out_seeds(self) -> range:
        """Seeds of the problems that no trial has seen."""
        return range(self.seed + HELD_OUT, self.seed + HELD_OUT + self.held_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study: the same plan and one worker make the same trials.

    Parameters
    ----------
    start : Method
        Where tuning starts: the first trial, and what the best is compared with.
    source : str
        Where ``start`` comes from, for the report.
    task : Task
        Problem, steps, cost.
    search : SearchSettings
        What is varied and what for.
    budget : Budget
        How much is run.

    Raises
    ------
    ParameterError
        A space or objective that does not suit the method.
    """

    start: Method
    source: str = "settings given"
    task: Task = field(default_factory=Task)
    search: SearchSettings = field(default_factory=SearchSettings)
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        limited = [name for name in self.search.limits if name not in self.search.objectives]
        check_objectives((*self.search.objectives, *limited), self.start, self.task.problem)
        check_space(self.space, self.start)

    @property
    def space(self) -> Mapping[str, Range | Choice]:
        """Settings that are varied."""
        return self.search.space or default_space(self.start)

    def identity(self) -> dict[str, Any]:
        """Plain data of all that fixes the trials; a study can be gone on with by plans with an equal one."""
        settings = {item.name: getattr(self.task.settings, item.name) for item in fields(self.task.settings)}
        device = self.task.settings.device
        if isinstance(device.response, CustomResponse):
            settings["device"] = device.source.name
        described = {
            "start": method_mapping(self.start),
            "problem": self.task.problem,
            "settings": settings,
            "steps": self.task.steps,
            "cost": self.task.cost,
            **({} if self.task.sample == Task().sample else {"sample": self.task.sample}),
            "vary": {name: asdict(range_) for name, range_ in self.space.items()},
            "objectives": self.search.objectives,
            "limits": dict(self.search.limits),
            "sampler": self.search.sampler,
            "prune": self.search.prune,
            "seeds": self.budget.seeds,
            "seed": self.budget.seed,
        }
        plain: dict[str, Any] = json.loads(json_text(described))
        return plain


def difference(one: Any, other: Any, name: str = "") -> str:
    """First place where two plain values differ, as "name: one there, other here"; empty if they do not."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            found = difference(one.get(key), other.get(key), f"{name}.{key}" if name else str(key))
            if found:
                return found
        return ""
    return "" if one == other else f"{name}: {json.dumps(one)} there, {json.dumps(other)} here"


def table_values(table: Any, where: str) -> dict[str, Any]:
    """Values of a table [tune] of a file, checked for names and types.

    Keys: those of `FILE_KEYS`; ``objective`` a name or a list of names, ``limit`` a table of numbers,
    ``vary`` a table of settings with texts as on the command line ("1e-3:0.1"), lists of two numbers or of
    choices, or true for the default range. ``vary`` and ``limit`` come back as texts of the command line,
    ``objective`` as a tuple.

    Raises
    ------
    ParameterError
        Unknown key, value of a wrong type.
    """
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where}: tune must be a table, got {table!r}")
    refuse_unknown(table, FILE_KEYS, "tune.", where)
    parsers = {"vary": _vary_texts, "limit": _limit_texts, "objective": _names}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in parsers:
            values[key] = parsers[key](value, where)
        else:
            kind = str if key in ("sampler", "prune") else int
            values[key] = described_scalar(kind, value, f"tune.{key}", where)
    return values


def _names(value: Any, where: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ParameterError(f"{where}: tune.objective must be a name or a list of names, got {value!r}")
    return tuple(names)


def parse_limits(texts: Iterable[str]) -> dict[str, float]:
    """Limits from texts such as "pulses=2e4".

    Raises
    ------
    ParameterError
        A text of another form, a limit given twice.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if name in limits:
            raise ParameterError(f"limit of {name} must be given once, got it twice")
        try:
            limits[name] = float(value)
        except ValueError as error:
            raise ParameterError(f"limit must be NAME=NUMBER, got {text!r}") from error
    return limits


def _limit_texts(table: Any, where: str) -> tuple[str, ...]:
    numbers = isinstance(table, Mapping) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in table.values()
    )
    if not numbers:
        raise ParameterError(f"{where}: tune.limit must be a table of numbers, got {table!r}")
    return tuple(f"{name}={value!r}" for name, value in table.items())


def _vary_texts(table: Any, where: str, prefix: str = "") -> tuple[str, ...]:
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where}: tune.vary must be a table, got {table!r}")
    texts: list[str] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            texts += _vary_texts(value, where, f"{prefix}{name}.")
        else:
            texts.append(_vary_text(f"{prefix}{name}", value, where))
    return tuple(texts)


def _vary_text(name: str, value: Any, where: str) -> str:
    if value is True:
        return name
    if isinstance(value, str):
        return f"{name}={value}"
    if isinstance(value, list) and all(isinstance(item, str | bool) for item in value):
        return f"{name}={'|'.join(str(item) for item in value)}"
    if isinstance(value, list) and len(value) == 2 and all(isinstance(item, int | float) for item in value):
        return f"{name}={value[0]!r}:{value[1]!r}"
    raise ParameterError(
        f"{where}: tune.vary.{name} must be '1e-3:0.1', [low, high], choices or true, got {value!r}"
    )
