"""Papers of predictions alone: what they say whatever was given, and what they do not say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from analysis import pipeline
from analysis import study as studies
from analysis.results import store
from report.figures import explorer
from report.page import Execution
from report.paper import SECTIONS, Paper
from report.site import data_page
from report.tables import protocol
from report.tables import results as tables
from tests.report.test_figures import svg
from tests.report.test_sections import prose
from tests.report.test_values import cells

NAMES = sorted(path.stem for path in SECTIONS.glob("*.md"))
# Words of other studies, and of networks that were trained, mapped or attacked.
FOREIGN = (
    r"(?i)\b(digits?|svhn|notebook|streets?|photos?|house numbers?|resnet|batchnorm|from scratch|"
    r"grad-cam|fgsm|pgd|random weights|recipe|timm|captum|clean images)\b"
)
Frame = Callable[..., pd.DataFrame]


def frame(label: np.ndarray, classes: int, *, strength: float, seed: int = 0) -> pd.DataFrame:
    """Return probabilities that favour the label by ``strength``, -1000 for all wrong."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(label), classes))
    logits[np.arange(len(label)), label] += strength
    names = np.array([f"Kind {number}" for number in range(classes)])
    found = pd.DataFrame(softmax(logits, axis=1), columns=names)
    return found.assign(label=names[label], light=generator.random(len(label)))


def given(folder: Path, content: pd.DataFrame, *, claims: str = "errors", more: str = "") -> Paper:
    """Return the paper of a study of such predictions, run by the project itself."""
    content.to_parquet(folder / "p.parquet")
    text = f"""
title = "Kinds of things"
claims = ["{claims}"]
bootstrap = {{ resamples = 100 }}
images = {{ noun = "kind", nouns = "kinds" }}
predictions = {{ file = "p.parquet", attributes = ["light"] }}
{more}
"""
    path = folder / "alone.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAILURE_MODES_RESULTS", str(folder / "results"))
        pipeline.run(studies.load(path), data=folder, device=None, say=lambda line: None)
        return Paper(store.derived("alone"), Execution(print=False, study="alone"))


LABELS = np.arange(240) % 4
CASES = {
    "two classes": (LABELS % 2, 2, 1.5),
    "a class without an image and one with one": (np.r_[2, LABELS % 2], 4, 1.5),
    "all right": (LABELS, 4, 100.0),
    "all wrong": (LABELS, 4, -1000.0),
    "one image": (np.array([1]), 3, 1.0),
    "a hundred classes": (np.arange(600) % 100, 100, 3.0),
    "a thousand classes": (np.arange(1500) % 1000, 1000, 5.0),
}


@pytest.mark.parametrize("case", CASES)
def test_every_section_is_printed_and_says_nothing_of_what_is_not_there(tmp_path, case):
    label, classes, strength = CASES[case]
    paper = given(tmp_path, frame(label, classes, strength=strength))
    text = "\n\n".join([paper.front_matter(), *(paper.section(name) for name in NAMES)])
    plain = prose(text).replace("\\", "")
    assert not re.findall(r"[^\n]:::", text)
    assert not re.findall(r"\bnan\b|\bNaN\b|\bNone\b|not measured\b(?!\W*\{#)|Undefined", plain)
    assert not re.findall(FOREIGN, plain)
    targets = set(re.findall(r"\{#((?:fig|tbl|sec)-[a-z-]+)", text))
    assert set(re.findall(r"@((?:fig|tbl|sec)-[a-z-]+)", prose(text))) <= targets
    assert {"sec-untested", "fig-confusion", "tbl-classes", "fig-slices"} <= targets
    assert not targets & {"sec-explanations", "sec-fragility", "sec-connection", "tbl-audit"}
    for block in re.findall(r'aria-label="([^"]*)"', text):
        assert not re.findall(r"\bnan\b|\bNone\b", block) and not re.findall(FOREIGN, block)
    drawn = explorer.explorer(paper.results)
    assert svg(drawn.chart).count("<path") > 3 and len(drawn.html()) < 5_000_000
    shown = data_page.tables(data_page.of_runs(paper.derived), prefix="run")
    assert re.findall("^## `(.*?)`", shown, re.MULTILINE) == ["predictions", "attributes"]


def test_the_reason_for_what_is_missing_is_given_once(tmp_path):
    paper = given(tmp_path, frame(LABELS, 4, strength=1.5), claims="general")
    sections = {name: paper.section(name).replace("\\", "") for name in NAMES}
    left_out = {claim.id: claim for claim in paper.claims.left_out}
    assert set(left_out) == {"persistent", "collapse", "direction", "confident", "connected"}
    for claim in left_out.values():
        assert claim.verdict == "not tested"
        assert claim.record.study.reason == "no network: predictions alone"
        said = [name for name, text in sections.items() if claim.record.clause in text]
        assert said == ["untested"]
    assert "no network" not in "".join(sections.values())


def test_words_and_numbers_are_those_of_the_study(tmp_path):
    more = 'paper = { images = "things on a table", data = "Things." }'
    paper = given(tmp_path, frame(LABELS, 4, strength=1.5), more=more)
    assert "that were computed elsewhere are evaluated on things on a table: 240 images" in (
        paper.section("study").replace("\\", "")
    )
    assert "rows of the file p.parquet" in paper.section("methods").replace("\\", "")
    assert paper.study.basis == "240 images, 1 classifier"
    assert [row[0] for row in cells(protocol.versions(paper.results))] == ["python", "numpy"]
    rows = cells(tables.classes(paper.results))
    assert [row[0] for row in rows] == ["(all), mean", *(f"Kind {n}" for n in range(4))]


def test_the_worst_and_the_best_of_many_classes_are_shown_and_all_can_be_chosen(tmp_path):
    paper = given(tmp_path, frame(np.arange(600) % 100, 100, strength=3.0))
    assert len(cells(tables.classes(paper.results))) == 1 + 20
    chart = explorer.explorer(paper.results).chart.to_dict()
    (chosen,) = (one for one in chart["params"] if one["name"] == "chosen_class")
    assert chosen["bind"]["options"] == [f"Kind {number}" for number in range(100)]
    data = explorer.explorer(paper.results).data
    assert data.groupby(["class"])["predicted"].nunique().max() <= 20 + 10
    assert "80 are left out" in paper.section("errors").replace("\\", "")


def test_suspects_of_one_network_are_listed_by_their_row_and_the_surest_of_many(tmp_path):
    label = np.arange(1200) % 4
    wrong = frame(label, 4, strength=6.0)
    wrong["label"] = np.where(
        np.arange(1200) < 300, wrong["label"].to_numpy()[::-1], wrong["label"]
    )
    paper = given(tmp_path, wrong)
    found = paper.results.table("suspects")
    assert set(found["rule"]) == {"one network"} and found["index"].max() < 300 and len(found) > 200
    listed = sum(int(row[1]) for row in cells(tables.suspects(paper.results)))
    assert listed == 200 and paper.whose.suspects_listed == "200"
    assert "by row of the file" in paper.section("details")
