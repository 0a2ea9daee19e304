"""The words that depend on verdicts, and that no page holds such words or numbers itself."""

from __future__ import annotations

import ast
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from analysis import paths
from analysis.claims.catalogue import CATALOGUE
from analysis.files import sha256
from analysis.results import load
from analysis.verdicts import ClaimsTable, Judgement
from report import findings
from report.findings import VERDICTS, WORDINGS
from tests.report.conftest import copy_of_project, render

PAPER = sorted((paths.ROOT / "report" / "_paper").glob("*.qmd"))
PROSE = [*PAPER, paths.ROOT / "index.qmd"]
# Modules whose strings end up in sentences.
SPOKEN = ["quantities", "described", "judged", "findings", "tables", "plots"]
DEMO = paths.ROOT / "build" / "results" / "demo"
needs_demo = pytest.mark.skipif(not DEMO.is_dir(), reason="demo has no committed results")

# Ranges of pixel values, names, and the size of one level.
ALLOWED = ("[0, 1]", "[−1, 1]", "SHA-256", "8-bit", "format 2", "@xiao2023")


@pytest.fixture(scope="module")
def table() -> ClaimsTable:
    if not DEMO.is_dir():
        pytest.skip("demo has no committed results")
    return load("demo", folder=DEMO).claims()


