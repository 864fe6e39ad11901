"""Search space: ranges of the settings of a method, as texts, by default, and what is refused."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sptrack.blocks import Block, Chopper
from sptrack.design.block_numbers import block_numbers, with_number
from sptrack.design.settings import (
    CHOICES,
    CHOPPER,
    OBSERVER,
    SETTINGS,
    Value,
    own_block,
    read_setting,
    setting_name,
    with_point,
)
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.methods import METHODS, Method

_BITS = ("bits", "weight_bits", "point_bits")
_MULTIPLES = {"pulses": 2, "half_period": 1, "periods": 1, "every": 1, "max_pulses": 1} | dict.fromkeys(
    _BITS, 1
)
_MAKERS = {"filter": ("eta", "tail", "periods", "estimator", *OBSERVER), "chopper": CHOPPER}
"""Settings that can make the filter or the chopper of a method anew."""
_FORM = "LOW:HIGH, with :log or :linear if need be"
EDGE = 0.02
"""A value lies at the edge of a range within this fraction of its width, on its scale, of an end."""
_EXCLUDING = (
    ("p", "half_period"),
    ("eta", "tail"),
    *((one, "periods") for one in ("eta", "tail", "estimator")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Parameters
    ----------
    low, high : float
        Ends, in the unit of the setting.
    log : bool
        Even in the logarithm instead of in the number itself.
    multiple : int
        If above 0, whole multiples of it only.

    Raises
    ------
    ParameterError
        Ends that are not finite, reversed or equal, not above 0 though ``log``, or no multiples.
    """

    low: float
    high: float
    log: bool = True
    multiple: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ParameterError(
                f"range must be finite with its low end below the high end, got {self.low:g}:{self.high:g}"
            )
        if self.log and self.low <= 0:
            raise ParameterError(
                f"range must begin above 0, got {self.low:g}:{self.high:g}: raise it, or add :linear"
            )
        if self.multiple and (self.low % self.multiple or self.high % self.multiple):
            raise ParameterError(
                f"range must end at multiples of {self.multiple}, got {self.low:g}:{self.high:g}"
            )

    def hold(self, value: float) -> float:
        """``value`` moved into the range, and to the nearest multiple."""
        inside = min(max(value, self.low), self.high)
        return self.multiple * round(inside / self.multiple) if self.multiple else inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of some values.

    Parameters
    ----------
    values : tuple
        At least two, of texts or truth values.

    Raises
    ------
    ParameterError
        Fewer than two values, or one twice.
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise ParameterError(f"choice must have at least two different values, got {self.values}")


Space = Mapping[str, Range | Choice]

RANGES: dict[str, Range] = {
    "alpha": Range(low=1e-4, high=0.5),
    "beta": Range(low=1e-4, high=0.3),
    "gamma": Range(low=0.05, high=4.0),
    "eta": Range(low=3e-5, high=0.1),
    "p": Range(low=3e-4, high=0.3),
    "half_period": Range(low=2, high=5000, multiple=1),
    "tail": Range(low=0.2, high=10.0),
    "periods": Range(low=1, high=8, multiple=1),
    "every": Range(low=1, high=64, multiple=1),
    "threshold": Range(low=1e-4, high=0.1),
    "keep": Range(low=0.0, high=1.0, log=False),
    "max_pulses": Range(low=1, high=100, multiple=1),
    "pulses": Range(low=500, high=8000, multiple=2),
    "weight": Range(low=0.01, high=100.0),
    "limit": Range(low=0.5, high=1.0, log=False),
    "floor": Range(low=0.03, high=1.0),
    "drive": Range(low=1e-4, high=0.1),
    **{name: Range(low=6, high=20, log=False, multiple=1) for name in _BITS},
}
"""Default ranges: those over which the defaults of `METHODS` were compared, wide and the same for all."""
BUFFERED = {"beta": Range(low=1e-3, high=10.0)}
"""Instead, for a transfer through a buffer, where only beta / threshold matters."""
BY_COLUMN = {"p": Range(low=1e-3, high=0.5)}
"""Instead, for a chopper per column, which can flip at its reads alone."""


def default_range(name: str, method: Method) -> Range | Choice:
    """Default range of a setting, stretched to hold the value that ``method`` has; or all its choices."""
    if name in CHOICES:
        return Choice(values=CHOICES[name])
    own = RANGES | (BUFFERED if method.transfer.threshold > 0 else {})
    own |= BY_COLUMN if method.chopper is not None and method.chopper.clock == "read" else {}
    value = float(read_setting(method, name))
    if "." in name:
        return _around(name, value, method)
    if value <= 0:
        return own[name]
    return replace(own[name], low=min(own[name].low, value), high=max(own[name].high, value))


