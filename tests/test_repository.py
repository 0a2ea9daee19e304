"""The repository itself: what it holds, what it promises, and which part may import which."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from analysis import paths, study
from analysis.__main__ import _parser
from tests.playground import Playground

ROOT = paths.ROOT
# What has one name on PyPI and another on conda-forge.
CONDA_NAMES = {"pytorch": "torch"}
README = ROOT / "README.md"
needs_readme = pytest.mark.skipif(not README.is_file(), reason="there is no README.md yet")


# ------------------------------------------------------------------------------ packages


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def bounds(requirements: list[str]) -> dict[str, SpecifierSet]:
    """Return the bounds of each package; a package that is named twice is refused."""
    found: dict[str, SpecifierSet] = {}
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))
        assert name not in found, f"{name} is named twice"
        found[name] = requirement.specifier
    return found


def test_conda_and_pip_install_the_same_packages_within_the_same_bounds() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = [line for line in conda["dependencies"] if isinstance(line, str)]
    (from_pip,) = [part["pip"] for part in conda["dependencies"] if not isinstance(part, str)]
    in_conda = bounds(listed + from_pip)
    python, quarto = in_conda.pop("python"), in_conda.pop("quarto")
    assert in_conda.pop("pip") == SpecifierSet()
    extras = project()["optional-dependencies"].values()
    in_pip = bounds([*project()["dependencies"], *(line for extra in extras for line in extra)])
    assert in_conda == in_pip
    assert python == SpecifierSet(project()["requires-python"])
    assert quarto == SpecifierSet(">=1.8")


def test_every_package_has_a_lower_bound() -> None:
    extras = project()["optional-dependencies"].values()
    for requirements in (project()["dependencies"], *extras):
        for name, specifier in bounds(requirements).items():
            assert [part.operator for part in specifier] == [">="], name


def test_every_package_of_the_code_is_installed() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for folder in ("analysis", "report")
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(content["tool"]["setuptools"]["packages"]) == packages


def test_rendering_installs_nothing_for_training() -> None:
    heavy = {"torch", "torchvision", "timm", "captum", "adversarial-robustness-toolbox"}
    assert not heavy & set(bounds(project()["dependencies"]))
    assert heavy <= set(bounds(project()["optional-dependencies"]["analysis"]))


# ------------------------------------------------------------------------------ tracked files


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert ROOT / "pyproject.toml" in found
    return [path for path in found if path.exists()]


def test_neither_data_nor_weights_are_tracked(tracked: list[Path]) -> None:
    suffixes = {".npz", ".mat", ".npy", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".pkl"}
    assert [path for path in tracked if path.suffix.lower() in suffixes] == []


def test_no_tracked_file_is_large(tracked: list[Path]) -> None:
    assert [path for path in tracked if path.stat().st_size > 2_000_000] == []


def test_no_tracked_picture_is_a_photo(tracked: list[Path]) -> None:
    # Pictures of SVHN are not this project's to publish, whatever their format.
    suffixes = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
    assert [path for path in tracked if path.suffix.lower() in suffixes] == []


@pytest.mark.parametrize("name", study.names())
def test_results_of_a_study_are_at_most_10_mb(name: str) -> None:
    folder = ROOT / "build" / "results" / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 10_000_000


@pytest.mark.parametrize(
    "name, ignored",
    [
        ("build/cache/data/svhn_subset.npz", True),
        ("build/cache/demo/0123/r0f0/weights.safetensors", True),
        ("build/site/index.html", True),
        ("build/local/index.html", True),
        ("build/local/svhn-subset/pictures.parquet", True),
        ("build/pictures/demo.parquet", False),
        ("build/results/demo/manifest.json", False),
        ("build/results/benchmark/benchmark.json", False),
        ("build/results/demo/history-r0f0-0123456789ab.parquet", False),
    ],
)
def test_git_ignores_what_can_be_made_again_and_keeps_results(
    tracked: list[Path], name: str, ignored: bool
) -> None:
    done = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", name], cwd=ROOT)
    assert done.returncode == (0 if ignored else 1)


# ------------------------------------------------------------------------------ imports


def imported(path: Path) -> Iterator[str]:
    """Give the full names of what a module imports, wherever in it that is done."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if node.level else []
            module = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def test_the_reader_of_imports_reads_every_kind() -> None:
    names = set(imported(ROOT / "analysis" / "pipeline.py"))
    assert {"time", "analysis.results", "pathlib.Path", "analysis.study.Run"} <= names
    assert "analysis.datasets.drawn" in set(imported(ROOT / "analysis/datasets/__init__.py"))


