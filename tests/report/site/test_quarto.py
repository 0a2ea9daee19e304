"""Rendering: which renderer is taken, and that the old pages stay whole whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout
from nbformat.v4 import new_notebook, writes

from analysis.project import paths
from analysis.project.errors import UserError
from report.__main__ import main
from report.site import quarto, turn, workplace

# The value of the option --output-dir; pages and a leftover, as Quarto makes them.
OUTPUT = 'out="$4"; mkdir -p "$out"; '
PAGES = OUTPUT + 'echo new > "$out/index.html"; echo new > "$out/data.html"; '


def fake_quarto(project: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project.parent / "bin" / "quarto"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo 1.9.0; exit; fi\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")


def with_old_pages(project: Path) -> dict[Path, bytes]:
    """Give the project old pages and return all of its files."""
    site = project / "build" / "site"
    site.mkdir(parents=True)
    for name in ("index.html", "gone.html"):
        (site / name).write_text("old")
    return files_of(project)


def files_of(project: Path) -> dict[Path, bytes]:
    found = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    return {path: content for path, content in found.items() if path.name != turn.LOCK}


def test_new_pages_replace_the_old_ones_in_one_exchange(project, monkeypatch):
    with_old_pages(project)
    fake_quarto(project, PAGES, monkeypatch)
    made = quarto.render()
    site = project / "build" / "site"
    assert made == [site / "data.html", site / "index.html"]
    assert sorted(site.iterdir()) == made
    assert {path.name for path in site.parent.iterdir()} == {"site", turn.LOCK}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (PAGES + "exit 4", "Quarto failed"),
        (OUTPUT + 'echo new > "$out/index.html"', "made no data.html"),
        (PAGES + 'echo > "$out/data.html"; : > "$out/data.html"', "made no data.html"),
        (PAGES + "printf 'ERROR: \\377\\376 \\033[31mbad\\033[0m\\n'; exit 1", "ERROR: \ufffd"),
        (PAGES + "touch index.html data.quarto_ipynb; mkdir site_libs; exit 1", "Quarto failed"),
        (PAGES + "echo 'WARNING: Unable to resolve crossref @fig-none'", "@fig-none"),
        (PAGES + "echo '[WARNING] Citeproc: citation nobody2020 not found'", "nobody2020"),
        (PAGES + "sleep 60", "did not end in 1 seconds"),
    ],
)
def test_a_rendering_that_fails_leaves_everything_as_it_was(project, monkeypatch, script, message):
    before = with_old_pages(project)
    fake_quarto(project, script, monkeypatch)
    with pytest.raises(UserError) as raised:
        quarto.render(timeout=1)
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 2
    assert files_of(project) == before


def test_what_quarto_started_ends_with_it(project, monkeypatch):
    fake_quarto(project, "setsid sleep 61 & sleep 61", monkeypatch)
    with pytest.raises(UserError):
        quarto.render(timeout=1)
    assert not [
        one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "61"]
    ]


def test_a_rendering_waits_for_another_one(project, monkeypatch, capsys):
    before = with_old_pages(project)
    fake_quarto(project, PAGES, monkeypatch)
    with (
        FileLock(project / "build" / turn.LOCK),
        pytest.raises(UserError, match="not ended in 1"),
    ):
        quarto.render(timeout=1)
    assert "Waiting for another" in capsys.readouterr().err
    assert files_of(project) == before
    assert quarto.render(timeout=1)


def test_pages_elsewhere_in_a_project_wait_for_its_turn_too(project, monkeypatch):
    settings = project / "_quarto.yml"
    settings.write_text(settings.read_text().replace("build/site", "docs"))
    fake_quarto(project, PAGES, monkeypatch)
    # The lock of a plain Quarto, and that of a rendering with --output.
    for folder in (project / "build", project):
        with turn.taken(folder, timeout=0), pytest.raises(UserError, match="not ended in 0.2"):
            quarto.render(timeout=0.2)
    assert quarto.render(timeout=1)[0] == project / "docs" / "data.html"
    with turn.taken(project / "build", timeout=0):
        assert quarto.render(output=project.parent / "away" / "site", timeout=1)


def test_a_plain_quarto_has_its_turn_until_it_ends(tmp_path):
    code = "import os, sys; from pathlib import Path; from report.site import turn; "
    code += "print(turn.take(Path(sys.argv[1]), process=os.getpid()), flush=True); "
    code += "print(turn.take(Path(sys.argv[1]), process=os.getpid()), flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    first = subprocess.Popen(
        command, cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    # The same Quarto may render again.
    assert [first.stdout.readline() for _ in range(2)] == ["True\n", "True\n"]
    assert not turn.take(tmp_path, process=os.getpid())
    with pytest.raises(Timeout), turn.taken(tmp_path, timeout=0.2):
        pass
    first.kill()
    first.communicate()
    with turn.taken(tmp_path, timeout=30):
        assert not turn.take(tmp_path, process=os.getpid())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_rendering_says_so_and_leaves_nothing(project, monkeypatch, number):
    before = with_old_pages(project)
    fake_quarto(project, PAGES + "touch index.html; touch ../started; sleep 60", monkeypatch)
    start = (
        "import signal, sys; from pathlib import Path; from analysis.project import paths; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "paths.ROOT = Path(sys.argv[1]); from report.__main__ import main; sys.exit(main([]))"
    )
    command = [sys.executable, "-c", start, str(project)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (project.parent / "started").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.strip() == "Stopped; the pages from before are unchanged."
    assert files_of(project) == before


def test_leftovers_of_a_killed_rendering_go_with_the_next_one(project, monkeypatch):
    leftover = project / "build" / ".unfinished-abc" / "new" / "index.html"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    fake_quarto(project, PAGES, monkeypatch)
    quarto.render()
    assert not leftover.parent.parent.exists()


# ------------------------------------------------------------------------------ the command line


@pytest.fixture
def failed(capsys) -> Callable[..., str]:
    """Return a function that runs the command line, which must fail, and gives what it said."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) <= 2
        return error

    return run


