"""The only ways in which files are written: a file, or a folder of them, appears whole or not at all.

What is not finished has a hidden name that tells machine and process; what processes left that were killed is
removed when something is next written there. A finished folder takes the place of an earlier one in a single
exchange of names. Where none is possible (mount points, read-only parents, some file systems) the finished
folder is renamed within the target, which commits it, and its files are then moved to their places: a process
that was killed in between is made up for by the next that writes there.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from sptrack.errors import ParameterError, SptrackError

__all__ = ["SESSION", "FileLock", "is_alive", "output_folder", "sealed", "unsealed", "write_atomic"]

_FILE_LIST = ".sptrack"
_HIDDEN = ".sptrack-"
_COMMITTED = f"{_HIDDEN}committed"
_EXCHANGE, _HERE = 2, -100
"""RENAME_EXCHANGE and AT_FDCWD of Linux."""
_PATIENCE = 5.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_SEAL = b"\nsha256:"
_SEAL_SIZE = len(_SEAL) + 64
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
SESSION = secrets.token_hex(3)
"""Tells this process from an earlier one of the same number."""
_SWEPT: set[Path] = set()


def write_atomic(path: str | os.PathLike[str], content: str | bytes, *, durable: bool = True) -> None:
    """Write a file under a temporary name, flush it to disk and rename it.

    A file of that name is replaced, through a link that it may be; a pipe or device is written into. Text is
    written as UTF-8. Not ``durable``: not flushed, so that a machine that loses its power may leave an empty
    file, for content that is checked when it is read.

    Raises
    ------
    ParameterError
        If the folder does not exist, the path is a folder, or nobody reads from the pipe for 5 s.
    OSError
        If the disk refuses; the target is then as it was.
    """
    target = Path(path)
    _require_name(target)
    if target.is_dir():
        raise ParameterError(f"{target}: is a folder, a file name is needed")
    data = content.encode() if isinstance(content, str) else content
    if target.exists() and not target.is_file():
        _write_into(target, data)
        return
    target = Path(os.path.realpath(target))
    _sweep(target.parent)
    temporary = _hidden(target.parent)
    try:
        with temporary.open("xb") as stream:
            _own(stream.fileno())
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(target.parent)


def sealed(content: bytes | memoryview) -> bytes:
    """Content followed by a line ``sha256:<digest of all bytes before it>``."""
    return b"".join((content, _SEAL, hashlib.sha256(content).hexdigest().encode()))


def unsealed(data: bytes, refusal: str) -> bytes:
    """Content of what `sealed` made.

    Raises
    ------
    ParameterError
        Anything that is not as it was made, to the bit; ``refusal`` begins the text where there is no seal.
    """
    content, seal = data[:-_SEAL_SIZE], data[-_SEAL_SIZE:]
    if not seal.startswith(_SEAL):
        raise ParameterError(f"{refusal} (no checksum at its end)")
    if sealed(content) != data:
        raise ParameterError(f"{refusal} (damaged: its content does not match its SHA-256 checksum)")
    return content


def _write_into(target: Path, data: bytes) -> None:
    """Write into a pipe or device; a reader of the pipe is waited for, but not for ever."""
    begin = time.monotonic()
    while True:
        try:
            number = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > begin + _PATIENCE:
                raise ParameterError(f"{target}: no process reads from this pipe") from error
            time.sleep(0.01)
    os.set_blocking(number, True)
    with open(number, "wb") as stream:
        stream.write(data)


@contextmanager
def output_folder(path: str | os.PathLike[str], *, made_first: bool = False) -> Iterator[Path]:
    """Give a folder to write into that appears under its name only if the block succeeds.

    Parameters
    ----------
    path
        Target folder. If it exists it must be empty or written by sptrack before: its files are then replaced
        all at once, those of an earlier run that this one did not write are removed, others stay.
    made_first
        Make the target, empty, before the block, for what is kept in it meanwhile. It is removed again after
        an `SptrackError` if it was made here.

    Yields
    ------
    pathlib.Path
        A temporary folder beside the target, or in it (it may be a mount point, or its parent read-only);
        removed, and the target left as it was, when the block raises.

    Raises
    ------
    ParameterError
        If the target is a file, its parent does not exist, it holds files that sptrack did not write, or
        another run writes to it now.
    """
    _require_name(Path(path))
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise ParameterError(f"{path}: is a file, a folder name is needed")
    with _locked(target, path):
        _recover(target)
        foreign = target.exists() and any(not each.name.startswith(_HIDDEN) for each in target.iterdir())
        if foreign and not (target / _FILE_LIST).is_file():
            raise ParameterError(
                f"{path}: holds files that sptrack did not write; name a new or an empty folder"
            )
        made = made_first and not target.exists()
        if made_first:
            target.mkdir(exist_ok=True)
            (target / _FILE_LIST).touch()
        try:
            yield from _generation(target)
        except SptrackError:
            if made:
                shutil.rmtree(target, ignore_errors=True)
            raise


def _generation(target: Path) -> Iterator[Path]:
    temporary = _hidden(target if target.is_dir() and _stays(target) else target.parent)
    temporary.mkdir()
    number = os.open(temporary, os.O_RDONLY)
    try:
        _own(number)
        yield temporary
        _publish(temporary, target)
    finally:
        os.close(number)
        shutil.rmtree(temporary, ignore_errors=True)


def _stays(target: Path) -> bool:
    """Whether a folder has to stay what it is: a mount point, in a read-only folder, or worked in."""
    with suppress(FileNotFoundError):
        if Path.cwd().is_relative_to(target):
            return True
    return target.is_mount() or not os.access(target.parent, os.W_OK)


def _publish(temporary: Path, target: Path) -> None:
    """Let the finished temporary folder take the place of the target, with a list of its files."""
    files = sorted(each for each in temporary.rglob("*") if each.is_file())
    names = [each.relative_to(temporary).as_posix() for each in files]
    for name in names:
        if (target / name).is_dir():
            raise ParameterError(f"{target / name}: is a folder, in the place of a file of the results")
    write_atomic(temporary / _FILE_LIST, "".join(f"{name}\n" for name in names))
    for each in files:
        with each.open("rb") as stream:
            os.fsync(stream.fileno())
    for folder in [temporary, *(each for each in temporary.rglob("*") if each.is_dir())]:
        _sync_folder(folder)
    if not _renamed(temporary, target):
        beside = temporary.parent == target.parent
        if beside and _take_over(target, temporary) and _exchanged(temporary, target):
            _take_over(temporary, target)  # what others have put there meanwhile
        else:
            _commit(temporary, target)
            _recover(target)
    _sync_folder(target.parent)


def _renamed(temporary: Path, target: Path) -> bool:
    """Rename a folder to a name that is free, or that of an empty folder; False where it is not."""
    if target.is_dir() and any(target.iterdir()):
        return False
    try:
        temporary.rename(target)
    except OSError:
        if target.is_dir():  # a mount point
            return False
        raise
    return True


def _take_over(old: Path, new: Path) -> bool:
    """Link the files that sptrack did not write from one folder into another; False where that fails."""
    earlier = {*_listed(old), _FILE_LIST}
    try:
        state = old.stat()
        if (state.st_uid, state.st_gid) != (new.stat().st_uid, new.stat().st_gid):
            os.chown(new, state.st_uid, state.st_gid)
        for each in old.rglob("*"):
            name = each.relative_to(old)
            if name.as_posix() in earlier or any(part.startswith(_HIDDEN) for part in name.parts):
                continue
            if each.is_dir() and not each.is_symlink():
                (new / name).mkdir(exist_ok=True)
                shutil.copystat(each, new / name)
            elif not os.path.lexists(new / name):
                os.link(each, new / name, follow_symlinks=False)
        shutil.copystat(old, new)
    except OSError:
        return False
    return True


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders at once; False where the system cannot."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_HERE, os.fsencode(one), _HERE, os.fsencode(other))
    return exchange is not None and exchange(*names, _EXCHANGE) == 0


def _commit(temporary: Path, target: Path) -> None:
    """Put a finished folder into the target under the name that says so."""
    try:
        temporary.rename(target / _COMMITTED)
    except OSError:  # another file system
        staged = _hidden(target)
        shutil.copytree(temporary, staged, symlinks=True)
        staged.rename(target / _COMMITTED)
    _sync_folder(target)


def _recover(target: Path) -> None:
    """Remove what killed processes left around the target, and finish a folder that was committed in it."""
    for folder in (target.parent, target):
        _sweep(folder, again=True)
    committed = target / _COMMITTED
    if not committed.is_dir():
        return
    if (committed / _FILE_LIST).is_file():
        names = _listed(committed)
        for name in set(_listed(target)) - set(names):
            (target / name).unlink(missing_ok=True)
        for name in [*names, _FILE_LIST]:
            if (committed / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (committed / name).replace(target / name)
        _sync_folder(target)
    shutil.rmtree(committed)


def _listed(folder: Path) -> list[str]:
    """Names in the list of a folder's files; those that lead outside are left out."""
    listed = folder / _FILE_LIST
    names = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    parts = {name: PurePosixPath(name) for name in names}
    return [name for name, path in parts.items() if not path.is_absolute() and ".." not in path.parts]


