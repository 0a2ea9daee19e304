"""The JSON files of the results: ``run.json`` in each run's folder, and ``claims.json``.

Each is sealed (see ``analysis.results.sealed``).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from analysis.project.errors import UserError
from analysis.project.forms import Section
from analysis.project.paths import shown
from analysis.results.schemas import ALL
from analysis.results.sealed import Broken, Sealed
from analysis.study import NAME, Study

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z.+!_-]{1,40}$")]
Package = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,60}$")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}(-modified)?$")] | None
Device = Annotated[str, Field(min_length=1, max_length=120)]
ClassName = Annotated[str, Field(min_length=1, max_length=200)]


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"),
    AfterValidator(_moment),
]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("must be distinct")
    if ALL in names:
        raise ValueError(f"must not include {ALL!r}, which means every class")
    return names


def _plain_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("must be a plain name")
    return name


Classes = Annotated[
    tuple[ClassName, ...], Field(min_length=2, max_length=1000), AfterValidator(_distinct)
]


class TableEntry(Section):
    """One Parquet file, which is named after its content."""

    file: Annotated[str, Field(pattern=r"^[a-z_]{1,30}-[0-9a-f]{12}\.parquet$")]
    sha256: Digest
    rows: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _is_named_after_its_content(self) -> Self:
        if not self.file.endswith(f"-{self.sha256[:12]}.parquet"):
            raise ValueError("must be named after its SHA-256")
        return self


class Provenance(Section):
    """How something was computed; ``digest`` identifies all that it depends on.

    ``files`` identifies the content of files that the study names, by key.
    """

    digest: Digest
    files: dict[str, Digest] = {}
    device: Device
    packages: dict[Package, Version]
    revision: Revision
    finished: Moment
    seconds: Annotated[float, Field(ge=0, le=1e9)]


class Training(Provenance):
    """How a network was trained, or where it comes from, and the digest of its tensors.

    ``weights`` is ``None`` for a network whose tensors were never identified, and for predictions
    alone. A network that was not trained here has no ``history`` and no training images.
    """

    weights: Digest | None
    training_images: Annotated[int, Field(ge=0, lt=2**31)]
    history: TableEntry | None


class Input(Section):
    """What a network takes: square images of ``size`` pixels, normalised in [0, 1] pixel units."""

    size: Annotated[int, Field(ge=1, le=4096)]
    channels: Annotated[int, Field(ge=1, le=1000)]
    mean: Annotated[tuple[float, ...], Field(max_length=1000)]
    std: Annotated[tuple[float, ...], Field(max_length=1000)]


class Analysis(Provenance):
    """One analysis of a network."""

    tables: dict[str, TableEntry]


class RunRecord(Sealed):
    """One network and what has been computed from it; ``recipe`` is what the study said."""

    format: Literal[2] = 2
    study: Annotated[str, AfterValidator(_plain_name)]
    repeat: Annotated[int, Field(ge=0)]
    fold: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]
    images: Digest
    classes: Classes
    recipe: dict[str, Any]
    input: Input | None = None
    training: Training
    analyses: dict[str, Analysis] = {}

    @property
    def name(self) -> str:
        """Return the name of the run's folder."""
        return f"r{self.repeat}f{self.fold}"

    @property
    def tables(self) -> dict[str, TableEntry]:
        """Return every table by its name."""
        history = self.training.history
        found = {"history": history} if history else {}
        for analysis in self.analyses.values():
            found |= analysis.tables
        return found


Verdict = Literal["holds", "does not hold", "undecided", "not tested"]
# On which side of the threshold a claim expects its effect; "within": no further from zero.
Side = Literal["above", "below", "within"]
# The unit of an effect, which decides how it is written.
Unit = Literal[
    "share", "difference of shares", "ratio", "correlation", "standard deviations", "AUROC"
]
# What can be reported with a claim. A test names those that it reports, so that asking for a
# misspelt one is an error.
Kind = Literal[
    "error of the worst class",
    "error of the best class",
    "hierarchical range",
    "share in the pairs",
    "share in the pairs by chance",
    "contrast",
    "contrast within classes",
    "rank correlation with confidence",
    "accuracy under attack",
    "loss under FGSM",
    "median confidence when right",
    "median confidence of clean errors",
    "median confidence under attack",
    "AUROC against clean errors",
    "AUROC on clean errors",
    "mean temperature",
    "flipped if others err",
    "flipped if others are right",
]


