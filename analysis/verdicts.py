"""The form in which claims and their verdicts are stored, as ``claims.json`` holds it."""

from __future__ import annotations

from typing import Literal

from analysis.study import Section

Verdict = Literal["supported", "refuted", "inconclusive", "not tested"]
# Which side of the threshold a claim puts its effect on; "within": no further from zero than it.
Side = Literal["above", "below", "within"]
# What an effect is measured in, so that whoever shows it knows how.
Unit = Literal[
    "share", "difference of shares", "ratio", "correlation", "standard deviations", "AUROC"
]

# From this confidence on a prediction counts as made with confidence.
SURE = 0.9
# A saliency measure tells something if its AUROC lies above this with its whole interval, and fails
# if it lies below with the whole of it.
TELLING = 0.7


class Part(Section):
    """One effect that a claim is about.

    ``low`` and ``high`` are the ends of the ordinary interval; ``simultaneous_low`` and ``_high``
    those of the wider one that the verdict rests on. ``turns_at`` holds the thresholds at which the
    verdict would be another. ``detectable`` is the effect nearest to the threshold that would have
    been called supported four times in five, were it the true one; none where none would.
    """

    name: str
    verdict: Verdict
    effect: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float
    standard_error: float
    turns_at: tuple[float, ...]
    detectable: float | None


class Beside(Section, ser_json_inf_nan="strings"):
    """A number to show beside a claim, which decides nothing; its interval is the ordinary one.

    NaN says that it is not defined on these data; JSON has no number for that, but the word.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None


class Judgement(Section):
    """What one body of data says of a claim; ``reason`` says why nothing, or what was assumed."""

    verdict: Verdict
    reason: str = ""
    parts: tuple[Part, ...] = ()
    beside: tuple[Beside, ...] = ()

    def value(self, name: str) -> Beside:
        """Return one of the numbers beside."""
        return next(one for one in self.beside if one.name == name)


class ClaimRecord(Section):
    """A claim with what was fixed beforehand, and its verdicts for the study and the original."""

    id: str
    statement: str
    says: str
    test: str
    refuted_by: str
    effect: str
    unit: Unit
    side: Side | None
    threshold: float | None
    study: Judgement
    original: Judgement

    @property
    def confirmatory(self) -> bool:
        """Tell whether the claim has a threshold to be judged by."""
        return self.threshold is not None


class ClaimsTable(Section):
    """All claims of a study. ``tested`` and ``tested_original`` share the error rate ``alpha``."""

    format: Literal[1] = 1
    study: str
    study_digest: str
    digest: str
    alpha: float
    level: float
    tested: int
    tested_original: int
    resamples: int
    resamples_original: int
    claims: tuple[ClaimRecord, ...]

    def claim(self, name: str) -> ClaimRecord:
        """Return a claim by its id."""
        return next(claim for claim in self.claims if claim.id == name)
