"""Every test computed a second time by plain means, from tidy rows.

Rows are filtered with pandas, groups count as often as they were drawn, pairs of classes and of
repeats are loops, and scikit-learn and statsmodels do what they can. The estimate and some
resamples must agree, on made-up evidence and on the stored results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from analysis import claims, study
from analysis.claims import confusions
from analysis.claims.registry import TESTS
from analysis.inference import evidence
from analysis.inference.evidence import Evidence, NotTested
from analysis.results.store import Store
from analysis.simulation.worlds import BY_CLASS, CORRELATIONS, WORLDS, resampled
from tests.inference import simulated
from tests.inference.simulated import World

CLAIMS = {claim.id: claim for claim in claims.of(study.load("svhn")).claims}
# The smallest that 8-bit images can carry, and the published middle and largest.
EPSILONS = (0.005, 0.015, 0.05)
RESAMPLES = 60
# The estimate, and resamples.
ROWS = (0, 1, 2)
# Sums are added in single precision.
ROUNDING = 1e-5
EASY, HARD = ("0", "1", "2"), ("8", "9")


@dataclass(frozen=True)
class Tables:
    """Tidy rows, each with its repeat, group and the name of its class; a row counts ``times``."""

    predictions: pd.DataFrame
    attacks: pd.DataFrame
    maps: pd.DataFrame

    def drawn(self, times: pd.Series) -> Tables:
        """Return the tables with groups that count as often as they were drawn."""
        every = (self.predictions, self.attacks, self.maps)
        return Tables(*(rows.assign(times=rows["group"].map(times)) for rows in every))


def mean(rows: pd.DataFrame, column: str) -> float:
    return float(np.average(rows[column], weights=rows["times"]))


def error_of(tables: Tables, classes: tuple[str, ...], *, others: bool = False) -> float:
    return mean(tables.predictions[tables.predictions["label"].isin(classes) != others], "wrong")


def under(tables: Tables, attack: str, epsilon: float) -> pd.DataFrame:
    rows = tables.attacks
    return rows[(rows["attack"] == attack) & (rows["epsilon"] == epsilon)]


def difference_of_maps(rows: pd.DataFrame) -> float:
    """Return the difference in means, each image once, in standard deviations of maps."""
    rows = rows.dropna(subset="spread")
    means, squares, number = [], 0.0, 0.0
    for classes in (HARD, EASY):
        group = rows[rows["label"].isin(classes)]
        images = group.groupby("index").agg(value=("spread", "mean"), times=("times", "first"))
        means.append(np.average(images["value"], weights=images["times"]))
        centre = np.average(group["spread"], weights=group["times"])
        squares += (group["times"] * (group["spread"] - centre) ** 2).sum()
        number += group["times"].sum()
    return float((means[0] - means[1]) / np.sqrt(squares / number))


def difference_of_flips(tables: Tables, bins: int) -> float:
    """Return the difference in flips within classes and equal parts of the margin, by loops."""
    wrong = tables.predictions.pivot(index="index", columns="repeat", values="wrong")
    attacked, found = under(tables, "fgsm", EPSILONS[0]), []
    for repeat in wrong.columns:
        others = wrong.drop(columns=repeat).any(axis=1)
        rows = attacked[attacked["repeat"] == repeat].set_index("index")
        rows = rows[~wrong.loc[rows.index, repeat].to_numpy(bool)]
        cuts = np.quantile(rows["margin"], np.arange(1, bins) / bins)
        rows = rows.assign(part=np.digitize(rows["margin"], cuts))
        numerator = denominator = 0.0
        for _, members in rows.groupby(["label", "part"]):
            hard = others.loc[members.index].to_numpy(bool)
            groups = [members[hard], members[~hard]]
            counts = [group["times"].sum() for group in groups]
            if min(counts) > 0:
                weight = counts[0] * counts[1] / sum(counts)
                numerator += weight * (mean(groups[0], "wrong") - mean(groups[1], "wrong"))
                denominator += weight
        found.append(numerator / denominator)
    return float(np.mean(found))


def effects(tables: Tables) -> dict[str, float]:
    """Return the effects of the claims that these tables can test."""
    accuracy = 1 - mean(tables.predictions, "wrong")
    by_class = tables.predictions.groupby("label")[["wrong", "times"]].apply(mean, "wrong")
    correct = tables.maps[~tables.maps["wrong"].astype(bool)]
    found = {
        "accuracy": accuracy,
        "uneven": max(abs(a - b) for a, b in combinations(by_class, 2)),
        "easy-digits": error_of(tables, EASY) - error_of(tables, EASY, others=True),
        "hard-digits": error_of(tables, HARD) / error_of(tables, HARD, others=True),
        "silent": mean(tables.predictions[tables.predictions["wrong"]], "sure"),
        "collapse": (1 - mean(under(tables, "fgsm", 0.015), "wrong")) / accuracy,
        "chance": 1 - mean(under(tables, "fgsm", 0.05), "wrong") - 0.1,
        "direction": mean(under(tables, "random-sign", 0.015), "wrong") - (1 - accuracy),
        "explanations": difference_of_maps(tables.maps),
        "explanations-correct": difference_of_maps(correct),
    }
    if tables.predictions["repeat"].nunique() > 1:
        found["connected"] = difference_of_flips(tables, CLAIMS["connected"].parameters["bins"])
    return found


def stored(name: str) -> tuple[Evidence, Tables]:
    """Return the complete repeats in the stored results of a study, as both."""
    store = Store.open(study.load(name))
    repeats = {
        n: runs
        for n, runs in store.shown_repeats().items()
        if {"maps", "attacks"} <= set(store.runs[runs[0]].tables)
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

    names = ["index", "group", "label", "predicted", "confidence", "logits"]
    predictions = rows("predictions", names)
    own = -1 - predictions["index"]
    predictions["group"] = predictions["group"].where(predictions["group"] >= 0, own)
    predictions["sure"] = predictions["confidence"] >= 0.9
    largest = np.sort(np.stack(list(predictions["logits"])), axis=1)[:, -2:]
    predictions["margin"] = largest[:, 1] - largest[:, 0]
    attacks = rows("attacks", ["attack", "epsilon", "index", "label", "predicted"])
    attacks = attacks[(attacks["epsilon"] > 0) & attacks["epsilon"].isin(EPSILONS)]
    maps = rows("maps", ["layer", "weights", "index", "label", "spread"])
    maps = maps[(maps["layer"] == store.study.maps.layers[0]) & (maps["weights"] == "trained")]
    for table in (predictions, attacks):
        table["wrong"] = table["predicted"] != table["label"]
    keys = ["repeat", "index"]
    maps = maps.merge(predictions[[*keys, "wrong", "group"]], on=keys)
    attacks = attacks.merge(predictions[[*keys, "margin", "group"]], on=keys)
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
    largest = np.sort(data.logits.reshape(len(label), -1), axis=1)[:, -2:]
    rows = pd.DataFrame(
        {
            "repeat": np.repeat(np.arange(repeats), images),
            "index": np.tile(np.arange(images), repeats),
            "group": np.tile(data.group, repeats),
            "label": np.array(data.classes)[label],
            "margin": largest[:, 1] - largest[:, 0],
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


@pytest.fixture(scope="module")
def data() -> Evidence:
    return made_up()


def effect_of(name: str, data: Evidence, **parameters: object) -> np.ndarray:
    """Return the estimate of a claim and its replicates; a range has the estimate alone."""
    claim = CLAIMS[name]
    found = claim.test.function(data, **claim.parameters | parameters).effect
    return np.append(found.value, getattr(found, "drawn", []))


@pytest.mark.parametrize("source", ["made up", "demo", "svhn-subset"])
def test_effects_are_those_of_plain_means(source: str, data: Evidence) -> None:
    if source == "made up":
        body, tables = data, tables_of(data)
    else:
        body, tables = stored(source)
    groups = np.unique(tables.predictions["group"])
    # Accuracy is a claim about the official split alone, and with the demo's few errors a resample
    # may leave nothing to compare.
    untested = {"accuracy"} | ({"connected"} if source == "demo" else set())
    compared = set()
    for row in ROWS:
        plain = effects(tables.drawn(pd.Series(body.resamples.weights[row], index=groups)))
        for name, expected in plain.items():
            try:
                values = effect_of(name, body)
            except NotTested:
                assert name in untested and body.source != "svhn"
                continue
            if row < len(values):
                assert values[row] == pytest.approx(expected, abs=ROUNDING, rel=ROUNDING), name
                compared.add(name)
    assert compared >= set(plain) - untested


def test_what_confidence_distinguishes_is_scikit_learns_auroc() -> None:
    data = made_up(repeats=2)
    attacked = data.attacked["fgsm", 0.015]
    for scaled in (False, True):
        temperatures = data.temperatures if scaled else np.ones_like(data.temperatures)
        found = effect_of("confident", data, scaled=scaled)
        clean, under_attack = (
            softmax(logits / temperatures[..., None], axis=2).max(axis=2)
            for logits in (data.logits, attacked.logits)
        )
        clean = clean if scaled else data.confidence
        for replicate, times in enumerate(data.resamples.weights[:3]):
            areas = []
            for repeat in range(2):
                right = data.predicted[repeat] == data.label
                made = right & (attacked.predicted[repeat] != data.label)
                truth = np.repeat([1, 0], [right.sum(), made.sum()])
                scores = np.concatenate([clean[repeat][right], under_attack[repeat][made]])
                weights = times[np.concatenate([data.group[right], data.group[made]])]
                areas.append(roc_auc_score(truth, scores, sample_weight=weights))
            # The replicates are those of a thousand bins.
            assert found[replicate] == pytest.approx(
                np.mean(areas), abs=1e-3 if replicate else 1e-9
            )


def corrected(first: list[np.ndarray], second: list[np.ndarray], row: int) -> float:
    """Return a covariance over classes without the noise of estimates, [(K,)] by resample.

    The estimate has the noise once; a resample has it twice.
    """
    noise = np.mean(
        [
            np.cov(one - first[0], other - second[0])[0, 1]
            for one, other in zip(first[1:], second[1:], strict=True)
        ]
    )
    return np.cov(first[row], second[row])[0, 1] - noise * (2 if row else 1)


def errors_by_repeat(data: Evidence, times: np.ndarray) -> np.ndarray:
    """Return the error of each class in each repeat by loops, (R, K)."""
    weight = times[data.group]
    return np.array(
        [
            [np.average(wrong[data.label == k], weights=weight[data.label == k]) for k in range(10)]
            for wrong in data.wrong
        ]
    )


def test_persistence_is_a_mean_covariance_over_a_mean_variance(data: Evidence) -> None:
    errors = [errors_by_repeat(data, times) for times in data.resamples.weights]
    found = effect_of("persistent", data)
    for row in ROWS:
        covariance = {
            (a, b): corrected([e[a] for e in errors], [e[b] for e in errors], row)
            for a in range(3)
            for b in range(3)
        }
        shared = np.mean([covariance[pair] for pair in combinations(range(3), 2)])
        # Of the first of each pair, and of the second.
        own = [np.mean([covariance[r, r] for r in of]) for of in ((0, 1), (1, 2))]
        expected = min(shared / np.sqrt(own[0] * own[1]), 1)
        assert found[row] == pytest.approx(expected, abs=1e-4)


def test_errors_and_flips_of_classes_are_correlated_without_their_noise() -> None:
    world = next(each for each in WORLDS if each.only == CORRELATIONS)
    data = world.evidence(resampled(RESAMPLES, seed=0), seed=0)
    attacked, errors, flips = data.attacked["fgsm", BY_CLASS].predicted, [], []
    for times in data.resamples.weights:
        weight = np.broadcast_to(times[data.group], attacked.shape)
        errors.append(errors_by_repeat(data, times).mean(axis=0))
        rates = []
        for k in range(10):
            right = ~data.wrong & (data.label == k)
            rates.append(np.average(attacked[right] != k, weights=weight[right]))
        flips.append(np.array(rates))
    found = effect_of("connected-digits", data, epsilon=BY_CLASS)
    for row in ROWS:
        own = [corrected(each, each, row) for each in (errors, flips)]
        expected = corrected(errors, flips, row) / np.sqrt(np.prod(own))
        assert found[row] == pytest.approx(np.clip(expected, -1, 1), abs=1e-4)


def expected_of(table: np.ndarray) -> np.ndarray:
    """Return a Poisson model of errors (K, K) by class and answer, without the diagonal."""
    rows, columns = np.nonzero(~np.eye(len(table), dtype=bool))
    design = np.hstack([np.eye(len(table))[rows], np.eye(len(table))[columns]])[:, 1:]
    model = sm.GLM(table[rows, columns], design, family=sm.families.Poisson())
    fitted = np.zeros_like(table)
    fitted[rows, columns] = model.fit(tol=1e-12, maxiter=200).fittedvalues
    return fitted


@pytest.mark.parametrize("pairs", [5, 10])
def test_the_commonest_pairs_are_chosen_on_one_half_and_counted_on_the_other(pairs: int) -> None:
    """Half of the errors of each class are read as the next one, so these pairs stand out."""
    answers = (1 - np.eye(10)) / 9 + np.roll(np.eye(10), 1, axis=1)
    world = World(error=np.linspace(0.2, 0.4, 10), answers=answers)
    data = simulated.evidence(world, groups=1000, repeats=2, resamples=3, seed=2)
    order = np.random.default_rng([data.seed, 1]).permutation(1000)
    inside = (order % 2 == 0)[data.group]
    shares, by_chance = [], []
    chosen = confusions.commonest(data, pairs=pairs)
    for place, half in enumerate((inside, ~inside)):
        tables = np.zeros((2, 10, 10))
        for table, members in zip(tables, (half, ~half), strict=True):
            for predicted in data.predicted:
                wrong = members & (predicted != data.label)
                np.add.at(table, (data.label[wrong], predicted[wrong]), 1)
        every = list(permutations(range(10), 2))
        top = sorted(every, key=lambda pair, table=tables[0]: -table[pair])[:pairs]
        assert {tuple(pair) for pair in chosen[place]} == set(top)
        model = expected_of(tables[1])
        shares.append(sum(tables[1][pair] for pair in top) / tables[1].sum())
        by_chance.append(sum(model[pair] for pair in top) / model.sum())
    result = confusions.confusion_structure(data, pairs=pairs)
    reported = {one.kind: one.value for one in result.reported}
    assert reported["share in the pairs"] == pytest.approx(np.mean(shares), abs=1e-5)
    assert reported["share in the pairs by chance"] == pytest.approx(np.mean(by_chance), abs=1e-4)
    ratio = np.mean(shares) / np.mean(by_chance)
    assert result.effect.value == pytest.approx(ratio, abs=1e-3) and ratio > 1.5


def test_errors_with_an_attribute_fixed_are_averaged_over_its_slices(data: Evidence) -> None:
    place = np.array(["first", "middle", "last"])[np.arange(len(data.label)) % 3]
    body = replace(data, attributes={"place": place})
    members, wrong = np.isin(data.label, [8, 9]), data.wrong.mean(axis=0)
    difference = total = above = below = 0.0
    for name in np.unique(place):
        (one, other), (n, m) = (
            (wrong[(place == name) & group].sum() for group in (members, ~members)),
            (((place == name) & group).sum() for group in (members, ~members)),
        )
        difference += (one / n - other / m) * n * m / (n + m)
        total += n * m / (n + m)
        above, below = above + one * m / (n + m), below + other * n / (n + m)
    for test, expected in (
        ("error difference", difference / total),
        ("error ratio", above / below),
    ):
        found = TESTS[test].function(body, classes=HARD, fixed="place").effect
        assert found.value == pytest.approx(expected, rel=1e-5)
