"""The paper's own models, one row each: where every file comes from, under which licence, and what it fits.

Links, file names and folders are those of the original repository, of the ones it names, and of the study.
Nobody published a hash: a `sha256` stands here only where a copy was at hand, or where the file's own name
has it; every other file is recorded when it first arrives (see `fetch`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...backbones.convert import ADM, DDPM, P2
from ...errors import UnknownNameError
from ...store.paths import lasting_dir
from ..edits import Edit
from . import published


@dataclass(frozen=True)
class Remote:
    """One file that somebody else publishes."""

    name: str  # here, in the folder of its domain
    url: str = ""  # a plain public link; empty if a browser is needed
    pages: tuple[str, ...] = ()  # where that finds it, best first
    sha256: str = ""  # or the beginning of it that is known; empty: recorded at the first arrival
    megabytes: float = 0  # about how large it is; a file of less than half of that is refused
    picks: str = ""  # what to choose on the page, where it shows more than this file


@dataclass(frozen=True)
class PictureSet:
    """A set of images: where it is had, its licence, and how its splits are told apart."""

    name: str  # its folder under `datasets_dir()`
    licence: str  # of the images
    files: tuple[Remote, ...]  # what to fetch
    only: str = ""  # part of an image's path that it must contain, e.g. "dog" in a set of all animals
    held_out: int = 500  # how many at the end are the test split, where neither folders nor lists say it


@dataclass(frozen=True)
class Row:
    """One domain of the paper."""

    name: str
    title: str  # what its images show, and by which network
    paper: str  # who trained the network
    licence: str  # of the network's weights
    network: tuple[Remote, ...]  # its file, or files of one folder in diffusers format
    family: str  # "ddpm", "openai" (iDDPM, P2, ADM) or "diffusers"
    config: Mapping[str, Any]  # of the family's converter, see `convert`
    parameters: int  # number of the network's weights
    pictures: PictureSet
    edits: dict[str, Edit]
    directions: dict[str, Remote] = field(default_factory=dict)  # name of an edit -> official f_t
    curve: str = ""  # name of the published perceptual curve, "" if there is none
    t_boost: int = 0  # where quality boosting starts by that curve
    note: str = ""  # what a user should know besides


def weights_dir(name: str) -> Path:
    """Where a domain's files are kept: $ASYRP_WEIGHTS/<name>, or see `lasting_dir`."""
    return Path(os.environ.get("ASYRP_WEIGHTS") or lasting_dir("weights")) / name


def datasets_dir(name: str) -> Path:
    """Where a set of images is kept: $ASYRP_DATASETS/<name>, or see `lasting_dir`."""
    return Path(os.environ.get("ASYRP_DATASETS") or lasting_dir("datasets")) / name


def row(name: str) -> Row:
    """The row of a domain; UnknownNameError, which lists the known ones."""
    if name not in ROWS:
        raise UnknownNameError(f"Unknown domain {name!r}; known are {', '.join(ROWS)}.")
    return ROWS[name]


_SDEDIT = "https://image-editing-test-12345.s3-us-west-2.amazonaws.com/checkpoints/"
_OPENAI = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/"
_COMMIT = "a6c82dc760849dd4c1e878990ce38e824967e5b0"
_ASYRP = f"https://raw.githubusercontent.com/kwonminki/Asyrp_official/{_COMMIT}/checkpoint/"
_HUB = "https://huggingface.co/google/ddpm-celebahq-256/resolve/03d0f408f283b62a881f06bdbd9377aa83c825ce/"
_ONEDRIVE = "https://1drv.ms/u/s!AkQjJhxDm0Fyhqp_4gkYjwVRBe8V_w?e=Et3ITH"
_UNSTATED = "none stated for the weights (code of {}: MIT); made from pictures for non-commercial research"
_SDEDIT_LICENCE = _UNSTATED.format("SDEdit")
_OPENAI_LICENCE = _UNSTATED.format("guided-diffusion, which it builds on")
_DDPM_PAPER = "DDPM (Ho et al. 2020), as SDEdit gives it (Meng et al. 2022)"
_ILVR_PAPER = "ILVR (Choi et al. 2021, arXiv 2108.02938)"
_P2_PAPER = "P2 weighting (Choi et al. 2022, arXiv 2204.00227)"
_NO_CURVE = "No perceptual curve was published for it: measure one (python -m asyrp_lib curve --domain {})."

