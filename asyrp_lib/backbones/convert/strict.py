"""Strictness shared by the families: settings that are all known, tensors that all fit.

For every parameter of the diffusers model a few substitutions give its official name, so that a missing,
extra or misshapen tensor is named as its authors named it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from ...errors import WeightsError
from ..build import build_unet


def read_config(kind: type, config: Mapping[str, Any]) -> Any:
    """Settings as a dataclass of `kind`, lists as tuples; WeightsError names an unknown or lacking one."""
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(config) - set(known))
    lacking = [name for name, field in known.items() if field.default is MISSING and config.get(name) is None]
    if unknown or lacking:
        raise WeightsError(
            f"The configuration {'does not know' if unknown else 'lacks'} {(unknown or lacking)[0]!r}; "
            f"expected the settings {', '.join(known)}; {'leave it out' if unknown else 'say it'}."
        )
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in config.items()})


def substitute(name: str, rules: list[tuple[str, str]]) -> str:
    """`name` after all substitutions, each of whole parts only."""
    for pattern, replacement in rules:
        whole = pattern if pattern[-1] == "." else rf"(?<![a-z_]){pattern}(?![a-z\d_])"
        name = re.sub(whole, replacement, name)
    return name


def fill(
    arguments: Mapping[str, Any],
    state: Mapping[str, Tensor],
    official: Callable[[str], str],
    take: Callable[[str, Tensor], Tensor],
) -> UNet2DModel:
    """A network whose every parameter is its official tensor; none may be missing, left over or misshapen.
    Args:
        arguments: of `build_unet`.
        state: official names and tensors; float32 ones are used as they are, without a copy.
        official: name of a parameter -> its official name; q, k and v may share one.
        take: (name of a parameter, official tensor) -> what of the tensor belongs to it.
    Raises WeightsError: names the official tensor that does not fit, or the settings make no network at all.
    """
    try:
        with torch.device("meta"):  # half a billion random weights would take longer than reading them
            unet = build_unet(arguments)
    except Exception as error:  # whatever diffusers and torch trip over
        text = f"These settings make no network ({error}); expected those of an official checkpoint"
        raise WeightsError(f"{text}; check them.") from error
    want = unet.state_dict()
    names = {name: official(name) for name in want}
    for fault, tensors in (
        ("lacks the tensor {!r}", [source for source in names.values() if source not in state]),
        ("has a tensor {!r} that this configuration does not have", sorted({*state} - {*names.values()})),
    ):
        if tensors:
            text = f"The checkpoint {fault.format(tensors[0])}"
            raise WeightsError(f"{text}; expected an official one of this configuration; check both.")
    filled = {}
    for name, source in names.items():
        tensor, shape = state[source], want[name].shape
        parts = 3 if source.rpartition(".")[0].endswith("qkv") else 1
        size = [shape[0] * parts, *shape[1:]]
        # 1x1 convolutions of attention are linear layers here
        if list(tensor.shape[: len(size)]) != size or tensor.numel() != parts * shape.numel():
            raise WeightsError(
                f"The tensor {source!r} has shape {tuple(tensor.shape)}, expected {tuple(size)} up to "
                "trailing ones; the configuration belongs to another checkpoint."
            )
        filled[name] = take(name, tensor).reshape(shape).to(torch.float32)
    unet.load_state_dict(filled, assign=True)
    return unet.eval()
