"""The benchmark: training, probes, claims and rendering, each beside a limit or a peer."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from analysis import provenance, results, trained
from analysis.benchmarks import commands, epochs, probes
from analysis.benchmarks.sizes import FULL, QUICK, Sizes
from analysis.timings import Comparison, Peak, Timings, pooled

Found = tuple[list[Comparison], list[Peak]]


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
    found: dict[str, list[Found]] = {part: [] for part in parts}
    for number in range(sizes.processes):
        # A process is faster or slower than another as a whole, by how its memory happens to lie,
        # and in one alone that would not be seen. All parts share one, as the steps of a study do:
        # what comes first in a new process waits for its memory.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            for part in parts:
                say(f"{part}, {number + 1} of {sizes.processes} …")
                found[part].append(process.submit(_once, part, sizes, study, device).result())
    comparisons = [
        pooled(same)
        for part in parts
        for same in zip(*(each for each, _ in found[part]), strict=True)
    ]
    peaks = [
        max(same, key=lambda peak: peak.mebibytes)
        for part in parts
        for same in zip(*(each for _, each in found[part]), strict=True)
    ]
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


def _once(part: str, sizes: Sizes, study: str, device: torch.device) -> Found:
    """Measure one part in this process."""
    if part == "training":
        return epochs.training_speed(sizes, device=device)
    if part == "fgsm":
        return probes.fgsm(probes.setting(sizes, device=device)), []
    if part == "grad-cam":
        return probes.grad_cam(probes.setting(sizes, device=device)), []
    if part == "claims":
        return [commands.claims(study, rounds=sizes.commands)], []
    return commands.rendering(study, rounds=sizes.commands), []
