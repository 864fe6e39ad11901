"""Studies: the same trials in one go, in pieces, after a crash, and with several workers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import optuna
import pytest
from scipy.stats import ttest_1samp

from sptrack import files
from sptrack.design import (
    Budget,
    Plan,
    SearchSettings,
    Task,
    Tuning,
    _study,
    evaluate,
    hold_out,
    parse_space,
    run_study,
    tune,
)
from sptrack.errors import ParameterError
from sptrack.tracking import ProblemSettings, method

SETTINGS = ProblemSettings(size=8)
TASK = Task(settings=SETTINGS, steps=400)
START = method("e-rider")
TRIALS = 16
"""More than the ten random ones that come before the sampler looks at results."""


def plan(*vary, trials=TRIALS, seeds=2, finalists=2, **chosen):
    return Plan(
        start=START,
        task=TASK,
        search=SearchSettings(space=parse_space(vary, START), **chosen),
        budget=Budget(trials=trials, seeds=seeds, finalists=finalists, held_out=4, seed=3),
    )


@pytest.fixture(scope="module")
def unbroken():
    return run_study(plan())


def plain(trials):
    """Trials for comparison; what was not seen is None."""
    return [one._replace(seen=None if np.isnan(one.seen) else one.seen) for one in trials]


def interrupt(monkeypatch, *after):
    """Ctrl-C in the evaluations of those numbers, counted from now on."""
    calls = []

    def evaluation(*args, **options):
        calls.append(len(calls))
        if calls[-1] in after:
            raise KeyboardInterrupt
        return evaluate(*args, **options)

    monkeypatch.setattr(_study, "evaluate", evaluation)


def test_the_first_trial_is_the_start(unbroken):
    first = unbroken.trials[0]
    assert first.point == {"alpha": 0.05, "beta": 0.0025, "gamma": 0.45, "eta": 0.005, "p": 0.002}
    scores = evaluate(START, TASK, range(3, 5))
    assert first.scores == {name: values.mean() for name, values in scores.items()}


def test_trials_lie_in_the_space_and_differ(unbroken):
    space = unbroken.plan.space
    for one in unbroken.trials:
        assert all(space[name].low <= value <= space[name].high for name, value in one.point.items())
    assert len({tuple(one.point.values()) for one in unbroken.trials}) == TRIALS


def test_the_sampler_looks_at_results(unbroken):
    """After the start and ten finished trials the draws differ from those of random search."""
    blind = run_study(plan(sampler="random")).trials
    same = [one.point == other.point for one, other in zip(unbroken.trials, blind, strict=True)]
    assert all(same[:10])
    assert not any(same[10:])


def test_the_same_plan_makes_the_same_trials(unbroken, tmp_path):
    assert plain(run_study(plan()).trials) == plain(unbroken.trials)
    assert plain(run_study(plan(), tmp_path / "a").trials) == plain(unbroken.trials)
    other = Plan(start=START, task=TASK, search=SearchSettings(), budget=Budget(trials=3, seeds=2, seed=4))
    assert [one.point for one in run_study(other).trials[1:]] != [one.point for one in unbroken.trials[1:3]]


def test_more_trials_are_the_same_study(unbroken, tmp_path):
    run_study(plan(trials=5), tmp_path / "a")
    found = run_study(plan(), tmp_path / "a")
    assert plain(found.trials) == plain(unbroken.trials)
    assert found.finals == unbroken.finals
    assert found.methods == unbroken.methods


def test_interrupted_and_resumed_is_unbroken(unbroken, tmp_path, monkeypatch):
    """Interrupts in the start, in a random trial, twice in a row, and in a trial of the sampler."""
    path = tmp_path / "a"
    for after in (0, 3, 0, 9, 1):
        with monkeypatch.context() as patch:
            interrupt(patch, after)
            with pytest.raises(KeyboardInterrupt):
                run_study(plan(), path)
    kept = optuna.load_study(study_name="sptrack", storage=_study._storage(path))
    states = [one.state.name for one in kept.trials]
    assert states.count("FAIL") == 5
    assert states[-1] == "WAITING"
    assert "RUNNING" not in states
    found = run_study(plan(), path)
    assert plain(found.trials) == plain(unbroken.trials)
    assert (
        Tuning(found, hold_out(found))
        .labelled()
        .drop_attrs()
        .identical(Tuning(unbroken, hold_out(unbroken)).labelled().drop_attrs())
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_for_the_journal(number):
    """A signal within a block that writes is handled after it."""
    done = []

    def stop(*_):
        raise InterruptedError

    def write():
        with _study._uninterrupted():
            os.kill(os.getpid(), number)
            done.append("written")

    before = signal.signal(number, stop)
    try:
        with pytest.raises(InterruptedError):
            write()
    finally:
        signal.signal(number, before)
    assert done == ["written"]


def test_a_study_can_be_run_from_any_thread():
    found = []
    worker = threading.Thread(target=lambda: found.append(run_study(plan("alpha", trials=2, finalists=0))))
    worker.start()
    worker.join()
    assert len(found[0].trials) == 2


CRASH = """
import os, sys
sys.path.insert(0, {folder!r})
from pathlib import Path
import test_study
test_study._study.evaluate = lambda *a, **k: os._exit(7)
test_study.run_study(test_study.plan(), Path({path!r}))
"""
SHARE = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
import test_study
test_study.share(Path({path!r}), {me}, {other})
"""


