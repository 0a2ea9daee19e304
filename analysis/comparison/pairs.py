"""The results of two studies, and whether they are predictions for the same images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from analysis import derivation
from analysis.inference import corruptions, evidence
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence, Tables
from analysis.project.errors import UserError
from analysis.results.records import ClaimsRecord
from analysis.results.store import Store
from analysis.study import Study


@dataclass(frozen=True)
class Opened:
    """A study, what was derived from its complete repeats, and what these predict."""

    study: Study
    record: ClaimsRecord
    evidence: Evidence
    corrupted: corruptions.Outcomes


@dataclass(frozen=True)
class Pair:
    """Two studies with the classes of the first, in its order; ``reason`` says why not paired.

    Paired ones have the same images in the same order, and share their resamples.
    """

    a: Opened
    b: Opened
    reason: str

    @property
    def paired(self) -> bool:
        """Return whether both predict the same images."""
        return not self.reason


def pair(first: Study, second: Study) -> Pair:
    """Return the results of two studies, which are derived again if they are not up to date.

    Raises ``UserError`` for the same study twice, one without results, and other classes.
    """
    if first.name == second.name:
        raise UserError(f"Both are the study {first.name}: name two studies, A and then B.")
    resamples = max(each.bootstrap.resamples for each in (first, second))
    a, b = (_opened(each, resamples=resamples) for each in (first, second))
    b = _in_order(b, a)
    reason = _not_the_same_images(a, b)
    if not reason:
        group = _together(a.evidence.group, b.evidence.group)
        shared = Resamples(group, resamples, first.seed)
        a, b = (
            replace(each, evidence=replace(each.evidence, group=group, resamples=shared))
            for each in (a, b)
        )
    return Pair(a, b, reason)


def _opened(study: Study, *, resamples: int) -> Opened:
    record = derivation.judged(study, say=lambda line: None)
    store = Store.open(study)
    stored = Tables(store, store.shown_repeats())
    found = evidence.of_study(stored, study, record.classes, resamples=resamples)
    # Many classes have large logits, which nothing here is computed from.
    return Opened(study, record, replace(found, logits=None), corruptions.outcomes(stored))


def _in_order(b: Opened, a: Opened) -> Opened:
    """Return a study with the classes of another in its order. Raises ``UserError``."""
    ours, theirs = a.record.classes, b.record.classes
    if set(ours) != set(theirs):
        only = min(set(ours) ^ set(theirs))
        having = a if only in ours else b
        raise UserError(
            f"{a.study.name} and {b.study.name} have different classes: only {having.study.name} "
            f"has {only[:60]!r}.\nStudies of the same classes can be compared."
        )
    # The last place is that of -1, an image that was not attacked.
    place = np.array([*(ours.index(name) for name in theirs), -1])

    def moved(outcome: Attacked) -> Attacked:
        return replace(outcome, predicted=place[outcome.predicted], logits=None)

    found = b.evidence
    found = replace(
        found,
        classes=ours,
        label=place[found.label],
        predicted=place[found.predicted],
        attacked={key: moved(each) for key, each in found.attacked.items()},
    )
    corrupted = {key: moved(each) for key, each in b.corrupted.items()}
    return replace(b, evidence=found, corrupted=corrupted)


def _not_the_same_images(a: Opened, b: Opened) -> str:
    """Return why two studies are not about the same images, or nothing.

    Positions and labels have to agree, and as much as is known of the images themselves: all of
    them, or the numbers measured on each one. Those stored in another form have to come from the
    same source. Of predictions alone the ids are known, if the studies name them.
    """
    ours, theirs = a.evidence, b.evidence
    if not np.array_equal(_index(a), _index(b)):
        return "they do not evaluate images at the same positions"
    if not np.array_equal(ours.label, theirs.label):
        return "their images have other labels, or come in another order"
    same = a.record.images == b.record.images
    if a.study.predictions or b.study.predictions:
        return "" if same or not _ids_alone_differ(a, b) else "their images have other ids"
    if same and a.study.images.evaluate == b.study.images.evaluate:
        return ""
    if _form(a.study) != _form(b.study):
        same = _source(a.study) == _source(b.study)
    else:
        shared = set(ours.numbers) & set(theirs.numbers)
        equal = (np.array_equal(ours.numbers[n], theirs.numbers[n], equal_nan=True) for n in shared)
        same = bool(shared) and all(equal)
    return "" if same else "their images are others"


def _index(opened: Opened) -> np.ndarray:
    assert opened.evidence.index is not None, "stored results have positions"
    return opened.evidence.index


def _ids_alone_differ(a: Opened, b: Opened) -> bool:
    """Return whether nothing but ids can make the digests of two files of predictions differ."""
    named = [bool(each.study.predictions and each.study.predictions.id) for each in (a, b)]
    grouped = np.array_equal(a.evidence.group, b.evidence.group)
    return all(named) and grouped and a.record.classes == b.record.classes


def _form(study: Study) -> list[object]:
    return [getattr(study.images, name) for name in ("size", "fit", "channels")]


def _source(study: Study) -> list[object]:
    path = study.images.path
    named = ("source", "draw", "dataset", "function", "arguments", "evaluate")
    found = [getattr(study.images, name) for name in named]
    return [*found, study.located(path).resolve() if path else None]


def _together(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return groups that hold whatever is a group in either study together, int (N,)."""
    count = len(first)
    units = [np.unique(group, return_inverse=True)[1] for group in (first, second)]
    rows = np.tile(np.arange(count), 2)
    # Nodes are the images, then the groups of the first study, then those of the second.
    nodes = np.concatenate([count + units[0], count + units[0].max() + 1 + units[1]])
    size = int(nodes.max()) + 1
    links = csr_array((np.ones(2 * count), (rows, nodes)), shape=(size, size))
    return connected_components(links, directed=False)[1][:count].astype(np.int64)
