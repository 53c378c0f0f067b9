"""A frozen diffusion U-Net cut at its bottleneck: everything the method needs to know about a backbone.

`encode` runs the U-Net down to h, the output of the mid block; `decode` runs it up again and answers ε.  Whatever
differs between backbones (learned variance, v-prediction) ends here; above this file there is only ε.
Source: Asyrp Sec. 3.2 (h-space), Fig. 2.
"""

# pyright: reportAttributeAccessIssue=false, reportOptionalCall=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
# diffusers sets its attributes from the configuration

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import UNet2DModel
from safetensors import SafetensorError
from torch import Tensor, nn

from ..backbones.build import EXTRAS, build_unet
from ..errors import AsyrpError, WeightsError
from ..store.weights import digest, load_strictly, module_digest, read_weights, save_weights
from .schedule import NoiseSchedule


class Encoded(NamedTuple):
    """What the encoder leaves for the decoder.

    Attributes:
        h: (B, C_h, H, W), the bottleneck; the h-space of the paper.
        skips: the encoder's activations, in the order they were made.
        emb: (B, E), output of the two-layer time MLP.
        x: (B, C, R, R), x_t itself, because v-prediction needs it to give ε.
        t: (B,) int64.
    """

    h: Tensor
    skips: tuple[Tensor, ...]
    emb: Tensor
    x: Tensor
    t: Tensor


