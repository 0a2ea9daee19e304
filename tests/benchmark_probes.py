"""That the probes keep ahead of their peers, timed in turns on the real network and batch.

Outside the test suite, because of its name::

    python -m pytest tests/benchmark_probes.py -s

``python -m analysis benchmark`` measures the same and more, and asserts nothing.
"""

from __future__ import annotations

import pytest
import torch

from analysis.benchmarks import probes
from analysis.benchmarks.probes import Setting
from analysis.benchmarks.sizes import FULL
from analysis.timings import Comparison


@pytest.fixture(scope="module")
def setting() -> Setting:
    return probes.setting(FULL, device=torch.device("cpu"))


def told(comparison: Comparison) -> float:
    """Print a comparison and return its ratio."""
    ours, theirs, ratio = comparison.ours, comparison.theirs, comparison.ratio
    print(f"\n{comparison.name}, beside {comparison.against} ({comparison.kind})")
    print(f"  {ours.median:.2f} s, beside {theirs.median:.2f} s: {ratio.median:.2f} of it")
    print(f"  {comparison.rounds} rounds: {ratio.low:.2f} to {ratio.high:.2f}")
    return ratio.median


def test_a_sweep_costs_little_more_than_it_must_and_far_less_than_a_gradient_for_each_epsilon(
    setting: Setting,
) -> None:
    beside_limit, beside_peer = probes.fgsm(setting)
    assert told(beside_limit) <= 1.15
    assert told(beside_peer) <= 0.4


def test_a_batch_costs_far_less_than_one_image_at_a_time(setting: Setting) -> None:
    for comparison in probes.grad_cam(setting):
        assert told(comparison) <= 0.25
