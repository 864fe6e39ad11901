"""`sptrack doctor`: what this installation and this machine offer."""

import os
import platform
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
            print(f"  {name:<12} {_readable(value)}")


def examine() -> dict[str, dict[str, Any]]:
    """Collect the report of `sptrack doctor`.

    Returns
    -------
    dict
        Sections ``versions``, ``processor`` (threads, vector width in bits), ``cache`` (folder or None,
        writable) and ``extras`` (name to the list of requirements that are not installed).
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

    folder: Path | None = CACHE_FOLDER
    if folder is None:
        return {"folder": None, "writable": False}
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return {"folder": str(folder), "writable": existing.is_dir() and os.access(existing, os.W_OK)}


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
