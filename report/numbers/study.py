"""The study itself: its images, its networks, and how complete its results are."""

from __future__ import annotations

from pathlib import PurePath

from report.numbers.formats import counted, listed, range_of, thousands
from report.numbers.results import Results
from report.page import Markdown
from report.safe import safe

_FUNCTION = "python:"


class StudyNumbers:
    """What templates say of a study as ``study.…``.

    ``groups`` is empty if every image is a group of its own, ``described`` if the study does not
    describe its images, ``basis`` is what a figure is computed from, or one of maps ``map_basis``,
    and ``original`` links and cites what was published, if that is known. ``alone`` says whether
    predictions were given without a network; what made them is then a ``classifier``.
    """

    def __init__(self, results: Results) -> None:
        study, record, runs = results.study, results.record, results.table("runs")
        self.name, self.paper, self.published = study.name, study.paper, results.published
        self.cites = Markdown(listed([f"@{key}" for key in study.paper.cites]))
        self.original = _source(results)
        # The study that has another recipe, and whether its verdicts are known.
        self.companion, self.compared = study.companion or "", results.companion is not None
        # The default names nothing in particular.
        self.described = "" if study.paper.images == "images" else study.paper.images
        self.noun, self.nouns = results.noun, results.nouns
        self.classes, self.folds = len(results.classes), study.images.folds
        # With its leading space, which escaped text would lose.
        self.split, self.clean = study.images.evaluate, Markdown(results.clean)
        every = self.split == "all"
        self.evaluated = "images" if every else f"images of the {self.split} split"
        self.place = "data set" if every else f"{self.split} split"
        self.alone, self.trained, self.attacks = results.alone, study.trained, study.attacks
        self.classifier = "classifier" if self.alone else "network"
        self.layers = listed(record.layers)
        self.resamples = thousands(study.bootstrap.resamples)
        self.level = f"{100 * study.bootstrap.level:.0f}%"
        self.results_digest, self.images_digest = record.inputs[:12], record.images[:12]
        self.runs, self.planned, self.repeats = len(runs), len(study.runs), len(record.repeats)
        self.trained_on = range_of(runs["training_images"])
        self.date = runs["finished"].max()[:10]
        images = results.accuracy["images"]
        self.images = thousands(images)
        self.groups = thousands(record.groups) if record.groups != images else ""
        # What is divided and resampled.
        self.units = "groups" if self.groups else "images"
        # The networks that predict each image.
        self.predictors = counted(self.repeats, self.classifier)
        self.networks = counted(self.runs, self.classifier)
        within = f" in {self.groups} groups" if self.groups else ""
        repeats = counted(self.repeats, "repeat")
        self.basis = f"{self.images} images{within}, "
        self.basis += f"{self.networks} in {repeats}" if self.trained else self.networks
        # The networks of the first repeats alone may have maps.
        last = (study.maps and study.maps.repeats) or study.repeats
        mapped = [len(names) for repeat, names in record.repeats.items() if repeat < last]
        self.mapped = counted(sum(mapped), "network")
        self.map_basis = f"{self.images} images{within}, {self.mapped}"
        self.map_basis += f" in {counted(len(mapped), 'repeat')}" if self.trained else ""
        # What pages say nothing about, if a study of a network could have measured it.
        sections = {"attacks": study.attacks, "Grad-CAM maps": study.maps}
        unasked = [f"no {name}" for name, section in sections.items() if section is None]
        self.unasked = "" if self.alone else listed(unasked)
        network, predictions = study.network, study.predictions
        model = network.model if network else ""
        self.own_code = model.startswith(_FUNCTION)
        self.model = model.removeprefix(_FUNCTION)
        # Where weights come from: a word of timm's or of the project's, or the name of a file.
        self.weights = PurePath(network.weights).name if network else ""
        self.start = PurePath(network.start).name if network and network.start else ""
        self.file = PurePath(predictions.file).name if predictions else ""
        self.scores = predictions.scores if predictions else ""


def _source(results: Results) -> Markdown:
    published = results.published
    if published is None or not (published.url and published.cite):
        return Markdown()
    name = safe(published.url.rstrip("/").rpartition("/")[2])
    return Markdown(f"[{name}]({published.url}) [@{published.cite}]")
