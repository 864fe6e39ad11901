"""Journal of a study: a file of records, one a line, that survives the death of its writers at any time."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from sptrack.errors import ParameterError
from sptrack.files import FileLock

_HEAD = b'{"op_code":'
"""First bytes of every record."""


class Journal(BaseJournalBackend):
    """The file as Optuna appends to it and reads it; several processes may at once.

    A line without an end is what a process that died, or a full disk, has left of a record: it is not read,
    and cut off before the next record is appended.

    Parameters
    ----------
    path : Path
        The file, made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, FileLock(Path(f"{path}.lock"))
        self._ends = [0]
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Whole records from that number on."""
        first = min(log_number_from, len(self._ends) - 1)
        with self._path.open("rb") as stream:
            stream.seek(self._ends[first])
            for number, line in enumerate(stream, first):
                if not line.endswith(b"\n"):
                    return
                if number + 1 == len(self._ends):
                    self._ends.append(self._ends[number] + len(line))
                if number >= log_number_from:
                    yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records, all or (OSError) none."""
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in logs)
        self._lock.acquire()
        try:
            with self._path.open("r+b") as stream:
                end = _whole_lines(stream)
                stream.truncate(end)
                try:
                    stream.seek(end)
                    stream.write(text.encode())
                    stream.flush()
                    os.fsync(stream.fileno())
                except OSError:
                    os.truncate(self._path, end)
                    raise
        finally:
            self._lock.release()


def check_journal(path: Path) -> None:
    """Refuse a file that is no journal, before anything is written to it.

    Raises
    ------
    ParameterError
        A folder, a file in a folder that does not exist, a line that is no record (which one).
    """
    if not path.parent.is_dir():
        raise ParameterError(f"{path}: folder '{path.parent}' does not exist")
    if path.is_dir():
        raise ParameterError(f"{path}: is a folder, a file name is needed")
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    cut = lines.pop().strip(b"\0")
    if not (cut.startswith(_HEAD) or _HEAD.startswith(cut)):
        raise ParameterError(f"{path}: not a journal, or damaged: its last line is no record")
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not {"op_code", "worker_id"} <= set(record):
            raise ParameterError(f"{path}: not a journal, or damaged: line {number} is no record")


def _whole_lines(stream: Any) -> int:
    """Bytes of a file up to the end of its last whole line."""
    size: int = stream.seek(0, os.SEEK_END)
    at, step = size, 1
    while at:
        first = max(0, at - step)
        stream.seek(first)
        found = stream.read(at - first).rfind(b"\n")
        if found >= 0:
            return first + int(found) + 1
        at, step = first, 1 << 16
    return 0
