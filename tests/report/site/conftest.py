"""Small results, a small project, rendered copies of this one, and a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from analysis.project import paths
from analysis.results import store
from analysis.results.records import ClaimsRecord
from analysis.study import Paper, load
from report.site import quarto
from tests.made_up import add_run

SITES = {"demo": "build/site-demo", "svhn-subset": "build/site"}
HOSTILE = '{{< include /etc/hostname >}} </script><b>"x" `*a*` $y$ @fig-z [l](javascript:1)'
FINISHED = "2026-01-31T12:00:00+00:00"


def write_results(**study_changes: object) -> store.Derived:
    """Write results of the demo with one run, one claim and two derived tables."""
    study = load("demo").model_copy(update={"paper": Paper(subtitle="A subtitle"), **study_changes})
    results = store.Store(study, paths.results(study.name))
    add_run(results, study.runs[0], classes=2, analyses=())
    runs = pd.DataFrame(
        {
            **{"run": ["r0f0"], "seed": [0], "accuracy": [0.9], "worst": ["=two"]},
            **{"worst_accuracy": [0.8], "training_images": [9], "seconds": [1.0]},
            **{"finished": [FINISHED], "trained": [FINISHED], "device": [HOSTILE]},
            **{"revision": ["abcdef012345"], "analysed": ["abcdef012345-modified"]},
            "packages": ["torch 2.11"],
        }
    )
    suspects = pd.DataFrame({"index": [7], "label": ["one"], "predicted": ["=two"]})
    suspects = suspects.assign(confidence=pd.Series([0.9], dtype="float32"), rule="confident")
    effect = {"value": 0.9, "low": 0.8, "high": 0.95, "adjusted_low": 0.7, "adjusted_high": 0.97}
    effect |= {"level": 0.05, "p": 0.001, "standard_error": 0.01, "detectable": None}
    claim = {"id": "accuracy", "statement": "It is high.", "says": "", "test": "accuracy"}
    claim |= {"parameters": {"above": 0.5}, "sentence": "", "clause": "it is high"}
    claim |= {"measured": "accuracy", "unit": "share", "side": "above", "threshold": 0.5}
    claim |= {"reports": (), "study": {"verdict": "holds", "effect": effect, "met": True}}
    claim |= {"published": {"verdict": "not tested", "reason": "nothing is published"}}
    record = {"study": study, "classes": ("one", "two"), "images": "1" * 64, "inputs": "2" * 64}
    record |= {"repeats": {0: ("r0f0",)}, "groups": 9, "alpha": 0.05, "level": 0.95}
    record |= {"family": {"tested": 1, "resamples": 100}, "published": None}
    record |= {"introduction": "", "claims": (claim,)}
    results.write_derived(
        {"runs": runs, "suspects": suspects},
        lambda entries: ClaimsRecord.model_validate({**record, "tables": entries}),
    )
    return store.derived(study.name)


@pytest.fixture
def derived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> store.Derived:
    """Small results of the demo, in a folder of their own."""
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    return write_results()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, derived: store.Derived) -> Path:
    """A project of two pages that shows the small results, taken for this one."""
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    monkeypatch.delenv("QUARTO_PROFILE", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "_quarto.yml").write_text(
        "project: {output-dir: build/site, render: [index.qmd, data.qmd]}\nstudy: demo\n"
    )
    (folder / "index.qmd").write_text("```{python}\n6 * 7\n```\n")
    (folder / "data.qmd").write_text("Data.\n")
    monkeypatch.setattr(paths, "ROOT", folder)
    return folder


def copy_of_project(folder: Path) -> Path:
    """Copy what rendering reads, so that tests touch neither the pages nor the results here."""
    ignored = shutil.ignore_patterns("__pycache__")
    project = folder / "project"
    for name in ("analysis", "report", "build/results", "build/pictures"):
        shutil.copytree(paths.ROOT / name, project / name, ignore=ignored)
    for path in chain.from_iterable(map(paths.ROOT.glob, ("*.qmd", "*.ipynb", "_quarto*.yml"))):
        shutil.copy(path, project)
    shutil.copy(paths.scale(), project / "build")
    return project


@pytest.fixture(scope="session")
def study_of() -> str:
    """Return the study whose site is rendered: the main one, or without a Quarto the demo."""
    return "svhn-subset" if quarto.find_quarto() else "demo"


@pytest.fixture(scope="session")
def site(study_of: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a rendered site: Quarto's where there is one, as readers will have it.

    The preview's pages are also made, and opened in a browser, by the test of hostile text.
    """
    project = copy_of_project(tmp_path_factory.mktemp("site"))
    render(project, *([] if study_of == "svhn-subset" else ["--profile", "demo", "--preview"]))
    return project / SITES[study_of]


def render(project: Path, *arguments: str) -> None:
    """Render a project, and check that nothing is left next to its pages."""
    moved = {"FAILURE_MODES_RESULTS", "FAILURE_MODES_CACHE", "QUARTO_PROFILE", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in moved}
    command = [sys.executable, "-m", "report", *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not [*project.glob("*.html"), *project.glob("*_files"), *project.glob("*.pdf")]


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
