"""The house: sizes, documentation, and imports that run one way."""

import ast
import re
import subprocess
import sys
import tomllib
import zlib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "asyrp_lib").rglob("*.py"))
#: From the bottom up.  A package stands for all its modules that are not named themselves; a module may
#: import from its own layer and from lower ones.
LAYERS = [
    ("__init__", "errors", "progress", "check"),
    ("device", "store.files", "store.paths", "measure.perceptual", "domains.codec"),
    ("store",),
    ("deltas", "backbones.build", "backbones.native"),
    ("backbones.convert", "method.schedule"),
    ("method.hspace", "method.noise"),
    ("method.ready",),
    ("method.process", "method.clip"),
    ("method",),
    ("backbones",),
    ("domains.edits", "domains.photos"),
    ("measure.lpips", "domains.domain"),
    ("domains.photos.paper", "domains.synthfaces"),
    ("domains",),
    ("api",),
    ("runs",),
    ("measure",),
    ("experiments",),
    ("report",),
    ("commands",),
    ("cli",),
    ("__main__",),
]
#: Arrows that still point upwards, layer to layer: to be mended, not to be added to.
UPWARD = {
    ("measure", "report"),  # bench times the panel
}


def kept() -> list[Path]:
    """Files in the repository, and those that the next `git add` would put there."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def layer(name: str) -> str:
    """The entry of LAYERS that a module belongs to, given its dotted name; the longest that fits."""
    parts = name.split(".")[1:] or ["__init__"]
    known = {entry for entries in LAYERS for entry in entries}
    return next(
        (entry for n in range(len(parts), 0, -1) if (entry := ".".join(parts[:n])) in known), ".".join(parts)
    )


def dotted(module: Path) -> str:
    """A file as the name one imports it by: asyrp_lib.domains.convert."""
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: Path) -> set[str]:
    """Modules of asyrp_lib that a module imports, relatively or absolutely, functions included."""
    known = {dotted(m) for m in MODULES}
    package = module.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*base, *([node.module] if node.module else [])))
            inner = {f"{base}.{alias.name}" for alias in node.names} & known  # `from . import results`
            found |= inner
            if not inner or len(inner) < len(node.names):
                found.add(base)
    return found & known - {dotted(module)}


def arrows(module: Path) -> set[tuple[str, str]]:
    """(own layer, another layer) for everything of asyrp_lib that a module imports."""
    own = layer(dotted(module))
    return {(own, other) for other in map(layer, imports(module)) if other != own}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_a_library_file_has_one_subject_and_at_most_300_lines(module):
    assert len(module.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_imports_run_one_way(module):
    rank = {name: i for i, entries in enumerate(LAYERS) for name in entries}
    assert layer(dotted(module)) in rank, f"{dotted(module)} has no layer"
    for own, other in arrows(module) - UPWARD:
        assert rank[other] <= rank[own], f"{own} imports {other}"


def test_an_arrow_that_was_turned_is_struck_from_the_list():
    assert set().union(*map(arrows, MODULES)) >= UPWARD


def test_there_is_no_cycle_of_imports():
    edges = {dotted(module): imports(module) for module in MODULES}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"cycle: {' → '.join(path[path.index(name) :] + [name])}"
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
    public = [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
    ]
    for owner in [n for n in public if isinstance(n, ast.ClassDef)]:
        public += [n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    for node in public:
        assert ast.get_docstring(node), node.name


def test_no_module_is_ignored_by_git():
    assert not set(MODULES) - set(kept())


def test_no_file_is_over_45_megabytes_and_all_weights_together_under_64():
    files = kept()
    assert max(f.stat().st_size for f in files) < 45e6
    assert sum(f.stat().st_size for f in files if (ROOT / "data" / "weights") in f.parents) <= 64e6
    # with f_t and results what a clone fetches, packed: most rows of the CLIPs' tokens are zeros
    packed = (zlib.compress(f.read_bytes(), 1) for f in files if (ROOT / "data") in f.parents)
    assert sum(map(len, packed)) <= 64e6


PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "blogpost.md")]
PAGES += sorted((ROOT / "data").rglob("README.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_image_and_file_that_a_page_points_to_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_on_a_page_fits_110_columns(page):
    for block in re.findall(r"^```.*?^```", page.read_text(), re.DOTALL | re.MULTILINE):
        assert max(map(len, block.splitlines())) <= 110, block


def test_the_readme_lists_every_variable_that_the_library_reads():
    read = {name for module in MODULES for name in re.findall(r"\bASYRP_[A-Z_]+", module.read_text())}
    listed = set(re.findall(r"^\| `\$(ASYRP_[A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert listed == read


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_the_style_is_ruffs(command):
    pytest.importorskip("ruff", reason="ruff is not installed: pip install -e '.[dev]'")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
    )
    assert not done.returncode, done.stdout[-3000:] + done.stderr


def test_everybody_checks_with_the_same_commands_and_versions():
    text = {
        name: (ROOT / name).read_text() for name in (".ci/run", "README.md", "Makefile", "constraints.txt")
    }
    assert text[".ci/run"].splitlines()[-1] == "make test" and "\nmake test " in text["README.md"]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    recipe = text["Makefile"].split("\ntest: $(READY)\n")[1].split("\n\n")[0]
    for command in re.findall(r"\$\(BIN\)/(.+)", recipe):
        command = command.replace(" $(SPREAD)", "")  # there each job has a machine of its own
        assert f"- run: {command.removesuffix(' notebooks')}" in workflow
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert f"\nruff=={re.search(r'rev: v([0-9.]+)', hooks)[1]}\n" in text["constraints.txt"]


def test_all_that_is_needed_is_pinned_and_runs_on_the_oldest_python():
    # pip tries older and older versions of what is not pinned, for many minutes, where one pin cannot be had
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    waiting, seen = [("asyrp-lib", {"dev"})], set()
    while waiting:
        name, extras = waiting.pop()
        for need in map(Requirement, metadata.requires(name) or ()):
            if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                continue
            key = canonicalize_name(need.name), frozenset(need.extras)
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    names = {name for name, _ in seen} - {"asyrp-lib"}
    assert names <= pinned.keys(), f"pin {sorted(names - pinned.keys())}"
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    oldest = f"{python.removeprefix('>=')}.0"
    for name in sorted(name for name in names if metadata.version(name) == pinned[name]):
        asked = metadata.metadata(name)["Requires-Python"] or ""
        assert SpecifierSet(asked).contains(oldest), f"{name} wants Python {asked}"


def test_constraints_are_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.\-]+==[\w.+!]+", line), line