def test_analysis_never_imports_report() -> None:
    for path in modules("analysis"):
        assert not [name for name in imported(path) if name.split(".")[0] == "report"], path


def test_report_reads_results_and_computes_nothing() -> None:
    allowed = {"results", "errors", "paths", "published", "study", "verdicts", "datasets", "tables"}
    # Timings, and what of single images is read without torch.
    allowed |= {"timings", "pictures"}
    for path in modules("report"):
        used = {name.split(".")[1] for name in imported(path) if name.startswith("analysis.")}
        assert used <= allowed, path
        assert "analysis" not in imported(path), path


def installed_by(requirements: list[str]) -> set[str]:
    """Return the distributions that pip installs for some requirements, and for theirs."""
    found: set[str] = set()
    left = [Requirement(line) for line in requirements]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras
        ):
            continue
        if name in found:
            continue
        try:
            further = requires(name) or []
        except PackageNotFoundError:
            continue
        found.add(name)
        for line in further:
            needed = Requirement(line)
            if not needed.marker or any(
                needed.marker.evaluate({"extra": extra}) for extra in extras
            ):
                left.append(needed)
    return found


def not_for_rendering() -> list[str]:
    """Return the names of modules that are installed here, but not where only pages are made."""
    there = installed_by(project()["dependencies"])
    owners = defaultdict(set)
    for module, distributions in packages_distributions().items():
        owners[module] |= {canonicalize_name(name) for name in distributions}
    own = {"analysis", "report", "tests"}
    return sorted(name for name, of in owners.items() if not of & there and name not in own)


WITHOUT = """
import importlib, pkgutil, sys

class Absent:
    names = set(sys.argv[1].split())

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import report
from analysis import results

for module in pkgutil.walk_packages(report.__path__, "report."):
    importlib.import_module(module.name)
    print(module.name)
stored = results.load("tiny")
print(stored.verify(), len(stored.claims().claims))
"""


def test_reports_and_results_are_read_without_what_training_needs(finished: Playground) -> None:
    absent = not_for_rendering()
    assert {"torch", "timm", "captum", "art", "sklearn", "scipy", "statsmodels"} <= set(absent)
    assert not {"pandas", "pyarrow", "pydantic", "altair"} & set(absent)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, " ".join(absent)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *names, count, claims = done.stdout.split()
    assert {"report.charts", "report.paper", "report.preview"} <= set(names)
    assert (int(count), int(claims)) == (28, 16)


# ------------------------------------------------------------------------------ the README


def console(language: str = "sh") -> list[str]:
    """Return the commands of the README's console texts, without their comments."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


@needs_readme
def test_every_make_target_in_the_readme_exists() -> None:
    text = README.read_text(encoding="utf-8")
    named = {line.split()[1] for line in console() if line.startswith("make ")}
    named |= set(re.findall(r"`make ([a-z]+)`", text))
    assert {"report", "test"} <= named <= targets()


def test_every_make_target_is_phony() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\.PHONY:(.*)$", makefile, flags=re.MULTILINE)
    assert set(line.split()) == targets()


@needs_readme
def test_every_analysis_command_in_the_readme_is_understood() -> None:
    lines = [line.split() for line in console() if line.startswith("python -m analysis ")]
    assert {"run", "status", "verify"} <= {words[3] for words in lines}
    for words in lines:
        options = _parser().parse_args(words[3:])
        named = [getattr(options, "study", None), *getattr(options, "studies", [])]
        assert set(filter(None, named)) <= set(study.names())


@needs_readme
def test_the_readme_names_every_study_and_every_variable() -> None:
    text = README.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, flags=re.MULTILINE)) == set(study.names())
    code = (ROOT / "analysis" / "paths.py").read_text(encoding="utf-8")
    assert set(re.findall(r"FAILURE_MODES_\w+", text)) == set(
        re.findall(r"FAILURE_MODES_\w+", code)
    )
