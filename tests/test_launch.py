"""Tasks side by side: what another process is at is left to it, failures are told as they come, clusters."""

import errno
import sys
import time

import pytest

from asyrp_lib.errors import FileError, SettingsError
from asyrp_lib.method import distributed
from asyrp_lib.runs import launch
from asyrp_lib.runs.launch import Task, side_by_side
from asyrp_lib.store import files
from asyrp_lib.store.files import lock, locked


@pytest.fixture
def plain_python(monkeypatch, tmp_path):
    """Tasks are lines of Python, not commands of the library."""
    monkeypatch.setattr(launch, "COMMAND", (sys.executable,))
    monkeypatch.setattr(launch, "runs_dir", lambda: tmp_path)
    return tmp_path


def task(name: str, code: str, *state) -> Task:
    return Task(name, 0, ("-c", code), *(state or (lambda: "missing",)))


def test_a_failure_is_told_at_once_and_the_rest_goes_on(plain_python):
    slow = task("slow", "import time; time.sleep(2)")
    bad = task("bad: a/b", "print('error: no luck; try again'); print('bye'); raise SystemExit(2)")
    outcomes = list(side_by_side([slow, bad, task("good", "")], lanes=2))
    assert [one.name for one, _ in outcomes] == ["bad: a/b", "good", "slow"]
    assert outcomes[0][1].startswith("error: no luck; try again (see ") and {o for _, o in outcomes[1:]} == {
        "done"
    }


def test_what_another_process_is_at_is_left_to_it_and_asked_for_again(plain_python):
    note, looks = plain_python / "note", []
    write = f"open({str(note)!r}, 'a').write"
    busy = lambda: looks.append(0) or len(looks) < 4
    by_other = task("by another", f"{write}('x')", lambda: "done" if len(looks) >= 4 else "missing", busy)
    gone = []
    left = task(
        "left by another", f"{write}('y')", lambda: "missing", lambda: gone.append(0) or len(gone) < 3
    )
    outcomes = [(one.name, words) for one, words in side_by_side([by_other, left, task("mine", "")], lanes=1)]
    assert outcomes[0] == ("mine", "done") and len(outcomes) == 3 and {o for _, o in outcomes} == {"done"}
    assert note.read_text() == "y", "what the other has done is not done twice, what it left is"


def test_a_task_whose_lock_another_got_first_waits_for_that_one(plain_python):
    looks = []  # free when it starts, busy when it has failed, done in the end
    states = ["missing", "done"]
    lost = task(
        "lost", "raise SystemExit(2)", lambda: states.pop(0), lambda: looks.append(0) or len(looks) == 2
    )
    assert [words for _, words in side_by_side([lost])] == ["done"]


def test_a_task_that_another_has_just_done_did_not_fail(plain_python):
    states = ["missing", "done"]
    lost = task("lost", "raise SystemExit(2)", lambda: states.pop(0))
    assert [words for _, words in side_by_side([lost])] == ["done"]


def test_what_runs_ends_with_who_asked_for_it(plain_python):
    note = plain_python / "note"
    late = task("late", f"import time; time.sleep(5); open({str(note)!r}, 'w')")
    outcomes = side_by_side([task("first", ""), late], lanes=2)
    next(outcomes)
    outcomes.close()
    time.sleep(0.1)
    assert not note.exists()


def test_a_lock_is_seen_while_it_is_held_and_not_when_its_holder_was_killed(tmp_path):
    assert not locked(tmp_path / "cell") and not list(tmp_path.iterdir())
    with lock(tmp_path / "cell"):
        assert locked(tmp_path / "cell")
    (tmp_path / ".cell.lock.by").write_text("process 1, killed")
    assert not locked(tmp_path / "cell") and not (tmp_path / ".cell.lock.by").exists()


def test_where_nothing_can_be_written_nobody_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / ".cell.lock.by").write_text("process 1, killed")

    def acquire(*_):
        raise OSError(errno.EROFS, "")

    monkeypatch.setattr(files.FileLock, "acquire", acquire)
    assert not locked(tmp_path / "cell")
    with pytest.raises(FileError, match="Read-only"), lock(tmp_path / "cell"):
        pass


def test_each_task_has_a_log_of_its_own_and_a_kill_is_told(plain_python):
    long, end = "가" * 120, "import os; print('error: {}'); "
    bad = [task(f"{long} {name}", f"{end.format(name)}raise SystemExit(2)") for name in ("a/b", "a b")]
    killed = task("killed", "import os; print('40%', flush=True); os.kill(os.getpid(), 9)")
    outcomes = {one.name: words for one, words in side_by_side([*bad, killed], lanes=3)}
    assert [outcomes[one.name].partition(" (see")[0] for one in bad] == ["error: a/b", "error: a b"]
    assert outcomes["killed"].startswith("it was ended from outside (Killed), as when memory is short")


def test_within_a_training_on_several_processes_nothing_is_launched(monkeypatch):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    with pytest.raises(SettingsError, match="leave out accelerate launch"):
        list(side_by_side([task("one", "")]))


def test_jobs_of_a_cluster_on_this_machine_are_bounded_and_say_why_they_failed(plain_python):
    pytest.importorskip("submitit", reason="submitit is not installed: no cluster was tried")
    (plain_python / "local.yaml").write_text("cluster: local\ntimeout_min: 5\n")
    note = plain_python / "note"
    code = f"import time; f = {str(note)!r}; open(f, 'a').write('('); time.sleep(1); open(f, 'a').write(')')"
    bad = task("bad", "import sys; sys.exit('error: no luck; try again')")
    tasks = [task("one", code), task("two", code), bad]
    outcomes = {one.name: words for one, words in side_by_side(tasks, 1, plain_python / "local.yaml")}
    assert note.read_text() == "()()", "one at a time"
    assert outcomes["one"] == outcomes["two"] == "done"
    assert outcomes["bad"].startswith("error: no luck; try again (see ")


@pytest.mark.parametrize(
    "text",
    [
        "cluster: nonsense",
        "cluster: local\ncolour: red",
        "cluster: local\ntimeout_min: 8h",
        "- 1",
        "cluster: [",
    ],
)
def test_a_cluster_that_cannot_be_is_one_sentence(plain_python, text):
    pytest.importorskip("submitit", reason="submitit is not installed: no cluster was tried")
    (plain_python / "bad.yaml").write_text(text)
    with pytest.raises(SettingsError, match="bad.yaml.*(mend|check)"):
        list(side_by_side([task("one", "")], 1, plain_python / "bad.yaml"))
