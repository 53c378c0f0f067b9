"""What was published about the edits of the paper's domains: texts, λ, t_edit, and the perceptual curves.

Texts: the table of text pairs of the original code (commit a6c82dc).  λ_CLIP and t_edit: Table 1 of the study
where it lists the edit; elsewhere λ_CLIP is the 1.0 of the original's training script, and t_edit follows
from the curve and the cosine of the texts.  What is unseen, the study says where it lists the edit, else we.
The goblin is the study's own (its Fig. 17), at the settings of its other edits: nobody tuned it.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from ..edits import Edit


def _edits(*edits: Edit) -> dict[str, Edit]:
    return {edit.name: edit for edit in edits}


def _unseen(name: str, source: str, target: str, **settings) -> Edit:
    return Edit(name, source, target, in_domain=False, **settings)


def without_t_edit(edits: dict[str, Edit]) -> dict[str, Edit]:
    """The same edits for another network, whose t_edit has to come from a curve of its own."""
    return {name: replace(edit, t_edit=None) for name, edit in edits.items()}


#: Faces: CelebA-HQ and FFHQ.
FACES = _edits(
    Edit("smiling", "face", "smiling face", lambda_clip=0.8, t_edit=513),
    Edit("sad", "face", "sad face", lambda_clip=0.8, t_edit=513),
    Edit("angry", "face", "angry face", lambda_clip=0.8, t_edit=512),
    Edit("tanned", "face", "tanned face", lambda_clip=0.8, t_edit=512),
    Edit("man", "a person", "a man", lambda_clip=0.8, t_edit=513),
    Edit("woman", "a person", "a woman", lambda_clip=0.8, t_edit=513),
    Edit("young", "person", "young person", lambda_clip=0.8, t_edit=515),
    Edit("curly hair", "person", "person with curly hair", lambda_clip=0.8, t_edit=499),
    _unseen("nicolas", "Person", "Nicolas Cage", lambda_clip=0.8, t_edit=461),
    _unseen("pixar", "Human", "3D render in the style of Pixar", lambda_clip=0.8, t_edit=446),
    _unseen("neanderthal", "Human", "Neanderthal", lambda_clip=1.2, t_edit=490),
    _unseen("goblin", "person", "goblin", lambda_clip=0.8, tuned=False),
    _unseen("modigliani", "photo", "Painting in Modigliani style", lambda_clip=0.8, t_edit=403),
    _unseen("frida", "photo", "self-portrait by Frida Kahlo", lambda_clip=0.8, t_edit=321),
    *(Edit(name, "face", f"{name} face") for name in ("pale", "surprised", "disgusted")),
    Edit("old", "person", "old person"),
    Edit("bald", "person", "person with bald head"),
    *(Edit(name, "person", f"person with {name}") for name in ("beards", "makeup")),
    Edit("no makeup", "person", "person without makeup"),
    *(Edit(f"{name} hair", "person", f"person with {name} hair") for name in ("blond", "red", "grey")),
    _unseen("zuckerberg", "Person", "Mark Zuckerberg"),
    _unseen("benedict", "Person", "Benedict Cumberbatch"),
    _unseen("gogh", "photo", "painting by Gogh"),
    _unseen("sketch", "photo", "sketch"),
    _unseen("watercolor", "photo", "Watercolor Art with Thick Brushstrokes"),
    _unseen("elf", "Human", "Tolkien elf"),
    _unseen("super saiyan", "Human", "Super saiyan"),
    _unseen("zombie", "Human", "Zombie"),
)
#: Dogs: AFHQ.
DOGS = _edits(
    *(Edit(name, "Dog", f"{name.capitalize()} Dog") for name in ("happy", "sleepy", "angry")),
    Edit("yorkshire", "Dog", "Yorkshire Terrier"),
    _unseen("wolf", "Dog", "Wolf"),
)
#: LSUN church.
CHURCHES = _edits(
    Edit("gothic", "Church", "Gothic Church"),
    Edit("red brick", "Church", "Red brick wall Church"),
    Edit("temple", "Church", "Temple"),
    Edit("wooden church", "Church", "Wooden Church"),
    _unseen("factory", "church", "factory with chimneys"),
    _unseen("department store", "church", "department store"),
)
#: LSUN bedroom.
BEDROOMS = _edits(Edit("hotel", "Bedroom", "Hotel Bedroom"), Edit("princess", "Bedroom", "Princess Bedroom"))
_MOODS = ("smiling", "angry", "sad", "disgusted", "surprised")
#: MetFaces; the capital letter and the article are the original's.
PAINTINGS = _edits(
    *(Edit(mood, "painting of a person", f"painting of a {mood.capitalize()} person") for mood in _MOODS)
)
_THINGS = ("an apple", "a lemon", "a strawberry", "a basketball", "a hamster")
#: ImageNet, for images of the class that the source names.
OBJECTS = _edits(
    *(_unseen(f"orange to {a.split()[1]}", "a photo of an orange", f"a photo of {a}") for a in _THINGS),
    _unseen("orange to tennis ball", "An Orange", "Tennis ball"),
    _unseen("acoustic to electric guitar", "a photo of an acoustic guitar", "a photo of an electric guitar"),
)

#: Per data set: the first t at which the published mean LPIPS(x_0, P_t) reaches 0.33 c, c = 0.40, 0.41 … 1.
#: Derived by us from the original repository's curves (MIT licence, copyright 2023 kwonminki), not copied.
_FIRST_T = {
    "celeba": """
        281 290 299 310 318 327 335 344 350 358 366 372 378 386 390 396 400 404 411 416 421 425 430 433 436
        440 443 447 454 456 459 461 466 469 472 476 479 481 484 487 489 492 494 498 500 503 505 507 511 512
        514 516 518 520 523 526 528 533 534 535 538""",
    "afhq": """
        124 129 133 138 143 148 153 158 164 169 174 180 186 193 199 205 211 217 224 230 238 245 251 259 266
        273 281 289 296 302 310 317 325 332 340 346 355 362 369 376 383 389 394 400 405 412 418 424 429 435
        439 445 449 454 458 462 466 471 476 480 482""",
    "church": """
        181 186 190 194 198 202 207 211 215 219 223 227 231 235 239 243 247 251 255 259 263 266 270 274 278
        281 285 289 293 296 300 304 307 311 314 318 322 325 328 331 335 338 342 345 348 352 355 358 361 364
        367 370 373 376 379 382 385 388 390 393 396""",
    "bedroom": """
        221 226 230 233 238 242 246 249 252 258 260 264 268 272 275 279 282 285 288 291 294 296 300 303 304
        308 311 313 317 319 321 325 326 329 331 334 335 338 340 342 344 346 350 351 354 356 358 360 364 365
        367 370 371 375 376 377 378 381 382 383 384""",
    "metface": """
        47 50 50 51 54 57 58 61 63 65 67 70 72 76 78 81 83 85 88 92 95 101 104 107 111 115 121 124 129 135
        141 145 152 160 165 171 180 187 197 203 216 224 233 244 252 262 273 280 291 301 313 320 330 339 350
        356 367 369 379 389 396""",
}


def published_curve(name: str) -> pd.DataFrame:
    """The published perceptual curve of celeba, afhq, church, bedroom or metface, thinned to where it
    matters.
    Returns a DataFrame of 601 rows: t and P_t, the mean LPIPS between x_0 and P_t, for cosines from 0.400 to
    1.000.  For a cosine of two decimals `t_edit_from_curve` answers what the full curve gives; between them a
    straight line, rounded up; below 0.40 as for 0.40.
    Source: Asyrp appendix; LPIPS with AlexNet over 100 training images along a 1000-step inversion.
    """
    cosines = [k / 1000 for k in range(400, 1001)]
    first = [int(t) for t in _FIRST_T[name].split()]
    t = np.ceil(np.interp(range(400, 1001), range(400, 1001, 10), first)).astype(int)
    return pd.DataFrame({"t": t, "P_t": [0.33 * cosine for cosine in cosines]})  # as the caller multiplies it
