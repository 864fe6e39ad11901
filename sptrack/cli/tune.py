"""`sptrack tune`: settings of a method tuned on a problem, start and best compared on held-out problems."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._folder import kept_folder
from sptrack.cli._progress import progress_bar
from sptrack.cli._setup import SetupInput, chosen_methods
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.design import Budget, Plan, SearchSettings, Task, Tuning, hold_out, run_study
from sptrack.design.plan import parse_limits, table_values
from sptrack.design.space import parse_space
from sptrack.devices.config import read_toml
from sptrack.errors import ParameterError
from sptrack.results import json_text, save, write_atomic
from sptrack.tracking.config import Setup, setup_to_toml
from sptrack.tracking.methods import Method

if TYPE_CHECKING:
    from rich.console import Console

_JOURNAL = "tune.journal"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """Varied settings and objectives; the table [tune] of the file gives the others.

    Parameters
    ----------
    vary
        Settings to vary: NAME=LOW:HIGH (with :log or :linear if need be), NAME=ONE|OTHER, or NAME alone for
        its default range; default: those of the method that are above 0.
    objective
        What to make small: w, q, pulses, reads, programs, cost; several for the front between them.
    limit
        Largest value on any problem, NAME=NUMBER with the names of --objective: trials above are excluded.
    sampler
        tpe or random.
    prune
        When a trial is given up: seeds, steps or none.
    """

    vary: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None
    objective: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None
    limit: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None
    sampler: str | None = None
    prune: str | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Number of trials and runs; the table [tune] of the file gives the others.

    Parameters
    ----------
    trials
        Trials of the study in all (100), those of earlier calls and of other processes included.
    seeds
        Problems on which a trial is scored (4).
    finalists
        Best trials that are run on 10 further problems before one is taken (5).
    held_out
        Problems, unseen by any trial, on which start and best are compared (10).
    steps
        Steps of each run, a multiple of 200 (20000).
    seed
        First problem, and root of the sampler's draws (0).
    """

    trials: int | None = None
    seeds: int | None = None
    finalists: int | None = None
    held_out: int | None = None
    steps: int | None = None
    seed: int | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Output of the results.

    Parameters
    ----------
    study
        Journal file of the study: the same call goes on with it after an interrupt, and several processes or
        machines can share it; default: tune.journal in the folder of --out, else memory.
    out
        Folder for the result as JSON, the trials as dataset, the figure, and the best method as TOML for
        `sptrack track --config`.
    json
        Print JSON alone.
    quiet
        No progress on stderr.
    """

    study: Path | None = None
    out: Path | None = None
    json: bool = False
    quiet: bool = False


_SETUP, _SEARCHING, _AMOUNT, _OUTPUT = SetupInput(), Searching(), Amount(), Output()


def tune(
    *,
    setup: SetupInput = _SETUP,
    searching: Searching = _SEARCHING,
    amount: Amount = _AMOUNT,
    output: Output = _OUTPUT,
    start: Literal["settings", "design"] = "settings",
) -> None:
    """Tune the settings of a method on a problem, from a start.

    Parameters
    ----------
    setup
        Method, problem, device, file.
    searching
        Settings, objectives, sampler.
    amount
        Trials, problems, steps.
    output
        Journal, folder and form of the results.
    start
        settings: those of the file, or the method's defaults; design: method and settings that theory picks
        for the problem's device, reads and noise, as `sptrack design` does.
    """
    loaded = setup.load()
    named = (setup.method, loaded.method, loaded.filter, loaded.chopper)
    if start == "design" and any(one is not None for one in named):
        raise ParameterError(
            "--start design picks method, filter and chopper: remove those of the options and of the file"
        )
    given = None
    if start == "settings":
        (given,) = chosen_methods(loaded, () if setup.method is None else (setup.method,))
    plan = _plan(loaded, given, setup, (searching, amount))
    journal = output.out / _JOURNAL if output.study is None and output.out is not None else output.study
    with kept_folder(output.out) as folder:
        with progress_bar("tuning", "trials", quiet=output.quiet) as progress:
            study = run_study(plan, journal, progress)
        with progress_bar("held-out problems", "methods", quiet=output.quiet) as progress:
            made = Tuning(study, hold_out(study, progress))
        record = made.record()
        if folder is not None:
            _write(made, record, folder)
    if output.out is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)
    if output.json:
        print(json_text(record), end="")
    else:
        _print(record, output.out)


def _plan(loaded: Setup, start: Method | None, setup: SetupInput, options: tuple[Searching, Amount]) -> Plan:
    """The study; without a ``start`` from the design for the problem."""
    config = setup.config
    values = {} if config is None else table_values(read_toml(config).get("tune", {}), str(config))
    for given in options:
        own = {item.name: getattr(given, item.name) for item in fields(given)}
        values |= {name: value for name, value in own.items() if value is not None}
    texts = values.pop("vary", ())
    chosen: dict[str, Any] = {name: values.pop(name) for name in ("sampler", "prune") if name in values}
    if "limit" in values:
        chosen["limits"] = parse_limits(values.pop("limit"))
    if "objective" in values:
        chosen["objectives"] = values.pop("objective")
    steps = values.pop("steps", Task().steps)
    if start is None:
        start, source = _designed(loaded, steps)
    else:
        source = _source(loaded, start, setup)
    return Plan(
        start=start,
        source=source,
        task=Task(problem=loaded.problem, settings=loaded.settings, steps=steps),
        search=SearchSettings(space=parse_space(texts, start), **chosen),
        budget=Budget(**values),
    )


def _source(loaded: Setup, start: Method, setup: SetupInput) -> str:
    """Origin of the starting settings, with the filter and the chopper that were given."""
    of_file = loaded.method is not None and loaded.method.name == start.name
    source = f"settings of {setup.config}" if of_file else f"defaults of {start.name}"
    blocks = {"filter": (loaded.filter, start.reference), "chopper": (loaded.chopper, start.chopper)}
    given = [f"{name} {used or 'none'}" for name, (asked, used) in blocks.items() if asked is not None]
    return source + (f" with {' and '.join(given)}" if given else "")


def _designed(loaded: Setup, steps: int) -> tuple[Method, str]:
    """Method that theory picks for the problem, and what it was picked for."""
    from sptrack.design import search as search_design
    from sptrack.design.specification import problem_specification

    found = search_design(problem_specification(loaded.settings, steps))
    limits = ", ".join(f"{name} {limit:g}" for name, limit in found.specification.requirements.limits.items())
    state = "design for" if found.feasible else "design nearest to"
    return found.best.method, f"{state} {limits}"


def _print(record: dict[str, Any], out: Path | None) -> None:
    (chosen,) = [one for one in record["candidates"] if one["trial"] == record["chosen"]]
    to = console()
    show_verdict(to, *_verdict(record, chosen))
    if len(record["objectives"]) > 1:
        _show_front(to, record)
    columns = (Column("setting", left=True), Column("start"), Column("tuned"), Column("tuned / start", 1))
    rows = []
    for name, values in chosen["settings"].items():
        ratio = "-" if values["moved"] is None else f"{values['moved']:.3g}"
        rows.append([name, _text(values["start"]), _text(values["tuned"]), ratio])
    title = f"{record['method']} on {record['problem']}, {record['steps']:,} steps: trial {chosen['trial']}"
    show_table(to, title, columns, rows)
    scored = (
        Column("score", left=True),
        Column("start", 1),
        Column("tuned"),
        Column("difference", 3),
        Column("95 % interval"),
        Column("tuned is"),
        Column("on tuning seeds", 4),
    )
    show_table(
        to,
        f"means over {len(record['held_out_seeds'])} held-out problems",
        scored,
        [*_scores(record, chosen)],
    )
    show_lines(to, _sentences(record, chosen))
    show_next(to, _advice(record, out))


def _verdict(record: dict[str, Any], chosen: dict[str, Any]) -> tuple[str, str, bool | None]:
    """Word, reason and meaning, by the objectives on the held-out problems."""
    says = {name: chosen["scores"][name]["verdict"] for name in record["objectives"]}
    parts = []
    for name in record["objectives"]:
        one = chosen["scores"][name]
        parts.append(f"{name} {one['start']:.3g} -> {one['tuned']:.3g}")
    text = f"{', '.join(parts)} on {len(record['held_out_seeds'])} held-out problems"
    if "worse" in says.values():
        return "WORSE", text, False
    if "better" in says.values():
        return "BETTER", text, True
    return "NO GAIN SHOWN", text, None


def _advice(record: dict[str, Any], out: Path | None) -> str:
    if record["trials"]["running"]:
        return "call again when the other workers are done"
    if out is None:
        return "--out DIR writes best.toml, for sptrack track --config DIR/best.toml"
    return f"sptrack track --config {out / 'best.toml'}; more --trials search on"


def _scores(record: dict[str, Any], chosen: dict[str, Any]) -> Iterator[list[str]]:
    for name, values in chosen["scores"].items():
        low, high = values["difference_ci"]
        yield [
            f"{name} *" if name in record["objectives"] else name,
            *(f"{values[key]:.4g}" for key in ("start", "tuned")),
            f"{values['difference']:+.3g}",
            f"{low:+.3g} .. {high:+.3g}",
            values["verdict"],
            f"{values['tuning']:.4g}",
        ]


def _show_front(to: "Console", record: dict[str, Any]) -> None:
    names, settings = record["objectives"], record["start"]["settings"]
    columns = (
        Column("trial", left=True),
        *(Column(name) for name in names),
        *(Column(name, 1 + k) for k, name in enumerate(settings)),
    )
    first = record["candidates"][0]["scores"]
    rows = [["start", *(f"{first[n]['start']:.4g}" for n in names), *map(_text, settings.values())]]
    for one in record["candidates"]:
        scores = [f"{one['scores'][name]['tuned']:.4g}" for name in names]
        tuned = [_text(values["tuned"]) for values in one["settings"].values()]
        mark = " <" if one["trial"] == record["chosen"] else ""
        rows.append([f"{one['trial']}{mark}", *scores, *tuned])
    show_table(to, "start and front, means over held-out problems; <: taken", columns, rows)


def _sentences(record: dict[str, Any], chosen: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{n} {state}" for state, n in record["trials"].items() if n)
    lines = [f"Start: {record['start']['source']}. Trials: {counts}. * objective."]
    if record["start"]["outside"]:
        names = ", ".join(record["start"]["outside"])
        lines.append(f"The start lies outside the range of {names}: the first trial is the nearest point.")
    if chosen["at_edge"]:
        names = ", ".join(chosen["at_edge"])
        lines.append(f"The search ended at the edge of the range of {names}: a wider one may hold better.")
    for name in record["objectives"]:
        values = chosen["scores"][name]
        lines.append(f"{name}: {_SAYS[values['verdict']]}")
    return lines


_SAYS = {
    "better": "the tuned settings are better than the start on held-out problems.",
    "worse": "the tuned settings are worse than the start on held-out problems.",
    "same": "the tuned settings do exactly as the start does.",
    "not told apart": "the interval of the difference includes zero: no gain shown on held-out problems.",
}


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _write(made: Tuning, record: dict[str, Any], folder: Path) -> None:
    found, data = made.study, made.labelled()
    task = found.plan.task
    files = {"best.toml": found.method}
    if len(found.best) > 1:
        pairs = zip(found.best, found.methods[1:], strict=True)
        files |= {f"front-{trial.slot}.toml": method for trial, method in pairs}
    for name, method in files.items():
        setup = Setup(method=method, problem=task.problem, settings=task.settings)
        write_atomic(folder / name, setup_to_toml(setup))
    write_atomic(folder / "tune.json", json_text(record))
    save(data, folder / "tune.nc")
    write_figures(folder, data, tune="sptrack.plotting.tuning:tuning_figure")
