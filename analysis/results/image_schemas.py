"""The declared schema of the derived tables about single images, their labels and attributes."""

from __future__ import annotations

import pandera.pandas as pa

from analysis.results.answers import SIDES
from analysis.results.columns import ENDS, SHARE, count, number, share, table, text
from analysis.results.schemas import AGREED, CONTROL, INDEX, RULES, SHOWN

IMAGE_TABLES: dict[str, pa.DataFrameSchema] = {
    "duplicates": table(
        {
            "run": text("run that evaluates the image, by repeat and fold"),
            "index": INDEX,
            "label": text("name of the class, as labelled"),
            "other_split": text("split of the image that the network was trained on"),
            "other_index": count("position of that image in its split, from 0"),
            "kind": text("exact: equal pixels; near: alike after resizing", "exact", "near"),
        },
        unique=["index"],
        about="evaluated images with a duplicate among those that their network was trained on",
    ),
    "suspects": table(
        {
            "index": INDEX,
            "label": text("name of the class, as labelled"),
            "predicted": text("class that most repeats predict"),
            "confidence": share("least confidence of any repeat", kind="float32"),
            "rule": text(
                "confident, if every repeat predicts that class with confidence; permuted, if the "
                "predictions are the labels of its group in another order; both; or one network, "
                "if there is one, surer of that class than of the images with that label",
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
            "chance_low": share("its 2.5% quantile"),
            "chance_high": share("its 97.5% quantile"),
            "errors": count("errors on images with a neighbour of another label", 1),
        },
        unique=["errors"],
        about="whether errors read a neighbour in the same group; no row where that is not known",
    ),
    "audit": table(
        {
            "index": INDEX,
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
        about="what readers saw who were shown neither label nor prediction, one row an image",
    ),
    "pictures": table(
        {
            "group": text("why the image is shown", *SHOWN),
            "place": count("place in the group, from 0"),
            "run": text("run whose network is quoted; empty for a suspect, where all are"),
            "index": INDEX,
            "label": text("name of the class, as labelled"),
            "predicted": text("predicted class; of a suspect, that of most repeats"),
            "confidence": number(
                "its confidence; of a suspect, the least of any repeat", SHARE, missing=True
            ),
            "attacked_predicted": text("class predicted under attack, empty where not shown"),
            "attacked_confidence": number("its confidence", SHARE, missing=True),
            "slice": text("attribute and slice of an error of the worst slice, else empty"),
            "side": text("side that the attacked image of a pair is on, else empty", *SIDES, ""),
        },
        unique=["group", "index"],
        about="single images that are shown, chosen by rule, one row for an image and a group",
    ),
    "guesses": table(
        {
            "pairs": count("pairs of a clean and an attacked image", 1),
            "right": count("pairs in which the attacked image was found"),
            **ENDS,
        },
        unique=["pairs", "right"],
        about="exact interval of the share of pairs, for every score of a reader",
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
        about="agreement of each pair of readers",
    ),
}
