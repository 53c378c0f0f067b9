"""Hostile files through the loaders that a user reaches: one sentence, no payload run, no memory spent."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from toys import randn, tiny_model

import asyrp_lib as al
from asyrp_lib.backbones.load import load_backbone
from asyrp_lib.domains.photos.datasets import image_source
from asyrp_lib.runs.run import RunConfig, train_run
from asyrp_lib.store import results

from .conftest import CANARY
from .tally import attack


class Payload:
    """A pickle that would make the canary."""

    def __init__(self, how: Callable = os.system):
        self.how = how

    def __reduce__(self):
        made = f"touch {CANARY}" if self.how is os.system else f"open({str(CANARY)!r}, 'w')"
        return self.how, (made,)


def header(metadata, tensors=None, body: bytes = b"", length: int | None = None) -> bytes:
    """The bytes of a safetensors file whose header says anything."""
    text = (
        metadata
        if isinstance(metadata, bytes)
        else json.dumps({"__metadata__": metadata, **(tensors or {})}).encode()
    )
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def torch_bytes(value) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def zipped(entries: dict[str, bytes], encrypted: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    raw = bytearray(stream.getvalue())
    if encrypted:  # the flag alone: no reader can open it without a password
        for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = raw.find(mark)
            while at >= 0:
                raw[at + offset] |= 1
                at = raw.find(mark, at + 4)
    return bytes(raw)


def f_t() -> tuple[dict, dict]:
    """Tensors and metadata of a sound f_t."""
    delta = al.ConvDelta(32, 8)
    meta = {"delta": "ConvDelta", "config": delta.config, "about": delta.about, "card": {}}
    return dict(delta.state_dict()), meta


def safetensors(tensors, meta, tmp: Path) -> bytes:
    file = tmp / "made"
    save_file(
        {k: v.contiguous() for k, v in tensors.items()},
        file,
        {k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()},
    )
    return file.read_bytes()


def network(tmp: Path) -> bytes:
    tiny_model("embedded").save(tmp / "net", {})
    return (tmp / "net").read_bytes()


def deltas(tmp: Path) -> dict[str, bytes]:
    """Files in the place of an f_t."""
    state, meta = f_t()
    sound = safetensors(state, meta, tmp)
    first = next(iter(state))
    changed = lambda **new: safetensors(state, {**meta, **new}, tmp)
    made = {f"cut at {n}": sound[:n] for n in (0, 1, 7, 8, 9, 100, len(sound) // 2, len(sound) - 1)}
    made |= {
        "longer": sound + b"x",
        "text": b"not weights",
        "page": b"<!doctype html><html>",
        "zeros": bytes(4096),
    }
    made |= {f"length {n}": header({}, length=n) for n in (0, 10**9, 2**63, 2**64 - 1)}
    made |= {"no JSON": header(b"{"), "list": header(b"[]"), "deep": header(b'{"a":' * 5000)}
    made |= {
        "deep metadata": header({"delta": "[" * 9000}),
        "metadata of ints": header(b'{"__metadata__":{"a":1}}'),
    }
    far = {"w": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}}
    made["expanded"] = header({}, far, bytes(4))
    made["beyond"] = header({}, {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**12]}}, bytes(4))
    made["negative"] = header({}, {"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4))
    made["dtype"] = header({}, {"w": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))
    for bad in (float("nan"), float("inf"), -float("inf")):
        made[f"tensor {bad}"] = safetensors({**state, first: torch.full_like(state[first], bad)}, meta, tmp)
    made["no tensors"] = safetensors({}, meta, tmp)
    made["a tensor more"] = safetensors({**state, "more": randn(2)}, meta, tmp)
    made["a tensor less"] = safetensors({k: v for k, v in state.items() if k != first}, meta, tmp)
    made["a tensor of ints"] = safetensors({**state, first: torch.zeros(5, dtype=torch.int64)}, meta, tmp)
    made["another shape"] = safetensors({**state, first: randn(2, 2)}, meta, tmp)
    for key in ("delta", "config", "about"):
        made |= {
            f"{key} = {str(v)[:12]}": changed(**{key: v})
            for v in (None, 1, [], "x", [[]], {"x": 1}, 1e308)
            if not (key == "about" and v == {})
        }
    for channels in (10**9, -1, 0, 1.5, "32", None, [], 10**30):
        made[f"channels {str(channels)[:9]}"] = changed(config={**meta["config"], "channels": channels})
    for groups in (0, -1, 7, None, 1e9):
        made[f"groups {groups}"] = changed(config={**meta["config"], "groups": groups})
    for key, values in {
        "t_edit": ("x", -1, 1e9, [], 1.5),
        "train_steps": (0, -1, None, "x", 1e300),
        "name": (None, 1, []),
        "unet_digest": (1, []),
    }.items():
        made |= {f"{key} {v}": changed(about={**meta["about"], key: v}) for v in values}
    return made


def networks(tmp: Path) -> dict[str, bytes]:
    """Files in the place of a U-Net."""
    sound = network(tmp)
    length = struct.unpack("<Q", sound[:8])[0]
    head, body = json.loads(sound[8 : 8 + length]), sound[8 + length :]
    meta = head.pop("__metadata__")
    unet = json.loads(meta["unet"])
    changed = lambda **new: header({**meta, **{k: json.dumps(v) for k, v in new.items()}}, head, body)
    made = {f"cut at {n}": sound[:n] for n in (0, 8, 1000, len(sound) - 1)}
    made |= {
        f"without {key}": header({k: v for k, v in meta.items() if k != key}, head, body)
        for key in ("unet", "betas", "prediction_type")
    }
    for key, values in {
        "block_out_channels": ([10**9, 10**9], [], None, "x", [0], [-32, 64]),
        "layers_per_block": (10**9, 0, -1, "x", None),
        "down_block_types": (["Nope", "DownBlock2D"], [], None, "x"),
        "sample_size": (10**9, 0, -1, "x"),
        "attention_head_dim": (0, -1, 10**9, "x"),
        "norm_num_groups": (0, 7, "x"),
    }.items():
        made |= {f"{key} {v}": changed(unet={**unet, key: v}) for v in values}
    made |= {f"unet {v}": changed(unet=v) for v in (None, [], "x", 1, {"nope": 1})}
    for v in (None, [], "x", [2.0], [0.0], [-1], [1], [[0.1]], 1, ["a"], {"a": 1}, [1e-300] * 3):
        made[f"betas {v}"] = changed(betas=v)
    made |= {f"prediction {v}": changed(prediction_type=v) for v in ("sample", None, 1, [])}
    made |= {f"label {v}": changed(class_label=v) for v in (1, -1, "x", [], 1.5)}
    return made


def pickles() -> dict[str, bytes]:
    """Checkpoints of other people."""
    made = {f"payload {p}": pickle.dumps(Payload(), protocol=p) for p in range(6)}
    made |= {f"payload of {how.__name__}": pickle.dumps({"0": Payload(how)}) for how in (exec, eval)}
    made |= {
        "payload in torch": torch_bytes({"0": Payload()}),
        "payload beside": torch_bytes({"0": {}, "x": Payload()}),
        "payload as name": torch_bytes({Payload(): 1}),
    }
    sound = torch_bytes({"0": {"conv1.weight": randn(32, 32, 1, 1)}})
    made |= {f"cut at {n}": sound[:n] for n in (0, 2, 50, len(sound) // 2, len(sound) - 5)}
    made |= {
        "text": b"hello",
        "zip": zipped({"a": b"b"}),
        "encrypted": zipped({"archive/data.pkl": b"x"}, True),
    }
    made["way out"] = zipped({"../../evil": b"x", "archive/data.pkl": pickle.dumps(Payload())})
    made["bomb"] = zipped({"archive/data.pkl": bytes(50_000_000)})
    for name, v in {
        "None": None,
        "list": [],
        "int": 1,
        "empty": {},
        "of None": {"0": None},
        "of list": {"0": [1]},
        "other": {"0": {"x": randn(2)}},
        "two": {"0": {}, "1": {}},
        "ints": {"0": {1: 2}},
        "NaN": {"0": {"conv1.weight": torch.full((32, 32, 1, 1), float("nan"))}},
        "huge": {"0": {"conv1.weight": torch.zeros(1).expand(10**6, 10**6)}},
    }.items():
        made[f"torch {name}"] = torch_bytes(v)
    return made


def png(width: int, height: int, data: bytes = b"", depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says anything."""
    chunk = lambda kind, content: (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    )
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def drawn(mode: str, form: str, size=(8, 8)) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, form)
    return stream.getvalue()


