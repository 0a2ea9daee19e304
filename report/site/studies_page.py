"""The page of all studies: which they are, where their reports lie, and what they found.

The publication's reports are published together: that of the project's own study at the root, and
that of every other study with a profile in a folder of its name. The page of somebody else's study
leaves out the publication's.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

import yaml

from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results import store
from analysis.results.store import CLAIMS, Derived
from report.numbers.results import Results
from report.page import Markdown
from report.safe import safe
from report.site.citation import Publication
from report.tables import studies as tables


@dataclass(frozen=True)
class Studies:
    """The studies with results, the page's own first.

    ``links`` has the reports of some by name, and ``notes`` says why others are not shown.
    """

    shown: tuple[Results, ...]
    links: dict[str, str]
    notes: tuple[str, ...]

    @classmethod
    def around(cls, current: Derived) -> Studies:
        """Return the study of a page and all others. Raises ``UserError`` if its own is damaged."""
        publication = Publication.read()
        own = current.study.name in publication.studies
        shown, notes = [Results(current)], []
        for folder in sorted(paths.results("").iterdir()):
            name = folder.name
            if name == current.study.name or not (folder / CLAIMS).is_file():
                continue
            if not own and name in publication.studies:
                continue
            try:
                found = Results(store.derived(name))
                tables.numbers([found], {})
            except UserError as error:
                notes.append(str(error))
            else:
                shown.append(found)
        links = _links(current.study.name, publication) if own else {}
        return cls(tuple(shown), links, tuple(notes))

    @property
    def titles(self) -> Markdown:
        """Return the title of each study, and why others are not shown."""
        lines = [f"- **{safe(each.study.name)}**: {safe(each.study.title)}" for each in self.shown]
        lines += [f"- Not shown: {safe(note)}" for note in self.notes]
        return Markdown("\n".join(lines))

    @property
    def numbers(self) -> Markdown:
        """Return the main numbers of each study."""
        return _framed(tables.numbers(self.shown, self.links))

    @property
    def claims(self) -> Markdown:
        """Return the verdict of each study on each claim."""
        found = tables.claims(self.shown)
        return _framed(found) if found else Markdown("None of them has claims.")


def _links(current: str, publication: Publication) -> dict[str, str]:
    """Return the published reports by study, as a page of one of them links them."""
    # Whatever profile is being rendered.
    settings = yaml.safe_load((paths.ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    root = settings["profile"]["default"]
    places = {root: "."} | {
        name: name
        for name in publication.studies
        if name != root and (paths.ROOT / f"_quarto-{name}.yml").is_file()
    }
    if current not in places:
        return {}
    return {
        name: posixpath.join(publication.url, place, "index.html")
        if publication.url
        else posixpath.join(posixpath.relpath(place, places[current]), "index.html")
        for name, place in places.items()
    }


def _framed(found: Markdown) -> Markdown:
    """Return a table that uses the margins as well, and scrolls where it is wider still."""
    return Markdown(f"::: {{.column-page .table-responsive}}\n{found}\n:::")
