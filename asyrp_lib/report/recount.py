"""What was published, computed again from what was stored with it: nothing but `data/published.json` is read.

One small function for each number group, claim and inconsistency (E1 to E15) that their own numbers decide.
"""

import json
import math
from typing import NamedTuple

import pandas as pd

from ..domains.photos.published import published_curve
from ..method.interval import t_edit_from_curve
from ..store.paths import data_dir
from .claim import spread

#: What of a stored FID tells which code it came from: that of the same reconstructions and originals.
RO = "fid_reconstructed_original"
#: The stored FID files of the reproduction: strength, and the group of faces where there is one.
FILES = ("1.0", "0.5", "1.0_caucasian", "1.0_noncaucasian")
#: What FIDs of stored files are: of negatives or not.
WHICH = {True: "FIDs of negatives", False: "the right FID"}
#: λ_CLIP of every curve and log.
WEIGHT = 0.8


class Recount(NamedTuple):
    """What their numbers say of what was published."""

    side: int  # 1: they give it, −1: they contradict it, 0: they do not tell
    text: str


def published() -> dict:
    """All numbers of `data/published.json`."""
    return json.loads((data_dir() / "published.json").read_text())


def listed(values, form: str = ".2f") -> str:
    """ "0.05, 0.01"."""
    return ", ".join(f"{value:{form}}" for value in values).replace("-", "−")


def fid_scores(n: dict, strength: str) -> pd.DataFrame:
    """score_eo, score_er, score_ro, score_oo by edit, of one of `FILES`."""
    return pd.DataFrame(n[f"raw_fid_{strength}"]).T


def cosines(n: dict, strength: str) -> pd.Series:
    """The stored cosines from the original, by edit."""
    return pd.DataFrame(n[f"raw_sdir_{strength}"]).T["sdir_oe"]


def best_rows(n: dict, strength: str) -> pd.DataFrame:
    """The rows behind Table 5, by edit."""
    return pd.DataFrame(n[f"raw_table5_{strength}"]).T.rename(index=edit_of).infer_objects()


def ablation_rows(n: dict, ablation: str, variant: str = "") -> pd.DataFrame:
    """Stored rows of an ablation, by their key: "heads_ablation/h8_5_pixar"."""
    rows = pd.DataFrame(n["raw_ablations"]).T.infer_objects()
    return rows[rows.index.str.startswith(f"{ablation}_ablation/{variant}")].sort_index()


def two_fids(n: dict) -> pd.DataFrame:
    """The 44 stored rows that hold both FIDs of the same images, each by name: right, negatives."""
    right, both = n["raw_ablations_pytorch_fid"], {}
    for key, of in right.items():
        for name, value in of.items():
            both[key, name] = {"right": value, "negatives": n["raw_ablations"][key][name]}
    return pd.DataFrame(both).T


def is_negative(n: dict, ro: float) -> bool:
    """Whether a file's FID(original, reconstruction) is the one of negatives: it is nearer to that."""
    pair = two_fids(n).xs(RO, level=1).mean()
    return bool(abs(ro - pair["negatives"]) < abs(ro - pair["right"]))


def as_stored(n: dict) -> tuple[int, int]:
    """How many numbers of tables 2 to 5 the stored files give, Table 2 as 1 − cosine; and of how many."""
    pairs = [
        (value, round(1 - n[f"raw_sdir_{s}"][edit]["sdir_oe"], 3))
        for s in ("1.0", "0.5")
        for edit, (value, _) in n["table_2_s_dir"][f"study_{s}"].items()
    ]
    scores = {"orig": "score_eo", "recon": "score_er"}
    for table in ("table_3_fid", "table_4_bias_fid"):
        for name, column in n[table].items():
            pair, _, which = name.split("_")
            raw = n[f"raw_fid_{which if table == 'table_3_fid' else f'1.0_{which}'}"]
            pairs += [(value, round(raw[edit][scores[pair]], 1)) for edit, value in column.items()]
    best = best_rows(n, "1.0")["fid_edited_original"]
    for edit, row in pd.DataFrame(n["table_5_best_model_fid"]).iterrows():
        pairs.append((row["original"], round(n["raw_fid_1.0"][edit]["score_eo"], 1)))
        pairs.append((row["study_best"], round(best[str(edit)], 1)))
    return sum(a == b for a, b in pairs), len(pairs)


