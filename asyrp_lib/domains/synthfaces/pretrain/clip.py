"""The CLIPs of `synthfaces`: open_clip models that read captions of faces and of unseen domains.

The first is the teacher of every f_t.  The second shares nothing with it, neither architecture nor faces nor
what it learns beside the contrast, and no loss of an edit ever sees it: S_dir is its reading.
"""

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....method.clip import Clip, build_clip, save_clip
from ....store.weights import digest
from ..captions import caption
from ..faces import (
    EDITION,
    RESOLUTION,
    from_bytes,
    render_factors,
    render_split,
    split_factors,
    to_bytes,
    world_digest,
)
from ..unseen import UNSEEN, Unseen
from .augment import disturb
from .loop import Job, factor_table, train_network

_TEXT = {"context_length": 40, "vocab_size": 49408, "heads": 4, "layers": 2}
#: open_clip configurations on 64 pixels: a ResNet, and a small ConvNeXt.  (A transformer on patches of 8 did
#: not see a smile after 460 thousand images: a linear reading of its features had an R² of 0.23.)
CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"layers": [1, 1, 2, 1], "width": 32, "image_size": 64, "head_width": 64},
    "text_cfg": {**_TEXT, "width": 96},
}
SECOND = {
    "embed_dim": 96,
    "vision_cfg": {
        "timm_model_name": "convnext_zepto_rms_ols",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 64,
    },
    "text_cfg": {**_TEXT, "width": 64},
}
#: Share of the images that are drawn in an unseen domain.
STYLED = 0.3
#: Blurs of the training images, as the share of the resolution that is left: P_t is that blurry for large t.
BLURS = (0.5, 0.25)
#: The same of the second CLIP, which judges finished images: what is small must stay to be seen.
SHARP = (0.75,)
#: Weight of naming the factors beside the contrast of images and captions.  Contrast alone learns what is
#: large and colourful first: after 226 thousand images it still could not tell a smile from a frown.
NAMING = 10.0
#: Faces side by side in a batch that differ in few factors, each in `OWN` of them.  Among them a caption is
#: found only by reading what is small.
FAMILY = 8
#: With 0.5 what is large suffices.
OWN = 0.15
#: Weight of guessing the words of the caption beside the contrast, how the second CLIP learns what is small
#: without being told a factor (as Huang et al. 2024, SuperClass).
WORDS = 1.0
#: Wordings kept per image; one of them is drawn at every visit.
WORDINGS = 6
#: Faces of the audit split that score a CLIP.
AUDIT = 1_000


class _Towers(nn.Module):
    """Images and texts through both towers in one call; the head is thrown away after the training."""

    def __init__(self, clip: Clip, width: int, named: int):
        super().__init__()
        self.clip, self.head = clip, nn.Linear(width, named)

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        model = self.clip.model
        seen = model.encode_image(self.clip.preprocess(images), normalize=True)
        named = self.head(seen * seen.shape[1] ** 0.5)  # from unit length to unit variance
        return seen, model.encode_text(tokens, normalize=True), model.logit_scale.exp().clamp(max=100), named


