"""Engines: the same bytes from all of them, whatever dies on the way."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from sptrack.errors import ParameterError, SptrackError
from sptrack.sweep import Dask, Processes, Serial, SweepFolder, run_sweep
from sptrack.sweep.cells import run_cell
from sptrack.sweep.engines import DIED, THREADS, Task, environment_of_workers

pytestmark = pytest.mark.compiled


@pytest.fixture
def whole(slower, tmp_path, digests):
    """Records of the slower sweep, made by one process."""
    return digests(run_sweep(slower, tmp_path / "serial").folder.path)


@pytest.fixture
def scheduler():
    """Address of a scheduler of its own process with two workers, and the scheduler."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    main = subprocess.Popen([*words, "--port", str(port), "--no-dashboard"], **quiet)
    words = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    workers = [
        subprocess.Popen([*words, "--no-dashboard", "--death-timeout", "20"], **quiet) for _ in range(2)
    ]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    yield address, main
    for process in (main, *workers):
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def python_children():
    """Processes that compute for this one: its descendants, trackers of resources left out."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            words = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "spawn_main" in words:
            found.append(child)
    return found


class KillOne:
    """Progress that kills a worker process, once, when so many cells are done."""

    def __init__(self, when: int) -> None:
        self.when, self.killed, self.calls = when, 0, []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if done >= self.when and not self.killed:
            os.kill(python_children()[0].pid, signal.SIGKILL)
            self.killed = done


def test_processes_write_the_same_bytes(small, tmp_path, digests):
    one = run_sweep(small, tmp_path / "serial", Serial()).folder.path
    other = run_sweep(small, tmp_path / "processes", Processes(workers=2)).folder.path
    assert digests(one) == digests(other)
    assert len(digests(one)) == 12


@pytest.mark.slow
def test_dask_writes_the_same_bytes_and_tells_its_dashboard(small, tmp_path, digests):
    links = []
    one = run_sweep(small, tmp_path / "serial").folder.path
    other = run_sweep(small, tmp_path / "dask", Dask(workers=2, announce=links.append)).folder.path
    assert digests(one) == digests(other)
    assert links[0].startswith("http")


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Processes(workers=2), Dask(workers=2)], ids=["processes", "dask"])
def test_a_killed_worker_loses_and_doubles_nothing(slower, whole, engine, tmp_path, digests):
    progress = KillOne(5)
    report = run_sweep(slower, tmp_path / "out", engine, progress=progress)
    assert progress.killed
    assert not report.failed
    assert progress.calls == [(k, 40) for k in range(41)]
    found = digests(tmp_path / "out")
    assert {name: digest for name, digest in found.items() if name.endswith(".json")} == whole


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_ended(slower, whole, tmp_path, digests):
    """SIGKILL of the parent in mid-sweep, on three engines in turn: the folder is all that is left."""
    script = (
        "from pathlib import Path\n"
        "from sptrack.sweep import *\n"
        "if __name__ == '__main__':\n"
        f"    folder = Path({str(tmp_path / 'out')!r})\n"
        "    run_sweep(None, folder, ENGINE)\n"
    )
    folder = SweepFolder.make(tmp_path / "out", slower)
    for engine in ("Serial()", "Processes(workers=2)", "Dask(workers=2)"):
        path = tmp_path / "part.py"
        path.write_text(script.replace("ENGINE", engine))
        before = len(folder.done())
        process = subprocess.Popen([sys.executable, str(path)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(folder.done()) < before + 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert not alive, f"{engine} leaves processes behind"
        assert before + 4 <= len(folder.done()) < 40
    report = run_sweep(None, folder.path)
    assert report.found + report.made == 40
    assert {name: one for name, one in digests(folder.path).items() if name.endswith(".json")} == whole


@pytest.mark.slow
def test_a_lost_scheduler_is_one_clear_error_and_loses_nothing(slower, whole, scheduler, tmp_path, digests):
    address, process = scheduler

    def progress(done, total):
        if done == 6:
            process.kill()

    with pytest.raises(SptrackError, match=r"scheduler tcp.* is lost .*run the same command again"):
        run_sweep(slower, tmp_path / "out", Dask(address=address), progress=progress)
    found = len(SweepFolder(tmp_path / "out").done())
    assert 6 <= found < 40
    report = run_sweep(slower, tmp_path / "out", Processes(workers=2))
    assert (report.found >= found, report.found + report.made) == (True, 40)
    assert {name: one for name, one in digests(tmp_path / "out").items() if name.endswith(".json")} == whole


@pytest.mark.slow
def test_a_cluster_that_is_there_computes_the_same(small, scheduler, tmp_path, digests):
    address, _ = scheduler
    one = run_sweep(small, tmp_path / "serial").folder.path
    assert digests(run_sweep(small, tmp_path / "out", Dask(address=address)).folder.path) == digests(one)
    again = run_sweep(small, tmp_path / "other", Dask(address=address)).folder.path
    assert digests(again) == digests(one)


@pytest.mark.slow
def test_no_scheduler_is_one_clear_error(small, tmp_path):
    for address in ("tcp://127.0.0.1:9", "nonsense://"):
        with pytest.raises(SptrackError, match="does not answer"):
            run_sweep(small, tmp_path / "out", Dask(address=address))


def test_parts_share_a_sweep_without_talking(small, tmp_path, digests):
    one = run_sweep(small, tmp_path / "serial").folder.path
    SweepFolder.make(tmp_path / "parts", small)
    made = [run_sweep(None, tmp_path / "parts", part=(k, 5)).made for k in range(5)]
    assert made == [3, 3, 2, 2, 2]
    assert digests(tmp_path / "parts") == digests(one)
    with pytest.raises(ParameterError, match="part must be K/N with 0 <= K < N, got 5/5"):
        run_sweep(None, tmp_path / "parts", part=(5, 5))


@pytest.mark.slow
def test_a_cell_that_kills_its_workers_is_given_up_and_the_others_are_computed(small, tmp_path):
    """The cell's parameters cannot be read by a worker without ending it."""
    folder = SweepFolder.make(tmp_path / "out", small)
    tasks = [
        Task(c.key, run_cell, (str(folder.path), "track", c.parameters, c.seed, c.key))
        for c in folder.cells()
    ]
    poison = tasks[5]
    tasks[5] = Task(poison.key, run_cell, (str(folder.path), "track", Poison(), *poison.arguments[3:]))
    over = list(Processes(workers=2).run(tasks, lambda: None))
    assert sorted(one.key for one in over) == sorted(task.key for task in tasks)
    assert {one.key: one.error for one in over if one.error} == {poison.key: DIED}
    assert len(folder.done()) == 11


