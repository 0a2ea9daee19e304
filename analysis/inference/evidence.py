"""What claims are judged on: the results of a study, or published results, in one form.

Both are arrays with one entry an image, and resamples of the groups that the images belong to, so
that one function judges a claim on either. A published confusion matrix becomes single images, each
a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from analysis.inference import attributes
from analysis.inference.bootstrap import Resamples
from analysis.inference.calibration import cross_fitted_temperatures
from analysis.project.errors import UserError, nearest
from analysis.results import answers, readings
from analysis.results.published import Published
from analysis.results.schemas import ALTERED, FGSM, MEASURES, RANDOM, TRAINED
from analysis.results.store import Store
from analysis.study import Study

Maps = dict[str, dict[str, np.ndarray]]
# Why a claim about networks is not tested.
ALONE = "no network: predictions alone"


class NotTested(Exception):
    """These data cannot test a claim; the message says why."""


@dataclass(frozen=True)
class Attacked:
    """Outcomes under one attack at one ε.

    ``predicted`` (R, N) is -1 for images that were not attacked; ``logits`` (R, N, K) are NaN or
    missing where they were not kept.
    """

    predicted: np.ndarray
    confidence: np.ndarray | None = None
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Evidence:
    """N evaluated images of K classes, each predicted in R repeats.

    ``label`` and ``group`` are (N,), ``predicted`` is (R, N). If known, so are ``confidence``,
    ``logits`` (R, N, K), ``network``, the one that predicted an image, and ``fold``, the part of
    the images that a temperature is fitted without. ``repeat`` (N,) is that of each row where the
    predictions of several repeats are one row each. ``attacked`` is by attack and ε; ``published``
    holds accuracies (1 + B,) under attack that are known from a publication alone. ``maps`` is by
    layer and measure, (R, N), NaN for a missing map, ``random_maps`` the same with random weights,
    ``altered`` that of trained maps that were widened or doubled, NaN outside the sample; claims
    are about the first layer. ``gradients`` are ``largest``, ``zero`` and ``margin`` (R, N) of the
    table of that name. ``source`` is where the images come from, if all its training images were
    trained on. ``attributes`` are categories, text (N,) by name, ``numbers`` the numbers behind
    those that are thirds. By reader, ``readings`` are what people saw, int (N,), and ``answers``,
    by ε as well, whether they found the attacked image, (N,): see the modules of these names. With
    ``sequence`` images of a group are in reading order; ``alone``: predictions without a network.
    """

    classes: tuple[str, ...]
    label: np.ndarray
    predicted: np.ndarray
    group: np.ndarray
    seed: int
    resamples: Resamples
    source: str | None = None
    confidence: np.ndarray | None = None
    logits: np.ndarray | None = None
    fold: np.ndarray | None = None
    network: np.ndarray | None = None
    repeat: np.ndarray | None = None
    attacked: dict[tuple[str, float], Attacked] = field(default_factory=dict)
    published: dict[tuple[str, float], np.ndarray] = field(default_factory=dict)
    maps: Maps = field(default_factory=dict)
    random_maps: Maps = field(default_factory=dict)
    altered: dict[str, Maps] = field(default_factory=dict)
    gradients: dict[str, np.ndarray] | None = None
    index: np.ndarray | None = None
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    readings: dict[str, np.ndarray] = field(default_factory=dict)
    answers: dict[tuple[str, float], np.ndarray] = field(default_factory=dict)
    sequence: bool = False
    alone: bool = False

    @property
    def repeats(self) -> int:
        """Return the number of repeats R."""
        return len(self.predicted)

    @cached_property
    def wrong(self) -> np.ndarray:
        """Return which predictions are errors, bool (R, N)."""
        return self.predicted != self.label

    @cached_property
    def one_hot(self) -> csr_array:
        """Return the labels as a sparse matrix (N, K)."""
        return one_hot(self.label, len(self.classes))

    def by_class(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted sum of values (N,) over each class, (1 + B, K)."""
        return self.resamples.sums(csr_array(self.one_hot.multiply(values[:, None])))

    @cached_property
    def class_errors(self) -> np.ndarray:
        """Return the error of each class, mean over repeats, NaN without an image, (1 + B, K)."""
        number = self.by_class(np.ones(len(self.label)))
        return self.by_class(self.wrong.mean(axis=0)) / np.where(number > 0, number, np.nan)

    @cached_property
    def class_errors_by_repeat(self) -> np.ndarray:
        """Return the error of each class in each repeat, (1 + B, R, K)."""
        if self.repeat is None:
            number = self.by_class(np.ones(len(self.label)))[:, None]
            wrong = np.stack([self.by_class(each) for each in self.wrong], axis=1)
        else:
            chosen = [self.repeat == repeat for repeat in np.unique(self.repeat)]
            number = np.stack([self.by_class(each) for each in chosen], axis=1)
            wrong = np.stack([self.by_class(each * self.wrong[0]) for each in chosen], axis=1)
        return wrong / np.where(number > 0, number, np.nan)

    def members(self, classes: Sequence[str]) -> np.ndarray:
        """Return which images are of some classes, bool (N,). Raises ``UserError``."""
        for name in classes:
            if name not in self.classes:
                likely = nearest(name, self.classes)
                raise UserError(f"there is no class {name!r}; the nearest is {likely!r}.")
        return np.isin(self.label, [self.classes.index(name) for name in classes])

    def accuracy(self, attack: str | None = None, epsilon: float = 0.0) -> np.ndarray:
        """Return the accuracy on clean or attacked images, (1 + B,). Raises ``NotTested``."""
        if attack is None:
            return self.mean(1 - self.wrong.mean(axis=0))
        if (attack, epsilon) in self.published:
            return self.published[attack, epsilon]
        return self.mean(self.right_under(attack, epsilon))

    def right_under(self, attack: str, epsilon: float) -> np.ndarray:
        """Return the share of repeats that are right under attack, NaN if not attacked, (N,).

        Of the repeats in which an image was attacked.
        """
        predicted = self.under(attack, epsilon).predicted
        return self.share_of_attacked(predicted == self.label, attack, epsilon)

    def share_of_attacked(self, values: np.ndarray, attack: str, epsilon: float) -> np.ndarray:
        """Return the mean of values (R, N) over the repeats that attacked an image, (N,)."""
        known = self.under(attack, epsilon).predicted >= 0
        number = known.sum(axis=0)
        return (values * known).sum(axis=0) / np.where(number > 0, number, np.nan)

    def under(self, attack: str, epsilon: float) -> Attacked:
        """Return the outcomes under an attack. Raises ``NotTested`` if it was not measured."""
        if self.alone:
            raise NotTested(ALONE)
        if (attack, epsilon) not in self.attacked:
            raise NotTested(f"{attack} at ε = {epsilon:g} was not measured")
        return self.attacked[attack, epsilon]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over images of values (N,), leaving out NaN, (1 + B,)."""
        return self.resamples.mean(values[:, None])[:, 0]

    @cached_property
    def temperatures(self) -> np.ndarray:
        """Return the temperature of each prediction, (R, N), fitted without its own fold."""
        if self.logits is None or self.fold is None:
            raise NotTested("the logits are not known")
        pairs = zip(self.logits, self.fold, strict=True)
        return np.stack(
            [cross_fitted_temperatures(logits, self.label, fold) for logits, fold in pairs]
        )


def one_hot(label: np.ndarray, classes: int) -> csr_array:
    """Return labels (N,) as a sparse matrix (N, K)."""
    rows = np.arange(len(label))
    return csr_array((np.ones(len(label)), (rows, label)), shape=(len(label), classes))


class Tables:
    """The tables of the complete repeats, as arrays with a row a repeat and a column an image."""

    def __init__(self, store: Store, repeats: dict[int, tuple[str, ...]]) -> None:
        self.runs = [run for runs in repeats.values() for run in runs]
        self._store = store
        self._repeat_of = {run: n for n, runs in enumerate(repeats.values()) for run in runs}
        self._repeats = len(repeats)
        self._frames: dict[str, pd.DataFrame] = {}
        first = self.frame("predictions").drop_duplicates("index").sort_values("index")
        self.index = first["index"].to_numpy()
        self.label = first["label"].to_numpy()
        group = first["group"].to_numpy()
        # An image without a known group is a group of its own.
        self.group = np.where(group >= 0, group, -1 - self.index)

    def measured(self, table: str) -> bool:
        """Return whether a run has a table: if one has it, all do that should."""
        return any(table in self._store.runs[run].tables for run in self.runs)

    def frame(self, name: str) -> pd.DataFrame:
        """Return the rows of all runs that have a table, with ``run`` and ``repeat``, from 0."""
        if name not in self._frames:
            having = [run for run in self.runs if name in self._store.runs[run].tables]
            parts = [self._store.read(run, name).assign(run=run) for run in having]
            whole = pd.concat(parts, ignore_index=True)
            self._frames[name] = whole.assign(repeat=whole["run"].map(self._repeat_of))
        return self._frames[name]

    def wide(self, rows: pd.DataFrame, column: str, *, missing: float = np.nan) -> np.ndarray:
        """Return one column as (R, N); a column of lists of length K as (R, N, K)."""
        where = rows["repeat"].to_numpy(), np.searchsorted(self.index, rows["index"].to_numpy())
        values = rows[column].to_numpy()
        if values.dtype == object:
            values = np.stack(list(values)) if len(values) else np.empty((0, 0), np.float32)
        shape = (self._repeats, len(self.index), *values.shape[1:])
        if self._repeats == 1 and np.array_equal(where[1], np.arange(len(self.index))):
            return values[None]  # without a copy, as logits of many classes are large
        if len(rows) == self._repeats * len(self.index):
            found = np.empty(shape, values.dtype)
        else:
            found = np.full(shape, missing, np.result_type(values.dtype, type(missing)))
        found[where] = values
        return found


def of_study(tables: Tables, study: Study, classes: tuple[str, ...], *, resamples: int) -> Evidence:
    """Return what the complete repeats of a study say."""
    predictions = tables.frame("predictions")
    rows = tables.frame("attributes") if tables.measured("attributes") else None
    texts, numbers = attributes.known(
        rows, group=tables.group, index=tables.index, sequence=study.images.sequence
    )
    return Evidence(
        classes=classes,
        label=tables.label,
        predicted=tables.wide(predictions, "predicted"),
        group=tables.group,
        seed=study.seed,
        resamples=Resamples(tables.group, resamples, study.seed),
        source=study.images.source if study.images.folds == 1 else None,
        confidence=tables.wide(predictions, "confidence"),
        logits=tables.wide(predictions, "logits"),
        fold=_folds(study, tables),
        network=_networks(tables),
        attacked=_attacked(tables),
        maps=_maps(tables, TRAINED),
        random_maps=_maps(tables, RANDOM),
        altered={name: _maps(tables, name) for name in ALTERED},
        gradients=_gradients(tables),
        index=tables.index,
        attributes=texts,
        numbers=numbers,
        readings=readings.load(study.name, classes=classes, index=tables.index),
        answers=answers.load(study.name, index=tables.index),
        sequence=study.images.sequence,
        alone=study.predictions is not None,
    )


def of_published(found: Published, *, resamples: int, seed: int) -> Evidence:
    """Return what published results say: one network, images taken as independent.

    Accuracies under attack are published without the images behind them: each is resampled by
    itself, as a share of as many images as the matrix has.
    """
    matrix = found.matrix
    label, predicted = (
        np.repeat(classes, matrix.ravel()) for classes in np.indices(matrix.shape).reshape(2, -1)
    )
    group = np.arange(len(label))
    generator = np.random.default_rng([seed, 2])
    accuracies = {
        (FGSM, epsilon): np.append(
            share, generator.binomial(len(label), share, size=resamples) / len(label)
        )
        for epsilon, share in found.fgsm.items()
    }
    return Evidence(
        classes=found.classes,
        label=label,
        predicted=predicted[None],
        group=group,
        seed=seed,
        resamples=Resamples(group, resamples, seed),
        source=found.images,
        published=accuracies,
    )


def _networks(tables: Tables) -> np.ndarray:
    """Return the number of the run that predicted each image, (R, N)."""
    rows = tables.frame("predictions")
    return tables.wide(rows.assign(code=rows["run"].factorize()[0]), "code")


def _folds(study: Study, tables: Tables) -> np.ndarray:
    """Return the fold that each image was predicted in, (R, N), or halves of the groups."""
    if study.images.folds > 1:
        return _networks(tables)
    units, where = np.unique(tables.group, return_inverse=True)
    half = np.random.default_rng([study.seed, 3]).permutation(len(units)) % 2
    repeats = tables.frame("predictions")["repeat"].nunique()
    return np.tile(half[where], (repeats, 1))


def _attacked(tables: Tables) -> dict[tuple[str, float], Attacked]:
    if not tables.measured("attacks"):
        return {}
    rows = tables.frame("attacks")
    if tables.measured("controls"):
        # Among the controls are the same images again, and all others.
        rows = pd.concat([tables.frame("controls"), rows], ignore_index=True)
        rows = rows.drop_duplicates(["attack", "epsilon", "repeat", "index"])
    found = {}
    for (attack, epsilon), each in rows.groupby(["attack", "epsilon"]):
        kept = each[each["logits"].notna()]
        found[str(attack), float(epsilon)] = Attacked(
            predicted=tables.wide(each, "predicted", missing=-1),
            confidence=tables.wide(each, "confidence"),
            logits=tables.wide(kept, "logits") if len(kept) else None,
        )
    return found


def _maps(tables: Tables, weights: str) -> Maps:
    if not tables.measured("maps"):
        return {}
    rows = tables.frame("maps")
    layers = rows[rows["weights"] == weights].groupby("layer", sort=False)
    return {
        str(layer): {name: tables.wide(each, name) for name in MEASURES} for layer, each in layers
    }


def _gradients(tables: Tables) -> dict[str, np.ndarray] | None:
    if not tables.measured("gradients"):
        return None
    rows = tables.frame("gradients")
    return {name: tables.wide(rows, name) for name in ("largest", "zero", "margin")}
