"""What claims are judged on: the results of a study, or the original's published numbers.

Both have the same form, so that one function judges a claim on either: arrays with one entry an
image, and resamples of the photos that the images come from. The published confusion matrix enters
as its 26,032 images, each a photo of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from analysis import published
from analysis.calibration import cross_fitted_temperatures
from analysis.estimates import MEASURES, photos
from analysis.resampling import Resamples
from analysis.results import Results
from analysis.study import CLASSES, Study

FGSM = "fgsm"
FGSM_NATIVE = "fgsm-native"
RANDOM_SIGN = "random-sign"
LOGITS = [f"logit_{digit}" for digit in range(CLASSES)]


class NotTested(Exception):
    """These data cannot speak to a claim; the message says why."""


@dataclass(frozen=True)
class Attacked:
    """Outcomes under one attack at one ε: predicted (R, N) and, where kept, logits (R, N, 10)."""

    predicted: np.ndarray
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Evidence:
    """N evaluated images, each predicted in R repeats.

    ``label`` and ``photo`` are (N,), ``predicted`` is (R, N); where they are known, so are
    ``confidence``, ``logits`` (R, N, 10) and ``fold``, by which network an image was predicted.
    ``attacked`` is by attack and ε; ``published`` holds accuracies (1 + B,) known from a
    publication alone, in the same keys. ``saliency`` is by layer and measure, (R, N), NaN for a
    missing map, ``randomised`` the same of networks with randomised weights; the first layer is
    the one that claims are about. ``pointed`` (R, N) tells by layer whether a map points at the
    digit, where its pixels are known.
    """

    label: np.ndarray
    predicted: np.ndarray
    photo: np.ndarray
    seed: int
    resamples: Resamples
    official: bool = False
    confidence: np.ndarray | None = None
    logits: np.ndarray | None = None
    fold: np.ndarray | None = None
    attacked: dict[tuple[str, float], Attacked] = field(default_factory=dict)
    published: dict[tuple[str, float], np.ndarray] = field(default_factory=dict)
    saliency: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    randomised: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    pointed: dict[str, np.ndarray] = field(default_factory=dict)
    index: np.ndarray | None = None

    @property
    def repeats(self) -> int:
        """Return the number of repeats R."""
        return len(self.predicted)

    @cached_property
    def wrong(self) -> np.ndarray:
        """Return which predictions are errors, bool (R, N)."""
        return self.predicted != self.label

    @cached_property
    def one_hot(self) -> np.ndarray:
        """Return the labels as float (N, 10)."""
        return (self.label[:, None] == np.arange(CLASSES)).astype(float)

    def accuracy(self, attack: str | None = None, epsilon: float = 0.0) -> np.ndarray:
        """Return the accuracy on clean or attacked images, (1 + B,). Raises ``NotTested``."""
        if attack is None:
            return self.mean(1 - self.wrong.mean(axis=0))
        if (attack, epsilon) in self.published:
            return self.published[attack, epsilon]
        predicted = self.under(attack, epsilon).predicted
        return self.mean((predicted == self.label).mean(axis=0))

    def under(self, attack: str, epsilon: float) -> Attacked:
        """Return the outcomes under an attack. Raises ``NotTested`` where it was not made."""
        if (attack, epsilon) not in self.attacked:
            raise NotTested(f"{attack} at ε = {epsilon:g} was not measured")
        return self.attacked[attack, epsilon]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over images of values (N,), (1 + B,)."""
        sums = self.resamples.sums(np.stack([values, np.ones(len(values))], axis=1))
        return sums[:, 0] / sums[:, 1]

    @cached_property
    def temperatures(self) -> np.ndarray:
        """Return the temperature of each prediction, (R, N), fitted without its own fold."""
        if self.logits is None or self.fold is None:
            raise NotTested("the logits are not known")
        pairs = zip(self.logits, self.fold, strict=True)
        return np.stack(
            [cross_fitted_temperatures(logits, self.label, fold) for logits, fold in pairs]
        )


def of_study(results: Results, *, resamples: int) -> Evidence:
    """Return what the complete repeats of a study say. Raises ``NotTested`` without one."""
    repeats = results.complete_repeats()
    if not repeats:
        raise NotTested("no repeat is complete")
    study = results.study
    wide = _Wide(results, repeats)
    predictions = wide.rows("predictions")
    first = predictions.drop_duplicates("index").set_index("index").sort_index()
    photo = photos(predictions).to_numpy()
    label = first["label"].to_numpy()
    return Evidence(
        label=label,
        predicted=wide.values(predictions, "predicted"),
        photo=photo,
        seed=study.seed,
        resamples=Resamples(photo, resamples, study.seed),
        official=study.data.name == "svhn" and study.split.kind == "fixed",
        confidence=wide.values(predictions, "confidence"),
        logits=np.stack([wide.values(predictions, name) for name in LOGITS], axis=-1),
        fold=_folds(study, predictions, photo, wide),
        attacked=_attacked(wide),
        saliency=_saliency(wide, "saliency"),
        randomised=_saliency(wide, "randomised"),
        pointed=_pointed(wide),
        index=first.index.to_numpy(),
    )


