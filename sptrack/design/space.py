"""Search space: settings of a method by name, their ranges, and the map from a point to a method."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sptrack.blocks import Block, Chopper, GrowingBoxcar, PatternChopper, PeriodicChopper
from sptrack.blocks.settings import PRIORS, ObserverSettings
from sptrack.design.block_numbers import block_numbers, with_number
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.methods import METHODS, Method, with_settings
from sptrack.tracking.rated import ESTIMATORS, SOURCES

Value = float | int | str | bool

_OBSERVER = ("prior", "weight", "limit", "floor", "sent", "drive", "weight_bits", "point_bits")
_TRANSFER = ("every", "threshold", "keep", "max_pulses", "by_column", "forget")
_CHOPPER = ("p", "half_period", "scope")
_OWN = ("alpha", "beta", "gamma", "eta", "pulses", "bits", "reference", "estimator", "sync", "direct")
SETTINGS = (*_OWN, *_CHOPPER, *_TRANSFER, *_OBSERVER, "tail", "periods")
"""Settings that can be varied by name: the keywords of the factories, the spellings of `with_settings`, the
fields of `Transfer` and `ObserverSettings`. ``tail`` is eta/p: eta = min(tail p, 1), as in AGAD. ``periods``
makes the filter a mean over so many whole periods of a chopper whose signs repeat. ``beta`` of a method with
an observer is per step, as in its factory: a transfer takes it times the steps in between.
Besides these, ``filter.NAME`` and ``chopper.NAME`` are the numbers of the method's own blocks."""
_PLACES = {"chop.probability": "p", "chop.half_period": "half_period", "chop.scope": "scope"}
_PLACES |= {f"transfer.{name}": name for name in _TRANSFER}
_PLACES |= {f"observing.{name}": name for name in _OBSERVER}
CHOICES: dict[str, tuple[Value, ...]] = {
    "reference": (*SOURCES, "filter"),
    "estimator": ESTIMATORS,
    "scope": ("array", "column"),
    "prior": PRIORS,
    **dict.fromkeys(("sync", "direct", "by_column", "forget", "sent"), (False, True)),
}
"""Settings that are not numbers, with all their values."""
_BITS = ("bits", "weight_bits", "point_bits")
_MULTIPLES = {"pulses": 2, "half_period": 1, "periods": 1, "every": 1, "max_pulses": 1} | dict.fromkeys(
    _BITS, 1
)
_MAKERS = {"filter": ("eta", "tail", "periods", "estimator", *_OBSERVER), "chopper": _CHOPPER}
"""Settings that can make the filter or the chopper of a method anew."""
_FORM = "LOW:HIGH, with :log or :linear if need be"
SETTING_UNITS = {
    "threshold": "weight units",
    "pulses": "pulses",
    "half_period": "steps",
    "every": "steps",
    "p": "1/step",
}
"""Units of settings that are not pure numbers; of a chopper per column "step" is a read of the column."""
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


def setting_name(name: str) -> str:
    """Name of a setting from that, or from its place, such as "chop.probability".

    Raises
    ------
    ParameterError
        Unknown setting.
    """
    found = _PLACES.get(name, name)
    if found not in SETTINGS and not found.startswith(("filter.", "chopper.")):
        raise ParameterError(
            f"unknown setting {name!r}; choose from {', '.join(SETTINGS)}, filter.NAME, chopper.NAME"
            + nearest(name, SETTINGS)
        )
    return found


def _own_block(method: Method, name: str) -> tuple[Block, str]:
    """Block of a dotted name and what the name is there.

    Raises
    ------
    ParameterError
        A method without that block, or a block without that number.
    """
    part, _, key = name.partition(".")
    block: Block | None = method.filter if part == "filter" else method.chopper
    if block is None:
        raise ParameterError(f"{name}: {method.name} has no {part} of its own")
    numbers = block_numbers(block)
    if key not in numbers:
        names = [f"{part}.{one}" for one in numbers]
        known = ", ".join(names) or "it has none"
        raise ParameterError(f"{name} must be a number of {block} ({known}){nearest(name, names)}")
    return block, key


