"""What leaves the checkout: the public names, a light import, and a wheel that works by itself."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import asyrp_lib

ROOT = Path(__file__).resolve().parent.parent


def run(code: str, folder: Path, path: Path) -> str:
    """What a new Python prints that finds asyrp_lib in `path` and runs in `folder`."""
    env = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout


def test_every_public_name_is_there_and_the_stub_says_where_it_lives():
    stub = ast.parse((ROOT / "asyrp_lib" / "__init__.pyi").read_text())
    told = {a.asname: n.module for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert sorted(told) == asyrp_lib.__all__, "in a stub only `import name as name` is public"
    for name, module in told.items():
        value = getattr(asyrp_lib, name)
        assert value is getattr(import_module(f"asyrp_lib.{module}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        asyrp_lib.nonsense  # noqa: B018


def test_importing_loads_nothing_heavy(tmp_path):
    code = "import asyrp_lib, sys; print(*{'torch', 'pandas', 'diffusers', 'ipywidgets'} & set(sys.modules))"
    assert run(code, tmp_path, ROOT) == "\n"


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert asyrp_lib.__version__ == project["version"]
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_a_wheel_works_in_an_empty_folder_without_the_checkout(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    source, wheels, site, empty = (tmp_path / name for name in ("source", "wheels", "site", "empty"))
    empty.mkdir()
    shutil.copytree(ROOT / "asyrp_lib", source / "asyrp_lib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data", source / "data", ignore=shutil.ignore_patterns("datasets"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "data" / "weights" / "somebody_elses.ckpt").write_text("not to be shipped")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    names = {file.name for file in site.rglob("*.*")}
    assert {"py.typed", "choice.html", "page.html"} <= names and "somebody_elses.ckpt" not in names
    code = """import asyrp_lib as al
domain = al.load_domain("synthfaces", device="cpu")
print(al.__file__, domain.delta("smiling").name, domain.t_boost, sep="\\n")"""
    file, *rest = run(code, empty, site).splitlines()
    t_boost = asyrp_lib.load_domain("synthfaces").t_boost
    assert Path(file).is_relative_to(site) and rest == ["smiling", str(t_boost)]
