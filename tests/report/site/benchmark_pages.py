"""How long a reader waits for the charts: from asking for a page to the last chart drawn.

Run by ``make benchmark``. Two seconds on a machine with two free cores is what is meant to be kept.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver

from tests.report.site.conftest import open_page


@pytest.mark.parametrize("page", ["index.html", "explore.html"])
@pytest.mark.parametrize("width", [390, 1280])
def test_charts_are_drawn(
    site: Path, browser: webdriver.Chrome, benchmark, width: int, page: str
) -> None:
    address = (site / page).as_uri()
    open_page(browser, address, width=width)
    benchmark.pedantic(
        open_page, args=(browser, address), kwargs={"width": width}, rounds=3, warmup_rounds=0
    )
    (drawn,) = browser.execute_script(
        "return performance.getEntriesByName('charts drawn').map(entry => entry.startTime)"
    )
    benchmark.extra_info["milliseconds from navigation to the last chart"] = round(drawn)
