"""What the pages show by example works as it is written there."""

from __future__ import annotations

import re

import yaml

from analysis import claims, study
from analysis.project import paths
from report.site.preview import configuration


def example(page: str, language: str) -> str:
    text = (paths.ROOT / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return found


def test_a_claim_is_accepted(tmp_path):
    path = tmp_path / "example.toml"
    own = (paths.STUDIES / "demo.toml").read_text(encoding="utf-8")
    path.write_text(f"{own}\n{example('guide.qmd', 'toml')}", encoding="utf-8")
    assert "hats" in {one.id for one in claims.of(study.load(path)).claims}


def test_a_profile_changes_study_and_folder(tmp_path):
    text, project = example("reproduce.qmd", "yaml"), paths.ROOT / "_quarto.yml"
    (tmp_path / "_quarto.yml").write_text(project.read_text("utf-8"), encoding="utf-8")
    (tmp_path / "_quarto-svhn.yml").write_text(text, encoding="utf-8")
    settings = configuration(tmp_path, "svhn")
    assert (settings["study"], settings["project"]["output-dir"]) == ("svhn", "build/site-svhn")
    assert yaml.safe_load(text)["study"] in study.names()
