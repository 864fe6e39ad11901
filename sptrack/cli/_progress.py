"""A progress bar on stderr, for commands that take a callback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], None]


def tell_of_compiling(console: "Console") -> None:
    """Say on ``console``, before the first kernel is compiled in this process, why it takes a while."""
    from sptrack.kernels import _cache

    def tell() -> None:
        console.print("compiling kernels: once after an installation, up to a minute", highlight=False)

    _cache.BEFORE_COMPILING[:] = [tell]


@contextmanager
def progress_bar(text: str, unit: str, *, quiet: bool) -> Iterator[Progress | None]:
    """Callback (done, total) that moves a bar which vanishes at the end; None if ``quiet``.

    Nothing is drawn where stderr is not a terminal.
    """
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if console.is_terminal:
        tell_of_compiling(console)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
