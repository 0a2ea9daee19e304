"""The declared schema of every table that is derived from the complete repeats of a study."""

from __future__ import annotations

import pandera.pandas as pa

from analysis.results.columns import (
    AT_LEAST_0,
    ENDS,
    SHARE,
    count,
    number,
    share,
    table,
    text,
)
from analysis.results.image_schemas import IMAGE_TABLES
from analysis.results.schemas import (
    ATTACK,
    CLASS,
    CORRUPTIONS,
    EPSILON,
    FGSM,
    LAYER,
    MEASURES,
    QUESTIONS,
    SCALING,
    WEIGHTS,
)

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
            "epsilon": EPSILON,
            "layer": text("the layer, or none"),
            "class": CLASS,
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
    "classes": table(
        {
            "class": CLASS,
            "measure": text(
                "precision, recall, F1 or AUROC of its probability against all other classes",
                *("precision", "recall", "F1", "AUROC"),
            ),
            "value": number("its value; of all, the mean over the classes", SHARE, missing=True),
            **ENDS,
        },
        unique=["class", "measure"],
        about="how well each class is found and distinguished from others; missing where not "
        "defined",
    ),
    "accuracies": table(
        {
            "run": text("run, by repeat and fold"),
            "attack": ATTACK,
            "epsilon": EPSILON,
            "accuracy": share("accuracy of this network"),
            "images": count("images behind it", 1),
        },
        unique=["run", "attack", "epsilon"],
        about="accuracy of each network under each attack",
    ),
    "confusions": table(
        {
            "attack": text("the attack, or none"),
            "epsilon": EPSILON,
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
            "layer": LAYER,
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
            "layer": LAYER,
            "weights": WEIGHTS,
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
            "layer": LAYER,
            "weights": WEIGHTS,
            "class": CLASS,
            "maps": count("maps, over all runs", 1),
            "zero": count("maps that are zero everywhere"),
        },
        unique=["layer", "weights", "class"],
        about="how many maps are zero everywhere, of each class and of all together",
    ),
    "similarities": table(
        {
            "attack": ATTACK,
            "epsilon": EPSILON,
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
            "scaling": SCALING,
            "class": CLASS,
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
            "scaling": SCALING,
            "class": CLASS,
            "error": share("expected calibration error over ten bins, corrected for its bias"),
            **ENDS,
            "temperature": number("mean temperature", pa.Check.gt(0)),
        },
        unique=["scaling", "class"],
        about="expected calibration error, one row a class",
    ),
    "selective": table(
        {
            "scaling": SCALING,
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
            "epsilon": EPSILON,
            "images": text("all that were attacked, or those that PGD attacked", "all", "sample"),
            "predictions": count("errors under attack over all repeats", 1),
            "median": share("median confidence of errors under attack"),
            "median_right": share("median confidence of right predictions without attack"),
            "median_errors": number("the same of errors without attack", SHARE, missing=True),
            "auroc": share("AUROC of confidence, right predictions over errors under attack"),
            **ENDS,
            "auroc_errors": number("errors under attack over those without", SHARE, missing=True),
            "low_errors": number("lower end of its interval", SHARE, missing=True),
            "high_errors": number("upper end", SHARE, missing=True),
        },
        unique=["attack", "epsilon", "images"],
        about="confidence of errors under attack, at every ε",
    ),
    "confidences": table(
        {
            "scaling": SCALING,
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
            "layer": LAYER,
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
            "epsilon": EPSILON,
            "sample": count("images that all three attacks were run on, over all runs", 1),
            "pgd": share("accuracy on those under pgd"),
            "pgd_random": share("accuracy on those under pgd-random"),
            "pgd_margin": share("accuracy on those under pgd-margin"),
            "masked": pa.Column(bool, description="whether attacks by gradients may fail here"),
        },
        unique=["epsilon"],
        about="whether gradients are masked, one row",
    ),
    **IMAGE_TABLES,
    "corruption_errors": table(
        {
            "corruption": text(
                "what is done to the image as given, or fgsm on the same images",
                *CORRUPTIONS,
                FGSM,
            ),
            "strength": number("as in corruptions; ε of fgsm; 0 for images as given", AT_LEAST_0),
            "value": share("accuracy"),
            **ENDS,
            "confidence": share("median confidence, right or wrong"),
            "low_confidence": number("lower end of its interval", SHARE, missing=True),
            "high_confidence": number("upper end", SHARE, missing=True),
            "images": count("images in the sample", 1),
        },
        unique=["corruption", "strength"],
        about="accuracy and confidence on corrupted images of a sample of groups, the weakest "
        "corruption first",
    ),
}
