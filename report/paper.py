"""The paper of one study: what a page opens, and the sections that it prints.

The sections are templates in ``report/_paper``. They ask for parts by name: ``study.…`` and
``value.…`` for words and numbers, ``claims`` for claims, ``picture.…`` for single images,
``has("…")`` for a derived table, ``figure.…()`` and ``table.…()`` for exhibits. A name that does
not exist is an error, and text that is not ``Markdown`` is escaped.
"""

from __future__ import annotations

import json
import re
import traceback
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jinja2

from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results import store
from analysis.results.store import Derived
from report import page
from report.figures import (
    confidence,
    corruptions,
    errors,
    explanations,
    explorer,
    fragility,
    slices,
    variants,
)
from report.figures.figure import Figure
from report.numbers.claim import ClaimNumbers
from report.numbers.claims import Claims
from report.numbers.corruptions import CorruptionNumbers
from report.numbers.results import Results, checked
from report.numbers.study import StudyNumbers
from report.numbers.values import Values
from report.numbers.whose import Whose
from report.page import Execution, Markdown
from report.pictures import Pictures
from report.safe import safe
from report.tables import claims as claims_table
from report.tables import protocol
from report.tables import results as results_table

SECTIONS = paths.ROOT / "report" / "_paper"


def _exhibits(results: Results, *modules: ModuleType) -> SimpleNamespace:
    """Return the figures or tables of some modules by name, bound to the results."""
    found = {
        name: partial(function, results)
        for module in modules
        for name, function in vars(module).items()
        if getattr(function, "__annotations__", {}).get("results") == "Results"
        and function.__module__ == module.__name__
    }
    return SimpleNamespace(**found)


class Paper:
    """The paper of one study in one execution of a page."""

    def __init__(self, derived: Derived, execution: Execution) -> None:
        self.derived, self.execution = derived, execution
        self.results = Results(derived)
        self.study, self.value = StudyNumbers(self.results), Values(self.results)
        self.whose, self.claims = Whose(self.results), Claims(self.results)
        drawn = (variants, errors, slices, explanations, fragility, confidence)
        self.figure = _exhibits(self.results, *drawn, corruptions, explorer)
        self.table = _exhibits(self.results, claims_table, results_table, protocol)
        self._templates = jinja2.Environment(  # nosec B701  # Markdown, escaped by finalize
            loader=jinja2.FileSystemLoader(SECTIONS),
            undefined=jinja2.StrictUndefined,
            finalize=self._written,
            # Pandoc's identifiers look like Jinja's comments.
            comment_start_string="{%#",
            comment_end_string="#%}",
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            study=self.study,
            value=self.value,
            whose=self.whose,
            claims=self.claims,
            corruption=partial(CorruptionNumbers, self.results),
            has=self.results.has,
            link=self._link,
            picture=Pictures(self.results, execution),
            figure=self.figure,
            table=self.table,
        )

    @classmethod
    def open(cls) -> Paper:
        """Return the paper of the study that is being rendered. Raises ``UserError``."""
        execution = page.current()
        return cls(store.derived(execution.study), execution)

    @property
    def scripts(self) -> Markdown:
        """Return what a page loads to draw its charts."""
        return page.scripts(self.execution)

    def claim(self, name: str) -> ClaimNumbers:
        """Return a claim by its id. Raises ``UserError`` for one that the study does not have."""
        return ClaimNumbers(self.results.record.claim(name), self.results)

    def section(self, name: str) -> Markdown:
        """Return a section of the paper, which may be empty.

        Raises ``UserError`` with the template and the line of what cannot be filled in.
        """
        checked("section", name, (path.stem for path in SECTIONS.glob("*.md")))
        try:
            return Markdown(self._templates.get_template(f"{name}.md").render().strip())
        except jinja2.TemplateSyntaxError as error:
            raise UserError(f"_paper/{name}.md, line {error.lineno}: {error.message}") from None
        except (jinja2.UndefinedError, UserError, KeyError, TypeError) as error:
            raise UserError(f"_paper/{name}.md, line {_line(error)}: {error}") from error

    def front_matter(self, *, title: str = "") -> Markdown:
        """Return the metadata that the study and its results determine, as a YAML block.

        With a ``title`` the paper has this one instead of the page's own, and not its authors.
        """
        paper = self.study.paper
        content: dict[str, Any] = {
            "title": _attribute(title),
            "authorless": bool(title),
            "subtitle": _attribute(paper.subtitle),
            "description": _attribute(paper.description),
            "keywords": [_attribute(word) for word in paper.keywords],
            "abstract": self.section("abstract"),
            "date": self.study.date,
        }
        lines = [f"{key}: {_yaml(value)}" for key, value in content.items() if value]
        return Markdown("\n".join(["---", *lines, "---"]))

    def explorer_matter(self) -> Markdown:
        """Return the description of the page on which a reader chooses, as a YAML block."""
        chosen = "One class at a time"
        if self.results.has("accuracies"):
            chosen = "One class, one confusion and one perturbation at a time"
        return Markdown(f'---\ndescription: "{chosen}: every chart follows the choice."\n---')

    def _link(self, page: str, anchor: str, text: str) -> Markdown:
        """Return a link to another page of the site, in print its text alone."""
        if self.execution.print:
            return Markdown(safe(text))
        return Markdown(f"[{safe(text)}]({page}.qmd{'#' * bool(anchor)}{anchor})")

    def _written(self, value: Any) -> str:
        if isinstance(value, Figure):
            return value.markdown(self.execution)
        return page.written(value)


def _attribute(text: str) -> str:
    """Return text that Pandoc also writes, unescaped, between the quotes of an attribute."""
    return safe(text.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"))


def _yaml(value: Any) -> str:
    """Return Markdown for metadata; JSON is YAML.

    In metadata Quarto takes two braces for a shortcode even if they are escaped, so they are kept
    apart.
    """
    content = json.dumps(value, ensure_ascii=False)
    return re.sub(r"(\\\\[{}])(?=\\\\[{}])", "\\1\N{WORD JOINER}", content)


def _line(error: Exception) -> int | str:
    """Return the line of the template in which an error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).parent == SECTIONS]
    return next(filter(None, reversed(lines)), "unknown")
