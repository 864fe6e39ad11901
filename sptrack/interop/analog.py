"""What a configuration of a simulator describes, and the settings of a tile that belong to it."""

import math
from dataclasses import dataclass, field, replace

from sptrack.blocks import Chopper, PeriodicChopper, PeriodMean
from sptrack.blocks.choppers import SignSource
from sptrack.crossbar import PulseScheme
from sptrack.devices import Device
from sptrack.errors import ParameterError
from sptrack.tiles import AnalogIO, TileSettings
from sptrack.tiles.settings import READS
from sptrack.tracking.compounds import CompoundSettings, FastUpdate, SliceChopper


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalogConfig:
    """What a configuration of the simulator describes.

    Parameters
    ----------
    device : Device
        Device of the fast array, or of the only one.
    slow : Device or None
        Device of the slow array of a compound.
    compound : CompoundSettings or None
        Transfer between both; None: the gradient is pulsed onto the only array.
    batched : bool
        The transfer counts mini-batches, not samples.
    update : PulseScheme
        Pulse trains of the gradient.
    forward, backward, reads : AnalogIO
        Converters of both passes, and of the reads of slices.
    missing : tuple of str
        Settings of the source that have no equivalent here, "path = value".
    """

    device: Device = field(default_factory=Device)
    slow: Device | None = None
    compound: CompoundSettings | None = None
    batched: bool = True
    update: PulseScheme = field(default_factory=PulseScheme)
    forward: AnalogIO = field(default_factory=AnalogIO)
    backward: AnalogIO = field(default_factory=lambda: AnalogIO(bound_management=False))
    reads: AnalogIO = READS
    missing: tuple[str, ...] = ()

    @classmethod
    def from_tile(cls, settings: TileSettings, device: Device) -> "AnalogConfig":
        """The configuration that comes nearest to a tile, both of whose arrays are of ``device``.

        Parameters
        ----------
        settings : TileSettings
            Algorithm and converters.
        device : Device
            Device of W and P.

        Returns
        -------
        AnalogConfig
            Its ``missing`` names what has no equivalent, such as the residual pass of E-RIDER through a
            stored matrix, references that are not AGAD's period mean, and choppers of another kind.
        """
        s, missing = settings, []
        own = cls(device=device, update=s.fast.scheme, forward=s.forward, backward=s.backward, reads=s.reads)
        if device.reference is not None and not s.beyond_bounds:
            missing.append("tile.beyond_bounds = False")
        if s.frozen:
            missing.append("tile.frozen = True")
        if s.single:
            return replace(own, missing=tuple(missing))
        chopper, transfer = _slice_chopper(s, missing), s.transfer
        agad = chopper is not None and chopper.tail > 0
        gamma = s.gamma if s.residual == "array" and not agad else 0.0
        if s.gamma > 0 and gamma == 0:
            missing += [f"tile.residual = {s.residual}", f"tile.gamma = {s.gamma}"]
        if gamma > 0 and s.buffer is not None:
            transfer = replace(transfer, rate=transfer.rate / gamma)
        if s.hold != (chopper.period + 1 if chopper and agad else 0):
            missing.append(f"tile.hold = {s.hold}")
        compound = CompoundSettings(
            gamma=gamma, fast=s.fast, transfer=transfer, buffer=s.buffer, chopper=chopper
        )
        return replace(own, compound=compound, missing=tuple(missing))

    def tile(self) -> TileSettings:
        """Settings of a tile of `sptrack.nn` and `sptrack.tiles`.

        Raises
        ------
        ParameterError
            A compound of two kinds of devices, whose transfer counts samples, or with gamma or random flips
            where a tile has none.
        """
        base = TileSettings(
            forward=self.forward,
            backward=self.backward,
            reads=self.reads,
            beyond_bounds=self.device.reference is not None,
        )
        compound = self.compound
        if compound is None:
            return replace(base, name="sgd", single=True, fast=FastUpdate(rate=0.0, scheme=self.update))
        chopper, transfer = compound.chopper, compound.transfer
        agad = chopper is not None and chopper.tail > 0
        if self.slow is not None and replace(self.slow, source=self.device.source) != self.device:
            raise ParameterError("unit_cell_devices must be equal on a tile, got two kinds of devices")
        if not self.batched:
            raise ParameterError("units_in_mbatch must be True on a tile, which reads after mini-batches")
        if agad and compound.gamma > 0:
            raise ParameterError(f"gamma must be 0 on a tile of AGAD, got {compound.gamma}")
        signs: SignSource | None = None
        if chopper is not None and chopper.random and chopper.probability > 0:
            if agad:
                raise ParameterError("in_chop_random must be False on a tile of AGAD")
            signs = Chopper(p=chopper.probability, scope="column", clock="read")
        elif chopper is not None and chopper.probability > 0:
            signs = PeriodicChopper(half_period=chopper.period, clock="read")
        if compound.gamma > 0 and compound.buffer is not None:
            transfer = replace(transfer, rate=transfer.rate * compound.gamma)
        return replace(
            base,
            name=kind_of(compound),
            fast=compound.fast,
            transfer=transfer,
            buffer=compound.buffer,
            chopper=signs,
            reference=PeriodMean.over(chopper.period, chopper.tail) if chopper and agad else "zero",
            hold=chopper.period + 1 if chopper and agad else 0,
            residual="array" if compound.gamma > 0 else "none",
            gamma=compound.gamma,
        )


def _slice_chopper(tile: TileSettings, missing: list[str]) -> SliceChopper | None:
    """Chopper and reference of a tile as one setting; what it cannot hold is named in ``missing``."""
    chopper, reference, found = tile.chopper, tile.reference, None
    if isinstance(chopper, Chopper) and chopper.scope == "column" and chopper.p > 0:
        found = SliceChopper(probability=chopper.p, random=True)
    elif isinstance(chopper, PeriodicChopper) and chopper.duty == 0.5 and chopper.half_period > 1:
        found = SliceChopper(probability=_inverse(chopper.half_period))
    elif chopper is not None:
        missing.append(f"tile.chopper = {chopper}")
    elif tile.buffer is not None and (tile.buffer.auto_granularity > 0 or tile.buffer.correct_magnitudes):
        found = SliceChopper(probability=0.0)
    if isinstance(reference, PeriodMean) and found is not None and found.probability > 0 and not found.random:
        return replace(found, tail=reference.eta * found.period)
    if reference != "zero":
        missing.append(f"tile.reference = {reference}")
    return found


def _inverse(period: int) -> float:
    """Probability whose inverse is at most ``period``, in floating point too."""
    found = 1.0 / period
    return found if math.ceil(1.0 / found) == period else math.nextafter(found, 1.0)


def kind_of(compound: CompoundSettings) -> str:
    """Name of the algorithm of a compound."""
    if compound.buffer is None:
        return "tt-v1"
    if compound.chopper is None:
        return "tt-v2"
    return "agad" if compound.chopper.tail > 0 else "c-ttv2"
