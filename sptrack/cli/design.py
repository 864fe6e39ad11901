"""`sptrack design`: settings that meet a specification, held against simulation."""

import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._progress import progress_bar
from sptrack.intervals import interval_text
from sptrack.results import json_text, output_folder, save, write_atomic

if TYPE_CHECKING:
    from sptrack.design import Design
    from sptrack.design.checking import Row

MISSED = 1
_FILE_WIDTH = 100


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How a design is searched and simulated.

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
    told = report(made)
    if out is not None:
        with output_folder(out) as folder:
            _write(made, told, folder)
        if not quiet:
            print(f"wrote {out}", file=sys.stderr)
    if json:
        print(json_text(told), end="")
    else:
        _print(made)
    return 0 if made.met else MISSED


def report(made: "Design") -> dict[str, Any]:
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
        "training": made.check.training,
        "warnings": list(made.warnings),
    }


def _print(made: "Design") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from sptrack.design.specification import UNITS

    spec, told = made.search.specification, report(made)
    title = f"{told['device']}, {spec.steps} steps: {told['estimator']}, chopper {told['chopper']}"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for heading in ("quantity", "limit", "predicted", "measured (95 %)", "margin", "verdict", "unit"):
        table.add_column(
            heading, justify="left" if heading in ("quantity", "unit") else "right", no_wrap=True
        )
    for row in made.check.rows:
        table.add_row(
            row.name,
            "-" if row.limit is None else f"{row.limit:g}",
            f"{row.predicted:.4g}",
            _measured(row),
            "-" if row.margin is None else f"{row.margin:.2f}",
            row.verdict,
            UNITS[row.name],
        )
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(table)
    lines = [
        f"alpha {told['alpha']:.4g}, eta {told['eta']:.4g}, gamma {told['gamma']:.3g}, beta "
        f"{told['beta']:.4g}; {_bandwidth(made)}",
        f"trained on the quadratic problem: |W - W*|² {told['training']['w']:.3g} "
        f"(untrained {told['training']['untrained']:.3g}), |Q - SP|² {told['training']['q']:.3g}",
        *(_miss(miss) for miss in made.misses),
        *(f"warning: {text}" for text in made.warnings),
    ]
    console.print("\n".join(lines), highlight=False)


def _measured(row: "Row") -> str:
    """Measured value with its interval; "> n" for one that the run was too short to show."""
    if math.isnan(row.measured):
        return "-"
    low, high = row.interval
    if math.isinf(high):
        return f"> {row.measured:.4g}"
    return f"{row.measured:.4g}" if low == high else interval_text(row.measured, low, high, digits=4)


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
    from sptrack.design.dataset import design_dataset
    from sptrack.design.export import design_to_toml, filter_csv, filter_npz

    data = design_dataset(made)
    write_atomic(folder / "design.toml", design_to_toml(made.search.specification, made.chosen))
    write_atomic(folder / "design.json", json_text(told))
    if made.chosen.filter is not None:
        write_atomic(folder / "filter.npz", filter_npz(made.chosen))
        write_atomic(folder / "filter.csv", filter_csv(made.chosen))
    save(data, folder / "design.nc")
    home = "sptrack.plotting.design"
    write_figures(folder, data, design=f"{home}:design_figure", pareto=f"{home}:pareto_figure")
