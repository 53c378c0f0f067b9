"""Several processes train one f_t: the same as one process with the same batches."""

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
#: SGD, and no L1: Adam makes rounding large where a gradient is nearly 0, and at the first step, where
#: P_t^edit is P_t^ref, the sign of |·|₁ is that of the rounding.
SCRIPT = """
import os
import sys
from pathlib import Path
from safetensors.torch import save_file
from tiny_domain import build_tiny
from asyrp_lib.runs.run import config_for, train_run

folder, epochs, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
how = {"images": 4, "batch_size": batch, "epochs": epochs, "t_edit": 700, "lr": 0.5}
how |= {"optimiser": "sgd", "lambda_recon": 0.0}
domain = build_tiny()
run = train_run(config_for(domain, "warm", **how), domain, root=folder / "runs", progress=False)
rank = os.environ.get("RANK", "0")
save_file(dict(run.delta.state_dict()), folder / f"delta{rank}.safetensors")
run.history.to_csv(folder / f"history{rank}.csv", index=False)
"""
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


def train(folder: Path, processes: int, epochs: int = 2, batch: int = 4) -> list[tuple[str, int]]:
    """What the script says, and its code, in so many processes, as `accelerate launch` starts them."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    plain = {**os.environ, "PYTHONPATH": path, "ASYRP_CACHE": "off", "OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(processes):
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        ranks |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
        command = [sys.executable, "-c", SCRIPT, str(folder), str(epochs), str(batch)]
        env = {**plain, **ranks} if processes > 1 else plain
        started.append(subprocess.Popen(command, env=env, **PIPES))
    return [(p.communicate(timeout=300)[0], p.returncode) for p in started]


def test_two_processes_end_where_one_ends(tmp_path):
    for folder, processes in (("one", 1), ("two", 2)):
        for said, code in train(tmp_path / folder, processes):
            assert not code, said
    one, *two = (
        load_file(tmp_path / name)
        for name in ("one/delta0.safetensors", "two/delta0.safetensors", "two/delta1.safetensors")
    )
    for name, tensor in one.items():
        assert torch.equal(two[0][name], two[1][name]), "both processes hold the same"
        assert torch.allclose(tensor, two[0][name], atol=1e-5), name
    a, b = (pd.read_csv(tmp_path / folder / "history0.csv") for folder in ("one", "two"))
    assert (a - b).abs().max().max() < 1e-5 and len(a) == len(b)


def test_a_run_of_two_goes_on_from_a_run_of_one_and_a_batch_that_is_odd_is_refused(tmp_path):
    for said, code in (
        train(tmp_path, 1, epochs=1) + train(tmp_path, 2, epochs=2) + train(tmp_path / "whole", 1)
    ):
        assert not code, said
    went_on, whole = (
        load_file(tmp_path / "delta0.safetensors"),
        load_file(tmp_path / "whole" / "delta0.safetensors"),
    )
    assert all(torch.allclose(went_on[name], whole[name], atol=1e-5) for name in whole)
    for said, code in train(tmp_path / "odd", 2, batch=3):
        assert code and "can't be shared out evenly" in said