def table_1(n: dict) -> Recount:
    """t_edit by the paper's rule, from the printed cosines and the authors' curve of LPIPS."""
    curve, grid, off, same = published_curve("celeba"), n["steps"]["grid_40"], [], []
    for row in n["study_table_1"]:
        cosine, printed = n["removed_tables"]["cosine"][row["edit"]], row["t_edit"]
        t = t_edit_from_curve(curve["t"].tolist(), curve["P_t"].tolist(), cosine)
        if abs(t - printed) > 1:  # the curve here is thinned to 1
            off.append(f"{row['edit']} {t} for {printed}")
            same.append(sum(s >= t for s in grid) == sum(s >= printed for s in grid))
    whole = len(n["study_table_1"])
    text = f"the rule gives {whole - len(off)} of {whole}"
    if off:
        text += f"; not {', '.join(off)}" + (": as many of the 40 steps" if all(same) else "")
    return Recount(1 if all(same) else -1, text)


def edited_steps(n: dict) -> Recount:
    """How many of the 40 steps lie in the interval, by the printed t_edit, and as the logs count."""
    grid, logged = n["steps"]["grid_40"], n["steps"]["edited_steps"]
    found = {row["edit"]: sum(s >= row["t_edit"] for s in grid) for row in n["study_table_1"]}
    same = [found[edit] == logged[edit] for edit in logged]
    text = f"{spread(found.values(), 'd')} of {len(grid)} steps, as logged in {sum(same)} of {len(same)}"
    return Recount(1 if all(same) else -1, text)


def table_2(n: dict, strength: str = "1.0") -> Recount:
    """Is the S_dir that was printed the cosine, or 1 − it?"""
    printed = n["table_2_s_dir"][f"study_{strength}"]
    cosine = cosines(n, strength)[list(printed)]
    one = sum(round(1 - cosine[edit], 3) == value for edit, (value, _) in printed.items())
    same = sum(round(cosine[edit], 3) == value for edit, (value, _) in printed.items())
    text = f"stored cosines {listed(cosine, '.3f')}; 1 − cosine is printed in {one} of {len(printed)}"
    return Recount(1 if same == len(printed) else -1, text)


def table_2_deviation(n: dict, strength: str = "1.0") -> Recount:
    """The deviations over images that were printed beside it."""
    printed, raw = n["table_2_s_dir"][f"study_{strength}"], n[f"raw_sdir_{strength}"]
    same = sum(abs(raw[edit]["sdir_oe_var"] - value) <= 0.00051 for edit, (_, value) in printed.items())
    return Recount(1 if same == len(printed) else -1, f"{same} of {len(printed)} as stored")


def paper_s_dir(n: dict) -> Recount:
    """Is the paper's row nearer to the study's cosines, or to 1 − them?"""
    paper, cosine = n["table_2_s_dir"]["paper_as_cited"], cosines(n, "1.0")
    gap = {edit: abs(value - 1 + cosine[edit]) for edit, value in paper.items()}
    near = [gap[edit] < abs(value - cosine[edit]) for edit, value in paper.items()]
    text = (
        f"nearer to 1 − the study's cosine than to the cosine in {sum(near)} of {len(near)}, "
        f"{spread(gap.values())} apart; what the paper's row is, no stored number tells"
    )
    return Recount(0, text)


