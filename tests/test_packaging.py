"""What users install: wheel and source distribution, built from a copy of the tree and installed for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDERS = ("producers", "pipeline", "consumers", "api")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DASHBOARD = {
    f"monitoring/api/{path.relative_to(ROOT / 'api')}"
    for path in (ROOT / "api" / "static").rglob("*")
    if path.is_file()
}
DATA_FILES = {
    "monitoring/py.typed",
    "monitoring/pipeline/query/grammar.lark",
    *DASHBOARD,
    *(f"monitoring/api/pages/explorer.{kind}" for kind in ("html", "js", "css")),
}


def _modules(tree: Path) -> set[str]:
    """Every module of the tree under the name it is installed by, as a path."""
    own = {str(path.relative_to(tree)) for path in (tree / "monitoring").glob("*.py")}
    own |= {str(path.relative_to(tree)) for path in (tree / "monitoring" / "cli").rglob("*.py")}
    linked = {f"monitoring/{path.relative_to(tree)}" for name in FOLDERS for path in _sources(tree / name)}
    return own | linked


def _sources(folder: Path) -> list[Path]:
    """Python below a folder, but for what npm has put there."""
    return [path for path in folder.rglob("*.py") if "node_modules" not in path.parts]


def _environment() -> dict[str, str]:
    foreign = ("MONITORING_", "PYTHON", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _run(*command: str | Path, cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**_environment(), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel, the source distribution, the wheel that this becomes at its user's, and the tree they come from."""
    base = tmp_path_factory.mktemp("packaging")
    source = base / "source"  # a copy: a build writes beside its input
    source.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in ("monitoring", "docs", *FOLDERS):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    _run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "-o", base / "dist", cwd=source)
    (wheel,), (sdist,) = (base / "dist").glob("*.whl"), (base / "dist").glob("*.tar.gz")
    arguments = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet", "-w", base / "rebuilt")
    _run(sys.executable, "-m", "pip", "wheel", *arguments, sdist, cwd=base)
    (rebuilt,) = (base / "rebuilt").glob("*.whl")
    return {"tree": source, "wheel": wheel, "sdist": sdist, "rebuilt": rebuilt}


@pytest.mark.parametrize("kind", ["wheel", "rebuilt"])
def test_an_installed_distribution_brings_one_top_level_import_and_works(
    distributions: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    assert list(site.iterdir()) == []
    arguments = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    _run(sys.executable, "-m", "pip", "--python", python, "install", *arguments, distributions[kind], cwd=tmp_path)
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"monitoring"}
    assert not any(path.is_symlink() for path in (site / "monitoring").iterdir())

    # The dependencies come from the environment of the tests; its own editable install does not come with them,
    # because .pth files of PYTHONPATH are not read.
    script = (
        "import monitoring.pipeline.bus.frame, monitoring.api, monitoring.consumers, monitoring.producers;"
        "from importlib.resources import files;"
        "assert files('monitoring.pipeline.query').joinpath('grammar.lark').read_text();"
        "assert files('monitoring').joinpath('py.typed').is_file();"
        "print(monitoring.pipeline.bus.frame.__file__)"
    )
    dependencies = sysconfig.get_path("purelib")
    where = _run(python, "-P", "-c", script, cwd=tmp_path, PYTHONPATH=dependencies).strip()
    assert Path(where) == site / "monitoring" / "pipeline" / "bus" / "frame.py"
    bare = subprocess.run(
        [tmp_path / "venv" / "bin" / "monitoring"], cwd=tmp_path, env=_environment(), capture_output=True, text=True
    )
    assert bare.returncode == 1
    assert bare.stderr.startswith("monitoring: commands need more packages (click)")
    command = _run(tmp_path / "venv" / "bin" / "monitoring", "--version", cwd=tmp_path, PYTHONPATH=dependencies)
    assert PROJECT["project"]["version"] in command


def test_the_wheel_holds_every_module_once_and_nothing_else(distributions: dict[str, Path]) -> None:
    for kind in ("wheel", "rebuilt"):
        with zipfile.ZipFile(distributions[kind]) as archive:
            names = archive.namelist()
        assert len(names) == len(set(names))
        assert {name for name in names if ".dist-info/" not in name} == _modules(distributions["tree"]) | DATA_FILES
        assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_source_distribution_holds_every_module_once_and_no_links(distributions: dict[str, Path]) -> None:
    with tarfile.open(distributions["sdist"]) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = [member.name.partition("/")[2] for member in members if member.isfile()]
    modules = [name for name in names if name.endswith((".py", ".lark")) and name != "setup.py"]
    expected = {
        name.removeprefix("monitoring/") if _linked(name) else name
        for name in _modules(distributions["tree"]) | DATA_FILES
    }
    assert sorted(modules) == sorted(name for name in expected if name.endswith((".py", ".lark")))
    assert {*FILES, "docs/architecture.md", "docs/delivery.md"} <= set(names)


def _linked(name: str) -> bool:
    return name.split("/")[1] in FOLDERS


def test_pyproject_lists_every_package_of_the_tree() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {
        str(Path(module).parent).replace("/", ".") for module in _modules(ROOT)
    }


def test_the_four_links_are_links() -> None:
    for name in FOLDERS:
        link = ROOT / "monitoring" / name
        assert link.is_symlink()
        assert link.readlink() == Path("..") / name


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: there is no commit to look at")
def test_the_four_links_are_committed_as_links() -> None:
    listed = _run("git", "-c", "safe.directory=*", "ls-files", "--stage", "--", "monitoring", cwd=ROOT).splitlines()
    links = {line.split()[-1] for line in listed if line.startswith("120000 ")}
    assert links == {f"monitoring/{name}" for name in FOLDERS}


def _constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][\w.]*)", line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    pairs = [(canonicalize_name(match[1]), match[2]) for match in found if match]
    assert [line.lower() for line in lines] == sorted(line.lower() for line in lines)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def _declared() -> list[Requirement]:
    """All that is asked for, but for what is wanted in its newest version: peers that only a benchmark measures
    beside us, as users have them, the auditor, and schemas."""
    extras = PROJECT["project"]["optional-dependencies"]
    extras = {name: texts for name, texts in extras.items() if name not in ("bench", "audit", "manifests")}
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras.values() for text in extra)]
    found = [Requirement(text) for text in texts]
    return [requirement for requirement in found if canonicalize_name(requirement.name) != "monitoring-pipeline"]


def test_constraints_are_plain_pins_within_the_ranges_of_pyproject() -> None:
    pins = _constraints()
    for requirement in _declared():
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), f"{requirement} is pinned to {pin}"


@pytest.mark.skipif(find_spec("chdb") is None, reason="what chdb brings is known where it is installed")
def test_constraints_pin_everything_that_is_installed_and_nothing_else() -> None:
    wanted = {canonicalize_name(requirement.name) for requirement in _declared()}
    todo = [
        (canonicalize_name(requirement.name), extra)
        for requirement in _declared()
        for extra in ("", *requirement.extras)
    ]
    seen = set(todo)
    while todo:
        name, extra = todo.pop()
        for text in requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                following = canonicalize_name(requirement.name)
                wanted.add(following)
                news = {(following, wish) for wish in ("", *requirement.extras)} - seen
                seen |= news
                todo += news
    assert set(_constraints()) == wanted
