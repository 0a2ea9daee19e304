"""Figures in formats other than HTML and Typst: as images with their text, or not at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import altair as alt
import pandas as pd
import pytest

from analysis.project import paths
from analysis.project.errors import UserError
from report.figures.figure import Figure
from report.page import Execution
from report.site.renderer import find_quarto


def example(chart: alt.Chart | None = None) -> Figure:
    data = pd.DataFrame({"x": ["a", "b"], "y": [1, 2]})
    chart = chart or alt.Chart(data)
    chart = chart.mark_bar().encode(x="x:N", y="y:Q").properties(width=100, height=50)
    return Figure("one", chart, data, 'Bars of *a* and "b"', "report.figures.x")


def test_a_figure_is_an_image_in_a_file_with_its_text(tmp_path):
    folder = tmp_path / "page_files" / "figure-docx"
    text = example().markdown(Execution(print=True, study="demo", images=folder))
    assert text.startswith(r"![Bars of \*a\* and \"b\"](page_files/figure-docx/one.png){fig-alt=")
    # More than the image in its paragraph, or its text would be a caption.
    assert text.endswith("}\\ ") and "\n" not in text
    png = (folder / "one.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    # Two pixels for one, with axes on two sides.
    assert int.from_bytes(png[16:20], "big") > 200


def test_charts_that_follow_a_choice_are_refused(tmp_path):
    data = pd.DataFrame({"x": ["a", "b"], "y": [1, 2]})
    chosen = alt.selection_point(fields=["x"], bind=alt.binding_select(options=["a", "b"]))
    figure = example(alt.Chart(data).add_params(chosen))
    assert figure.markdown(Execution(print=False, study="demo")).startswith("```{=html}")
    with pytest.raises(
        UserError, match=r"charts of one follow a reader's choice, which needs HTML"
    ):
        figure.markdown(Execution(print=True, study="demo", images=tmp_path / "files"))
    assert not (tmp_path / "files").exists()


PAGE = """---
title: One figure
---

```{python}
#| output: asis
import altair as alt
import pandas as pd
from report import page
from report.figures.figure import Figure

data = pd.DataFrame({"x": ["a", "b"], "y": [1, 2]})
chart = alt.Chart(data).mark_bar().encode(x="x:N", y="y:Q")
figure = Figure("one", chart, data, "Two bars", "report.figures.x")
print("::: {#fig-one}")
print(figure.markdown(page.current()))
print("\\nThe caption.\\n:::")
```
"""


@pytest.mark.slow
@pytest.mark.skipif(find_quarto() is None, reason="no Quarto of version 1.8 or later")
def test_with_quarto_a_document_has_its_figures_or_ends_with_an_error(tmp_path, monkeypatch):
    (tmp_path / "_quarto.yml").write_text(
        "project: {type: website, output-dir: out, render: [index.qmd]}\n"
        "study: demo\nexecute: {echo: false, daemon: false}\n"
    )
    (tmp_path / "index.qmd").write_text(PAGE)
    monkeypatch.delenv("QUARTO_PROFILE", raising=False)
    monkeypatch.setenv("QUARTO_PYTHON", sys.executable)
    path = os.pathsep.join([str(paths.ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)

    def render(to: str) -> subprocess.CompletedProcess[str]:
        command = [str(find_quarto()), "render", "--to", to]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert render("docx").returncode == 0
    with zipfile.ZipFile(tmp_path / "out" / "index.docx") as document:
        assert [name for name in document.namelist() if re.fullmatch(r"word/media/.*\.png", name)]
        body = document.read("word/document.xml").decode()
    assert 'descr="Two bars"' in body and "The caption." in body
    refused = render("revealjs")
    assert refused.returncode != 0
    assert "cannot be rendered as revealjs" in refused.stderr
    # What was made for one format is not left next to the page.
    assert not [found for found in Path(tmp_path).glob("*_files")]
