"""Composition: what is left of each edit when several Δh_t are added?  (Asyrp Sec. 5.2, Fig. 8)"""

from collections.abc import Sequence

from ..errors import DomainError
from ..measure.judge import summaries
from ..measure.stats import decimals, ratio_of_means
from .trial import Trial, begin


def measure(
    domain,
    *,
    n: int = 32,
    groups: Sequence[Sequence[str]] | None = None,
    trial: Trial | None = None,
    progress: bool = True,
) -> dict:
    """Edit test images with several edits at once, by the paper's rule Σ Δh / √n and by the plain sum.

    Each edit keeps its own interval; n counts the edits whose strength is not 0.

    Args:
        groups: names of the edits in each composition; None: see `usual_groups`.
    Returns:
        singles: edit alone -> edit of whose aim is read -> scores as summaries, at strength 1;
        groups: "a + b" -> rule -> {strength: of each edit before the 1/√n; edits: edit -> scores and, with an
            oracle, share: aimed shift together over that alone, expected: that share if shifts added up}.
    Source: Asyrp Sec. 5.2 (several attributes, 1/√n), Fig. 8.
    """
    groups = usual_groups(domain) if groups is None else groups
    deltas = domain.trained(dict.fromkeys(name for group in groups for name in group))
    trial = begin(domain, trial, n, progress)
    strengths = {((name,), "alone"): 1.0 for name in deltas}
    strengths |= {(tuple(group), rule): s for group in groups for rule, s in rules(len(group)).items()}
    runs = {run: {"edits": {deltas[name]: s for name in run[0]}} for run, s in strengths.items()}
    alone, found = {}, {"singles": {}, "groups": {}}
    for (group, rule), edited in trial.edits("composition", runs):
        read = deltas if rule == "alone" else group
        tables = {name: trial.scores(name, edited) for name in read}
        rows = {name: summaries(table) for name, table in tables.items()}
        if rule == "alone":
            alone[group[0]], found["singles"][group[0]] = tables, rows
            continue
        strength = strengths[group, rule]
        for name in group:
            if "aimed" in tables[name]:
                single = alone[name][name]["aimed"]
                added = sum(alone[other][name]["aimed"].mean() for other in group)
                expected = added * strength / len(group) ** 0.5 / single.mean()
                share = ratio_of_means(tables[name]["aimed"], single)
                rows[name] |= {"share": share, "expected": decimals(expected)}
        row = {"strength": decimals(strength), "edits": rows}
        found["groups"].setdefault(" + ".join(group), {})[rule] = row
    return found


def usual_groups(domain) -> list[tuple[str, ...]]:
    """Three pairs and a triple of smiling, tanned, curly hair, old and glasses, or of what there is.

    Two edits give one pair, three or four the two pairs and the triple of the first three; else DomainError.
    """
    a, *rest = domain.trained_like(("smiling", "tanned", "curly hair", "old", "glasses"))
    if not rest:
        raise DomainError(
            f"The domain {domain.name!r} has an f_t of {a!r} only; expected two to compose; train another: "
            f"python -m asyrp_lib train <edit> --domain {domain.name}"
        )
    pairs = [(a, b) for b in rest[:2]] + [tuple(rest[2:4])] * (len(rest) > 3)
    return pairs + [(a, *rest[:2])] * (len(rest) > 1)


def rules(n: int) -> dict[str, float]:
    """The strength of each of n edits before `combine` divides by √n: the paper's rule, and the plain sum."""
    return {"1/√n": 1.0, "sum": n**0.5}
