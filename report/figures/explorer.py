"""The explorer: charts of one class at a time, and where attacks were made of one ε.

A click in a chart and the lists above all of them move the same selections. The lists have every
class, the matrix those of the commonest confusions.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import altair as alt
import pandas as pd

from analysis.results.schemas import FGSM, LEVELS, NONE, SCALINGS
from report.figures import style
from report.figures.confusions import ATTACKS, READINGS, commonest, confusions, levelled
from report.figures.figure import Drawn, figure
from report.figures.style import looks, tooltip
from report.numbers.formats import ATTACK_NAMES, listed, per_cent
from report.numbers.results import Results
from report.numbers.values import ENOUGH

# Three charts in a row on a wide page, all of them on one screen.
_WIDTH, _HEIGHT = 170, 180
_LINE = 14
_LEGEND = style.legend(1, orient="bottom")
_GRADIENT = alt.Legend(orient="bottom", format=style.PER_CENT, gradientLength=160)


@figure
def explorer(results: Results) -> Drawn:
    """Return charts that follow the reader's choice of a class, a confusion and an ε."""
    charts = (_Attacked if results.has("accuracies") else _Charts)(results)
    first, parts = charts.first, [name for name, _ in charts.shown if name]
    text = (
        f"Linked charts of one {results.noun} at a time: {listed(parts)}. To begin with the "
        f"{results.noun} is {first['class']}, of which {per_cent(first['share'])} are read as "
        f"{first['predicted']}{results.clean}."
    )
    return charts.together(), charts.confusions, text


