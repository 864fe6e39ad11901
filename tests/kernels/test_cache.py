"""Machine code on disk: found again by every clone and process, absent when damaged, never a traceback."""

import hashlib
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import sptrack
from sptrack.kernels import _cache
from sptrack.kernels._cache import CACHE_FOLDER, KernelCache, cache_root
from sptrack.kernels._jit import kernel

pytestmark = pytest.mark.compiled
INTEGER = (numba.int64,)
"""Argument types as a dispatcher hands them to its cache."""


def double(x):
    return x + x


def compiled(folder, argument=2, function=double):
    """Dispatcher of a function with its cache in a folder, as another process would make it, called once."""
    dispatcher = numba.njit(function)
    dispatcher._cache = KernelCache(function, folder)
    assert dispatcher(argument) == 2 * argument
    return dispatcher


def hits(dispatcher):
    return sum(dispatcher.stats.cache_hits.values())


@pytest.fixture
def kept(tmp_path):
    """The file of ``double`` for an integer, whole."""
    assert hits(compiled(tmp_path)) == 0
    (file,) = tmp_path.iterdir()
    assert hits(compiled(tmp_path)) == 1
    return file


def sealed(payload):
    return _cache._MARK + hashlib.sha256(payload).digest() + payload


def test_the_first_compilation_of_a_process_is_announced(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(_cache, "BEFORE_COMPILING", [lambda: told.append(1)])
    compiled(tmp_path)
    compiled(tmp_path, argument=2.0)
    assert told == [1]
    monkeypatch.setattr(_cache, "BEFORE_COMPILING", [lambda: told.append(2)])
    compiled(tmp_path)
    assert told == [1]


def test_every_single_bit_counts(kept):
    whole = kept.read_bytes()
    rng = random.Random(3)
    head = len(_cache._MARK) + 32
    assert KernelCache(double, kept.parent).load_overload(INTEGER, context()) is not None
    for place in [*range(head), *(rng.randrange(head, len(whole)) for _ in range(40)), len(whole) - 1]:
        broken = bytearray(whole)
        broken[place] ^= 1 << rng.randrange(8)
        kept.write_bytes(broken)
        assert KernelCache(double, kept.parent).load_overload(INTEGER, context()) is None


def context():
    return numba.njit(double).targetctx


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4096,
        _cache._MARK,
        sealed(b""),
        sealed(b"not a pickle"),
        sealed(pickle.dumps(42)),
        sealed(pickle.dumps((None, ()))),
        sealed(pickle.dumps((INTEGER, (1, 2, 3)))),
    ],
)
def test_foreign_content_is_compiled_over(kept, content):
    whole = kept.read_bytes()
    kept.write_bytes(content)
    assert hits(compiled(kept.parent)) == 0
    assert kept.read_bytes()[: len(_cache._MARK)] == whole[: len(_cache._MARK)]
    assert hits(compiled(kept.parent)) == 1


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_file_is_compiled_over(kept, share):
    os.truncate(kept, int(share * kept.stat().st_size))
    assert hits(compiled(kept.parent)) == 0
    assert hits(compiled(kept.parent)) == 1


def test_what_cannot_be_read_or_replaced_is_compiled_every_time(kept):
    kept.unlink()
    kept.mkdir()
    (kept / "inside").touch()
    assert [hits(compiled(kept.parent)) for _ in range(2)] == [0, 0]
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]  # no temporary is left


