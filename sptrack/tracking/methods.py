"""Every algorithm as settings of one recursion: mix point, chopper, reference of P, transfer to W.

The recursion stands in `sptrack.kernels.tracking`; a method is a frozen set of its settings, and a factory of
a few lines fills them in. Chopper and reference are blocks of `sptrack.blocks`. Sources: analog SGD; TT-v1
(Gokmen and Haensch 2020); TT-v2 (Gokmen 2021); c-TTv2 and AGAD (Rasch et al. 2024); residual learning (Wu et
al. 2025, arXiv 2502.06309); RIDER and E-RIDER (Xiao et al. 2026, arXiv 2602.21321, eqs. (11), (12), (17),
(18)). O-RIDER is this project's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sptrack.blocks import (
    EMA,
    Block,
    Chopper,
    ObserverSettings,
    PeriodicChopper,
    SignSource,
)
from sptrack.blocks.settings import MAX_BITS
from sptrack.blocks.spec import OBSERVERS
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.rated import (
    SOURCES,
    flips_of,
    name_of,
    rate_of,
    rated_reference,
    with_rate,
)
from sptrack.values import check_choice, check_whole, plain_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Transfer from P, beyond its reference, to W.

    Parameters
    ----------
    every : int
        Steps between reads of P and transfers.
    by_column : bool
        One column in turn, instead of all cells.
    threshold : float
        0: the increment goes to W directly. Else a digital buffer collects it, and every ``threshold``
        (weight units) sends one pulse.
    keep : float
        Share of the buffer that stays after it has sent pulses (``forget``), or of the sent amount that
        is not taken off (else).
    forget : bool
        See ``keep``.
    max_pulses : int
        Most pulses per cell and transfer.
    """

    every: int = 1
    by_column: bool = False
    threshold: float = 0.0
    keep: float = 0.0
    forget: bool = True
    max_pulses: int = 31

    def __post_init__(self) -> None:
        plain_fields(self)
        if self.every < 1 or self.max_pulses < 1:
            raise ParameterError(
                f"transfer must have every, max_pulses >= 1, got {self.every}, {self.max_pulses}"
            )
        if not (np.isfinite(self.threshold) and self.threshold >= 0 and 0 <= self.keep <= 1):
            raise ParameterError(
                f"threshold must be >= 0, keep lie in 0 .. 1, got {self.threshold}, {self.keep}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Settings of the recursion.

    Parameters
    ----------
    name : str
        Name in tables, on the command line and in files.
    alpha : float
        Learning rate of the gradient pulses, onto P, or onto W if ``direct``.
    beta : float
        Rate of the transfer to W.
    gamma : float
        Residual weight: the gradient is taken at W + gamma c (P - R).
    reference : Block, ObserverSettings or str
        What the reference Q of P is: a filter or estimator of the reads of P (any block of `sptrack.blocks`,
        one sample a read), an input-aware observer, "zero", "calibrated" (zero-shifting with ``pulses``
        first) or "true" (the oracle).
    chopper : chopper or None
        Source of the sign c. One on the "step" clock may flip at every step, with one sign for all cells, per
        column or per cell (its ``scope``); one on the "read" clock flips right after reads: per column, after
        the reads of that column. Random signs are drawn with the seed of the run.
    sync : bool
        The copy R of Q is renewed after every read, not only when the chopper flips. Hardware that subtracts
        the reference digitally renews it for nothing either way; hardware that holds R in an analog copy
        (a device on the differential input) programs each cell that is renewed, which is what the ledger
        counts: O-RIDER needs digital subtraction or a program per read, E-RIDER can do with a copy that is
        programmed once per flip.
    direct : bool
        Gradient pulses go straight onto W; there is no P.
    transfer : Transfer
        Transfer.
    pulses : int
        Zero-shifting pulses per cell before training, even.
    bits : int
        Width of the fixed-point register that holds Q: after every read it is rounded to a multiple of the
        nominal range over 2**bits. 0: floating point.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    name: str
    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    reference: Block | ObserverSettings | str = "zero"
    chopper: SignSource | None = None
    sync: bool = False
    direct: bool = False
    transfer: Transfer = Transfer()
    pulses: int = 0
    bits: int = 0

    def __post_init__(self) -> None:
        plain_fields(self)
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ParameterError(f"{name} must be finite and >= 0, got {value}")
        if isinstance(self.reference, str) and self.reference not in SOURCES:
            raise ParameterError(
                f"reference must be a filter, an observer or one of {', '.join(SOURCES)}, got "
                f"{self.reference!r}{nearest(self.reference, SOURCES)}"
            )
        if not isinstance(self.reference, Block | ObserverSettings | str):
            raise ParameterError(f"reference must be a filter or an observer, got {self.reference!r}")
        if self.filter is not None and any(stage.signs for stage in self.filter.stages((1,))):
            raise ParameterError(
                f"reference must hold no chopper (the method has its own), got {self.filter}"
            )
        if not isinstance(self.chopper, SignSource | None):
            raise ParameterError(f"chopper must be a chopper or None, got {self.chopper!r}")
        if self.chopper is not None and self.chopper.clock not in ("step", "read"):
            raise ParameterError(f"chopper must be on the step or read clock, got {self.chopper.clock!r}")
        slow = self.transfer.every > 1 or self.transfer.by_column
        if self.observer is not None and self.observer.form == "direction" and slow:
            raise ParameterError(
                "a direction observer needs all cells read at every step, got a transfer every "
                f"{self.transfer.every} steps{', by column' if self.transfer.by_column else ''}"
            )
        check_whole("pulses", self.pulses, 0)
        if self.pulses % 2:
            raise ParameterError(f"pulses must be even, got {self.pulses}")
        check_whole("bits", self.bits, 0, MAX_BITS)

    @property
    def filter(self) -> Block | None:
        """The filter or estimator of the reads, if the reference is one."""
        return self.reference if isinstance(self.reference, Block) else None

    @property
    def observer(self) -> ObserverSettings | None:
        """The input-aware observer, if the reference is one."""
        return self.reference if isinstance(self.reference, ObserverSettings) else None

    @property
    def has_reference(self) -> bool:
        """Whether it estimates, or is told, the symmetric point: only then its error of Q means something."""
        return not self.direct and self.reference != "zero"

    @property
    def moving(self) -> bool:
        """Whether the reference is found from the reads: a filter or an observer."""
        return not isinstance(self.reference, str)

    @property
    def eta(self) -> float:
        """Rate of the reference, see `rate_of`; 0 where no single rate describes it."""
        return rate_of(self.reference)

    @property
    def estimator(self) -> str:
        """Name of the reference, see `name_of`."""
        return name_of(self.reference)

    @property
    def flips(self) -> float:
        """Sign changes of the chopper per step of its clock."""
        return 0.0 if self.chopper is None else flips_of(self.chopper)


def telegraph(p: float, *, by_column: bool = False) -> Chopper | None:
    """Random chopper of flip probability ``p`` per step, or per read of a column; None for p = 0."""
    if p == 0:
        return None
    return Chopper(p=p, scope="column", clock="read") if by_column else Chopper(p=p)


def periodic(half_period: int, *, by_column: bool = False) -> PeriodicChopper:
    """Chopper that flips every ``half_period`` steps, or reads of a column."""
    if by_column:
        return PeriodicChopper(half_period=half_period, scope="column", clock="read")
    return PeriodicChopper(half_period=half_period)


def sgd(*, alpha: float = 0.00016) -> Method:
    """Analog SGD: gradient pulses straight onto W."""
    return Method(name="sgd", alpha=alpha, direct=True)


def tt_v1(*, alpha: float = 0.22, beta: float = 0.00012, gamma: float = 0.0, every: int = 1) -> Method:
    """TT-v1: P collects the gradient at W, its content is transferred by pulses; fixed reference."""
    return Method(name="tt-v1", alpha=alpha, beta=beta, gamma=gamma, transfer=Transfer(every=every))


def residual(*, alpha: float = 0.00021, beta: float = 0.00013, gamma: float = 1.76) -> Method:
    """Residual learning: the gradient is taken at W + gamma P; fixed reference 0."""
    return Method(name="residual", alpha=alpha, beta=beta, gamma=gamma)


def two_stage(
    *, alpha: float = 0.0031, beta: float = 0.0013, gamma: float = 0.18, pulses: int = 6000
) -> Method:
    """Calibrate, then train: zero-shifting with ``pulses``, then residual learning with that reference.

    The default is the best of 150 random settings (log-uniform: alpha 1e-4 to 0.5, beta 1e-4 to 0.3, gamma
    0.05 to 4, pulses 500 to 8000) by |W - W*|^2 over the last tenth of 20000 steps on the quadratic problem,
    seeds 0 and 1.
    """
    return Method(
        name="two-stage", alpha=alpha, beta=beta, gamma=gamma, reference="calibrated", pulses=pulses
    )


def oracle(*, alpha: float = 0.0041, beta: float = 0.0016, gamma: float = 0.28) -> Method:
    """Residual learning with the true symmetric points: what no tracker can beat by knowing the reference."""
    return Method(name="oracle", alpha=alpha, beta=beta, gamma=gamma, reference="true")


def rider(*, alpha: float = 0.0001, beta: float = 0.0008, gamma: float = 0.45, eta: float = 0.0009) -> Method:
    """RIDER (eqs. (11), (12)): reference filter, its last value used at every step, no chopper."""
    return Method(name="rider", alpha=alpha, beta=beta, gamma=gamma, reference=EMA(eta=eta), sync=True)


def e_rider(
    *, alpha: float = 0.05, beta: float = 0.0025, gamma: float = 0.45, eta: float = 0.005, p: float = 0.002
) -> Method:
    """E-RIDER (eqs. (17), (18)): chopper, reference filter, its copy renewed when the chopper flips."""
    return Method(
        name="e-rider",
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        reference=EMA(eta=eta),
        chopper=telegraph(p),
    )


def o_rider(
    *,
    alpha: float = 0.015,
    beta: float = 0.004,
    gamma: float = 0.7,
    eta: float = 0.0002,
    every: int = 64,
    p: float = 0.0,
) -> Method:
    """O-RIDER: RIDER whose reference is an input-aware observer, which needs no chopper.

    P is read, and W moved by beta times the number of steps, once every ``every`` steps; the observer learns
    each cell's symmetric point from its reads and the increments in between. Its level and slope are taken as
    the nominal ones: of all forms this one survives most of what it can be told wrong (study
    `observer_misknown`). A regression (``estimator="observer"``) learns them too.
    """
    transfer = Transfer(every=every)
    return Method(
        name="o-rider",
        alpha=alpha,
        beta=beta * every,
        gamma=gamma,
        reference=ObserverSettings(form="scalar", forgetting=eta),
        sync=True,
        chopper=telegraph(p),
        transfer=transfer,
    )


def tt_v2(
    *, alpha: float = 0.0072, beta: float = 0.0015, threshold: float = 0.001, keep: float = 0.61
) -> Method:
    """TT-v2: the transfer of a column goes through a digital buffer that sends whole pulses; fixed reference.

    The default is the best of 150 random settings (alpha log-uniform in 1e-4 .. 0.5, beta in 1e-3 .. 10, keep
    uniform in 0 .. 1; only beta / threshold matters), scored as in `two_stage`. With the wrong reference 0 no
    setting comes near the optimum: the best are those that move W least (beta at the edge of its range).
    """
    transfer = Transfer(by_column=True, threshold=threshold, keep=keep)
    return Method(name="tt-v2", alpha=alpha, beta=beta, transfer=transfer)


def c_ttv2(
    *,
    alpha: float = 0.094,
    beta: float = 0.0028,
    threshold: float = 0.001,
    keep: float = 0.75,
    p: float = 0.13,
) -> Method:
    """c-TTv2: TT-v2 with a chopper per column, which flips after that column was transferred.

    The default is the best of 150 random settings (ranges of `tt_v2`, p log-uniform in 1e-3 .. 0.5), scored
    as in `two_stage`.
    """
    transfer = Transfer(by_column=True, threshold=threshold, keep=keep)
    return Method(
        name="c-ttv2", alpha=alpha, beta=beta, transfer=transfer, chopper=telegraph(p, by_column=True)
    )


def agad(
    *,
    alpha: float = 0.21,
    beta: float = 0.028,
    threshold: float = 0.001,
    keep: float = 0.57,
    p: float = 0.11,
    tail: float = 1.1,
) -> Method:
    """AGAD: c-TTv2 whose reference is the mean of the reads over the last chopper period.

    The mean is an EMA with rate min(tail p, 1), and its value at the last flip is what is subtracted: the
    reference filter and its copy of E-RIDER, one per column. The default is the best of 150 random settings
    (ranges of `c_ttv2`, tail log-uniform in 0.2 .. 10), scored as in `two_stage`.
    """
    transfer = Transfer(by_column=True, threshold=threshold, keep=keep)
    return Method(
        name="agad",
        alpha=alpha,
        beta=beta,
        reference=EMA(eta=min(tail * p, 1.0)),
        transfer=transfer,
        chopper=telegraph(p, by_column=True),
    )


METHODS: dict[str, Callable[..., Method]] = {
    "sgd": sgd,
    "tt-v1": tt_v1,
    "tt-v2": tt_v2,
    "residual": residual,
    "two-stage": two_stage,
    "c-ttv2": c_ttv2,
    "agad": agad,
    "rider": rider,
    "e-rider": e_rider,
    "o-rider": o_rider,
    "oracle": oracle,
}
"""Factories by name."""


def method(name: str, **settings: Any) -> Method:
    """A method by name, with some settings of its factory changed.

    Raises
    ------
    ParameterError
        Unknown name or setting.
    """
    check_choice("method", name, METHODS)
    try:
        return METHODS[name](**settings)
    except TypeError as error:
        known = METHODS[name].__kwdefaults__ or {}
        wrong = next((key for key in settings if key not in known), str(error))
        raise ParameterError(
            f"unknown setting {wrong!r} of {name}; choose from {', '.join(known)}{nearest(wrong, known)}"
        ) from error


SPELLINGS = ("eta", "estimator", "observing", "chop", "p", "half_period")
"""Keys of `with_settings` besides the fields of `Method`: shorter ways to name reference and chopper."""


def with_settings(base: Method, **settings: Any) -> Method:
    """``base`` with some settings changed.

    Parameters
    ----------
    base : Method
        Method.
    **settings
        Fields of `Method`, or: ``estimator`` (a name) and ``eta`` (a rate), which make the reference by
        `rated_reference`, with ``observing`` (a mapping of `ObserverSettings` fields); ``p`` or
        ``half_period``, which make the chopper a telegraph or periodic, on the clock and of the scope that it
        has; ``chop``, a mapping with ``probability``, ``half_period`` and ``scope`` ("column": after the
        reads of the column). ``reference="filter"`` keeps the filter.

    Raises
    ------
    ParameterError
        Unknown setting, or values that `Method` refuses.
    """
    names = [*(item.name for item in fields(Method)), *SPELLINGS]
    for key in settings:
        if key not in names:
            raise ParameterError(
                f"unknown setting {key!r}; choose from {', '.join(names)}{nearest(key, names)}"
            )
    own = {key: value for key, value in settings.items() if key not in SPELLINGS}
    said = {key: value for key, value in settings.items() if key in SPELLINGS}
    own |= _chopper_said(base, said) | _reference_said(base, own, said)
    return replace(base, **own)


def _reference_said(base: Method, own: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Reference of the spellings ``estimator``, ``eta`` and ``observing``."""
    reference = own.pop("reference", None)
    if isinstance(reference, str) and reference != "filter":
        return {"reference": reference}
    if reference is None or reference == "filter":
        reference = base.reference
    if not {"estimator", "eta", "observing"} & set(said):
        return {"reference": reference}
    estimator = said.get("estimator", "ema" if isinstance(reference, str) else name_of(reference))
    eta = said.get("eta", rate_of(reference))
    settings = dict(said.get("observing", {}))
    if estimator in OBSERVERS:
        if isinstance(reference, ObserverSettings):
            known = {item.name: getattr(reference, item.name) for item in fields(ObserverSettings)}
            settings = {k: v for k, v in known.items() if k not in ("form", "forgetting")} | settings
        return {"reference": rated_reference(estimator, eta, **settings)}
    if estimator == "filter":
        return {"reference": with_rate(reference, eta)}
    return {"reference": rated_reference(estimator, eta)}


def _chopper_said(base: Method, said: Mapping[str, Any]) -> dict[str, Any]:
    """Chopper of the spellings ``chop``, ``p`` and ``half_period``."""
    chop = dict(said.get("chop", {}))
    chop |= {"probability": said["p"]} if "p" in said else {}
    chop |= {"half_period": said["half_period"]} if "half_period" in said else {}
    if not chop:
        return {}
    unknown = set(chop) - {"probability", "half_period", "scope"}
    if unknown:
        raise ParameterError(
            f"unknown key {unknown.pop()!r} of chop: choose from probability, half_period, scope"
        )
    before = base.chopper
    place: dict[str, Any] = {} if before is None else {"scope": before.scope, "clock": before.clock}
    if "scope" in chop:
        place = {"scope": chop["scope"], "clock": "read" if chop["scope"] == "column" else "step"}
    half_period, probability = chop.get("half_period", 0), chop.get("probability", 0.0)
    if half_period and probability:
        raise ParameterError(
            f"probability and half_period cannot both be above 0, got {probability} and {half_period}"
        )
    if half_period and isinstance(before, PeriodicChopper):
        return {"chopper": replace(before, half_period=half_period, **place)}
    if half_period:
        return {"chopper": PeriodicChopper(half_period=half_period, **place)}
    if "probability" in chop or "half_period" in chop:
        return {"chopper": Chopper(p=probability, **place) if probability else None}
    return {} if before is None else {"chopper": replace(before, **place)}
