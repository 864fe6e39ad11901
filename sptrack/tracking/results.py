"""Results of a method on a problem: samples of the mean errors, and records of every step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.crossbar import Ledger
from sptrack.tracking.methods import Method

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """One run.

    Attributes
    ----------
    method : Method
        What was run.
    problem : str
        Name of the problem.
    seed : int
        Root seed.
    steps : int array [samples]
        Last step of each sample.
    errors : array [samples, 3]
        Mean over cells and over the steps of a sample of |W - W*|^2, |mix - W*|^2 and |Q - SP|^2, weight
        units squared.
    ledger : Ledger
        Pulses, reads and programming events by phase and array.
    weights, reference, target : arrays [cells]
        W as read, Q, and P's symmetric point at the end, weight units.
    """

    method: Method
    problem: str
    seed: int
    steps: Array
    errors: Array
    ledger: Ledger
    weights: Array
    reference: Array
    target: Array

    def tail(self, fraction: float = 0.1) -> Array:
        """Mean errors [3] over the last ``fraction`` of the steps."""
        last = max(1, round(fraction * len(self.errors)))
        return np.asarray(self.errors[-last:].mean(axis=0))

    def labelled(self) -> "xr.Dataset":
        """The run as a dataset, which `sptrack.save` writes and a plot needs no more than.

        Returns
        -------
        Dataset
            Over ``sample`` (``step``, its last step): ``w_error``, ``mix_error``, ``q_error``, the mean
            squared `errors` (the last NaN without a reference). Over ``cell``: ``weight``, ``reference``,
            ``symmetric_point``. Over ``operation``: ``count``, pulses, reads and programs of all cells.
        """
        from sptrack.results import dataset, provenance
        from sptrack.tracking.config import method_mapping

        weight, squared = {"units": "weight units"}, {"units": "weight units squared"}
        errors = self.errors.copy()
        errors[:, 2] *= 1.0 if self.method.has_reference else np.nan
        variables: dict[str, Any] = {
            f"{name}_error": ("sample", errors[:, k], squared) for k, name in enumerate(("w", "mix", "q"))
        }
        for name, values in (
            ("weight", self.weights),
            ("reference", self.reference),
            ("symmetric_point", self.target),
        ):
            variables[name] = ("cell", values, weight)
        counts = [self.ledger.total(name) for name in ("pulses", "reads", "programs")]
        variables["count"] = ("operation", counts, {"units": "1"})
        coordinates: dict[str, Any] = {
            "step": ("sample", self.steps, {"units": "steps"}),
            "operation": ("operation", ["pulses", "reads", "programs"], {}),
        }
        asked = {"method": method_mapping(self.method), "problem": self.problem}
        return dataset(variables, coordinates, provenance(seed=self.seed, parameters=asked))

    def __str__(self) -> str:
        weights, _, reference = self.tail()
        found = f", |Q - SP|^2 {reference:.3g}" if self.method.has_reference else ""
        return (
            f"{self.method.name} on {self.problem}, {self.steps[-1]} steps: |W - W*|^2 {weights:.3g}{found} "
            "(means over the last tenth, weight units squared)"
        )


class Recording(NamedTuple):
    """Record of every step (`Tracker.record`), all weights as read, without reading noise, weight units.

    Attributes
    ----------
    signs : array [steps, 1 or cells]
        Sign of the chopper in each step.
    w, p, q : arrays [steps, cells]
        W, P and the reference Q after each step.
    target : array [steps, cells]
        Symmetric point of P after each step, which moves if the device drifts; 0 where there is none.
    """

    signs: Array
    w: Array
    p: Array
    q: Array
    target: Array
