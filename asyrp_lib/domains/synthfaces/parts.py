"""The parts of a face, painted back to front: on a canvas `c`, by factors `f` and a `head_shape`."""

import torch
from torch import Tensor

from .canvas import (
    BACKGROUND,
    CLOTHES,
    EYES,
    HAIR,
    MOUTH,
    SKIN,
    Canvas,
    ellipse,
    hue,
    palette,
    rgb,
    stroke,
)

_SKIN = [(0.96, 0.80, 0.70), (0.87, 0.66, 0.52), (0.68, 0.46, 0.33), (0.40, 0.26, 0.19)]
_HAIR = [(0.10, 0.08, 0.08), (0.33, 0.20, 0.12), (0.60, 0.25, 0.10), (0.86, 0.70, 0.40)]
_IRIS = [(0.30, 0.18, 0.10), (0.25, 0.42, 0.22), (0.25, 0.48, 0.72)]


def head_shape(c: Canvas, f: dict) -> dict:
    """Geometry and colours that several parts share."""
    jaw = c.look.jaw * f["gender"]
    rx = 0.60 + c.look.head_width * f["head_width"] + 0.01 * f["gender"]
    # below the middle the face narrows towards the chin, less for a masculine jaw
    narrowing = 1 - (c.look.chin - c.look.heavy_jaw - jaw) * (c.y - 0.02).clamp(min=0) ** 1.5
    skin = palette(_SKIN, f["skin"])
    warm = rgb(skin, 0.78, 0.60, 0.46)
    skin = torch.lerp(skin, skin * warm + rgb(skin, 0.06, 0.02, 0.0), f["tan"][:, None])
    *tint, share = c.look.tint
    light = skin.mean(1, keepdim=True) / 0.6
    skin = torch.lerp(skin, rgb(skin, *tint) * light, share)
    hair = palette(_HAIR, f["hair_colour"])
    grey = ((f["age"] - 0.45) / 0.4).clamp(0, 1)[:, None]
    hair = torch.lerp(hair, rgb(hair, 0.72, 0.72, 0.74), 0.9 * grey)
    # features slide with the turn of the head; the far side is foreshortened a little
    u = (c.x - c.look.yaw * f["yaw"]) * (1 + 0.10 * f["yaw"] * torch.sign(c.x))
    phase = 2 * torch.pi * f["texture"]
    coarse = torch.sin(17 * c.x + phase) * torch.sin(15 * c.y - phase)
    frizz = f["curl"] * 0.05 * (coarse + 0.6 * torch.sin(29 * c.x - 2 * phase) * torch.sin(27 * c.y + phase))
    sdf = ellipse(c.x / narrowing, c.y - 0.04, rx, 0.80 + 0 * rx)
    skin = skin.clamp(0, 1)
    return {"rx": rx, "sdf": sdf, "skin": skin, "hair": hair, "u": u, "frizz": frizz, "phase": phase}


def _hair_colour(c: Canvas, f: dict, head: dict) -> Tensor:
    """Strands: vertical streaks on straight hair, round bumps on curly hair."""
    streak = 0.10 * torch.sin(26 * c.x + 5 * c.y + head["phase"])
    bumps = torch.sin(17 * c.x + 1.6 * torch.sin(7 * c.y + head["phase"]))
    bumps = 0.34 * (bumps * torch.sin(15 * c.y + 1.6 * torch.sin(6 * c.x - head["phase"])))
    shade = 1 + torch.lerp(streak, bumps, f["curl"]) - 0.22 * c.x * torch.sign(-f["light"]) * f["light"].abs()
    sheen = 0.07 * torch.exp(-(((c.y + 0.72) / 0.12) ** 2)) * (1 - f["curl"])
    return (head["hair"] * shade[:, None] + sheen[:, None]).clamp(0, 1)


