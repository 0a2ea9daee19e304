"""Figures: their data against the derived tables, their marks, and how they enter a page."""

from __future__ import annotations

import base64
import io
import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from analysis.project.errors import UserError
from analysis.results.records import Variant
from analysis.results.schemas import ALL
from report.figures import (
    confidence,
    errors,
    explanations,
    explorer,
    fragility,
    slices,
    style,
    variants,
)
from report.figures.figure import Figure
from report.numbers.formats import in_levels, levels
from report.numbers.values import ENOUGH
from tests.report.test_claims_in_words import EFFECT, variant

FIGURES = [
    *(errors.class_error, errors.confusion, explanations.spread),
    *(explanations.maps, fragility.fragility, fragility.perturbations, fragility.connection),
    *(fragility.aggregate, confidence.confident_errors, confidence.attack_confidence),
    *(confidence.reliability, confidence.selective, slices.slices, explorer.explorer),
]


def svg(chart: alt.TopLevelMixin) -> str:
    return vl_convert.vegalite_to_svg(chart.to_dict())


def datasets(chart: alt.TopLevelMixin) -> list[pd.DataFrame]:
    return [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]


# How a figure enters a page


def example(rows: int = 3) -> Figure:
    data = pd.DataFrame({"x": ["</script>{{< x >}}", "=1", "c"] * rows, "y": range(3 * rows)})
    chart = alt.Chart(data).mark_point().encode(x="x:N", y="y:Q")
    return Figure("one", chart, data, 'a "quoted" <text>', "report.figures.x")


def test_on_the_web_a_figure_is_one_block_with_its_specification_and_its_data():
    text = example().html()
    assert text.startswith("```{=html}\n") and text.endswith("\n```") and text.count("```") == 2
    assert text.count("</script>") == 1 and "{{" not in text
    assert 'aria-label="a &quot;quoted&quot; &lt;text&gt;"' in text
    block = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    (rows,) = json.loads(block[1])["datasets"].values()
    assert pd.DataFrame(rows).equals(example().data)
    link = re.search(r'href="data:text/csv;base64,(.*?)"', text)[1]
    found = pd.read_csv(io.BytesIO(base64.b64decode(link)))
    assert found["x"].tolist() == ["</script>{{< x >}}", "'=1", "c"] * 3


def test_a_figure_of_many_rows_is_drawn():
    assert len(example(3000).html()) > 100_000


@pytest.mark.parametrize("function", FIGURES, ids=lambda function: function.__name__)
def test_every_figure_of_two_and_of_many_classes_is_drawn_with_a_text(papers, function):
    for classes in (2, 100):
        drawn = function(papers(classes).results)
        assert drawn.function == f"{function.__module__}.{function.__name__}"
        assert len(drawn.data) and len(drawn.alt_text) > 60
        assert not re.search(r"(?i)\bnan\b|\bnone\b", drawn.alt_text)
        assert svg(drawn.chart).count("<path") > 3


# Variants


def varied(results, *found: Variant, **changes: object):
    """Return a claim of a threshold of 0.5, met with 0.3, with these variants."""
    record = results.record.claim("confident")
    study = record.study.model_copy(update={"effect": EFFECT, "met": True, "variants": found})
    return record.model_copy(update={"study": study, "threshold": 0.5, "side": "below"} | changes)


def test_variants_are_drawn_from_the_smallest_with_the_answer_of_each(papers):
    record = varied(
        papers().results, variant("a", False, scaled=True), variant("b", None, labels="audited")
    )
    rows = variants.effects(record)
    assert rows["value"].tolist() == [0.3, 0.5]
    assert rows["answer"].tolist() == [variants.OWN, variants.OTHER]
    assert svg(variants.forest(record, rows)).count('aria-roledescription="point"') == 2
    points = variants.effects(varied(papers().results, variant("a", True), unit="share"))
    assert points["value"].tolist() == [30, 50]
    with pytest.raises(UserError, match="no variants"):
        variants.effects(varied(papers().results))


