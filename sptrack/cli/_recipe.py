"""Command-line options that describe a measured file, for `fit` and other commands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sptrack.errors import ParameterError
from sptrack.fitting.recipe import Recipe, load_recipe


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    """What the file does not say itself, or says wrongly; everything is found out where it can be.

    Parameters
    ----------
    column
        ROLE=NAME, again for each: reading, direction, pulses, cell, run, index, read_voltage, other; NAME is
        that of the header, or a number from 1. direction=V_pulse:sign takes the sign of a voltage (:-sign:
        the other way round); reading=A,B,C takes several.
    cell
        Column of the names of cells: the same as --column cell=NAME.
    run
        Column of runs (ramps, cycles): the same as --column run=NAME.
    direction
        up=WORD, down=WORD or none=WORD: words of the direction column (several: WORD,WORD).
    program
        Pulses, one reading each, such as "up:200 down:200 x3 alternating:400".
    quantity
        conductance, resistance, current or weight.
    unit
        Unit of the readings: S, uS, kOhm, nA, ...
    read_voltage
        Voltage of the reads, V: makes currents conductances.
    range_
        Readings that are to be the weights -1 and +1; default: the lowest and highest states visited, unless
        the readings are weights.
    separator
        tab, semicolon, bar, comma or blanks.
    decimal
        Decimal sign, . or ,
    sheet
        Sheet of an Excel workbook.
    recipe
        TOML file with any of these (as --out writes it); the options go before it.
    """

    column: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = ()
    cell: str | None = None
    run: str | None = None
    direction: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True)] = ()
    program: str | None = None
    quantity: str | None = None
    unit: str | None = None
    read_voltage: Annotated[float | None, Parameter(allow_leading_hyphen=True)] = None
    range_: Annotated[tuple[float, float] | None, Parameter(name="--range", allow_leading_hyphen=True)] = None
    separator: str | None = None
    decimal: str | None = None
    sheet: str | None = None
    recipe: Path | None = None

    def load(self) -> Recipe:
        """Recipe of the file and the options.

        Raises
        ------
        ParameterError
            An option that is not understood.
        """
        made = Recipe() if self.recipe is None else load_recipe(self.recipe)
        columns = dict(made.columns) | _pairs("column", self.column)
        columns |= {name: value for name in ("cell", "run") if (value := getattr(self, name)) is not None}
        plain = ("program", "quantity", "unit", "read_voltage", "separator", "decimal", "sheet")
        given: dict[str, Any] = {name: value for name in plain if (value := getattr(self, name)) is not None}
        if self.range_ is not None:
            given["range"] = self.range_
        directions = dict(made.directions) | _pairs("direction", self.direction)
        return replace(made, columns=columns, directions=directions, **given)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            form = "ROLE=NAME" if option == "column" else "up=WORD"
            raise ParameterError(f"--{option} must be {form}, got {text[:60]!r}")
        pairs[name] = f"{pairs[name]},{value}" if name in pairs else value
    return pairs
