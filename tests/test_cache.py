"""The cache answers for exactly what it was asked, and neither its loss nor its damage changes a result."""

import os
import stat
import threading
import warnings

import pytest
import torch
from torch import nn

from asyrp_lib.store import cache
from asyrp_lib.store.cache import cached
from asyrp_lib.store.weights import digest, module_digest, read_weights, save_weights


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASYRP_CACHE_LIMIT", raising=False)
    return tmp_path / "cache" / "tensors"


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 4).requires_grad_(False)


X = torch.arange(8.0).reshape(2, 4)


def ask(module, x=X, settings=None, calls=None, **more):
    """Through the cache; `calls` grows with each computation."""

    def compute():
        if calls is not None:
            calls.append(1)
        return module(x)

    return cached("trial", x, module, settings or {}, compute, **more)


def entries(folder):
    return sorted(folder.glob("*.safetensors"))


def test_the_second_time_it_comes_from_disk_bit_for_bit(linear):
    calls = []
    first, second = ask(linear, calls=calls), ask(linear, calls=calls)
    assert torch.equal(first, second) and len(calls) == 1
    ask(linear, settings={"steps": 3}, calls=calls)
    ask(linear, X + 1, calls=calls)
    assert len(calls) == 3


def test_weights_that_were_changed_are_another_network(linear):
    before = ask(linear)
    linear.weight.mul_(0.5)
    after = ask(linear)
    assert torch.equal(after, linear(X)) and not torch.equal(after, before)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_is_neither_answered_for_nor_remembered(linear, folder, register):
    net = nn.Sequential(linear)
    clean = ask(net)
    result = (lambda m, x, y: y + 1) if register == "register_forward_hook" else (lambda m, x: (x[0] + 1,))
    handle = getattr(linear, register)(result)
    assert torch.equal(ask(net), net(X)) and not torch.equal(ask(net), clean)
    assert len(entries(folder)) == 1
    handle.remove()
    assert torch.equal(ask(net), clean)


def test_global_hooks_backward_hooks_parametrizations_and_replaced_methods_are_computed_plainly(
    linear, folder
):
    handle = nn.modules.module.register_module_forward_hook(lambda m, x, y: y + 1)
    try:
        assert torch.equal(ask(linear), linear(X))
    finally:
        handle.remove()
    handle = linear.register_full_backward_hook(lambda m, i, o: None)
    ask(linear)
    handle.remove()
    linear.forward = lambda x: x
    assert torch.equal(ask(linear), X)
    del linear.forward

    class Twice(nn.Module):
        def forward(self, weight):
            return 2 * weight

    torch.nn.utils.parametrize.register_parametrization(linear, "weight", Twice())
    assert torch.equal(ask(linear), linear(X))
    assert not folder.exists()


def test_dropout_at_work_is_never_remembered(folder):
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    ask(net.train())
    assert not folder.exists()
    ask(net.eval())
    assert len(entries(folder)) == 1


def test_types_structure_and_settings_of_torch_are_part_of_the_key(linear, folder):
    ask(linear)
    ask(linear.double(), X.double())
    linear.float()
    with torch.autocast("cpu", torch.bfloat16):
        low = ask(linear)
    assert low.dtype == torch.bfloat16 and len(entries(folder)) == 3
    norm = nn.GroupNorm(2, 4)
    ask(norm)
    norm = nn.GroupNorm(2, 4, eps=0.5)
    assert torch.equal(ask(norm), norm(X))


def test_bfloat16_and_float64_come_back_as_they_were(linear):
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        net, x = linear.to(dtype), X.to(dtype)
        first, second = ask(net, x), ask(net, x)
        assert first.dtype == second.dtype == dtype and torch.equal(first, second)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p, v: save_weights(p, {"value": v[:1]}, {"digest": digest(v)}),
        lambda p, v: save_weights(p, {"value": v.double()}, {"digest": digest(v)}),
        lambda p, v: save_weights(p, {"value": v + 1}, {"digest": digest(v)}),
        lambda p, v: save_weights(p, {"value": v}, {}),
        lambda p, v: save_weights(p, {"other": v}, {"digest": digest(v)}),
        lambda p, v: p.write_bytes(b""),
        lambda p, v: p.write_bytes(p.read_bytes()[:-3]),
        lambda p, v: p.write_bytes(b"\xff" * 100),
        lambda p, v: p.write_bytes(
            p.read_bytes().replace(b"\x00\x00\x80\x3f", b"\x00\x00\xc0\x7f")
        ),  # 1 -> NaN
    ],
)
def test_a_damaged_entry_is_computed_again_and_mended(folder, damage):
    net = nn.Identity()
    first = ask(net)
    (entry,) = entries(folder)
    damage(entry, first)
    calls = []
    assert torch.equal(ask(net, calls=calls), first) and calls
    assert torch.equal(ask(net, calls=calls), first) and len(calls) == 1


def test_an_entry_with_nan_is_no_answer_even_if_it_is_as_written(folder):
    from safetensors.torch import save_file

    net = nn.Identity()
    ask(net)
    bad = torch.full_like(X, float("nan"))
    save_file({"value": bad}, entries(folder)[0], metadata={"digest": f'"{digest(bad)}"'})
    assert torch.equal(ask(net), X)


