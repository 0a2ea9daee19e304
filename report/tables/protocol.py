"""The protocol: how it differs from a published one, and what was computed with what."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from analysis.project.errors import UserError
from analysis.results.published import Published
from analysis.study import Training
from report.numbers.formats import UNDEFINED, listed, range_of
from report.numbers.results import Results
from report.page import Markdown, table
from report.safe import safe

# What decides the numbers of predictions alone; others may be installed.
_ALONE = ("python", "numpy")
# The differences that the paper shows; all are on the page of tests.
_MOST = ("evaluation", "training images", "epochs", "Grad-CAM", "FGSM")
_Row = tuple[str, Any, Any]


def protocol(results: Results) -> Markdown:
    """Return the rows of ``deviations`` that matter most."""
    return _compared(results, only=_MOST)


def deviations(results: Results) -> Markdown:
    """Return the protocol of the published results and of this study."""
    return _compared(results)


def _compared(results: Results, *, only: Collection[str] = ()) -> Markdown:
    published = results.published
    if published is None:
        raise UserError(f"{results.study.name} names no published results to differ from.")
    rows = [*_network(results, published), *_training(results, published.protocol)]
    rows += _probes(results, published.protocol)
    name = safe(published.name)
    return table(
        [
            {"": what, name: _written(there), "this study": _written(here)}
            for what, there, here in rows
            if not only or what in only
        ]
    )


def _network(results: Results, published: Published) -> Iterator[_Row]:
    """Yield which network is evaluated on what."""
    study, theirs, taken = results.study, published.protocol, results.record.input
    split = f"the {study.images.evaluate} split"
    if study.images.folds > 1:
        split = f"{study.repeats} × {study.images.folds}-fold cross-validation over {split}"
    elif study.trained:
        split += "; trained on the training split"
    model, network = "predictions computed elsewhere", study.network
    if network:
        start = f"trained from {network.start}" if network.start else "from scratch"
        model = f"timm {network.model}, {start if study.trained else 'trained elsewhere'}"
    yield "model", theirs.get("model"), model
    yield "evaluation", f"{published.matrix.sum():,} evaluated images", split
    if study.trained:
        trained_on = range_of(results.table("runs")["training_images"])
        yield "training images", theirs.get("training_images"), trained_on
    if taken:
        ends = zip(taken.mean, taken.std, strict=True)
        scaled = {f"[{-mean / std:.3g}, {(1 - mean) / std:.3g}]" for mean, std in ends}
        size = f"{taken.size}×{taken.size}"
        resized = f"bilinear resize to {size} inside the model, scaled to {listed(sorted(scaled))}"
        yield "input", theirs.get("input"), resized.replace("-", "−")


def _training(results: Results, theirs: dict[str, Any]) -> Iterator[_Row]:
    """Yield how the networks are trained, nothing if they were not trained here."""
    study = results.study
    training, runs = study.training, results.table("runs")
    if training is None:
        return
    optimizer = f"AdamW, lr {training.learning_rate:g}, weight decay {training.weight_decay:g}"
    stages = [f"{stage.epochs} at {stage.size}×{stage.size}" for stage in training.stages]
    widths = training.augmentation.model_dump() if training.augmentation else {}
    augmented = ", ".join(name for name, width in widths.items() if width > 0)
    decay = f"exponential moving average, decay {training.averaging or 0:g} a step"
    seeds = f"one for each of {len(study.runs)} runs"
    if len(runs) < len(study.runs):
        seeds += f" planned, of which {len(runs)} are shown"
    yield "optimizer", theirs.get("optimizer"), optimizer
    yield "schedule", theirs.get("schedule") or "constant", _schedule(training)
    yield "batch size", theirs.get("batch_size"), training.batch_size
    yield "epochs", theirs.get("epochs"), ", then ".join(stages)
    yield "augmentation", theirs.get("augmentation") or "none", augmented or "none"
    yield "averaged weights", "none", decay if training.averaging else "none"
    yield "precision of training", "float32", training.precision
    yield "seeds", theirs.get("seed", "not set"), seeds


def _schedule(training: Training) -> str:
    if training.schedule != "one-cycle":
        return training.schedule
    rising = f"rising for {100 * training.warmup:.0f}% of the steps"
    return f"one cycle, {rising}, then a cosine to zero"


def _probes(results: Results, theirs: dict[str, Any]) -> Iterator[_Row]:
    """Yield what is mapped and attacked, if that was measured."""
    if results.has("mean_maps"):
        maps = [theirs.get("gradcam_layer"), theirs.get("gradcam_images")]
        shown = f"{maps[0]}; images: {maps[1]}" if all(maps) else None
        ours = f"output of {', '.join(results.record.layers)}; every evaluated image"
        yield "Grad-CAM", shown, ours
    if results.has("accuracies"):
        ours = (
            "cross-entropy sign gradient on the resized input, ε in [0, 1] pixel units, clipped to "
            "[0, 1]; a random sign pattern of the same size as a control"
        )
        yield "FGSM", theirs.get("fgsm"), ours


def _written(value: Any) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:,}" if isinstance(value, int) else str(value)


def runs(results: Results) -> Markdown:
    """Return how each network was trained, or when what was computed elsewhere was read."""
    rows = results.table("runs")
    columns: dict[str, Any] = {"run": rows["run"]}
    if results.study.trained:
        columns |= {
            "seed": rows["seed"],
            "trained on": [f"{count:,}" for count in rows["training_images"]],
            "minutes": [f"{seconds / 60:.1f}" for seconds in rows["seconds"]],
            "finished": [moment[:10] for moment in rows["trained"]],
        }
    else:
        columns["read" if results.alone else "finished"] = [day[:10] for day in rows["finished"]]
    if not results.alone:
        columns["device"] = rows["device"]
    return table(columns | {"revision": [_short(revision) for revision in rows["revision"]]})


def _short(revision: str) -> str:
    commit, _, modified = revision.partition("-")
    return f"{commit[:9]}{' with changes' if modified else ''}"


def versions(results: Results) -> Markdown:
    """Return the versions of the packages that decide the numbers."""
    found: dict[str, dict[str, None]] = {}
    for package in ", ".join(results.table("runs")["packages"]).split(", "):
        name, _, version = package.partition(" ")
        if name in _ALONE or not results.alone:
            found.setdefault(name, {})[version] = None
    rows = [{"package": name, "version": listed(list(each))} for name, each in found.items()]
    return table(rows)
