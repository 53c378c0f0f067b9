"""Kills at any moment, two at once: what is resumed equals what was never stopped, and one of two wins.

$ASYRP_KILLS sets how many kills each training meets (3 if unset).
"""

import hashlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from toy_domain import build_toy
from toys import ToyClip, randn, tiny_model

from asyrp_lib.domains.domain import Domain
from asyrp_lib.domains.edits import Edit
from asyrp_lib.domains.photos.fetch import fetch_file
from asyrp_lib.domains.photos.registry import Remote
from asyrp_lib.domains.synthfaces.pretrain.loop import Budget, train_network
from asyrp_lib.errors import AsyrpError
from asyrp_lib.experiments import store, stored
from asyrp_lib.method.train import TrainSettings
from asyrp_lib.runs.run import RunConfig, train_run
from asyrp_lib.store import results
from asyrp_lib.store.weights import read_weights, save_weights

from . import tally

KILLS = int(os.environ.get("ASYRP_KILLS", "3"))
if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("no fork server on this system", allow_module_level=True)
FORKS = multiprocessing.get_context("forkserver")
# What takes long is imported once; by name, for this module is not on the server's path.
FORKS.set_forkserver_preload(
    [
        "pytest",
        "asyrp_lib.runs.run",
        "asyrp_lib.domains.photos.fetch",
        "asyrp_lib.domains.synthfaces.pretrain.loop",
    ]
)


def train(folder: Path, epochs: int) -> Path:
    """A small run of f_t on a toy domain."""
    images = lambda split, n, first: randn(n, 3, 16, 16) / 4
    toy = Domain("toy", tiny_model(), images, ToyClip(16), {}, None, Path("nowhere"))
    settings = TrainSettings(steps=4, epochs=epochs, batch_size=1, t_edit=0)
    edit = Edit("green", "face", "green face", t_edit=0)
    return train_run(
        RunConfig("toy", edit, training=settings, images=2), toy, root=folder, progress=False
    ).file


def pretrain(folder: Path, epochs: int) -> Path:
    """The loop of `pretrain` on a toy network."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 1))
    data = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    loss = lambda net, index, _: (net(data[index]) - data[index].sum(1, keepdim=True)).square().mean()
    budget = Budget(600 * epochs, batch=8, warmup=3)
    made, _ = train_network(model, loss, 64, budget, folder, identity={"toy": 1}, save_every=0.02)
    save_weights(folder / "made.safetensors", made.state_dict(), {})
    return folder / "made.safetensors"


def experiment(folder: Path, n: int) -> Path:
    """An experiment on a toy domain, whose result goes to `folder`."""
    results.data_dir = results.runs_dir = lambda: folder
    os.environ["ASYRP_CACHE"] = str(folder / "cache")
    return store(build_toy(), "linearity", n=n, names=["green"], progress=False)


def fetched(folder: Path, url: str) -> Path:
    """A file from a server."""
    fetch_file(Remote("f.bin", url=url), folder, "toy")
    return folder / "f.bin"


def _child(pipe, work, *arguments) -> None:
    torch.set_num_threads(1)
    os.environ.update(TQDM_DISABLE="1", HF_HUB_OFFLINE="")
    pipe.send("begin")
    try:
        pipe.send(("made", str(work(*arguments))))
    except AsyrpError as error:
        pipe.send(("said", str(error)))


class Started:
    """Work in a process of its own, which has begun."""

    def __init__(self, work: Callable, *arguments):
        self.pipe, theirs = FORKS.Pipe(duplex=False)
        self.process = FORKS.Process(target=_child, args=(theirs, work, *arguments), daemon=True)
        self.process.start()
        theirs.close()
        assert self.pipe.poll(120) and self.pipe.recv() == "begin"

    def end(self) -> tuple[str, str]:
        """("made", file) or ("said", sentence)."""
        assert self.pipe.poll(120), "it hangs"
        answer = self.pipe.recv()
        self.process.join(30)
        assert self.process.exitcode == 0
        return answer

    def kill(self) -> bool:
        """kill -9; whether it was still at work."""
        self.process.kill()
        self.process.join(30)
        return self.process.exitcode == -signal.SIGKILL


def weights(started: Started) -> dict[str, torch.Tensor]:
    what, file = started.end()
    assert what == "made", file
    return read_weights(file)[0]


@pytest.mark.parametrize("work", [train, pretrain])
def test_kills(work, tmp_path):
    process = Started(work, tmp_path / "whole", 6)
    began = time.monotonic()
    want = weights(process)
    spent, moments, kills, midway, k = time.monotonic() - began, random.Random(7), 0, 0, 0

    def end(folder: Path) -> None:
        got = weights(Started(work, folder, 6))
        assert got.keys() == want.keys() and all(torch.equal(got[name], want[name]) for name in want)

    for _ in range(20 * KILLS):
        folder = tmp_path / f"killed{k}"
        process = Started(work, folder, 6)
        time.sleep(moments.uniform(0.05, 0.95) * spent)
        if process.kill():
            kills += 1
            midway += any(folder.rglob("state.pt")) and not any(folder.rglob("*.safetensors"))
        if any(folder.rglob("*.safetensors")):  # done: the next kills meet a new run
            end(folder)
            k += 1
        if kills >= KILLS and midway:
            break
    end(folder)
    assert kills >= KILLS and midway, f"{kills} kills met a run, {midway} of them one with a checkpoint"
    tally.COUNTS["processes", "accepted"] += kills


def test_kills_of_an_experiment(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path / "whole")
    toy, n, moments, midway = build_toy(), 2000, random.Random(7), 0
    process = Started(experiment, tmp_path / "whole", n)
    began = time.monotonic()
    assert process.end()[0] == "made"
    spent, want = time.monotonic() - began, stored(toy, "linearity")
    for k in range(KILLS):
        folder = tmp_path / f"killed{k}"
        monkeypatch.setattr(results, "data_dir", lambda folder=folder: folder)
        process = Started(experiment, folder, n)
        time.sleep(moments.uniform(0.05, 1.0) * spent)
        midway += process.kill()
        if list(folder.rglob("toy_linearity.json")):  # a result is whole, with its rows, or not there
            assert stored(toy, "linearity").equals(want)
            assert len(pd.read_csv(folder / "results" / "toy_linearity.csv")) == len(want)
        assert Started(experiment, folder, n).end()[0] == "made"
        assert stored(toy, "linearity").equals(want)
    assert midway, "every kill came too late"
    tally.COUNTS["processes", "accepted"] += midway


def test_two_trainings_in_one_folder(tmp_path):
    first = Started(train, tmp_path, 6)
    while not list(tmp_path.rglob(".*.lock")):
        time.sleep(0.005)
    os.kill(first.process.pid, signal.SIGSTOP)  # so that it holds the folder however fast it is
    try:
        what, said = Started(train, tmp_path, 6).end()
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    assert what == "said" and "in use" in said, said
    assert first.end()[0] == "made"
    tally.COUNTS["processes", "sentence"] += 1
    tally.COUNTS["processes", "accepted"] += 1


def test_two_fetches_at_once(tmp_path):
    content = random.Random(0).randbytes(3_000_000)
    served = tmp_path / "served"
    served.mkdir()
    (served / "f.bin").write_bytes(content)
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/f.bin"
        both = [Started(fetched, tmp_path / "got", url) for _ in range(2)]
        for process in both:
            what, said = process.end()
            assert what == "made", said
            tally.COUNTS["processes", "accepted"] += 1
    finally:
        server.shutdown()
        server.server_close()
    got = (tmp_path / "got" / "f.bin").read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest()
    assert not list((tmp_path / "got").glob("*.part"))
