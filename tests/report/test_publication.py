"""What the paper is called and how it is cited: once in index.qmd, the same wherever else."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys

import pytest
import yaml

from analysis import paths, results
from report import publication
from report.publication import Publication
from report.quantities import Quantities

FOLDER = paths.ROOT / "build" / "results" / "demo"
needs_results = pytest.mark.skipif(not FOLDER.is_dir(), reason="demo has no committed results")


@pytest.fixture(scope="module")
def paper() -> Publication:
    return Publication.read()


@pytest.fixture(scope="module")
def quantities() -> Quantities:
    return Quantities(results.load("demo", folder=FOLDER))


@pytest.fixture(scope="module")
def cff() -> dict:
    return yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_file_is_valid_by_its_schema():
    command = ["--builtin-schema", "vendor.citation-file-format", "--default-filetype", "yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *command, str(paths.ROOT / "CITATION.cff")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_citation_file_says_what_the_paper_says(paper, cff):
    preferred = cff["preferred-citation"]
    assert cff["title"] == paper.title and preferred["title"] == paper.full_title
    for part in (cff, preferred):
        assert [author["name"] for author in part["authors"]] == list(paper.authors)
    assert (cff["abstract"], tuple(cff["keywords"])) == (paper.description, paper.keywords)
    assert (preferred.get("doi"), preferred.get("url")) == (paper.doi, paper.url)


def test_the_other_places_that_must_repeat_something_agree(paper, cff):
    project = (paths.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{cff["version"]}"' in project
    assert f'authors = [{{ name = "{listed_once(paper)}" }}]' in project
    assert f'license = "{cff["license"]}"' in project
    assert listed_once(paper) in (paths.ROOT / "LICENSE").read_text(encoding="utf-8")
    site = yaml.safe_load((paths.ROOT / "_quarto.yml").read_text(encoding="utf-8"))["website"]
    assert site["title"] == paper.title


def listed_once(paper: Publication) -> str:
    (author,) = paper.authors
    return author


def test_the_sentence_and_the_entry_name_a_doi_only_where_there_is_one(paper):
    named = {"date": "2026-01-31", "version": "Results"}
    assert "doi" not in paper.bibtex(**named) and "http" not in paper.sentence(**named)
    later = dataclasses.replace(paper, doi="10.5555/12345678")
    assert "doi    = {10.5555/12345678}" in later.bibtex(**named)
    assert later.sentence(**named).endswith("https://doi.org/10.5555/12345678")


def test_the_entry_is_bibtex_with_the_authors_as_one_body(paper):
    entry = paper.bibtex(date="2026-01-31", version="Results")
    assert entry.count("{") == entry.count("}")
    fields = dict(re.findall(r"^  (\w+) *= \{(.*)\},?$", entry, re.MULTILINE))
    assert fields["author"] == "{Failure Modes contributors}"
    assert (fields["year"], fields["month"]) == ("2026", "1")
    assert fields["title"].replace("{", "").replace("}", "") == paper.full_title


@needs_results
def test_the_colophon_names_the_study_and_the_manifest_of_its_results(quantities):
    text = publication.colophon(quantities)
    sha256 = hashlib.sha256((FOLDER / "manifest.json").read_bytes()).hexdigest()
    assert "the study demo" in text and sha256[:12] in text and quantities.date in text
    runs = quantities.results.manifest.runs.values()
    revisions = {part.revision for run in runs for part in run.analyses.values()}
    assert any(revision and revision[:9] in text for revision in revisions)


@needs_results
def test_the_date_of_the_paper_is_that_of_its_results(quantities):
    text = publication.front_matter(quantities)
    assert yaml.safe_load(text.strip("-\n"))["date"].isoformat() == quantities.date
