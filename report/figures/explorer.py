"""The explorer: charts of one class, one confusion and one ε at a time, which a reader chooses.

A click in a chart and the lists above all of them move the same selections.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.results.schemas import FGSM, LEVELS, RANDOM_SIGN, SCALINGS
from report.figures import style
from report.figures.errors import complete
from report.figures.figure import Drawn, figure
from report.figures.style import looks, tooltip
from report.numbers.formats import ATTACK_NAMES, per_cent
from report.numbers.results import Results

# The attacks that every image underwent at every ε.
_ATTACKS = {attack: ATTACK_NAMES[attack] for attack in (FGSM, RANDOM_SIGN)}
# Three charts in a row on a wide page, all of them on one screen.
_WIDTH, _HEIGHT = 170, 180
_LEGEND = style.legend(1, orient="bottom")


@figure
def explorer(results: Results) -> Drawn:
    """Return charts that follow the reader's choice of a class, a confusion and an ε."""
    classes, left_out = results.confused
    data = _confusions(results, classes)
    clean = data[(data["levels"] == 0) & (data["class"] != data["predicted"])]
    clean = clean[clean["attack"] == ATTACK_NAMES[FGSM]]
    first = clean.sort_values("share").iloc[-1]
    chart = _Charts(results, data, classes, first).together()
    text = (
        f"Linked charts of one {results.noun} at a time: confusions, accuracy under attack, "
        f"calibration and mean Grad-CAM map. To begin with the {results.noun} is {first['class']}, "
        f"of which {per_cent(first['share'])} are read as {first['predicted']} on clean images."
        f"{left_out}"
    )
    return chart, data, text


def _confusions(results: Results, classes: list[str]) -> pd.DataFrame:
    """Return the share of each class that is read as each other, by attack and ε."""
    rows = results.rows("confusions", attack=tuple(_ATTACKS))
    every = complete(rows, classes)
    every = _levelled(every[every["label"].isin(rows["label"])]).rename(columns={"label": "class"})
    return every[["class", "predicted", "attack", "levels", "share"]].round({"share": 4})


