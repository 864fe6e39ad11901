"""Specification of a design: device, gradient, requirements; from Python or a TOML file.

A file, of which only ``require`` with one key is needed::

    device = "soft-bounds"      # preset or "FILE.toml"; or a table [device] as in a device file
    steps = 20000               # length of the run over which budgets count
    read_noise = 0.0            # std of a read of P, weight units
    curvature = [0.2, 1.0]      # smallest and largest curvature of the loss
    train = true                # false: the symmetric point alone matters, W need not converge

    [gradient]
    mean = 0.02                 # of each cell, before the chopper: what persists of it
    std = 0.2
    recorded = "gradient.csv"   # instead, or .npy: one row a step, one column a cell (or one for all)

    [require]                   # per cell; a key that is left out is no requirement
    bias = 0.01                 # rms over cells of the mean of Q - SP at the end of the run, weight units
    rms = 0.03                  # rms of Q - SP at the end of the run, weight units
    settling = 5000             # steps until 5 % of the start offset of Q are left
    converging = 10000          # steps until 5 % of the start error of W are left; half the run if not given
    weights = 0.05              # rms of W - W* once converged; 5 % of half the range if not given
    pulses = 20000              # on P and W
    reads = 20000
    programs = 100              # writes of the reference copy
    signal = 0.5                # at least: fraction of the gradient that survives the chopping
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Block, SignSource
from sptrack.blocks.spec import chopper_from, filter_from
from sptrack.devices import Device
from sptrack.devices.config import (
    build_described,
    described_scalar,
    device_from_mapping,
    device_named,
    read_toml,
    refuse_unknown,
)
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError
from sptrack.tracking import ProblemSettings
from sptrack.tracking.recorded import RecordedGradient, recorded_gradient
from sptrack.values import check_number, check_whole

Array = NDArray[Any]

QUANTITIES = ("bias", "rms", "settling", "converging", "weights", "pulses", "reads", "programs", "signal")
"""Requirements: upper limits, and for ``signal`` a lower one."""
UNITS = {
    "bias": "weight units",
    "rms": "weight units",
    "settling": "steps",
    "converging": "steps",
    "weights": "weight units",
    "pulses": "per cell",
    "reads": "per cell",
    "programs": "per cell",
    "signal": "1",
}
_WEIGHTS = 0.05
SETTLED = 0.05
"""Share of the start offset that may be left when the reference has settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Upper limits; None is no requirement.

    Parameters
    ----------
    bias : float or None
        Rms over cells of the mean of Q - w* at the end of the run, weight units: what is left of the start,
        and what stays.
    rms : float or None
        Rms over cells and noise of Q - w* at the end of the run, weight units.
    settling : float or None
        Steps until 5 % of the start offset of Q are left.
    converging : float or None
        Steps until 5 % of the start error of W are left, where the loss is flattest; predicted alone, a
        simulated training shows it.
    weights : float or None
        Rms of W from the optimum once converged, weight units.
    pulses, reads, programs : float or None
        Per cell over the run: pulses on P and W, reads of P, writes of the reference copy.
    signal : float or None
        Least fraction of the mean gradient that survives the chopping and reaches W, (1 - a) times the
        demodulated gain, below 1.

    Raises
    ------
    ParameterError
        No upper limit at all, or one that is not a finite number above 0 (``reads``, ``programs``: >= 0); a
        signal outside 0 .. 1; limits that contradict each other.
    """

    bias: float | None = None
    rms: float | None = None
    settling: float | None = None
    converging: float | None = None
    weights: float | None = None
    pulses: float | None = None
    reads: float | None = None
    programs: float | None = None
    signal: float | None = None

    def __post_init__(self) -> None:
        limits = {name: given for name in QUANTITIES if (given := getattr(self, name)) is not None}
        signal = limits.pop("signal", 0.0)
        check_number("require.signal", signal, least=0, below=1)
        if not limits:
            raise ParameterError(f"require must set at least one of {', '.join(QUANTITIES[:-1])}")
        for name, value in limits.items():
            limit = "least" if name in ("reads", "programs") else "above"
            check_number(f"require.{name}", value, **{limit: 0})
        if self.bias is not None and self.rms is not None and self.bias > self.rms:
            raise ParameterError(
                f"require.bias = {self.bias} above require.rms = {self.rms}: the rms includes the bias, "
                "lower the bias or raise the rms"
            )

    @property
    def limits(self) -> dict[str, float]:
        """Limits by name, in the order of `QUANTITIES`."""
        given = {name: getattr(self, name) for name in QUANTITIES}
        return {name: float(value) for name, value in given.items() if value is not None}

    def excess(self, name: str, value: float) -> float:
        """Ratio of a value to its limit: 1 is on it, above 1 breaks it; 0 without a limit."""
        limit = self.limits.get(name)
        if limit is None or (name == "signal" and limit == 0):
            return 0.0
        if np.isnan(value):
            return float("inf")
        over, under = (limit, value) if name == "signal" else (value, limit)
        if under == 0:
            return float("inf") if over > 0 else 0.0
        return float(over / under)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """Gradient of a cell before the chopper: mean and std, or a recording that replaces both.

    Raises
    ------
    ParameterError
        Numbers that are not finite, a negative std, no gradient at all.
    """

    mean: float = 0.02
    std: float = 0.2
    recording: RecordedGradient | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.std) and self.std >= 0):
            raise ParameterError(
                f"gradient must have a finite mean and std >= 0, got {self.mean}, {self.std}"
            )
        if self.recording is None and self.mean == 0 and self.std == 0:
            raise ParameterError("gradient mean = 0 and std = 0: without pulses nothing can be tracked")

    def over(self, cells: int) -> tuple[Array, Array]:
        """Mean and std [cells] of each cell; recorded columns are dealt out in turn."""
        if self.recording is None:
            return np.full(cells, float(self.mean)), np.full(cells, float(self.std))
        return self.recording.over(cells)

    def drive(self, steps: int, cells: int) -> Array | None:
        """The recording as [steps, cells] (float32), repeated in time and over cells; None without one."""
        return None if self.recording is None else self.recording.drive(steps, cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """A specification.

    Parameters
    ----------
    requirements : Requirements
        What must hold.
    device : Device
        Device of P and W.
    gradient : Gradient
        Statistics or recording.
    steps : int
        Length of the run, at least 100.
    read_noise : float
        Std of a read of P, weight units.
    curvature : (float, float)
        Smallest and largest curvature of the loss, above 0.
    train : bool
        Whether W is to converge, within half the run and to 5 % of half the nominal range unless the
        requirements say otherwise. Frequent flips are good for Q, but leave W to noise.
    filter : Block or None
        Filter of the reads to be designed around; None: filters and observers are searched.
    chopper : chopper or None
        Chopper to be designed around; None: choppers are searched.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    requirements: Requirements = field(default_factory=lambda: Requirements(rms=0.05))
    device: Device = field(default_factory=lambda: preset("soft-bounds"))
    gradient: Gradient = Gradient()
    steps: int = 20000
    read_noise: float = 0.0
    curvature: tuple[float, float] = (0.2, 1.0)
    train: bool = True
    filter: Block | None = None
    chopper: SignSource | None = None

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 100, 10_000_000)
        check_number("read_noise", self.read_noise, least=0)
        low, high = self.curvature
        if not (np.isfinite(high) and 0 < low <= high):
            raise ParameterError(f"curvature must satisfy 0 < smallest <= largest, got {low}, {high}")
        settling = self.requirements.settling
        if settling is not None and settling > self.steps:
            raise ParameterError(
                f"require.settling must lie within the run of {self.steps} steps, got {settling:g}"
            )
        if self.train:
            response, given = self.device.response, self.requirements
            limit = _WEIGHTS * (response.w_max - response.w_min) / 2
            requirements = replace(
                given,
                converging=self.steps / 2 if given.converging is None else given.converging,
                weights=limit if given.weights is None else given.weights,
            )
            object.__setattr__(self, "requirements", requirements)

    @property
    def problem(self) -> ProblemSettings:
        """Problem with the device, the reads, the curvature and the gradient noise of the specification."""
        low, high = self.curvature
        noise = float(self.gradient.over(1)[1][0])
        return ProblemSettings(
            device=self.device, read_noise=self.read_noise, low=low, high=high, gradient_noise=noise
        )

    def with_device(self, device: Device) -> "Specification":
        """The specification on another device, with its reading noise unless this has one of its own."""
        own = self.read_noise not in (0.0, self.device.read_noise)
        return replace(self, device=device, read_noise=self.read_noise if own else device.read_noise)


