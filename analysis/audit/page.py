"""Write a page that shows images one at a time and saves what a reader saw on them as CSV.

Suspected labels come in random order among as many other images. Neither the page nor the file that
it saves says which is which, nor what the label or the prediction is.
"""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from analysis import images as sources
from analysis.images import Images
from analysis.project import files, paths
from analysis.project.errors import UserError
from analysis.results.store import derived
from analysis.study import Study

_HERE = Path(__file__).parent


def write(study: Study, *, data: Path, out: Path | None = None) -> Path:
    """Write the audit page of a study to ``out``, by default ``build/audit/<study>.html``.

    Raises ``UserError`` if nothing is derived yet, if no label is suspected, or if the images are
    not those of the results.
    """
    results = derived(study.name)
    suspected = results.table("suspects")["index"].to_numpy()
    if not len(suspected):
        raise UserError(f"{study.name} has no suspected label, so there is nothing to read.")
    images = sources.load(study, data)
    if results.record.images != images.digest():
        raise UserError(
            f"The images are not those behind the results of {study.name}.\n"
            "Restore the data, or name its folder with --data."
        )
    evaluated = images.positions(study.images.evaluate)
    chosen = choose(images.index[evaluated], suspected, seed=study.seed)
    path = out or paths.ROOT / "build" / "audit" / f"{study.name}.html"
    with files.written_whole(path) as temporary:
        temporary.write_text(render(study, images, evaluated[chosen]), encoding="utf-8")
    return path


def choose(index: np.ndarray, suspected: np.ndarray, *, seed: int) -> np.ndarray:
    """Return where suspects and as many other images lie in ``index`` (N,), in random order.

    There are fewer others where not enough images are left.
    """
    generator = np.random.default_rng([seed, 4])
    suspects = np.flatnonzero(np.isin(index, suspected))
    others = np.setdiff1d(np.arange(len(index)), suspects)
    size = min(len(suspects), len(others))
    controls = generator.choice(others, size=size, replace=False)
    return generator.permutation(np.concatenate([suspects, controls]))


def render(study: Study, images: Images, positions: np.ndarray) -> str:
    """Return the page that shows the images at some positions, in this order, as one HTML file."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
    )
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    content = {
        "study": study.name,
        "noun": study.images.noun,
        # Progress is kept for these images and for no others.
        "images": images.digest()[:12],
        "classes": images.classes,
        "pictures": [
            {"index": int(images.index[position]), "png": _png(images.pixels[position])}
            for position in positions
        ],
    }
    # Files of this project.
    trusted = {"style": Markup(style), "script": Markup(script)}  # nosec B704
    return environment.get_template("page.html").render(
        study=study,
        content=content,
        **trusted,
        policy=f"default-src 'none'; img-src data:; style-src {_source(style)}; "
        f"script-src {_source(script)}; base-uri 'none'; form-action 'none'",
    )


def _source(text: str) -> str:
    """Return how a content security policy allows one inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _png(pixels: np.ndarray) -> str:
    """Return pixels, uint8 (height, width, 3), as the Base64 of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
