"""The factor table of `synthfaces`: what a face is made of, before it is drawn.

A row is one face, a column one factor.  Every factor is a plain number, so the truth of an edit ("how much
did the smile move, and what else moved?") can be asked of any image whose factors are known or estimated by
the oracle.
"""

import numpy as np
import pandas as pd

#: factor -> (lowest, highest, what the two ends mean)
FACTORS: dict[str, tuple[float, float, str]] = {
    "smile": (-1, 1, "mouth corners down (sad) … up (smiling)"),
    "mouth_open": (0, 1, "closed … open, with teeth"),
    "brow_tilt": (-1, 1, "inner ends up (worried) … down (angry)"),
    "age": (0, 1, "young … old: wrinkles, folds, grey hair"),
    "skin": (0, 1, "light … dark, an ordered scale"),
    "tan": (0, 1, "no tan … strongly tanned: warmer and darker, whatever the skin"),
    "gender": (-1, 1, "feminine … masculine presentation: jaw, brows, lips"),
    "beard": (0, 1, "clean-shaven … full beard"),
    "hair_colour": (0, 1, "black, brown, red, blond along one scale"),
    "hair_length": (0, 1, "short … long"),
    "curl": (0, 1, "straight … curly"),
    "bald": (0, 1, "full hair … bald"),
    "glasses": (0, 1, "none … dark-rimmed"),
    "eye_colour": (0, 1, "brown, green, blue along one scale"),
    "eye_size": (-1, 1, "small … large"),
    "nose": (-1, 1, "small … large"),
    "head_width": (-1, 1, "narrow … wide"),
    "yaw": (-1, 1, "turned left … right"),
    "gaze": (-1, 1, "looks left … right"),
    "light": (-1, 1, "lit from the left … right"),
    "background": (0, 1, "hue of the muted background, cyclic"),
    "background_light": (0, 1, "dark … light background"),
    "clothes": (0, 1, "hue of the clothes, cyclic"),
    "texture": (0, 1, "phase of hair strands and curls"),
}

#: Factors that come back after one turn; the oracle reads none of them.
CYCLIC = ("background", "clothes", "texture")
#: factor -> those that it moves by construction: an edit of the one is not blamed for the others.  Grey hair
#: comes with age, a smile narrows the eyes and shows teeth, only men have beards or are bald, …
TIES: dict[str, tuple[str, ...]] = {
    "smile": ("mouth_open", "eye_size"),
    "brow_tilt": ("eye_size",),
    "age": ("hair_colour",),
    "tan": ("skin",),
    "curl": ("hair_length",),
    "beard": ("gender",),
    "bald": ("gender", "hair_length", "hair_colour", "curl"),
}

#: The splits and their seeds.  Every judge has its own, and `audit` is for their scores alone: nothing is
#: trained on it.  Settings are chosen on `validation`; `sealed` is read once, by the final evaluation.
SPLITS: dict[str, int] = {"train": 1, "test": 2, "oracle": 3, "audit": 4, "validation": 5, "sealed": 6}
SPLITS |= {"oracle_2": 7, "oracle_3": 8, "second_clip": 9}


def sample_factors(n: int, seed: int) -> pd.DataFrame:
    """The factor table (n, len(FACTORS)) of `n` faces, each column inside the range that `FACTORS` gives.
    Row i depends on `seed` and i only, never on `n`, so a longer table starts with the shorter one.
    """
    u = np.random.default_rng(seed).random((n, 32))  # row-major: row i uses draws 32 i … 32 i + 31
    column = iter(range(32))

    def uniform(low: float = 0.0, high: float = 1.0) -> np.ndarray:
        return low + (high - low) * u[:, next(column)]

    f = {"smile": uniform(-1, 1), "brow_tilt": uniform(-1, 1)}
    f["mouth_open"] = np.clip(uniform(-1.0, 1.0), 0, 1)
    f["age"] = uniform()
    f["skin"] = uniform() ** 1.3
    f["tan"] = np.clip(uniform(-0.8, 1.0), 0, 1)
    f["gender"] = np.sign(uniform(-1, 1)) * uniform(0.25, 1)
    masculine = f["gender"] > 0
    f["beard"] = np.where(masculine, np.clip(uniform(-0.9, 1.2), 0, 1), 0.0)
    f["hair_colour"] = uniform()
    f["hair_length"] = np.clip(uniform(0, 0.75) + np.where(masculine, -0.3, 0.3), 0, 1)
    f["curl"] = np.clip(uniform(-0.5, 1.1), 0, 1)
    f["bald"] = np.where(masculine, np.clip(uniform(-2.2, 1.2) + 0.5 * f["age"], 0, 1), 0.0)
    f["glasses"] = (uniform() < 0.3).astype(float)
    for name in ("eye_colour", "background", "background_light", "clothes", "texture"):
        f[name] = uniform()
    for name in ("eye_size", "nose", "head_width", "yaw", "gaze", "light"):
        f[name] = uniform(-1, 1)
    return pd.DataFrame({name: f[name] for name in FACTORS})