def draw_backdrop(c: Canvas, f: dict, head: dict) -> None:
    """Background, hair that falls behind the neck, neck and clothes."""
    base = hue(f["background"], 0.36 + 0.34 * f["background_light"], 0.06)
    glow = 0.08 * (1 - (c.x**2 + (c.y + 0.2) ** 2))
    c.paint(torch.ones_like(glow * f["smile"]), (base + glow[:, None]).clamp(0, 1), BACKGROUND)
    length = f["hair_length"] * (1 - f["bald"])
    wide = head["rx"] + 0.06 + 0.17 * length + 0.10 * f["curl"] * length
    fall = torch.maximum(ellipse(c.x, c.y + 0.10, wide, 0.72 + 0.75 * length), c.y - (-0.25 + 1.35 * length))
    back = _hair_colour(c, f, head) * 0.72
    c.paint(c.cover(fall - head["frizz"] * 1.4, 1.3) * (length > 0.05), back, HAIR)
    neck = torch.maximum(c.x.abs() - (0.26 + 0.05 * f["gender"]), 0.5 - c.y)
    c.paint(c.cover(neck), head["skin"] * 0.66, SKIN)
    cloth = hue(f["clothes"], 0.42 + 0 * f["clothes"], 0.13)
    bust = ellipse(c.x, c.y - 1.22, 0.95 + 0.12 * f["gender"], 0.36 + 0 * f["gender"])
    c.paint(c.cover(bust), cloth, CLOTHES)


def draw_head(c: Canvas, f: dict, head: dict) -> None:
    """Ears and the head, lit as a sphere: Lambert term, a specular spot, darker towards the rim."""
    for side in (-1, 1):
        ear = ellipse(c.x - side * (head["rx"] - 0.01) + 0.05 * f["yaw"], c.y - 0.08, 0.08, 0.15)
        if c.look.ear_tip:
            ear = torch.minimum(ear, _ear_tip(c, side, head))
        c.paint(c.cover(ear), head["skin"] * 0.80, SKIN)
    nx, ny = c.x / (head["rx"] + 0.08), (c.y - 0.04) / 0.9
    nz = (1 - nx**2 - ny**2).clamp(min=0.02).sqrt()
    lx, ly, lz = 0.75 * f["light"], -0.45, 0.75
    norm = (lx**2 + ly**2 + lz**2).sqrt()
    lambert = ((nx * lx + ny * ly + nz * lz) / norm).clamp(min=0)
    spot = 0.13 * torch.exp(-((nx - 0.36 * f["light"]) ** 2 + (ny + 0.42) ** 2) / 0.03)
    blush = torch.exp(-(((head["u"].abs() - 0.34) / 0.16) ** 2 + ((c.y - 0.24) / 0.13) ** 2))
    red = rgb(head["skin"], 0.10, -0.03, -0.03)
    blush = blush * (1 - 0.7 * f["skin"]) * (1 - c.look.cheek * f["gender"])
    colour = head["skin"] * (0.50 + 0.54 * lambert)[:, None] + spot[:, None] + red * blush[:, None]
    c.paint(c.cover(head["sdf"]), colour.clamp(0, 1), SKIN)


def _ear_tip(c: Canvas, side: int, head: dict) -> Tensor:
    """Signed distance to a wedge that leaves the ear upwards and outwards."""
    length = c.look.ear_tip
    x, up = side * c.x - head["rx"] + 0.02, (0.20 - c.y) / length  # 0 at the lobe, 1 at the tip
    return torch.maximum(
        (x - 0.45 * length * up).abs() - 0.15 * (1 - up), (up - 0.5).abs() * length - 0.5 * length
    )


def draw_wrinkles(c: Canvas, f: dict, head: dict) -> None:
    """Age: forehead lines, folds from nose to mouth, bags under the eyes, hollow cheeks."""
    u, old = head["u"], f["age"].clamp(0, 1)
    dark = head["skin"] * 0.50
    for y0 in (-0.48, -0.36):
        line = stroke(u, c.y, 0.34, 0.014, y0 - 0.05 * (u / 0.34) ** 2)
        c.paint(c.cover(line) * 0.75 * old, dark, None)
    fold = stroke(c.y - 0.36, u.abs(), 0.17, 0.016, 0.235 + 0.25 * (c.y - 0.24))
    c.paint(c.cover(fold) * 0.80 * old, dark, None)
    bag = stroke(u.abs() - 0.27, c.y, 0.12, 0.018, 0.10 - 1.6 * (u.abs() - 0.27) ** 2)
    c.paint(c.cover(bag) * 0.75 * old, dark, None)
    hollow = torch.exp(-(((u.abs() - 0.43) / 0.09) ** 2 + ((c.y - 0.42) / 0.16) ** 2))
    c.paint(0.35 * old * hollow, dark, None)


