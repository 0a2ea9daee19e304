"""The explorer: a choice moves every chart, quickly, and shows what the cached results say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import Select, WebDriverWait
from sklearn.metrics import confusion_matrix

from analysis import paths, results
from report import charts
from report.execution import Execution
from report.paper import Paper
from report.quantities import Quantities

FOLDER = paths.ROOT / "build" / "results" / "demo"
LEVEL = 1.275
CELL = "rect mark"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="demo has no committed results")


@pytest.fixture(scope="module")
def stored() -> results.Results:
    return results.load("demo", folder=FOLDER)


@pytest.fixture(scope="module")
def explorer(stored: results.Results):
    context = Execution(print=False, study="demo", offset="")
    return Paper(Quantities(stored), context).figures.explorer()


@pytest.mark.parametrize("attack, name", [("fgsm", "FGSM"), ("random-sign", "random signs")])
def test_the_confusions_are_those_of_all_runs_under_attack(explorer, stored, attack, name):
    rows = stored.table("attacks").query("attack == @attack and epsilon == 0.005")
    expected = confusion_matrix(rows["label"], rows["predicted"], normalize="true")
    data = explorer.data
    data = data[data["attack"].str.startswith(name) & (data["levels"] == LEVEL)]
    found = data.pivot(index="digit", columns="predicted", values="share").to_numpy()
    assert np.allclose(found, expected, atol=1e-4)


def test_the_page_stays_light(explorer):
    assert len(explorer.markdown()) < 450_000


def test_without_calibration_and_maps_their_charts_are_missing(explorer):
    choice = charts.Choice(["0", "1"], [0.0, 1.0], "0", "1", 1.0)
    pairs = [(digit, other, level) for digit in "01" for other in "01" for level in (0.0, 1.0)]
    confusions = pd.DataFrame(pairs, columns=["digit", "predicted", "levels"])
    confusions = confusions.assign(attack="FGSM", share=0.5)
    accuracy = confusions.rename(columns={"share": "value"}).assign(low=0.4, high=0.6)
    nothing = pd.DataFrame()
    chart = charts.explorer(
        confusions, choice=choice, accuracy=accuracy, maps=nothing, reliability=nothing
    )
    whole = explorer.chart.to_dict()
    assert len(chart.to_dict()["concat"]) == len(whole["concat"]) - 2


@pytest.fixture
def page(site: Path, browser: webdriver.Chrome) -> webdriver.Chrome:
    browser.get((site / "explore.html").as_uri())
    drawn = "return document.querySelectorAll('#chart-explorer svg g.mark-rect path').length"
    WebDriverWait(browser, 20).until(lambda chrome: chrome.execute_script(drawn) >= 100)
    return browser


def lists(page: webdriver.Chrome) -> dict[str, Select]:
    """Return the lists above the charts, by what they choose."""
    found = page.find_elements(By.CSS_SELECTOR, "#chart-explorer .vega-bindings select")
    return {each.get_attribute("name").split("_")[0]: Select(each) for each in found}


def words(page: webdriver.Chrome) -> list[str]:
    """Return all text of the charts."""
    script = "return [...document.querySelectorAll('#chart-explorer svg text')]"
    return page.execute_script(f"{script}.map(text => text.textContent)")


def labels(page: webdriver.Chrome, kind: str) -> list[str]:
    """Return what the marks of a kind say to a screen reader."""
    script = "return [...document.querySelectorAll(arguments[0])].map(mark => mark.ariaLabel)"
    return page.execute_script(script, f"#chart-explorer [aria-roledescription='{kind}']")


def test_every_chart_follows_the_digit(page):
    before = {kind: labels(page, kind) for kind in ("bar", "point", CELL)}
    chosen = lists(page)["digit"].first_selected_option.text
    other = "1" if chosen != "1" else "2"
    lists(page)["digit"].select_by_visible_text(other)
    WebDriverWait(page, 5).until(lambda chrome: f"What a {other} is taken for" in words(chrome))
    after = {kind: labels(page, kind) for kind in before}
    for kind, marks in before.items():
        assert set(marks) != set(after[kind]), kind
    for title in (f"Calibration of {other}", f"Accuracy of {other};"):
        assert any(word.startswith(title) for word in words(page)), title
    assert not [word for word in words(page) if word.startswith(f"Calibration of {chosen}")]


def test_a_choice_of_epsilon_shows_the_confusions_there(page, study_of):
    lists(page)["levels"].select_by_index(2)
    WebDriverWait(page, 5).until(
        lambda chrome: any("ε of 1.3 levels" in word for word in words(chrome))
    )
    stored = results.load(study_of, folder=paths.ROOT / "build" / "results" / study_of)
    runs = [run for names in stored.complete_repeats().values() for run in names]
    rows = stored.table("attacks").query("attack == 'fgsm' and epsilon == 0.005")
    rows = rows[rows["run"].isin(runs)]
    expected = confusion_matrix(rows["label"], rows["predicted"], normalize="true")
    marks = [dict(part.split(": ", 1) for part in mark.split("; ")) for mark in labels(page, CELL)]
    cells = [mark for mark in marks if "predicted" in mark]
    assert len(cells) == 100
    for cell in cells:
        share = expected[int(cell["digit"]), int(cell["predicted"])]
        assert float(cell["share"]) == pytest.approx(share, abs=1e-4)


def test_a_click_on_a_cell_chooses_its_digit_and_its_reading(page):
    for cell in page.find_elements(By.CSS_SELECTOR, "#chart-explorer g.mark-rect path"):
        if (cell.get_attribute("aria-label") or "").startswith("read as: 7; digit: 2;"):
            break
    ActionChains(page).move_to_element(cell).click().perform()
    WebDriverWait(page, 5).until(lambda chrome: "A 2 read as 7" in words(chrome))
    chosen = {name: each.first_selected_option.text for name, each in lists(page).items()}
    assert (chosen["digit"], chosen["predicted"]) == ("2", "7")


def resize(page: webdriver.Chrome, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_a_choice_outlives_a_redraw(page):
    resize(page, 1280)
    page.refresh()
    WebDriverWait(page, 20).until(lambda chrome: len(labels(chrome, CELL)) >= 100)
    chosen = lists(page)["digit"].first_selected_option.text
    other = "1" if chosen != "1" else "2"
    title = f"What a {other} is taken for"
    lists(page)["digit"].select_by_visible_text(other)
    lists(page)["levels"].select_by_index(3)
    WebDriverWait(page, 5).until(lambda chrome: title in words(chrome))
    drawn = page.find_element(By.CSS_SELECTOR, "#chart-explorer svg")
    try:
        resize(page, 700)
        WebDriverWait(page, 10).until(staleness_of(drawn))
        WebDriverWait(page, 10).until(lambda chrome: title in words(chrome))
        assert lists(page)["digit"].first_selected_option.text == other
        assert lists(page)["levels"].first_selected_option.text.startswith("2.5 levels")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_choice_takes_less_than_a_second(page):
    script = """
        const [digit, done] = arguments;
        const list = document.querySelector('#chart-explorer select[name^=digit]');
        const start = performance.now();
        list.value = digit;
        list.dispatchEvent(new Event('change', { bubbles: true }));
        const look = () => {
          const text = document.querySelector('#chart-explorer svg').textContent;
          if (text.includes(`What a ${digit} is taken for`)) done(performance.now() - start);
          else requestAnimationFrame(look);
        };
        look();
    """
    page.set_script_timeout(10)
    assert page.execute_async_script(script, "4") < 1000
