"""Patches of images, as vectors that go through the array of a convolution, and back."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import kernel

Array = NDArray[Any]


class Steps(NamedTuple):
    """Sides of a convolution: kernel, distance of its points, distance of its places; rows, then columns."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    stride: tuple[int, int]


@kernel
def gather(images: Array, steps: Steps, places: Any, patches: Array) -> None:
    """Copy the patches of ``images`` [n, channels, ...] at ``places`` (rows, columns) to ``patches``.

    ``patches`` [n rows columns, channels kernel] (float32) holds a patch channel by channel, row by row.
    """
    (down, across), (dilate_down, dilate_across), (stride_down, stride_across) = steps
    at = np.uint64(0)
    for one in range(images.shape[0]):
        for row in range(places[0]):
            for column in range(places[1]):
                patch, k, left = patches[at], np.uint64(0), np.uint64(column * stride_across)
                at += np.uint64(1)
                for channel in range(images.shape[1]):
                    for i in range(down):
                        line = images[one, channel, row * stride_down + i * dilate_down]
                        for j in range(across):
                            patch[k] = line[left + np.uint64(j * dilate_across)]
                            k += np.uint64(1)


@kernel
def scatter(patches: Array, steps: Steps, places: Any, images: Array) -> None:
    """Add what `gather` copied back to where it came from: the transpose of it.

    Places are taken backwards, so that what a pixel gets is added in the order of the points of the kernel.
    """
    (down, across), (dilate_down, dilate_across), (stride_down, stride_across) = steps
    at = np.uint64(len(patches))
    for one in range(images.shape[0] - 1, -1, -1):
        for row in range(places[0] - 1, -1, -1):
            for column in range(places[1] - 1, -1, -1):
                at -= np.uint64(1)
                patch, k, left = patches[at], np.uint64(0), np.uint64(column * stride_across)
                for channel in range(images.shape[1]):
                    for i in range(down):
                        line = images[one, channel, row * stride_down + i * dilate_down]
                        for j in range(across):
                            line[left + np.uint64(j * dilate_across)] += patch[k]
                            k += np.uint64(1)
