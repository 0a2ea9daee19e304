"""Claims as TOML: what is refused, and the words of a claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import claims, study
from analysis.claims import Claim
from analysis.project.errors import UserError
from analysis.study import Study
from tests.conftest import SMALL, small_study

WORDS = {"noun": "dog", "nouns": "dogs", "among": "", "trained": ""}
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
    assert claim.parameters == {"classes": ("cat",)}
    assert claim.sentence(WORDS) == (
        "The error of cat, divided by that of all other dogs together, is above 1.25."
    )
    assert claim.clause(WORDS) == "cat errs more than the others"
    assert claim.against() == "error over that of the others below 1.25"


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
        ({"above": 1, "test": "error gap", "classes": None, "splits": 0}, "splits: input should be "
         "greater than or equal to 1"),
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
        words = WORDS | {
            "among": " among correct ones" if claim.parameters.get("correct") else "",
            "trained": f" of networks trained on {claim.parameters.get('source')}",
        }
        sentence = claim.sentence(words)
        if claim.threshold is not None:
            assert f"{abs(claim.threshold):g}" in sentence and sentence.endswith(".")
            assert f"{abs(claim.threshold):g}" in claim.against()
        for key, value in claim.parameters.items():
            if key == "correct":
                assert value == ("among correct" in sentence)
            elif key != "attack":
                for each in value if isinstance(value, tuple) else [value]:
                    assert str(each) in sentence, (claim.id, key)
        assert not claim.clause(words)[:1].isupper() and not claim.clause(words).endswith(".")
        assert "{" not in sentence + claim.clause(words)


def test_a_threshold_on_the_other_side_is_stated_in_the_words_of_the_claim() -> None:
    even = one(test="error gap", classes=None, below=0.02, statement="Errors fall evenly.")
    assert even.clause(WORDS) == "errors fall evenly"
    assert (
        one(test="error gap", classes=None, above=0.02).clause(WORDS).startswith("errors are une")
    )
    assert one(below=0.8).clause(WORDS) == "cat errs less than the others"
    nothing = one(test="none", classes=None, reason="it takes observers", statement="SVHN is easy.")
    assert nothing.clause(WORDS) == "SVHN is easy"
    assert nothing.sentence(WORDS) == "Not tested: it takes observers." and not nothing.confirmatory


def test_the_digest_changes_with_what_a_claim_says() -> None:
    def digest(**changes: object) -> str:
        return claims.of(with_claims(MINE | {"above": 1} | changes)).digest

    assert digest() == digest() != digest(above=2)
    assert len({digest(), digest(says="x"), digest(classes=["dog"]), digest(statement="S.")}) == 4


def test_the_thresholds_of_the_notebook_do_not_move() -> None:
    found = claims.of(with_claims(sets=("notebook",)))
    assert len(found.claims) == 16 and found.confirmatory == 14 and found.introduction
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
        "direction": 0.02,
        "confident": 0.7,
        "connected": 0.05,
        "silent": 0.2,
    }
