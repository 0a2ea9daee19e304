"""Charts: where their marks stand, against plain computations on small tables."""

from __future__ import annotations

import re

import pandas as pd
import pytest
import vl_convert

from report import charts
from report.charts.confidence import ENOUGH


def svg(chart) -> str:
    return vl_convert.vegalite_to_svg(chart.to_dict())


def datasets(chart) -> list[pd.DataFrame]:
    return [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]


def part(claim: str, side: str, threshold: float, values: tuple[float, ...], **other) -> dict:
    names = ("effect", "low", "high", "simultaneous_low", "simultaneous_high")
    row = {"claim": claim, "heading": claim, "name": "this study", "source": charts.OURS}
    row |= {"verdict": "inconclusive", "shown": "", "side": side, "threshold": threshold}
    return row | dict(zip(names, values, strict=True)) | other


@pytest.fixture
def by_digit() -> pd.DataFrame:
    values = [0.01, 0.03, 0.05, 0.07, 0.09, 0.10, 0.08, 0.06, 0.15, 0.12]
    rows = [
        {"source": source, "digit": str(digit), "value": value, "low": value - 0.01}
        for source in (charts.OURS, charts.ORIGINAL)
        for digit, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(high=lambda rows: rows["value"] + 0.02)


# Claims


@pytest.mark.parametrize(
    "side, threshold, values, expected",
    [
        # Right of the threshold is as claimed, whichever side the claim names.
        ("above", 2, (3, 2.5, 4, 1, 6), (0.25, 0.125, 0.5, -0.25, 1)),
        ("below", 2, (1, 0, 1.5, -2, 4), (0.25, 0.125, 0.5, -0.5, 1)),
        # Wholly beyond the margin, which is against the claim; within it; within and across zero.
        ("within", 1, (-3, -4, -2, -5, -1.5), (-0.5, -0.75, -0.25, -1, -0.125)),
        ("within", 4, (2, 1, 3, 0, 4), (0.5, 0.25, 0.75, 0, 1)),
        ("within", 4, (0, -1, 2, -3, 4), (1, 0.5, 1, 0, 1)),
    ],
)
def test_a_claim_is_drawn_on_the_side_that_its_effect_lies_on(side, threshold, values, expected):
    rows = pd.DataFrame([part("one", side, threshold, values)])
    (drawn,) = (rows for rows in datasets(charts.claims(rows)) if "thick_from" in rows)
    found = drawn.iloc[0]
    # below: the interval's ends change places.
    places = [found[name] for name in ("at", "thick_from", "thick_to", "from", "to")]
    assert places == pytest.approx(expected)


def test_a_claim_that_was_not_tested_has_a_name_and_a_verdict_and_no_mark():
    missing = (float("nan"),) * 5
    rows = pd.DataFrame(
        [
            part("one", "above", 1, (2, 1.5, 3, 1.2, 4), verdict="supported"),
            part("two", None, None, missing, verdict="not tested"),
        ]
    )
    drawn = svg(charts.claims(rows))
    assert drawn.count('aria-roledescription="point"') == 1
    assert "not tested" in drawn and "two" in drawn


def test_each_verdict_has_a_shape_of_its_own():
    values = (2, 1.5, 3, 1.2, 4)
    names = ("supported", "refuted", "inconclusive")
    parts = [part(name, "above", 1, values, verdict=name) for name in names]
    drawn = svg(charts.claims(pd.DataFrame(parts)))
    marks = re.findall(r'aria-roledescription="point"[^>]* d="([^"]*)"', drawn)
    assert len(marks) == len(set(marks)) == 3


# Errors


def test_digits_are_ordered_by_our_error_whatever_the_originals(by_digit):
    by_digit.loc[by_digit["source"] == charts.ORIGINAL, "value"] = 0.5
    y = charts.class_error(by_digit).to_dict()["layer"][0]["encoding"]["y"]
    assert y["sort"] == ["8", "9", "5", "4", "6", "3", "7", "2", "1", "0"]


@pytest.mark.parametrize("hidden", [True, False])
def test_without_its_diagonal_the_matrix_takes_its_colours_from_the_errors(hidden):
    shares = {(0, 0): 0.9, (0, 1): 0.1, (1, 0): 0.04, (1, 1): 0.96}
    counts = pd.DataFrame(
        [
            {"label": label, "predicted": predicted, "images": 100 * share, "share": share}
            for (label, predicted), share in shares.items()
        ]
    )
    drawn = svg(charts.confusion(counts, hidden=hidden))
    cells = re.findall(r'aria-label="[^"]*" [^>]*aria-roledescription="rect mark"[^>]*/>', drawn)
    assert len(cells) == 4
    fills = dict(
        zip(shares, (re.search(r'fill="([^"]*)"', cell)[1] for cell in cells), strict=True)
    )
    seen = dict(zip(shares, ('opacity="0"' not in cell for cell in cells), strict=True))
    assert seen == {pair: not (hidden and pair[0] == pair[1]) for pair in shares}
    darkest = min(shares, key=lambda pair: brightness(fills[pair]) if seen[pair] else 1e9)
    assert darkest == ((0, 1) if hidden else (1, 1))


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)))


