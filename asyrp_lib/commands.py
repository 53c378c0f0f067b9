"""What each command of the command line does, given its options; what it needs is loaded when it runs."""

import json
import sys
from contextlib import suppress
from dataclasses import asdict

from .errors import DomainError, SettingsError

#: Settings of a training that have an option of their own.
TRAINING = dict(epochs=int, batch_size=int, optimiser=str, lr=float, steps=int, t_edit=int, seed=int)


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


def edit(options) -> None:
    """Edit one image."""
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


def invert(options) -> None:
    """Bring one image to noise."""
    from .api import invert
    from .store.files import check_writable
    from .store.weights import save_weights

    check_writable(options.out)
    domain = _load(options)
    x_T = invert(domain, _image(options, domain), steps=options.steps)
    save_weights(options.out, {"x_T": x_T}, {"steps": options.steps, "domain": domain.name})
    print(f"wrote {options.out}")


def fetch(options) -> None:
    """Get weights, or list them."""
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


def train(options) -> None:
    """Train f_t of edits, and keep them."""
    from .domains.edits import Edit
    from .method import distributed
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
    if options.start is not None:
        changes["start"] = config_for(domain, options.start, **changes)
    configs = [config_for(domain, edit, **changes) for edit in edits]
    if options.dry_run:
        print(json.dumps([asdict(config) for config in configs], indent=1))
        return
    places = [place_for(domain, config, options.out, replace=options.replace) for config in configs]
    for config, place in zip(configs, places):
        run = train_run(config, domain)
        if not distributed.is_main():  # one of several processes keeps f_t and speaks
            continue
        keep(run, place, weak=options.keep_weak)
        last = run.history["clip"].tail(200).mean()
        where = place or f"{run.file}; what {domain.name} has stays, --replace writes over it"
        print(f"{config.name}: CLIP loss {last:.3f} (no edit: 0.693), wrote {where}", flush=True)


def curve(options) -> None:
    """Measure the curves behind t_edit and t_boost."""
    from .measure.curve import store_curve

    data, file = store_curve(_load(options), options.images, options.steps, replace=options.replace)
    print(f"t_boost {data['t_boost']}; wrote {file}")


def experiment(options) -> None:
    """Measure experiments and store their rows."""
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


def reproduce(options) -> None:
    """Run what is missing of a domain, or list it."""
    from .experiments.reproduce import run_missing

    how = {"seeds": options.seeds, "lanes": options.lanes, "dry": options.list}
    run_missing(_load(options), options.task, **how)


def grid(options) -> None:
    """Run the cells of a grid, or one of them, or list them."""
    from .errors import TrainingError
    from .experiments import ablation, compare
    from .runs.grid import cells, read_grid
    from .runs.run import optimiser_steps, start_root

    grid = read_grid(options.file, options.domain)
    options.domain = grid.domain
    domain = _load(options)
    if options.cell is not None:
        ablation.measure_cell(domain, grid, options.cell)
        return
    if options.list:
        listed = ablation.tasks(options.file, grid, domain)
        for task in listed:
            print(f"{task.name:<60} {'running' if task.busy() else task.state()}")
        todo = [cell for cell, task in zip(cells(grid, domain).values(), listed) if task.state() != "done"]
        starts = {start_root(c.config.start, domain): c.config.start for c in todo if c.config.start}
        steps = sum(optimiser_steps(run, domain) for run in [*starts.values(), *(c.config for c in todo)])
        print(f"{len(todo)} of {len(listed)} cells to do, {steps:,} optimiser steps at most")
        return
    how = {"lanes": options.lanes, "cluster": options.cluster, "device": options.device}
    rows, file, failed = ablation.run_grid(options.file, domain, grid, replace=options.replace, **how)
    scores = ("aimed", "distance to target", "leaked", "S_dir", "loss")
    for title, of in {"": compare.summary, "minus the first variant": compare.differences}.items():
        if len(table := of(rows, *scores)):
            print(title, table.map(str).to_string(), sep="\n")
    print(f"wrote {file}")
    if failed:
        raise TrainingError(
            f"{len(failed)} cells failed, see above: {'; '.join(failed)}; expected none; the others are "
            "kept; mend the cause, or leave those cells out, and run it again."
        )


def bench(options) -> None:
    """Measure speed and memory."""
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


def pretrain(options) -> None:
    """Train a network of synthfaces."""
    from .device import pick_device
    from .domains.synthfaces.pretrain import pretrain

    device = pick_device(options.device)
    how = {"images": options.images, "faces": options.faces}
    print("wrote", pretrain(options.network, options.runs, device=device, **how))
