"""The preview of small projects: what it makes of them, and what it refuses."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest

from report.preview import PreviewError, configuration, preview
from report.rendering import find_quarto
from tests.report.conftest import errors, open_page, requested

QUARTO = "project:\n  output-dir: build/site\nstudy: demo\nexecute:\n  echo: false\n"
BOTH = "---\ntitle: A *title*\nformat:\n  html: default\n  typst: default\n---\n\n"
INFO = """```{python}
#| include: false
import json, os
from pathlib import Path
info = json.loads(Path(os.environ["QUARTO_EXECUTE_INFO"]).read_text())
to = info["format"]["pandoc"]["to"]

class Markdown(str):
    def _repr_markdown_(self): return str(self)

class Chart:
    def _repr_mimebundle_(self, include=None, exclude=None):
        if to == "typst":
            box = '<rect width="90" height="9" fill="#35b779"/>'
            svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="9">{box}</svg>'
            return {"image/svg+xml": svg}
        return {"text/markdown": '```{=html}\\n<div class="chart">drawn</div>\\n```'}
```

"""


def project(folder: Path, index: str, **files: str) -> Path:
    """Write a project with an index page; `__` in a name stands for a slash, `_x` ends as `.x`."""
    (folder / "_quarto.yml").write_text(QUARTO, encoding="utf-8")
    (folder / "index.qmd").write_text(index, encoding="utf-8")
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_qmd", ".qmd").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def text_of(page: Path) -> str:
    """Return the words of an HTML page or of a PDF, with single spaces."""
    if page.suffix == ".pdf":
        text = "\n".join(sheet.extract_text() for sheet in pypdf.PdfReader(page).pages)
    else:
        body = re.split(r"<body\b[^>]*>", page.read_text(encoding="utf-8"))[1]
        text = re.sub(r"<annotation.*?</annotation>|<[^>]+>", "", body, flags=re.DOTALL)
        text = html.unescape(text)
    return re.sub(r"\s+", " ", text)


def rendered(folder: Path, index: str, **files: str) -> str:
    """Return the words of a project's index page."""
    return text_of(preview(project(folder, index, **files))[0])


@pytest.fixture(scope="module", autouse=True)
def without_a_profile() -> Iterator[None]:
    """Keep a profile of the one who runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QUARTO_PROFILE", raising=False)
        yield


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of one project with most constructs, as HTML and PDF."""
    index = f"""{BOTH}{INFO}
See @fig-one, @tbl-one, @sec-two, -@fig-two, [@fig-one; @fig-two] and @known2020.[^n]

[^n]: A note of `{{python}} 6 * 7`.

# First {{#sec-one}}

There are `{{python}} f"{{26032:,}}"` images; `{{python}} Markdown("**refuted**")`;
`{{python}} "a*b*"`.

```{{python}}
#| label: fig-one
#| fig-cap: "What to *see*, with $x^2$."
#| fig-alt: 'Bars, "drawn"'
Chart()
```

{{{{< include parts/second.qmd >}}}}

# References {{.unnumbered}}

::: {{#refs}}
:::
"""
    second = """## Part `{python} 1 + 1` of it {#sec-two}

::: {#fig-two}
```{python}
Chart()
```

The second, of `{python} 3` networks.
:::

{{< include parts/third.qmd >}}
"""
    third = """::: {#tbl-one}
```{python}
Markdown("| class | accuracy |\\n|:--|--:|\\n| zero | 0.95 |")
```

By class.
:::

::: {.callout-note title="Read this"}
In a callout.
:::

::: {.content-visible when-format="html"}
For the web.
:::

::: {.content-hidden when-format="html"}
For paper.
:::

```{python}
#| echo: true
print("printed")
info["format"]["metadata"]["study"]
```

[The other](report/other.qmd)
"""
    folder = project(
        tmp_path_factory.mktemp("paper"),
        index,
        parts__second_qmd=second,
        parts__third_qmd=third,
        report__other_qmd="---\ntitle: Other\n---\n\n# Alone\n\nHere. [Back](../index.qmd)\n",
    )
    bibliography = "@article{known2020, author={Doe, Jane}, title={A}, year={2020}, journal={J}}"
    (folder / "cited.bib").write_text(bibliography, encoding="utf-8")
    (folder / "data").mkdir()
    (folder / "data" / "rows.csv").write_text("a,b\n", encoding="utf-8")
    (folder / "_quarto.yml").write_text(
        "project:\n  output-dir: build/site\n  render: [index.qmd, report/*.qmd]\n"
        "  resources: [data/*.csv]\nwebsite:\n  navbar:\n    left: [index.qmd, report/other.qmd]\n"
        "bibliography: cited.bib\nnumber-sections: true\ntoc: true\nstudy: demo\n"
        "execute: {echo: false}\nformat:\n  html:\n    include-in-header:\n"
        "      text: <meta name='from' content='the header'>\n",
        encoding="utf-8",
    )
    assert preview(folder) == [
        folder / "build" / "site" / name
        for name in ("index.html", "index.pdf", "report/other.html")
    ]
    return folder / "build" / "site"


