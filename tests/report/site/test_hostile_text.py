"""Every text that somebody else may write, hostile, on the pages of a whole site in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium import webdriver

from analysis import derivation
from analysis.study import Study
from report.site import quarto
from tests import made_up
from tests.report.site.conftest import copy_of_project, errors, open_page

SECRET = "the-secret-of-this-machine"
TEXT = (
    "=1+1 {{< env HOSTILE >}} <script>hacked=1</script> <img src=x onerror=hacked=1> "
    '[l](javascript:hacked=1) [x]{onclick="hacked=1"} @fig-z $y$ `a` https://evil.example ::: |'
)
FOUND = r"""
const all = [...document.querySelectorAll('*')];
const attributes = all.flatMap(one => [...one.attributes]);
return {
  ran: typeof window.hacked !== 'undefined',
  scripts: all.filter(one => one.tagName == 'SCRIPT' && one.text == 'hacked=1').length,
  handlers: attributes.filter(one => /^on/.test(one.name) && one.value.includes('hacked')).length,
  broken: attributes.filter(one => /[^\w:.-]/.test(one.name)).length,
  links: all.filter(one => /^javascript:|evil[.]example/.test(one.getAttribute('href'))).length,
  images: all.filter(one => one.getAttribute('src') == 'x').length,
}
"""  # noqa: E501
# Texts that are checked against what is known, or name what is looked for; none reaches a page
# unless there is such a thing.
KNOWN = {
    *("Study.name", "Study.claims", "Study.published", "Study.companion", "Study.claim"),
    *("Images.source", "Images.path", "Images.dataset", "Images.function", "Images.attributes"),
    *("Images.fit", "Images.damaged", "Images.train", "Images.evaluate"),
    *("Network.weights", "Network.start", "Paper.cites", "Change.claim"),
    *("Training.schedule", "Training.precision"),
}


def hostile() -> dict[str, Any]:
    """Return a study whose every free text is hostile."""
    layers = [f"{number} {TEXT}" for number in (1, 2)]
    change = {"claim": "easy", "before": TEXT, "said": TEXT, "why": TEXT}
    words = ("description", "data", "caveat", "recipe", "thresholds", "readers", "exploratory")
    return {
        "title": TEXT,
        "repeats": 2,
        "images": {
            **{"source": "svhn-subset", "folds": 2, "noun": TEXT, "nouns": TEXT, "terms": TEXT},
            "show": True,
        },
        "network": {"model": TEXT, "size": 64},
        "training": {"learning_rate": 1e-3, "stages": [{"size": 64, "epochs": 2}]},
        "maps": {"layers": layers},
        "attacks": {
            **{"epsilons": [0, 0.015], "native_epsilons": [0.015], "sample_epsilons": [0.015]}
        },
        "bootstrap": {"resamples": 100},
        "claim": [
            {
                **{"id": "easy", "statement": TEXT, "says": TEXT, "test": "error ratio"},
                **{"classes": [f"1 {TEXT}"], "above": 1.25},
            }
        ],
        "paper": {
            **{"subtitle": TEXT, "keywords": [TEXT], "images": TEXT, "changes": [change]},
            **dict.fromkeys(words, f"{TEXT}\n\n# A heading\n\n---\nx: y"),
        },
    }


def test_every_text_of_a_study_is_hostile_here() -> None:
    """Or is known: a text that is added to the form has to be added above."""
    schema = Study.model_json_schema()
    written = hostile()
    sections = {
        **{"Study": written, "Images": written["images"], "Network": written["network"]},
        **{"Maps": written["maps"], "Paper": written["paper"]},
        "Change": written["paper"]["changes"][0],
    }
    for name, form in {"Study": schema, **schema["$defs"]}.items():
        # Predictions alone name files and columns.
        for key, value in form["properties"].items() if name != "Predictions" else ():
            if '"string"' in json.dumps(value) and f"{name}.{key}" not in KNOWN | {
                "Network.arguments",
                "Images.arguments",
            }:
                assert TEXT in json.dumps(sections[name][key]).replace('\\"', '"'), (name, key)


@pytest.fixture(scope="module", params=["preview", pytest.param("quarto", marks=pytest.mark.slow)])
def pages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return the folder of a site whose every text is hostile."""
    if request.param == "quarto" and quarto.find_quarto() is None:
        pytest.skip("no Quarto of version 1.8 or later on the PATH")
    folder = tmp_path_factory.mktemp(f"hostile-{request.param}")
    project = copy_of_project(folder)
    profile = (project / "_quarto-demo.yml").read_text(encoding="utf-8")
    profile = profile.replace("build/site-demo", "build/site-made").replace(
        "study: demo", "study: made"
    )
    (project / "_quarto-made.yml").write_text(profile, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAILURE_MODES_RESULTS", str(project / "build" / "results"))
        patch.setitem(made_up.PROVENANCE, "device", TEXT[:120])
        patch.setattr(made_up, "attributes", _attributes)
        study = Study.model_validate({"name": "made", **hostile()})
        store = made_up.filled(study, classes=3, images=60)
        for record in list(store.runs.values()):
            names = tuple(f"{number} {TEXT}" for number in range(3))
            store.write_run(record.model_copy(update={"classes": names}))
        derivation.derive(store, say=lambda line: None)
    moved = {"FAILURE_MODES_RESULTS", "FAILURE_MODES_CACHE", "QUARTO_PROFILE", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in moved}
    command = [sys.executable, "-m", "report", "--profile", "made"]
    command += ["--preview"] if request.param == "preview" else []
    done = subprocess.run(
        command, cwd=project, env=environment | {"HOSTILE": SECRET}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    yield project / "build" / "site-made"


def _attributes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one attribute with two values."""
    index = rows["index"].to_numpy()
    values = [f"{number % 2} {TEXT}" for number in index]
    found = {"index": index, "attribute": f"attribute {TEXT}", "number": float("nan")}
    return pd.DataFrame({**found, "category": values}).astype({"category": "str"})


def test_hostile_text_is_text_and_nothing_else(pages: Path, browser: webdriver.Chrome) -> None:
    for path in pages.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path.name
    shown = ""
    for page in sorted(pages.glob("*.html")):
        open_page(browser, page.as_uri())
        found = browser.execute_script(FOUND)
        assert not any(found.values()), (page.name, found)
        assert not errors(browser), page.name
        shown += browser.execute_script("return document.body.textContent")
    # A title, a class, a layer, an attribute and a device are read as they were written.
    words = " ".join(shown.split())
    for text in (TEXT, f"1 {TEXT}", f"2 {TEXT}", TEXT[:120]):
        assert " ".join(text.split()) in words, text