class Effect(Section):
    """What a claim is about, as measured.

    ``low`` and ``high`` are the ends of the ordinary interval; ``adjusted_low`` and
    ``adjusted_high`` are one-sided bounds at the ``level`` that Holm's procedure gave the claim,
    and the thresholds at which its verdict would change. ``p`` is that of the side that the effect
    lies on. ``detectable`` is the smallest effect detectable with 80 % power, if any.
    """

    value: float
    low: float
    high: float
    adjusted_low: float
    adjusted_high: float
    level: float
    p: float
    standard_error: float
    detectable: float | None


class Reported(Section, allow_inf_nan=True):
    """A number reported with a claim, which decides nothing; its interval is the ordinary one.

    ``part`` names the class, attack or measure that it belongs to, ``layer`` and ``weights`` the
    maps. NaN means undefined on these data.
    """

    kind: Kind
    value: float
    low: float | None = None
    high: float | None = None
    part: str = ""
    layer: str = ""
    weights: str = ""


class Variant(Section):
    """Another reasonable choice: what it changes, and its effect with the ordinary interval.

    ``met`` says whether its effect lies where the claim expects it. Without an effect, ``reason``
    says why.
    """

    label: str
    changes: dict[str, Any]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    met: bool | None = None
    reason: str = ""


class Judgement(Section):
    """The verdict on a claim from one body of evidence; ``reason`` says why not, or assumptions.

    ``met`` says whether the effect itself lies where the claim expects it.
    """

    verdict: Verdict
    reason: str = ""
    effect: Effect | None = None
    met: bool | None = None
    reported: tuple[Reported, ...] = ()
    variants: tuple[Variant, ...] = ()


class ClaimRecord(Section):
    """A claim, its test in words, and its verdicts.

    ``clause`` states the claim as the test understands it, ``measured`` names its effect, and
    ``reports`` are the kinds of numbers that the test reports. ``published`` is the verdict on
    published results, if the study names any.
    """

    id: str
    statement: str
    says: str
    test: str
    parameters: dict[str, Any]
    sentence: str
    clause: str
    measured: str
    unit: Unit
    side: Side | None
    threshold: float | None
    reports: tuple[Kind, ...]
    study: Judgement
    published: Judgement | None

    @property
    def confirmatory(self) -> bool:
        """Return whether the claim has a threshold."""
        return self.threshold is not None


class Family(Section):
    """Claims judged on one body of evidence, which share the error rate."""

    tested: int
    resamples: int


class ClaimsRecord(Sealed):
    """All that was derived from the complete repeats of a study: its claims and its tables.

    ``inputs`` identifies everything that it was derived from, and ``groups`` counts the groups of
    the evaluated images. The study is the one at that time; ``input`` is what its networks take and
    ``layers`` are those that were mapped.
    """

    format: Literal[3] = 3
    study: Study
    classes: Classes
    images: Digest
    inputs: Digest
    repeats: dict[int, tuple[str, ...]]
    groups: int
    input: Input | None = None
    layers: tuple[str, ...] = ()
    alpha: float
    level: float
    family: Family
    published: Family | None
    introduction: str
    claims: tuple[ClaimRecord, ...]
    tables: dict[str, TableEntry]

    def claim(self, name: str) -> ClaimRecord:
        """Return a claim by its id. Raises ``UserError`` for one that the study does not have."""
        for claim in self.claims:
            if claim.id == name:
                return claim
        raise UserError(f"{self.study.name} has no claim {name!r}.")


def damaged(path: Path, reason: Broken, *, study: str) -> UserError:
    """Return the error for a damaged file of a study's results."""
    return UserError(
        f"{shown(path)} {reason}.\nRestore it with `git restore {shown(path.parent)}`, or compute "
        f"it again with `python -m analysis run {study}`."
    )