def test_every_page_and_the_pdf_say_that_they_are_a_preview(paper):
    for name in ("index.html", "index.pdf", "report/other.html"):
        assert "Preview, made without Quarto" in text_of(paper / name)


@pytest.mark.parametrize("name", ["index.html", "index.pdf"])
def test_numbers_references_values_and_includes(paper, name):
    text = text_of(paper / name)
    for words in (
        "See Figure 1, Table 1, Section 1.1, 2, Figure 1, Figure 2 and Doe (2020).",
        "A note of 42.",
        "There are 26,032 images; refuted; a*b*.",
        "Figure 1: What to see, with",
        "1.1 Part 2 of it",
        "Figure 2: The second, of 3 networks.",
        "Table 1: By class.",
        "Read this",
        "In a callout.",
        'print("printed")',
        "'demo'",
        "References Doe, Jane.",
    ):
        assert words in text, words
    assert ("For the web." in text) == (name == "index.html")
    assert ("For paper." in text) == (name == "index.pdf")


def test_references_lead_to_what_they_name(paper):
    page = (paper / "index.html").read_text(encoding="utf-8")
    assert '<h1 class="unnumbered" id="references">References</h1>' in page
    for label in ("fig-one", "fig-two", "tbl-one", "sec-two", "ref-known2020"):
        assert f'href="#{label}"' in page and f'id="{label}"' in page, label
    links = [
        annotation.get_object()
        for sheet in pypdf.PdfReader(paper / "index.pdf").pages
        for annotation in sheet.get("/Annots", [])
    ]
    assert sum("/Dest" in link or "/D" in link.get("/A", {}) for link in links) >= 7


def test_each_format_gets_its_own_picture_of_a_chart(paper):
    page = (paper / "index.html").read_text(encoding="utf-8")
    assert page.count('<div class="chart">drawn</div>') == 2 and "<img" not in page
    sheets = pypdf.PdfReader(paper / "index.pdf").pages
    drawing = b"".join(sheet.get_contents().get_data() for sheet in sheets)
    assert not [image for sheet in sheets for image in sheet.images]
    # The bar's colour, #35b779, stands in what the page draws and not in a picture.
    assert re.search(rb"0?\.207\d* 0?\.717\d* 0?\.474\d* (rg|scn)", drawing)


def test_pages_in_folders_find_the_style_and_each_other(paper):
    other = (paper / "report" / "other.html").read_text(encoding="utf-8")
    assert 'href="../preview.css"' in other and (paper / "preview.css").is_file()
    assert other.count('href="../index.html"') == 2  # once from the list of pages
    assert 'href="report/other.html"' in (paper / "index.html").read_text(encoding="utf-8")
    assert "<meta name='from' content='the header'>" in other
    assert (paper / "data" / "rows.csv").read_text(encoding="utf-8") == "a,b\n"


