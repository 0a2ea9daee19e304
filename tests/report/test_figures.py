"""Charts, tables and how they enter a page."""

from __future__ import annotations

import base64
import io
import json
import re

import altair as alt
import pandas as pd
import pytest
import typst

from report import charts, figures
from report.execution import Execution
from report.figures import Figure

WEB = Execution(print=False, study="demo", offset="")
PRINT = Execution(print=True, study="demo", offset="")


@pytest.fixture
def by_digit() -> pd.DataFrame:
    values = [0.99, 0.97, 0.95, 0.93, 0.91, 0.90, 0.92, 0.94, 0.85, 0.88]
    rows = [
        {
            "source": source,
            "digit": str(digit),
            "value": value,
            "low": value - 0.02,
            "high": value + 0.01,
        }
        for source in (charts.OURS, charts.ORIGINAL)
        for digit, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def figure(chart: alt.TopLevelMixin, data: pd.DataFrame, execution: Execution) -> Figure:
    return Figure("digits", chart, 'a "quoted" <text>', data, "report.charts.x", execution)


@pytest.mark.parametrize(("page", "block"), [(WEB, "```{=html}"), (PRINT, "```{=typst}")])
def test_a_figure_is_one_raw_block_of_the_format_at_hand_alone(by_digit, page, block):
    bundle = figure(charts.class_error(by_digit), by_digit, page)._repr_mimebundle_()
    assert list(bundle) == ["text/markdown"]
    lines = bundle["text/markdown"].splitlines()
    assert lines[0] == block and lines[-1] == "```"
    assert [line for line in lines if line.startswith("```")] == [block, "```"]


def test_in_print_typst_finds_the_drawing_and_its_alternative_text(by_digit, tmp_path):
    shown = figure(charts.class_error(by_digit), by_digit, PRINT)
    image = shown.typst().splitlines()[1]
    ask = f"#context {{ let it = {image[1:]}; assert(it.alt == {json.dumps(shown.alt_text)}); it }}"
    source = tmp_path / "page.typ"
    source.write_text(f"{image}\n{ask}")
    content = typst.compile(source, format="svg").decode()
    assert content.count("<image") == 2


def test_the_specification_on_the_page_is_the_chart_with_its_data(by_digit):
    text = figure(charts.class_error(by_digit), by_digit, WEB).markdown()
    block = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    specification = json.loads(block.group(1))
    (rows,) = specification["datasets"].values()
    assert pd.DataFrame(rows).equals(by_digit)


def test_text_that_would_end_the_script_is_kept_inside_it():
    data = pd.DataFrame({"x": ["</script><b>"], "y": [1]})
    chart = alt.Chart(data).mark_point().encode(x="x:N", y="y:Q")
    text = figure(chart, data, WEB).markdown()
    assert text.count("</script>") == 1
    assert "&quot;quoted&quot; &lt;text&gt;" in text


def test_the_link_of_a_figure_holds_its_data(by_digit):
    link = figures.csv_link(by_digit)
    content = base64.b64decode(link.split(",", 1)[1])
    assert pd.read_csv(io.BytesIO(content), dtype={"digit": str}).equals(by_digit)


def test_scripts_are_found_from_a_page_in_a_folder_and_are_no_modules():
    page = Execution(print=False, study="demo", offset="../")
    text = figures.scripts(page)
    assert 'src="../report/assets/vega.js"' in text
    assert "module" not in text and "http" not in text
    assert figures.scripts(PRINT) == ""


def test_a_column_of_long_text_gets_more_room_than_one_of_long_words():
    rows = pd.DataFrame({"claim": ["explanations-correct"], "test": ["a word and another " * 12]})
    first, second = (
        len(dashes) for dashes in re.findall(r"-+", figures.table(rows).split("\n")[1])
    )
    assert len("explanations-correct") <= first < second < 12 * first


def test_a_table_puts_numbers_right_and_escapes_bars():
    text = figures.table(pd.DataFrame({"name": ["a|b"], "value": ["1.5 %"]}))
    head, rule, row = text.splitlines()
    assert (head, row) == ("| name | value |", "| a\\|b | 1.5 % |")
    assert re.fullmatch(r"\| :-+ \| -+: \|", rule)
    assert text._repr_markdown_() == text
