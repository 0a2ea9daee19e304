"""The sections of the paper: every one can be printed, whatever was measured."""

from __future__ import annotations

import re

import pytest
import yaml

from analysis import derivation
from analysis.claims.registry import TESTS
from analysis.project.errors import UserError
from analysis.results import store
from report import paper as papers_module
from report.numbers import claims
from report.numbers.claim import ClaimNumbers
from report.page import Execution
from report.paper import SECTIONS, Paper
from tests import made_up
from tests.report.conftest import ALL, HOSTILE, PREDICTED

NAMES = sorted(path.stem for path in SECTIONS.glob("*.md"))
OWN = """
claims = []
claim = [{ id = "mine", statement = "It is often right.", test = "accuracy", above = 0.5 }]
"""


def whole(paper) -> str:
    return "\n\n".join([paper.front_matter(), *(paper.section(name) for name in NAMES)])


def prose(text: str) -> str:
    """Return a text without raw blocks."""
    return re.sub(r"^```\{=.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("classes", "analyses", "printed"),
    [
        (2, ALL, False),
        (3, PREDICTED, True),
        (3, (*PREDICTED, "maps"), False),
        (10, ALL, True),
        (100, ALL, False),
    ],
)
def test_every_section_is_printed_whatever_was_measured(papers, classes, analyses, printed):
    text = whole(papers(classes, analyses=analyses, printed=printed))
    assert not re.findall(r"(?i)\bnan\b|\bNone\b|(?<!was )not measured|Undefined", prose(text))
    targets = set(re.findall(r"\{#((?:fig|tbl|sec)-[a-z-]+)", text))
    assert set(re.findall(r"@((?:fig|tbl|sec)-[a-z-]+)", prose(text))) <= targets
    assert ("sec-explanations" in targets) == ("maps" in analyses)
    assert ("fig-fragility" in targets) == ("attacks" in analyses)
    blocks = re.findall(r"^```\{=(\w+)\}$", text, re.MULTILINE)
    assert set(blocks) == {"typst" if printed else "html"}
    assert ("80 are left out" in text) == (classes == 100)


@pytest.mark.parametrize(
    "epsilons", [[k / 255 for k in (0, 1, 2, 4, 8)], [k / 1000 for k in range(30)]]
)
def test_any_strengths_of_attacks_are_reported(papers, epsilons):
    given = made_up.STUDY.replace("epsilons = [0, 0.015]", f"epsilons = {epsilons}")
    given = re.sub(r"attacks\.(native|sample)_epsilons.*\n", "", given)
    text = prose(whole(papers(3, study=given)))
    assert not re.findall(r"(?i)\bnan\b|\bNone\b|Undefined", text)


def test_a_class_without_an_evaluated_image_is_never_a_number(papers, monkeypatch):
    original = made_up.predictions

    def predictions(images, *, classes, seed):
        rows = original(images, classes=classes, seed=seed)
        return rows.assign(label=rows["label"].replace(2, 0))

    monkeypatch.setattr(made_up, "predictions", predictions)
    text = prose(whole(papers(4, text="# Without class 2.\n")))
    assert not re.findall(r"(?i)\bnan\b|\bNone\b|Undefined", text)
    assert "class 2" in text


@pytest.mark.parametrize("last", [(), ("attributes", "duplicates", "predictions")])
def test_four_of_five_folds_are_refused_or_shown_by_predictions(tmp_path, monkeypatch, last):
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path))
    one = made_up.STUDY.replace("repeats = 2", "repeats = 1").replace("folds = 2", "folds = 5")
    study = made_up.made_up_study(tmp_path, one)
    opened = store.Store.open(study)
    for run in study.runs[:4]:
        made_up.add_run(opened, run)
    if last:
        made_up.add_run(opened, study.runs[4], analyses=last)
    derivation.derive(opened, say=lambda line: None)
    if not last:
        with pytest.raises(UserError, match="has no complete repeat yet"):
            store.derived("made")
        return
    text = prose(whole(Paper(store.derived("made"), Execution(print=False, study="made"))))
    assert not re.findall(r"(?i)\bnan\b|\bNone\b|Undefined", text)


GIVEN = """
title = "A network that was given"
images = { source = "folder", path = "things", size = 64, evaluate = "all" }
network = { model = "python:mine.models:build", weights = "kept/w.safetensors", size = 64 }
bootstrap = { resamples = 100 }
"""
TUNED = """
title = "A network that was fine-tuned"
images = { source = "folder", path = "things", size = 64, evaluate = "all", folds = 2 }
network = { model = "test_resnet", start = "kept/imagenet.safetensors", size = 64 }
training = { learning_rate = 1e-3, stages = [{ size = 64, epochs = 2 }] }
bootstrap = { resamples = 100 }
"""