def script(text, **values):
    folder = os.path.dirname(__file__)
    return [sys.executable, "-c", text.format(folder=folder, **values)]


def share(path, me, other):
    """Work on a study beside another process: the second trial waits until the other has taken its first."""
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == 2:
            path.with_name(f"{me}").touch()
            while not path.with_name(f"{other}").exists():
                time.sleep(0.01)

    run_study(plan("alpha", "eta", trials=20, finalists=0, sampler="random"), path, progress)


def test_a_process_that_was_killed_leaves_a_trial_to_be_repeated(unbroken, tmp_path):
    path = tmp_path / "a"
    run_study(plan(trials=4), path)
    assert subprocess.run(script(CRASH, path=str(path)), check=False).returncode == 7
    found = run_study(plan(), path)
    assert plain(found.trials) == plain(unbroken.trials)


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path):
    """Together they make the trials that one makes alone, none twice, none too many."""
    path = tmp_path / "shared"
    workers = [subprocess.Popen(script(SHARE, path=str(path), me=k, other=1 - k)) for k in (0, 1)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    asked = plan("alpha", "eta", trials=20, finalists=0, sampler="random", prune="none")
    alone = run_study(asked)
    kept = optuna.load_study(study_name="sptrack", storage=_study._storage(path))
    assert len(kept.trials) == 20
    assert {one.user_attrs["worker"][1] for one in kept.trials} == {worker.pid for worker in workers}
    together = run_study(plan("alpha", "eta", trials=20, finalists=0, sampler="random"), path)
    assert [one.point for one in together.trials] == [one.point for one in alone.trials]
    complete = {one.slot: one.scores for one in together.trials if one.state == "complete"}
    assert complete == {one.slot: one.scores for one in alone.trials if one.slot in complete}
    assert len(complete) >= 5
    assert sorted(item.name for item in tmp_path.iterdir()) == ["0", "1", "shared"]


@pytest.mark.parametrize("prune", ["seeds", "steps"])
def test_a_trial_is_given_up_when_worse_than_the_median(prune):
    found = run_study(plan(prune=prune, sampler="random", finalists=0))
    whole = run_study(plan(prune="none", sampler="random", finalists=0))
    assert [one.point for one in found.trials] == [one.point for one in whole.trials]
    assert {one.state for one in whole.trials} == {"complete"}
    pruned = [one for one in found.trials if one.state == "pruned"]
    assert pruned
    assert min(one.slot for one in pruned) >= 5
    for one, other in zip(found.trials, whole.trials, strict=True):
        assert one.state == "pruned" or one.scores == other.scores
        if one.state == "pruned" and prune == "seeds":
            tuned = _study.with_point(START, one.point)
            first = evaluate(tuned, TASK, range(3, 4))["w"][0]
            before = [
                evaluate(_study.with_point(START, o.point), TASK, range(3, 4))["w"][0]
                for o in found.trials[: one.slot]
                if o.state == "complete"
            ]
            assert one.seen == first > np.median(before)


@pytest.mark.parametrize("prune", ["none", "seeds", "steps"])
def test_trials_above_a_limit_are_excluded(prune):
    """No trial that is kept, and no finalist, is above the limit on any of its problems."""
    limit = 1500.0
    asked = plan(prune=prune, limits={"pulses": limit})
    found = run_study(asked)
    states = {one.slot: one.state for one in found.trials}
    assert {"complete", "excluded"} <= set(states.values())
    for one in found.trials:
        scores = evaluate(_study.with_point(START, one.point), TASK, range(3, 5))
        within = scores["pulses"].max() <= limit
        assert within if one.state == "complete" else True
        assert not within if one.state == "excluded" else True
    assert states[0] == "excluded"
    for slot in found.finals:
        tuned = _study.with_point(START, found.trials[slot].point)
        assert evaluate(tuned, TASK, range(5, 15))["pulses"].max() <= limit
    assert found.best[0].slot in found.finals
    free = run_study(plan(prune="none", finalists=0))
    assert [one.point for one in found.trials[:10]] == [one.point for one in free.trials[:10]]
    assert [one.point for one in found.trials[11:]] != [one.point for one in free.trials[11:]]
    record = Tuning(found, hold_out(found)).record()
    assert record["limits"] == {"pulses": limit}
    assert record["trials"]["excluded"] == sum(state == "excluded" for state in states.values())


def test_a_limit_that_no_trial_keeps(tmp_path):
    with pytest.raises(ParameterError, match="without a complete trial.*pulses 1 exceeded"):
        run_study(plan(trials=3, limits={"pulses": 1.0}), tmp_path / "a")


def test_finalists_above_a_limit_make_room(monkeypatch):
    """A limit that only the final problems exceed: trials above it are passed over for the next best."""
    free = run_study(plan(prune="none"))
    ranked = sorted(free.trials, key=lambda one: one.scores["w"])
    refused = [one.point["alpha"] for one in ranked[:2]]

    def scored(method, *words, **options):
        scores = evaluate(method, *words, **options)
        return scores | ({"pulses": scores["pulses"] + 1e6} if method.alpha in refused else {})

    monkeypatch.setattr("sptrack.design.tuning.evaluate", scored)
    found = run_study(plan(prune="none", limits={"pulses": 1e5}))
    assert set(free.finals) - {0} == {one.slot for one in ranked[:2]} - {0}
    assert set(found.finals) - {0} == {one.slot for one in ranked[2:4]} - {0}


def test_settings_that_are_refused_are_failed_trials():
    """Rates of 1e6 pulses per unit and more, here beta of 1000, are refused; the buffer sends 31 at most."""
    buffered = method("tt-v2")
    space = parse_space(["beta=1:1e5"], buffered)
    budget = Budget(trials=TRIALS, seeds=1, finalists=0)
    found = run_study(Plan(start=buffered, task=TASK, search=SearchSettings(space=space), budget=budget))
    failed = [one for one in found.trials if one.state == "failed"]
    assert failed
    assert all("pulses per unit" in one.reason and one.point["beta"] > 999 for one in failed)
    assert all(one.point["beta"] < 1001 for one in found.trials if one.state == "complete")


def test_a_study_without_a_complete_trial_is_refused_and_removed(tmp_path):
    with pytest.raises(ParameterError, match="without a complete trial.*pulses per unit"):
        run_study(plan("alpha=1e4:1e5", trials=3), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_no_numbers_and_whole_numbers():
    found = run_study(plan("estimator=ema|last", "every=1:3", "sync", trials=12, finalists=0))
    assert {one.point["estimator"] for one in found.trials} == {"ema", "last"}
    assert {one.point["every"] for one in found.trials} == {1, 2, 3}
    assert {one.point["sync"] for one in found.trials} == {True, False}
    data = Tuning(found, hold_out(found)).labelled()
    assert set(data["setting_estimator"].values.tolist()) == {"ema", "last"}
    assert np.isnan(data["moved"].sel(setting="estimator")).all()


def test_pulses_are_even():
    two_stage = method("two-stage")
    space = parse_space(["pulses=10:40"], two_stage)
    budget = Budget(trials=12, seeds=1, finalists=0)
    found = run_study(Plan(start=two_stage, task=TASK, search=SearchSettings(space=space), budget=budget))
    values = [one.point["pulses"] for one in found.trials]
    assert values[0] == 40
    assert all(value % 2 == 0 and 10 <= value <= 40 for value in values)
    assert len(set(values)) > 3


def test_finalists_are_chosen_on_further_problems(unbroken):
    ranked = sorted((one for one in unbroken.trials if one.scores), key=lambda one: one.scores["w"])
    assert set(unbroken.finals) == {0, *(one.slot for one in ranked[:2])}
    for slot, value in unbroken.finals.items():
        tuned = _study.with_point(START, unbroken.trials[slot].point)
        assert value == evaluate(tuned, TASK, range(5, 15))["w"].mean()
    assert unbroken.best[0].slot == min(unbroken.finals, key=unbroken.finals.get)
    plainly = run_study(plan(finalists=0))
    assert plainly.best[0].slot == ranked[0].slot


def test_start_and_best_are_compared_on_problems_that_no_trial_saw(unbroken):
    data = Tuning(unbroken, hold_out(unbroken)).labelled()
    assert data["seed"].values.tolist() == [103, 104, 105, 106]
    start, best = (evaluate(one, TASK, range(103, 107)) for one in (START, unbroken.method))
    for name in ("w", "q", "cost"):
        change = best[name] - start[name]
        np.testing.assert_allclose(data[f"difference_{name}"][1], change.mean(), rtol=1e-12)
        interval = ttest_1samp(change, 0.0).confidence_interval(0.95)
        np.testing.assert_allclose(data[f"difference_{name}_ci"][1], interval, rtol=1e-10)
        assert data[f"difference_{name}"][0] == 0
    record = Tuning(unbroken, hold_out(unbroken)).record()
    json.dumps(record)
    (candidate,) = record["candidates"]
    alpha = candidate["settings"]["alpha"]
    assert alpha["moved"] == pytest.approx(unbroken.method.alpha / 0.05, rel=1e-14)
    assert candidate["scores"]["w"]["verdict"] in ("better", "worse", "same", "not told apart")


def test_a_front_between_objectives():
    found = run_study(plan(objectives=("w", "pulses")))
    values = np.array([[one.scores[name] for name in ("w", "pulses")] for one in found.best])
    assert len(values) > 1
    assert (np.diff(values[:, 0]) > 0).all()
    assert (np.diff(values[:, 1]) < 0).all()
    assert {one.state for one in found.trials} == {"complete"}
    data = Tuning(found, hold_out(found)).labelled()
    assert data.sizes["candidate"] == 1 + len(found.best)
    assert found.finals == {}


def test_importances_are_shares_of_one(unbroken):
    assert set(unbroken.importances) == {"alpha", "beta", "gamma", "eta", "p"}
    assert sum(unbroken.importances.values()) == pytest.approx(1)


def test_one_call_does_it_all():
    data = tune(plan("alpha", trials=2, finalists=0)).labelled()
    assert data.sizes["trial"] == 2


def test_a_journal_of_another_plan_is_refused(tmp_path):
    run_study(plan(trials=2), tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    with pytest.raises(ParameterError, match="something else .vary.beta"):
        run_study(plan("alpha", trials=2), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == before


def test_a_journal_of_other_studies_is_refused(tmp_path):
    optuna.create_study(study_name="mine", storage=_study._storage(tmp_path / "a"))
    before = (tmp_path / "a").read_bytes()
    with pytest.raises(ParameterError, match="other studies .mine"):
        run_study(plan(), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello\n", "line 1 is no record"),
        (b'{"op_code": 0}\n', "line 1 is no record"),
        (b"[1]\n", "line 1 is no record"),
        (b'{"op code": 4', "last line is no record"),
        (b'{"op_code": 4, "worker_id": "x"}\n', "do not fit together"),
    ],
)
def test_a_damaged_journal_is_refused_and_left_alone(tmp_path, content, says):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ParameterError, match=says):
        run_study(plan(), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


def cut(path, end, content):
    """A journal as a process that has been killed left it: up to a byte, by a process that is no more."""
    gone = content[:end].replace(files.SESSION.encode(), b"other0")
    path.write_bytes(gone)


SHORT = {"trials": 3, "finalists": 0, "sampler": "random", "prune": "none"}


def test_killed_at_every_record_a_study_ends_as_if_unbroken(tmp_path):
    """Between any two records, and within every one of them: the kill between ask and claim among them."""
    whole = run_study(plan("alpha", "eta", **SHORT), tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10]
    assert len(ends) > 20
    for end in [whole_end - back for whole_end in ends for back in (0, 1, 15)]:
        cut(tmp_path / "a", end, content)
        found = run_study(plan("alpha", "eta", **SHORT), tmp_path / "a")
        assert plain(found.trials) == plain(whole.trials), end
        assert found.methods == whole.methods, end
        states = {one.state for one in found.trials}
        assert states == {"complete"}, end


@pytest.mark.soak
def test_killed_at_every_record_the_sampler_goes_on(unbroken, tmp_path):
    path = tmp_path / "whole"
    run_study(plan(), path)
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10]
    for end in ends:
        cut(tmp_path / "a", end, content)
        found = run_study(plan(), tmp_path / "a")
        assert plain(found.trials) == plain(unbroken.trials), end


def test_a_disk_that_is_full_leaves_a_journal_that_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "a"
    whole = run_study(plan("alpha", **SHORT))
    for after in (3, 5, 9):
        calls = []

        def full(number, calls=calls, after=after):
            calls.append(number)
            if len(calls) == after:
                raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                run_study(plan("alpha", **SHORT), path)
        content = path.read_bytes()
        assert content.endswith(b"\n") or not content
        path.write_bytes(content.replace(files.SESSION.encode(), b"other0"))
    assert plain(run_study(plan("alpha", **SHORT), path).trials) == plain(whole.trials)


def test_locks_of_killed_processes_are_free(tmp_path):
    """Also files of that name that are no locks."""
    run_study(plan("alpha", **(SHORT | {"trials": 2})), tmp_path / "a")
    for name in ("a.lock", "a.next.lock"):
        (tmp_path / name).touch()
    begin = time.monotonic()
    run_study(plan("alpha", **SHORT), tmp_path / "a")
    assert time.monotonic() - begin < 20
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


def test_without_optuna_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "sptrack.design._study")
    with pytest.raises(ParameterError, match=r"pip install 'sptrack\[tune\]'"):
        run_study(plan(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_cannot_be_run_is_refused_before_the_journal(tmp_path):
    from sptrack import preset

    task = Task(settings=ProblemSettings(size=8, device=preset("pcm")), steps=400)
    with pytest.raises(ParameterError, match="one-sided"):
        run_study(Plan(start=START, task=task), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
