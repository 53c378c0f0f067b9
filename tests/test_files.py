"""Files: the old one or the new one and never half of one, one writer, and a sentence when it can't be."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from asyrp_lib.domains.photos import registry
from asyrp_lib.errors import FileError
from asyrp_lib.store import paths
from asyrp_lib.store.files import atomic_write, check_writable, lock

ROOT = Path(__file__).resolve().parent.parent


def test_a_write_leaves_the_umask_alone_which_is_that_of_all_threads(tmp_path, monkeypatch):
    def changed(mask: int) -> int:
        raise AssertionError("another thread's new file would be everybody's to write to")

    (plain := tmp_path / "plain").touch()
    monkeypatch.setattr(os, "umask", changed)
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("a")
    assert (tmp_path / "a").stat().st_mode == plain.stat().st_mode


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("killed")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_process_killed_between_write_and_replace_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    program = (
        "import os, signal, sys\nfrom asyrp_lib.store.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(target)], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    with atomic_write(target) as temporary:  # what the killed one left behind is in nobody's way
        temporary.write_text("newer")
    assert target.read_text() == "newer"


def test_a_write_that_ends_replaces_the_file(tmp_path):
    with atomic_write(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "new" / "a.txt").read_text() == "new"


def hopeless(folder: Path) -> dict[str, Path]:
    """Places where no file can be written, whoever asks."""
    (folder / "folder").mkdir()
    (folder / "file").write_text("kept")
    os.mkfifo(folder / "pipe")
    return {
        "a folder": folder / "folder",
        "a long name": folder / ("n" * 300),
        "a name just too long": folder / ("n" * 256),
        "a name too long in bytes": folder / ("ü" * 200),
        "a long path": folder.joinpath(*["deep" * 20] * 100) / "a",
        "inside a file": folder / "file" / "a",
        "a device": Path("/dev/null"),
        "a pipe": folder / "pipe",
        "not a real folder": Path("/proc/nowhere/a"),
        "a null byte": folder / "a\0b",
        "no name": Path("/"),
    }


@pytest.mark.parametrize(
    "what",
    ["a folder", "a long name", "a name just too long", "a name too long in bytes", "a long path"]
    + ["inside a file", "a device", "a pipe", "not a real folder", "a null byte", "no name"],
)
def test_what_cannot_be_written_is_one_sentence_before_and_after_the_work(tmp_path, what):
    place = hopeless(tmp_path)[what]
    before = sorted(tmp_path.rglob("*"))
    for attempt in (check_writable, lambda p: atomic_write(p).__enter__()):
        with pytest.raises(FileError, match=r"^Cannot write .*; expected .*; .*\.$") as caught:
            attempt(place)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 450
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "." * 5, "a b", "-x"])
def test_every_name_that_the_disk_takes_can_be_written(tmp_path, name):
    check_writable(tmp_path / "new" / name)
    assert list((tmp_path / "new").iterdir()) == []
    with atomic_write(tmp_path / "new" / name) as temporary:
        temporary.write_text("x")
    assert os.listdir(tmp_path / "new") == [name]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_the_system_refuses_is_one_sentence(tmp_path, monkeypatch, code):
    def refuse(*_args, **_more):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    for attempt in (check_writable, lambda p: atomic_write(p).__enter__()):
        with pytest.raises(FileError, match=os.strerror(code)):
            attempt(tmp_path / "a")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"
)
def test_a_folder_of_somebody_else_is_one_sentence():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.seteuid(65534)
        try:
            with pytest.raises(FileError, match="Permission denied"):
                check_writable(Path(folder) / "a")
            with pytest.raises(FileError, match="Permission denied"), lock(Path(folder) / "a"):
                pass
        finally:
            os.seteuid(0)


def test_a_disk_that_fills_while_writing_is_one_sentence(tmp_path):
    """A limit on the size of files stands for the disk: safetensors and torch.save have their own errors."""
    program = """
import resource, signal, sys, torch
from pathlib import Path
from asyrp_lib.domains.photos import registry
from asyrp_lib.errors import FileError
from asyrp_lib.store.files import atomic_write
from asyrp_lib.store.weights import save_weights
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
folder, big = Path(sys.argv[1]), {"a": torch.zeros(100_000)}
def plain(path):
    with atomic_write(path) as temporary:
        temporary.write_bytes(bytes(100_000))
def pickled(path):
    with atomic_write(path) as temporary:
        torch.save(big, temporary)
