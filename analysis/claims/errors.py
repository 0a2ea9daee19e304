"""Tests about errors on clean images: how many, in which classes, and how confident."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analysis.claims.judging import Finding, reported
from analysis.claims.registry import test
from analysis.inference.calibration import scaled_confidence
from analysis.inference.certainty import auroc
from analysis.inference.effects import Range, correlations, hierarchical_range
from analysis.inference.evidence import ALONE, Evidence, NotTested
from analysis.inference.slices import fixed_difference, fixed_ratio
from analysis.project.forms import Flag
from analysis.results.records import Reported
from analysis.study import Line, Share

Names = Annotated[tuple[Line, ...], Field(min_length=1)]
# The error of a class with fewer images has no standard error to speak of.
FEWEST = 10


@test(
    "accuracy",
    sentence="The accuracy{trained}",
    clause="overall accuracy is high",
    sides=("above",),
    effect="accuracy",
    unit="share",
)
def accuracy(evidence: Evidence, *, source: Line | None = None) -> Finding:
    """Return the overall accuracy; with ``source``, of networks trained on its training images."""
    if source is not None and evidence.source != source:
        raise NotTested(f"the networks were not trained on the training split of {source}")
    return Finding.of(evidence.accuracy())


@test(
    "error range",
    sentence="The range of the {nouns}' errors, by simultaneous intervals for all pairs,",
    clause="errors are uneven over the {nouns}",
    sides=("above",),
    effect="range of the errors",
    unit="difference of shares",
    reports=("error of the worst class", "error of the best class", "hierarchical range"),
)
def error_range(
    evidence: Evidence, *, estimate: Literal["simultaneous", "hierarchical"] = "simultaneous"
) -> Finding:
    """Return the range of the errors of the classes that have at least ten images."""
    number = np.bincount(evidence.label, minlength=len(evidence.classes))
    known = np.flatnonzero(number >= FEWEST)
    if len(known) < 2:
        raise NotTested(f"fewer than two classes have {FEWEST} images")
    errors, floor = evidence.class_errors[:, known], _least_error(evidence, known)
    errors = errors[np.isfinite(errors).all(axis=1)]
    model = hierarchical_range(errors, floor, seed=evidence.seed)
    if estimate == "hierarchical":
        return Finding(model)
    names = [evidence.classes[place] for place in known]
    extremes = {
        "error of the worst class": errors[0].argmax(),
        "error of the best class": errors[0].argmin(),
    }
    return Finding(
        Range(errors, floor),
        (
            *(
                reported(kind, errors[:, place], part=names[place])  # type: ignore[arg-type]
                for kind, place in extremes.items()
            ),
            reported("hierarchical range", np.append(model.value, model.drawn)),
        ),
    )


def _least_error(evidence: Evidence, known: np.ndarray) -> np.ndarray:
    """Return the least standard error of each class, (K,).

    A class without an error has none in any resample. Two more of each outcome give what its images
    can rule out (Agresti and Coull 1998, *Approximate Is Better than "Exact" for Interval
    Estimation of Binomial Proportions*).
    """
    number = np.bincount(evidence.label, minlength=len(evidence.classes))[known]
    wrong = number * evidence.class_errors[0, known]
    share = (wrong + 2) / (number + 4)
    few = np.minimum(wrong, number - wrong) < 1
    return np.where(few, np.sqrt(share * (1 - share) / (number + 4)), 0)


@test(
    "error difference",
    sentence="The error of {group}, minus that of {rest}{fixing},",
    clause="{group} {errs} {more} than {rest}",
    sides=("above", "below"),
    effect="difference in error",
    unit="difference of shares",
)
def error_difference(
    evidence: Evidence,
    *,
    classes: Names,
    others: Names | None = None,
    left_out: Names | None = None,
    fixed: Line | None = None,
) -> Finding:
    """Return the error of some classes together, minus that of others or of all others.

    ``left_out`` are in neither group.
    """
    members, rest = _groups(evidence, classes, others, left_out)
    if fixed is None:
        return Finding.of(_error_of(evidence, members) - _error_of(evidence, rest))
    return Finding.of(fixed_difference(evidence, members, rest, attribute=_known(evidence, fixed)))


@test(
    "error ratio",
    sentence="The error of {group}, divided by that of {rest}{fixing},",
    clause="{group} {errs} {more} than {rest}",
    sides=("above", "below"),
    effect="ratio of the errors",
    unit="ratio",
)
def error_ratio(
    evidence: Evidence,
    *,
    classes: Names,
    others: Names | None = None,
    left_out: Names | None = None,
    fixed: Line | None = None,
) -> Finding:
    """Return the error of some classes together, over that of others or of all others.

    ``left_out`` are in neither group.
    """
    members, rest = _groups(evidence, classes, others, left_out)
    if fixed is None:
        return Finding.of(_error_of(evidence, members) / _error_of(evidence, rest))
    return Finding.of(fixed_ratio(evidence, members, rest, attribute=_known(evidence, fixed)))


@test(
    "persistence",
    sentence="The correlation of the {nouns}' errors between repeats, without the noise of the "
    "images,",
    clause="the pattern of errors persists across trainings",
    sides=("above",),
    effect="correlation of the errors between repeats",
    unit="correlation",
)
def persistence(evidence: Evidence) -> Finding:
    """Return the correlation of the classes' errors between repeats.

    All repeats see the same images, whose noise they share; it is subtracted.
    """
    if len(evidence.classes) < 3:
        raise NotTested("two classes have no order to correlate")
    errors = evidence.class_errors_by_repeat
    repeats = several_repeats(evidence, errors.shape[1])
    errors = errors[..., ~np.isnan(errors[0]).any(axis=0)]
    pairs = [(a, b) for a in range(repeats) for b in range(repeats) if a < b]
    return Finding.of_correlation(correlations(errors, errors, pairs))


@test(
    "confident errors",
    sentence="The share of the errors{clean} made with a confidence{scaling} of {confidence} or "
    "more",
    clause="many errors{clean} are confident ones",
    sides=("above",),
    effect="share of confident errors",
    unit="share",
    reports=("AUROC on clean errors",),
)
def confident_errors(
    evidence: Evidence, *, confidence: Share = 0.9, scaled: Flag = False
) -> Finding:
    """Return the share of the errors that were made with high confidence."""
    sure = confidences(evidence, scaled=scaled)
    right, wrong = ~evidence.wrong, evidence.wrong
    if not wrong.any():
        raise NotTested("there are no errors")
    numbers: tuple[Reported, ...] = ()
    if (right.any(axis=1) & wrong.any(axis=1)).all():
        numbers = (reported("AUROC on clean errors", auroc(evidence, sure, right, sure, wrong)),)
    return Finding.of(_share(evidence, wrong & (sure >= confidence), wrong), numbers)


@test(
    "none",
    sentence="Not tested: {reason}",
    clause="",
    sides=(),
    effect="",
    unit="share",
)
def none(evidence: Evidence, *, reason: Line) -> Finding:
    """Raise ``NotTested``: the claim has no threshold."""
    raise NotTested(reason)


def several_repeats(evidence: Evidence, repeats: int) -> int:
    """Return the number of repeats. Raises ``NotTested`` for a single one."""
    if repeats < 2:
        raise NotTested(ALONE if evidence.alone else f"needs two repeats, and has {repeats}")
    return repeats


def confidences(evidence: Evidence, *, scaled: bool) -> np.ndarray:
    """Return the confidence of each prediction, (R, N). Raises ``NotTested``."""
    if evidence.confidence is None or (scaled and evidence.logits is None):
        raise NotTested("the confidence of single predictions is not known")
    if not scaled or evidence.logits is None:
        return evidence.confidence
    return scaled_confidence(evidence.logits, evidence.temperatures, evidence.predicted)


def _groups(
    evidence: Evidence,
    classes: Sequence[str],
    others: Sequence[str] | None,
    left_out: Sequence[str] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which images are of some classes, and of others or of all others, bool (N,)."""
    members, rest = evidence.members(classes), evidence.members(left_out or ())
    return members, ~(members | rest) if others is None else evidence.members(others)


def _known(evidence: Evidence, attribute: str) -> str:
    """Return an attribute. Raises ``NotTested`` if none is known of the images."""
    if not evidence.attributes:
        raise NotTested("no attribute of the images is known")
    return attribute


def _error_of(evidence: Evidence, members: np.ndarray) -> np.ndarray:
    """Return the error of some images together, (1 + B,)."""
    every = np.broadcast_to(members, evidence.wrong.shape)
    return _share(evidence, evidence.wrong & members, every)


def _share(evidence: Evidence, some: np.ndarray, all_: np.ndarray) -> np.ndarray:
    """Return the share of predictions (R, N) that some of all are, (1 + B,)."""
    columns = np.stack([some.mean(axis=0), all_.mean(axis=0)], axis=1)
    sums = evidence.resamples.sums(columns)
    return sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
