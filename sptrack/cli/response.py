"""`sptrack response`: effect of a filter and a chopper on a gradient, on the cells of a device."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.errors import ParameterError
from sptrack.intervals import interval_text
from sptrack.results import json_text, output_folder, save, write_atomic
from sptrack.values import check_choice

if TYPE_CHECKING:
    from rich.console import Console

    from sptrack.response import ChainResponse, OpenLoop

_LINES = 8
"""Lines of the chopper that are printed."""
_ROW_OF = {"bias of Q": "bias", "rms error of Q": "reference_rms", "rms error of P": "p_rms"}
"""Quantity beside which a measured term of the error stands."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ChainInput:
    """Filter, chopper and device.

    Parameters
    ----------
    filter
        Filter, such as ema:eta=0.01, ema:eta=0.02,order=2, boxcar:length=200, cic:length=100,order=2,
        kalman:drift_std=...,read_std=..., fir:file=FILE or sos:file=FILE (.json, .npy, .npz); joined by +
        in a row. An estimator stands for the linear filter that it settles to. Default: that of the method's
        reference.
    chopper
        Chopper: telegraph:p=0.1, periodic:half_period=50,duty=0.4, mls:register=7 or none. Default: the
        method's.
    config
        TOML file with any of the tables [filter], [chopper], [method], [problem], [device]; the options go
        before it.
    device
        Preset of the cells (see `sptrack devices list`), or TOML file as `sptrack fit --out` writes it;
        default: that of the file or of the problem.
    """

    filter: str | None = None
    chopper: str | None = None
    config: Path | None = None
    device: str | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class GradientInput:
    """The gradient that is chopped.

    Parameters
    ----------
    mean
        Mean of the gradient. Default: rms over the cells of the problem's gradient at W = 0.
    std
        Std of the noise on the gradient. Default: the problem's.
    gradient
        Recorded gradients instead of mean and noise: CSV or .npy, a row for each step, a column for each cell
        or one for all.
    alpha
        Rate of the pulses. Default: the method's.
    seed
        Root seed of cells, chopper, noise and pulses.
    """

    mean: Annotated[float | None, Parameter(allow_leading_hyphen=True)] = None
    std: float | None = None
    gradient: Path | None = None
    alpha: float | None = None
    seed: int = 0


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DigitalInput:
    """Digital side of the reference.

    Parameters
    ----------
    decimate
        Steps between reads of the filtered reference: which lines of the chopper fold where.
    coefficient_bits
        Word length of the filter's coefficients, 2 to 53; 0: exact.
    rounding
        Rounding of the coefficients: nearest, floor or zero.
    """

    decimate: int = 1
    coefficient_bits: int = 0
    rounding: str = "nearest"


_CHAIN, _GRADIENT, _DIGITAL = ChainInput(), GradientInput(), DigitalInput()


