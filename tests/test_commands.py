"""The command line: what it prints, its exit status, and errors in one line or two."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from analysis.project import commands, files, interruption, paths
from analysis.project.errors import UserError
from analysis.results.store import Store
from analysis.study import load
from tests.made_up import add_run, filled, made_up_study
from tests.playground import Playground

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "demos"], 1, "the nearest is 'demo'"),
        (["verify", "nothing-like-it"], 1, "There is no study"),
        (["claims"], 2, "Missing argument"),
        (["audit", "demos"], 1, "the nearest is 'demo'"),
        (["runn", "demo"], 2, "No such command"),
        (["run", "demo", "--devise", "cpu"], 2, "No such option"),
        (["run", "demo/../demo"], 1, "There is no study"),
        (["run", "x.toml"], 1, "There is no study"),
    ],
)
def test_mistakes_are_one_line_or_two(
    command: Command, arguments: list[str], status: int, message: str
) -> None:
    code, out, errors = command(*arguments)
    assert (code, out) == (status, "")
    assert message in errors and len(errors.splitlines()) <= 2


class Panic(BaseException):
    """What fails in a library that is written in another language."""


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Panic("poisoned"), 1, "This should not happen: Panic: poisoned"),
        (SystemExit(0), 1, "This should not happen: SystemExit: 0"),
        (GeneratorExit(), 1, "This should not happen: GeneratorExit"),
        (UserError("a \x1b[2J\x07\u202e title"), 1, "a [2J title"),
        (UserError("photo\udcff.png"), 1, "photo\\udcff.png"),
        (KeyboardInterrupt(), 130, "Stopped"),
    ],
)
def test_whatever_is_raised_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, status: int, message: str
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    assert commands.run(fails, [], name="fails", stopped="Stopped") == status
    said = capsys.readouterr().err.encode("utf-8", "backslashreplace").decode()
    assert said.strip().startswith(message) and len(said.splitlines()) <= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_for_what_must_not_be_left_half_done(number: signal.Signals) -> None:
    done, earlier = [], signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interruption.deferred():
            signal.raise_signal(number)
            done.append("whole")
        assert done and signal.getsignal(number) == signal.default_int_handler
        with interruption.deferred():
            pass
    finally:
        signal.signal(number, earlier)


@pytest.mark.parametrize("device", ["cuda:9", "abacus"])
def test_a_device_that_is_not_here(playground: Playground, command: Command, device: str) -> None:
    status, _, errors = command("run", playground.study, "--device", device)
    assert status == 1 and "--device cpu" in errors and len(errors.splitlines()) <= 2


def test_status_and_verify_of_made_up_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    study = made_up_study(tmp_path)
    path = tmp_path / "made.toml"
    assert command("verify", path)[0] == 1
    filled(study)
    status, out, _ = command("status", path)
    assert status == 0 and "made: 4 of 4 runs done" in out and "claims missing" in out
    assert command("claims", path)[0] == 0
    assert "claims done" in command("status", path)[1]
    assert command("verify", path)[0] == 0
    add_run(Store.open(study), study.runs[0], weights="7" * 64)
    assert "was derived from other runs" in command("verify", path)[2]
    next((tmp_path / "results" / "made" / "r1f0").glob("maps*")).unlink()
    out = command("status", path)[1]
    assert "maps broken" in out and "is missing" in out
    assert command("verify", path)[0] == 1


def test_a_full_disk_is_one_line_or_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    filled(made_up_study(tmp_path))

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "move_into_place", full)
    status, _, errors = command("claims", tmp_path / "made.toml")
    assert status == 1 and errors.startswith("No space left on the device")
    assert len(errors.splitlines()) == 2


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_goes_away_is_no_error(reader: str) -> None:
    done = subprocess.run(
        f"{{ {sys.executable} -m analysis status; echo $? >&2; }} | {reader}",
        shell=True,
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and bool(done.stdout) == (reader == "head -1")
    assert done.stderr == "0\n"


def test_status_needs_no_torch() -> None:
    code = (
        "import sys; from analysis.__main__ import main; main(['status']); "
        "main(['verify', 'demo']); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_the_committed_results_are_whole_and_up_to_date(command: Command) -> None:
    for name in ("demo", "svhn-subset"):
        status, out, errors = command("verify", name)
        assert status == 0, errors
        opened = Store.open(load(name))
        assert opened.problems == {} and not any(opened.todo(run) for run in opened.study.runs)
        assert "claims done" in command("status", name)[1]
