"""Every algorithm as settings of one recursion: mix point, chopper, reference of P, transfer to W.

The recursion stands in `sptrack.kernels.tracking`; a method is a frozen set of its settings, and a
factory of a few lines fills them in. Sources: analog SGD; TT-v1 (Gokmen and Haensch 2020); TT-v2 (Gokmen
2021); c-TTv2 and AGAD (Rasch et al. 2024); residual learning (Wu et al. 2025, arXiv 2502.06309); RIDER
and E-RIDER (Xiao et al. 2026, arXiv 2602.21321, eqs. (11), (12), (17), (18)). O-RIDER is this project's.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sptrack.errors import ParameterError, nearest

REFERENCES = ("zero", "calibrated", "true", "filter")
OBSERVERS = {
    "observer": "block",
    "direction-observer": "direction",
    "scalar-observer": "scalar",
    "predictor-observer": "predictor",
}
"""Estimators that are told of the increments, with the forms of `sptrack.blocks.InputAwareObserver`."""
ESTIMATORS = ("ema", "corrected-ema", "boxcar", "last", "period-mean", *OBSERVERS)
PRIORS = ("flat", "population")
SCOPES = ("array", "column")
MOST_BITS = 22
"""Widest fixed-point numbers: what float32 holds exactly over the range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chop:
    """The chopper of a method.

    Parameters
    ----------
    probability : float
        Chance of a flip per step (scope "array") or per read of a column ("column"); 0: no chopper.
    scope : str
        "array": one sign for all cells; "column": one per column, which flips right after its reads.
    half_period : int
        If above 0, the chopper is periodic instead: it flips every so many steps, or reads of the column.
    """

    probability: float = 0.0
    scope: str = "array"
    half_period: int = 0

    @property
    def active(self) -> bool:
        """Whether the sign ever changes."""
        return self.probability > 0 or self.half_period > 0

    def __post_init__(self) -> None:
        if self.half_period < 0 or (self.half_period > 0 and self.probability > 0):
            raise ParameterError(
                f"chopper half_period {self.half_period}, probability {self.probability}: "
                "one of them above 0 wanted"
            )
        if not 0 <= self.probability <= 1:
            raise ParameterError(f"chopper probability {self.probability}: 0 to 1 wanted")
        if self.scope not in SCOPES:
            raise ParameterError(f"chopper scope {self.scope!r}: one of {', '.join(SCOPES)} wanted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """How W is moved by what P holds beyond its reference.

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
    most : int
        Most pulses per cell and transfer.
    """

    every: int = 1
    by_column: bool = False
    threshold: float = 0.0
    keep: float = 0.0
    forget: bool = True
    most: int = 31

    def __post_init__(self) -> None:
        if self.every < 1 or self.most < 1:
            raise ParameterError(
                f"transfer every {self.every} steps, at most {self.most} pulses: both at least 1 wanted"
            )
        if not (np.isfinite(self.threshold) and self.threshold >= 0 and 0 <= self.keep <= 1):
            raise ParameterError(f"threshold {self.threshold} >= 0 and keep {self.keep} in 0 .. 1 wanted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """What an input-aware observer assumes and knows.

    Parameters
    ----------
    prior : str
        "flat": nominal level and slope of the response, symmetric point 0, worth ``weight`` pulses.
        "population": mean and covariance of level, slopes and symmetric point over cells of the device.
    weight : float
        Pulses that the flat prior is worth, per parameter; factor on the information of a population's.
    limit : float
        Estimates stay within this share of the nominal bounds.
    floor : float
        Least slope of G used, as a share of the nominal one.
    sent : bool
        The pulses that were sent are known, not only the increments asked for.
    drive : float
        Mean |increment| per step, weight units, that the gains of a predictor-observer are made for.
    weight_bits, point_bits : int
        Width of a predictor-observer's fixed-point numbers, expected weight and symmetric point; 0: floating
        point.
    """

    prior: str = "flat"
    weight: float = 1.0
    limit: float = 0.95
    floor: float = 0.3
    sent: bool = False
    drive: float = 0.002
    weight_bits: int = 0
    point_bits: int = 0

    def __post_init__(self) -> None:
        if self.prior not in PRIORS:
            raise ParameterError(
                f"prior {self.prior!r}: one of {', '.join(PRIORS)} wanted{nearest(self.prior, PRIORS)}"
            )
        for name in ("weight_bits", "point_bits"):
            if not 0 <= getattr(self, name) <= MOST_BITS:
                raise ParameterError(f"observer {name} = {getattr(self, name)}: 0 to {MOST_BITS} wanted")
        for name in ("weight", "limit", "floor", "drive"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ParameterError(f"observer {name} = {value}: a finite number above 0 wanted")


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
    eta : float
        Rate of the reference filter Q (with ``reference`` "filter"); of an observer the share of what it
        knows that it forgets per step.
    reference : str
        "zero", "calibrated" (zero-shifting with ``pulses`` first), "true" (the oracle) or "filter" (an
        estimator fed with the reads).
    estimator : str
        That estimator: "ema" with rate eta, "corrected-ema" (forgets its start), "boxcar" over 2/eta - 1
        reads (the same mean delay), "last", or "period-mean" (an EMA taken over at flips). Input-aware, from
        the increments that P was asked for: "observer" (a regression per stretch between reads),
        "direction-observer" (one per direction, for reads at every step), "scalar-observer" (the symmetric
        point alone, with nominal level and slope of the response), "predictor-observer" (the same with fixed
        gains, two accumulators a cell).
    sync : bool
        The copy R of Q is renewed at every step, not only when the chopper flips.
    direct : bool
        Gradient pulses go straight onto W; there is no P.
    chop : Chop
        Chopper.
    transfer : Transfer
        Transfer.
    pulses : int
        Zero-shifting pulses per cell before training, even.
    observing : Observing
        Settings of an input-aware observer.
    bits : int
        Width of the fixed-point register that holds Q: after every read it is rounded to a multiple of the
        nominal range over 2**bits. 0: floating point.
    """

    name: str
    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    eta: float = 0.0
    reference: str = "zero"
    estimator: str = "ema"
    sync: bool = False
    direct: bool = False
    chop: Chop = Chop()
    transfer: Transfer = Transfer()
    pulses: int = 0
    observing: Observing = Observing()
    bits: int = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma", "eta"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ParameterError(f"{name} = {value}: a finite number >= 0 wanted")
        if self.eta > 1:
            raise ParameterError(f"eta = {self.eta}: 0 to 1 wanted")
        for name, choices in (("reference", REFERENCES), ("estimator", ESTIMATORS)):
            value = getattr(self, name)
            if value not in choices:
                raise ParameterError(
                    f"{name} {value!r}: one of {', '.join(choices)} wanted{nearest(value, choices)}"
                )
        if self.reference == "filter" and self.estimator == "boxcar" and not self.eta > 0:
            raise ParameterError(f"eta = {self.eta}: above 0 wanted for a boxcar of 2/eta - 1 reads")
        if self.observes and self.eta >= 1:
            raise ParameterError(
                f"eta = {self.eta}: below 1 wanted for an observer, which would keep nothing"
            )
        slow = self.transfer.every > 1 or self.transfer.by_column
        if self.observes and self.estimator == "direction-observer" and slow:
            raise ParameterError(
                f"transfer every {self.transfer.every} steps, by column {self.transfer.by_column}: "
                "a direction-observer wants all cells read at every step"
            )
        if self.observes and self.estimator == "predictor-observer" and self.eta == 0:
            raise ParameterError(f"eta = {self.eta}: above 0 wanted for a predictor-observer's fixed gains")
        if self.pulses < 0 or self.pulses % 2:
            raise ParameterError(f"pulses = {self.pulses}: an even number >= 0 wanted")
        if not 0 <= self.bits <= MOST_BITS:
            raise ParameterError(f"bits = {self.bits}: 0 (floating point) to {MOST_BITS} wanted")

    @property
    def observes(self) -> bool:
        """Whether the reference is found by an input-aware observer."""
        return self.reference == "filter" and self.estimator in OBSERVERS


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
    return Method(name="rider", alpha=alpha, beta=beta, gamma=gamma, eta=eta, reference="filter", sync=True)


def e_rider(
    *, alpha: float = 0.05, beta: float = 0.0025, gamma: float = 0.45, eta: float = 0.005, p: float = 0.002
) -> Method:
    """E-RIDER (eqs. (17), (18)): chopper, reference filter, its copy renewed when the chopper flips."""
    chop = Chop(probability=p)
    return Method(name="e-rider", alpha=alpha, beta=beta, gamma=gamma, eta=eta, reference="filter", chop=chop)


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
    level and slopes of each cell's response from its reads and the increments in between.
    """
    transfer = Transfer(every=every)
    return Method(
        name="o-rider",
        alpha=alpha,
        beta=beta * every,
        gamma=gamma,
        eta=eta,
        reference="filter",
        estimator="observer",
        sync=True,
        chop=Chop(probability=p),
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
    chop = Chop(probability=p, scope="column")
    return Method(name="c-ttv2", alpha=alpha, beta=beta, transfer=transfer, chop=chop)


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
    chop = Chop(probability=p, scope="column")
    eta = min(tail * p, 1.0)
    return Method(
        name="agad", alpha=alpha, beta=beta, eta=eta, reference="filter", transfer=transfer, chop=chop
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
    if name not in METHODS:
        raise ParameterError(f"method {name!r}: one of {', '.join(METHODS)} wanted{nearest(name, METHODS)}")
    try:
        return METHODS[name](**settings)
    except TypeError as error:
        known = METHODS[name].__kwdefaults__ or {}
        wrong = next((key for key in settings if key not in known), str(error))
        raise ParameterError(
            f"setting {wrong!r} of {name}: one of {', '.join(known)} wanted{nearest(wrong, known)}"
        ) from error


def with_settings(base: Method, **settings: Any) -> Method:
    """``base`` with some fields replaced, nested ones by "chop" and "transfer" objects.

    Raises
    ------
    ParameterError
        Unknown field.
    """
    names = [item.name for item in fields(Method)]
    for key in settings:
        if key not in names:
            raise ParameterError(f"setting {key!r}: one of {', '.join(names)} wanted{nearest(key, names)}")
    return replace(base, **settings)
