"""How sure networks are when they are wrong: on clean images, and under attack at every ε."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.inference import statistics, suspects
from analysis.inference.audit import audited
from analysis.inference.evidence import Evidence
from analysis.inference.variants import of_images
from analysis.results.schemas import FGSM, PGD

CUTOFFS = np.round(np.arange(0.5, 0.995, 0.02), 2)
EVERY, SAMPLE = "all", "sample"
_ATTACK = ["attack", "epsilon", "images", "predictions", "median", "median_right", "median_errors"]
_ATTACK += ["auroc", "low", "high", "auroc_errors", "low_errors", "high_errors"]
_TEXT = {"attack": "str", "images": "str", "predictions": "int64"}


def tables(evidence: Evidence, *, level: float) -> dict[str, pd.DataFrame]:
    """Return the tables ``confident_errors`` and, with attacks, ``attack_confidence``."""
    found = {"confident_errors": _confident_errors(evidence, level=level)}
    if evidence.attacked:
        found["attack_confidence"] = _attack_confidence(evidence, level=level)
    return found


def _confident_errors(evidence: Evidence, *, level: float) -> pd.DataFrame:
    """Return the share of errors that are at least as confident as each cut-off."""
    parts = []
    for name, body in _bodies(evidence):
        if body.confidence is None:
            continue
        sure = (body.confidence[..., None] >= CUTOFFS) & body.wrong[..., None]
        columns = np.concatenate([body.wrong[..., None], sure], axis=2).mean(axis=0)
        sums = body.resamples.sums(columns)
        share = sums[:, 1:] / np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
        low, high = statistics.interval(share[1:], level)
        content = {"confidence": CUTOFFS, "share": share[0], "low": low, "high": high}
        parts.append(pd.DataFrame({"body": name, **content}))
    found = pd.concat(parts, ignore_index=True)
    kinds = {"body": "str"} | dict.fromkeys(("share", "low", "high"), "float64")
    return found.dropna(ignore_index=True).astype(kinds)


def _bodies(evidence: Evidence) -> Iterator[tuple[str, Evidence]]:
    yield "as labelled", evidence
    suspected = suspects.agreed(evidence)
    if suspected.any():
        yield "without suspects", of_images(evidence, ~suspected)
    if evidence.readings:
        yield "audited labels", audited(evidence)


def _attack_confidence(evidence: Evidence, *, level: float) -> pd.DataFrame:
    """Return how sure errors under attack are, on all images and on those that PGD attacked.

    Errors under attack are those on images that are right without it. They are compared with right
    predictions, and with errors, on the same images without attack.
    """
    sampled = _sampled(evidence)
    rows = []
    for (attack, epsilon), found in evidence.attacked.items():
        if attack not in (FGSM, PGD) or epsilon == 0 or found.confidence is None:
            continue
        every = ~np.isnan(found.confidence) & (found.predicted >= 0)
        parts = {EVERY: every, SAMPLE: every & sampled}
        if (every.sum(axis=1) == (every & sampled).sum(axis=1)).all():
            parts.pop(EVERY)
        for name, known in parts.items():
            row = _row(evidence, found.predicted, found.confidence, known, level=level)
            if row is not None:
                rows.append((attack, epsilon, name, *row))
    table = pd.DataFrame(rows, columns=_ATTACK)
    return table.astype({**dict.fromkeys(_ATTACK, "float64"), **_TEXT})


def _sampled(evidence: Evidence) -> np.ndarray:
    """Return the images that PGD attacked in every repeat, bool (N,)."""
    found = [each.predicted >= 0 for (name, _), each in evidence.attacked.items() if name == PGD]
    every = [known.all(axis=0) for known in found]
    return np.logical_and.reduce(every) if every else np.zeros(len(evidence.label), dtype=bool)


def _row(
    evidence: Evidence,
    predicted: np.ndarray,
    confidence: np.ndarray,
    known: np.ndarray,
    *,
    level: float,
) -> tuple[float, ...] | None:
    clean = evidence.confidence
    right, errors = known & ~evidence.wrong, known & evidence.wrong
    made = right & (predicted != evidence.label)
    if clean is None or not (right.any(axis=1) & made.any(axis=1)).any():
        return None
    against = _area(evidence, (clean, right), (confidence, made), level=level)
    other = (np.nan,) * 3
    if (errors.any(axis=1) & made.any(axis=1)).any():
        other = _area(evidence, (confidence, made), (clean, errors), level=level)
    medians = [
        np.median(values[chosen]) if chosen.any() else np.nan
        for values, chosen in ((confidence, made), (clean, right), (clean, errors))
    ]
    return (made.sum(), *medians, *against, *other)


def _area(
    evidence: Evidence,
    positive: tuple[np.ndarray, np.ndarray],
    negative: tuple[np.ndarray, np.ndarray],
    *,
    level: float,
) -> tuple[float, float, float]:
    area = auroc(evidence, *positive, *negative)
    low, high = statistics.interval(area[1:], level)
    return float(area[0]), float(low), float(high)


def auroc(
    evidence: Evidence,
    scores: np.ndarray,
    positive: np.ndarray,
    others: np.ndarray,
    negative: np.ndarray,
) -> np.ndarray:
    """Return the AUROC of scores against others, both (R, N) where the masks are, (1 + B,).

    The mean over the repeats that have both.
    """
    both = positive.any(axis=1) & negative.any(axis=1)
    return np.mean(
        [
            evidence.resamples.auroc(
                (scores[repeat][positive[repeat]], np.flatnonzero(positive[repeat])),
                (others[repeat][negative[repeat]], np.flatnonzero(negative[repeat])),
            )
            for repeat in np.flatnonzero(both)
        ],
        axis=0,
    )
