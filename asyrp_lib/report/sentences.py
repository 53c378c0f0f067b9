"""Sentences of the study beside its own stored numbers: one function for each claim that they decide.

Numbers are those of the inventory of claims in `data/trial.json`.
"""

import pandas as pd

from .claim import spread
from .recount import FILES, Recount, ablation_rows, cosines, curves, fid_scores, listed, original_lower


def claim_5(n: dict) -> Recount:
    """Is the editing interval about the first 30 % of the steps?"""
    share = [1 - row["t_edit"] / n["steps"]["T"] for row in n["study_table_1"]]
    return Recount(1 if max(share) < 0.4 else -1, f"by Table 1's t_edit it is {spread(share, '.0%')}")


def claim_6(n: dict) -> Recount:
    """Does boosting cover about the last 30 %?"""
    share, runs = n["study_settings"]["t_boost"] / n["steps"]["T"], n["as_run"]["table_5"].values()
    steps = [sum(s <= run["t_boost"] for s in n["steps"]["grid_40"]) for run in runs]
    return Recount(1 if 0.2 < share < 0.4 else -1, f"the last {share:.0%}, {spread(steps, 'd')} of 40 steps")


def claim_18(n: dict) -> Recount:
    """Does a lower strength give a higher S_dir?"""
    full, half = (cosines(n, s) for s in ("1.0", "0.5"))
    falls = (half < full).sum()
    side = 1 if not falls else -1 if falls == len(full) else 0
    return Recount(side, f"at half strength the stored cosine falls in {falls} of {len(full)}")


def claim_19(n: dict) -> Recount:
    """Is FID higher, the more an edit must change?"""
    fid, table = fid_scores(n, "1.0")["score_eo"], n["study_table_1"]
    far = fid.index.isin([row["edit"] for row in table if row["domain"] == "UN"])
    text = f"at strength 1, right FID: unseen {spread(fid[far], '.0f')}, in-domain {spread(fid[~far], '.0f')}"
    return Recount(1 if fid[far].min() > fid[~far].max() else -1, text)


def claim_20(n: dict) -> Recount:
    """Does half strength lower FID, with one FID for both?"""
    full, half = (fid_scores(n, s)["score_eo"] for s in ("1.0", "0.5"))
    draft = pd.Series(n["removed_tables"]["draft_3_pytorch_fid"]["orig_edit"])
    falls = {"as printed": half / full - 1, "with the right FID for both": draft / full - 1}
    text = "; ".join(f"{name} {listed(fall.sort_values(), '.0%')}" for name, fall in falls.items())
    text += " (from a draft whose strength is not stated; 0.5 by elimination)"
    return Recount(1 if (draft < full).all() else -1, text)


def claim_21(n: dict) -> Recount:
    """Is FID(reconstruction, edit) always below FID(original, edit)?"""
    over = {s: fid_scores(n, s).query("score_er > score_eo").index for s in FILES}
    named = [f"{edit} at {s.replace('_', ', ')}" for s, edits in over.items() for edit in edits]
    text = f"above it in {len(named)} of {5 * len(FILES)}: {'; '.join(named) or 'none'}"
    return Recount(-1 if named else 1, text)


def claim_31(n: dict) -> Recount:
    """Does S_dir rise with the head count?"""
    last = ablation_rows(n, "heads", "h").filter(regex="_5_pixar", axis=0)["sdir_re"]
    text = f"S_dir from the reconstruction, 1, 2, 4, 8 heads, epoch 6: {listed(last, '.4f')}"
    return Recount(0 if last.iloc[-1] > last.iloc[0] else -1, f"{text}, all run with one")


def claim_33(n: dict) -> Recount:
    """Has pc the lowest loss, and what do the right FIDs say?"""
    end, right = n["figure_readings"]["fig_15"]["end"], pd.DataFrame(n["raw_ablations_pytorch_fid"]).T
    of = right.index.str.extract("layertype_ablation/([a-z]+)_.*?([0-2])_pixar")[0].set_axis(right.index)
    fid = right["fid_edited_original"].groupby(of).mean()
    rank = lambda found, form: ", ".join(f"{k} {v:{form}}" for k, v in found.sort_values().items())
    text = f"image loss, not CLIP loss, at the end: {rank(pd.Series(end), '.2f')}"
    return Recount(0, f"{text}; right FID, mean of epochs 1 to 3: {rank(fid, '.0f')}")


def differences(n: dict, figure: str) -> Recount:
    """How far the ends of a figure's curves lie apart, one seed each."""
    end = n["figure_readings"][figure]["end"]
    far, named = max(end.values()) - min(end.values()), ", ".join(f"{k} {v:.2f}" for k, v in end.items())
    return Recount(0, f"{named}: {far:.2f} apart, {far / min(end.values()):.1%}, one seed each")


def claim_38(n: dict) -> Recount:
    """Has the best model a lower FID than the original, by both ways to compare like with like?"""
    lower, share = original_lower(n)
    text = (
        f"at half strength, one FID for both, the original is lower in {lower.sum()} of {len(lower)} "
        f"({', '.join(lower.index[lower])}); over its own reconstruction at strength 1 in {share.sum()} of "
        f"{len(share)} ({', '.join(share.index[share])})"
    )
    wins = [sum(way) > len(way) / 2 for way in (lower, share)]
    return Recount(-1 if all(wins) else 0 if any(wins) else 1, text)


def claim_42(n: dict) -> Recount:
    """Is SGD at a high rate behind AdamW?"""
    log = n["training_logs"]["pc_h1_sgd_lr0.5_bs8_pixar"]["epochs"][1]["mean_total"]
    adam = curves(n).query("edit == 'pixar'")["end"].min()
    text = f"pc with SGD at 0.5, untuned, never printed: {log:.2f} in epoch 2"
    return Recount(-1 if log < adam else 0, f"{text}; the best AdamW curve: {adam:.2f}")


def claim_43(n: dict) -> Recount:
    """Does conv edit with AdamW?"""
    rows = {"1e-5 on pixar": "heads", "1e-4 on neanderthal": "layertype"}
    far = {at: ablation_rows(n, of, "conv")["fid_edited_reconstructed"].mean() for at, of in rows.items()}
    text = ", ".join(f"{value:.0f} at {at}" for at, value in far.items())
    return Recount(0, f"FID(reconstruction, edit) of conv: {text}; one rate each")


def claim_54(n: dict) -> Recount:
    """Are S_dir and FID better in-domain, best for sad and smiling?"""
    cosine, fid = cosines(n, "1.0").sort_values(), fid_scores(n, "1.0")["score_eo"].sort_values()
    text = f"cosine, weakest first: {', '.join(cosine.index)}; FID, lowest first: {', '.join(fid.index)}"
    return Recount(1 if set(cosine.index[-2:]) == {"sad", "smiling"} else -1, text)


def claim_55(n: dict) -> Recount:
    """Is neanderthal the hardest?"""
    cosine = cosines(n, "1.0").sort_values()
    named = ", ".join(f"{edit} {value:.3f}" for edit, value in cosine.items())
    return Recount(1 if cosine.index[0] == "neanderthal" else -1, f"cosine, weakest first: {named}")
