"""The pulse ledger: every pulse, read, programming event, pass and digital operation, by phase and array."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar.checkpoint import counts
from sptrack.errors import ParameterError

Array = NDArray[Any]


class _Entry:
    """Counts of one phase on one array: pulses that every cell got, and pulses that differ between cells."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.common = 0
        self.own: Array | None = None
        self.reads = 0
        self.programs = 0
        self.operations = 0
        self.passes = 0

    def totals(self) -> dict[str, int]:
        own = 0 if self.own is None else int(self.own.sum())
        return {
            "pulses": self.common * self.cells + own,
            "reads": self.reads,
            "programs": self.programs,
            "operations": self.operations,
            "passes": self.passes,
        }


class Ledger:
    """Counts of pulses, cell reads, programming events, passes, digital operations; arrays may share one."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._shapes: dict[str, tuple[int, int]] = {}
        self._late: list[Callable[[], None]] = []

    def _entry(self, phase: str, array: str) -> _Entry:
        if (phase, array) not in self._entries:
            _check_name("phase", phase)
            rows, columns = self._shapes[array]
            self._entries[phase, array] = _Entry(rows * columns)
        return self._entries[phase, array]

    def open(self, array: str, shape: tuple[int, int]) -> None:
        """Announce an array; a second array of the same name and another shape is refused.

        Raises
        ------
        ParameterError
            If the name is taken by an array of another shape, or holds "|" (which parts names in `state`).
        """
        _check_name("array", array)
        if self._shapes.setdefault(array, shape) != shape:
            raise ParameterError(
                f"array {array!r} has shape {self._shapes[array]} in this ledger, not {shape}"
            )

    def watch(self, count: Callable[[], None]) -> None:
        """Call ``count`` before counts are shown: for an array that counts by itself meanwhile."""
        self._late.append(count)

    def _count(self) -> None:
        for count in self._late:
            count()

    def add_pulses(self, phase: str, array: str, pulses: int | Array) -> None:
        """Count pulses: a number that every cell got, or an array [cells] of what each got."""
        if isinstance(pulses, int):
            self._entry(phase, array).common += pulses
        else:
            own = self.counter(phase, array)
            own += pulses.ravel()

    def counter(self, phase: str, array: str) -> Array:
        """Pulses [cells] (int64) that differ between cells, to be counted on in place."""
        entry = self._entry(phase, array)
        if entry.own is None:
            entry.own = np.zeros(entry.cells, np.int64)
        return entry.own

    def add_reads(self, phase: str, array: str, cells: int) -> None:
        """Count ``cells`` cell reads."""
        self._entry(phase, array).reads += cells

    def add_programs(self, phase: str, array: str, cells: int) -> None:
        """Count ``cells`` programming events (one per cell that is set to a value).

        Trackers count every renewal of a cell's reference, of each method alike: what an analog copy of the
        reference costs. Hardware that subtracts the reference digitally needs none of them
        (`sptrack.cost.CostModel.digital`).
        """
        self._entry(phase, array).programs += cells

    def add_operations(self, phase: str, array: str, operations: int) -> None:
        """Count digital multiplications and additions."""
        self._entry(phase, array).operations += operations

    def add_passes(self, phase: str, array: str, passes: int) -> None:
        """Count ``passes`` of one vector each through all cells."""
        self._entry(phase, array).passes += passes

    def per_cell(self, array: str, phase: str | None = None) -> Array:
        """Pulses that each cell of ``array`` got, int64 [R, C], in one phase or (None) in all.

        Raises
        ------
        ParameterError
            If the array is unknown.
        """
        if array not in self._shapes:
            raise ParameterError(f"unknown array {array!r}; choose from {', '.join(self._shapes) or 'none'}")
        self._count()
        total = np.zeros(self._shapes[array], np.int64)
        for (name, of), entry in self._entries.items():
            if of == array and phase in (None, name):
                total += entry.common
                if entry.own is not None:
                    total += entry.own.reshape(total.shape)
        return total

    def table(self) -> dict[tuple[str, str], dict[str, int]]:
        """Totals of pulses, reads, programs, operations and passes by (phase, array)."""
        self._count()
        return {key: entry.totals() for key, entry in self._entries.items()}

    def total(self, quantity: str = "pulses", *, phase: str | None = None, array: str | None = None) -> int:
        """Sum of one quantity of `table` over all phases and arrays, or the named."""
        return sum(
            counts[quantity]
            for (of_phase, of_array), counts in self.table().items()
            if phase in (None, of_phase) and array in (None, of_array)
        )

    def state(self) -> dict[str, ArrayLike]:
        """Everything needed to restore the ledger, as arrays by name."""
        self._count()
        out: dict[str, ArrayLike] = {}
        for (phase, array), entry in self._entries.items():
            out[f"{phase}|{array}|totals"] = np.array(
                [entry.common, entry.reads, entry.programs, entry.operations, entry.passes]
            )
            if entry.own is not None:
                out[f"{phase}|{array}|own"] = entry.own
        return out

    def restore(self, state: dict[str, Array]) -> None:
        """Set the counts from `state`; the arrays must be open.

        Raises
        ------
        ParameterError
            A name or an array that `state` does not make.
        """
        entries: dict[tuple[str, str], _Entry] = {}
        for key in state:
            phase, array, what = (key.split("|") + ["", ""])[:3]
            if array not in self._shapes or what not in ("own", "totals") or key.count("|") != 2:
                raise ParameterError(f"checkpoint: ledger holds {key!r}, which is of no array here")
            rows, columns = self._shapes[array]
            entry = entries.setdefault((phase, array), _Entry(rows * columns))
            if what == "own":
                entry.own = counts(state, key, (rows * columns,))
            else:
                totals = counts(state, key, (5,)).tolist()
                entry.common, entry.reads, entry.programs, entry.operations, entry.passes = totals
        self._entries = entries


def _check_name(what: str, name: str) -> None:
    if "|" in name:
        raise ParameterError(f"{what} must be a name without '|', got {name!r}")