def pictures() -> dict[str, bytes]:
    """Images that are none, or too large."""
    sound = drawn("RGB", "PNG")
    made = {f"cut at {n}": sound[:n] for n in (0, 1, 8, 20, 33, len(sound) - 20)}
    made |= {
        f"{w} x {h}": png(w, h)
        for w, h in ((20_000, 10_000), (60_000, 60_000), (2**31 - 1, 1), (0, 8), (8, 0))
    }
    made |= {"no data": png(8, 8), "depth 3": png(8, 8, depth=3), "colour 9": png(8, 8, colour=9)}
    made |= {
        "text": b"hello",
        "page": b"<html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "empty zip": zipped({}),
    }
    made |= {
        "JPEG mark": b"\xff\xd8\xff\xe0",
        "GIF mark": b"GIF89a",
        "TIFF mark": b"II*\0\xff\xff\xff\xff",
        "BMP mark": b"BM" + bytes(60),
        "WEBP mark": b"RIFF\0\0\0\0WEBP",
        "pickle": pickle.dumps(Payload()),
    }
    made |= {
        "float TIFF": drawn("F", "TIFF"),
        "32-bit TIFF": drawn("I", "TIFF"),
        "wrong size": drawn("RGB", "PNG", (9, 8)),
        "1 pixel": drawn("RGB", "PNG", (1, 1)),
        "JPEG cut": drawn("RGB", "JPEG")[:300],
    }
    return made


