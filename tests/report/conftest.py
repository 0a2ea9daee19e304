"""Rendered copies of the project, made once for all tests that look at pages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from analysis import paths
from report import rendering

PROFILES = {"demo": "build/site-demo", "svhn-subset": "build/site"}


def copy_of_project(folder: Path) -> Path:
    """Copy what rendering reads, so that tests touch neither the pages nor the results here."""
    ignored = shutil.ignore_patterns("__pycache__")
    project = folder / "project"
    for name in ("analysis", "report", "build/results", "build/pictures"):
        shutil.copytree(paths.ROOT / name, project / name, ignore=ignored)
    for path in (*paths.ROOT.glob("*.qmd"), *paths.ROOT.glob("_quarto*.yml")):
        shutil.copy(path, project)
    return project


def render(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run ``python -m report`` in a copy of the project."""
    moved = {"FAILURE_MODES_RESULTS", "FAILURE_MODES_CACHE", "QUARTO_PROFILE"}
    environment = {name: value for name, value in os.environ.items() if name not in moved}
    command = [sys.executable, "-m", "report", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session", params=["preview demo", "preview svhn-subset", "quarto demo"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a rendered site; with Quarto where there is one."""
    renderer, study = request.param.split()
    if not (paths.ROOT / "build" / "results" / study).is_dir():
        pytest.skip(f"{study} has no committed results")
    arguments = [] if study == "svhn-subset" else ["--profile", study]
    if renderer == "preview":
        arguments.append("--preview")
    elif rendering.find_quarto() is None:
        pytest.skip("no Quarto of version 1.8 or later on the PATH")
    project = copy_of_project(tmp_path_factory.mktemp(request.param.replace(" ", "-")))
    done = render(project, *arguments)
    assert done.returncode == 0, done.stderr
    return project / PROFILES[study]


@pytest.fixture
def study_of(site: Path) -> str:
    """Return the name of the study that a rendered site shows."""
    return next(name for name, folder in PROFILES.items() if site.parts[-2:] == Path(folder).parts)


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """Return a browser without a network."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with its driver on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        # The network is off for the page: only this machine has an address.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as chrome:
        yield chrome


def open_page(
    browser: webdriver.Chrome, address: str, *, width: int = 1280, scheme: str = "light"
) -> None:
    """Open a page on a screen of a width, in light or dark, and wait until its charts are drawn."""
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("performance"), browser.get_log("browser")
    browser.set_page_load_timeout(60)
    browser.get(address)
    # Without Vega there are no charts.
    drawn = "return !window.vegaEmbed || document.documentElement.dataset.charts === 'drawn'"
    WebDriverWait(browser, 60).until(lambda chrome: chrome.execute_script(drawn))


def requested(browser: webdriver.Chrome) -> list[str]:
    """Return the addresses that the page asked for since it was opened."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]


def errors(browser: webdriver.Chrome) -> list[str]:
    """Return what the console said was wrong since the page was opened."""
    entries = browser.get_log("browser")
    wrong = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
    # A browser asks for this by itself.
    return [message for message in wrong if "favicon.ico" not in message]
