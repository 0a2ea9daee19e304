"""Every claim with a closed form, computed a second time from the tables by plain means.

Nothing but the tables is shared with the code under test: rows are filtered with pandas, groups are
drawn one by one, and scikit-learn gives the AUROC. On made-up evidence and on the stored results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from analysis import claims, study
from analysis.claims import Claim
from analysis.claims.judging import Finding, Rule
from analysis.inference import evidence
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.store import Store
from tests.inference import simulated
from tests.inference.simulated import World

CLAIMS = {claim.id: claim for claim in claims.of(study.load("svhn")).claims}
# The smallest of the studies, and the published middle and largest.
EPSILONS = (0.0025, 0.015, 0.05)
RESAMPLES, DRAWN = 200, 40
# Sums are added in single precision.
ROUNDING = 1e-5
EASY, HARD = ("0", "1", "2"), ("8", "9")


@dataclass(frozen=True)
class Tables:
    """Tidy rows, each with its repeat, group and the name of its class; a row counts ``times``."""

    predictions: pd.DataFrame
    attacks: pd.DataFrame
    maps: pd.DataFrame

    def redrawn(self, seed: int) -> Tables:
        """Return the tables of as many groups, drawn with replacement."""
        groups = np.unique(self.predictions["group"])
        times = pd.Series(np.random.default_rng(seed).choice(groups, len(groups))).value_counts()
        every = (self.predictions, self.attacks, self.maps)
        return Tables(
            *(rows.assign(times=rows["group"].map(times).fillna(0).astype(float)) for rows in every)
        )


def mean(rows: pd.DataFrame, column: str) -> float:
    return float(np.average(rows[column], weights=rows["times"]))


def error_of(tables: Tables, classes: tuple[str, ...], *, others: bool = False) -> float:
    return mean(tables.predictions[tables.predictions["label"].isin(classes) != others], "wrong")


def accuracy_under(tables: Tables, attack: str, epsilon: float) -> float:
    rows = tables.attacks
    return 1 - mean(rows[(rows["attack"] == attack) & (rows["epsilon"] == epsilon)], "wrong")


def difference_of_maps(rows: pd.DataFrame, measure: str) -> float:
    """Return the difference in means, each image once, in standard deviations of maps."""
    rows = rows.dropna(subset=measure)
    means, squares, number = [], 0.0, 0.0
    for classes in (HARD, EASY):
        group = rows[rows["label"].isin(classes)]
        images = group.groupby("index").agg(value=(measure, "mean"), times=("times", "first"))
        means.append(np.average(images["value"], weights=images["times"]))
        centre = np.average(group[measure], weights=group["times"])
        squares += (group["times"] * (group[measure] - centre) ** 2).sum()
        number += group["times"].sum()
    return float((means[0] - means[1]) / np.sqrt(squares / number))


def difference_of_flips(tables: Tables) -> float:
    """Return the difference in flips within classes, by loops over repeats and classes."""
    wrong = tables.predictions.pivot(index="index", columns="repeat", values="wrong")
    attacked = tables.attacks[tables.attacks["attack"] == "fgsm"]
    attacked = attacked[attacked["epsilon"] == attacked["epsilon"].min()]
    found = []
    for repeat in wrong.columns:
        others = wrong.drop(columns=repeat).any(axis=1)
        rows = attacked[attacked["repeat"] == repeat].set_index("index")
        rows = rows[~wrong.loc[rows.index, repeat].to_numpy(bool)]
        numerator = denominator = 0.0
        for _, members in rows.groupby("label"):
            hard = others.loc[members.index].to_numpy(bool)
            groups = [members[hard], members[~hard]]
            counts = [group["times"].sum() for group in groups]
            if min(counts) > 0:
                weight = counts[0] * counts[1] / sum(counts)
                numerator += weight * (mean(groups[0], "wrong") - mean(groups[1], "wrong"))
                denominator += weight
        found.append(numerator / denominator)
    return float(np.mean(found))


def effects(tables: Tables) -> dict[tuple[str, str], float]:
    """Return the effect of each part of the claims that these tables can test."""
    accuracy = 1 - mean(tables.predictions, "wrong")
    found = {("accuracy", "accuracy"): accuracy}
    others = error_of(tables, EASY, others=True)
    found |= {("easy-digits", name): error_of(tables, (name,)) - others for name in EASY}
    others = error_of(tables, HARD, others=True)
    found |= {("hard-digits", name): error_of(tables, (name,)) / others for name in HARD}
    found["collapse", "ratio"] = accuracy_under(tables, "fgsm", 0.015) / accuracy
    found["chance", "distance"] = accuracy_under(tables, "fgsm", 0.05) - 0.1
    found["direction", "loss"] = accuracy - accuracy_under(tables, "random-sign", 0.015)
    found["silent", "share"] = mean(tables.predictions[tables.predictions["wrong"]], "sure")
    for measure in ("spread", "area"):
        correct = tables.maps[~tables.maps["wrong"].astype(bool)]
        found["explanations", measure] = difference_of_maps(tables.maps, measure)
        found["explanations-correct", measure] = difference_of_maps(correct, measure)
    if tables.predictions["repeat"].nunique() > 1:
        found["connected", "difference"] = difference_of_flips(tables)
    return found


def stored(name: str) -> tuple[Evidence, Tables]:
    """Return the complete repeats in the stored results of a study, as both."""
    store = Store.open(study.load(name))
    repeats = {
        n: runs for n, runs in store.shown_repeats().items() if "maps" in store.runs[runs[0]].tables
    }
    if not repeats:
        pytest.skip(f"there are no complete results of {name}")
    classes = store.runs[repeats[min(repeats)][0]].classes

    def rows(table: str, columns: list[str]) -> pd.DataFrame:
        parts = [
            store.read(run, table)[columns].assign(repeat=repeat)
            for repeat, runs in repeats.items()
            for run in runs
        ]
        return pd.concat(parts, ignore_index=True).assign(times=1.0)

    predictions = rows("predictions", ["index", "group", "label", "predicted", "confidence"])
    own = -1 - predictions["index"]
    predictions["group"] = predictions["group"].where(predictions["group"] >= 0, own)
    predictions["sure"] = predictions["confidence"] >= 0.9
    attacks = rows("attacks", ["attack", "epsilon", "index", "label", "predicted"])
    attacks = attacks[(attacks["epsilon"] > 0) & attacks["epsilon"].isin(EPSILONS)]
    maps = rows("maps", ["layer", "weights", "index", "label", "spread", "area"])
    maps = maps[(maps["layer"] == store.study.maps.layers[0]) & (maps["weights"] == "trained")]
    for table in (predictions, attacks):
        table["wrong"] = table["predicted"] != table["label"]
    maps = maps.merge(predictions[["repeat", "index", "wrong"]], on=["repeat", "index"])
    group = predictions.drop_duplicates("index").set_index("index")["group"]
    attacks["group"], maps["group"] = attacks["index"].map(group), maps["index"].map(group)
    for table in (predictions, attacks, maps):
        table["label"] = np.array(classes)[table["label"]]
    found = evidence.of_study(
        evidence.Tables(store, repeats), store.study, classes, resamples=RESAMPLES
    )
    return found, Tables(predictions, attacks, maps)


def tables_of(data: Evidence) -> Tables:
    """Return evidence as tidy rows."""
    repeats, images = data.predicted.shape
    label = np.tile(data.label, repeats)
    rows = pd.DataFrame(
        {
            "repeat": np.repeat(np.arange(repeats), images),
            "index": np.tile(np.arange(images), repeats),
            "group": np.tile(data.group, repeats),
            "label": np.array(data.classes)[label],
            "times": 1.0,
        }
    )
    predictions = rows.assign(
        wrong=data.predicted.ravel() != label, sure=data.confidence.ravel() >= 0.9
    )
    attacks = [
        rows.assign(attack=attack, epsilon=epsilon, wrong=outcome.predicted.ravel() != label)
        for (attack, epsilon), outcome in data.attacked.items()
    ]
    maps = {name: values.ravel() for name, values in data.maps["layer"].items()}
    return Tables(predictions, pd.concat(attacks), rows.assign(**maps, wrong=predictions["wrong"]))


WORLD = World(
    error=np.array([0.05, 0.06, 0.2, 0.14, 0.14, 0.15, 0.16, 0.16, 0.5, 0.2]),
    collapse=0.3,
    left=0.05,
    lost=0.05,
    diffuse=0.5,
    flips=(0.2, 0.5),
    sure=0.4,
    doubt=1.5,
)


def made_up(repeats: int = 3) -> Evidence:
    """Return evidence from a world with effects, in which one map in ten is missing."""
    data = simulated.evidence(WORLD, groups=1500, repeats=repeats, resamples=RESAMPLES, seed=1)
    generator = np.random.default_rng(2)
    for values in data.maps["layer"].values():
        values[generator.random(values.shape) < 0.1] = np.nan
    return data


@pytest.fixture(scope="module", params=["made up", "demo", "svhn-subset"])
def both(request: pytest.FixtureRequest) -> tuple[Evidence, Tables]:
    """Return the same data as evidence, and as tables."""
    if request.param == "made up":
        data = made_up()
        return data, tables_of(data)
    return stored(request.param)


def findings(data: Evidence, names: set[str]) -> Iterator[tuple[Claim, Finding]]:
    for name in sorted(names):
        claim = CLAIMS[name]
        try:
            yield claim, claim.test.function(data, **claim.parameters)
        except NotTested:
            # Accuracy is a claim about the official split alone.
            assert name == "accuracy" and data.source != "svhn"


def test_effects_are_those_of_plain_means(both: tuple[Evidence, Tables]) -> None:
    data, tables = both
    expected = effects(tables)
    compared = set()
    for claim, finding in findings(data, {name for name, _ in expected}):
        for part, values in finding.parts.items():
            assert values.shape == (1 + RESAMPLES,)
            assert values[0] == pytest.approx(expected[claim.id, part], abs=ROUNDING, rel=ROUNDING)
            compared.add((claim.id, part))
    assert set(expected) >= compared >= {key for key in expected if key[0] != "accuracy"}


def test_verdicts_are_those_of_groups_drawn_one_by_one(both: tuple[Evidence, Tables]) -> None:
    """Other resamples of the same groups: equally wide intervals, and the same clear verdicts."""
    data, tables = both
    drawn = pd.DataFrame([effects(tables.redrawn(seed)) for seed in range(DRAWN)])
    clear = 0
    for claim, finding in findings(data, {name for name, _ in drawn.columns}):
        rule = Rule(claim.side, claim.threshold, 0.9, simultaneous=0.98)
        for name, values in finding.parts.items():
            part, plain = rule.judge(name, values), drawn[claim.id, name]
            # Standard deviations of 40 replicates differ by one part in nine from the truth.
            assert part.standard_error == pytest.approx(plain.std(), rel=0.35)
            assert part.low == pytest.approx(plain.quantile(0.05), abs=plain.std())
            assert part.high == pytest.approx(plain.quantile(0.95), abs=plain.std())
            low, high = plain.quantile(0.01), plain.quantile(0.99)
            t = claim.threshold
            limits = {"above": (t, np.inf), "below": (-np.inf, t), "within": (-t, t)}[claim.side]
            if min(abs(end - t) for end in (low, high) for t in limits) < 1.5 * plain.std():
                continue
            inside = limits[0] < low and high < limits[1]
            outside = low > limits[1] or high < limits[0]
            expected = "supported" if inside else "refuted" if outside else "inconclusive"
            assert part.verdict == expected, (claim.id, name)
            clear += 1
    assert clear >= 4


def test_what_confidence_distinguishes_is_scikit_learns_auroc() -> None:
    data = made_up(repeats=2)
    attacked = data.attacked["fgsm", 0.015]
    found = CLAIMS["confident"].test.function(data, epsilon=0.015).parts
    plain = np.ones_like(data.temperatures)
    for part, temperatures in (("as given", plain), ("scaled", data.temperatures)):
        for replicate, times in enumerate(data.resamples.weights[:4]):
            areas = []
            for repeat in range(2):
                scale = temperatures[repeat][:, None]
                clean = softmax(data.logits[repeat] / scale, axis=1).max(axis=1)
                under = softmax(attacked.logits[repeat] / scale, axis=1).max(axis=1)
                right = data.predicted[repeat] == data.label
                made = right & (attacked.predicted[repeat] != data.label)
                truth = np.repeat([1, 0], [right.sum(), made.sum()])
                scores = np.concatenate([clean[right], under[made]])
                weights = times[np.concatenate([data.group[right], data.group[made]])]
                areas.append(roc_auc_score(truth, scores, sample_weight=weights))
            assert found[part][replicate] == pytest.approx(np.mean(areas), abs=1e-9)
    assert (found["as given"] != found["scaled"]).any()
