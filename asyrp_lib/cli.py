"""The command line.  Every command answers --help; wrong input ends with one sentence and exit code 2."""

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from . import __version__
from .errors import AsyrpError, DomainError, SettingsError
from .store.paths import state_dir

#: Settings of a training that have an option of their own.
TRAINING = dict(epochs=int, batch_size=int, optimiser=str, lr=float, steps=int, t_edit=int, seed=int)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; None for the real command line.  0, or 2 after an error that the user can cure."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except AsyrpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # what no border has caught: a sentence, not a trace
        where = error.filename or "A file"
        print(f"error: {where}: {error.strerror or error}; check the path.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; resumable work goes on from its last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m asyrp_lib",
        description=__doc__,
        epilog="example: python -m asyrp_lib edit test:8 --edit smiling --sheet smile.png",
    )
    parser.add_argument("--device", help="cuda, mps or cpu (default: the best there is)")
    parser.add_argument("--version", action="version", version=f"asyrp_lib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str, *, domain=True, image=False, result=False):
        """Its `add_argument`, after the options that it shares with others."""
        formatter = argparse.ArgumentDefaultsHelpFormatter
        sub = commands.add_parser(name, help=text, description=text, formatter_class=formatter)
        sub.set_defaults(run=run)
        add = sub.add_argument
        if image:
            add("image", help="an image file, or test:7 for test image 7 of the domain")
            add("--steps", type=int, default=40, help="of inversion and generation")
            add("--resize", action="store_true", help="centre-crop and resize (photo domains: always)")
            add("--align", action="store_true", help="find the face and crop around it as CelebA-HQ did")
        if domain:
            add("--domain", default="synthfaces", help="which, or a folder or Hub id in diffusers format")
        if result:
            add("--replace", action="store_true", help="write over a stored result, not to runs/results")
        return add

    add = command("edit", _edit, "Edit one image.", image=True)
    add("--edit", action="append", required=True, help="name of an edit; repeat for several")
    add("--strength", action="append", type=float, help="one per edit, any sign (default 1)")
    add("--t-edit", type=int, help="start of the editing interval (default: the edit's own)")
    add("--t-boost", type=int, default=0, help="quality boosting below it, 0 for none")
    add("--seed", type=int, default=0, help="of the boosting noise")
    add("--out", type=Path, help="PNG to write, of the domain's size")
    add("--sheet", type=Path, help="PNG to write, enlarged: original, reconstruction, edit")

    add = command("invert", _invert, "Bring one image to noise and write x_T.", image=True)
    add("--out", required=True, type=Path, help="safetensors file to write")

    text = "Get the weights of the paper's domains, or say how; without a name, list them."
    add = command("fetch", _fetch, text, domain=False)
    add("name", nargs="*", help="a domain of the paper, or lpips")

    text = "Train f_t of edits; a run that was stopped goes on.  What is there is replaced only if asked."
    add = command("train", _train, text)
    add("edit", nargs="+", help="names of edits of the domain, or all; with --target one new name")
    add("--source", default="face", help="source text of a new edit")
    add("--target", help="target text of a new edit, e.g. 'smiling face'")
    add("--images", type=int, help="training images")
    add("--from-noise", action="store_true", help="generate the training images")
    add("--delta", help="kind and options of f_t as JSON")
    for name, kind in TRAINING.items():
        add(
            f"--{name.replace('_', '-')}", type=kind, help="of training (default: the domain's or the edit's)"
        )
    add("--out", type=Path, help="another file for f_t than the domain's")
    add("--replace", action="store_true", help="write over an f_t that is there")
    add("--keep-weak", action="store_true", help="keep it also if it is no better than no edit")
    add("--dry-run", action="store_true", help="print the configuration and stop")

    add = command("curve", _curve, "Measure the curves behind t_edit and t_boost.", result=True)
    add("--images", type=int, default=64, help="training images")
    add("--steps", type=int, default=100, help="steps of the inversion")

    text = "Measure claims of the paper and write the results that notebooks 05 to 10 show."
    add = command("experiment", _experiment, text, result=True)
    add("name", nargs="+", help="names; all; or missing: those without a stored result")
    add("--images", type=int, help="test images (default: the experiment's own number)")
    text = """another setting of the experiment, e.g. 'names=["happy", "angry"]'; repeat for several"""
    add("--set", action="append", default=[], metavar="NAME=JSON", help=text)

    text = "Run everything behind the results of a domain that is missing or stale, or list it."
    add = command("reproduce", _reproduce, text)
    add("task", nargs="*", help="only tasks whose name has one of these words, e.g. 'smiling' or linearity")
    add("--list", action="store_true", help="say what is done, missing, stale, or waits for f_t, and stop")
    add("--seeds", type=int, default=5, help="f_t of each edit")
    add("--lanes", type=int, default=2, help="processes side by side")

    add = command("bench", _bench, "Measure speed and memory and write the table.", result=True)
    add("--repeats", type=int, default=3, help="runs per figure; the median is reported")
    add("--original", action="store_true", help="our steps beside the original's, on the domain's network")
    add("--full-size", metavar="NAME", help="the same on random weights of the paper's size: celeba_hq_ddpm")
    add("--precision", choices=("fp32", "bf16"), help="of ours (default: by device)")

    text = "Train a network of synthfaces beside the shipped one; a run that was stopped goes on."
    add = command("pretrain", _pretrain, text, domain=False)
    add("network", choices=("ddpm", "clip", "second_clip", "segmenter", "oracle", "oracle_2", "oracle_3"))
    add("--images", type=int, help="to see over all sessions (default: the recipe's)")
    add("--faces", type=int, help="rendered training faces")
    add("--runs", type=Path, default=state_dir(), help="folder of the state and of what comes of it")
    return parser


def _json(text: str, form: str):
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    raise SettingsError(f"{text[:80]!r} is no JSON; expected {form}; mind the quotes.")


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
    from .report.figures import png
    from .report.sheets import before_after
    from .store.files import atomic_write, check_writable
    from .store.images import write_image

    n, values = len(set(options.edit)), options.strength or [1.0] * len(options.edit)
    if not len(values) == len(options.edit) == n:
        raise SettingsError(
            f"Got {len(values)} strengths for {n} edits; expected one each; repeat --strength."
        )
    if not options.out and not options.sheet:
        raise SettingsError("There is nowhere to write; expected a file; add --out FILE or --sheet FILE.")
    for file in filter(None, (options.out, options.sheet)):
        check_writable(file)
    domain = _load(options)
    strengths = dict(zip(options.edit, values))
    edits = deltas(domain, strengths)
    x_0 = _image(options, domain)
    x_T = invert(domain, x_0, steps=options.steps)
    how = {"t_edit": options.t_edit, "t_boost": options.t_boost, "seeds": [options.seed]}
    x_edit = edit(domain, x_T, edits, steps=options.steps, **how)
    if options.out:
        write_image(options.out, x_edit[0])
        print(f"wrote {options.out}")
    if options.sheet:
        plain = generate(domain, x_T, steps=options.steps)
        figure = before_after([x_0[0], plain[0], x_edit[0]], strengths)
        with atomic_write(options.sheet) as temporary:
            temporary.write_bytes(png(figure))
        print(f"wrote {options.sheet}")


def _invert(options) -> None:
    from .api import invert
    from .store.files import check_writable
    from .store.weights import save_weights

    check_writable(options.out)
    domain = _load(options)
    x_T = invert(domain, _image(options, domain), steps=options.steps)
    save_weights(options.out, {"x_T": x_T}, {"steps": options.steps, "domain": domain.name})
    print(f"wrote {options.out}")


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


def _train(options) -> None:
    from .domains.edits import Edit
    from .runs.run import config_for, keep, place_for, train_run

    if (options.target or options.out) and (len(options.edit) > 1 or options.edit == ["all"]):
        raise SettingsError("--target and --out are for one edit, got several; train them one by one.")
    domain = _load(options)
    edits = options.edit if options.edit != ["all"] else list(domain.edits)
    if options.target:
        edits = [Edit(options.edit[0], options.source, options.target)]
    changes = {name: getattr(options, name) for name in ("images", "from_noise", *TRAINING)}
    if options.delta is not None:
        changes["delta"] = _json(options.delta, """e.g. '{"kind": "ConvDelta"}'""")
    configs = [config_for(domain, edit, **changes) for edit in edits]
    if options.dry_run:
        print(json.dumps([asdict(config) for config in configs], indent=1))
        return
    places = [place_for(domain, config, options.out, replace=options.replace) for config in configs]
    for config, place in zip(configs, places):
        run = train_run(config, domain)
        keep(run, place, weak=options.keep_weak)
        last = run.history["clip"].tail(200).mean()
        where = place or f"{run.file}; what {domain.name} has stays, --replace writes over it"
        print(f"{config.name}: CLIP loss {last:.3f} (no edit: 0.693), wrote {where}", flush=True)


def _curve(options) -> None:
    from .measure.curve import store_curve

    data, file = store_curve(_load(options), options.images, options.steps, replace=options.replace)
    print(f"t_boost {data['t_boost']}; wrote {file}")


def _experiment(options) -> None:
    from .experiments import asked_for, shared_trial, store

    domain = _load(options)
    form = """NAME=JSON, e.g. 'names=["happy"]'"""
    pairs = (text.partition("=") for text in options.set)
    settings = {name: _json(value, form) for name, _, value in pairs}
    if options.images is not None:
        settings["n"] = options.images
    names = asked_for(domain, options.name)
    trial = shared_trial(domain, names, settings.get("n")) if len(names) > 1 else None
    left_out = []
    for name in names:
        try:
            print("wrote", store(domain, name, trial=trial, replace=options.replace, **settings), flush=True)
        except DomainError as error:  # not every domain can do everything: a bedroom has no unseen edit
            left_out.append(name)
            if names is options.name or (options.name == ["all"] and left_out == names):
                raise
            print(f"left out {name}: {error}", file=sys.stderr, flush=True)


def _reproduce(options) -> None:
    from .experiments.reproduce import run_missing

    how = {"seeds": options.seeds, "lanes": options.lanes, "dry": options.list}
    run_missing(_load(options), options.task, **how)


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
    print("wrote", pretrain(options.network, options.runs, device=device, **how))
