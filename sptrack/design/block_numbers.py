"""Numbers of a block by name: its fields, those of blocks inside it, parameters of a user's own filter.

A place inside is named by the way there, joined by dots: ``eta``; ``0.eta``, of the first filter of a chain;
``estimator.eta``, of an estimator in a block; ``parameters.rate``, of a user's filter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, replace
from typing import Any

from sptrack.blocks import Block, Chain
from sptrack.errors import ParameterError, nearest

_NOT_VARIED = ("seed", "stagger", "rows")
"""Whole numbers that are no settings of a signal: draws, offsets between columns, sizes of a memory."""


def block_numbers(block: Block, *, given: bool = False) -> dict[str, float | int]:
    """Numbers of a block by name (see module text); ``given``: without those at their defaults."""
    return dict(_found(block, given))


def _found(place: Any, given: bool) -> Iterator[tuple[str, float | int]]:
    for key, value in _parts(place, given):
        if isinstance(value, int | float):
            if not isinstance(value, bool) and key not in _NOT_VARIED:
                yield key, value
        else:
            for name, number in _found(value, given):
                yield f"{key}.{name}", number


def _parts(place: Any, given: bool = False) -> list[tuple[str, Any]]:
    """Parts of a place by name; none for arrays, texts, functions."""
    if isinstance(place, Chain):
        return [(str(k), block) for k, block in enumerate(place.blocks)]
    if isinstance(place, Block):
        named = [(item, getattr(place, item.name)) for item in fields(place)]
        return [(item.name, value) for item, value in named if not (given and _is_default(item, value))]
    return list(place.items()) if isinstance(place, Mapping) else []


def _is_default(item: Field[Any], value: Any) -> bool:
    return isinstance(value, int | float) and bool(value == item.default)


def with_number(block: Block, name: str, value: float) -> Block:
    """The block with another number; a whole one is rounded.

    Raises
    ------
    ParameterError
        A number that the block does not have, or that it refuses.
    """
    known = block_numbers(block)
    if name not in known:
        names = ", ".join(known) or "no numbers"
        raise ParameterError(f"{name!r} is not a number of {block}, which has {names}{nearest(name, known)}")
    changed: Block = _changed(block, name, round(float(value)) if isinstance(known[name], int) else value)
    return changed


def _changed(place: Any, name: str, value: float) -> Any:
    key, _, rest = name.partition(".")
    parts = dict(_parts(place))
    new = _changed(parts[key], rest, value) if rest else value
    if isinstance(place, Chain):
        return Chain(*(parts | {key: new}).values())
    if isinstance(place, Block):
        named: dict[str, Any] = {key: new}
        return replace(place, **named)
    return {**place, key: new}
