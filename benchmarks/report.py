"""The report: every measurement beside its target, with a verdict, and the state of the machine."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from benchmarks import commands, measure
from benchmarks.cases import CASES, YARDSTICK
from benchmarks.ceiling import CEILINGS
from benchmarks.filters import REPORTED, TARGETS, AgainstScipy
from sptrack.cli.doctor import examine

FIRST_CALLS = (
    "alternating",
    "random signs",
    "exp-step",
    "rank-1, 0.6 pulses/cell",
    "increments, burst",
)
OTHER_CPU = ("alternating", "exp-step", "rank-1, 0.6 pulses/cell")
_COLUMNS = "{:<50} {:>10} {:<16} {:>7} {:>8} {:>12}  {}"


class Row(NamedTuple):
    """One line of the report; ``at_most`` tells on which side of the target a value must lie."""

    name: str
    value: float | None
    unit: str
    target: float | None = None
    at_most: bool = False
    fraction: float | None = None
    spread: float | None = None

    @property
    def verdict(self) -> str:
        """ "ok", "MISSED", "not measured", or "-" without a target."""
        if self.value is None:
            return "not measured"
        if self.target is None:
            return "-"
        return (
            "ok" if (self.value <= self.target if self.at_most else self.value >= self.target) else "MISSED"
        )


def rows(*, quick: bool = False) -> Iterator[Row]:
    """All measurements; ``quick`` measures the kernels once and leaves fresh processes out."""
    rates: dict[str, float] = {}
    yardstick = None
    for name, case in CASES.items():
        found = measure.rate(name, 1 if quick else 5)
        rates[name] = found["rate"]
        yield Row(name, found["rate"], case.unit, None, False, found["share"], found["spread"])
        if name == YARDSTICK:
            yardstick = found["pulses"]
        if case.fraction is not None:
            yield Row(f"{name}: share of the ceiling", found["share"], "", case.fraction)
        if case.ratio is not None:
            ratio = found["pulses"] / yardstick if yardstick else None
            yield Row(f"{name}: pulses/s by {YARDSTICK}", ratio, "times", case.ratio)
    gain = rates["alternating, two threads"] / rates["alternating"]
    yield Row("alternating: two threads / one", gain, "times", 1.8)
    for name, precision in REPORTED:
        filters = AgainstScipy()
        filters.setup(name, precision)
        ratio = filters.track_ratio(name, precision)
        target = TARGETS.get((name, precision))
        yield Row(f"{name}, {precision}: times as fast as scipy", ratio, "times", target)
    if not quick:
        yield from _processes()


def _processes() -> Iterator[Row]:
    for name in FIRST_CALLS:
        empty, cached = measure.first_calls(name)
        yield Row(f"{name}: first call, empty cache", empty, "s", 5.0, True)
        yield Row(f"{name}: first call, from cache", cached, "s", 0.3, True)
    if examine()["processor"]["vector_bits"] == 512:
        for name in OTHER_CPU:
            own, other = (measure.fresh(name, 5, **cpu).get("rate") for cpu in ({}, measure.WITHOUT_AVX512))
            slower = own / other if own and other else None
            yield Row(f"{name}: slower without AVX-512", slower, "times", 2.5, True)
    yield from _commands()


def _commands() -> Iterator[Row]:
    for words, ratio in commands.starts():
        yield Row(f"sptrack {words}: times an interpreter with numpy", ratio, "times")
    found = commands.calibration()
    name = "sptrack calibrate --out"
    yield Row(name, found and found.seconds, "s", spread=found and found.spread)
    yield Row(f"{name}: times its pulses", found and found.ratio, "times")
    yield Row(f"{name}: beyond its pulses, scaled", found and found.beyond, "s", commands.BEYOND, True)


def machine(*, quick: bool = False) -> dict:
    """State of the machine: processor, load, and its measured ceilings per second and thread."""
    found = examine()
    return {
        **found["processor"],
        "numba": found["versions"]["numba"],
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        **{f"{name}/s": ceiling(1 if quick else 5) for name, ceiling in CEILINGS.items()},
    }


def write(line: Callable[[str], object], *, quick: bool = False) -> None:
    """Hand the report to ``line``, row by row as it is measured."""
    for name, value in machine(quick=quick).items():
        line(f"{name:<18} {value:.3g}" if isinstance(value, float) else f"{name:<18} {value}")
    line("")
    write_rows(line, rows(quick=quick))


def write_rows(line: Callable[[str], object], measured: Iterable[Row], how: str = "best of several") -> None:
    """Hand measurements, made as ``how`` says, to ``line``, each beside its target."""
    line(_COLUMNS.format(f"measured, {how}", "value", "unit", "spread", "ceiling", "target", "verdict"))
    for row in measured:
        limit = "" if row.target is None else f"{'<=' if row.at_most else '>='} {row.target:.3g}"
        percent = ["" if v is None else f"{100 * v:.0f} %" for v in (row.spread, row.fraction)]
        value = "" if row.value is None else f"{row.value:.3g}"
        line(_COLUMNS.format(row.name, value, row.unit, *percent, limit, row.verdict))
