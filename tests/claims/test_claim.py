"""Claims as TOML: what is refused, and the words of a claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import claims, study
from analysis.claims import Claim, labels
from analysis.project.errors import UserError
from analysis.study import Study
from tests.conftest import SMALL, small_study

WORDS = {"noun": "dog", "nouns": "dogs", "clean": ""}
MINE = {"id": "mine", "statement": "Cats err more.", "test": "error ratio", "classes": ["cat"]}


def with_claims(*written: dict, sets: tuple[str, ...] = ()) -> Study:
    return small_study(claims=sets, claim=written)


def one(**changes: object) -> Claim:
    content = {key: value for key, value in (MINE | changes).items() if value is not None}
    return claims.of(with_claims(content)).claims[0]


def test_a_claim_is_five_lines_of_toml(tmp_path: Path) -> None:
    general = study.load("demo").model_dump(mode="json", exclude_defaults=True)
    path = tmp_path / "pets.toml"
    path.write_text(
        f"""title = "Pets"
claims = []
{_toml("images", general["images"])}
{_toml("network", general["network"])}
[training]
learning_rate = 1e-3
stages = [{{ size = 64, epochs = 1 }}]
{_toml("maps", SMALL["maps"])}
{_toml("attacks", SMALL["attacks"])}
[[claim]]
id = "cats"
statement = "Cats err more than the others."
test = "error ratio"
classes = ["cat"]
above = 1.25
""",
        encoding="utf-8",
    )
    (claim,) = claims.of(study.load(path)).claims
    assert (claim.side, claim.threshold, claim.confirmatory) == ("above", 1.25, True)
    assert {key: value for key, value in claim.parameters.items() if value} == {"classes": ("cat",)}
    assert claim.sentence(WORDS) == (
        "The error of the dog cat, divided by that of the others, is above 1.25."
    )
    assert claim.clause(WORDS) == "the dog cat errs more than the others"
    assert claim.measured(WORDS) == "ratio of the errors" and not claim.variants


def _toml(name: str, content: dict) -> str:
    def said(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k} = {said(v)}" for k, v in value.items()) + "}"
        return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')

    return "\n".join([f"[{name}]", *(f"{key} = {said(value)}" for key, value in content.items())])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"above": 1, "test": "error ratoi"}, "claim mine: there is no test 'error ratoi'; the "
         "nearest is 'error ratio'"),
        ({"above": 1, "clases": ["cat"]}, "claim mine: unknown key 'clases'; the nearest is "
         "'classes'"),
        ({"abov": 1}, "claim mine: unknown key 'abov'; the nearest is 'above'"),
        ({}, "claim mine needs one threshold: above, below or within"),
        ({"above": 1, "below": 2}, "claim mine needs one threshold"),
        ({"above": "much"}, "claim mine: above: input should be a valid number"),
        ({"within": -1}, "claim mine: within: input should be greater than 0, not -1"),
        ({"above": 1, "classes": []}, "claim mine: classes: tuple should have at least 1 item"),
        ({"above": 1, "classes": None}, "claim mine: 'classes' is missing"),
        ({"above": 1, "id": "Mine!"}, "claim Mine!: id: string should match"),
        ({"above": 1, "id": None}, "claim without an id: 'id' is missing"),
        ({"above": 1, "statement": None}, "claim mine: 'statement' is missing"),
        ({"above": 1, "test": "connected flips", "classes": None, "epsilon": 0.1, "bins": 0},
         "bins: input should be greater than or equal to 1"),
        ({"above": 1, "test": "error range", "classes": None, "estimate": "wide"},
         "estimate: input should be 'simultaneous' or 'hierarchical'"),
        ({"above": 1, "test": "connected flips", "classes": None, "epsilon": 0.1, "bins": 10**9},
         "bins: input should be less than or equal to 1000"),
        ({"above": float("nan")}, "claim mine: above: "),
        ({"above": 1, "says": 5}, "claim mine: says: input should be a valid string"),
        ({"above": 1, "variants": {"classes": ["dog"]}}, "claim mine: variants: "),
        ({"above": 1, "variants": [{"clases": ["dog"]}]}, 'variant {"clases": ["dog"]}: '
         "unknown key 'clases'; the nearest is 'classes'"),
        ({"above": 1, "variants": [{"test": "error gap"}]}, 'variant {"test": "error gap"}: there '
         "is no test 'error gap'; the nearest is 'error ratio'"),
        ({"above": 1, "variants": [{"above": 2}]}, "unknown key 'above'"),
        ({"above": 1, "variants": [{"without": "suspect"}]}, "without: input should be 'suspects'"),
        ({"above": 1, "variants": [{"test": "map contrast", "measure": "area", "mesure": "area"}]},
         "unknown key 'mesure'; the nearest is 'measure'"),
        ({"above": 1, "crossed": [[{}, {"classes": []}]]}, "classes: tuple should have at least 1"),
        ({"above": 1, "crossed": [[{"fixed": str(k)} for k in range(23)]] + [
            [{"classes": [str(k)]} for k in range(23)]]}, "has 529 variants; at most 500"),
        ({"above": 1, "crossed": [[{"fixed": str(k)} for k in range(10)]] * 9000},
         "has over a billion variants; at most 500"),
        ({"test": "none", "classes": None, "reason": "w", "variants": [{"without": "suspects"}]},
         "claim mine is not tested, so it has no variants"),
        ({"above": 1, "test": "accuracy left", "classes": None, "epsilon": 0.1, "attack": "pdg"},
         "attack: input should be 'fgsm', 'fgsm-native', 'pgd' or 'random-sign'"),
        ({"above": 1, "test": "none", "classes": None, "reason": "w"}, "needs no threshold"),
    ],
)  # fmt: skip
def test_a_claim_that_is_not_valid_is_refused_in_a_line(changes: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        one(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_two_claims_with_one_id_and_sets_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match="small has two claims 'mine'"):
        claims.of(with_claims(MINE | {"above": 1}, MINE | {"above": 2}))
    uneven = MINE | {"id": "uneven", "above": 1}
    with pytest.raises(UserError, match="two claims 'uneven'"):
        claims.of(with_claims(uneven, sets=("general",)))
    with pytest.raises(UserError, match="no claim set 'genral'; the nearest is 'general'"):
        claims.of(with_claims(sets=("genral",)))


@pytest.mark.parametrize("name", ["general", "notebook"])
def test_words_contain_the_threshold_and_all_parameters(name: str) -> None:
    for claim in claims.of(with_claims(sets=(name,))).claims:
        sentence, clause = claim.sentence(WORDS), claim.clause(WORDS)
        if claim.threshold is not None:
            assert f"{abs(claim.threshold):g}" in sentence and sentence.endswith(".")
            assert claim.measured(WORDS)
        # Words, what is left out, and what is not said of the first choice.
        silent = {"attack", "estimate", "margin", "bins", "layer", "scaled"}
        for key, value in claim.parameters.items():
            if key == "correct":
                assert value == ("among correct" in sentence)
            elif key not in silent and value is not None:
                for each in value if isinstance(value, tuple) else [value]:
                    assert str(each) in sentence, (claim.id, key)
        assert not clause[:1].isupper() and not clause.endswith(".")
        assert "{" not in sentence + clause + claim.measured(WORDS)


def test_a_threshold_on_the_other_side_is_stated_in_the_words_of_the_claim() -> None:
    left = {"test": "accuracy left", "classes": None, "epsilon": 0.1}
    robust = one(**left, above=0.5, statement="Accuracy is kept.")
    assert robust.clause(WORDS) == "accuracy is kept"
    assert one(**left, below=0.5).clause(WORDS) == "accuracy collapses under small perturbations"
    two = one(below=0.8, classes=["cat", "dog"], others=["fox"], fixed="place")
    assert two.clause(WORDS) == "the dogs cat and dog err less than fox"
    assert "cat and dog, divided by that of fox with place held fixed, is below 0.8" in (
        two.sentence(WORDS)
    )
    nothing = one(test="none", classes=None, reason="it takes observers", statement="SVHN is easy.")
    assert nothing.clause(WORDS) == "SVHN is easy"
    assert nothing.sentence(WORDS) == "Not tested: it takes observers." and not nothing.confirmatory


def test_the_digest_changes_with_what_a_claim_says() -> None:
    def digest(**changes: object) -> str:
        return claims.of(with_claims(MINE | {"above": 1} | changes)).digest

    assert digest() == digest() != digest(above=2)
    others = [{"says": "x"}, {"classes": ["dog"]}, {"statement": "S."}]
    others += [{"variants": [{"classes": ["dog"]}]}, {"variants": [{"without": "suspects"}]}]
    assert len({digest(), *(digest(**each) for each in others)}) == 6


def test_crossed_choices_are_all_combinations_but_the_claims_own() -> None:
    """Two by three choices and one more that is among them: six, of which one changes nothing."""
    claim = one(
        test="map contrast",
        above=0.2,
        crossed=[[{}, {"measure": "area"}], [{}, {"layer": "a"}, {"layer": "b"}]],
        variants=[{"measure": "area"}, {"correct": True, "others": ["dog"]}],
    )
    changes = [variant.changes for variant in claim.variants]
    assert len(changes) == 6 and {} not in changes and changes.count({"measure": "area"}) == 1
    assert {"measure": "area", "layer": "b"} in changes
    by_label = {labels.of(variant): variant.parameters for variant in claim.variants}
    assert len(by_label) == 6
    both = by_label["area, b"]
    assert (both["measure"], both["layer"], both["classes"]) == ("area", "b", ("cat",))
    assert by_label["cat against dog, correct predictions"]["others"] == ("dog",)
    assert len(one(above=1, crossed=[[{}]]).variants) == 0


def test_a_variant_with_another_test_keeps_what_that_test_knows() -> None:
    claim = one(
        above=1.25,
        fixed="place",
        variants=[
            {"test": "error difference", "classes": ["dog"]},
            {"test": "error range"},
            {"fixed": "length", "without": "suspects", "resample": "networks"},
        ],
    )
    difference, spread, fixed = claim.variants
    assert difference.test.name == "error difference"
    assert {key: value for key, value in difference.parameters.items() if value} == {
        "classes": ("dog",),
        "fixed": "place",
    }
    assert spread.parameters == {"estimate": "simultaneous"}
    assert fixed.parameters["fixed"] == "length"
    assert (fixed.evidence.without, fixed.evidence.resample) == ("suspects", "networks")
    assert labels.of(fixed) == "length held fixed, without suspects, networks resampled"


@pytest.mark.parametrize("name", ["general", "notebook"])
def test_every_variant_has_a_label_of_its_own(name: str) -> None:
    for claim in claims.of(with_claims(sets=(name,))).claims:
        words = [labels.of(variant) for variant in claim.variants]
        assert all(words) and len(set(words)) == len(words)
        assert not any("_" in each or "{" in each or "[" in each for each in words)


def test_classes_that_are_not_there_are_refused_in_variants_as_well() -> None:
    written = MINE | {"above": 1, "variants": [{"others": ["fxo"]}]}
    found = claims.of(with_claims(written))
    found.check_classes(("cat", "fxo"))
    with pytest.raises(
        UserError, match="claim mine: there is no class 'fxo'; the nearest is 'fox'"
    ):
        found.check_classes(("cat", "fox"))


def test_the_thresholds_of_the_notebook_do_not_move() -> None:
    found = claims.of(with_claims(sets=("notebook",)))
    assert len(found.claims) == 17 and found.confirmatory == 16 and found.introduction
    assert {claim.id: claim.threshold for claim in found.claims if claim.confirmatory} == {
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
        "imperceptible": 0.6,
        "direction": 0.02,
        "confident": 0.7,
        "connected": 0.05,
        "connected-digits": 0.5,
        "silent": 0.2,
    }
