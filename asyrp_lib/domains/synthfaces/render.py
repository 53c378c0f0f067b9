"""The renderer of `synthfaces`: shaded portraits from a factor table, in plain torch.

Everything is a signed distance to a shape (negative inside), turned into a soft coverage and composited back
to front;
the same coverages composite the segmentation, so picture and mask cannot disagree.  Coordinates: x to the
right,
y down, both in [-1, 1]; a batch of pictures is drawn at once, on any device.
"""

from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from .factors import FACTORS, check_factors

#: Classes of the segmentation mask, in the order of their numbers.
CLASSES = ("background", "hair", "skin", "brows, eyes, glasses", "mouth", "clothes")
BACKGROUND, HAIR, SKIN, EYES, MOUTH, CLOTHES = range(6)

#: Half the side of what the frame shows: below 1 the face is cropped closer, so that small pictures show its
#: features.
_ZOOM = 0.90
_SKIN = [(0.96, 0.80, 0.70), (0.87, 0.66, 0.52), (0.68, 0.46, 0.33), (0.40, 0.26, 0.19)]
_HAIR = [(0.10, 0.08, 0.08), (0.33, 0.20, 0.12), (0.60, 0.25, 0.10), (0.86, 0.70, 0.40)]
_IRIS = [(0.30, 0.18, 0.10), (0.25, 0.42, 0.22), (0.25, 0.48, 0.72)]


class Rendered(NamedTuple):
    """Pictures (B, 3, R, R) float32 in [-1, 1] and masks (B, R, R) uint8, numbers of `CLASSES`."""

    images: Tensor
    masks: Tensor


class Look(NamedTuple):
    """How far the factors that are hardest to see move what is drawn, in units of the frame (half its side is
    1).

    Attributes:
        head_width: of the head's half-width.
        jaw, brow, lip, lip_colour, lash, cheek: what gender presentation does to each.
        eye: half-width, half-height and radius of the iris.
        eye_size, nose: share by which they grow.
        shade: how strongly the nose is modelled; nose_length: way of its tip.
        gaze: way of the iris.
        opening: height of the open mouth.
        yaw: way of the features as the head turns.
    """

    head_width: float
    jaw: float
    brow: float
    lip: float
    lip_colour: float
    lash: float
    cheek: float
    eye: tuple[float, float, float]
    eye_size: float
    nose: float
    shade: float
    nose_length: float
    gaze: float
    opening: float
    yaw: float


#: edition -> its look.  The first is what the 32-pixel networks were trained on; in the second every factor
#: shows at 64 pixels.
LOOKS = {
    1: Look(
        head_width=0.05,
        jaw=0.05,
        brow=0.012,
        lip=0.012,
        lip_colour=0.22,
        lash=0.004,
        cheek=0.0,
        eye=(0.125, 0.075, 0.066),
        eye_size=0.20,
        nose=0.28,
        shade=1.0,
        nose_length=0.0,
        gaze=0.045,
        opening=0.085,
        yaw=0.13,
    ),
    2: Look(
        head_width=0.10,
        jaw=0.13,
        brow=0.020,
        lip=0.026,
        lip_colour=0.42,
        lash=0.012,
        cheek=0.5,
        eye=(0.150, 0.100, 0.088),
        eye_size=0.34,
        nose=0.55,
        shade=1.8,
        nose_length=0.055,
        gaze=0.085,
        opening=0.150,
        yaw=0.13,
    ),
}


class _Canvas:
    """A colour and a soft segmentation under one painter's algorithm."""

    def __init__(self, x: Tensor, y: Tensor, batch: int, soft: float, look: Look):
        self.x, self.y, self.soft, self.look = x, y, soft, look
        self.colour = x.new_zeros(batch, 3, *x.shape[-2:])
        self.classes = x.new_zeros(batch, len(CLASSES), *x.shape[-2:])

    def cover(self, sdf: Tensor, soft: float = 1.0) -> Tensor:
        """Coverage in [0, 1] of a shape given by its signed distance."""
        return torch.sigmoid(-sdf / (self.soft * soft))

    def paint(self, alpha: Tensor, colour: Tensor, label: int | None) -> None:
        """Lay `colour` over the picture with opacity `alpha`; `label` None leaves the segmentation alone."""
        self.colour = torch.lerp(self.colour, colour.expand_as(self.colour), alpha[:, None])
        if label is not None:
            self.classes = self.classes * (1 - alpha)[:, None]
            self.classes[:, label] += alpha


