"""Output folders in which a command keeps state while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sptrack.results import output_folder


@contextmanager
def kept_folder(out: Path | None) -> Iterator[Path | None]:
    """Folder to write results into, as `output_folder`; None for None.

    ``out`` is made first, since states are kept in it meanwhile: an interrupt leaves it. On bad input it is
    removed again if it was made here.
    """
    if out is None:
        yield None
        return
    with output_folder(out, made_first=True) as folder:
        yield folder
