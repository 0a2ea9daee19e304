"""The protocol: how it differs from a published one, and what was computed with what."""

from __future__ import annotations

from typing import Any

from analysis.project.errors import UserError
from report.numbers.formats import UNDEFINED, listed, range_of
from report.numbers.results import Results
from report.page import Markdown, table
from report.safe import safe


def deviations(results: Results) -> Markdown:
    """Return the protocol of the published results and of this study."""
    published = results.published
    if published is None:
        raise UserError(f"{results.study.name} names no published results to differ from.")
    study, theirs = results.study, published.protocol
    network, training, runs = study.network, study.training, results.table("runs")
    low, high = -network.mean / network.std, (1 - network.mean) / network.std
    stages = [f"{stage.epochs} at {stage.size}×{stage.size}" for stage in training.stages]
    size = f"{network.size}×{network.size}"
    resized = f"bilinear resize to {size} inside the model, scaled to [{low:g}, {high:g}]"
    split = "the test split; trained on the training split"
    if study.images.folds > 1:
        split = f"{study.repeats} × {study.images.folds}-fold cross-validation over the test split"
    schedule = "constant"
    if training.schedule == "one-cycle":
        rising = f"rising for {100 * training.warmup:.0f}% of the steps"
        schedule = f"one cycle, {rising}, then a cosine to zero"
    widths = training.augmentation.model_dump() if training.augmentation else {}
    augmented = ", ".join(name for name, width in widths.items() if width > 0)
    decay = f"exponential moving average, decay {training.averaging or 0:g} a step"
    seeds = f"one for each of {len(study.runs)} runs"
    if len(runs) < len(study.runs):
        seeds += f" planned, of which {len(runs)} are shown"
    optimizer = f"AdamW, lr {training.learning_rate:g}, weight decay {training.weight_decay:g}"
    rows = [
        ("model", theirs.get("model"), f"timm {network.model}, from scratch"),
        ("evaluation", f"{published.matrix.sum():,} evaluated images", split),
        ("training images", theirs.get("training_images"), range_of(runs["training_images"])),
        ("input", theirs.get("input"), resized.replace("-", "−")),
        ("optimizer", theirs.get("optimizer"), optimizer),
        ("schedule", theirs.get("schedule") or "constant", schedule),
        ("batch size", theirs.get("batch_size"), training.batch_size),
        ("epochs", theirs.get("epochs"), ", then ".join(stages)),
        ("augmentation", theirs.get("augmentation") or "none", augmented or "none"),
        ("averaged weights", "none", decay if training.averaging else "none"),
        ("precision of training", "float32", training.precision),
        ("seeds", theirs.get("seed", "not set"), seeds),
    ]
    if results.has("mean_maps"):
        maps = [theirs.get("gradcam_layer"), theirs.get("gradcam_images")]
        shown = f"{maps[0]}; images: {maps[1]}" if all(maps) else None
        ours = f"output of {', '.join(study.maps.layers)}; every evaluated image"
        rows.append(("Grad-CAM", shown, ours))
    if results.has("accuracies"):
        ours = (
            "cross-entropy sign gradient on the resized input, ε in [0, 1] pixel units, clipped to "
            "[0, 1]; a random sign pattern of the same size as a control"
        )
        rows.append(("FGSM", theirs.get("fgsm"), ours))
    name = safe(published.name)
    return table(
        [
            {"": what, name: _written(there), "this study": _written(here)}
            for what, there, here in rows
        ]
    )


def _written(value: Any) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:,}" if isinstance(value, int) else str(value)


def runs(results: Results) -> Markdown:
    """Return how each network was trained."""
    rows = results.table("runs")
    columns = {
        "run": rows["run"],
        "seed": rows["seed"],
        "trained on": [f"{count:,}" for count in rows["training_images"]],
        "minutes": [f"{seconds / 60:.1f}" for seconds in rows["seconds"]],
        "finished": [moment[:10] for moment in rows["trained"]],
        "device": rows["device"],
        "revision": [_short(revision) for revision in rows["revision"]],
    }
    return table(columns)


def _short(revision: str) -> str:
    commit, _, modified = revision.partition("-")
    return f"{commit[:9]}{' with changes' if modified else ''}"


def versions(results: Results) -> Markdown:
    """Return the versions of the packages that decide the numbers."""
    found: dict[str, dict[str, None]] = {}
    for package in ", ".join(results.table("runs")["packages"]).split(", "):
        name, _, version = package.partition(" ")
        found.setdefault(name, {})[version] = None
    rows = [{"package": name, "version": listed(list(each))} for name, each in found.items()]
    return table(rows)
