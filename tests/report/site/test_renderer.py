"""Which Quarto is taken, what is said of the others, and that an installation leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.project import paths
from report.site import processes, renderer

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a Quarto into a folder; nothing else is found."""
    own, library = tmp_path / "own", tmp_path / "library"
    own.mkdir()
    library.mkdir()
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    places = {"scripts": str(own), "purelib": str(library)}
    monkeypatch.setattr(sysconfig, "get_path", lambda name: places[name])
    monkeypatch.setenv("PATH", str(tmp_path / "none"))

    def script(folder: str, body: str, *, mode: int = 0o755) -> Path:
        path = tmp_path / folder / "quarto"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(mode)
        on_path = [str(tmp_path / folder)] if folder != "own" else []
        monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], *on_path]))
        return path

    return script


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 1.8.0", ""),
        ("echo 2.0", ""),
        ("echo 99.9.9-dev+1", ""),
        ("echo 'a new version is available'; echo 1.9.3", ""),
        ("echo 1.7.34", "its version is 1.7.34, and the pages need 1.8 or later"),
        ("echo 0.9", "its version is 0.9,"),
        ("exit 3", "it does not run (exit status 3)"),
        ("echo 1.9; exit 127", "it does not run (exit status 127)"),
        ("true", "it does not say its version"),
        ("echo error 404 of 12", "it does not say its version"),
        ("kill -9 $$", "it does not run (exit status -9)"),
    ],
)
def test_a_quarto_is_taken_if_it_runs_and_is_new_enough(write, body, reason):
    path = write("bin", body)
    found = renderer.search()
    if not reason:
        assert found == (str(path), ())
        return
    assert found.path is None and renderer.find_quarto() is None
    (line,) = found.rejected
    assert line.startswith(f"{path} is not used: {reason}") and "\n" not in line


def test_a_file_that_is_no_program_is_not_taken(write):
    path = write("bin", "echo 1.9")
    path.write_bytes(b"\x7fELF")
    assert renderer.search().path is None
    assert "does not run" in renderer.search().rejected[0]
    write("second", "echo 1.9", mode=0o644)
    assert len(renderer.search().rejected) == 1


def test_the_path_comes_before_the_environment_and_the_first_that_fits_is_taken(write):
    own = write("own", "echo 1.8.1")
    assert renderer.search() == (str(own), ())
    old = write("bin", "echo 1.4.550")
    found = renderer.search()
    assert found.path == str(own) and str(old) in found.rejected[0]
    new = write("second", "echo 1.9.0")
    assert renderer.search().path == str(new)


# ------------------------------------------------------------------------------------ installing


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the server answer, and return what it is asked for."""
    asked: list[str] = []

    class Answer:
        def close(self) -> None:
            """Do nothing."""

    def urlopen(request: urllib.request.Request, timeout: float) -> Answer:
        asked.append(request.full_url)
        return Answer()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def pip(monkeypatch: pytest.MonkeyPatch, action: Callable[[], tuple[int, list[str]]]) -> list:
    commands: list = []

    def run(command: list[str], *, timeout: float) -> tuple[int, list[str]]:
        commands.append(command)
        return action()

    monkeypatch.setattr(processes, "run", run)
    return commands


def test_nothing_is_installed_where_there_is_a_quarto(write, network, capsys):
    write("bin", "echo 1.8.0")
    assert renderer.main() == 0
    assert not network and not any(capsys.readouterr())


def test_the_package_alone_is_installed_and_used(write, network, monkeypatch, capsys):
    def installed() -> tuple[int, list[str]]:
        write("own", "echo 1.9.0")
        return 0, []

    commands = pip(monkeypatch, installed)
    assert renderer.main() == 0
    (command,) = commands
    assert command[-1] == "quarto-cli>=1.8" and "--no-deps" in command
    assert renderer.find_quarto()
    assert "There is no Quarto: installing one" in capsys.readouterr().err


def half(tmp_path: Path) -> None:
    """Leave what pip has written when it is stopped."""
    for name in ("quarto_cli/bin", "quarto_cli-1.9.0.dist-info"):
        (tmp_path / "library" / name).mkdir(parents=True)
    (tmp_path / "own" / "quarto").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "own" / "quarto").chmod(0o755)


FAILED = ["Building wheel", "Error downloading Quarto: <urlopen error timed out>", "ERROR: Failed"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ((1, FAILED), "<urlopen error timed out>"),
        ((1, ["x", "OSError: [Errno 28] No space left", "ERROR: Failed"]), "No space left"),
        ((1, ["ERROR: Could not find a version"]), "Could not find a version"),
        ((1, []), "pip did not say why"),
        ((0, []), "it does not run (exit status 1)"),
        (subprocess.TimeoutExpired("pip", 900), "timed out after 900 seconds"),
        (OSError("no pip"), "no pip"),
    ],
)
def test_an_installation_that_fails_leaves_nothing_and_says_why_in_one_line(
    write, network, monkeypatch, capsys, tmp_path, outcome, reason
):
    other = tmp_path / "library" / "quarto" / "other.py"
    other.parent.mkdir()
    other.write_text("of somebody else")

    def fails() -> tuple[int, list[str]]:
        half(tmp_path)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    pip(monkeypatch, fails)
    assert renderer.main() == 1
    assert [path.name for path in (tmp_path / "library").iterdir()] == ["quarto"]
    assert not (tmp_path / "own" / "quarto").exists() and other.exists()
    _, why = capsys.readouterr().err.splitlines()
    assert why.startswith("The pages are a preview. Quarto could not be installed: ")
    assert reason in why


def test_a_stopped_installation_leaves_nothing(write, network, monkeypatch, tmp_path):
    def stopped() -> tuple[int, list[str]]:
        half(tmp_path)
        raise KeyboardInterrupt

    pip(monkeypatch, stopped)
    with pytest.raises(KeyboardInterrupt):
        renderer.main()
    assert not list((tmp_path / "library").iterdir())
    assert not (tmp_path / "own" / "quarto").exists()


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no such host"), TimeoutError("timed out"), ValueError("proxy")]
)
def test_without_a_network_nothing_is_tried_and_an_old_quarto_is_named(
    write, monkeypatch, capsys, error
):
    old = write("bin", "echo 1.7.1")

    def urlopen(request: urllib.request.Request, timeout: float) -> None:
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    commands = pip(monkeypatch, lambda: (0, []))
    assert renderer.main() == 1 and not commands
    _, why = capsys.readouterr().err.splitlines()
    assert f"{old} is not used" in why and "cannot be reached" in why


def test_one_that_is_installed_and_does_not_run_is_not_installed_again(write, network, capsys):
    own = write("own", "exit 126")
    assert renderer.main() == 1 and not network and own.exists()
    (why,) = capsys.readouterr().err.splitlines()
    assert f"{own} is not used: it does not run" in why


def test_make_renders_a_preview_where_nothing_can_be_installed():
    done = subprocess.run(
        ["make", "--dry-run", "report", "demo"], cwd=paths.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    step = (
        "python -m report $(build/env/report/bin/python -m report.site.renderer || echo --preview)"
    )
    assert done.stdout.count(step) == 2
    assert "--profile demo" in done.stdout
