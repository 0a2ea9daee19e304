"""Which single images are shown: by rule, so that none is picked by eye.

A candidate is an image in a repeat, as each repeat predicts it by another network. Examples and
confusions are those in the middle of the order by confidence, so that they are typical; others are
drawn at random. An image is shown once, in the first group that has it; pairs are no part of this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.inference import suspects
from analysis.inference.answers import guesses
from analysis.inference.attributes import slices
from analysis.inference.evidence import Attacked, Evidence
from analysis.results.answers import SIDES
from analysis.results.schemas import CONFUSION, EXAMPLE, FGSM, PAIR, SLICE, SUSPECT, UNKNOWN

# How many images a group shows; of confusions so many pairs of classes, and images of each.
EXAMPLES, CONFUSIONS, OF_EACH, SUSPECTS, ERRORS, PAIRS = 4, 6, 2, 8, 6, 12
# A slice with fewer images may be the worst by chance.
ENOUGH = 100

_TYPES = dict.fromkeys(("group", "run", "label", "predicted"), "str")
_TYPES |= {"place": "int64", "index": "int64", "confidence": "float64"}
_TYPES |= {"attacked_predicted": "str", "attacked_confidence": "float64"}
_TYPES |= {"slice": "str", "side": "str"}
_COLUMNS = ["group", "place", "run", "index", "label", "predicted", "confidence"]
_COLUMNS += ["attacked_predicted", "attacked_confidence", "slice", "side"]
# Repeats and images, (2, M), in the order in which they are taken, and how many of them.
Candidates = tuple[np.ndarray, int]


def tables(
    evidence: Evidence, *, runs: Sequence[str], level: float, epsilon: float | None
) -> dict[str, pd.DataFrame]:
    """Return the tables ``pictures`` and ``guesses``, none for predictions alone.

    ``runs`` are the names of the networks in ``evidence.network``; ``epsilon`` is that of the
    attack that is shown, if any.
    """
    if evidence.alone:
        return {}
    return {
        "pictures": choose(evidence, runs=runs, epsilon=epsilon),
        "guesses": guesses(PAIRS, level=level),
    }


def choose(evidence: Evidence, *, runs: Sequence[str], epsilon: float | None) -> pd.DataFrame:
    """Return the rows of ``pictures``."""
    attacked = evidence.attacked.get((FGSM, epsilon)) if epsilon is not None else None
    worst = _worst_slice(evidence)
    groups: dict[str, list[Candidates]] = {
        EXAMPLE: _examples(evidence, attacked) if attacked else [],
        CONFUSION: _confusions(evidence),
        SUSPECT: [_suspects(evidence)],
        SLICE: [_errors(evidence, worst[1])] if worst else [],
    }
    shown: list[int] = []
    rows = []
    for group, lists in groups.items():
        chosen = np.concatenate([_taken(each, count, shown) for each, count in lists] or [_NONE], 1)
        rows.append(_rows(evidence, chosen, attacked, runs=runs, group=group))
    if epsilon is not None:
        rows.append(_rows(evidence, _pairs(evidence), attacked, runs=runs, group=PAIR))
    found = pd.concat(rows, ignore_index=True)
    found["slice"] = np.where(found["group"] == SLICE, worst[0] if worst else "", "")
    sides = _generator(evidence, PAIR).integers(2, size=len(found))
    found["side"] = np.where(found["group"] == PAIR, np.array(SIDES)[sides], "")
    # The suspects are those of all networks together.
    place = {int(index): where for where, index in enumerate(_index(evidence))}
    for row in found.index[found["group"] == SUSPECT]:
        image = np.array([place[int(found.loc[row, "index"])]])
        predicted = int(suspects.most_predicted(evidence, image)[0])
        found.loc[row, ["run", "predicted"]] = "", evidence.classes[predicted]
        found.loc[row, "confidence"] = _confidence(evidence)[:, image].min()
    return found[_COLUMNS].astype(_TYPES)


_NONE = np.empty((2, 0), dtype=np.int64)


def _taken(candidates: np.ndarray, count: int, shown: list[int]) -> np.ndarray:
    """Return the first candidates that are not shown yet, and note that they are."""
    new = candidates[:, ~np.isin(candidates[1], shown)]
    new = new[:, np.sort(np.unique(new[1], return_index=True)[1])][:, :count]
    shown += new[1].tolist()
    return new


def _examples(evidence: Evidence, attacked: Attacked) -> list[Candidates]:
    """Return, by class, the images that the first network gets right and the attack turns.

    Of the four classes that have most of them, in the order of the classes.
    """
    if attacked.confidence is None:
        return []
    turned = _first(evidence) & ~evidence.wrong[0] & (attacked.predicted[0] >= 0)
    turned &= attacked.predicted[0] != evidence.label
    number = np.bincount(evidence.label[turned], minlength=len(evidence.classes))
    most = np.argsort(-number, kind="stable")[:EXAMPLES]
    found = []
    for label in sorted(most[number[most] > 0]):
        images = np.flatnonzero(turned & (evidence.label == label))
        both = np.stack([np.zeros_like(images), images])
        found.append((_from_the_middle(both, attacked.confidence), 1))
    return found


def _confusions(evidence: Evidence) -> list[Candidates]:
    """Return the errors of each of the commonest confusions over all repeats."""
    errors = np.stack(np.nonzero(evidence.wrong))
    predicted = evidence.predicted[errors[0], errors[1]]
    code = evidence.label[errors[1]] * len(evidence.classes) + predicted
    codes, number = np.unique(code, return_counts=True)
    commonest = codes[np.argsort(-number, kind="stable")][:CONFUSIONS]
    return [
        (_from_the_middle(_once(errors[:, code == each]), _confidence(evidence)), OF_EACH)
        for each in commonest
    ]


def _suspects(evidence: Evidence) -> Candidates:
    images = np.flatnonzero(suspects.suspects(evidence))
    return np.stack([np.zeros_like(images), _shuffled(evidence, SUSPECT, images)]), SUSPECTS


def _errors(evidence: Evidence, inside: np.ndarray) -> Candidates:
    """Return the errors on some images, bool (N,)."""
    errors = _once(np.stack(np.nonzero(evidence.wrong & inside)))
    order = _shuffled(evidence, SLICE, np.arange(errors.shape[1]))
    return errors[:, order], ERRORS


def _pairs(evidence: Evidence) -> np.ndarray:
    images = _shuffled(evidence, PAIR, np.flatnonzero(_first(evidence)))[:PAIRS]
    return np.stack([np.zeros_like(images), images])


def _worst_slice(evidence: Evidence) -> tuple[str, np.ndarray] | None:
    """Return the name of the slice with the largest error and its images, bool (N,), if any."""
    wrong = evidence.wrong.mean(axis=0)
    largest, found = 0.0, None
    for attribute, values in evidence.attributes.items():
        for name in slices(values):
            inside = values == name
            if name == UNKNOWN or inside.sum() < ENOUGH or inside.all():
                continue
            if wrong[inside].mean() > largest:
                largest, found = wrong[inside].mean(), (f"{attribute}: {name}", inside)
    return found


def _once(errors: np.ndarray) -> np.ndarray:
    """Return the first repeat of each image among errors (2, M)."""
    return errors[:, np.unique(errors[1], return_index=True)[1]]


def _from_the_middle(candidates: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return candidates (2, M) with the median of a confidence (R, N) first, the extremes last."""
    values = confidence[candidates[0], candidates[1]]
    ordered = candidates[:, np.lexsort((candidates[1], values))]
    distance = np.abs(np.arange(len(values)) - (len(values) - 1) / 2)
    return ordered[:, np.argsort(distance, kind="stable")]


