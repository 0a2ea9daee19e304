"""Paired differences against SciPy's paired procedures, closed forms, and in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm, ttest_rel

from analysis.comparison.gate import FEWEST, gate
from analysis.comparison.measures import measures
from analysis.comparison.pairs import Opened, Pair
from analysis.comparison.records import Gate, Measure
from analysis.comparison.worst import WorstDifference
from analysis.inference import confidence
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence
from analysis.results.schemas import ALL

LEVEL = 0.95
# What images share of what makes them hard, with others of their group and in both studies.
BY_GROUP, BY_IMAGE = 0.2, 0.5


def opened(evidence: Evidence, corrupted: dict | None = None) -> Opened:
    return Opened(study=None, record=None, evidence=evidence, corrupted=corrupted or {})  # type: ignore[arg-type]


def evidence(
    label: np.ndarray,
    wrong: np.ndarray,
    group: np.ndarray | None = None,
    *,
    resamples: int = 400,
    seed: int = 0,
    **parts: object,
) -> Evidence:
    """Return evidence of errors (R, N), which are all taken for the next class."""
    classes = int(label.max()) + 1
    group = np.arange(len(label)) if group is None else group
    return Evidence(
        classes=tuple(f"c{number}" for number in range(classes)),
        label=label,
        predicted=np.where(wrong, (label + 1) % classes, label),
        group=group,
        seed=seed,
        resamples=Resamples(group, resamples, seed),
        **parts,
    )


def pair(label: np.ndarray, a: np.ndarray, b: np.ndarray, *rest: object, **parts: object) -> Pair:
    one, other = (evidence(label, wrong, *rest, **parts) for wrong in (a, b))
    return Pair(opened(one), opened(other), "")


def drawn(
    a: np.ndarray, b: np.ndarray, *, images: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, groups and errors (1, N) of two networks with these errors of classes.

    An image is an error where a normal variable falls below its class's quantile; groups and both
    networks share parts of that variable.
    """
    generator = np.random.default_rng(seed)
    label = generator.permutation(np.repeat(np.arange(len(a)), images))
    group = np.sort(generator.integers(0, len(label) // 2, len(label)))
    shared = np.sqrt(BY_GROUP) * generator.normal(size=len(label))[group]
    shared += np.sqrt(BY_IMAGE) * generator.normal(size=len(label))
    own = np.sqrt(1 - BY_GROUP - BY_IMAGE) * generator.normal(size=(2, len(label)))
    wrong = [
        shared + each < norm.ppf(error)[label] for each, error in zip(own, (a, b), strict=True)
    ]
    return label, group, wrong[0][None], wrong[1][None]


def named(found: Pair, name: str, part: str = "") -> Measure:
    # As few of them as there have to be, as each takes its time.
    return next(one for one in measures(found) if (one.measure, one.part) == (name, part))


def ends(one: Measure) -> tuple[float, float]:
    assert one.difference is not None
    return one.difference.low, one.difference.high


# ------------------------------------------------------------------------------ shares


@pytest.fixture(scope="module")
def single() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    label, _, a, b = drawn(np.full(3, 0.2), np.array([0.2, 0.3, 0.25]), images=500, seed=1)
    return label, a, b


def test_differences_of_single_images_have_the_interval_of_a_paired_t_test(single) -> None:
    label, a, b = single
    found = pair(label, a, b, resamples=2000)
    for name, part, members, sign in (
        ("accuracy", "", label >= 0, -1),
        ("error of a class", "c1", label == 1, 1),
    ):
        one = named(found, name, part)
        test = ttest_rel(sign * b[0, members], sign * a[0, members])
        expected = test.confidence_interval(LEVEL)
        value = sign * (b[0, members].mean() - a[0, members].mean())
        assert one.difference.value == pytest.approx(value, abs=1e-6)
        assert ends(one) == pytest.approx((expected.low, expected.high), abs=0.003)
        assert one.images == one.images_b == members.sum()
    # Much narrower than that of two independent samples.
    one = named(found, "accuracy")
    apart = np.hypot(one.a.high - one.a.low, one.b.high - one.b.low)
    assert one.difference.high - one.difference.low < 0.8 * apart


def test_images_of_a_group_count_once(single) -> None:
    label, a, b = (np.repeat(each, 3, axis=-1) for each in single)
    widths = []
    for group in (np.arange(len(label)) // 3, np.arange(len(label))):
        low, high = ends(named(pair(label, a, b, group, resamples=1000), "accuracy"))
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(3), rel=0.1)


def test_repeats_are_averaged_for_each_image(single) -> None:
    label, a, b = single
    others = np.random.default_rng(0).random(a.shape) < 0.3
    found = named(pair(label, np.vstack([a, others]), b, resamples=2000), "accuracy")
    mean = (a[0].astype(float) + others[0]) / 2
    assert found.difference.value == pytest.approx(mean.mean() - b.mean(), abs=1e-6)
    expected = ttest_rel(mean, b[0]).confidence_interval(LEVEL)
    assert ends(found) == pytest.approx((expected.low, expected.high), abs=0.004)


def test_attacks_and_corruptions_are_compared_on_the_images_of_both(single) -> None:
    label, a, b = single
    generator = np.random.default_rng(2)

    def attacked(share: float) -> Attacked:
        known = generator.random(a.shape) < share
        wrong = generator.random(a.shape) < 0.5
        return Attacked(np.where(known, np.where(wrong, (label + 1) % 3, label), -1))

    keys = [("fgsm", 0.01), ("pgd", 0.01), ("random-sign", 0.01), ("fgsm", 0.0)]
    ours, theirs = ({key: attacked(0.6) for key in keys} for _ in range(2))
    theirs["fgsm", 0.5] = attacked(1)
    corrupted = ({("blur", 2.0): attacked(0.5)}, {("blur", 2.0): attacked(0.5)})
    found = Pair(
        opened(evidence(label, a, attacked=ours), corrupted[0]),
        opened(evidence(label, b, attacked=theirs), corrupted[1]),
        "",
    )
    rows = {(one.part, one.strength): one for one in measures(found) if one.strength is not None}
    assert list(rows) == [("fgsm", 0.01), ("pgd", 0.01), ("blur", 2.0)]
    for key, (one, other) in {
        ("pgd", 0.01): (ours["pgd", 0.01], theirs["pgd", 0.01]),
        ("blur", 2.0): tuple(each["blur", 2.0] for each in corrupted),
    }.items():
        both = (one.predicted[0] >= 0) & (other.predicted[0] >= 0)
        assert rows[key].images == both.sum()
        right = [(each.predicted[0] == label)[both].mean() for each in (one, other)]
        assert rows[key].difference.value == pytest.approx(right[1] - right[0], abs=1e-6)


def test_the_calibration_error_is_that_of_the_derived_table(single) -> None:
    label, a, b = single
    generator = np.random.default_rng(3)
    logits = 3 * generator.random((2, 1, len(label), 3)).astype(np.float32)
    sides = []
    for wrong, each in zip((a, b), logits, strict=True):
        predicted = np.where(wrong, (label + 1) % 3, label)
        np.put_along_axis(each, predicted[..., None], 4, axis=-1)
        shares = np.exp(each) / np.exp(each).sum(axis=-1, keepdims=True)
        fold = (np.arange(len(label)) % 2)[None]
        sides.append(evidence(label, wrong, confidence=shares.max(axis=-1), logits=each, fold=fold))
    one = named(Pair(opened(sides[0]), opened(sides[1]), ""), "calibration error")
    for side, found in zip(sides, (one.a, one.b), strict=True):
        tables = confidence.tables(side, level=LEVEL, resamples=100, epsilon=None)
        rows = tables["calibration"].set_index(["scaling", "class"])
        expected = rows.loc[("as given", ALL), ["error", "low", "high"]].tolist()
        assert [found.value, found.low, found.high] == pytest.approx(expected, abs=1e-5)
    assert one.difference.value == pytest.approx(one.b.value - one.a.value, abs=1e-6)
    same = named(Pair(opened(sides[0]), opened(sides[0]), ""), "calibration error")
    assert (same.difference.value, *ends(same)) == (0, 0, 0)


def test_studies_that_are_not_paired_have_intervals_of_their_own(single) -> None:
    label, a, b = single
    few = evidence(label[:300], b[:, :300])
    found = Pair(opened(evidence(label, a)), opened(few), "they are others")
    for one in measures(found):
        assert one.difference is None and one.images_b < one.images
        assert one.b.high - one.b.low > one.a.high - one.a.low


def test_the_interval_contains_the_difference_as_often_as_it_says() -> None:
    a, b = np.array([0.1, 0.2]), np.array([0.14, 0.2])
    sets, inside = 100, 0
    for seed in range(sets):
        label, group, one, other = drawn(a, b, images=200, seed=seed)
        low, high = ends(
            named(pair(label, one, other, group, seed=seed, resamples=200), "accuracy")
        )
        inside += low <= -0.02 <= high
    assert binom.cdf(inside, sets, LEVEL) > 0.01


# ------------------------------------------------------------------------------ worst class


@pytest.mark.parametrize(
    ("a", "b"),
    [
        # Noise makes the worst of equal classes look worse than one that stands out.
        ([0.1] * 8, [0.16] + [0.08] * 7),
        ([0.16] + [0.08] * 7, [0.1] * 8),
        ([0.1] * 8, [0.1] * 8),
        ([0.01] * 8, [0.01] * 8),
    ],
)
def test_the_worst_class_interval_contains_the_difference_where_classes_are_alike(a, b) -> None:
    true, sets, inside = max(b) - max(a), 40, 0
    for seed in range(sets):
        label, group, *wrong = drawn(np.array(a), np.array(b), images=100, seed=seed)
        found = pair(label, *wrong, group, seed=seed, resamples=150)
        low, high = ends(named(found, "error of the worst class"))
        inside += low <= true <= high
    assert binom.cdf(inside, sets, LEVEL) > 0.01


def test_the_worst_class_is_the_largest_estimate_of_each_and_its_ends_those_of_a_loop() -> None:
    generator = np.random.default_rng(4)
    b, a = generator.normal(0.2, 0.02, size=(2, 201, 4))
    least = np.full((4, 4), 0.03)
    found = WorstDifference(b, a, least)
    assert found.value == b[0].max() - a[0].max()
    error = np.array(
        [[max(np.std((b[1:, j] - a[1:, k]), ddof=1), 0.03) for k in range(4)] for j in range(4)]
    )
    moved = (b[1:] - b[0])[:, :, None] - (a[1:] - a[0])[:, None, :]
    studentised = moved / error
    up = max(np.quantile(studentised[:, :, k].max(axis=1), 0.975) for k in range(4))
    down = max(np.quantile(-studentised[:, j].min(axis=1), 0.975) for j in range(4))
    difference = b[0][:, None] - a[0]
    expected = [
        max(min(difference[j] - max(up, norm.ppf(0.975)) * error[j]) for j in range(4)),
        max(min(difference[j] + max(down, norm.ppf(0.975)) * error[j]) for j in range(4)),
    ]
    assert found.interval(LEVEL) == pytest.approx(tuple(expected))


def test_the_worst_class_alone_has_its_error_in_the_interval(single) -> None:
    label, a, b = single
    one = named(pair(label, a, b), "error of the worst class")
    errors = [b[0, label == number].mean() for number in range(3)]
    assert one.b.value == pytest.approx(max(errors), abs=1e-6)
    assert one.b.low < max(errors) < one.b.high
    few = pair(np.arange(FEWEST + 4) % 2, *np.zeros((2, 1, FEWEST + 4), dtype=bool))
    assert not [one for one in measures(few) if one.measure == "error of the worst class"]


# ------------------------------------------------------------------------------ gate


def passes(found: Pair, *, margin: float, strict: bool = False) -> Gate:
    return gate(found, margin=margin, strict=strict, level=LEVEL)


@pytest.mark.parametrize(
    ("classes", "images", "error"), [(5, 100, 0.1), (10, 20, 0.3), (2, 20, 0.1)]
)
def test_a_drop_of_exactly_the_margin_everywhere_fails_as_seldom_as_it_should(
    classes: int, images: int, error: float
) -> None:
    a, margin, sets = np.full(classes, error), 0.03, 100
    failed = 0
    for seed in range(sets):
        label, group, *wrong = drawn(a, a + margin, images=images, seed=seed)
        found = pair(label, *wrong, group, seed=seed, resamples=200)
        failed += not passes(found, margin=margin).passed
    assert binom.sf(failed - 1, sets, 1 - LEVEL) > 0.01


@pytest.mark.parametrize("rise", [0.03, 0.06])
def test_a_strict_gate_lets_a_drop_of_the_margin_pass_as_seldom_as_it_should(rise: float) -> None:
    """One class is worse by the margin, or by more, and nothing else is."""
    a, sets, passed = np.array([0.1, 0.1]), 60, 0
    for seed in range(sets):
        label, group, *wrong = drawn(a, a + [rise, -0.05], images=300, seed=seed)
        found = pair(label, *wrong, group, seed=seed, resamples=200)
        passed += passes(found, margin=0.03, strict=True).passed
    assert binom.sf(passed - 1, sets, 1 - LEVEL) > 0.01


def test_a_clear_drop_is_named_with_what_is_left_of_it_beyond_chance() -> None:
    label, group, *wrong = drawn(
        np.full(4, 0.1), np.array([0.1, 0.3, 0.1, 0.1]), images=500, seed=5
    )
    found = pair(label, *wrong, group)
    result = passes(found, margin=0.05)
    assert not result.passed
    ((name, part, drop, bound),) = [
        (one.measure, one.part, one.drop, one.bound) for one in result.failures
    ]
    assert (name, part) == ("error of a class", "c1") and 0.05 < bound < drop
    assert drop == pytest.approx(named(found, name, part).difference.value, abs=1e-6)
    # All together it is 5 points, which is larger than this by more than chance.
    parts = [one.part for one in passes(found, margin=0.01).failures]
    assert parts == ["", "c1"]
    assert passes(found, margin=0.4).passed and passes(found, margin=0.4, strict=True).passed


def test_the_same_predictions_pass_but_not_strictly_without_a_margin() -> None:
    label, group, one, _ = drawn(np.full(3, 0.1), np.full(3, 0.1), images=50, seed=6)
    same = pair(label, one, one, group)
    assert passes(same, margin=0).passed
    assert not passes(same, margin=0, strict=True).passed
    # Fifty images can rule out a drop of a few points and no less.
    assert not passes(same, margin=0.02, strict=True).passed
    assert passes(same, margin=0.06, strict=True).passed


def test_a_few_new_errors_in_one_of_many_classes_are_not_beyond_chance() -> None:
    """By McNemar's exact test four of four changes for the worse have p = 1/16, in one class."""
    label = np.repeat(np.arange(10), 14)
    right, few, many = np.zeros((3, 1, 140), dtype=bool)
    few[0, :4] = many[0, :10] = True
    assert passes(pair(label, right, few), margin=0).passed
    assert [one.part for one in passes(pair(label, right, many), margin=0).failures] == ["", "c0"]


def test_a_strict_bound_is_the_normal_one_for_many_images() -> None:
    label, _, a, b = drawn(np.full(2, 0.2), np.full(2, 0.22), images=2000, seed=7)
    result = passes(pair(label, a, b, resamples=1000), margin=0, strict=True)
    change = b[0].astype(float) - a[0]
    expected = change.mean() + norm.ppf(LEVEL) * change.std(ddof=1) / np.sqrt(len(change))
    assert result.failures[0].bound == pytest.approx(expected, abs=0.0009)


def test_a_class_of_few_groups_is_named_and_not_judged() -> None:
    label = np.append(np.tile([0, 1], 100), np.full(30, 2))
    group = np.append(np.arange(200), 200 + np.arange(30) % (FEWEST - 1))
    right, wrong = np.zeros((1, 230), dtype=bool), (label == 2)[None]
    result = passes(pair(label, right, wrong, group), margin=0.3)
    assert result.passed and result.left_out == ("c2",)
