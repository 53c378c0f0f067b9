"""Captions of faces, with varied wording, from their factors: what the small CLIP of `synthfaces` learns to read."""
import numpy as np
import pandas as pd

#: Sentences around a phrase; the bare phrase is as common as all the others together.
TEMPLATES = ("a photo of {}", "a picture of {}", "a portrait of {}", "an image of {}", "a close-up photo of {}",
             "a good photo of {}", "a cropped photo of {}", "a low resolution photo of {}", "a bright photo of {}",
             "a drawing of {}", "a rendering of {}", "{} in the picture", "the face of {}")


def adjectives(row: pd.Series) -> list[tuple[str, ...]]:
    """Groups of words of which each is true of the face; one word of a group says what the group says."""
    groups = []
    if row.brow_tilt > 0.4 and row.smile < 0.35:
        groups.append(("angry", "furious", "mad"))
    elif row.smile < -0.35:
        groups.append(("sad", "unhappy", "frowning"))
    elif row.smile > 0.35:
        groups.append(("smiling", "happy", "grinning", "cheerful"))
    if row.age > 0.65:
        groups.append(("old", "elderly", "aged"))
    elif row.age < 0.3:
        groups.append(("young", "youthful"))
    if row.tan > 0.5:
        groups.append(("tanned", "suntanned"))
    if row.skin > 0.65:
        groups.append(("dark-skinned",))
    elif row.skin < 0.15 and row.tan < 0.2:
        groups.append(("pale", "light-skinned"))
    if row.bald > 0.6:
        groups.append(("bald", "hairless"))
    elif row.curl > 0.55:
        groups.append(("curly-haired", "curly"))
    if row.beard > 0.35:
        groups.append(("bearded",))
    return groups


def attachments(row: pd.Series) -> list[tuple[str, ...]]:
    """Groups of phrases after "with", each true of the face."""
    groups = []
    if row.glasses > 0.5:
        groups.append(("glasses", "spectacles", "eyeglasses"))
    if row.beard > 0.35:
        groups.append(("a beard", "a full beard"))
    if row.bald < 0.6:
        if row.age > 0.72:
            colour = "grey"
        else:
            colour = ("black", "brown", "red", "blond")[int(np.clip(row.hair_colour * 3 + 0.5, 0, 3))]
        kind = "curly " if row.curl > 0.55 else ("straight " if row.curl < 0.15 else "")
        groups.append((f"{kind}hair", f"{kind}{colour} hair") if kind else (f"{colour} hair",))
        if row.hair_length > 0.65:
            groups.append(("long hair",))
        elif row.hair_length < 0.2:
            groups.append(("short hair",))
    if row.mouth_open > 0.45:
        groups.append(("an open mouth",))
    if row.age > 0.75:
        groups.append(("wrinkles",))
    return groups


def caption(row: pd.Series, rng: np.random.Generator, style: str | None = None) -> str:
    """One caption: a random subset of what is true of the face, in random words.

    Args:
        row: the factors of one face.
        rng: source of the wording.
        style: name of an unseen style (`styles.STYLES`) the picture is drawn in, None for the plain picture.
    """
    keep = rng.random() ** 0.6  # from bare nouns to full descriptions
    words = [str(rng.choice(g)) for g in adjectives(row) if rng.random() < keep]
    extras = [str(rng.choice(g)) for g in attachments(row) if rng.random() < 0.8 * keep]
    rng.shuffle(words)
    gendered = ("man", "male person") if row.gender > 0 else ("woman", "female person")
    noun = str(rng.choice(("face", "person", "human") if rng.random() < 0.6 else gendered))
    phrase = " ".join([*words, noun]) + (" with " + " and ".join(extras) if extras else "")
    if rng.random() < 0.6:
        phrase = ("an " if phrase[0] in "aeio" else "a ") + phrase
    if style is not None:
        return f"{style} of {phrase}" if rng.random() < 0.8 else style
    return str(rng.choice(TEMPLATES)).format(phrase) if rng.random() < 0.5 else phrase
