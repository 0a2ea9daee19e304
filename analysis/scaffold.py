"""Write the file of a new study, and the profile that shows it, from what is on the disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from analysis import predicted
from analysis.project import files, paths
from analysis.project.errors import UserError
from analysis.study import NAME, Study, names
from analysis.study.reading import read

if TYPE_CHECKING:
    from analysis.images import Images
    from analysis.networks.classifier import Classifier

Say = Callable[[str], None]

# What splits are usually called; the first that there is counts.
_TRAINED = ("train", "training")
_EVALUATED = ("test", "testing", "validation", "valid", "val")
_EVERY, _FOLDS, _BATCH = "all", 5, 64
_TORCHVISION, _PYTHON = "torchvision:", "python:"
# Where nothing says how large the input should be.
_SIZE = 224
_TEMPLATES = paths.STUDIES / "templates"


def of_images(
    name: str,
    images: str,
    *,
    model: str,
    weights: str | None,
    size: int | None,
    data: Path,
    say: Say,
) -> list[Path]:
    """Write a study of a network on images, and its profile; return their paths.

    ``images`` is a folder, an .npz file, ``torchvision:DATASET`` or
    ``python:package.module:function``; without ``weights`` a timm model is trained. The images are
    read and the network is made before anything is written. Raises ``UserError`` for what does not
    work, and for a study that exists.
    """
    import torch

    from analysis import running

    path = _place(name)
    side = size or _input_size(model)
    source = _source(images, folder=path.parent)
    training = weights is None and not model.startswith(_PYTHON)
    if weights is not None and paths.expanded(weights).exists():
        weights = _relative(Path(weights), folder=path.parent)
    values: dict[str, Any] = {
        "model": model,
        "weights": None if training else weights or "pretrained",
        "source": source,
        "what": images,
        "title": f"{model.rpartition(':')[2]} on {_named(images)}",
        "named": _named(images),
        "side": None if source["source"] == "arrays" else side,
        "size": side,
        "training": training,
        "batch": _BATCH,
        "evaluate": _EVERY,
        "folds": 1,
        "channels": 3,
        "found": "",
    }
    loaded, damaged = _loaded(path, values, data=data, say=say)
    values |= _divided(loaded, training=training)
    values |= {"damaged": damaged, "channels": loaded.channels}
    study = _study(path, "images.toml", values)
    # Made here to find out whether it works, and which layer Grad-CAM should map.
    classifier = running.untrained(study, loaded, torch.device("cpu"))
    values |= {
        "normalised": not model.startswith(_PYTHON),
        "mean": _rounded(classifier.mean),
        "std": _rounded(classifier.std),
        "layers": _layers(classifier, say=say),
    }
    return _written(path, "images.toml", values)


def of_predictions(name: str, file: Path, *, say: Say) -> list[Path]:
    """Write a study of predictions that were computed elsewhere, and its profile.

    Returns their paths. Raises ``UserError`` for a file that is not valid, and for a study that
    exists.
    """
    path = _place(name)
    values: dict[str, Any] = predicted.columns(file) | {
        "file": _relative(file, folder=path.parent),
        "title": f"Predictions of {file.stem}",
        "named": file.stem,
    }
    found = predicted.read(_study(path, "predictions.toml", values))
    count = len(found.tables["predictions"])
    say(f"{count:,} predictions of {len(found.classes)} classes in {file.name}")
    return _written(path, "predictions.toml", values)


def _place(name: str) -> Path:
    """Return the path of a new study, by its name or from a path that ends in ``.toml``."""
    path = paths.expanded(name).absolute()
    own = path.suffix == ".toml"
    if not NAME.fullmatch(path.stem if own else name):
        raise UserError(
            f"{name[:100]!r} is no name for a study: use letters, digits, '-', '_' and '.'."
        )
    path = path if own else paths.STUDIES / f"{name}.toml"
    for place in (path, _profile(path)):
        if place.exists() or path.stem.casefold() in map(str.casefold, names()):
            raise UserError(
                f"{paths.shown(place)} exists.\nChoose another name, or edit that file."
            )
    return path


def _profile(path: Path) -> Path:
    return paths.ROOT / f"_quarto-{path.stem}.yml"


def _source(images: str, *, folder: Path) -> dict[str, Any]:
    """Return the keys of the source that ``images`` names."""
    if images.startswith(_TORCHVISION):
        return {"source": "torchvision", "dataset": images.removeprefix(_TORCHVISION)}
    if images.startswith(_PYTHON):
        return {"source": "python", "function": images.removeprefix(_PYTHON)}
    path = paths.expanded(images)
    if not path.exists():
        raise UserError(f"--images: there is no {images[:200]!r}; name a folder or an .npz file.")
    source = "folder" if path.is_dir() else "arrays"
    return {"source": source, "path": _relative(path, folder=folder)}


def _relative(path: Path, *, folder: Path) -> str:
    """Return a path as a study in ``folder`` names it: whole, unless it lies below."""
    whole = paths.expanded(path).resolve()
    below = whole.is_relative_to(folder.resolve())
    return (whole.relative_to(folder.resolve()) if below else whole).as_posix()


def _named(images: str) -> str:
    return images.rpartition(":")[2] if ":" in images[2:] else Path(images).resolve().stem


def _input_size(model: str) -> int:
    """Return the input size of a timm model. Raises ``UserError`` for one that timm has not."""
    from analysis.networks import classifier

    return _SIZE if model.startswith(_PYTHON) else classifier.input_size(model)


def _loaded(path: Path, values: dict[str, Any], *, data: Path, say: Say) -> tuple[Images, bool]:
    """Return the images, and whether some files of them cannot be read."""
    from analysis import images as sources

    try:
        found, damaged = sources.read(_study(path, "images.toml", values), data), False
    except UserError:
        if values["source"]["source"] != "folder":
            raise
        # Without the files that cannot be read, if that is what was wrong.
        skipping = _study(path, "images.toml", values | {"damaged": True})
        found, damaged = sources.read(skipping, data), True
    for note in found.notes:
        say(note)
    return found, damaged


def _divided(images: Images, *, training: bool) -> dict[str, Any]:
    """Return which images to train on and which to evaluate."""
    counts = Counter(images.split.tolist())
    train = next((name for name in _TRAINED if name in counts), None)
    evaluate = next((name for name in _EVALUATED if name in counts), None)
    whole = training and (train is None or evaluate is None)
    listed = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
    return {
        "found": f"{len(images.classes):,} classes; images: {listed}",
        "train": train if training and not whole else None,
        "evaluate": _EVERY if whole or evaluate is None else evaluate,
        "folds": _FOLDS if whole else 1,
    }


def _layers(classifier: Classifier, *, say: Say) -> list[str]:
    from analysis.probes import maps

    try:
        return list(maps.default_layers(classifier))
    except UserError as error:
        say(f"Without Grad-CAM: {error}")
        return []


def _rounded(values: Any) -> list[float]:
    return [round(value, 4) for value in values]


def _study(path: Path, template: str, values: dict[str, Any]) -> Study:
    return read(_filled(template, values), name=path.stem, folder=path.parent)


def _written(path: Path, template: str, values: dict[str, Any]) -> list[Path]:
    """Write a study and its profile, if the study is valid."""
    _study(path, template, values)
    contents = {
        path: _filled(template, values),
        _profile(path): _filled("profile.yml", {"name": path.stem}),
    }
    for place, content in contents.items():
        with files.written_whole(place) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(contents)


def _filled(template: str, values: dict[str, Any]) -> str:
    # What is not known yet is left out.
    environment = jinja2.Environment(  # nosec B701  # TOML, and values as JSON
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # A JSON value is a TOML value, but for DEL.
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.get_template(f"{template}.jinja").render(values)
