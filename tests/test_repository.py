"""The house: sizes, documentation, and imports that run one way."""
import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "asyrp_lib").rglob("*.py"))
#: From the bottom up; a module may import from its own layer's left and from lower layers only.
LAYERS = [("errors", "files", "device"), ("weights", "schedule", "images", "results", "edits", "perceptual"),
          ("unet",), ("hspace", "delta"), ("sweep",), ("asyrp",), ("interval", "mixing", "clip", "cache"), ("train", "metrics"), ("api",),
          ("evaluate", "figures", "panel"), ("bench", "experiments"), ("domains",), ("cli",), ("__main__", "__init__")]


def kept() -> list[Path]:
    """Files in the repository, and those that the next `git add` would put there."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def top(module: Path) -> str:
    return module.relative_to(ROOT / "asyrp_lib").parts[0].removesuffix(".py")


def dotted(module: Path) -> str:
    """A file as the name one imports it by: asyrp_lib.domains.convert."""
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: Path) -> set[str]:
    """Modules of asyrp_lib that a module imports, relatively or absolutely, anywhere in it (functions included)."""
    known = {dotted(m) for m in MODULES}
    package = module.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            base = ".".join((*base, *([node.module] if node.module else [])))
            inner = {f"{base}.{alias.name}" for alias in node.names} & known  # `from . import results`
            found |= inner
            if not inner or len(inner) < len(node.names):
                found.add(base)
    return found & known - {dotted(module)}


def imported(module: Path) -> set[str]:
    """Top-level names of asyrp_lib that a module imports."""
    return {(name.split(".") + ["__init__"])[1] for name in imports(module)}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_a_library_file_has_one_subject_and_at_most_300_lines(module):
    assert len(module.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_imports_run_one_way(module):
    rank = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    assert top(module) in rank, f"{top(module)} has no layer"
    for name in imported(module) - {top(module)}:
        assert rank[name] <= rank[top(module)], f"{top(module)} imports {name}"
        if top(module) not in ("domains", "cli", "__init__", "__main__"):
            assert name != "domains", "the engine knows no domain"


def test_there_is_no_cycle_of_imports():
    edges = {dotted(module): imports(module) for module in MODULES}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"cycle: {' → '.join(path[path.index(name):] + [name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(edges[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in sorted(edges):
        visit(name)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_everything_public_is_documented(module):
    tree = ast.parse(module.read_text())
    if tree.body:
        assert ast.get_docstring(tree), "module"
    public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"]
    for owner in [n for n in public if isinstance(n, ast.ClassDef)]:
        public += [n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    for node in public:
        assert ast.get_docstring(node), node.name


def test_no_file_is_over_45_megabytes_and_all_weights_together_under_64():
    files = kept()
    assert max(f.stat().st_size for f in files) < 45e6
    assert sum(f.stat().st_size for f in files if (ROOT / "data") in f.parents) <= 64e6


def test_every_picture_that_a_page_shows_is_there():
    for page in (ROOT / "README.md", *sorted((ROOT / "data").rglob("README.md"))):
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_constraints_are_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.\-]+==[\w.+!]+", line), line