def families(factors: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Faces as families of `FAMILY`: each keeps about `OWN` of its factors and has the rest of the first."""
    table, first = factors.to_numpy(), np.arange(len(factors)) // FAMILY * FAMILY
    own = rng.random(table.shape) < OWN
    return pd.DataFrame(np.where(own, table, table[first]), columns=factors.columns)


def captioned_faces(
    factors: pd.DataFrame, clip: Clip, *, seed: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Faces of a factor table, `STYLED` of them in an unseen domain: images (n, 3, R, R) uint8, and tokens
    (n, WORDINGS, L) of their captions.
    """
    rng, n = np.random.default_rng(seed), len(factors)
    images = render_factors(factors, device=device).images
    shown: list[tuple[pd.Series, Unseen | None]] = [(row, None) for _, row in factors.iterrows()]
    chosen = np.where(rng.random(n) < STYLED, rng.integers(len(UNSEEN), size=n), -1)
    for k, unseen in enumerate(UNSEEN.values()):
        if not len(rows := np.flatnonzero(chosen == k)):
            continue
        changed = factors.iloc[rows].assign(**unseen.factors)
        images[torch.tensor(rows, device=device)] = to_bytes(unseen.draw(changed, device=device))
        for i, (_, row) in zip(rows, changed.iterrows()):
            shown[i] = row, unseen
    tokens = [clip.tokenizer([caption(row, rng, un) for _ in range(WORDINGS)]) for row, un in shown]
    return images, torch.stack(tokens).to(device)


def pretrain_clip(job: Job, *, second: bool = False) -> dict:
    """Train the teacher: contrast, and naming the factors; or the second CLIP: contrast, and guessing the
    words of the caption, on families of a split of its own.
    Its card has zero-shot scores on audit faces.  Tokens that no caption used say nothing: their rows are 0.
    """
    config, split = (SECOND, "second_clip") if second else (CONFIG, "train")
    torch.manual_seed(job.budget.seed)
    clip, factors = build_clip(config).to(job.device), split_factors(split, job.faces)
    if second:
        factors = families(factors, np.random.default_rng(job.budget.seed))
    how = {"seed": job.budget.seed - 10, "device": job.device}
    images, tokens = captioned_faces(factors, clip, **how)
    table = factor_table(factors, job.device)
    table = (table - table.mean(0)) / table.std(0)
    used = tokens.unique()
    said = torch.zeros(_TEXT["vocab_size"], dtype=torch.long, device=job.device)
    said[used] = torch.arange(len(used), device=job.device)
    rare = -torch.log(F.one_hot(said[tokens[:, 0]], len(used)).amax(1).float().mean(0).clamp(1e-4, 1))
    contrast = open_clip.ClipLoss()

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        if second:
            first = index[: -(-len(index) // FAMILY)] // FAMILY * FAMILY
            index = (first[:, None] + torch.arange(FAMILY, device=index.device)).flatten() % job.faces
        blurs = SHARP if second else BLURS
        blur = blurs[int(torch.randint(0, len(blurs), (), generator=generator))]
        batch = disturb(from_bytes(images[index]), generator, coarsest=blur)
        wording = torch.randint(0, WORDINGS, (len(index),), generator=generator).to(index.device)
        read = tokens[index, wording]
        a, b, scale, named = model(batch, read)
        loss = contrast(a.float(), b.float(), scale.float())
        if not second:
            return loss + NAMING * F.mse_loss(named.float(), table[index])
        words = F.one_hot(said[read], len(used)).amax(1) * rare
        return loss + WORDS * F.cross_entropy(named.float(), words / words.sum(1, keepdim=True))

    name = "second_clip" if second else "clip"
    seen = {"images": digest(images)[:12], "captions": digest(tokens)[:12]}
    learns = (
        {"words": WORDS, "blurs": SHARP, "family": FAMILY} if second else {"factors": NAMING, "blurs": BLURS}
    )
    identity = job.identity(name, edition=EDITION, split=split, **seen, **learns, **config)
    model = _Towers(clip, config["embed_dim"], len(used) if second else table.shape[1]).to(job.device)
    towers, info = train_network(model, loss_of, job.faces, job.budget, job.folder, identity=identity)
    read = torch.zeros(_TEXT["vocab_size"], 1, device=job.device)
    read[used] = 1
    towers.clip.model.token_embedding.weight.data *= read
    card = {**info, "faces": job.faces, "resolution": RESOLUTION, "audit_faces": AUDIT}
    card |= {"edition": EDITION, "split": split, "world": world_digest()}
    card["zero_shot"] = zero_shot(towers.clip, AUDIT, job.device)
    save_clip(towers.clip, job.export, config, card)
    return card


#: question -> (text if false, text if true, truth from factors, which faces have a clear answer)
QUESTIONS = {
    "smiling": ("sad face", "smiling face", lambda f: f.smile > 0, lambda f: f.smile.abs() > 0.5),
    "angry": ("worried face", "angry face", lambda f: f.brow_tilt > 0, lambda f: f.brow_tilt.abs() > 0.6),
    "old": ("young person", "old person", lambda f: f.age > 0.5, lambda f: (f.age - 0.5).abs() > 0.25),
    "tanned": ("untanned face", "tanned face", lambda f: f.tan > 0.5, lambda f: (f.tan == 0) | (f.tan > 0.6)),
    "curly": (
        *("person with straight hair", "person with curly hair", lambda f: f.curl > 0.5),
        lambda f: (f.bald < 0.5) & ((f.curl < 0.1) | (f.curl > 0.65)),
    ),
    "glasses": ("face", "face with glasses", lambda f: f.glasses > 0.5, lambda f: f.glasses > -1),
    "beard": (
        *("face", "face with a beard", lambda f: f.beard > 0.3),
        lambda f: (f.beard == 0) | (f.beard > 0.5),
    ),
    "man": ("a woman", "a man", lambda f: f.gender > 0, lambda f: f.gender.abs() > 0.4),
    "bald": ("face", "bald face", lambda f: f.bald > 0.5, lambda f: (f.bald == 0) | (f.bald > 0.7)),
}


@torch.no_grad()
def zero_shot(clip: Clip, n: int, device: torch.device) -> dict[str, float]:
    """Accuracy of choosing the right one of two texts on n audit faces, and of naming an unseen domain."""
    faces = render_split("audit", n, device=device)
    encode = lambda images: torch.cat([F.normalize(clip.encode_images(p), dim=-1) for p in images.split(128)])
    features = encode(from_bytes(faces.images))
    scores = {}
    for name, (no, yes, truth, clear) in QUESTIONS.items():
        texts = F.normalize(clip.encode_texts([no, yes]), dim=-1)
        said = (features @ texts.T).argmax(1).bool().cpu().numpy()
        asked = clear(faces.factors).to_numpy()
        scores[name] = round(float((said == truth(faces.factors).to_numpy())[asked].mean()), 4)
    texts = ["a photo of a face", *[unseen.text for unseen in UNSEEN.values()]]
    drawn = [unseen.draw(faces.factors, device=device) for unseen in UNSEEN.values()]
    texts = F.normalize(clip.encode_texts(texts), dim=-1)
    right = [(features @ texts.T).argmax(1) == 0]
    right += [(encode(images) @ texts.T).argmax(1) == k for k, images in enumerate(drawn, start=1)]
    scores["unseen"] = round(float(torch.stack(right).float().mean()), 4)
    return scores