def test_an_unknown_profile_is_named(project, failed):
    (project / "_quarto-demo.yml").write_text("study: demo\n")
    assert "'dmeo'; the nearest is 'demo'" in failed("--profile", "dmeo", "--preview")


def test_missing_results_name_the_command_that_makes_them(project, derived, failed):
    shutil.rmtree(derived.folder)
    assert "python -m analysis run demo" in failed("--preview")


@pytest.mark.parametrize("pattern", ["runs-*.parquet", "r0f0/history-*.parquet", "claims.json"])
def test_damaged_results_stop_the_rendering_before_it_begins(project, derived, failed, pattern):
    before = with_old_pages(project)
    (path,) = derived.folder.glob(pattern)
    path.write_bytes(path.read_bytes()[:-9])
    assert path.name in failed("--preview")
    assert files_of(project) == before


def test_a_folder_that_cannot_be_written_is_named_in_one_line(project, failed):
    (project / "build").write_text("a file where a folder should be")
    assert "build" in failed("--preview")


def test_the_preview_is_made_where_asked_and_has_the_downloads(project, monkeypatch, capsys):
    fake_quarto(project, "exit 1", monkeypatch)
    assert main(["--preview"]) == 0
    site = project / "build" / "site"
    assert capsys.readouterr().out.splitlines() == [
        str(site / "data.html"),
        str(site / "index.html"),
    ]
    assert "42" in (site / "index.html").read_text("utf-8")
    assert (site / "report" / "assets" / "vega.js").stat().st_size > 100_000
    assert (site / "report" / "assets" / "downloads" / "demo-results.zip").is_file()


