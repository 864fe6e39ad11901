"""Plan of a sweep: axes of values, designs of points, and the TOML file that describes it.

A file, of which ``sweep.command`` and one axis are needed::

    [sweep]
    command = "track"        # track, calibrate, response, design, budget, train
    design = "grid"          # grid: all combinations; random; sobol: scrambled, low discrepancy
    samples = 64             # points of random and sobol (there a power of two)
    repeats = 10             # cells per point, each with a seed of its own
    seed = 0                 # root of all seeds
    paired = false           # true: a repeat has the same seed at all points (common random numbers)

    [set]                    # parameters of all cells, as in the files of the command
    steps = 4000
    device = "ecram"

    [vary]                   # axes
    method.alpha = [0.01, 0.02, 0.05]
    problem.read_noise = { low = 1e-3, high = 0.1, scale = "log", count = 5 }
    device.dw_min = { low = 1e-3, high = 1e-2 }    # of random and sobol: no count
    steps = { low = 2000, high = 8000, multiple = 200, count = 4 }

A range is of whole numbers if both of its ends are, or of multiples of ``multiple``. Numbers of a range are
rounded to 12 digits.
"""

import json
import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks.spec import chopper_from, reference_from, spec_text
from sptrack.design.space import Range
from sptrack.devices.config import described_scalar, read_toml
from sptrack.errors import ParameterError, nearest
from sptrack.sweep.cells import Cell, make_cell
from sptrack.sweep.commands import COMMANDS, Parameters, command_named, prepare