def table_fid(n: dict, table: str, column: str, raw: str, score: str) -> Recount:
    """A column of tables 3 to 5: is it what was stored, and which FID is that?"""
    printed, stored = n[table][column], fid_scores(n, raw)
    same = sum(round(stored.loc[edit, score], 1) == value for edit, value in printed.items())
    ro = stored["score_ro"].mean()
    text = f"{same} of {len(printed)} as stored; FID(original, reconstruction) of that file is {ro:.1f}: "
    if "caucasian" in raw:
        return Recount(0 if same == len(printed) else -1, f"{text}of a part of the images, so either FID")
    wrong = is_negative(n, ro)
    text += "that of negatives" if wrong else "the right one"
    return Recount(-1 if wrong or same < len(printed) else 1, text)


def table_5_best(n: dict) -> Recount:
    """The row of the best model: as stored, and which FID?"""
    stored, printed = best_rows(n, "1.0"), n["table_5_best_model_fid"]["study_best"]
    same = sum(round(stored.loc[edit, "fid_edited_original"], 1) == value for edit, value in printed.items())
    wrong = all(is_negative(n, ro) for ro in stored[RO])
    text = f"{same} of {len(printed)} as stored; {WHICH[wrong]}"
    return Recount(-1 if wrong or same < len(printed) else 1, text)


def table_5_half(n: dict) -> Recount:
    """The same model at strength 0.5, stored and not printed."""
    half, again = best_rows(n, "0.5"), table_5_again(n)
    copies = again.index[~again["no copy"]]
    wrong = all(is_negative(n, ro) for ro in half[RO])
    text = ", ".join(f"{edit} {value:.1f}" for edit, value in half["fid_edited_original"].items())
    text = f"{text}; {WHICH[wrong]}; copies of strength 1: {', '.join(copies) or 'none'}"
    return Recount(-1 if wrong else 1, text)


def edit_of(key: str) -> str:
    """The edit of a row of Table 5, "fid_table_pc_h8smiling_LC_…_s_smiling"."""
    return key.rsplit("_", 1)[-1]


def draft_s_dir(n: dict) -> Recount:
    """An early S_dir table, of which some lie above 1."""
    draft = n["removed_tables"]["draft_2_s_dir"]["Reproduced S_dir"]
    over = [f"{edit} {value}" for edit, value in draft.items() if value > 1]
    return Recount(-1 if over else 0, f"no cosine is above 1: {', '.join(over) or 'none is'}")


def draft_fid(n: dict) -> Recount:
    """An early FID table, by pytorch-fid: does its reconstruction agree with the right FID?"""
    ro = n["removed_tables"]["draft_3_pytorch_fid"]["orig_recon"]["smiling"]
    right = fid_scores(n, "1.0")["score_ro"].mean()
    text = f"FID(original, reconstruction) {ro:.1f}, and {right:.1f} by torchmetrics without normalisation"
    return Recount(-1 if is_negative(n, ro) else 1, text)


def pc_epochs(n: dict) -> Recount:
    """The removed table of four epochs of pc."""
    rows, table = ablation_rows(n, "layertype", "pc_"), n["removed_tables"]["pc_epochs"]
    same = [round(a, 1) == b for a, b in zip(rows["fid_edited_original"], table["orig_edit"])]
    wrong, edit = is_negative(n, rows[RO].mean()), n["as_run"]["layer_rows"]["edit"]
    return Recount(-1, f"{sum(same)} of {len(same)} are those of {edit}, not pixar; {WHICH[wrong]}")


def stored_fid(n: dict, ablation: str, variant: str) -> Recount:
    """FIDs of an ablation that were stored: which FID?"""
    rows, right = ablation_rows(n, ablation, variant), two_fids(n)["right"].unstack()
    known = right.loc[right.index.intersection(rows.index), "fid_edited_original"]
    also = f", right ones {spread(known, '.0f')}" if len(known) else ""
    text = f"{len(rows)} rows, FID(original, edit) {spread(rows['fid_edited_original'], '.0f')}{also}"
    wrong = is_negative(n, rows[RO].mean())
    return Recount(-1 if wrong else 1, f"{text}; {'of negatives' if wrong else 'the right FID'}")


