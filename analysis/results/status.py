"""The analyses of a run, what each depends on, and whether stored results are valid.

A version is raised by hand when an analysis gives other numbers for the same network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.project import files
from analysis.results.records import RunRecord
from analysis.study import Run, Study


@dataclass(frozen=True)
class Kind:
    """One analysis of a run: its tables, the study's sections, the analyses and files it needs.

    Without ``network`` it is about the evaluated images alone, and depends on no weights; ``first``
    analyses are made in the first repeat alone.
    """

    version: int
    tables: tuple[str, ...]
    sections: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    network: bool = True
    first: bool = False


# In the order in which they need one another.
ANALYSES = {
    "attributes": Kind(
        version=1, tables=("attributes",), files=("images.attributes",), network=False
    ),
    # Folds of further repeats hold the same images.
    "duplicates": Kind(version=1, tables=("duplicates",), network=False, first=True),
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
    "corruptions": Kind(
        version=1,
        tables=("corruptions",),
        sections=("corruptions",),
        needs=("predictions",),
    ),
}
TRAINING_VERSION = 2
# Files whose line ends a version control system may change.
_TEXTS = (".csv", ".tsv", ".txt")
# The files that a network, or predictions in its place, come from.
TRAINED_FROM = ("network.weights", "network.start", "predictions.file")
# What a trained network depends on, what every analysis of it depends on, and what the evaluated
# images do.
TRAINED = ("seed", "images", "network", "training", "predictions")
PROBED = ("seed", "images", "network", "predictions")
IMAGES = ("seed", "images")


def wanted(study: Study, repeat: int) -> tuple[str, ...]:
    """Return the analyses that the runs of a repeat should have."""
    maps, predictions = study.maps, study.predictions
    measured = {
        "attributes": predictions is None or bool(predictions.attributes),
        "duplicates": predictions is None,
        "predictions": True,
        "maps": maps is not None and (maps.repeats is None or repeat < maps.repeats),
        "attacks": study.attacks is not None,
        "controls": study.attacks is not None,
        "corruptions": study.corruptions is not None,
    }
    return tuple(
        name
        for name, kind in ANALYSES.items()
        if measured[name] and (repeat == 0 or not kind.first)
    )


def contents(
    study: Study, keys: Iterable[str], recorded: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the SHA-256 of the files that a study names under some keys.

    A file that is not on this machine has the recorded one, so that results are valid without it.
    """
    found = {}
    for key, path in study.files.items():
        if key not in keys:
            continue
        if path.is_file():
            stat = path.stat()
            found[key] = _sha256(path.resolve(), stat.st_size, stat.st_mtime_ns)
        else:
            found[key] = (recorded or {}).get(key, "missing")
    return found


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, modified: int) -> str:
    """Return the SHA-256 of a file, computed again only if its size or time has changed."""
    return files.sha256_of_text(path) if path.suffix.lower() in _TEXTS else files.sha256(path)


def training_digest(study: Study, recorded: Mapping[str, str] | None = None) -> str:
    """Return the digest of all that a network depends on, with the ``contents`` of its files."""
    named = contents(study, TRAINED_FROM, recorded)
    return _digest(study.digest(*TRAINED), str(TRAINING_VERSION), *_lines(named))


def analysis_digest(
    study: Study, name: str, *, weights: str, recorded: Mapping[str, str] | None = None
) -> str:
    """Return the digest of all that an analysis depends on; ``weights`` identifies the network."""
    kind = ANALYSES[name]
    if not kind.network:
        named = _lines(contents(study, kind.files, recorded))
        source = weights if study.predictions else ""
        parts = [*named, *filter(None, [source])]
        return _digest(str(kind.version), study.digest(*IMAGES, *kind.sections), *parts)
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
    digest = training_digest(study, record.training.files)
    return record.training.digest == digest and record.seed == run.seed


def analysis_is_valid(study: Study, name: str, record: RunRecord) -> bool:
    """Return whether a stored analysis is what the study asks for of the record's network."""
    analysis, weights = record.analyses[name], weights_of(record)
    return analysis.digest == analysis_digest(study, name, weights=weights, recorded=analysis.files)


def recipe(study: Study) -> dict[str, Any]:
    """Return what a study says of its networks and their analyses, for the record."""
    measured = ("maps", "attacks", "corruptions")
    return study.content("seed", "images", "network", "training", "predictions", *measured)


def _lines(named: Mapping[str, str]) -> list[str]:
    return [f"{key} {digest}" for key, digest in sorted(named.items())]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
