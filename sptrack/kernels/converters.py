"""Digital-to-analog and analog-to-digital conversion of batches of vectors, in float32."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import kernel
from sptrack.kernels.random import box_muller, philox

Array = NDArray[Any]


class Converter(NamedTuple):
    """One converter: values are rounded to multiples of ``step`` (0: not), then limited to +-``bound``.

    ``noise`` is the std of what is added before a value is rounded.
    """

    step: np.float32
    bound: np.float32
    noise: np.float32


@kernel
def encode(
    x: Array, vectors: Array, scale_down: Array, managed: bool, dac: Any, out: Array, scale: Array
) -> None:
    """Convert the rows ``vectors`` of ``x`` [n, lines] to analog inputs, row by row of ``out``.

    ``scale`` [n] becomes the factor from analog to digital units: the largest magnitude of the vector if
    ``managed``, times ``scale_down`` [n]. A managed vector of zeros has the scale 0.
    """
    one = np.float32(1)
    for k in range(len(vectors)):
        row = x[vectors[k]]
        largest = one
        if managed:
            largest = np.float32(0)
            for i in range(len(row)):
                size = abs(row[i])
                largest = size if size > largest else largest
        factor = largest * scale_down[vectors[k]]
        scale[vectors[k]] = factor
        shrink = one / factor if factor > 0 else np.float32(0)
        for i in range(len(row)):
            v = row[i] * shrink
            if dac.step > 0:
                v = np.float32(np.rint(v / dac.step)) * dac.step
            v = -dac.bound if v < -dac.bound else v
            out[k, i] = dac.bound if v > dac.bound else v


@kernel
def decode(y: Array, vectors: Array, scale: Array, adc: Any, draws: Any, out: Array, clipped: Array) -> None:
    """Convert analog outputs ``y`` [k, lines] to the rows ``vectors`` of ``out`` [n, lines].

    ``draws`` = (key, event): the noise of a value is a function of these and of its place. ``clipped`` [n]
    says whether a value of the vector was beyond the bound.
    """
    key, event = draws
    z = np.zeros(4, np.float32)
    for k in range(len(vectors)):
        n = vectors[k]
        beyond = False
        for i in range(y.shape[1]):
            v = y[k, i]
            if adc.noise > 0:
                if i & 3 == 0:
                    words = philox(np.uint32(i), event, np.uint32(n), np.uint32(0), key.low, key.high)
                    z[0], z[1] = box_muller(words[0], words[1])
                    z[2], z[3] = box_muller(words[2], words[3])
                v += adc.noise * z[i & 3]
            if adc.step > 0:
                v = np.float32(np.rint(v / adc.step)) * adc.step
            beyond = beyond or abs(v) > adc.bound
            v = -adc.bound if v < -adc.bound else v
            v = adc.bound if v > adc.bound else v
            out[n, i] = v * scale[n]
        clipped[n] = beyond and scale[n] > 0