def test_a_quarto_that_is_not_used_is_named_in_one_line(project, monkeypatch, capsys):
    fake_quarto(project, "exit 1", monkeypatch)
    path = project.parent / "bin" / "quarto"
    path.write_text("#!/bin/sh\necho 1.7.34\n")
    assert main([]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path} is not used: its version is 1.7.34")
    assert line.endswith("The pages are a preview.")
    assert "Preview" in (project / "build" / "site" / "index.html").read_text("utf-8")


def test_a_notebook_is_a_page_and_a_download(project, capsys):
    (project / "data.qmd").unlink()
    (project / "steps.ipynb").write_text(writes(new_notebook()))
    settings = project / "_quarto.yml"
    settings.write_text(settings.read_text().replace("data.qmd", "steps.ipynb"))
    assert main(["--preview"]) == 0
    site = project / "build" / "site"
    assert (site / "steps.html").is_file()
    copied = site / "report" / "assets" / "downloads" / "steps.ipynb"
    assert copied.read_bytes() == (project / "steps.ipynb").read_bytes()


def test_a_failing_cell_is_named_with_its_place(project, failed):
    before = with_old_pages(project)
    (project / "index.qmd").write_text("\n`{python} 1 / 0`\n")
    before[project / "index.qmd"] = (project / "index.qmd").read_bytes()
    assert failed("--preview") == "index.qmd:2: ZeroDivisionError: division by zero\n"
    assert files_of(project) == before


# ------------------------------------------------------------------------------ elsewhere


def test_pages_can_go_anywhere_and_nothing_else_is_written(project, monkeypatch, tmp_path):
    before = with_old_pages(project)
    # What another rendering has made in the project meanwhile stays there.
    script = f'touch "$2/index.html"; touch "{project}/index.pdf"; pwd > "{tmp_path}/where"; '
    script += 'mkdir -p "$out/report/assets/downloads"'
    fake_quarto(project, PAGES + script, monkeypatch)
    place = tmp_path / "elsewhere [é] 'x'" / "site"
    assert main(["--output", str(place)]) == 0
    assert (place / "index.html").read_text() == "new\n"
    (project / "index.pdf").unlink()
    assert files_of(project) == before
    # Made in a copy of the project, which is gone.
    where = Path((tmp_path / "where").read_text().strip())
    assert where != project and not where.exists()
    assert main(["--output", str(place)]) == 0


@pytest.mark.parametrize(
    "there",
    ["photos", "a file", ".git", "CNAME", "other pages", "the project", "around the project"],
)
def test_files_that_are_no_pages_are_never_replaced(project, tmp_path, there):
    place = tmp_path / "mine"
    if there in ("photos", ".git", "CNAME", "other pages"):
        (place / "report" / "assets" / "downloads").mkdir(parents=True)
        (place / "index.html").touch()
        if there == "other pages":
            shutil.rmtree(place / "report")
        else:
            (place / there).mkdir()
    elif there == "a file":
        place.touch()
    else:
        place = project if there == "the project" else project.parent
        (place / "index.html").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(["--output", str(place), "--preview"]) in (1, 2)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_said_with_the_file_that_had_no_room(project, monkeypatch, failed):
    (project / "report").mkdir()
    (project / "report" / "page.py").touch()

    def full(source: Path, place: Path) -> None:
        if "report" in Path(source).parts:
            number = errno.ENOSPC
            raise OSError(number, os.strerror(number), str(source), None, str(place))
        Path(place).touch()

    monkeypatch.setattr(workplace.shutil, "copyfile", full)
    error = failed("--preview", "--output", str(project.parent / "site"))
    assert error.startswith("No space left on the device while writing ")
    assert str(project) not in error and error.splitlines()[0].endswith("report/page.py.")


def test_a_project_that_cannot_be_written_names_the_option(project, monkeypatch, failed):
    def refused(dir: Path) -> object:
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(workplace.tempfile, "TemporaryFile", refused)
    assert "cannot be written: Read-only file system" in (error := failed("--preview"))
    assert "--output FOLDER" in error
