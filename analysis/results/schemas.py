"""The declared schema of every table: its columns, their types and ranges, and its key.

The tables of a run have one file each; reading them together adds a column ``run``. Names of
attacks, weights and scalings are defined here, where all that compute or show them find them.
"""

from __future__ import annotations

import pandera.pandas as pa

from analysis.results.columns import (
    AT_LEAST_0,
    AT_LEAST_1,
    LARGEST,
    SHARE,
    count,
    logits,
    measure,
    number,
    share,
    table,
    text,
)

# 8-bit levels in one pixel unit.
LEVELS = 255
FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD = "fgsm", "random-sign", "fgsm-native", "pgd"
# Controls of PGD: from a random start, and on another loss.
PGD_RANDOM, PGD_MARGIN = "pgd-random", "pgd-margin"
ATTACKS = (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD, PGD_RANDOM, PGD_MARGIN)
# By their keys in a study, the order in which they are shown.
CORRUPTIONS = ("noise", "blur", "contrast", "brightness", "jpeg")
# Whose maps are measured: the two networks', and those of the trained one altered.
TRAINED, RANDOM, WIDENED, DOUBLED = MAPPED = ("trained", "random", "widened", "doubled")
ALTERED = (WIDENED, DOUBLED)
AS_GIVEN, SCALED = SCALINGS = ("as given", "scaled")
MEASURES = ("spread", "area", "offset", "fragments")
# What a measure of maps may distinguish: one object from two, narrow from widened, trained weights
# from random ones.
ONE, NARROW, LEARNED = QUESTIONS = ("one", "narrow", "trained")
# From this confidence on, an error that every network makes alike suggests a wrong label.
CONFIDENT = 0.9
# The rules by which a label is suspected, and images that are shown next to those.
BY_CONFIDENCE, BY_PERMUTATION, BOTH_RULES, BY_ONE_NETWORK = RULES = (
    *("confident", "permuted", "both", "one network"),
)
CONTROL = "control"
# The slice of images whose attribute is not known.
UNKNOWN = "unknown"
# What the readers of an audit agree on.
AGREED = ("label", "prediction", "other", "unreadable", "no agreement")
# Why a single image is shown: an attack turns it, it is of a common confusion, its label is
# suspected, it is an error of the worst slice, or readers are asked which of two is attacked.
EXAMPLE, CONFUSION, SUSPECT, SLICE, PAIR = SHOWN = (
    *("example", "confusion", "suspect", "slice", "pair"),
)
# In a column of class names, every class together; no class may have this name.
ALL = "(all)"
# In a column of attacks or layers, where a row has none.
NONE = "none"

INDEX = count("position of the image in its split, from 0")
LABEL = count("class of the image, by its position in the list of classes")
EPSILON = share("size of the perturbation in [0, 1] pixel units")
LAYER = text("module whose output Grad-CAM maps")
WEIGHTS = text("weights of the network", TRAINED, RANDOM)
MAP_OF = text(
    "weights of the network; or, on a sample of groups, the trained network's map altered: "
    "widened, or doubled by a moved copy",
    *MAPPED,
)
ATTACK = text(
    "fgsm; random-sign, a control of the same size; fgsm-native, before the resize; pgd, on a "
    "sample of groups, or among the controls on every image; on the sample, pgd-random from a "
    "random start and pgd-margin on the margin between logits",
    *ATTACKS,
)
CLASS = text("name of the class, or all")
SCALING = text("as given, or scaled by temperature", *SCALINGS)

_PERTURBED = {
    "attack": ATTACK,
    "epsilon": EPSILON,
    "index": INDEX,
    "label": LABEL,
    "predicted": count("class predicted for the perturbed image"),
    "confidence": share("softmax probability of that class", kind="float32"),
    "logits": logits(missing=True),
}

