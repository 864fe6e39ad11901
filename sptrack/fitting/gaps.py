"""Readings that are none: sentinels of instruments, and converters at the end of their range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mark_sentinels", "plateau"]

_HUGE = 1e30
_NAMED = (-999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0, -99.0, -1.0, 0.0)
_FAR = 5.0
_LONGEST = 8
_RATIO = 4


def mark_sentinels(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Values with sentinels replaced by NaN, and how often each was found.

    Numbers from 1e30 (9.91E+37 and the like) are sentinels always; -999, 9999, -1, 0 and the like if no other
    value is near: five ranges (5th to 95th percentile of the others) away, or, for -1 and 0, apart from
    values of one sign by more than their range.
    """
    out, found = values.copy(), {}
    huge = np.abs(out) >= _HUGE
    for value in np.unique(out[huge]):
        found[f"{value:.6g}"] = int(np.sum(out == value))
    out[huge] = np.nan
    for value in _NAMED:
        same = out == value
        count = int(np.sum(same))
        rest = out[np.isfinite(out) & ~same]
        if not count or count > 0.5 * out.size or rest.size < 10:
            continue
        low, high = np.percentile(rest, (5, 95))
        distance = max(low - value, value - high) / max(high - low, 1e-300)
        near = rest.min() if value < low else rest.max()
        alone = abs(near - value) > 0.5 * max(low - value, value - high)
        small = value in (-1.0, 0.0)
        if alone and (distance > _FAR or (small and distance > 1.0)):
            out[same] = np.nan
            found[f"{value:g}"] = count
    return out, found


def plateau(values: NDArray[np.float64], side: int) -> tuple[float, NDArray[np.bool_]] | None:
    """End of a converter's range on one side, and the readings that it hides; None if there is none.

    The extreme value counts as such an end where it stands in at least 8 consecutive readings, and in four
    times as many as any other value: a cell that saturates by itself leaves steps that grow longer, a
    converter does not. Hidden are the readings from the first to the last of such a stretch.

    Parameters
    ----------
    values : array [N]
        Readings in the order of time; NaN: none.
    side : {1, -1}
        Highest or lowest value.
    """
    seen = np.flatnonzero(np.isfinite(values))
    if seen.size < 4 * _LONGEST:
        return None
    kept = values[seen]
    extreme = float(kept.max() if side > 0 else kept.min())
    starts = np.flatnonzero(np.diff(kept, prepend=np.nan) != 0.0)
    lengths = np.diff(np.append(starts, kept.size))
    at_end = kept[starts] == extreme
    longest = int(lengths[at_end].max())
    others = int(lengths[~at_end].max(initial=1))
    if longest < max(_LONGEST, _RATIO * others) or longest > 0.9 * kept.size:
        return None
    hidden = np.zeros(values.size, bool)
    place = np.flatnonzero(kept == extreme)
    for group in np.split(place, np.flatnonzero(np.diff(place) > _LONGEST) + 1):
        if group.size >= _LONGEST // 2:
            hidden[seen[group[0]] : seen[group[-1]] + 1] = True
    hidden |= values == extreme
    return extreme, hidden
