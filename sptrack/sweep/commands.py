"""Commands that can be swept: from the parameters of a cell to its quantities, one entry each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sptrack.devices.config import described_scalar, device_from_mapping, device_named, device_to_mapping
from sptrack.errors import ParameterError, nearest

if TYPE_CHECKING:
    from sptrack.nn.data import Images
    from sptrack.tracking.config import Setup
    from sptrack.tracking.methods import Method

Parameters = Mapping[str, Any]
"""Nested plain values, as a TOML file has them."""
Outcome = dict[str, tuple[float, str]]
"""Quantities by name: value (NaN where there is none) and unit."""
Cell = Callable[[int], Outcome]
"""Computes the quantities of a cell from its seed."""

_WEIGHT, _SQUARED = "weight units", "weight units squared"
_SETUP = ("method", "problem", "device", "filter", "chopper")
_METHOD = "e-rider"
_SCHEDULE = (500, 1000, 2000, 4000, 8000)


class Command(NamedTuple):
    """A command that can be swept.

    Parameters
    ----------
    prepare : callable
        Checks the parameters of a cell (ParameterError) and returns the function from its seed to its
        quantities, which keeps to one thread.
    names : tuple of str
        Parameters that the command knows; tables go on with a dot and their keys.
    best : str
        Quantity by which cells are ranked, the smallest first.
    small : mapping
        Parameters that make a cell short: with them kernels are compiled before a sweep begins.
    tables : mapping
        Tables that a text may stand for, such as ``device = "ecram"``, to the function that reads it (with
        the folder in which its paths begin); of None it is the command's default.
    files : tuple of str
        Parameters that may name a file or folder, which cells read where it is.
    """

    prepare: Callable[[Parameters], Cell]
    names: tuple[str, ...]
    best: str
    small: Parameters
    tables: Mapping[str, Callable[[str | None, Path], dict[str, Any]]]
    files: tuple[str, ...] = ()


def _plain(parameters: Parameters, command: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Values of the parameters that are no tables, of the types given."""
    return {
        name: described_scalar(kind, parameters[name], name, command)
        for name, kind in kinds.items()
        if name in parameters
    }


def _setup(parameters: Parameters, command: str) -> "tuple[Setup, Method]":
    """Setup of the tables among the parameters, and its method with its filter and chopper."""
    from sptrack.tracking.config import chained, setup_from_mapping
    from sptrack.tracking.methods import method

    made = setup_from_mapping({name: parameters[name] for name in _SETUP if name in parameters}, command)
    return made, made.method or chained(method(_METHOD), made.filter, made.chopper)


def _track(parameters: Parameters) -> Cell:
    from sptrack.design.scores import OBJECTIVES, Task, evaluate

    setup, method = _setup(parameters, "track")
    task = Task(problem=setup.problem, settings=setup.settings, **_plain(parameters, "track", {"steps": int}))

    def cell(seed: int) -> Outcome:
        scores = evaluate(method, task, [seed])
        return {name: (float(values[0]), OBJECTIVES[name]) for name, values in scores.items()}

    return cell


def _budget(parameters: Parameters) -> Cell:
    from sptrack.evaluation.budget import budget_rows, error_budget

    setup, method = _setup(parameters, "budget")
    amount = _plain(parameters, "budget", {"steps": int, "seeds": int})

    def cell(seed: int) -> Outcome:
        data = error_budget(method, setup.problem, setup.settings, seed=seed, threads=1, **amount)
        rows = budget_rows(data)
        values = {name: rows[name] for name in ("total", "floor", "saved_remainder", "added_remainder")}
        for row in rows["sources"]:
            values |= {f"{key}_{row['source']}": row[key] for key in ("saved", "added")}
        return {name: (float(value), _SQUARED) for name, value in values.items()}

    return cell


def _response(parameters: Parameters) -> Cell:
    from sptrack.response import respond
    from sptrack.response.defaults import driven_cells, method_filter

    setup, method = _setup(parameters, "response")
    gradient = _plain(parameters, "response", {"mean": float, "std": float, "alpha": float})
    low_pass = method_filter(method)

    def cell(seed: int) -> Outcome:
        made = respond(low_pass, driven_cells(setup, method, seed=seed, **gradient))
        out = {one.name: (_number(one.value), one.unit) for one in made.quantities}
        for name, value in zip(made.data["term"].values.tolist(), made.data["measured"].values, strict=True):
            out[f"measured {name}"] = (float(value), _WEIGHT)
        return out

    return cell


