"""The first edition of the embedded world (32 px) beside the present one: its images, its verdicts today.

Its networks left the repository; they stand in its history at the commit that `first()` names.
"""

import json

import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from ..experiments import inversion, provenance, stored, world
from ..store.images import to_tensor
from ..store.paths import data_dir, repo_root
from .claims import claims, rewrite, table_of

FOLDER = data_dir() / "edition_1"
#: README's table stands between these.
MARKERS = ("<!-- editions: made by python -m asyrp_lib.report.editions -->", "<!-- end of editions -->")


def first() -> dict:
    """commit, resolution, images (faces, rows, what the oracle of then read), claims (id -> verdict, …),
    wanted (see there)."""
    return json.loads((FOLDER / "edition_1.json").read_text())


def first_images() -> dict[str, Tensor]:
    """ "original", "reconstruction", … -> images (6, 3, 32, 32) in [-1, 1], as they were made then."""
    about = first()
    n, side, names = len(about["images"]["faces"]), about["resolution"], about["images"]["rows"]
    with Image.open(FOLDER / "images.png") as sheet:
        tile = lambda i, k: to_tensor(sheet.crop((k * side, i * side, (k + 1) * side, (i + 1) * side)))
        return {name: torch.stack([tile(i, k) for k in range(n)]) for i, name in enumerate(names)}


def changed(domain) -> pd.DataFrame:
    """The verdicts of the first edition whose words are others now, by id: before, now, what is measured
    otherwise; a claim that is not measured yet is left out.
    """
    then, now = first()["claims"], claims(domain)["verdict"]
    rows = {
        name: {"32 px": then[name]["verdict"], "64 px": now[name], "measured otherwise": then[name]["now"]}
        for name in then
        if name in now.index and now[name] != then[name]["verdict"]
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["32 px", "64 px", "measured otherwise"])


def wanted(domain) -> pd.DataFrame:
    """What this edition was to show: measure, 32 px (what the first had), wanted (written down before the
    first network was trained), got (from stored rows).
    """
    back = inversion.by_grid(stored(domain, "inversion"))
    error = {f"{c} correction{'s' * (c != 1)}": line[40] for c, line in back.items() if 40 in line}
    rows = stored(domain, "world")
    moved, spreads = world.moved(rows), world.spreads(rows)
    far, narrow = max(moved, key=lambda f: abs(moved[f].mean)), min(spreads, key=lambda f: spreads[f].mean)
    enough, n = sum(s.mean >= 0.85 for s in spreads.values()), len(spreads)
    samples, test = world.frechet(rows, "samples"), world.frechet(rows, "test")
    faces, seeds = provenance(domain, "final")["settings"]["n"], stored(domain, "final")["seed"].nunique()
    got = {
        "error": ", ".join(f"{error[c].mean:.4f} ({c})" for c in error),
        "shift": f"{moved[far]} ({far})",
        "spread": f"≥ 0.85 in {enough} of {n}; least {spreads[narrow]} ({narrow})",
        "distance": f"{samples.mean / test.mean:.1f} ({samples.mean:.3f} / {test.mean:.3f})",
        "seeds": str(seeds),
        "faces": str(faces),
        "edits": str(claims(domain, "known").loc["known", "ours"]).rsplit("; ", 1)[-1],
    }
    return pd.DataFrame.from_dict(first()["wanted"], orient="index").assign(got=pd.Series(got))


def markdown(table: pd.DataFrame) -> str:
    """`changed` as README shows it."""
    return table_of(table.rename_axis("claim").reset_index())


if __name__ == "__main__":
    from ..domains.load import load_domain

    rewrite(repo_root() / "README.md", MARKERS, markdown(changed(load_domain("synthfaces"))))
