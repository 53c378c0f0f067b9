"""The command line.  Every command answers --help; wrong input ends with one sentence and exit code 2."""

import argparse
import json
import sys
import time
from pathlib import Path

from .errors import AsyrpError, DomainError, GridError
from .experiments import EXPERIMENTS
from .store.paths import state_dir

#: Seed of the first picture that `train --from-noise` generates: far from the seeds of anybody's samples.
NOISE_SEED = 1_000_000


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
    except KeyboardInterrupt:
        print("stopped; resumable work goes on from its last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asyrp_lib",
        description=__doc__,
        epilog="example: python -m asyrp_lib edit face.png --edit smiling --out smile.png",
    )
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str, *, domain: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        if domain:
            sub.add_argument(
                "--domain", default="synthfaces", help="which domain, or a folder in diffusers format"
            )
        sub.set_defaults(run=run)
        return sub

    sub = command("edit", _edit, "Edit one picture.")
    sub.add_argument("picture", help="a picture file, or test:7 for test picture 7 of the domain")
    sub.add_argument("--edit", action="append", required=True, help="name of an edit; repeat for several")
    sub.add_argument("--strength", action="append", type=float, help="one per edit, any sign (default 1)")
    sub.add_argument("--steps", type=int, default=40, help="steps of inversion and generation")
    sub.add_argument("--t-edit", type=int, help="start of the editing interval (default: the edit's own)")
    sub.add_argument("--t-boost", type=int, default=0, help="quality boosting below it, 0 for none")
    sub.add_argument("--seed", type=int, default=0, help="of the boosting noise")
    sub.add_argument(
        "--resize",
        action="store_true",
        help="centre-crop and resize a picture of another size (photo domains: always)",
    )
    sub.add_argument("--align", action="store_true", help="find the face and crop around it as CelebA-HQ did")
    sub.add_argument("--out", required=True, type=Path, help="PNG to write")

    sub = command(
        "fetch",
        _fetch,
        "Get the weights of the paper's domains, or say how; without a name, list them.",
        domain=False,
    )
    sub.add_argument("name", nargs="*", help="a domain of the paper, or lpips")

    sub = command("invert", _invert, "Bring one picture to noise and write x_T.")
    sub.add_argument("picture", help="a picture file, or test:7 for test picture 7 of the domain")
    sub.add_argument("--steps", type=int, default=40, help="steps of the inversion")
    sub.add_argument(
        "--resize",
        action="store_true",
        help="centre-crop and resize a picture of another size (photo domains: always)",
    )
    sub.add_argument("--align", action="store_true", help="find the face and crop around it as CelebA-HQ did")
    sub.add_argument("--out", required=True, type=Path, help="safetensors file to write")

    sub = command("train", _train, "Train f_t of one edit, or of all; a run that was stopped goes on.")
    sub.add_argument(
        "edit", nargs="+", help="names of edits of the domain, or all; with --source and --target a new name"
    )
    sub.add_argument("--source", help="source text of a new edit, e.g. face")
    sub.add_argument("--target", help="target text of a new edit, e.g. 'winking face'")
    sub.add_argument("--images", type=int, default=32, help="training pictures")
    sub.add_argument("--epochs", type=int, default=3, help="passes over them")
    sub.add_argument(
        "--from-noise",
        action="store_true",
        help="generate the training pictures instead of inverting real ones",
    )
    sub.add_argument("--batch-size", type=int, default=8, help="pictures per optimiser step")
    sub.add_argument("--optimiser", choices=("adam", "sgd"), default="adam", help="of f_t")
    sub.add_argument("--lr", type=float, default=2e-3, help="learning rate")
    sub.add_argument("--steps", type=int, default=40, help="S_train")
    sub.add_argument(
        "--t-edit", type=int, help="start of the editing interval (default: from the perceptual curve)"
    )
    sub.add_argument("--out", type=Path, help="file of f_t (default: the domain's folder of directions)")

    sub = command("curve", _curve, "Measure the perceptual curves behind t_edit and t_boost.")
    sub.add_argument("--images", type=int, default=64, help="training pictures")
    sub.add_argument("--steps", type=int, default=100, help="steps of the inversion")

    sub = command("evaluate", _evaluate, "Judge the edits by the oracle and write the results.")
    sub.add_argument("edit", nargs="*", help="names of edits (default: all that are trained)")
    sub.add_argument("--images", type=int, default=64, help="test pictures")

    sub = command(
        "experiment",
        _experiment,
        "Measure claims of the paper and write the results that notebooks 05 to 10 show.",
    )
    sub.add_argument(
        "name", nargs="+", help=f"{', '.join(EXPERIMENTS)}; all; or missing: those without a stored result"
    )
    sub.add_argument("--images", type=int, help="test pictures (default: the experiment's own number)")
    sub.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=JSON",
        help="""another setting of the experiment, e.g. --set 'names=["happy", "angry"]'; repeat for several""",
    )

    sub = command("bench", _bench, "Measure speed and memory and write the table.")
    sub.add_argument("--repeats", type=int, default=3, help="runs per figure; the median is reported")

    sub = command(
        "pretrain", _pretrain, "Train a shipped network of synthfaces; a run that was stopped goes on."
    )
    sub.add_argument("network", choices=("ddpm", "clip", "segmenter", "oracle"))
    sub.add_argument(
        "--resolution", type=int, choices=(32, 64), default=64, help="side of the pictures in pixels"
    )
    sub.add_argument("--images", type=int, help="images to see over all sessions (default: the recipe's)")
    sub.add_argument("--faces", type=int, help="rendered training faces")
    sub.add_argument(
        "--runs", type=Path, default=state_dir(), help="folder for the resumable state and what comes of it"
    )
    return parser