def stored_s_dir(n: dict, ablation: str, variant: str) -> Recount:
    """S_dir of an ablation, beside a conv that hardly edits."""
    rows, conv = ablation_rows(n, ablation, variant), ablation_rows(n, "heads", "conv_")
    ways = {"original": "sdir_oe", "reconstruction": "sdir_re"}
    text = "; ".join(
        f"from the {name} {spread(rows[way], '.3f')}, of a conv that hardly edits {spread(conv[way], '.3f')}"
        for name, way in ways.items()
    )
    return Recount(0, f"{len(rows)} rows: {text}")


def fid_of_itself(n: dict) -> Recount:
    """FID of the originals with themselves."""
    oo = pd.concat([fid_scores(n, s)["score_oo"] for s in FILES])
    return Recount(1 if oo.abs().max() < 1e-3 else -1, f"0 within {oo.abs().max():.4f}")


def logs(n: dict) -> Recount:
    """Do the parts of the logged losses add up, CLIP + 3 cos L1?"""
    named = {k.split("_")[0]: log["epochs"] for k, log in n["training_logs"].items() if k != "source"}
    cosine, epochs = n["removed_tables"]["cosine"]["pixar"], sum(named.values(), [])
    sums = [epoch["mean_clip_part"] + 3 * cosine * epoch["mean_l1_sum_unweighted"] for epoch in epochs]
    same = [abs(whole - epoch["mean_total"]) < 0.01 for whole, epoch in zip(sums, epochs)]
    text = "; ".join(f"{k} {listed(e['mean_total'] for e in log)}" for k, log in named.items())
    return Recount(1 if all(same) else -1, f"{text}; CLIP + 3 cos L1 in {sum(same)} of {len(same)} epochs")


def unaligned(n: dict, edit: str) -> float:
    """What the CLIP part of a loss costs at cosine 0: steps · λ_CLIP · ln 2."""
    return n["steps"]["edited_steps"][edit] * WEIGHT * math.log(2)


def cosine_of(n: dict, edit: str, loss: float) -> float:
    """The mean CLIP cosine of a loss that is −log((1 + cos) / 2) at every edited step."""
    return 2 * math.exp(-loss / WEIGHT / n["steps"]["edited_steps"][edit]) - 1


def curves(n: dict) -> pd.DataFrame:
    """Every curve that was printed: figure, name, edit, end, level (at cosine 0)."""
    found = [
        {"figure": figure, "name": name, "edit": of["edit"], "end": end, "level": unaligned(n, of["edit"])}
        for figure, of in n["figure_readings"].items()
        if figure != "source"
        for name, end in of["end"].items()
    ]
    return pd.DataFrame(found)


def table_5_again(n: dict) -> pd.DataFrame:
    """Table 5 like for like, by edit: FID(original, edit) as printed; over that of each run's own
    reconstruction, "share"; at half strength, where both are of negatives; and whether that is no copy.
    """
    table = pd.DataFrame(n["table_5_best_model_fid"]).rename(columns={"study_best": "best"})
    first, full, half = fid_scores(n, "1.0"), best_rows(n, "1.0"), best_rows(n, "0.5")["fid_edited_original"]
    table["original, share"] = first["score_eo"] / first["score_ro"]
    table["best, share"] = full["fid_edited_original"] / full[RO]
    table["original, half"] = fid_scores(n, "0.5")["score_eo"]
    table["best, half"] = half
    return table.assign(**{"no copy": (half / full["fid_edited_original"] - 1).abs() > 1e-4})


def original_lower(n: dict) -> tuple[pd.Series, pd.Series]:
    """By edit, whether the original is lower than the best model: at half strength, of what is no copy, and
    over each run's own reconstruction.
    """
    table = table_5_again(n)
    own = table[table["no copy"]]
    return own["original, half"] < own["best, half"], table["original, share"] < table["best, share"]
