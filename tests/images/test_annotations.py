"""Attributes and groups from a CSV file that a person wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.images import Images, load
from analysis.project.errors import UserError
from tests.images.conftest import read, study_of

Photos = Callable[..., Path]


def with_csv(base: Path, text: str, **images: object) -> Images:
    path = base.parent / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return read(base, attributes=str(path), **images)


def arrays(folder: Path, text: str, **images: object) -> Images:
    """Three images to train on and two to test on."""
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    np.savez(
        folder / "mine.npz",
        images=np.zeros((5, 4, 4), np.uint8),
        labels=[0, 1, 0, 1, 0],
        split=np.repeat(["train", "test"], [3, 2]),
    )
    settings = {"source": "arrays", "path": "mine.npz", "attributes": "mine.csv", **images}
    return load(study_of(untrained=True, **settings), folder)


def test_numbers_text_and_groups_by_file(photos: Photos) -> None:
    images = with_csv(
        photos("a/1.png", "a/2.png", "b/1.png", "b/ü.png"),
        # As Excel writes it, with Windows' paths, and the last name decomposed.
        "\ufefffile, age ,colour,group,score\r\n"
        'b/1.png,30,"red, dark",x,1e-3\r\n'
        "a\\1.png,NA,,x,-2\r\n"
        "./b/u\u0308.png,2.5,Größe,,\r\n",
    )
    assert images.files == ("a/1.png", "a/2.png", "b/1.png", "b/ü.png")
    np.testing.assert_array_equal(images.attributes["age"], [np.nan, np.nan, 30, 2.5])
    np.testing.assert_array_equal(images.attributes["score"], [-2, np.nan, 0.001, np.nan])
    assert images.attributes["colour"].tolist() == ["", "", "red, dark", "Größe"]
    assert images.group.tolist() == [0, -1, 0, -1]
    assert images.notes == ("mine.csv has no row for 1 of 4 images.",)
    assert list(images.attributes) == ["age", "colour", "score"]


def test_groups_reach_across_splits_that_are_put_together(photos: Photos) -> None:
    base = photos(*(f"{split}/{name}/1.png" for split in ("train", "test") for name in "ab"))
    text = "file,group\ntrain/a/1.png,7\ntest/a/1.png,7\ntest/b/1.png,8\n"
    found = with_csv(base, text)
    assert found.group.tolist() == [0, 1, 0, -1]
    # Rows of files that are not read, or left out, are passed over.
    (base / "train" / "a" / "1.png").write_bytes(b"")
    found = with_csv(base, text, train="test", evaluate="test", damaged="skip")
    assert found.group.tolist() == [0, 1]
    assert found.digest() != read(base, train="test", evaluate="test", damaged="skip").digest()


def test_attributes_are_no_part_of_the_digest(photos: Photos) -> None:
    base = photos("a/1.png", "b/1.png")
    assert with_csv(base, "file,age\na/1.png,1\n").digest() == read(base).digest()


def test_by_index_in_the_evaluated_split_or_any_other(tmp_path: Path) -> None:
    images = arrays(tmp_path, "index,age\n1,5\n0,4\n")
    np.testing.assert_array_equal(images.attributes["age"], [np.nan] * 3 + [4, 5])
    images = arrays(tmp_path, "split,index,age\ntrain,2,5\ntest,0,4\n")
    np.testing.assert_array_equal(images.attributes["age"], [np.nan, np.nan, 5, 4, np.nan])
    # All together, the index counts through all.
    images = arrays(tmp_path, "index,age\n4,5\n0,4\n", evaluate="all")
    np.testing.assert_array_equal(images.attributes["age"], [4, np.nan, np.nan, np.nan, 5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a column 'file' or 'index'"),
        ("name,age\na/1.png,3\n", "'file' or 'index', and has only 'name', 'age'"),
        ("file;age\na/1.png;3\n", "has only 'file;age'"),
        ("file,index\na/1.png,0\n", "and has both"),
        ("file,age\na/3.png,1\n", "there is no file 'a/3.png' in "),
        ("file,age\na/1.png,1\n./a/1.png,1\n", "two rows for file 'a/1.png'"),
        ("index,age\n0,1\n0,1\n", "two rows for index '0'"),
        ("index,age\n2,1\n", "index must be 0 to 1 in the split 'all', not '2'"),
        ("index,age\n1.0,1\n", "not '1.0'"),
        ("split,index,age\ntset,1,1\n", "no images of the split 'tset'"),
        ("file,age,age\na/1.png,1,2\n", "two columns are called 'age'"),
        (",file\n0,a/1.png\n", "column 1 has no name"),
        ("file,age\na/1.png\n", "row 2 has 1 cells, and the header 2"),
        ("file,age\na/1.png,inf\n", "'age' must be finite"),
        ("file,Brightness\na/1.png,1\n", "'Brightness' needs another name"),
        ('file,age\n"a/1.png,1\n', "not a CSV file in UTF-8"),
        (f"file,{'x' * 61}\na/1.png,1\n", "1 to 60 letters"),
    ],
)
def test_other_files_are_refused(text: str, message: str, photos: Photos) -> None:
    with pytest.raises(UserError, match=message) as caught:
        with_csv(photos("a/1.png", "b/1.png"), text)
    assert str(caught.value).startswith("images.attributes: ")
    assert len(str(caught.value).splitlines()) <= 2


def test_files_that_are_missing_or_not_text(photos: Photos, tmp_path: Path) -> None:
    base = photos("a/1.png", "b/1.png")
    with pytest.raises(UserError, match="images.attributes: there is no file .*none.csv"):
        read(base, attributes=str(tmp_path / "none.csv"))
    (tmp_path / "latin.csv").write_bytes("file,größe\n".encode("latin-1"))
    with pytest.raises(UserError, match="not a CSV file in UTF-8"):
        read(base, attributes=str(tmp_path / "latin.csv"))
    with pytest.raises(UserError, match="these images are no files"):
        arrays(tmp_path, "file,age\na/1.png,1\n")