class HSpaceUNet(nn.Module):
    """A frozen `UNet2DModel` with its noise schedule, as encoder and decoder around h-space.

    Args:
        unet: any diffusers UNet2DModel; put in eval mode, its parameters are frozen.
        schedule: its noise schedule.
        prediction_type: what the network's output means: "epsilon" or "v_prediction".
        class_label: of a class-conditional network: the class of every picture, unless `encode` is given others.
    Raises:
        WeightsError: an unknown prediction type, or a U-Net without a mid block, of a score SDE, of unknown resolution, with
            an odd number of outputs or with class embeddings other than a table.
        AsyrpError: a label that the network does not know.
    """

    def __init__(
        self,
        unet: UNet2DModel,
        schedule: NoiseSchedule,
        prediction_type: str = "epsilon",
        class_label: int | None = None,
    ):
        super().__init__()
        if prediction_type not in ("epsilon", "v_prediction"):
            raise WeightsError(
                f"The model predicts {prediction_type!r}; expected 'epsilon' or 'v_prediction'; convert it first."
            )
        if unet.mid_block is None:
            raise WeightsError(
                "The U-Net has no mid block and so no h-space; expected one; choose another checkpoint."
            )
        if unet.config.time_embedding_type == "fourier" or any(
            hasattr(b, "skip_conv") for b in unet.down_blocks
        ):
            raise WeightsError(
                "The U-Net is one of a score SDE (Fourier time or image skips); expected a DDPM, iDDPM or ADM "
                "network; choose another checkpoint."
            )
        if unet.config.sample_size is None:
            raise WeightsError(
                "This U-Net does not say its resolution; expected sample_size in its configuration; add it "
                "to config.json."
            )
        if unet.config.out_channels not in (unet.config.in_channels, 2 * unet.config.in_channels):
            raise WeightsError(
                f"The U-Net gives {unet.config.out_channels} channels for {unet.config.in_channels}; expected as many, "
                "or twice as many with a learned variance; choose another checkpoint."
            )
        if unet.config.class_embed_type is not None:
            raise WeightsError(
                f"The U-Net embeds classes by {unet.config.class_embed_type!r}; expected a table with one row per "
                "class; choose another checkpoint."
            )
        self.unet = unet.eval().requires_grad_(False)
        self.schedule, self.prediction_type = schedule, prediction_type
        label = None if class_label is None else self._labels(torch.tensor(class_label), 1)
        self.register_buffer(
            "class_label", label
        )  # part of the state: cached results of two classes must differ

    @property
    def resolution(self) -> int:
        """Side R of the pictures in pixels."""
        return self.unet.config.sample_size

    @property
    def channels(self) -> int:
        """Channels C of the pictures."""
        return self.unet.config.in_channels

    @property
    def h_channels(self) -> int:
        """Channels C_h of h-space."""
        return self.unet.config.block_out_channels[-1]

    @property
    def h_shape(self) -> tuple[int, int, int]:
        """(C_h, H, W) of h-space; a level without a downsampler keeps its size."""
        halvings = sum(bool(block.downsamplers) for block in self.unet.down_blocks)
        side = self.resolution // 2**halvings
        return self.h_channels, side, side

    @property
    def temb_dim(self) -> int:
        """Length E of the time embedding."""
        return self.unet.time_embedding.linear_2.out_features

    @property
    def unet_config(self) -> dict:
        """Arguments of `build_unet` that make this U-Net; some of them, such as the attention heads, no tensor shows."""
        return {key: value for key, value in self.unet.config.items() if not key.startswith("_")}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.unet.conv_in.weight.device

    @property
    def batch_size(self) -> int:
        """Pictures per pass where nobody says otherwise: 2^19 pixels, 512 pictures of 32 px or 8 of 256, so that the paper's
        networks fit into the memory of a consumer's GPU."""
        return max(1, 2**19 // self.resolution**2)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return self.unet.conv_in.weight.dtype

    def encode(self, x: Tensor, t: int | Tensor, class_labels: Tensor | None = None) -> Encoded:
        """Run the U-Net down to its bottleneck.

        Args:
            x: x_t (B, C, R, R).
            t: time, one for all or (B,) int64.
            class_labels: (B,) int64 for class-conditional models; None: the label bound to the model.
        Returns:
            Encoded, with h (B, C_h, H, W).
        Raises:
            AsyrpError: a class-conditional model without a label, another one with, or a label out of range.
        """
        unet = self.unet
        t = torch.as_tensor(t, device=x.device).expand(len(x))
        emb = unet.time_embedding(unet.time_proj(t).to(x.dtype))
        labels = self.class_label if class_labels is None else self._labels(class_labels, len(x))
        if labels is not None:
            emb = emb + unet.class_embedding(labels.to(x.device).expand(len(x))).to(x.dtype)
        elif unet.class_embedding is not None:
            raise AsyrpError(
                f"The network is conditional on one of {unet.class_embedding.num_embeddings} classes and got none; "
                "expected a label; bind one with for_class(label), or pass class_labels=."
            )
        centred = 2 * x - 1.0 if unet.config.center_input_sample else x
        h = unet.conv_in(centred)
        skips = (h,)
        for block in unet.down_blocks:
            h, made = block(hidden_states=h, temb=emb)
            skips += made
        return Encoded(unet.mid_block(h, emb), skips, emb, x, t)

    def for_class(self, label: int) -> "HSpaceUNet":
        """The same network, weights shared, with every picture of one class: what inversion, editing and training need.

        Args:
            label: 0 … number of classes − 1.
        Raises:
            AsyrpError: no such class, or the network knows none.
        """
        return HSpaceUNet(self.unet, self.schedule, self.prediction_type, label)

    def _labels(self, labels: Tensor, n: int) -> Tensor:
        """The labels, one or n, if the network knows them."""
        table = self.unet.class_embedding
        if table is None:
            raise AsyrpError(
                "A class label was given to a network that is not class-conditional; expected none; leave it out."
            )
        if (
            labels.dtype not in (torch.int32, torch.int64)
            or labels.shape not in ((), (n,))
            or not bool(((labels >= 0) & (labels < table.num_embeddings)).all())
        ):
            raise AsyrpError(
                f"The class labels {labels.tolist()} do not fit {n} pictures; expected whole numbers from 0 to "
                f"{table.num_embeddings - 1}, one for all or one each; choose among those."
            )
        return labels

    def decode(self, z: Encoded, h: Tensor | None = None) -> Tensor:
        """Run the U-Net up from its bottleneck and answer ε.

        Args:
            z: from `encode`.
            h: the bottleneck to decode instead of z.h, e.g. z.h + Δh_t.
        Returns:
            ε (B, C, R, R).
        """
        unet = self.unet
        h, skips = z.h if h is None else h, list(z.skips)
        for block in unet.up_blocks:
            used = tuple(skips[-len(block.resnets) :])
            del skips[-len(block.resnets) :]
            h = block(h, used, z.emb)
        output = unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))[
            :, : self.channels
        ]  # the rest is a learned variance
        return self._to_eps(output.to(z.x.dtype), z)  # under autocast the network answers in half precision

    def decode_pair(self, z: Encoded, h_edit: Tensor) -> tuple[Tensor, Tensor]:
        """ε of z.h and ε̃ of `h_edit`, decoded as one batch of 2 B.

        Returns:
            (ε, ε̃), both (B, C, R, R).
        """
        twice = Encoded(
            *(torch.cat([v, v]) if torch.is_tensor(v) else tuple(torch.cat([s, s]) for s in v) for v in z)
        )
        plain, edited = self.decode(twice, torch.cat([z.h, h_edit])).chunk(2)
        return plain, edited

    def forward(self, x: Tensor, t: int | Tensor, class_labels: Tensor | None = None) -> Tensor:
        """ε(x_t) (B, C, R, R): decode(encode(x, t))."""
        return self.decode(self.encode(x, t, class_labels))

    def _to_eps(self, output: Tensor, z: Encoded) -> Tensor:
        """ε = √ᾱ_t v + √(1−ᾱ_t) x_t for v-prediction (Salimans & Ho 2022, appendix D)."""
        if self.prediction_type == "epsilon":
            return output
        a = self.schedule.alpha_bar_at(
            z.t, self.schedule.alphas_cumprod
        )  # float64: 1 − ᾱ_0 loses digits in float32
        return a.sqrt().to(output) * output + (1 - a).sqrt().to(output) * z.x

    def digest(self) -> str:
        """sha256 over weights, configuration, schedule and meaning of the output: what an f_t is bound to."""
        about = json.dumps([self.unet_config, self.prediction_type], sort_keys=True, default=str)
        return hashlib.sha256(
            f"{about}{module_digest(self)}{digest(self.schedule.alphas_cumprod)}".encode()
        ).hexdigest()

    def save(self, path: str | os.PathLike, card: dict, *, dtype: torch.dtype | None = None) -> None:
        """Write weights (as `dtype`, if one is given), configurations and a card (provenance, scores) to one file, atomically."""
        save_weights(
            path,
            self.unet.state_dict(),
            {
                "unet": self.unet_config,
                "prediction_type": self.prediction_type,
                "class_label": None if self.class_label is None else int(self.class_label),
                "betas": (
                    1
                    - self.schedule.alphas_cumprod
                    / torch.cat([torch.ones(1, dtype=torch.float64), self.schedule.alphas_cumprod[:-1]])
                ).tolist(),
                "card": card,
            },
            dtype=dtype,
        )

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike) -> "HSpaceUNet":
        """Load a file that `save` wrote, or a folder in diffusers format.

        A folder is a pipeline's (unet/, scheduler/), that unet/ itself, or one that holds config.json and, where it is not
        the linear schedule with ε-prediction, scheduler_config.json.

        Raises:
            WeightsError: missing, damaged or of another architecture; names the first tensor that does not fit.
        """
        path = Path(path)
        if path.is_dir():
            return cls._from_folder(path)
        state, config = read_weights(path)
        if "unet" not in config:
            raise WeightsError(
                f"{path} holds no U-Net configuration; expected a file written by HSpaceUNet.save; check the path."
            )
        unet = build_unet(config["unet"])
        load_strictly(unet, state, path)
        return cls(
            unet,
            NoiseSchedule.from_betas(torch.tensor(config["betas"], dtype=torch.float64)),
            config["prediction_type"],
            config.get("class_label"),
        )

    @classmethod
    def _from_folder(cls, path: Path) -> "HSpaceUNet":
        root = path / "unet" if (path / "unet").is_dir() else path
        beside = [path, path.parent] if path.name == "unet" else [path]
        scheduler = next(
            (
                f
                for folder in beside
                for f in (folder / "scheduler" / "scheduler_config.json", folder / "scheduler_config.json")
                if f.exists()
            ),
            None,
        )
        try:
            unet, report = UNet2DModel.from_pretrained(
                root, local_files_only=True, output_loading_info=True, low_cpu_mem_usage=False
            )  # True would need accelerate
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, EOFError, SafetensorError) as error:
            raise WeightsError(
                f"{root} is no folder with a diffusers UNet2DModel ({' '.join(str(error).split())[:200]}); expected "
                "config.json and its weights; check the path."
            ) from error
        for kind in ("missing", "unexpected", "mismatched"):  # diffusers only warns of some of these
            if report[f"{kind}_keys"]:
                raise WeightsError(
                    f"The weights in {root} have the {kind} tensor {str(list(report[f'{kind}_keys'])[0])!r}; "
                    "expected exactly those of config.json; fetch the folder again."
                )
        if set(EXTRAS) & set(unet.config):  # diffusers has ignored them and built another network
            raise WeightsError(
                f"The network in {root} has settings that a diffusers folder cannot express; expected none of "
                f"{', '.join(EXTRAS)}; keep it with HSpaceUNet.save instead."
            )
        config = json.loads(scheduler.read_text()) if scheduler else {}
        return cls(unet, NoiseSchedule.from_config(config), config.get("prediction_type", "epsilon"))
