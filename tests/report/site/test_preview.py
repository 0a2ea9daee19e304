"""The preview of small projects: what it makes of them, and what it refuses."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell, writes

from report.safe import safe
from report.site.preview import PreviewError, configuration, preview
from report.site.quarto import find_quarto
from tests.report.site.conftest import HOSTILE

QUARTO = (
    "project:\n  output-dir: site\n  render: [index.qmd]\nstudy: demo\nexecute: {echo: false}\n"
)
BOTH = "---\ntitle: A *title*\nformat:\n  html: default\n  typst: default\n---\n\n"
INFO = """```{python}
#| include: false
import json, os
from pathlib import Path
info = json.loads(Path(os.environ["QUARTO_EXECUTE_INFO"]).read_text())
to = info["format"]["pandoc"]["to"]

class Markdown(str):
    def _repr_markdown_(self): return str(self)

chart = "```{=typst}\\ndrawn\\n```" if to == "typst" else "```{=html}\\n<p>drawn</p>\\n```"
```

"""
# What a page prints with `output: asis`, as the sections of the paper do.
SECTION = '''```{python}
#| output: asis
print(f"""# First {{#sec-one}}

See @fig-one, @tbl-one, @sec-two, -@fig-one, [@fig-one; @tbl-one] and @known2020.

There are {26032:,} images.

