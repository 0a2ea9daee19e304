"""What the page on reproducing shows by example works as it is written there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml

from analysis import claims, study
from analysis.project import paths
from report.site.preview import configuration

PAGE = (paths.ROOT / "reproduce.qmd").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def read(folder: Path, text: str) -> study.Study:
    """Return the study in an example, whose one new source of images is not known yet."""
    path = folder / "example.toml"
    path.write_text(text.replace('source = "mnist"', 'source = "svhn"'), encoding="utf-8")
    return study.load(path)


STUDIES = [text for text in examples("toml") if "[images]" in text]


@pytest.mark.parametrize("text", STUDIES)
def test_a_study_is_accepted_and_its_layers_are_those_of_its_model(tmp_path, text):
    example = read(tmp_path, text)
    modules = dict(timm.create_model(example.network.model, num_classes=10).named_modules())
    assert set(example.maps.layers) <= set(modules)


def test_a_claim_is_accepted(tmp_path):
    (text,) = (text for text in examples("toml") if "[[claim]]" in text)
    (claim,) = tomllib.loads(text)["claim"]
    found = claims.of(read(tmp_path, f"{STUDIES[0]}\n{text}"))
    assert claim["id"] in {one.id for one in found.claims}


def test_a_profile_changes_study_and_folder(tmp_path):
    (text,) = examples("yaml")
    project = paths.ROOT / "_quarto.yml"
    (tmp_path / "_quarto.yml").write_text(project.read_text("utf-8"), encoding="utf-8")
    (tmp_path / "_quarto-svhn.yml").write_text(text, encoding="utf-8")
    settings = configuration(tmp_path, "svhn")
    assert (settings["study"], settings["project"]["output-dir"]) == ("svhn", "build/site-svhn")
    assert yaml.safe_load(text)["study"] in study.names()


def test_a_source_of_one_s_own_gives_images(tmp_path, monkeypatch):
    class Stub:
        """The parts of torchvision's MNIST that the example asks for."""

        def __init__(self, folder: Path, *, train: bool, download: bool) -> None:
            count = 6 if train else 4
            self.targets = torch.arange(count)
            self.data = torch.full((count, 28, 28), 200 if train else 100, dtype=torch.uint8)

        def __len__(self) -> int:
            return len(self.targets)

    monkeypatch.setattr("torchvision.datasets.MNIST", Stub)
    (code,) = examples("python")
    names: dict = {}
    exec(compile(code, "mnist.py", "exec"), names)
    images = names["load"](tmp_path)
    assert images.pixels.shape == (10, 28, 28, 3)
    assert images.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert np.array_equal(images.positions("test"), [6, 7, 8, 9])
    assert images.pixels[images.positions("test")].max() == 100
