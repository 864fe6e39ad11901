"""Blocks of a table: where its header stands again, or a line says which cell or run comes next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sptrack.fitting.texts import is_gap, is_number
from sptrack.fitting.vocabulary import meaning

__all__ = ["Blocks", "block_label", "cut_blocks"]

_LABEL = re.compile(
    r"\W*([^\W\d]+(?:\s+(?:no|nr|id|number|name)\.?)?)\s*[:=#_-]?\s*(\S.{0,40})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Lines of data, which lines they were, the block of each, and the label of each block."""

    lines: list[str]
    kept: NDArray[np.intp]
    blocks: NDArray[np.int64]
    labels: list[tuple[str, str]]


def block_label(text: str) -> tuple[str, str]:
    """Role (cell or run) and name of a line such as ``Device A`` or ``cycle: 3``; empty texts for others."""
    match = _LABEL.fullmatch(text.strip().strip(",;\t|"))
    role = meaning(match[1]) if match is not None else ""
    words = match[2].split() if match is not None else []
    return (role, match[2].strip()) if match and role in ("cell", "run") and len(words) < 3 else ("", "")


def cut_blocks(
    lines: list[str], titles: AbstractSet[str], comments: Mapping[int, str], separator: str, width: int
) -> Blocks:
    """Lines of data without repeated headers, lines of labels and text at the end.

    Parameters
    ----------
    lines : sequence of str
        Lines below the header.
    titles : set of str
        Lines of the header.
    comments : mapping of int to str
        Line before which a comment stands, and the comment.
    separator : str
        Separator of fields.
    width : int
        Number of fields.
    """
    count = len(lines)
    repeated = np.array([line in titles for line in lines], bool) if titles else np.zeros(count, bool)
    found = {k: label for k, text in comments.items() if k < count and (label := block_label(text))[0]}
    single = [k for k, line in enumerate(lines) if width > 1 and _is_text(line, separator, width)]
    named = {k: label for k in single if (label := block_label(lines[k]))[0]}
    removed = repeated.copy()
    removed[list(named)] = True
    last = count
    while last and (removed[last - 1] or last - 1 in single):
        last -= 1
    removed[last:] = True
    commented = np.zeros(count, bool)
    commented[list(found)] = True
    before = np.r_[False, removed[:-1]]
    begins = (removed | commented) & ~before
    numbers = np.cumsum(begins)
    kept = np.flatnonzero(~removed)
    if not kept.size:
        return Blocks([], kept, numbers[kept], [("", "")])
    texts = {int(numbers[k]): label for k, label in (found | named).items()}
    first, final = int(numbers[kept[0]]), int(numbers[kept[-1]])
    labels = [texts.get(k, ("", "")) for k in range(first, final + 1)]
    chosen = lines if kept.size == count else [lines[k] for k in kept]
    return Blocks(chosen, kept, numbers[kept] - first, labels)


def _is_text(line: str, separator: str, width: int) -> bool:
    """Whether a line is one text where others have several fields."""
    if separator != " ":
        text = line.strip(separator + " ")
        return separator not in text and not is_number(text) and not is_gap(text)
    if not line.lstrip()[:1].isalpha() or len(line.split()) == width:
        return False
    return bool(block_label(line)[0]) or not re.search(r"\d", line)
