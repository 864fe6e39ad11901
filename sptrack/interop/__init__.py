"""Settings of other simulators as settings of this package, and back: aihwkit."""

from sptrack.interop.analog import AnalogConfig
from sptrack.interop.configs import Written, from_aihwkit, to_aihwkit

__all__ = ["AnalogConfig", "Written", "from_aihwkit", "to_aihwkit"]