def test_what_is_not_finite_is_not_remembered(folder):
    x = torch.tensor([[float("nan")]])
    assert ask(nn.Identity(), x).isnan().all()
    assert not list(folder.parent.rglob("*.safetensors"))


@pytest.mark.parametrize("place", ["/dev/null", "/proc/nowhere", "a file"])
def test_a_cache_that_cannot_be_written_costs_one_warning(linear, tmp_path, monkeypatch, place):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("ASYRP_CACHE", str(tmp_path / place))
    cache._warn.cache_clear()
    with pytest.warns(UserWarning, match="not kept") as caught:
        for x in (X, X + 1):
            assert torch.equal(ask(linear, x), linear(x))
    assert len(caught) == 1


def test_a_full_disk_costs_one_warning(linear, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("asyrp_lib.store.files.os.fsync", full)
    cache._warn.cache_clear()
    with pytest.warns(UserWarning, match="No space left"):
        assert torch.equal(ask(linear), linear(X))


def test_off_and_unused_leave_nothing(linear, tmp_path, monkeypatch):
    calls = []
    ask(linear, calls=calls, use=False)
    monkeypatch.setenv("ASYRP_CACHE", "off")
    monkeypatch.chdir(tmp_path)
    ask(linear, calls=calls)
    ask(linear, calls=calls)
    assert len(calls) == 3 and list(tmp_path.iterdir()) == []


def test_only_the_owner_can_read_it(linear, folder):
    folder.mkdir(parents=True, mode=0o755)
    ask(linear)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entries(folder)[0].stat().st_mode) == 0o600


def test_the_least_recently_used_leave_first(folder, monkeypatch):
    net, images = nn.Identity(), [torch.full((1000,), float(i)) for i in range(4)]
    monkeypatch.setenv("ASYRP_CACHE_LIMIT", "0.013")  # three entries of 4 kB and their headers
    for i, x in enumerate(images[:3]):
        ask(net, x)
        os.utime(max(entries(folder), key=os.path.getmtime), (i, i))
    ask(net, images[0])  # used again: now the second is the oldest
    ask(net, images[3])
    calls = []
    for i in (0, 2, 3):
        ask(net, images[i], calls=calls)
    assert not calls
    ask(net, images[1], calls=calls)
    assert calls
    assert sum(e.stat().st_size for e in entries(folder)) <= 13_000


def test_what_is_larger_than_the_limit_does_not_drive_out_the_rest(folder, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE_LIMIT", "0.01")
    ask(nn.Identity(), torch.zeros(10))
    ask(nn.Identity(), torch.zeros(10_000))
    assert len(entries(folder)) == 1


def test_the_limit_must_be_a_number(linear, monkeypatch, folder):
    cache._warn.cache_clear()
    for nonsense in ("many", "-1", "nan"):
        monkeypatch.setenv("ASYRP_CACHE_LIMIT", nonsense)
        with pytest.warns(UserWarning, match="expected a number of megabytes"):
            ask(linear, X * len(nonsense))
    assert len(entries(folder)) == 3


def test_many_at_once_keep_within_the_limit_and_answer_rightly(folder, monkeypatch):
    monkeypatch.setenv("ASYRP_CACHE_LIMIT", "0.02")
    net, wrong = nn.Identity(), []

    def work(first):
        for i in range(first, first + 12):
            x = torch.full((1000,), float(i % 7))
            if not torch.equal(ask(net, x), x):
                wrong.append(i)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert not wrong and sum(e.stat().st_size for e in entries(folder)) <= 20_000
    assert not [f for f in folder.iterdir() if f.suffix == ".tmp"]


def test_code_edited_since_it_was_imported_is_not_answered_for(linear, folder, monkeypatch):
    monkeypatch.setattr(cache, "_code_digest", lambda: "edited")
    ask(linear)
    assert not folder.exists()


def test_every_file_that_a_result_runs_through_is_in_the_code_digest(monkeypatch):
    read = []
    monkeypatch.setattr(cache.Path, "read_bytes", lambda self: read.append(self.name) or b"")
    cache._code_digest()
    engine = {"build.py", "codec.py", "cut.py", "hspace.py", "noise.py", "process.py", "schedule.py"}
    assert sorted(read) == sorted(engine | {"api.py", "base.py", "conv.py", "fixed.py"})


def test_a_module_is_digested_by_names_types_shapes_and_bytes(linear):
    seen = {module_digest(linear)}
    linear.bias[0] += 1
    seen.add(module_digest(linear))
    seen.add(module_digest(linear.double()))
    seen.add(module_digest(nn.Sequential(linear)))
    seen.add(module_digest(nn.Sequential(linear.bfloat16())))
    assert len(seen) == 5
    assert module_digest(nn.Sequential(linear)) == module_digest(nn.Sequential(linear))


def test_the_real_network_is_plain_and_its_inversions_are_kept(unet, folder):
    assert cache._is_plain(unet)
    x = torch.zeros(1, 3, 16, 16)
    first = cached("trial", x, unet, {}, lambda: unet(x, 500))
    assert torch.equal(first, cached("trial", x, unet, {}, lambda: pytest.fail("computed again")))
    assert torch.equal(read_weights(entries(folder)[0])[0]["value"], first)