# Explanations


def test_maps_keep_the_order_of_their_rows_and_their_cells_are_square():
    cells = [
        {"digit": digit, "kind": "mean map", "row": row, "column": column, "value": 0.25}
        for digit in ("3", "1", "2")
        for row in range(2)
        for column in range(2)
    ]
    boxes = [
        {"digit": digit, "kind": "spread", "weights": weights, "quantile": q, "value": q}
        for digit in ("3", "1", "2")
        for weights in ("trained weights", "random weights")
        for q in (0.05, 0.25, 0.5, 0.75, 0.95)
    ]
    frames = datasets(charts.maps(pd.DataFrame(cells + boxes)))
    (placed,) = (frame for frame in frames if "left" in frame)
    assert list(placed.sort_values("top")["digit"].drop_duplicates()) == ["3", "1", "2"]
    assert (placed["right"] - placed["left"]).nunique() == 1
    assert ((placed["bottom"] - placed["top"]) == (placed["right"] - placed["left"])).all()
    (wide,) = (frame for frame in frames if "q50" in frame)
    assert len(wide) == 6 and (wide["q05"] == 0.05).all() and (wide["q95"] == 0.95).all()
    # The two networks of a digit do not hide each other.
    assert not wide["y"].duplicated().any()


# Fragility


def attacked(names: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        {"attack": name, "run": run, "levels": level, "value": 0.9 - level / 10}
        for name in names
        for run in ("all", "r0f0", "r1f0")
        for level in (0.0, 5.0)
    ]
    table = pd.DataFrame(rows)
    low = (table["value"] - 0.05).where(table["run"] == "all")
    return table.assign(low=low, high=low + 0.1)


def curves(names: tuple[str, ...]):
    published = pd.DataFrame({"levels": [0.0, 6.0], "value": [0.9, 0.05]})
    return charts.accuracy_against_epsilon(
        attacked(names), attacks=["a", "b", "c", "d"], published=published, chance=0.1
    )


def test_accuracy_has_a_line_and_a_band_an_attack_and_a_faint_line_a_run():
    drawn = svg(curves(("a", "d")))
    # Two points an attack, and the original's two.
    assert drawn.count('aria-roledescription="point"') == 6
    assert drawn.count('aria-roledescription="line mark"') == 2 + 2 * 2
    assert drawn.count('aria-roledescription="area mark"') == 2
    assert drawn.count('aria-roledescription="rule mark"') == 1


def test_an_attack_keeps_its_colour_where_others_are_missing():
    def colour(chart, name: str) -> str:
        scale = chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]
        return scale["range"][scale["domain"].index(name)]

    assert colour(curves(("a", "d")), "d") == colour(curves(("a", "b", "c", "d")), "d")
    assert colour(curves(("a", "b")), "b") != colour(curves(("a", "b")), "a")


# Confidence


def test_bins_of_few_predictions_are_left_out_of_the_reliability_diagram():
    rows = [
        {"scaling": scaling, "group": "all", "confidence": 0.1 * tenth, "predictions": number}
        for scaling in ("as given", "scaled")
        for tenth, number in ((3, ENOUGH - 1), (6, ENOUGH), (9, 500))
    ]
    bins = pd.DataFrame(rows).assign(accuracy=0.5, low=0.4, high=0.6)
    drawn = svg(charts.reliability(bins))
    assert drawn.count('aria-roledescription="point"') == 4


def test_the_last_step_of_a_distribution_of_confidence_ends_at_one():
    ends = [0.0, 0.5, 1.0]
    rows = [
        {"scaling": "as given", "kind": kind, "low": low, "high": high, "share": 0.5}
        for kind in ("right", "wrong")
        for low, high in zip(ends[:-1], ends[1:], strict=True)
    ]
    (drawn,) = datasets(charts.confidences(pd.DataFrame(rows)))
    assert (drawn.groupby("kind")["low"].max() == 1).all()
    assert (drawn.groupby("kind").size() == 3).all()
