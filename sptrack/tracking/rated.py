"""References described by a name and one rate, and the rate of flips of a chopper."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sptrack.blocks import (
    EMA,
    Block,
    Chopper,
    CorrectedEMA,
    GrowingBoxcar,
    LastSample,
    ObserverSettings,
    PatternChopper,
    PeriodMean,
    SignSource,
)
from sptrack.blocks.spec import OBSERVERS
from sptrack.errors import ParameterError, nearest

SOURCES = ("zero", "calibrated", "true")
GIVEN = ("calibrated", "true")
"""Sources of a reference that is found, or told, once, before the first step."""
_RATED: dict[str, Callable[[float], Block]] = {
    "ema": lambda eta: EMA(eta=eta),
    "corrected-ema": lambda eta: CorrectedEMA(eta=eta),
    "boxcar": GrowingBoxcar.like,
    "last": lambda eta: LastSample(),
    "period-mean": lambda eta: PeriodMean(eta=eta),
}
ESTIMATORS = (*_RATED, *OBSERVERS)
"""References that a name and one rate describe, see `rated_reference`."""


def rated_reference(name: str, eta: float, **settings: Any) -> Block | ObserverSettings:
    """Reference from the name of an estimator and one rate.

    Parameters
    ----------
    name : str
        "ema", "corrected-ema" (forgets its start), "boxcar" (over 2/eta - 1 reads, the same mean delay),
        "last", "period-mean" (an EMA taken over at flips), or an observer: "observer" (a regression),
        "adaptive-observer", "direction-observer", "scalar-observer", "predictor-observer".
    eta : float
        Rate of the filter, per read; of an observer the fraction that it forgets, per step.
    **settings
        Fields of `ObserverSettings`.

    Raises
    ------
    ParameterError
        Unknown name, or a value outside its range.
    """
    if name in OBSERVERS:
        return ObserverSettings(form=OBSERVERS[name], forgetting=eta, **settings)
    if name not in _RATED:
        raise ParameterError(
            f"estimator must be one of {', '.join(ESTIMATORS)}, got {name!r}{nearest(name, ESTIMATORS)}"
        )
    return _RATED[name](eta)


def rate_of(reference: Block | ObserverSettings | str) -> float:
    """Rate eta that `rated_reference` takes for a reference; 0 where there is none.

    A mean over M reads has the delay of an EMA of rate 2/(M + 1).
    """
    if isinstance(reference, ObserverSettings):
        return reference.forgetting
    if isinstance(reference, EMA | CorrectedEMA | PeriodMean):
        return reference.eta
    if isinstance(reference, GrowingBoxcar):
        return 2 / (reference.length + 1)
    return 0.0


def flips_of(chopper: SignSource) -> float:
    """Sign changes of a chopper per sample of its clock, on average."""
    if isinstance(chopper, Chopper):
        return chopper.p
    if isinstance(chopper, PatternChopper):
        signs = chopper.pattern()
        return float(np.count_nonzero(signs != np.roll(signs, 1))) / signs.size
    return (1 - float(chopper.autocorrelation(1))) / 2


def name_of(reference: Block | ObserverSettings | str) -> str:
    """Name of a reference: "zero" and so on, that of its estimator, or "filter" for any other filter."""
    if isinstance(reference, str):
        return reference
    if isinstance(reference, ObserverSettings):
        return next(name for name, form in OBSERVERS.items() if form == reference.form)
    kinds = {
        EMA: "ema",
        CorrectedEMA: "corrected-ema",
        GrowingBoxcar: "boxcar",
        LastSample: "last",
        PeriodMean: "period-mean",
    }
    cascade = isinstance(reference, EMA) and reference.order > 1
    return "filter" if cascade else kinds.get(type(reference), "filter")


def with_rate(reference: Block | ObserverSettings, eta: float) -> Block | ObserverSettings:
    """The same reference with the rate ``eta`` (see `rated_reference`).

    Raises
    ------
    ParameterError
        A filter that no single rate describes.
    """
    if isinstance(reference, ObserverSettings):
        return replace(reference, forgetting=eta)
    if isinstance(reference, EMA | CorrectedEMA | PeriodMean):
        return replace(reference, eta=eta)
    if isinstance(reference, GrowingBoxcar):
        return GrowingBoxcar.like(eta)
    if isinstance(reference, LastSample):
        return reference
    raise ParameterError(f"{reference} has no rate eta: change its own settings")