class FileLock:
    """Lock between processes: a file that tells who holds it, there while it is held.

    It ends with the process that holds it, however that ends. Where the file system knows no locks nobody is
    kept out.

    Parameters
    ----------
    place : Path
        The file, in a folder that can be written.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._number: int | None = None

    def acquire(self, *, wait: bool = True) -> None:
        """Take the lock, or wait for it.

        Raises
        ------
        BlockingIOError
                Another holds it and ``wait`` is False; the text tells who.
        """
        while True:
            number = os.open(self._place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._flock(number, wait)
                if self._is_there(number):
                    self._number, number = number, -1
                    break
            finally:
                if number >= 0:
                    os.close(number)
        with suppress(OSError):  # a disk may be full
            os.truncate(self._number, 0)
            os.write(self._number, f"process {os.getpid()} on {platform.node()} since {_now()}".encode())

    def release(self) -> None:
        """Give the lock back."""
        if self._number is not None:
            number, self._number = self._number, None
            with suppress(OSError):  # a file that stays locks nobody out
                self._place.unlink(missing_ok=True)
            os.close(number)

    def _flock(self, number: int, wait: bool) -> None:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.read(number, 200).decode(errors="replace")
            raise BlockingIOError(errno.EAGAIN, holder or "another process") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    def _is_there(self, number: int) -> bool:
        """Whether the file is still that of the name: the holder before removes it."""
        try:
            return os.path.samestat(os.fstat(number), self._place.stat())
        except FileNotFoundError:
            return False


@contextmanager
def _locked(target: Path, shown: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other runs from a target."""
    outside = os.access(target.parent, os.W_OK)
    tail = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12] if outside else ""
    lock = FileLock((target.parent if outside else target) / f"{_HIDDEN}lock{tail}")
    try:
        lock.acquire(wait=False)
    except BlockingIOError as error:
        raise ParameterError(
            f"{shown}: {error.strerror} writes there; wait for it, or name another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _own(number: int) -> None:
    """Mark something unfinished as that of a living process, wherever its number is not known."""
    with suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(folder: Path, *, again: bool = False) -> None:
    """Remove what killed processes of this machine left unfinished in a folder: once, or again."""
    if folder in _SWEPT and not again:
        return
    _SWEPT.add(folder)
    with suppress(OSError):
        for each in [one for one in os.scandir(folder) if one.name.startswith(f"{_HIDDEN}{_MACHINE}-")]:
            process, session = each.name.split("-")[2:4]
            if not is_alive(int(process), session) and not _owned(each.path):
                if each.is_dir(follow_symlinks=False):
                    shutil.rmtree(each.path, ignore_errors=True)
                else:
                    Path(each.path).unlink(missing_ok=True)


def is_alive(process: int, session: str) -> bool:
    """Whether a process of this machine lives, by its number and its `SESSION`."""
    if process <= 0:
        return False
    if process == os.getpid():
        return session == SESSION
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _owned(path: str) -> bool:
    """Whether a process elsewhere, which shares the folder but not the numbers, is at work on it."""
    number = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(number)
    return False


def _sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, where the file system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _require_name(target: Path) -> None:
    if "\0" in str(target):
        raise ParameterError(f"{str(target)!r}: a name must hold no NUL character")
    parent = Path(os.path.realpath(target)).parent
    if not parent.is_dir():
        raise ParameterError(f"{target}: folder '{parent}' does not exist")


def _hidden(folder: Path) -> Path:
    """A name in a folder for what is not finished, short enough for any file system."""
    return folder / f"{_HIDDEN}{_MACHINE}-{os.getpid()}-{SESSION}-{secrets.token_hex(4)}"