def draw_nose(c: Canvas, f: dict, head: dict) -> None:
    """A shadow on the side away from the light, wings, a lit tip, two nostrils."""
    u, size, shade = head["u"], 1 + c.look.nose * f["nose"], c.look.shade
    y = c.y - c.look.nose_length * f["nose"]
    away = torch.where(f["light"] > 0, -1.0, 1.0)
    thickness, lean = 0.022 * size ** (shade - 1), 0.03 * away * (c.y + 0.05) / 0.3
    ridge = stroke(c.y - 0.10, u - away * 0.055 * size, 0.17, thickness, lean)
    c.paint(c.cover(ridge, 1.5) * (0.30 * shade), head["skin"] * 0.45, None)
    for side in (-1, 1):
        wing = ellipse(u - side * 0.105 * size, y - 0.275, 0.040 * size, 0.050 * size)
        c.paint(c.cover(wing, 2) * (0.6 * (shade - 1)), head["skin"] * 0.50, None)
    tip = torch.exp(-(((u - 0.1 * c.look.yaw * f["yaw"]) / (0.075 * size)) ** 2 + ((y - 0.26) / 0.06) ** 2))
    c.paint(0.35 * shade * tip, (head["skin"] * 1.25).clamp(0, 1), None)
    for side in (-1, 1):
        nostril = ellipse(u - side * 0.062 * size, y - 0.315, 0.042 * size, 0.022 + 0 * size)
        c.paint(c.cover(nostril) * 0.75, head["skin"] * 0.34, None)


def draw_beard(c: Canvas, f: dict, head: dict) -> None:
    """A beard along the jaw with a moustache, under the mouth in painting order."""
    u = head["u"]
    cheek = 0.30 + 0.22 * torch.exp(-((u / 0.22) ** 2)) - 0.35 * (u.abs() - 0.33).clamp(min=0)
    jaw = torch.maximum(head["sdf"] - 0.01, cheek - c.y)
    stache = stroke(u, c.y, 0.23, 0.045, 0.40 + 0.8 * u**2)
    grain = 1 + 0.16 * torch.sin(31 * c.x + 2.5 * torch.sin(11 * c.y + head["phase"]))
    cover = torch.maximum(c.cover(jaw, 1.6), c.cover(stache, 1.3)) * 0.93 * f["beard"].clamp(0, 1) ** 0.75
    c.paint(cover, (head["hair"] * 0.62 * grain[:, None]).clamp(0, 1), HAIR)


def draw_mouth(c: Canvas, f: dict, head: dict) -> None:
    """Lips along a parabola whose corners rise with the smile; open, it shows a dark gap and teeth."""
    u, smile, opening = head["u"], f["smile"], f["mouth_open"]
    half = c.look.mouth + 0.055 * smile.clamp(min=0) - 0.02 * smile.clamp(max=0).abs() - 0.02 * opening
    bend = 0.17 * smile
    curve = 0.535 + 0.4 * bend - bend * (u / half) ** 2
    profile = (1 - (u / half) ** 2).clamp(min=0).sqrt()
    gap = (0.012 + c.look.opening * opening + 0.035 * smile.clamp(min=0)) * profile
    lip = 0.052 - c.look.lip * f["gender"]
    lips = stroke(u, c.y - 0.2 * gap, half, gap + lip * (0.35 + 0.65 * profile), curve)
    red, made_up = rgb(head["skin"], 0.66, 0.24, 0.24), 0.50 - c.look.lip_colour * f["gender"]
    pink = torch.lerp(head["skin"] * 0.62, red, made_up[:, None])
    c.paint(c.cover(lips), pink, MOUTH)
    inner = stroke(u, c.y - 0.2 * gap, half * 0.93, gap, curve)
    c.paint(c.cover(inner, 0.7), rgb(pink, 0.20, 0.06, 0.06), MOUTH)
    teeth = torch.maximum(inner + 0.006, c.y - curve - 0.15 * gap)
    shown = (2.2 * opening + 1.6 * smile - 0.3).clamp(0, 1)
    c.paint(c.cover(teeth, 0.7) * shown, rgb(pink, 0.94, 0.93, 0.88), MOUTH)
    crease = stroke(c.y - 0.44, u.abs(), 0.10, 0.014, half + 0.045 - 3.0 * (c.y - 0.46) ** 2)
    c.paint(c.cover(crease) * 0.5 * smile.clamp(min=0), head["skin"] * 0.5, None)


