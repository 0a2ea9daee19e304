"""Which analyses there are, what each depends on, and the version of its numbers.

A version is raised by hand when an analysis gives other numbers for the same run. Results are
stale when the study's part that they depend on, or one of these versions, has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.study import TRAINED, Study


@dataclass(frozen=True)
class Analysis:
    """One analysis of a trained run: its tables, and the sections and analyses behind it.

    ``data`` names the data sets that it can be made of; it is made of every one where empty.
    """

    version: int
    tables: tuple[str, ...]
    sections: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


TRAINING_VERSION = 1
ESTIMATES_VERSION = 2
CLAIMS_VERSION = 1

ANALYSES = {
    "predictions": Analysis(version=1, tables=("predictions",)),
    "saliency": Analysis(version=1, tables=("saliency", "maps"), sections=("saliency",)),
    "attacks": Analysis(
        version=1, tables=("attacks",), sections=("attack",), needs=("predictions",)
    ),
    "controls": Analysis(
        version=1, tables=("controls", "attacked", "perturbations"), sections=("controls",)
    ),
    "randomised": Analysis(
        version=1, tables=("randomised",), sections=("saliency",), needs=("predictions",)
    ),
    # Only drawn digits come with the pixels that are theirs.
    "localisation": Analysis(
        version=1,
        tables=("localisation",),
        sections=("saliency",),
        needs=("predictions",),
        data=("streetdigits",),
    ),
}


def of(study: Study) -> tuple[str, ...]:
    """Return the names of the analyses that a study has, in the order that they need another."""
    return tuple(
        name
        for name, analysis in ANALYSES.items()
        if not analysis.data or study.data.name in analysis.data
    )


def training_digest(study: Study) -> str:
    """Return the digest of all that a trained run depends on."""
    return _digest(study.digest(*TRAINED), str(TRAINING_VERSION))


def digest(study: Study, name: str) -> str:
    """Return the digest of all that the results of an analysis depend on."""
    analysis = ANALYSES[name]
    parts = [training_digest(study), str(analysis.version)]
    if analysis.sections:
        parts.append(study.digest(*analysis.sections))
    parts += [digest(study, needed) for needed in analysis.needs]
    return _digest(*parts)


def derived_digest(study: Study, version: int, files: Iterable[str]) -> str:
    """Return the digest of what is derived from the tables of all runs, which ``files`` names."""
    return _digest(study.digest("seed", "split", "bootstrap"), str(version), *files)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
