"""Whether B is worse than A by more than a margin, for use in continuous integration."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from analysis.comparison.pairs import Pair
from analysis.comparison.records import Failure, Gate, Name
from analysis.comparison.worst import least_paired_error
from analysis.inference.evidence import Evidence

# In fewer groups of images a class has no standard error to speak of, and may be missing from
# resamples.
FEWEST = 10


def gate(pair: Pair, *, margin: float, strict: bool, level: float) -> Gate:
    """Return whether B passes: accuracy and the error of each class, and so the worst class's.

    B fails if a drop is larger than the margin by more than chance: if the lower bounds that hold
    for all these drops at once, with the probability ``level``, have one above the margin. So a B
    that is nowhere worse by more than the margin fails with a probability of at most 1 − level.
    With ``strict`` B passes only if the upper bound of every drop, each at that level, is below the
    margin. So a B that is somewhere worse by more passes with a probability of at most 1 − level.
    """
    a, b = pair.a.evidence, pair.b.evidence
    change = b.wrong.mean(axis=0) - a.wrong.mean(axis=0)
    images = a.by_class(np.ones(len(change)))
    known = np.flatnonzero(groups_of_classes(a) >= FEWEST)
    by_class = a.by_class(change)[:, known] / np.where(images > 0, images, np.nan)[:, known]
    drops = np.column_stack([a.mean(change), by_class])
    drops = drops[np.isfinite(drops).all(axis=1)].astype(float)
    more, fewer = (a.by_class(np.maximum(each, 0))[0] for each in (change, -change))
    least = least_paired_error(*(_with_all(each, known) for each in (more, fewer, images[0])))
    standard = np.maximum(drops[1:].std(axis=0, ddof=1), least)
    moved = (drops[1:] - drops[0]) / standard
    # Where no error has changed nothing moves in any resample, and least errors alone would make it
    # no chance at all: so ends are never nearer than those of independent normal estimates.
    if strict:
        reach = np.maximum(np.quantile(-moved, level, axis=0), norm.ppf(level))
        bounds = drops[0] + reach * standard
        failed = bounds >= margin
    else:
        together = norm.ppf(level ** (1 / len(standard)))
        reach = max(np.quantile(moved.max(axis=1), level), together)
        bounds = drops[0] - reach * standard
        failed = bounds > margin
    parts: list[tuple[Name, str]] = [("accuracy", "")]
    parts += [("error of a class", a.classes[place]) for place in known]
    failures = [
        Failure(measure=name, part=part, drop=drop, bound=bound)
        for (name, part), drop, bound, bad in zip(parts, drops[0], bounds, failed, strict=True)
        if bad
    ]
    left_out = [a.classes[place] for place in np.setdiff1d(np.arange(len(a.classes)), known)]
    return Gate(
        margin=margin,
        strict=strict,
        passed=not failures,
        failures=tuple(failures),
        left_out=tuple(left_out),
    )


def groups_of_classes(evidence: Evidence) -> np.ndarray:
    """Return how many groups the images of each class are in, int (K,)."""
    both = np.unique(np.stack([evidence.label, evidence.group]), axis=1)
    return np.bincount(both[0], minlength=len(evidence.classes))


def _with_all(counts: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the sum over all classes, then the counts of the known ones."""
    return np.append(counts.sum(), counts[known]).astype(float)