def read_setting(method: Method, name: str) -> Value:
    """Value of a setting of ``method``.

    Of a chopper that is not random ``p`` is its mean number of sign changes per sample, of one that is not
    periodic ``half_period`` is 1/p: the mean length of a half. ``tail`` is eta/p (0 without a chopper).
    """
    if "." in name:
        block, key = _own_block(method, name)
        return block_numbers(block)[key]
    if name in _CHOPPER:
        return _read_chopper(method, name)
    if name == "tail":
        return method.eta / method.flips if method.flips else 0.0
    if name == "periods":
        boxcar, chopper = method.filter, method.chopper
        if isinstance(boxcar, GrowingBoxcar) and isinstance(chopper, PatternChopper):
            return round(boxcar.length / chopper.period)
        return 0
    if name == "beta" and method.observer is not None:
        return method.beta / method.transfer.every
    if name == "reference":
        return "filter" if method.moving else str(method.reference)
    if name in _OBSERVER:
        found: Value = getattr(method.observer or ObserverSettings(), "reach" if name == "limit" else name)
        return found
    value: Value = getattr(method.transfer if name in _TRANSFER else method, name)
    return value


def _read_chopper(method: Method, name: str) -> Value:
    chopper = method.chopper
    if name == "scope":
        return "column" if chopper is not None and chopper.clock == "read" else "array"
    if name == "p":
        return method.flips
    if isinstance(chopper, PeriodicChopper):
        return chopper.half_period
    return round(1.0 / method.flips) if method.flips else 0


def with_point(base: Method, point: Mapping[str, Value]) -> Method:
    """``base`` with the settings of ``point``.

    ``p`` makes the chopper random, ``half_period`` periodic, and neither moves eta; ``tail`` sets it to
    min(tail p, 1); ``periods`` makes the filter a mean over whole periods of the chopper.

    Raises
    ------
    ParameterError
        If `Method` or a block refuses them.
    """
    blocks: dict[str, Any] = {}
    for name, value in point.items():
        if "." in name:
            _, key = _own_block(base, name)
            part = "reference" if name.startswith("filter.") else "chopper"
            blocks[part] = with_number(blocks.get(part, getattr(base, part)), key, float(value))
    named = {name: value for name, value in point.items() if "." not in name}
    moved_by: dict[str, Any] = {name: named.pop(name) for name in _TRANSFER if name in named}
    transfer = replace(base.transfer, **moved_by)
    observer = {name: named.pop(name) for name in _OBSERVER if name in named}
    tail, periods = named.pop("tail", None), named.pop("periods", None)
    if "reference" in blocks and named.get("reference") == "filter":
        del named["reference"]
    given: dict[str, Any] = {**blocks, **named, "transfer": transfer}
    if "scope" in given:
        chop: dict[str, Any] = {"scope": given.pop("scope")}
        for name, key in (("p", "probability"), ("half_period", "half_period")):
            if name in given:
                chop[key] = given.pop(name)
        given["chop"] = chop
    if observer:
        given["observing"] = observer
    if base.observer is not None and {"beta", "every"} & set(point):
        given["beta"] = float(point.get("beta", read_setting(base, "beta"))) * transfer.every
    made = with_settings(base, **given)
    if periods is not None:
        if not isinstance(made.chopper, PatternChopper):
            raise ParameterError(f"periods needs a chopper whose signs repeat, got {made.chopper or 'none'}")
        return replace(made, reference=GrowingBoxcar.over(made.chopper, int(periods)))
    return made if tail is None else with_settings(made, eta=min(float(tail) * made.flips, 1.0))


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
    block, key = _own_block(method, name)
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
    if name in _OBSERVER and not (method.observer is not None or "estimator" in space):
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
