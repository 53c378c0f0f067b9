"""One reference: what if a whole batch is compared with the original of its last image?  (Study Eq. 12)

The study's loss hands CLIP the loop's last x_0 as the original of every edited image of a batch, so that all
but one direction begin at another face.  The same f_t is trained with that, as it should be, and image by
image, where the two are the same.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from torch import Tensor

from .. import api, check
from ..errors import SettingsError, UnknownNameError
from ..measure.judge import usual
from ..measure.stats import Interval, crossed, paired
from ..method.clip import clip_loss, directional_distance
from ..method.reference import reference_trajectory
from ..method.schedule import interval_pairs
from ..method.train import ClipObjective, TrainSettings
from ..runs.run import config_for
from .rows import joined, numbers, pick
from .teach import lengths, losses, taught
from .trial import Trial, begin

#: Whose original each image of a batch is compared with.
OWN, LAST = "own", "last"
#: What is trained: of each f_t its `delta` and `training`, see `runs.run.config_for`; none: the domain's.
F_T = {
    "conv": {},
    "pc": {"delta": {"kind": "StudyDelta", "layout": "pc"}, "training": {"optimiser": "adamw", "lr": 1e-4}},
}


class BatchObjective(ClipObjective):
    """`ClipObjective` whose CLIP term has each image's own original, or that of the last image for all.

    P_t^ref stays each image's own, as in the study.  Beside the parts of `ClipObjective`, "clip" the term
    that is minimised, it gives "clip, own" and "clip, last", both terms.
    """

    def __init__(self, which: str, *aim, **how):
        super().__init__(*aim, **how)
        self.which = which

    def __call__(self, P_edit: Tensor, index: Tensor, k: int) -> dict[str, Tensor]:
        """See `Objective`."""
        seen, whose = self.clip.encode_images(self.decode(P_edit)), {OWN: index, LAST: index[-1:]}
        clip = {}
        for which, of in whose.items():
            originals = self.originals[of].expand_as(seen)
            clip[which] = clip_loss(directional_distance(originals, seen, self.direction)).mean()
        recon = (P_edit - self.reference[index, k].to(P_edit.device)).abs().mean()
        loss = self.weights[0] * clip[self.which] + self.weights[1] * self.cosine * recon
        parts = {"clip": clip[self.which], "recon": recon, "loss": loss}
        return parts | {f"clip, {which}": term for which, term in clip.items()}

    def identity(self) -> dict:
        """See `Objective`."""
        return super().identity() | {"reference": self.which}


def measure(
    domain,
    *,
    n: int = 12,
    names: Sequence[str] | None = None,
    f_t: Mapping[str, Mapping] = F_T,
    trainings: int = 5,
    batch_size: int = 8,
    images: int = 16,
    epochs: int = 2,
    trial: Trial | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train f_t with each image's own reference, with the last of the batch for all, and with batches of one.

    Args:
        n: test images, the same for all f_t.
        names: of the edits; None: smiling, or what there is.
        f_t: name -> {"delta": …, "training": …}, what differs from the domain's.
        trainings: of each, from seeds 0 …
        batch_size: of the first two; the third sees every image as often, so that it takes `batch_size` times
            as many optimiser steps.
        images: of the train split; epochs: passes over them.  runs/ keeps the trainings.
    Returns:
        rows with the variants "conv, own, batch 8", "conv, last, batch 8", "conv, own, batch 1", …: of each
        image `judge.scores` and `teach.lengths`; of each training `teach.losses`: the means of its last
        epoch, "clip" by its own reference, "clip, own" by the right one, "clip, last" by the last one; and
        "steps" of the optimiser.
    Raises:
        SettingsError: a batch of one alone; UnknownNameError: an f_t with other parts.
    Source: study, `diffusion_latent.py` (batches of 6 to 9).
    """
    names = usual(domain, names, ("smiling",))
    check.whole("batch_size", batch_size, 2, images, error=SettingsError)
    check.whole("trainings", trainings, 1, 100, error=SettingsError)
    if bad := [name for name, of in f_t.items() if of.keys() - {"delta", "training"}]:
        raise UnknownNameError(f"f_t {', '.join(bad)}: expected the parts delta and training; mend them.")
    trial, parts = begin(domain, trial, n, progress), []
    train = trial.like(split="train", n=images)
    for name in names:
        for kind, of in f_t.items():
            for which, size in ((OWN, batch_size), (LAST, batch_size), (OWN, 1)):
                how = {**of.get("training", {}), "batch_size": size, "epochs": epochs, "images": images}
                objective = None
                for seed in range(trainings):
                    config = config_for(domain, name, delta=of.get("delta"), seed=seed, **how)
                    objective = objective or referring(train, name, config.training, which)
                    delta, history = taught(train, name, config.delta, config.training, objective)
                    where = {"edit": name, "variant": called(kind, which, size), "seed": seed}
                    parts.append(numbers(losses(history) | {"steps": len(history)}, **where))
                    edited, sizes, _ = lengths(trial, delta)
                    table = trial.scores(name, edited).assign(**sizes)
                    parts.append(trial.rows(table, strength=1.0, **where))
    return joined(parts)


def referring(trial: Trial, name: str, settings: TrainSettings, which: str) -> BatchObjective:
    """The objective on a trial's images, with the weights that an edit gives; see `api.settled`."""
    domain, edit = trial.domain, trial.domain.edit_named(name)
    s = api.settled(domain, edit, settings)
    pairs = interval_pairs(s.steps, s.t_edit, len(domain.unet.schedule), last=True)
    kept = reference_trajectory(domain.unet, trial.x_T, pairs, progress=trial.progress)
    aim = (trial.x_0, kept, edit.source, edit.target, s.lambda_clip, s.lambda_recon)
    return BatchObjective(which, domain.clip, *aim, decode=domain.codec.decode)


def called(kind: str, which: str, size: int | str) -> str:
    """The variant of an f_t, trained with a reference and a batch size."""
    return f"{kind}, {which}, batch {size}"


def lost(rows: pd.DataFrame) -> dict[str, dict[str, Interval]]:
    """Edit -> f_t -> aimed shift with each image's own reference less that with one for all, in batches of
    one size, on the same seeds and faces, with its interval over both.
    """
    found: dict[str, dict[str, Interval]] = {}
    for edit, part in pick(rows, "aimed").groupby("edit"):
        for variant in part["variant"].dropna().unique():
            kind, _, size = str(variant).rpartition(f", {LAST}, batch ")
            right = pick(part, variant=called(kind, OWN, size))
            if kind and len(right):
                both = paired(right, pick(part, variant=variant))
                found.setdefault(str(edit), {})[kind] = crossed(both)
    return found