def modes() -> dict[str, bytes]:
    """Sound images of rare kinds."""
    kinds = [
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("I;16", "PNG"),
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("RGB", "JPEG"),
        ("P", "GIF"),
        ("1", "TIFF"),
        ("L", "TIFF"),
        ("RGBA", "TIFF"),
        ("CMYK", "TIFF"),
        ("LAB", "TIFF"),
        ("I;16", "TIFF"),
        ("RGB", "BMP"),
        ("RGB", "WEBP"),
        ("RGBA", "WEBP"),
        ("RGB", "PPM"),
    ]
    return {f"{mode} {form}": drawn(mode, form) for mode, form in kinds}


#: kind -> (files made in a folder, ending, what reads one)
READERS = {
    "delta": (deltas, ".safetensors", al.load_delta),
    "network": (networks, ".safetensors", al.HSpaceUNet.from_pretrained),
    "checkpoint": (lambda tmp: pickles(), ".pth", al.load_official_delta),
    "backbone": (lambda tmp: pickles(), ".pt", load_backbone),
    "image": (lambda tmp: pictures(), ".png", lambda path: al.read_image(path, 8)),
}
#: Odd, and taken: kind, name -> reason.
TAKEN = {("image", "cut at 49"): "readable"}


@pytest.mark.parametrize("kind", READERS)
def test_hostile_files(kind, tmp_path):
    make, ending, read = READERS[kind]
    wrong = []
    for k, (name, content) in enumerate(make(tmp_path).items()):
        path = tmp_path / f"hostile{k}{ending}"
        path.write_bytes(content)
        try:
            attack("files", lambda: read(path), TAKEN.get((kind, name), ""))  # noqa: B023, called at once
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not CANARY.exists()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mode", modes())
def test_images_of_rare_kinds(mode, tmp_path):
    (tmp_path / "rare").write_bytes(modes()[mode])
    attack("files", lambda: al.read_image(tmp_path / "rare", 8), "readable")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"data": NaN, "provenance": {}}',
        b'{"data": 1}',
        b"[" * 50_000,
        b"\xff\xfe",
        b'{"data": Infinity, "provenance": {"seconds": 1}}',
        b'{"data": {}, "provenance": []}',
        b"1",
        b'"x"',
    ],
    ids=lambda c: repr(c)[:30],
)
def test_results(content, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "data_dir", lambda: tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "bad.json").write_bytes(content)
    attack("files", lambda: results.load_result("bad", "make it"))


