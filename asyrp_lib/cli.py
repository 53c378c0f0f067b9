"""The command line.  Every command answers --help; wrong input ends with one sentence and exit code 2."""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path

from . import __version__
from .errors import AsyrpError, DomainError, SettingsError
from .store.paths import state_dir

RESIZE = "centre-crop and resize an image of another size (photo domains: always)"


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as on the command line, None for the real ones.
    Returns:
        0, or 2 after an error that the user can cure.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except AsyrpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # what no border has caught: a sentence, not a trace
        print(
            f"error: {error.filename or 'A file'}: {error.strerror or error}; check the path.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("stopped; resumable work goes on from its last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asyrp_lib",
        description=__doc__,
        epilog="example: python -m asyrp_lib edit test:3 --edit smiling --sheet smile.png",
    )
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument("--version", action="version", version=f"asyrp_lib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(
        name: str, run, text: str, *, domain: bool = True, image: bool = False
    ) -> argparse.ArgumentParser:
        formatter = argparse.ArgumentDefaultsHelpFormatter
        sub = commands.add_parser(name, help=text, description=text, formatter_class=formatter)
        if image:
            sub.add_argument("image", help="an image file, or test:7 for test image 7 of the domain")
            sub.add_argument("--steps", type=int, default=40, help="of inversion and generation")
            sub.add_argument("--resize", action="store_true", help=RESIZE)
            sub.add_argument(
                "--align", action="store_true", help="find the face and crop around it as CelebA-HQ did"
            )
        if domain:
            sub.add_argument(
                "--domain", default="synthfaces", help="which, or a folder or Hub id in diffusers format"
            )
        sub.set_defaults(run=run)
        return sub

    sub = command("edit", _edit, "Edit one image.", image=True)
    sub.add_argument("--edit", action="append", required=True, help="name of an edit; repeat for several")
    sub.add_argument("--strength", action="append", type=float, help="one per edit, any sign (default 1)")
    sub.add_argument("--t-edit", type=int, help="start of the editing interval (default: the edit's own)")
    sub.add_argument("--t-boost", type=int, default=0, help="quality boosting below it, 0 for none")
    sub.add_argument("--seed", type=int, default=0, help="of the boosting noise")
    sub.add_argument("--out", type=Path, help="PNG to write, of the domain's size")
    sub.add_argument("--sheet", type=Path, help="PNG to write, enlarged: original, reconstruction, edit")

    sub = command("invert", _invert, "Bring one image to noise and write x_T.", image=True)
    sub.add_argument("--out", required=True, type=Path, help="safetensors file to write")

    text = "Get the weights of the paper's domains, or say how; without a name, list them."
    sub = command("fetch", _fetch, text, domain=False)
    sub.add_argument("name", nargs="*", help="a domain of the paper, or lpips")

    text = (
        "Train f_t of edits; a run that was stopped goes on.  What the domain has is replaced only if asked."
    )
    sub = command("train", _train, text)
    sub.add_argument(
        "edit", nargs="+", help="names of edits of the domain, or all; with --target one new name"
    )
    sub.add_argument("--source", default="face", help="source text of a new edit")
    sub.add_argument("--target", help="target text of a new edit, e.g. 'smiling face'")
    sub.add_argument("--images", type=int, help="training images")
    sub.add_argument("--from-noise", action="store_true", help="generate the training images")
    sub.add_argument("--delta", type=_json, help="kind and options of f_t as JSON")
    for name, kind in {
        "epochs": int,
        "batch-size": int,
        "optimiser": str,
        "lr": float,
        "steps": int,
        "t-edit": int,
        "seed": int,
    }.items():
        sub.add_argument(
            f"--{name}", type=kind, help="setting of the training (default: the domain's, or the edit's)"
        )
    sub.add_argument("--out", type=Path, help="another file for f_t than the domain's")
    sub.add_argument("--replace", action="store_true", help="write over an f_t that is there")
    sub.add_argument("--dry-run", action="store_true", help="print the configuration and stop")

    sub = command("curve", _curve, "Measure the perceptual curves behind t_edit and t_boost.")
    sub.add_argument("--images", type=int, default=64, help="training images")
    sub.add_argument("--steps", type=int, default=100, help="steps of the inversion")
    _replaceable(sub)

    sub = command("evaluate", _evaluate, "Judge the edits by the oracle and write the results.")
    sub.add_argument("edit", nargs="*", help="names of edits (default: all that are trained)")
    sub.add_argument("--images", type=int, default=64, help="test images")
    _replaceable(sub)

    text = "Measure claims of the paper and write the results that notebooks 05 to 10 show."
    sub = command("experiment", _experiment, text)
    sub.add_argument("name", nargs="+", help="names; all; or missing: those without a stored result")
    sub.add_argument("--images", type=int, help="test images (default: the experiment's own number)")
    text = """another setting of the experiment, e.g. --set 'names=["happy", "angry"]'; repeat for several"""
    sub.add_argument("--set", action="append", default=[], metavar="SETTING=JSON", help=text)
    _replaceable(sub)

    sub = command("bench", _bench, "Measure speed and memory and write the table.")
    sub.add_argument("--repeats", type=int, default=3, help="runs per figure; the median is reported")
    text = "our steps beside the original's order of passes, on the domain's network"
    sub.add_argument("--original", action="store_true", help=text)
    text = "the same on a network of the paper's size with random weights, e.g. celeba_hq_ddpm"
    sub.add_argument("--full-size", metavar="NAME", help=text)
    sub.add_argument("--precision", choices=("fp32", "bf16"), help="of ours (default: by device)")
    _replaceable(sub)

    text = "Train a network of synthfaces beside the shipped one; a run that was stopped goes on."
    sub = command("pretrain", _pretrain, text, domain=False)
    sub.add_argument("network", choices=("ddpm", "clip", "segmenter", "oracle"))
    sub.add_argument(
        "--resolution", type=int, choices=(32, 64), default=64, help="side of the images in pixels"
    )
    sub.add_argument("--images", type=int, help="to see over all sessions (default: the recipe's)")
    sub.add_argument("--faces", type=int, help="rendered training faces")
    sub.add_argument(
        "--runs", type=Path, default=state_dir(), help="folder of the state and of what comes of it"
    )
    return parser