def response(
    *,
    chain: ChainInput = _CHAIN,
    gradient: GradientInput = _GRADIENT,
    digital: DigitalInput = _DIGITAL,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Magnitude, phase, delay, step, chopped spectrum, leakage and error of Q: theory beside measurement.

    Parameters
    ----------
    chain
        Filter, chopper, device, file.
    gradient
        Its mean and noise, or a recording of it; rate, seed.
    digital
        Decimation and word length.
    out
        Folder for response.json, response.nc and the figures response and measures (.png, .svg).
    json
        Print JSON alone.
    """
    from sptrack.response import Digital, respond

    low_pass, driven = _assemble(chain, gradient)
    check_choice("rounding", digital.rounding, ("nearest", "floor", "zero"))
    side = Digital(every=digital.decimate, bits=digital.coefficient_bits, rounding=digital.rounding)  # type: ignore[arg-type]
    made = respond(low_pass, driven, side)
    told = {
        "quantities": made.quantities,
        "errors": _rows(made),
        "aliases": _aliases(made),
        "warnings": made.warnings,
    }
    if out is not None:
        with output_folder(out) as folder:
            _write(made, told, folder)
        print(f"wrote {out}", file=sys.stderr)
    if json:
        print(json_text(told), end="")
    else:
        _print(made, f"{low_pass}, {driven.chopper}", side.every)


def _assemble(chain: ChainInput, gradient: GradientInput) -> tuple[Any, "OpenLoop"]:
    """Filter and driven cells from options, file and defaults."""
    from sptrack.blocks.spec import chopper_from, filter_from
    from sptrack.devices.config import device_named
    from sptrack.response.chain import linear_filter
    from sptrack.response.defaults import driven_cells, method_filter
    from sptrack.tracking.config import Setup, chained, load_setup
    from sptrack.tracking.methods import method

    setup = Setup() if chain.config is None else load_setup(chain.config)
    if chain.device is not None:
        setup = setup.with_device(device_named(chain.device))
    chosen = chained(method("e-rider") if setup.method is None else setup.method, setup.filter, setup.chopper)
    if chain.filter is None:
        low_pass = method_filter(chosen)
    else:
        low_pass = linear_filter(filter_from(chain.filter, "--filter"))
    driven = driven_cells(
        setup,
        chosen,
        chopper=None if chain.chopper is None else chopper_from(chain.chopper, "--chopper"),
        **_gradient(gradient),
        alpha=gradient.alpha,
        seed=gradient.seed,
    )
    return low_pass, driven


def _gradient(given: GradientInput) -> dict[str, Any]:
    """Mean and std of the gradient by options, or its recording."""
    from sptrack.tracking.recorded import recorded_gradient

    if given.gradient is None:
        return {"mean": given.mean, "std": given.std}
    if given.mean is not None or given.std is not None:
        raise ParameterError("--gradient replaces --mean and --std: leave these out")
    return {"recording": recorded_gradient(given.gradient)}


def _rows(made: "ChainResponse") -> list[dict[str, Any]]:
    """Predicted and measured terms of the error, one mapping each."""
    columns = ("predicted", "measured", "measured_ci")
    values = zip(*(made.data[name].values.tolist() for name in columns), strict=True)
    terms = made.data["term"].values.tolist()
    return [
        {"term": term} | dict(zip(columns, row, strict=True)) for term, row in zip(terms, values, strict=True)
    ]


def _aliases(made: "ChainResponse") -> list[dict[str, float]]:
    """Lines of the chopper behind filter and decimation, strongest first."""
    names = ("folded_line", "folded_alias", "folded_decibels", "folded_level")
    values = zip(*(made.data[name].values.tolist() for name in names), strict=True)
    rows = [dict(zip(("omega", "alias", "decibels", "level"), row, strict=True)) for row in values]
    return sorted(rows, key=lambda row: -row["level"])


def _show_aliases(to: "Console", made: "ChainResponse", every: int) -> None:
    """Table of the strongest lines (the budget of a density is among the quantities)."""
    rows = _aliases(made)
    if every == 1 or not rows:
        return
    columns = (
        Column("line (rad/step)", 2),
        Column("appears at (rad/read)"),
        Column("dB of chopped P", 1),
        Column("rms (weight units)"),
    )
    names = ("omega", "alias", "decibels", "level")
    title = f"chopper lines read every {every} steps, {min(len(rows), _LINES)} of {len(rows)}"
    show_table(to, title, columns, [[f"{row[name]:.4g}" for name in names] for row in rows[:_LINES]])


def _print(made: "ChainResponse", title: str, every: int) -> None:
    to = console()
    show_verdict(to, *_verdict(made))
    columns = (
        Column("quantity", left=True),
        Column("predicted"),
        Column("simulated (95 %)"),
        Column("unit", 1, left=True),
        Column("meaning", 2, wraps=True),
    )
    simulated = {_ROW_OF[row["term"]]: _estimate(row) for row in _rows(made) if row["term"] in _ROW_OF}
    rows = []
    for item in made.quantities:
        value = "-" if item.value is None else f"{item.value:.4g}"
        unit = "" if item.unit == "1" else item.unit
        rows.append([item.name, value, simulated.get(item.name, ""), unit, item.meaning])
    show_table(to, title, columns, rows)
    _show_aliases(to, made, every)
    show_lines(to, (f"warning: {warning}" for warning in made.warnings))
    show_next(to, "--out DIR draws response, spectra and error; sptrack design picks filter and chopper")


def _verdict(made: "ChainResponse") -> tuple[str, str, bool | None]:
    """Word, reason and meaning: the rms error of Q, predicted beside simulated."""
    (row,) = [row for row in _rows(made) if row["term"] == "rms error of Q"]
    predicted, (low, high) = row["predicted"], row["measured_ci"]
    if math.isnan(row["measured"]):
        return "PREDICTED", f"rms error of Q {predicted:.3g} weight units; not simulated", None
    text = f"rms error of Q {_estimate(row)} weight units simulated, {predicted:.3g} predicted"
    if low <= predicted <= high:
        return "AGREES", text, True
    return "DIFFERS", text, None


def _estimate(row: Mapping[str, Any]) -> str:
    if row["measured"] != row["measured"]:
        return "-"
    return interval_text(row["measured"], *row["measured_ci"])


def _write(made: "ChainResponse", told: Mapping[str, Any], folder: Path) -> None:
    write_atomic(folder / "response.json", json_text(told))
    save(made.data, folder / "response.nc")
    write_figures(
        folder,
        made.data,
        response="sptrack.plotting.response:response_figure",
        measures="sptrack.plotting.measures:measures_figure",
    )
