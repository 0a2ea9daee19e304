"""Evidence on some images alone, or with other resamples: fewer, or of networks as well."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from analysis.inference.bootstrap import Crossed
from analysis.inference.evidence import Attacked, Evidence, NotTested


def of_images(evidence: Evidence, images: np.ndarray) -> Evidence:
    """Return the evidence on some images alone, bool (N,) or positions, with the same resamples."""

    def cut(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value[images] if value.ndim == 1 else value[:, images]
        if isinstance(value, dict):
            return {key: cut(each) for key, each in value.items()}
        if isinstance(value, Attacked):
            return Attacked(**{one.name: cut(getattr(value, one.name)) for one in fields(value)})
        return value

    whole = ("classes", "resamples", "published")
    names = [one.name for one in fields(evidence) if one.name not in whole]
    parts = {name: cut(getattr(evidence, name)) for name in names}
    return replace(evidence, **parts, resamples=evidence.resamples.of(images))


def fewer_resamples(evidence: Evidence, count: int) -> Evidence:
    """Return the evidence with its first resamples alone."""
    found = replace(evidence, resamples=evidence.resamples.first(count))
    # Temperatures depend on no resample, and are not fitted again.
    found.__dict__.update({k: v for k, v in evidence.__dict__.items() if k == "temperatures"})
    return found


def networks_resampled(evidence: Evidence) -> Evidence:
    """Return the predictions of all repeats as one body of evidence, with networks resampled too.

    Its N · R rows are those of the first repeat, then those of the second, and so on. Raises
    ``NotTested`` with fewer than two networks.
    """
    if evidence.network is None or len(np.unique(evidence.network)) < 2:
        raise NotTested("there is one network")
    repeats = evidence.repeats

    def row(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values.reshape(1, -1, *values.shape[2:])

    def tile(values: np.ndarray) -> np.ndarray:
        return np.tile(values, repeats)

    return replace(
        evidence,
        label=tile(evidence.label),
        predicted=evidence.predicted.reshape(1, -1),
        group=tile(evidence.group),
        resamples=Crossed.of_repeats(evidence.resamples, evidence.network),
        confidence=row(evidence.confidence),
        logits=row(evidence.logits),
        fold=row(evidence.fold),
        network=row(evidence.network),
        repeat=np.repeat(np.arange(repeats), len(evidence.label)),
        index=None if evidence.index is None else tile(evidence.index),
        attacked={
            key: Attacked(each.predicted.reshape(1, -1), row(each.confidence), row(each.logits))
            for key, each in evidence.attacked.items()
        },
        maps=_maps(evidence.maps, lambda values: values.reshape(1, -1)),
        random_maps={},
        attributes={name: tile(values) for name, values in evidence.attributes.items()},
        numbers={},
        readings={},
        answers={},
    )


def _maps(maps: dict[str, dict[str, np.ndarray]], change: Any) -> dict[str, dict[str, np.ndarray]]:
    return {
        layer: {name: change(values) for name, values in each.items()}
        for layer, each in maps.items()
    }
