"""Choosing between Quarto and the preview, and what is said when results are not in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis import paths
from report import rendering
from tests.report.conftest import copy_of_project, render

NO_DEMO = not (paths.ROOT / "build" / "results" / "demo").is_dir()


def quarto_that_prints(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "quarto"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


@pytest.mark.parametrize(
    ("version", "taken"), [("1.7.34", False), ("1.8.0", True), ("1.10.18", True), ("2.0", True)]
)
def test_a_quarto_is_taken_from_version_1_8_on(tmp_path, monkeypatch, version, taken):
    quarto_that_prints(tmp_path, f"echo {version}", monkeypatch)
    assert (rendering.find_quarto() is not None) == taken


def test_a_quarto_that_does_not_run_is_none(tmp_path, monkeypatch):
    quarto_that_prints(tmp_path, "exit 3", monkeypatch)
    assert rendering.find_quarto() is None


@pytest.mark.skipif(NO_DEMO, reason="demo has no committed results")
@pytest.mark.parametrize(
    "warning",
    [
        "WARNING: Unable to resolve crossref @fig-nothing",
        "[WARNING] Citeproc: citation nobody2020 not found",
    ],
)
def test_what_quarto_only_warns_about_is_an_error(tmp_path, monkeypatch, warning):
    project = copy_of_project(tmp_path)
    script = f'if [ "$1" = --version ]; then echo 1.9.0; else echo "{warning}"; fi'
    quarto_that_prints(tmp_path, script, monkeypatch)
    done = render(project, "--profile", "demo")
    assert done.returncode == 1
    assert warning in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(NO_DEMO, reason="demo has no committed results")
def test_why_quarto_failed_is_told_in_two_lines(tmp_path, monkeypatch):
    project = copy_of_project(tmp_path)
    log = "Cell 1/2: Done\\n\\033[31mValueError\\033[39m: no such digit\\nWARN: Error encountered"
    script = f'if [ "$1" = --version ]; then echo 1.9.0; else printf "{log}\\n"; exit 1; fi'
    quarto_that_prints(tmp_path, script, monkeypatch)
    done = render(project, "--profile", "demo")
    assert done.returncode == 1
    first, second = done.stderr.strip().splitlines()
    assert first.startswith("Quarto failed: ValueError: no such digit")
    assert "quarto render" in second


@pytest.mark.skipif(NO_DEMO, reason="demo has no committed results")
def test_an_altered_table_stops_the_rendering_and_leaves_the_old_pages(tmp_path):
    project = copy_of_project(tmp_path)
    old = project / "build" / "site-demo" / "index.html"
    old.parent.mkdir(parents=True)
    old.write_text("as it was", encoding="utf-8")
    table = next((project / "build" / "results" / "demo").glob("attacks-*.parquet"))
    table.write_bytes(table.read_bytes()[:-100])
    done = render(project, "--profile", "demo", "--preview")
    assert done.returncode == 1
    assert table.name in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert old.read_text(encoding="utf-8") == "as it was"


def test_an_unknown_profile_is_named(tmp_path):
    project = copy_of_project(tmp_path)
    done = render(project, "--profile", "dmeo", "--preview")
    assert done.returncode == 1
    assert "dmeo" in done.stderr and "demo" in done.stderr and "Traceback" not in done.stderr


def test_missing_results_name_the_command_that_makes_them(tmp_path):
    project = copy_of_project(tmp_path)
    for path in (project / "build" / "results").rglob("manifest.json"):
        path.unlink()
    done = render(project, "--profile", "demo", "--preview")
    assert done.returncode == 1
    assert "python -m analysis run demo" in done.stderr
