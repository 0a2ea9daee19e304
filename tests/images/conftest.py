"""A cache of its own for decoded images, and folders of photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.images import Images, load
from analysis.study import Study
from tests.conftest import small_study

UNTRAINED = {"training": None, "network": {"model": "test_resnet", "weights": "mine.safetensors"}}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FAILURE_MODES_CACHE", str(folder))
    return folder


@pytest.fixture
def photos(tmp_path: Path, cache: Path) -> Callable[..., Path]:
    """Return a function that writes small photos at paths below a folder, each of its own grey."""
    base = tmp_path / "photos"

    def write(*names: str) -> Path:
        for name in names:
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 10), (level(name),) * 3).save(path)
        return base

    return write


def level(name: str) -> int:
    """Return the grey of the photo that was written at a path."""
    return sum(name.encode()) % 256


def study_of(*, untrained: bool = False, **images: object) -> Study:
    return small_study(images=images, **(UNTRAINED if untrained else {}))


def read(base: Path, *, untrained: bool = True, **images: object) -> Images:
    """Load a folder, at 8×8 unless said otherwise."""
    settings = {"source": "folder", "path": str(base), "size": 8, "evaluate": "all", **images}
    return load(study_of(untrained=untrained, **settings), base / "nowhere")


def greys(images: Images) -> list[int]:
    """Return the grey of each image of one colour."""
    assert (np.ptp(images.pixels, axis=(1, 2, 3)) == 0).all()
    return images.pixels[:, 0, 0, 0].tolist()
