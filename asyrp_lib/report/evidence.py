"""The inconsistencies E1 to E15 of the study (`data/trial.json`), each from its own stored numbers."""

import pandas as pd

from .claim import spread
from .recount import (
    RO,
    Recount,
    ablation_rows,
    best_rows,
    cosine_of,
    curves,
    edit_of,
    fid_scores,
    is_negative,
    listed,
    original_lower,
    two_fids,
)
from .sentences import claim_5, claim_6, claim_21


def e1(n: dict) -> Recount:
    """Two FIDs in one table, one of them of photo-negatives."""
    files = {"original": fid_scores(n, "1.0")["score_ro"].mean(), "best": best_rows(n, "1.0")[RO].mean()}
    kind = {name: is_negative(n, ro) for name, ro in files.items()}
    both, (lower, better) = two_fids(n), original_lower(n)
    ratio = (both["negatives"] / both["right"]).unstack()[["fid_edited_original", "fid_edited_reconstructed"]]
    text = (
        f"FID(original, reconstruction) of the same images is {files['original']:.1f} for the original, "
        f"{files['best']:.1f} for the best model; {len(ratio)} rows have both: negatives give "
        f"{ratio.stack().mean():.2f} of the right FID; over its own reconstruction the original is lower in "
        f"{better.sum()} of {len(better)}, at half strength, same code, in {lower.sum()} of {len(lower)}"
    )
    return Recount(-1 if kind["original"] != kind["best"] else 0, text)


def e2(n: dict) -> Recount:
    """The best model as it is written, and as it was run."""
    text, scripts = (n["as_run"]["table_5"][k] for k in ("text", "scripts"))
    other = [f"{k}: {text[k]}, run {scripts[k]}" for k in text if text[k] != scripts[k]]
    return Recount(-1 if other else 1, "; ".join(other) or "as written")


def e3(n: dict) -> Recount:
    """The head count at training and at evaluation."""
    heads, rows = n["as_run"]["heads"], ablation_rows(n, "heads", "h8_")
    other = [count for count in heads["trained"] if count != heads["run"]]
    best = best_rows(n, "1.0").loc["pixar", "sdir_oe"]
    text = (
        f"trained with {listed(heads['trained'], 'd')} heads, run with {heads['run']}; Table 5's pixar has "
        f"S_dir {best:.3f}, every row of 8 heads {spread(rows['sdir_oe'], '.3f')}"
    )
    return Recount(-1 if other else 1, text)


def e4(n: dict) -> Recount:
    """The reference of a batch: its last image."""
    sizes = n["as_run"]["batch_sizes"]
    wrong = {name: (size - 1) / size for name, size in sizes.items() if size > 1}
    share = spread(wrong.values(), ".0%")
    text = f"with one reference for a batch, {share} of the loss starts at another face"
    batches = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return Recount(-1 if wrong else 1, f"batches: {batches}; {text}" if wrong else f"batches: {batches}")


def e5(n: dict) -> Recount:
    """The size of Δh: learned, or set by a LayerNorm?"""
    rms, official = n["delta_h_rms"]["untrained"], n["delta_h_rms"]["official"].values()
    tokens = [rms[layout] for layout in ("p", "c", "pc", "cp")]
    fixed, times = max(tokens) - min(tokens) < 0.01, min(tokens) * len(official) / sum(official)
    text = f"RMS of Δh: untrained p, c, pc, cp {spread(tokens)}, the authors' f_t {spread(official)}"
    return Recount(-1 if fixed and times > 1.5 else 0, f"{text}, {times:.1f} times less")


def e6(n: dict) -> Recount:
    """Which loss the curves show, and whether it falls."""
    table, first = curves(n), n["figure_readings"]["fig_15"]["first"]
    above, start = table["end"] > table["level"], cosine_of(n, "neanderthal", max(first.values()))
    logs = [log["epochs"] for name, log in n["training_logs"].items() if name != "source"]
    moved = [[cosine_of(n, "pixar", epoch["mean_clip_part"]) for epoch in log[:2]] for log in logs]
    text = (
        f"{above.sum()} of {len(above)} curves end above what the CLIP part costs at cosine 0; were it that "
        f"part alone, Fig. 15 would begin at a cosine of {listed([start], '.1f')}; mean cosines of the logs, "
        f"epochs 1 and 2: {'; '.join(listed(pair, '.3f') for pair in moved)}"
    )
    return Recount(-1 if all(above) else 0, text)


def copies(n: dict) -> list[str]:
    """Ablations whose last two epochs are the same in every stored number."""
    rows = ablation_rows(n, "layertype")
    names = sorted({key.rsplit("_", 2)[0] for key in rows.index})
    last = {name: rows[rows.index.str.startswith(f"{name}_")].iloc[-2:] for name in names}
    short = lambda name: name.split("/")[1].split("_")[0]
    return [short(name) for name, pair in last.items() if pair.iloc[0].equals(pair.iloc[1])]


