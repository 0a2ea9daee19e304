"""Other systems: line ends, old Pythons, copies without a repository, terminals without letters."""

from __future__ import annotations

import ast
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from analysis.project import commands, files, paths, provenance
from analysis.project.errors import UserError

ROOT = paths.ROOT
needs_git = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout"
)


def git(*arguments: str | Path, folder: Path) -> str:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", *identity, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@needs_git
def test_a_clone_for_windows_has_the_same_bytes(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", "-c", "core.autocrlf=true", ROOT, clone, folder=tmp_path)
    listed = git("ls-files", "-z", folder=clone).split("\0")
    texts = [name for name in listed if name.endswith((".csv", ".json", ".toml", ".qmd", ".py"))]
    assert len(texts) > 100
    for name in texts:
        assert b"\r\n" not in (clone / name).read_bytes(), name


def test_a_text_has_one_digest_on_every_system(tmp_path: Path) -> None:
    for name, content in (("unix", b"a,b\n1,2\n"), ("windows", b"a,b\r\n1,2\r\n")):
        (tmp_path / name).write_bytes(content)
    unix = files.sha256(tmp_path / "unix")
    assert unix == files.sha256_of_text(tmp_path / "unix")
    assert unix == files.sha256_of_text(tmp_path / "windows")


@pytest.mark.parametrize("package", ["analysis", "report"])
@pytest.mark.parametrize("version", [(3, 6, 0), (3, 8, 18), (3, 10, 99)])
def test_an_old_python_is_told_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, package: str, version: tuple[int, ...]
) -> None:
    text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    # It can be read by that Python.
    tree = ast.parse(text, feature_version=version[:2])
    if package == "report":
        assert isinstance(tree.body[1], ast.Import) and tree.body[1].names[0].name == "analysis"
        return
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit) as ended:
        exec(compile(tree, package, "exec"), {})
    assert "needs Python 3.11 or later" in str(ended.value) and "\n" not in str(ended.value)


@needs_git
def test_the_commit_is_that_of_this_project_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, around = tmp_path / "own é", tmp_path / "around"
    for folder in (own, around):
        git("init", "-q", folder, folder=tmp_path)
        git("commit", "-q", "--allow-empty", "-m", "first", folder=folder)
    commit = git("rev-parse", "HEAD", folder=own)
    monkeypatch.setattr(paths, "ROOT", own)
    assert provenance.revision() == commit
    (own / "new.py").touch()
    git("add", "new.py", folder=own)
    assert provenance.revision() == f"{commit}-modified"
    # As in a hook of the other repository.
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    assert provenance.revision() == f"{commit}-modified"
    # Unpacked inside another repository, and nowhere in one.
    for folder in (around / "download", tmp_path / "alone"):
        folder.mkdir()
        monkeypatch.setattr(paths, "ROOT", folder)
        assert provenance.revision() is None
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(paths, "ROOT", own)
    assert provenance.revision() is None


# ------------------------------------------------------------------------------ commands


def raising(error: BaseException | None, *, said: str = "") -> click.Command:
    @click.command()
    def app() -> None:
        print(said)
        if error is not None:
            raise error

    return commands.debug(app)


def outcome(error: BaseException, *arguments: str) -> int:
    return commands.run(raising(error), arguments, name="program", stopped="Stopped.")


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("What is wrong."), 1, "What is wrong."),
        (OSError(28, "No space left on device", "x.parquet"), 1, "while writing x.parquet"),
        (OSError(28, "No space left on device"), 1, "while writing the output"),
        (PermissionError(13, "Permission denied", "x.json"), 1, "x.json: Permission denied."),
        (OSError("of another kind"), 1, "OSError: of another kind"),
        (MemoryError(), 1, "not enough memory"),
        (KeyError("a fault"), 1, "KeyError: 'a fault'"),
        (RecursionError("x" * 9999), 1, "RecursionError: xxx"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (click.ClickException("Usage."), 2, "Usage."),
    ],
)
def test_every_error_is_one_line_or_two(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, message: str
) -> None:
    assert outcome(error) == status
    errors = capsys.readouterr().err
    assert message in errors and len(errors.splitlines()) <= 2 and len(errors) < 500


def test_debug_shows_the_traceback_of_what_led_to_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        try:
            raise KeyError("deep")
        except KeyError as error:
            raise UserError("What is wrong.") from error
    except UserError as error:
        assert outcome(error, "--debug") == 1
    errors = capsys.readouterr().err
    assert errors.count("Traceback") == 2 and "KeyError: 'deep'" in errors


def test_a_terminal_without_the_letters_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    # The last is what is left of a file name that is not UTF-8.
    app = raising(None, said="é × \udcff")
    assert commands.run(app, [], name="program", stopped="") == 0
    sys.stdout.flush()
    assert written.getvalue() == rb"\xe9 \xd7 \udcff" + b"\n"


@pytest.mark.parametrize("program", ["analysis", "report"])
def test_ctrl_c_while_modules_are_imported_is_one_line(program: str) -> None:
    command = [sys.executable, "-m", program, "--help"]
    # Waits when the first module of somebody else's is imported.
    waiting = "import sys, time\nclass Slow:\n def find_spec(self, name, *_):\n"
    waiting += "  if name == 'click': print('now', flush=True); time.sleep(60)\n"
    waiting += f"sys.meta_path.insert(0, Slow())\nimport runpy\nsys.argv = {command[2:]!r}\n"
    waiting += f"runpy.run_module({program!r}, run_name='__main__', alter_sys=True)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", waiting],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == "Stopped; nothing was done yet.\n"
