"""Attributes as categories, errors by slice, and differences with an attribute held fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

from analysis.inference import attributes, evidence, slices, variants
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Evidence, Tables
from analysis.project.errors import UserError
from analysis.results.derived_schemas import DERIVED_TABLES
from tests.inference import stored
from tests.inference.simulated import World, names
from tests.inference.simulated import evidence as made_up


@pytest.fixture(scope="module")
def data() -> Evidence:
    """Errors that depend on the place alone, which depends on the class."""
    generator = np.random.default_rng(0)
    clean = made_up(World(), groups=2000, repeats=1, resamples=200, seed=1)
    last = generator.random(len(clean.label)) < np.where(clean.label == 8, 0.8, 0.2)
    wrong = generator.random(len(last)) < np.where(last, 0.3, 0.05)
    predicted = np.where(wrong, (clean.label + 1) % 10, clean.label)[None]
    number = last + generator.random(len(last))
    return replace(
        clean,
        predicted=predicted,
        attributes={
            "place": np.where(last, "last", "first"),
            "brightness": attributes.categories(number),
        },
        numbers={"brightness": number},
    )


def test_places_and_lengths_in_closed_form() -> None:
    # Three groups, their images not one after the other: 12, 345 and 6, and five more.
    group = np.array([7, 7, 3, 5, 3, 3, 9, 9, 9, 9, 9])
    index = np.array([0, 1, 4, 5, 2, 3, 10, 11, 12, 13, 14])
    found = attributes.places(group, index)
    middles = ["middle"] * 3
    places = ["first", "last", "last", "alone", "first", "middle", "first", *middles, "last"]
    assert found["place"].tolist() == places
    assert found["length"].tolist() == [*"223133", *["4+"] * 5]
    before, after = attributes.adjacent(group, index)
    assert before[:6].tolist() == [-1, 0, 5, -1, -1, 4] and after[:6].tolist() == [
        1,
        -1,
        -1,
        -1,
        5,
        2,
    ]


def test_numbers_are_cut_at_their_terciles() -> None:
    number = np.random.default_rng(2).normal(size=301)
    expected = pd.qcut(number, 3, labels=list(attributes.THIRDS)).astype(str)
    assert attributes.categories(number).tolist() == expected.tolist()
    number[3] = np.nan
    assert attributes.categories(number)[3] == "unknown"
    assert set(attributes.categories(np.ones(5))) == {"low"}
    shown = attributes.slices(np.array(["high", "unknown", "low", "middle"]))
    assert shown == ["low", "middle", "high", "unknown"]


def test_attributes_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = stored.study()
    study = study.model_copy(update={"images": study.images.model_copy(update={"sequence": True})})
    content = stored.run_tables(study, images=120, classes=3)
    content = {run: {"predictions": each["predictions"]} for run, each in content.items()}
    for tables in content.values():
        index = tables["predictions"]["index"].to_numpy()
        colour = np.where(index % 4 == 0, "red", "green")
        rows = {"index": index, "attribute": "colour", "number": np.nan, "category": colour}
        long = {"index": index, "attribute": "size", "number": index / 2, "category": ""}
        tables["attributes"] = pd.concat([pd.DataFrame(rows), pd.DataFrame(long)])
    # An image without a value.
    first = content["r0f0"]["predictions"]["index"].iloc[0]
    for tables in content.values():
        rows = tables["attributes"]
        kept = (rows["index"] != first) | (rows["attribute"] != "colour")
        tables["attributes"] = rows[kept].reset_index(drop=True)
    store = stored.store(tmp_path, monkeypatch, study, content, names(3))
    found = evidence.of_study(Tables(store, store.shown_repeats()), study, names(3), resamples=50)
    assert set(found.attributes) == {"place", "length", "colour", "size"}
    expected = np.where(found.index % 4 == 0, "red", "green").astype(object)
    expected[found.index == first] = "unknown"
    assert found.attributes["colour"].tolist() == expected.tolist()
    assert np.array_equal(found.numbers["size"], found.index / 2)
    tables = slices.tables(found, level=0.95)
    for name, table in tables.items():
        DERIVED_TABLES[name].validate(table)
    ends = tables["slices"].query("attribute == 'size'")[["from", "to"]].to_numpy()
    assert ends[0, 0] == 0 and ends[2, 1] == 59.5 and (ends[:-1, 1] < ends[1:, 0]).all()


def test_the_ratio_is_that_of_statsmodels(data: Evidence) -> None:
    wrong, members = data.wrong[0], data.label == 8
    found = slices.fixed_ratio(data, members, ~members, attribute="brightness")
    strata = [
        [[(group & wrong & inside).sum(), (group & ~wrong & inside).sum()] for group in both]
        for inside in (data.attributes["brightness"] == third for third in attributes.THIRDS)
        for both in [(members, ~members)]
    ]
    expected = StratifiedTable([np.array(each) for each in strata]).riskratio_pooled
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_a_place_that_explains_everything_leaves_no_difference(data: Evidence) -> None:
    members = data.label == 8
    plain = slices.fixed_difference(data, members, ~members, attribute="none")
    assert plain[0] == pytest.approx(data.wrong[0][members].mean() - data.wrong[0][~members].mean())
    fixed = slices.fixed_difference(data, members, ~members, attribute="place")
    # By hand: within each place, weighted by both groups' images.
    total = weights = 0.0
    for place in ("first", "last"):
        inside = data.attributes["place"] == place
        one, other = (data.wrong[0][inside & group] for group in (members, ~members))
        weight = len(one) * len(other) / (len(one) + len(other))
        total, weights = total + weight * (one.mean() - other.mean()), weights + weight
    assert fixed[0] == pytest.approx(total / weights, abs=1e-6)
    low, high = np.quantile(fixed[1:], [0.025, 0.975])
    assert low < 0 < high and plain[0] > 0.1
    # A resample of groups is one in which their images count so often.
    row = data.resamples.of_images(np.arange(len(data.label)), slice(4, 5))[0].astype(int)
    again = np.repeat(np.arange(len(row)), row)
    copy = variants.of_images(replace(data, resamples=Resamples(data.group, 0, 0)), again)
    expected = slices.fixed_difference(copy, members[again], ~members[again], attribute="place")
    assert fixed[4] == pytest.approx(expected[0], abs=1e-6)


def test_tables_agree_with_the_functions(data: Evidence) -> None:
    found = slices.tables(data, level=0.95)
    rows = found["adjusted"].set_index(["class", "attribute"])
    members = data.label == 3
    for attribute in ("none", "place", "brightness"):
        values = slices.fixed_difference(data, members, ~members, attribute=attribute)
        row = rows.loc[("3", attribute)]
        assert row["difference"] == pytest.approx(values[0], abs=1e-6)
        assert row["low"] == pytest.approx(np.quantile(values[1:], 0.025), abs=1e-6)
    last = found["slices"].query("slice == 'last'").iloc[0]
    inside = data.attributes["place"] == "last"
    assert last["images"] == inside.sum() and last["low"] < last["error"] < last["high"]
    assert last["error"] == pytest.approx(data.wrong[0][inside].mean())


def test_without_attributes_there_is_nothing_and_a_misspelt_one_is_refused(data: Evidence) -> None:
    for name, table in slices.tables(replace(data, attributes={}), level=0.95).items():
        DERIVED_TABLES[name].validate(table)
        assert table.empty
    with pytest.raises(UserError, match="there is no attribute 'plase'; the nearest is 'place'"):
        slices.fixed_ratio(data, data.label == 8, data.label < 8, attribute="plase")
    # No slice with images of both: nothing to compare.
    apart = replace(data, attributes={"place": np.where(data.label == 8, "last", "first")})
    found = slices.fixed_difference(apart, data.label == 8, data.label < 8, attribute="place")
    assert np.isnan(found).all()
