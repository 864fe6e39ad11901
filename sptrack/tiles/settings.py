"""Settings of a tile, and the algorithms as published runs use them.

Names and units are those of `sptrack.tracking.compounds`: rates in the vocabulary of aihwkit 1.2.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from sptrack.blocks import EMA, Block, Chopper, ObserverSettings, PeriodicChopper, PeriodMean
from sptrack.blocks.choppers import SignSource
from sptrack.crossbar import PulseScheme
from sptrack.errors import ParameterError, nearest
from sptrack.tiles.io import AnalogIO
from sptrack.tracking.compounds import SINGLE_PULSES, Buffer, FastUpdate, SliceTransfer
from sptrack.values import check_number, check_whole

TRAINS = PulseScheme(train_length=5)
"""Trains of a gradient: at most five slots, with update and length management."""
READS = AnalogIO(noise_management=False, bound_management=False)
"""Converter of the reads of a column: that of the forward pass, neither noise nor bound management."""

Residual = Literal["none", "stored", "array"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSettings:
    """One algorithm on the two arrays of a tile: W, and P that takes the gradient.

    Parameters
    ----------
    name : str
        Name of the algorithm.
    single : bool
        Analog SGD: the gradient is pulsed onto W, there is no P.
    fast : FastUpdate
        Gradient onto P (or W).
    transfer : SliceTransfer
        Reads of P, one column every ``every`` mini-batches, and the rate of the transfer to W.
    buffer : Buffer or None
        Digital buffer between P and W; None: W is pulsed by trains.
    reference : Block, ObserverSettings, "zero", "calibrated" or "true"
        What is subtracted from reads: the output of a block fed with the reads of each column; the estimate
        of an observer of form "scalar", which is told how many pulses up and down each cell was sent since
        the last read of its column, and forgets per read; zero; the estimate of zero-shifting with
        ``calibration`` pulses before training, after which P starts at 0; the true symmetric points.
    calibration : int
        Pulses per cell of zero-shifting.
    chopper : SignSource or None
        Signs of the columns by their number of reads. Scope "column" gives each column signs of its own.
    hold : int
        Passes over the columns in which W is not pulsed.
    beyond_bounds : bool
        Start as aihwkit 1.2.0 sets weights: what is read is limited to the bounds, although a cell with a
        reference is read by that much less than it holds; the first pulse brings the cell between its bounds.
        Else cells start between them, and W is read as asked where they can hold it.
    frozen : bool
        W is never pulsed: what a net learns without it.
    residual : {"none", "stored", "array"}
        "stored": a second analog pass, gamma times, through the matrix of the latest reads c (P - reference).
        "array": gamma c (P - reference) is part of the array's sum.
    gamma : float
        Weight of the residual pass.
    forward, backward, reads : AnalogIO
        Converters of the forward and backward pass and of the reads of columns.

    Raises
    ------
    ParameterError
        An unknown residual or reference, rows as slices, a number outside its range, and what a tile would
        not follow: a reference, chopper or residual of analog SGD, trains that are not stochastic, a
        ``read_noise`` of the transfer (that of a tile is the converter's).
    """

    name: str = "agad"
    single: bool = False
    fast: FastUpdate = field(default_factory=lambda: FastUpdate(scheme=TRAINS, scaled=False))
    transfer: SliceTransfer = field(default_factory=lambda: SliceTransfer(scheme=TRAINS))
    buffer: Buffer | None = None
    reference: Block | ObserverSettings | str = "zero"
    calibration: int = 0
    chopper: SignSource | None = None
    hold: int = 0
    beyond_bounds: bool = False
    frozen: bool = False
    residual: Residual = "none"
    gamma: float = 0.0
    forward: AnalogIO = field(default_factory=AnalogIO)
    backward: AnalogIO = field(default_factory=AnalogIO)
    reads: AnalogIO = READS

    def __post_init__(self) -> None:
        if self.residual not in ("none", "stored", "array"):
            raise ParameterError(f"residual must be none, stored or array, got {self.residual!r}")
        known = ("zero", "calibrated", "true")
        if not (isinstance(self.reference, Block | ObserverSettings) or self.reference in known):
            raise ParameterError(
                f"reference must be a block, an observer, zero, calibrated or true, got {self.reference!r}"
            )
        if isinstance(self.reference, ObserverSettings) and self.reference.form != "scalar":
            raise ParameterError(
                f"form of an observer on a tile must be scalar, got {self.reference.form}: it hears of "
                "hundreds of pulses at once; pass --filter scalar-observer"
            )
        if not self.transfer.columns:
            raise ParameterError("transfer.columns must be True on a tile: columns of P are read")
        schemes = {"fast": self.fast.scheme}
        if self.buffer is None and not self.single:
            schemes["transfer"] = self.transfer.scheme
        for name, scheme in schemes.items():
            if scheme.pulse_type != "stochastic-compressed" or scheme.resolution:
                raise ParameterError(
                    f"{name}.scheme of a tile must have stochastic trains without resolution, "
                    f"got {scheme.pulse_type} with resolution {scheme.resolution:g}"
                )
        if self.transfer.read_noise:
            raise ParameterError(
                f"transfer.read_noise must be 0 on a tile, got {self.transfer.read_noise:g}: "
                "set reads.output_noise, the noise of its converter"
            )
        check_whole("calibration", self.calibration)
        check_whole("hold", self.hold)
        check_number("gamma", self.gamma, least=0)
        if self.single and (self.chopper is not None or self.reference != "zero" or self.residual != "none"):
            raise ParameterError(
                f"{self.name} pulses W alone: it takes no chopper, filter or residual; choose a method with P"
            )
        if self.reference == "calibrated" and self.calibration == 0:
            raise ParameterError("calibration must be > 0 where the reference is calibrated")


def _buffered(transfer: float, *, scaled: bool = True) -> SliceTransfer:
    return SliceTransfer(rate=transfer, scaled=scaled, scheme=SINGLE_PULSES)


def _fast(rate: float, *, scaled: bool = False) -> FastUpdate:
    return FastUpdate(rate=rate, scaled=scaled, scheme=TRAINS)


def regular(probability: float) -> PeriodicChopper:
    """Regular chopper of published runs: the sign of a column flips after every 1/probability reads."""
    period = max(-int(-1 // probability), 2)
    return PeriodicChopper(half_period=period, clock="read")


def _agad(name: str, rate: float, transfer: SliceTransfer, probability: float, **more: Any) -> TileSettings:
    chopper = regular(probability)
    return TileSettings(
        name=name,
        fast=_fast(rate),
        transfer=transfer,
        buffer=Buffer(auto_granularity=1000.0, momentum=0.0, forget=True),
        reference=PeriodMean.over(chopper.half_period, 5.0),
        chopper=chopper,
        hold=chopper.half_period + 1,
        **more,
    )


def _published() -> dict[str, TileSettings]:
    whole = SliceTransfer(rate=1.0, scaled=False, scheme=PulseScheme(train_length=5))
    residual = _agad("e-rider", 0.5, _buffered(0.05, scaled=False), 0.05, residual="stored", gamma=0.1)
    ttv2 = TileSettings(
        name="tt-v2",
        fast=_fast(0.03, scaled=True),
        transfer=_buffered(0.01),
        buffer=Buffer(scale=0.8, momentum=0.1),
    )
    transfers = {
        "sgd": TileSettings(name="sgd", single=True, fast=FastUpdate(rate=0.0, scheme=TRAINS)),
        "tt-v1": TileSettings(name="tt-v1", fast=_fast(0.05), transfer=replace(whole, rate=0.05)),
        "tt-v2": ttv2,
        "c-ttv2": replace(
            ttv2,
            name="c-ttv2",
            fast=_fast(0.05),
            transfer=_buffered(0.3),
            buffer=Buffer(auto_granularity=1000.0, momentum=0.0),
            chopper=regular(0.1),
        ),
        "agad": _agad("agad", 0.05, _buffered(0.3), 0.1),
        "residual": replace(
            ttv2,
            name="residual",
            fast=_fast(0.5),
            transfer=replace(whole, rate=0.05),
            buffer=None,
            residual="array",
            gamma=0.1,
        ),
        "e-rider": residual,
    }
    transfers["two-stage"] = replace(
        transfers["residual"], name="two-stage", reference="calibrated", calibration=2000
    )
    transfers["e-rider-paper"] = replace(
        residual,
        name="e-rider-paper",
        residual="array",
        chopper=Chopper(p=0.05, scope="column", clock="read"),
        reference=PeriodMean(eta=0.25),
    )
    transfers["rider"] = replace(
        residual, name="rider", residual="array", chopper=None, reference=EMA(eta=0.05), hold=0
    )
    transfers["o-rider"] = replace(residual, name="o-rider", reference=ObserverSettings(form="scalar"))
    return transfers


ALGORITHMS: Mapping[str, TileSettings] = _published()
"""Algorithms by name, with the settings published for the fully connected net where there are some."""


def algorithm(name: str, **changes: Any) -> TileSettings:
    """Settings of an algorithm, with fields changed.

    ``changes`` are fields of `TileSettings`.

    Raises
    ------
    ParameterError
        An unknown name or field; the nearest one is suggested.
    """
    if name not in ALGORITHMS:
        raise ParameterError(
            f"unknown method {name!r}; choose from {', '.join(ALGORITHMS)}{nearest(name, ALGORITHMS)}"
        )
    known = [one.name for one in fields(TileSettings)]
    for key in changes:
        if key not in known:
            raise ParameterError(f"unknown setting {key!r} of a tile{nearest(key, known)}")
    return replace(ALGORITHMS[name], **changes)
