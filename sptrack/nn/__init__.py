"""Neural networks on tracked arrays, in PyTorch: analog layers, optimizer, training. Extra: sptrack[nn]."""

from sptrack.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("sptrack.nn needs PyTorch: pip install 'sptrack[nn]'") from error

from sptrack.nn.convert import NetConfig, convert_to_analog
from sptrack.nn.convolution import AnalogConv2d
from sptrack.nn.layers import AnalogLayer, AnalogLinear
from sptrack.nn.optim import AnalogSGD

__all__ = ["AnalogConv2d", "AnalogLayer", "AnalogLinear", "AnalogSGD", "NetConfig", "convert_to_analog"]
