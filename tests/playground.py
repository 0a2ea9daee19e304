"""Folders of its own for a study that takes seconds, and ways to run it there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis import paths
from analysis.__main__ import main
from analysis.results import MANIFEST

TINY = """
title = "A study that takes seconds"
seed = 3
data = { name = "streetdigits", train = 160, test = 60 }
split = { kind = "fixed", repeats = 2 }
model = { name = "test_resnet", size = 64 }
saliency = { layers = ["layer2.0", "layer1.0"] }
attack = { epsilons = [0, 0.01, 0.05] }
controls = { photos = 10, steps = 2, epsilons = [0.02], native_epsilons = [0.02, 0.06] }
bootstrap = { resamples = 100 }

[training]
learning_rate = 2e-3
schedule = "one-cycle"
warmup = 0.2
batch_size = 32
averaging = 0.9
stages = [{ size = 32, epochs = 1 }, { size = 64, epochs = 2 }]
augmentation = { rotation = 8, shift = 0.08, inversion = 0.5 }
"""


@dataclass(frozen=True)
class Playground:
    """Where the tiny study is run: its file, its results and its cache, all in one folder."""

    folder: Path

    @property
    def study(self) -> Path:
        return self.folder / "tiny.toml"

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables that move the project's folders here."""
        return {
            "FAILURE_MODES_RESULTS": str(self.folder / "results"),
            "FAILURE_MODES_CACHE": str(self.folder / "cache"),
            "FAILURE_MODES_DATA": str(self.folder / "data"),
        }

    def edit(self, old: str, new: str) -> None:
        """Change the study file."""
        text = self.study.read_text(encoding="utf-8")
        assert old in text
        self.study.write_text(text.replace(old, new), encoding="utf-8")

    def edit_manifest(self, change: Callable[[dict], object]) -> None:
        """Change the content of the manifest in place."""
        path = self.results / MANIFEST
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    def table(self, name: str, run: str = "r0f0") -> Path:
        """Return the one file of a table."""
        (path,) = self.results.glob(f"{name}-{run}-*.parquet")
        return path

    def weights(self) -> list[Path]:
        """Return the weights of all trained runs, in the order of the runs."""
        return sorted((self.folder / "cache").rglob("weights.safetensors"))

    def start(self, *arguments: str | Path) -> subprocess.Popen:
        """Start ``python -m analysis`` on one core, so that sums are added in one order."""
        return subprocess.Popen(
            [sys.executable, "-m", "analysis", *map(str, arguments)],
            cwd=paths.ROOT,
            env={**os.environ, **self.variables, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def new_playground(folder: Path) -> Playground:
    """Return a playground in which nothing has been done yet."""
    place = Playground(folder)
    place.study.write_text(TINY, encoding="utf-8")
    return place


def run_main(*arguments: str | Path) -> int:
    """Run the command line in this process, as ``Playground.start`` does in another."""
    # Here, as most of what works in a playground does without.
    import torch

    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(1)
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    finally:
        torch.set_num_threads(threads)
        signal.signal(signal.SIGTERM, handler)
