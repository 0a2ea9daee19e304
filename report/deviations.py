"""Where a study departs from the original notebook, told from the two protocols."""

from __future__ import annotations

import pandas as pd

from analysis import published
from analysis.study import Augmentation, Model, Split, Study, Training

# The original's model, which timm builds with another start of its last BatchNorm scales.
_ORIGINAL_MODEL = "resnet18"


def table(study: Study, *, runs: int, trained_on: str) -> pd.DataFrame:
    """Return one row for each part of the protocol: what, the original, this study.

    ``runs`` are those that are shown, ``trained_on`` how many images each was trained on.
    """
    original = published.original()["protocol"]
    test = sum(map(sum, published.original()["confusion_matrix_rows_true_columns_predicted"]))
    rows = [
        ("model", original["model"], _model(study.model)),
        ("data and split", f"official split, {test:,} test images", _split(study)),
        ("training images", f"{original['training_images']:,}", trained_on),
        ("input", original["input"], _input(study.model)),
        (
            "optimizer",
            original["optimizer"],
            f"AdamW, lr {study.training.learning_rate:g}, "
            f"weight decay {study.training.weight_decay:g}",
        ),
        ("schedule", original["schedule"] or "constant", _schedule(study.training)),
        ("batch size", str(original["batch_size"]), str(study.training.batch_size)),
        ("epochs", str(original["epochs"]), _epochs(study.training)),
        ("augmentation", original["augmentation"] or "none", _augmentation(study.training)),
        ("averaged weights", "none", _averaging(study.training)),
        ("precision of training", "float32", study.training.precision),
        ("seeds", original["seed"], _seeds(len(study.runs), runs)),
        (
            "Grad-CAM",
            f"{original['gradcam_layer']}; images: {original['gradcam_images']}",
            f"output of {', '.join(study.saliency.layers)}, after BatchNorm and the residual; "
            "every evaluated image",
        ),
        (
            "FGSM",
            original["fgsm"],
            "cross-entropy sign gradient on the resized input, ε in [0, 1] pixel units, clipped to "
            "[0, 1]; a random sign pattern of the same size beside it",
        ),
    ]
    return pd.DataFrame(rows, columns=["", "the original", "this study"])


def _seeds(planned: int, shown: int) -> str:
    if shown == planned:
        return f"one for each of {planned} runs"
    return f"one for each of {planned} runs planned, {shown} of which are shown"


def _model(model: Model) -> str:
    text = f"timm {model.name}, from scratch"
    if model.name == _ORIGINAL_MODEL:
        text += "; the last BatchNorm scale of each block starts at zero, torchvision's at one"
    return text


def _split(study: Study) -> str:
    if study.split.kind == "fixed":
        if study.data.train is None:
            return "official split"
        return f"{study.data.train:,} drawn training images and {study.data.test:,} test images"
    return f"{_folds(study.split)} over the first 10,000 official test images, grouped by photo"


def _folds(split: Split) -> str:
    return f"{split.repeats} × {split.folds}-fold cross-validation"


def _input(model: Model) -> str:
    low, high = -model.mean / model.std, (1 - model.mean) / model.std
    return (
        f"bilinear resize to {model.size}×{model.size} inside the model, scaled to "
        f"[{low:g}, {high:g}]".replace("-", "−")
    )


def _schedule(training: Training) -> str:
    if training.schedule == "constant":
        return "constant"
    return f"one cycle, rising for {100 * training.warmup:.0f}% of the steps, then a cosine to zero"


def _epochs(training: Training) -> str:
    stages = [f"{stage.epochs} at {stage.size}×{stage.size}" for stage in training.stages]
    return ", then ".join(stages)


def _augmentation(training: Training) -> str:
    if training.augmentation is None:
        return "none"
    names = [name for name in Augmentation.model_fields if getattr(training.augmentation, name) > 0]
    return ", ".join(names)


def _averaging(training: Training) -> str:
    if training.averaging is None:
        return "none"
    return f"exponential moving average, decay {training.averaging:g} a step"