def test_nothing_but_the_site_is_left(paper):
    assert [path.name for path in paper.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_opened_as_a_file_has_no_error_and_no_sideways_scroll(paper, browser, width):
    open_page(browser, (paper / "index.html").as_uri(), width=width)
    page = "document.documentElement"
    assert browser.execute_script(f"return {page}.scrollWidth - {page}.clientWidth") <= 0
    assert not errors(browser)
    sent = requested(browser)
    assert sent and all(url.startswith("file:") for url in sent)


def test_a_cell_is_told_what_quarto_tells_it(tmp_path):
    told = """```{python}
import os
from pathlib import Path
for name in ("PROJECT_ROOT", "PROJECT_DIR", "DOCUMENT_PATH", "DOCUMENT_FILE", "PROFILE"):
    Path("told-" + name).write_text(os.environ["QUARTO_" + name])
Path("told-info").write_text(Path(os.environ["QUARTO_EXECUTE_INFO"]).read_text())
```
"""
    render = "project:\n  output-dir: build/site\n  render: [report/page.qmd]\n"
    folder = project(
        tmp_path,
        "",
        report__page_qmd=f"---\nanswer: 42\nformat:\n  html:\n    depth: 3\n---\n{told}",
        _quarto_yml=f"{render}study: svhn\n",
    )
    (folder / "_quarto-small.yml").write_text("study: demo\n", encoding="utf-8")
    preview(folder, profile="small")
    read = {path.name[5:]: path.read_text() for path in (folder / "report").glob("told-*")}
    info = json.loads(read.pop("info"))
    report = str(folder / "report")
    assert read == {
        "PROJECT_ROOT": str(folder),
        "PROJECT_DIR": str(folder),
        "DOCUMENT_PATH": report,
        "DOCUMENT_FILE": "page.qmd",
        "PROFILE": "small",
    }
    assert info["document-path"] == f"{report}/page.qmd"
    assert info["format"]["pandoc"]["to"] == "html"
    assert info["format"]["identifier"] == {
        "display-name": "HTML",
        "target-format": "html",
        "base-format": "html",
    }
    metadata = info["format"]["metadata"]
    assert (metadata["study"], metadata["answer"], metadata["depth"]) == ("demo", 42, 3)


def test_execute_dir_project_runs_the_code_of_all_pages_in_the_project(tmp_path):
    page = "`{python} __import__('os').getcwd()`\n"
    folder = project(tmp_path, "", report__page_qmd=page)
    settings = "{output-dir: out, execute-dir: project, render: [report/page.qmd]}"
    (folder / "_quarto.yml").write_text(f"project: {settings}\n", encoding="utf-8")
    [file] = preview(folder)
    assert text_of(file).endswith(f" {folder} ")


def test_profiles_are_merged_deeply_and_the_first_one_wins(tmp_path):
    (tmp_path / "_quarto.yml").write_text(
        "project: {output-dir: a, render: [x.qmd]}\nstudy: base\nprofile: {default: one}\n"
    )
    (tmp_path / "_quarto-one.yml").write_text("project: {output-dir: b}\nstudy: one\n")
    (tmp_path / "_quarto-two.yml").write_text("project: {render: [y.qmd]}\nstudy: two\n")
    first = configuration(tmp_path, None)
    assert first["project"] == {"output-dir": "b", "render": ["x.qmd"]}
    both = configuration(tmp_path, "two,one")
    assert both["project"] == {"output-dir": "b", "render": ["x.qmd", "y.qmd"]}
    assert (first["study"], both["study"]) == ("one", "two")


def test_content_can_depend_on_the_profile(tmp_path):
    div = '::: {{.content-visible {}-profile="local"}}\n{}\n:::\n'
    index = div.format("when", "Pictures.") + "\n" + div.format("unless", "No pictures.")
    folder = project(tmp_path, index)
    (folder / "_quarto-local.yml").write_text("project: {output-dir: build/local}\n")
    [page], [local] = preview(folder), preview(folder, profile="local")
    assert "No pictures." in text_of(page) and " Pictures." not in text_of(page)
    assert "Pictures." in text_of(local) and "No pictures." not in text_of(local)
    assert local == folder / "build" / "local" / "index.html"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("include: false", ""),
        ("output: false", ""),
        ("warning: false", " out 'value'"),
        ("warning: true", " out err 'value'"),
        ("echo: true", " import sys"),
    ],
)
def test_cell_options(tmp_path, options, shown):
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'"
    text = rendered(tmp_path, f"```{{python}}\n#| {options}\n{code}\n```\n")
    assert text.partition("differs.")[2].strip().startswith(shown.strip())
    assert bool(shown) == bool(text.partition("differs.")[2].strip())