def test_a_curve_has_one_mark_for_each_effect_and_each_choice_behind_it(papers):
    found = [
        variant(f"{attack} {scaled}", scaled, attack=attack, scaled=scaled)
        for attack in ("pgd", "fgsm-native")
        for scaled in (True, False)
    ]
    record = varied(papers().results, *found)
    rows = variants.effects(record)
    drawn = svg(variants.curve(record, rows, variants.choices(record, "layer2.0")))
    assert drawn.count('aria-roledescription="point"') == 5
    # The threshold, five intervals, and two choices behind each effect.
    assert drawn.count('aria-roledescription="rule mark"') == 1 + 5 + 10
    names = ("attack fgsm", "attack pgd", "attack fgsm-native", "scaled False", "scaled True")
    assert all(f">{name}<" in drawn for name in names)


# Errors


def test_classes_are_ordered_by_their_error_in_this_study(committed):
    results = committed("svhn-subset").results
    y = errors.class_error(results).chart.to_dict()["layer"][0]["encoding"]["y"]
    assert y["sort"] == results.ranked["class"].tolist()


def test_confusions_are_complete_and_shares_of_a_class_add_to_one(committed):
    data = errors.confusion(committed("demo").results).data
    assert len(data) == 100
    assert data.groupby("label")["share"].sum().to_numpy() == pytest.approx(np.ones(10), abs=1e-4)


@pytest.mark.parametrize("hidden", [True, False])
def test_without_its_diagonal_the_matrix_takes_its_colours_from_the_errors(papers, hidden):
    drawn = errors.confusion(papers(3).results, hidden=hidden)
    cells = re.findall(
        r'aria-label="[^"]*" [^>]*aria-roledescription="rect mark"[^>]*/>', svg(drawn.chart)
    )
    right = (drawn.data["label"] == drawn.data["predicted"]).tolist()
    seen = ['opacity="0"' not in cell for cell in cells]
    assert seen == [not (hidden and each) for each in right]
    fills = [sum(map(int, re.findall(r"\d+", re.search(r'fill="(.*?)"', c)[1]))) for c in cells]
    darkest = min(zip(fills, right, seen, strict=True), key=lambda one: (not one[2], one[0]))
    assert darkest[1] is not hidden


# Explanations


def test_maps_come_from_the_easiest_class_to_the_hardest_with_square_cells(committed):
    results = committed("demo").results
    drawn = explanations.maps(results)
    assert list(drawn.data["class"].drop_duplicates()) == results.ranked["class"].tolist()[::-1]
    (placed,) = (frame for frame in datasets(drawn.chart) if "left" in frame)
    width, height = placed["right"] - placed["left"], placed["bottom"] - placed["top"]
    assert width.to_numpy() == pytest.approx(height.to_numpy())
    (wide,) = (frame for frame in datasets(drawn.chart) if "q50" in frame)
    # The two networks of a class do not hide each other.
    assert len(wide) == 20 and not wide["y"].duplicated().any()


# Fragility


def test_fragility_starts_from_the_clean_accuracy_and_ends_at_the_quoted_one(committed):
    paper = committed("demo")
    data = fragility.fragility(paper.results).data
    every = data[data["run"] == ALL]
    starts = every[every["epsilon"] == 0]["value"]
    assert starts.tolist() == pytest.approx(
        [paper.results.accuracy["value"]] * every["attack"].nunique(), abs=1e-6
    )
    end = every[every["attack"] == "FGSM"].iloc[-1]
    assert paper.value.attacked("fgsm", 0.05).startswith(f"{100 * end['value']:.1f}%")
    single = paper.results.table("accuracies")
    assert (data["run"] != ALL).sum() == len(single)


@pytest.mark.parametrize("names", [("FGSM", "PGD"), ("PGD",)])
def test_an_attack_keeps_its_looks_where_others_are_missing(names):
    rows = [
        {"attack": name, "run": run, "levels": level, "value": 0.9 - level / 10}
        for name in names
        for run in (ALL, "r0f0", "r1f0")
        for level in (0.0, 5.0)
    ]
    table = pd.DataFrame(rows).assign(low=0.1, high=0.2)
    points = pd.DataFrame({"attack": "published", "levels": [0.0, 6.0], "value": [0.9, 0.05]})
    chart = fragility.fragility_chart(table, points, chance=0.1)
    drawn = svg(chart)
    assert drawn.count('aria-roledescription="point"') == 2 * len(names) + 2
    assert drawn.count('aria-roledescription="line mark"') == 3 * len(names)
    assert drawn.count('aria-roledescription="rule mark"') == 1
    scale = chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
    assert scale["range"][scale["domain"].index("PGD")] == "#009E73"


