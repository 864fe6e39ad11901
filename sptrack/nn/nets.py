"""Nets of the published runs, and nets of a user's file."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sptrack.errors import ParameterError, one_line

Shape = tuple[int, int, int]
FUNCTION = "net"
"""Name of the function of a user's file."""


def fully_connected(shape: Shape, classes: int) -> nn.Module:
    """Pixels-256-128-classes with sigmoids."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape[0] * shape[1] * shape[2], 256),
        nn.Sigmoid(),
        nn.Linear(256, 128),
        nn.Sigmoid(),
        nn.Linear(128, classes),
    )


def lenet5(shape: Shape, classes: int) -> nn.Module:
    """Two convolutions 5 x 5 (16 and 32 channels) with tanh and pooling, then 128 hidden units.

    Raises
    ------
    ParameterError
        Images smaller than 16 x 16, of which the convolutions leave nothing.
    """
    sides = [((side - 4) // 2 - 4) // 2 for side in shape[1:]]
    if min(sides) < 1:
        raise ParameterError(f"lenet5 needs images of at least 16 x 16 pixels, got {shape[1]} x {shape[2]}")
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * sides[0] * sides[1], 128),
        nn.Tanh(),
        nn.Linear(128, classes),
    )


NETS: dict[str, Callable[[Shape, int], nn.Module]] = {"fcn": fully_connected, "lenet5": lenet5}
"""Nets by name: functions of the shape of an image (channels, rows, columns) and the number of classes."""


def build_net(name: str, shape: Shape, classes: int, seed: int) -> nn.Module:
    """Digital net with torch's default start weights.

    Parameters
    ----------
    name : str
        "fcn", "lenet5", or a Python file with a function ``net(shape, classes)``.
    shape : (int, int, int)
        Channels, rows, columns of an image.
    classes : int
        Number of classes.
    seed : int
        Root seed of the weights.

    Raises
    ------
    ParameterError
        An unknown net, a file that does not make one, or a net that does not take such images.
    """
    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        made = _called(_maker(name), shape, classes, told=f"{name}: {FUNCTION}(shape, classes)")
        if not isinstance(made, nn.Module):
            raise ParameterError(
                f"{name}: {FUNCTION}(shape, classes) must return a torch.nn.Module, got {type(made).__name__}"
            )
        with torch.no_grad():
            image = torch.zeros(1, *shape)
            found = _called(made.eval(), image, told=f"net {name} does not take images of {shape}")
    finally:
        torch.random.set_rng_state(generator)
    if not isinstance(found, torch.Tensor) or found.shape != (1, classes):
        got = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ParameterError(f"net {name} must give [n, {classes}] outputs, got {got} of one image")
    return made.train()


def _called(function: Callable[..., Any], *given: Any, told: str) -> Any:
    """What a user's function returns; whatever it raises, also an exit, becomes a ParameterError."""
    try:
        return function(*given)
    except ParameterError:
        raise
    except (Exception, SystemExit) as error:
        raise ParameterError(f"{told}: {one_line(f'{type(error).__name__}: {error}')}") from error


def _maker(name: str) -> Callable[[Shape, int], Any]:
    if name in NETS:
        return NETS[name]
    if not name.endswith(".py"):
        raise ParameterError(f"net must be {', '.join(NETS)} or a Python file, got {name!r}")
    path = Path(name)
    spec = importlib.util.spec_from_file_location("sptrack_user_net", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ParameterError(f"{name}: no such file")
    module = importlib.util.module_from_spec(spec)
    _called(spec.loader.exec_module, module, told=name)
    if not callable(getattr(module, FUNCTION, None)):
        raise ParameterError(f"{name}: a function {FUNCTION}(shape, classes) is missing")
    maker: Callable[[Shape, int], Any] = getattr(module, FUNCTION)
    return maker
