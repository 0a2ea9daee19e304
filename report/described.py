"""What the prose says of the study itself: its data, its recipe, and how it was computed."""

from __future__ import annotations

from analysis import published, timings
from analysis.datasets.counts import SUBSET
from analysis.study import CLASSES
from report.figures import Markdown
from report.findings import listed
from report.formats import LEVELS, counted, range_of, thousands
from report.shown import Shown

# The side of the images of every data set in pixels.
NATIVE = 32
_DATA = {
    "svhn": "SVHN, the official training and test split",
    "svhn-subset": "SVHN, a subset by official index",
    "streetdigits": "street digits drawn by this project",
}


class Described(Shown):
    """The words and numbers that describe a study."""

    @property
    def data(self) -> str:
        """Return what the images are, in words."""
        return _DATA[self.study.data.name]

    @property
    def data_paragraph(self) -> str:
        """Return how the images were divided, and into what."""
        each = f"Each network is trained on {self.trained_on} images"
        if self.study.split.kind == "fixed":
            return f"{self._data_sentence} {each} and evaluated on the {self.images} test images."
        return (
            f"{self._data_sentence} The {self.images} images of the official test split that are "
            f"among them are evaluated by {self.study.split.folds}-fold cross-validation, grouped "
            f"by photo, so that no digit is predicted by a network that saw its neighbours; the "
            f"others are always trained on. {each}."
        )

    @property
    def _data_sentence(self) -> str:
        return {
            "svhn": "The official files of SVHN, format 2 (cropped digits).",
            "svhn-subset": f"{thousands(sum(SUBSET.values()))} official SVHN images by official "
            f"index, format 2 (cropped digits): the first {thousands(SUBSET['train'])} of the "
            f"training split, the first {thousands(SUBSET['extra'])} of the extra split and the "
            f"first {thousands(SUBSET['test'])} of the test split.",
            "streetdigits": "House-number-like digits drawn by this project, with several "
            "typefaces, neighbours at the edges, blur, noise and perspective.",
        }[self.study.data.name]

    @property
    def data_caveat(self) -> Markdown:
        """Return what the data may not stand for."""
        text = {
            "svhn": "The same files as the original's, with other seeds.",
            "svhn-subset": "A subset of SVHN, with cross-validation inside the official test "
            "split. The official training and test splits are not drawn from the same "
            "distribution [@xiao2023], so training and evaluating within one of them avoids a "
            "shift that the original's network met; on the other hand each network sees far fewer "
            "training images. Which weighs more is not known.",
            "streetdigits": "These are drawn digits, not photographs. They show that the report "
            "works; they say nothing about SVHN.",
        }[self.study.data.name]
        return Markdown(text)

    @property
    def recipe_caveat(self) -> str:
        """Return on what the recipe of training was chosen."""
        if self.study.data.name == "svhn-subset":
            return (
                "Four recipes were compared, each once, on parts of the images that are evaluated "
                "here, so the accuracy may be a little too high for it; no threshold was involved. "
                "The last change, to fewer epochs, was not tried before."
            )
        return "The recipe was fixed before any image was evaluated."

    @property
    def trained_on(self) -> str:
        """Return how many images the networks were trained on, as a range."""
        return range_of([run.training.training_images for run in self.shown.values()])

    @property
    def predictors(self) -> str:
        """Return how many networks predict each image."""
        return f"{counted(self.repeats, 'network')} that did not see its photo in training"

    @property
    def intervals(self) -> str:
        """Return how our intervals were made."""
        return f"Ours are bootstrap intervals over {self.photos} photos."

    @property
    def resamples(self) -> str:
        """Return the number of resamples."""
        return thousands(self.study.bootstrap.resamples)

    @property
    def model_name(self) -> str:
        """Return timm's name of the model."""
        return self.study.model.name

    @property
    def temperature_fit(self) -> str:
        """Return on what the temperatures were fitted."""
        if self.study.split.kind == "fixed":
            return (
                "on the evaluated images of one half of the photos, and used on the other half, so "
                "that no image has a part in its own temperature"
            )
        return (
            "on the images of its training folds, with the logits of the networks that had not "
            "seen them, so that nothing is fitted on what was trained on"
        )

    @property
    def study_digest(self) -> str:
        """Return the first digits of the study's digest."""
        return self.results.manifest.study_digest[:12]

    @property
    def data_digest(self) -> str:
        """Return the first digits of the data's digest."""
        return self.results.manifest.data_digest[:12]

    @property
    def benchmark(self) -> str:
        """Return where and when the benchmark was made, and the memory that training took."""
        found = timings.read()
        if found is None:
            return "It has not been made yet"
        peaks = [f"{peak.mebibytes:,.0f} MiB with {peak.name}" for peak in found.peaks]
        memory = f"; training took at most {listed(peaks)}" if peaks else ""
        return (
            f"Measured on {found.device}, with torch {found.packages['torch']}, on "
            f"{found.finished[:10]}{memory}"
        )

    @property
    def completeness(self) -> str:
        """Return how much of the study has been run."""
        planned = len(self.study.runs)
        if self.runs == planned:
            return f"All {planned} runs of the study are done."
        return f"The study plans {planned} runs; the {self.runs} of its complete repeats are shown."

    @property
    def size(self) -> int:
        """Return the side of the input in pixels."""
        return self.study.model.size

    @property
    def native_size(self) -> int:
        """Return the side of the images in pixels."""
        return NATIVE

    @property
    def steps(self) -> int:
        """Return the number of steps of projected gradient descent."""
        return self.study.controls.steps

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return CLASSES

    @property
    def levels_per_unit(self) -> int:
        """Return how many 8-bit levels one pixel unit has."""
        return LEVELS

    @property
    def easy(self) -> str:
        """Return the digits that the original calls easy."""
        return listed([str(digit) for digit in published.EASY])

    @property
    def hard(self) -> str:
        """Return the digits that the original calls hard."""
        return listed([str(digit) for digit in published.HARD])
