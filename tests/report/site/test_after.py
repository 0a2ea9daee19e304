"""Pages opened from a file load no module, and do without one what modules did."""

from __future__ import annotations

import json
import shutil
import subprocess
from html import escape

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

from analysis.project import paths
from report.site import after
from report.site.after import described, finished, plain
from report.site.quarto import find_quarto
from tests.report.site.conftest import write_results
from tests.report.site.test_citation import HOSTILE

PAGE = '<script src="a.js"></script><script src="libs/b.js" type="module"></script><p>x</p>'


def test_only_modules_are_held_back_and_only_once(tmp_path):
    page = finished(PAGE, folder=tmp_path)
    assert page.startswith('<script src="a.js"></script>') and page.endswith("<p>x</p>")
    assert '<script src="libs/b.js" type="module"></script>' not in page
    assert "location.protocol !== 'file:'" in page and page.count("</script>") == 2
    assert finished(page, folder=tmp_path) == page


def test_a_page_with_a_date_gives_it_to_google_scholar_once():
    tags = (
        '<meta name="dcterms.date" content="2026-01-31">\n<meta name="citation_title" content="T">'
    )
    assert '<meta name="citation_publication_date" content="2026/01/31">' in described(tags)
    assert described(described(tags)) == described(tags)
    assert described("<p>No date.</p>") == "<p>No date.</p>"


def test_what_a_page_says_of_itself_is_also_said_where_it_is_shared():
    empty = (
        '<meta property="og:description" content="">\n<meta name="twitter:description" content="">'
    )
    page = f'<meta name="description" content="On &quot;x&quot; \\1">\n{empty}'
    assert described(page).count('description" content="On &quot;x&quot; \\1">') == 3
    assert described(page.replace('""', '"kept"')).count("kept") == 2
    assert described(empty) == empty


def test_no_picture_within_a_page_is_the_one_that_is_shared(tmp_path):
    if not find_quarto():
        pytest.skip("no Quarto of version 1.8 or later on the PATH")
    ours = yaml.safe_load((paths.ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    ours["website"] = {name: ours["website"][name] for name in ("title", "open-graph")}
    ours = {name: ours[name] for name in ("image", "website")} | {"project": {"type": "website"}}
    (tmp_path / "_quarto.yml").write_text(
        json.dumps({**ours, "format": {"html": {"theme": "none"}}})
    )
    picture = '<img src="data:image/png;base64,AAAA" alt="read as 1 (99%)">'
    (tmp_path / "index.qmd").write_text(f"---\ntitle: T\n---\n\n```{{=html}}\n{picture}\n```\n")
    done = subprocess.run(
        ["quarto", "render", str(tmp_path)], capture_output=True, text=True, check=True
    )
    html = (tmp_path / "_site" / "index.html").read_text(encoding="utf-8")
    assert 'property="og:title"' in html and "og:image" not in html and picture in html
    assert "Invalid URI" not in done.stderr


def test_a_module_and_what_it_imports_become_one_script_with_its_own_names(tmp_path):
    exports = "const kept = 41;\nexport function next() { return kept + 1; }\n"
    (tmp_path / "numbers.js").write_text(exports)
    imports = 'import * as numbers from "./numbers.js";\nconst kept = 0;\n'
    (tmp_path / "main.js").write_text(imports + "console.log(numbers.next() + kept);\n")
    page = finished('<script src="main.js" type="module"></script>', folder=tmp_path)
    assert page == '<script defer src="main.plain.js"></script>'
    script = (tmp_path / "main.plain.js").read_text()
    assert "export" not in script and "import" not in script
    if node := shutil.which("node"):
        done = subprocess.run([node, "-e", script], capture_output=True, text=True)
        assert done.stdout == "42\n", done.stderr


@pytest.mark.parametrize(
    "text", ["import { a } from './b.js';", "export default 1;", "const a = await import('b');"]
)
def test_a_module_of_another_form_stays_one(tmp_path, text):
    (tmp_path / "main.js").write_text(text)
    assert plain(tmp_path / "main.js") is None


def test_a_page_with_a_title_of_its_own_has_it_everywhere_and_no_author():
    tags = (
        '<meta property="og:title" content="Ours – Site"><meta name="twitter:title" content="Ours">'
        '<meta name="citation_title" content="Ours"><meta name="citation_author" content="Us">\n'
    )
    ours, theirs = (f'{tags}<h1 class="title">{title}</h1>' for title in ("Ours", "A &amp; b"))
    assert described(ours) == ours
    page = described(theirs)
    assert "Ours" not in page and "citation_author" not in page
    assert 'content="A &amp; b – Site">' in page and page.count("A &amp; b") == 4
    assert described(page) == page


def test_only_references_that_a_page_has_are_named_in_its_metadata(tmp_path):
    tag = (
        '<meta name="citation_reference" content="citation_title={};,citation_author=Some One;">\n'
    )
    both = tag.format("On Numbers: Grad-CAM") + tag.format("Of Streets")
    listed = "“<span>On</span> numbers: Grad-<em>CAM</em>.” <em>Journal</em>"
    page = f'{both}<div id="refs"><div class="csl-entry">{listed}</div></div>'
    found = finished(page, folder=tmp_path)
    assert "On Numbers" in found and "Of Streets" not in found


def test_each_page_says_once_and_as_text_which_results_it_shows(tmp_path, derived):
    derived = write_results(title=HOSTILE)
    pages = {"paper": "<main>a</main>", "preview": "<body>a</body>"}
    for name, html in pages.items():
        (tmp_path / f"{name}.html").write_text(html, encoding="utf-8")
    (tmp_path / "report" / "assets").mkdir(parents=True)
    for _ in range(2):
        after.add_files(tmp_path, derived)
        for name in pages:
            html = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
            assert html.count("colophon") == 1 and html.startswith(pages[name][:7])
            assert html.endswith(pages[name][7:]) and "Study demo" in html
            assert escape(HOSTILE) in html and HOSTILE not in html


def test_a_notebook_keeps_no_outputs_of_its_rendering(tmp_path, monkeypatch):
    monkeypatch.setattr(after.paths, "ROOT", tmp_path)
    clean = new_notebook(cells=[new_code_cell("6 * 7", id="one")])
    path, text = tmp_path / "n.ipynb", f"{nbformat.writes(clean)}\n"
    clean.cells[0].outputs = [new_output("stream", text="42")]
    clean.cells[0].execution_count = 1
    clean.metadata["language_info"] = {"name": "python"}
    nbformat.write(clean, path)
    after.clear_notebooks()
    assert path.read_text(encoding="utf-8") == text
