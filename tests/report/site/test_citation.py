"""What the paper is called and how it is cited: in one place, the same wherever else."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys

import pytest
import yaml

from analysis.project import paths
from analysis.study import load
from report.site import citation
from report.site.citation import Publication
from tests.report.site.conftest import HOSTILE, write_results

NAMED = {"subtitle": "A subtitle", "date": "2026-01-31", "version": "Results"}


@pytest.fixture(scope="module")
def paper() -> Publication:
    return Publication.read()


def test_the_citation_file_is_valid_and_says_what_the_paper_says(paper):
    path = paths.ROOT / "CITATION.cff"
    command = ["--builtin-schema", "vendor.citation-file-format", "--default-filetype", "yaml"]
    checked = [sys.executable, "-m", "check_jsonschema", *command, str(path)]
    done = subprocess.run(checked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    cff, study = yaml.safe_load(path.read_text("utf-8")), load("svhn-subset").paper
    preferred = cff["preferred-citation"]
    assert cff["title"] == paper.title
    assert preferred["title"] == f"{paper.title}: {study.subtitle}"
    for part in (cff, preferred):
        assert [author["name"] for author in part["authors"]] == list(paper.authors)
    assert (cff["abstract"], tuple(cff["keywords"])) == (study.description, study.keywords)
    assert (preferred.get("doi"), preferred.get("url")) == (paper.doi, paper.url)


def test_a_doi_is_named_only_where_there_is_one(paper):
    assert "doi" not in paper.bibtex(**NAMED) and "http" not in paper.sentence(**NAMED)
    later = dataclasses.replace(paper, doi="10.5555/12345678")
    assert "doi    = {10.5555/12345678}" in later.bibtex(**NAMED)
    assert later.sentence(**NAMED).endswith("https://doi.org/10.5555/12345678")


def test_the_entry_is_bibtex_with_the_authors_as_one_body(paper):
    entry = paper.bibtex(**NAMED)
    fields = dict(re.findall(r"^  (\w+) *= \{(.*)\},?$", entry, re.MULTILINE))
    assert fields["author"] == "{Failure Modes contributors}"
    assert (fields["year"], fields["month"]) == ("2026", "1")
    assert fields["title"] == f"{{{paper.title}}}: A subtitle"


def test_the_colophon_is_that_of_the_results(derived):
    text = citation.shown(derived)
    sha256 = hashlib.sha256((derived.folder / "claims.json").read_bytes()).hexdigest()
    assert "Study demo" in text and sha256[:12] in text and "analysed 2026-01-31" in text
    assert "abcdef012, with changes" in text


def test_hostile_titles_are_text_in_the_citation(derived):
    study = derived.study
    paper = study.paper.model_copy(update={"subtitle": HOSTILE})
    derived = write_results(title=HOSTILE, paper=paper)
    sentence, entry, _ = citation.citation(derived).split("```")
    for text in (sentence, entry, citation.colophon(derived)):
        assert "{{<" not in text
    for text in (sentence, citation.colophon(derived)):
        assert "<b>" not in text and "](javascript" not in text
    assert entry.count("{") == entry.count("}")


def test_the_report_of_another_study_has_its_own_title_and_none_of_the_authors(derived):
    assert citation.title(derived) == ""
    mine = write_results(name="mine-2", title="My {{< x >}} things")
    assert citation.title(mine) == "My {{< x >}} things"
    text = citation.citation(mine)
    assert "contributors" not in text and "CC BY" not in text and "author" not in text
    assert "@misc{mine22026," in text and "{{<" not in text
    assert "*My \\{\\{\\< x \\>\\}\\} things\\: A subtitle* (2026)" in text