def _picture(options, domain):
    name, _, number = options.picture.partition(":")
    if name == "test" and number.isdigit():
        return domain.images("test", 1, first=int(number))
    return domain.photo(options.picture, resize=options.resize or None, align=options.align)


def _load(options):
    from .domains import load_domain

    domain = load_domain(options.domain, device=options.device)
    print(f"{domain.name}: {domain.resolution} px on {domain.unet.device}", file=sys.stderr)
    return domain


def _edit(options) -> None:
    from .api import edit, invert
    from .store.images import write_image

    domain = _load(options)
    strengths = options.strength or [1.0] * len(options.edit)
    if len(strengths) != len(options.edit):
        raise GridError(
            f"Got {len(strengths)} strengths for {len(options.edit)} edits; expected one each; "
            "repeat --strength as often as --edit."
        )
    edits = {domain.delta(name): strength for name, strength in zip(options.edit, strengths)}
    x_T = invert(domain, _picture(options, domain), steps=options.steps)
    x_edit = edit(
        domain,
        x_T,
        edits,
        steps=options.steps,
        t_edit=options.t_edit,
        t_boost=options.t_boost,
        seeds=[options.seed],
    )
    write_image(options.out, x_edit[0])
    print(f"wrote {options.out}")


def _fetch(options) -> None:
    from .domains.photos.fetch import fetch, pictures_by_hand
    from .domains.photos.registry import ROWS, weights_dir

    if not options.name:
        for entry in ROWS.values():
            here = all((weights_dir(entry.name) / file.name).exists() for file in entry.network)
            size = sum(file.megabytes for file in entry.network)
            print(
                f"{entry.name:<14} {'here' if here else '-':<5}{size:6.0f} MB  {entry.title}; {entry.paper}; licence: {entry.licence}"
            )
    for name in options.name:
        for line in fetch(name):
            print(line, flush=True)
        if name in ROWS:
            print(*filter(None, [*pictures_by_hand(name), ROWS[name].note]), sep="\n")


def _invert(options) -> None:
    from .api import invert
    from .store.weights import save_weights

    domain = _load(options)
    x_T = invert(domain, _picture(options, domain), steps=options.steps)
    save_weights(options.out, {"x_T": x_T}, {"steps": options.steps, "domain": domain.name})
    print(f"wrote {options.out}")


