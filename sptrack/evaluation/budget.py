"""Error budget of a tracked symmetric point: each source of error switched off, and left on, alone.

Every run draws the same random numbers, since a draw depends on seed and stream alone: the difference of two
runs is the effect of what was switched. "Off" means

- granularity: pulses of a 16th of the size, 16 times as many (cycle noise, write noise and drift per pulse
  scaled so that a unit of drive does as before; buffers, zero-shifting and priors count 16 to 1);
- cycle-noise, read-noise, write-noise: std 0;
- spread: every cell nominal, with the mean symmetric point and the mean reference;
- leakage: an ideal filter, that is, the error of the mean of Q over the scored steps instead of that of Q;
- chopper: flips at regular intervals of the same mean length, instead of at random, in a maximum-length
  sequence or with unequal halves;
- drift: curves that stay; fixed-point: Q in floating point.

The gradient and its noise are no source but the drive: without them P would not move to its symmetric point
at all. What they leave on Q is leakage.

Effects on the mean square error do not add up: one source can hide, feed or damp another. What is left is
reported as the remainder, and what no source explains as the floor: the error with all of them off.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Block, ObserverSettings, PatternChopper, PeriodicChopper
from sptrack.crossbar.threads import thread_count
from sptrack.devices import CustomResponse, Device, Spread
from sptrack.errors import ParameterError, nearest
from sptrack.intervals import positive_interval, student_interval
from sptrack.results import dataset, provenance
from sptrack.tracking.config import method_mapping
from sptrack.tracking.methods import Method
from sptrack.tracking.methods import method as method_by_name
from sptrack.tracking.problems import PROBLEMS, Problem, ProblemSettings
from sptrack.tracking.run import Tracker
from sptrack.values import as_seed

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
ProblemMaker = Callable[[ProblemSettings, int], Problem]
Progress = Callable[[int, int], None]

FINER = 16
"""Number of pulses that replace one where granularity is off."""
TAIL = 0.1
"""Fraction of the steps, at the end, that is scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    """Length and seeds of the runs, and whether Q is averaged before it is scored."""

    method: Method
    settings: ProblemSettings
    averaged: bool = False


class _Source(NamedTuple):
    """A source of error: what "off" does, whether a setup has it, and the setup without it."""

    meaning: str
    present: Callable[[_Setup], bool]
    off: Callable[[_Setup], _Setup]


def _device(setup: _Setup, **changes: Any) -> _Setup:
    device = replace(setup.settings.device, **changes)
    return replace(setup, settings=replace(setup.settings, device=device))


def _finer(setup: _Setup) -> _Setup:
    device, method = setup.settings.device, setup.method
    noise, drift, transfer = device.cycle_noise, device.drift, method.transfer
    if drift is not None:
        drift = replace(drift, per_pulse=drift.per_pulse / FINER, per_pulse_std=drift.per_pulse_std / FINER)
    made = _device(
        setup,
        dw_min=device.dw_min / FINER,
        cycle_noise=replace(noise, std=noise.std * FINER**0.5, offset=noise.offset / FINER,
                            slope=noise.slope / FINER),
        write_noise=device.write_noise * FINER,
        drift=drift,
    )  # fmt: skip
    changed = replace(
        method,
        transfer=replace(
            transfer, threshold=transfer.threshold / FINER, max_pulses=transfer.max_pulses * FINER
        ),
        pulses=method.pulses * FINER,
        reference=_finer_reference(method.reference),
    )
    return replace(made, method=changed)


def _finer_reference(reference: Block | ObserverSettings | str) -> Block | ObserverSettings | str:
    """An observer's prior is worth so many pulses, which are as much smaller."""
    if isinstance(reference, ObserverSettings):
        return replace(reference, weight=reference.weight * FINER)
    return reference


def _alike(setup: _Setup) -> _Setup:
    device = setup.settings.device
    spread = Spread(asymmetry=replace(device.spread.asymmetry, std=0.0))
    reference = None if device.reference is None else replace(device.reference, std=0.0)
    return _device(setup, spread=spread, reference=reference)


def _varied(device: Device) -> bool:
    s, reference = device.spread, device.reference
    spreads = (s.dw_min, s.w_max, s.w_min, s.shape, s.corrupt, s.asymmetry.std)
    return any(spreads) or (reference is not None and reference.std > 0)


def _irregular(setup: _Setup) -> bool:
    """Whether the signs flip, and not at regular intervals with as many of either sign."""
    chopper = setup.method.chopper
    regular = isinstance(chopper, PeriodicChopper) and 2 * chopper.high == chopper.period
    return setup.method.flips > 0 and not regular