def _replaceable(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--replace", action="store_true", help="write over a stored result, instead of to runs/results"
    )


def _json(text: str):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no JSON") from error


def _load(options):
    from .domains import load_domain

    domain = load_domain(options.domain, device=options.device)
    print(f"{domain.name}: {domain.resolution} px on {domain.unet.device}", file=sys.stderr)
    return domain


def _image(options, domain):
    name, _, number = options.image.partition(":")
    if name == "test" and number.isascii() and number.isdigit():
        return domain.images("test", 1, first=int(number))
    return domain.photo(options.image, resize=options.resize or None, align=options.align)


def _edit(options) -> None:
    from .api import deltas, edit, generate, invert
    from .report.figures import before_after
    from .store.files import atomic_write, check_writable
    from .store.images import write_image

    strengths = options.strength or [1.0] * len(options.edit)
    if len(strengths) != len(options.edit) or len(set(options.edit)) != len(options.edit):
        raise SettingsError(
            f"Got {len(strengths)} strengths for {len(options.edit)} edits; expected one each, and each "
            "edit once; repeat --strength as often as --edit."
        )
    if not options.out and not options.sheet:
        raise SettingsError(
            "There is nowhere to write; expected --out FILE.png, --sheet FILE.png or both; add one."
        )
    for file in filter(None, (options.out, options.sheet)):
        check_writable(file)
    domain = _load(options)
    edits = deltas(domain, dict(zip(options.edit, strengths)))
    x_0 = _image(options, domain)
    x_T = invert(domain, x_0, steps=options.steps)
    how = {"t_edit": options.t_edit, "t_boost": options.t_boost, "seeds": [options.seed]}
    x_edit = edit(domain, x_T, edits, steps=options.steps, **how)
    if options.out:
        write_image(options.out, x_edit[0])
        print(f"wrote {options.out}")
    if options.sheet:
        plain = generate(domain, x_T, steps=options.steps)
        figure = before_after([x_0[0], plain[0], x_edit[0]], dict(zip(options.edit, strengths)))
        with atomic_write(options.sheet) as temporary:
            figure.savefig(temporary, format="png")
        print(f"wrote {options.sheet}")


def _fetch(options) -> None:
    from .domains.photos.fetch import fetch, pictures_by_hand
    from .domains.photos.registry import ROWS, weights_dir

    if not options.name:
        for entry in ROWS.values():
            here = all((weights_dir(entry.name) / file.name).exists() for file in entry.network)
            size = sum(file.megabytes for file in entry.network)
            about = f"{entry.title}; {entry.paper}; licence: {entry.licence}"
            print(f"{entry.name:<14} {'here' if here else '-':<5}{size:6.0f} MB  {about}")
    for name in options.name:
        for line in fetch(name):
            print(line, flush=True)
        if name in ROWS:
            print(*filter(None, [*pictures_by_hand(name), ROWS[name].note]), sep="\n")


def _invert(options) -> None:
    from .api import invert
    from .store.files import check_writable
    from .store.weights import save_weights

    check_writable(options.out)
    domain = _load(options)
    x_T = invert(domain, _image(options, domain), steps=options.steps)
    save_weights(options.out, {"x_T": x_T}, {"steps": options.steps, "domain": domain.name})
    print(f"wrote {options.out}")


