"""Training runs of studies: published batches, where the images lie, runs that can be interrupted.

Each run keeps its state in a file after every epoch.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sptrack.results import read_provenance

if TYPE_CHECKING:
    import xarray as xr

    from sptrack.nn.data import Images
    from sptrack.nn.training import Trainer, TrainSettings


def mnist_folder() -> Path:
    """Folder of MNIST: in SPTRACK_DATA, or in ``shared/data`` beside the checkout."""
    root = Path(__file__).parents[1]
    return Path(os.environ.get("SPTRACK_DATA") or root.parent / "shared" / "data") / "mnist"


def sitting_ends() -> float:
    """Time (`time.monotonic`) at which a sitting ends: after SPTRACK_HOURS hours, else never."""
    return time.monotonic() + 3600 * float(os.environ.get("SPTRACK_HOURS", "inf"))


def of_same_setting(stored: xr.Dataset | None, told: dict[str, object]) -> xr.Dataset | None:
    """The stored data of a study, if their seed and parameters are those of the provenance ``told``."""
    if stored is None:
        return None
    known = read_provenance(stored)
    return stored if all(known[key] == told[key] for key in ("seed", "parameters")) else None


def doubled(images: Images, most: int = 320) -> Images:
    """Some of the images, each pixel four times: LeNet-5 needs 16 x 16."""
    large = [x[:most].repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (images.train, images.test)]
    return type(images)(large[0], images.train_labels[:most], large[1], images.test_labels[:most])


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


def course(
    settings: TrainSettings, images: Images, epochs: int, state: Path, end: float = float("inf")
) -> tuple[Trainer, bool]:
    """Run as by `trained`, and whether its loss ran off: then it holds the epochs before that one."""
    from sptrack.nn.training import TrainingError

    try:
        return trained(settings, images, epochs, state, end), False
    except TrainingError:
        return trained(settings, images, 0, state), True
