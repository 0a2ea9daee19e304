"""The results in numbers: accuracy, attacks, confidence, maps and suspected labels."""

from __future__ import annotations

from analysis.results.schemas import (
    AGREED,
    ALL,
    BOTH_RULES,
    BY_CONFIDENCE,
    BY_ONE_NETWORK,
    BY_PERMUTATION,
    CONTROL,
    LEARNED,
    NARROW,
    ONE,
    RULES,
)
from report.numbers import formats
from report.numbers.formats import ATTACK_NAMES, UNDEFINED
from report.numbers.results import Results
from report.numbers.whose import LISTED
from report.page import Markdown, table
from report.safe import safe

# What the images of an audit are, by the rule that chose them.
_AUDITED = {
    BY_CONFIDENCE: "read confidently as another",
    BY_PERMUTATION: "in another order",
    BOTH_RULES: "both",
    BY_ONE_NETWORK: "surer of another",
    CONTROL: "random others",
}
_ASKED = {ONE: "one from two", NARROW: "narrow from wide", LEARNED: "trained from random"}
_SIGNS = {BY_PERMUTATION: "*", BOTH_RULES: "**"}


def overall(results: Results) -> Markdown:
    """Return the accuracy of all images and of each class, with published ones if there are any."""
    found = {
        safe(name): results.estimates("accuracy", source=source).set_index("class")
        for source, name in results.sources.items()
    }
    rows = []
    for name in (ALL, *results.shown):
        images = found["this study"].loc[name, "images"]
        row = {safe(results.noun): name, "images here": f"{images:,}"}
        for source, estimates in found.items():
            known = name in estimates.index
            row[source] = formats.share_with_interval(estimates.loc[name]) if known else UNDEFINED
        rows.append(row)
    return table(rows)


def calibration(results: Results) -> Markdown:
    """Return the expected calibration error of each class, as given and scaled."""
    rows: dict[str, dict[str, str]] = {}
    for row in results.rows("calibration", class_=(ALL, *results.shown)).to_dict("records"):
        cells = rows.setdefault(row["class"], {safe(results.noun): row["class"]})
        cells[row["scaling"]] = formats.between(row["error"], row["low"], row["high"], ".3f")
    return table(list(rows.values()))


def attacked(results: Results) -> Markdown:
    """Return the accuracy under each attack at the ε that are compared."""
    published, measured = results.published, set(results.table("accuracies")["attack"])
    rows = []
    for epsilon in results.sizes:
        row = {"ε": f"{epsilon:g}", "in levels": formats.levels(epsilon)}
        if published and published.fgsm:
            row[f"ε of {safe(published.name)}"] = f"{published.epsilon_scale * epsilon:g}"
        for attack, name in ATTACK_NAMES.items():
            if attack in measured:
                found = results.overall("accuracy", attack=attack, epsilon=epsilon)
                row[name] = UNDEFINED if found is None else formats.per_cent(found["value"])
        if published and published.fgsm:
            row[f"{safe(published.name)}, FGSM"] = formats.per_cent(published.fgsm[epsilon])
        rows.append(row)
    return table(rows)


def map_measures(results: Results) -> Markdown:
    """Return what each map measure distinguishes, a column for each question."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in results.table("map_measures").to_dict("records"):
        key = row["measure"], row["layer"]
        cells = rows.setdefault(
            key, {"measure": ", ".join(key)} | dict.fromkeys(_ASKED.values(), UNDEFINED)
        )
        auroc = formats.between(row["auroc"], row["low"], row["high"], ".2f")
        cells[_ASKED[row["question"]]] = auroc
    return table(list(rows.values()))


def classes(results: Results) -> Markdown:
    """Return precision, recall, F1 and AUROC of each class, and their means."""
    rows: dict[str, dict[str, str]] = {}
    for row in results.rows("classes", class_=(ALL, *results.shown)).to_dict("records"):
        name = f"{ALL}, mean" if row["class"] == ALL else row["class"]
        cells = rows.setdefault(row["class"], {safe(results.noun): name})
        cells[row["measure"]] = formats.between(row["value"], row["low"], row["high"], ".3f")
    return table(list(rows.values()))


def suspects(results: Results) -> Markdown:
    """Return the suspected wrong labels by position in their split, a row for each class."""
    found: dict[str, list[str]] = {name: [] for name in results.classes}
    rows = results.table("suspects").nlargest(LISTED, "confidence", keep="first")
    for row in rows.sort_index().to_dict("records"):
        sign = _SIGNS.get(row["rule"], "")
        found[row["label"]].append(f"{row['index']}{sign} ({row['predicted']})")
    return table(
        [
            {"label": name, "listed": len(each), "index (read as)": ", ".join(each)}
            for name, each in found.items()
            if each
        ]
    )


def audit(results: Results) -> Markdown:
    """Return what readers saw on suspects and controls, a row for each rule."""
    seen = results.table("audit")
    rows = []
    for rule in (*RULES, CONTROL):
        counts = seen[seen["rule"] == rule]["agreed"].value_counts()
        if len(counts):
            cells = {name: int(counts.get(name, 0)) for name in AGREED}
            rows.append({"images": _AUDITED[rule], "number": int(counts.sum())} | cells)
    return table(rows)