def test_asis_output_is_markdown(tmp_path):
    index = "```{python}\n#| output: asis\nprint('*slanted*\\n\\n# Heading')\n```\n"
    [page] = preview(project(tmp_path, index))
    written = page.read_text(encoding="utf-8")
    assert "<em>slanted</em>" in written and ">Heading</h1>" in written


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("\n{{< video x.mp4 >}}\n", "index.qmd:2: the preview has no shortcode 'video'"),
        ("\n{{< include no.qmd >}}\n", "index.qmd:2: cannot include no.qmd"),
        ("\n{{< include index.qmd >}}\n", "index.qmd:2: cannot include index.qmd"),
        ("::: {.panel-tabset}\n:::\n", "index.qmd:1: the preview has no div class 'panel-tabset'"),
        ("\n::: panel\n:::\n", "index.qmd:2: the preview has no div class 'panel'"),
        (
            "::: {#fig-a layout-ncol=2}\n:::\n",
            "index.qmd:1: the preview has no div class 'layout-ncol'",
        ),
        (
            "```{python}\n#| echo: true\n#| eval: false\n```\n",
            "index.qmd:3: the preview has no cell",
        ),
        (
            "```{python}\n#| error: true\n```\n",
            "index.qmd:2: the preview has no cell option 'error",
        ),
        (
            "```{python}\n#| echo: fenced\n```\n",
            "index.qmd:2: the preview has no cell option 'echo",
        ),
        ("```{python}\n#| label: fig-a\n```\n", "index.qmd:1: a label"),
        ("```{python}\n#| fig-cap: Text\n```\n", "index.qmd:1: a label"),
        ("```{python}\n1\n", "index.qmd:1: this cell has no end"),
        ("\n```{ojs}\n1\n```\n", "index.qmd:2: the preview runs no cell 'ojs'"),
        ("---\nabstract: '`{python} 1`'\n---\n", "index.qmd:2: code in metadata or options"),
        ("---\ntitle: [\n---\n", "index.qmd:2: not YAML"),
        ("a `{python} 1 +\n1`\n", "index.qmd:1: inline code must begin and end on one line"),
        ("$$x$$ {#eq-x}\n", "index.qmd:1: the preview cannot number 'eq-x'"),
        ("---\nformat: docx\n---\n", "index.qmd: the preview has no format 'docx'"),
        ("A\n\nsee @fig-none\n", "index.qmd:3: @fig-none names nothing"),
        ("A\n\nas [@nobody2020] say\n", "index.qmd:3: @nobody2020 not found"),
        ("![A](none.svg)\n", "index.qmd: [WARNING] Could not fetch resource none.svg"),
        ("a\n\n`{python} 1/0`\n", "index.qmd:3: ZeroDivisionError: division by zero"),
        ("a\n\n`{python} ''`\n", "index.qmd:3: `''` gives no text"),
    ],
)
def test_what_is_not_supported_or_not_there_is_named_with_its_place(tmp_path, index, message):
    with pytest.raises(PreviewError) as raised:
        preview(project(tmp_path, index))
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_a_mistake_in_an_included_file_is_found_there(tmp_path):
    files = {"parts__a_qmd": "{{< include parts/b.qmd >}}\n", "parts__b_qmd": "\n::: card\n:::\n"}
    with pytest.raises(PreviewError, match=r"^parts/b.qmd:2: .*'card'"):
        preview(project(tmp_path, "{{< include parts/a.qmd >}}\n", **files))


def test_what_stands_in_a_listing_is_left_alone(tmp_path):
    assert "::: card {#eq-x}" in rendered(tmp_path, "```markdown\n::: card {#eq-x}\n```\n")


def test_a_failing_cell_is_named_and_the_old_pages_stay(tmp_path):
    folder = project(tmp_path, f"{BOTH}`{{python}} 'first'`\n")
    before = {path: path.read_bytes() for path in preview(folder)}
    cell = "text\n\n```{python}\n#| echo: false\nx = 1\nx.missing\n```\n"
    (folder / "index.qmd").write_text(cell, encoding="utf-8")
    with pytest.raises(PreviewError) as raised:
        preview(folder)
    assert str(raised.value) == (
        "index.qmd:6: AttributeError: 'int' object has no attribute 'missing'"
    )
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in (folder / "build").iterdir()] == ["site"]


