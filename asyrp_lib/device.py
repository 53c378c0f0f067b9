"""Where to compute; chosen once and handed on."""

import os

import torch

from .errors import AsyrpError, UnknownNameError


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: `name`, else $ASYRP_DEVICE, else CUDA, else Apple's MPS, else the CPU.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps", ...
    Raises:
        UnknownNameError: torch knows no such kind of device.
        AsyrpError: the device is not there on this machine.
    """
    asked = name or os.environ.get("ASYRP_DEVICE") or None
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked is None:
        return torch.device(next(kind for kind, present in there.items() if present))
    kind = asked.partition(":")[0]
    if kind not in there:
        raise UnknownNameError(
            f"No device is called {asked!r}; expected one of {', '.join(sorted(there))}; "
            "change the argument or $ASYRP_DEVICE."
        )
    if not there[kind]:
        raise AsyrpError(
            f"The device {asked!r} was asked for, but torch finds none on this machine; "
            "use 'cpu' or install a torch built for it."
        )
    return torch.device(asked)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16; where it is only emulated, it is many times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
