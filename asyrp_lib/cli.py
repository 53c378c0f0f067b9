"""The command line.  Every command answers --help; wrong input ends with one sentence and exit code 2."""

import argparse
import sys
from pathlib import Path

from . import __version__, commands
from .errors import AsyrpError
from .store.paths import state_dir


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
    subparsers = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str, *, domain=True, image=False, result=False):
        """Its `add_argument`, after the options that it shares with others."""
        formatter = argparse.ArgumentDefaultsHelpFormatter
        sub = subparsers.add_parser(name, help=text, description=text, formatter_class=formatter)
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

    add = command("edit", commands.edit, "Edit one image.", image=True)
    add("--edit", action="append", required=True, help="name of an edit; repeat for several")
    add("--strength", action="append", type=float, help="one per edit, any sign (default 1)")
    add("--t-edit", type=int, help="start of the editing interval (default: the edit's own)")
    add("--t-boost", type=int, default=0, help="quality boosting below it, 0 for none")
    add("--seed", type=int, default=0, help="of the boosting noise")
    add("--out", type=Path, help="PNG to write, of the domain's size")
    add("--sheet", type=Path, help="PNG to write, enlarged: original, reconstruction, edit")

    add = command("invert", commands.invert, "Bring one image to noise and write x_T.", image=True)
    add("--out", required=True, type=Path, help="safetensors file to write")

    text = "Get the weights of the paper's domains, or say how; without a name, list them."
    add = command("fetch", commands.fetch, text, domain=False)
    add("name", nargs="*", help="a domain of the paper, or lpips")

    text = "Train f_t of edits; a run that was stopped goes on.  What is there is replaced only if asked."
    add = command("train", commands.train, text)
    add("edit", nargs="+", help="names of edits of the domain, or all; with --target one new name")
    add("--source", default="face", help="source text of a new edit")
    add("--target", help="target text of a new edit, e.g. 'smiling face'")
    add("--images", type=int, help="training images")
    add("--from-noise", action="store_true", help="generate the training images")
    add("--delta", help="kind and options of f_t as JSON")
    add("--start", help="edit whose f_t, trained alike, they begin with; it is made first")
    for name, kind in commands.TRAINING.items():
        add(
            f"--{name.replace('_', '-')}", type=kind, help="of training (default: the domain's or the edit's)"
        )
    add("--out", type=Path, help="another file for f_t than the domain's")
    add("--replace", action="store_true", help="write over an f_t that is there")
    add("--keep-weak", action="store_true", help="keep it also if it is no better than no edit")
    add("--dry-run", action="store_true", help="print the configuration and stop")

    add = command("curve", commands.curve, "Measure the curves behind t_edit and t_boost.", result=True)
    add("--images", type=int, default=64, help="training images")
    add("--steps", type=int, default=100, help="steps of the inversion")

    text = "Measure claims of the paper and write the results that notebooks 05 to 10 show."
    add = command("experiment", commands.experiment, text, result=True)
    add("name", nargs="+", help="names; all; or missing: those without a stored result")
    add("--images", type=int, help="test images (default: the experiment's own number)")
    text = """another setting of the experiment, e.g. 'names=["happy", "angry"]'; repeat for several"""
    add("--set", action="append", default=[], metavar="NAME=JSON", help=text)

    text = "Run everything behind the results of a domain that is missing or stale, or list it."
    add = command("reproduce", commands.reproduce, text)
    add("task", nargs="*", help="only tasks whose name has one of these words, e.g. 'smiling' or linearity")
    add("--list", action="store_true", help="say what is done, missing, stale, or waits for f_t, and stop")
    add("--seeds", type=int, default=5, help="f_t of each edit")
    add("--lanes", type=int, default=2, help="processes side by side")

    text = "Train and measure f_t over a declared grid of settings; what was stopped goes on."
    add = command("grid", commands.grid, text, domain=False, result=True)
    add("file", type=Path, help="YAML that declares it, e.g. ablations/heads.yaml")
    add("--domain", help="another domain than the file's")
    add("--list", action="store_true", help="print the cells and what of them is there, and stop")
    add("--lanes", type=int, default=2, help="cells side by side")
    add("--cluster", type=Path, help="YAML of a cluster, e.g. ablations/slurm.yaml, that runs the cells")
    add("--cell", help="run this one cell alone, as a cluster's job does")

    add = command("bench", commands.bench, "Measure speed and memory and write the table.", result=True)
    add("--repeats", type=int, default=3, help="runs per figure; the median is reported")
    add("--original", action="store_true", help="our steps beside the original's, on the domain's network")
    add("--full-size", metavar="NAME", help="the same on random weights of the paper's size: celeba_hq_ddpm")
    add("--precision", choices=("fp32", "bf16"), help="of ours (default: by device)")

    text = "Train a network of synthfaces beside the shipped one; a run that was stopped goes on."
    add = command("pretrain", commands.pretrain, text, domain=False)
    add("network", choices=("ddpm", "clip", "second_clip", "segmenter", "oracle", "oracle_2", "oracle_3"))
    add("--images", type=int, help="to see over all sessions (default: the recipe's)")
    add("--faces", type=int, help="rendered training faces")
    add("--runs", type=Path, default=state_dir(), help="folder of the state and of what comes of it")
    return parser
