"""Signal processing for analog reference tracking: symmetric points of resistive crossbar cells."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sptrack.errors import ConvergenceError, ParameterError, SptrackError

if TYPE_CHECKING:
    from sptrack.results import dataset, load, save

__version__ = "0.1.0"

_HOME_OF = {
    "dataset": "sptrack.results",
    "load": "sptrack.results",
    "save": "sptrack.results",
}

__all__ = [
    "ConvergenceError",
    "ParameterError",
    "SptrackError",
    "__version__",
    "dataset",
    "load",
    "save",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sptrack' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported yet or not."""
    return sorted({*globals(), *_HOME_OF})