def test_the_connection_is_between_errors_of_the_same_class(committed):
    results = committed("demo").results
    data = fragility.connection(results).data.set_index("class")
    clean = results.ranked.set_index("class")["value"]
    assert data["clean"].to_numpy() == pytest.approx(1 - clean[data.index].to_numpy(), abs=1e-6)
    assert (data["attacked_low"] <= data["attacked"]).all()


# Slices


def test_a_class_is_compared_plain_and_with_an_attribute_held_fixed(papers):
    results = papers().results
    data = slices.adjusted(results, attribute="colour").data
    table = results.table("adjusted").set_index(["attribute", "class"])["difference"]
    for attribute, name in (("colour", "colour held fixed"), ("none", "plain")):
        drawn = data[data["comparison"] == name].set_index("class")["value"]
        expected = 100 * table[attribute].dropna()
        assert drawn[expected.index].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-3)


# Confidence


def test_bins_of_few_predictions_are_left_out_of_the_reliability_diagram():
    rows = [
        {"scaling": scaling, "class": ALL, "confidence": 0.1 * tenth, "predictions": count}
        for scaling in ("as given", "scaled")
        for tenth, count in ((3, ENOUGH - 1), (6, ENOUGH), (9, 500))
    ]
    bins = pd.DataFrame(rows).assign(accuracy=0.5, low=0.4, high=0.6)
    drawn = svg(confidence.reliability_chart(bins))
    assert drawn.count('aria-roledescription="point"') == 4


def test_each_attack_has_one_point_at_each_size_in_each_comparison(papers):
    data = confidence.attack_confidence(papers().results).data
    assert not data.duplicated(["pair", "attack", "epsilon"]).any()
    assert set(data["attack"]) == {"FGSM", "PGD"} and set(data["images"]) == {"all"}


# The explorer


def test_the_explorer_begins_with_the_commonest_confusion_and_lists_every_choice(committed):
    results = committed("demo").results
    drawn = explorer.explorer(results)
    chart = drawn.chart.to_dict()
    chosen = {one["name"]: one for one in chart["params"]}
    assert chosen["chosen_class"]["bind"]["options"] == list(results.classes)
    wrong = errors.confusion(results).data.query("label != predicted")
    worst = wrong.loc[wrong["share"].idxmax()]
    assert chosen["chosen_class"]["value"] == worst["label"]
    assert chosen["chosen_predicted"]["value"] == worst["predicted"]
    assert len(chart["concat"]) == 6
    shares = drawn.data.groupby(["class", "attack", "levels"])["share"].sum()
    assert shares.to_numpy() == pytest.approx(np.ones(len(shares)), abs=2e-3)


def test_an_axis_of_sizes_says_what_texts_say_and_drops_no_digit():
    sizes = [0.0025, 0.01, 8 / 255]
    rows = pd.DataFrame({"levels": [in_levels(size) for size in sizes], "y": 0})
    drawn = svg(alt.Chart(rows).mark_point().encode(x=style.levels_axis(rows["levels"]), y="y"))
    for size in sizes:
        assert (
            f">{levels(size).removesuffix('.0')}<" in drawn and f">{float(f'{size:.3g}')}<" in drawn
        ), size


def test_names_of_close_points_do_not_meet():
    rows = pd.DataFrame({"clean": [0.1, 0.5, 0.51, 0.9], "attacked": [0.2, 0.8, 0.8, 0.9]})
    first, one, other, last = fragility._offsets(rows.assign(**{"class": "longsleeve"}))
    assert first == last == -11 and abs(one - other) >= 13
    same = pd.DataFrame({"clean": [0.1, 0.1], "attacked": [0.2, 0.2], "class": "a b c"})
    one, other = fragility._offsets(same)
    assert abs(one - other) >= 13
