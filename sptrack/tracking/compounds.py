"""The transfer compounds of the reference simulator: TT-v1, TT-v2, c-TTv2, AGAD on rank-1 updates.

Where `sptrack.tracking.methods` states the algorithms in weight units, this module keeps the units and
scalings of aihwkit 1.2.0 (Rasch et al. 2021), so that settings published for it can be used as they are. The
fast array A takes the gradient, the slow array C what is transferred; the weight is gamma c A + C, with the
chopper sign c.

One update with vectors x [C], d [R] and learning rate lr:

1. A is pulsed for -r d x^T, with the chopper's sign. r = fast.rate (times lr if ``scaled``; lr if the rate is
   0), or with ``auto_scale`` r = fast.rate BL g_A / (m_x m_d) (times lr if ``scaled``), m being the running
   maxima of |x| and |d|. The trains are planned with the *mean* granularity of both arrays.
2. Every ``transfer.every`` updates the next slice (column or row) a of A is read and transferred at the rate
   L = transfer.rate (times lr if ``scaled``; times gamma, if that is above 0 and there is a buffer):

   - TT-v1 (no buffer): C is pulsed for + L a by trains of its own.
   - TT-v2 (buffer, no chopper): h = H + L a, in weight units; n = trunc(h / (scale g_C)).
   - c-TTv2 (buffer and chopper): h = H + c a L/b, in pulses, with b = scale g_A, times auto_granularity /
     (slices every) if that is above 0, times r g_C/g_A with ``correct_magnitudes``; n = trunc(h).
   - AGAD (chopper with ``tail``): as c-TTv2 with a - M' instead of a, M' being what the running mean M of the
     slice's reads was at its last flip; M moves by nu (a - M), nu = min(tail/period, 1). During the first
     ``period`` + 1 passes C is not pulsed.

   n is limited to the train length of the transfer. Where it is not 0, n pulses are sent to C, and the buffer
   becomes momentum h (``forget``) or h - (1 - momentum) n, n in units of the threshold.
3. The chopper of the slice flips: in the last of ``period`` passes, or at random.

One setting of the buffer means different thresholds in TT-v2 (granularities of C) and c-TTv2 (of A). Not
taken over: a chopper indexed by row instead of column in the simulator's weight, random order of slices,
resets, chains of more than two arrays. Sources: Gokmen and Haensch 2020 (TT-v1); Gokmen 2021 (TT-v2); Rasch
et al. 2024 (c-TTv2, AGAD).
"""

import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.crossbar.inputs import vector
from sptrack.errors import ParameterError
from sptrack.kernels.random import fill_uniforms, stream_key
from sptrack.tracking.plain import Reader
from sptrack.values import as_seed, check_number, check_whole

Array = NDArray[Any]

SINGLE_PULSES = PulseScheme(
    pulse_type="deterministic-implicit", train_length=1, update_management=False, length_management=False
)
"""One pulse per cell that is asked for at least one."""


def _check(**values: float) -> None:
    for name, value in values.items():
        check_number(name.replace("_", " "), value, least=0)


