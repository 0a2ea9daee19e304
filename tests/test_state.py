"""What is done, missing, stale or broken, told from the study and its results alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis import analyses, results, state, study
from analysis.analyses import ANALYSES
from analysis.study import Study
from tests.playground import Playground

DONE = dict.fromkeys(["training", *ANALYSES], "done")
STALE = dict.fromkeys(DONE, "stale")
MISSING = dict.fromkeys(DONE, "missing")


def now(place: Playground) -> dict[str, dict[str, str]]:
    """Return the state of every step of every run, by the name of the run."""
    chosen = study.load(place.study)
    stored = results.load_if_any("tiny")
    return {
        found.run.name: {"training": found.training, **found.analyses}
        for found in state.states(chosen, stored)
    }


def estimates_now(place: Playground) -> str:
    return state.estimates_state(study.load(place.study), results.load_if_any("tiny"))


def claims_now(place: Playground) -> str:
    return state.claims_state(study.load(place.study), results.load_if_any("tiny"))


def test_nothing_is_there_before_the_first_run(playground: Playground) -> None:
    assert now(playground) == {"r0f0": MISSING, "r1f0": MISSING}
    assert estimates_now(playground) == claims_now(playground) == "missing"


def test_everything_is_done_after_a_run(finished: Playground) -> None:
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}
    assert estimates_now(finished) == claims_now(finished) == "done"
    stored = results.load("tiny")
    assert all(found.done for found in state.states(stored.study, stored))


def test_weights_and_checkpoints_are_not_needed_to_be_done(finished: Playground) -> None:
    for path in finished.weights():
        path.unlink()
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}


# ------------------------------------------------------------------------------ stale


@pytest.mark.parametrize(
    "old, new",
    [
        ("learning_rate = 2e-3", "learning_rate = 3e-3"),
        ("size = 32, epochs = 1", "size = 32, epochs = 2"),
        ("train = 160", "train = 170"),
        ("test = 60", "test = 61"),
        ('name = "test_resnet", size = 64', 'name = "test_resnet", size = 96'),
        ("seed = 3", "seed = 4"),
        ("rotation = 8", "rotation = 9"),
    ],
)
def test_another_recipe_makes_everything_stale(finished: Playground, old: str, new: str) -> None:
    finished.edit(old, new)
    assert now(finished) == {"r0f0": STALE, "r1f0": STALE}


def test_other_attacks_make_attacks_alone_stale(finished: Playground) -> None:
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    assert now(finished) == dict.fromkeys(("r0f0", "r1f0"), DONE | {"attacks": "stale"})


def test_other_layers_make_maps_alone_stale(finished: Playground) -> None:
    finished.edit('["layer2.0", "layer1.0"]', '["layer2.0"]')
    stale = dict.fromkeys(["saliency", "randomised", "localisation"], "stale")
    assert now(finished) == dict.fromkeys(("r0f0", "r1f0"), DONE | stale)


@pytest.mark.parametrize(
    "old, new",
    [("photos = 10", "photos = 11"), ("steps = 2", "steps = 3"), ("0.06]", "0.05]")],
)
def test_other_controls_make_them_alone_stale(finished: Playground, old: str, new: str) -> None:
    finished.edit(old, new)
    assert now(finished) == dict.fromkeys(("r0f0", "r1f0"), DONE | {"controls": "stale"})


def test_an_analysis_is_of_the_data_sets_that_it_can_be_made_of(finished: Playground) -> None:
    drawn, photographed = study.load("demo"), study.load("svhn-subset")
    assert analyses.of(drawn) == tuple(ANALYSES)
    assert set(ANALYSES) - set(analyses.of(photographed)) == {"localisation"}
    for found in state.states(photographed, None):
        assert tuple(found.analyses) == found.todo == analyses.of(photographed)


def test_another_title_changes_nothing(finished: Playground) -> None:
    finished.edit("A study that takes seconds", "A study of seconds")
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}
    assert estimates_now(finished) == "done"


@pytest.mark.parametrize("written", ["weight_decay = 0.01", 'precision = "float32"'])
def test_a_default_that_is_written_out_changes_nothing(finished: Playground, written: str) -> None:
    finished.edit("batch_size = 32", f"batch_size = 32\n{written}")
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}


def raise_version(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    raised = replace(ANALYSES[name], version=ANALYSES[name].version + 1)
    monkeypatch.setitem(ANALYSES, name, raised)


@pytest.mark.parametrize(
    "name, stale",
    [
        # Attacks take over the predictions as their rows of ε = 0, maps explain them.
        ("predictions", {"predictions", "attacks", "randomised", "localisation"}),
        *((name, {name}) for name in list(ANALYSES)[1:]),
    ],
)
def test_a_raised_version_makes_an_analysis_and_what_needs_it_stale(
    finished: Playground, monkeypatch: pytest.MonkeyPatch, name: str, stale: set[str]
) -> None:
    raise_version(monkeypatch, name)
    expected = DONE | dict.fromkeys(stale, "stale")
    assert now(finished) == dict.fromkeys(("r0f0", "r1f0"), expected)


def test_a_raised_version_of_training_makes_everything_stale(
    finished: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyses, "TRAINING_VERSION", analyses.TRAINING_VERSION + 1)
    assert now(finished) == {"r0f0": STALE, "r1f0": STALE}


def test_a_raised_version_of_the_estimates_makes_them_alone_stale(
    finished: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyses, "ESTIMATES_VERSION", analyses.ESTIMATES_VERSION + 1)
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}
    assert (estimates_now(finished), claims_now(finished)) == ("stale", "done")


def test_a_raised_version_of_the_claims_makes_them_alone_stale(
    finished: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyses, "CLAIMS_VERSION", analyses.CLAIMS_VERSION + 2)
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}
    assert (estimates_now(finished), claims_now(finished)) == ("done", "stale")


def test_another_bootstrap_makes_what_is_derived_alone_stale(finished: Playground) -> None:
    finished.edit("resamples = 100", "resamples = 200")
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}
    assert estimates_now(finished) == claims_now(finished) == "stale"


def test_every_part_of_a_study_is_in_the_digest_of_something(finished: Playground) -> None:
    # A section that no digest knows could change without anything being done again.
    known = set(study.TRAINED) | {"bootstrap", "title", "name"}
    for analysis in ANALYSES.values():
        known |= set(analysis.sections)
    assert known == set(Study.model_fields)


# ------------------------------------------------------------------------------ more and fewer


def test_more_repeats_are_missing_and_the_old_ones_stay_done(finished: Playground) -> None:
    finished.edit("repeats = 2", "repeats = 3")
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE, "r2f0": MISSING}


def test_fewer_repeats_leave_what_is_derived_stale(finished: Playground) -> None:
    finished.edit("repeats = 2", "repeats = 1")
    assert now(finished) == {"r0f0": DONE}
    assert estimates_now(finished) == claims_now(finished) == "stale"


# ------------------------------------------------------------------------------ broken


@pytest.mark.parametrize(
    "table, broken",
    [
        ("history", "training"),
        ("predictions", "predictions"),
        ("saliency", "saliency"),
        ("maps", "saliency"),
        ("attacks", "attacks"),
        ("perturbations", "controls"),
        ("localisation", "localisation"),
    ],
)
@pytest.mark.parametrize("damage", ["deleted", "truncated", "altered"])
def test_a_damaged_file_breaks_its_step_in_its_run(
    finished: Playground, table: str, broken: str, damage: str
) -> None:
    path = finished.table(table, "r1f0")
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[:-10])
    elif damage == "altered":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE | {broken: "broken"}}
    assert estimates_now(finished) == "done"


def test_damaged_estimates_are_broken(finished: Playground) -> None:
    finished.table("estimates", "all").write_bytes(b"")
    assert now(finished) == {"r0f0": DONE, "r1f0": DONE}
    assert estimates_now(finished) == "broken"


def test_an_analysis_that_was_not_done_is_missing(finished: Playground) -> None:
    finished.edit_manifest(lambda content: content["runs"]["r0f0"]["analyses"].pop("saliency"))
    assert now(finished) == {"r0f0": DONE | {"saliency": "missing"}, "r1f0": DONE}


def test_an_analysis_without_one_of_its_tables_is_broken(finished: Playground) -> None:
    def change(content: dict) -> None:
        del content["runs"]["r0f0"]["analyses"]["saliency"]["tables"]["maps"]

    finished.edit_manifest(change)
    assert now(finished)["r0f0"] == DONE | {"saliency": "broken"}


def test_a_run_with_another_seed_is_stale(finished: Playground) -> None:
    finished.edit_manifest(lambda content: content["runs"]["r0f0"].update(seed=99))
    assert now(finished) == {"r0f0": STALE, "r1f0": DONE}


# ------------------------------------------------------------------------------ what is kept


def test_what_is_done_is_kept(finished: Playground) -> None:
    stored = results.load("tiny")
    assert state.valid(stored.study, stored) == stored


def test_what_is_stale_broken_or_of_no_run_is_not_kept(finished: Playground) -> None:
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    finished.edit("repeats = 2", "repeats = 1")
    finished.table("maps").unlink()
    kept = state.valid(study.load(finished.study), results.load_if_any("tiny"))
    assert list(kept.manifest.runs) == ["r0f0"]
    expected = [name for name in ANALYSES if name not in ("saliency", "attacks")]
    assert list(kept.manifest.runs["r0f0"].analyses) == expected


def test_nothing_of_another_recipe_is_kept(finished: Playground) -> None:
    finished.edit("learning_rate = 2e-3", "learning_rate = 3e-3")
    kept = state.valid(study.load(finished.study), results.load_if_any("tiny"))
    assert kept.manifest.runs == {}
