"""Command line of `track`, `explain`, `tune`, `budget`: problem, device, settings of a method."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cyclopts import Parameter

from sptrack.blocks.spec import chopper_from, reference_from
from sptrack.devices.config import device_named
from sptrack.errors import ParameterError
from sptrack.tracking.config import Setup, chained, load_setup, takes_chopper
from sptrack.tracking.methods import Method
from sptrack.tracking.methods import method as method_by_name

DEFAULT_METHOD = "e-rider"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SetupInput:
    """The problem of a command.

    Parameters
    ----------
    method
        Method (sgd, tt-v1, ..., e-rider); the default is that of the file, or e-rider.
    problem
        Problem: quadratic, separable, least-squares or logistic.
    device
        Preset of the cells (see `sptrack devices list`), or TOML file as `sptrack fit --out` writes it; the
        default is that of the problem.
    filter
        Reference filter of the method instead of its own: ema:eta=0.01,order=2, sos:file=elliptic.json,
        fir:file=taps.csv, boxcar:length=200, cic:length=64, ...; joined by + in a row. Or an observer, such
        as predictor-observer:forgetting=2e-4.
    chopper
        Chopper of the method instead of its own: telegraph:p=0.01, periodic:half_period=50,duty=0.4,
        mls:register=7 or none; scope=array, column or cell.
    config
        TOML file with tables [method], [problem], [device], [filter], [chopper]; options override the file.
    """

    method: str | None = None
    problem: str | None = None
    device: str | None = None
    filter: str | None = None
    chopper: str | None = None
    config: Path | None = None

    def load(self) -> Setup:
        """Problem and device of options and file, and the file's method.

        Raises
        ------
        ParameterError
            If the file or a name is refused.
        """
        setup = Setup() if self.config is None else load_setup(self.config)
        if self.filter is not None:
            setup = replace(setup, filter=reference_from(self.filter, "--filter"))
        if self.chopper is not None:
            setup = replace(setup, chopper=chopper_from(self.chopper, "--chopper"))
        if self.problem is not None:
            setup = replace(setup, problem=self.problem)
        if self.device is not None:
            setup = setup.with_device(device_named(self.device))
        return setup


def chosen_methods(setup: Setup, names: Sequence[str]) -> tuple[Method, ...]:
    """Methods by name, with the file's settings where it has some; without names the file's, or e-rider.

    Filter and chopper of the setup go to every method that can have them: of several, the others stay as they
    are (`keep_their_own` says which).

    Raises
    ------
    ParameterError
        Unknown name, settings in the file for a method that is not among the named, or a filter or a chopper
        that none of the methods can have.
    """
    own = setup.method
    wanted = tuple(names) or (DEFAULT_METHOD if own is None else own.name,)
    if own is not None and own.name not in wanted:
        raise ParameterError(f"method {own.name!r} of the file is not among {', '.join(wanted)}")
    chosen = [own if own is not None and name == own.name else method_by_name(name) for name in wanted]
    moving = any(one.moving for one in chosen)
    chopped = any(takes_chopper(one) for one in chosen)
    return tuple(
        chained(
            one,
            setup.filter if one.moving or not moving else None,
            setup.chopper if takes_chopper(one) or not chopped else None,
        )
        for one in chosen
    )


def keep_their_own(setup: Setup, methods: Sequence[Method]) -> str:
    """Sentence on the methods that have not got the filter or the chopper of a setup; empty for none."""
    out = []
    for name, given, left in (
        ("filter", setup.filter, [one.name for one in methods if not one.moving]),
        ("chopper", setup.chopper, [one.name for one in methods if not takes_chopper(one)]),
    ):
        if given is not None and left:
            out.append(f"the {name} is not for {', '.join(left)}, whose reference does not move")
    return "; ".join(out)
