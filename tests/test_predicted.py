"""Files of predictions: what is read from them, and what is wrong with them in a line or two."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from analysis import predicted, study
from analysis.predicted import Given
from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results.schemas import RUN_TABLES
from tests.playground import Playground

SHARES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.0, 1.0, 0.0], [0.4, 0.4, 0.2]])
FRAME = pd.DataFrame(SHARES, columns=["Übel", 'a "b"', "c|<$d"])
FRAME.insert(0, "label", ["Übel", "c|<$d", 'a "b"', 'a "b"'])
Read = Callable[..., Given]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads a file, or a frame or text as one, with keys of the section."""

    def given(content: Any, name: str = "p.csv", **keys: Any) -> Given:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, pd.DataFrame):
            write = content.to_parquet if name.lower().endswith("parquet") else content.to_csv
            write(path, index=False)
        lines = [f"{key} = {value!r}" for key, value in ({"file": name} | keys).items()]
        text = "\n".join(['title = "T"', "[predictions]", *lines])
        (tmp_path / "s.toml").write_text(text, encoding="utf-8")
        return predicted.read(study.load(tmp_path / "s.toml"))

    return given


def scores(given: Given) -> np.ndarray:
    return np.stack(given.tables["predictions"]["logits"].to_list())


# ------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", FRAME),
        ("p.parquet", FRAME),
        ("p.PARQUET", FRAME),
        ("p.csv.gz", gzip.compress(FRAME.to_csv(index=False).encode())),
        ("p.tsv", FRAME.to_csv(index=False, sep="\t")),
        ("p.csv", FRAME.to_csv(index=False, sep=";", decimal=",")),
        ("p.csv", b"\xef\xbb\xbf" + FRAME.to_csv(index=False, lineterminator="\r\n").encode()),
        ("p.csv", FRAME.to_csv()),
        ("p.csv", FRAME.to_csv(index=False, quoting=1) + "\n\n"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_a_file_is_read_however_it_is_written(read, name, content):
    given = read(content, name)
    assert given.classes == tuple(FRAME.columns[1:])
    rows = given.tables["predictions"]
    assert rows["label"].tolist() == [0, 2, 1, 1] and rows["index"].tolist() == [0, 1, 2, 3]
    # Of equal scores the first counts.
    assert rows["predicted"].tolist() == [0, 2, 1, 0] and set(rows["group"]) == {-1}
    assert rows["confidence"].to_numpy() == pytest.approx([0.7, 0.6, 1, 0.4])
    assert softmax(scores(given).astype(float), axis=1) == pytest.approx(SHARES, abs=1e-7)
    assert given.digest == read(FRAME, "other.parquet").digest
    for table, content in given.tables.items():
        RUN_TABLES[table].validate(content)


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_logits_are_kept_and_the_prediction_is_that_of_the_scores_as_given(read, name):
    # Equal in single precision, where the second is larger in double.
    frame = pd.DataFrame({"a": [1.0, 1e30, -7.0], "b": [1.0 + 1e-12, -1e30, 2.0], "label": "a"})
    given = read(frame, name, scores="logits")
    assert given.tables["predictions"]["predicted"].tolist() == [1, 0, 1]
    found = scores(given)
    assert found.argmax(axis=1).tolist() == [1, 0, 1] and found.dtype == np.float32
    assert np.allclose(found, frame[["a", "b"]])
    shares = softmax(frame[["a", "b"]].to_numpy(), axis=1).max(axis=1)
    assert given.tables["predictions"]["confidence"].to_numpy() == pytest.approx(shares)


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (["0", "1", "10"], [0, 10, 1, 1]),
        (["0", "1", "10"], [0.0, 10.0, 1.0, 1.0]),
        (["0.0", "1.0", "10.0"], [0, 10, 1, 1]),
        (["False", "True", "10"], ["False", "10", "True", "True"]),
    ],
)
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_labels_may_be_the_whole_numbers_that_classes_are_named_by(read, name, columns, labels):
    frame = FRAME.set_axis(["label", *columns], axis=1).assign(label=labels)
    given = read(frame, name)
    assert given.classes == tuple(columns)
    assert given.tables["predictions"]["label"].tolist() == [0, 2, 1, 1]


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_groups_attributes_and_names_are_read_by_what_they_are(read, name):
    extra = {
        "photo": ["x", "y", "", "x"],
        "light": [1.5, np.nan, 3, 4],
        "camera": ["A", "B", "", "NA"],
        "flash": [True, False, True, True],
        "file": ["1", "2", "3", "4"],
        "notes": ["never", "read", "here", ","],
    }
    keys = {"group": "photo", "attributes": ["light", "camera", "flash"], "id": "file"}
    given = read(FRAME.assign(**extra), name, omit=["notes"], **keys)
    group = given.tables["predictions"]["group"].tolist()
    assert group[0] == group[3] != group[1] and group[2] == -1
    rows = given.tables["attributes"].set_index(["attribute", "index"]).sort_index()
    assert rows.loc["light", "number"].isna().tolist() == [False, True, False, False]
    assert rows.loc["camera", "category"].tolist() == ["A", "B", "", "NA"]
    assert [text.lower() for text in rows.loc["flash", "category"]] == ["true", "false"] + 2 * [
        "true"
    ]
    other = FRAME.assign(**extra | {"file": ["1", "2", "3", "5"]})
    assert read(other, name, omit=["notes"], **keys).digest != given.digest


