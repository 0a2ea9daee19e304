"""How long it takes to judge the claims, and to render the pages beside empty ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml

from analysis import derived, paths, results
from analysis.benchmarks.turns import compared, in_turns
from analysis.errors import UserError
from analysis.timings import Comparison

# What judging the claims of a study may take, in seconds.
LIMIT = 60.0
_IMPORTS = "from pathlib import Path; from report.preview import preview"
_CELL = "```{python}\n1 + 1\n```"
_METADATA = re.compile(r"\A---\n(.*?)^---$", re.DOTALL | re.MULTILINE)


def claims(study: str, *, rounds: int) -> Comparison:
    """Time judging the claims of a study's results, on a copy of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / study
        shutil.copytree(results.load(study).folder, folder)
        store = results.load(study, folder=folder)
        times = in_turns({"ours": lambda: derived.conclude(store)}, rounds=rounds, warm_up=0)
    runs = len(store.manifest.runs)
    limit = np.full(rounds, LIMIT)
    return compared(
        f"judging the claims of {study}, {runs} run{'s' * (runs != 1)}",
        times["ours"],
        limit,
        against="what it may take",
        kind="limit",
    )


def rendering(study: str, *, rounds: int) -> list[Comparison]:
    """Time the preview, and Quarto where there is one, beside an empty site of as many pages.

    Both are made of copies of the project. Raises ``UserError`` where one of them fails.
    """
    base, named = (paths.ROOT / f"_quarto{suffix}.yml" for suffix in ("", f"-{study}"))
    profile = None if study == yaml.safe_load(base.read_text("utf-8"))["study"] else study
    if profile and not named.is_file():
        raise UserError(f"There is no profile of {study!r} to render; leave out `rendering`.")
    with tempfile.TemporaryDirectory() as scratch:
        full, empty = Path(scratch) / "full", Path(scratch) / "empty"
        copy_project(full, study)
        shutil.copytree(full, empty)
        make_empty(empty)
        python, options = sys.executable, ["--profile", profile] if profile else []
        bare = f"{_IMPORTS}; preview(Path(), profile={profile!r})"
        calls = {
            "preview": _command([python, "-m", "report", "--preview", *options], full),
            "empty preview": _command([python, "-c", bare], empty),
        }
        if quarto := shutil.which("quarto"):
            calls["Quarto"] = _command([quarto, "render", *options], full)
            calls["empty Quarto"] = _command([quarto, "render", *options], empty)
        times = in_turns(calls, rounds=rounds, warm_up=0)
    count = _rendered(*([base, named] if profile else [base]))
    pages = f"{count} page{'s' * (count != 1)}"
    return [
        compared(
            f"rendering {study}, {pages}, {'Quarto' if name == 'Quarto' else 'the preview'}",
            times[name],
            times[f"empty {name}"],
            against="empty pages of as many formats and kernels",
            kind="limit",
        )
        for name in calls
        if not name.startswith("empty")
    ]


def copy_project(folder: Path, study: str) -> None:
    """Copy what rendering reads, with the results of a study and those on drawn digits."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("analysis", "report"):
        shutil.copytree(paths.ROOT / name, folder / name, ignore=unwanted)
    for path in (*paths.ROOT.glob("*.qmd"), *paths.ROOT.glob("_quarto*.yml")):
        shutil.copy(path, folder)
    for name in {study, "demo"}:
        if paths.results(name).is_dir():
            shutil.copytree(paths.results(name), folder / "build" / "results" / name)


def make_empty(project: Path) -> None:
    """Leave the title and the formats of each page, and one cell, which takes a kernel."""
    for page in project.glob("[!_.]*.qmd"):
        found = _METADATA.search(page.read_text(encoding="utf-8"))
        metadata = yaml.safe_load(found[1]) if found else {}
        kept = {key: metadata[key] for key in ("title", "format") if key in metadata}
        page.write_text(f"---\n{yaml.safe_dump(kept)}---\n\n{_CELL}\n", encoding="utf-8")
    path = project / "_quarto.yml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in ("pre-render", "post-render", "resources"):
        settings["project"].pop(key, None)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _rendered(*files: Path) -> int:
    """Return how many pages the settings in these files render: those they list, or all."""
    projects = [yaml.safe_load(path.read_text(encoding="utf-8"))["project"] for path in files]
    listed = sum(len(project.get("render", ())) for project in projects)
    return listed or len(list(files[0].parent.glob("[!_.]*.qmd")))


def _command(command: Sequence[str], folder: Path) -> Callable[[], None]:
    """Return what runs a command in a folder, on the results there."""
    moved = {"FAILURE_MODES_RESULTS", "QUARTO_PROFILE"}
    environment = {name: value for name, value in os.environ.items() if name not in moved}
    environment["QUARTO_PYTHON"] = sys.executable

    def call() -> None:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
            raise UserError(f"`{Path(command[0]).name} {command[1]} …` failed: {said[-1][:300]}")

    return call
