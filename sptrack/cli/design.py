"""`sptrack design`: settings that meet a specification, checked by simulation."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._progress import progress_bar
from sptrack.cli._show import Column, console, show_next, show_pairs, show_table, show_verdict
from sptrack.intervals import interval_text
from sptrack.results import json_text, output_folder, save, write_atomic

if TYPE_CHECKING:
    from sptrack.design import Design
    from sptrack.design.checking import Row
    from sptrack.design.choice import Conflict
    from sptrack.design.specification import Specification

MISSED = 1


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Effort of search and simulation.

    Parameters
    ----------
    seed
        Seed of the cells, and first seed of the noises.
    seeds
        Independent noises of a simulation, at least 2.
    margin
        Factor by which predictions are to stay within the limits, at least 1.
    """

    seed: int = 0
    seeds: int = 8
    margin: float = 1.15


_EFFORT = Effort()


def design(
    *,
    spec: Path | None = None,
    device: str | None = None,
    gradient: Path | None = None,
    effort: Effort = _EFFORT,
    out: Path | None = None,
    json: Annotated[bool, Parameter()] = False,
    quiet: bool = False,
) -> int:
    """Choose estimator, chopper and rates for requirements on the symmetric point, and simulate the choice.

    Parameters
    ----------
    spec
        TOML file with a table [require] (bias, rms, settling, converging, weights, pulses, reads, programs,
        signal) and, if need be, device, steps, read_noise, curvature, train and [gradient]. Default: an rms
        of 5 % of half the range and a training that converges within 20000 steps.
    device
        Preset of the cells (see `sptrack devices list`), or TOML file as `sptrack fit --out` writes it; goes
        before that of the specification.
    gradient
        Recorded gradients, which go before those of the specification: CSV or .npy, a row for each step, a
        column for each cell or one for all.
    effort
        Seeds and margin.
    out
        Folder for design.toml (read by track, explain and, of a filter, response), design.json, design.nc,
        design.png, design.svg, pareto.png, pareto.svg, and a filter for other tools: filter.npz, filter.csv.
    json
        Print JSON alone.
    quiet
        No progress on stderr.
    """
    from sptrack.design import Gradient, Specification, load_specification
    from sptrack.design import design as run
    from sptrack.devices.config import device_named
    from sptrack.tracking.recorded import recorded_gradient

    wanted = Specification() if spec is None else load_specification(spec)
    if device is not None:
        wanted = wanted.with_device(device_named(device))
    if gradient is not None:
        wanted = replace(wanted, gradient=Gradient(recording=recorded_gradient(gradient)))
    with progress_bar("designing", "stages", quiet=quiet) as progress:
        stages = (lambda stage, done, total: progress(done, total)) if progress is not None else None
        made = run(wanted, seed=effort.seed, seeds=effort.seeds, margin=effort.margin, progress=stages)
    told = made.record()
    if out is not None:
        with output_folder(out) as folder:
            _write(made, told, folder)
        if not quiet:
            print(f"wrote {out}", file=sys.stderr)
    if json:
        print(json_text(told), end="")
    else:
        _print(made, out)
    return 0 if made.met else MISSED


def _print(made: "Design", out: Path | None) -> None:
    from sptrack.design.specification import UNITS

    spec, told, to = made.search.specification, made.record(), console()
    show_verdict(to, *_verdict(made))
    columns = (
        Column("quantity", left=True),
        Column("limit"),
        Column("predicted", 1),
        Column("simulated (95 %)"),
        Column("margin", 3),
        Column("verdict"),
        Column("unit", 2, left=True),
    )
    rows = [
        [
            row.name,
            "-" if row.limit is None else f"{row.limit:g}",
            f"{row.predicted:.4g}",
            _measured(row),
            "-" if row.margin is None else f"{row.margin:.2f}",
            row.verdict,
            UNITS[row.name],
        ]
        for row in made.check.rows
    ]
    title = f"{told['device']}, {spec.steps:,} steps: {told['estimator']}, chopper {told['chopper']}"
    show_table(to, title, columns, rows)
    settings = f"alpha {told['alpha']:.4g}, {made.chosen.setting.rate}, gamma {told['gamma']:.3g}, "
    training = told["training"]
    pairs = [
        ("settings", f"{settings}beta {told['beta']:.4g}; {_bandwidth(made)}"),
        (
            "training",
            f"on the quadratic problem: |W - W*|² {training['w']:.3g} (untrained "
            f"{training['untrained']:.3g}), "
            f"|Q - SP|² {training['q']:.3g}",
        ),
        *(("in the way", _conflict(one, spec)) for one in made.conflicts[1:]),
        *(("in the way", _miss(miss)) for miss in made.misses if not made.conflicts),
        *(("warning", text) for text in made.warnings),
        *(("note", text) for text in made.notes),
    ]
    show_pairs(to, pairs)
    show_next(to, _advice(made, out))


