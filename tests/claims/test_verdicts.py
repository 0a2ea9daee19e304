"""All claims of a study together: families, variants, odd data, few and many classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import claims, study
from analysis.claims import explanations
from analysis.claims.fragility import connected_flips
from analysis.claims.judge import ALPHA, judge, needed_resamples
from analysis.claims.judging import holm
from analysis.claims.text import lines
from analysis.inference import suspects, variants
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence, NotTested
from analysis.inference.slices import fixed_ratio
from analysis.project.errors import UserError
from analysis.results import published
from analysis.results.records import ClaimRecord, ClaimsRecord, Variant
from analysis.results.schemas import FGSM, MEASURES, PGD, PGD_MARGIN, PGD_RANDOM
from analysis.study import Bootstrap, Study
from tests.claims.test_plain_computation import WORLD
from tests.inference.simulated import World, evidence, names

NOTEBOOK = study.load("svhn")
GENERAL = NOTEBOOK.model_copy(update={"claims": ("general",)})
MINE = {"id": "mine", "statement": "S.", "test": "error ratio", "classes": ["8"], "above": 1.25}


def judged(data: Evidence, chosen: Study = NOTEBOOK) -> dict[str, ClaimRecord]:
    records, _, _ = judge(chosen, claims.of(chosen), data, None)
    return {record.id: record for record in records}


def mine(**changes: object) -> Study:
    return NOTEBOOK.model_copy(update={"claims": (), "claim": (MINE | changes,)})


def varied(data: Evidence, **changes: object) -> dict[str, Variant]:
    """Return the variants of one claim by their label."""
    record = judged(data, mine(**changes))["mine"]
    return {variant.label: variant for variant in record.study.variants}


def with_suspects() -> Evidence:
    """Return evidence in which all repeats misread forty images alike and with confidence."""
    data = evidence(WORLD, groups=600, repeats=3, resamples=200, seed=5)
    predicted, confidence = data.predicted.copy(), data.confidence.copy()
    predicted[:, :40], confidence[:, :40] = (data.label[:40] + 1) % 10, 0.995
    place = np.array(["first", "last"])[np.arange(len(data.label)) % 2]
    return replace(data, predicted=predicted, confidence=confidence, attributes={"place": place})


@pytest.mark.parametrize("classes", [2, 3, 4, 10, 100])
def test_claims_for_any_image_classifier_are_judged_for_any_number_of_classes(classes: int) -> None:
    world = World(error=np.full(classes, 0.2))
    data = evidence(world, groups=600, repeats=3, resamples=60, seed=1)
    found = judged(data, GENERAL)
    reasons = {
        name: record.study.reason
        for name, record in found.items()
        if record.study.verdict == "not tested"
    }
    if classes == 2:
        assert reasons["structured"] == "two classes have one confusion each"
        assert reasons["persistent"] == "two classes have no order to correlate"
    else:
        # Ten pairs of six or twelve contain most errors whatever the structure.
        assert ("structured" in reasons) == (classes < 5)
    # A hundred classes have too few images each.
    few = {"uneven", "connected"} if classes == 100 else set()
    assert set(reasons) <= {"structured", "persistent", *few}
    # With no effect of classes nothing is found.
    assert "holds" not in {found[n].study.verdict for n in ("uneven", "structured", "persistent")}


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
def test_what_compares_classes_without_images_is_not_tested() -> None:
    found = judged(few(label=np.arange(20) % 8))
    assert "too few images" in found["hard-digits"].study.reason
    assert found["uneven"].study.reason == "fewer than two classes have 10 images"


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("classes", [3, 10, 100])
def test_networks_without_any_error_are_judged_as_far_as_they_can_be(classes: int) -> None:
    data = few(classes=names(classes), label=np.arange(20) % classes, source="svhn")
    found = judged(replace(data, predicted=np.stack([data.label] * 3)), GENERAL)
    for name in ("structured", "persistent", "silent"):
        assert found[name].study.verdict == "not tested"
    for name in ("structured", "silent"):
        assert found[name].study.reason == "there are no errors"
    perfect = judged(few(predicted=few().label[None], source="svhn"))["accuracy"].study
    # Forty resamples can decide one claim and no family.
    assert perfect.effect is not None and perfect.effect.value == 1
    assert judged(few(predicted=few().label[None]))["accuracy"].study.reason.startswith(
        "the networks were not trained on the training split"
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
        if effect := record.study.effect:
            assert np.isfinite([effect.value, effect.low, effect.high, effect.p]).all()


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
    data = evidence(WORLD, groups=600, repeats=1, resamples=400, seed=5)
    records, family, none = judge(NOTEBOOK, claims.of(NOTEBOOK), data, None)
    tested = {record.id: record.study for record in records if record.study.effect}
    # One repeat cannot say what other repeats do.
    assert not {"persistent", "connected", "imperceptible", "aggregate"} & set(tested)
    assert family.tested == len(tested) >= 9
    assert none is None and all(record.published is None for record in records)
    levels = holm({name: one.effect.p for name, one in tested.items()}, alpha=ALPHA)
    for name, one in tested.items():
        assert one.effect.level == levels[name]
        assert (one.verdict == "undecided") == (one.effect.p > one.effect.level)
        if one.verdict != "undecided":
            assert (one.verdict == "holds") == one.met
    effect, drawn = tested["accuracy"].effect, data.accuracy()[1:]
    ends = effect.adjusted_low, effect.adjusted_high, effect.low, effect.high
    expected = np.quantile(drawn, [effect.level, 1 - effect.level, 0.025, 0.975])
    assert ends == pytest.approx(tuple(expected))


def test_published_results_are_a_family_of_their_own_and_are_printed() -> None:
    data = evidence(WORLD, groups=400, repeats=1, resamples=200, seed=5)
    chosen = NOTEBOOK.model_copy(update={"bootstrap": Bootstrap(resamples=100)})
    records, family, theirs = judge(chosen, claims.of(chosen), data, published.load("notebook"))
    assert theirs.tested == sum(bool(record.published.effect) for record in records) == 7
    # Nobody was asked about published results.
    count = claims.of(chosen).testable(asked=False)
    assert theirs.resamples == needed_resamples(chosen, count)
    assert not any(record.published.variants for record in records)
    parts = {"claims": records, "family": family, "published": theirs, "alpha": ALPHA}
    text = lines(ClaimsRecord.model_construct(**parts))
    assert "hard-digits" in text and "published: ratio of attacked to clean accuracy 0.237" in text
    assert f"over {family.tested} tested claims (the published ones for 7)" in text


def test_each_bound_has_resamples_beyond_it() -> None:
    ordinary = NOTEBOOK.bootstrap.resamples
    for tested in (0, 1, 15):
        count = needed_resamples(NOTEBOOK, tested)
        assert count >= ordinary
        assert count * ALPHA / max(tested, 1) >= ordinary * 0.005 - 0.01


def test_a_test_reports_only_what_it_declares() -> None:
    data = with_suspects()
    generator = np.random.default_rng(0)
    layer = {name: generator.random(data.predicted.shape) for name in MEASURES}
    data = replace(
        data, maps={"first": layer, "second": layer}, random_maps={"first": layer}, fold=data.fold
    )
    for record in judged(data).values():
        kinds = {one.kind for one in record.study.reported}
        assert kinds <= set(record.reports)
        # What scaling needs is not reported without it.
        assert set(record.reports) - kinds <= {"mean temperature"} or not record.study.effect


def test_a_claim_about_a_class_that_the_study_does_not_have_is_refused() -> None:
    data = few(classes=("cat", "dog", *names(8)))
    with pytest.raises(
        UserError, match="claim mine: there is no class 'dgo'; the nearest is 'dog'"
    ):
        judged(data, mine(classes=["dgo"]))


def test_variants_are_the_test_on_other_evidence_and_decide_nothing() -> None:
    data = with_suspects()
    record = judged(
        data,
        mine(
            variants=[
                {"classes": ["0"]},
                {"without": "suspects"},
                {"fixed": "place"},
                {"test": "error difference"},
                {"labels": "audited"},
            ]
        ),
    )["mine"]
    own = judged(data, mine())["mine"].study
    assert record.study.model_copy(update={"variants": ()}) == own
    found = {variant.label: variant for variant in record.study.variants}
    error = data.wrong.mean(axis=0)

    def ratio(members: np.ndarray, known: np.ndarray) -> float:
        return float(error[members & known].mean() / error[~members & known].mean())

    every, kept = np.ones(len(error), dtype=bool), ~suspects.suspects(data)
    assert 0 < (~kept).sum() <= 40
    expected = {"0": ratio(data.label == 0, every)}
    expected["without suspects"] = ratio(data.label == 8, kept)
    members = data.label == 8
    expected["place held fixed"] = fixed_ratio(data, members, ~members, attribute="place")[0]
    for label, value in expected.items():
        one = found[label]
        assert one.value == pytest.approx(value, rel=1e-5)
        assert one.low < one.value < one.high and one.met == (one.value > 1.25)
    difference = [one for one in record.study.variants if "test" in one.changes]
    assert difference[0].value == pytest.approx(error[members].mean() - error[~members].mean())
    audited = found["audited labels"]
    assert audited.value is None and audited.reason == "nobody has read the images"


def test_a_variant_that_cannot_be_tested_says_why() -> None:
    data = evidence(WORLD, groups=400, repeats=1, resamples=100, seed=0)
    found = varied(
        replace(data, network=None),
        variants=[
            {"without": "suspects"},
            {"resample": "networks"},
            {"fixed": "place"},
            {"without": "suspects", "resample": "networks"},
        ],
    )
    assert {one.reason for one in found.values()} == {
        "one network suspects its own errors alone",
        "there is one network",
        "no attribute of the images is known",
    }
    assert all(one.met is None and one.value is None for one in found.values())
    # Of a claim that is not tested there are no variants.
    hopeless = judged(few(label=np.arange(20) % 8), mine(variants=[{"classes": ["0"]}]))["mine"]
    assert hopeless.study.verdict == "not tested" and not hopeless.study.variants


def test_resampled_networks_leave_the_estimate_and_widen_the_interval() -> None:
    """Networks that differ much: every second one errs twice as often."""
    data = evidence(WORLD, groups=800, repeats=6, resamples=400, seed=3)
    worse = np.random.default_rng(0).random(data.predicted.shape) < 0.4
    moved = worse & (np.arange(6) % 2 == 0)[:, None] & (data.label == 8)
    data = replace(data, predicted=np.where(moved, 0, data.predicted))
    record = judged(data, mine(variants=[{"resample": "networks"}]))["mine"].study
    (wider,) = record.variants
    assert wider.value == pytest.approx(record.effect.value, rel=1e-4)
    assert wider.high - wider.low > 1.2 * (record.effect.high - record.effect.low)
    rows = variants.networks_resampled(data)
    assert rows.predicted.shape == (1, data.predicted.size)
    np.testing.assert_allclose(
        rows.class_errors_by_repeat[0], data.class_errors_by_repeat[0], atol=1e-5
    )


def masked_by(data: Evidence, share: float) -> Evidence:
    """Return evidence in which a share of the images has no gradient in single precision."""
    shape = data.predicted.shape
    largest = np.where(np.random.default_rng(0).random(shape) < share, 0, 1e-3)
    gradients = {"largest": largest, "zero": largest * 0, "margin": np.ones(shape)}
    controls = {(name, 0.015): Attacked(data.predicted) for name in (PGD, PGD_RANDOM, PGD_MARGIN)}
    return replace(data, gradients=gradients, attacked=data.attacked | controls)


@pytest.mark.parametrize("chosen", [NOTEBOOK, GENERAL])
def test_with_masked_gradients_attacks_that_follow_them_test_nothing(chosen: Study) -> None:
    data = evidence(WORLD, groups=600, repeats=3, resamples=100, seed=5)
    plain, masked = (judged(masked_by(data, share), chosen) for share in (0.0, 0.3))
    about = {"collapse", "chance", "direction", "confident", "connected", "connected-digits"}
    for name, record in masked.items():
        if name in about:
            assert record.study.verdict == "not tested"
            assert record.study.reason.startswith("its gradients are masked: 30 % of the images")
            assert "masked" not in plain[name].study.reason
        else:
            assert (record.study.effect is None) == (plain[name].study.effect is None)


def test_families_shrink_by_what_is_not_tested() -> None:
    data = evidence(WORLD, groups=600, repeats=3, resamples=100, seed=5)
    sizes = [
        judge(GENERAL, claims.of(GENERAL), masked_by(data, share), None)[1].tested
        for share in (0.0, 0.3)
    ]
    assert sizes == [8, 4]


def test_evidence_on_some_images_keeps_everything_that_belongs_to_them() -> None:
    data = with_suspects()
    kept = np.arange(len(data.label)) % 3 > 0
    part = variants.of_images(data, kept)
    assert np.array_equal(part.label, data.label[kept])
    assert np.array_equal(part.attributes["place"], data.attributes["place"][kept])
    outcome = part.attacked["fgsm", 0.015]
    assert np.array_equal(outcome.logits, data.attacked["fgsm", 0.015].logits[:, kept])
    expected = data.resamples.mean(data.wrong[0][kept, None].astype(float), np.flatnonzero(kept))
    np.testing.assert_allclose(
        part.resamples.mean(part.wrong[0][:, None].astype(float)), expected, rtol=1e-6
    )


def test_predictions_alone_test_no_claim_about_a_network() -> None:
    data = evidence(WORLD, groups=400, repeats=1, resamples=100, seed=0)
    alone = replace(data, attacked={}, maps={}, random_maps={}, network=None, alone=True)
    for claims_of in (GENERAL, NOTEBOOK):
        found = judged(alone, claims_of)
        reasons = {name: one.study.reason for name, one in found.items() if not one.study.effect}
        reasons = {k: v for k, v in reasons.items() if found[k].test != "none"}
        asked = {"persistent", "collapse", "direction", "confident", "connected"}
        if claims_of is NOTEBOOK:
            asked |= {"explanations", "explanations-correct", "chance", "connected-digits"}
            asked |= {"imperceptible"}
        assert {k for k, v in reasons.items() if v == "no network: predictions alone"} == asked
        assert set(reasons) - asked <= {"accuracy"}


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_hard_images_without_easy_ones_of_their_class_are_not_compared() -> None:
    label = few().label
    # The first network is right everywhere; the second errs on every image of one class.
    predicted = np.stack([label, np.where(label == 0, 1, label)])
    attacked = {(FGSM, 0.005): Attacked(np.where(label < 5, label, 0)[None].repeat(2, axis=0))}
    data = few(predicted=predicted, confidence=np.full((2, 20), 0.9), attacked=attacked)
    with pytest.raises(NotTested, match="one of the same class"):
        connected_flips(data, epsilon=0.005, margin="free")
