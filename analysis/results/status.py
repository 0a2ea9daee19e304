"""The analyses of a run, what each depends on, and whether stored results are valid.

A version is raised by hand when an analysis gives other numbers for the same network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.results.records import RunRecord
from analysis.study import Run, Study


@dataclass(frozen=True)
class Kind:
    """One analysis of a run: its tables, the study's sections and the analyses it needs.

    Without ``network`` it is about the evaluated images alone, and depends on no weights; ``first``
    analyses are made in the first repeat alone.
    """

    version: int
    tables: tuple[str, ...]
    sections: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    network: bool = True
    first: bool = False


# In the order in which they need one another.
ANALYSES = {
    "attributes": Kind(version=1, tables=("attributes",), network=False),
    "predictions": Kind(version=2, tables=("predictions",)),
    "maps": Kind(
        version=3, tables=("maps", "mean_maps"), sections=("maps",), needs=("predictions",)
    ),
    "attacks": Kind(
        version=2,
        tables=("attacks", "perturbations"),
        sections=("attacks",),
        needs=("predictions",),
    ),
    "controls": Kind(
        version=1,
        tables=("controls", "gradients"),
        sections=("attacks",),
        needs=("predictions",),
        first=True,
    ),
}
TRAINING_VERSION = 2
# What a trained network depends on, what every analysis of it depends on, and what the evaluated
# images do.
TRAINED = ("seed", "images", "network", "training")
PROBED = ("seed", "images", "network")
IMAGES = ("seed", "images")


def wanted(study: Study, repeat: int) -> tuple[str, ...]:
    """Return the analyses that the runs of a repeat should have."""
    mapped = study.maps.repeats is None or repeat < study.maps.repeats
    return tuple(
        name
        for name, kind in ANALYSES.items()
        if (repeat == 0 or not kind.first) and (mapped or name != "maps")
    )


def training_digest(study: Study) -> str:
    """Return the digest of all that a trained network depends on."""
    return _digest(study.digest(*TRAINED), str(TRAINING_VERSION))


def analysis_digest(study: Study, name: str, *, weights: str) -> str:
    """Return the digest of all that an analysis depends on; ``weights`` identifies the network."""
    kind = ANALYSES[name]
    if not kind.network:
        return _digest(str(kind.version), study.digest(*IMAGES, *kind.sections))
    needed = [analysis_digest(study, other, weights=weights) for other in kind.needs]
    sections = study.digest(*PROBED, *kind.sections)
    return _digest(weights, str(kind.version), sections, *needed)


def derived_digest(study: Study, records: Iterable[RunRecord], *, version: int, claims: str) -> str:
    """Return the digest of all that is derived from some runs; ``claims`` identifies the claims."""
    tables = (
        f"{record.name} {name} {entry.sha256}"
        for record in records
        for name, entry in sorted(record.tables.items())
    )
    return _digest(study.digest("seed", "images", "bootstrap"), str(version), claims, *tables)


def weights_of(record: RunRecord) -> str:
    """Return what identifies a run's network: its tensors or, if unknown, its training."""
    return record.training.weights or record.training.digest


def training_is_valid(study: Study, run: Run, record: RunRecord) -> bool:
    """Return whether a record's network is the one that the study asks for."""
    return record.training.digest == training_digest(study) and record.seed == run.seed


def analysis_is_valid(study: Study, name: str, record: RunRecord) -> bool:
    """Return whether a stored analysis is what the study asks for of the record's network."""
    digest = analysis_digest(study, name, weights=weights_of(record))
    return record.analyses[name].digest == digest


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
