"""What `track`, `explain`, `tune` read from their command line: problem, device, a method's settings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cyclopts import Parameter

from sptrack.devices.config import device_named
from sptrack.errors import ParameterError
from sptrack.tracking.config import Setup, load_setup
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
    config
        TOML file with tables [method], [problem], [device]; the options above go before it.
    """

    method: str | None = None
    problem: str | None = None
    device: str | None = None
    config: Path | None = None

    def load(self) -> Setup:
        """Problem and device of options and file, and the file's method.

        Raises
        ------
        ParameterError
            If the file or a name is refused.
        """
        setup = Setup() if self.config is None else load_setup(self.config)
        for name in ("filter", "chopper"):
            if getattr(setup, name) is not None:
                raise ParameterError(
                    f"{self.config}: table '{name}' is for `sptrack response`: here filter and chopper "
                    "are those of the method (eta, estimator, chop)"
                )
        if self.problem is not None:
            setup = replace(setup, problem=self.problem)
        if self.device is not None:
            setup = setup.with_device(device_named(self.device))
        return setup


def chosen_methods(setup: Setup, names: Sequence[str]) -> tuple[Method, ...]:
    """Methods by name, with the file's settings where it has some; without names the file's, or e-rider.

    Raises
    ------
    ParameterError
        Unknown name, or settings in the file for a method that is not among the named.
    """
    own = setup.method
    wanted = tuple(names) or (DEFAULT_METHOD if own is None else own.name,)
    if own is not None and own.name not in wanted:
        raise ParameterError(f"method {own.name!r} of the file is not among {', '.join(wanted)}")
    return tuple(own if own is not None and name == own.name else method_by_name(name) for name in wanted)