class _Charts:
    """Charts of one class, and the selection that all of them follow."""

    attacks: tuple[str, ...] = (NONE,)

    def __init__(self, results: Results) -> None:
        self._results = results
        self._classes, left_out = results.confused
        self.confusions = self._matrix_of = confusions(results, self.attacks, self._classes)
        if left_out:
            self.confusions = commonest(results, self.attacks, self._matrix_of)
        rows = self._matrix_of
        clean = rows[(rows["levels"] == 0) & (rows["attack"] == rows["attack"].iloc[0])]
        clean = clean[clean["class"] != clean["predicted"]]
        self.first = clean.sort_values("share").iloc[-1]
        # Of classes without an image there is nothing to see.
        self._names = results.estimates("accuracy").dropna(subset="value")["class"].tolist()[1:]
        noun = results.noun
        label = f"{noun[:1].upper()}{noun[1:]} "
        self._class = _chosen("class", self._names, self.first["class"], label=label)
        self._selections = [self._class]
        self._share = f"share of the {noun}"

    @cached_property
    def shown(self) -> list[tuple[str, Any]]:
        """Return the charts that the results suffice for, with what the main ones are about."""
        return [
            ("confusions", self._matrix("'Confusions'")),
            ("", self._readings()),
            ("", self._sources()),
            ("precision, recall, F1 and AUROC", self._measures()),
            *self._further(),
        ]

    def together(self) -> alt.ConcatChart:
        """Return all charts, three in a row."""
        charts = [chart for _, chart in self.shown]
        return alt.concat(*charts, columns=3, spacing=16).resolve_scale(
            color="independent", shape="independent"
        )

    def _further(self) -> list[tuple[str, Any]]:
        charts = []
        if self._results.has("reliability"):
            charts.append(("calibration", self._reliability()))
        if self._results.has("mean_maps"):
            charts.append(("mean Grad-CAM map", self._map()))
        return charts

    def _of(self, rows: pd.DataFrame) -> alt.Chart:
        return alt.Chart(rows).transform_filter(self._class)

    def _cells(self) -> alt.Chart:
        """Return what the matrix shows, at the chosen ε if there is one."""
        return alt.Chart(self._matrix_of)

    def _matrix(self, title: str) -> alt.LayerChart:
        """Return the confusion matrix; a click chooses."""
        angle = 0 if max(map(len, self._classes)) < 3 else -60
        names = {"orient": "top", "labelAngle": angle, "labelLimit": 110}
        base = self._cells().encode(
            x=alt.X("predicted:N", title="read as", sort=self._classes, axis=alt.Axis(**names)),
            y=alt.Y(
                "class:N",
                title=self._results.noun,
                sort=self._classes,
                axis=alt.Axis(labelLimit=110),
            ),
        )
        scale = alt.Scale(type="sqrt", scheme="blues", domain=[0, 1])
        cells = base.mark_rect().encode(
            color=alt.Color("share:Q", title=self._share, scale=scale, legend=_GRADIENT),
            tooltip=tooltip("class", "predicted", ("share", ".2%"), *self._sizes()),
        )
        # On cells, whose colours do not follow the page's.
        line = {"filled": False, "stroke": "black"}
        row = base.transform_filter(self._class)
        layers = [
            cells.add_params(*self._selections),
            row.mark_rect(**line, strokeWidth=1.5, strokeOpacity=0.6),
        ]
        for selection in self._selections:
            if selection.name == "chosen_predicted":
                layers.append(row.transform_filter(selection).mark_rect(**line, strokeWidth=3))
        # Each name has a line of its own.
        side = max(_HEIGHT, _LINE * len(self._classes))
        return _titled(alt.layer(*layers), title, width=side, height=side)

    def _sizes(self) -> list[tuple[str, str]]:
        return []

    def _readings(self) -> alt.Chart:
        rows = self.confusions[self.confusions["share"] > 0]
        return self._bars(
            self._of(rows[rows["class"] != rows["predicted"]]),
            "'What ' + chosen_class['class'] + ' is read as'",
            name="predicted",
            title="read as",
            share=self._share,
        )

    def _sources(self) -> alt.Chart:
        """Return which classes are read as the chosen one, by share of those predictions."""
        rows = self._results.rows("confusions", attack=NONE)
        rows = rows.assign(
            share=rows["images"] / rows.groupby("predicted")["images"].transform("sum")
        )
        rows = rows[rows["label"] != rows["predicted"]].sort_values("share", ascending=False)
        rows = rows.groupby("predicted", sort=False).head(READINGS)
        rows = rows.rename(columns={"predicted": "class"})[["class", "label", "share"]].round(4)
        return self._bars(
            self._of(rows),
            "'What is read as ' + chosen_class['class']",
            name="label",
            title=self._results.noun,
            share="share of these predictions",
        )

    def _bars(
        self, chart: alt.Chart, heading: str, *, name: str, title: str, share: str
    ) -> alt.Chart:
        chart = chart.mark_bar(color=style.BLUE).encode(
            x=alt.X("share:Q", title=share, axis=alt.Axis(format=style.PER_CENT, tickCount=4)),
            y=alt.Y(f"{name}:N", title=title, sort="-x", axis=alt.Axis(labelLimit=110)),
            tooltip=tooltip(name, ("share", ".2%")),
        )
        return _titled(chart, heading)

    def _measures(self) -> alt.LayerChart:
        rows = self._results.rows("classes", class_=tuple(self._names)).dropna(subset="value")
        order = list(dict.fromkeys(rows["measure"]))
        base = self._of(rows.round(4)).encode(
            y=alt.Y("measure:N", title=None, sort=order),
            tooltip=tooltip("measure", *style.ESTIMATE),
        )
        low = alt.X("low:Q", title=None, scale=style.UNIT, axis=alt.Axis(tickCount=5))
        chart = alt.layer(
            base.mark_rule(strokeWidth=2, color=style.BLUE).encode(x=low, x2="high:Q"),
            base.mark_point(**style.POINT, size=60, color=style.BLUE).encode(x="value:Q"),
        )
        return _titled(chart, "'How well ' + chosen_class['class'] + ' is found'")

    def _reliability(self) -> alt.LayerChart:
        rows = self._results.rows("reliability", class_=tuple(self._names)).round(5)
        rows = rows[rows["predictions"] >= ENOUGH]
        x, y, diagonal = style.calibrated()
        numbers = (("confidence", ".3f"), ("accuracy", ".3f"), "predictions")
        colour = looks(alt.Color, "scaling", SCALINGS, [style.BLUE, style.GREY], _LEGEND)
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
        chosen = {"layer": self._results.layer, "class_": tuple(self._names)}
        rows = self._results.rows("mean_maps", **chosen)
        rows = rows[["class", "row", "column", "value"]].round(5)
        height, width = rows["row"].max() + 1, rows["column"].max() + 1
        cell = _HEIGHT / max(height, width)
        colour = alt.Color(
            "value:Q",
            title="share of the map",
            scale=alt.Scale(scheme="viridis", domain=[0, float(rows["value"].max())]),
            legend=_GRADIENT,
        )
        x, y = alt.X("column:O", axis=None), alt.Y("row:O", axis=None)
        tips = tooltip("class", "row", "column", ("value", ".2%"))
        chart = self._of(rows).mark_rect().encode(x=x, y=y, color=colour, tooltip=tips)
        title = "'Mean Grad-CAM map of ' + chosen_class['class']"
        return _titled(chart, title, width=cell * width, height=cell * height)