def test_a_network_that_was_given_was_not_trained_here(papers):
    text = prose(whole(papers(study=GIVEN))).replace("\\", "")
    assert not re.findall(r"(?i)\bnan\b|\bNone\b|scratch|AdamW|timm|test split|recipe\b", text)
    assert "The network that the function mine.models:build makes is evaluated as it is" in text
    assert "with the weights of w.safetensors; nothing is trained here" in text
    assert "Here, one network that was trained elsewhere is evaluated on 60 images" in text
    assert "The study has no attacks and no Grad-CAM maps" in text
    assert "Claims that need them were left out: accuracy collapses" in text
    assert "If it was trained on images that it is evaluated on" in text


def test_a_network_that_was_fine_tuned_began_with_the_weights_of_a_file(papers):
    text = prose(whole(papers(study=TUNED))).replace("\\", "")
    assert "A test_resnet from timm [@wightman2019] is fine-tuned with AdamW" in text
    assert "beginning with the weights of imagenet.safetensors" in text
    assert "The 60 images are evaluated by 2-fold cross-validation" in text
    assert not re.findall(r"(?i)\bnan\b|\bNone\b|scratch|test split|always trained on", text)


def test_without_published_results_nothing_is_said_of_an_original(papers):
    text = prose(whole(papers()))
    assert not re.findall(r"(?i)original|notebook|SVHN|publication|digit", text)


@pytest.mark.parametrize("printed", [False, True])
def test_hostile_class_names_are_text_and_nothing_else(papers, printed):
    text = whole(papers(HOSTILE, printed=printed))
    assert "<script>alert" not in text and "{{<" not in text
    assert "\n---\nx" not in text and "\n```" not in text.replace("\n```{=", "").replace(
        "\n```\n", ""
    )
    assert "](javascript" not in prose(text) and "*a*" not in prose(text)


def test_a_study_with_a_claim_of_its_own_reports_it(papers):
    paper = papers(3, text=OWN, analyses=PREDICTED)
    assert len(paper.claims) == 1
    assert "claimed: more than 50.0%, which" in paper.section("study").replace("\\", "")
    assert "It is often right" in paper.section("answer")


def test_a_misspelt_name_in_a_template_is_an_error_with_its_line(papers, tmp_path, monkeypatch):
    monkeypatch.setattr(papers_module, "SECTIONS", tmp_path)
    for wrong in (
        "study.tilte",
        'claims[0].reported("error of the wurst class")',
        'has("mean_map")',
        "figure.fragilty()",
        'value.attacked("fgms", 0.1)',
        'claims.about("error rage")',
    ):
        (tmp_path / "wrong.md").write_text(f"One.\n\n{{{{ {wrong} }}}}\n", encoding="utf-8")
        with pytest.raises(UserError, match=r"wrong\.md, line 3: "):
            papers().section("wrong")
    (tmp_path / "wrong.md").write_text("One.\n{% if %}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"wrong\.md, line 2: "):
        papers().section("wrong")
    with pytest.raises(UserError, match="no section 'wring'; the nearest is 'wrong'"):
        papers().section("wring")


@pytest.mark.parametrize("name", ["svhn-subset", "demo"])
def test_every_committed_claim_is_reported_in_its_section(committed, name):
    paper = committed(name)
    text = prose(whole(paper)).replace("\\", "")
    assert "not measured" not in text
    for claim in paper.claims:
        assert claim.finding in text


def test_the_report_knows_every_test():
    assert {test for each in claims.TOPICS.values() for test in each} | {"none"} == set(TESTS)


def test_metadata_holds_no_shortcode_and_ends_no_attribute(papers):
    text = """paper = { subtitle = '{{< x >}}" y', keywords = ['"><b>'] }\n"""
    front = papers(3, text=text, analyses=PREDICTED).front_matter()
    found = yaml.safe_load(front.strip("-\n"))
    # Quarto joins escaped braces, so something else has to keep them apart.
    assert found["subtitle"] == "\\{\u2060\\{\\< x \\>\\}\u2060\\}” y"
    assert found["keywords"] == ["”\\>\\<b\\>"] and found["date"] == "2026-01-02"


def test_an_abstract_states_no_claim_that_does_not_hold(committed, monkeypatch):
    paper = committed("demo")
    assert paper.claim("explanations").verdict == "does not hold"
    monkeypatch.setattr(ClaimNumbers, "mostly_turned", "10 of 11")
    assert "have more diffuse" not in paper.section("abstract")
