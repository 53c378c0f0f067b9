"""The benchmark: what it counts, and what it says of the original."""

import json
from dataclasses import replace

import pytest
import torch
from toys import tiny_model

from asyrp_lib.measure import bench
from asyrp_lib.store import results


def test_runs_take_turns_and_the_median_counts(monkeypatch):
    clock, order = iter([0, 1, 10, 12, 20, 29, 30, 34, 40, 43, 50, 58]), []
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    runs = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert bench.timed(runs, 3, torch.device("cpu")) == {"a": 3, "b": 4}
    assert order == ["a", "b"] * 3


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "matrix_peak", lambda device, dtype: 1e9)
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    table = bench.compare_with_original(tiny_model("ddpm"), "toy", repeats=1, replace=True)
    return table.set_index("figure"), tmp_path


def test_the_original_decodes_twice_in_a_plain_step_and_walks_twice_in_training(table):
    table, folder = table
    model, x = tiny_model("ddpm"), torch.randn(1, 3, 16, 16)
    with bench.FlopCounterMode(display=False) as counter, torch.no_grad():
        z = model.encode(x, 500)
        encoder = counter.get_total_flops() / 1e9
        model.decode(z)
        decoder = counter.get_total_flops() / 1e9 - encoder
    near = lambda got, want: got == pytest.approx(want, rel=0.02)  # f_t, not counted here, is the rest
    assert near(table.ours_gflop["plain step"], encoder + decoder)
    assert near(table.ours_gflop["edited step"], encoder + 2 * decoder)
    assert near(table.original_gflop["plain step"], encoder + 2 * decoder)
    saved = table.original_gflop["training step"] - table.ours_gflop["training step"]
    assert near(saved, encoder + decoder)
    half = table.loc["edit, half of the steps edited, per step"]
    assert half.ours_s == pytest.approx((table.ours_s["plain step"] + table.ours_s["edited step"]) / 2)
    assert (table.ratio == table.original_s / table.ours_s).all()
    assert (table.share_of_peak - table.ours_gflop / table.ours_s).abs().max() < 1e-9
    stored = json.loads(next(folder.rglob("bench_original_toy_cpu.json")).read_text())["data"]
    assert stored["matrix_peak_gflops"] == 1 and len(stored["rows"]) == 4


def test_comparing_leaves_the_network_in_fp32_and_frozen():
    model = tiny_model("ddpm")
    before = model.digest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "matrix_peak", lambda device, dtype: 1e9)
        patch.setattr(bench, "save_result", lambda *args, **how: "nowhere")
        table = bench.compare_with_original(model, "toy", precision="bf16", repeats=1)
    assert (table.ours_s > 0).all() and model.precision == "fp32" and model.digest() == before
    assert not any(p.requires_grad for p in model.parameters())


def test_a_benchmark_that_ends_early_leaves_the_threads_as_they_were(toy, monkeypatch):
    toy.edits["smiling"], green = replace(toy.edits["green"], t_edit=500), toy.delta("green")
    monkeypatch.setattr(toy, "delta", lambda name: green)
    monkeypatch.setattr(bench, "train_delta", lambda *args, **how: (green, [0.0]))
    before, real = torch.get_num_threads(), bench.timed

    def timed(*args):
        if torch.get_num_threads() == 1:
            raise KeyboardInterrupt
        return real(*args)

    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(bench, "timed", timed)
        with pytest.raises(KeyboardInterrupt):
            bench.run_benchmark(toy, repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
