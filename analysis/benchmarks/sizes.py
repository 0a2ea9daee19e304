"""How large the benchmark's networks and batches are, and how often each is timed."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.study import Model


@dataclass(frozen=True)
class Sizes:
    """A network at an input size, its batch, steps of training a round, rounds and processes."""

    model: Model
    layers: tuple[str, str]
    epsilons: tuple[float, ...]
    batch: int
    steps: int
    rounds: int
    commands: int
    processes: int


# The committed study's network and batch. Steps are for a CPU; a GPU does ten times as many.
FULL = Sizes(
    model=Model(name="resnet18", size=128),
    layers=("layer4.1", "layer3.1"),
    epsilons=(0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05),
    batch=64,
    steps=4,
    # Rounds in each process, and processes: what all of them span is where another benchmark's
    # median is to be expected. Processes differ more than the rounds within one, and a machine can
    # be slower for minutes, so that many short processes tell more than a few long ones.
    rounds=2,
    commands=1,
    processes=6,
)
# To try everything out in seconds.
QUICK = Sizes(
    model=Model(name="test_resnet", size=64),
    layers=("layer2.0", "layer1.0"),
    epsilons=(0.01, 0.05),
    batch=8,
    steps=2,
    rounds=2,
    commands=1,
    processes=1,
)
