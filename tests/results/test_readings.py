"""Readings of an audit: what is read from good files, and what is said about others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.project.errors import UserError
from analysis.results import readings
from analysis.results.readings import UNREADABLE, UNSEEN

CLASSES = ("cat", 'a "dog", small', "08")
INDEX = np.array([3, 5, 8, 13])
HEAD = "study,reader,index,reading\n"
ANNA = HEAD + 'pets,anna,5,"a ""dog"", small"\npets,anna,13,\npets,anna,3,08\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(readings, "FOLDER", tmp_path)
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "anna.csv").write_text(ANNA, encoding="utf-8")
    return tmp_path / "pets"


def load() -> dict[str, np.ndarray]:
    return readings.load("pets", classes=CLASSES, index=INDEX)


def test_readings_are_positions_of_classes(folder: Path) -> None:
    before = readings.digest("pets")
    assert load()["anna"].tolist() == [2, 1, UNSEEN, UNREADABLE]
    # As a spreadsheet on Windows saves it.
    saved = ANNA.replace("anna", "bert").replace("\n", "\r\n").encode("utf-8-sig")
    (folder / "bert.csv").write_bytes(saved)
    assert load()["bert"].tolist() == load()["anna"].tolist()
    assert list(load()) == ["anna", "bert"] and readings.digest("pets") != before


def test_nobody_has_looked(folder: Path) -> None:
    assert readings.load("other", classes=CLASSES, index=INDEX) == {}
    assert readings.digest("other") == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "pets,bert,4,cat\n", "line 2 has the index '4', which is no evaluated image"),
        (HEAD + "pets,bert,²,cat\n", "no evaluated image"),
        (HEAD + "pets,bert,3,cta\n", "names no class: 'cta'; the nearest is 'cat'"),
        (HEAD + "pets,bert,3,8\n", "names no class: '8'"),
        (HEAD + "pets,bert,3,cat\npets,bert,3,cat\n", "line 3 reads the image 3 a second time"),
        (HEAD + "zoo,bert,3,cat\n", "is about the study 'zoo', not 'pets'"),
        (HEAD + "pets,carl,3,cat\n", "is by 'carl', but the file is named after 'bert'"),
        (HEAD + "pets,bert,3\n", "line 2 has not 4 values"),
        (HEAD + "pets,bert,3,cat,dog\n", "line 2 has not 4 values"),
        ("study,index,reading\npets,3,cat\n", "its columns are not study, reader, index, reading"),
        ("", "its columns are not"),
        (HEAD + 'pets,bert,3,"cat', "it is not a CSV file"),
        (HEAD + "pets,bert,3,cat\npets,bert,5,cat\n", "no reading of 1 images that others read"),
        (HEAD + "pets,bert,3,\udcff\n", "it is not a CSV file in UTF-8"),
    ],
)
def test_a_mistake_is_two_lines(folder: Path, text: str, message: str) -> None:
    (folder / "bert.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as caught:
        load()
    lines = str(caught.value).splitlines()
    assert message in lines[0] and "bert.csv" in lines[0] and len(lines) == 2