def _check_share(**values: float) -> None:
    for name, value in values.items():
        check_number(name.replace("_", " "), value, least=0, most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FastUpdate:
    """Pulsing of the gradient onto the fast array.

    Parameters
    ----------
    rate : float
        Learning rate of the fast array; 0: that of the update.
    scaled : bool
        The rate is multiplied by the learning rate of the update (the simulator's default without a chopper).
    auto_scale : bool
        The rate is in trains: at the largest x and d of late, a rate of 1 sends a whole train.
    auto_momentum : float
        Memory of the running maxima of ``auto_scale``, 0 to 1.
    scheme : PulseScheme
        Pulse trains.
    """

    rate: float = 1.0
    scaled: bool = True
    auto_scale: bool = False
    auto_momentum: float = 0.99
    scheme: PulseScheme = field(default_factory=PulseScheme)

    def __post_init__(self) -> None:
        _check(fast_rate=self.rate)
        if self.auto_scale and self.rate == 0:
            raise ParameterError("fast rate must be > 0 with auto_scale, got 0")
        _check_share(auto_momentum=self.auto_momentum)

    def rate_of(self, x: Array, d: Array, maxima: Array, *, lr: float, dw_min: float) -> tuple[float, Array]:
        """Learning rate of the fast array for an update, and the running maxima that auto-scaling keeps.

        Parameters
        ----------
        x, d : array
            Inputs and errors of the update.
        maxima : array [2]
            Running maxima of |x| and |d| before it.
        lr : float
            Learning rate of the optimizer.
        dw_min : float
            Granularity of the fast array, weight units.
        """
        rate = self.rate * lr if self.scaled else self.rate
        if not self.auto_scale:
            return (rate if self.rate > 0 else lr), maxima
        largest = np.array([np.abs(x).max(), np.abs(d).max()])
        moved = maxima + (1.0 - self.auto_momentum) * (largest - maxima)
        moved = np.where(maxima > 0, moved, largest)
        kept = np.where(largest > 0, moved, maxima)
        scale = float(kept.prod())
        return (rate * self.scheme.train_length * dw_min / scale if scale > 0 else 0.0), kept


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTransfer:
    """Reading of slices of the fast array and their transfer to the slow one.

    Parameters
    ----------
    every : int
        Updates between transfers.
    columns : bool
        Slices are columns; else rows.
    rate : float
        Learning rate of the transfer.
    scaled : bool
        The rate is multiplied by the learning rate of the update.
    scheme : PulseScheme
        Pulse trains of the transfer. TT-v1 wants whole trains, not the single pulses of the buffered ones.
    read_noise : float
        Std of the noise of reading a slice, weight units.
    """

    every: int = 1
    columns: bool = True
    rate: float = 1.0
    scaled: bool = True
    scheme: PulseScheme = SINGLE_PULSES
    read_noise: float = 0.0

    def __post_init__(self) -> None:
        check_whole("transfer.every", self.every, least=1)
        _check(transfer_rate=self.rate, read_noise=self.read_noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """The digital buffer between fast and slow array; see the rules of the module for its units.

    Parameters
    ----------
    scale : float
        Threshold in granularities, above 0 (the simulator's thres_scale or buffer_granularity).
    auto_granularity : float
        Above 0: multiplies the threshold of a chopped buffer by this over the updates that a pass takes.
    momentum : float
        Share of the buffer kept after it has sent pulses, 0 to 1.
    forget : bool
        Keep that fraction of the whole buffer, rather than of what was sent.
    cap : float
        Above 0: limit of the buffer after it has sent pulses, in trains (without ``forget``). The
        simulator's buffer has one in AGAD only.
    correct_magnitudes : bool
        Divide a chopped buffer's input by the rate of the fast array times g_C/g_A.
    """

    scale: float = 1.0
    auto_granularity: float = 0.0
    momentum: float = 0.1
    forget: bool = True
    cap: float = 0.0
    correct_magnitudes: bool = False

    def __post_init__(self) -> None:
        _check(buffer_scale=self.scale, auto_granularity=self.auto_granularity, buffer_cap=self.cap)
        _check_share(momentum=self.momentum)
        if self.scale == 0:
            raise ParameterError("buffer scale must be > 0, got 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceChopper:
    """Chopper with one sign per slice, which may flip after each read of the slice.

    Parameters
    ----------
    probability : float
        Chance of a flip, at most 1; its inverse, rounded up and at least 2, is the period in passes. 0: no
        flip at all, for c-TTv2 only.
    random : bool
        Flip at random (AGAD: on top of the regular flips); else once a period.
    tail : float
        Above 0: AGAD, whose reference is a mean of the reads with rate min(tail / period, 1).
    """

    probability: float = 0.1
    random: bool = False
    tail: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ParameterError(f"chopper probability must be >= 0 and <= 1, got {self.probability}")
        _check(tail=self.tail)
        if self.probability == 0 and self.tail > 0:
            raise ParameterError("chopper probability must be > 0 with a tail, got 0")

    @property
    def period(self) -> int:
        """Passes between regular flips."""
        return max(math.ceil(1.0 / self.probability), 2) if self.probability > 0 else sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundSettings:
    """Settings of a compound: TT-v1 without a buffer, TT-v2 with one, c-TTv2 and AGAD with a chopper as well.

    Parameters
    ----------
    gamma : float
        Weight of the fast array.
    fast : FastUpdate
        Gradient onto the fast array.
    transfer : SliceTransfer
        Transfer to the slow array.
    buffer : Buffer or None
        Buffer; None: the slow array is pulsed directly.
    chopper : SliceChopper or None
        Chopper.
    """

    gamma: float = 0.0
    fast: FastUpdate = FastUpdate()
    transfer: SliceTransfer = SliceTransfer()
    buffer: Buffer | None = None
    chopper: SliceChopper | None = None

    def __post_init__(self) -> None:
        _check(gamma=self.gamma)
        if self.chopper is not None and self.buffer is None:
            raise ParameterError("a chopper needs a buffer; pass a Buffer")


class Compound:
    """Fast and slow array with a transfer between them.

    Parameters
    ----------
    settings : CompoundSettings
        Rules and rates.
    fast, slow : Crossbar
        Arrays of one shape. The simulator starts the fast one at 0.
    seed : int
        Root seed of random flips and reading noise.

    Attributes
    ----------
    buffer : array [R, C]
        Digital buffer: weight units (TT-v2) or pulses (c-TTv2, AGAD).
    chopper : array [slices]
        Signs of the slices.
    mean, reference : arrays [R, C]
        AGAD's running mean of the reads, and what is subtracted from them, weight units.

    Raises
    ------
    ParameterError
        Arrays of two shapes.
    """

    def __init__(self, settings: CompoundSettings, fast: Crossbar, slow: Crossbar, *, seed: int = 0) -> None:
        if fast.shape != slow.shape:
            raise ParameterError(f"fast and slow array must have one shape, got {fast.shape}, {slow.shape}")
        self.settings, self.fast, self.slow = settings, fast, slow
        self.buffer, self.mean, self.reference = (np.zeros(fast.shape) for _ in range(3))
        self.slices = fast.shape[1] if settings.transfer.columns else fast.shape[0]
        self.chopper = np.ones(self.slices)
        self._flipped = np.zeros(self.slices, bool)
        self._maxima = np.zeros(2)
        self._updates = 0
        self._reader = Reader(fast, settings.transfer.read_noise, seed)
        self._coin = stream_key(as_seed(seed), "compound/flips")

    @property
    def weights(self) -> Array:
        """Weights of the compound [R, C], gamma c A + C, weight units."""
        signs = self.chopper if self.settings.transfer.columns else self.chopper[:, None]
        return np.asarray(self.settings.gamma * signs * self.fast.weights + self.slow.weights)

    def update(self, x: ArrayLike, d: ArrayLike, lr: float) -> None:
        """One gradient step -lr d x^T by the rules of the module.

        Parameters
        ----------
        x, d : array_like [C], [R]
            Input and error vector.
        lr : float
            Learning rate, >= 0.

        Raises
        ------
        ParameterError
            Wrong lengths, NaN or infinity, a negative learning rate.
        """
        s = self.settings
        _check(learning_rate=lr)
        x, d = vector(x, "x", self.fast.shape[1]), vector(d, "d", self.fast.shape[0])
        rate = self._rate(x, d, lr)
        x, d = (x * self.chopper, d) if s.transfer.columns else (x, d * self.chopper)
        mean = 0.5 * (self.fast.cells.dw_min + self.slow.cells.dw_min)
        self.fast.update(x, d, rate * self.fast.cells.dw_min / mean, scheme=s.fast.scheme)
        self._updates += 1
        turn, rest = divmod(self._updates, s.transfer.every)
        if rest == 0:
            self._transfer((turn - 1) % self.slices, (turn - 1) // self.slices, rate, lr)

    def _rate(self, x: Array, d: Array, lr: float) -> float:
        """Learning rate of the fast array; keeps the running maxima of auto-scaling."""
        dw_min = self.fast.cells.dw_min
        rate, self._maxima = self.settings.fast.rate_of(x, d, self._maxima, lr=lr, dw_min=dw_min)
        return rate

    def _part(self, k: int) -> Any:
        """Index of slice ``k``."""
        return np.s_[:, k] if self.settings.transfer.columns else np.s_[k, :]

    def _transfer(self, k: int, turn: int, rate: float, lr: float) -> None:
        """Read slice ``k`` in pass ``turn`` and send what is due to the slow array."""
        t, buffer, chopper = self.settings.transfer, self.settings.buffer, self.settings.chopper
        values = self._reader.read(self._part(k)).astype(np.float64)
        gain = t.rate * lr if t.scaled else t.rate
        if buffer is None:
            self._send(k, values, gain)
            return
        gain *= self.settings.gamma if self.settings.gamma > 0 else 1.0
        if chopper is None:
            self._collect(buffer, k, gain * values, buffer.scale * self.slow.cells.dw_min)
            return
        gain *= self.chopper[k] / self._unit(buffer, rate)
        if chopper.tail > 0:
            values = self._beyond(chopper, k, values)
        self._collect(buffer, k, gain * values, 1.0, send=chopper.tail == 0 or turn > chopper.period)
        self._flip(chopper, k, turn)

    def _beyond(self, chopper: SliceChopper, k: int, values: Array) -> Array:
        """Reads less their mean over the last chopper period (AGAD); the mean moves on."""
        part = self._part(k)
        if self._flipped[k]:
            self.reference[part] = self.mean[part]
        beyond = np.asarray(values - self.reference[part])
        self.mean[part] += min(chopper.tail / chopper.period, 1.0) * (values - self.mean[part])
        return beyond

    def _unit(self, buffer: Buffer, rate: float) -> float:
        """Transferred weight that makes one pulse in a chopped buffer, weight units."""
        g_fast, g_slow = self.fast.cells.dw_min, self.slow.cells.dw_min
        unit = buffer.scale * g_fast
        if buffer.auto_granularity > 0:
            unit *= buffer.auto_granularity / (self.slices * self.settings.transfer.every)
        return unit * rate * g_slow / g_fast if buffer.correct_magnitudes and rate > 0 else unit

    def _collect(self, buffer: Buffer, k: int, values: Array, threshold: float, *, send: bool = True) -> None:
        """Add to the buffer of slice ``k``; take whole pulses out where it is above ``threshold``."""
        part, most = self._part(k), self.settings.transfer.scheme.train_length
        level = self.buffer[part] + values
        number = np.clip(np.trunc(level / threshold), -most, most)
        sent = (1.0 - buffer.momentum) * number * threshold
        kept = buffer.momentum * level if buffer.forget else level - sent
        if buffer.cap > 0 and not buffer.forget:
            kept = np.clip(kept, -most * buffer.cap, most * buffer.cap)
        self.buffer[part] = np.where(number != 0, kept, level)
        if send:
            self._send(k, number, self.slow.cells.dw_min)

    def _send(self, k: int, values: Array, rate: float) -> None:
        """Pulse slice ``k`` of the slow array for rate * values."""
        one = np.zeros(self.slices)
        one[k] = 1.0
        x, d = (one, -values) if self.settings.transfer.columns else (-values, one)
        self.slow.update(x, d, rate, scheme=self.settings.transfer.scheme, phase="transfer")

    def _flip(self, chopper: SliceChopper, k: int, turn: int) -> None:
        """Flip the sign of slice ``k`` after its read in pass ``turn``, if it is time."""
        coin = np.empty(1, np.float32)
        fill_uniforms(coin, self._coin, np.uint32(self._updates))
        flips = chopper.random and coin[0] <= chopper.probability
        if chopper.tail > 0 or not chopper.random:
            flips ^= turn % chopper.period + 1 == chopper.period
        self._flipped[k] = flips
        self.chopper[k] *= -1.0 if flips else 1.0
