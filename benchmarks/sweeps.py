"""Sweeps: what a cell costs beside its computation, how engines scale, and whether memory stays flat."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from scipy.special import stdtrit

from benchmarks.report import Row
from sptrack.sweep import (
    COMMANDS,
    Dask,
    Engine,
    Plan,
    Processes,
    Serial,
    SweepFolder,
    plan_from_mapping,
    run_sweep,
)
from sptrack.sweep.cells import kinds, run_cell, warm_up
from sptrack.sweep.commands import Cell, Outcome, Parameters
from sptrack.sweep.engines import Task

CELLS = 10_000
SERIAL, DASK = 5.0, 20.0
"""Milliseconds that a cell may cost beside its computation."""
FLAT = 1000.0
"""Bytes per cell by which memory may grow."""
_FILLING = 2500
"""Cells at the begin in which memory still fills: Python keeps up to 2000 freed tuples of every length."""
_LATE = 5000
"""Cells of the run in which the slope of memory is measured."""
_BLOCKS = 20


class Course(NamedTuple):
    """Seconds at which cells were over, counted from the first; resident memory then; seconds of all, of CPU.

    The seconds of CPU are those of this process: on a busy machine they tell more.
    """

    seconds: np.ndarray
    memory: np.ndarray
    whole: float
    cpu: float

    @property
    def per_cell(self) -> float:
        """Seconds per cell from the first to the last."""
        return float(self.seconds[-1] / (len(self.seconds) - 1))


def plan(cells: int, steps: int, command: str = "track") -> Plan:
    """Sweep on a single weight, of so many cells."""
    points = max(2, cells // 10)
    return plan_from_mapping(
        {
            "sweep": {"command": command, "repeats": cells // points},
            "set": {"steps": steps, "problem": {"size": 1}},
            "vary": {"problem": {"read_noise": {"low": 0.0, "high": 0.1, "count": points}}},
        }
    )


def course(what: Plan, engine: Engine) -> Course:
    """Run a sweep into a new folder and note its course."""
    times: list[float] = []
    memory: list[int] = []
    own = psutil.Process()

    def note(done: int, total: int) -> None:
        times.append(time.perf_counter())
        memory.append(own.memory_info().rss)

    with tempfile.TemporaryDirectory() as folder:
        begin, cpu = time.perf_counter(), time.process_time()
        run_sweep(what, Path(folder) / "out", engine, progress=note)
        whole, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return Course(np.array(times[1:]) - times[1], np.array(memory[1:]), whole, cpu)


@contextmanager
def command_of_no_work() -> Iterator[str]:
    """Name of a command in this process that checks its parameters as track does and computes nothing."""
    whole = COMMANDS["track"].prepare
    outcome: Outcome = dict.fromkeys(("w", "q", "pulses", "reads", "programs", "cost"), (0.5, "1"))

    def prepare(parameters: Parameters) -> Cell:
        whole(parameters)
        return lambda seed: outcome

    COMMANDS["nothing"] = COMMANDS["track"]._replace(prepare=prepare)
    try:
        yield "nothing"
    finally:
        del COMMANDS["nothing"]


def slope(values: np.ndarray, skipped: int = 0) -> tuple[float, float]:
    """Slope of a sequence per place, and half its 95 % interval: means of 20 blocks, some places skipped."""
    late = values[skipped:]
    blocks = np.array([block.mean() for block in np.array_split(late, _BLOCKS)])
    place = (np.arange(_BLOCKS) - (_BLOCKS - 1) / 2) * len(late) / _BLOCKS
    found = float(place @ blocks / (place @ place))
    left = blocks - blocks.mean() - found * place
    error = np.sqrt(left @ left / (_BLOCKS - 2) / (place @ place))
    return found, float(stdtrit(_BLOCKS - 2, 0.975) * error)


def rows(cells: int = CELLS) -> Iterator[Row]:
    """Measurements beside their targets; on a busy machine, seconds of CPU tell more."""
    yield Row("load of the machine before", os.getloadavg()[0], "processes")
    with command_of_no_work() as name:
        empty = course(plan(cells, 200, name), Serial())
    yield Row(f"serial, {cells} cells of no work", 1e3 * empty.whole / cells, "ms/cell", SERIAL, True)
    yield Row("serial, cells of no work: CPU", 1e3 * empty.cpu / cells, "ms/cell", SERIAL, True)
    few = max(min(cells, _LATE), 40)
    serial = course(plan(few, 200), Serial())
    yield Row(f"serial, {few} cells of track, 200 steps: CPU", 1e3 * serial.cpu / few, "ms/cell")
    for name, found in (("no work", empty), ("track", serial)):
        grown, half = slope(found.memory, min(_FILLING, len(found.memory) // 2))
        yield Row(f"serial, {name}: memory, slope", grown, "bytes/cell", FLAT, True)
        yield Row(f"serial, {name}: memory, half its 95 % interval", half, "bytes/cell")
    found = course(plan(cells, 200), Dask(workers=2))
    beside = found.per_cell - serial.cpu / few / 2
    yield Row(f"dask, 2 workers, {cells} cells of track", 1e3 * found.per_cell, "ms/cell")
    yield Row("dask: beside the computation", 1e3 * beside, "ms/cell", DASK, True)
    yield Row("dask: CPU of client and scheduler", 1e3 * found.cpu / cells, "ms/cell", DASK, True)
    grown, half = slope(found.memory, min(_FILLING, len(found.memory) // 2))
    yield Row("dask: memory of client and scheduler, slope", grown, "bytes/cell")
    yield Row("dask: memory, half its 95 % interval", half, "bytes/cell")
    yield from scaling()


def timed_cell(folder: str, command: str, parameters: Parameters, seed: int, key: str) -> None:
    """Compute a cell as engines do, and note when it began and ended and how much CPU it took."""
    begin, cpu = time.time(), time.process_time()
    run_cell(folder, command, parameters, seed, key)
    row = (begin, time.time(), time.process_time() - cpu)
    (Path(folder) / f"{key}.time").write_text(json.dumps(row))


def paces(what: Plan, engine: Engine) -> tuple[float, float]:
    """Seconds per cell of a sweep, from the first to the last, and seconds of CPU of a cell."""
    with tempfile.TemporaryDirectory() as folder:
        made = SweepFolder.make(Path(folder) / "out", what)
        home = str(made.path)
        tasks = [
            Task(one.key, timed_cell, (home, made.command, one.parameters, one.seed, one.key))
            for one in made.cells()
        ]
        wrong = [
            over.error for over in engine.run(tasks, partial(warm_up, made.command, kinds(made.cells())))
        ]
        assert not any(wrong), wrong
        rows = np.array([json.loads(path.read_text()) for path in made.path.glob("*.time")])
    return float(rows[:, 1].max() - rows[:, 0].min()) / len(rows), float(np.median(rows[:, 2]))


def scaling(cells: int = 20, steps: int = 100_000, repeats: int = 3) -> Iterator[Row]:
    """Cells per second of two workers over those of one, on cells of some tenths of a second.

    Of several repeats, one and two workers in turn, the fastest of each. Workers that slow each other also
    take more CPU per cell, which a busy machine lets be seen too.
    """
    for name, kind in (("processes", Processes), ("dask", Dask)):
        runs = np.array(
            [[paces(plan(cells, steps), kind(workers=count)) for count in (1, 2)] for _ in range(repeats)]
        )
        (one, own), (two, shared) = runs.min(axis=0)
        yield Row(f"{name}: one worker, cells of {steps} steps", 1e3 * one, "ms/cell")
        yield Row(f"{name}: the same, CPU", 1e3 * own, "ms/cell")
        yield Row(f"{name}: two workers / one", one / two, "times", 1.8)
        yield Row(f"{name}: CPU per cell of two workers / one", shared / own, "times", 1.1, True)
