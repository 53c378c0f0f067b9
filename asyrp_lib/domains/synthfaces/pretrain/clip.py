"""The small CLIP of `synthfaces`: an open_clip model that reads captions of faces and of unseen styles."""

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....method.clip import Clip, build_clip, save_clip
from ..captions import caption
from ..faces import from_bytes, render_split, to_bytes
from ..networks import ORACLE_FACTORS
from ..styles import STYLES
from .augment import disturb
from .loop import Job, factor_table, train_network

#: open_clip configuration: a ResNet on 64 pixels (smaller images are enlarged) and a text transformer.
CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"layers": [1, 1, 2, 1], "width": 32, "image_size": 64, "head_width": 64},
    "text_cfg": {"context_length": 40, "vocab_size": 49408, "width": 96, "heads": 4, "layers": 2},
}
#: Share of the images that are drawn in an unseen style.
STYLED = 0.3
#: Share of the batches that are reduced to the domain's own resolution.
REDUCED = 0.75
#: Blurs of the training images, as the share of the resolution that is left: P_t is that blurry for large t.
BLURS = (0.5, 0.25)
#: Weight of naming the factors beside the contrast of images and captions.  Contrast alone learns what is
#: large and colourful first: after 226 thousand images it still could not tell a smile from a frown.
NAMING = 10.0
#: Wordings kept per image; one of them is drawn at every visit.
WORDINGS = 6


class _Towers(nn.Module):
    """Images and texts through both towers in one call; the head is thrown away after the training."""

    def __init__(self, clip: Clip):
        super().__init__()
        self.clip, self.head = clip, nn.Linear(CONFIG["embed_dim"], len(ORACLE_FACTORS))

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        model = self.clip.model
        seen = model.encode_image(self.clip.preprocess(images), normalize=True)
        named = self.head(seen * CONFIG["embed_dim"] ** 0.5)  # from unit length to unit variance
        return seen, model.encode_text(tokens, normalize=True), model.logit_scale.exp().clamp(max=100), named


def captioned_faces(
    split: str, n: int, resolution: int, clip: Clip, *, seed: int, device: torch.device
) -> tuple[Tensor, Tensor, pd.DataFrame, list[str | None]]:
    """Faces of a split, `STYLED` of them redrawn: images (n, 3, R, R) uint8, tokens (n, WORDINGS, L) of their
    captions, factors, style name or None per face.
    """
    faces = render_split(split, n, resolution, device=device)
    rng = np.random.default_rng(seed)
    styles = [str(rng.choice(list(STYLES))) if rng.random() < STYLED else None for _ in range(n)]
    images = faces.images.clone()
    for name, draw in STYLES.items():
        chosen = torch.tensor([i for i, s in enumerate(styles) if s == name], dtype=torch.long, device=device)
        for part in chosen.split(64):
            images[part] = to_bytes(draw(from_bytes(faces.images[part]), faces.masks[part]))
    tokens = [
        clip.tokenizer([caption(row, rng, style) for _ in range(WORDINGS)])
        for (_, row), style in zip(faces.factors.iterrows(), styles)
    ]
    return images, torch.stack(tokens).to(device), faces.factors, styles


def pretrain_clip(job: Job, audit: int = 1_000) -> dict:
    """Train the CLIP on 64-px faces, `REDUCED` of the batches at the domain's size; scores: zero-shot."""
    torch.manual_seed(job.budget.seed)
    clip, side = build_clip(CONFIG).to(job.device), CONFIG["vision_cfg"]["image_size"]
    images, tokens, factors, _ = captioned_faces("train", job.faces, side, clip, seed=11, device=job.device)
    table = factor_table(factors, job.device)
    table = (table - table.mean(0)) / table.std(0)
    contrast = open_clip.ClipLoss()

    def loss_of(model: nn.Module, index: Tensor, generator: torch.Generator) -> Tensor:
        batch = from_bytes(images[index])
        if torch.rand((), generator=generator) < REDUCED:
            batch = F.interpolate(batch, size=(job.resolution, job.resolution), mode="area")
        blur = BLURS[int(torch.randint(0, len(BLURS), (), generator=generator))]
        batch = disturb(batch, generator, coarsest=blur)
        wording = torch.randint(0, WORDINGS, (len(index),), generator=generator).to(index.device)
        a, b, scale, named = model(batch, tokens[index, wording])
        naming = F.mse_loss(named.float(), table[index])
        return contrast(a.float(), b.float(), scale.float()) + NAMING * naming

    identity, model = job.identity("clip", **CONFIG), _Towers(clip).to(job.device)
    towers, info = train_network(model, loss_of, job.faces, job.budget, job.folder, identity=identity)
    card = {**info, "faces": job.faces, "resolution": job.resolution, "audit_faces": audit}
    card["zero_shot"] = zero_shot(towers.clip, job.resolution, audit, job.device)
    save_clip(towers.clip, job.export, CONFIG, card)
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
def zero_shot(clip: Clip, resolution: int, audit: int, device: torch.device) -> dict[str, float]:
    """Accuracy of choosing the right one of two texts on audit faces, and of naming a style."""
    faces = render_split("audit", audit, resolution, device=device)
    encode = lambda images: torch.cat([F.normalize(clip.encode_images(p), dim=-1) for p in images.split(128)])
    features = encode(from_bytes(faces.images))
    scores = {}
    for name, (no, yes, truth, clear) in QUESTIONS.items():
        texts = F.normalize(clip.encode_texts([no, yes]), dim=-1)
        said = (features @ texts.T).argmax(1).bool().cpu().numpy()
        asked = clear(faces.factors).to_numpy()
        scores[name] = round(float((said == truth(faces.factors).to_numpy())[asked].mean()), 4)
    texts = F.normalize(clip.encode_texts(["a photo of a face", *[f"{s} of a face" for s in STYLES]]), dim=-1)
    right = [(features @ texts.T).argmax(1) == 0]
    for k, draw in enumerate(STYLES.values(), start=1):
        drawn = draw(from_bytes(faces.images), faces.masks)
        right.append((encode(drawn) @ texts.T).argmax(1) == k)
    scores["style"] = round(float(torch.stack(right).float().mean()), 4)
    return scores