def _levelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the names of their attacks and with ε in levels."""
    levels = (LEVELS * rows["epsilon"]).round(4)
    return rows.assign(attack=rows["attack"].map(_ATTACKS), levels=levels)


class _Charts:
    """The charts, and the three selections that all of them follow."""

    def __init__(
        self, results: Results, data: pd.DataFrame, classes: list[str], first: pd.Series
    ) -> None:
        self._results, self._data, self._classes = results, data, classes
        noun, sizes = results.noun, sorted(set(data["levels"]))
        labels = [f"{size:.1f} levels ({size / LEVELS:.4g})" if size else "0" for size in sizes]
        label, size = f"{noun[:1].upper()}{noun[1:]} ", sizes[min(1, len(sizes) - 1)]
        self._class = _chosen("class", classes, first["class"], label=label)
        predicted = first["predicted"]
        self._predicted = _chosen("predicted", classes, predicted, label=" read as ")
        self._level = _chosen("levels", sizes, size, label=" at ε ", labels=labels)
        self._x = style.levels_axis(sizes, gap=0.18, title="ε in 8-bit levels")
        self._share = f"share of the {noun}"
        # Of attacks, the same in every chart.
        names, colours = list(_ATTACKS.values()), [style.ORANGE, style.BLUE]
        self._colour = looks(alt.Color, "attack", names, colours, _LEGEND)

    def together(self) -> alt.ConcatChart:
        """Return all charts that the results suffice for, three in a row."""
        charts = [self._matrix(), self._readings(), self._pair(), self._fragility()]
        if self._results.has("reliability"):
            charts.append(self._reliability())
        if self._results.has("mean_maps"):
            charts.append(self._map())
        return alt.concat(*charts, columns=3, spacing=16).resolve_scale(
            color="independent", shape="independent"
        )

    def _of(self, rows: pd.DataFrame) -> alt.Chart:
        return alt.Chart(rows).transform_filter(self._class)

    def _matrix(self) -> alt.LayerChart:
        """Return the confusion matrix at the chosen ε; a click chooses a class and a prediction."""
        names = alt.Axis(labelAngle=0 if max(map(len, self._classes)) < 3 else -60, orient="top")
        base = alt.Chart(self._data).transform_filter(f"datum.attack == '{ATTACK_NAMES[FGSM]}'")
        base = base.transform_filter(self._level).encode(
            x=alt.X("predicted:N", title="read as", sort=self._classes, axis=names),
            y=alt.Y("class:N", title=self._results.noun, sort=self._classes),
        )
        scale = alt.Scale(type="sqrt", scheme="blues", domain=[0, 1])
        cells = base.mark_rect().encode(
            color=alt.Color("share:Q", scale=scale, legend=None),
            tooltip=tooltip("class", "predicted", ("share", ".2%"), ("levels", ".2f")),
        )
        line = {"filled": False, "stroke": style.ORANGE}
        row = base.transform_filter(self._class)
        chart = alt.layer(
            cells.add_params(self._level, self._predicted, self._class),
            row.mark_rect(**line, strokeWidth=1.5, strokeOpacity=0.6),
            row.transform_filter(self._predicted).mark_rect(**line, strokeWidth=3),
        )
        title = "'Confusions under FGSM, ε of ' + format(chosen_levels.levels, '.1f') + ' levels'"
        return _titled(chart, title, width=_HEIGHT)

    def _readings(self) -> alt.Chart:
        rows = self._of(self._data).transform_filter(self._level)
        chart = rows.transform_filter("datum.class != datum.predicted").mark_bar()
        chart = chart.encode(
            x=alt.X("share:Q", title=self._share, axis=style.SHARES),
            y=alt.Y("predicted:N", title="read as"),
            yOffset=alt.YOffset("attack:N"),
            color=self._colour,
            tooltip=tooltip("class", "predicted", "attack", ("share", ".2%")),
        )
        return _titled(chart, "'What ' + chosen_class['class'] + ' is read as'")

    def _pair(self) -> alt.LayerChart:
        share = alt.Y("share:Q", title=self._share, axis=alt.Axis(format=".1%"))
        tips = tooltip("class", "predicted", "attack", ("levels", ".2f"), ("share", ".2%"))
        base = self._of(self._data).transform_filter(self._predicted)
        base = base.encode(x=self._x, y=share, color=self._colour, tooltip=tips)
        lines = base.mark_line(strokeWidth=2.5)
        points = base.mark_point(**style.POINT, size=50)
        title = "chosen_class['class'] + ' read as ' + chosen_predicted.predicted"
        return _titled(alt.layer(lines, points, self._here(self._data)), title)

    def _fragility(self) -> alt.LayerChart:
        found = [self._results.estimates("accuracy", attack=attack) for attack in _ATTACKS]
        rows = _levelled(pd.concat(found))
        rows = rows[rows["class"].isin(self._classes)]
        rows = rows[["class", "attack", "levels", "value", "low", "high"]].round(5)
        y = alt.Y("value:Q", title="accuracy", scale=style.UNIT, axis=style.SHARES)
        every = alt.Chart(rows).encode(x=self._x, color=self._colour)
        one = every.transform_filter(self._class)
        tips = tooltip("class", "attack", ("levels", ".2f"), ("value", ".2%"))
        chart = alt.layer(
            every.mark_line(strokeWidth=1, opacity=0.25).encode(y=y, detail="class:N"),
            one.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"),
            one.mark_line(strokeWidth=2.5).encode(y=y),
            one.mark_point(**style.POINT, size=50).encode(y=y, tooltip=tips),
            self._here(rows),
        )
        return _titled(chart, "'Accuracy of ' + chosen_class['class'] + '; faint, the others'")

    def _here(self, rows: pd.DataFrame) -> alt.Chart:
        # An upright line at the chosen ε.
        ticks = alt.Chart(pd.DataFrame({"levels": sorted(set(rows["levels"]))}))
        rule = ticks.mark_rule(color=style.GREY, strokeDash=[3, 3]).encode(x="levels:Q")
        return rule.transform_filter(self._level)

    def _reliability(self) -> alt.LayerChart:
        rows = self._results.rows("reliability", class_=tuple(self._classes)).round(5)
        x, y, diagonal = style.calibrated()
        numbers = (("confidence", ".3f"), ("accuracy", ".3f"), "predictions")
        colour = looks(alt.Color, "scaling", SCALINGS, [style.BLUE, style.ORANGE], _LEGEND)
        base = self._of(rows.drop(columns="bin"))
        base = base.encode(x=x, color=colour, tooltip=tooltip("class", "scaling", *numbers))
        low = alt.Y("low:Q", title="share that is right")
        shape = looks(alt.Shape, "scaling", SCALINGS, ["circle", "square"], _LEGEND)
        chart = alt.layer(
            diagonal,
            base.mark_rule(opacity=0.5).encode(y=low, y2="high:Q"),
            base.mark_line(strokeWidth=2.5).encode(y=y),
            base.mark_point(**style.POINT, size=50).encode(y=y, shape=shape),
        )
        return _titled(chart, "'Calibration of ' + chosen_class['class']")

    def _map(self) -> alt.Chart:
        chosen = {"layer": self._results.layer, "class_": tuple(self._classes)}
        rows = self._results.rows("mean_maps", **chosen)
        rows = rows[["class", "row", "column", "value"]].round(5)
        height, width = rows["row"].max() + 1, rows["column"].max() + 1
        cell = _HEIGHT / max(height, width)
        colour = alt.Color(
            "value:Q",
            title="share of the map",
            scale=alt.Scale(scheme="viridis", domain=[0, float(rows["value"].max())]),
            legend=alt.Legend(orient="bottom", format=style.PER_CENT, gradientLength=160),
        )
        x, y = alt.X("column:O", axis=None), alt.Y("row:O", axis=None)
        tips = tooltip("class", "row", "column", ("value", ".2%"))
        chart = self._of(rows).mark_rect().encode(x=x, y=y, color=colour, tooltip=tips)
        title = "'Mean Grad-CAM map of ' + chosen_class['class']"
        return _titled(chart, title, width=cell * width, height=cell * height)


def _chosen(field: str, options: list[Any], value: Any, **bound: Any) -> alt.Parameter:
    """Return a selection by one field, made by a list or by a click; something is always chosen."""
    bind = alt.binding_select(options=options, name=bound.pop("label"), **bound)
    one = {"value": value, "on": "click", "clear": False, "toggle": False}
    return alt.selection_point(name=f"chosen_{field}", fields=[field], bind=bind, **one)


def _titled(chart: Any, title: str, *, width: float = _WIDTH, height: float = _HEIGHT) -> Any:
    """Return a chart of a size with a title that is an expression."""
    plain = {"anchor": "start", "fontSize": style.FONT_SIZE, "fontWeight": "normal"}
    heading = alt.Title(alt.ExprRef(title), **plain)
    return chart.properties(width=width, height=height, title=heading)
