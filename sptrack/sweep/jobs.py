"""Job arrays: a batch script whose jobs share a sweep without talking to each other."""

import shlex
import sys

from sptrack.sweep.engines import THREADS
from sptrack.sweep.folder import SweepFolder


def job_script(folder: SweepFolder, jobs: int) -> str:
    """SLURM script of an array of ``jobs`` jobs, each of which computes every jobs-th cell of the sweep.

    Nothing is submitted. Each job computes those of its cells that are not there, so that submitting the
    script again completes what was cut short.
    """
    here = shlex.quote(str(folder.path))
    threads = "\n".join(f"export {name}=1" for name in THREADS)
    line = f"{shlex.quote(sys.executable)} -m sptrack sweep worker {here}"
    return f"""#!/bin/bash
#SBATCH --job-name=sptrack-{folder.command}
#SBATCH --array=0-{jobs - 1}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
# Submit with sbatch, after "sptrack warmup" on a machine that shares the cache of kernels with the nodes.
# Then: sptrack sweep status {here}; sptrack sweep collect {here}
{threads}
{line} --part "$SLURM_ARRAY_TASK_ID/{jobs}" --quiet
"""
