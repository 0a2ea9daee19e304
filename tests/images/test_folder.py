"""Folders of photos: their layout, what is passed over, and what is refused."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.images import divide, load
from analysis.images import read as images_of
from analysis.project.errors import UserError
from tests.images.conftest import greys, level, read, study_of

Photos = Callable[..., Path]


def test_class_folders_alone(photos: Photos) -> None:
    names = ["b/2.png", "b/1.JPG", "a/deep/er/9.png", "a/x.png", "b/10.png"]
    images = read(photos(*names))
    assert images.classes == ("a", "b")
    assert images.files == ("a/x.png", "a/deep/er/9.png", "b/1.JPG", "b/10.png", "b/2.png")
    assert greys(images) == [level(name) for name in images.files]
    assert images.labels.tolist() == [0, 0, 1, 1, 1]
    assert images.split.tolist() == ["all"] * 5 and images.index.tolist() == list(range(5))
    assert (images.group == -1).all() and images.notes == ()


def test_split_folders_above_them(photos: Photos) -> None:
    tested = ("test/b/1.png", "test/b/2.png")
    base = photos(*tested, "train/a/1.png", "train/b/1.png", "train/b/2.png", "val/c/1.png")
    images = read(base, untrained=False, evaluate="test")
    # A split that is not needed is not read, but its classes are classes.
    assert images.classes == ("a", "b", "c")
    assert images.split.tolist() == ["test"] * 2 + ["train"] * 3
    assert images.index.tolist() == [0, 1, 0, 1, 2] and images.labels.tolist() == [1, 1, 0, 1, 1]
    assert images.notes == (
        "A class with no images: 'c'.",
        "A class with no evaluated images: 'a'.",
    )
    whole = study_of(source="folder", path=str(base), size=8, evaluate="all")
    assert images_of(whole, base).split.tolist() == ["test"] * 2 + ["train"] * 3 + ["val"]
    every = read(base)
    assert every.split.tolist() == ["all"] * 6 and every.index.tolist() == list(range(6))
    folds = study_of(source="folder", path=str(base), size=8, evaluate="train", folds=2)
    parts = [divide(folds, run, load(folds, base)) for run in folds.runs]
    assert sorted(np.concatenate([held_out for _, held_out in parts])) == [2, 3, 4]
    assert all(len(fitted) + len(held_out) == 6 for fitted, held_out in parts)


def test_splits_of_any_name_if_the_study_names_them(photos: Photos) -> None:
    base = photos(*(f"{year}/{name}/1.png" for year in ("2019", "2020") for name in "ab"))
    images = read(base, train="2019", evaluate="2020")
    assert images.classes == ("a", "b") and set(images.split) == {"2019", "2020"}
    with pytest.raises(UserError, match=r"'2019' and '2020' hold folders of the same names"):
        read(base)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"images.path: .*photos does not exist"),
        (["1.png"], "no folders in .*, so no classes"),
        (["a/1.png"], "the only class is 'a'"),
        (["train/a/1.png", "test/a/1.png"], "the only class is 'a'"),
        (["train/a/1.png", "train/b/1.png", "cat/1.png"], "both .* 'train', and .* 'cat'"),
        ([f"{n}/1.png" for n in range(1001)], "1,001 classes, more than 1,000"),
        (["a/1.png", f"{'b' * 201}/1.png"], "'b{60}…' has 201 letters, more than 200"),
        (["a/1.png", "(all)/1.png"], r"'\(all\)' stands for every class"),
        (["a/1.png", "b\nc/1.png"], r"'b\\nc' has control characters"),
        (["a/1.png", " /1.png"], "is blank"),
    ],
)
def test_other_layouts_are_refused(names: list[str], message: str, photos: Photos) -> None:
    base = photos(*names)
    with pytest.raises(UserError, match=message) as caught:
        read(base)
    assert str(caught.value).startswith("images.path: ")
    assert len(str(caught.value).splitlines()) <= 2


def test_a_class_may_be_called_train(photos: Photos) -> None:
    images = read(photos("train/1.png", "train/old/2.png", "bus/1.png"))
    assert images.classes == ("bus", "train") and images.labels.tolist() == [0, 1, 1]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"photos.zip is a file, not a folder.\nUnpack it"):
        read(tmp_path / "photos.zip")


NAMES = ["a b", 'it\'s "so"', "<b>&amp;", "x|y$z$`w`", "größe", "日本", "a%20b", "#1", "[x](y)"]


def test_class_names_are_any_text(photos: Photos) -> None:
    images = read(photos(*(f"{name}/1.png" for name in NAMES)))
    assert images.classes == tuple(sorted(NAMES))


def test_decomposed_names_are_the_same_class(photos: Photos) -> None:
    composed, decomposed = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    base = photos(f"train/{composed}/1.png", f"test/{decomposed}/ü.png", "test/a/1.png")
    images = read(base, evaluate="test")
    assert images.classes == ("a", composed)
    assert images.files[1] == unicodedata.normalize("NFC", f"test/{composed}/ü.png")


def test_a_name_that_is_not_unicode(photos: Photos) -> None:
    base = photos("a/1.png")
    try:
        folder = os.fsencode(base) + b"/caf\xe9"
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system holds Unicode alone")
    Image.new("L", (8, 8)).save(Path(os.fsdecode(folder)) / "1.png")
    assert read(base).classes == ("a", r"caf\xe9")


def test_what_is_no_image_is_passed_over_and_counted(photos: Photos) -> None:
    base = photos(
        *("a/1.png", "b/1.png", "b/2.png"),
        *(".git/a/1.png", "__MACOSX/a/1.png", "a/._1.png", "a/.thumbs/1.png", "loose.png"),
    )
    for name in ("a/Thumbs.db", "b/desktop.ini", "a/.DS_Store"):
        (base / name).write_bytes(b"no image")
    for name in ("labels.csv", "a/notes.txt", "a/b.TXT", "b/new.HEIC", "b/README"):
        (base / name).write_text("no image")
    # A photo without an extension is one; a pipe would never end.
    (base / "b" / "1.png").rename(base / "b" / "photo")
    os.mkfifo(base / "a" / "pipe.png")
    (base / "a" / "self").symlink_to(base / "a")
    (base / "b" / "up").symlink_to(base)
    images = read(base)
    assert images.files == ("a/1.png", "b/2.png", "b/photo")
    (note,) = images.notes
    assert note == (
        "Passed over: 7 hidden files or folders, 6 files that are no images (.txt 2, .png 1, "
        "no extension 1, .heic 1, .csv 1), 1 image in no class folder, 2 links to folders above "
        "them."
    )


def test_folders_may_be_links(photos: Photos, tmp_path: Path) -> None:
    base = photos("a/1.png", "b/1.png")
    (base / "b").rename(tmp_path / "elsewhere")
    (base / "b").symlink_to(tmp_path / "elsewhere")
    # Two folders that lead to each other.
    (tmp_path / "elsewhere" / "a").symlink_to(base / "a")
    (base / "a" / "b").symlink_to(tmp_path / "elsewhere")
    assert read(base).files == ("a/1.png", "a/b/1.png", "b/1.png", "b/a/1.png")


def test_an_empty_class_stays_a_class_and_is_named(photos: Photos) -> None:
    base = photos("a/1.png", "b/1.png")
    (base / "c|d").mkdir()
    images = read(base)
    assert images.classes == ("a", "b", "c|d")
    assert images.notes == ("A class with no images: 'c|d'.",)
    for path in base.rglob("*.png"):
        path.write_bytes(b"")
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(
        UserError, match=r"no images in .*photos. Passed over: 2 files .*\(.txt 2\)"
    ):
        read(base)


def test_folders_without_images_are_no_splits(photos: Photos) -> None:
    base = photos(*(f"{split}/{name}/1.png" for split in ("train", "test") for name in "ab"))
    (base / "annotations" / "xml").mkdir(parents=True)
    (base / "val").mkdir()
    images = read(base)
    assert images.classes == ("a", "b") and len(images) == 4
    assert images.notes == ("Passed over: 2 folders without images.",)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "link", "large"])
def test_a_damaged_file_stops_or_is_left_out(
    damage: str, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = photos("a/1.png", "a/2.png", "b/1.png")
    path = base / "a" / "1.png"
    whole = path.read_bytes()
    if damage == "large":
        Image.new("L", (300, 300)).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    elif damage == "link":
        path.unlink()
        path.symlink_to(base / "nowhere.png")
    else:
        path.write_bytes({"truncated": whole[:50], "empty": b"", "text": b"<html>"}[damage])
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            read(base)
        first, second = str(caught.value).splitlines()
        assert first.startswith(f"images.path: {path} cannot be read: ")
        assert second.endswith('images.damaged = "skip".')
        # Also once the others have been decoded.
        images = read(base, damaged="skip")
        assert images.files == ("a/2.png", "b/1.png")
        assert greys(images) == [level("a/2.png"), level("b/1.png")]
        assert images.notes[0].startswith("Damaged files left out, 1: a/1.png (")


def test_nothing_but_damage(photos: Photos) -> None:
    base = photos("a/1.png", "b/1.png")
    for path in base.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="none of the 2 images in .* can be read"):
        read(base, damaged="skip")


def test_a_photo_is_decoded_once_and_again_when_it_changes(
    photos: Photos, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.images.photos import pixels

    count = 0
    decode = pixels.read

    def counted(*arguments: object) -> np.ndarray:
        nonlocal count
        count += 1
        return decode(*arguments)

    monkeypatch.setattr(pixels, "read", counted)
    base = photos("a/1.png", "b/1.png")
    first = read(base)
    assert isinstance(first.pixels, np.memmap) and not first.pixels.flags.writeable
    assert read(base).digest() == first.digest() and count == 2
    Image.new("RGB", (5, 5), "white").save(base / "b" / "1.png")
    assert greys(read(base)) == [level("a/1.png"), 255] and count == 4
    read(base, size=9)
    read(base, channels=1)
    assert count == 8
    # What is cut short, or left by a process that was killed, is decoded again.
    for path in cache.rglob("pixels.npy"):
        path.write_bytes(path.read_bytes()[:-1])
        (path.parent / ".unfinished-x.npy").touch()
    assert greys(read(base)) == [level("a/1.png"), 255] and count == 10
    assert len(list(cache.rglob(".unfinished*"))) == 3


def test_a_cache_that_cannot_be_written(photos: Photos, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(UserError, match=r"cannot be written to .*\nFAILURE_MODES_CACHE names"):
        read(photos("a/1.png", "b/1.png"))
    cache.unlink()


def test_an_error_or_a_kill_leaves_nothing_half_written(
    photos: Photos, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.images.photos import pixels

    def killed(*arguments: object) -> np.ndarray:
        raise KeyboardInterrupt

    base = photos("a/1.png", "b/1.png")
    monkeypatch.setattr(pixels, "read", killed)
    with pytest.raises(KeyboardInterrupt):
        read(base)
    assert [path.name for path in cache.rglob("*") if path.is_file()] in ([], ["lock"])


def test_splits_that_are_missing_are_named(photos: Photos) -> None:
    base = photos("a/1.png", "b/1.png")
    with pytest.raises(UserError, match="images.evaluate: no image .* 'test'; the only .* 'all'"):
        read(base, evaluate="test")
    with pytest.raises(UserError, match=r"images.evaluate: .*\nGive images.folds"):
        read(base, untrained=False)
    base = photos(*(f"split/{s}/{name}/1.png" for s in ("train", "valid") for name in "ab"))
    known = "the splits are 'train', 'valid'"
    with pytest.raises(UserError, match=f"images.evaluate: .* in a split 'test'; {known}"):
        read(base / "split", evaluate="test")
    with pytest.raises(UserError, match=f"images.train: .* 'learn'; {known}"):
        read(base / "split", untrained=False, train="learn", evaluate="valid")
