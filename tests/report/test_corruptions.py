"""The section on corrupted images: its figure, its numbers, and that it appears if measured."""

from __future__ import annotations

import re

import pytest
import vl_convert

from analysis.results.schemas import CORRUPTIONS
from report.figures.corruptions import corruptions
from report.numbers.corruptions import CorruptionNumbers
from report.numbers.formats import per_cent

TEXT = "corruptions = { noise = [0.02, 0.2], jpeg = [5] }\n"


def test_every_strength_has_a_mark_in_the_panel_of_its_corruption(papers):
    results = papers(3, text=TEXT).results
    table, drawn = results.table("corruption_errors"), corruptions(results)
    assert list(drawn.data["corruption"].drop_duplicates()) == [*CORRUPTIONS, "fgsm"]
    for quantity, column in (("accuracy", "value"), ("median confidence", "confidence")):
        rows = drawn.data[drawn.data["quantity"] == quantity]
        assert rows["value"].to_numpy() == pytest.approx(table[column].to_numpy(), abs=1e-6)
    chart = drawn.chart.to_dict()
    titles = [panel["title"]["text"] for panel in chart["concat"]]
    assert titles == ["noise", "blur", "contrast", "brightness", "JPEG", "FGSM"]
    for panel in chart["concat"]:
        for layer in panel["layer"]:
            assert layer["encoding"]["y"]["scale"]["domain"] == [0, 1]
    svg = vl_convert.vegalite_to_svg(chart)
    assert svg.count('aria-roledescription="point"') == 2 * len(table)
    assert svg.count(">median confidence<") == 1
    strongest = table.groupby("corruption", sort=False).tail(1)["value"]
    assert all(per_cent(value) in drawn.alt_text for value in strongest)


def test_the_prose_quotes_the_lowest_accuracy_of_the_strongest(papers):
    paper = papers(3, text=TEXT)
    table = paper.results.table("corruption_errors")
    found = CorruptionNumbers(paper.results)
    strongest = table[table["corruption"] != "fgsm"].groupby("corruption").tail(1)
    row = strongest.loc[strongest["value"].idxmin()]
    assert found.lowest["accuracy"].startswith(per_cent(row["value"]))
    assert found.confidence.startswith(per_cent(row["confidence"]))
    assert found.others.count("with") == len(CORRUPTIONS) - 1
    fgsm = table[(table["corruption"] == "fgsm") & (table["strength"] == 0.015)].iloc[0]
    assert f"leaves {per_cent(fgsm['value'])}" in paper.section("attack").replace("\\", "")
    text = paper.section("details")
    assert "{#sec-corruptions}" in text and "{#fig-corruptions}" in text


def test_without_attacks_there_is_no_fgsm_and_without_corruptions_no_section(papers):
    parts = ("attributes", "predictions", "corruptions")
    paper = papers(3, text=TEXT, analyses=parts)
    for name in ("attack", "details"):
        text = paper.section(name)
        assert "orruption" in text
        assert "FGSM" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        assert "orruption" not in papers(3).section(name)
