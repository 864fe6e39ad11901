"""Machine code of the kernels on disk: one file per specialisation, named by all that the code depends on.

A file lies in a folder named by the hash of the kernel sources; its own name hashes the function, the types
of its arguments, the versions of Python, numba and llvmlite, and the processor. Neither paths nor times
enter: all clones and processes of the same sources share the files. Each begins with the digest of its
content: a file that is damaged, cut, foreign or cannot be read counts as absent, and where none can be
written the kernels are compiled in every process.
"""

import hashlib
import os
import pickle
import secrets
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult

_MARK = b"sptrack kernel 1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
_SOURCES = Path(__file__).parent
_REBUILD: Any = CompileResult._rebuild


def cache_root() -> Path | None:
    """Folder of the caches of all versions: SPTRACK_CACHE_DIR, else below the user's cache folder.

    None where the user has neither a home nor an (absolute) XDG_CACHE_HOME.
    """
    named = os.environ.get("SPTRACK_CACHE_DIR")
    if named:
        return Path(named).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            return None
    return base / "sptrack"


def source_digest(folder: Path) -> str | None:
    """Hash of the Python sources below a folder, None where they cannot be read."""
    digest = hashlib.sha256()
    sources = sorted(source for source in folder.rglob("*.py") if not source.name.startswith("."))
    try:
        for source in sources:
            digest.update(f"{source.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    except OSError:
        return None
    return digest.hexdigest()[:16] if sources else None


def _cache_folder() -> Path | None:
    root, digest = cache_root(), source_digest(_SOURCES)
    return None if root is None or digest is None else root / f"kernels-{digest}"


CACHE_FOLDER = _cache_folder()
"""Where the machine code of these sources is kept; None: nowhere."""


FOUND: set[Path] = set()
"""Files of machine code that this process has read."""
MADE: set[Path] = set()
"""Files of machine code that this process has compiled, written or not."""
BEFORE_COMPILING: list[Callable[[], None]] = []
"""Called, and removed, before this process first compiles a kernel: to tell whoever waits."""


def whole(path: Path) -> memoryview | None:
    """Content of a file of machine code; None if it is damaged, foreign or cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_MARK) + _DIGEST_SIZE
    payload = memoryview(content)[head:]
    return payload if content[:head] == _MARK + hashlib.sha256(payload).digest() else None


class KernelCache(_Cache):
    """The specialisations of one function in a folder, as numba's dispatchers ask for them.

    Parameters
    ----------
    function : callable
        What is compiled. It calls functions of its own module and of the kernels: these sources are hashed.
    folder : pathlib.Path
        Where files are kept; made when the first is written.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._function, self._folder = function, folder
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def enable(self) -> None:
        """Read and write files from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor write files from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Forget nothing: files of other processes stay valid."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Machine code for the argument types ``sig``, None if there is none that is whole."""
        found = self._load(sig, target_context)
        while found is None and BEFORE_COMPILING:
            BEFORE_COMPILING.pop()()
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        if not self._enabled or self._identity is None:
            return None
        path = self._path(sig, target_context.codegen())
        payload = whole(path)
        if payload is None:
            return None
        try:
            kept, parts = pickle.loads(payload)
            found = _REBUILD(target_context, *parts) if kept == sig else None
        except Exception:  # whatever an old or foreign pickle raises: the kernel is compiled instead
            return None
        if found is not None:
            FOUND.add(path)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code ``data`` for the argument types ``sig``, if the file system lets us."""
        cacheable = not data.library.has_dynamic_globals and all(part.can_cache for part in data.lifted)
        if not (self._enabled and cacheable) or self._identity is None:
            return
        payload = pickle.dumps((sig, data._reduce()), protocol=pickle.HIGHEST_PROTOCOL)
        path = self._path(sig, data.codegen)
        MADE.add(path)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(_MARK + hashlib.sha256(payload).digest() + payload)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError:
            return

    @cached_property
    def _identity(self) -> str | None:
        """Identity of the function, whatever its path; None for one that its source does not tell."""
        code = self._function.__code__
        enclosed = [_kernel_identity(cell.cell_contents) for cell in self._function.__closure__ or ()]
        if None in enclosed:
            return None
        source = Path(code.co_filename)
        if source.is_relative_to(_SOURCES):
            own = ""
        else:
            try:
                own = hashlib.sha256(source.read_bytes()).hexdigest()
            except OSError:
                return None
        constants = [value for value in code.co_consts if not isinstance(value, CodeType)]
        parts = (own, self._function.__module__, self._function.__qualname__, code.co_firstlineno)
        return repr((*parts, code.co_code, code.co_names, constants, enclosed))

    def _path(self, sig: Any, codegen: Any) -> Path:
        key = repr((self._identity, str(sig), built_for(codegen)))
        name = "".join(c for c in self._function.__name__ if c.isalnum() or c == "_")
        return self._folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.bin"


def _kernel_identity(value: Any) -> tuple[Any, ...] | None:
    """Identity of a compiled function of the kernels that another encloses; None for anything else."""
    code = getattr(getattr(value, "py_func", value), "__code__", None)
    if code is None or not Path(code.co_filename).is_relative_to(_SOURCES):
        return None
    return value.__module__, value.__qualname__, code.co_firstlineno, code.co_code


def built_for(codegen: Any) -> tuple[Any, ...]:
    """Dependencies of machine code beside its source: versions, processor, numba's switches."""
    versions = (numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, sys.abiflags)
    switches = (config.OPT, config.BOUNDSCHECK, config.DEBUGINFO_DEFAULT)
    return (*versions, codegen.magic_tuple(), *switches)
