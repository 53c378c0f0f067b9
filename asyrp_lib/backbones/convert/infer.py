"""What a state dict tells of its network: widths, depth, attention, resampling.

Every number is the majority among tensors that show it, and a part exists if several of its tensors do:
one missing, extra or misshapen tensor leaves the answer as it was; strict filling names that tensor.  What
no tensor shows (resolution, attention heads) is known for the paper's architectures, else it must be told.
"""

import re
from collections.abc import Mapping
from statistics import mode
from typing import Any

from torch import Tensor

from ...errors import WeightsError

#: (base width, multiples, depth, levels with attention) -> resolution of every published file that has them.
_DDPM_OF_THE_PAPER = {(128, (1, 1, 2, 2, 4, 4), 2, (4,)): 256}
#: iDDPM and P2, then ADM: base width, depth and levels with attention of 256-px networks with heads of 64.
_OPENAI_OF_THE_PAPER = {(128, 1, (4,)), (256, 2, (3, 4, 5))}


def infer_ddpm(state: Mapping[str, Tensor], told: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `DDPMConfig`, told or from the weights; WeightsError: the resolution is neither."""
    ch = _base_width(state, "temb.dense.0", "temb.dense.1")
    levels = _count(state, r"down\.(\d+)\..*")
    blocks = mode([_count(state, rf"down\.{i}\.block\.(\d+)\..*") for i in range(levels)] or [0])
    shows = r"block\.\d+\.(conv1|temb_proj|norm2|conv2)\..*"
    mult = _multiples([_most(state, rf"down\.{i}\.{shows}") for i in range(levels)], ch)
    attention = tuple(i for i in range(levels) if len(_names(state, rf"down\.{i}\.attn\..*")) > 1)
    image_size = told.get("image_size") or _DDPM_OF_THE_PAPER.get((ch, mult, blocks, attention))
    if image_size is None:
        text = "The weights do not say their resolution, and their architecture is none of the paper's; "
        raise WeightsError(text + "expected it to be told; pass image_size=.")
    return {
        "image_size": image_size,
        "ch": ch,
        "ch_mult": mult,
        "num_res_blocks": blocks,
        "attn_resolutions": tuple(image_size // 2**i for i in attention),
        **told,
    }


def infer_openai(state: Mapping[str, Tensor], told: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `OpenAIConfig`, told or from the weights; WeightsError: resolution or heads are neither."""
    ch = _base_width(state, "time_embed.0", "time_embed.2")
    blocks = _count(state, r"output_blocks\.(\d+)\..*")
    upsampling = _names(state, r"output_blocks\.\d+\.[12]\.(in_layers|conv)\..*")
    ups = {int(name.split(".")[1]) for name in upsampling}
    # levels of equal depth, each but the last ending in an upsampler
    misses = lambda n: len(ups ^ {blocks // n * k - 1 for k in range(1, n)})
    levels = min((n for n in range(1, blocks + 1) if blocks % n == 0), default=1, key=misses)
    depth = blocks // levels - 1
    firsts = [1 + i * (depth + 1) for i in range(levels)]
    inside = [rf"input_blocks\.({'|'.join(map(str, range(first, first + depth)))})" for first in firsts]
    widths = [_most(state, rf"{place}\.0\.(in_layers\.2|out_layers)\..*") for place in inside]
    attending = [len(_names(state, rf"{place}\.1\.(norm|qkv|proj_out)\..*")) > 1 for place in inside]
    attention = tuple(i for i, several in enumerate(attending) if several)
    time = [_most(state, rf"{place}\.0\.emb_layers\..*") for place in inside]
    config = {
        "num_channels": ch,
        "channel_mult": _multiples(widths, ch),
        "num_res_blocks": depth,
        "attention_ds": tuple(2**i for i in attention),
        "resblock_updown": sum(".conv." in name for name in upsampling) <= len(upsampling) / 2,
        "use_scale_shift_norm": mode([t == 2 * width for t, width in zip(time, widths)]),
    }
    if "label_emb.weight" in state:
        config["num_classes"] = len(state["label_emb.weight"])
    in_channels = told.get("in_channels", 3)
    config["out_channels"] = in_channels if in_channels in _sizes(state, r"out\.2\..*") else 2 * in_channels
    known = config["channel_mult"] == (1, 1, 2, 2, 4, 4) and (ch, depth, attention) in _OPENAI_OF_THE_PAPER
    if known and config["resblock_updown"] and config["use_scale_shift_norm"]:
        config |= {"image_size": 256} | ({} if "num_heads" in told else {"num_head_channels": 64})
    elif "image_size" not in told or not {"num_head_channels", "num_heads"} & set(told):
        raise WeightsError(
            "The weights do not say their resolution and attention heads, and their architecture is none of "
            "the paper's; expected them to be told; pass image_size= and num_head_channels= (or num_heads=)."
        )
    return {**config, **told}


def _names(state: Mapping[str, Tensor], pattern: str) -> list[str]:
    return [name for name in state if re.fullmatch(pattern, name)]


def _sizes(state: Mapping[str, Tensor], pattern: str, axis: int = 0) -> list[int]:
    """Length along an axis of every tensor so named."""
    return [state[name].shape[axis] for name in _names(state, pattern) if state[name].ndim > axis]


def _most(state: Mapping[str, Tensor], pattern: str) -> int:
    """The most frequent first axis among the tensors so named."""
    return mode(_sizes(state, pattern) or [0])


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many parts 0, 1, … there are without a gap; three tensors make a part."""
    found = [int(re.sub(pattern, r"\1", name)) for name in _names(state, pattern)]
    count = 0
    while found.count(count) > 2:
        count += 1
    return count


def _base_width(state: Mapping[str, Tensor], first: str, second: str) -> int:
    """Length of the sinusoids of t; their embedding is four times as long."""
    first, second = re.escape(first), re.escape(second)
    embedded = _sizes(state, rf"({first}|{second})\..*") + _sizes(state, rf"{second}\.weight", 1)
    return mode(_sizes(state, rf"{first}\.weight", 1) + [n // 4 for n in embedded] or [0])


def _multiples(widths: list[int], ch: int) -> tuple[float, ...]:
    """Each width as a multiple of the base width."""
    if not ch or not widths or 0 in widths:
        raise WeightsError(
            "The checkpoint has some names of a diffusion network but not its levels; expected an official "
            "checkpoint of a whole U-Net; check the file."
        )
    return tuple(width // ch if width % ch == 0 else width / ch for width in widths)
