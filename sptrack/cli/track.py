"""`sptrack track`: methods run on a problem, side by side."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._folder import kept_folder
from sptrack.cli._progress import progress_bar
from sptrack.cli._setup import SetupInput, chosen_methods, keep_their_own
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.errors import ParameterError
from sptrack.evaluation.prediction import predict
from sptrack.intervals import interval_text
from sptrack.results import json_text, save, write_atomic
from sptrack.tracking.compare import compare as run_comparison
from sptrack.tracking.compare import comparison_rows
from sptrack.tracking.config import Setup
from sptrack.tracking.methods import METHODS, Method
from sptrack.tracking.problems import RECORDED, problem

if TYPE_CHECKING:
    import xarray as xr

_SPENT = ("pulses", "reads", "programs", "cost", "cost_digital")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Length and number of the runs.

    Parameters
    ----------
    steps
        Steps of each run, a multiple of 200.
    seed
        First seed.
    seeds
        Number of seeds; each is a problem of its own, with its own noise.
    threads
        Runs at a time; default: one per processor.
    """

    steps: int = 20000
    seed: int = 0
    seeds: int = 10
    threads: int | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Output of the results.

    Parameters
    ----------
    out
        Folder for the table as JSON, the dataset, the figure, and the state of every run.
    resume
        Go on from the states in that folder: after an interrupt, or to more steps.
    json
        Print the table as a JSON list alone.
    quiet
        No progress on stderr.
    """

    out: Path | None = None
    resume: bool = False
    json: bool = False
    quiet: bool = False


_SETUP, _AMOUNT, _OUTPUT = SetupInput(), Amount(), Output()


def track(
    *,
    setup: SetupInput = _SETUP,
    gradient: Path | None = None,
    compare: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None,
    amount: Amount = _AMOUNT,
    output: Output = _OUTPUT,
) -> None:
    """Run methods on problems with known optimum and known symmetric points.

    Parameters
    ----------
    setup
        Method, problem, device, file.
    gradient
        Recorded gradients in place of a problem: CSV or .npy, a row for each step, a column for each cell or
        one for all. W has no optimum then, the reference is compared with the symmetric points.
    compare
        Methods to compare; without names all of them.
    amount
        Steps, seeds, threads.
    output
        Folder and form of the results.
    """
    if setup.method is not None and compare is not None:
        raise ParameterError("--method and --compare: only one of them can be given")
    if output.resume and output.out is None:
        raise ParameterError("--resume needs --out with the folder of the interrupted run")
    loaded = setup.load()
    if gradient is not None:
        if setup.problem not in (None, RECORDED):
            raise ParameterError(f"--gradient and --problem {setup.problem}: only one of them can be given")
        loaded = loaded.with_recording(gradient)
    names = (setup.method,) if setup.method is not None else compare
    methods = chosen_methods(loaded, tuple(METHODS) if names == () else names or ())
    left = keep_their_own(loaded, methods)
    if left and not output.quiet:
        print(f"sptrack: {left}", file=sys.stderr)
    with kept_folder(output.out) as folder:
        data = _run(loaded, methods, amount, output)
        rows = _with_predictions(comparison_rows(data), loaded, methods, amount)
        if folder is not None:
            _write(data, rows, folder)
    if output.out is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)
    if output.json:
        print(json_text(rows), end="")
    else:
        _print(rows, loaded, amount)


def _with_predictions(
    rows: list[dict[str, Any]], setup: Setup, methods: tuple[Method, ...], amount: Amount
) -> list[dict[str, Any]]:
    """Records with ``sp_mse_predicted``, mean over the problems, and why it is None, after the simulated."""
    made = [problem(setup.problem, setup.settings, seed=amount.seed + k) for k in range(amount.seeds)]
    out = []
    for row, method in zip(rows, methods, strict=True):
        found = [predict(one, method, steps=amount.steps).reference for one in made]
        values = [one.mse for one in found if one.mse is not None]
        reason = next((one.reason for one in found if one.mse is None), None)
        told = {
            "sp_mse_predicted": float(np.mean(values)) if reason is None else None,
            "not_predicted": reason,
        }
        before = {key: row[key] for key in ("method", "w_mse", "w_mse_ci", "sp_mse", "sp_mse_ci")}
        out.append(before | told | {key: value for key, value in row.items() if key not in before})
    return out


def _run(setup: Setup, methods: tuple[Method, ...], amount: Amount, output: Output) -> "xr.Dataset":
    with progress_bar("tracking", "runs", quiet=output.quiet) as progress:
        return run_comparison(
            methods,
            setup.problem,
            setup.settings,
            steps=amount.steps,
            seeds=amount.seeds,
            seed=amount.seed,
            threads=amount.threads,
            progress=progress,
            checkpoints=None if output.out is None else output.out / "checkpoints",
            resume=output.resume,
        )


def _print(rows: list[dict[str, Any]], setup: Setup, amount: Amount) -> None:
    to = console()
    show_verdict(to, *_verdict(rows))
    columns = (
        Column("method", left=True),
        Column("|W - W*|² (95 %)"),
        Column("|Q - SP|² (95 %)", 1),
        Column("predicted", 3),
        Column("pulses"),
        Column("reads", 5),
        Column("programs", 6),
        Column("cost", 2),
        Column("digital", 7),
    )
    body = []
    for row in rows:
        counts = [row[name] / setup.settings.size for name in _SPENT]
        errors = (_estimate(row[name], row[f"{name}_ci"]) for name in ("w_mse", "sp_mse"))
        predicted = _estimate(row["sp_mse_predicted"], None)
        body.append([row["method"], *errors, predicted, *(f"{count:,.0f}" for count in counts)])
    title = f"{setup.problem}, {setup.settings.size} weights, {amount.steps:,} steps, {amount.seeds} seeds"
    show_table(to, title, columns, body)
    text = "Squared errors (weight units squared, mean over the weights) over the last tenth of the steps; "
    text += "predicted: |Q - SP|² by linear theory with W at rest at its optimum; "
    text += "pulses, reads, programs and cost per cell of the problem, W and P together. "
    text += "Programs are renewals of an analog copy of the reference; digital: cost where hardware "
    text += "subtracts it digitally and programs nothing."
    unpredicted = [row for row in rows if row["not_predicted"] and row["sp_mse"] is not None]
    lines = [f"{row['method']} not predicted: {row['not_predicted']}." for row in unpredicted]
    show_lines(to, [text, *lines])
    show_next(to, _advice(rows))


def _verdict(rows: list[dict[str, Any]]) -> tuple[str, str, bool | None]:
    """Word, reason and meaning: the method with the smallest error of W, where the intervals tell."""
    ranked = sorted(rows, key=lambda row: row["w_mse"])
    best = ranked[0]
    told = f"{best['method']} reaches |W - W*|² {_estimate(best['w_mse'], best['w_mse_ci'])}"
    if len(rows) == 1:
        return "TRACKED", told, None
    second = ranked[1]
    if best["w_mse_ci"][1] >= second["w_mse_ci"][0]:
        near = [row["method"] for row in ranked[1:] if best["w_mse_ci"][1] >= row["w_mse_ci"][0]]
        return "NOT RESOLVED", f"{told}; its interval overlaps with {', '.join(near)}", None
    cheapest = min(rows, key=lambda row: row["cost"])
    price = "and is the cheapest" if cheapest is best else f"cheapest: {cheapest['method']}"
    return (
        "BEST",
        f"{told}, {second['w_mse'] / best['w_mse']:.3g} times below {second['method']}; {price}",
        True,
    )


def _advice(rows: list[dict[str, Any]]) -> str:
    if len(rows) == 1:
        return (
            "--compare NAME NAME sets methods side by side; sptrack explain tells what the settings amount to"
        )
    if _verdict(rows)[2] is None:
        return "add --seeds until the intervals part"
    return "sptrack tune searches better settings; sptrack budget splits the error by its sources"


def _estimate(value: float | None, ends: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if ends is None else interval_text(value, *ends)


def _write(data: "xr.Dataset", rows: list[dict[str, Any]], folder: Path) -> None:
    write_atomic(folder / "track.json", json_text(rows))
    save(data, folder / "track.nc")
    write_figures(folder, data, track="sptrack.plotting.tracking:tracking_figure")
