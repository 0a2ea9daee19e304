"""Folders of its own for a study that takes seconds, and ways to run it there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from analysis.__main__ import main
from analysis.project import paths

TINY = """
title = "A study that takes seconds"
seed = 3
repeats = 2
images = { source = "streetdigits", draw = { train = 160, test = 60 }, show = true }
network = { model = "test_resnet", size = 64 }
maps = { layers = ["layer2.0", "layer1.0"] }
attacks = { epsilons = [0, 0.01, 0.05], native_epsilons = [0.02, 0.06], sample = 10, sample_epsilons = [0.02], steps = 2, logits_epsilon = 0.01 }
bootstrap = { resamples = 100 }

[training]
learning_rate = 2e-3
schedule = "one-cycle"
warmup = 0.2
batch_size = 32
averaging = 0.9
stages = [{ size = 32, epochs = 1 }, { size = 64, epochs = 2 }]
augmentation = { rotation = 8, shift = 0.08, inversion = 0.5 }
"""  # noqa: E501


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

    def weights(self) -> list[Path]:
        """Return the weights of all trained runs, in the order of the runs."""
        return sorted((self.folder / "cache").rglob("weights.safetensors"))

    def tables(self) -> dict[str, bytes]:
        """Return every table of the results by its path, without the times of training."""
        return {
            str(path.relative_to(self.results)): path.read_bytes()
            for path in sorted(self.results.rglob("*.parquet"))
            if not path.name.startswith(("history", "runs"))
        }

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
    finally:
        torch.set_num_threads(threads)
        signal.signal(signal.SIGTERM, handler)
