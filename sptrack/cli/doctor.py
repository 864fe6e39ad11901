"""`sptrack doctor`: what this installation and this machine offer."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

from sptrack import __version__
from sptrack.cli._show import console, show_lines, show_next, show_pairs, show_verdict
from sptrack.results import json_text

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "xarray", "h5netcdf", "matplotlib", "rich", "cyclopts")
_MISSING = "missing"
_VECTOR_BITS = {"avx512f": 512, "avx2": 256, "avx": 256, "sse2": 128, "neon": 128}


def doctor(*, json: bool = False) -> None:
    """Check this installation: versions, threads, vector width, cache of compiled kernels, extras.

    Parameters
    ----------
    json
        Print JSON alone instead of a table.
    """
    report = examine()
    if json:
        print(json_text(report), end="")
        return
    to = console()
    show_verdict(to, *_verdict(report))
    for section, entries in report.items():
        show_lines(to, ["", section])
        pairs = [(f"  {name.replace('_', ' ')}", _readable(value)) for name, value in entries.items()]
        show_pairs(to, pairs)
    show_lines(to, [""])
    show_next(to, _advice(report))


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
    versions |= {name: _installed(name) or _MISSING for name in _PACKAGES}
    return {"versions": versions, "processor": _processor(), "cache": _cache(), "extras": _extras()}


def _verdict(report: dict[str, dict[str, Any]]) -> tuple[str, str, bool | None]:
    """Word, reason and meaning: what is missing, what makes it slow, or what it runs on."""
    absent = [name for name, found in report["versions"].items() if found == _MISSING]
    if absent:
        return "INCOMPLETE", f"not installed: {', '.join(absent)}", False
    if not report["processor"]["jit"]:
        return "SLOW", "kernels are not compiled: NUMBA_DISABLE_JIT is set", None
    if not report["cache"]["writable"]:
        return "SLOW", "every start compiles kernels again: the cache folder cannot be written", None
    processor = report["processor"]
    return (
        "READY",
        f"{processor['cpu']}, {processor['threads']} threads, {report['cache']['kernels']} kernel files",
        True,
    )


def _advice(report: dict[str, dict[str, Any]]) -> str:
    """Remedy of the fault in the verdict, or else the first command to run."""
    word = _verdict(report)[0]
    if word == "INCOMPLETE":
        return "pip install --force-reinstall sptrack"
    if not report["processor"]["jit"]:
        return "unset NUMBA_DISABLE_JIT"
    if word == "SLOW":
        return "set SPTRACK_CACHE_DIR to a folder that can be written"
    if not report["cache"]["kernels"]:
        return "sptrack warmup compiles the kernels; without it the first command does"
    return "sptrack calibrate"


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