def e7(n: dict) -> Recount:
    """Epochs that are copies of the epoch before."""
    same = copies(n)
    text = f"epoch 4 repeats epoch 3 in all stored numbers in {len(same)} of 5 columns: {', '.join(same)}"
    return Recount(-1 if same else 1, text if same else "no epoch repeats another")


def e8(n: dict) -> Recount:
    """S_dir of one edit against the texts of another."""
    rows, of = ablation_rows(n, "layertype"), n["as_run"]["layer_rows"]
    texts, files = of["S_dir measured against"], [n["raw_table5_1.0"], n["raw_table5_0.5"]]
    odd = [key for file in files for key, row in file.items() if row["attr"] != edit_of(key)]
    text = (
        f"images of {of['edit']}, texts of {texts}: S_dir is below 0 in {(rows['sdir_oe'] < 0).sum()} of "
        f"{len(rows)} rows; {len(odd)} of {sum(map(len, files))} rows behind Table 5 name another edit"
    )
    return Recount(-1 if of["edit"] != texts else 1, text)


def e9(n: dict) -> Recount:
    """How much training Fig. 19 shows."""
    of, at = n["figure_readings"]["fig_19"], n["steps"]
    batches = of["log_steps"] / (2 * at["edited_steps"][of["edit"]] + 1 + 5 / 4)
    epochs = batches * at["batch_size"] / at["train_images"]
    moved = ", ".join(f"{name} {of['first'][name]:.1f} to {of['end'][name]:.1f}" for name in of["end"])
    return Recount(0, f"{of['log_steps']} log steps are {batches:.0f} batches, {epochs:.2f} epochs: {moved}")


def e10(n: dict) -> Recount:
    """What of the repository does not run as it is described."""
    found = n["as_run"]["does_not_run"]
    return Recount(-1 if found else 1, f"{len(found)} places: {'; '.join(found)}" if found else "it runs")


def e11(n: dict) -> Recount:
    """Edits that lie nearer to the originals than no edit."""
    nearer = {s: fid_scores(n, s).query("score_eo < score_ro").index for s in ("1.0", "0.5")}
    named = "; ".join(f"at {s} {len(edits)} of 5 ({', '.join(edits)})" for s, edits in nearer.items())
    text = f"FID(original, edit) is below FID(original, reconstruction): {named}"
    return Recount(-1 if any(map(len, nearer.values())) else 1, text)


def gaps(n: dict) -> pd.DataFrame:
    """FID of the two groups of Table 4 as a ratio, by edit: edit, reconstruction, left."""
    ratio = fid_scores(n, "1.0_noncaucasian") / fid_scores(n, "1.0_caucasian")
    table = pd.DataFrame({"edit": ratio["score_eo"], "reconstruction": ratio["score_ro"]})
    return table.assign(left=table["edit"] / table["reconstruction"])


def e12(n: dict) -> Recount:
    """How much of the groups' gap is there without an edit."""
    gap, few = gaps(n), n["raw_fid_5_images"]["reconstructed_original"]
    many = two_fids(n).xs(RO, level=1)["right"].mean()
    text = (
        f"gap {spread(gap['edit'])} times, of unedited reconstructions {spread(gap['reconstruction'])}, "
        f"{spread(gap['left'])} left; 5 images in place of 100 alone give {few / many:.2f} times"
    )
    return Recount(-1 if (gap["left"] <= 1).all() else 0, text)


def e13(n: dict) -> Recount:
    """How much moves before and after the learning rate falls."""
    rows, after = ablation_rows(n, "heads", "h"), n["as_run"]["lr_falls_after_epoch"]
    change = [of["sdir_re"].diff().abs() for _, of in rows.groupby(rows.index.str.rsplit("_", n=2).str[0])]
    mean = lambda first, end: pd.concat([of.iloc[first:end] for of in change]).mean()
    before, then = mean(1, after), mean(after, None)
    text = f"S_dir moves by {before:.4f} an epoch up to epoch {after}, by {then:.4f} after the rate fell"
    return Recount(0, f"{text}: the schedule and the heads cannot be told apart")


def e14(n: dict) -> Recount:
    """Scores that were fed with another range, or with pixels."""
    cosine = [1 - loss for name, loss in n["early_clip_losses"].items() if name != "source"]
    return Recount(0, f"the first notebook, fed with 0 … 255, has cosines of {spread(cosine, '.3f')}")


def e15(n: dict) -> Recount:
    """Sentences of the text beside its own tables."""
    sides = {name: check(n).side for name, check in (("5", claim_5), ("6", claim_6), ("21", claim_21))}
    other = [name for name, side in sides.items() if side < 0]
    return Recount(-1 if other else 1, f"claims that the tables contradict: {', '.join(other) or 'none'}")