::: {{#fig-one}}
{chart}

What to *see*, of {6 * 7} networks.
:::

## Part of it {{#sec-two}}

::: {{#tbl-one}}
| class | accuracy |
|:--|--:|
| zero | 0.95 |

By class.
:::
""")
```
'''


def project(folder: Path, index: str, *, settings: str = QUARTO) -> Path:
    """Write a project with an index page."""
    (folder / "_quarto.yml").write_text(settings, encoding="utf-8")
    (folder / "index.qmd").write_text(index, encoding="utf-8")
    return folder


def render(folder: Path) -> list[Path]:
    (folder / "site").mkdir()
    return preview(folder, folder / "site")


def text_of(page: Path) -> str:
    """Return the words of an HTML page or of a PDF, with single spaces."""
    if page.suffix == ".pdf":
        text = "\n".join(sheet.extract_text() for sheet in pypdf.PdfReader(page).pages)
    else:
        body = re.split(r"<body\b[^>]*>", page.read_text(encoding="utf-8"))[1]
        text = html.unescape(re.sub(r"<[^>]+>", "", body))
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of one project with most constructs, as HTML and PDF."""
    folder = tmp_path_factory.mktemp("paper")
    settings = (
        "project:\n  render: [index.qmd, other.qmd]\n  resources: [data/*]\n"
        "website:\n  navbar:\n    left: [{href: index.qmd, text: Paper}]\n"
        "bibliography: cited.bib\nnumber-sections: true\nstudy: demo\n"
    )
    inline = 'Inline: `{python} Markdown("**refuted**")`; `{python} "a*b*"`.[^n]\n\n[^n]: A note.\n'
    printed = "```{python}\nimport sys\nprint('printed')\nprint('warned', file=sys.stderr)\n```\n"
    refs = "# References {.unnumbered}\n\n::: {#refs}\n:::\n"
    project(folder, f"{BOTH}{INFO}{SECTION}\n{inline}\n{printed}\n{refs}", settings=settings)
    (folder / "other.qmd").write_text("# Alone\n\nHere. [Back](index.qmd)\n")
    (folder / "data").mkdir()
    (folder / "data" / "rows").write_text("a,b\n")
    (folder / "cited.bib").write_text(
        "@article{known2020, author={Doe, Jane}, title={A}, year={2020}, journal={J}}"
    )
    names = ("index.html", "index.pdf", "other.html")
    assert render(folder) == [folder / "site" / name for name in names]
    return folder / "site"


@pytest.mark.parametrize("name", ["index.html", "index.pdf"])
def test_numbers_references_and_values(paper, name):
    text = text_of(paper / name)
    for words in (
        "Preview, made without Quarto",
        "See Figure 1, Table 1, Section 1.1, 1, Figure 1, Table 1 and Doe (2020).",
        "There are 26,032 images.",
        "Figure 1: What to see, of 42 networks.",
        "1.1 Part of it",
        "Table 1: By class.",
        "refuted; a*b*.",
        "drawn",
        "printed",
        "References Doe, Jane.",
    ):
        assert words in text, words
    assert "warned" not in text and "import" not in text


def test_references_and_pages_lead_to_what_they_name(paper):
    page = (paper / "index.html").read_text(encoding="utf-8")
    for label in ("fig-one", "tbl-one", "sec-two", "ref-known2020"):
        assert f'href="#{label}"' in page and f'id="{label}"' in page, label
    other = (paper / "other.html").read_text(encoding="utf-8")
    assert 'href="preview.css"' in other and (paper / "preview.css").is_file()
    assert other.count('href="index.html"') == 2  # once from the list of pages
    assert (paper / "data" / "rows").read_text(encoding="utf-8") == "a,b\n"


def test_a_cell_learns_what_quarto_tells_it(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARTO_PROFILE", "small")
    code = "import os, shutil\nshutil.copy(os.environ['QUARTO_EXECUTE_INFO'], 'told')"
    told = f"```{{python}}\n{code}\n```\n"
    page = f"---\nanswer: 42\nformat:\n  html:\n    depth: 3\n---\n{told}"
    folder = project(tmp_path, page)
    (folder / "_quarto-small.yml").write_text("study: other\n", encoding="utf-8")
    render(folder)
    info = json.loads((folder / "told").read_text())
    assert info["document-path"] == str(folder / "index.qmd")
    assert info["format"]["pandoc"]["to"] == "html"
    metadata = info["format"]["metadata"]
    assert (metadata["study"], metadata["answer"], metadata["depth"]) == ("other", 42, 3)


def test_profiles_are_merged_deeply_and_the_first_one_wins(tmp_path, monkeypatch):
    monkeypatch.delenv("QUARTO_PROFILE", raising=False)
    settings = "project: {output-dir: a, render: [x.qmd]}\nstudy: base\n"
    folder = project(tmp_path, "", settings=settings)
    (folder / "_quarto-one.yml").write_text("project: {output-dir: b}\nstudy: one\n")
    (folder / "_quarto-two.yml").write_text("project: {render: [y.qmd]}\nstudy: two\n")
    none, both = configuration(folder, None), configuration(folder, "two,one")
    assert none["project"] == {"output-dir": "a", "render": ["x.qmd"]}
    assert both["project"] == {"output-dir": "b", "render": ["x.qmd", "y.qmd"]}
    assert (none["study"], both["study"]) == ("base", "two")


def test_hostile_text_is_text_on_a_page(tmp_path):
    quoted = json.dumps(safe(HOSTILE))
    code = f"print({quoted})\nprint()\nprint('# ' + {quoted})"
    cell = f"```{{python}}\n#| output: asis\n{code}\n```\n"
    html_page, pdf = render(project(tmp_path, BOTH + cell))
    content = html_page.read_text("utf-8")
    assert text_of(html_page).count(HOSTILE) == 2
    assert "<script" not in content and "javascript:1" in content
    assert not re.search(r"<(b|em|math)\b|href=.javascript", content.partition("</header>")[2])
    assert "include /etc/hostname" in text_of(pdf)


def notebook(folder: Path, *cells: dict) -> Path:
    """Write a project whose pages are a notebook and one that leads to it."""
    settings = "project: {render: [index.qmd, steps.ipynb]}\nexecute: {echo: false}\nstudy: demo\n"
    project(folder, "[Steps](steps.ipynb), [file](files/steps.ipynb)\n", settings=settings)
    (folder / "steps.ipynb").write_text(writes(new_notebook(cells=list(cells))))
    return folder


def test_a_notebook_is_a_page_with_its_code_and_its_results(tmp_path):
    header = new_raw_cell("---\ntitle: Steps\nexecute: {enabled: true, echo: true}\n---")
    cells = [
        new_markdown_cell("# First {#first}\n\nSome *text*."),
        new_code_cell("answer = 6 * 7"),
        new_code_cell("#| echo: false\nhidden = 1"),
        new_markdown_cell("# Second"),
        new_code_cell("answer"),
    ]
    index, steps = render(notebook(tmp_path, header, *cells))
    text = text_of(steps)
    for words in ("First Some text.", "answer = 6 * 7", "Second answer 42"):
        assert words in text, words
    assert "hidden" not in text and 'id="first"' in steps.read_text("utf-8")
    assert 'href="steps.html"' in index.read_text("utf-8")
    # The notebook itself, to download.
    assert 'href="files/steps.ipynb"' in index.read_text("utf-8")


def test_a_page_shows_code_where_it_says_so(tmp_path):
    shown = "---\nexecute:\n  echo: true\n---\n\n```{python}\nshown = 1\n```\n"
    (page,) = render(project(tmp_path, f"{shown}\n```{{python}}\n#| echo: false\nhid = 1\n```\n"))
    assert "shown = 1" in text_of(page) and "hid = 1" not in text_of(page)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([new_code_cell("a = 1\n1 / 0")], "steps.ipynb, cell 1:2: ZeroDivisionError"),
        (
            [new_raw_cell("---\na: 1\n---"), new_markdown_cell("\n{{< video x >}}")],
            "steps.ipynb, cell 2:2",
        ),
        (None, "steps.ipynb: not a notebook"),
    ],
)
def test_what_is_wrong_in_a_notebook_is_named_with_its_cell(tmp_path, cells, message):
    folder = notebook(tmp_path, *(cells or []))
    if cells is None:
        (folder / "steps.ipynb").write_text('{"cells": [')
    with pytest.raises(PreviewError) as raised:
        render(folder)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("\n{{< video x.mp4 >}}\n", "index.qmd:2: the preview has no shortcode 'video'"),
        ("\n::: {.panel-tabset}\n:::\n", "index.qmd:2: the preview has no div '{.panel-tabset}'"),
        ("```{python}\n#| eval: false\n```\n", "index.qmd:2: the preview has no cell option 'eval"),
        ("```{python}\n1\n", "index.qmd:1: the preview has no cell or end of a cell 'python'"),
        ("\n```{ojs}\n1\n```\n", "index.qmd:2: the preview has no cell or end of a cell 'ojs'"),
        ("---\nabstract: '`{python} 1`'\n---\n", "index.qmd:2: code in metadata or options"),
        ("---\ntitle: [\n---\n", "index.qmd:2: not YAML"),
        ("a `{python} 1 +\n1`\n", "index.qmd:1: the preview has no inline code over several"),
        ("---\nformat: docx\n---\n", "index.qmd: the preview has no format 'docx'"),
        ("A\n\nsee @fig-none\n", "index.qmd: @fig-none names nothing"),
        ("A\n\nas [@nobody2020] say\n", "index.qmd: @nobody2020 not found"),
        ("a\n\n`{python} 1/0`\n", "index.qmd:3: ZeroDivisionError: division by zero"),
        (
            "a\n\n```{python}\n#| include: false\nx = 1\n1/0\n```\n",
            "index.qmd:6: ZeroDivisionError",
        ),
        ("a\n\n`{python} ''`\n", "index.qmd:3: `''` gives no text"),
        (
            f"{BOTH}{SECTION.replace('{chart}', '')}".replace("@known2020", "x"),
            "index.qmd: @fig-one shows nothing in ",
        ),
    ],
)
def test_what_is_not_supported_or_missing_is_named_with_its_place(tmp_path, index, message):
    with pytest.raises(PreviewError) as raised:
        render(project(tmp_path, index))
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_missing_files_of_the_configuration_are_named(tmp_path):
    folder = project(tmp_path, "", settings="project: {resources: data/*.csv, render: [x.qmd]}\n")
    with pytest.raises(PreviewError, match="no profile 'none'"):
        configuration(folder, "none")
    with pytest.raises(PreviewError, match=r"there is no file 'data/\*.csv'"):
        render(folder)


@pytest.mark.slow
@pytest.mark.skipif(find_quarto() is None, reason="no Quarto of version 1.8 or later on the PATH")
def test_it_reads_as_what_quarto_makes(tmp_path, monkeypatch):
    section = SECTION.replace(" and @known2020", "")
    printed = f"```{{python}}\n#| output: asis\nprint({json.dumps(safe(HOSTILE))})\n```"
    index = f"""---
title: Two renderers
---

{INFO}{section}
{printed}

Strings: `{{python}} "a*b*_c_ 1.5 <x>"`, `{{python}} "it's"`, `{{python}} 1.50`.
Markdown: `{{python}} Markdown("**bold** *and*")`; `{{python}} info["format"]["metadata"]["study"]`.

# Apart {{.unnumbered}}

Text "quoted" -- and so on... See [Fig. @fig-one] and @Fig-one. A note.[^n]

[^n]: Below.

# Second
"""
    settings = QUARTO.replace("site", "theirs") + "number-sections: true\n"
    folder = project(tmp_path, index, settings=settings)
    monkeypatch.setenv("QUARTO_PYTHON", sys.executable)
    command = [find_quarto(), "render", "index.qmd"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = text_of(folder / "theirs" / "index.html")
    [page] = render(folder)
    for tag in ("p", "h1", "h2", "figcaption", "td"):
        written = page.read_text(encoding="utf-8")
        for found in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", written, flags=re.DOTALL):
            words = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", found))).strip()
            assert words in theirs or words.startswith("Preview"), words
    assert HOSTILE in text_of(page)