def test_a_link_to_itself_is_replaced(kept):
    kept.unlink()
    kept.symlink_to(kept)
    assert [hits(compiled(kept.parent)) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("folder", ["file/below", "/proc/nowhere", "/dev/null", "x" * 300])
def test_a_folder_that_cannot_be_made_is_none(tmp_path, folder):
    (tmp_path / "file").touch()
    assert hits(compiled(tmp_path / folder)) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do everything")
@pytest.mark.parametrize(("mode", "found"), [(0o500, 1), (0o000, 0)])
def test_a_folder_without_permission(kept, mode, found):
    kept.parent.chmod(mode)
    try:
        assert hits(compiled(kept.parent)) == found
        assert hits(compiled(kept.parent, 2.0)) == 0
    finally:
        kept.parent.chmod(0o700)


def test_a_full_disk_leaves_no_part(tmp_path, monkeypatch):
    def full(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert hits(compiled(tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_vanishes_is_made_again(kept):
    dispatcher = compiled(kept.parent)
    shutil.rmtree(kept.parent)
    assert dispatcher(2.5) == 5.0
    assert len(list(kept.parent.iterdir())) == 1


def test_one_file_a_specialisation(kept):
    compiled(kept.parent, 2.0)
    compiled(kept.parent, 2j)
    assert len(list(kept.parent.iterdir())) == 3
    assert [hits(compiled(kept.parent, x)) for x in (2, 2.0, 2j)] == [1, 1, 1]


def test_versions_and_processor_are_in_the_name(kept, monkeypatch):
    monkeypatch.setattr(numba, "__version__", "0.0")
    assert hits(compiled(kept.parent)) == 0
    monkeypatch.undo()
    codegen = type(context().codegen())
    monkeypatch.setattr(codegen, "magic_tuple", lambda self: ("other", "processor", ""))
    assert hits(compiled(kept.parent)) == 0
    assert len(list(kept.parent.iterdir())) == 3


def test_functions_of_one_name_and_line_are_told_apart(tmp_path):
    twice, square = lambda x: x + x, lambda x: x * x
    compiled(tmp_path, 2, twice)
    assert hits(compiled(tmp_path, 2, square)) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_closure_is_not_kept(tmp_path):
    two = 2
    compiled(tmp_path, 3, lambda x: two * x)
    assert list(tmp_path.iterdir()) == []


def test_kernels_are_kept():
    assert isinstance(kernel(double)._cache, KernelCache) == (CACHE_FOLDER is not None)


def test_a_cache_that_is_switched_off(kept):
    cache = KernelCache(double, kept.parent)
    cache.disable()
    assert cache.load_overload(INTEGER, context()) is None
    cache.enable()
    assert cache.load_overload(INTEGER, context()) is not None


def test_sources_are_hashed_by_name_and_content(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    digests = {_cache.source_digest(tmp_path)}
    (tmp_path / "deeper").mkdir()
    shutil.move(tmp_path / "a.py", tmp_path / "deeper" / "a.py")
    digests.add(_cache.source_digest(tmp_path))
    (tmp_path / "deeper" / "a.py").write_text("x = 2\n")
    digests.add(_cache.source_digest(tmp_path))
    os.utime(tmp_path / "deeper" / "a.py", (0, 0))
    digests.add(_cache.source_digest(tmp_path))
    (tmp_path / ".#a.py").symlink_to("the lock of an editor")
    digests.add(_cache.source_digest(tmp_path))
    assert len(digests) == 3
    (tmp_path / "gone.py").symlink_to("nowhere")
    assert _cache.source_digest(tmp_path) is None
    assert _cache.source_digest(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({"SPTRACK_CACHE_DIR": "/a/b"}, "/a/b"),
        ({"SPTRACK_CACHE_DIR": "", "XDG_CACHE_HOME": "/x"}, "/x/sptrack"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/sptrack"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/sptrack"),
        ({}, "/home/me/.cache/sptrack"),
    ],
)
def test_the_root_of_the_cache(monkeypatch, variables, root):
    for name in ("SPTRACK_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(root)


def test_a_relative_folder_stays_where_the_process_began(monkeypatch, tmp_path):
    monkeypatch.setenv("SPTRACK_CACHE_DIR", "cache")
    monkeypatch.chdir(tmp_path)
    assert cache_root() == tmp_path / "cache"


def test_nobody_has_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SPTRACK_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_root() is None
    assert _cache._cache_folder() is None


CHILD = """
import gc
from numba.core.registry import CPUDispatcher
from sptrack import Crossbar, Device, sample_cells
from sptrack.kernels._cache import KernelCache
Crossbar(sample_cells(Device(), (4, 4), seed=1), threads=1).read(0.1)
ours = [each for each in gc.get_objects() if isinstance(each, CPUDispatcher)]
made = [each.stats for each in ours if isinstance(each._cache, KernelCache)]
print(*(sum(sum(getattr(each, name).values()) for each in made) for name in ("cache_hits", "cache_misses")))
"""


def started(tree, cache):
    environment = {**os.environ, "PYTHONPATH": str(tree), "SPTRACK_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE, text=True, cwd=tree
    )


def counted(process):
    """Specialisations that a process found and compiled."""
    text, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    return tuple(map(int, text.split()))


@pytest.mark.slow
def test_clones_and_processes_share_a_cache(tmp_path):
    trees, cache = [tmp_path / "here", tmp_path / "there"], tmp_path / "cache"
    for age, tree in enumerate(trees):
        shutil.copytree(Path(sptrack.__file__).parent, tree / "sptrack")
        for file in tree.rglob("*.py"):
            os.utime(file, (age, age))
    both = [counted(process) for process in [started(tree, cache) for tree in trees]]  # at once
    assert all(found + made == sum(both[0]) > 0 for found, made in both)
    files = {file.name for file in cache.rglob("*") if file.is_file()}
    for tree in trees:
        assert counted(started(tree, cache)) == (sum(both[0]), 0)
    assert {file.name for file in cache.rglob("*") if file.is_file()} == files
    assert len(files) == sum(both[0])
