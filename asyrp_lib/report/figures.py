"""What all figures share: one style, how numbers and symbols are set, and how files are written."""

import io
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from IPython.display import Image as Shown
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from PIL import Image, ImageSequence

from ..store.files import atomic_write
from ..store.paths import repo_root

#: Colours that the colour-blind tell apart too (Okabe and Ito 2008), without yellow, which is faint on white.
COLOURS = BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
)  # fmt: skip
GREY = "#6E6E6E"
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": "figure",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure everywhere
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.edgecolor": "0.3",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "lines.linewidth": 1.5,
    "figure.constrained_layout.use": True,
}
#: Levels of 255 between the colours of a file: invisible, and half of the bytes of a sheet of faces.
STEP = 5
#: Grey levels that rounding may move a part of 4 x 4 pixels by; a digit that changes moves some by far more.
ROUNDING = 6
#: A symbol with an index or a mark above (Δh_t, P_t^edit, S_dir, x_0), or one of the paper's alone.
_SYMBOL = re.compile(r"(?<![\w'’])(Δ?[A-Za-zελ])(?:_([A-Za-z0-9]+))?(?:\^([A-Za-z0-9]+))?(?!\w)")
_MINUS = re.compile(r"(?<![\w.)])-(?=\.?\d)")


def typeset(text: str) -> str:
    """A label with its symbols set as in the paper, "Δh_t", "t_edit", "S_dir", and true minus signs.

    What holds a $ is given as it is, but for the minus signs.
    """
    text = _MINUS.sub("−", str(text))
    return text if "$" in text else _SYMBOL.sub(_symbol, text)


def _symbol(found: re.Match) -> str:
    base, below, above = found.groups()
    if below is None and above is None and base not in ("Δh", "Δε", "h", "ε", "t", "S"):
        return found[0]
    upright = lambda part: part if len(part) == 1 else rf"\mathrm{{{part}}}"
    ends = "".join(f"{mark}{{{upright(part)}}}" for mark, part in (("_", below), ("^", above)) if part)
    return f"${base.replace('Δ', chr(92) + 'Delta ')}{ends}$"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, "+1.2" or "−0.4"; what rounds to 0 has none."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def ink(colour: str) -> tuple[float, float, float]:
    """A colour a third darker: of the same name, but to be read as text on white."""
    red, green, blue = to_rgb(colour)
    return 0.68 * red, 0.68 * green, 0.68 * blue


def spread(interval: tuple, digits: int = 2) -> str:
    """A mean with its interval, "1.22 [0.98, 1.41]"; without the brackets where there is none."""
    mean, low, high = (f"{value:.{digits}f}".replace("-", "−") for value in interval[:3])
    mean = mean if float(mean.replace("−", "-")) else mean.lstrip("−")  # no "−0.0"
    return mean if np.isnan(interval[1]) else f"{mean} [{low}, {high}]"


def basis(intervals: Iterable[tuple]) -> str:
    """What intervals rest on, "95 % intervals over 3 to 5 seeds, 256 faces", as far as they know."""
    found = {tuple(interval[3:5]) for interval in intervals if not np.isnan(interval[1])}
    if not found:
        return ""
    seeds, faces = ({pair[k] for pair in found if len(pair) == 2} for k in (0, 1))
    parts = [f"{_range(seeds)} seeds"] if max(seeds, default=0) > 1 else []
    if max(faces, default=0) > 0:
        some = "for some also " if parts and 0 in faces else ""  # a loss, or a strength, has none
        parts.append(f"{some}{_range(faces - {0})} faces")
    return "95 % intervals" + (f" over {', '.join(parts)}" if parts else "")


def _range(counts: set[int]) -> str:
    """ "5", or "2 to 5"."""
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))


def text_size(text: str, points: float, dpi: float) -> tuple[float, float]:
    """Width and height of a text in pixels, of all its lines, with room for hinting."""
    lines = text.split("\n")
    wide = [TextPath((0, 0), line, size=points).get_extents().width for line in lines if line.strip()]
    return 1.07 * max(wide, default=0) * dpi / 72, 1.25 * len(lines) * points * dpi / 72


def to_image(figure: Figure) -> Image.Image:
    """A figure as drawn, RGB."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", pil_kwargs={"compress_level": 1})
    return Image.open(stream).convert("RGB")


def png(figure: Figure) -> bytes:
    """A figure as PNG in colours `STEP` apart, half of the size, without date or name of a program."""
    stream = io.BytesIO()
    levels = np.asarray(to_image(figure)).astype(np.uint16)
    few = Image.fromarray(((levels + STEP // 2) // STEP * STEP).astype(np.uint8))
    few.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def same_image(a: bytes, b: bytes) -> bool:
    """Whether two images or animations have the same size and look the same but for rounding."""
    x, y = _frames(a), _frames(b)
    if x.shape != y.shape:
        return False
    apart = np.pad(x - y, ((0, 0), (0, -x.shape[1] % 4), (0, -x.shape[2] % 4), (0, 0)))
    n, high, wide, _ = apart.shape
    return bool(np.abs(apart.reshape(n, high // 4, 4, wide // 4, 4, 3).mean((2, 4))).max() < ROUNDING)


def _frames(file: bytes) -> np.ndarray:
    """(frames, H, W, 3) float32, 0 … 255."""
    with Image.open(io.BytesIO(file)) as image:
        return np.stack([np.float32(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def folder() -> Path:
    """Where figures go: `figures/`, or $ASYRP_FIGURES."""
    return Path(os.environ.get("ASYRP_FIGURES") or repo_root() / "figures")


def write(path: str | os.PathLike, image: bytes) -> None:
    """Write an image in one step; a file that shows the same but for rounding stays, with another date."""
    path = Path(path)
    if path.exists() and same_image(path.read_bytes(), image):
        with suppress(OSError):  # a folder that is only to be read
            path.touch()  # `drawn` sees by it that the file was drawn
    else:
        with atomic_write(path) as temporary:
            temporary.write_bytes(image)


def show(figure: Figure, name: str) -> Shown:
    """Write a figure to `<folder()>/<name>.png` and close it; give back what a notebook displays."""
    path = folder() / f"{name}.png"
    drawn = png(figure)
    plt.close(figure)
    write(path, drawn)
    return Shown(filename=path, width=round(figure.get_figwidth() * 100))