def _train(options) -> None:
    from dataclasses import asdict

    from .api import train_delta
    from .deltas import save_delta
    from .domains.domain import t_edit_of
    from .domains.edits import Edit
    from .method.train import TrainSettings
    from .store.results import provenance

    domain = _load(options)
    if options.target:
        edits = [Edit(options.edit[0], options.source or "face", options.target)]
    elif options.edit == ["all"]:
        edits = list(domain.edits.values())
    else:
        edits = [domain.edit_named(name) for name in options.edit]
    for edit in edits:
        started = time.monotonic()
        settings = TrainSettings(
            steps=options.steps,
            t_edit=t_edit_of(domain, edit) if options.t_edit is None else options.t_edit,
            lambda_clip=edit.lambda_clip,
            lambda_recon=edit.lambda_recon,
            optimiser=options.optimiser,
            lr=options.lr,
            epochs=options.epochs,
            batch_size=options.batch_size,
        )
        name = (
            f"{edit.name} from noise" if options.from_noise else edit.name
        )  # beside the other one, not over it
        folder = Path("runs") / domain.name / name.replace(" ", "_")
        x_T = domain.seeded_noise(options.images, first=NOISE_SEED) if options.from_noise else None
        delta, history = train_delta(domain, edit, settings, images=options.images, x_T=x_T, folder=folder)
        card = {
            "source": edit.source,
            "target": edit.target,
            "final_clip_loss": round(float(history["clip"][-200:].mean()), 4),
            "provenance": provenance(
                {**asdict(settings), "images": options.images, "from_noise": options.from_noise},
                time.monotonic() - started,
            ),
        }
        out = options.out or domain.direction_file(name)
        save_delta(out, delta, card)
        print(
            f"{edit.name}: t_edit {settings.t_edit}, CLIP loss {history['clip'][:8].mean():.3f} → "
            f"{card['final_clip_loss']:.3f}, {time.monotonic() - started:.0f} s, wrote {out}",
            flush=True,
        )


def _curve(options) -> None:
    from .api import invert
    from .method.interval import perceptual_curves, t_boost_from_curve
    from .store.results import save_result

    domain = _load(options)
    started = time.monotonic()
    x_0 = domain.images("train", options.images)
    domain.distance.calibrate(x_0, invert(domain, x_0, steps=options.steps))
    curve = perceptual_curves(domain.unet, x_0, domain.distance, steps=options.steps)
    t_boost = t_boost_from_curve(curve["t"].tolist(), curve["x_t"].tolist())
    data = {"curve": curve.round(5).to_dict("list"), "t_boost": t_boost, "scale": domain.distance.scale}
    settings = {
        "domain": domain.name,
        "images": options.images,
        "steps": options.steps,
        "thresholds": [0.33, 1.2],
    }
    print(f"t_boost {t_boost}; wrote {save_result(f'{domain.name}_curve', data, settings, started=started)}")


def _evaluate(options) -> None:
    from .measure.evaluate import evaluate_edits

    domain = _load(options)
    names = options.edit or [name for name in domain.edits if domain.direction_file(name).exists()]
    for file in evaluate_edits(domain, names, n=options.images):
        print(f"wrote {file}", flush=True)


def _experiment(options) -> None:
    from .experiments import result_file, store

    domain = _load(options)
    settings = dict(map(_setting, options.set)) | ({} if options.images is None else {"n": options.images})
    several = {
        "all": list(EXPERIMENTS),
        "missing": [name for name in EXPERIMENTS if not result_file(domain, name).exists()],
    }
    names, left_out = several.get(options.name[0], options.name), []
    for name in names:
        try:
            print(f"wrote {store(domain, name, **settings)}", flush=True)
        except DomainError as error:  # not every domain can do everything: a bedroom has no unseen edit
            left_out.append(name)
            if names is options.name or left_out == list(EXPERIMENTS):
                raise
            print(f"left out {name}: {error}", file=sys.stderr, flush=True)


def _setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise AsyrpError(
            f"The setting {text!r} could not be read; expected NAME=JSON, e.g. 'names=[\"happy\"]' or 'n=8'; mind the "
            "quotes."
        ) from error


def _bench(options) -> None:
    from .measure.bench import run_benchmark

    run_benchmark(_load(options), repeats=options.repeats)


def _pretrain(options) -> None:
    from .device import pick_device
    from .domains.synthfaces.pretrain import pretrain

    print(
        "wrote",
        pretrain(
            options.network,
            options.resolution,
            options.runs,
            device=pick_device(options.device),
            images=options.images,
            faces=options.faces,
        ),
    )
