"""The paper as a publication: what it is called, how to cite it, and which results it shows.

Title, authors, keywords and licence stand once, in the header of ``index.qmd``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis import paths
from analysis.results import MANIFEST, Results
from report.figures import Markdown
from report.findings import listed
from report.quantities import Quantities

PAPER = paths.ROOT / "index.qmd"
TEXT_LICENCE = "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)"
# Enough of a SHA-256 to tell any two results apart.
_SHOWN = 12


@dataclass(frozen=True)
class Publication:
    """What is known of the paper; a field without a true value is ``None``."""

    title: str
    subtitle: str
    authors: tuple[str, ...]
    description: str
    keywords: tuple[str, ...]
    doi: str | None
    url: str | None

    @classmethod
    def read(cls, page: Path = PAPER) -> Publication:
        """Return what the header of a page says."""
        _, header, _ = page.read_text(encoding="utf-8").split("---\n", 2)
        metadata = yaml.safe_load(header)
        return cls(
            title=metadata["title"],
            subtitle=metadata["subtitle"],
            authors=tuple(author["name"] for author in metadata["author"]),
            description=metadata["description"],
            keywords=tuple(metadata["keywords"]),
            doi=metadata["citation"].get("doi"),
            url=metadata["citation"].get("url"),
        )

    @property
    def full_title(self) -> str:
        """Return title and subtitle."""
        return f"{self.title}: {self.subtitle}"

    def sentence(self, *, date: str, version: str) -> str:
        """Return the citation in one sentence; ``date`` is as in ISO 8601."""
        where = f" https://doi.org/{self.doi}" if self.doi else f" {self.url}" if self.url else ""
        return f"{listed(self.authors)} ({date[:4]}). *{self.full_title}*. {version}.{where}"

    def bibtex(self, *, date: str, version: str) -> str:
        """Return the citation as a BibTeX entry; ``date`` is as in ISO 8601."""
        year, month, _ = date.split("-")
        fields = {
            "title": f"{{{self.title}}}: {self.subtitle}",
            # In braces of its own, a collective is not taken for a person with a last name.
            "author": " and ".join(f"{{{author}}}" for author in self.authors),
            "year": year,
            "month": str(int(month)),
            "note": version,
            "doi": self.doi,
            "url": self.url,
        }
        lines = [f"  {name:<6} = {{{value}}}" for name, value in fields.items() if value]
        return f"@misc{{failuremodes{year},\n" + ",\n".join(lines) + "\n}"


def front_matter(quantities: Quantities) -> Markdown:
    """Return the part of a page's metadata that the results determine: its date."""
    return Markdown(f"---\ndate: {quantities.date}\n---")


def citation(quantities: Quantities) -> Markdown:
    """Return how to cite the paper, as a sentence and as BibTeX, and under which licences it is."""
    publication = Publication.read()
    named = {"date": quantities.date, "version": _version(quantities)}
    return Markdown(
        f"{publication.sentence(**named)}\n\n"
        f"```bibtex\n{publication.bibtex(**named)}\n```\n\n"
        f"The text and the figures are under the licence {TEXT_LICENCE}, the code is under the "
        "MIT licence."
    )


def colophon(quantities: Quantities) -> Markdown:
    """Return the foot of a page: the study, and when and by what its results were made."""
    results = quantities.results
    return Markdown(
        f"::: {{.colophon}}\nThis page shows the study {results.study.name}, "
        f"“{results.study.title}”. Its last analysis was finished on {quantities.date}; the "
        f"revision of the code was {_revision(quantities)}. The SHA-256 of the manifest of the "
        f"results begins with {digest(results)[:_SHOWN]}.\n:::"
    )


def digest(results: Results) -> str:
    """Return the SHA-256 of the manifest, which vouches for every file of the results."""
    return hashlib.sha256((results.folder / MANIFEST).read_bytes()).hexdigest()


def _version(quantities: Quantities) -> str:
    results = quantities.results
    return (
        f"Results of the study {results.study.name}, {quantities.date}, "
        f"SHA-256 {digest(results)[:_SHOWN]}"
    )


def _revision(quantities: Quantities) -> str:
    """Return the commit that computed the last analysis."""
    entries = [entry for run in quantities.shown.values() for entry in run.analyses.values()]
    revision = max(entries, key=lambda entry: entry.finished).revision
    if revision is None:
        return "not known"
    commit, _, modified = revision.partition("-")
    return f"{commit[:9]}{', with changes' if modified else ''}"
