"""CLIP as the paper uses it: a judge of directions, from any open_clip model."""

import os
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.functional import InterpolationMode, resize

from ..errors import OfflineError, WeightsError
from ..store.weights import load_strictly, read_weights, save_weights

#: The prompt templates that text directions are averaged over: open_clip's copy of OpenAI's ImageNet list.
TEMPLATES = tuple(open_clip.OPENAI_IMAGENET_TEMPLATES)


class Clip(nn.Module):
    """An open_clip model behind the suite's conventions: images in [-1, 1] of any size in, features out.

    `model` has `encode_image(images)` and `encode_text(tokens)`, `tokenizer` makes tokens of a list of texts;
    `image_size`, the side in pixels, `mean` and `std`, of RGB in [0, 1], are what the image tower expects.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: Any,
        tokenizer,
        *,
        image_size: int,
        mean: Sequence[float] = open_clip.OPENAI_DATASET_MEAN,
        std: Sequence[float] = open_clip.OPENAI_DATASET_STD,
    ):
        super().__init__()
        self.model, self.tokenizer, self.image_size = model, tokenizer, image_size
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def preprocess(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> (B, 3, S, S) as the image tower expects; bicubic with antialiasing."""
        unit = resize((images + 1) / 2, [self.image_size] * 2, InterpolationMode.BICUBIC, antialias=True)
        return (unit - self.mean) / self.std

    def encode_images(self, images: Tensor) -> Tensor:
        """Features (B, D), not normalised, of images (B, 3, R, R) in [-1, 1]; differentiable."""
        return self.model.encode_image(self.preprocess(images))

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Features (N, D), not normalised, of N texts."""
        return self.model.encode_text(self.tokenizer(list(texts)).to(self.mean.device))

    def text_direction(self, source: str, target: str) -> Tensor:
        """ΔT (D,), unit length: target minus source text, averaged over `TEMPLATES`.

        (Asyrp Eq. 1-2, Sec. 4; as in StyleGAN-NADA)
        """
        return mean_direction(*(self.encode_texts([f(text) for f in TEMPLATES]) for text in (source, target)))

    def prompt_cosine(self, source: str, target: str) -> float:
        """cos(E_T(source), E_T(target)) of the bare texts; scales λ_recon and t_edit (Asyrp Sec. 3.3, 4)."""
        a, b = F.normalize(self.encode_texts([source, target]), dim=-1)
        return float(a @ b)


def mean_direction(source_features: Tensor, target_features: Tensor) -> Tensor:
    """Unit vector (D,): mean over rows of normalised target minus normalised source, both (N, D)."""
    difference = F.normalize(target_features, dim=-1) - F.normalize(source_features, dim=-1)
    return F.normalize(difference.mean(0), dim=0)


def image_direction(reference_features: Tensor, edited_features: Tensor) -> Tensor:
    """ΔI (B, D): normalised edited minus normalised reference features, brought to unit length."""
    delta = F.normalize(edited_features, dim=-1) - F.normalize(reference_features, dim=-1)
    return delta / (delta.norm(dim=-1, keepdim=True) + 1e-7)  # of an unchanged image: zero, not NaN


def directional_distance(reference_features: Tensor, edited_features: Tensor, direction: Tensor) -> Tensor:
    """L_dir = 1 − cos(ΔI, ΔT) (B,), in [0, 2], from features (B, D) and ΔT (D,) (Asyrp Eq. 1)."""
    moved = image_direction(reference_features, edited_features)
    return 1 - F.cosine_similarity(moved, direction[None], dim=-1)


def clip_loss(distance: Tensor) -> Tensor:
    """−log((2 − L_dir) / 2) elementwise: 0 for an image that moved along ΔT, infinite for the opposite."""
    return -torch.log((2 - distance) / 2)


def load_open_clip(name: str = "ViT-B-32-quickgelu", pretrained: str = "openai") -> Clip:
    """A public open_clip model, frozen; the paper trains with OpenAI's ViT-B/32.

    `name`: architecture, with "-quickgelu" for OpenAI's weights; `pretrained`: weight tag or a local file.
    OfflineError: the weights are not in the local cache and cannot be downloaded.
    """
    try:
        model, _, _ = open_clip.create_model_and_transforms(name, pretrained=pretrained)
    except Exception as error:  # whatever the hub, the network or the cache raised: the cure is the same
        raise OfflineError(
            f"The CLIP weights {name}/{pretrained} are neither cached nor reachable "
            f"({type(error).__name__}); connect once, or give a local file as `pretrained`."
        ) from error
    visual: Any = model.visual
    size = visual.image_size
    clip = Clip(model, open_clip.get_tokenizer(name), image_size=size[0] if isinstance(size, tuple) else size)
    return clip.eval().requires_grad_(False)


def build_clip(config: dict) -> Clip:
    """An untrained Clip from an open_clip model configuration (embed_dim, vision_cfg, text_cfg)."""
    model = open_clip.CLIP(**config)
    tokenizer = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    return Clip(model, tokenizer, image_size=config["vision_cfg"]["image_size"])


def save_clip(clip: Clip, path: str | os.PathLike, config: dict, card: dict) -> None:
    """Write a model built by `build_clip` in half precision with its configuration and card."""
    save_weights(path, clip.model.state_dict(), {"clip": config, "card": card}, dtype=torch.float16)


def load_clip(path: str | os.PathLike) -> Clip:
    """Read what `save_clip` wrote, frozen, on the CPU; WeightsError: missing, damaged, or no such file."""
    state, config = read_weights(path)
    if "clip" not in config:
        raise WeightsError(
            f"{path} holds no CLIP configuration; expected a file of save_clip; check the path."
        )
    clip = build_clip(config["clip"])
    load_strictly(clip.model, state, path)
    return clip.eval().requires_grad_(False)
