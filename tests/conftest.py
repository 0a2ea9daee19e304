"""What several test files share: a small study, small digits, a network that has learned them."""

from __future__ import annotations

import os

# Before torch is imported: on one thread sums are added in one order, here and in the processes
# that tests start, so that results can be compared bit for bit.
os.environ["OMP_NUM_THREADS"] = "1"

import csv
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from analysis.images import Images
from analysis.networks import training
from analysis.networks.classifier import Classifier
from analysis.project import paths
from analysis.study import Study

if TYPE_CHECKING:
    from tests.playground import Playground

# A shell that starts the tests in the background has Ctrl-C ignored, by the processes that they
# start and interrupt as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

CPU = torch.device("cpu")
# At 64×64 its layer3 is 4×4 and its layer2 8×8, as layer4 and layer3 of a ResNet-18 are at 128×128.
SMALL = {
    "name": "small",
    "title": "A small network on small digits",
    "images": {"source": "svhn-subset"},
    "network": {"model": "test_resnet", "size": 64},
    "training": {
        "learning_rate": 3e-3,
        "schedule": "one-cycle",
        "warmup": 0.2,
        "batch_size": 32,
        "stages": [{"size": 64, "epochs": 3}],
    },
    "maps": {"layers": ["layer3.0", "layer2.0"]},
    "attacks": {"epsilons": [0, 0.02, 0.05, 0.1]},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="CSV file for the outcome of each test.")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file, and all that look at the rendered pages, on one process."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return file.replace("test_pages.py", "test_in_browser.py")

    return ByFile(config, log)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write the outcome, the seconds and the recorded figures of each test that was run."""
    if path := config.getoption("--figures"):
        reports = [
            (report.nodeid, outcome, round(report.duration), report.user_properties)
            for outcome in ("passed", "failed", "skipped")
            for report in terminalreporter.stats.get(outcome, ())
            if report.when == "call" or outcome == "skipped"
        ]
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["test", "outcome", "seconds", "figures"])
            for test, outcome, seconds, figures in sorted(reports):
                rows.writerow([test, outcome, seconds, "; ".join(f"{k} {v}" for k, v in figures)])


def small_study(**sections: object) -> Study:
    """Return the small study with whole sections replaced."""
    return Study.model_validate({**SMALL, **sections})


def data_file(name: str) -> Path:
    """Return a data file, and skip the test if it is missing."""
    for folder in (paths.data(), paths.ROOT.parent / "shared" / "data"):
        if (folder / name).is_file():
            return folder / name
    pytest.skip(f"{name} is missing; see the README for where to put data")


@pytest.fixture(scope="session")
def digits() -> Images:
    """scikit-learn's handwritten digits, 32×32, in pairs: 960 to train on, 130 to evaluate on."""
    rows, labels = load_digits(return_X_y=True)
    rows, labels = rows[:1090], labels[:1090]
    grey = (rows.reshape(-1, 8, 8) * 15).astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    index = np.concatenate([np.arange(960), np.arange(130)])
    return Images(
        pixels=grey[..., None].repeat(3, axis=3),
        labels=labels.astype(np.int64),
        classes=tuple("0123456789"),
        split=np.repeat(["train", "test"], [960, 130]),
        index=index,
        group=index // 2,
    )


@pytest.fixture(scope="session")
def learned(digits: Images, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A network that has learned the small digits, as the probes get it."""
    study = small_study()
    classifier, _ = training.fit(
        study,
        study.runs[0],
        digits,
        positions=digits.positions("train"),
        device=CPU,
        checkpoint=tmp_path_factory.mktemp("learned") / "checkpoint",
    )
    classifier.zero_grad(set_to_none=True)
    return classifier.requires_grad_(False)


@pytest.fixture
def playground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Playground:
    """Return a playground in which nothing has been done yet; this process works there too."""
    from tests.playground import new_playground

    place = new_playground(tmp_path)
    for name, value in place.variables.items():
        monkeypatch.setenv(name, value)
    return place


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Playground:
    """Return a playground in which the tiny study ran from beginning to end; not to be changed."""
    from tests.playground import new_playground, run_main

    place = new_playground(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in place.variables.items():
            monkeypatch.setenv(name, value)
        assert run_main("run", place.study) == 0
    return place


@pytest.fixture
def finished(undisturbed: Playground, playground: Playground) -> Playground:
    """Return a copy of the undisturbed playground, to be damaged at will."""
    shutil.copytree(undisturbed.folder, playground.folder, dirs_exist_ok=True)
    return playground


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command line here: its status, output and errors."""
    from tests.playground import run_main

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run_main(*arguments)
        return status, *capsys.readouterr()

    return run
