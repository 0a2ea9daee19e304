"""The commands and the code of the guide, run as they stand in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from analysis.project import paths

GUIDE = (paths.ROOT / "guide.qmd").read_text(encoding="utf-8")
SECTION = re.compile(r"^# .*? \{#(\w+)\}$(.*?)(?=^# |\Z)", re.M | re.S)
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
CLASSES = ("dress", "hat")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without results, with what the guide expects to be there."""
    root = tmp_path_factory.mktemp("guide") / "project"
    ignored = shutil.ignore_patterns("build", ".*", "__pycache__", "tests", "*.egg-info")
    shutil.copytree(paths.ROOT, root, ignore=ignored)
    draw = np.random.default_rng(0)
    for name in CLASSES:
        (root / "photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = draw.integers(0, 255, (40 + number, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / name / f"{number}.png")
    for model, file in (("resnet18", "weights"), ("vit_tiny_patch16_224", "vit")):
        network = timm.create_model(model, num_classes=len(CLASSES))
        save_file(network.state_dict(), root / f"{file}.safetensors")
    raw = root / "datasets" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 128), ("t10k", 20)):
        pixels = draw.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        header = struct.pack(">4i", 2051, count, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        header = struct.pack(">2i", 2049, count)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return root


@pytest.fixture(scope="module")
def environment(project: Path) -> dict[str, str]:
    """Where the commands of the guide find Python, the project and its folders."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FAILURE_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return own | {"PATH": path, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}


def follow(sections: tuple[str, ...], project: Path, environment: dict[str, str]) -> None:
    """Run the commands and the code of some sections, or of all."""
    for section, text in SECTION.findall(GUIDE):
        if sections and section not in sections:
            continue
        for language, block in BLOCK.findall(text):
            if section == "function" and language == "python":
                (project / "mynet.py").write_text(block, encoding="utf-8")
                continue
            command = ["sh", "-ec", block] if language == "sh" else [sys.executable, "-c", block]
            done = subprocess.run(
                command, cwd=project, env=environment, capture_output=True, text=True
            )
            # The gate may answer either way on noise.
            allowed = (0, 1) if "--gate" in block else (0,)
            assert done.returncode in allowed, f"{section}: {done.stderr[-2000:]}"


def check_words(project: Path, *studies: str) -> None:
    """Check that pages of a study of one's own know nothing of the project's own studies."""
    for name in studies:
        pages = project / "build" / f"site-{name}"
        html = (pages / "index.html").read_text(encoding="utf-8")
        words = re.sub(r"(?s)<(style|script).*?</\1>|<[^>]+>", " ", html)
        assert not re.search(r"\b(digits?|SVHN|notebook|street)\b", words, re.I), name


def test_commands_of_the_guide_work(project: Path, environment: dict[str, str]) -> None:
    """Of predictions alone, which take seconds."""
    # A preview is enough here.
    preview = environment | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin"}
    follow(("predictions",), project, preview)
    check_words(project, "handwriting")


@pytest.mark.slow
def test_every_command_of_the_guide_works(project: Path, environment: dict[str, str]) -> None:
    """From beginning to end, with a real Quarto if there is one."""
    for path in [*project.glob("analysis/studies/*.toml"), *project.glob("_quarto-*.yml")]:
        if not (paths.ROOT / path.relative_to(project)).exists():
            path.unlink()
    follow((), project, environment)
    check_words(project, "photos-resnet", "photos-vit", "handwriting")


# One process runs all of them, as each would load PyTorch.
COMMANDS = """
import contextlib, io, json, sys
from analysis.__main__ import main
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            status = main(["new", *arguments])
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, errors.getvalue()]))
"""


def test_a_study_that_cannot_be_made_leaves_no_file(
    project: Path, environment: dict[str, str]
) -> None:
    wrong = (
        (["demo", "--images", "photos", "--model", "resnet18"], "exists"),
        (["a/b", "--images", "photos", "--model", "resnet18"], "no name for a study"),
        (["one", "--images", "nowhere", "--model", "resnet18"], "there is no 'nowhere'"),
        (["one", "--images", "photos", "--model", "resnet81"], "the nearest is"),
        (["one", "--images", "photos"], "--model"),
        (["one", "--predictions", "nowhere.csv"], "nowhere.csv"),
    )
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps([arguments for arguments, _ in wrong]),
        **{"cwd": project, "env": environment, "capture_output": True, "text": True},
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for (arguments, said), (status, errors) in zip(wrong, answers, strict=True):
        assert status and said in errors, (arguments, errors)
        assert len(errors.strip().splitlines()) <= 3
    assert not list(project.glob("*-one.yml"))
    assert not (project / "analysis" / "studies" / "one.toml").exists()