def _ellipse(x: Tensor, y: Tensor, rx, ry) -> Tensor:
    """Approximate signed distance to an axis-aligned ellipse at the origin."""
    k = torch.sqrt((x / rx) ** 2 + (y / ry) ** 2 + 1e-9)
    return (k - 1) * torch.minimum(torch.as_tensor(rx), torch.as_tensor(ry))


def _stroke(x: Tensor, y: Tensor, half_width, thickness, height) -> Tensor:
    """Signed distance to a thick curve y = height(x) over |x| <= half_width."""
    inside = x.abs() - half_width
    return torch.maximum((y - height).abs() - thickness, inside)


def _palette(stops: list[tuple[float, float, float]], position: Tensor) -> Tensor:
    """Colours (B, 3, 1, 1) along a list of colours, `position` (B,1,1) in [0, 1]."""
    table = position.new_tensor(stops)
    scaled = position.flatten() * (len(stops) - 1)
    low = scaled.floor().long().clamp(0, len(stops) - 2)
    return torch.lerp(table[low], table[low + 1], (scaled - low)[:, None])[:, :, None, None]


def _hue(h: Tensor, light: Tensor, saturation: float) -> Tensor:
    """Muted colours (B, 3, 1, 1) of a cyclic hue."""
    phase = torch.tensor([0.0, 1 / 3, 2 / 3], device=h.device)
    wave = torch.cos(2 * torch.pi * (h.flatten()[:, None] - phase))
    return (light.flatten()[:, None] + saturation * wave)[:, :, None, None].clamp(0, 1)