def test_a_figure_that_shows_nothing_on_paper_is_an_error(tmp_path):
    index = f"{BOTH}::: {{#fig-a}}\n```{{=html}}\n<p>web</p>\n```\n\nCaption.\n:::\n"
    with pytest.raises(PreviewError, match="@fig-a shows nothing in typst"):
        preview(project(tmp_path, index))


def test_old_pages_are_replaced_and_not_mixed_with_new_ones(tmp_path):
    folder = project(tmp_path, "Hello.\n")
    old = folder / "build" / "site" / "gone.html"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    preview(folder)
    assert [path.name for path in sorted(old.parent.iterdir())] == ["index.html", "preview.css"]


@pytest.mark.parametrize("output", [".", ".."])
def test_the_project_is_never_replaced_by_its_pages(tmp_path, output):
    (tmp_path / "_quarto.yml").write_text(f"project: {{output-dir: {output}}}\n")
    with pytest.raises(PreviewError, match="would replace the project"):
        preview(tmp_path)


def test_missing_files_of_the_configuration_are_named(tmp_path):
    with pytest.raises(PreviewError, match=r"^_quarto.yml: no such file"):
        preview(tmp_path)
    folder = project(tmp_path, "")
    with pytest.raises(PreviewError, match=r"^_quarto-none.yml: no such file"):
        preview(folder, profile="none")
    (folder / "_quarto.yml").write_text("project: {resources: data/*.csv}\n")
    with pytest.raises(PreviewError, match=r"there is no file 'data/\*.csv'"):
        preview(folder)


def test_metadata_that_code_prints_is_taken(tmp_path):
    code = "print('---\\nabstract: |\\n  Of *' + str(6 * 7) + '* images.\\n---')"
    cell = f"```{{python}}\n#| output: asis\n#| echo: false\n{code}\n```\n"
    text = rendered(tmp_path, f"---\ntitle: T\n---\n\n{cell}")
    assert "Abstract Of 42 images." in text


@pytest.mark.skipif(find_quarto() is None, reason="no Quarto of version 1.8 or later on the PATH")
def test_it_reads_as_what_quarto_makes(tmp_path, monkeypatch):
    index = f"""---
title: Two renderers
---

{INFO}
Strings: `{{python}} "a*b*_c_ 1.5 <x>"`, `{{python}} "it's"`, `{{python}} 1.50`.
Markdown: `{{python}} Markdown("**bold** *and*")`; `{{python}} info["format"]["metadata"]["study"]`.

{{{{< include parts/a.qmd >}}}}

```{{python}}
#| label: fig-x
#| fig-cap: "Of a *cell*."
Chart()
```

# First {{#sec-first}}

See @sec-first, @sec-sub, [@fig-x; @tbl-x], -@fig-x, @Fig-x and [Fig. @fig-x]. A note.[^n]

[^n]: Below "it" -- and so on...

## Sub {{#sec-sub}}

::: {{#tbl-x}}
| a | b |
|---|--:|
| 1 | 2 |

Of a `{{python}} "div"`.
:::

# Apart {{.unnumbered}}

# Second

::: {{.content-hidden when-format="html"}}
Hidden.
:::

::: {{.content-visible unless-format="pdf"}}
Shown.
:::
"""
    files = {"parts__a_qmd": "{{< include _b.qmd >}}\n", "parts___b_qmd": "Wrong.\n"}
    folder = project(tmp_path, index, _b_qmd="Included.\n", **files)
    settings = QUARTO.replace("build/site", "theirs") + "number-sections: true\n"
    (folder / "_quarto.yml").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("QUARTO_PYTHON", sys.executable)
    command = [find_quarto(), "render", "index.qmd"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = text_of(folder / "theirs" / "index.html")
    [page] = preview(folder)
    for tag in ("p", "h1", "h2", "figcaption", "td"):
        written = page.read_text(encoding="utf-8")
        for found in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", written, flags=re.DOTALL):
            words = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", found))).strip()
            assert words in theirs or words.startswith("Preview"), words
    assert "Hidden." not in text_of(page) and "Wrong." not in text_of(page)
