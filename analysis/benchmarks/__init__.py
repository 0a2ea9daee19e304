"""The benchmark: training, probes, claims and rendering, each beside a limit or a peer."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence

import torch

from analysis import provenance, results, trained
from analysis.benchmarks import commands, epochs, probes
from analysis.benchmarks.sizes import FULL, QUICK
from analysis.timings import Comparison, Peak, Timings


def measure(
    parts: Sequence[str],
    *,
    study: str,
    device: torch.device,
    quick: bool = False,
    say: Callable[[str], None] = print,
) -> Timings:
    """Run parts of the benchmark; ``study`` is the one whose claims are judged and pages rendered.

    Raises ``UserError`` where that study has no results, or its pages cannot be rendered.
    """
    if {"claims", "rendering"} & set(parts):
        # Before anything takes long.
        results.load(study)
    sizes = QUICK if quick else FULL
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    comparisons: list[Comparison] = []
    peaks: list[Peak] = []
    for part in parts:
        say(f"{part} …")
        if part == "training":
            found, used = epochs.training_speed(sizes, device=device)
            comparisons += found
            peaks += used
        elif part == "fgsm":
            comparisons += probes.fgsm(probes.setting(sizes, device=device))
        elif part == "grad-cam":
            comparisons += probes.grad_cam(probes.setting(sizes, device=device))
        elif part == "claims":
            comparisons.append(commands.claims(study, rounds=sizes.commands))
        else:
            comparisons += commands.rendering(study, rounds=sizes.commands)
    return Timings(
        quick=quick,
        device=trained.describe(device),
        system=platform.platform(),
        cores=os.cpu_count() or 1,
        load=load,
        packages=provenance.packages(),
        revision=provenance.revision(),
        finished=provenance.now(),
        comparisons=tuple(comparisons),
        peaks=tuple(peaks),
    )