# What is stored for each run.
RUN_TABLES: dict[str, pa.DataFrameSchema] = {
    "history": table(
        {
            "epoch": count("epoch, from 1", 1),
            "train_loss": number("mean cross-entropy over the epoch's batches"),
            "learning_rate": number("learning rate of the last batch", AT_LEAST_0),
            "seconds": number("duration of the epoch in seconds", AT_LEAST_0),
        },
        unique=["epoch"],
        about="training, one row an epoch",
    ),
    "predictions": table(
        {
            "index": INDEX,
            "group": count("group that the image belongs to; -1 if not known", -1),
            "label": LABEL,
            "predicted": count("class with the largest logit"),
            "confidence": share("softmax probability of the predicted class", kind="float32"),
            "logits": logits(missing=False),
        },
        unique=["index"],
        about="predictions on clean images, one row an image",
    ),
    "attributes": table(
        {
            "index": INDEX,
            "attribute": text("name of the attribute"),
            "number": number(
                "its value; missing for a category",
                pa.Check.in_range(-LARGEST, LARGEST),
                missing=True,
            ),
            "category": text("its category; empty for a number"),
        },
        unique=["index", "attribute"],
        about="attributes of the images, one row for an image and an attribute",
    ),
    "duplicates": table(
        {
            "index": INDEX,
            "other_split": text("split of the image that was trained on"),
            "other_index": count("position of that image in its split, from 0"),
            "kind": text("exact: equal pixels; near: alike after resizing", "exact", "near"),
        },
        unique=["index"],
        about="evaluated images that have a duplicate among those that the network was trained on",
    ),
    "maps": table(
        {
            "layer": LAYER,
            "weights": MAP_OF,
            "index": INDEX,
            "label": LABEL,
            "target": count("class that the map explains: the trained network's prediction"),
            "spread": measure(
                "entropy of the map over its largest possible value: 0 is one cell, 1 is flat",
                pa.Check.in_range(0, 1.0001),
            ),
            "area": measure("share of the input at or above half the maximum", SHARE),
            "offset": measure(
                "distance of the centre of mass from the image centre, in half-widths",
                pa.Check.in_range(0, 2**0.5),
            ),
            "fragments": measure(
                "connected pieces at or above half the maximum; maps of 8×8 or more", AT_LEAST_1
            ),
        },
        unique=["layer", "weights", "index"],
        about="Grad-CAM measures, one row for an image, a layer and whose map it is; missing for a "
        "map that is zero everywhere",
    ),
    "mean_maps": table(
        {
            "layer": LAYER,
            "label": LABEL,
            "row": count("row of the map, from the top"),
            "column": count("column of the map, from the left"),
            "value": share("mean share of the map's mass in this cell", kind="float32"),
            "images": count("images behind the mean", 1),
        },
        unique=["layer", "label", "row", "column"],
        about="mean Grad-CAM map of each class, one row a cell",
    ),
    "attacks": table(
        _PERTURBED,
        unique=["attack", "epsilon", "index"],
        about="predictions on perturbed images, one row for an image, an attack and an ε",
    ),
    "controls": table(
        _PERTURBED,
        unique=["attack", "epsilon", "index"],
        about="predictions after descent in the first repeat, one row for an image and an attack",
    ),
    "corruptions": table(
        {
            "corruption": text("what is done to the image as given", *CORRUPTIONS),
            "strength": number(
                "noise: standard deviation in [0, 1] pixel units; blur: that of the kernel in "
                "pixels; contrast and brightness: factor; jpeg: quality from 1 to 100",
                AT_LEAST_0,
            ),
            "index": INDEX,
            "label": LABEL,
            "predicted": count("class predicted for the corrupted image"),
            "confidence": share("softmax probability of that class", kind="float32"),
        },
        unique=["corruption", "strength", "index"],
        about="predictions on corrupted images of a sample of groups, one row for an image, a "
        "corruption and a strength",
    ),
    "gradients": table(
        {
            "index": INDEX,
            "label": LABEL,
            "largest": number(
                "largest absolute value of the gradient of the image's own loss, per pixel unit",
                AT_LEAST_0,
                kind="float32",
            ),
            "zero": share("share of the gradient's values that are exactly 0"),
            "margin": number(
                "logit of the label less the largest other one, on the clean image", kind="float32"
            ),
        },
        unique=["index"],
        about="the gradient that fgsm takes the sign of, one row an image",
    ),
    "perturbations": table(
        {
            "attack": ATTACK,
            "epsilon": EPSILON,
            "resolution": count("longer side of the compared images in pixels", 1),
            "native": pa.Column(
                bool, description="whether that is the size of the images as given"
            ),
            "measure": text(
                "ssim; psnr in dB; linf, the largest change, and rms, the root of the mean squared "
                "one, in 8-bit levels",
                *("ssim", "psnr", "linf", "rms"),
            ),
            **{
                name: number(f"{about} over the images", missing=True)
                for name, about in (
                    ("mean", "mean"),
                    ("q05", "5% quantile"),
                    ("median", "median"),
                    ("q95", "95% quantile"),
                )
            },
            "images": count("images with a value; psnr has none if nothing changed"),
        },
        unique=["attack", "epsilon", "resolution", "native", "measure"],
        about="how far attacks move the images of the sample, one row for an attack, an ε, a "
        "resolution and a measure",
    ),
}
