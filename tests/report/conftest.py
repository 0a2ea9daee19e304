"""Papers of made-up results: derived by the project itself from tables drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import derivation
from analysis.project import paths
from analysis.results import status, store
from report.page import Execution
from report.paper import Paper
from tests import made_up

HOSTILE = (
    '<script>alert("1")</script>',
    "{{< include /etc/hostname >}}",
    "`*a*` $y$ @fig-z [l](javascript:1) | ```",
    "=SUM(A1)\n---\nx: y",
)
ALL = tuple(status.ANALYSES)
PREDICTED = ("attributes", "duplicates", "predictions")


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Paper]:
    """Return a function that makes the paper of results with some classes and analyses."""
    made: dict[tuple[object, ...], store.Derived] = {}

    def paper(
        classes: int | tuple[str, ...] = 3,
        *,
        analyses: tuple[str, ...] = ALL,
        text: str = "",
        study: str = made_up.STUDY,
        printed: bool = False,
    ) -> Paper:
        key = (classes, analyses, text + study)
        if key not in made:
            folder = tmp_path_factory.mktemp("results")
            # Set for this alone: other tests of the process read the committed results.
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("FAILURE_MODES_RESULTS", str(folder))
                made[key] = _derived(folder, classes, analyses=analyses, text=text + study)
        return Paper(made[key], Execution(print=printed, study="made"))

    return paper


def _derived(
    folder: Path, classes: int | tuple[str, ...], *, analyses: tuple[str, ...], text: str
) -> store.Derived:
    study = made_up.made_up_study(folder, text)
    count = classes if isinstance(classes, int) else len(classes)
    found = made_up.filled(study, classes=count, images=max(60, 4 * count), analyses=analyses)
    if not isinstance(classes, int):
        for record in list(found.runs.values()):
            found.write_run(record.model_copy(update={"classes": classes}))
    derivation.derive(found, say=lambda line: None)
    return store.derived(study.name)


@pytest.fixture(scope="session")
def committed() -> Callable[..., Paper]:
    """Return a function that opens the paper of a study whose results are committed."""

    def paper(name: str) -> Paper:
        if not (paths.ROOT / "build" / "results" / name / store.CLAIMS).is_file():
            pytest.skip(f"{name} has no committed results")
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("FAILURE_MODES_RESULTS", raising=False)
            return Paper(store.derived(name), Execution(print=False, study=name))

    return paper