STATES = [
    "empty",
    "text",
    "cut",
    "list",
    "None",
    "payload",
    "no keys",
    "identity",
    "NaN weights",
    "other shapes",
    "done -1",
]


@pytest.mark.parametrize("kind", STATES)
def test_states(kind, toy, tmp_path, monkeypatch):
    edit = al.Edit("green", "face", "green face", t_edit=500)
    (training,) = (al.TrainSettings(steps=2, epochs=1, batch_size=1),)
    toy_unet = tiny_model()
    toy.unet, toy.clip = toy_unet, __import__("toys").ToyClip(16)
    toy.image_source = lambda split, n, first: randn(n, 3, 16, 16) / 4
    config = RunConfig("toy", edit, {"kind": "ConvDelta"}, training, images=1)
    run = train_run(config, toy, root=tmp_path / "runs", progress=False)
    state = run.folder / "state.pt"
    kept = torch.load(state, weights_only=True)
    weights = kept["delta"]
    first = next(iter(weights))
    new = {
        "empty": b"",
        "text": b"hello",
        "cut": state.read_bytes()[:400],
        "list": torch_bytes([]),
        "None": torch_bytes(None),
        "payload": torch_bytes({**kept, "names": Payload()}),
        "no keys": torch_bytes({}),
        "identity": torch_bytes({**kept, "identity": "{}"}),
        "NaN weights": torch_bytes({**kept, "delta": {**weights, first: weights[first] * float("nan")}}),
        "other shapes": torch_bytes({**kept, "delta": {**weights, first: randn(2)}}),
        "done -1": torch_bytes({**kept, "done": -1}),
    }[kind]
    state.write_bytes(new)
    attack("files", lambda: train_run(config, toy, root=tmp_path / "runs", progress=False))
    assert not CANARY.exists()


FOLDERS = {
    "empty": {},
    "no weights": {"config.json": b"{}"},
    **{
        f"config {c!r:.20}": {"config.json": c, "diffusion_pytorch_model.bin": pickle.dumps(Payload())}
        for c in (
            b"",
            b"{",
            b"[]",
            b"null",
            b"[" * 50_000,
            b"\xff",
            b'{"_class_name": "AutoencoderKL"}',
            b'{"block_out_channels": [1000000000]}',
            b'{"sample_size": NaN}',
        )
    },
    "payload": {"config.json": b"{}", "diffusion_pytorch_model.bin": pickle.dumps(Payload())},
    "latent": {"config.json": b"{}", "model_index.json": b'{"vae": ["diffusers", "AutoencoderKL"]}'},
    "bad index": {"config.json": b"{}", "model_index.json": b"{"},
    "page": {"config.json": b"{}", "diffusion_pytorch_model.safetensors": b"<html>"},
    "bad scheduler": {"config.json": b"{}", "scheduler_config.json": b"{"},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name, tmp_path):
    for file, content in FOLDERS[name].items():
        (tmp_path / file).write_bytes(content)
    attack("files", lambda: al.load_domain(str(tmp_path), device="cpu"))
    assert not CANARY.exists()


ZIPS = {
    "cut": lambda: zipped({"a.png": drawn("RGB", "PNG")})[:60],
    "text": lambda: b"hello",
    "none": lambda: zipped({}),
    "no images": lambda: zipped({"a.txt": b"x"}),
    "encrypted": lambda: zipped({"a.png": drawn("RGB", "PNG")}, True),
    "bomb": lambda: zipped({"a.png": bytes(80_000_000)}),
    "damaged image": lambda: zipped({"a.png": b"x"}),
    "way out": lambda: zipped({"../../../evil.txt": b"x"}),
}


@pytest.mark.parametrize("name", ZIPS)
def test_archives(name, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "images.zip").write_bytes(ZIPS[name]())
    attack("files", lambda: image_source(folder, 8, cure="mend it")("train", 1, 0))
    assert not list(tmp_path.parent.rglob("evil.txt"))
