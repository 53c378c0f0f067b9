"""Consistency: is Δh_t the same for all pictures and all times, so that its mean edits as well?  (Asyrp Sec. 5.4, Fig. 10)"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..api import edit, invert
from ..deltas import Delta
from ..measure.judge import chosen, scores, summaries
from ..measure.stats import ratio_of_means
from ..method.process import global_mean, per_time_mean
from ..progress import tqdm


def measure(
    domain,
    *,
    n: int = 32,
    names: Sequence[str] | None = None,
    n_train: int = 32,
    counts: Sequence[int] = (1, 4, 16),
    progress: bool = True,
) -> dict:
    """Replace f_t by its mean over training pictures, and by its mean over pictures and times, and edit test pictures with it.

    Args:
        domain: a Domain with f_t.
        n: test pictures.
        names: of the edits, those without an f_t are left out; None: smiling, tanned and curly hair, or what the domain has
            (`Domain.trained_like`).
        n_train: training pictures in the means.
        counts: further means over pictures and times, of so many of these pictures.
        progress: show a progress bar.
    Returns:
        edit -> runs: "Δh_t", "mean", "global", "global of k" -> scores as summaries (`judge.scores`) and, with an oracle,
        share: aimed shift over that of Δh_t (`ratio_of_means`); alignment: see `alignment`, of Δh_t on the training pictures.
    Raises:
        DomainError: none of the edits is trained.
    Source: Asyrp Sec. 5.4, Fig. 10.
    """
    deltas = chosen(domain, names, ("smiling", "tanned", "curly hair"))
    x_0 = domain.images("test", n)
    x_T, train_x_T = (invert(domain, x, progress=progress) for x in (x_0, domain.images("train", n_train)))
    plain, found = edit(domain, x_T, {}, progress=False), {}
    for name, delta in tqdm(deltas.items(), desc="consistency", unit="edit", disable=not progress):
        seen = Recorder(delta)
        edit(domain, train_x_T, {seen: 1.0}, progress=False)
        kinds, tables = means(domain, train_x_T, delta, counts), {}
        for kind, shift in {"Δh_t": delta, **kinds}.items():
            edited = edit(domain, x_T, {shift: 1.0}, progress=False)
            tables[kind] = scores(domain, domain.edits[name], x_0, plain, edited)
        runs = {kind: summaries(table) for kind, table in tables.items()}
        for kind in runs if "aimed" in tables["Δh_t"] else ():
            runs[kind]["share"] = ratio_of_means(tables[kind]["aimed"], tables["Δh_t"]["aimed"])
        found[name] = {"runs": runs, "alignment": alignment(seen.seen)}
    return found


def means(domain, x_T: Tensor, delta: nn.Module, counts: Sequence[int] = ()) -> dict[str, Delta]:
    """Δh_t^mean and Δh^global over pictures x_T (N, 3, R, R), and Δh^global over the first k of them for k in `counts`."""
    mean = per_time_mean(domain.unet, x_T, delta, progress=False)
    fewer = {
        f"global of {k}": global_mean(per_time_mean(domain.unet, x_T[:k], delta, progress=False))
        for k in counts
    }
    return {"mean": mean, "global": global_mean(mean), **fewer}


class Recorder(Delta):
    """f_t that keeps what it answers, batch after batch.

    Args:
        delta: f_t.
    """

    def __init__(self, delta: nn.Module):
        super().__init__(name=delta.name, t_edit=delta.t_edit, train_steps=delta.train_steps)
        self.delta, self._answers = delta, defaultdict(list)

    @property
    def channels(self) -> int:
        """C of the h-space it shifts."""
        return self.delta.channels

    @property
    def seen(self) -> dict[int, Tensor]:
        """t -> Δh_t (N, C, H, W) of all pictures so far."""
        return {t: torch.cat(answers) for t, answers in self._answers.items()}

    def forward(self, h: Tensor, temb: Tensor | None, t: int) -> Tensor:
        """Δh_t (B, C, H, W) of f_t; see `Delta.forward`."""
        shift = self.delta(h, temb, t)
        self._answers[t].append(shift.expand_as(h))
        return shift


def alignment(seen: dict[int, Tensor]) -> dict:
    """How far Δh_t points the same way for different pictures and at different times.

    Args:
        seen: t -> Δh_t (N, C, H, W), N >= 2.
    Returns:
        times: T, falling; images: mean cosine of two pictures at each time (T,); cosines: mean over pictures of the cosine
        of a picture's Δh at two times (T, T); norms: mean |Δh_t| at each time (T,).  A random pair of directions has about 0.
    """
    times = sorted(seen, reverse=True)
    shifts = torch.stack([seen[t].flatten(1).double().cpu() for t in times])  # (T, N, D)
    norms = shifts.norm(dim=2)
    unit, n = shifts / norms[..., None], shifts.shape[1]
    images = (unit.sum(1).square().sum(1) - n) / (n * (n - 1))  # Σ_{i≠j} u_i·u_j over the number of pairs
    rounded = lambda x: (
        [[round(float(v), 4) for v in row] for row in x] if x.ndim == 2 else [round(float(v), 4) for v in x]
    )
    return {
        "times": times,
        "images": rounded(images),
        "cosines": rounded(torch.einsum("snd,tnd->st", unit, unit) / n),
        "norms": rounded(norms.mean(1)),
    }
