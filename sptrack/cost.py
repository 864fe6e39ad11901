"""The one cost model: what a pulse, a read and a programming event weigh against each other."""

from dataclasses import dataclass, replace

import numpy as np

from sptrack.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Weights in units of one pulse on one cell.

    A pulse can hit all cells of an array at once, a read takes one cell or one matrix-vector product: what
    dominates is a matter of the periphery. The defaults count work per cell.

    Parameters
    ----------
    pulse : float
        One pulse on one cell.
    read : float
        One read of one cell.
    read_product : float or None
        If given, reads are counted as matrix-vector products at this weight each (one product reads one row
        of cells) instead of per cell.
    program : float
        Setting one cell to a value: a renewal of the reference where hardware holds it in an analog copy; 0
        where it subtracts the reference digitally.

    Raises
    ------
    ParameterError
        A weight that is negative or not finite.
    """

    pulse: float = 1.0
    read: float = 10.0
    read_product: float | None = None
    program: float = 10.0

    def __post_init__(self) -> None:
        for name in ("pulse", "read", "read_product", "program"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise ParameterError(f"cost of a {name} must be a finite number >= 0, got {value}")

    @property
    def digital(self) -> "CostModel":
        """The same weights for hardware that subtracts the reference digitally: programs cost nothing."""
        return replace(self, program=0.0)

    def total(self, *, pulses: float, reads: float = 0, programs: float = 0, columns: int = 1) -> float:
        """Cost of ``pulses``, ``reads`` and ``programs`` of cells on an array with so many ``columns``."""
        reading = self.read * reads if self.read_product is None else self.read_product * reads / columns
        return self.pulse * pulses + reading + self.program * programs
