"""Training runs of studies: published batches, where the images lie, runs that can be interrupted.

Each run keeps its state in a file after every epoch.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sptrack.nn.data import Images
    from sptrack.nn.training import Trainer, TrainSettings


def mnist_folder() -> Path:
    """Folder of MNIST: in SPTRACK_DATA, or in ``shared/data`` beside the checkout."""
    root = Path(__file__).parents[1]
    return Path(os.environ.get("SPTRACK_DATA") or root.parent / "shared" / "data") / "mnist"


def sitting_ends() -> float:
    """Time (`time.monotonic`) at which a sitting ends: after SPTRACK_HOURS hours, else never."""
    return time.monotonic() + 3600 * float(os.environ.get("SPTRACK_HOURS", "inf"))


def trained(
    settings: TrainSettings, images: Images, epochs: int, state: Path, end: float = float("inf")
) -> Trainer:
    """Run of ``epochs``, or fewer by the time ``end``; it goes on from the file ``state`` if there is one."""
    from sptrack.nn.training import Trainer

    run = Trainer(settings, images)
    if state.exists():
        run.load(state)
    while len(run.history) < epochs and time.monotonic() < end:
        run.run(len(run.history) + 1)
        run.save(state)
    return run
