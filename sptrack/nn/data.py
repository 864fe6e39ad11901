"""Data sets: scikit-learn's digits, and files in the IDX format of MNIST."""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sptrack.errors import MissingExtraError, ParameterError, one_line

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MOST_SIDES = 3
_HELD_OUT = 5
"""One digit of so many is a test digit."""


class Images(NamedTuple):
    """Images [n, 1, rows, columns] (float32, 0 .. 1) and labels [n] (int64) to train on and to test on."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def load_images(name: str) -> Images:
    """Images by name.

    Parameters
    ----------
    name : str
        "digits" (scikit-learn's 1797 digits of 8 x 8), or a folder with the four IDX files of MNIST, packed
        by gzip or not.

    Raises
    ------
    ParameterError
        scikit-learn or a file is missing, or a file is not what its name says.
    """
    if name == "digits":
        return _digits()
    folder = Path(name)
    if not folder.is_dir():
        told = "not a folder" if folder.exists() else "no such folder"
        raise ParameterError(f"data must be digits or a folder with IDX files, got {name!r} ({told})")
    found = []
    for images, labels in _FILES.values():
        x, y = read_idx(_present(folder, images)), read_idx(_present(folder, labels))
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y) or x.size == 0:
            raise ParameterError(
                f"{folder}: {images} has shape {list(x.shape)} and {labels} {list(y.shape)}; "
                "[n, rows, columns] and [n], none of them 0, must go together"
            )
        found += [
            torch.from_numpy(x.astype(np.float32) / 255).unsqueeze(1),
            torch.from_numpy(y.astype(np.int64)),
        ]
    if found[0].shape[1:] != found[2].shape[1:]:
        raise ParameterError(f"{folder}: images to train and to test on must have one size")
    return Images(*found)


def _digits() -> Images:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("data 'digits' needs scikit-learn: pip install 'sptrack[nn]'") from error
    x, y = load_digits(return_X_y=True)
    images = torch.from_numpy((x / 16).astype(np.float32).reshape(-1, 1, 8, 8))
    labels = torch.from_numpy(y.astype(np.int64))
    test = torch.arange(len(labels)) % _HELD_OUT == 0
    return Images(images[~test], labels[~test], images[test], labels[test])


def _present(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise ParameterError(f"{folder}: {name} or {name}.gz is missing")


def read_idx(path: Path) -> np.ndarray:
    """Unsigned bytes of an IDX file, in the shape that its head says.

    Raises
    ------
    ParameterError
        Not an IDX file of bytes, or cut short.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ParameterError(f"{path}: cannot be read ({one_line(error)})") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ParameterError(f"{path}: not an IDX file of bytes (its head must be 00 00 08)")
    shape = tuple(np.frombuffer(content, ">u4", content[3], 4).tolist())
    start, told = 4 + 4 * content[3], math.prod(shape)
    if len(content) - start != told:
        raise ParameterError(f"{path}: holds {len(content) - start} bytes, its head says {told}")
    if not 1 <= len(shape) <= _MOST_SIDES:
        raise ParameterError(f"{path}: must have 1 to {_MOST_SIDES} dimensions, its head says {len(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
