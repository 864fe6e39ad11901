"""Measurements: a kernel in this process, the same in a fresh process, and whole commands."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.ceiling import CEILINGS, best_time

ROOT = Path(__file__).parents[1]
WITHOUT_AVX512 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
"""Numba's settings for code without AVX-512: AVX2 and multiply-add as in the first CPUs that had them."""


def rate(name: str, repeats: int = 5) -> dict:
    """Best rate of a case in its own unit and in pulses, its share of the ceiling, seconds of the first call.

    The first call counts by how much longer it took than the best one.
    """
    case = CASES[name]
    bar = case.subject()
    begin = time.perf_counter()
    done = case.work(bar)
    first = time.perf_counter() - begin
    pulses = bar.ledger.total()
    seconds, spread = best_time(lambda: case.work(bar), repeats)
    return {
        "rate": done / seconds,
        "pulses": pulses / seconds,
        "spread": spread,
        "share": done / seconds * case.load / CEILINGS[case.ceiling](repeats) / case.threads,
        "first_call": first - seconds,
    }


def fresh(name: str, repeats: int, **environment: str) -> dict:
    """`rate` in a fresh process with other environment variables; empty where that process fails."""
    words = [sys.executable, "-m", "benchmarks", "measure", name, "--repeats", str(repeats)]
    done = subprocess.run(
        words, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {} if done.returncode else json.loads(done.stdout)


def first_calls(name: str) -> tuple[float | None, float | None]:
    """Seconds that the first call of a kernel takes longer than a later one: empty cache, and from cache."""
    with tempfile.TemporaryDirectory() as folder:
        empty, cached = (fresh(name, 1, SPTRACK_CACHE_DIR=folder).get("first_call") for _ in range(2))
    return empty, cached


def command(*words: str, repeats: int = 3) -> tuple[float, float] | None:
    """Best wall time of a whole `sptrack` command, in seconds, and its spread; None where it fails."""
    line = [sys.executable, "-m", "sptrack", *words]
    with tempfile.TemporaryDirectory() as folder:
        try:
            return best_time(lambda: run(line, folder), repeats)
        except subprocess.CalledProcessError:
            return None


def run(line: list[str], folder: str) -> None:
    """Run a command line in a folder, with this tree's package."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(line, cwd=folder, env=environment, capture_output=True, check=True)