def _shuffled(evidence: Evidence, group: str, values: np.ndarray) -> np.ndarray:
    return _generator(evidence, group).permutation(values)


def _generator(evidence: Evidence, group: str) -> np.random.Generator:
    numbers = {SUSPECT: 10, SLICE: 11, PAIR: 12}
    return np.random.default_rng([evidence.seed, numbers[group]])


def _first(evidence: Evidence) -> np.ndarray:
    """Return which images the first network evaluates, bool (N,)."""
    if evidence.network is None:
        return np.ones(len(evidence.label), dtype=bool)
    return evidence.network[0] == evidence.network[0].min()


def _index(evidence: Evidence) -> np.ndarray:
    return np.arange(len(evidence.label)) if evidence.index is None else evidence.index


def _confidence(evidence: Evidence) -> np.ndarray:
    known = evidence.confidence
    return np.full(evidence.predicted.shape, np.nan) if known is None else known


def _rows(
    evidence: Evidence,
    chosen: np.ndarray,
    attacked: Attacked | None,
    *,
    runs: Sequence[str],
    group: str,
) -> pd.DataFrame:
    """Return what is known of candidates (2, M); under attack of those shown under it alone."""
    repeat, image = chosen
    names = np.array([*evidence.classes, ""], dtype=object)
    network = evidence.network
    found = pd.DataFrame(
        {
            "run": [runs[0 if network is None else int(network[r, n])] for r, n in chosen.T],
            "index": _index(evidence)[image],
            "label": names[evidence.label[image]],
            "predicted": names[evidence.predicted[repeat, image]],
            "confidence": _confidence(evidence)[repeat, image].astype(float),
            "attacked_predicted": "",
            "attacked_confidence": np.nan,
        }
    )
    if attacked is not None and group in (EXAMPLE, PAIR):
        found["attacked_predicted"] = names[attacked.predicted[repeat, image]]
        if attacked.confidence is not None:
            found["attacked_confidence"] = attacked.confidence[repeat, image].astype(float)
    return found.assign(group=group, place=np.arange(len(found)))