def _regular(setup: _Setup) -> _Setup:
    chopper, flips = setup.method.chopper, setup.method.flips
    if chopper is None or not flips:
        return setup
    stagger = chopper.stagger if isinstance(chopper, PatternChopper) else 0
    regular = PeriodicChopper(
        half_period=max(1, round(1 / flips)), stagger=stagger, scope=chopper.scope, clock=chopper.clock
    )
    return replace(setup, method=replace(setup.method, chopper=regular))


SOURCES: dict[str, _Source] = {
    "granularity": _Source("pulses of a 16th of the size", lambda s: True, _finer),
    "cycle-noise": _Source(
        "every pulse moves by its mean",
        lambda s: s.settings.device.cycle_noise.std > 0,
        lambda s: _device(s, cycle_noise=replace(s.settings.device.cycle_noise, std=0.0)),
    ),
    "spread": _Source("all cells nominal", lambda s: _varied(s.settings.device), _alike),
    "read-noise": _Source(
        "reads without noise",
        lambda s: s.settings.read_noise > 0,
        lambda s: replace(s, settings=replace(s.settings, read_noise=0.0)),
    ),
    "write-noise": _Source(
        "what is read is what is stored",
        lambda s: s.settings.device.write_noise > 0,
        lambda s: _device(s, write_noise=0.0),
    ),
    "leakage": _Source(
        "an ideal filter: Q averaged over the scored steps",
        lambda s: s.method.moving,
        lambda s: replace(s, averaged=True),
    ),
    "chopper": _Source(
        "flips at regular intervals", _irregular, _regular
    ),
    "drift": _Source(
        "symmetric points stay",
        lambda s: s.settings.device.drift is not None,
        lambda s: _device(s, drift=None),
    ),
    "fixed-point": _Source(
        "Q in floating point",
        lambda s: s.method.bits > 0,
        lambda s: replace(s, method=replace(s.method, bits=0)),
    ),
}  # fmt: skip
"""Sources of error by name, in the order of the signal chain."""