def problem_specification(settings: ProblemSettings, steps: int) -> Specification:
    """Specification for training on a problem: an rms of Q of 5 % of half the range, and W converged.

    Device, reads, curvature and gradient noise are the problem's, the mean gradient that of `Gradient`.
    """
    response = settings.device.response
    return Specification(
        requirements=Requirements(rms=_WEIGHTS * (response.w_max - response.w_min) / 2),
        device=settings.device,
        gradient=Gradient(std=settings.gradient_noise),
        steps=steps,
        read_noise=settings.read_noise,
        curvature=(settings.low, settings.high),
    )


def load_specification(path: str | os.PathLike[str]) -> Specification:
    """Specification in the TOML file at ``path`` (module text); a recording is looked for beside the file.

    Raises
    ------
    ParameterError
        A file that cannot be read, an unknown key (with the nearest valid one), a value of a wrong type or
        outside its range.
    """
    return specification_from_mapping(read_toml(path), os.fspath(path), Path(path).parent)


def specification_from_mapping(
    mapping: Mapping[str, Any], where: str = "specification", folder: Path = Path()
) -> Specification:
    """The same from nested mappings; a recording's path is relative to ``folder``."""
    known = (
        *("device", "steps", "read_noise", "curvature", "train", "gradient", "require"),
        *("filter", "chopper"),
    )
    refuse_unknown(mapping, known, "", where)
    if not isinstance(mapping.get("require"), Mapping):
        raise ParameterError(f"{where}: table [require] is missing; set one of {', '.join(QUANTITIES)}")
    made: dict[str, Any] = {
        "requirements": build_described(Requirements, mapping["require"], "require.", where),
        "gradient": _gradient(mapping.get("gradient", {}), where, folder),
    }
    for name, kind in {"steps": int, "read_noise": float, "train": bool}.items():
        if name in mapping:
            made[name] = described_scalar(kind, mapping[name], name, where)
    if "curvature" in mapping:
        ends = mapping["curvature"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise ParameterError(f"{where}: curvature must be two numbers, got {ends!r}")
        made["curvature"] = tuple(described_scalar(float, end, "curvature", where) for end in ends)
    if "device" in mapping:
        device = mapping["device"]
        if isinstance(device, str):
            made["device"] = device_named(device, folder)
        elif isinstance(device, Mapping):
            made["device"] = device_from_mapping(device, f"{where}: device")
        else:
            raise ParameterError(f"{where}: device must be a preset's name or a table, got {device!r}")
        made.setdefault("read_noise", made["device"].read_noise)
    if "filter" in mapping:
        made["filter"] = filter_from(mapping["filter"], f"{where}: filter")
        made["filter"].settled  # noqa: B018 - a filter without a response is refused here
    if "chopper" in mapping:
        made["chopper"] = chopper_from(mapping["chopper"], f"{where}: chopper")
    try:
        return Specification(**made)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error


def _gradient(table: Any, where: str, folder: Path) -> Gradient:
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where}: gradient must be a table, got {table!r}")
    refuse_unknown(table, ("mean", "std", "recorded"), "gradient.", where)
    if "recorded" not in table:
        made: Gradient = build_described(Gradient, table, "gradient.", where)
        return made
    recorded = table["recorded"]
    if not isinstance(recorded, str) or len(table) > 1:
        raise ParameterError(f"{where}: gradient.recorded must name a CSV or .npy file, without mean and std")
    return Gradient(recording=recorded_gradient(folder / recorded))