def render(
    factors: pd.DataFrame,
    resolution: int,
    *,
    device: torch.device | str = "cpu",
    supersample: int = 2,
    look: Look = LOOKS[1],
) -> Rendered:
    """Draw one portrait per row of a factor table.

    Args:
        factors: table with every column of `FACTORS`; values outside a factor's range are drawn as they come.
        resolution: side R of the pictures in pixels.
        device: where to draw.
        supersample: pictures are drawn at `supersample` R and averaged down.
        look: how far the factors show, one of `LOOKS`.
    Returns:
        Rendered(images (B, 3, R, R) in [-1, 1], masks (B, R, R)).
    Raises:
        UnknownNameError: a column that is no factor.
    """
    check_factors(factors.columns)
    f = {
        k: torch.tensor(factors[k].to_numpy(), dtype=torch.float32, device=device)[:, None, None]
        for k in FACTORS
    }
    size = resolution * supersample
    axis = ((torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size * 2 - 1) * _ZOOM
    y, x = torch.meshgrid(axis + 0.05, axis, indexing="ij")
    canvas = _Canvas(x[None], y[None], len(factors), soft=0.9 / resolution, look=look)
    head = _head_shape(canvas, f)
    _draw_backdrop(canvas, f, head)
    _draw_head(canvas, f, head)
    _draw_wrinkles(canvas, f, head)
    _draw_nose(canvas, f, head)
    _draw_beard(canvas, f, head)
    _draw_mouth(canvas, f, head)
    _draw_eyes(canvas, f, head)
    _draw_hair(canvas, f, head)
    _draw_glasses(canvas, f, head)
    images = F.avg_pool2d(canvas.colour.clamp(0, 1), supersample) * 2 - 1
    masks = F.avg_pool2d(canvas.classes, supersample).argmax(1).to(torch.uint8)
    return Rendered(images, masks)


def _head_shape(c: _Canvas, f: dict) -> dict:
    """Geometry and colours that several parts share."""
    jaw = c.look.jaw * f["gender"]
    rx = 0.60 + c.look.head_width * f["head_width"] + 0.01 * f["gender"]
    # below the middle the face narrows towards the chin, less for a masculine jaw
    narrowing = 1 - (0.22 - jaw) * (c.y - 0.02).clamp(min=0) ** 1.5
    skin = _palette(_SKIN, f["skin"])
    warm = skin.new_tensor([0.78, 0.60, 0.46])[None, :, None, None]
    skin = torch.lerp(
        skin, skin * warm + skin.new_tensor([0.06, 0.02, 0.0])[None, :, None, None], f["tan"][:, None]
    )
    hair = _palette(_HAIR, f["hair_colour"])
    grey = ((f["age"] - 0.45) / 0.4).clamp(0, 1)[:, None]
    hair = torch.lerp(hair, hair.new_tensor([0.72, 0.72, 0.74])[None, :, None, None], 0.9 * grey)
    # features slide with the turn of the head; the far side is foreshortened a little
    u = (c.x - c.look.yaw * f["yaw"]) * (1 + 0.10 * f["yaw"] * torch.sign(c.x))
    phase = 2 * torch.pi * f["texture"]
    frizz = (
        f["curl"]
        * 0.05
        * (
            torch.sin(17 * c.x + phase) * torch.sin(15 * c.y - phase)
            + 0.6 * torch.sin(29 * c.x - 2 * phase) * torch.sin(27 * c.y + phase)
        )
    )
    return {
        "rx": rx,
        "sdf": _ellipse(c.x / narrowing, c.y - 0.04, rx, 0.80 + 0 * rx),
        "skin": skin.clamp(0, 1),
        "hair": hair,
        "u": u,
        "frizz": frizz,
        "phase": phase,
    }


def _hair_colour(c: _Canvas, f: dict, head: dict) -> Tensor:
    """Strands: vertical streaks on straight hair, round bumps on curly hair."""
    streak = 0.10 * torch.sin(26 * c.x + 5 * c.y + head["phase"])
    bumps = 0.34 * (
        torch.sin(17 * c.x + 1.6 * torch.sin(7 * c.y + head["phase"]))
        * torch.sin(15 * c.y + 1.6 * torch.sin(6 * c.x - head["phase"]))
    )
    shade = 1 + torch.lerp(streak, bumps, f["curl"]) - 0.22 * c.x * torch.sign(-f["light"]) * f["light"].abs()
    sheen = 0.07 * torch.exp(-(((c.y + 0.72) / 0.12) ** 2)) * (1 - f["curl"])
    return (head["hair"] * shade[:, None] + sheen[:, None]).clamp(0, 1)


def _draw_backdrop(c: _Canvas, f: dict, head: dict) -> None:
    """Background, hair that falls behind the neck, neck and clothes."""
    base = _hue(f["background"], 0.36 + 0.34 * f["background_light"], 0.06)
    glow = 0.08 * (1 - (c.x**2 + (c.y + 0.2) ** 2))
    c.paint(torch.ones_like(glow * f["smile"]), (base + glow[:, None]).clamp(0, 1), BACKGROUND)
    length = f["hair_length"] * (1 - f["bald"])
    fall = torch.maximum(
        _ellipse(
            c.x,
            c.y + 0.10,
            head["rx"] + 0.06 + 0.17 * length + 0.10 * f["curl"] * length,
            0.72 + 0.75 * length,
        ),
        c.y - (-0.25 + 1.35 * length),
    )
    back = _hair_colour(c, f, head) * 0.72
    c.paint(c.cover(fall - head["frizz"] * 1.4, 1.3) * (length > 0.05), back, HAIR)
    neck = torch.maximum(c.x.abs() - (0.26 + 0.05 * f["gender"]), 0.5 - c.y)
    c.paint(c.cover(neck), head["skin"] * 0.66, SKIN)
    cloth = _hue(f["clothes"], 0.42 + 0 * f["clothes"], 0.13)
    c.paint(
        c.cover(_ellipse(c.x, c.y - 1.22, 0.95 + 0.12 * f["gender"], 0.36 + 0 * f["gender"])), cloth, CLOTHES
    )


def _draw_head(c: _Canvas, f: dict, head: dict) -> None:
    """Ears and the head, lit as a sphere: Lambert term, a specular spot, darker towards the rim."""
    for side in (-1, 1):
        ear = _ellipse(c.x - side * (head["rx"] - 0.01) + 0.05 * f["yaw"], c.y - 0.08, 0.08, 0.15)
        c.paint(c.cover(ear), head["skin"] * 0.80, SKIN)
    nx, ny = c.x / (head["rx"] + 0.08), (c.y - 0.04) / 0.9
    nz = (1 - nx**2 - ny**2).clamp(min=0.02).sqrt()
    lx, ly, lz = 0.75 * f["light"], -0.45, 0.75
    norm = (lx**2 + ly**2 + lz**2).sqrt()
    lambert = ((nx * lx + ny * ly + nz * lz) / norm).clamp(min=0)
    spot = 0.13 * torch.exp(-((nx - 0.36 * f["light"]) ** 2 + (ny + 0.42) ** 2) / 0.03)
    blush = torch.exp(-(((head["u"].abs() - 0.34) / 0.16) ** 2 + ((c.y - 0.24) / 0.13) ** 2))
    red = head["skin"].new_tensor([0.10, -0.03, -0.03])[None, :, None, None]
    colour = (
        head["skin"] * (0.50 + 0.54 * lambert)[:, None]
        + spot[:, None]
        + red * (blush * (1 - 0.7 * f["skin"]) * (1 - c.look.cheek * f["gender"]))[:, None]
    )
    c.paint(c.cover(head["sdf"]), colour.clamp(0, 1), SKIN)


def _draw_wrinkles(c: _Canvas, f: dict, head: dict) -> None:
    """Age: forehead lines, folds from nose to mouth, bags under the eyes, hollow cheeks."""
    u, old = head["u"], ((f["age"] - 0.3) / 0.7).clamp(0, 1)
    dark = head["skin"] * 0.50
    for y0 in (-0.48, -0.36):
        line = _stroke(u, c.y, 0.34, 0.014, y0 - 0.05 * (u / 0.34) ** 2)
        c.paint(c.cover(line) * 0.75 * old, dark, None)
    fold = _stroke(c.y - 0.36, u.abs(), 0.17, 0.016, 0.235 + 0.25 * (c.y - 0.24))
    c.paint(c.cover(fold) * 0.80 * old, dark, None)
    bag = _stroke(u.abs() - 0.27, c.y, 0.12, 0.018, 0.10 - 1.6 * (u.abs() - 0.27) ** 2)
    c.paint(c.cover(bag) * 0.75 * old, dark, None)
    hollow = torch.exp(-(((u.abs() - 0.43) / 0.09) ** 2 + ((c.y - 0.42) / 0.16) ** 2))
    c.paint(0.35 * old * hollow, dark, None)


def _draw_nose(c: _Canvas, f: dict, head: dict) -> None:
    """A shadow on the side away from the light, wings, a lit tip, two nostrils."""
    u, size, shade = head["u"], 1 + c.look.nose * f["nose"], c.look.shade
    y = c.y - c.look.nose_length * f["nose"]
    away = torch.where(f["light"] > 0, -1.0, 1.0)
    ridge = _stroke(
        c.y - 0.10,
        u - away * 0.055 * size,
        0.17,
        0.022 * size ** (shade - 1),
        0.03 * away * (c.y + 0.05) / 0.3,
    )
    c.paint(c.cover(ridge, 1.5) * (0.30 * shade), head["skin"] * 0.45, None)
    for side in (-1, 1):
        wing = _ellipse(u - side * 0.105 * size, y - 0.275, 0.040 * size, 0.050 * size)
        c.paint(c.cover(wing, 2) * (0.6 * (shade - 1)), head["skin"] * 0.50, None)
    tip = torch.exp(-(((u - 0.1 * c.look.yaw * f["yaw"]) / (0.075 * size)) ** 2 + ((y - 0.26) / 0.06) ** 2))
    c.paint(0.35 * shade * tip, (head["skin"] * 1.25).clamp(0, 1), None)
    for side in (-1, 1):
        nostril = _ellipse(u - side * 0.062 * size, y - 0.315, 0.042 * size, 0.022 + 0 * size)
        c.paint(c.cover(nostril) * 0.75, head["skin"] * 0.34, None)


def _draw_beard(c: _Canvas, f: dict, head: dict) -> None:
    """A beard along the jaw with a moustache, under the mouth in painting order."""
    u = head["u"]
    cheek = 0.30 + 0.22 * torch.exp(-((u / 0.22) ** 2)) - 0.35 * (u.abs() - 0.33).clamp(min=0)
    jaw = torch.maximum(head["sdf"] - 0.01, cheek - c.y)
    stache = _stroke(u, c.y, 0.23, 0.045, 0.40 + 0.8 * u**2)
    grain = 1 + 0.16 * torch.sin(31 * c.x + 2.5 * torch.sin(11 * c.y + head["phase"]))
    cover = torch.maximum(c.cover(jaw, 1.6), c.cover(stache, 1.3)) * (1.7 * f["beard"]).clamp(0, 0.93)
    c.paint(cover, (head["hair"] * 0.82 * grain[:, None]).clamp(0, 1), HAIR)


def _draw_mouth(c: _Canvas, f: dict, head: dict) -> None:
    """Lips along a parabola whose corners rise with the smile; open, it shows a dark gap and teeth."""
    u, smile, opening = head["u"], f["smile"], f["mouth_open"]
    half = 0.27 + 0.055 * smile.clamp(min=0) - 0.02 * smile.clamp(max=0).abs() - 0.02 * opening
    bend = 0.17 * smile
    curve = 0.535 + 0.4 * bend - bend * (u / half) ** 2
    profile = (1 - (u / half) ** 2).clamp(min=0).sqrt()
    gap = (0.012 + c.look.opening * opening + 0.035 * smile.clamp(min=0)) * profile
    lip = 0.052 - c.look.lip * f["gender"]
    lips = _stroke(u, c.y - 0.2 * gap, half, gap + lip * (0.35 + 0.65 * profile), curve)
    pink = torch.lerp(
        head["skin"] * 0.62,
        head["skin"].new_tensor([0.66, 0.24, 0.24])[None, :, None, None],
        (0.50 - c.look.lip_colour * f["gender"])[:, None],
    )
    c.paint(c.cover(lips), pink, MOUTH)
    inner = _stroke(u, c.y - 0.2 * gap, half * 0.93, gap, curve)
    c.paint(
        c.cover(inner, 0.7), pink.new_tensor([0.20, 0.06, 0.06])[None, :, None, None].expand_as(pink), MOUTH
    )
    teeth = torch.maximum(inner + 0.006, c.y - curve - 0.15 * gap)
    shown = (2.2 * opening + 1.6 * smile - 0.3).clamp(0, 1)
    c.paint(
        c.cover(teeth, 0.7) * shown,
        pink.new_tensor([0.94, 0.93, 0.88])[None, :, None, None].expand_as(pink),
        MOUTH,
    )
    crease = _stroke(c.y - 0.44, u.abs(), 0.10, 0.014, half + 0.045 - 3.0 * (c.y - 0.46) ** 2)
    c.paint(c.cover(crease) * 0.5 * smile.clamp(min=0), head["skin"] * 0.5, None)


def _draw_eyes(c: _Canvas, f: dict, head: dict) -> None:
    """Whites, irises that follow the gaze, lids, lashes and brows."""
    u, scale = head["u"], 1 + c.look.eye_size * f["eye_size"]
    wide, high, radius = c.look.eye
    squint = 1 - 0.22 * f["smile"].clamp(min=0) - 0.15 * f["brow_tilt"].clamp(min=0)
    iris = _palette(_IRIS, f["eye_colour"])
    black = iris.new_tensor([0.05, 0.04, 0.04])[None, :, None, None].expand_as(iris)
    white = iris.new_tensor([0.95, 0.95, 0.94])[None, :, None, None].expand_as(iris)
    for side in (-1, 1):
        ex, ey = u - side * 0.27, c.y + 0.02
        socket = torch.exp(-((ex / 0.19) ** 2 + ((ey + 0.03) / 0.12) ** 2))
        c.paint(0.25 * socket, head["skin"] * 0.55, None)
        eye = _ellipse(ex, ey, wide * scale, high * scale * squint)
        c.paint(c.cover(eye), white, EYES)
        gx = ex - c.look.gaze * f["gaze"]
        inside = c.cover(eye, 0.8)
        c.paint(inside * c.cover(_ellipse(gx, ey, radius * scale, radius * scale)), iris, EYES)
        c.paint(inside * c.cover(_ellipse(gx, ey, radius * scale / 2.2, radius * scale / 2.2)), black, EYES)
        c.paint(0.8 * inside * c.cover(_ellipse(gx + 0.02, ey + 0.025, 0.016, 0.016)), white, EYES)
        lid = _stroke(
            ex,
            ey,
            (wide + 0.005) * scale,
            0.016 - c.look.lash * f["gender"],
            -((high + 0.003) * scale * squint) * (1 - (ex / ((wide + 0.025) * scale)) ** 2),
        )
        c.paint(c.cover(lid) * 0.9, black, EYES)
        # +1 pulls the inner end down (angry), -1 lifts it (worried); `side * ex` grows outwards
        slope = -0.55 * f["brow_tilt"] * side * ex
        brow = _stroke(
            ex,
            c.y,
            0.16,
            0.028 + c.look.brow * f["gender"],
            -0.130 - high - 0.02 * f["eye_size"] + 0.025 * f["brow_tilt"] + slope + 1.2 * ex**2,
        )
        c.paint(c.cover(brow) * 0.92, head["hair"] * 0.62, EYES)


def _draw_hair(c: _Canvas, f: dict, head: dict) -> None:
    """The cap of hair: inside an enlarged head, above a hairline that recedes when bald."""
    volume = 0.06 + 0.07 * f["curl"] + 0.03 * f["hair_length"]
    outer = head["sdf"] - volume * (1 - 0.9 * f["bald"])
    side = 0.22 + 0.42 * f["hair_length"] * (1 - f["bald"])
    hairline = -0.50 - 0.75 * f["bald"] + (side + 0.75) * ((head["u"].abs() - 0.36) / 0.32).clamp(0, 1) ** 1.6
    cap = torch.maximum(outer, c.y - hairline - 0.03 * torch.sin(9 * c.x + head["phase"]))
    c.paint(c.cover(cap - head["frizz"], 1.2) * (1 - f["bald"] ** 3), _hair_colour(c, f, head), HAIR)


def _draw_glasses(c: _Canvas, f: dict, head: dict) -> None:
    """Dark rims, a bridge and arms, over everything."""
    u, rim = head["u"], None
    for side in (-1, 1):
        ring = _ellipse(u - side * 0.27, c.y + 0.015, 0.205, 0.165).abs() - 0.024
        rim = ring if rim is None else torch.minimum(rim, ring)
    bridge = _stroke(u, c.y, 0.075, 0.02, -0.04 + 2.0 * u**2)
    arms = torch.maximum(_stroke(c.x, c.y, head["rx"], 0.02, -0.03), 0.46 - u.abs())
    cover = c.cover(torch.minimum(torch.minimum(rim, bridge), arms), 0.8) * f["glasses"]
    frame = c.colour.new_tensor([0.10, 0.10, 0.13])[None, :, None, None]
    c.paint(cover, frame, EYES)
