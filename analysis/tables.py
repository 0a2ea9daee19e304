"""The declared schema of every table in the results store.

Each names its columns, their types, ranges, and which may be missing; ``unique`` is the key that
tells rows apart. Runs are stored one file each, without the ``run`` column that reading adds.
"""

from __future__ import annotations

import pandera.pandas as pa

from analysis.study import CLASSES

_SHARE = pa.Check.in_range(0, 1)
_DIGIT = pa.Check.in_range(0, CLASSES - 1)
_SPLITS = pa.Check.isin(["train", "extra", "test"])


def _table(columns: dict[str, pa.Column], *, unique: list[str], about: str) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(
        columns, unique=unique, strict=True, ordered=True, coerce=False, description=about
    )


def _text(about: str, *checks: pa.Check) -> pa.Column:
    return pa.Column(str, list(checks), description=about)


def _in(*names: str) -> pa.Check:
    return pa.Check.isin(names)


def _digit(about: str) -> pa.Column:
    return pa.Column("uint8", _DIGIT, description=about)


def _number(
    about: str, *checks: pa.Check, kind: str = "float32", missing: bool = False
) -> pa.Column:
    return pa.Column(kind, list(checks), nullable=missing, description=about)


def _share(about: str, *, missing: bool = False) -> pa.Column:
    return _number(about, _SHARE, missing=missing)


_INDEX = _number("position in the official file of the split, from 0", pa.Check.ge(0), kind="int32")
_EPSILON = _number("size of the perturbation in [0, 1] pixel units", _SHARE, kind="float64")
_LAYER = _text("module whose output Grad-CAM maps")
_LOGITS = {f"logit_{digit}": _number(f"logit of digit {digit}") for digit in range(CLASSES)}
_MEASURES = {
    "spread": _number(
        "entropy of the map over its largest value: 0 is one cell, 1 is flat",
        pa.Check.in_range(0, 1.0001),
        missing=True,
    ),
    "area": _share("share of the input at or above half the maximum", missing=True),
    "offset": _number(
        "distance of the centre of mass from the image centre, in half-widths",
        pa.Check.in_range(0, 2**0.5),
        missing=True,
    ),
    "fragments": _number(
        "connected pieces at or above half the maximum; maps of 8×8 or more",
        pa.Check.ge(1),
        missing=True,
    ),
}

