"""Fragility: accuracy under perturbations of growing size, and what they do to images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.results.schemas import ALL, FGSM, FGSM_NATIVE, PGD, RANDOM_SIGN
from report.figures import style
from report.figures.errors import errors
from report.figures.figure import Drawn, figure
from report.figures.style import tooltip
from report.numbers.formats import ATTACK_NAMES, counted, in_levels, levels, listed, per_cent
from report.numbers.results import Results

_SIMILARITIES = {"ssim": "structural similarity", "psnr": "peak signal-to-noise in dB"}
# Places of a name above and beneath its point, in pixels, the best first.
_OFFSETS = (-11, 12, -25, 26)
_LOOKS = {
    ATTACK_NAMES[FGSM]: (style.ORANGE, "circle", [1, 0]),
    ATTACK_NAMES[FGSM_NATIVE]: (style.PURPLE, "triangle-up", [8, 3]),
    ATTACK_NAMES[PGD]: (style.GREEN, "diamond", [4, 2]),
    ATTACK_NAMES[RANDOM_SIGN]: (style.OCHRE, "square", [2, 2]),
}


@figure
def fragility(results: Results) -> Drawn:
    """Return accuracy against ε under each attack, with its band, single networks and guessing."""
    data, points = _accuracy(results), pd.DataFrame({"levels": [], "value": []})
    if results.published:
        name, found = style.as_published(results.published), results.published.fgsm
        points = pd.DataFrame({"levels": [in_levels(size) for size in found], "attack": name})
        points["value"] = list(found.values())
    chart = fragility_chart(data, points, chance=1 / len(results.classes))
    end = data[data["run"] == ALL].groupby("attack", sort=False)["value"].last()
    ends = [f"{per_cent(value)} under {name}" for name, value in end.items()]
    text = (
        f"Accuracy against the size of the perturbation up to {levels(data['epsilon'].max())} "
        f"levels, on average and for each network. At the end it is {listed(ends)}."
    )
    return chart, data, text


def _accuracy(results: Results) -> pd.DataFrame:
    """Return the accuracy under each attack at each ε, over all runs and of each."""
    clean = results.estimates("accuracy")
    parts, clean = [], clean[clean["class"] == ALL]
    for attack, name in ATTACK_NAMES.items():
        together = results.estimates("accuracy", attack=attack)
        single = results.rows("accuracies", attack=attack).rename(columns={"accuracy": "value"})
        together = together[together["class"] == ALL].assign(run=ALL)
        rows = pd.concat([together, single])
        # Every attack of size zero leaves the image as it is.
        if len(rows) and not (rows["epsilon"] == 0).any():
            rows = pd.concat([clean.assign(run=ALL), rows])
        parts.append(rows.assign(attack=name))
    data = pd.concat(parts).assign(levels=lambda rows: in_levels(rows["epsilon"]))
    return data[["attack", "run", "epsilon", "levels", "value", "low", "high", "images"]].round(6)


def fragility_chart(
    accuracy: pd.DataFrame, published: pd.DataFrame, *, chance: float
) -> alt.LayerChart:
    """Return the chart of accuracies: attack, run (one, or ``ALL``), levels, value, low and high.

    ``published`` has attack, levels and value; ``chance`` is the accuracy of guessing.
    """
    estimates, runs = accuracy[accuracy["run"] == ALL], accuracy[accuracy["run"] != ALL]
    names = [*estimates["attack"], *published.get("attack", [])]
    colour, shape, dash = by_attack(names, style.LEGEND)
    x = style.levels_axis((published if len(published) else estimates)["levels"], gap=0.07)
    y = alt.Y("value:Q", title="accuracy", scale=style.UNIT, axis=style.SHARES)
    tips = tooltip("attack", ("levels", ".2f"), *style.ESTIMATE)
    base = alt.Chart(estimates).encode(x=x, color=colour)
    each = alt.Chart(runs[["run", "attack", "levels", "value"]]).encode(x=x, y=y, color=colour)
    guess = alt.Chart(pd.DataFrame({"chance": [chance], "name": ["guessing"]}))
    guess = guess.encode(y="chance:Q")
    layers = [
        base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"),
        guess.mark_rule(strokeDash=[2, 4], color=style.GREY),
        guess.mark_text(align="right", baseline="bottom", dy=-3, fontSize=11).encode(
            x=alt.value("width"), text="name:N"
        ),
        each.mark_line(strokeWidth=1, opacity=0.3).encode(detail="run:N"),
        base.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash),
        base.mark_point(**style.POINT, size=50).encode(y=y, shape=shape, tooltip=tips),
    ]
    if len(published):
        points = alt.Chart(published).mark_point(**style.POINT, size=110)
        tips = tooltip("attack", "levels", ("value", ".4f"))
        layers.append(points.encode(x=x, y=y, color=colour, shape=shape, tooltip=tips))
    return alt.layer(*layers).properties(width=style.WIDTH, height=340)


def by_attack(names: Iterable[str], legend: alt.Legend) -> list[Any]:
    """Return colours, shapes and dashes by attack, the same whichever others are missing."""
    given = dict.fromkeys(names)
    ordered = [*(name for name in _LOOKS if name in given), *(n for n in given if n not in _LOOKS)]
    chosen = [_LOOKS.get(name, (style.GREY, "cross", [1, 0])) for name in ordered]
    return style.dashed("attack", ordered, chosen, legend)


@figure
def perturbations(results: Results) -> Drawn:
    """Return how alike perturbed and clean images are against ε, one panel a measure and size."""
    rows = results.rows("similarities", measure=tuple(_SIMILARITIES))
    # The same size as given and as the network's input is one panel.
    rows = rows.drop_duplicates(["measure", "attack", "resolution", "epsilon"])
    order = {"measure": False, "resolution": False, "attack": True, "epsilon": True}
    rows = rows.sort_values(list(order), ascending=list(order.values()))
    data = rows.assign(
        measure=rows["measure"].map(_SIMILARITIES),
        attack=rows["attack"].map(ATTACK_NAMES),
        levels=in_levels(rows["epsilon"]),
    )
    names = ["measure", "resolution", "attack", "epsilon", "levels", "value", "images"]
    data = data[names].round(6)
    colour, shape, dash = by_attack(data["attack"], style.legend(1))
    tips = tooltip("measure", "attack", ("levels", ".2f"), ("value", ".4f"))
    panels = []
    for measure, alike in data.groupby("measure", sort=False):
        y = alt.Scale(domain=[alike["value"].min(), alike["value"].max()], nice=True)
        for side, each in alike.groupby("resolution", sort=False):
            base = alt.Chart(each).encode(
                x=style.levels_axis(data["levels"]),
                y=alt.Y("value:Q", title=None, scale=y),
                color=colour,
                tooltip=tips,
            )
            heading = f"{measure}, {side} pixels"
            panel = alt.layer(
                base.mark_line(strokeWidth=2).encode(strokeDash=dash),
                base.mark_point(**style.POINT, size=50).encode(shape=shape),
            )
            title = alt.Title(heading, fontSize=style.FONT_SIZE, fontWeight="normal")
            panels.append(panel.properties(width=style.PANEL, height=150, title=title))
    measure, side = data[["measure", "resolution"]].iloc[0]
    first = data[(data["measure"] == measure) & (data["resolution"] == side)]
    first = first[first["attack"] == ATTACK_NAMES[FGSM]]["value"]
    text = (
        "Similarity of perturbed and clean images against the size of the perturbation, for each "
        f"attack. Under FGSM the {measure} at {side} pixels falls from {first.max():.3f} to "
        f"{first.min():.3f}."
    )
    return alt.concat(*panels, columns=2, spacing=30), data, text


@figure
def connection(results: Results) -> Drawn:
    """Return the error of each class under FGSM at a small ε against its clean error."""
    size = levels(results.connected)
    under = results.estimates("accuracy", attack=FGSM)
    under = under[under["epsilon"] == results.connected]
    columns: dict[str, pd.Series] = {}
    for name, accuracy in (("clean", results.estimates("accuracy")), ("attacked", under)):
        rows = errors(results.of_shown(accuracy)).set_index("class")
        columns |= {name: rows["value"], f"{name}_low": rows["low"], f"{name}_high": rows["high"]}
    data = pd.DataFrame(columns).rename_axis("class").dropna().round(6).reset_index()
    axis = alt.Axis(format=style.PER_CENT, tickCount=6)
    across = {"title": "error on clean images", "scale": style.NEAR, "axis": axis}
    up = across | {"title": f"error under FGSM, ε of {size} levels"}
    x, y = alt.X("clean:Q", **across), alt.Y("attacked:Q", **up)
    tips = tooltip("class", *((name, ".2%") for name in data.columns[1:]))
    base = alt.Chart(data).encode(tooltip=tips)
    rules = base.mark_rule(color=style.GREY, opacity=0.6)
    # White on a dark disc, whatever the colours of the page; long names go next to a small disc.
    short = max(map(len, data["class"])) < 3
    colour = style.DARK if short else style.BLUE
    disc = base.mark_point(**style.POINT, size=380 if short else 60, color=colour)
    label: dict[str, Any] = {"fontSize": style.FONT_SIZE}
    label |= {"fontWeight": "bold", "color": "white"} if short else {}
    names = [
        alt.Chart(rows).mark_text(dy=offset, **label).encode(x=x, y=y, text="class:N", tooltip=tips)
        for offset, rows in data.groupby([0] * len(data) if short else _offsets(data))
    ]
    chart = alt.layer(
        rules.encode(x=alt.X("clean_low:Q", **across), x2="clean_high:Q", y=y),
        rules.encode(x=x, y=alt.Y("attacked_low:Q", **up), y2="attacked_high:Q"),
        disc.encode(x=x, y=y),
        *names,
    ).properties(width=style.WIDTH, height=340)
    rows = data.sort_values("clean")
    least, most = rows.iloc[0], rows.iloc[-1]
    text = (
        f"Error of each {results.noun} under FGSM at {size} levels against its error on clean "
        f"images. The {results.noun} with the smallest clean error, {least['class']}, has "
        f"{per_cent(least['attacked'])} under attack; that with the largest, {most['class']}, "
        f"{per_cent(most['attacked'])}.{results.left_out}"
    )
    return chart, data, text


def _offsets(data: pd.DataFrame) -> list[int]:
    """Return how far each name is beneath its point, in pixels, so that few meet on a phone."""
    points = data[["clean", "attacked"]]
    reach = (points.max() - points.min()).replace(0, 1)
    x, y = ((points - points.min()) / reach * (170, -250)).to_numpy().T
    halves = 3.4 * data["class"].str.len().to_numpy()
    found = np.zeros(len(data), dtype=int)
    done: list[int] = []
    for row in np.argsort(x):
        others = np.flatnonzero(np.arange(len(data)) != row)
        # The other points, and the names that have a place.
        across = np.concatenate([abs(x[others] - x[row]) - 5, abs(x[done] - x[row]) - halves[done]])
        down = np.concatenate([y[others], y[done] + found[done]])
        close = across < halves[row]
        met = [(close & (abs(down - y[row] - offset) < 13)).sum() for offset in _OFFSETS]
        found[row] = _OFFSETS[int(np.argmin(met))]
        done.append(int(row))
    return found.tolist()


@figure
def aggregate(results: Results) -> Drawn:
    """Return the accuracy of each network on its worst class and under attack, by the overall."""
    runs = results.table("runs").rename(columns={"accuracy": "overall"})
    under = results.rows("accuracies", attack=FGSM, epsilon=results.middle)
    under = runs.merge(under.rename(columns={"accuracy": "value"}), on="run")
    parts = {
        f"on its worst {results.noun}": runs.assign(value=runs["worst_accuracy"]),
        f"under FGSM at {levels(results.middle)} levels": under,
    }
    data = pd.concat(rows.assign(measure=name) for name, rows in parts.items())
    data = data[["run", "overall", "measure", "value"]].round(6)
    scale = {
        "scale": alt.Scale(zero=False, nice=True),
        "axis": alt.Axis(format=".1~%", tickCount=4),
    }
    points = alt.Chart(data).mark_point(filled=True, size=80, opacity=0.8, color=style.BLUE)
    points = points.encode(
        x=alt.X("overall:Q", title="overall accuracy", **scale),
        y=alt.Y("value:Q", title="accuracy", **scale),
        tooltip=tooltip("run", "measure", ("overall", ".2%"), ("value", ".2%")),
    ).properties(width=style.PANEL - 24, height=180)
    chart = style.panels(points, "measure", data["measure"], spacing=40)
    ends = data.groupby("measure", sort=False)["value"].agg(["min", "max"])
    ranges = [
        f"from {per_cent(low)} to {per_cent(high)} {name}" for name, low, high in ends.itertuples()
    ]
    text = (
        f"Accuracies of {counted(data['run'].nunique(), 'network')}: overall from "
        f"{per_cent(data['overall'].min())} to {per_cent(data['overall'].max())}, and against it "
        f"{listed(ranges)}."
    )
    return chart.resolve_scale(y="independent"), data, text