def _train(options) -> None:
    from dataclasses import asdict

    from .domains.edits import Edit
    from .runs.run import accept, config_for, keep, train_run

    if (options.target or options.out) and (len(options.edit) > 1 or options.edit == ["all"]):
        raise SettingsError(
            f"--target and --out are for one edit, got {len(options.edit)} names; train them one by one."
        )
    domain = _load(options)
    edits = options.edit if options.edit != ["all"] else list(domain.edits)
    if options.target:
        edits = [Edit(options.edit[0], options.source, options.target)]
    names = (
        "images",
        "from_noise",
        "delta",
        "epochs",
        "batch_size",
        "optimiser",
        "lr",
        "steps",
        "t_edit",
        "seed",
    )
    changes = {name: getattr(options, name) for name in names}
    configs = [config_for(domain, edit, **changes) for edit in edits]
    if options.dry_run:
        print(json.dumps([asdict(config) for config in configs], indent=1))
        return
    places = [keep(domain, config, options.out, replace=options.replace) for config in configs]
    for config, place in zip(configs, places):
        run = train_run(config, domain)
        accept(run)
        if place:
            place(run)
        last = run.history["clip"].tail(200).mean()
        where = "" if place else f"; what {domain.name} has stays, --replace writes over it"
        print(
            f"{config.name}: CLIP loss {last:.3f} (no edit: 0.693), wrote "
            f"{place.file if place else run.file}{where}",
            flush=True,
        )


def _curve(options) -> None:
    import time

    from .api import invert
    from .method.interval import perceptual_curves, t_boost_from_curve
    from .store.results import save_result

    domain = _load(options)
    started, codec = time.monotonic(), domain.codec
    x_0 = domain.images("train", options.images)
    distance = domain.distance.calibrated(x_0, codec.decode(invert(domain, x_0, steps=options.steps)))
    seen = lambda a, b: distance(codec.decode(a), codec.decode(b))
    curve = perceptual_curves(domain.unet, codec.encode(x_0), seen, steps=options.steps)
    t_boost = t_boost_from_curve(curve["t"].tolist(), curve["x_t"].tolist())
    data = {"curve": curve.round(5).to_dict("list"), "t_boost": t_boost, "scale": distance.scale}
    settings = {
        "domain": domain.name,
        "images": options.images,
        "steps": options.steps,
        "thresholds": [0.33, 1.2],
    }
    how = {"started": started, "device": domain.unet.device, "digests": {"unet": domain.unet.digest()}}
    file = save_result(f"{domain.name}_curve", data, settings, replace=options.replace, **how)
    print(f"t_boost {t_boost}; wrote {file}")


def _evaluate(options) -> None:
    from .measure.evaluate import evaluate_edits

    domain = _load(options)
    names = options.edit or [name for name in domain.edits if domain.direction_file(name).exists()]
    for file in evaluate_edits(domain, names, n=options.images, replace=options.replace):
        print(f"wrote {file}", flush=True)


def _experiment(options) -> None:
    from .experiments import EXPERIMENTS, result_file, store

    domain = _load(options)
    settings = dict(map(_setting, options.set)) | ({} if options.images is None else {"n": options.images})
    missing = [name for name in EXPERIMENTS if not result_file(domain, name).exists()]
    names = {"all": list(EXPERIMENTS), "missing": missing}.get(options.name[0], options.name)
    if unknown := set(names) - set(EXPERIMENTS):
        raise SettingsError(
            f"Unknown experiments {', '.join(sorted(unknown))}; known are {', '.join(EXPERIMENTS)}."
        )
    left_out = []
    for name in names:
        try:
            print(f"wrote {store(domain, name, replace=options.replace, **settings)}", flush=True)
        except DomainError as error:  # not every domain can do everything: a bedroom has no unseen edit
            left_out.append(name)
            if names is options.name or left_out == list(EXPERIMENTS):
                raise
            print(f"left out {name}: {error}", file=sys.stderr, flush=True)


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    with suppress(ValueError, RecursionError):
        return name, json.loads(value)
    raise SettingsError(
        f"The setting {text[:80]!r} could not be read; expected NAME=JSON, e.g. 'names=[\"happy\"]' or "
        "'n=8'; mind the quotes."
    )


def _bench(options) -> None:
    from .measure.bench import compare_with_original, run_benchmark

    how = {"repeats": options.repeats, "replace": options.replace}
    if options.full_size:
        from .backbones.fullsize import random_unet
        from .device import pick_device

        unet = random_unet(options.full_size).to(pick_device(options.device))
        compare_with_original(unet, options.full_size, precision=options.precision, **how)
    elif options.original:
        domain = _load(options)
        compare_with_original(domain.unet, domain.name, precision=options.precision, **how)
    else:
        run_benchmark(_load(options), **how)


def _pretrain(options) -> None:
    from .device import pick_device
    from .domains.synthfaces.pretrain import pretrain

    device = pick_device(options.device)
    how = {"images": options.images, "faces": options.faces}
    print("wrote", pretrain(options.network, options.resolution, options.runs, device=device, **how))
