"""Where to compute; chosen once and handed on."""

import os
import resource

import torch

from .errors import AsyrpError, UnknownNameError


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: `name` ("cuda:1"), else $ASYRP_DEVICE, else CUDA, else MPS, else the CPU.

    Raises UnknownNameError where torch knows no such kind of device, AsyrpError where this machine has none.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    asked = name or os.environ.get("ASYRP_DEVICE") or next(filter(there.get, there))
    kind = asked.partition(":")[0]
    if kind not in there:
        known = ", ".join(sorted(there))
        raise UnknownNameError(
            f"No device is called {asked!r}; expected one of {known}; change it or $ASYRP_DEVICE."
        )
    if not there[kind]:
        raise AsyrpError(f"The device {asked!r} was asked for, and torch finds none; use 'cpu'.")
    if asked == "cuda" and "LOCAL_RANK" in os.environ:  # one of several processes: a GPU of its own
        asked = f"cuda:{os.environ['LOCAL_RANK']}"
    return torch.device(asked)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16; emulated it is many times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def pick_precision(device: torch.device, parameters: int, name: str | None = None) -> str:
    """What a network computes in, "fp32" or "bf16": `name`, else $ASYRP_PRECISION, else by size and device.

    bf16 for more than 50 million parameters where the device multiplies in it.  The paper's networks have 94
    million and more and gain; the embedded domain's has 11 million, and its numbers are compared with printed
    ones, so they must not depend on the machine: on CUDA fp32 switches TF32 off.  Raises UnknownNameError for
    another name.
    """
    asked = name or os.environ.get("ASYRP_PRECISION") or None
    if asked not in (None, "fp32", "bf16"):
        raise UnknownNameError(
            f"No precision is called {asked!r}; expected fp32 or bf16; change precision= or $ASYRP_PRECISION."
        )
    precision = asked or ("bf16" if parameters > 50e6 and has_bf16(device) else "fp32")
    if precision == "fp32" and device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # else convolutions keep 10 bits of the mantissa, unasked
    return precision


def pick_memory_format(device: torch.device) -> torch.memory_format:
    """Channels last on a CPU, contiguous elsewhere.

    Measured on one core (AVX2, fp32; encode + decode, CPU seconds): 32 px batch 8 0.110 → 0.102, 128 px
    0.832 → 0.830, 256 px (114 M parameters) 8.08 → 7.76.  Not measured on CUDA, whose GroupNorm copies.
    """
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def peak_megabytes(device: torch.device) -> float:
    """Peak memory so far: of the GPU on CUDA, else the resident set of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
