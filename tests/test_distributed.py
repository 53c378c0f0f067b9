"""Several processes train one f_t: the same as one process with the same batches."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip(
    "accelerate", reason="accelerate is not installed: no training on several processes was tried"
)

HERE = Path(__file__).parent
#: Each process notes the images of every batch that it sees.
SCRIPT = """
import json
import os
import sys
from pathlib import Path
from safetensors.torch import save_file
from tiny_domain import build_tiny
from asyrp_lib.method import distributed
from asyrp_lib.runs.run import config_for, train_run

folder, how = Path(sys.argv[1]), json.loads(sys.argv[2])
rank, batches, shard = os.environ.get("RANK", "0"), [], distributed.shard
distributed.shard = lambda index: batches.append(shard(index).tolist()) or shard(index)
domain = build_tiny()
config = config_for(domain, "warm", **{"images": 4, "batch_size": 4, "epochs": 2, "t_edit": 700} | how)
run = train_run(config, domain, root=folder / "runs", progress=False)
save_file(dict(run.delta.state_dict()), folder / f"delta{rank}.safetensors")
run.history.to_csv(folder / f"history{rank}.csv", index=False)
(folder / f"batches{rank}.json").write_text(json.dumps(batches))
"""
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
#: Of SGD without L1, where nothing makes rounding large; of the objective and optimiser as they are Adam
#: divides a gradient that is nearly 0 by its size, and |·|₁ begins at P_t^edit = P_t^ref, where its sign is
#: that of the rounding: a weight may differ by a few of Adam's steps of lr = 2e-3.
SMOOTH = {"lr": 0.5, "optimiser": "sgd", "lambda_recon": 0.0}
CASES = {"smooth": (SMOOTH, 1e-5), "as it is": ({}, 0.02)}


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    return {**os.environ, "PYTHONPATH": path, "ASYRP_CACHE": "off", "OMP_NUM_THREADS": "1", **more}


def train(folder: Path, processes: int, **how) -> list[tuple[str, int]]:
    """What the script says, and its code, in so many processes, as a launcher starts them."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        ranks |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
        command = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(how)]
        env = environment(**ranks if processes > 1 else {})
        started.append(subprocess.Popen(command, env=env, **PIPES))
    return [(p.communicate(timeout=300)[0], p.returncode) for p in started]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_end_where_one_ends_and_each_sees_its_own_half_of_every_batch(case, tmp_path):
    how, within = CASES[case]
    for folder, processes in (("one", 1), ("two", 2)):
        for text, code in train(tmp_path / folder, processes, **how):
            assert not code, text
    one, *two = (
        load_file(tmp_path / name)
        for name in ("one/delta0.safetensors", "two/delta0.safetensors", "two/delta1.safetensors")
    )
    for name, tensor in one.items():
        assert torch.equal(two[0][name], two[1][name]), "both processes hold the same"
        assert torch.allclose(tensor, two[0][name], atol=within), name
    a, b = (pd.read_csv(tmp_path / folder / "history0.csv") for folder in ("one", "two"))
    assert (a - b).abs().max().max() < within and len(a) == len(b)
    whole, *halves = (
        json.loads((tmp_path / name).read_text())
        for name in ("one/batches0.json", "two/batches0.json", "two/batches1.json")
    )
    assert len(whole) == 2, "an epoch is one batch"
    for batch, first, second in zip(whole, *halves, strict=True):
        assert sorted(first + second) == sorted(batch) == [0, 1, 2, 3] and len(first) == len(second) == 2


def test_a_run_of_two_goes_on_from_a_run_of_one(tmp_path):
    for text, code in (
        train(tmp_path, 1, **SMOOTH, epochs=1)
        + train(tmp_path, 2, **SMOOTH)
        + train(tmp_path / "whole", 1, **SMOOTH)
    ):
        assert not code, text
    went_on, whole = (load_file(folder / "delta0.safetensors") for folder in (tmp_path, tmp_path / "whole"))
    assert all(torch.allclose(went_on[name], whole[name], atol=1e-5) for name in whole)


@pytest.mark.parametrize(("images", "batch_size"), [(4, 3), (5, 4), (3, 8)])
def test_a_batch_that_cannot_be_shared_out_is_refused_before_anything_is_made(
    images, batch_size, tiny, monkeypatch, tmp_path
):
    from asyrp_lib.errors import SettingsError
    from asyrp_lib.method import distributed
    from asyrp_lib.runs.run import config_for, train_run

    monkeypatch.setattr(distributed, "count", lambda: 2)
    config = config_for(tiny, "warm", images=images, batch_size=batch_size, t_edit=700)
    with pytest.raises(SettingsError, match="can't be shared out evenly to 2 processes"):
        train_run(config, tiny, root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_train_command_works_under_accelerate_launch_and_one_process_writes_and_speaks(tmp_path):
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    settings = ["--images", "4", "--batch-size", "4", "--epochs", "1", "--t-edit", "700", "--keep-weak"]
    command = [*launcher, str(HERE / "tiny_cli.py"), "train", "warm", "--domain", "tiny", *settings]
    env = environment(ACCELERATE_USE_CPU="true", ASYRP_CACHE=str(tmp_path / "cache"))
    done = subprocess.run(
        [sys.executable, *command, "--out", "f_t.safetensors"], cwd=tmp_path, env=env, timeout=600, **PIPES
    )
    assert not done.returncode, done.stdout[-3000:]
    assert done.stdout.count("wrote f_t.safetensors") == 1 and (tmp_path / "f_t.safetensors").is_file()
    assert len(list(tmp_path.glob("runs/tiny/warm/*/delta.safetensors"))) == 1