#: (family, config, parameters)
_AS_DDPM, _AS_P2 = ("ddpm", DDPM, 113_673_219), ("openai", P2, 93_563_910)
_AS_ADM = "openai", ADM, 552_814_086

_ALEXNET = "alexnet-owt-7be5be79.pth"
#: AlexNet under LPIPS; torchvision writes the first eight digits of the hash into the name.
ALEXNET = Remote(_ALEXNET, f"https://download.pytorch.org/models/{_ALEXNET}", (), "7be5be79", megabytes=244)


def _drive(*ids: str) -> tuple[str, ...]:
    return tuple(f"https://drive.google.com/uc?id={one}" for one in ids)


def _by_hand(name: str, first: str, *others: str) -> tuple[Remote]:
    """A network of OpenAI's family: Google Drive, then the collection of the original, then what is left."""
    return (Remote(name, pages=(*_drive(first), _ONEDRIVE, *_drive(*others)), megabytes=374),)


def _sdedit(name: str, *ids: str) -> tuple[Remote]:
    return (Remote(name, _SDEDIT + name, _drive(*ids), megabytes=455),)


def _f_t(category: str, prefix: str, names: str, **known: str) -> dict[str, Remote]:
    """Official f_t, name of the edit -> file, for edits separated by commas; `known`: their sha256."""
    found = {}
    for name in names.split(", "):
        file = f"{prefix}{name.replace(' ', '_')}_LC_{category}_t999_ninv40_ngen40_0.pth"
        found[name] = Remote(file, _ASYRP + file, sha256=known.get(name, ""), megabytes=3.2)
    return found


def _lsun(category: str) -> PictureSet:
    zips = [f"{category}_{split}_lmdb.zip" for split in ("train", "val")]
    files = (_folder(name, f"http://dl.yf.io/lsun/scenes/{name}", f"{name}, unzipped,")[0] for name in zips)
    return PictureSet(f"lsun_{category}", "research only (LSUN states no licence)", tuple(files))


def _folder(name: str, page: str, picks: str) -> tuple[Remote]:
    return (Remote(name, pages=(page,), picks=picks),)


# fmt: off
_RESEARCH = "non-commercial research and education only"
_CELEBA_HQ = PictureSet("celeba_hq", f"{_RESEARCH} (CelebA)",
    (Remote("celeba_hq_raw.zip", pages=_drive("1R72NB79CX0MpnmWSli2SMu-Wp-M0xI-o")),), held_out=10000)
_AFHQ = PictureSet("afhq", "CC BY-NC 4.0 (StarGAN v2)",
    (Remote("afhq_raw.zip", pages=(*_drive("1Pf4f6Y27lQX9y9vjeSQnoOQntw_ln7il"),
                                   "https://github.com/clovaai/stargan-v2")),), only="dog")
_FFHQ = PictureSet("ffhq", "CC BY-NC-SA 4.0 (NVIDIA); each photograph its own",
    _folder("images1024x1024", "https://github.com/NVlabs/ffhq-dataset", "the folder images1024x1024"))
_METFACES = PictureSet("metfaces", "CC BY-NC 2.0 (NVIDIA); the works of art are in the public domain",
    _folder("images", "https://github.com/NVlabs/metfaces-dataset", "the folder images"))
_IMAGENET = PictureSet("imagenet", _RESEARCH,
    _folder("train", "https://image-net.org/index.php", "pictures of one class, in folders train and val"))

_CELEBA_F_T = _f_t("CelebA_HQ", "",
    "smiling, sad, angry, tanned, man, woman, young, curly hair, makeup, nicolas, pixar, neanderthal, "
    "modigliani, frida, zombie",
    smiling="6694632ef848d12e595ec1291df734ef3e9850d94a08632f06dc8fdd459b7703",
    pixar="fb5b77b60221872c8ba9dd9af9f40a92c6eba5bb716585c0e7e75f996659b67e")
_CHURCH_F_T = _f_t("church_outdoor", "church_",
    "gothic, red brick, temple, wooden church, factory, department store",
    gothic="333a87143dd975cc019c12c7d647e7227fbc59deba35c7067dc04e30b60e7e83")
_DOG_F_T = _f_t("dog", "dog_", "happy, sleepy, angry, yorkshire, wolf",
    happy="acf73e28efe694f1950efca48b789c63c1cb7215354bbc82745b9f975ddb48ab")
