"""Device: a frozen description of a cell's response, of how cells differ, and of its noise."""

import os
from dataclasses import dataclass, field

import numpy as np

from sptrack.devices.families import Response, SoftBounds
from sptrack.errors import ParameterError
from sptrack.values import check_number, plain_fields

MAX_ASYMMETRY = 0.95
"""|r| is clipped at this share of the gain g, so that both scales g + r and g - r stay positive."""
MAX_DRIFT = 0.1
"""Fastest drift of a response curve, weight units per pulse or step."""


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        check_number(name, value, least=0)


def _normal(name: str, mean: float, std: float) -> None:
    """Refuse a mean that is not finite, or a std that is not finite and at least 0."""
    check_number(f"{name}.mean", mean)
    _at_least_zero(**{f"{name}.std": std})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asymmetry:
    """Scales a_plus = g + r, a_minus = g - r with r = mean + std xi, |r| clipped at 0.95 g.

    The clipped share of the cells is reported as `Cells.clip_fraction`. Source: linear device of Xiao et al.
    2026.
    """

    mean: float = 0.0
    std: float = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        _normal("asymmetry", self.mean, self.std)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSidedAsymmetry(Asymmetry):
    """The reference simulator's asymmetry, which acts on one direction only.

    a_plus = g + min(mean, 0) + std xi, a_minus = g - max(mean, 0) - std xi; a negative scale is replaced by
    its absolute value, crossed bounds are swapped. Use it to reproduce aihwkit (1.2.0), not to describe a new
    device.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetricPoints:
    """The distribution of the symmetric point itself: parameters are solved for.

    Each cell's point is drawn as mean + std xi, clipped to the middle share ``limit`` of the nominal range
    and counted; with the gain g, the scales are g + r and g - r with r = g (q_minus - q_plus)/(q_minus +
    q_plus) at that point.
    """

    mean: float = 0.0
    std: float = 0.0
    limit: float = 0.95

    def __post_init__(self) -> None:
        plain_fields(self)
        _normal("asymmetry", self.mean, self.std)
        check_number("asymmetry.limit", self.limit, above=0, below=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Device-to-device spread, all dimensionless.

    Parameters
    ----------
    dw_min : float
        Std of the gain g: 1 + std xi, or exp(std xi) if ``log_normal``.
    asymmetry : Asymmetry or OneSidedAsymmetry or SymmetricPoints
        How up and down steps differ.
    w_max, w_min : float
        Std of each bound relative to its nominal value.
    shape : float
        Std of the family's shape parameters (slopes, exponents, a user's parameters).
    corrupt, corrupt_range : float
        Probability that a cell is stuck, and half range of the value at which it is stuck (weight units).
    """

    dw_min: float = 0.0
    log_normal: bool = False
    asymmetry: Asymmetry | OneSidedAsymmetry | SymmetricPoints = field(default_factory=Asymmetry)
    w_max: float = 0.0
    w_min: float = 0.0
    shape: float = 0.0
    corrupt: float = 0.0
    corrupt_range: float = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        names = ("dw_min", "w_max", "w_min", "shape", "corrupt", "corrupt_range")
        _at_least_zero(**{f"spread.{name}": getattr(self, name) for name in names})
        if self.corrupt > 1:
            raise ParameterError(f"spread.corrupt must be a probability between 0 and 1, got {self.corrupt}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleNoise:
    """Cycle-to-cycle noise: every pulse has a normal draw of its own.

    Parameters
    ----------
    std : float
        Relative to the actual step, or, if ``additive``, to the step at full scale (at w = 0 for soft
        bounds).
    additive : bool
        Noise that does not vanish with the step.
    offset, slope : float
        Further terms of the std: std (|step| + offset + slope |w|), weight units and dimensionless.
    """

    std: float = 0.0
    additive: bool = False
    offset: float = 0.0
    slope: float = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        _at_least_zero(**{f"cycle_noise.{name}": getattr(self, name) for name in ("std", "offset", "slope")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Reference of reads: the true symmetric point if ``subtract``, plus an error N(mean, std)."""

    subtract: bool = True
    mean: float = 0.0
    std: float = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        _normal("reference", self.mean, self.std)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Response curves that move along the weight axis: with pulses (cycling), with time, at random.

    A curve that has moved by s responds at w as it once did at w - s: symmetric point and bounds move with
    it. Rates are drawn per cell; cells that are stuck do not move. Rates down to 1e-12 are followed in
    float32, in moves of 1e-6 each.

    Parameters
    ----------
    per_pulse, per_pulse_std : float
        Mean over cells, and std, of the move per pulse received, up or down, weight units.
    per_step, per_step_std : float
        The same per step of time: a step of training, or of `Crossbar.rest`.
    walk : float
        Std of a normal move per step, weight units, the same in every cell.
    """

    per_pulse: float = 0.0
    per_pulse_std: float = 0.0
    per_step: float = 0.0
    per_step_std: float = 0.0
    walk: float = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        _normal("drift.per_pulse", self.per_pulse, self.per_pulse_std)
        _normal("drift.per_step", self.per_step, self.per_step_std)
        _at_least_zero(**{"drift.walk": self.walk})
        for name in ("per_pulse", "per_pulse_std", "per_step", "per_step_std", "walk"):
            value = getattr(self, name)
            if abs(value) > MAX_DRIFT:
                raise ParameterError(f"drift.{name} must be at most {MAX_DRIFT:g} in size, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a description comes from: name and citation; the note says what to know before using it."""

    name: str = "custom"
    citation: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingScale:
    """Readings that are the weights -1 and 1, in the unit of the user.

    Parameters
    ----------
    low, high : float
        Readings of w = -1 and w = 1.
    unit : str
        Their unit, such as uS; empty for none.
    quantity : str
        What they are, such as conductance.
    """

    low: float = -1.0
    high: float = 1.0
    unit: str = ""
    quantity: str = ""

    def __post_init__(self) -> None:
        plain_fields(self)
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ParameterError(
                f"scale must be finite with low < high, got low = {self.low}, high = {self.high}"
            )

    def reading(self, weight: float) -> float:
        """Reading of a weight."""
        return self.low + 0.5 * (weight + 1.0) * (self.high - self.low)

    def size(self, weights: float) -> float:
        """Difference of readings that a difference of weights is."""
        return 0.5 * weights * (self.high - self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Uncertainty of a fitted device, and where it comes from.

    Weights, with the ends of 95 % intervals; an end that is left out is open or was not found.

    Parameters
    ----------
    file, sha256 : str
        Names of the files of readings, and the digest of their bytes.
    family : str
        Family that was fitted.
    cells, readings : int
        Cells and readings that were used.
    symmetric_point, symmetric_point_low, symmetric_point_high : float or None
        Symmetric point, weight units: of the cell, or the mean over cells.
    symmetric_point_std : float or None
        Its standard deviation over cells, weight units.
    dw_min, dw_min_low, dw_min_high : float or None
        Mean of the up and the down step at w = 0, weight units.
    read_noise_low, read_noise_high, cycle_noise_low, cycle_noise_high : float or None
        Ends for the noises, as in `Device`.
    not_identified : tuple of str
        Parameters that the readings do not determine.
    version, created : str
        Version of sptrack, and date.
    """

    file: str = ""
    sha256: str = ""
    family: str = ""
    cells: int = 1
    readings: int = 0
    symmetric_point: float | None = None
    symmetric_point_low: float | None = None
    symmetric_point_high: float | None = None
    symmetric_point_std: float | None = None
    dw_min: float | None = None
    dw_min_low: float | None = None
    dw_min_high: float | None = None
    read_noise_low: float | None = None
    read_noise_high: float | None = None
    cycle_noise_low: float | None = None
    cycle_noise_high: float | None = None
    not_identified: tuple[str, ...] = ()
    version: str = ""
    created: str = ""

    def __post_init__(self) -> None:
        plain_fields(self)
        object.__setattr__(self, "not_identified", tuple(self.not_identified))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A kind of cell: response, granularity, spread and noise.

    The default is the soft-bounds array of Figure 1 in Xiao et al. 2026 (arXiv 2602.21321): log-normal gain
    with sigma 0.3, asymmetry 0.3 +- 0.3 clipped at 0.95 of the gain, cycle noise 0.3.

    Parameters
    ----------
    response : Response
        One of the families, or `CustomResponse`.
    dw_min : float
        Response granularity: a pulse moves a nominal cell by dw_min * q(w), weight units.
    spread : Spread
        How the cells of an array differ.
    cycle_noise : CycleNoise
        Noise of each pulse.
    write_noise : float
        Std of the difference between the visible and the hidden weight, in units of dw_min; a new draw per
        pulse.
    reference : Reference or None
        What is subtracted from reads.
    drift : Drift or None
        How response curves move; None: they stay.
    one_sided : bool
        The cell can only be pulsed up; a weight is the difference of two such cells.
    read_noise : float
        Std of the reading noise of one read, weight units: used by every command unless another is given.
    scale : ReadingScale or None
        Readings behind the weights, of a device that was fitted.
    fit : Fit or None
        Uncertainty and origin of a device that was fitted.
    source : Source
        Name and citation.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    response: Response = field(default_factory=SoftBounds)
    dw_min: float = 0.001
    spread: Spread = field(
        default_factory=lambda: Spread(dw_min=0.3, log_normal=True, asymmetry=Asymmetry(mean=0.3, std=0.3))
    )
    cycle_noise: CycleNoise = field(default_factory=lambda: CycleNoise(std=0.3))
    write_noise: float = 0.0
    reference: Reference | None = None
    drift: Drift | None = None
    one_sided: bool = False
    read_noise: float = 0.0
    scale: ReadingScale | None = None
    fit: Fit | None = None
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        plain_fields(self)
        width = self.response.w_max - self.response.w_min
        if not (np.isfinite(self.dw_min) and 0 < self.dw_min < width):
            raise ParameterError(f"dw_min must be > 0 and below the range {width:g}, got {self.dw_min}")
        _at_least_zero(write_noise=self.write_noise, read_noise=self.read_noise)
        if self.one_sided and self.drift is not None:
            raise ParameterError("drift of a one-sided device: it has no symmetric point that could move")

    @property
    def states(self) -> float:
        """Number of states: nominal range over granularity."""
        return (self.response.w_max - self.response.w_min) / self.dw_min

    @staticmethod
    def load(name: str | os.PathLike[str]) -> "Device":
        """Device of a name: a preset, or a TOML file.

        Raises
        ------
        ParameterError
            No preset of that name, or a file that cannot be read or describes no device.
        """
        from sptrack.devices.config import device_named

        return device_named(name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the device as a TOML file, of which `Device.load` makes an equal one.

        Raises
        ------
        ParameterError
            A path that cannot hold a file; a response of a user's own functions, which has no form as data.
        """
        from sptrack.devices.config import save_device

        save_device(self, path)