def _design(parameters: Parameters) -> Cell:
    from sptrack.design import design
    from sptrack.design.checking import enough_seeds
    from sptrack.design.specification import UNITS, specification_from_mapping

    effort = _plain(parameters, "design", {"seeds": int, "margin": float})
    rest = {name: value for name, value in parameters.items() if name not in ("seeds", "margin")}
    specification = specification_from_mapping({"require": {"rms": 0.05}} | rest, "design")
    enough_seeds(effort.get("seeds", 2))

    def cell(seed: int) -> Outcome:
        made = design(specification, seed=seed, **effort)
        chosen = made.chosen
        out = {
            name: (float(value), "1")
            for name, value in {
                "met": made.met,
                "feasible": made.search.feasible,
                "attempts": made.attempts,
                "alpha": chosen.setting.alpha,
                "eta": chosen.setting.eta,
                "beta": chosen.beta,
                "gamma": chosen.gamma,
            }.items()
        }
        out["read_every"] = (float(chosen.setting.every), "steps")
        for row in made.check.rows:
            for key in ("predicted", "measured"):
                out[f"{key}_{row.name}"] = (float(getattr(row, key)), UNITS[row.name])
        return out

    return cell


def _calibrate(parameters: Parameters) -> Cell:
    from sptrack.calibration import calibrator
    from sptrack.calibration.interface import check_read_noise
    from sptrack.calibration.methods import check_pulses
    from sptrack.cost import CostModel
    from sptrack.crossbar import Crossbar
    from sptrack.devices.sampling import cells_shape, sample_cells
    from sptrack.evaluation.certificate import certify, check_target

    kinds = {"cells": str, "method": str, "reads": int, "read_cost": float, "target": float}
    given = _plain(parameters, "calibrate", kinds | {"read_noise": float})
    device = device_from_mapping(parameters.get("device") or _soft_bounds(None, Path()), "calibrate: device")
    noise = given.get("read_noise", device.read_noise)
    check_read_noise(noise)
    pulses = parameters.get("pulses", list(_SCHEDULE))
    schedule = pulses if isinstance(pulses, list) else [pulses]
    schedule = [described_scalar(int, one, "pulses", "calibrate") for one in schedule]
    chosen = calibrator(given.get("method", "zero-shifting"), device, reads=given.get("reads"))
    check_pulses(given.get("method", "zero-shifting"), schedule)
    shape = cells_shape(given.get("cells", "512x512"))
    cost = CostModel(read=given["read_cost"]) if "read_cost" in given else CostModel()
    target = check_target(given["target"]) if "target" in given else None

    def cell(seed: int) -> Outcome:
        drawn = sample_cells(device, shape, seed=seed)
        estimates = chosen.calibrate(Crossbar(drawn, seed=seed, threads=1), schedule, read_noise=noise)
        c = certify(drawn, estimates, target=target, cost=cost).certificate
        last = {
            name: (_number(getattr(c, name) and getattr(c, name)[-1]), unit)
            for name, unit in {
                "rms_error": _WEIGHT,
                "median_error": _WEIGHT,
                "mean_offset": _WEIGHT,
                "std_offset": _WEIGHT,
                "rms_theory": _WEIGHT,
                "rms_bound": _WEIGHT,
                "pulses": "pulses per cell",
                "reads": "reads per cell",
                "placement": "pulses per cell",
            }.items()
        }
        whole = {
            "floor": _WEIGHT,
            "pulses_needed_theory": "pulses per cell",
            "pulses_needed_measured": "pulses per cell",
            "recommended_pulses": "pulses per cell",
            "cost": "pulse units per cell",
            "live_cells": "cells",
            "met": "1",
        }
        return last | {name: (_number(getattr(c, name)), unit) for name, unit in whole.items()}

    return cell


