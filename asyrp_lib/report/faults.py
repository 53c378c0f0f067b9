"""The study's inconsistencies on our own images, and what our final evaluation says of its metrics.

Each answers a `Recount` about what was published, or None where the rows or the images are not there.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor

from ..deltas import StudyDelta
from ..errors import WeightsError
from ..experiments import heads, reference, stored
from ..experiments.final import CONTROLS
from ..experiments.rows import COLUMNS, pick, with_ends
from ..measure.scores import clip_features, frechet_distance
from ..measure.stats import over_seeds
from ..method.clip import directional_distance
from ..store.images import from_bytes, to_bytes as as_bytes
from .claim import VISIBLE, above, by_edit, counted, spread
from .recount import Recount

#: h-space of the paper's networks, (C, H, W), and the length of their time embedding.
H_SHAPE, TEMB = (512, 8, 8), 512
LAYOUTS = ("p", "c", "pc", "cp")
#: From which share on of its own length a Δh is another; written down before any was measured.
ANOTHER = 0.1


def wrapped(images: Tensor) -> Tensor:
    """Bytes as torchmetrics makes them of bytes with `normalize=True`: times 255, and what is over is lost.

    255 x = −x modulo 256: every x but 0 becomes 256 − x, which is the photo-negative, one brighter.
    """
    return images * torch.tensor(255, dtype=torch.uint8)


def two_distances(domain, a: Tensor, sets: Mapping[str, Tensor]) -> pd.DataFrame:
    """Fréchet distances between images and several sets: right, and of what the wrap makes of both."""
    judge, ways = domain.second_clip or domain.clip, {"right": lambda x: x, "negatives": wrapped}
    see = lambda x: {way: clip_features(judge, from_bytes(f(as_bytes(x)))) for way, f in ways.items()}
    base, others = see(a), {name: see(images) for name, images in sets.items()}
    found = {k: {w: frechet_distance(base[w], of[w]) for w in ways} for k, of in others.items()}
    return pd.DataFrame.from_dict(found, orient="index")


def drawn(domain, n: int) -> dict[str, Tensor]:
    """True targets of the first n test images, of every in-domain edit, as far as they can be drawn."""
    if domain.target_source is None:
        return {}
    named = [name for name, edit in domain.edits.items() if edit.in_domain]
    return {name: domain.targets(name, "test", n) for name in named}


def negatives(domain, n: int = 32) -> Recount | None:
    """E1: by how much the wrap changes a Fréchet distance, and whether it changes an order."""
    if not (sets := drawn(domain, n)):
        return None
    table = two_distances(domain, domain.images("test", n), sets)
    ratio, order = table["negatives"] / table["right"], table.corr("spearman").iloc[0, 1]
    text = (
        f"FD({n} originals, true targets of {len(table)} edits): of negatives {spread(ratio, '.2f')} of the "
        f"right one, rank correlation {order:.2f}"
    )
    return Recount(-1 if ((ratio - 1).abs() > 0.05).any() else 0, text)


def untrained(layout: str, heads: int = 1) -> StudyDelta:
    """An f_t of the study as it begins, the same for every head count."""
    torch.manual_seed(0)
    return StudyDelta(H_SHAPE, TEMB, layout=layout, heads=heads).eval()


def _noise() -> tuple[Tensor, Tensor]:
    """h of two images, and a time embedding of zeros."""
    return torch.randn(2, *H_SHAPE, generator=torch.Generator().manual_seed(0)), torch.zeros(2, TEMB)


@torch.inference_mode()
def heads_at_run_time(domain=None, trained: int = 8, run: int = 1) -> Recount:
    """E3: what f_t of one head count gives with another, all weights equal, untrained and, where there are
    rows, trained; ours refuses such a file.
    """
    h, temb = _noise()
    right, other = untrained("pc", trained), untrained("pc", run)
    a, b = (delta(h, temb, 500) for delta in (right, other))
    try:
        other.load_state_dict(right.state_dict())
        refused = False
    except WeightsError:
        refused = True
    apart = float((a - b).norm() / a.norm())
    text = f"Δh of untrained pc with {trained} heads, run with {run}, is {apart:.0%} another"
    text += "; such a file is refused here" if refused else ""
    return _beside(Recount(-1 if apart > 0.01 else 0, text), domain and wrong_heads(domain))


@torch.inference_mode()
def size_of_shift(domain=None) -> Recount:
    """E5: RMS of Δh from untrained f_t for h of two sizes."""
    h, temb = _noise()
    size = lambda layout, h: float(untrained(layout)(h, temb, 500).square().mean().sqrt())
    rms = [size(layout, s * h) for layout in LAYOUTS for s in (1, 5)]
    text = f"RMS of Δh of untrained p, c, pc, cp, for h of one size and five: {spread(rms, '.2f')}"
    return Recount(-1 if max(rms) - min(rms) < 0.01 else 0, f"{text}; of conv {size('conv', h):.2f}")


@torch.inference_mode()
def one_reference(domain, n: int = 9) -> Recount | None:
    """E4: cosines of perfect edits, and of faces without an edit, from their own originals and from the last
    one of the batch; and what training with the last one cost.
    """
    x_0, found = domain.images("test", n), []
    encode, clip = domain.clip.encode_images, domain.clip
    own = encode(x_0)
    last = own[-1:].expand_as(own)
    for name, images in drawn(domain, n).items():
        edit, edited = domain.edit_named(name), encode(images)
        direction = clip.text_direction(edit.source, edit.target)
        cosine = lambda a, b, to=direction: float(1 - directional_distance(a, b, to)[:-1].mean())
        found.append({"own": cosine(own, edited), "last": cosine(last, edited), "no edit": cosine(last, own)})
    if not found:
        return wrong_reference(domain)
    mean = pd.DataFrame(found).mean()
    text = (
        f"cosine of perfect edits ({len(found)} edits, {n} faces) from their originals {mean['own']:.2f}, "
        f"from the last of the batch {mean['last']:.2f}; of no edit, from the last, {mean['no edit']:.2f}"
    ).replace("-", "−")
    return _beside(Recount(-1 if mean["last"] < mean["own"] / 2 else 0, text), wrong_reference(domain))


def wrong_heads(domain) -> Recount | None:
    """E3, of trained f_t: what their weights do with another head count, by the experiment `heads`."""
    rows = _rows(domain, "heads")
    if not (table := heads.means(rows, "difference", right=False)):
        return None
    lost, words, sides = heads.lost(rows), [], []
    for edit, apart in table.items():
        for count, i in apart.items():
            words.append(f"{edit}, {count} heads: Δh {i.mean:.0%} another")
            sides.append(above(i, ANOTHER))
            if effect := lost.get(edit, {}).get(count):
                words[-1] += f", aimed less by {effect} sd"
                sides.append(abs(above(effect, 0)))
    return Recount(-1 if 1 in sides else 0, f"of trained f_t with the wrong count: {'; '.join(words)}")


def wrong_reference(domain) -> Recount | None:
    """E4, of trained f_t: what one reference for a batch costs, by the experiment `reference`."""
    table = reference.lost(_rows(domain, "reference"))
    lost = {f"{edit}, {kind}": i for edit, of in table.items() for kind, i in of.items()}
    if not lost:
        return None
    words = "; ".join(f"{name} {effect} sd" for name, effect in lost.items())
    sides = [above(effect, 0) for effect in lost.values()]
    return Recount(-1 if 1 in sides else 0, f"trained with one reference for a batch, aimed less by: {words}")


def _beside(one: Recount, other: Recount | None) -> Recount:
    """Both: what decides against is enough of either."""
    return Recount(min(one.side, other.side), f"{one.text}; {other.text}") if other else one


def few_images(domain, n: int = 40, few: int = 5) -> Recount:
    """E12: the Fréchet distance of real images from others, of few and of more."""
    real = clip_features(domain.second_clip or domain.clip, domain.images("train", 2 * n))
    apart = {k: frechet_distance(real[:k], real[n : n + k]) for k in (few, n)}
    times = f"{apart[few] / apart[n]:.1f} times that of {n} from {n}"
    return Recount(0, f"FD of {few} real images from {few} others is {times}")


def _rows(domain, name: str = "final") -> pd.DataFrame:
    """Stored rows of an experiment; none, where it was not made yet."""
    try:
        return stored(domain, name)
    except WeightsError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return pd.DataFrame(columns=[*COLUMNS])
        raise


def best_sc(domain) -> Recount | None:
    """Does no edit have a higher SC than every edit?"""
    if (of := pick(_rows(domain), "SC")).empty:
        return None
    edits, none = by_edit(pick(of, variant=None, strength=1.0)), pick(of, variant=CONTROLS[0])["value"].mean()
    sure = [-above(i, none) for i in edits.values()]
    text = f"SC of no edit {none:.2f}, of edits {spread(edits.values(), '.2f')}"
    return Recount(1 if sure.count(1) == len(sure) else -1 if -1 in sure else 0, text)


def best_fd(domain) -> Recount | None:
    """Does a Fréchet distance put edits above those that edit nothing?  (Both from the originals)"""
    rows = _rows(domain)
    if (of := pick(rows, "fd_original")).empty:
        return None
    edits = pick(of, variant=None, strength=1.0).groupby("edit")["value"].mean()
    nothing = {name: with_ends(rows, "fd_original", variant=name)[0] for name in CONTROLS[:2]}
    listed = ", ".join(f"{name} {value:.3f}" for name, value in nothing.items())
    text = f"FD from originals: {listed}, edits {spread(edits, '.3f')}"
    return Recount(-1 if min(nothing.values()) < edits.min() else 0, text)


def curls_smile(domain) -> Recount | None:
    """Does *curly hair* move the smile too, so far that it can be seen?"""
    of = pick(_rows(domain), "mean smile", variant=None, edit="curly hair", strength=1.0)
    if of.empty:
        return None
    shift = over_seeds(of)
    return Recount(above(shift, VISIBLE), f"curly hair moves the smile by {shift} sd")


def at_half(score: str, way: int, *, unseen: bool = False) -> Callable[..., Recount | None]:
    """Whether a score at strength ½ is surely higher (way 1) or lower (−1) than at 1, on the same faces."""

    def measured(domain) -> Recount | None:
        of = pick(_rows(domain), score, variant=None)
        of = of.assign(image=of["image"].fillna(0), seed=of["seed"].fillna(0))  # a distance is of all faces
        full, half = (pick(of, strength=s) for s in (1.0, 0.5))
        both = half.merge(full, on=["edit", "seed", "image"], suffixes=("", "_full"))
        if unseen:
            both = both[[not domain.edit_named(edit).in_domain for edit in both["edit"]]]
        if both.empty:
            return None
        more = by_edit(both.assign(value=both["value"] - both["value_full"]))
        sides = [way * above(i, 0) for i in more.values()]
        if score.startswith("fd"):  # one number each
            sides = [way * (1 if i.mean > 0 else -1) for i in more.values()]
        whole = 1 if sides.count(1) == len(sides) else -1 if sides.count(-1) == len(sides) else 0
        text = f"{score} at strength ½ less that at 1: {spread(more.values(), '+.3f')}, {len(more)} edits"
        return Recount(whole, text)

    return measured


def rises(*strengths: float) -> Callable[..., Recount | None]:
    """Whether the aimed effect of every edit surely rises from each of these strengths to the next."""

    def measured(domain) -> Recount | None:
        of = pick(_rows(domain, "linearity"), "aimed", variant=None)
        found = {}
        for low, high in pairwise(strengths):
            both = pick(of, strength=high).merge(pick(of, strength=low), on=["edit", "seed", "image"])
            if both.empty:
                return None
            found[f"{low:g} to {high:g}"] = by_edit(both.assign(value=both["value_x"] - both["value_y"]))
        sides = [above(i, 0) for step in found.values() for i in step.values()]
        words = ", ".join(f"{step} {spread(of.values(), '+.2f')}" for step, of in found.items())
        text = f"aimed, sd, from strength {words}: {counted(sides)}"
        return Recount(-1 if -1 in sides else int(min(sides)), text.replace("-", "−"))

    return measured


#: name -> what is measured here, of a domain
MEASURES: dict[str, Callable[..., Recount | None]] = {
    "negatives": negatives,
    "heads at run time": heads_at_run_time,
    "one reference": one_reference,
    "size of Δh": size_of_shift,
    "few images": few_images,
    "curly hair also smiles": curls_smile,
    "the opposite at −1": rises(-1.0, 0.0),
    "effect rises with strength": rises(-1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0),
    "no edit has the best SC": best_sc,
    "no edit is no better by FD": best_fd,
    "half strength changes less": at_half("distance", -1, unseen=True),
    "half strength has a higher S_dir": at_half("S_dir", 1),
    "half strength has a lower FD": at_half("fd_original", -1),
}