def prose(path: Path) -> str:
    """Return what a reader sees of a page that no code has written."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\{\{<.*?>\}\}|\{[#.][^}]*\}|\[?@[\w-]+(; @[\w-]+)*\]?", "", text)
    for allowed in ALLOWED:
        text = text.replace(allowed, "")
    return text


def spoken(module: str) -> list[str]:
    """Return the strings of a module that are neither documentation nor a form for numbers."""
    tree = ast.parse((paths.ROOT / "report" / f"{module}.py").read_text(encoding="utf-8"))
    silent = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.format_spec:
            silent |= {id(part) for part in ast.walk(node.format_spec)}
        # Strings that code is asked with are not said to anybody.
        if isinstance(node, ast.Subscript):
            silent |= {id(part) for part in ast.walk(node.slice)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent
    ]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_no_number_is_typed_into_a_page(path: Path) -> None:
    assert not re.findall(r".{0,40}\d.{0,20}", prose(path))


@pytest.mark.parametrize("module", SPOKEN)
def test_no_number_is_typed_into_a_sentence(module: str) -> None:
    sentences = [text for text in spoken(module) if " " in text]
    for allowed in ALLOWED:
        sentences = [text.replace(allowed, "") for text in sentences]
    assert not [text for text in sentences if re.search(r"\d", text)]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_no_word_that_depends_on_a_verdict_is_typed_into_a_page(path: Path) -> None:
    text = prose(path).casefold()
    for verdict in VERDICTS:
        assert verdict not in text
    for wording in WORDINGS.values():
        for verdict in VERDICTS:
            # Its words, but for those that begin every clause of the kind.
            assert wording.under(verdict).casefold() not in text


def test_every_claim_has_four_different_clauses() -> None:
    assert list(WORDINGS) == [claim.id for claim in CATALOGUE]
    for name, wording in WORDINGS.items():
        clauses = {wording.under(verdict) for verdict in VERDICTS}
        assert len(clauses) == 4, name
        assert not any(clause.endswith(".") for clause in clauses)


def test_tests_say_their_own_threshold() -> None:
    for claim in CATALOGUE:
        if claim.threshold is not None:
            said = {f"{claim.threshold:g}".replace("-", "−"), "half", "the same"}
            assert any(word in claim.test.casefold() for word in said), claim.id


def judged_as(table: ClaimsTable, verdict: str) -> ClaimsTable:
    """Return the table with one verdict for every claim, whatever its numbers."""

    def changed(judgement: Judgement) -> Judgement:
        parts = tuple(part.model_copy(update={"verdict": verdict}) for part in judgement.parts)
        return judgement.model_copy(update={"verdict": verdict, "parts": parts})

    claims = tuple(
        claim.model_copy(
            update={"study": changed(claim.study), "original": changed(claim.original)}
        )
        for claim in table.claims
    )
    return table.model_copy(update={"claims": claims})


@pytest.mark.parametrize("verdict", VERDICTS)
def test_sentences_follow_the_verdict(table: ClaimsTable, verdict: str) -> None:
    for claim in judged_as(table, verdict).claims:
        said = findings.finding(claim)
        assert said.startswith(WORDINGS[claim.id].under(verdict))
        others = [WORDINGS[claim.id].under(other) for other in VERDICTS if other != verdict]
        assert not any(said.startswith(other) for other in others)
    whole = findings.summary(judged_as(table, verdict))
    assert whole.startswith(f"{len(CATALOGUE)} are ") and " and " not in whole


@pytest.mark.parametrize(("effect", "side"), [(-0.08, "below"), (0.08, "above")])
def test_a_refuted_equivalence_says_on_which_side(table, effect, side) -> None:
    claim = judged_as(table, "refuted").claim("chance")
    (part,) = claim.study.parts
    judged = claim.study.model_copy(update={"parts": (part.model_copy(update={"effect": effect}),)})
    said = findings.clause(claim.model_copy(update={"study": judged}))
    assert said == f"{WORDINGS['chance'].refuted}: it ends further {side} than the claim allows"


def test_measures_that_disagree_are_named(table: ClaimsTable) -> None:
    claim = judged_as(table, "refuted").claim("explanations")
    assert findings.clause(claim) == WORDINGS["explanations"].refuted
    parts = [
        part.model_copy(update={"verdict": verdict})
        for part, verdict in zip(claim.study.parts, ("supported", "refuted"), strict=True)
    ]
    judged = claim.study.model_copy(update={"parts": tuple(parts)})
    said = findings.clause(claim.model_copy(update={"study": judged}))
    assert said.endswith("not borne out here: they do by spread and do not by area")


@pytest.mark.parametrize(
    ("verdict", "high", "word"),
    [
        ("supported", 0.9, "yes"),
        ("inconclusive", 0.72, "open"),
        ("refuted", 0.6, "no"),
        ("refuted", 0.26, "the other way round"),
    ],
)
def test_what_a_measure_tells_is_one_word(verdict: str, high: float, word: str) -> None:
    assert findings.telling({"verdict": verdict, "high": high}) == word


def test_sentences_quote_the_effect_and_its_wider_interval(table: ClaimsTable) -> None:
    claim = table.claim("collapse")
    (part,) = claim.study.parts
    assert f"{part.effect:.2f} ({part.simultaneous_low:.2f} to" in findings.finding(claim)
    assert "less than 0.50" in findings.finding(claim)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0826, "difference of shares", "8.3"),
        (-0.0241, "difference of shares", "−2.4"),
        (-0.0001, "difference of shares", "0.0"),
        (0.936, "share", "93.6%"),
        (1.6, "ratio", "1.60"),
        (-0.426, "standard deviations", "−0.43"),
        (0.8512, "AUROC", "0.851"),
    ],
)
def test_numbers_take_the_form_of_their_unit(value: float, unit: str, text: str) -> None:
    assert findings.number(value, unit) == text


def test_the_original_is_far_below_guessing(table: ClaimsTable) -> None:
    said = findings.original_finding(table.claim("chance"))
    assert "far below guessing" in said and "−8.0" in said and "not borne out" in said


@needs_demo
@pytest.mark.parametrize("verdict", ["supported", "refuted"])
def test_pages_follow_results_with_opposite_verdicts(
    table: ClaimsTable, tmp_path: Path, verdict: str
) -> None:
    project = copy_of_project(tmp_path)
    folder = project / "build" / "results" / "demo"
    path = folder / "claims.json"
    path.write_text(judged_as(table, verdict).model_dump_json(), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["claims"]["sha256"] = sha256(path)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    shutil.rmtree(project / "build" / "results" / "svhn-subset", ignore_errors=True)
    done = render(project, "--profile", "demo", "--preview")
    assert done.returncode == 0, done.stderr
    page = (project / "build" / "site-demo" / "index.html").read_text(encoding="utf-8")
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for name in ("uneven", "collapse", "chance", "explanations", "connected"):
        assert WORDINGS[name].under(verdict) in text
        others = [other for other in VERDICTS if other != verdict]
        assert not any(WORDINGS[name].under(other) in text for other in others)


def test_the_abstract_is_a_few_sentences(table: ClaimsTable) -> None:
    text = findings.abstract(table, images="1", networks="2", data="3", accuracy="4")
    assert 80 < len(text.split()) < 260
    assert not any(first == second for first, second in pairwise(text.split()))
