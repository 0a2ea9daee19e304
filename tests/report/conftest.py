"""Rendered copies of the project, made once for all tests that look at pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import paths
from report import rendering

PROFILES = {"demo": "build/site-demo", "svhn-subset": "build/site"}


def copy_of_project(folder: Path) -> Path:
    """Copy what rendering reads, so that tests touch neither the pages nor the results here."""
    ignored = shutil.ignore_patterns("__pycache__")
    project = folder / "project"
    for name in ("analysis", "report", "build/results"):
        shutil.copytree(paths.ROOT / name, project / name, ignore=ignored)
    for name in ("index.qmd", "_quarto.yml", "_quarto-demo.yml"):
        shutil.copy(paths.ROOT / name, project)
    return project


def render(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run ``python -m report`` in a copy of the project."""
    moved = {"FAILURE_MODES_RESULTS", "FAILURE_MODES_CACHE", "QUARTO_PROFILE"}
    environment = {name: value for name, value in os.environ.items() if name not in moved}
    command = [sys.executable, "-m", "report", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session", params=["preview demo", "preview svhn-subset", "quarto demo"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a rendered site; with Quarto where there is one."""
    renderer, study = request.param.split()
    if not (paths.ROOT / "build" / "results" / study).is_dir():
        pytest.skip(f"{study} has no committed results")
    arguments = [] if study == "svhn-subset" else ["--profile", study]
    if renderer == "preview":
        arguments.append("--preview")
    elif rendering.find_quarto() is None:
        pytest.skip("no Quarto of version 1.8 or later on the PATH")
    project = copy_of_project(tmp_path_factory.mktemp(request.param.replace(" ", "-")))
    done = render(project, *arguments)
    assert done.returncode == 0, done.stderr
    return project / PROFILES[study]


@pytest.fixture
def study_of(site: Path) -> str:
    """Return the name of the study that a rendered site shows."""
    return next(name for name, folder in PROFILES.items() if site.parts[-2:] == Path(folder).parts)
