"""Training runs of studies that can be interrupted: each keeps its state in a file after every epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sptrack.nn.data import Images
    from sptrack.nn.training import Trainer, TrainSettings


def trained(settings: TrainSettings, images: Images, epochs: int, state: Path) -> Trainer:
    """Run of ``epochs``, gone on with from the file ``state`` where there is one."""
    from sptrack.nn.training import Trainer

    run = Trainer(settings, images)
    if state.exists():
        run.load(state)
    while len(run.history) < epochs:
        run.run(len(run.history) + 1)
        run.save(state)
    return run