class _Attacked(_Charts):
    """The same with a confusion and an ε to choose, of networks that were attacked."""

    attacks = tuple(ATTACKS)

    def __init__(self, results: Results) -> None:
        super().__init__(results)
        sizes = sorted(set(self.confusions["levels"]))
        labels = [f"{size:.1f} levels ({size / LEVELS:.4g})" if size else "0" for size in sizes]
        size, predicted = sizes[min(1, len(sizes) - 1)], self.first["predicted"]
        names = list(results.classes)
        self._predicted = _chosen("predicted", names, predicted, label=" read as ")
        self._level = _chosen("levels", sizes, size, label=" at ε ", labels=labels)
        self._selections = [self._level, self._predicted, self._class]
        self._x = style.levels_axis(sizes, gap=0.18, title="ε in 8-bit levels")
        # Of attacks, the same in every chart.
        names, colours = list(ATTACKS.values()), [style.ORANGE, style.OCHRE]
        self._colour = looks(alt.Color, "attack", names, colours, _LEGEND)

    @cached_property
    def shown(self) -> list[tuple[str, Any]]:
        """Return the charts that the results suffice for, with what the main ones are about."""
        title = "'Confusions under FGSM, ε of ' + format(chosen_levels.levels, '.1f') + ' levels'"
        return [
            ("confusions", self._matrix(title)),
            ("", self._readings()),
            ("", self._pair()),
            ("accuracy under attack", self._fragility()),
            *self._further(),
        ]

    def _cells(self) -> alt.Chart:
        chart = super()._cells().transform_filter(f"datum.attack == '{ATTACK_NAMES[FGSM]}'")
        return chart.transform_filter(self._level)

    def _sizes(self) -> list[tuple[str, str]]:
        return [("levels", ".2f")]

    def _readings(self) -> alt.Chart:
        rows = self._of(self.confusions).transform_filter(self._level)
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
        share = alt.Y("share:Q", title=self._share, axis=alt.Axis(format=".1~%"))
        tips = tooltip("class", "predicted", "attack", ("levels", ".2f"), ("share", ".2%"))
        base = self._of(self.confusions).transform_filter(self._predicted)
        base = base.encode(x=self._x, y=share, color=self._colour, tooltip=tips)
        lines = base.mark_line(strokeWidth=2.5)
        points = base.mark_point(**style.POINT, size=50)
        title = "chosen_class['class'] + ' read as ' + chosen_predicted.predicted"
        return _titled(alt.layer(lines, points, self._here(self.confusions)), title)

    def _fragility(self) -> alt.LayerChart:
        found = [self._results.estimates("accuracy", attack=attack) for attack in ATTACKS]
        rows = levelled(pd.concat(found))
        rows = rows[rows["class"].isin(self._names)]
        rows = rows[["class", "attack", "levels", "value", "low", "high"]].round(5)
        y = alt.Y("value:Q", title="accuracy", scale=style.UNIT, axis=style.SHARES)
        others, one = (
            alt.Chart(each).encode(x=self._x, color=self._colour)
            for each in (rows[rows["class"].isin(self._classes)], rows)
        )
        one = one.transform_filter(self._class)
        tips = tooltip("class", "attack", ("levels", ".2f"), ("value", ".2%"))
        chart = alt.layer(
            others.mark_line(strokeWidth=1, opacity=0.25).encode(y=y, detail="class:N"),
            one.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"),
            one.mark_line(strokeWidth=2.5).encode(y=y),
            one.mark_point(**style.POINT, size=50).encode(y=y, tooltip=tips),
            self._here(rows),
        )
        return _titled(chart, "'Accuracy of ' + chosen_class['class'] + '; faint, the others'")

    def _here(self, rows: pd.DataFrame) -> alt.Chart:
        """Return an upright line at the chosen ε."""
        rule = alt.Chart(pd.DataFrame({"levels": sorted(set(rows["levels"]))})).mark_rule
        line = rule(color=style.GREY, strokeDash=[3, 3]).encode(x="levels:Q")
        return line.transform_filter(self._level)


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
