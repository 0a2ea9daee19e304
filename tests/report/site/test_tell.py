"""The page "Can you tell?": what it shows, what it counts, and what it saves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from statsmodels.stats.proportion import proportion_confint

from analysis.inference.answers import guesses
from analysis.results import answers, pictures
from analysis.results.records import ClaimRecord
from analysis.results.store import Derived
from report.numbers.results import Results
from report.page import Execution
from report.pictures import address
from report.site.tell import Tell
from tests.report.conftest import papers  # noqa: F401
from tests.report.site.conftest import browser, errors, open_page, requested  # noqa: F401
from tests.report.test_pictures import ROWS, Made, chosen, file

EXECUTION = Execution(print=False, study="made")
PAIR = ROWS[-1]
CLEAN, ATTACKED = file(), file("WEBP", 64)
SIDES = ("left", "right", "right")


def of_study(paper, *, show: bool = True, tables: bool = True, **changes: object) -> Made:
    base = paper.derived
    images = base.study.images.model_copy(update={"show": show, "terms": "drawn by hand"})
    study = base.study.model_copy(update={"images": images})
    record = base.record.model_copy(update={"study": study, **changes})
    rows = chosen([("pair", index, *PAIR[2:]) for index in (20, 5, 9)])
    found = {"pictures": rows.assign(side=SIDES), "guesses": guesses(12, level=0.95)}
    return Made(Derived(base.folder, record), found if tables else {})


@pytest.fixture
def tell(papers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tell]:  # noqa: F811
    """Return a function that opens the page of a study with three pairs."""

    def opened(
        *,
        drawn: bool = True,
        execution: Execution = EXECUTION,
        **changes: object,
    ) -> Tell:
        monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
        whole = of_study(papers())
        table = whole.table("pictures")[["group", "index"]]
        content = dict.fromkeys(pictures.PANELS) | {"clean": CLEAN, "attacked": ATTACKED}
        if drawn:
            pictures.write(whole, table.assign(**{k: [v] * 3 for k, v in content.items()}))
        return Tell(Results(of_study(papers(), **changes)), execution)

    return opened


def content_of(page: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="tell-content">(.*?)</script>', page)
    return json.loads(found)


def test_each_pair_has_the_attacked_image_on_its_side(tell) -> None:
    content = content_of(tell().pairs)
    assert content["columns"] == list(answers.COLUMNS) and content["epsilon"] == 0.015
    assert [pair["index"] for pair in content["pairs"]] == [20, 5, 9]
    for pair, side in zip(content["pairs"], SIDES, strict=True):
        other = "right" if side == "left" else "left"
        assert (pair["side"], pair[side], pair[other]) == (side, address(ATTACKED), address(CLEAN))


def test_without_the_web_a_sentence_says_that_the_pairs_need_it(tell) -> None:
    said = tell(execution=Execution(print=True, study="made")).pairs
    assert said == "The pairs and their buttons need the web page."


def test_every_score_is_said_with_its_exact_interval(tell) -> None:
    found = tell().scores
    assert len(found) == 4
    for right, said in enumerate(found):
        low, high = proportion_confint(right, 3, method="beta")
        assert f"You found {right} of 3" in said
        assert f"{100 * right / 3:.1f}% ({100 * low:.1f}% to {100 * high:.1f}%)" in said
        assert "as guessing might" in said


def test_the_strength_is_said_at_the_end_alone(tell) -> None:
    page = tell()
    visible = re.sub(r"<script\b.*?</script>", "", page.question + page.pairs, flags=re.DOTALL)
    before, after = visible.split('id="tell-done"')
    assert "0.015" not in before and "ε = 0.015" in after and "3.8 of 255 levels" in after
    assert "drawn by hand" in page.question


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"drawn": False}, "analysis pictures made"),
        ({"show": False}, "must not be shown"),
        ({"tables": False}, "analysis pictures made"),
    ],
)
def test_without_pairs_the_page_says_why(tell, options: dict, reason: str) -> None:
    page = tell(**options)
    assert reason in page.question.replace("\\", "") and page.pairs == ""


def claim(verdict: str, **changes: object) -> ClaimRecord:
    effect = {"value": 0.55, "low": 0.4, "high": 0.7, "adjusted_low": 0.4, "adjusted_high": 0.7}
    effect |= {"level": 0.05, "p": 0.3, "standard_error": 0.07, "detectable": None}
    study = {"verdict": verdict, "effect": effect, "met": True, "reason": "one reader"} | changes
    content = {"id": "seen", "statement": "It cannot be seen.", "says": "", "parameters": {}}
    content |= {"test": "share recognised", "sentence": "", "clause": "", "measured": "share"}
    content |= {"unit": "share", "side": "below", "threshold": 0.6, "reports": ()}
    return ClaimRecord.model_validate(content | {"study": study, "published": None})


def test_the_page_says_what_readers_found_so_far(tell) -> None:
    assert tell().answers == ""
    nobody = claim("not tested", effect=None, reason="nobody has been asked")
    assert tell(claims=(nobody,)).answers == "**Nobody has been asked** so far."
    said = tell(claims=(claim("undecided"),)).answers
    assert "55.0% (40.0% to 70.0%) of the pairs (one reader)" in said and "*undecided*" in said


# ------------------------------------------------------------------------------ in a browser


@pytest.fixture
def opened(tell, browser: webdriver.Chrome, tmp_path: Path) -> webdriver.Chrome:  # noqa: F811
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    body = tell().pairs.removeprefix("```{=html}\n").removesuffix("\n```")
    page = tmp_path / "tell.html"
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Tell</title>'
    page.write_text(f"{head}<main>{body}</main></html>", encoding="utf-8")
    open_page(browser, page.as_uri(), width=390)
    return browser


def seen(chrome: webdriver.Chrome, name: str) -> str:
    return chrome.find_element("id", f"tell-{name}").text


def test_answers_are_given_by_key_and_by_mouse_and_saved(
    opened: webdriver.Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chrome = opened
    assert "0.015" not in chrome.find_element("tag name", "main").text
    chrome.find_element("id", "tell-begin").send_keys(Keys.ENTER)
    assert seen(chrome, "place") == "Pair 1 of 3"
    chrome.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    chrome.find_element("id", "tell-right").click()
    assert seen(chrome, "place") == "Pair 3 of 3"
    # Nothing says whether an answer was right before the end, and until then it can be changed.
    chrome.find_element("id", "tell-back").click()
    assert seen(chrome, "place") == "Pair 2 of 3"
    chrome.find_element("id", "tell-right").click()
    chrome.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert seen(chrome, "score").startswith("You found 1 of 3, as guessing might: 33.3%")
    assert "✓ attacked: right, your answer: right" in seen(chrome, "pairs")
    assert "ε = 0.015" in seen(chrome, "done")
    width = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert chrome.execute_script(width) <= 0
    chrome.find_element("id", "tell-reader").send_keys("anna", Keys.ENTER)
    path = tmp_path / "anna.csv"
    WebDriverWait(chrome, 10).until(lambda _: path.is_file())
    assert path.read_text(encoding="utf-8").splitlines() == [
        "reader,pair,index,side,answer,right,epsilon",
        "anna,1,20,left,right,0,0.015",
        "anna,2,5,right,right,1,0.015",
        "anna,3,9,right,left,0,0.015",
    ]
    # Whoever has seen the solution cannot save another score.
    chrome.find_element("id", "tell-again").click()
    for _ in range(3):
        chrome.find_element("id", "tell-left").click()
    assert "You found 1 of 3" in seen(chrome, "score")
    assert not chrome.find_element("id", "tell-reader").is_displayed()
    assert errors(chrome) == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requested(chrome))
    # What the page saves is what the analysis reads.
    (tmp_path / "made").mkdir()
    path.rename(tmp_path / "made" / "anna.csv")
    monkeypatch.setattr(answers, "FOLDER", tmp_path)
    (found,) = answers.load("made", index=np.array([5, 9, 20])).values()
    assert found.tolist() == [1, 0, 0]
