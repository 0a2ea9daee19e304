"""The repository itself: its packages, its files, and what it promises."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from analysis import study
from analysis.project import paths

ROOT = paths.ROOT
# What has one name on PyPI and another on conda-forge.
CONDA_NAMES = {"pytorch": "torch"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------ packages


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def bounds(requirements: list[str]) -> dict[str, SpecifierSet]:
    """Return the lower bound of each package; a package that is named twice is refused."""
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
    assert all([part.operator for part in bound] == [">="] for bound in in_pip.values())
    assert python == SpecifierSet(project()["requires-python"])
    assert quarto == SpecifierSet(">=1.8")


def installed_by(requirements: list[str]) -> set[str]:
    """Return the distributions that pip installs for some requirements, and for theirs."""
    found: set[str] = set()
    left = [Requirement(line) for line in requirements]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            left += map(Requirement, requires(name) or [])
        except PackageNotFoundError:
            continue
        found.add(name)
    return found


WITHOUT = """
import importlib, pkgutil, sys

class Absent:
    names = set(sys.argv[1].split())

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import report
for module in pkgutil.walk_packages(report.__path__, "report."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import analysis.results.pictures, analysis.results.published
"""


def test_pages_are_made_without_what_training_needs() -> None:
    with_report = installed_by(project()["dependencies"])
    owners = defaultdict(set)
    for module, distributions in packages_distributions().items():
        owners[module] |= {canonicalize_name(name) for name in distributions}
    own = {"analysis", "report", "tests"}
    absent = {name for name, by in owners.items() if not by & with_report} - own
    assert {"torch", "timm", "captum", "art", "sklearn", "scipy", "statsmodels"} <= absent
    assert not {"pandas", "pyarrow", "pydantic", "altair"} & absent
    command = [sys.executable, "-c", WITHOUT, " ".join(absent)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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


def test_no_data_weights_photos_or_large_files_are_tracked(tracked: list[Path]) -> None:
    data = {".npz", ".mat", ".npy", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".pkl"}
    # Pictures of SVHN are not this project's to publish, whatever their format.
    photos = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
    assert [path for path in tracked if path.suffix.lower() in data | photos] == []
    assert [path for path in tracked if path.stat().st_size > 2_000_000] == []


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
        ("index.html", True),
        ("build/pictures/demo.parquet", False),
        ("build/results/demo/claims.json", False),
        ("build/results/demo/r0f0/run.json", False),
        ("build/results/demo/r0f0/history-0123456789ab.parquet", False),
    ],
)
def test_git_ignores_what_can_be_made_again_and_keeps_results(
    tracked: list[Path], name: str, ignored: bool
) -> None:
    done = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", name], cwd=ROOT)
    assert done.returncode == (0 if ignored else 1)


# ------------------------------------------------------------------------------ promises


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    workflows = [path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").iterdir()]
    for text in (README, (ROOT / "reproduce.qmd").read_text("utf-8"), *workflows):
        named = re.findall(r"(?:^|`|run: )make ([a-z]+)", text, flags=re.MULTILINE)
        assert set(named) <= targets


def test_the_texts_name_every_study_and_every_variable() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", README, flags=re.MULTILINE)) == set(study.names())
    code = (ROOT / "analysis" / "project" / "paths.py").read_text(encoding="utf-8")
    variables = re.compile(r"FAILURE_MODES_\w+")
    text = (ROOT / "reproduce.qmd").read_text(encoding="utf-8")
    assert set(variables.findall(text)) == set(variables.findall(code))


@pytest.mark.parametrize("name", ["publish", "test"])
def test_a_workflow_is_valid_and_reads_and_no_more(name: str) -> None:
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    command = ["--builtin-schema", "vendor.github-workflows", str(path)]
    checked = [sys.executable, "-m", "check_jsonschema", *command]
    done = subprocess.run(checked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    for job, parts in content["jobs"].items():
        deploys = {"pages": "write", "id-token": "write"} if job == "deploy" else None
        assert parts.get("permissions") == deploys, job