def error_budget(
    method: str | Method,
    problem: str | ProblemMaker = "quadratic",
    settings: ProblemSettings | None = None,
    *,
    steps: int = 20000,
    seeds: int = 10,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> "xr.Dataset":
    """Sources of the error of the reference Q.

    Parameters
    ----------
    method : str or Method
        A method with a reference.
    problem : str or callable
        Name of a problem, or ``problem(settings, seed)``.
    settings : ProblemSettings or None
        Its settings, with the device; None: the default.
    steps : int
        Steps of each run; the last tenth is scored.
    seeds, seed : int
        Seeds seed .. seed + seeds - 1.
    threads : int or None
        Runs at a time; None: one per processor.
    progress : callable or None
        Called with the runs done so far and all runs.

    Returns
    -------
    Dataset
        Mean over the cells of (Q - symmetric point)^2, weight units squared. Over ``seed``: ``all`` and
        ``none`` of the sources on; over ``source`` (those that the setup has) and ``seed``: ``without`` it,
        ``only`` it. Means over the seeds with 95 % intervals (``_ci``): ``total``, ``floor``; by source
        ``saved`` = all - without, ``added`` = only - none; ``saved_remainder`` and ``added_remainder``: total
        - floor less their sum.

    Raises
    ------
    ParameterError
        Unknown method or problem, a method without a reference, steps or seeds out of range, a device that
        `Tracker` refuses.
    """
    chosen = method_by_name(method) if isinstance(method, str) else method
    whole = _Setup(method=chosen, settings=ProblemSettings() if settings is None else settings)
    make = _maker(problem)
    _check(whole, steps, seeds, seed)
    names = [name for name, source in SOURCES.items() if source.present(whole)]
    setups = {"all": whole, "none": _without(whole, names)}
    for name in names:
        setups[f"without {name}"] = _without(whole, [name])
        setups[f"only {name}"] = _without(whole, [other for other in names if other != name])
    made = _score_all(setups, make, steps, range(seed, seed + seeds), threads, progress)
    parameters = {
        "method": method_mapping(chosen),
        "problem": problem if isinstance(problem, str) else getattr(problem, "__name__", "custom"),
        "settings": _described(whole.settings),
        "steps": steps,
        "seeds": seeds,
    }
    return _dataset(names, made, range(seed, seed + seeds), provenance(seed=seed, parameters=parameters))


def _maker(problem: str | ProblemMaker) -> ProblemMaker:
    if not isinstance(problem, str):
        return problem
    if problem not in PROBLEMS:
        raise ParameterError(
            f"problem must be one of {', '.join(PROBLEMS)}, got {problem!r}{nearest(problem, PROBLEMS)}"
        )
    return PROBLEMS[problem]


def _check(setup: _Setup, steps: int, seeds: int, seed: int) -> None:
    if not setup.method.has_reference or setup.method.reference == "true":
        raise ParameterError(
            f"method {setup.method.name!r} estimates no symmetric point: choose e-rider, rider, o-rider, "
            "agad or two-stage"
        )
    if steps < 10:
        raise ParameterError(f"steps must be at least 10, got {steps}")
    as_seed(seed)
    if seeds < 2:
        raise ParameterError(f"seeds must be at least 2, got {seeds}")


def _described(settings: ProblemSettings) -> Any:
    """Settings as data; a user's own functions, which are none, by the name of their device."""
    if isinstance(settings.device.response, CustomResponse):
        return f"device {settings.device.source.name}"
    return settings


def _without(setup: _Setup, names: Sequence[str]) -> _Setup:
    for name in names:
        if SOURCES[name].present(setup):
            setup = SOURCES[name].off(setup)
    return setup


def _score_all(
    setups: dict[str, _Setup],
    make: ProblemMaker,
    steps: int,
    seeds: range,
    threads: int | None,
    progress: Progress | None,
) -> dict[str, Array]:
    """Mean square errors [seeds] of every setup; setups that differ in their score alone share a run."""
    runs = [replace(setup, averaged=False) for setup in setups.values()]
    distinct = [run for k, run in enumerate(runs) if run not in runs[:k]]
    jobs = [(run, seed) for run in distinct for seed in seeds]
    scores = np.empty((len(distinct), len(seeds), 2))
    done = 0
    with ThreadPoolExecutor(thread_count(threads), thread_name_prefix="sptrack") as pool:
        try:
            for made in pool.map(lambda job: _score(make, steps, *job), jobs):
                scores[divmod(done, len(seeds))] = made
                done += 1
                if progress is not None:
                    progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    places = [distinct.index(run) for run in runs]
    return {
        name: scores[place, :, int(setup.averaged)]
        for (name, setup), place in zip(setups.items(), places, strict=True)
    }


def _score(make: ProblemMaker, steps: int, setup: _Setup, seed: int) -> tuple[float, float]:
    """Mean square error of Q in the last steps, and of its mean over them."""
    tracker = Tracker(make(setup.settings, seed), setup.method, seed=seed)
    last = max(1, round(TAIL * steps))
    if steps > last:
        tracker.run(steps - last, samples=1)
    recording = tracker.record(last)
    error = recording.q.astype(np.float64) - recording.target
    return float(np.mean(error**2)), float(np.mean(error.mean(axis=0) ** 2))


def _dataset(names: list[str], made: dict[str, Array], seeds: range, origin: dict[str, Any]) -> "xr.Dataset":
    without, only = (np.array([made[f"{kind} {name}"] for name in names]) for kind in ("without", "only"))
    saved, added = made["all"] - without, only - made["none"]
    gap = made["all"] - made["none"]
    squared = {"units": "weight units squared"}
    variables: dict[str, Any] = {
        "all": (("seed",), made["all"], squared),
        "none": (("seed",), made["none"], squared),
        "without": (("source", "seed"), without, squared),
        "only": (("source", "seed"), only, squared),
    }
    for name, values, dims, interval in (
        ("total", made["all"], (), positive_interval),
        ("floor", made["none"], (), positive_interval),
        ("saved", saved, ("source",), student_interval),
        ("added", added, ("source",), student_interval),
        ("saved_remainder", gap - saved.sum(axis=0), (), student_interval),
        ("added_remainder", gap - added.sum(axis=0), (), student_interval),
    ):
        variables[name] = (dims, values.mean(axis=-1), squared)
        variables[f"{name}_ci"] = ((*dims, "end"), interval(values), squared)
    coordinates = {
        "source": (("source",), names, {}),
        "meaning": (("source",), [SOURCES[name].meaning for name in names], {}),
        "seed": (("seed",), list(seeds), {"units": "1"}),
    }
    return dataset(variables, coordinates, origin)


def budget_rows(data: "xr.Dataset") -> dict[str, Any]:
    """The numbers of a dataset of `error_budget` for tables and JSON.

    Keys: ``total``, ``floor``, ``saved_remainder``, ``added_remainder`` with their ``_ci``; ``sources``, a
    list of records with ``source``, ``off`` (what that means), ``saved``, ``added`` and their ``_ci``; all
    weight units squared.
    """
    sources = []
    for name in data["source"].values.tolist():
        one = data.sel(source=name)
        row: dict[str, Any] = {"source": name, "off": str(one["meaning"].values)}
        for key in ("saved", "added"):
            row |= {key: float(one[key]), f"{key}_ci": one[f"{key}_ci"].values.tolist()}
        sources.append(row)
    out: dict[str, Any] = {}
    for key in ("total", "floor", "saved_remainder", "added_remainder"):
        out |= {key: float(data[key]), f"{key}_ci": data[f"{key}_ci"].values.tolist()}
    return out | {"sources": sources}
