"""The declared schema of every table: its columns, their types and ranges, and its key.

The tables of a run have one file each; reading them together adds a column ``run``. Names of
attacks, weights and scalings are defined here, where all that compute or show them find them.
"""

from __future__ import annotations

import pandera.pandas as pa

from analysis.results.columns import (
    AT_LEAST_0,
    AT_LEAST_1,
    ENDS,
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
ATTACKS = (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD)
TRAINED, RANDOM = "trained", "random"
AS_GIVEN, SCALED = SCALINGS = ("as given", "scaled")
MEASURES = ("spread", "area", "offset", "fragments")
# A map measure passes if its whole AUROC interval is above this value, and fails if all is below.
PASSES = 0.7
# From this confidence on, an error that every network makes alike suggests a wrong label.
CONFIDENT = 0.9
# In a column of class names, every class together; no class may have this name.
ALL = "(all)"
# In a column of attacks or layers, where a row has none.
NONE = "none"

_INDEX = count("position of the image in its split, from 0")
_LABEL = count("class of the image, by its position in the list of classes")
_EPSILON = share("size of the perturbation in [0, 1] pixel units")
_LAYER = text("module whose output Grad-CAM maps")
_WEIGHTS = text("weights of the network", TRAINED, RANDOM)
_ATTACK = text(
    "fgsm; random-sign, a control of the same size; fgsm-native, before the resize; pgd, on a "
    "sample of groups",
    *ATTACKS,
)
_CLASS = text("name of the class, or all")
_SCALING = text("as given, or scaled by temperature", *SCALINGS)

# What is stored for each run.
RUN_TABLES: dict[str, pa.DataFrameSchema] = {
    "history": table(
        {
            "epoch": count("epoch, from 1", 1),
            "train_loss": number("mean cross-entropy over the epoch's batches"),
            "learning_rate": number("learning rate of the last batch"),
            "seconds": number("duration of the epoch in seconds", AT_LEAST_0),
        },
        unique=["epoch"],
        about="training, one row an epoch",
    ),
    "predictions": table(
        {
            "index": _INDEX,
            "group": number("group of the image, such as its photo; -1 if not known", kind="int64"),
            "label": _LABEL,
            "predicted": count("class with the largest logit"),
            "confidence": share("softmax probability of the predicted class", kind="float32"),
            "logits": logits(missing=False),
        },
        unique=["index"],
        about="predictions on clean images, one row an image",
    ),
    "maps": table(
        {
            "layer": _LAYER,
            "weights": _WEIGHTS,
            "index": _INDEX,
            "label": _LABEL,
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
            "inside": measure(
                "share of the map's mass on the mask, after upsampling; with masks only",
                pa.Check.in_range(0, 1.0001),
            ),
            "cover": measure("share of the image that the mask covers; with masks only", SHARE),
            "pointed": measure(
                "1 if the map's maximum lies in the mask's box, else 0; with masks only",
                pa.Check.isin([0, 1]),
            ),
        },
        unique=["layer", "weights", "index"],
        about="Grad-CAM measures, one row for an image, a layer and the network's weights; missing "
        "for a map that is zero everywhere",
    ),
    "mean_maps": table(
        {
            "layer": _LAYER,
            "label": _LABEL,
            "row": count("row of the map, from the top"),
            "column": count("column of the map, from the left"),
            "value": share("mean share of the map's mass in this cell", kind="float32"),
            "images": count("images behind the mean", 1),
        },
        unique=["layer", "label", "row", "column"],
        about="mean Grad-CAM map of each class, one row a cell",
    ),
    "attacks": table(
        {
            "attack": _ATTACK,
            "epsilon": _EPSILON,
            "index": _INDEX,
            "label": _LABEL,
            "predicted": count("class predicted for the perturbed image"),
            "confidence": share("softmax probability of that class", kind="float32"),
            "logits": logits(missing=True),
        },
        unique=["attack", "epsilon", "index"],
        about="predictions on perturbed images, one row for an image, an attack and an ε",
    ),
    "perturbations": table(
        {
            "attack": _ATTACK,
            "epsilon": _EPSILON,
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
                    ("q05", "5 % quantile"),
                    ("median", "median"),
                    ("q95", "95 % quantile"),
                )
            },
            "images": count("images with a value; psnr has none if nothing changed"),
        },
        unique=["attack", "epsilon", "resolution", "native", "measure"],
        about="how far attacks move the images of the sample, one row for an attack, an ε, a "
        "resolution and a measure",
    ),
}

