"""Kills at any moment, two at once: what is resumed equals what was never stopped, and one of two wins.

$ASYRP_KILLS sets how many kills each training meets (3 if unset).
"""

import hashlib
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from asyrp_lib.store.weights import read_weights

from . import tally

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("ASYRP_KILLS", "3"))

TRAIN = """
    import sys, torch
    from pathlib import Path
    from types import SimpleNamespace
    sys.path.insert(0, "tests")
    from toys import ToyClip, randn, tiny_model
    from asyrp_lib import Edit, TrainSettings
    from asyrp_lib.domains.domain import Domain
    from asyrp_lib.errors import AsyrpError
    from asyrp_lib.runs.run import RunConfig, train_run
    torch.set_num_threads(1)
    images = lambda split, n, first: randn(n, 3, 16, 16) / 4
    toy = Domain("toy", tiny_model(), images, ToyClip(16), {}, None, Path("nowhere"))
    settings = TrainSettings(steps=4, epochs=EPOCHS, batch_size=1, t_edit=0)
    edit = Edit("green", "face", "green face", t_edit=0)
    print("begin", flush=True)
    try:
        run = train_run(RunConfig("toy", edit, training=settings, images=2), toy, root=Path(sys.argv[1]),
                        progress=False)
    except AsyrpError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(run.file)
"""
PRETRAIN = """
    import sys, torch
    from pathlib import Path
    from torch import nn
    from asyrp_lib.domains.synthfaces.pretrain.loop import Budget, train_network
    from asyrp_lib.store.weights import save_weights
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, folder = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 1)), Path(sys.argv[1])
    data = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    loss = lambda net, index, generator: (net(data[index]) - data[index].sum(1, keepdim=True)).square().mean()
    print("begin", flush=True)
    made, _ = train_network(model, loss, 64, Budget(8000, batch=8, warmup=3), folder, identity={"toy": 1},
                            save_every=0.02)
    save_weights(folder / "made.safetensors", made.state_dict(), {})
    print(folder / "made.safetensors")
"""


def start(script: str, folder: Path, **values) -> subprocess.Popen:
    """The script in a process of its own."""
    for name, value in values.items():
        script = script.replace(name, str(value))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def result(process: subprocess.Popen) -> dict[str, torch.Tensor]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-2000:]
    return read_weights(out.splitlines()[-1])[0]


@pytest.mark.parametrize("script", [TRAIN, PRETRAIN], ids=["train", "pretrain"])
def test_kills(script, tmp_path):
    began = time.monotonic()
    process = start(script, tmp_path / "whole", EPOCHS=10)
    process.stdout.readline()
    ready = time.monotonic() - began
    want = result(process)
    work = time.monotonic() - began - ready
    moments = random.Random(len(script))
    killed = 0
    for _ in range(KILLS):
        process = start(script, tmp_path / "killed", EPOCHS=10)
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.8) * work / max(1, KILLS / 4))
        process.kill()
        process.communicate()
        killed += process.returncode != 0
        tally.COUNTS["processes", "accepted"] += 1
    assert killed, "each run was over before its kill"
    got = result(start(script, tmp_path / "killed", EPOCHS=10))
    assert got.keys() == want.keys() and all(torch.equal(got[name], want[name]) for name in want)
    litter = {p.suffix for p in (tmp_path / "killed").rglob("*") if p.is_file()} - {".tmp"}
    assert litter <= {p.suffix for p in (tmp_path / "whole").rglob("*") if p.is_file()} | {".by"}


def test_two_trainings_in_one_folder(tmp_path):
    first = start(TRAIN, tmp_path, EPOCHS=60)
    first.stdout.readline()
    while not list(tmp_path.rglob("*.lock")) and first.poll() is None:
        time.sleep(0.01)
    second = start(TRAIN, tmp_path, EPOCHS=60)
    _, err = second.communicate(timeout=300)
    out, trouble = first.communicate(timeout=300)
    assert first.returncode == 0, trouble
    assert second.returncode == 2 and "in use" in err and len(err.strip().splitlines()) == 1, err
    tally.COUNTS["processes", "sentence"] += 1
    tally.COUNTS["processes", "accepted"] += 1


FETCH = """
    import sys
    from pathlib import Path
    from asyrp_lib.domains.photos.fetch import fetch_file
    from asyrp_lib.domains.photos.registry import Remote
    print("begin", flush=True)
    print(fetch_file(Remote("f.bin", url="URL"), Path(sys.argv[1]), "toy", progress=False))
"""


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
        both = [start(FETCH, tmp_path / "got", URL=url) for _ in range(2)]
        for process in both:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            tally.COUNTS["processes", "accepted"] += 1
    finally:
        server.shutdown()
        server.server_close()
    got = (tmp_path / "got" / "f.bin").read_bytes()
    assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest()
    assert not list((tmp_path / "got").glob("*.part"))
