"""What the site offers for download, and what it says about it."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile

import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq
import pytest

from analysis import paths, results
from analysis.errors import UserError
from analysis.results import MANIFEST
from analysis.tables import SCHEMAS
from report import dictionary, downloads

FOLDER = paths.ROOT / "build" / "results" / "demo"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="demo has no committed results")


@pytest.fixture
def stored(tmp_path) -> results.Results:
    """Return a copy of the demo's results, whose files are newer than the committed ones."""
    folder = tmp_path / "demo"
    folder.mkdir()
    for path in FOLDER.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return results.load("demo", folder=folder)


def test_the_archive_is_the_same_to_the_byte_whenever_it_is_made(stored):
    assert downloads.archive(stored) == downloads.archive(results.load("demo", folder=FOLDER))


def test_what_is_in_the_archive_is_a_store_that_verifies(stored, tmp_path):
    with zipfile.ZipFile(io.BytesIO(downloads.archive(stored))) as packed:
        names = {name.removeprefix("demo/") for name in packed.namelist()}
        packed.extractall(tmp_path / "unpacked")
    assert {MANIFEST, "claims.json"} <= names
    again = results.load("demo", folder=tmp_path / "unpacked" / "demo")
    again.check_folder()
    assert again.verify() == stored.verify() == len(names) - 1


def test_a_file_of_no_account_is_not_in_the_archive(stored):
    before = downloads.archive(stored)
    (stored.folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert downloads.archive(stored) == before


def test_of_altered_results_there_is_no_archive(stored):
    path = next(stored.folder.glob("attacks-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=path.name):
        downloads.archive(stored)


def test_old_downloads_go_and_tables_can_be_read_back(stored, tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "old-results.zip").write_bytes(b"")
    written = downloads.prepare(stored, folder=folder)
    assert sorted(folder.iterdir()) == sorted(written)
    for name, entry in stored.manifest.derived.items():
        assert len(pd.read_csv(folder / f"{name}.csv")) == entry.rows
    estimates = pd.read_csv(folder / "estimates.csv")
    assert estimates["value"].tolist() == pytest.approx(stored.table("estimates")["value"].tolist())


def test_the_claims_as_rows_say_what_the_claims_say(stored):
    table = stored.claims()
    rows = downloads.claims(table)
    assert list(dict.fromkeys(rows["id"])) == [claim.id for claim in table.claims]
    for claim in table.claims:
        for source, judgement in (("study", claim.study), ("original", claim.original)):
            found = rows[(rows["id"] == claim.id) & (rows["source"] == source)]
            assert set(found["verdict"]) == {judgement.verdict}
            assert len(found) == max(1, len(judgement.parts))
            effects = [part.effect for part in judgement.parts]
            assert found["part_effect"].dropna().tolist() == effects


def test_the_dictionary_has_every_column_of_every_table_with_its_meaning():
    text = dictionary.tables()
    for name, schema in SCHEMAS.items():
        section = text.split(f"## `{name}`")[1].split("\n## ")[0]
        for column in schema.columns:
            # The ten logits share a row.
            shown = "`logit_0` to `logit_9`" if column.startswith("logit_") else f"`{column}`"
            assert f"| {shown} |" in section, (name, column)


def test_a_range_is_that_which_the_schema_checks():
    schema = pa.DataFrameSchema(
        {
            "share": pa.Column(float, pa.Check.in_range(0, 1), description="a share"),
            "name": pa.Column(str, pa.Check.isin(["a", "b"]), nullable=True, description="a name"),
        }
    )
    rows = dictionary.columns(schema).set_index("column")
    assert rows["values"].tolist() == ["float64, 0 to 1", "string, a, b, or missing"]


def test_columns_share_a_row_only_where_all_but_their_number_is_the_same():
    columns = {
        "a1": pa.Column(float, description="part 1"),
        "a2": pa.Column(float, description="part 2"),
        "a3": pa.Column(int, description="part 3"),
        "q05": pa.Column(float, description="part 1"),
    }
    rows = dictionary.columns(pa.DataFrameSchema(columns))
    assert rows["column"].tolist() == ["`a1` to `a2`", "`a3`", "`q05`"]
    assert rows["meaning"].tolist() == ["part …", "part 3", "part 1"]


def test_a_check_without_words_is_an_error_and_not_left_out():
    column = pa.Column(str, pa.Check.str_matches("a"), description="a text")
    with pytest.raises(KeyError, match="str_matches"):
        dictionary.columns(pa.DataFrameSchema({"x": column}))


def test_every_file_of_the_store_is_listed_with_its_rows(stored):
    listed = dict(re.findall(r"^\| `(.+)` \| ([\d,]+) \|$", dictionary.files(stored), re.MULTILINE))
    files = {path.name for path in stored.folder.iterdir()} - {MANIFEST}
    assert set(listed) == files
    for name in files - {"claims.json"}:
        rows = pq.read_metadata(stored.folder / name).num_rows
        assert listed[name] == f"{rows:,}", name
        assert hashlib.sha256((stored.folder / name).read_bytes()).hexdigest()[:12] in name