SCHEMAS: dict[str, pa.DataFrameSchema] = {
    "history": _table(
        {
            "epoch": _number("epoch, from 1", pa.Check.ge(1), kind="int32"),
            "train_loss": _number("mean cross-entropy over the epoch's batches", kind="float64"),
            "learning_rate": _number("learning rate of the last batch", kind="float64"),
            "seconds": _number("duration of the epoch in seconds", pa.Check.ge(0), kind="float64"),
        },
        unique=["epoch"],
        about="training, one row an epoch",
    ),
    "predictions": _table(
        {
            "split": _text("official split of the image", _SPLITS),
            "index": _INDEX,
            "photo": _number("photo within the split, -1 where not known", kind="int32"),
            "label": _digit("the digit"),
            "predicted": _digit("the digit with the largest logit"),
            "confidence": _share("softmax probability of the predicted digit"),
            **_LOGITS,
        },
        unique=["split", "index"],
        about="predictions on clean images, one row an image",
    ),
    "saliency": _table(
        {
            "layer": _LAYER,
            "index": _INDEX,
            "label": _digit("the digit"),
            "predicted": _digit("the predicted digit, which the map explains"),
            "correct": pa.Column(bool, description="whether the prediction is right"),
            **_MEASURES,
        },
        unique=["layer", "index"],
        about="Grad-CAM measures, one row for an image and a layer",
    ),
    "maps": _table(
        {
            "layer": _LAYER,
            "label": _digit("the digit"),
            "row": _number("row of the map, from the top", kind="uint8"),
            "column": _number("column of the map, from the left", kind="uint8"),
            "value": _share("mean share of the map's mass in this cell"),
            "images": _number("images behind the mean", pa.Check.ge(1), kind="int32"),
        },
        unique=["layer", "label", "row", "column"],
        about="mean Grad-CAM map of each digit, one row a cell",
    ),
    "attacks": _table(
        {
            "index": _INDEX,
            "label": _digit("the digit"),
            "attack": _text("fgsm, or the random-sign control"),
            "epsilon": _EPSILON,
            "predicted": _digit("the digit predicted for the perturbed image"),
            "confidence": _share("softmax probability of that digit"),
        },
        unique=["index", "attack", "epsilon"],
        about="predictions on perturbed images, one row for an image, an attack and an ε",
    ),
    "reliability": _table(
        {
            "scaling": _text("as given, or scaled by temperature"),
            "group": _text("all, or the digit"),
            "bin": _number(
                "tenth of the confidence, from 0", pa.Check.in_range(0, 9), kind="uint8"
            ),
            "confidence": _number("mean confidence", _SHARE, kind="float64"),
            "accuracy": _number("share that is right", _SHARE, kind="float64"),
            "low": _number("lower end of the interval", kind="float64"),
            "high": _number("upper end of the interval", kind="float64"),
            "predictions": _number("predictions over all repeats", pa.Check.ge(1), kind="int32"),
        },
        unique=["scaling", "group", "bin"],
        about="accuracy by confidence, one row a group and a tenth that holds predictions",
    ),
    "calibration": _table(
        {
            "scaling": _text("as given, or scaled by temperature"),
            "group": _text("all, or the digit"),
            "error": _number(
                "expected calibration error over ten bins, without its bias", _SHARE, kind="float64"
            ),
            "low": _number("lower end of the interval", kind="float64"),
            "high": _number("upper end of the interval", kind="float64"),
            "temperature": _number("mean temperature", pa.Check.gt(0), kind="float64"),
        },
        unique=["scaling", "group"],
        about="expected calibration error, one row a group",
    ),
    "selective": _table(
        {
            "scaling": _text("as given, or scaled by temperature"),
            "kept": _number("share of the predictions kept, surest first", _SHARE, kind="float64"),
            "error": _number("error among those", _SHARE, kind="float64"),
            "low": _number("lower end of the interval", kind="float64"),
            "high": _number("upper end of the interval", kind="float64"),
        },
        unique=["scaling", "kept"],
        about="error against the share of predictions kept",
    ),
    "confidences": _table(
        {
            "scaling": _text("as given, or scaled by temperature"),
            "kind": _text("right, wrong, or wrong under attack"),
            "low": _number("lower end of the bin of confidence", _SHARE, kind="float64"),
            "high": _number("upper end of the bin", _SHARE, kind="float64"),
            "share": _number("share of the predictions of this kind", _SHARE, kind="float64"),
            "predictions": _number("predictions of this kind", kind="int32"),
        },
        unique=["scaling", "kind", "low"],
        about="how the confidence of right, wrong and attacked predictions is distributed",
    ),
    "sanity": _table(
        {
            "question": _text("what a measure is to tell: on the digit, or trained"),
            "layer": _text("module whose output Grad-CAM maps"),
            "measure": _text("the measure, of which low values stand for yes"),
            "auroc": _number("area under the ROC curve; 0.5 is guessing", _SHARE, kind="float64"),
            "low": _number("lower end of the interval", kind="float64"),
            "high": _number("upper end of the interval", kind="float64"),
            "yes": _number("maps of which the answer is yes", pa.Check.ge(1), kind="int32"),
            "no": _number("maps of which it is no", pa.Check.ge(1), kind="int32"),
            "verdict": _text("supported where the interval lies above 0.7, refuted below"),
        },
        unique=["question", "layer", "measure"],
        about="what each saliency measure can tell",
    ),
    "suspects": _table(
        {
            "index": _INDEX,
            "label": _digit("the digit, as labelled"),
            "predicted": _digit("the digit that every repeat predicts"),
            "confidence": _share("least confidence of any repeat"),
        },
        unique=["index"],
        about="candidates for a wrong label, by official index",
    ),
    "controls": _table(
        {
            "index": _INDEX,
            "label": _digit("the digit"),
            "attack": _text(
                "fgsm-native, or pgd on the sample of photos", _in("fgsm-native", "pgd")
            ),
            "epsilon": _EPSILON,
            "predicted": _digit("the digit predicted for the perturbed image"),
            "confidence": _share("softmax probability of that digit"),
        },
        unique=["index", "attack", "epsilon"],
        about="predictions under the control attacks, one row for an image, an attack and an ε",
    ),
    "attacked": _table(
        {
            "index": _INDEX,
            "label": _digit("the digit"),
            "epsilon": _EPSILON,
            "predicted": _digit("the digit predicted under fgsm on the resized input"),
            **_LOGITS,
        },
        unique=["index", "epsilon"],
        about="all logits under one attack, one row an image",
    ),
    "perturbations": _table(
        {
            "attack": _text(
                "fgsm, random-sign, fgsm-native or pgd",
                _in("fgsm", "random-sign", "fgsm-native", "pgd"),
            ),
            "epsilon": _EPSILON,
            "resolution": _number(
                "side of the compared images in pixels", pa.Check.ge(1), kind="int32"
            ),
            "measure": _text(
                "ssim; psnr in dB; linf, the largest change, and rms, the root of the mean squared "
                "one, in 8-bit levels",
                _in("ssim", "psnr", "linf", "rms"),
            ),
            **{
                name: _number(f"{about} over the images", kind="float64", missing=True)
                for name, about in (
                    ("mean", "mean"),
                    ("q05", "5 % quantile"),
                    ("median", "median"),
                    ("q95", "95 % quantile"),
                )
            },
            "images": _number(
                "images with a value; psnr has none where nothing changed",
                pa.Check.ge(0),
                kind="int32",
            ),
        },
        unique=["attack", "epsilon", "resolution", "measure"],
        about="how far attacks move the images of the sample, one row for an attack, an ε, a "
        "resolution and a measure",
    ),
    "randomised": _table(
        {
            "layer": _LAYER,
            "index": _INDEX,
            "label": _digit("the digit"),
            "target": _digit("the digit that the trained network predicts, which the map explains"),
            **_MEASURES,
        },
        unique=["layer", "index"],
        about="Grad-CAM measures with random weights, one row for an image and a layer",
    ),
    "localisation": _table(
        {
            "layer": _LAYER,
            "weights": _text("whose weights the network has", _in("trained", "randomised")),
            "index": _INDEX,
            "label": _digit("the digit"),
            "inside": _number(
                "share of the map's mass on the pixels of the digit, after upsampling",
                pa.Check.in_range(0, 1.0001),
                missing=True,
            ),
            "cover": _share("share of the picture that the digit covers"),
            "pointed": _number(
                "1 where the maximum of the map lies in the digit's bounding box, 0 where not",
                pa.Check.isin([0, 1]),
                missing=True,
            ),
        },
        unique=["layer", "weights", "index"],
        about="how well Grad-CAM finds a digit whose pixels are known, one row for an image, a "
        "layer and the network's weights",
    ),
    "estimates": _table(
        {
            "quantity": _text("what is estimated"),
            "attack": _text("the attack, or none"),
            "epsilon": _EPSILON,
            "layer": _text("the layer, or none"),
            "group": _text("all, or the digit"),
            "value": _number("estimate", kind="float64"),
            "low": _number("lower end of the interval", kind="float64"),
            "high": _number("upper end of the interval", kind="float64"),
            "between_repeats": _number(
                "standard deviation between repeats, where there are several",
                kind="float64",
                missing=True,
            ),
            "images": _number("images behind the estimate", pa.Check.ge(1), kind="int32"),
            "repeats": _number("complete repeats", pa.Check.ge(1), kind="int32"),
        },
        unique=["quantity", "attack", "epsilon", "layer", "group"],
        about="estimates with intervals from resampled photos, one row an estimate",
    ),
}
