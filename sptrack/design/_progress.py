"""Callbacks that follow a long call."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with what is done, and all of it."""
Stage = Callable[[str, int, int], None]
"""Called with the name of a stage, what of it is done, and all of it."""


def of_stage(progress: Stage | None, stage: str) -> Progress | None:
    """Callback of one stage."""
    return None if progress is None else lambda done, total: progress(stage, done, total)