def _around(name: str, value: float, method: Method) -> Range:
    """Range of a number of a block: a factor of 10 to both sides of its value, as far as the block goes."""
    if value <= 0:
        raise ParameterError(f"{name} = {value:g} of {method.name}: give its range, {_FORM}")
    block, key = own_block(method, name)
    whole = isinstance(block_numbers(block)[key], int)
    low, high = (_accepted(block, key, value, end, whole) for end in (value / 10, 10 * value))
    if low == high:
        raise ParameterError(f"{name} = {value:g} of {method.name}: give its range, {_FORM}")
    return Range(low=low, high=high, multiple=int(whole))


def _accepted(block: Block, key: str, value: float, end: float, whole: bool) -> float:
    """The number nearest to ``end`` that the block accepts, by halves of the way from ``value``, or so."""
    if not whole and value < 1:
        end = min(end, 1.0)
    if whole:
        end = max(round(end), 1)
    while end != value:
        try:
            with_number(block, key, end)
        except ParameterError:
            middle = 0.5 * (value + end)
            nearer = round(middle) if whole else middle
            end = value if nearer == end else nearer
        else:
            break
    return end


def default_space(method: Method) -> dict[str, Range | Choice]:
    """Settings that the factory of ``method`` has and that are above 0, over their default ranges.

    All but the threshold of a buffer: beta / threshold alone matters. A filter that no single rate describes
    and a chopper that is not random have, instead of ``eta`` and ``p``, their own numbers that were given.
    """
    factory = METHODS.get(method.name)
    names = list(RANGES) if factory is None else list(factory.__kwdefaults__ or {})
    wanted = [name for name in names if name != "threshold" and float(read_setting(method, name)) > 0]
    if factory is None:
        wanted = [name for name in wanted if name in ("alpha", "beta", "gamma", "eta", "pulses")]
    space = {name: default_range(name, method) for name in wanted}
    if method.filter is not None and not method.eta:
        space |= _own_space("filter", method)
    if "p" in space and not isinstance(method.chopper, Chopper):
        del space["p"]
        space |= _own_space("chopper", method)
    return space


def _own_space(part: str, method: Method) -> dict[str, Range | Choice]:
    """Numbers of a block that are given and above 0, those alone whose default range leaves room."""
    block = method.filter if part == "filter" else method.chopper
    space: dict[str, Range | Choice] = {}
    for key, value in block_numbers(block, given=True).items() if block is not None else ():
        try:
            if value > 0:
                space[f"{part}.{key}"] = default_range(f"{part}.{key}", method)
        except ParameterError:
            continue
    return space


def parse_space(texts: Iterable[str], method: Method) -> dict[str, Range | Choice]:
    """Search space from texts: "alpha=1e-3:0.1", "keep=0:1:linear", "estimator=ema|boxcar", "eta".

    A name alone stands for its default range or all its choices.

    Raises
    ------
    ParameterError
        Unknown setting or choice, a setting given twice, a text of another form, a range that is refused.
    """
    space: dict[str, Range | Choice] = {}
    for text in texts:
        given, _, what = text.partition("=")
        name = setting_name(given.strip())
        if name in space:
            raise ParameterError(f"setting {name!r} is to be varied twice: give it once")
        space[name] = parse_range(name, what.strip(), method) if "=" in text else default_range(name, method)
    return space


def parse_range(name: str, text: str, method: Method) -> Range | Choice:
    """Range or choice of one setting from its text, see `parse_space`."""
    if name in CHOICES:
        known = {str(value).lower(): value for value in CHOICES[name]}
        words = [word.strip() for word in text.split("|")]
        for word in words:
            if word.lower() not in known:
                raise ParameterError(
                    f"{name} must be of {' | '.join(known)}, got {word!r}{nearest(word, known)}"
                )
        return Choice(values=tuple(known[word.lower()] for word in words))
    *ends, scale = text.split(":") if text.count(":") == 2 else [*text.split(":"), ""]
    default = default_range(name, method)
    log = default.log if isinstance(default, Range) and not scale else scale == "log"
    try:
        low, high = (float(end) for end in ends)
    except ValueError as error:
        raise ParameterError(f"{name} must be {_FORM}, got {text!r}") from error
    if scale not in ("", "log", "linear"):
        raise ParameterError(f"{name} must be {_FORM}, got {text!r}")
    try:
        multiple = default.multiple if isinstance(default, Range) and "." in name else _MULTIPLES.get(name, 0)
        return Range(low=low, high=high, log=log, multiple=multiple)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from error


