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
# Controls of PGD: from a random start, and on another loss.
PGD_RANDOM, PGD_MARGIN = "pgd-random", "pgd-margin"
ATTACKS = (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD, PGD_RANDOM, PGD_MARGIN)
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
BY_CONFIDENCE, BY_PERMUTATION, BOTH_RULES = RULES = ("confident", "permuted", "both")
CONTROL = "control"
# What the readers of an audit agree on.
AGREED = ("label", "prediction", "other", "unreadable", "no agreement")
# In a column of class names, every class together; no class may have this name.
ALL = "(all)"
# In a column of attacks or layers, where a row has none.
NONE = "none"

_INDEX = count("position of the image in its split, from 0")
_LABEL = count("class of the image, by its position in the list of classes")
_EPSILON = share("size of the perturbation in [0, 1] pixel units")
_LAYER = text("module whose output Grad-CAM maps")
_WEIGHTS = text("weights of the network", TRAINED, RANDOM)
_MAPPED = text(
    "weights of the network; or, on a sample of groups, the trained network's map altered: "
    "widened, or doubled by a moved copy",
    *MAPPED,
)
_ATTACK = text(
    "fgsm; random-sign, a control of the same size; fgsm-native, before the resize; pgd, on a "
    "sample of groups, or among the controls on every image; on the sample, pgd-random from a "
    "random start and pgd-margin on the margin between logits",
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
    "attributes": table(
        {
            "index": _INDEX,
            "attribute": text("name of the attribute"),
            "number": number("its value; missing for a category", missing=True),
            "category": text("its category; empty for a number"),
        },
        unique=["index", "attribute"],
        about="attributes of the images, one row for an image and an attribute",
    ),
    "maps": table(
        {
            "layer": _LAYER,
            "weights": _MAPPED,
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
        },
        unique=["layer", "weights", "index"],
        about="Grad-CAM measures, one row for an image, a layer and whose map it is; missing for a "
        "map that is zero everywhere",
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
    "controls": table(
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
        about="predictions after descent in the first repeat, one row for an image and an attack",
    ),
    "gradients": table(
        {
            "index": _INDEX,
            "label": _LABEL,
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
            "class": _CLASS,
            "maps": count("maps, over all runs", 1),
            "zero": count("maps that are zero everywhere"),
        },
        unique=["layer", "weights", "class"],
        about="how many maps are zero everywhere, of every class and of each",
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
    "confident_errors": table(
        {
            "body": text("which labels", "as labelled", "without suspects", "audited labels"),
            "confidence": share("cut-off"),
            "share": share("share of the errors that are at least as confident"),
            **ENDS,
        },
        unique=["body", "confidence"],
        about="share of confident errors over the cut-off",
    ),
    "attack_confidence": table(
        {
            "attack": text("attack"),
            "epsilon": _EPSILON,
            "images": text("all that were attacked, or those that PGD attacked", "all", "sample"),
            "predictions": count("errors under attack over all repeats", 1),
            "median": share("median confidence of errors under attack"),
            "median_right": share("median confidence of right predictions without attack"),
            "median_errors": number(
                "the same of errors without attack", SHARE, missing=True
            ),
            "auroc": share("AUROC of confidence, right predictions over errors under attack"),
            **ENDS,
            "auroc_errors": number(
                "errors under attack over those without", SHARE, missing=True
            ),
            "low_errors": number("lower end of its interval", SHARE, missing=True),
            "high_errors": number("upper end", SHARE, missing=True),
        },
        unique=["attack", "epsilon", "images"],
        about="confidence of errors under attack, at every ε",
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
            "question": text(
                "what a measure may distinguish: maps of one object from the same with a second "
                "one, maps from the same widened, or those of trained from those of random weights",
                *QUESTIONS,
            ),
            "layer": _LAYER,
            "measure": text("the measure", *MEASURES),
            "auroc": share(
                "area under the ROC curve, low values meaning yes; 0.5 is guessing, and below it "
                "high values mean yes"
            ),
            **ENDS,
            "yes": count("maps for which the answer is yes", 1),
            "no": count("maps for which it is no", 1),
        },
        unique=["question", "layer", "measure"],
        about="what each map measure distinguishes",
    ),
    "masking": table(
        {
            "images": count("images with a gradient, over all runs", 1),
            "zero": share("share of those whose gradient is 0 everywhere"),
            "vanishing": share(
                "share of those whose gradient is nowhere as large as float32's smallest normal "
                "number, zero ones included"
            ),
            "margin": number("median of the logit of the label less the largest other one"),
            "epsilon": _EPSILON,
            "sample": count("images that all three attacks were run on, over all runs", 1),
            "pgd": share("accuracy on those under pgd"),
            "pgd_random": share("accuracy on those under pgd-random"),
            "pgd_margin": share("accuracy on those under pgd-margin"),
            "masked": pa.Column(bool, description="whether attacks by gradients may fail here"),
        },
        unique=["epsilon"],
        about="whether gradients are masked, one row",
    ),
    "suspects": table(
        {
            "index": _INDEX,
            "label": text("name of the class, as labelled"),
            "predicted": text("class that most repeats predict"),
            "confidence": share("least confidence of any repeat", kind="float32"),
            "rule": text(
                "confident, if every repeat predicts that class with confidence; permuted, if the "
                "predictions are the labels of its group in another order; or both",
                *RULES,
            ),
        },
        unique=["index"],
        about="suspected wrong labels, by position in the split",
    ),
    "slices": table(
        {
            "attribute": text("name of the attribute"),
            "slice": text("category of the attribute, or third of its values"),
            "images": count("images in the slice", 1),
            "from": number("smallest value in a third", missing=True),
            "to": number("largest value in a third", missing=True),
            "error": share("error rate"),
            **ENDS,
        },
        unique=["attribute", "slice"],
        about="error rate by attribute, one row a slice",
    ),
    "adjusted": table(
        {
            "class": text("name of the class"),
            "attribute": text("attribute that is held fixed, or none"),
            "difference": number(
                "error rate of the class minus that of all others, Mantel and Haenszel's weights",
                missing=True,
            ),
            **ENDS,
        },
        unique=["class", "attribute"],
        about="difference in error between a class and the others, with an attribute held fixed",
    ),
    "neighbours": table(
        {
            "share": share("share of the errors that read a neighbour's label"),
            **ENDS,
            "chance": share("the same with neighbours exchanged within classes, mean"),
            "chance_low": share("its 2.5 % quantile"),
            "chance_high": share("its 97.5 % quantile"),
            "errors": count("errors on images with a neighbour of another label", 1),
        },
        unique=["errors"],
        about="whether errors read a neighbour in the same group; no row where that is not known",
    ),
    "audit": table(
        {
            "index": _INDEX,
            "label": text("name of the class, as labelled"),
            "predicted": text("class that most repeats predict"),
            "rule": text("rule that suspects the label, or control", *RULES, CONTROL),
            "readings": text("class that each reader saw, or unreadable, separated by |"),
            "agreed": text(
                "what all readers saw: the label, the prediction, another class, nothing readable; "
                "or they do not agree",
                *AGREED,
            ),
        },
        unique=["index"],
        about="what people saw who were shown neither label nor prediction, one row an image",
    ),
    "agreement": table(
        {
            "readers": text("names of the two readers"),
            "kind": text("all images, or suspects alone", "all", "suspects"),
            "images": count("images that both read", 1),
            "share": share("share on which they agree"),
            "kappa": number(
                "Cohen's kappa; missing if both saw one class alone",
                pa.Check.in_range(-1, 1),
                missing=True,
            ),
        },
        unique=["readers", "kind"],
        about="agreement of each two readers",
    ),
}
