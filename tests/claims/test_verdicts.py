"""Tests on halves and on odd data, for few and many classes, and all claims of a study together."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kstest

from analysis import claims, study
from analysis.claims import confusions, errors, explanations
from analysis.claims.judge import ALPHA, judge, needed_resamples
from analysis.claims.text import lines
from analysis.inference import evidence as evidences
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Evidence, NotTested
from analysis.project.errors import UserError
from analysis.results import published
from analysis.results.records import ClaimRecord, ClaimsRecord, Reported
from analysis.results.schemas import MEASURES
from analysis.study import Bootstrap, Study
from tests.claims.test_plain_computation import WORLD
from tests.inference.simulated import World, evidence, names

NOTEBOOK, GENERAL = (
    study.load("svhn"),
    study.load("svhn").model_copy(update={"claims": ("general",)}),
)


def judged(data: Evidence, chosen: Study = NOTEBOOK) -> dict[str, ClaimRecord]:
    records, _, _ = judge(chosen, claims.of(chosen), data, None)
    return {record.id: record for record in records}


def values(found: tuple[Reported, ...]) -> dict[str, float]:
    return {one.kind: one.value for one in found}


def test_the_gap_is_that_of_a_loop_over_halves() -> None:
    data = evidence(WORLD, groups=300, repeats=2, resamples=3, seed=4)
    error, gaps = data.wrong.mean(axis=0), []
    for halves in data.resamples.halves(np.eye(300)[data.group], splits=20):
        for first, second in zip(*halves, strict=True):
            rates = [
                [error[(half[0] > 0)[data.group] & (data.label == k)].mean() for k in range(10)]
                for half in (first, second)
            ]
            gaps.append(rates[1][np.argmax(rates[0])] - rates[1][np.argmin(rates[0])])
    found = errors.error_gap(data, splits=20).parts["gap"][0]
    assert found == pytest.approx(np.mean(gaps), abs=1e-4)


def test_the_gap_is_chosen_and_measured_on_different_halves() -> None:
    """Where all classes have the same error that gap is near zero, and the other one is not."""
    world = World(error=np.full(10, 0.1))
    data = evidence(world, groups=1000, repeats=1, resamples=50, seed=3)
    found = errors.error_gap(data, splits=50)
    reported = values(found.reported)
    by_class = [data.wrong[0][data.label == k].mean() for k in range(10)]
    same = max(by_class) - min(by_class)
    assert reported["gap on the same images"] == pytest.approx(same, abs=1e-5)
    assert same > 0.04 > abs(found.parts["gap"][0])
    assert reported["p of equal errors"] > 0.01


def test_without_effects_the_test_of_equal_errors_is_uniform() -> None:
    """Errors that cluster in groups, in 200 data sets: a chi-squared test would be far off."""
    world = World(error=np.full(10, 0.2))
    found = [
        errors.heterogeneity(evidence(world, groups=150, repeats=1, resamples=99, seed=seed))
        for seed in range(200)
    ]
    assert kstest(found, "uniform").pvalue > 0.001
    data = evidence(WORLD, groups=150, repeats=1, resamples=99, seed=0)
    assert errors.heterogeneity(data) <= 0.02


def test_persistence_is_the_correlation_between_repeats_over_that_within() -> None:
    data = evidence(WORLD, groups=800, repeats=3, resamples=50, seed=1)
    found = errors.persistence(data, splits=20)
    reported = values(found.reported)
    between, within = (
        reported[kind]
        for kind in ("correlation between repeats", "correlation of a repeat with itself")
    )
    assert found.met and 0 < between < 1 and 0 < within < 1
    assert found.parts["correlation"][0] == pytest.approx(between / within)
    two = replace(data, predicted=data.predicted[:2])
    with pytest.raises(NotTested, match="needs three repeats, not 2"):
        errors.persistence(two)


@pytest.mark.parametrize("classes", [6, 40])
def test_the_commonest_pairs_are_those_of_a_loop_over_halves(classes: int) -> None:
    """Half of the errors in each class are read as the next one, so these pairs stand out."""
    answers = (1 - np.eye(classes)) / (classes - 1) + np.roll(np.eye(classes), 1, axis=1)
    world = World(error=np.full(classes, 0.4), answers=answers)
    groups = 100 * classes
    data = evidence(world, groups=groups, repeats=1, resamples=0, seed=2)
    pairs, found = np.array(list(permutations(range(classes), 2))).T, []
    for halves in data.resamples.halves(evidences.one_hot(data.group, groups), splits=5):
        for first, second in zip(*halves, strict=True):
            tables = np.zeros((2, classes, classes))
            for table, half in zip(tables, (first, second), strict=True):
                inside = (half[0] > 0)[data.group] & data.wrong[0]
                np.add.at(table, (data.label[inside], data.predicted[0][inside]), 1)
            top = np.argsort(-tables[0][*pairs])[:classes]
            found.append(tables[1][*pairs[:, top]].sum() / tables[1].sum())
    result = confusions.confusion_structure(data, pairs=classes, splits=5)
    reported = values(result.reported)
    assert reported["share in the pairs"] == pytest.approx(np.mean(found), abs=1e-5)
    assert result.parts["ratio"][0] > 1.25
    # Of 40 classes only pairs that occur are counted, and independence is not tested.
    assert ("p of quasi-independence" in reported) == (classes == 6)


def test_few_and_many_pairs_are_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(error=np.linspace(0.1, 0.5, 12))
    data = evidence(world, groups=400, repeats=4, resamples=20, seed=6)
    whole = confusions.confusion_structure(data, splits=10).parts["ratio"]
    # All pairs are among the commonest, and only the way they are counted differs.
    monkeypatch.setattr(confusions, "PAIRS", 131)
    fewer = confusions.confusion_structure(data, splits=10).parts["ratio"]
    np.testing.assert_allclose(fewer, whole, rtol=0.05)
    assert abs(fewer[0] - 1) < 0.35


@pytest.mark.parametrize("classes", [2, 3, 4, 10, 100])
def test_claims_for_any_image_classifier_are_judged_for_any_number_of_classes(classes: int) -> None:
    world = World(error=np.full(classes, 0.2))
    data = evidence(world, groups=400, repeats=3, resamples=60, seed=1)
    found = judged(data, GENERAL)
    untested = {name for name, record in found.items() if record.study.verdict == "not tested"}
    if classes == 2:
        assert untested == {"structured", "persistent"}
        assert found["structured"].study.reason == "two classes have one confusion each"
        assert found["persistent"].study.reason == "two classes have no order to correlate"
    else:
        # Ten pairs of six or twelve contain most errors whatever the structure.
        assert ("structured" in untested) == (classes < 5)
    assert not {"collapse", "direction", "confident", "connected", "silent"} & untested
    # With no effect of classes nothing is found.
    assert "supported" not in {
        found[n].study.verdict for n in ("uneven", "structured", "persistent")
    }


def few(**changes: object) -> Evidence:
    """Return a small sample without attacks and maps: ten groups of two images."""
    label = np.arange(20) % 10
    group = np.arange(20) // 2
    plain: dict = {
        "classes": names(10),
        "label": label,
        "predicted": np.stack([np.where(np.arange(20) < 3, (label + 1) % 10, label)] * 3),
        "group": group,
        "seed": 0,
        "resamples": Resamples(group, 40, 0),
        "confidence": np.full((3, 20), 0.95),
    }
    return Evidence(**{**plain, **changes})


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_class_without_images_leaves_what_compares_it_untested() -> None:
    label = np.arange(20) % 9
    found = judged(few(label=label))
    assert "too few images" in found["hard-digits"].study.reason
    assert found["easy-digits"].study.verdict == "not tested"
    # And it does not make the others seem to differ.
    assert values(found["uneven"].study.reported)["p of equal errors"] > 0.02
    assert errors.heterogeneity(few(label=label, predicted=np.stack([label] * 3))) == 1


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("classes", [3, 10, 100])
def test_networks_without_any_error_are_judged_as_far_as_they_can_be(classes: int) -> None:
    data = few(classes=names(classes), label=np.arange(20) % classes, source="svhn")
    found = judged(replace(data, predicted=np.stack([data.label] * 3)), GENERAL)
    for name in ("structured", "persistent", "silent"):
        assert found[name].study.verdict == "not tested"
    assert "not defined" in found["silent"].study.reason
    assert judged(few(predicted=few().label[None], source="svhn"))["accuracy"].study.verdict == (
        "supported"
    )


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("images", [1, 2, 5])
def test_hardly_any_images_are_no_error(images: int) -> None:
    label, group, shape = np.arange(images) % 10, np.arange(images), (3, images)
    data = few(
        label=label,
        predicted=np.stack([(label + 1) % 10] * 3),
        group=group,
        resamples=Resamples(group, 40, 0),
        confidence=np.full(shape, 0.5),
        maps={"layer": {"spread": np.full(shape, np.nan), "area": np.ones(shape)}},
    )
    for record in judged(data).values():
        for part in record.study.parts:
            assert np.isfinite([part.effect, part.low, part.high, part.standard_error]).all()


def test_the_contrast_of_maps_does_not_depend_on_where_zero_is() -> None:
    # Single precision keeps seven digits: of a square of 1000, nothing of a square of 0.01.
    data = evidence(WORLD, groups=500, repeats=3, resamples=50, seed=1)
    small = 0.01 * data.maps["layer"]["spread"]
    groups = data.members(("8", "9")), data.members(("0", "1", "2"))
    found = explanations.contrast(data, small, groups)
    moved = explanations.contrast(data, small + 1000, groups)
    np.testing.assert_allclose(moved, found, atol=1e-4)
    inside = explanations._stratified(data, small)
    np.testing.assert_allclose(explanations._stratified(data, small + 1000), inside, atol=1e-4)


def test_all_claims_that_are_tested_share_the_error_rate() -> None:
    data = evidence(WORLD, groups=400, repeats=1, resamples=200, seed=5)
    records, family, none = judge(NOTEBOOK, claims.of(NOTEBOOK), data, None)
    tested = {record.id for record in records if record.study.parts}
    # One repeat cannot say what other repeats do.
    untested = {"persistent", "connected", "imperceptible", "aggregate"}
    assert tested == {record.id for record in records} - untested and family.tested == len(tested)
    assert none is None and all(record.published is None for record in records)
    (part,) = next(record for record in records if record.id == "accuracy").study.parts
    resampled = data.accuracy()[1:]
    tail = ALPHA / family.tested / 2
    ends = part.simultaneous_low, part.simultaneous_high, part.low, part.high
    expected = np.quantile(resampled, [tail, 1 - tail, 0.025, 0.975])
    assert ends == pytest.approx(tuple(expected))


def test_published_results_are_a_family_of_their_own_and_are_printed() -> None:
    data = evidence(WORLD, groups=400, repeats=1, resamples=200, seed=5)
    chosen = NOTEBOOK.model_copy(update={"bootstrap": Bootstrap(resamples=100)})
    body = published.load("notebook")
    records, family, theirs = judge(chosen, claims.of(chosen), data, body)
    assert theirs.tested == sum(bool(record.published.parts) for record in records) == 7
    assert theirs.resamples == needed_resamples(chosen, 7)
    parts = {"claims": records, "family": family, "published": theirs, "alpha": ALPHA}
    text = lines(ClaimsRecord.model_construct(**parts))
    assert "hard-digits" in text and "published: ratio 0.237" in text
    assert f"simultaneous for {family.tested} tested claims (the published ones for 7)" in text


def test_each_end_of_an_interval_has_resamples_beyond_it() -> None:
    ordinary = NOTEBOOK.bootstrap.resamples
    for tested in (0, 1, 14):
        count = needed_resamples(NOTEBOOK, tested)
        assert count >= ordinary
        assert count * ALPHA / max(tested, 1) / 2 >= ordinary * 0.005 - 0.01
    assert needed_resamples(NOTEBOOK, 14) == 5600


def test_a_test_reports_only_what_it_declares() -> None:
    data = evidence(WORLD, groups=600, repeats=3, resamples=60, seed=5)
    generator = np.random.default_rng(0)
    layer = {name: generator.random(data.predicted.shape) for name in MEASURES}
    # Images that all repeats misread with confidence are suspected.
    predicted, confidence = data.predicted.copy(), data.confidence.copy()
    predicted[:, :40], confidence[:, :40] = (data.label[:40] + 1) % 10, 0.99
    data = replace(
        data,
        predicted=predicted,
        confidence=confidence,
        maps={"first": layer, "second": layer},
        random_maps={"first": layer},
    )
    for record in judged(data).values():
        kinds = {one.kind for one in record.study.reported}
        # All that is declared can be reported, but for correct predictions alone.
        declared = set() if record.id == "explanations-correct" else set(record.reports)
        assert kinds == declared


def test_a_claim_about_a_class_that_the_study_does_not_have_is_refused() -> None:
    data = few(classes=("cat", "dog", *names(8)))
    claim = {"id": "mine", "statement": "S.", "test": "error ratio", "classes": ["dgo"], "above": 1}
    chosen = NOTEBOOK.model_copy(update={"claims": (), "claim": (claim,)})
    with pytest.raises(
        UserError, match="claim mine: there is no class 'dgo'; the nearest is 'dog'"
    ):
        judged(data, chosen)