_METFACE_F_T = _f_t("metfaces", "metface_", "smiling, angry, sad, disgusted",
    smiling="4f24e3ef75cca7e8fb3a600cfc5362aa51c53804584652eba7bd4364ef9dbcf9")
_OTHER_FACES = published.without_t_edit(published.FACES)

_ROWS = (
    Row("celeba_hq", "faces of CelebA-HQ, DDPM", "SDEdit (Meng et al. 2022, arXiv 2108.01073)",
        _SDEDIT_LICENCE, _sdedit("celeba_hq.ckpt", "1wSoA5fm_d6JBZk4RZ1SzWLMgev4WqH21"), *_AS_DDPM,
        _CELEBA_HQ, published.FACES, _CELEBA_F_T, "celeba", 167),
    Row("celeba_hq_p2", "faces of CelebA-HQ, P2", _P2_PAPER, _OPENAI_LICENCE,
        _by_hand("celebahq_p2.pt", "1ag8JnvKGKo6L6avO_dTFEBNWJo2jZIDF", "1rJO1QSm1Rqp6JmHHNKcPni6maqbgKj0R"),
        *_AS_P2, _CELEBA_HQ, _OTHER_FACES, {}, "celeba", 167,
        "The original recommends this network over SDEdit's but published no f_t for it: train one.  Its "
        "t_edit and t_boost are read off the curve of SDEdit's network on the same pictures, a stand-in."),
    Row("celeba_hq_hub", "faces of CelebA-HQ, DDPM of the Hub", "DDPM (Ho et al. 2020, arXiv 2006.11239)",
        "Apache-2.0",
        (Remote("config.json", _HUB + "config.json"),
         Remote("scheduler_config.json", _HUB + "scheduler_config.json"),
         Remote("diffusion_pytorch_model.bin", _HUB + "diffusion_pytorch_model.bin", megabytes=455)),
        "diffusers", {}, _AS_DDPM[2], _CELEBA_HQ, _OTHER_FACES, {}, "celeba", 167,
        "Whether these weights equal SDEdit's is not known here, so the official f_t are not offered for "
        "them; its t_edit and t_boost are those of SDEdit's network, a stand-in."),
    Row("lsun_church", "churches of LSUN, DDPM", _DDPM_PAPER, _SDEDIT_LICENCE, _sdedit("church_outdoor.ckpt"),
        *_AS_DDPM, _lsun("church_outdoor"), published.CHURCHES, _CHURCH_F_T, "church", 293),
    Row("lsun_bedroom", "bedrooms of LSUN, DDPM", _DDPM_PAPER, _SDEDIT_LICENCE, _sdedit("bedroom.ckpt"),
        *_AS_DDPM, _lsun("bedroom"), published.BEDROOMS, _f_t("bedroom", "bedroom_", "hotel, princess"),
        "bedroom", 221),
    Row("afhq_dog", "dogs of AFHQ, iDDPM", _ILVR_PAPER, _OPENAI_LICENCE,
        _by_hand("afhq_dog_4m.pt", "14OG_o3aa8Hxmfu36IIRyOgRwEP6ngLdo"),
        *_AS_P2, _AFHQ, published.DOGS, _DOG_F_T, "afhq", 167),
    Row("ffhq", "faces of FFHQ, iDDPM", _ILVR_PAPER, _OPENAI_LICENCE,
        _by_hand("ffhq_10m.pt", "117Y6Z6-Hg6TMZVIXMmgYbpZy7QvTXign"),
        *_AS_P2, _FFHQ, _OTHER_FACES, {}, note=_NO_CURVE.format("ffhq")),
    Row("metfaces", "painted faces of MetFaces, P2", _P2_PAPER, _OPENAI_LICENCE,
        _by_hand("metface_p2.pt", "1swjgSB1WFF9JnBR6W6Newnfzdyo1nPYf"),
        *_AS_P2, _METFACES, published.PAINTINGS, _METFACE_F_T, "metface", 180),
    Row("imagenet", "pictures of ImageNet, ADM, unconditional",
        "ADM (Dhariwal & Nichol 2021, arXiv 2105.05233)", _UNSTATED.format("guided-diffusion"),
        (Remote("256x256_diffusion_uncond.pt", _OPENAI + "256x256_diffusion_uncond.pt", megabytes=2211),),
        *_AS_ADM, _IMAGENET, published.OBJECTS, note=_NO_CURVE.format("imagenet")),
)
# fmt: on

#: name -> row
ROWS: dict[str, Row] = {entry.name: entry for entry in _ROWS}