def check_space(space: Space, method: Method) -> None:
    """Refuse a space that says nothing, or says two things about one setting.

    Raises
    ------
    ParameterError
        No setting; two that set the same thing (p and half_period; two of eta, tail and periods); a tail
        without a random chopper; a setting that has no effect on the method; settings that `Method` refuses
        at an end of their range.
    """
    if not space:
        raise ParameterError(f"{method.name}: no setting to vary; choose from {', '.join(SETTINGS)}")
    for one, other in _EXCLUDING:
        if one in space and other in space:
            raise ParameterError(f"{one} and {other} cannot both be varied: keep only one of them")
    if "tail" in space and not ({"p", "half_period"} & set(space) or method.flips):
        raise ParameterError(f"tail = eta/p of {method.name} needs a chopper probability p above 0: give one")
    first: dict[str, Value] = (
        {"half_period": _ends(space["half_period"])[0]} if "half_period" in space else {}
    )
    for name in space:
        reason = _idle(name, space, method)
        if reason:
            raise ParameterError(f"{name} has no effect on {method.name}: {reason}")
        for value in _ends(space[name]):
            with_point(method, (first if name == "periods" else {}) | {name: value})
    _refuse_twice_set(space, method)


def _refuse_twice_set(space: Space, method: Method) -> None:
    """Refuse a number of a block beside a setting that makes that block anew."""
    for name in (one for one in space if "." in one):
        for other in (one for one in _MAKERS[name.partition(".")[0]] if one in space):
            for value, beside in zip(_ends(space[name]), _ends(space[other])[::-1], strict=False):
                try:
                    kept = read_setting(with_point(method, {name: value, other: beside}), name) == value
                except ParameterError:
                    kept = False
                if not kept:
                    raise ParameterError(f"{name} and {other} set the same block: vary one of them")


def _ends(range_: Range | Choice) -> tuple[Value, ...]:
    return (
        range_.values if isinstance(range_, Choice) else (range_.hold(range_.low), range_.hold(range_.high))
    )


def _idle(name: str, space: Space, method: Method) -> str:
    """Reason for which a setting that is varied changes nothing; empty if it does."""
    if {"reference", "direct"} & set(space):
        return ""
    if method.direct and name not in ("alpha", "direct"):
        return "gradient pulses go straight onto W"
    if name in ("eta", "tail", "periods", "estimator", "sync", "bits") and not method.moving:
        return "it has no reference filter"
    if name in OBSERVER and not (method.observer is not None or "estimator" in space):
        return "it has no input-aware observer"
    if name == "pulses" and method.reference != "calibrated":
        return "it is not calibrated before training"
    if name in ("keep", "forget", "max_pulses") and not (
        method.transfer.threshold > 0 or "threshold" in space
    ):
        return "it has no buffer"
    return ""


def start_point(space: Space, start: Method) -> dict[str, Value]:
    """Point of ``space`` nearest to ``start``: every setting as there, or at the near end of its range."""
    point: dict[str, Value] = {}
    for name, range_ in space.items():
        value = read_setting(start, name)
        if isinstance(range_, Range):
            point[name] = range_.hold(float(value))
        else:
            point[name] = value if value in range_.values else range_.values[0]
    return point


def edges(space: Space, point: Mapping[str, Value]) -> tuple[str, ...]:
    """Settings of a point at an end of their range, or within `EDGE` of it: a wider one may hold better.

    The least multiple is no such end: no range goes below it.
    """
    found = []
    for name, range_ in space.items():
        if isinstance(range_, Range):
            ends = range_.low, range_.high, float(point[name])
            low, high, value = map(math.log, ends) if range_.log else ends
            above = math.inf if 0 < range_.low == range_.multiple else value - low
            if min(above, high - value) <= EDGE * (high - low):
                found.append(name)
    return tuple(found)


def moved(space: Space, start: Method, end: Method) -> dict[str, float | None]:
    """Ratio of each setting's value at the end to that at the start; None where that is no number."""
    ratios: dict[str, float | None] = {}
    for name, range_ in space.items():
        first, last = read_setting(start, name), read_setting(end, name)
        ratios[name] = float(last) / float(first) if isinstance(range_, Range) and first else None
    return ratios
