"""The perceptual curves of a domain, and what is read off them: t_edit of its edits and its t_boost."""

import time
from pathlib import Path

from ..api import invert
from ..method.interval import perceptual_curves, t_boost_from_curve
from ..store.results import save_result

#: What a curve is measured on: training images, and steps.
CURVE = {"images": 64, "steps": 100}


def curve_digests(domain) -> dict[str, str]:
    """Of what a curve depends on."""
    found = domain.made_with()
    return {"unet": domain.unet.digest()} | {k: found[k] for k in ("segmenter", "world") if k in found}


def store_curve(
    domain, n: int = CURVE["images"], steps: int = CURVE["steps"], *, replace: bool = False
) -> tuple[dict, Path]:
    """Measure the curves on n training images under S steps and keep them; see `method.interval`.

    Returns:
        ({"curve": t, x_t, P_t; "t_boost"; "scale": of the distance, at which the thresholds hold}, file).
    Source: Asyrp Sec. 3.4, Sec. 4.
    """
    started, codec = time.monotonic(), domain.codec
    x_0 = domain.images("train", n)
    distance = domain.distance.calibrated(x_0, codec.decode(invert(domain, x_0, steps=steps, corrections=0)))
    seen = lambda a, b: distance(codec.decode(a), codec.decode(b))
    curve = perceptual_curves(domain.unet, codec.encode(x_0), seen, steps=steps)
    t_boost = t_boost_from_curve(curve["t"].tolist(), curve["x_t"].tolist())
    data = {"curve": curve.round(5).to_dict("list"), "t_boost": t_boost, "scale": distance.scale}
    settings = {"domain": domain.name, "images": n, "steps": steps, "thresholds": [0.33, 1.2]}
    how = {"started": started, "device": domain.unet.device, "digests": curve_digests(domain)}
    return data, save_result(f"{domain.name}_curve", data, settings, replace=replace, **how)
