"""What a page is told, and how tables and scripts enter it."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from analysis.project.errors import UserError
from report import page
from report.page import Execution, Markdown
from report.safe import safe, script


def told(tmp_path, monkeypatch, *, to: str = "html", **metadata: object) -> Execution:
    """Return the execution that Quarto's file describes."""
    info = {
        "document-path": str(tmp_path / "folder" / "page.qmd"),
        "format": {"pandoc": {"to": to}, "metadata": metadata},
    }
    (tmp_path / "info.json").write_text(json.dumps(info), encoding="utf-8")
    monkeypatch.setenv("QUARTO_EXECUTE_INFO", str(tmp_path / "info.json"))
    return page.current()


def test_a_page_is_told_its_study_and_its_format(tmp_path, monkeypatch):
    found = told(tmp_path, monkeypatch, study="demo")
    assert found == Execution(print=False, study="demo")
    assert told(tmp_path, monkeypatch, to="typst", study="demo").print


def test_a_page_that_the_profile_does_not_list_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"page\.qmd is not a page of this profile"):
        told(tmp_path, monkeypatch)


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("variable", page._SET_BY_QUARTO)
def test_an_old_quarto_is_an_error_and_never_another_study(monkeypatch, variable, empty):
    for name in ("QUARTO_EXECUTE_INFO", *page._SET_BY_QUARTO):
        monkeypatch.delenv(name, raising=False)
    if empty:
        monkeypatch.setenv("QUARTO_EXECUTE_INFO", "")
    assert page.current().study == "svhn-subset"
    monkeypatch.setenv(variable, "demo")
    with pytest.raises(UserError, match="older than 1.8"):
        page.current()


def test_scripts_are_the_site_s_own_and_no_modules():
    text = page.scripts(Execution(print=False, study="demo"))
    assert 'src="report/assets/vega.js"' in text
    assert "module" not in text and "http" not in text
    assert page.scripts(Execution(print=True, study="demo")) == ""


def test_a_table_puts_numbers_right_and_escapes_all_but_markdown():
    text = page.table({"name": [Markdown("*a*"), "<b>|"], "value": ["1.5%", "–"]})
    head, rule, *body = text.splitlines()
    assert head == "| name | value |" and re.fullmatch(r"\| :-+ \| -+: \|", rule)
    assert body == [r"| *a* | 1\.5\% |", r"| \<b\>\| | – |"]
    assert text._repr_markdown_() == text


def test_a_column_of_long_text_gets_more_room_than_one_of_long_words():
    rows = {"claim": ["explanations-correct"], "test": ["a word and another " * 12]}
    first, second = (len(dash) for dash in re.findall(r"-+", page.table(rows).splitlines()[1]))
    assert len("explanations-correct") <= first < second < 12 * first


def test_no_cell_of_a_csv_is_a_formula():
    text = page.csv_text(pd.DataFrame({"name": ["=1+1", "b"], "value": [-1.5, 2.0]}))
    assert text.splitlines() == ["name,value", "'=1+1,-1.5", "b,2.0"]


def test_text_is_text_wherever_it_is_written():
    assert safe("the 2nd's *b*\n\n{{< x >}}") == r"the 2nd's \*b\* \{\{\< x \>\}\}"
    # A blank line would end a raw block.
    assert safe("a\n\n<b> 'c' {{", "html") == "a &lt;b&gt; &#x27;c&#x27; &#123;&#123;"
    assert safe('"{{<\n', "typst") == r'"\"\u{7b}\u{7b}\u{3c}\n"'
    assert [safe(one, "csv") for one in ("=1", "-1.5", "a")] == ["'=1", "-1.5", "a"]
    content = {"a": {"b": "</script>{{< x >}}"}}
    text = script(content)
    assert "{{" not in text and "<" not in text and json.loads(text) == content


# ------------------------------------------------------------------- formats, and other versions


@pytest.mark.parametrize(
    "output",
    [
        "docx",
        "odt",
        "latex",
        "commonmark",
        "gfm+emoji",
        "markdown_strict",
        "jats",
        "epub3",
        "ipynb",
    ],
)
def test_formats_without_charts_have_images_in_files(tmp_path, monkeypatch, output):
    found = told(tmp_path, monkeypatch, to=output, study="demo")
    kind = re.split("[+]", output)[0]
    folder = tmp_path / "folder" / "page_files" / f"figure-{kind}"
    assert found == Execution(print=True, study="demo", images=folder)
    text = page.image(found, b"\x89PNG", name="one", alt='a *b* "c"\n\nd {{< e >}}')
    assert (folder / "one.png").read_bytes() == b"\x89PNG"
    assert text.startswith(
        rf"![a \*b\* \"c\" d \{{\{{\< e \>\}}\}}](page_files/figure-{kind}/one.png)"
    )
    # In an attribute two braces in a row would be a shortcode.
    assert text.count('"') - text.count(r"\"") == 2
    assert "\n" not in text and "{{" not in text.replace("\\", "")[60:]


@pytest.mark.parametrize("output", ["plain", "revealjs", "pptx", "beamer", "man", "native", ""])
def test_a_format_without_a_place_for_figures_is_refused_by_name(tmp_path, monkeypatch, output):
    with pytest.raises(UserError, match=f"cannot be rendered as {output}"):
        told(tmp_path, monkeypatch, to=output, study="demo")


def test_an_image_is_part_of_a_web_page_and_of_a_document():
    web, paper = (Execution(print=one, study="demo") for one in (False, True))
    alt = 'a <b> "c"'
    assert page.image(web, b"\x89P", name="one", alt=alt) == page.raw(
        "html", '<img src="data:image/png;base64,iVA=" alt="a &lt;b&gt; &quot;c&quot;">'
    )
    text = page.image(paper, b"\x89P", name="one", alt=alt)
    assert '#image(bytes((137, 80)), format: "png", alt: "a \\u{3c}b> \\"c\\"")' in text


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        "\udcff",
        '{"document-path": 1, "format": {}}',
        '{"document-path": "page.qmd", "format": {"metadata": null, "pandoc": {"to": "html"}}}',
        '{"document-path": "page.qmd", "format": {"metadata": {"study": "demo"}}}',
    ],
)
def test_what_quarto_says_and_cannot_be_read_is_an_error(tmp_path, monkeypatch, content):
    path = tmp_path / "info.json"
    if content is not None:
        path.write_text(content, encoding="utf-8", errors="surrogateescape")
    monkeypatch.setenv("QUARTO_EXECUTE_INFO", str(path))
    with pytest.raises(UserError, match="QUARTO_EXECUTE_INFO names no file") as raised:
        page.current()
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize("study", [None, "", 5, ["demo"]])
def test_a_page_without_the_name_of_a_study_shows_none(tmp_path, monkeypatch, study):
    with pytest.raises(UserError, match="not a page of this profile"):
        told(tmp_path, monkeypatch, study=study)
