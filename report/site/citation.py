"""The paper as a publication: what it is called, how to cite it, and which results it shows.

Its title, authors, licence and studies are in the header of ``index.qmd``, its subtitle in the
study. The report of any other study is somebody else's: it has the title of its study.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.project import files, paths
from analysis.results.store import CLAIMS, Derived
from report.page import Markdown
from report.safe import safe

PAPER = paths.ROOT / "index.qmd"


@dataclass(frozen=True)
class Publication:
    """How a paper is cited; ``doi`` and ``url`` are ``None`` until there are true ones.

    ``studies`` are those that it reports, and ``key`` begins that of its BibTeX entry.
    """

    title: str
    authors: tuple[str, ...] = ()
    doi: str | None = None
    url: str | None = None
    studies: tuple[str, ...] = ()
    key: str = "failuremodes"

    @classmethod
    def read(cls, page: Path = PAPER) -> Publication:
        """Return what the header of a page says."""
        _, header, _ = page.read_text(encoding="utf-8").split("---\n", 2)
        metadata = yaml.safe_load(header)
        authors = tuple(author["name"] for author in metadata["author"])
        named, studies = metadata["citation"], tuple(metadata["publication"]["studies"])
        return cls(metadata["title"], authors, named.get("doi"), named.get("url"), studies)

    @classmethod
    def of(cls, derived: Derived) -> Publication:
        """Return the publication that reports a study."""
        own, name = cls.read(), derived.study.name
        key = re.sub(r"[^a-z0-9]", "", name.lower())
        return own if name in own.studies else cls(derived.study.title, key=key or "study")

    def sentence(self, *, subtitle: str, date: str, version: str) -> str:
        """Return the citation in one sentence of Markdown; ``date`` is as in ISO 8601."""
        title = safe(f"{self.title}: {subtitle}" if subtitle else self.title)
        where = f" https://doi.org/{self.doi}" if self.doi else f" {self.url}" if self.url else ""
        by = f"{safe(', '.join(self.authors))} ({date[:4]}). " if self.authors else ""
        year = "" if self.authors else f" ({date[:4]})"
        return f"{by}*{title}*{year}. {safe(version)}.{where}"

    def bibtex(self, *, subtitle: str, date: str, version: str) -> str:
        """Return the citation as a BibTeX entry; ``date`` is as in ISO 8601."""
        year, month, _ = date.split("-")
        fields = {
            "title": f"{{{_tex(self.title)}}}" + (f": {_tex(subtitle)}" if subtitle else ""),
            # In braces of its own, a collective is not taken for a person with a last name.
            "author": " and ".join(f"{{{_tex(author)}}}" for author in self.authors),
            "year": year,
            "month": str(int(month)),
            "note": _tex(version),
            "doi": self.doi,
            "url": self.url,
        }
        lines = [f"  {name:<6} = {{{value}}}" for name, value in fields.items() if value]
        return f"@misc{{{self.key}{year},\n" + ",\n".join(lines) + "\n}"


def _tex(text: str) -> str:
    """Return text for BibTeX, in which no brace opens a shortcode or a group."""
    plain = " ".join(text.split()).replace("\\", "").replace("`", "'")
    return re.sub(r"([{}%&$#_])", r"\\\1", plain)


def title(derived: Derived) -> str:
    """Return the title of a study that is not part of the publication, or nothing."""
    publication = Publication.of(derived)
    return "" if publication.studies else publication.title


def citation(derived: Derived) -> Markdown:
    """Return how to cite the paper, as a sentence and as BibTeX, and under which licences it is."""
    publication, (date, _) = Publication.of(derived), _last(derived)
    version = f"Results of the study {derived.study.name}, {date}, SHA-256 {digest(derived)}"
    named = {"subtitle": derived.study.paper.subtitle, "date": date, "version": version}
    licences = (
        "The text and the figures are under the licence "
        "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), the code is under the MIT "
        "licence."
    )
    if not publication.authors:
        licences = f"The pages were made by the code of *{safe(Publication.read().title)}*."
    terms = derived.study.images.terms.rstrip(".")
    if derived.study.images.show and terms:
        licences += f" Single images have terms of their own: {safe(terms)}."
    return Markdown(
        f"{publication.sentence(**named)}\n\n"
        f"```bibtex\n{publication.bibtex(**named)}\n```\n\n{licences}"
    )


def colophon(derived: Derived) -> Markdown:
    """Return the foot of a page in Markdown."""
    return Markdown(f"::: {{.colophon}}\n{safe(shown(derived))}\n:::")


def shown(derived: Derived) -> str:
    """Return which study a page shows, and when and by what its results were made, as text."""
    study, (date, revision) = derived.study, _last(derived)
    commit, _, modified = revision.partition("-")
    return (
        f"Study {study.name}, “{study.title}” · analysed {date} by revision {commit[:9]}"
        f"{', with changes' if modified else ''} · SHA-256 of {CLAIMS}: {digest(derived)}"
    )


def digest(derived: Derived) -> str:
    """Return the first digits of the SHA-256 of the record that lists all derived results."""
    return files.sha256(derived.folder / CLAIMS)[:12]


def _last(derived: Derived) -> tuple[str, str]:
    """Return the day of the last analysis, as in ISO 8601, and the revision that computed it."""
    runs = derived.table("runs")
    last = runs.loc[runs["finished"].idxmax()]
    return last["finished"][:10], last["analysed"]