# What is derived from the tables of all complete repeats.
DERIVED_TABLES: dict[str, pa.DataFrameSchema] = {
    "runs": table(
        {
            "run": text("run, by repeat and fold"),
            "seed": count("seed"),
            "accuracy": share("accuracy on clean images"),
            "worst": text("class with the lowest accuracy"),
            "worst_accuracy": share("accuracy of that class"),
            "training_images": count("images that the network was trained on"),
            "seconds": number("duration of the training in seconds", AT_LEAST_0),
            "finished": text("when the last analysis was finished, UTC"),
            "trained": text("when the training was finished, UTC"),
            "device": text("device that trained it"),
            "revision": text("commit of the code that trained it, or unknown"),
            "analysed": text("commit of the code of the last analysis, or unknown"),
            "packages": text("versions of packages in training and analyses"),
        },
        unique=["run"],
        about="the networks behind the results, one row each",
    ),
    "estimates": table(
        {
            "source": text("study, or published", "study", "published"),
            "quantity": text("what is estimated"),
            "attack": text("the attack, or none"),
            "epsilon": _EPSILON,
            "layer": text("the layer, or none"),
            "class": _CLASS,
            "value": number("estimate; missing for a class without an image", missing=True),
            **ENDS,
            "between_repeats": number(
                "standard deviation between repeats, if there are several", missing=True
            ),
            "images": count("images behind the estimate"),
            "repeats": count("complete repeats"),
        },
        unique=["source", "quantity", "attack", "epsilon", "layer", "class"],
        about="estimates with intervals from resampled groups, one row an estimate",
    ),
    "accuracies": table(
        {
            "run": text("run, by repeat and fold"),
            "attack": _ATTACK,
            "epsilon": _EPSILON,
            "accuracy": share("accuracy of this network"),
            "images": count("images behind it", 1),
        },
        unique=["run", "attack", "epsilon"],
        about="accuracy of each network under each attack",
    ),
    "confusions": table(
        {
            "attack": text("the attack, or none"),
            "epsilon": _EPSILON,
            "label": text("name of the class"),
            "predicted": text("name of the predicted class"),
            "images": number("images, mean over repeats", AT_LEAST_0),
            "share": share("share of the images of the class"),
        },
        unique=["attack", "epsilon", "label", "predicted"],
        about="what each class is predicted as, one row for each pair that occurs",
    ),
    "mean_maps": table(
        {
            "layer": _LAYER,
            "class": text("name of the class"),
            "row": count("row of the map, from the top"),
            "column": count("column of the map, from the left"),
            "value": share("mean share of the map's mass in this cell"),
            "images": count("images behind the mean, over all runs", 1),
        },
        unique=["layer", "class", "row", "column"],
        about="mean Grad-CAM map of each class over all runs, one row a cell",
    ),
    "spreads": table(
        {
            "layer": _LAYER,
            "weights": _WEIGHTS,
            "class": text("name of the class"),
            "quantile": share("quantile"),
            "value": number("spread at that quantile"),
            "images": count("maps behind it, over all runs", 1),
        },
        unique=["layer", "weights", "class", "quantile"],
        about="quantiles of the spread of single maps, all runs together",
    ),
    "zero_maps": table(
        {
            "layer": _LAYER,
            "weights": _WEIGHTS,
            "maps": count("maps, over all runs", 1),
            "zero": count("maps that are zero everywhere"),
        },
        unique=["layer", "weights"],
        about="how many maps are zero everywhere",
    ),
    "similarities": table(
        {
            "attack": _ATTACK,
            "epsilon": _EPSILON,
            "resolution": count("longer side of the compared images in pixels", 1),
            "native": pa.Column(
                bool, description="whether that is the size of the images as given"
            ),
            "measure": text("ssim, psnr in dB, linf or rms in 8-bit levels"),
            "value": number("mean over the images of all runs"),
            "images": count("images with a value", 1),
        },
        unique=["attack", "epsilon", "resolution", "native", "measure"],
        about="how far attacks move images, mean over all runs",
    ),
    "reliability": table(
        {
            "scaling": _SCALING,
            "class": _CLASS,
            "bin": number("tenth of the confidence, from 0", pa.Check.in_range(0, 9), kind="int64"),
            "confidence": share("mean confidence"),
            "accuracy": share("share that is right"),
            **ENDS,
            "predictions": count("predictions over all repeats", 1),
        },
        unique=["scaling", "class", "bin"],
        about="accuracy by confidence, one row for a class and a tenth that contains predictions",
    ),
    "calibration": table(
        {
            "scaling": _SCALING,
            "class": _CLASS,
            "error": share("expected calibration error over ten bins, corrected for its bias"),
            **ENDS,
            "temperature": number("mean temperature", pa.Check.gt(0)),
        },
        unique=["scaling", "class"],
        about="expected calibration error, one row a class",
    ),
    "selective": table(
        {
            "scaling": _SCALING,
            "kept": share("share of the predictions kept, most confident first"),
            "error": share("error among those"),
            **ENDS,
        },
        unique=["scaling", "kept"],
        about="error against the share of predictions kept",
    ),
    "confidences": table(
        {
            "scaling": _SCALING,
            "kind": text("right, wrong, or wrong under attack"),
            "low": share("lower end of the bin of confidence"),
            "high": share("upper end of the bin"),
            "share": share("share of the predictions of this kind"),
            "predictions": count("predictions of this kind"),
        },
        unique=["scaling", "kind", "low"],
        about="distribution of the confidence of right, wrong and attacked predictions",
    ),
    "map_measures": table(
        {
            "question": text("what a measure should distinguish", "on the object", "trained"),
            "layer": _LAYER,
            "measure": text("the measure; low values are expected for yes", *MEASURES),
            "auroc": share("area under the ROC curve; 0.5 is guessing"),
            **ENDS,
            "yes": count("maps for which the answer is yes", 1),
            "no": count("maps for which it is no", 1),
            "verdict": text("supported if the interval lies above 0.7, refuted if below"),
        },
        unique=["question", "layer", "measure"],
        about="what each map measure distinguishes",
    ),
    "suspects": table(
        {
            "index": _INDEX,
            "label": text("name of the class, as labelled"),
            "predicted": text("class that every repeat predicts"),
            "confidence": share("least confidence of any repeat", kind="float32"),
        },
        unique=["index"],
        about="suspected wrong labels, by position in the split",
    ),
}