DESIGNS = ("grid", "random", "sobol")
MAX_CELLS = 10_000_000
_TABLES = ("sweep", "set", "vary")
_KEYS = {"command": str, "design": str, "samples": int, "repeats": int, "seed": int, "paired": bool}
_RANGE = {"low": float, "high": float, "scale": str, "multiple": int, "count": int}
_SCALES = ("linear", "log")
_FILED = {"filter": reference_from, "reference": reference_from, "chopper": chopper_from}
"""Parameters that may name a file of coefficients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A parameter and what it is to be.

    Parameters
    ----------
    name : str
        Parameter, dotted, such as "method.alpha".
    values : tuple
        Values, all different; of a grid in their order, of other designs equally likely. Empty for a range.
    range : Range or None
        Numbers instead of values.
    count : int
        Values of the range on a grid.

    Raises
    ------
    ParameterError
        No values, or one twice; a range with a count of the wrong kind.
    """

    name: str
    values: tuple[Any, ...] = ()
    range: Range | None = None
    count: int = 0

    def __post_init__(self) -> None:
        if self.range is None and not self.values:
            raise ParameterError(f"{self.name} must have at least one value, got []")
        repeated = _repeated(self.values)
        if repeated:
            raise ParameterError(f"{self.name} must have different values, got {repeated[0]} twice")

    def grid(self) -> tuple[Any, ...]:
        """Values on a grid.

        Raises
        ------
        ParameterError
            A range without a count, or with more values than it has multiples.
        """
        if self.range is None:
            return self.values
        if self.count < 2:
            raise ParameterError(f"{self.name}.count must be at least 2 on a grid, got {self.count}")
        values = tuple(self.at(u) for u in np.linspace(0.0, 1.0, self.count))
        if _repeated(values):
            raise ParameterError(
                f"{self.name}.count must be at most the whole numbers of its range, got {self.count}"
            )
        return values

    def at(self, u: float) -> Any:
        """Value at the share ``u`` (0 .. 1) of the range, or of the values."""
        if self.range is None:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        low, high = self.range.low, self.range.high
        value = low * (high / low) ** u if self.range.log else low + (high - low) * u
        rounded = self.range.hold(float(f"{value:.12g}"))
        return int(rounded) if self.range.multiple else rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A sweep.

    Parameters
    ----------
    command : str
        Name of `COMMANDS`.
    axes : tuple of Axis
        What is varied, at least one.
    fixed : mapping
        Parameters of all cells.
    design : str
        "grid", "random" or "sobol".
    samples : int
        Points of a random or Sobol design; of Sobol's a power of two. More of them begin with the same.
    repeats : int
        Cells per point.
    seed : int
        Root of all seeds, those of the design included.
    paired : bool
        Whether a repeat has the same seed at all points.
    folder : Path
        Where relative paths among the parameters begin.

    Raises
    ------
    ParameterError
        A value outside its range, no axis, two axes of one parameter, or a parameter or value that the
        command refuses: of every value of every axis, beside the first values of the others.
    """

    command: str
    axes: tuple[Axis, ...]
    fixed: Parameters = field(default_factory=dict)
    design: str = "grid"
    samples: int = 64
    repeats: int = 1
    seed: int = 0
    paired: bool = False
    folder: Path = Path()

    def __post_init__(self) -> None:
        command_named(self.command, "plan")
        if self.design not in DESIGNS:
            raise ParameterError(
                f"design must be one of {', '.join(DESIGNS)}, got {self.design!r}"
                + nearest(self.design, DESIGNS)
            )
        for name, least in (("samples", 1), ("repeats", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ParameterError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.design == "sobol" and self.samples & (self.samples - 1):
            power = 1 << (self.samples.bit_length() - 1)
            raise ParameterError(
                f"samples must be a power of two for sobol, got {self.samples}: {power} or {2 * power}"
            )
        self._check_axes()
        size = self.points * self.repeats
        if size > MAX_CELLS:
            raise ParameterError(f"a sweep must have at most {MAX_CELLS:,} cells, got {size:,}")
        for point in self._probes():
            prepare(self.command, self.parameters(point))

    def _check_axes(self) -> None:
        if not self.axes:
            raise ParameterError("[vary] must have at least one axis, got none")
        names = [axis.name for axis in self.axes]
        for name in names:
            if names.count(name) > 1:
                raise ParameterError(f"{name} must be one axis, got {names.count(name)}")
            if name == "seed":
                raise ParameterError("seed must not be varied: every cell has its own; set sweep.repeats")
            if name in ("repeat", "point"):
                raise ParameterError(f"unknown parameter {name!r} of {self.command}")
        if "seed" in self.fixed:
            raise ParameterError("seed must not be set: every cell has its own; set sweep.seed")

    @property
    def points(self) -> int:
        """Number of points of the design."""
        if self.design != "grid":
            return self.samples
        return int(np.prod([len(axis.grid()) for axis in self.axes], dtype=object))

    def design_points(self) -> Iterator[tuple[Any, ...]]:
        """Points of the design: a value of each axis."""
        if self.design == "grid":
            yield from product(*(axis.grid() for axis in self.axes))
            return
        for row in self._uniform():
            yield tuple(axis.at(float(u)) for axis, u in zip(self.axes, row, strict=True))

    def cells(self) -> Iterator[Cell]:
        """All cells, the repeats of a point one after the other."""
        for point in self.design_points():
            parameters = self.parameters(point)
            for repeat in range(self.repeats):
                yield make_cell(self.command, parameters, point, repeat, (self.seed, self.paired))

    def parameters(self, point: tuple[Any, ...]) -> dict[str, Any]:
        """Parameters of the cells at a point; of files, only gradients, images and nets stay outside.

        Raises
        ------
        ParameterError
            An axis inside of something that is no table, an unknown device.
        """
        tables = COMMANDS[self.command].tables
        out = {name: self._whole(name, deepcopy(value), tables) for name, value in self.fixed.items()}
        varied = zip((axis.name for axis in self.axes), point, strict=True)
        for dotted, value in sorted(varied, key=lambda item: item[0].count(".")):
            *inside, last = dotted.split(".")
            table = out
            for depth, key in enumerate(inside):
                if depth == 0 and key not in table and key in tables:
                    table[key] = tables[key](None, self.folder)
                table = table.setdefault(key, {})
                if not isinstance(table, dict):
                    raise ParameterError(
                        f"{dotted} cannot be varied: {'.'.join(inside[: depth + 1])} is not a table"
                    )
            table[last] = value if inside else self._whole(dotted, deepcopy(value), tables)
            if inside and last in _FILED:
                table[last] = _without_file(dotted, last, value)
        return out

    def _whole(self, name: str, value: Any, tables: Mapping[str, Any]) -> Any:
        """A parameter with what it names read in: devices, methods, files of coefficients and gradients."""
        if isinstance(value, str) and name in tables:
            return tables[name](value, self.folder)
        if name in _FILED:
            return _without_file(name, name, value)
        if isinstance(value, str) and name in COMMANDS[self.command].files:
            there = self.folder / value
            return str(there.resolve()) if there.exists() else value
        if isinstance(value, dict):
            for key in set(_FILED) & set(value):
                value[key] = _without_file(f"{name}.{key}", key, value[key])
            if name == "gradient" and isinstance(value.get("recorded"), str):
                value["recorded"] = str((self.folder / value["recorded"]).resolve())
        return value

    def _uniform(self) -> NDArray[Any]:
        """Coordinates [samples, axes] in 0 .. 1 of a random or Sobol design."""
        if self.design == "random":
            return np.random.default_rng([self.seed, 1]).random((self.samples, len(self.axes)))
        from scipy.stats.qmc import Sobol

        sampler = Sobol(len(self.axes), scramble=True, rng=np.random.default_rng([self.seed, 2]))
        return np.asarray(sampler.random_base2(self.samples.bit_length() - 1))

    def _probes(self) -> Iterator[tuple[Any, ...]]:
        """Points that show every value of every axis, and both ends of every range."""
        choices = [axis.values if axis.range is None else (axis.at(0.0), axis.at(1.0)) for axis in self.axes]
        first = tuple(values[0] for values in choices)
        yield first
        for k, values in enumerate(choices):
            for value in values[1:]:
                yield (*first[:k], value, *first[k + 1 :])

    def identity(self) -> dict[str, Any]:
        """Plain data of all that fixes the cells, for the manifest."""
        return {
            "command": self.command,
            "design": self.design,
            "axes": [axis.name for axis in self.axes],
            "fixed": dict(self.fixed),
            "repeats": self.repeats,
            "seed": self.seed,
            "paired": self.paired,
        }


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Plan in the TOML file at ``path`` (module text).

    Raises
    ------
    ParameterError
        A file that cannot be read or is not TOML, or as in `plan_from_mapping`.
    """
    return plan_from_mapping(read_toml(path), os.fspath(path), Path(path).parent)


