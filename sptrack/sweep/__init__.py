"""Sweeps: the parameters of a command over a grid, a random or a Sobol design, with repeats.

A sweep is a folder. ``sweep.json`` is its manifest: what is varied, and every cell by a hash of its content.
``cells/`` holds one file per finished cell, which the process that computed it wrote under a temporary name
and renamed. What is there is done; a sweep goes on where the folder ends, whatever ended it. Seeds follow
from the content of a cell, not from its place, so that engines, order, interrupts and extensions of a design
leave every cell as it is, byte for byte.

Needs dask.distributed, zarr and threadpoolctl: ``pip install 'sptrack[sweep]'``.
"""

from sptrack.sweep.commands import COMMANDS, Command
from sptrack.sweep.design import Axis, Plan, load_plan, plan_from_mapping
from sptrack.sweep.engines import Dask, Engine, Processes, Serial
from sptrack.sweep.folder import SweepFolder
from sptrack.sweep.results import collect, sweep_dataset, sweep_rows
from sptrack.sweep.running import Report, run_sweep

__all__ = [
    "COMMANDS",
    "Axis",
    "Command",
    "Dask",
    "Engine",
    "Plan",
    "Processes",
    "Report",
    "Serial",
    "SweepFolder",
    "collect",
    "load_plan",
    "plan_from_mapping",
    "run_sweep",
    "sweep_dataset",
    "sweep_rows",
]