class Poison(dict):
    """A mapping that ends the process which looks into it."""

    def __iter__(self):
        os._exit(9)


@pytest.mark.slow
def test_a_script_that_starts_workers_while_it_is_imported_is_told(tmp_path):
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\n"
        "from sptrack.sweep import Processes, plan_from_mapping, run_sweep\n"
        "plan = plan_from_mapping({'sweep': {'command': 'track'}, 'set': {'steps': 200},\n"
        "                          'vary': {'method': {'alpha': [0.01, 0.02]}}})\n"
        "run_sweep(plan, Path('out'), Processes(workers=2))\n"
    )
    command = [sys.executable, "script.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 1
    last = ended.stderr.rstrip().splitlines()[-1]
    assert last.startswith("sptrack.errors.SptrackError: worker processes end before they begin: a script")


def test_interrupts_end_the_workers(small, tmp_path):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(small, tmp_path / "out", Processes(workers=2), progress=stop)
    _, alive = psutil.wait_procs(python_children(), timeout=30)
    assert not alive
    assert 1 <= len(SweepFolder(tmp_path / "out").done()) <= 12


def test_workers_are_told_to_use_one_thread_and_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    with environment_of_workers():
        assert {os.environ[name] for name in THREADS} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMBA_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("make", [Processes, Dask])
def test_an_engine_without_workers_is_refused(make):
    with pytest.raises(ParameterError, match=">= 1, got 0"):
        make(workers=0)


def test_workers_stay_in_one_thread_and_this_process_gets_its_threads_back():
    script = (
        "import gc, os, scipy.linalg\n"
        "from threadpoolctl import threadpool_info\n"
        "from sptrack.sweep.cells import one_thread, stay_in_one_thread\n"
        "threads = lambda: max(pool['num_threads'] for pool in threadpool_info())\n"
        "before = threads()\n"
        "with one_thread():\n"
        "    within = threads()\n"
        "after = threads()\n"
        "stay_in_one_thread()\n"
        "gc.collect()\n"
        "print(before, within, after, threads())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in THREADS}
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    before, within, after, stays = map(int, done.stdout.split())
    assert (within, after, stays) == (1, before, 1)
