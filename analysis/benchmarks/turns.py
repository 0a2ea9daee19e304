"""Timing several things in turns, so that whatever else the machine does slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from analysis.timings import Comparison, Spread


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 1,
    wait: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Return the seconds of each call in each round, (rounds,), those that warm up aside.

    Every other round goes backwards, so that nobody always comes after the same one. ``wait`` waits
    for the device.
    """
    times = {name: np.empty(rounds) for name in calls}
    for number in range(-warm_up, rounds):
        order = list(calls)[:: 1 if number % 2 == 0 else -1]
        for name in order:
            wait()
            begin = clock()
            calls[name]()
            wait()
            if number >= 0:
                times[name][number] = clock() - begin
    return times


def compared(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    against: str,
    kind: Literal["limit", "peer"],
    images: int | None = None,
) -> Comparison:
    """Return a comparison of seconds (rounds,), or of images per second where they are counted."""
    if images is not None:
        ours, theirs = images / ours, images / theirs
    return Comparison(
        name=name,
        against=against,
        kind=kind,
        unit="s" if images is None else "images/s",
        ours=Spread.of(ours),
        theirs=Spread.of(theirs),
        ratio=Spread.of(ours / theirs),
        rounds=len(ours),
    )


def waiting(device: torch.device) -> Callable[[], object]:
    """Return what waits until a device has done all that it was told."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def peak_memory(call: Callable[[], object], *, device: torch.device) -> float | None:
    """Return the largest memory in MiB during a call, or nothing where no system tells.

    On a CUDA device it is what tensors take there, else the resident memory of the whole process.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        # Linux's own record of the highest use, begun anew.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    call()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
