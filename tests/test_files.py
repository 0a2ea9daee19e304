"""Files are written whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import files, paths
from analysis.files import TEMPORARY, move_into_place, sha256, written_beside, written_whole


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "table.txt"
    path.write_text("old")
    return path


def assert_untouched(path: Path) -> None:
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


# ------------------------------------------------------------------------------ written


def test_a_new_file_appears_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "table.txt"
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]


def test_others_may_read_a_written_file(old: Path) -> None:
    with written_whole(old) as temporary:
        temporary.write_text("new")
    assert old.stat().st_mode & 0o777 == 0o644


def test_the_old_file_stands_until_the_new_one_is_whole(old: Path) -> None:
    with written_whole(old) as temporary:
        temporary.write_text("half of the n")
        assert old.read_text() == "old"
        temporary.write_text("new")
    assert old.read_text() == "new"
    assert os.listdir(old.parent) == [old.name]


def test_content_reaches_the_disk_before_the_name_does(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (happened.append("content"), fsync(fd))[1])
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (happened.append("name"), replace(path, to))[1]
    )
    with written_whole(old) as temporary:
        temporary.write_text("new")
    assert happened == ["content", "name"]


def test_a_temporary_that_is_not_moved_is_gone_afterwards(tmp_path: Path) -> None:
    with written_beside(tmp_path / "table.txt") as temporary:
        temporary.write_text("never wanted")
    assert os.listdir(tmp_path) == []


def test_a_temporary_may_be_moved_to_another_name(tmp_path: Path) -> None:
    with written_beside(tmp_path / "table.txt") as temporary:
        temporary.write_text("new")
        move_into_place(temporary, tmp_path / "named-after-content.txt")
    assert os.listdir(tmp_path) == ["named-after-content.txt"]


# ------------------------------------------------------------------------------ interrupted


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_inside_keeps_the_old_file(old: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), written_whole(old) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert_untouched(old)


def test_an_exception_inside_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError), written_whole(tmp_path / "table.txt") as temporary:
        temporary.write_text("half")
        raise ValueError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("module, name", [(os, "fsync"), (Path, "replace"), (Path, "chmod")])
def test_a_disk_that_refuses_keeps_the_old_file_and_is_named(
    old: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, name, full)
    with pytest.raises(OSError) as caught, written_whole(old) as temporary:
        temporary.write_text("new")
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(old)
    assert_untouched(old)


def test_a_write_that_the_system_cuts_short_keeps_the_old_file(old: Path) -> None:
    # The kernel's own refusal, halfway through the content: no file may exceed 1,000 bytes.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError) as caught, written_whole(old) as temporary:
            temporary.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert_untouched(old)


def test_an_error_about_another_file_keeps_its_name(old: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, written_whole(old):
        (old.parent / "absent.txt").read_bytes()
    assert caught.value.filename == str(old.parent / "absent.txt")
    assert_untouched(old)


def test_a_killed_writer_leaves_the_old_file_and_a_marked_leftover(old: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from analysis.files import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half of the n')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(old)], cwd=paths.ROOT)
    assert done.returncode == -signal.SIGKILL
    assert old.read_text() == "old"
    (leftover,) = set(os.listdir(old.parent)) - {old.name}
    assert leftover.startswith(TEMPORARY)
    files.remove_leftovers(old.parent)
    assert_untouched(old)


def test_there_may_be_no_folder_to_remove_leftovers_from(tmp_path: Path) -> None:
    files.remove_leftovers(tmp_path / "absent")


# ------------------------------------------------------------------------------ digests


@pytest.mark.parametrize("size", [0, 1, 2**18 + 1])
def test_sha256_is_that_of_the_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    path = tmp_path / "content"
    path.write_bytes(content)
    assert sha256(path) == hashlib.sha256(content).hexdigest()
