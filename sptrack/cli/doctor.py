"""`sptrack doctor`: what this installation and this machine offer."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

from sptrack import __version__
from sptrack.results import json_text

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "xarray", "h5netcdf", "matplotlib", "rich", "cyclopts")
_VECTOR_BITS = {"avx512f": 512, "avx2": 256, "avx": 256, "sse2": 128, "neon": 128}


def doctor(*, json: bool = False) -> None:
    """Report versions, threads, vector width, cache folder and extras.

    Parameters
    ----------
    json
        Print JSON alone instead of a table.
    """
    report = examine()
    if json:
        print(json_text(report), end="")
        return
    for section, entries in report.items():
        print(section)
        for name, value in entries.items():
            print(f"  {name.replace('_', ' '):<20} {_readable(value)}")


def examine() -> dict[str, dict[str, Any]]:
    """Collect the report of `sptrack doctor`.

    Returns
    -------
    dict
        Sections ``versions``, ``processor`` (threads, vector width in bits), ``cache`` (folder or None,
        writable, kernels in it, megabytes of them and of other versions' folders) and ``extras`` (name to the
        list of requirements that are not installed).
    """
    versions = {"sptrack": __version__, "python": platform.python_version()}
    versions |= {name: _installed(name) or "missing" for name in _PACKAGES}
    return {"versions": versions, "processor": _processor(), "cache": _cache(), "extras": _extras()}


def _processor() -> dict[str, Any]:
    from llvmlite import binding
    from numba.core import config

    features = binding.get_host_cpu_features()
    return {
        "machine": platform.machine(),
        "cpu": binding.get_host_cpu_name(),
        "cpus": os.cpu_count(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "vector_bits": max((bits for name, bits in _VECTOR_BITS.items() if features.get(name)), default=64),
        "fma": bool(features.get("fma")),
        "jit": not config.DISABLE_JIT,
    }


def _cache() -> dict[str, Any]:
    from sptrack.kernels import CACHE_FOLDER

    if CACHE_FOLDER is None:
        return {"folder": None, "writable": False, "kernels": 0, "megabytes": 0.0, "megabytes_of_others": 0.0}
    kernels, size = _content(CACHE_FOLDER)
    others = [_content(other)[1] for other in CACHE_FOLDER.parent.glob("kernels-*") if other != CACHE_FOLDER]
    existing = next(place for place in (CACHE_FOLDER, *CACHE_FOLDER.parents) if place.exists())
    return {
        "folder": str(CACHE_FOLDER),
        "writable": existing.is_dir() and os.access(existing, os.W_OK),
        "kernels": kernels,
        "megabytes": round(size / 1e6, 1),
        "megabytes_of_others": round(sum(others) / 1e6, 1),
    }


def _content(folder: Path) -> tuple[int, int]:
    """Files in a folder and their size in bytes; none where it cannot be listed."""
    count = size = 0
    try:
        for file in folder.rglob("*"):
            with suppress(OSError):  # another process may take it away meanwhile
                count, size = count + file.is_file(), size + file.stat().st_size
    except OSError:
        return 0, 0
    return count, size


def _extras() -> dict[str, list[str]]:
    from packaging.requirements import Requirement

    try:
        about = metadata("sptrack")
    except PackageNotFoundError:
        return {}
    needed = [Requirement(text) for text in about.get_all("Requires-Dist", ())]
    missing: dict[str, list[str]] = {}
    for extra in about.get_all("Provides-Extra", ()):
        wanted = [need.name for need in needed if need.marker and need.marker.evaluate({"extra": extra})]
        missing[extra] = [name for name in wanted if _installed(name) is None]
    return missing


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _readable(value: Any) -> str:
    if isinstance(value, list):
        return "installed" if not value else f"not installed (without {', '.join(value)})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
