"""The public API: what is no such thing meets one sentence, and what is taken has a reason."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image
from toys import randn, tiny_model

import asyrp_lib as al
from asyrp_lib import check
from asyrp_lib.backbones.load import load_backbone
from asyrp_lib.deltas import build_delta
from asyrp_lib.method.schedule import time_grid
from asyrp_lib.runs.run import RunConfig, config_for

from .tally import attack

QUIET = {"steps": 2, "progress": False}
NAN, INF = float("nan"), float("inf")
#: Values that are hardly ever what is asked for.
ODD = {
    "None": None,
    "True": True,
    "text": "nope",
    "empty text": "",
    "path text": "../../etc/passwd",
    "NUL": "a\0b",
    "long text": "x" * 300,
    "lines": "a\nb",
    "float": 2.5,
    "-1": -1,
    "0": 0,
    "huge": 10**30,
    "nan": NAN,
    "list": [],
    "list of None": [None],
    "dict": {},
    "object": object(),
    "numpy int": np.int64(2),
    "numpy bool": np.bool_(True),
    "array": np.zeros((2, 2)),
    "tensor": torch.zeros(2, 2),
    "image": Image.new("RGB", (3, 3)),
}
#: What stands for images or x_T.
TENSORS = {
    "no batch": randn(3, 4, 4),
    "one channel": randn(1, 1, 4, 4),
    "four channels": randn(1, 4, 4, 4),
    "channels last": randn(1, 4, 4, 3),
    "another size": randn(1, 3, 5, 5),
    "oblong": randn(1, 3, 4, 5),
    "no image": randn(0, 3, 4, 4),
    "five axes": randn(1, 1, 3, 4, 4),
    "int64": torch.zeros(1, 3, 4, 4, dtype=torch.int64),
    "uint8": torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
    "bool": torch.zeros(1, 3, 4, 4, dtype=torch.bool),
    "complex": torch.zeros(1, 3, 4, 4, dtype=torch.complex64),
    "sparse": torch.zeros(1, 3, 4, 4).to_sparse(),
    "meta": torch.zeros(1, 3, 4, 4, device="meta"),
    "NaN": torch.full((1, 3, 4, 4), NAN),
    "one NaN": torch.cat([randn(1, 3, 4, 4), torch.full((1, 3, 4, 4), NAN)]),
    "inf": torch.full((1, 3, 4, 4), INF),
    "1e30": torch.full((1, 3, 4, 4), 1e30),
    "float64 1e300": torch.full((1, 3, 4, 4), 1e300, dtype=torch.float64),
    "array of objects": np.full((1, 3, 4, 4), None),
    "array of texts": np.full((1, 3, 4, 4), "a"),
    "array of ints": np.zeros((1, 3, 4, 4), np.int32),
    "array of NaN": np.full((1, 3, 4, 4), NAN),
    "nested list": [[[[0.0] * 4] * 4] * 3],
}
FINE = {
    "float64": randn(1, 3, 4, 4).double(),
    "float16": randn(1, 3, 4, 4).half(),
    "bfloat16": randn(1, 3, 4, 4).bfloat16(),
    "not contiguous": randn(1, 4, 4, 3).permute(0, 3, 1, 2),
    "wants gradients": randn(1, 3, 4, 4).requires_grad_(),
    "array": randn(1, 3, 4, 4).numpy(),
    "array float64": randn(1, 3, 4, 4).double().numpy(),
    "read-only array": np.broadcast_to(np.float32(0.1), (1, 3, 4, 4)),
}

#: target -> (call(world, value), values that are taken: name -> reason)
WORD = {"text": "name"}
TARGETS = {
    "invert images": (lambda w, v: al.invert(w.toy, v, **QUIET), {}),
    "invert steps": (lambda w, v: al.invert(w.toy, w.x, steps=v, progress=False), {"numpy int": "number"}),
    "invert batch_size": (
        lambda w, v: al.invert(w.toy, w.x, batch_size=v, **QUIET),
        {"numpy int": "number", "None": "default"},
    ),
    "generate x_T": (lambda w, v: al.generate(w.toy, v, **QUIET), {}),
    "generate steps": (
        lambda w, v: al.generate(w.toy, w.x, steps=v, progress=False),
        {"numpy int": "number"},
    ),
    "edit x_T": (lambda w, v: al.edit(w.toy, v, {"red": 1.0}, **QUIET), {}),
    "edit edits": (
        lambda w, v: al.edit(w.toy, w.x, v, **QUIET),
        {"dict": "empty", "list": "empty"},
    ),
    "edit strength": (
        lambda w, v: al.edit(w.toy, w.x, {"red": v}, **QUIET),
        {k: "small" for k in ("float", "-1", "0", "numpy int")},
    ),
    "edit steps": (
        lambda w, v: al.edit(w.toy, w.x, {"red": 1.0}, steps=v, progress=False),
        {"numpy int": "number"},
    ),
    "edit t_edit": (
        lambda w, v: al.edit(w.toy, w.x, {"red": 1.0}, t_edit=v, **QUIET),
        {"None": "default", "0": "small", "numpy int": "number"},
    ),
    "edit t_boost": (
        lambda w, v: al.edit(w.toy, w.x, {"red": 1.0}, t_boost=v, **QUIET),
        {"0": "small", "numpy int": "number"},
    ),
    "edit seeds": (lambda w, v: al.edit(w.toy, w.x, {"red": 1.0}, seeds=v, **QUIET), {"None": "default"}),
    "mean x_T": (lambda w, v: al.per_time_mean(w.toy, v, "red", **QUIET), {}),
    "mean delta": (lambda w, v: al.per_time_mean(w.toy, w.x, v, **QUIET), {}),
    "mean steps": (
        lambda w, v: al.per_time_mean(w.toy, w.x, "red", steps=v, progress=False),
        {"numpy int": "number"},
    ),
    "photo path": (lambda w, v: al.edit_photo(w.toy, v, {"red": 1.0}, **QUIET), {}),
    "read_image path": (lambda w, v: al.read_image(v, 4), {}),
    "read_image resolution": (
        lambda w, v: al.read_image(w.png, v, resize=True),
        {"numpy int": "number"},
    ),
    "write_image image": (lambda w, v: al.write_image(w.folder / "o.png", v), {}),
    "write_image path": (
        lambda w, v: al.write_image(
            v if not isinstance(v, str) else str(w.folder / "sub") + "/" + v, randn(3, 4, 4)
        ),
        {"text": "path", "lines": "path", "path text": "path"},
    ),
    "train edit": (lambda w, v: al.train_delta(w.toy, v, w.settings, images=1, progress=False), {}),
    "train settings": (
        lambda w, v: al.train_delta(w.toy, w.edit, v, images=1, x_T=w.x, progress=False),
        {},
    ),
    "train images": (
        lambda w, v: al.train_delta(w.toy, w.edit, w.settings, images=v, delta=w.delta(), progress=False),
        {"None": "default", "numpy int": "number"},
    ),
    "train x_T": (
        lambda w, v: al.train_delta(w.toy, w.edit, w.settings, x_T=v, delta=w.delta(), progress=False),
        {"None": "default"},
    ),
    "train delta": (
        lambda w, v: al.train_delta(w.toy, w.edit, w.settings, x_T=w.x, delta=v, progress=False),
        {},
    ),
    "images n": (lambda w, v: w.toy.images("test", v), {"numpy int": "number"}),
    "images first": (lambda w, v: w.toy.images("test", 1, first=v), {"0": "small", "numpy int": "number"}),
    "noise n": (lambda w, v: w.toy.seeded_noise(v), {"numpy int": "number"}),
    "noise first": (lambda w, v: w.toy.seeded_noise(1, first=v), {"0": "small", "numpy int": "number"}),
    "edit_named": (lambda w, v: w.toy.edit_named(v), {}),
    "direction_file": (lambda w, v: w.toy.direction_file(v), {"text": "name"}),
    "Panel x_T": (lambda w, v: al.Panel(w.toy, v, ["red"], [0, 1], **QUIET), {}),
    "Panel edits": (lambda w, v: al.Panel(w.toy, w.x, v, [0, 1], **QUIET), {}),
    "Panel strengths": (lambda w, v: al.Panel(w.toy, w.x, ["red"], v, **QUIET), {}),
    "check.whole": (lambda w, v: check.whole("x", v, 1, 9), {"numpy int": "number"}),
    "check.number": (
        lambda w, v: check.number("x", v, 0, 9),
        {"float": "small", "0": "small", "numpy int": "number"},
    ),
    "check.strengths": (
        lambda w, v: check.strengths("x", v, 2),
        {k: "small" for k in ("float", "-1", "0", "numpy int")},
    ),
    "check.seeds": (lambda w, v: check.seeds(v, 2), {"None": "default"}),
    "check.edit_name": (lambda w, v: check.edit_name(v), WORD),
    "check.text": (
        lambda w, v: check.text("x", v),
        {"text": "name", "path text": "name", "long text": "name"},
    ),
    "TrainSettings steps": (lambda w, v: al.TrainSettings(steps=v), {"numpy int": "number"}),
    "TrainSettings t_edit": (
        lambda w, v: al.TrainSettings(t_edit=v),
        {"None": "default", "0": "small", "numpy int": "number"},
    ),
    "TrainSettings lambda_clip": (
        lambda w, v: al.TrainSettings(lambda_clip=v),
        {"None": "default", "float": "small", "0": "small", "numpy int": "number"},
    ),
    "TrainSettings optimiser": (lambda w, v: al.TrainSettings(optimiser=v), {}),
    "TrainSettings lr": (lambda w, v: al.TrainSettings(lr=v), {"float": "small", "numpy int": "number"}),
    "TrainSettings lr_decay": (lambda w, v: al.TrainSettings(lr_decay=v), {}),
    "TrainSettings epochs": (lambda w, v: al.TrainSettings(epochs=v), {"numpy int": "number"}),
    "TrainSettings batch_size": (lambda w, v: al.TrainSettings(batch_size=v), {"numpy int": "number"}),
    "TrainSettings seed": (
        lambda w, v: al.TrainSettings(seed=v),
        {"0": "small", "numpy int": "number"},
    ),
    "Edit name": (lambda w, v: al.Edit(v, "face", "red face"), WORD),
    "Edit target": (
        lambda w, v: al.Edit("a", "face", v),
        {"text": "name", "path text": "name", "long text": "name"},
    ),
    "Edit sign": (
        lambda w, v: al.Edit("a", "face", "b", sign=v),
        {"-1": "small", "True": "number", "numpy bool": "number"},
    ),
    "Edit t_edit": (
        lambda w, v: al.Edit("a", "face", "b", t_edit=v),
        {"None": "default", "0": "small", "numpy int": "number"},
    ),
    "RunConfig images": (lambda w, v: RunConfig("toy", w.edit, images=v), {"numpy int": "number"}),
    "RunConfig edit": (lambda w, v: RunConfig("toy", v), {}),
    "RunConfig training": (lambda w, v: RunConfig("toy", w.edit, training=v), {"dict": "default"}),
    "config_for edit": (lambda w, v: config_for(w.toy, v), {}),
    "config_for epochs": (
        lambda w, v: config_for(w.toy, w.edit, epochs=v),
        {"None": "default", "numpy int": "number"},
    ),
    "schedule": (lambda w, v: al.NoiseSchedule(v), {}),
    "schedule betas": (lambda w, v: al.NoiseSchedule.from_betas(v), {}),
    "schedule config": (lambda w, v: al.NoiseSchedule.from_config(v), {"dict": "default"}),
    "schedule shifted": (
        lambda w, v: al.NoiseSchedule.linear(10).shifted(v),
        {"float": "small", "numpy int": "number"},
    ),
    "schedule alpha_bar": (
        lambda w, v: al.NoiseSchedule.linear(10).alpha_bar(v),
        {"-1": "small", "0": "small", "numpy int": "number"},
    ),
    "time_grid": (lambda w, v: time_grid(v), {"numpy int": "number"}),
    "ConvDelta channels": (lambda w, v: build_delta({"kind": v}, (32, 4, 4), 8), {}),
    "build_delta config": (lambda w, v: build_delta(v, (32, 4, 4), 8), {"dict": "default"}),
    "build_delta groups": (
        lambda w, v: build_delta({"groups": v}, (32, 4, 4), 8),
        {"numpy int": "number"},
    ),
    "load_delta": (lambda w, v: al.load_delta(v), {}),
    "load_official_delta": (lambda w, v: al.load_official_delta(v), {}),
    "load_domain": (lambda w, v: al.load_domain(v), {}),
    "load_domain device": (lambda w, v: al.load_domain("mars", device=v), {}),
    "load_backbone": (lambda w, v: load_backbone(v), {}),
    "from_pretrained": (lambda w, v: al.HSpaceUNet.from_pretrained(v), {}),
    "HSpaceUNet prediction": (
        lambda w, v: al.HSpaceUNet(w.unet.net, w.unet.schedule, v),
        {},
    ),
}
UNET = tiny_model()
IMAGES = ("invert images", "generate x_T", "edit x_T", "mean x_T", "train x_T", "Panel x_T")


@pytest.fixture
def world(toy, tmp_path):
    """A toy domain and sound values beside it."""
    png = tmp_path / "sound.png"
    Image.new("RGB", (4, 4), "red").save(png)
    edit = al.Edit("green", "face", "green face", t_edit=500)
    delta = lambda: al.ConvDelta(3, 1, groups=3, name="green")
    return SimpleNamespace(
        toy=toy,
        x=randn(1, 3, 4, 4) / 3,
        png=png,
        folder=tmp_path,
        edit=edit,
        delta=delta,
        settings=al.TrainSettings(steps=2, epochs=1, batch_size=1, t_edit=0),
        unet=UNET,
    )


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("target", TARGETS)
def test_odd_values(world, target, odd):
    call, taken = TARGETS[target]
    attack("api", partial(call, world, ODD[odd]), taken.get(odd, ""))


@pytest.mark.parametrize("odd", TENSORS)
@pytest.mark.parametrize("target", IMAGES)
def test_odd_tensors(world, target, odd):
    attack("api", partial(TARGETS[target][0], world, TENSORS[odd]))


@pytest.mark.parametrize("kind", FINE)
@pytest.mark.parametrize("target", ("invert images", "generate x_T", "edit x_T", "mean x_T", "Panel x_T"))
def test_tensors_of_other_kinds(world, target, kind):
    attack("api", partial(TARGETS[target][0], world, FINE[kind]), "image")


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=80),
    st.binary(max_size=4),
)
#: Deterministic, and nothing is kept.
TRIES = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@TRIES
@given(value=PLAIN)
def test_whole_numbers(value):
    fits = type(value) is int and 1 <= value <= 9
    attack("api", lambda: check.whole("x", value, 1, 9), "small" if fits else "")


@TRIES
@given(value=st.one_of(PLAIN, st.lists(st.floats(), max_size=3)))
def test_strengths(value):
    listed = value if isinstance(value, list) else [value]
    number = all(type(v) in (int, float) and abs(v) <= check.STRONGEST for v in listed)
    fits = number and (not isinstance(value, list) or len(value) == 2)
    attack("api", lambda: check.strengths("x", value, 2), "small" if fits else "")


@TRIES
@given(name=st.text(max_size=70))
def test_names_are_safe_as_files(name):
    attack("api", lambda: check.edit_name(name), "name", either=True)
    try:
        kept = check.edit_name(name)
    except al.AsyrpError:
        return
    assert "/" not in kept and "." not in kept and "\0" not in kept and len(kept) <= 60


@TRIES
@given(steps=PLAIN, t_edit=PLAIN)
def test_settings_hold_their_ranges(steps, t_edit):
    attack("api", lambda: al.TrainSettings(steps=steps, t_edit=t_edit), "convertible", either=True)
    try:
        made = al.TrainSettings(steps=steps, t_edit=t_edit)
    except al.AsyrpError:
        return
    assert 1 <= made.steps <= 1000 and (made.t_edit is None or 0 <= made.t_edit <= 999)
