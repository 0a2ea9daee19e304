"""Pages opened from a file ask for no module, and do without one what modules did."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from report.finish import dated
from report.offline import plain, quiet, rewrite

PAGE = '<script src="a.js"></script><script src="libs/b.js" type="module"></script><p>x</p>'


def test_only_modules_are_held_back():
    page = quiet(PAGE)
    assert page.startswith('<script src="a.js"></script>') and page.endswith("<p>x</p>")
    assert '<script src="libs/b.js" type="module"></script>' not in page
    assert "location.protocol !== 'file:'" in page
    assert page.count("</script>") == 2


def test_a_page_that_was_quieted_stays_as_it_is():
    assert quiet(quiet(PAGE)) == quiet(PAGE)


def test_a_page_with_a_date_tells_it_to_google_scholar_once():
    tags = (
        '<meta name="dcterms.date" content="2026-01-31">\n<meta name="citation_title" content="T">'
    )
    told = dated(tags)
    assert '<meta name="citation_publication_date" content="2026/01/31">' in told
    assert dated(told) == told
    assert dated("<p>No date.</p>") == "<p>No date.</p>"


EXPORTS = "const kept = 41;\nexport function next() { return kept + 1; }\n"
IMPORTS = 'import * as numbers from "./numbers.js";\nconst kept = 0;\n'


def test_a_module_and_what_it_imports_become_one_script_with_its_own_names(tmp_path):
    (tmp_path / "numbers.js").write_text(EXPORTS)
    (tmp_path / "main.js").write_text(IMPORTS + "console.log(numbers.next() + kept);\n")
    script = plain(tmp_path / "main.js")
    assert "export" not in script and "import" not in script
    node = shutil.which("node")
    if node:
        done = subprocess.run([node, "-e", script], capture_output=True, text=True)
        assert done.stdout == "42\n", done.stderr


@pytest.mark.parametrize(
    "text", ["import { a } from './b.js';", "export default 1;", "const a = await import('b');"]
)
def test_a_module_of_another_form_stays_one(tmp_path, text):
    (tmp_path / "main.js").write_text(text)
    assert plain(tmp_path / "main.js") is None
    page = rewrite('<script src="main.js" type="module"></script>', folder=tmp_path)
    assert "location.protocol !== 'file:'" in page
