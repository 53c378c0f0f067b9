"""Captions of faces, with varied wording, from their factors: what the small CLIP of `synthfaces` learns to
read.

A caption may mention anything that can be seen.  What no caption ever mentions a CLIP learns to overlook, and
an edit
trained under its loss may then change it for free.
"""

import numpy as np
import pandas as pd

#: Sentences around a phrase; the bare phrase is as common as all the others together.
TEMPLATES = (
    "a photo of {}",
    "a picture of {}",
    "a portrait of {}",
    "an image of {}",
    "a close-up photo of {}",
    "a good photo of {}",
    "a cropped photo of {}",
    "a low resolution photo of {}",
    "a bright photo of {}",
    "a drawing of {}",
    "a rendering of {}",
    "{} in the picture",
    "the face of {}",
)
#: Names of the six hues around the circle of `render._hue`, from 0.
HUES = ("red", "yellow", "green", "turquoise", "blue", "purple")


def _graded(value: float, *steps: tuple[float, tuple[str, ...]]) -> tuple[str, ...]:
    """The words of the first step whose upper end lies above the value."""
    return next(words for end, words in steps if value < end)


def _hue(value: float) -> str:
    return HUES[int(value * 6 + 0.5) % 6]


def adjectives(row: pd.Series) -> list[tuple[str, ...]]:
    """Groups of words of which each is true of the face; one word of a group says what the group says."""
    groups = [
        _graded(
            row.smile,
            (-0.6, ("sad", "very sad", "frowning", "miserable")),
            (-0.2, ("sad", "unhappy", "frowning")),
            (0.2, ("serious", "neutral", "expressionless")),
            (0.6, ("smiling", "happy", "cheerful")),
            (9, ("smiling", "grinning", "beaming", "very happy")),
        ),
        _graded(row.brow_tilt, (-0.3, ("worried", "anxious")), (0.3, ()), (9, ("angry", "furious", "mad"))),
        _graded(
            row.age,
            (0.15, ("young", "very young")),
            (0.35, ("young", "youthful")),
            (0.65, ("middle-aged",)),
            (0.85, ("old", "elderly", "aged")),
            (9, ("old", "very old")),
        ),
        _graded(row.tan, (0.15, ("untanned",)), (0.45, ("slightly tanned",)), (9, ("tanned", "suntanned"))),
        _graded(
            row.skin,
            (0.15, ("pale", "fair-skinned")),
            (0.4, ("light-skinned",)),
            (0.65, ("brown-skinned",)),
            (9, ("dark-skinned",)),
        ),
        _graded(
            row.head_width,
            (-0.4, ("narrow-faced", "slim-faced")),
            (0.4, ()),
            (9, ("wide-faced", "round-faced")),
        ),
    ]
    if row.bald > 0.6:
        groups.append(("bald", "hairless"))
    elif row.curl > 0.55:
        groups.append(("curly-haired", "curly"))
    if row.beard > 0.35:
        groups.append(("bearded",))
    return [group for group in groups if group]


def _hair(row: pd.Series) -> list[tuple[str, ...]]:
    if row.bald >= 0.6:
        return []
    if row.age > 0.72:
        colour = "grey"
    else:
        colour = ("black", "brown", "red", "blond")[int(np.clip(row.hair_colour * 3 + 0.5, 0, 3))]
    kind = _graded(row.curl, (0.15, ("straight",)), (0.5, ("wavy",)), (9, ("curly",)))[0]
    length = _graded(row.hair_length, (0.2, ("short hair",)), (0.65, ()), (9, ("long hair",)))
    return [
        (f"{kind} hair", f"{kind} {colour} hair"),
        (f"{colour} hair",),
        length,
        ("thinning hair",) if row.bald > 0.2 else (),
    ]


def attachments(row: pd.Series) -> list[tuple[str, ...]]:
    """Groups of phrases after "with", each true of the face."""
    side = lambda value, left, right: _graded(value, (-0.35, left), (0.35, ()), (9, right))
    groups = _hair(row) + [
        ("glasses", "spectacles", "eyeglasses") if row.glasses > 0.5 else (),
        _graded(
            row.beard,
            (0.01, ("a clean-shaven chin",) if row.gender > 0 else ()),
            (0.35, ("stubble",)),
            (9, ("a beard", "a full beard")),
        ),
        _graded(
            row.mouth_open,
            (0.01, ("a closed mouth",)),
            (0.45, ("a slightly open mouth",)),
            (9, ("an open mouth",)),
        ),
        ("wrinkles",) if row.age > 0.75 else (),
        side(row.eye_size, ("small eyes",), ("big eyes", "large eyes")),
        _graded(row.eye_colour, (0.33, ("brown eyes",)), (0.67, ("green eyes",)), (9, ("blue eyes",))),
        side(row.nose, ("a small nose",), ("a big nose", "a large nose")),
        side(row.yaw, ("the head turned left",), ("the head turned right",)),
        side(row.gaze, ("eyes looking left",), ("eyes looking right",)),
        side(row.light, ("light from the left",), ("light from the right",)),
        (f"a {_hue(row.background)} background",),
        _graded(
            row.background_light, (0.33, ("a dark background",)), (0.67, ()), (9, ("a light background",))
        ),
        (f"{_hue(row.clothes)} clothes",),
    ]
    return [group for group in groups if group]


def caption(row: pd.Series, rng: np.random.Generator, style: str | None = None) -> str:
    """One caption: a random subset of what is true of the face, in random words.

    Args:
        row: the factors of one face.
        rng: source of the wording.
        style: name of an unseen style (`styles.STYLES`) the picture is drawn in, None for the plain picture.
    """
    keep = rng.random()  # from bare nouns to full descriptions
    words = [str(rng.choice(g)) for g in adjectives(row) if rng.random() < keep]
    extras = [str(rng.choice(g)) for g in attachments(row) if rng.random() < 0.5 * keep]
    rng.shuffle(words)
    rng.shuffle(extras)
    gendered = ("man", "male person") if row.gender > 0 else ("woman", "female person")
    noun = str(rng.choice(("face", "person", "human") if rng.random() < 0.6 else gendered))
    phrase = " ".join([*words, noun]) + (" with " + " and ".join(extras) if extras else "")
    if rng.random() < 0.6:
        phrase = ("an " if phrase[0] in "aeiou" else "a ") + phrase
    if style is not None:
        return f"{style} of {phrase}" if rng.random() < 0.8 else style
    return str(rng.choice(TEMPLATES)).format(phrase) if rng.random() < 0.5 else phrase