def _verdict(made: "Design") -> tuple[str, str, bool | None]:
    """Word, reason and meaning."""
    spec = made.search.specification
    limits = ", ".join(f"{name} {limit:g}" for name, limit in spec.requirements.limits.items())
    if made.met:
        return "REQUIREMENTS MET", f"{limits}: simulated with {made.check.seeds} noises", True
    if made.search.feasible and not made.misses:
        rows = [row for row in made.check.rows if row.verdict in ("missed", "uncertain")]
        names = ", ".join(f"{row.name} {_measured(row)} against {row.limit:g}" for row in rows)
        return "NOT SHOWN", f"predicted to hold, but simulated {names}", None
    if made.conflicts:
        return "NOT FEASIBLE", _conflict(made.conflicts[0], spec), False
    return "NOT FEASIBLE", f"{limits} exclude each other together, though no two of them do", False


def _conflict(found: "Conflict", spec: "Specification") -> str:
    """A limit out of reach, or two that exclude each other, and what is feasible instead."""
    from sptrack.design.specification import UNITS

    limits = spec.requirements.limits
    names = [f"{name} {limits[name]:g}" for name in found.names]
    ways = [
        f"{name} {_amount(value)} {UNITS[name]}".removesuffix(" 1")
        for name, value in zip(found.names, found.reachable, strict=True)
        if not math.isnan(value)
    ]
    if len(names) == 1:
        return f"{names[0]} is out of reach" + (f"; nearest is {ways[0]}" if ways else ": it is never met")
    met = f"; meet them with {' or '.join(ways)}" if ways else ""
    return f"{' and '.join(names)} conflict{met}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _advice(made: "Design", out: Path | None) -> str:
    if not made.met and made.search.feasible and not made.misses:
        return "add --seeds for narrower intervals, or raise --margin"
    if not made.met:
        return "relax one of the limits above, or --out DIR draws the trade-offs (pareto.png)"
    if out is None:
        return "--out DIR writes design.toml, for sptrack track --config DIR/design.toml"
    return f"sptrack track --config {out / 'design.toml'}"


def _measured(row: "Row") -> str:
    """Measured value with its interval; "> n" for one that the run was too short to show."""
    if math.isnan(row.measured):
        return "-"
    low, high = row.interval
    if math.isinf(high):
        return f"> {row.measured:.4g}"
    return f"{row.measured:.4g}" if low == high else interval_text(row.measured, low, high)


def _bandwidth(made: "Design") -> str:
    enbw = made.chosen.enbw
    return (
        f"a read every {made.chosen.setting.every} steps" if enbw is None else f"ENBW {enbw:.3g} cycles/step"
    )


def _miss(miss: Any) -> str:
    where = (
        f"{miss.name} {miss.limit:g} cannot be met along with the others: nearest setting {miss.nearest:.4g}"
    )
    if miss.reachable != miss.reachable:
        return f"{where}; no limit on it alone would do"
    return f"{where}; with {miss.name} {miss.reachable:.4g} the rest is feasible"


def _write(made: "Design", told: dict[str, Any], folder: Path) -> None:
    from sptrack.design.export import design_to_toml, filter_csv, filter_npz

    data = made.labelled()
    write_atomic(folder / "design.toml", design_to_toml(made.search.specification, made.chosen))
    write_atomic(folder / "design.json", json_text(told))
    if made.chosen.filter is not None:
        write_atomic(folder / "filter.npz", filter_npz(made.chosen))
        write_atomic(folder / "filter.csv", filter_csv(made.chosen))
    save(data, folder / "design.nc")
    home = "sptrack.plotting.design"
    write_figures(folder, data, design=f"{home}:design_figure", pareto=f"{home}:pareto_figure")
