"""Charts: where their marks stand, against plain computations on small tables."""

from __future__ import annotations

import pandas as pd
import pytest
import vl_convert

from report import charts


def svg(chart) -> str:
    return vl_convert.vegalite_to_svg(chart.to_dict())


def datasets(chart) -> list[pd.DataFrame]:
    return [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]


def part(claim: str, side: str, threshold: float, values: tuple[float, ...], **other) -> dict:
    names = ("effect", "low", "high", "simultaneous_low", "simultaneous_high")
    row = {"claim": claim, "heading": claim, "name": "this study", "source": charts.OURS}
    row |= {"verdict": "inconclusive", "side": side, "threshold": threshold}
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
