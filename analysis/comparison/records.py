"""What a comparison says, as it is printed in JSON: B minus A, in shares."""

from __future__ import annotations

from typing import Literal

from analysis.project.forms import Section
from analysis.results.records import Verdict

Name = Literal[
    "accuracy",
    "error of the worst class",
    "calibration error",
    "accuracy under attack",
    "accuracy on corrupted images",
    "error of a class",
]


class Interval(Section):
    """An estimate with the ends of its interval."""

    value: float
    low: float
    high: float


class Measure(Section):
    """One measure of both studies; only paired ones have a difference.

    ``part`` is the attack, corruption or class, ``strength`` the ε or strength. ``images`` are
    those behind it, those of B in ``images_b`` where they are others.
    """

    measure: Name
    part: str = ""
    strength: float | None = None
    images: int
    images_b: int
    a: Interval
    b: Interval
    difference: Interval | None = None


class Answer(Section):
    """The verdict of one study on a claim, with its effect if it was tested."""

    verdict: Verdict
    value: float | None = None
    low: float | None = None
    high: float | None = None


class ClaimPair(Section):
    """A claim of both studies, or of one; ``same_test`` says whether it means the same in both."""

    id: str
    statement: str
    measured: str
    same_test: bool
    a: Answer | None
    b: Answer | None


class McNemar(Section):
    """McNemar's exact test of equal accuracy; it takes images as independent."""

    only_a_right: int
    only_b_right: int
    p: float


class Failure(Section):
    """A measure by which B is worse: its drop, and the end of the interval that decides."""

    measure: Name
    part: str = ""
    drop: float
    bound: float


class Gate(Section):
    """Whether B passed; ``left_out`` are classes with too few groups of images to be judged."""

    margin: float
    strict: bool
    passed: bool
    failures: tuple[Failure, ...]
    left_out: tuple[str, ...]


class Side(Section):
    """One of the two studies."""

    name: str
    title: str
    images: int
    groups: int
    repeats: int


class Comparison(Section):
    """Study B against study A; without pairs ``reason`` says why there are none."""

    a: Side
    b: Side
    paired: bool
    reason: str
    level: float
    resamples: int
    measures: tuple[Measure, ...]
    mcnemar: McNemar | None
    claims: tuple[ClaimPair, ...]
    gate: Gate | None

    def of(self, name: Name) -> list[Measure]:
        """Return the measures of one name."""
        return [measure for measure in self.measures if measure.measure == name]
