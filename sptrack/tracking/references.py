"""The reference of P as the compiled recursion takes it: stages or observer, its memory, its cost."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Fixed, InputAwareObserver
from sptrack.devices import Cells, Device
from sptrack.errors import ParameterError
from sptrack.kernels.observer_rows import POINT
from sptrack.kernels.observers import NOBODY
from sptrack.kernels.stages import pack
from sptrack.kernels.tracking_state import Reference
from sptrack.tracking.methods import Method

Array = NDArray[Any]


def steps_between(method: Method, columns: int) -> int:
    """Steps between two reads of a cell of an array with so many columns."""
    return method.transfer.every * (columns if method.transfer.by_column else 1)


def observer_of(
    method: Method, cells: Cells, read_noise: float, counts: tuple[str, int] = ("rounded", 31)
) -> InputAwareObserver:
    """The observer of a method, for cells of P and their reads (std ``read_noise``, weight units).

    The observer has to know the device. ``counts`` = (count law, slots of the binomial law).

    Raises
    ------
    ParameterError
        A method without an observer; a device without symmetric points.
    """
    if method.observer is None:
        raise ParameterError(f"{method.name} has no observer: its reference is {method.estimator}")
    every = steps_between(method, cells.shape[1])
    return method.observer.bind(cells, every=every, read_noise=read_noise, counts=counts)


def kernel_reference(
    method: Method, cells: Cells, read_noise: float, initial: Array, counts: tuple[str, int] = ("rounded", 31)
) -> tuple[Reference, Array, Array]:
    """Reference of a method in compiled form, its memory [slots, cells] and Q [cells] before the first read.

    ``initial`` [cells] is Q at the start; an observer starts from its prior instead. Other arguments and
    errors as in `observer_of`.
    """
    if method.observer is not None:
        observer = observer_of(method, cells, read_noise, counts)
        memory = observer.init(cells.size).memory.copy()
        return Reference(pack(()), observer.record(), True, POINT), memory, memory[POINT].copy()
    block = method.filter or Fixed()
    memory = block.init(cells.size, initial).memory.copy()
    stages = pack(block.stages((cells.size,)))
    return Reference(stages, NOBODY, False, block.output_row), memory, np.asarray(initial, np.float64)


def quantum(method: Method, device: Device) -> float:
    """Least difference of two values of Q in its fixed-point register, weight units; 0: floating point."""
    response = device.response
    return (response.w_max - response.w_min) / 2**method.bits if method.bits else 0.0


def operations_per_read(method: Method, columns: int = 1) -> int:
    """Digital multiplications, additions and divisions per cell read: difference, scale, buffer, reference.

    What an observer does in the steps between reads is counted with the read that closes the stretch.
    """
    own = 2 + (2 if method.transfer.threshold > 0 else 0)
    if method.filter is not None:
        return own + method.filter.operations
    if method.observer is not None:
        step, read = method.observer.operations
        return own + read + steps_between(method, columns) * step
    return own
