"""The pictures of the README show what the cached results say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from analysis.project import paths
from report.site import readme

SVG = "{http://www.w3.org/2000/svg}"


def test_the_pictures_are_those_of_the_committed_results_on_white(tmp_path):
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", text)
    assert all(len(alternative) > 20 for alternative, _ in shown)
    written = readme.write(tmp_path)
    assert {path for _, path in shown} == {f"report/assets/readme/{path.name}" for path in written}
    for path in written:
        new, old = (
            ElementTree.parse(folder / path.name).getroot() for folder in (tmp_path, readme.FOLDER)
        )
        said = [[one.get("aria-label") for one in root.iter()] for root in (old, new)]
        assert said[0] == said[1], (
            f"{path.name} shows other results: run python -m report.site.readme"
        )
        assert next(new.iter(f"{SVG}rect")).get("fill") == "white"
