"""Small sweeps, and what is common to their tests."""

import hashlib
from pathlib import Path

import pytest

from sptrack.sweep import plan_from_mapping


@pytest.fixture
def small():
    """Twelve cells of track, of some milliseconds each."""
    return plan_from_mapping(
        {
            "sweep": {"command": "track", "repeats": 2},
            "set": {"steps": 200, "problem": {"size": 2}},
            "vary": {"method": {"name": ["e-rider", "agad"]}, "problem": {"read_noise": [0.0, 0.01, 0.02]}},
        }
    )


@pytest.fixture
def slower():
    """Forty cells of track, of some tenths of a second each."""
    return plan_from_mapping(
        {
            "sweep": {"command": "track", "repeats": 20},
            "set": {"steps": 40000, "problem": {"size": 16}},
            "vary": {"method": {"alpha": [0.01, 0.02]}},
        }
    )


@pytest.fixture
def digests():
    """Digest of every record of a sweep by its name; unfinished files under theirs."""

    def read(folder: Path) -> dict[str, str]:
        files = [path for path in (folder / "cells").rglob("*") if path.is_file()]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return read
