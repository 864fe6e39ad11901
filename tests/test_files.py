"""Files and folders of results when processes are killed, run at once, or may write in few places only."""

import fcntl
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sptrack import ParameterError, files
from sptrack.files import output_folder, write_atomic
from sptrack.invocation import command_line, invoked_as

OPERATIONS = {
    f"os.{name}"
    for name in (
        "rename",
        "mkdir",
        "link",
        "remove",
        "rmdir",
        "chown",
        "chmod",
        "utime",
        "truncate",
        "symlink",
    )
} | {"open", "shutil.rmtree", "shutil.copytree"}


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Without waiting for the disk: the system outlives the processes that are killed here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def in_child(work):
    """Exit status of a forked child that does some work; 1 where it raises."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_everywhere(work):
    """Numbers of the operations on files before which a child that does the work was killed, each in turn.

    After each of them the caller looks at what is left; the last child goes through to the end.
    """

    def dying(at):
        count = 0

        def hook(event, _):
            nonlocal count
            count += event in OPERATIONS
            if count == at:
                os._exit(9)

        sys.addaudithook(hook)
        work()

    at, status = 0, 9
    while status == 9:
        at += 1
        status = in_child(lambda at=at: dying(at))
        yield at
    assert status == 0


def write(target, generation, **options):
    with output_folder(target, **options) as folder:
        (folder / "figures").mkdir()
        for name in ("map.nc", "figures/a.svg", f"only-{generation}"):
            write_atomic(folder / name, f"{name} of {generation}")


def seen(target):
    """Texts of the files by their names, hidden ones left out."""
    found = (each for each in target.rglob("*") if each.is_file())
    names = {each.relative_to(target).as_posix(): each.read_text() for each in found}
    return {name: text for name, text in names.items() if not name.startswith(".sptrack")}


def texts(generation):
    return {name: f"{name} of {generation}" for name in ("map.nc", "figures/a.svg", f"only-{generation}")}


OWN = {"notes.txt": "mine", "figures/mine.txt": "mine", "checkpoints/deep/x.npz": "state"}


def prepared(folder):
    """A folder with results of generation 1 and files of others."""
    target = folder / "out"
    write(target, 1)
    for name, text in OWN.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    (target / "link").symlink_to("notes.txt")
    return target


def hidden(folder):
    return [each.name for each in folder.rglob(".sptrack-*")]


def no_exchange(monkeypatch):
    monkeypatch.setattr(files, "_exchanged", lambda *_: False)


def read_only_parent(monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name == "out" and access(path, mode))


def mount_point(monkeypatch):
    """Nothing can be renamed into or over it."""
    rename = Path.rename

    def refusing(self, target):
        if (self.parent.name == "out") != (Path(target).parent.name == "out"):
            raise OSError(18, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refusing)
    no_exchange(monkeypatch)


PLACES = {
    "plain": lambda _: None,
    "no exchange": no_exchange,
    "read-only": read_only_parent,
    "mount": mount_point,
}


@pytest.mark.parametrize(
    "place", ["plain", *(pytest.param(name, marks=pytest.mark.slow) for name in ("read-only", "mount"))]
)
def test_killed_at_every_operation_a_folder_is_old_or_new(tmp_path, monkeypatch, place):
    """At once where names can be exchanged, else as soon as anything is written there again."""
    base = tmp_path / "plain"
    base.mkdir()
    target = prepared(base)
    kept = OWN | {"link": "mine"}
    old, new = texts(1) | kept, texts(2) | kept
    PLACES[place](monkeypatch)
    states = []
    for at in killed_everywhere(lambda: write(target, 2)):
        if place == "plain":
            assert seen(target) in (old, new), at
        with suppress(RuntimeError), output_folder(target):
            raise RuntimeError
        assert seen(target) in (old, new), at
        assert hidden(base) == [], at
        states.append(seen(target) == new)
        write(target, 1)
        assert seen(target) == old, at
        assert (target / "link").is_symlink()
    assert len(states) > 30
    assert states[0] is False
    assert states[-1] is True
    assert states == sorted(states)


@pytest.mark.parametrize("made_first", [False, True])
def test_killed_at_every_operation_a_new_folder_is_absent_or_whole(tmp_path, made_first):
    target = tmp_path / "out"
    for at in killed_everywhere(lambda: write(target, 1, made_first=made_first)):
        assert seen(target) in (({}, texts(1)) if target.exists() else ({},)), at
        write(target, 2)
        assert seen(target) == texts(2)
        assert hidden(tmp_path) == []
        (tmp_path / "gone").mkdir(exist_ok=True)
        target.rename(tmp_path / "gone" / str(at))
    assert at > 15


def test_killed_at_every_operation_a_file_is_old_or_new(tmp_path):
    path = tmp_path / "a"
    for _ in killed_everywhere(lambda: write_atomic(path, "new")):
        assert not path.exists() or path.read_text() == "new"
        path.unlink(missing_ok=True)
        files._SWEPT.clear()
        write_atomic(tmp_path / "b", "")
        assert hidden(tmp_path) == []


def test_a_folder_keeps_its_mode_and_the_files_of_others_their_place(tmp_path):
    target = prepared(tmp_path)
    target.chmod(0o750)
    number = (target / "notes.txt").stat().st_ino
    write(target, 2)
    assert target.stat().st_mode & 0o777 == 0o750
    assert (target / "notes.txt").stat().st_ino == number


def test_the_folder_that_is_worked_in_stays_itself(tmp_path, monkeypatch):
    target = prepared(tmp_path)
    monkeypatch.chdir(target / "checkpoints")
    number = target.stat().st_ino
    write("..", 2)
    assert target.stat().st_ino == number
    assert seen(target) == texts(2) | OWN | {"link": "mine"}


@pytest.mark.parametrize("place", PLACES)
def test_the_folder_of_an_earlier_run_is_replaced_anywhere(tmp_path, monkeypatch, place):
    target = prepared(tmp_path)
    PLACES[place](monkeypatch)
    for generation in (2, 3):
        write(target, generation)
        assert seen(target) == texts(generation) | OWN | {"link": "mine"}
        assert hidden(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_own_folder_in_one_that_is_not(tmp_path):
    for each in (tmp_path, *tmp_path.parents):
        if not each.stat().st_mode & 0o5:
            each.chmod(each.stat().st_mode | 0o5)
    target = tmp_path / "out"
    target.mkdir()
    os.chown(target, 54321, 54321)
    tmp_path.chmod(0o755)

    def as_another():
        os.setgid(54321)
        os.setuid(54321)
        for generation in (1, 2):
            write(target, generation)

    assert in_child(as_another) == 0
    assert seen(target) == texts(2)
    assert hidden(tmp_path) == []


def test_a_folder_in_the_place_of_a_file_is_refused_and_nothing_changes(tmp_path):
    target = prepared(tmp_path)
    (target / "only-2" / "x").mkdir(parents=True)
    with pytest.raises(ParameterError, match="only-2: is a folder"):
        write(target, 2)
    assert seen(target) == texts(1) | OWN | {"link": "mine"}
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("place", ["plain", "read-only"])
def test_a_second_run_is_refused_and_told_who_holds_the_folder(tmp_path, monkeypatch, place):
    target = prepared(tmp_path)
    PLACES[place](monkeypatch)
    with output_folder(target) as folder:
        write_atomic(folder / "a", "1")
        with pytest.raises(ParameterError, match=rf"out: process {os.getpid()} on .* since .*wait for it"):
            write(target, 2)
        assert in_child(lambda: write(target, 3)) == 1
    assert seen(target) == {"a": "1"} | OWN | {"link": "mine"}
    write(target, 4)


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    target = tmp_path / "out"

    def hold():
        with output_folder(target):
            os._exit(9)

    assert in_child(hold) == 9
    assert hidden(tmp_path)
    write(target, 1)
    assert hidden(tmp_path) == []


def test_many_at_once_leave_the_files_of_one(tmp_path):
    target = tmp_path / "out"
    write(target, "first")
    for turn in range(12):
        children = []
        for me in range(4):
            child = os.fork()
            if not child:
                status = 1
                with suppress(ParameterError):
                    write(target, f"{turn}.{me}")
                    status = 0
                os._exit(status)
            children.append(child)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert set(statuses) <= {0, 1}
        assert 0 in statuses
        whole = [texts(f"{turn}.{me}") for me, status in enumerate(statuses) if status == 0]
        assert seen(target) in whole
        assert hidden(tmp_path) == []


def test_what_living_processes_write_is_left_alone(tmp_path):
    """Of processes whose number is known here, and of those that share the folder but not the numbers."""
    me, host = os.getpid(), files._MACHINE
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    parent = tmp_path / f".sptrack-{host}-{os.getppid()}-abcdef-01"
    elsewhere = tmp_path / f".sptrack-{host}-{gone}-abcdef-02"
    foreign = tmp_path / f".sptrack-000000-{gone}-abcdef-03"
    earlier = tmp_path / f".sptrack-{host}-{me}-abcdef-04"
    dead = tmp_path / f".sptrack-{host}-{gone}-abcdef-05"
    for each in (parent, elsewhere, foreign, earlier, dead):
        each.mkdir()
        (each / "a").write_text("")
    number = os.open(elsewhere, os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_EX)
    write_atomic(tmp_path / "b", "")
    os.close(number)
    assert {each.name for each in tmp_path.iterdir()} == {parent.name, elsewhere.name, foreign.name, "b"}


def test_a_pipe_that_nobody_reads_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(files, "_PATIENCE", 0.2)
    with pytest.raises(ParameterError, match="no process reads"):
        write_atomic(pipe, "x")
    monkeypatch.setattr(files, "_PATIENCE", 20.0)
    late = threading.Thread(target=lambda: (time.sleep(0.2), found.append(pipe.read_text())))
    found = []
    late.start()
    write_atomic(pipe, "through")
    late.join()
    assert found == ["through"]
    assert pipe.is_fifo()


def test_what_is_open_already_is_written_into(tmp_path):
    """As in ``--out >(command)`` of shells."""
    reading, writing = os.pipe()
    write_atomic(f"/dev/fd/{writing}", "through")
    assert os.read(reading, 100) == b"through"
    os.close(reading)
    os.close(writing)


def test_names_of_any_bytes_are_written(tmp_path):
    """Among them what is no text in UTF-8, as names are in a locale that is none."""
    name = os.fsdecode(b"a \xff\xe4\n")
    with output_folder(tmp_path / name) as folder:
        write_atomic(folder / "b", "x")
    write_atomic(tmp_path / f"{name}c", "y")
    assert (tmp_path / name / "b").read_text() == "x"
    assert (tmp_path / f"{name}c").read_text() == "y"
    with invoked_as(["calibrate", "--out", name]):
        assert command_line() == "sptrack calibrate --out 'a \\xff\\xe4\n'"


def test_a_name_with_nul_is_refused(tmp_path):
    for write in (lambda path: write_atomic(path, "x"), lambda path: output_folder(path).__enter__()):
        for name in ("a\0b", "a\0b/c"):
            with pytest.raises(ParameterError, match="a name must hold no NUL character"):
                write(tmp_path / name)


def test_a_loop_of_links_is_an_error_of_the_file_system(tmp_path):
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(OSError, match="a"), output_folder(tmp_path / "a"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_that_cannot_be_removed_costs_no_result(tmp_path, monkeypatch):
    def busy(path, **_):
        raise OSError(16, "Device or resource busy", str(path))

    monkeypatch.setattr(Path, "unlink", busy)
    for text in ("old", "new"):
        with output_folder(tmp_path / "a") as folder:
            (folder / "b").write_text(text)
        assert (tmp_path / "a" / "b").read_text() == text