def plan_from_mapping(mapping: Mapping[str, Any], where: str = "sweep", folder: Path = Path()) -> Plan:
    """Plan described by nested mappings, such as a TOML file holds.

    Parameters
    ----------
    mapping : mapping
        The tables "sweep", "set" and "vary".
    where : str
        What error texts call the mapping: the name of the file.
    folder : Path
        Folder in which relative paths begin.

    Raises
    ------
    ParameterError
        Unknown table or key (with the nearest valid one), a value of a wrong type, or as in `Plan`.
    """
    for name, table in mapping.items():
        _refuse_unknown(name, _TABLES, "table", where)
        if not isinstance(table, Mapping):
            raise ParameterError(f"{where}: {name} must be a table, got {table!r}")
    told = dict(mapping.get("sweep", {}))
    for name, value in told.items():
        _refuse_unknown(name, tuple(_KEYS), "key", where, "sweep.")
        if name != "command":
            described_scalar(_KEYS[name], value, f"sweep.{name}", where)
    command_named(told.get("command"), where)
    try:
        axes = tuple(_axes(mapping.get("vary", {})))
        return Plan(axes=axes, fixed=mapping.get("set", {}), folder=folder, **told)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error


def _axes(table: Mapping[str, Any], prefix: str = "") -> Iterator[Axis]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, list):
            yield Axis(name=name, values=tuple(value))
        elif isinstance(value, Mapping) and _is_range(value):
            yield _ranged(name, value)
        elif isinstance(value, Mapping) and value:
            yield from _axes(value, f"{name}.")
        else:
            raise ParameterError(
                f"vary.{name} must be a list of values or a table with low and high, got {value!r}"
            )


def _is_range(table: Mapping[str, Any]) -> bool:
    """Whether a table has an end of a range, and not axes of parameters that are called low and high."""
    return any(not isinstance(table[end], list | Mapping) for end in ("low", "high") if end in table)


def _ranged(name: str, table: Mapping[str, Any]) -> Axis:
    for key, value in table.items():
        _refuse_unknown(key, tuple(_RANGE), "key", "vary", f"{name}.")
        described_scalar(_RANGE[key], value, f"{name}.{key}", "vary")
    for key in ("low", "high"):
        if key not in table:
            raise ParameterError(f"vary.{name}.{key} must be given beside the other end of the range")
    scale = table.get("scale", "linear")
    if scale not in _SCALES:
        raise ParameterError(
            f"vary.{name}.scale must be one of {', '.join(_SCALES)}, got {scale!r}{nearest(scale, _SCALES)}"
        )
    low, high = table["low"], table["high"]
    whole = isinstance(low, int) and isinstance(high, int)
    try:
        made = Range(low=low, high=high, log=scale == "log", multiple=table.get("multiple", int(whole)))
    except ParameterError as error:
        raise ParameterError(f"vary.{name}: {error}") from error
    return Axis(name=name, range=made, count=table.get("count", 0))


def _refuse_unknown(name: str, known: tuple[str, ...], kind: str, where: str, prefix: str = "") -> None:
    if name not in known:
        raise ParameterError(
            f"{where}: unknown {kind} '{prefix}{name}'; choose from {', '.join(known)}{nearest(name, known)}"
        )


def _without_file(name: str, kind: str, value: Any) -> Any:
    """A filter or chopper with its coefficients, where it names a file of them."""
    if "file" not in json.dumps(value, default=str):
        return value
    return spec_text(_FILED[kind](value, name))


def _repeated(values: tuple[Any, ...]) -> list[str]:
    texts = [json.dumps(value, sort_keys=True, default=str) for value in values]
    return [text for k, text in enumerate(texts) if text in texts[:k]]