def test_spaces_around_names_mean_nothing(read):
    given = read("label , a , b\n a , 0.2 , 0.8\n")
    assert given.classes == ("a", "b") and given.tables["predictions"]["label"].tolist() == [0]


def test_a_class_may_have_no_image_and_a_name_of_any_kind(read):
    frame = FRAME.set_axis(["label", "None", "nan", "=1\n{{< x >}}"], axis=1)
    given = read(frame.assign(label="nan"))
    assert given.classes == ("None", "nan", "=1\n{{< x >}}")
    assert set(given.tables["predictions"]["label"]) == {1}


# ------------------------------------------------------------------------------ what is wrong


def changed(**columns: Any) -> pd.DataFrame:
    return FRAME.assign(**columns)


WIDE = pd.DataFrame(np.full((2, 1001), 1 / 1001), columns=[f"c{n}" for n in range(1001)])
BAD = {
    "missing": (None, {"file": "nothing.csv"}, "there is no file"),
    "folder": (None, {"file": "."}, "there is no file"),
    "name": (FRAME, {"name": "p.json"}, "neither a .csv"),
    "not parquet": (b"label,a,b\n", {"name": "p.parquet"}, "is no Parquet file"),
    "parquet": (b"PAR1 and so on", {}, "is a Parquet file"),
    "cut parquet": (b"PAR1 and so on", {"name": "p.parquet"}, "no valid Parquet file"),
    "not zipped": (b"label,a,b\n", {"name": "p.csv.gz"}, "is not compressed"),
    "cut zip": (gzip.compress(b"label,a,b\n" * 99)[:-12], {"name": "p.csv.gz"}, "cannot be read"),
    "empty": (b"", {}, "is empty"),
    "latin": ("label,ü\n".encode("latin-1"), {}, "not UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n", {}, "not UTF-8"),
    "no rows": (FRAME[:0], {}, "has no rows"),
    "no rows of parquet": (FRAME[:0], {"name": "p.parquet"}, "has no rows"),
    "label": (FRAME, {"label": "labels"}, "predictions.label: .*'labels'; the nearest is 'label'"),
    "id": (FRAME, {"id": "idx"}, "predictions.id: there is no column 'idx'"),
    "attribute": (FRAME, {"attributes": ["light"]}, "predictions.attributes: .*'light'"),
    "omitted": (FRAME, {"omit": ["x"]}, "predictions.omit: there is no column 'x'"),
    "twice": (changed(x=1), {"id": "x", "omit": ["x"]}, "'x' is named under id too"),
    "two columns": ("label,a,b, a\na,1,0,0\n", {}, "two columns 'a'"),
    "no name": ("label,a,,b\na,1,0,0\n", {}, "column 3 has no name"),
    "ragged": ("label,a,b\na,1,0\na,1\n", {}, "row 2 has 2 values, not 3"),
    "one class": (FRAME[["label", "Übel"]], {}, "1 columns of classes: 'Übel'; at least 2"),
    "many classes": (WIDE.assign(label="c1"), {}, "1,001 columns of classes; .*at most 1,000"),
    "long name": (changed(**{"x" * 201: 0.0}), {}, "longer than 200 letters"),
    "all": (changed(**{"(all)": 0.0}), {}, "means every class"),
    "text": (changed(x="jpg"), {}, "row 1 of the column 'x' has 'jpg', which is no number"),
    "text in parquet": (changed(x="jpg"), {"name": "p.parquet"}, "'x', which is taken for a class"),
    "no label": (changed(label=["Übel", None] * 2), {}, "row 2 of the column 'label' has no value"),
    "no class": (changed(label="Uebel"), {}, "row 1 has the label 'Uebel'.*nearest is 'Übel'"),
    "number": (changed(label=[0, 1, 2, 0]), {}, "row 1 has the label '0', which is no class"),
    "as class": (changed(label="label"), {}, "the column of labels, which cannot be a class"),
    "missing score": (changed(Übel=[0.7, 0.1, None, 0.4]), {}, "row 3 of the column 'Übel' has no"),
    "infinite": (changed(Übel=[0.7, np.inf, 0, 0]), {}, "row 2 of the column 'Übel' is infinite"),
    "negative": (changed(Übel=[0.7, 0.1, -0.5, 0]), {}, "row 3 .* is a probability below 0"),
    "sum": (changed(Übel=[0.7, 0.2, 0, 0.4]), {}, "row 2 .* sum to 1.1, not to 1"),
    "large": (changed(Übel=1e39), {"scores": "logits"}, "row 1 .* is too large for float32"),
    "same id": (changed(n=[1, 2, 1, 3]), {"id": "n"}, "row 1 .* has the id '1', as has row 3"),
    "no id": (
        changed(n=["1", "2", None, "3"]),
        {"id": "n"},
        "row 3 of the column 'n' has no value",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_line_or_two(read, case):
    content, keys, message = BAD[case]
    with pytest.raises(UserError, match=message) as caught:
        read(content, **keys)
    assert len(str(caught.value).splitlines()) <= 2
    assert max(map(len, str(caught.value).splitlines())) < 400


def test_a_name_of_each_image_is_no_attribute(read):
    frame = pd.concat([FRAME] * 30, ignore_index=True)
    with pytest.raises(UserError, match="'file' has 120 categories, at most 100"):
        read(frame.assign(file=[f"f{n}" for n in range(120)]), attributes=["file"])


# ------------------------------------------------------------------------------ a guess


def test_what_columns_are_is_guessed_from_their_names_and_values(tmp_path):
    extra = {"file": ["a", "b", "c", "d"], "light": [1, 2, 3, 4], "photo": ["x", "x", "y", "y"]}
    FRAME.assign(**extra).to_csv(tmp_path / "p.csv", index=False)
    found = predicted.columns(tmp_path / "p.csv")
    assert (found["label"], found["scores"]) == ("label", "probabilities")
    assert found["columns"] == {"id": "file", "group": "photo", "attributes": ["light"], "omit": []}
    FRAME.drop(columns="label").to_csv(tmp_path / "q.csv", index=False)
    with pytest.raises(UserError, match="no column of labels"):
        predicted.columns(tmp_path / "q.csv")


# ------------------------------------------------------------------------------ without torch

ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "captum", "art"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from analysis.__main__ import main
sys.exit(main(["run", sys.argv[1]]))
"""


def test_a_study_of_predictions_runs_without_torch(playground: Playground, made_up_file: Path):
    command = [sys.executable, "-c", ALONE, str(made_up_file)]
    environment = {**playground.variables, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = playground.folder / "results" / made_up_file.stem
    assert (results / "claims.json").is_file()
    # Other predictions of the same name replace the earlier ones, which are kept.
    before = (results / "r0f0" / "run.json").read_bytes()
    table = made_up_file.with_name("p.csv")
    table.write_text("\n".join(table.read_text().splitlines()[:-1]), encoding="utf-8")
    done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "earlier results are kept in" in done.stdout, done.stderr
    (kept,) = (results / "superseded").glob("*/run.json")
    assert kept.read_bytes() == before


@pytest.fixture
def made_up_file(tmp_path: Path) -> Path:
    """Return the file of a study of made-up predictions."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 4, 200)
    logits = generator.normal(size=(200, 4)) + 2 * np.eye(4)[label]
    frame = pd.DataFrame(softmax(logits, axis=1), columns=list("abcd"))
    frame.assign(label=[*map("abcd".__getitem__, label)]).to_csv(tmp_path / "p.csv", index=False)
    text = 'title = "T"\nbootstrap = { resamples = 100 }\n[predictions]\nfile = "p.csv"\n'
    path = tmp_path / "alone.toml"
    path.write_text(text, encoding="utf-8")
    return path
