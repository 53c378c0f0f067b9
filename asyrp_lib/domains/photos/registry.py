"""The paper's own models, one row each: where every file comes from, under which licence, and what it fits.

Links, file names and picture folders are those of the original repository, of the repositories it names, and of the
study.  None of their authors published a hash: a `sha256` stands here only where a copy of the file was at hand, or
where it is part of the file's own name; every other file is recorded when it first arrives (see `fetch`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import UnknownNameError
from ...store.paths import data_dir
from ..edits import Edit
from . import published

_SDEDIT = "https://image-editing-test-12345.s3-us-west-2.amazonaws.com/checkpoints/"
_ASYRP = "https://raw.githubusercontent.com/kwonminki/Asyrp_official/a6c82dc760849dd4c1e878990ce38e824967e5b0/checkpoint/"
_HUB = "https://huggingface.co/google/ddpm-celebahq-256/resolve/03d0f408f283b62a881f06bdbd9377aa83c825ce/"
_DRIVE = "https://drive.google.com/uc?id="
_ONEDRIVE = "https://1drv.ms/u/s!AkQjJhxDm0Fyhqp_4gkYjwVRBe8V_w?e=Et3ITH"
_UNSTATED = "none stated for the weights (code of {}: MIT); made from pictures for non-commercial research"


@dataclass(frozen=True)
class Remote:
    """One file that somebody else publishes.

    Attributes:
        name: of the file here, in the folder of its domain.
        url: a plain public link; empty if a browser is needed.
        pages: where a browser finds it, best first.
        sha256: of the file, or the beginning of it that is known; empty: recorded at the first arrival.
        megabytes: about how large it is; a file of less than half of that is refused.
        picks: what to choose on the page, where the page shows more than this file.
    """

    name: str
    url: str = ""
    pages: tuple[str, ...] = ()
    sha256: str = ""
    megabytes: float = 0
    picks: str = ""


@dataclass(frozen=True)
class PictureSet:
    """A data set: where it is had, its licence, and how its splits are told apart.

    Attributes:
        name: its folder under `datasets_dir()`.
        licence: of the pictures.
        files: what to fetch.
        only: part of a picture's path that it must contain, e.g. "dog" in a set of all animals.
        held_out: the last so many pictures are the test split, where neither folders nor lists say it.
    """

    name: str
    licence: str
    files: tuple[Remote, ...]
    only: str = ""
    held_out: int = 500


@dataclass(frozen=True)
class Row:
    """One domain of the paper.

    Attributes:
        name: of the domain.
        title: what its pictures show, and by which network.
        paper: who trained the network.
        licence: of the network's weights.
        network: its file, or files of one folder in diffusers format.
        family: "ddpm", "openai" (iDDPM, P2, ADM) or "diffusers".
        config: of the family's converter, see `convert`.
        parameters: number of the network's weights.
        pictures: its data set.
        edits: name -> Edit.
        directions: name of an edit -> official f_t.
        curve: name of the published perceptual curve, "" if there is none.
        t_boost: where quality boosting starts by that curve.
        note: what a user should know besides.
    """

    name: str
    title: str
    paper: str
    licence: str
    network: tuple[Remote, ...]
    family: str
    config: Mapping[str, Any]
    parameters: int
    pictures: PictureSet
    edits: dict[str, Edit]
    directions: dict[str, Remote] = field(default_factory=dict)
    curve: str = ""
    t_boost: int = 0
    note: str = ""


def weights_dir(name: str) -> Path:
    """Where the files of a domain are kept: $ASYRP_WEIGHTS/<name>, or `data/weights/<name>` (git ignores it)."""
    return Path(os.environ.get("ASYRP_WEIGHTS") or data_dir() / "weights") / name


def datasets_dir(name: str) -> Path:
    """Where the pictures of a data set are kept: $ASYRP_DATASETS/<name>, or `data/datasets/<name>` (git ignores it)."""
    return Path(os.environ.get("ASYRP_DATASETS") or data_dir() / "datasets") / name


def row(name: str) -> Row:
    """The row of a domain.

    Raises:
        UnknownNameError: lists the known ones.
    """
    if name not in ROWS:
        raise UnknownNameError(f"Unknown domain {name!r}; known are {', '.join(ROWS)}.")
    return ROWS[name]


def _f_t(category: str, names: Mapping[str, str], known: Mapping[str, str]) -> dict[str, Remote]:
    """Official f_t: name of the edit -> file; `names` gives the edit's name in the original."""
    found = {}
    for name, original in names.items():
        file = f"{original}_LC_{category}_t999_ninv40_ngen40_0.pth"
        found[name] = Remote(file, _ASYRP + file, sha256=known.get(name, ""), megabytes=3.2)
    return found


