"""Command line of the benchmarks: ``python -m benchmarks report``, from the repository's root."""

import json as text
import sys
from functools import partial
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from benchmarks import measure as measurements
from benchmarks import report as reports
from benchmarks.cases import CASES
from sptrack.errors import ParameterError, SptrackError, nearest, one_line

app = App(
    name="python -m benchmarks",
    help="Speed of kernels and commands.",
    default_parameter=Parameter(negative=""),
    version_flags=[],
)


@app.command
def report(*, json: bool = False, quick: bool = False) -> None:
    """Measure everything and print it beside targets; exit status 0 whatever the verdicts.

    Parameters
    ----------
    json
        Print JSON alone instead of a table.
    quick
        Measure each kernel once and leave out what needs fresh processes.
    """
    if not json:
        reports.write(partial(print, flush=True), quick=quick)
        return
    found = {
        "machine": reports.machine(quick=quick),
        "measured": [{**row._asdict(), "verdict": row.verdict} for row in reports.rows(quick=quick)],
    }
    print(text.dumps(found, indent=2))


@app.command
def sweep(*, cells: int = 10_000) -> None:
    """Measure sweeps: cost per cell beside its computation, scaling of engines, memory; minutes.

    Parameters
    ----------
    cells
        Cells of the sweeps whose overhead is measured.
    """
    from benchmarks import sweeps

    reports.write_rows(partial(print, flush=True), sweeps.rows(cells))


@app.command
def train(
    *,
    method: Literal["tt-v2", "agad", "e-rider", "o-rider"] = "e-rider",
    net: Literal["fcn", "lenet5"] = "fcn",
    batches: Annotated[int, Parameter(validator=Number(gte=1))] = 1000,
) -> None:
    """Measure training on MNIST by phases of a mini-batch, with the published settings.

    Parameters
    ----------
    method, net
        What is trained.
    batches
        Mini-batches that are measured; pulses grow during the first epoch.
    """
    from benchmarks import training

    reports.write_rows(partial(print, flush=True), training.rows(method, net, batches), "CPU time, one run")


@app.command
def measure(name: str, *, repeats: int = 5) -> None:
    """Measure one case in this process and print JSON.

    Parameters
    ----------
    name
        One of those that "list" prints.
    repeats
        Calls after the first, of which the shortest counts.
    """
    if name not in CASES:
        raise ParameterError(f"case {name!r}: one of {'; '.join(CASES)} wanted{nearest(name, CASES)}")
    print(text.dumps(measurements.rate(name, repeats)))


@app.command(name="list")
def list_cases() -> None:
    """Names of the kernel cases."""
    print("\n".join(CASES))


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; the exit status is 2 on bad words, with one line on stderr."""
    try:
        app(
            sys.argv[1:] if arguments is None else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (CycloptsError, SptrackError) as error:
        print("benchmarks:", one_line(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
