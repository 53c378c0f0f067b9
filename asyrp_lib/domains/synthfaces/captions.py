"""Captions of faces, with varied wording, from their factors: what `synthfaces`' small CLIP learns to read.

A caption may mention anything that can be seen.  What no caption ever mentions a CLIP learns to overlook, and
an edit trained under its loss may then change it for free.
"""

from bisect import bisect_right

import numpy as np
import pandas as pd

from .unseen import Unseen

#: Sentences around a phrase; the bare phrase is as common as all the others together.
TEMPLATES = (
    *("a photo of {}", "a picture of {}", "a portrait of {}", "an image of {}", "a close-up photo of {}"),
    *("a good photo of {}", "a cropped photo of {}", "a low resolution photo of {}", "a bright photo of {}"),
    *("a drawing of {}", "a rendering of {}", "{} in the picture", "the face of {}"),
)
#: Names of the six hues around the circle of `canvas.hue`, from 0.
HUES = ("red", "yellow", "green", "turquoise", "blue", "purple")


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(", ")))


def _graded(value: float, *scale) -> tuple[str, ...]:
    """The words for a value on a scale such as "narrow", -0.4, "", 0.4, "wide, round": ends between words."""
    return _words(scale[::2][bisect_right(scale[1::2], value)])


def _hue(value: float) -> str:
    return HUES[int(value * 6 + 0.5) % 6]


def adjectives(row: pd.Series, colours: bool = True) -> list[tuple[str, ...]]:
    """Groups of words of which each is true of the face; one word of a group says what the group says.
    `colours`: also those of the skin.
    """
    sad = "sad, very sad, frowning, miserable", -0.6, "sad, unhappy, frowning", -0.2
    happy = "smiling, happy, cheerful", 0.6, "smiling, grinning, beaming, very happy"
    age = "young, very young", 0.15, "young, youthful", 0.35, "middle-aged", 0.65, "old, elderly, aged", 0.85
    skin = "pale, fair-skinned", 0.15, "light-skinned", 0.4, "brown-skinned", 0.65, "dark-skinned"
    groups = [
        _graded(row.smile, *sad, "serious, neutral, expressionless", 0.2, *happy),
        _graded(row.brow_tilt, "worried, anxious", -0.3, "", 0.3, "angry, furious, mad"),
        _graded(row.age, *age, "old, very old"),
        _graded(row.head_width, "narrow-faced, slim-faced", -0.4, "", 0.4, "wide-faced, round-faced"),
    ]
    if colours:
        groups.append(_graded(row.tan, "untanned", 0.15, "slightly tanned", 0.45, "tanned, suntanned"))
        groups.append(_graded(row.skin, *skin))
    if row.bald > 0.6:
        groups.append(("bald", "hairless"))
    elif row.curl > 0.55:
        groups.append(("curly-haired", "curly"))
    if row.beard > 0.35:
        groups.append(("bearded",))
    return [group for group in groups if group]


def _hair(row: pd.Series, colours: bool) -> list[tuple[str, ...]]:
    if row.bald >= 0.6:
        return []
    colour = ("black", "brown", "red", "blond")[int(np.clip(row.hair_colour * 3 + 0.5, 0, 3))]
    colour = "grey" if row.age > 0.72 else colour
    kind = _graded(row.curl, "straight", 0.15, "wavy", 0.5, "curly")[0]
    length = _graded(row.hair_length, "short hair", 0.2, "", 0.65, "long hair")
    thinning = _words("thinning hair" if row.bald > 0.2 else "")
    if not colours:
        return [(f"{kind} hair",), length, thinning]
    return [(f"{kind} hair", f"{kind} {colour} hair"), (f"{colour} hair",), length, thinning]


def attachments(row: pd.Series, colours: bool = True) -> list[tuple[str, ...]]:
    """Groups of phrases after "with", each true of the face; `colours`: also those of hair, eyes and rest."""
    side = lambda value, left, right: _graded(value, left, -0.35, "", 0.35, right)
    shaven = "a clean-shaven chin" if row.gender > 0 else ""
    groups = _hair(row, colours) + [
        _words("glasses, spectacles, eyeglasses" if row.glasses > 0.5 else ""),
        _graded(row.beard, shaven, 0.01, "stubble", 0.35, "a beard, a full beard"),
        _graded(row.mouth_open, "a closed mouth", 0.01, "a slightly open mouth", 0.45, "an open mouth"),
        _words("wrinkles" if row.age > 0.75 else ""),
        side(row.eye_size, "small eyes", "big eyes, large eyes"),
        side(row.nose, "a small nose", "a big nose, a large nose"),
        side(row.yaw, "the head turned left", "the head turned right"),
        side(row.gaze, "eyes looking left", "eyes looking right"),
        side(row.light, "light from the left", "light from the right"),
    ]
    if colours:
        groups += [
            _graded(row.eye_colour, "brown eyes", 0.33, "green eyes", 0.67, "blue eyes"),
            (f"a {_hue(row.background)} background",),
            _graded(row.background_light, "a dark background", 0.33, "", 0.67, "a light background"),
            (f"{_hue(row.clothes)} clothes",),
        ]
    return [group for group in groups if group]


def caption(row: pd.Series, rng: np.random.Generator, unseen: Unseen | None = None) -> str:
    """One caption in random words: some of what is true of a face, or of what an unseen domain makes of it
    (`row` has that domain's own factors then).  One in ten or more only names it: "a face", "a person".
    """
    keep = max(0.0, rng.random() * 1.1 - 0.1)  # from bare nouns to full descriptions
    colours = unseen is None
    words = [str(rng.choice(g)) for g in adjectives(row, colours) if rng.random() < keep]
    extras = [str(rng.choice(g)) for g in attachments(row, colours) if rng.random() < 0.5 * keep]
    rng.shuffle(words)
    rng.shuffle(extras)
    gendered = ("man", "male person") if row.gender > 0 else ("woman", "female person")
    noun = str(rng.choice(("face", "person", "human") if rng.random() < 0.6 else gendered))
    if unseen and not unseen.medium:
        noun = unseen.noun if rng.random() < 0.6 else f"{unseen.noun} {noun}"
    phrase = " ".join([*words, noun]) + (" with " + " and ".join(extras) if extras else "")
    if rng.random() < 0.6:
        phrase = ("an " if phrase[0] in "aeiou" else "a ") + phrase
    if unseen and unseen.medium:
        return f"a {unseen.noun} of {phrase}" if rng.random() < 0.8 else f"a {unseen.noun}"
    return str(rng.choice(TEMPLATES)).format(phrase) if rng.random() < 0.5 else phrase