def _train(parameters: Parameters) -> Cell:
    from sptrack.nn.config import DATA, one_thread, train_settings
    from sptrack.nn.training import Trainer

    amount = _plain(parameters, "train", {"epochs": int})
    epochs = amount.get("epochs", 1)
    if epochs < 1:
        raise ParameterError(f"train: epochs must be at least 1, got {epochs}")
    own = {name: value for name, value in parameters.items() if name not in amount}
    settings = train_settings(own, "train")
    images = _images(own.get("data", DATA))

    def cell(seed: int) -> Outcome:
        with one_thread():
            run = Trainer(replace(settings, seed=seed, device_seed=seed), images)
            run.run(epochs)
        last = run.history[-1]
        units = {
            "error": "percent",
            "best_error": "percent",
            "loss": "nat",
            "pulses": "pulses",
            "reads": "cell reads",
            "programs": "cells",
        }
        best = max(one["accuracy"] for one in run.history)
        values = last | {"error": 100.0 - last["accuracy"], "best_error": 100.0 - best}
        return {name: (float(values[name]), unit) for name, unit in units.items()}

    return cell


@lru_cache(maxsize=1)
def _images(data: str) -> "Images":
    """Images of the cells, which are read once per process."""
    from sptrack.nn.config import images_named

    return images_named(data)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _soft_bounds(text: str | None, folder: Path) -> dict[str, Any]:
    return device_to_mapping(device_named(text or "soft-bounds", folder))


def _problem_device(text: str | None, folder: Path) -> dict[str, Any]:
    from sptrack.tracking.problems import default_device

    return device_to_mapping(default_device() if text is None else device_named(text, folder))


def _net_device(text: str | None, folder: Path) -> dict[str, Any]:
    return device_to_mapping(device_named(text or "reram-array-hfo2", folder))


def _named_method(text: str | None, folder: Path) -> dict[str, Any]:
    return {"name": text or _METHOD}


_OF_SETUP = {"device": _problem_device, "method": _named_method}
_OF_DEVICE = {"device": _soft_bounds}
_OF_NET = {"device": _net_device}

COMMANDS: dict[str, Command] = {
    "track": Command(_track, (*_SETUP, "steps"), "w", {"steps": 200}, _OF_SETUP),
    "budget": Command(_budget, (*_SETUP, "steps", "seeds"), "total", {"steps": 400, "seeds": 2}, _OF_SETUP),
    "response": Command(
        _response, (*_SETUP, "mean", "std", "alpha"), "measured rms error of Q", {}, _OF_SETUP
    ),
    "design": Command(
        _design,
        (
            *("device", "steps", "read_noise", "curvature", "train", "gradient", "require"),
            *("filter", "chopper", "seeds", "margin"),
        ),
        "measured_rms",
        {"steps": 400, "seeds": 2},
        _OF_DEVICE,
    ),
    "calibrate": Command(
        _calibrate,
        ("device", "cells", "pulses", "method", "reads", "read_cost", "target", "read_noise"),
        "rms_error",
        {"cells": "4x4"},
        _OF_DEVICE,
    ),
    "train": Command(
        _train,
        (
            *("method", "net", "data", "epochs", "batch", "lr", "per_sample", "ref_mean", "ref_std"),
            *("tile", "filter", "chopper", "device"),
        ),
        "error",
        {"epochs": 1},
        _OF_NET,
        ("data", "net"),
    ),
}
"""Commands by name."""


def command_named(name: Any, where: str) -> Command:
    """The command of a name.

    Raises
    ------
    ParameterError
        No command of that name, or one that cannot be swept.
    """
    if not isinstance(name, str) or name not in COMMANDS:
        raise ParameterError(
            f"{where}: sweep.command must be one of {', '.join(COMMANDS)}, got {name!r}"
            + nearest(str(name), COMMANDS)
        )
    return COMMANDS[name]


def prepare(command: str, parameters: Parameters) -> Cell:
    """Check the parameters of a cell; the function from its seed to its quantities.

    Raises
    ------
    ParameterError
        Unknown parameter (with those that are known), or a value that the command refuses.
    """
    known = COMMANDS[command].names
    for name in parameters:
        if name not in known:
            raise ParameterError(
                f"{command}: unknown parameter {name!r}; choose from {', '.join(known)}{nearest(name, known)}"
            )
    return COMMANDS[command].prepare(parameters)
