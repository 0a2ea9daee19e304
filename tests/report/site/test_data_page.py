"""What the site offers for download, and what it says about it."""

from __future__ import annotations

import re
import zipfile

import pandas as pd
import pandera.pandas as pa
import pytest

from analysis.project.errors import UserError
from analysis.results import store
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import RUN_TABLES
from report.site import data_page, downloads


def test_the_archive_is_the_same_to_the_byte_and_can_take_the_place_of_the_results(
    derived, tmp_path, monkeypatch
):
    (derived.folder / "notes.txt").write_text("mine")
    first, second = (tmp_path / name / "demo-results.zip" for name in ("one", "two"))
    for path in (first, second):
        downloads.write(derived, path.parent)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as packed:
        assert "demo/notes.txt" not in packed.namelist()
        packed.extractall(tmp_path / "unpacked")
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "unpacked"))
    again = store.derived("demo")
    assert again.record == derived.record
    assert downloads.contents(again) == downloads.contents(derived)


@pytest.mark.parametrize("pattern", ["suspects-*", "r0f0/history-*", "r0f0/run.json"])
def test_damaged_results_are_not_offered(derived, tmp_path, pattern):
    (path,) = derived.folder.glob(pattern)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=path.name):
        downloads.write(derived, tmp_path / "downloads")


def test_a_run_that_is_not_at_hand_is_left_out(derived):
    (derived.folder / "r0f0" / "run.json").unlink()
    assert not [name for name in downloads.contents(derived) if "/" in name]


def test_tables_can_be_read_back_and_hold_no_formula(derived, tmp_path):
    downloads.write(derived, tmp_path / "downloads")
    for name, entry in derived.record.tables.items():
        table = pd.read_csv(tmp_path / "downloads" / f"{name}.csv")
        assert len(table) == entry.rows
        assert not table.map(lambda value: str(value).startswith("=")).any(axis=None)
    assert table["predicted"].tolist() == ["'=two"] and table["index"].tolist() == [7]


def test_each_verdict_has_a_row(derived):
    rows = downloads.claims(derived.record)
    assert rows["source"].tolist() == ["study", "published"]
    assert rows["verdict"].tolist() == ["holds", "not tested"]
    assert rows["effect_value"][0] == 0.9 and rows["effect_value"].isna()[1]
    assert set(rows["parameters"]) == {'{"above": 0.5}'}


@pytest.mark.parametrize("schemas, prefix", [(RUN_TABLES, "run"), (DERIVED_TABLES, "derived")])
def test_every_column_of_every_table_is_there_with_its_meaning(schemas, prefix):
    text = data_page.tables(schemas, prefix=prefix)
    for name, schema in schemas.items():
        section = text.split(f"## `{name}` {{#{prefix}-{name}}}")[1].split("\n## ")[0]
        for column in schema.columns:
            assert f"| `{column}` |" in section, (name, column)


def test_a_range_is_the_one_that_the_schema_checks():
    schema = pa.DataFrameSchema(
        {
            "share": pa.Column(float, pa.Check.in_range(0, 1), description="a share"),
            "name": pa.Column(str, pa.Check.isin(["a", "b"]), nullable=True, description="a name"),
        }
    )
    values = [row["values"] for row in data_page.columns(schema)]
    assert values == ["float64, 0 to 1", "string, a, b, or missing"]
    unknown = pa.Column(str, pa.Check.str_matches("a"), description="a text")
    with pytest.raises(KeyError, match="str_matches"):
        data_page.columns(pa.DataFrameSchema({"x": unknown}))


def test_every_file_and_download_is_listed_with_its_rows(derived, tmp_path):
    rows = re.findall(r"^\| `(.+)` \| (\d+) \| .+ \|$", data_page.files(derived), re.MULTILINE)
    there = [path for path in derived.folder.rglob("*") if path.is_file() and path.name != ".lock"]
    # Each pattern matches as many files as it says, and all together match every file.
    matched = {name: list(derived.folder.glob(name)) for name, _ in rows}
    assert {name: len(paths) for name, paths in matched.items()} == {
        name: int(count) for name, count in rows
    }
    assert sorted(path for paths in matched.values() for path in paths) == sorted(there)
    links = re.findall(r"\]\((.+?)\)", data_page.downloads(derived))
    downloads.write(derived, tmp_path / "downloads")
    written = {path.name for path in (tmp_path / "downloads").iterdir()}
    assert {link.rpartition("/")[2] for link in links} == written
