"""Fixtures of all tests: measured data and the reference simulator's golden data."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

_ROOT = Path(__file__).parents[1]
_GOLDEN = _ROOT / "tests" / "reference" / "aihwkit"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of measured data: SPTRACK_DATA, else ``shared/data`` beside the checkout."""
    folder = Path(os.environ.get("SPTRACK_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"measured data not found in {folder}: set SPTRACK_DATA to their folder")
    return folder


@cache
def _golden(name: str) -> dict[str, np.ndarray]:
    with np.load(_GOLDEN / f"{name}.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[str, np.ndarray]]:
    """Golden data by archive name, for instance ``reference("trajectories")``; arrays are read-only."""
    return _golden
