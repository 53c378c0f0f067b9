"""Results as long rows, one number each; pandas opens them in one line: `pd.read_csv(file)`."""

from collections.abc import Iterator

import pandas as pd

#: `image` is empty in rows over all images, whose scores are called "S_dir mean", "S_dir low" and so on;
#: `seed` is that of the f_t, empty where there is one f_t only.
COLUMNS = ("experiment", "domain", "edit", "variant", "seed", "image", "strength", "score", "value")

#: experiment -> where in its result the columns stand, the first that fits.  `score…` takes all that is left
#: of a path; several variants are joined by " | "; what follows the colon is the score, or comes before it.
PATHS = {
    "unseen": (
        "scores/edit/strength/score…",
        "closer/edit/strength/variant/images/image:gain",
        "closer/edit/strength/variant/score…",
        "confusion/variant/strength/edit/score…:relative gain to",
        "nearest/variant/strength/edit/score…:nearest to",
        "target_leaked/edit/score…:true target leaked",
    ),
    "reach": ("edit/variant/variant/images/image:gain", "edit/variant/variant/score…"),
    "linearity": (
        "edits/edit/strengths/strength/score…",
        "edits/edit/images/strength/image:aimed",
        "edits/edit/fit/score…",
        "edits/edit/faces/image:correlation",
        "edits/edit/breaks/variant/score…:break",
        "score…",
    ),
    "composition": (
        "singles/variant/edit/score…",
        "groups/variant/variant/edits/edit/score…",
        "groups/variant/variant/score…",
    ),
    "robustness": ("strength/=edit/score…", "strength/variant/variant/score…"),
    "consistency": (
        "edit/runs/variant/score…",
        "edit/alignment/score/variant/variant",
        "edit/alignment/score/variant",
    ),
    "intervals": (
        "own/edit:own t_edit",
        "t_edit/edit/variant/score…",
        "steps/edit/variant/variant/images/score/image",
        "steps/edit/variant/variant/score…",
    ),
    "boosting": ("t_boost:t_boost", "runs/edit/variant/scores/score…", "runs/edit/variant/score…", "score…"),
    "metrics": (
        "scores/edit/strength/score…",
        "images/edit/strength/score/image",
        "within/edit/strength/score…:S_dir with",
        "bias/variant/score…:real to real",
        "score…",
    ),
}


def tidy(experiment: str, domain: str, data: dict) -> pd.DataFrame:
    """What `measure` gave, as rows of `COLUMNS`; a text is 1 of a score that names it."""
    rows = []
    for path, value in _leaves(data):
        if isinstance(value, str):
            path, value = (*path, value), 1.0
        if value is not None:
            place = next(filter(None, (_place(pattern, path) for pattern in PATHS[experiment])))
            rows.append({"experiment": experiment, "domain": domain, **place, "value": float(value)})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"image": "Int64", "strength": float, "seed": "Int64"})


def _leaves(value, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """(path, number or text) of everything in nested dicts and lists."""
    inside = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if inside is None:
        yield path, value
        return
    for key, entry in inside:
        texts = isinstance(value, list) and isinstance(entry, str)
        yield from _leaves(entry, path if texts else (*path, str(key)))


def _place(pattern: str, path: tuple[str, ...]) -> dict | None:
    """Column -> value of a path, None where the pattern does not fit."""
    pattern, _, score = pattern.partition(":")
    place, names = {}, pattern.split("/") if pattern else []
    if len(path) < len(names) or (len(path) > len(names) and names[-1] != "score…"):
        return None
    for i, name in enumerate(names):
        if name == "score…":
            score = " ".join(filter(None, (score, *path[i:])))
        elif name == "score":
            score = path[i]
        elif name == "variant":
            place[name] = " | ".join([*([place[name]] if name in place else []), path[i]])
        elif name in COLUMNS:
            place[name] = path[i]
        elif name.lstrip("=") != path[i]:
            return None
    number = {"image": int, "strength": float}
    return {name: number.get(name, str)(entry) for name, entry in place.items()} | {"score": score}
