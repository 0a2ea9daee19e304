"""The study itself: its images, its networks, and how complete its results are."""

from __future__ import annotations

from report.numbers.formats import counted, listed, range_of, thousands
from report.numbers.results import Results
from report.page import Markdown
from report.safe import safe


class StudyNumbers:
    """What templates say of a study as ``study.…``.

    ``groups`` is empty if every image is a group of its own, ``described`` if the study does not
    describe its images, ``basis`` is what a figure is computed from, or one of maps ``map_basis``,
    and ``original`` links and cites what was published, if that is known.
    """

    def __init__(self, results: Results) -> None:
        study, record, runs = results.study, results.record, results.table("runs")
        self.name, self.paper, self.published = study.name, study.paper, results.published
        cites = "; ".join(f"@{key}" for key in study.paper.cites)
        self.cites = Markdown(f"[{cites}]" if cites else "")
        self.original = _source(results)
        # The study that has another recipe, and whether its verdicts are known.
        self.companion, self.compared = study.companion or "", results.companion is not None
        # The default names nothing in particular.
        self.described = "" if study.paper.images == "images" else study.paper.images
        self.noun, self.nouns = results.noun, results.nouns
        self.classes, self.folds = len(results.classes), study.images.folds
        self.model, self.attacks = study.network.model, study.attacks
        self.layers = listed(study.maps.layers)
        self.resamples = thousands(study.bootstrap.resamples)
        self.level = f"{100 * study.bootstrap.level:.0f}%"
        self.results_digest, self.images_digest = record.inputs[:12], record.images[:12]
        self.runs, self.planned, self.repeats = len(runs), len(study.runs), len(record.repeats)
        self.trained_on = range_of(runs["training_images"])
        self.date = runs["finished"].max()[:10]
        images = results.accuracy["images"]
        self.images = thousands(images)
        self.groups = thousands(record.groups) if record.groups != images else ""
        # The networks that predict each image.
        self.predictors = counted(self.repeats, "network")
        self.networks = counted(self.runs, "network")
        within = f" in {self.groups} groups" if self.groups else ""
        repeats = counted(self.repeats, "repeat")
        self.basis = f"{self.images} images{within}, {self.networks} in {repeats}"
        # The networks of the first repeats alone may have maps.
        last = study.maps.repeats or study.repeats
        mapped = [len(names) for repeat, names in record.repeats.items() if repeat < last]
        self.mapped = counted(sum(mapped), "network")
        self.map_basis = f"{self.images} images{within}, {self.mapped} in "
        self.map_basis += counted(len(mapped), "repeat")


def _source(results: Results) -> Markdown:
    published = results.published
    if published is None or not (published.url and published.cite):
        return Markdown()
    name = safe(published.url.rstrip("/").rpartition("/")[2])
    return Markdown(f"[{name}]({published.url}) [@{published.cite}]")
