"""Whole commands beside the kernels that they run, in the same run: what comes on top of the pulses."""

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import measure
from benchmarks.cases import SIDE
from benchmarks.ceiling import best_time, multiply_adds_per_second
from sptrack.crossbar import Crossbar
from sptrack.crossbar.threads import thread_count
from sptrack.devices import sample_cells
from sptrack.devices.presets import preset

PULSES = (500, 1000, 2000, 4000, 8000)
"""Schedule of `sptrack calibrate` by default."""
STARTS = ("--version", "--help", "explain", "devices list")
"""Commands that compute next to nothing."""
YARDSTICK = 4.8e10
"""Multiply-adds per second and thread of the machine on which seconds are stated."""
BEYOND = 3.0
"""Seconds, on that machine, that a calibration may take beyond its pulses."""


class Calibration(NamedTuple):
    """Seconds of the default `sptrack calibrate --out` as a process, and of its pulses alone."""

    seconds: float
    kernel: float
    spread: float

    @property
    def ratio(self) -> float:
        """The command over its pulses."""
        return self.seconds / self.kernel

    @property
    def beyond(self) -> float:
        """Seconds beyond the pulses, scaled to `YARDSTICK` by the measured ceiling of this machine."""
        return (self.seconds - self.kernel) * multiply_adds_per_second() / YARDSTICK


def pulses_alone(repeats: int = 5) -> float:
    """Best time of the pulses of the default calibration, all threads, compiled before."""
    cells = sample_cells(preset("soft-bounds"), (SIDE, SIDE))
    bar = Crossbar(cells, threads=thread_count(None))
    bar.pulse("alternating", 2)
    return best_time(lambda: bar.pulse("alternating", PULSES[-1]), repeats)[0]


def calibration(repeats: int = 5) -> Calibration | None:
    """Measure the command and its pulses; None where the command fails."""
    found = measure.command("calibrate", "--quiet", "--out", "made", repeats=repeats)
    return None if found is None else Calibration(found[0], pulses_alone(repeats), found[1])


def interpreter(repeats: int = 5) -> float:
    """Seconds in which the interpreter starts, imports numpy and ends: what no command can go below."""
    words = [sys.executable, "-c", "import numpy"]
    return best_time(lambda: measure.run(words, os.getcwd()), repeats)[0]


def starts(repeats: int = 5) -> Iterator[tuple[str, float]]:
    """Names of `STARTS`, and how many times as long they take as `interpreter`."""
    least = interpreter(repeats)
    for words in STARTS:
        found = measure.command(*words.split(), repeats=repeats)
        if found is not None:
            yield words, found[0] / least


class Commands:
    """The main job as a process: asv-style, its ratio to its pulses as a tracked number."""

    unit = "times"

    def setup(self):
        self.pulses = pulses_alone()

    def track_calibration_over_pulses(self):
        found = measure.command("calibrate", "--quiet", "--out", "made")
        return None if found is None else found[0] / self.pulses

    def time_version(self):
        measure.command("--version", repeats=1)
