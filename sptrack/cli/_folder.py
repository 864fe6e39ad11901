"""Output folders in which a command keeps state while it runs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sptrack.errors import SptrackError
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
    made = not out.exists()
    if made or (out.is_dir() and not any(out.iterdir())):
        with output_folder(out):
            pass
    try:
        with output_folder(out) as folder:
            yield folder
    except SptrackError:
        if made:
            shutil.rmtree(out, ignore_errors=True)
        raise
