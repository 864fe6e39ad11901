"""Increments as whole pulses: count laws, limits, and the numbers that are drawn."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.crossbar.inputs import largest_size, over_cells
from sptrack.crossbar.threads import over_blocks
from sptrack.devices.cells import Cells
from sptrack.errors import ParameterError
from sptrack.kernels import counts as kernels
from sptrack.kernels.random import TILE, Draws
from sptrack.values import check_choice, check_whole

Array = NDArray[Any]

COUNT_LAWS = {"rounded": kernels.ROUNDED, "binomial": kernels.BINOMIAL, "poisson": kernels.POISSON}
APPLICATIONS = ("sequential", "burst")
MAX_SLOTS = 1000
"""Longest train of the binomial count law (its probabilities are summed from (1 - p)**slots on)."""
MAX_PULSES = 10**8
"""Most pulses that one increment may ask of a cell."""


def check_law(law: str, slots: int, application: str = "sequential") -> None:
    """Refuse an unknown count law or application, and a train length outside 1 .. 1000 (ParameterError)."""
    check_choice("count law", law, tuple(COUNT_LAWS))
    check_choice("application", application, APPLICATIONS)
    check_whole("slots", slots, 1, MAX_SLOTS)


class PulseNumbers:
    """Numbers of pulses that increments of some cells ask for.

    Parameters
    ----------
    cells : Cells
        Their shape, precision and granularity.
    threads : int
        Threads of the kernels.
    """

    def __init__(self, cells: Cells, threads: int) -> None:
        self._cells, self._threads = cells, threads
        self._dtype = cells.law.cell.dtype
        self._words: Array | None = None
        self._words_block = -1

    def asked(self, increment: ArrayLike) -> Array:
        """Increments [cells], float64, as kernels take them.

        Raises
        ------
        ParameterError
            NaN or infinity, wrong shape, more than 1e8 pulses of a cell.
        """
        wanted = over_cells(increment, "increment", self._cells.shape).ravel()
        largest = largest_size(wanted) / self._cells.dw_min
        if largest > MAX_PULSES:
            raise ParameterError(
                f"increment must ask for at most {MAX_PULSES} pulses of a cell, got {largest:.4g}"
            )
        return wanted

    def draw(self, asked: Array, law: str, slots: int, draws: Draws) -> Array:
        """Signed numbers of pulses, int32 [cells], by a count law; ``draws`` are those of one event."""
        counts = np.empty(asked.size, np.int32)
        size = (self._dtype.type(self._cells.dw_min), COUNT_LAWS[law], int(slots))
        words, renew = self._shared_words(draws.event)
        over_blocks(
            lambda cells: kernels.draw_counts(asked, size, draws, cells, counts, words, renew),
            asked.size,
            self._threads,
        )
        return counts

    def _shared_words(self, event: Any) -> tuple[Array, bool]:
        """Words of the counts of four events [tiles, 4, tile], and whether they must be made anew."""
        block = int(event) >> 2
        if self._words is None:
            self._words = np.empty((-(-self._cells.size // TILE), 4, TILE), np.uint32)
        renew, self._words_block = block != self._words_block, block
        return self._words, renew
