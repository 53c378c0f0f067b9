"""Networks of the paper's sizes with random weights: does this machine run them, how fast and large?

`python -m asyrp_lib.backbones.fullsize` measures each in its own process, through the public loader, from an
official file that it makes up, and writes `data/results/fullsize_<device>.json`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ..device import peak_megabytes, pick_device
from ..errors import UnknownNameError
from ..method.hspace import HSpaceUNet
from ..method.noise import sample_noise
from ..method.schedule import NoiseSchedule
from ..store.files import atomic_write
from ..store.results import save_result
from .build import build_unet
from .convert import ADM, DDPM, P2, OpenAIConfig, ddpm_arguments, ddpm_name, openai_arguments, openai_name
from .load import load_backbone

#: name -> (family, settings) of the networks the paper uses.
FULL_SIZE = {
    "celeba_hq_ddpm": ("ddpm", DDPM),
    "p2": ("openai", P2),
    "imagenet_adm": ("openai", ADM),
    "imagenet_adm_cond": ("openai", {**ADM, "num_classes": 1000}),
}


def random_unet(name: str) -> HSpaceUNet:
    """One of `FULL_SIZE` with the random weights it starts training from, on the CPU."""
    if name not in FULL_SIZE:
        raise UnknownNameError(f"Unknown network {name!r}; known are {', '.join(FULL_SIZE)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build_unet(_arguments(name))
    return HSpaceUNet(net, NoiseSchedule.linear())


def official_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Every official tensor of one of `FULL_SIZE`, and its shape (but for trailing ones)."""
    family, config = FULL_SIZE[name]
    with torch.device("meta"):
        unet = build_unet(_arguments(name))
    shapes = {}
    for ours, tensor in unet.state_dict().items():
        if family == "ddpm":
            theirs = ddpm_name(ours, len(config["ch_mult"]))
        else:
            theirs = openai_name(ours, config["num_res_blocks"], OpenAIConfig(**config).attention)
        fused = theirs.rpartition(".")[0].endswith("qkv")
        shapes[theirs] = (tensor.shape[0] * (3 if fused else 1), *tensor.shape[1:])
    return shapes


def write_random(name: str, path: Path) -> None:
    """Write an official file of one of `FULL_SIZE` with small random numbers in it, atomically."""
    generator, shapes = torch.Generator().manual_seed(0), official_shapes(name)
    state = {key: 0.02 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def measure(path: Path, device: torch.device) -> dict:
    """Load an official file and run one image through it, once, without a warm-up.

    Returns the number of parameters, the digest, shape of h, seconds to load, encode and decode, and peak
    memory before and after in MiB.
    """
    before, clock = peak_megabytes(device), [time.perf_counter()]

    def lap() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        clock.append(time.perf_counter())
        return round(clock[-1] - clock[-2], 3)

    model = load_backbone(path).to(device)
    if model.net.class_embedding is not None:
        model = model.for_class(0)
    row = {"parameters": sum(p.numel() for p in model.parameters()), "load_s": lap()}
    x = sample_noise([0], (model.channels, model.resolution, model.resolution), device)
    with torch.inference_mode():
        lap()
        z = model.encode(x, 500)
        row["encode_s"] = lap()
        eps = model.decode(z)
        row["decode_s"] = lap()
    row |= {
        "h": list(z.h.shape),
        "eps": list(eps.shape),
        "finite": bool(eps.isfinite().all()),
        "digest": model.digest(),
    }
    return row | {"peak_before_mib": round(before), "peak_mib": round(peak_megabytes(device))}


def main() -> None:
    """Measure all of `FULL_SIZE`, or with --file one file, in this process."""
    command = "asyrp_lib.backbones.fullsize"
    parser = argparse.ArgumentParser(f"python -m {command}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", help="cuda, mps or cpu; default: the best there is")
    parser.add_argument("--file", help="measure this official file only, and print its row as JSON")
    args = parser.parse_args()
    device = pick_device(args.device)
    if args.file:
        print(json.dumps(measure(Path(args.file), device)))
        return
    started, rows, digests = time.monotonic(), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FULL_SIZE:
            file = Path(folder) / f"{name}.pt"
            write_random(name, file)
            alone = [sys.executable, "-m", command, "--device", device.type, "--file", str(file)]
            done = subprocess.run(alone, check=True, stdout=subprocess.PIPE, text=True)
            rows[name] = json.loads(done.stdout.splitlines()[-1])
            digests[name] = rows[name].pop("digest")
            file.unlink()
            print(f"{name:<18}" + "  ".join(f"{k} {v}" for k, v in rows[name].items()), flush=True)
    settings = {"batch": 1, "t": 500, "seed": 0}
    made_by = {"started": started, "device": device, "digests": digests}
    print(f"wrote {save_result(f'fullsize_{device.type}', rows, settings, **made_by)}")


def _arguments(name: str) -> dict:
    family, config = FULL_SIZE[name]
    return ddpm_arguments(config) if family == "ddpm" else openai_arguments(config)


if __name__ == "__main__":
    main()
