"""The audit page: what it does not say, and what its readers save."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from analysis import images as sources
from analysis.audit import page
from analysis.images import Images
from analysis.project.errors import UserError
from analysis.results import readings
from tests.conftest import small_study
from tests.report.site.conftest import browser, errors, requested  # noqa: F401

NAMES = ("cat", '</script><b id="x">', 'a, "b"', "catfish", *map(str, range(4, 10)))


def content_of(html: str) -> dict:
    (found,) = re.findall(r'<script id="content" type="application/json">(.*?)</script>', html)
    return json.loads(found)


def test_suspects_come_among_as_many_others_in_the_same_order_every_time() -> None:
    index, suspected = np.arange(100, 200), np.array([105, 150, 199])
    chosen = page.choose(index, suspected, seed=1)
    assert np.array_equal(chosen, page.choose(index, suspected, seed=1))
    assert not np.array_equal(chosen, page.choose(index, suspected, seed=2))
    assert len(set(chosen)) == 6 and set(suspected) <= set(index[chosen])
    assert len(page.choose(index[:4], index[:3], seed=1)) == 4
    # Neither first nor last: the mean place of suspects is that of the others.
    places = [np.isin(page.choose(index, suspected, seed=s), [5, 50, 99]) for s in range(200)]
    assert np.mean([np.flatnonzero(each).mean() for each in places]) == pytest.approx(2.5, abs=0.2)


def test_the_page_has_pixels_and_neither_labels_nor_predictions(digits: Images) -> None:
    positions = digits.positions("test")[[7, 3, 90]]
    html = page.render(small_study(), digits, positions)
    content = content_of(html)
    assert set(content) == {"study", "noun", "images", "classes", "pictures"}
    assert [set(each) for each in content["pictures"]] == [{"index", "png"}] * 3
    assert [each["index"] for each in content["pictures"]] == [7, 3, 90]
    for each, position in zip(content["pictures"], positions, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(each["png"]))))
        assert np.array_equal(shown, digits.pixels[position])
    # Other labels give the same page.
    other = replace(digits, labels=(digits.labels + 1) % 10)
    again = page.render(small_study(), other, positions)
    assert again.replace(other.digest()[:12], digits.digest()[:12]) == html


def test_what_the_page_needs(
    digits: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = small_study(), tmp_path / "pages" / "a.html"
    suspects = pd.DataFrame({"index": [4, 9]})
    record = SimpleNamespace(images=digits.digest())
    results = SimpleNamespace(record=record, table=lambda name: suspects)
    monkeypatch.setattr(page, "derived", lambda name: results)
    monkeypatch.setattr(sources, "load", lambda study, folder: digits)
    assert page.write(study, data=tmp_path, out=out) == out
    assert len(content_of(out.read_text(encoding="utf-8"))["pictures"]) == 4
    # Whatever split the study evaluates.
    trained = study.images.model_copy(update={"evaluate": "train"})
    page.write(study.model_copy(update={"images": trained}), data=tmp_path, out=out)
    shown = content_of(out.read_text(encoding="utf-8"))["pictures"]
    assert {each["index"] for each in shown} <= {*digits.index[digits.positions("train")].tolist()}
    record.images = "0" * 64
    with pytest.raises(UserError, match="not those behind the results"):
        page.write(study, data=tmp_path, out=out)
    suspects = suspects[:0]
    with pytest.raises(UserError, match="no suspected label"):
        page.write(study, data=tmp_path, out=out)


Opened = Callable[..., webdriver.Chrome]


@pytest.fixture
def opened(browser: webdriver.Chrome, digits: Images, tmp_path: Path) -> Opened:  # noqa: F811
    """Return a function that opens a page of three digits and begins as a reader."""
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)

    def begin(reader: str, *, classes: tuple[str, ...] = digits.classes) -> webdriver.Chrome:
        named = replace(digits, classes=classes)
        html = page.render(small_study(), named, digits.positions("test")[[7, 3, 90]])
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        browser.get_log("performance"), browser.get_log("browser")
        browser.get(path.as_uri())
        browser.find_element("id", "reader").send_keys(reader, Keys.ENTER)
        return browser

    return begin


def press(chrome: webdriver.Chrome, *keys: str) -> None:
    chrome.switch_to.active_element.send_keys(*keys)


def text(chrome: webdriver.Chrome, name: str) -> str:
    return chrome.find_element("id", name).text


def saved(chrome: webdriver.Chrome, path: Path) -> str:
    chrome.find_element("id", "save").click()
    WebDriverWait(chrome, 10).until(lambda _: path.is_file())
    return path.read_text(encoding="utf-8")


def test_digits_are_read_with_one_key_each(opened: Opened, tmp_path: Path) -> None:
    chrome = opened("anna")
    assert text(chrome, "place") == "Picture 1 of 3"
    press(chrome, "5")
    press(chrome, "x")
    press(chrome, Keys.ESCAPE)
    assert text(chrome, "place") == "Picture 3 of 3"
    press(chrome, Keys.ARROW_LEFT)
    assert text(chrome, "note") == "Before, you read it as unreadable."
    # Closed and opened again, it continues with what is not read.
    chrome = opened("anna")
    assert text(chrome, "place") == "Picture 3 of 3"
    press(chrome, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    press(chrome, "6")
    press(chrome, Keys.ESCAPE)
    press(chrome, "0")
    expected = "study,reader,index,reading\nsmall,anna,3,\nsmall,anna,7,6\nsmall,anna,90,0\n"
    assert saved(chrome, tmp_path / "anna.csv") == expected
    # Another reader begins anew.
    assert text(opened("bert"), "place") == "Picture 1 of 3"
    assert errors(chrome) == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requested(chrome))


def test_names_are_typed_and_hostile_ones_are_text(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chrome = opened("carl", classes=NAMES)
    assert not chrome.find_elements("id", "x")
    press(chrome, "dog", Keys.ENTER)
    assert text(chrome, "note") == "No single class begins so."
    press(chrome, Keys.CONTROL, "a", Keys.NULL, "CAT", Keys.ENTER)
    press(chrome, "</s", Keys.ENTER)
    press(chrome, 'a, "b"', Keys.ENTER)
    saved(chrome, tmp_path / "carl.csv")
    assert errors(chrome) == []
    (tmp_path / "small").mkdir()
    (tmp_path / "carl.csv").rename(tmp_path / "small" / "carl.csv")
    monkeypatch.setattr(readings, "FOLDER", tmp_path)
    index = np.array([3, 7, 90])
    found = readings.load("small", classes=NAMES, index=index)["carl"]
    assert [NAMES[each] for each in found] == [NAMES[1], "cat", 'a, "b"']
