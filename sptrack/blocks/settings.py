"""Settings of an input-aware observer, without the device that it is to know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sptrack.blocks.observers import (
    FORMS,
    OPERATIONS,
    DriveErrors,
    FixedGains,
    InputAwareObserver,
    PointLimits,
)
from sptrack.blocks.responses import ResponsePrior, nominal_response, pulse_noise
from sptrack.errors import ParameterError, nearest
from sptrack.values import check_number, check_whole, plain_fields

if TYPE_CHECKING:
    from sptrack.devices import Cells

PRIORS = ("flat", "population")
LIMITS = {"block": 0.95, "direction": 0.95, "adaptive": 1.5, "scalar": 2.0, "predictor": 2.0}
"""Limits of symmetric points by form, in half ranges from the middle. A regression that knows little yet can
find a slope near 0 and a point anywhere; with a known slope the bounds need not be known."""
MAX_BITS = 22
"""Widest fixed-point numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverSettings:
    """An input-aware observer as a reference of a method: what it assumes and knows, whatever the device.

    Parameters
    ----------
    form : str
        "adaptive", "block", "direction", "scalar" or "predictor", see `InputAwareObserver`.
    forgetting : float
        Share of what is known that is forgotten per step, 0 <= forgetting < 1; above 0 for a predictor.
    prior : str
        "flat": nominal level and slope of the response, symmetric point 0, worth ``weight`` pulses.
        "population": mean and covariance of level, slopes and symmetric point over cells of the device.
    weight : float
        Pulses that the flat prior is worth, per parameter; factor on the information of a population's.
    limit : float
        Estimates stay within so many half ranges of the middle between the nominal bounds (1: within the
        bounds); 0: as `LIMITS` says for the form, .95 for a regression, 2 with a known response.
    floor : float
        Least slope of G used, as a fraction of the nominal one.
    sent : bool
        The pulses that were sent are known, not only the increments requested.
    drive : float
        Mean |increment| per step, weight units, that the gains of a predictor are made for.
    weight_bits, point_bits : int
        Width of a predictor's fixed-point numbers, expected weight and symmetric point; 0: floating point.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    form: str = "block"
    forgetting: float = 0.0
    prior: str = "flat"
    weight: float = 1.0
    limit: float = 0.0
    floor: float = 0.3
    sent: bool = False
    drive: float = 0.002
    weight_bits: int = 0
    point_bits: int = 0

    def __post_init__(self) -> None:
        plain_fields(self)
        for name, value, known in (("form", self.form, FORMS), ("prior", self.prior, PRIORS)):
            if value not in known:
                raise ParameterError(
                    f"observer {name} must be one of {', '.join(known)}, got {value!r}{nearest(value, known)}"
                )
        check_number("forgetting", self.forgetting, least=0, below=1)
        if self.form == "predictor" and self.forgetting == 0:
            raise ParameterError("forgetting must be > 0 for a predictor, whose gains are fixed, got 0")
        for name in ("weight_bits", "point_bits"):
            check_whole(name, getattr(self, name), 0, MAX_BITS)
        check_number("observer limit", self.limit, least=0)
        for name in ("weight", "floor", "drive"):
            check_number(f"observer {name}", getattr(self, name), above=0)

    @property
    def reach(self) -> float:
        """The limit that holds: ``limit``, or that of the form."""
        return self.limit or LIMITS[self.form]

    @property
    def operations(self) -> tuple[int, int]:
        """Digital operations per cell: of a step, and of a read (`InputAwareObserver.operations`)."""
        return OPERATIONS[self.form]

    def bind(
        self,
        cells: Cells,
        *,
        every: int = 1,
        read_noise: float = 0.0,
        counts: tuple[str, int] = ("rounded", 31),
    ) -> InputAwareObserver:
        """The observer for cells of a device, which it has to know.

        Parameters
        ----------
        cells : Cells
            Cells of P.
        every : int
            Steps between reads.
        read_noise : float
            Std of the noise of a read, weight units.
        counts : (str, int)
            Count law, and slots of the binomial law.

        Raises
        ------
        ParameterError
            A device without symmetric points; a direction observer that is not told at every step.
        """
        device, dw = cells.device, cells.dw_min
        response = device.response
        pulse, relative = pulse_noise(cells)
        flat = ResponsePrior.wide if self.form == "adaptive" else ResponsePrior.flat
        prior = ResponsePrior.population if self.prior == "population" else flat
        errors = DriveErrors(
            read_noise=math.hypot(read_noise, device.write_noise * dw),
            pulse=pulse,
            relative=relative,
            counts="known" if self.sent else counts[0],
            train=counts[1],
        )
        floor = self.floor * nominal_response(device)[1]
        middle, half = (response.w_max + response.w_min) / 2, (response.w_max - response.w_min) / 2
        return InputAwareObserver(
            dw_min=dw,
            prior=prior(device, self.weight),
            errors=errors,
            form=self.form,
            every=every,
            forgetting=self.forgetting,
            limits=PointLimits(low=middle - self.reach * half, high=middle + self.reach * half, floor=floor),
            gains=FixedGains(drive=self.drive, weight_bits=self.weight_bits, point_bits=self.point_bits),
        )