#: AlexNet under LPIPS; torchvision writes the first eight digits of the hash into the name.
ALEXNET = Remote(
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256="7be5be79",
    megabytes=244,
)

_DDPM = dict(image_size=256, ch=128, ch_mult=(1, 1, 2, 2, 4, 4), num_res_blocks=2, attn_resolutions=(16,))
_P2 = dict(
    image_size=256,
    num_channels=128,
    channel_mult=(1, 1, 2, 2, 4, 4),
    num_res_blocks=1,
    attention_ds=(16,),
    num_head_channels=64,
    out_channels=6,
)
_ADM = dict(
    image_size=256,
    num_channels=256,
    channel_mult=(1, 1, 2, 2, 4, 4),
    num_res_blocks=2,
    attention_ds=(8, 16, 32),
    num_head_channels=64,
    out_channels=6,
)
_SIZES = {"ddpm": 113_673_219, "p2": 93_563_910, "adm": 552_814_086}

_CELEBA_HQ = PictureSet(
    "celeba_hq",
    "non-commercial research and education only (CelebA)",
    (Remote("celeba_hq_raw.zip", pages=(_DRIVE + "1R72NB79CX0MpnmWSli2SMu-Wp-M0xI-o",)),),
    held_out=10000,
)
_AFHQ = PictureSet(
    "afhq",
    "CC BY-NC 4.0 (StarGAN v2)",
    (
        Remote(
            "afhq_raw.zip",
            pages=(_DRIVE + "1Pf4f6Y27lQX9y9vjeSQnoOQntw_ln7il", "https://github.com/clovaai/stargan-v2"),
        ),
    ),
    "dog",
)
_FFHQ = PictureSet(
    "ffhq",
    "CC BY-NC-SA 4.0 (NVIDIA); each photograph its own",
    (
        Remote(
            "images1024x1024",
            pages=("https://github.com/NVlabs/ffhq-dataset",),
            picks="the folder images1024x1024",
        ),
    ),
)
_METFACES = PictureSet(
    "metfaces",
    "CC BY-NC 2.0 (NVIDIA); the works of art are in the public domain",
    (Remote("images", pages=("https://github.com/NVlabs/metfaces-dataset",), picks="the folder images"),),
)
_IMAGENET = PictureSet(
    "imagenet",
    "non-commercial research and education only",
    (
        Remote(
            "train",
            pages=("https://image-net.org/index.php",),
            picks="pictures of one class, in folders train and val",
        ),
    ),
)


def _lsun(category: str) -> PictureSet:
    pages = "http://dl.yf.io/lsun/scenes/"
    files = [
        Remote(
            f"{category}_{split}_lmdb.zip",
            pages=(f"{pages}{category}_{split}_lmdb.zip",),
            picks=f"{category}_{split}_lmdb.zip, unzipped,",
        )
        for split in ("train", "val")
    ]
    return PictureSet(f"lsun_{category}", "research only (LSUN states no licence)", tuple(files))


