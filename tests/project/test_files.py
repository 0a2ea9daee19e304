"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from analysis.project.files import TEMPORARY, folder_written_whole, sha256, written_whole

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


def test_a_new_file_appears_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and os.listdir(path.parent) == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_exception_keeps_the_old_file(old: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), written_whole(old) as temporary:
        temporary.write_text("ne")
        raise error
    assert old.read_text() == "old" and os.listdir(old.parent) == [old.name]


def test_content_reaches_the_disk_before_its_name(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(old.read_text()))
    with written_whole(old) as temporary:
        temporary.write_text("new")
    assert seen == ["old"] and old.read_text() == "new"


def test_a_disk_that_refuses_is_named(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as error, written_whole(old) as temporary:
        temporary.write_text("new")
    assert error.value.filename == str(old) and old.read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "site"
    for number in ("one", "two"):
        with folder_written_whole(place) as temporary:
            (temporary / number).write_text(number)
    assert os.listdir(place) == ["two"]
    with pytest.raises(KeyboardInterrupt), folder_written_whole(place) as temporary:
        (temporary / "three").write_text("three")
        raise KeyboardInterrupt
    assert os.listdir(place) == ["two"] and os.listdir(tmp_path) == ["site"]


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), KeyboardInterrupt()])
def test_a_folder_that_is_not_moved_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    place = tmp_path / "site"
    place.mkdir()
    (place / "old").write_text("old")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(type(error)), folder_written_whole(place) as temporary:
        (temporary / "new").write_text("new")
    assert os.listdir(place) == ["old"]
    assert not [name for name in os.listdir(tmp_path) if name.startswith(TEMPORARY)]


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == EMPTY
