"""Calibrators by name, set up for a kind of device: its nominal bounds, its cycle noise, its population."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sptrack.calibration.bursts import BurstFit
from sptrack.calibration.interface import Calibrator, check_counts
from sptrack.calibration.observer import ObserverFit
from sptrack.calibration.response import population
from sptrack.calibration.roots import RootFinding
from sptrack.calibration.transient import TransientFit
from sptrack.calibration.zero_shifting import ZeroShifting
from sptrack.devices import Device
from sptrack.values import check_choice

_RIDGE = 0.03


def _zero_shifting(device: Device) -> Calibrator:
    return ZeroShifting()


def _stochastic(device: Device) -> Calibrator:
    return ZeroShifting(mode="stochastic")


def _tail_average(device: Device) -> Calibrator:
    return ZeroShifting(average=0.3, reads=24)


def _transient(device: Device) -> Calibrator:
    return TransientFit()


def _common(device: Device) -> dict[str, Any]:
    response = device.response
    return {"nominal": (response.w_min, response.w_max), "cycle_noise": device.cycle_noise.std}


def _known(device: Device) -> Calibrator:
    return BurstFit(bounds="known", **_common(device))


def _bursts(device: Device) -> Calibrator:
    return BurstFit(**_common(device))


def _prior(device: Device) -> Calibrator:
    return BurstFit(prior=population(device), **_common(device))


def _roots(device: Device) -> Calibrator:
    return RootFinding(**_common(device))


def _observer(device: Device) -> Calibrator:
    return ObserverFit(ridge=_RIDGE, **_common(device))


_FACTORIES: dict[str, Callable[[Device], Calibrator]] = {
    "zero-shifting": _zero_shifting,
    "stochastic": _stochastic,
    "tail-average": _tail_average,
    "transient": _transient,
    "bursts-known": _known,
    "bursts": _bursts,
    "bursts-prior": _prior,
    "root-finding": _roots,
    "observer": _observer,
}

METHODS = tuple(_FACTORIES)
"""Names that `calibrator` takes."""


def calibrator(name: str, device: Device, *, reads: int | None = None) -> Calibrator:
    """Calibrator for a kind of device.

    Parameters
    ----------
    name : str
        "zero-shifting" (cyclic, last read), "stochastic" (the same with random pulses), "tail-average"
        (reads averaged over the last third), "transient" (its transient extrapolated), "bursts-known" (fit
        with the nominal bounds), "bursts" (fit with unknown bounds), "bursts-prior" (with the population of
        the device as prior), "root-finding", "observer".
    device : Device
        Its nominal bounds, cycle noise and, as a prior, its population.
    reads : int or None
        Reads of each cell per pulse count; None: the method's default.

    Returns
    -------
    Calibrator

    Raises
    ------
    ParameterError
        An unknown name, fewer reads than the method needs, or a device without a population.
    """
    check_choice("method", name, METHODS)
    made: Any = _FACTORIES[name](device)
    chosen: Calibrator = made if reads is None else replace(made, reads=reads)
    return chosen


def check_pulses(name: str, pulses: Sequence[int]) -> None:
    """Refuse pulse counts that the calibrator of a name does not take (ParameterError)."""
    check_counts(
        pulses, mode="cyclic" if name in ("zero-shifting", "tail-average", "transient") else "bursts"
    )