def of_original(*, resamples: int, seed: int) -> Evidence:
    """Return what the original's published numbers say: one run, images taken as independent.

    The accuracies under attack are published to three decimals and without the images behind
    them: each is resampled by itself, as a share of as many images as the matrix has.
    """
    matrix = published.confusion_matrix()
    label, predicted = (
        np.repeat(digits, matrix.ravel()) for digits in np.indices(matrix.shape).reshape(2, -1)
    )
    photo = np.arange(len(label))
    generator = np.random.default_rng([seed, 2])
    accuracies = {
        (FGSM, epsilon): np.append(
            share, generator.binomial(len(label), share, size=resamples) / len(label)
        )
        for epsilon, share in published.fgsm().items()
    }
    return Evidence(
        label=label,
        predicted=predicted[None],
        photo=photo,
        seed=seed,
        resamples=Resamples(photo, resamples, seed),
        official=True,
        published=accuracies,
    )


class _Wide:
    """Turns tidy tables into arrays with one row a repeat and one column an image."""

    def __init__(self, results: Results, repeats: dict[int, list[str]]) -> None:
        self._results = results
        self._repeats = repeats
        self._repeat_of = {run: repeat for repeat, runs in repeats.items() for run in runs}

    def rows(self, table: str) -> pd.DataFrame:
        """Return the rows of complete repeats, with a column ``repeat``."""
        rows = self._results.table(table)
        rows = rows.assign(repeat=rows["run"].map(self._repeat_of))
        return rows.dropna(subset="repeat")

    def complete(self, analysis: str) -> bool:
        """Tell whether every complete repeat has an analysis."""
        return set(self._repeats) <= set(self._results.complete_repeats(analysis))

    def values(self, rows: pd.DataFrame, column: str) -> np.ndarray:
        """Return one column as (R, N), images in rising order of their index."""
        wide = rows.pivot(index="repeat", columns="index", values=column)
        return wide.to_numpy()


def _folds(study: Study, rows: pd.DataFrame, photo: np.ndarray, wide: _Wide) -> np.ndarray:
    """Return in which fold each image was predicted, (R, N).

    Where a split has no folds, the two halves of its photos stand for them.
    """
    codes = wide.values(rows.assign(code=rows["run"].factorize()[0]), "code")
    if study.split.folds > 1:
        return codes
    units, where = np.unique(photo, return_inverse=True)
    half = np.random.default_rng([study.seed, 3]).permutation(len(units)) % 2
    return np.tile(half[where], (len(codes), 1))


def _attacked(wide: _Wide) -> dict[tuple[str, float], Attacked]:
    if not wide.complete("attacks"):
        return {}
    found = {
        (str(attack), float(epsilon)): Attacked(wide.values(rows, "predicted"))
        for (attack, epsilon), rows in wide.rows("attacks").groupby(["attack", "epsilon"])
    }
    if wide.complete("controls"):
        native = wide.rows("controls").query("attack == @FGSM_NATIVE")
        for epsilon, rows in native.groupby("epsilon"):
            found[FGSM_NATIVE, float(epsilon)] = Attacked(wide.values(rows, "predicted"))
        for epsilon, rows in wide.rows("attacked").groupby("epsilon"):
            logits = np.stack([wide.values(rows, name) for name in LOGITS], axis=-1)
            found[FGSM, float(epsilon)] = Attacked(wide.values(rows, "predicted"), logits)
    return found


def _saliency(wide: _Wide, table: str) -> dict[str, dict[str, np.ndarray]]:
    if not wide.complete(table):
        return {}
    tables = wide.rows(table).groupby("layer", sort=False)
    return {
        str(layer): {name: wide.values(rows, name) for name in MEASURES} for layer, rows in tables
    }


def _pointed(wide: _Wide) -> dict[str, np.ndarray]:
    if not wide.complete("localisation"):
        return {}
    rows = wide.rows("localisation")
    rows = rows[rows["weights"] == "trained"]
    return {str(layer): wide.values(each, "pointed") for layer, each in rows.groupby("layer")}