for write in (plain, pickled, lambda path: save_weights(path, big, {})):
    (folder / "a").write_text("old")
    try:
        write(folder / "a")
    except FileError as error:
        print(error)
    assert (folder / "a").read_text() == "old" and len(list(folder.iterdir())) == 1
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(line.startswith("Cannot write") for line in lines)


def test_one_writer_at_a_time_and_the_other_is_told_who(tmp_path):
    with (
        lock(tmp_path / "run"),
        pytest.raises(FileError, match=f"in use by process {os.getpid()} on .* since"),
        lock(tmp_path / "run"),
    ):
        pytest.fail("two writers")
    with lock(tmp_path / "run"), lock(tmp_path / "other run"):
        pass
    assert not (tmp_path / "run").exists()


def test_a_lock_goes_with_the_process_that_held_it(tmp_path):
    program = (
        "import sys, time\nfrom asyrp_lib.store.files import lock\n"
        "with lock(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(FileError, match=f"in use by process {other.pid} "), lock(tmp_path / "run"):
            pytest.fail("two writers")
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with lock(tmp_path / "run"):
        pass


def test_a_lock_that_is_waited_for_comes_when_the_other_is_done(tmp_path):
    counter, total = tmp_path / "n", 12
    counter.write_text("0")

    def work():
        with lock(counter, wait=30):
            n = int(counter.read_text())
            with atomic_write(counter) as temporary:
                temporary.write_text(str(n + 1))

    threads = [threading.Thread(target=work) for _ in range(total)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert counter.read_text() == str(total)


@pytest.mark.parametrize("what", ["inside a file", "not a real folder", "a long name"])
def test_a_lock_where_nothing_can_be_written_is_one_sentence(tmp_path, what):
    with pytest.raises(FileError, match="Cannot write"), lock(hopeless(tmp_path)[what]):
        pytest.fail("locked")


def test_an_error_under_a_lock_is_left_alone_and_frees_it(tmp_path):
    with pytest.raises(FileNotFoundError), lock(tmp_path / "run"):
        raise FileNotFoundError("of the work itself")
    with lock(tmp_path / "run"):
        pass


def test_an_installed_package_reads_its_own_data_and_writes_to_the_present_folder(tmp_path, monkeypatch):
    installed = tmp_path / "site-packages" / "asyrp_lib" / "store" / "paths.py"
    monkeypatch.setattr(paths, "__file__", str(installed))
    assert paths.data_dir() == tmp_path / "site-packages" / "asyrp_lib" / "_data"
    assert paths.runs_dir() == Path("runs") and not paths.in_checkout()
    (tmp_path / "site-packages" / "data").mkdir(parents=True)  # another package's
    assert not paths.in_checkout()
    (tmp_path / "site-packages" / "pyproject.toml").write_text("")
    assert paths.data_dir() == tmp_path / "site-packages" / "data"
    assert paths.runs_dir() == tmp_path / "site-packages" / "runs"


def test_where_the_cache_and_the_state_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ASYRP_CACHE", "ASYRP_STATE", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert paths.cache_dir() == tmp_path / ".cache" / "asyrp_lib"
    assert paths.state_dir() == tmp_path / ".local" / "share" / "asyrp_lib"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert paths.cache_dir() == tmp_path / "x" / "asyrp_lib"
    monkeypatch.setenv("ASYRP_CACHE", "~/mine")
    assert paths.cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("ASYRP_CACHE", "off")
    assert paths.cache_dir() is None


def test_what_is_fetched_lies_in_the_checkout_or_with_the_users_data_but_not_in_a_wheel(
    tmp_path, monkeypatch
):
    for name in ("ASYRP_WEIGHTS", "ASYRP_DATASETS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert registry.weights_dir("ffhq") == paths.data_dir() / "weights" / "ffhq"
    monkeypatch.setattr(paths, "in_checkout", lambda: False)
    users = tmp_path / ".local" / "share" / "asyrp_lib"
    assert registry.weights_dir("ffhq") == users / "weights" / "ffhq"
    assert registry.datasets_dir("afhq") == users / "datasets" / "afhq"
    monkeypatch.setenv("ASYRP_WEIGHTS", str(tmp_path / "mine"))
    assert registry.weights_dir("ffhq") == tmp_path / "mine" / "ffhq"


def test_a_user_without_a_home_has_no_cache_and_keeps_state_with_the_runs(monkeypatch):
    for name in ("ASYRP_CACHE", "ASYRP_STATE", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does where there is no home
    assert paths.cache_dir() is None and paths.state_dir() == paths.runs_dir() / "state"