def draw_eyes(c: Canvas, f: dict, head: dict) -> None:
    """Whites, irises that follow the gaze, lids, lashes and brows."""
    u, scale = head["u"], 1 + c.look.eye_size * f["eye_size"]
    wide, high, radius = c.look.eye
    squint = 1 - 0.22 * f["smile"].clamp(min=0) - 0.15 * f["brow_tilt"].clamp(min=0)
    iris = palette(_IRIS, f["eye_colour"])
    black = rgb(iris, 0.05, 0.04, 0.04)
    white = rgb(iris, 0.95, 0.95, 0.94)
    iris, white = (torch.lerp(colour, black, c.look.dark_eyes) for colour in (iris, white))
    for side in (-1, 1):
        ex, ey = u - side * 0.27, c.y + 0.02
        socket = torch.exp(-((ex / 0.19) ** 2 + ((ey + 0.03) / 0.12) ** 2))
        c.paint(0.25 * socket, head["skin"] * 0.55, None)
        eye = ellipse(ex, ey, wide * scale, high * scale * squint)
        c.paint(c.cover(eye), white, EYES)
        gx = ex - c.look.gaze * f["gaze"]
        inside = c.cover(eye, 0.8)
        c.paint(inside * c.cover(ellipse(gx, ey, radius * scale, radius * scale)), iris, EYES)
        c.paint(inside * c.cover(ellipse(gx, ey, radius * scale / 2.2, radius * scale / 2.2)), black, EYES)
        c.paint(0.8 * inside * c.cover(ellipse(gx + 0.02, ey + 0.025, 0.016, 0.016)), white, EYES)
        arch = -((high + 0.003) * scale * squint) * (1 - (ex / ((wide + 0.025) * scale)) ** 2)
        lid = stroke(ex, ey, (wide + 0.005) * scale, 0.016 - c.look.lash * f["gender"], arch)
        c.paint(c.cover(lid) * 0.9, black, EYES)
        # +1 pulls the inner end down (angry), -1 lifts it (worried); `side * ex` grows outwards
        if c.look.ridge:
            bone = stroke(ex, c.y, 0.21, 0.075 * c.look.ridge, -0.06 - high * scale)
            c.paint(c.cover(bone, 3) * 0.75, head["skin"] * 0.50, None)
        slope = -0.55 * f["brow_tilt"] * side * ex
        height = -0.130 - high - 0.02 * f["eye_size"] + 0.025 * f["brow_tilt"] + slope + 1.2 * ex**2
        brow = stroke(ex, c.y, 0.16, c.look.thick_brow + c.look.brow * f["gender"], height)
        c.paint(c.cover(brow) * 0.92, head["hair"] * 0.62, EYES)


def draw_hair(c: Canvas, f: dict, head: dict) -> None:
    """The cap of hair: inside an enlarged head, above a hairline that recedes when bald."""
    volume = 0.06 + 0.07 * f["curl"] + 0.03 * f["hair_length"]
    outer = head["sdf"] - volume * (1 - 0.9 * f["bald"])
    side = 0.22 + 0.42 * f["hair_length"] * (1 - f["bald"])
    hairline = -0.50 - 0.75 * f["bald"] + (side + 0.75) * ((head["u"].abs() - 0.36) / 0.32).clamp(0, 1) ** 1.6
    cap = torch.maximum(outer, c.y - hairline - 0.03 * torch.sin(9 * c.x + head["phase"]))
    c.paint(c.cover(cap - head["frizz"], 1.2) * (1 - f["bald"] ** 3), _hair_colour(c, f, head), HAIR)


def draw_glasses(c: Canvas, f: dict, head: dict) -> None:
    """Dark rims, a bridge and arms, over everything."""
    u = head["u"]
    left, right = (ellipse(u - side * 0.27, c.y + 0.015, 0.205, 0.165).abs() - 0.024 for side in (-1, 1))
    rim = torch.minimum(left, right)
    bridge = stroke(u, c.y, 0.075, 0.02, -0.04 + 2.0 * u**2)
    arms = torch.maximum(stroke(c.x, c.y, head["rx"], 0.02, -0.03), 0.46 - u.abs())
    cover = c.cover(torch.minimum(torch.minimum(rim, bridge), arms), 0.8) * f["glasses"]
    c.paint(cover, rgb(c.colour, 0.10, 0.10, 0.13), EYES)


BACK_TO_FRONT = (
    *(draw_backdrop, draw_head, draw_wrinkles, draw_nose, draw_beard),
    *(draw_mouth, draw_eyes, draw_hair, draw_glasses),
)
