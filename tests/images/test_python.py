"""Images from somebody else's function, and whatever goes wrong in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from analysis import study as studies
from analysis.images import Images, load
from analysis.project.errors import UserError

STUDY = """
title = "Mine"
images = {{ source = "python", function = "{function}", size = 8, evaluate = "all", {more} }}
network = {{ model = "test_resnet", weights = "mine.safetensors" }}
"""
Called = Callable[..., Images]
ARRAYS = "dict(images=np.arange(128, dtype=np.uint8).reshape(2, 8, 8), labels=[0, 1])"


@pytest.fixture
def called(tmp_path: Path) -> Called:
    """Return a function that loads what some Python code next to a study file returns."""

    number = count()

    def run(code: str, *, function: str = "mine:load", more: str = "channels = 1") -> Images:
        # Modules of one name in several folders: none of them may be taken for another.
        place = tmp_path / str(next(number))
        place.mkdir()
        (place / "mine.py").write_text("import numpy as np\n" + code, encoding="utf-8")
        (place / "json.py").write_text("def load(): ...", encoding="utf-8")
        (place / "s.toml").write_text(STUDY.format(function=function, more=more), encoding="utf-8")
        return load(studies.load(place / "s.toml"), tmp_path)

    return run


def failing(called: Called, code: str, **options: str) -> str:
    with pytest.raises(UserError) as caught:
        called(code, **options)
    message = str(caught.value)
    assert message.startswith("images.function: ") and len(message.splitlines()) <= 2
    return message


def test_arrays_by_name(called: Called) -> None:
    images = called(f"def load(): return {ARRAYS}")
    assert np.array_equal(images.pixels.ravel(), np.arange(128))
    # Scaled to the study's size and channels; any other number of channels is kept.
    wide = called("def load(): return dict(images=np.zeros((2, 9, 20)), labels=['a', 'b'])")
    assert wide.pixels.shape == (2, 8, 8, 1)
    code = "def load(): return dict(images=np.zeros((2, 9, 20, 5)), labels=['a', 'b'])"
    assert called(code).pixels.shape == (2, 8, 8, 5)
    assert called(f"def load(): return {ARRAYS}", more="channels = 3").pixels.shape[3] == 3


def test_images_are_taken_as_they_are(called: Called) -> None:
    images = called(
        "from analysis.images import Images\n"
        "def load(width):\n"
        "    pixels = np.zeros((3, 5, width, 4), np.uint8)\n"
        "    counts = {'train': 2, 'test': 1}\n"
        "    return Images.of_splits(counts, pixels, np.array([0, 1, 1]), classes=('a', 'b'))",
        more="arguments = { width = 7 }",
    )
    assert images.pixels.shape == (3, 5, 7, 4) and images.split.tolist() == ["all"] * 3


def test_pairs_and_data_sets_of_torch(called: Called) -> None:
    code = """
import torch
from PIL import Image
class Set(torch.utils.data.Dataset):
    classes = ["no", "yes"]
    def __len__(self): return 3
    def __getitem__(self, n):
        return (torch.full((1, 8, 8), n / 255), torch.tensor(n % 2))
def pairs():
    for n in range(3):
        yield Image.new("L", (30, 20), n), ["no", "yes"][n % 2], "part"
"""
    for function in ("Set", "pairs"):
        images = called(code, function=f"mine:{function}")
        assert images.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
        assert images.classes == ("no", "yes") and images.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("def load():\n    return 1 / 0", "line 3: return 1 / 0"),
        ("def inner():\n    assert False, 'no photos'\ndef load():\n    inner()", "line 3: assert"),
        ("def load():\n    import sys\n    sys.exit('bye')", "line 4: sys.exit"),
        ("def load():\n    np.load('/nowhere.npy')", "line 3: np.load"),
        ("def load():\n    yield np.zeros((8, 8)), 0\n    raise KeyError('x')", "line 4: raise"),
        ("raise OSError('at once')", "line 2: raise OSError"),
        ("import nothing_of_this_name", "line 2: import nothing"),
        ("def load(:", "line 2"),
        ("from analysis.project.errors import UserErrors", "line 2: from"),
    ],
)
def test_an_error_in_it_is_named_with_its_line(code: str, place: str, called: Called) -> None:
    first, second = failing(called, code).splitlines()
    assert "Error: " in first or "SystemExit: bye" in first
    assert f"mine.py, {place}" in second


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("", {"function": "mine"}, "'mine' must be written as 'package.module:function'"),
        ("", {"function": "mine.py:load"}, "mine.py cannot be imported: ModuleNotFoundError"),
        ("", {"function": "nothing:load"}, "nothing cannot be imported: ModuleNotFoundError"),
        ("def lead(): ...", {}, "mine has no 'load'; the nearest is 'lead'"),
        ("load = 3", {}, "'mine:load' is int, not a function"),
        ("def load(): ...", {}, "returned NoneType; it must return Images, arrays"),
        ("def load(): return 'a.png'", {}, "returned str"),
        ("def load(): return [1, 2]", {}, "returned int as image 0; it must be a pair"),
        ("def load(): return [('a.png', 1)]", {}, "image 0: an image is str"),
        ("def load(): return [(np.zeros((8, 8)), 0.5)]", {}, "image 0: .*float"),
        ("def load(): return []", {}, "'images' has no images"),
        ("def load(): return {'images': []}", {}, "'labels' is missing"),
        ("def load(a): ...", {}, "missing 1 required positional argument"),
        ("def load(): ...", {"more": "arguments = { a = 1 }"}, "unexpected keyword argument 'a'"),
        ("z = np.zeros((8, 8))\ndef load(): return [(z, 0, 'a'), (z, 1)]", {}, "for every image"),
    ],
)
def test_what_is_no_source_is_refused(
    code: str, options: dict, message: str, called: Called
) -> None:
    assert re.search(message, failing(called, code, **options))


def test_a_module_with_the_name_of_another_package(called: Called) -> None:
    message = failing(called, "", function="json:load")
    assert "the module 'json' in " in message and message.endswith("Give it another name.")
    assert json.loads("1") == 1
