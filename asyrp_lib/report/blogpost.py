"""`blogpost.md` and what it follows from; `python -m asyrp_lib.report.blogpost` makes both agree.

Numbers and tables come from stored rows (`facts`), figures must be what their notebooks would draw today
(`drawn`), and runs/blogpost.html is the same as one page (`page`), in which sliders work.
"""

import argparse
import base64
import html
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torch import nn

from .. import api
from ..errors import AsyrpError, FileError
from ..experiments.reproduce import check_fresh
from ..store.cache import cached
from ..store.files import atomic_write
from ..store.paths import repo_root, runs_dir
from . import drawn, page
from .facts import Facts, renewed
from .panel import STRENGTHS, precompute

NAME, EMBEDDED = "blogpost.md", "synthfaces"
#: What a copy for another domain begins with.
COPY = "*The rows and figures of {}, as far as there are any, in sentences that were written about others.*"
#: Where the page has sliders: edits, and the number of a test image; what stands between is for GitHub.
SLIDERS = re.compile(r"<!-- sliders: (.+?), test (\d+) -->\n(.*?)\n<!-- end of sliders -->", re.DOTALL)
FIGURE = re.compile(r"!\[[^\]]*\]\(figures/([^)]+)\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
#: What may be wider than a phone.
WIDE = r'<div class="wide">\1</div>'
#: Bytes that figures and frames may take, of a page's.
MOST_FIGURES, MOST_FRAMES = 6_000_000, 1_500_000


def write(domain, root: Path | None = None) -> bool:
    """Renew every number and table of the post; whether anything changed.

    Raises AsyrpError, and writes nothing, where rows are stale, a figure is not what its notebook would draw
    today (FileError), or the text asks for what no rows say.
    """
    root = root or repo_root()
    check_fresh(domain)
    file = root / NAME
    before = file.read_text()
    text = renewed(before, Facts(domain, root))
    drawn.check(root, FIGURE.findall(text))
    if text != before:
        with atomic_write(file) as temporary:
            temporary.write_text(text)
    return text != before


def write_copy(domain, folder: Path, root: Path | None = None) -> Path:
    """Write the post with the numbers and figures of another domain, as far as there are any, to a folder
    that holds its `figures/`; returns the copy's path.
    """
    check_fresh(domain)
    text = renewed(((root or repo_root()) / NAME).read_text(), Facts(domain, folder, strict=False))

    def there(found: re.Match) -> str:
        """A figure, or what it takes."""
        name = found[1]
        return found[0] if (folder / "figures" / name).is_file() else f"*({name}: run notebook {name[:2]}.)*"

    title, rest = FIGURE.sub(there, text).split("\n", 1)
    with atomic_write(folder / NAME) as temporary:
        temporary.write_text(f"{title}\n\n{COPY.format(domain.name)}\n{rest}")
    return folder / NAME


def write_page(domain, path: Path, root: Path | None = None) -> Path:
    """Write the post in `root` as one HTML file, with its figures and with sliders; see `page.write`."""
    root = root or repo_root()
    text, panels = (root / NAME).read_text(), []

    def keep(found: re.Match) -> str:
        """A place for sliders, which are put there when all else is HTML."""
        panels.append(sliders(domain, found[1].split(", "), int(found[2])))
        return f"\n\nPANEL{len(panels) - 1}\n\n"

    if len(SLIDERS.findall(text)) != text.count("<!-- sliders"):
        wanted = (
            "expected <!-- sliders: smiling, old, test 7 -->, lines, and <!-- end of sliders -->; mend it"
        )
        raise AsyrpError(f"A mark of sliders in {NAME} is not whole; {wanted}.")
    text = COMMENT.sub("", SLIDERS.sub(keep, text))
    body = to_html(text, embedded(root, FIGURE.findall(text)))
    for k, panel in enumerate(panels):
        body = body.replace(f"<p>PANEL{k}</p>", panel)
    title = text.partition("\n")[0].removeprefix("# ")
    return page.write(path, title, f"<main>\n{body}</main>", replace=True)


def sliders(domain, names: list[str], face: int) -> str:
    """A panel of some edits of a test image, or of the next that the domain has, by its own f_t."""
    x_T = api.invert(domain, domain.images("test", 1, first=face))
    deltas = domain.trained_like(names)
    parts, settings = nn.ModuleList([domain.unet, *deltas.values()]), {"strengths": STRENGTHS}
    grid = cached("sliders", x_T, parts, settings, lambda: precompute(domain, x_T, deltas))
    said = f"Test face {face}. {grid[..., 0, 0, 0].numel()} images were made; between them the page blends."
    return page.sliders(grid, STRENGTHS, list(deltas), caption=said, most=MOST_FRAMES)


def embedded(root: Path, figures: list[str]) -> dict[str, str]:
    """path in the post -> data URI; as JPEG, where all together would be too large."""
    files = {f"figures/{name}": (root / "figures" / name).read_bytes() for name in figures}
    if sum(map(len, files.values())) * 4 / 3 < MOST_FIGURES:
        return {n: f"data:image/png;base64,{base64.b64encode(b).decode()}" for n, b in files.items()}
    opened = {name: Image.open(io.BytesIO(image)).convert("RGB") for name, image in files.items()}
    return {name: page.data_uri(image, "JPEG", quality=85) for name, image in opened.items()}


def to_html(text: str, images: dict[str, str]) -> str:
    """Markdown with formulas to HTML that needs nothing else: formulas as MathML, images as they are given.

    Links that lead into the repository become text.  AsyrpError: a package is missing, or a formula broken.
    """
    try:
        import mistune
        from latex2mathml.converter import convert
    except ImportError as error:
        wanted = "expected it for the page; run: pip install -e '.[blog]'"
        raise AsyrpError(f"The package {error.name} is not installed; {wanted}") from error

    class Writer(mistune.HTMLRenderer):
        """HTML of one page."""

        def image(self, text: str, url: str, title: str | None = None) -> str:
            if url not in images:
                raise FileError(f"The post shows {url}; expected a figure in figures/; move it there.")
            return f'<img src="{images[url]}" alt="{html.escape(text)}">'

        def link(self, text: str, url: str, title: str | None = None) -> str:
            return f'<a href="{html.escape(url)}">{text}</a>' if url.startswith("https://") else text

    writer = Writer(escape=False)

    def formula(display: str) -> Callable:
        def made(_, text: str) -> str:
            try:
                return convert(text.strip(), display=display)
            except Exception as error:  # it has a dozen, without a common base
                what = f"The formula {text.strip()!r} is broken ({type(error).__name__})"
                raise AsyrpError(f"{what}; expected LaTeX; mend it in {NAME}.") from error

        return made

    post = mistune.create_markdown(renderer=writer, plugins=["table", "math"])
    writer.register("block_math", formula("block"))
    writer.register("inline_math", formula("inline"))
    made = str(post(text))
    return re.sub(r'(<table>.*?</table>|<math [^>]*display="block".*?</math>)', WIDE, made, flags=re.DOTALL)


def main() -> int:
    """Renew the post and its page; 0, or 2 with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m asyrp_lib.report.blogpost", description=__doc__)
    parser.add_argument("--domain", default=EMBEDDED, help="another: a copy under runs/ (%(default)s)")
    parser.add_argument("--no-page", action="store_true", help=f"only {NAME}, without the page")
    options = parser.parse_args()
    from ..domains.load import load_domain

    try:
        domain, root = load_domain(options.domain), repo_root()
        if options.domain == EMBEDDED:
            print(f"{NAME}: {'renewed' if write(domain) else 'as it was'}", flush=True)
        else:
            root = runs_dir() / domain.name
            print(write_copy(domain, root), flush=True)
        if not options.no_page:
            folder = runs_dir() if options.domain == EMBEDDED else root
            file = write_page(domain, folder / "blogpost.html", root)
            print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    except AsyrpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
