"""Numbers of the fields of a table: decimal commas, groups of digits, units behind them, gaps and words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.fitting.texts import NUMBER, THOUSANDS, WITH_UNIT, is_gap, ungrouped
from sptrack.fitting.units import parse_unit


def to_numbers(texts: NDArray[Any], decimal: str) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
    """Values [N] of texts, which of them are words, and the unit behind numbers.

    Parameters
    ----------
    texts : array [N] of str
        Fields of a column.
    decimal : str
        Decimal sign.

    Returns
    -------
    values : array [N]
        Numbers; NaN for gaps and for texts that are no numbers.
    words : array [N] of bool
        Texts that are neither numbers nor gaps.
    unit : str
        Unit of texts such as ``15.6 uS``; empty if there is none.
    """
    import pandas as pd

    series = pd.Series([ungrouped(text) for text in texts.tolist()], dtype=str)
    if decimal == ",":
        both = series.str.contains(",", regex=False)
        series = series.where(~both, series.str.replace(".", "", regex=False))
        series = series.str.replace(",", ".", regex=False)
    values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, copy=True)
    left = np.flatnonzero(np.isnan(values))
    words, found = np.zeros(values.size, bool), ""
    kinds, unique = pd.factorize(series.to_numpy(dtype=object)[left])
    read, is_word = np.full(len(unique), np.nan), np.zeros(len(unique), bool)
    for k, one in enumerate(unique):
        text = str(one).strip()
        match = WITH_UNIT.fullmatch(text)
        if is_gap(text):
            continue
        if THOUSANDS.fullmatch(text):
            read[k] = float(text.replace(",", ""))
        elif NUMBER.fullmatch(text):
            read[k] = float(re.sub("[dD]", "e", text))
        elif match is not None and parse_unit(match[2]) is not None and found in ("", match[2]):
            read[k], found = float(match[1]), match[2]
        else:
            is_word[k] = True
    values[left], words[left] = read[kinds], is_word[kinds]
    values[~np.isfinite(values)] = np.nan
    return values, words, found
