"""Answers to pairs: what is read from good files, and what is said about others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.project.errors import UserError
from analysis.results import answers

INDEX = np.array([3, 5, 8, 13])
HEAD = "reader,pair,index,side,answer,right,epsilon\n"
ANNA = HEAD + "anna,1,8,left,left,1,0.015\nanna,2,3,left,right,0,0.015\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(answers, "FOLDER", tmp_path)
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "anna.csv").write_text(ANNA, encoding="utf-8")
    return tmp_path / "pets"


def test_answers_are_right_wrong_or_not_asked(folder: Path) -> None:
    before = answers.digest("pets")
    (found,) = answers.load("pets", index=INDEX).items()
    assert found[0] == ("anna", 0.015)
    np.testing.assert_array_equal(found[1], [0, np.nan, 1, np.nan])
    other = ANNA.replace("anna", "bert").replace("0.015", "0.03")
    (folder / "bert.csv").write_text(other, encoding="utf-8")
    assert list(answers.load("pets", index=INDEX)) == [("anna", 0.015), ("bert", 0.03)]
    assert answers.digest("pets") != before
    assert answers.load("zoo", index=INDEX) == {} and answers.digest("zoo") == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("carl,1,3,left,left,1,0.015", "is by 'carl', but the file is named after 'bert'"),
        ("bert,1,4,left,left,1,0.015", "has the index '4', which is no evaluated image"),
        ("bert,1,3,left,left,1,0.015\nbert,2,3,left,left,1,0.015", "line 3 answers for the image"),
        ("bert,1,3,left,left,0,0.015", "right is '0', but by its sides it is 1"),
        ("bert,1,3,left,up,0,0.015", "has the sides 'left' and 'up', not left or right"),
        ("bert,1,3,left,left,1,", "has the epsilon '', which is not between 0 and 1"),
        ("bert,1,3,left,left,1,nan", "has the epsilon 'nan'"),
        ("bert,1,3,left,left,1", "line 2 has not 7 values"),
    ],
)
def test_a_mistake_is_two_lines(folder: Path, line: str, message: str) -> None:
    (folder / "bert.csv").write_text(f"{HEAD}{line}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        answers.load("pets", index=INDEX)
    lines = str(caught.value).splitlines()
    assert message in lines[0] and "bert.csv" in lines[0] and len(lines) == 2
