"""What can bias and error of the reference be traded for: pulses, programming events, another estimator?

Settings all over the search of `sptrack design`: rate of the gradient pulses, flip probability or half period
of the chopper, rate and kind of the estimator. Each is predicted by theory; a setting is on the front if no
other one is at least as good in error, pulses and programming events at once. A few along the front are
simulated on the device, with 95 % intervals over four noises.

One sees: without programming a filter has no chopper to lean on, and keeps the error that the mean gradient
makes (top); some tens of programming events lower it by an order, more of them hardly further. The observer
has no chopper, needs no programming where its reference is subtracted digitally, and goes on falling with the
pulses, but needs more of them for a given error than a slow filter that has the whole run to itself; what it
buys besides is a reference that settles in a few hundred steps.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.design import (
    FRONTS,
    Requirements,
    Specification,
    candidate_variables,
    confirm,
    described,
    front,
    survey,
)
from sptrack.devices import sample_cells
from sptrack.plotting.design import pareto_figure
from sptrack.results import dataset, provenance

FRONT = FRONTS["rms"]
EVERY = 8
"""Of the dominated settings, which only show where the others lie, one in so many is kept."""
_SHOWN = ("bias", "rms", "pulses", "programs")


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Predict settings, simulate some of the front (``small``: a coarse survey of a short run, one of them).

    Returns
    -------
    Dataset
        Over ``candidate`` (the fronts and some of the others) what `candidate_variables` says; over ``point``
        the simulated
        ``simulated_bias``, ``..._rms``, ``..._pulses``, ``..._programs`` and their ``_ci``. ``threads`` is
        not used: the runs are short.
    """
    steps, fineness, cells, count = (2000, 4, 16, 2) if small else (20000, 20, 64, 9)
    spec = Specification(requirements=Requirements(rms=0.05), steps=steps)
    array = sample_cells(spec.device, (1, cells), seed=seed)
    found = survey(spec, array, fineness=fineness)
    confirmed = confirm(spec, array, found, quantities=FRONT, count=count, seeds=2 if small else 4, seed=seed)
    rows = [{row.name: row for row in one.check.rows} for one in confirmed]
    members = {k for quantities in FRONTS.values() for k in front(found, quantities)}
    variables = candidate_variables(
        tuple(one for k, one in enumerate(found) if k in members or k % EVERY == 0)
    )
    for name in _SHOWN:
        about = {"units": "weight units" if name in ("bias", "rms") else "per cell"}
        variables[f"simulated_{name}"] = (("point",), [row[name].measured for row in rows], about)
        variables[f"simulated_{name}_ci"] = (("point", "end"), [row[name].interval for row in rows], about)
    asked = {"specification": described(spec), "fineness": fineness, "cells": cells}
    return dataset(variables, {}, provenance(seed=seed, parameters=asked))


def plot(data: xr.Dataset) -> Figure:
    """Bias and error against pulses, coloured by programming events; simulation on top."""
    names = {f"simulated_{name}{end}": f"{name}{end}" for name in _SHOWN for end in ("", "_ci")}
    measured = data[list(names)].rename(names)
    return pareto_figure(data, measured.isel(point=np.argsort(measured["pulses"].values)))
