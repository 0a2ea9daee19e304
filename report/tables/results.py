"""The results in numbers: accuracy, attacks, confidence, maps and suspected labels."""

from __future__ import annotations

from analysis.results.schemas import ALL, FGSM, PASSES, RANDOM
from report.numbers import formats
from report.numbers.claims import ClaimNumbers, part_effect, threshold
from report.numbers.formats import ATTACK_NAMES, UNDEFINED
from report.numbers.results import Results
from report.page import Markdown, table
from report.safe import safe
from report.tables.claims import part_name


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


def aggregate(results: Results) -> Markdown:
    """Return overall, worst-class and attacked accuracy of each network."""
    runs = results.table("runs")
    under = results.rows("accuracies", attack=FGSM, epsilon=results.middle)
    under = under.set_index("run")["accuracy"].reindex(runs["run"])
    columns = {
        "run": runs["run"],
        "accuracy": runs["accuracy"].map(formats.per_cent),
        f"worst {safe(results.noun)}": runs["worst"],
        "its accuracy": runs["worst_accuracy"].map(formats.per_cent),
        "under FGSM": [formats.per_cent(accuracy) for accuracy in under],
    }
    return table(columns)


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


def contrasts(results: Results) -> Markdown:
    """Return the contrast of every map measure and layer, the judged ones first."""
    claim = next(one for one in results.record.claims if "contrast" in one.reports)
    parts, layer = claim.study.parts, results.layer
    rows = [(f"{part.name}, {layer}", part_effect(claim, part)) for part in parts]
    for one in claim.study.reported:
        if one.kind == "contrast":
            weights = ", random weights" if one.weights == RANDOM else ""
            cell = formats.between(one.value, one.low, one.high, ".2f")
            rows.append((f"{one.part}, {one.layer}{weights}", cell))
    return table([{"measure": name, "difference": cell} for name, cell in rows])


def map_measures(results: Results) -> Markdown:
    """Return what each map measure distinguishes, here and on images with known masks."""
    rows = []
    for source in (results, results.validation):
        if source is None or not source.has("map_measures"):
            continue
        for row in source.table("map_measures").to_dict("records"):
            said = {"supported": "yes", "refuted": "no", "inconclusive": "undecided"}
            opposite = row["verdict"] == "refuted" and row["high"] < 1 - PASSES
            cells = {"study": source.study.name, "question": row["question"]}
            cells["measure"] = f"{row['measure']}, {row['layer']}"
            cells["AUROC"] = formats.between(row["auroc"], row["low"], row["high"], ".2f")
            cells["as expected"] = "the other way round" if opposite else said[row["verdict"]]
            rows.append(cells)
    return table(rows)


def suspects(results: Results) -> Markdown:
    """Return the suspected wrong labels by position in their split, a row for each class."""
    found: dict[str, list[str]] = {name: [] for name in results.classes}
    for row in results.table("suspects").to_dict("records"):
        found[row["label"]].append(f"{row['index']} ({row['predicted']})")
    rows = [
        {"label": name, "suspects": len(each), "index (read as)": ", ".join(each)}
        for name, each in found.items()
    ]
    return table([row for row in rows if row["suspects"]])


def bounds(results: Results) -> Markdown:
    """Return the claims about classes without suspects, and without as many random errors."""
    rows = []
    for record in results.record.claims:
        claim = ClaimNumbers(record, results)
        for part in record.study.parts if claim.has("without suspects") else ():
            row = {
                "claim": part_name(record, part.name),
                "claimed": threshold(record, short=True),
                "all images": formats.number(part.effect, record.unit),
            }
            for kind in ("without suspects", "without random errors"):
                row[kind] = claim.reported(kind, part=part.name, form=record.unit)
            rows.append(row)
    return table(rows)
