"""What the page on reproducing shows by example can be done as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml

from analysis import paths, study
from report.preview import configuration

PAGE = (paths.ROOT / "reproduce.qmd").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", examples("toml"))
def test_a_study_is_accepted_and_its_layers_are_those_of_its_model(tmp_path, text):
    # The name of a data set that is yet to be added is the one thing that is not known.
    known = text.replace('name = "mnist"', 'name = "svhn"')
    path = tmp_path / "example.toml"
    path.write_text(known, encoding="utf-8")
    read = study.load(path)
    modules = dict(timm.create_model(read.model.name, num_classes=10).named_modules())
    assert set(read.saliency.layers) <= set(modules)


def test_a_profile_is_laid_over_the_project(tmp_path):
    (text,) = examples("yaml")
    project = paths.ROOT / "_quarto.yml"
    (tmp_path / "_quarto.yml").write_text(project.read_text("utf-8"), encoding="utf-8")
    (tmp_path / "_quarto-svhn.yml").write_text(text, encoding="utf-8")
    settings = configuration(tmp_path, "svhn")
    assert (settings["study"], settings["project"]["output-dir"]) == ("svhn", "build/site-svhn")
    assert yaml.safe_load(text)["study"] in study.names()


def test_a_data_set_of_one_s_own_gives_images(tmp_path, monkeypatch):
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
    assert images.images.shape == (10, 28, 28, 3)
    assert images.split.tolist() == ["train"] * 6 + ["test"] * 4
    assert images.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert np.array_equal(images.positions("test"), [6, 7, 8, 9])
    assert images.images[images.positions("test")].max() == 100
