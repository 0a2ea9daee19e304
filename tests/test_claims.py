"""Every claim with a closed form, computed a second time from the tables by plain means.

Nothing here but the tables is shared with the code under test: rows are filtered with pandas,
photos are drawn one by one, and scikit-learn gives the AUROC. On made-up evidence, on the
committed results, and on the original's published numbers, worked out by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import kstest, norm
from sklearn.metrics import roc_auc_score

from analysis import claims, evidence, paths, published, results, study
from analysis.claims import errors, explanations
from analysis.claims.catalogue import CATALOGUE, Claim
from analysis.claims.judging import Finding, Rule
from analysis.evidence import Evidence, NotTested
from analysis.resampling import Resamples
from analysis.verdicts import Part
from tests import simulated
from tests.simulated import World

CLAIMS = {claim.id: claim for claim in CATALOGUE}
FGSM, SIGNS = "fgsm", "random-sign"
# The smallest of the studies, and the original's middle and largest.
EPSILONS = (0.0025, 0.015, 0.05)
RESAMPLES, DRAWN = 200, 60
# Sums are added in single precision.
ROUNDING = 1e-5


# ------------------------------------------------------------------------------ the plain way


@dataclass(frozen=True)
class Tables:
    """Tidy rows: predictions, attacks and saliency, each with its repeat, photo and label."""

    predictions: pd.DataFrame
    attacks: pd.DataFrame
    saliency: pd.DataFrame

    @cached_property
    def photos(self) -> np.ndarray:
        return np.unique(self.predictions["photo"])

    def redrawn(self, seed: int) -> Tables:
        """Return the tables of as many photos, drawn with replacement: a row counts ``times``."""
        generator = np.random.default_rng(seed)
        drawn = generator.choice(self.photos, len(self.photos))
        times = pd.Series(drawn).value_counts()
        return Tables(
            *(
                rows.assign(times=rows["photo"].map(times).fillna(0))
                for rows in (self.predictions, self.attacks, self.saliency)
            )
        )


def mean(rows: pd.DataFrame, column: str) -> float:
    return float(np.average(rows[column], weights=rows["times"]))


def error_of(tables: Tables, *digits: int) -> float:
    return mean(tables.predictions[tables.predictions["label"].isin(digits)], "wrong")


def accuracy_under(tables: Tables, attack: str, epsilon: float) -> float:
    rows = tables.attacks
    rows = rows[(rows["attack"] == attack) & np.isclose(rows["epsilon"], epsilon)]
    return 1 - mean(rows, "wrong")


def difference_of_maps(rows: pd.DataFrame, measure: str) -> float:
    """Return the means over {8, 9} and {0, 1, 2}, each image once, in deviations of maps."""
    rows = rows.dropna(subset=measure)
    means, squares, number = [], 0.0, 0.0
    for digits in ((8, 9), (0, 1, 2)):
        group = rows[rows["label"].isin(digits)]
        images = group.groupby("index").agg(value=(measure, "mean"), times=("times", "first"))
        means.append(np.average(images["value"], weights=images["times"]))
        centre = np.average(group[measure], weights=group["times"])
        squares += (group["times"] * (group[measure] - centre) ** 2).sum()
        number += group["times"].sum()
    return float((means[0] - means[1]) / np.sqrt(squares / number))


def difference_of_flips(tables: Tables) -> float:
    """Return the difference in flips within digits, by loops over repeats and digits."""
    wrong = tables.predictions.pivot(index="index", columns="repeat", values="wrong")
    found = []
    attacked = tables.attacks[tables.attacks["attack"] == FGSM]
    attacked = attacked[attacked["epsilon"] == attacked["epsilon"].min()]
    for repeat in wrong.columns:
        others = wrong.drop(columns=repeat).any(axis=1)
        rows = attacked[attacked["repeat"] == repeat].set_index("index")
        rows = rows[~wrong.loc[rows.index, repeat].to_numpy(bool)]
        numerator = denominator = 0.0
        for _, of_digit in rows.groupby("label"):
            hard = others.loc[of_digit.index].to_numpy(bool)
            groups = [of_digit[hard], of_digit[~hard]]
            counts = [group["times"].sum() for group in groups]
            if min(counts) > 0:
                weight = counts[0] * counts[1] / sum(counts)
                numerator += weight * (mean(groups[0], "wrong") - mean(groups[1], "wrong"))
                denominator += weight
        found.append(numerator / denominator)
    return float(np.mean(found))


def effects(tables: Tables) -> dict[tuple[str, str], float]:
    """Return the effect of each part of the claims that these tables can speak to."""
    found: dict[tuple[str, str], float] = {}
    accuracy = 1 - mean(tables.predictions, "wrong")
    found["accuracy", "accuracy"] = accuracy
    others = error_of(tables, 3, 4, 5, 6, 7, 8, 9)
    for digit in (0, 1, 2):
        found["easy-digits", f"digit {digit}"] = error_of(tables, digit) - others
    others = error_of(tables, 0, 1, 2, 3, 4, 5, 6, 7)
    for digit in (8, 9):
        found["hard-digits", f"digit {digit}"] = error_of(tables, digit) / others
    found["collapse", "ratio"] = accuracy_under(tables, FGSM, 0.015) / accuracy
    found["chance", "distance"] = accuracy_under(tables, FGSM, 0.05) - 0.1
    found["direction", "loss"] = accuracy - accuracy_under(tables, SIGNS, 0.015)
    failed = tables.predictions[tables.predictions["wrong"]]
    found["silent", "share"] = mean(failed, "sure")
    for measure in ("spread", "area"):
        maps = tables.saliency
        found["explanations", measure] = difference_of_maps(maps, measure)
        correct = maps[~maps["wrong"].astype(bool)]
        found["explanations-correct", measure] = difference_of_maps(correct, measure)
    if tables.predictions["repeat"].nunique() > 1:
        found["connected", "difference"] = difference_of_flips(tables)
    return found


def tables_of_study(name: str) -> Tables:
    """Return the tables of the complete repeats in the committed results of a study."""
    folder = paths.ROOT / "build" / "results" / name
    if not (folder / results.MANIFEST).is_file():
        pytest.skip(f"there are no committed results of {name} yet")
    stored = results.load(name, folder=folder)
    runs = stored.manifest.runs
    folds = pd.Series([run.repeat for run in runs.values()]).value_counts()
    whole = set(folds[folds == stored.study.split.folds].index)
    if not whole:
        pytest.skip(f"{name} has no complete repeat yet")

    def rows(table: str) -> pd.DataFrame:
        found = stored.table(table)
        found["repeat"] = found["run"].map({run: entry.repeat for run, entry in runs.items()})
        return found[found["repeat"].isin(whole)]

    predictions = rows("predictions")
    unknown = predictions["photo"] < 0
    own = -1 - predictions["index"]
    predictions["photo"] = predictions["photo"].where(~unknown, own)
    photo = predictions.drop_duplicates("index").set_index("index")["photo"]
    keys = ["repeat", "index"]
    predictions["wrong"] = predictions["predicted"] != predictions["label"]
    predictions["sure"] = predictions["confidence"] >= 0.9
    attacks = rows("attacks").assign(wrong=lambda table: table["predicted"] != table["label"])
    saliency = rows("saliency")
    saliency = saliency[saliency["layer"] == stored.study.saliency.layers[0]]
    # Whether a prediction is right is said by the predictions.
    saliency = saliency.merge(predictions[[*keys, "wrong"]], on=keys)
    attacks = attacks[(attacks["epsilon"] > 0) & attacks["epsilon"].isin(EPSILONS)]
    return Tables(
        predictions.assign(times=1.0),
        attacks.assign(photo=attacks["index"].map(photo), times=1.0),
        saliency.assign(photo=saliency["index"].map(photo), times=1.0),
    )


def tables_of(data: Evidence) -> Tables:
    """Return evidence as tidy rows."""
    repeats, images = data.predicted.shape
    rows = pd.DataFrame(
        {
            "repeat": np.repeat(np.arange(repeats), images),
            "index": np.tile(np.arange(images), repeats),
            "photo": np.tile(data.photo, repeats),
            "label": np.tile(data.label, repeats),
            "times": 1.0,
        }
    )
    predictions = rows.assign(
        wrong=data.predicted.ravel() != rows["label"], sure=data.confidence.ravel() >= 0.9
    )
    attacks = [
        rows.assign(attack=attack, epsilon=epsilon, wrong=of.predicted.ravel() != rows["label"])
        for (attack, epsilon), of in data.attacked.items()
    ]
    maps = {name: values.ravel() for name, values in data.saliency["layer"].items()}
    return Tables(predictions, pd.concat(attacks), rows.assign(**maps, wrong=predictions["wrong"]))


# ------------------------------------------------------------------------------ both ways

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
    data = simulated.evidence(WORLD, photos=1500, repeats=repeats, resamples=RESAMPLES, seed=1)
    generator = np.random.default_rng(2)
    for values in data.saliency["layer"].values():
        values[generator.random(values.shape) < 0.1] = np.nan
    return data


def of_study(name: str) -> Evidence:
    return evidence.of_study(
        results.load(name, folder=paths.ROOT / "build" / "results" / name), resamples=RESAMPLES
    )


@pytest.fixture(scope="module", params=["made up", "demo", "svhn-subset"])
def both(request: pytest.FixtureRequest) -> tuple[Evidence, Tables]:
    """Return the same data as evidence, and as tables."""
    if request.param == "made up":
        data = made_up()
        return data, tables_of(data)
    tables = tables_of_study(request.param)
    return of_study(request.param), tables


def findings(data: Evidence, names: set[str]) -> Iterator[tuple[Claim, Finding]]:
    for name in sorted(names):
        try:
            yield CLAIMS[name], CLAIMS[name].function(data)
        except NotTested:
            # Accuracy is a claim about the official split alone.
            assert name == "accuracy" and not data.official


def test_effects_are_those_of_the_plain_way(both: tuple[Evidence, Tables]) -> None:
    data, tables = both
    expected = effects(tables)
    compared = set()
    for claim, finding in findings(data, {name for name, _ in expected}):
        assert {(claim.id, part) for part in finding.parts} <= set(expected)
        for part, values in finding.parts.items():
            assert values.shape == (1 + RESAMPLES,)
            assert values[0] == pytest.approx(expected[claim.id, part], abs=ROUNDING, rel=ROUNDING)
            compared.add((claim.id, part))
    assert compared >= {key for key in expected if key[0] != "accuracy"}


def test_verdicts_are_those_of_photos_drawn_one_by_one(both: tuple[Evidence, Tables]) -> None:
    """Other resamples of the same photos: as wide intervals, and the same verdicts where clear."""
    data, tables = both
    drawn = pd.DataFrame([effects(tables.redrawn(seed)) for seed in range(DRAWN)])
    clear = 0
    for claim, finding in findings(data, {name for name, _ in drawn.columns}):
        rule = Rule(claim.side, claim.threshold, 0.9, simultaneous=0.98)
        for name, values in finding.parts.items():
            part = rule.judge(name, values)
            plain = drawn[claim.id, name]
            low, high = plain.quantile(0.01), plain.quantile(0.99)
            # Standard deviations of 60 replicates differ by one part in eleven from the truth.
            assert part.standard_error == pytest.approx(plain.std(), rel=0.35)
            assert part.low == pytest.approx(plain.quantile(0.05), abs=plain.std())
            assert part.high == pytest.approx(plain.quantile(0.95), abs=plain.std())
            limits = [claim.threshold]
            if claim.side == "within":
                limits = [-claim.threshold, claim.threshold]
            if any(min(abs(low - t), abs(high - t)) < 1.5 * plain.std() for t in limits):
                continue
            if claim.side == "within":
                inside = limits[0] < low and high < limits[1]
                outside = low > limits[1] or high < limits[0]
            else:
                sign = 1 if claim.side == "above" else -1
                ends = sorted([sign * low, sign * high])
                inside, outside = ends[0] > sign * limits[0], ends[1] < sign * limits[0]
            expected = "supported" if inside else "refuted" if outside else "inconclusive"
            assert part.verdict == expected, (claim.id, name)
            clear += 1
    assert clear >= 4


def test_confidence_is_told_apart_as_scikit_learn_does() -> None:
    data = made_up(repeats=2)
    attacked = data.attacked[FGSM, 0.015]
    found = CLAIMS["confident"].function(data)
    assert found.parts.keys() == {"as given", "scaled"}
    weights = np.vstack([np.ones(data.photo.max() + 1), data.resamples.weights[1:4]])
    for part, temperatures in (
        ("as given", np.ones_like(data.fold)),
        ("scaled", data.temperatures),
    ):
        for replicate, times in enumerate(weights):
            areas = []
            for repeat in range(2):
                scale = temperatures[repeat][:, None]
                clean = softmax(data.logits[repeat] / scale, axis=1).max(axis=1)
                under = softmax(attacked.logits[repeat] / scale, axis=1).max(axis=1)
                right = data.predicted[repeat] == data.label
                made = right & (attacked.predicted[repeat] != data.label)
                areas.append(
                    roc_auc_score(
                        np.repeat([1, 0], [right.sum(), made.sum()]),
                        np.concatenate([clean[right], under[made]]),
                        sample_weight=np.concatenate(
                            [times[data.photo[right]], times[data.photo[made]]]
                        ),
                    )
                )
            assert found.parts[part][replicate] == pytest.approx(np.mean(areas), abs=1e-9)
    assert (found.parts["as given"] != found.parts["scaled"]).any()


def test_the_temperature_of_an_image_is_not_fitted_on_its_own_fold() -> None:
    data = made_up(repeats=2)
    first = data.fold[0] == 0
    absurd = np.where(first, data.logits[0].argmin(axis=1), data.label)
    other = replace(data, label=absurd)
    assert np.array_equal(other.temperatures[0][first], data.temperatures[0][first])
    assert (other.temperatures[0][~first] > data.temperatures[0][~first]).all()


# ------------------------------------------------------------------------------ the original


@pytest.fixture(scope="module")
def original() -> Evidence:
    return evidence.of_original(resamples=400, seed=0)


def test_the_matrix_becomes_as_many_images(original: Evidence) -> None:
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (original.label, original.predicted[0]), 1)
    assert np.array_equal(counts, published.confusion_matrix())
    assert len(np.unique(original.photo)) == 26_032


# Worked out from the published matrix: right and all images of a digit.
ZERO_TO_SEVEN = (1688 + 4819 + 3971 + 2663 + 2311 + 2207 + 1844 + 1908) / (
    1744 + 5099 + 4149 + 2882 + 2523 + 2384 + 1977 + 2019
)
THREE_TO_NINE = (2663 + 2311 + 2207 + 1844 + 1908 + 1499 + 1449) / (
    2882 + 2523 + 2384 + 1977 + 2019 + 1660 + 1595
)
PUBLISHED = {
    ("accuracy", "accuracy"): 24359 / 26032,
    ("easy-digits", "digit 0"): (1 - 1688 / 1744) - (1 - THREE_TO_NINE),
    ("easy-digits", "digit 1"): (1 - 4819 / 5099) - (1 - THREE_TO_NINE),
    ("easy-digits", "digit 2"): (1 - 3971 / 4149) - (1 - THREE_TO_NINE),
    ("hard-digits", "digit 8"): (1 - 1499 / 1660) / (1 - ZERO_TO_SEVEN),
    ("hard-digits", "digit 9"): (1 - 1449 / 1595) / (1 - ZERO_TO_SEVEN),
    ("collapse", "ratio"): 0.222 / (24359 / 26032),
    ("chance", "distance"): 0.020 - 0.1,
}


def test_effects_on_the_published_numbers(original: Evidence) -> None:
    found = {
        (name, part): values[0]
        for name in {name for name, _ in PUBLISHED}
        for part, values in CLAIMS[name].function(original).parts.items()
    }
    assert found == pytest.approx(PUBLISHED, abs=ROUNDING)
    # As the original prints them.
    assert found["accuracy", "accuracy"] == pytest.approx(0.936, abs=5e-4)
    assert found["collapse", "ratio"] == pytest.approx(0.222 / 0.936, abs=1e-4)
    assert found["chance", "distance"] == pytest.approx(-0.08, abs=1e-6)


def test_eight_and_nine_are_the_worst_digits_of_the_original(original: Evidence) -> None:
    accuracies = 1 - errors.class_errors(original)[0]
    assert list(np.argsort(accuracies)[:2]) == [8, 9]
    assert accuracies[[8, 9]] == pytest.approx([0.903, 0.908], abs=5e-4)


def test_verdicts_on_the_published_numbers_are_those_of_closed_forms(original: Evidence) -> None:
    """Normal intervals for shares, and for the logarithm of a ratio of two of them."""
    simultaneous = 1 - 0.05 / 7
    z = norm.isf(0.05 / 7 / 2)

    def part(claim: str, name: str) -> Part:
        values = CLAIMS[claim].function(original).parts[name]
        rule = Rule(CLAIMS[claim].side, CLAIMS[claim].threshold, 0.95, simultaneous=simultaneous)
        return rule.judge(name, values)

    accuracy = part("accuracy", "accuracy")
    error = np.sqrt(0.9357 * 0.0643 / 26032)
    assert accuracy.standard_error == pytest.approx(error, rel=0.15)
    assert accuracy.verdict == "supported"
    rest = (1 - ZERO_TO_SEVEN, 22777)
    for name, (share, images), verdict in (
        ("digit 8", (1 - 1499 / 1660, 1660), "supported"),
        ("digit 9", (1 - 1449 / 1595, 1595), "inconclusive"),
    ):
        found = part("hard-digits", name)
        error = np.sqrt(sum((1 - p) / (n * p) for p, n in ((share, images), rest)))
        ends = np.log(share / rest[0]) + np.array([-z, z]) * error
        # 400 resamples leave the ends uncertain by a few hundredths.
        assert found.simultaneous_low == pytest.approx(np.exp(ends[0]), abs=0.06)
        assert found.simultaneous_high == pytest.approx(np.exp(ends[1]), abs=0.1)
        assert found.verdict == verdict
    chance = part("chance", "distance")
    assert chance.standard_error == pytest.approx(np.sqrt(0.02 * 0.98 / 26032), rel=0.15)
    # Far below guessing is no guessing.
    assert chance.verdict == "refuted" and chance.simultaneous_high < -0.05
    collapse = part("collapse", "ratio")
    assert collapse.verdict == "supported"
    error = np.sqrt(0.222 * 0.778 / 26032) / 0.9357
    assert collapse.standard_error == pytest.approx(error, rel=0.15)
    assert {part("easy-digits", f"digit {digit}").verdict for digit in (0, 1, 2)} == {"supported"}


def test_what_was_not_published_is_not_tested(original: Evidence) -> None:
    for claim in CATALOGUE:
        if not claim.published:
            with pytest.raises(NotTested):
                claim.function(original)


# ------------------------------------------------------------------------------ splits


def test_the_gap_is_chosen_and_measured_on_different_halves() -> None:
    """Where all digits err alike the honest gap is near zero, and the other one is not."""
    world = World(error=np.full(10, 0.1))
    data = simulated.evidence(world, photos=1000, repeats=1, resamples=50, seed=3)
    found = errors.uneven(data, splits=50)
    (same, p) = found.beside
    label, wrong = data.label, data.wrong[0]
    by_digit = [wrong[label == digit].mean() for digit in range(10)]
    assert same.value == pytest.approx(max(by_digit) - min(by_digit), abs=ROUNDING)
    assert same.value > 0.04 > abs(found.parts["gap"][0])
    assert p.value > 0.01


def test_the_gap_is_that_of_a_loop_over_halves() -> None:
    data = simulated.evidence(WORLD, photos=300, repeats=2, resamples=3, seed=4)
    error = data.wrong.mean(axis=0)
    gaps = []
    for inside, outside in data.resamples.halves(np.eye(300)[data.photo], splits=20):
        for split in range(len(inside)):
            chosen, measured = (
                [
                    np.average(
                        error[data.label == digit], weights=times[data.photo][data.label == digit]
                    )
                    for digit in range(10)
                ]
                for times in (half[split, 0] > 0 for half in (inside, outside))
            )
            gaps.append(measured[np.argmax(chosen)] - measured[np.argmin(chosen)])
    found = errors.uneven(data, splits=20).parts["gap"][0]
    assert found == pytest.approx(np.mean(gaps), abs=1e-4)


def test_without_effects_of_digits_the_test_of_heterogeneity_is_uniform() -> None:
    """Errors that cluster by photo, in 200 data sets: a chi-squared test would be far off."""
    world = World(error=np.full(10, 0.2))
    found = []
    for seed in range(200):
        data = simulated.evidence(world, photos=150, repeats=1, resamples=99, seed=seed)
        found.append(errors.heterogeneity(data))
    assert kstest(found, "uniform").pvalue > 0.001
    data = simulated.evidence(WORLD, photos=150, repeats=1, resamples=99, seed=0)
    assert errors.heterogeneity(data) <= 0.02


def test_persistence_is_tested_from_three_repeats_on() -> None:
    with pytest.raises(NotTested, match="needs three repeats, and there are 2"):
        errors.persistent(made_up(repeats=2))
    found = errors.persistent(made_up(repeats=3), splits=20)
    assert found.met
    values = {one.name: one.value for one in found.beside}
    between = values["correlation between repeats, uncorrected"]
    reliability = values["correlation of a repeat with itself"]
    assert found.parts["correlation"][0] == pytest.approx(between / reliability)
    assert 0 < between < 1 and 0 < reliability < 1


# ------------------------------------------------------------------------------ odd data


def few(**changes: object) -> Evidence:
    """Return a small sample without attacks and maps: ten photos with two digits each."""
    label = np.arange(20) % 10
    photo = np.arange(20) // 2
    plain: dict = {
        "label": label,
        "predicted": np.stack([np.where(np.arange(20) < 3, (label + 1) % 10, label)] * 3),
        "photo": photo,
        "seed": 0,
        "resamples": Resamples(photo, 40, 0),
        "confidence": np.full((3, 20), 0.95),
    }
    return Evidence(**{**plain, **changes})


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_class_without_images_leaves_what_compares_it_untested() -> None:
    label = np.arange(20) % 9
    judged = claims.judge(few(label=label), level=0.95)
    reason = judged.judgements["hard-digits"].reason
    assert "too few images" in reason and "not defined" in reason
    assert judged.judgements["easy-digits"].verdict == "not tested"
    # And it does not make the others seem to differ.
    p = judged.judgements["uneven"].value("permutation test of equal errors, p").value
    data = few(label=label, predicted=np.stack([label] * 3))
    assert p > 0.02 and errors.heterogeneity(data) == 1


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_networks_without_any_error_are_judged_as_far_as_they_can_be() -> None:
    label = np.arange(20) % 10
    judged = claims.judge(few(predicted=np.stack([label] * 3), official=True), level=0.95)
    verdicts = {name: judgement.verdict for name, judgement in judged.judgements.items()}
    assert verdicts["accuracy"] == "supported"
    for name in ("hard-digits", "structured", "persistent", "silent"):
        assert verdicts[name] == "not tested"
        assert "not defined" in judged.judgements[name].reason


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("images", [1, 2, 5])
def test_hardly_any_images_are_no_error(images: int) -> None:
    label = np.arange(images) % 10
    photo = np.arange(images)
    data = few(
        label=label,
        predicted=np.stack([(label + 1) % 10] * 3),
        photo=photo,
        resamples=Resamples(photo, 40, 0),
        confidence=np.full((3, images), 0.5),
        saliency={"layer": {"spread": np.full((3, images), np.nan), "area": np.ones((3, images))}},
    )
    judged = claims.judge(data, level=0.95)
    assert set(judged.judgements) == set(CLAIMS)
    for judgement in judged.judgements.values():
        for part in judgement.parts:
            assert np.isfinite([part.effect, part.low, part.high, part.standard_error]).all()


def test_the_contrast_of_maps_does_not_depend_on_where_zero_is() -> None:
    # Single precision keeps seven digits: of a square of 1000, nothing of a square of 0.01.
    data = made_up()
    small = 0.01 * data.saliency["layer"]["spread"]
    found = explanations.contrast(data, small)
    np.testing.assert_allclose(explanations.contrast(data, small + 1000), found, atol=1e-4)
    inside = explanations._stratified(data, small)
    np.testing.assert_allclose(explanations._stratified(data, small + 1000), inside, atol=1e-4)


# ------------------------------------------------------------------------------ all together


def test_all_claims_that_are_tested_share_the_error_rate() -> None:
    data = simulated.evidence(WORLD, photos=400, repeats=1, resamples=200, seed=5)
    judged = claims.judge(data, level=0.9)
    tested = {name for name, judgement in judged.judgements.items() if judgement.parts}
    # With one repeat nothing can be said of what other repeats do.
    untested = {"persistent", "connected", "imperceptible", "aggregate"}
    assert tested == set(CLAIMS) - untested and judged.tested == len(tested)
    values = CLAIMS["accuracy"].function(data).parts["accuracy"]
    (part,) = judged.judgements["accuracy"].parts
    tail = 0.05 / judged.tested / 2
    assert part.simultaneous_low == pytest.approx(np.quantile(values[1:], tail))
    assert part.simultaneous_high == pytest.approx(np.quantile(values[1:], 1 - tail))
    assert (part.low, part.high) == pytest.approx(tuple(np.quantile(values[1:], [0.05, 0.95])))


def test_each_end_of_a_simultaneous_interval_has_resamples_beyond_it() -> None:
    chosen = study.load("demo")
    confirmatory = [claim for claim in CATALOGUE if claim.threshold is not None]
    count = claims.needed_resamples(chosen, len(confirmatory))
    beyond = count * 0.05 / len(confirmatory) / 2
    assert beyond == pytest.approx(chosen.bootstrap.resamples * 0.005, abs=0.01)


def test_the_catalogue_says_all_that_was_fixed_beforehand() -> None:
    assert len(CLAIMS) == len(CATALOGUE) == 16
    for claim in CATALOGUE:
        assert claim.statement.endswith(".") and claim.says.endswith(".")
        assert (claim.side is None) == (claim.threshold is None)
        assert claim.test.endswith(".") and claim.refuted_by
    thresholds = {claim.id: claim.threshold for claim in CATALOGUE if claim.threshold is not None}
    # They do not move.
    assert thresholds == {
        "accuracy": 0.93,
        "uneven": 0.02,
        "easy-digits": -0.01,
        "hard-digits": 1.25,
        "structured": 1.25,
        "persistent": 0.7,
        "explanations": 0.2,
        "explanations-correct": 0.2,
        "collapse": 0.5,
        "chance": 0.05,
        "direction": 0.02,
        "confident": 0.7,
        "connected": 0.05,
        "silent": 0.2,
    }