_FACES = published.FACES
_ROWS = (
    Row(
        "celeba_hq",
        "faces of CelebA-HQ, DDPM",
        "SDEdit (Meng et al. 2022, arXiv 2108.01073)",
        _UNSTATED.format("SDEdit"),
        (
            Remote(
                "celeba_hq.ckpt",
                _SDEDIT + "celeba_hq.ckpt",
                (_DRIVE + "1wSoA5fm_d6JBZk4RZ1SzWLMgev4WqH21",),
                megabytes=455,
            ),
        ),
        "ddpm",
        _DDPM,
        _SIZES["ddpm"],
        _CELEBA_HQ,
        _FACES,
        _f_t(
            "CelebA_HQ",
            {
                name: name.replace(" ", "_")
                for name in (
                    "smiling",
                    "sad",
                    "angry",
                    "tanned",
                    "man",
                    "woman",
                    "young",
                    "curly hair",
                    "makeup",
                    "nicolas",
                    "pixar",
                    "neanderthal",
                    "modigliani",
                    "frida",
                    "zombie",
                )
            },
            {
                "smiling": "6694632ef848d12e595ec1291df734ef3e9850d94a08632f06dc8fdd459b7703",
                "pixar": "fb5b77b60221872c8ba9dd9af9f40a92c6eba5bb716585c0e7e75f996659b67e",
            },
        ),
        "celeba",
        167,
    ),
    Row(
        "celeba_hq_p2",
        "faces of CelebA-HQ, P2",
        "P2 weighting (Choi et al. 2022, arXiv 2204.00227)",
        _UNSTATED.format("guided-diffusion, which it builds on"),
        (
            Remote(
                "celebahq_p2.pt",
                pages=(
                    _DRIVE + "1ag8JnvKGKo6L6avO_dTFEBNWJo2jZIDF",
                    _ONEDRIVE,
                    _DRIVE + "1rJO1QSm1Rqp6JmHHNKcPni6maqbgKj0R",
                ),
                megabytes=374,
            ),
        ),
        "openai",
        _P2,
        _SIZES["p2"],
        _CELEBA_HQ,
        published.without_t_edit(_FACES),
        {},
        "celeba",
        167,
        "The original recommends this network over SDEdit's but published no f_t for it: train one.  Its t_edit and t_boost are "
        "read off the curve of SDEdit's network on the same pictures, a stand-in.",
    ),
    Row(
        "celeba_hq_hub",
        "faces of CelebA-HQ, DDPM of the Hub",
        "DDPM (Ho et al. 2020, arXiv 2006.11239)",
        "Apache-2.0",
        (
            Remote("config.json", _HUB + "config.json"),
            Remote("scheduler_config.json", _HUB + "scheduler_config.json"),
            Remote("diffusion_pytorch_model.bin", _HUB + "diffusion_pytorch_model.bin", megabytes=455),
        ),
        "diffusers",
        {},
        _SIZES["ddpm"],
        _CELEBA_HQ,
        published.without_t_edit(_FACES),
        {},
        "celeba",
        167,
        "Whether these weights equal SDEdit's is not known here, so the official f_t are not offered for them; its t_edit and "
        "t_boost are those of SDEdit's network, a stand-in.",
    ),
    Row(
        "lsun_church",
        "churches of LSUN, DDPM",
        "DDPM (Ho et al. 2020), as SDEdit gives it (Meng et al. 2022)",
        _UNSTATED.format("SDEdit"),
        (Remote("church_outdoor.ckpt", _SDEDIT + "church_outdoor.ckpt", megabytes=455),),
        "ddpm",
        _DDPM,
        _SIZES["ddpm"],
        _lsun("church_outdoor"),
        published.CHURCHES,
        _f_t(
            "church_outdoor",
            {
                name: f"church_{name.replace(' ', '_')}"
                for name in ("gothic", "red brick", "temple", "wooden church", "factory", "department store")
            },
            {"gothic": "333a87143dd975cc019c12c7d647e7227fbc59deba35c7067dc04e30b60e7e83"},
        ),
        "church",
        293,
    ),
    Row(
        "lsun_bedroom",
        "bedrooms of LSUN, DDPM",
        "DDPM (Ho et al. 2020), as SDEdit gives it (Meng et al. 2022)",
        _UNSTATED.format("SDEdit"),
        (Remote("bedroom.ckpt", _SDEDIT + "bedroom.ckpt", megabytes=455),),
        "ddpm",
        _DDPM,
        _SIZES["ddpm"],
        _lsun("bedroom"),
        published.BEDROOMS,
        _f_t("bedroom", {name: f"bedroom_{name}" for name in ("hotel", "princess")}, {}),
        "bedroom",
        221,
    ),
    Row(
        "afhq_dog",
        "dogs of AFHQ, iDDPM",
        "ILVR (Choi et al. 2021, arXiv 2108.02938)",
        _UNSTATED.format("guided-diffusion, which it builds on"),
        (
            Remote(
                "afhq_dog_4m.pt",
                pages=(_DRIVE + "14OG_o3aa8Hxmfu36IIRyOgRwEP6ngLdo", _ONEDRIVE),
                megabytes=374,
            ),
        ),
        "openai",
        _P2,
        _SIZES["p2"],
        _AFHQ,
        published.DOGS,
        _f_t(
            "dog",
            {name: f"dog_{name}" for name in ("happy", "sleepy", "angry", "yorkshire", "wolf")},
            {"happy": "acf73e28efe694f1950efca48b789c63c1cb7215354bbc82745b9f975ddb48ab"},
        ),
        "afhq",
        167,
    ),
    Row(
        "ffhq",
        "faces of FFHQ, iDDPM",
        "ILVR (Choi et al. 2021, arXiv 2108.02938)",
        _UNSTATED.format("guided-diffusion, which it builds on"),
        (
            Remote(
                "ffhq_10m.pt", pages=(_DRIVE + "117Y6Z6-Hg6TMZVIXMmgYbpZy7QvTXign", _ONEDRIVE), megabytes=374
            ),
        ),
        "openai",
        _P2,
        _SIZES["p2"],
        _FFHQ,
        published.without_t_edit(_FACES),
        {},
        note="No perceptual curve was published for it: measure one (python -m asyrp_lib curve --domain ffhq).",
    ),
    Row(
        "metfaces",
        "painted faces of MetFaces, P2",
        "P2 weighting (Choi et al. 2022, arXiv 2204.00227)",
        _UNSTATED.format("guided-diffusion, which it builds on"),
        (
            Remote(
                "metface_p2.pt",
                pages=(_DRIVE + "1swjgSB1WFF9JnBR6W6Newnfzdyo1nPYf", _ONEDRIVE),
                megabytes=374,
            ),
        ),
        "openai",
        _P2,
        _SIZES["p2"],
        _METFACES,
        published.PAINTINGS,
        _f_t(
            "metfaces",
            {name: f"metface_{name}" for name in ("smiling", "angry", "sad", "disgusted")},
            {"smiling": "4f24e3ef75cca7e8fb3a600cfc5362aa51c53804584652eba7bd4364ef9dbcf9"},
        ),
        "metface",
        180,
    ),
    Row(
        "imagenet",
        "pictures of ImageNet, ADM, unconditional",
        "ADM (Dhariwal & Nichol 2021, arXiv 2105.05233)",
        _UNSTATED.format("guided-diffusion"),
        (
            Remote(
                "256x256_diffusion_uncond.pt",
                "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/256x256_diffusion_uncond.pt",
                megabytes=2211,
            ),
        ),
        "openai",
        _ADM,
        _SIZES["adm"],
        _IMAGENET,
        published.OBJECTS,
        note="No perceptual curve was published for it: measure one (python -m asyrp_lib curve --domain imagenet).",
    ),
)

#: name -> row
ROWS: dict[str, Row] = {entry.name: entry for entry in _ROWS}
