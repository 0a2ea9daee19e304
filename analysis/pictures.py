"""Pictures of single images: which are shown, by rule, and the file that holds them.

They are of what the cached tables single out, so nothing is picked by eye. The file is drawn by
``analysis.panels``; to read it takes no torch. SVHN is for non-commercial use, and redistribution
is not granted: its pictures lie where nothing is committed or published.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.errors import SchemaError

from analysis import paths
from analysis.errors import UserError
from analysis.files import written_whole
from analysis.results import Results
from analysis.study import CLASSES, Study

# Raised by hand when other images are chosen, or the same ones are drawn otherwise.
VERSION = 1
CONFUSION, SUSPECT, ERROR, FLIPPED = GROUPS = ("confusion", "suspect", "error", "flipped")
# How many images a group shows at most; of confusions one for each of the commonest pairs.
COUNTS = {CONFUSION: 6, SUSPECT: 8, ERROR: 8, FLIPPED: 4}
# How much larger the perturbation is drawn than it is.
MAGNIFICATION = 20
PANELS = ("clean", "perturbation", "attacked", "clean_map", "attacked_map")
DRAWN = ("streetdigits",)
SIGNATURE = b"\x89PNG\r\n\x1a\n"

_IMAGE = ["split", "index"]
_CHOSEN = ["run", *_IMAGE, "label", "predicted", "confidence"]
_RESULTS = b"results"


class NotThere(UserError):
    """There are no pictures of these results, and what to do for some."""


def _png(about: str, *, missing: bool = False) -> pandera.Column:
    starts = pandera.Check(lambda value: value.startswith(SIGNATURE), element_wise=True)
    return pandera.Column(object, starts, nullable=missing, description=about)


def _digit(about: str) -> pandera.Column:
    return pandera.Column("uint8", pandera.Check.in_range(0, CLASSES - 1), description=about)


def _confidence(about: str) -> pandera.Column:
    return pandera.Column("float32", pandera.Check.in_range(0, 1), description=about)


SCHEMA = pandera.DataFrameSchema(
    {
        "group": pandera.Column(str, pandera.Check.isin(GROUPS), description="why it is shown"),
        "run": pandera.Column(str, description="the run whose network looks at it"),
        "split": pandera.Column(str, description="official split of the image"),
        "index": pandera.Column("int32", description="position in the split, from 0"),
        "label": _digit("the digit, as labelled"),
        "predicted": _digit("the digit that it is read as"),
        "confidence": _confidence("softmax probability of that digit"),
        "attacked_predicted": _digit("the digit that it is read as under attack"),
        "attacked_confidence": _confidence("softmax probability of that digit"),
        "epsilon": pandera.Column(
            "float64", pandera.Check.in_range(0, 1), description="size of the perturbation"
        ),
        "clean": _png("the image"),
        "perturbation": _png(
            "what the attack adds at the network's input size, magnified, on grey"
        ),
        "attacked": _png("the image with it at that size, rounded to 8 bits"),
        "clean_map": _png("Grad-CAM of the first layer, to lie over the image", missing=True),
        "attacked_map": _png("the same of the attacked image", missing=True),
    },
    unique=_IMAGE,
    strict=True,
    ordered=True,
    description="pictures of single images, one row an image",
)


def path(study: Study) -> Path:
    """Return where a study's pictures lie: only those of drawn digits are in the repository."""
    if study.data.name in DRAWN:
        return paths.pictures() / f"{study.name}.parquet"
    return paths.local() / study.name / "pictures.parquet"


def choose(
    predictions: pd.DataFrame, attacked: pd.DataFrame, suspects: pd.DataFrame
) -> pd.DataFrame:
    """Return the images to show: group, run, split, index, label, predicted, confidence.

    Of each of the commonest confusions the surest; then candidates for a wrong label, errors, and
    right predictions that the attack of the table ``attacked`` turns into errors, of different
    digits, all the surest first. Each image stands once, in the first group that has it.
    """
    wrong = _surest_first(predictions[predictions["label"] != predictions["predicted"]])
    pairs = wrong.groupby(["label", "predicted"]).size()
    commonest = pairs.sort_values(ascending=False, kind="stable").index[: COUNTS[CONFUSION]]
    candidates = [
        (CONFUSION, wrong[(wrong["label"] == label) & (wrong["predicted"] == predicted)], _IMAGE, 1)
        for label, predicted in commonest
    ]
    suspected = wrong.merge(suspects[["index", "label", "predicted"]])
    candidates += [
        (SUSPECT, suspected, _IMAGE, COUNTS[SUSPECT]),
        (ERROR, wrong, _IMAGE, COUNTS[ERROR]),
        (FLIPPED, _flipped(predictions, attacked), ["label"], COUNTS[FLIPPED]),
    ]
    chosen = wrong.head(0)[_CHOSEN].assign(group="")
    for group, rows, once, count in candidates:
        shown = pd.MultiIndex.from_frame(chosen[_IMAGE])
        new = rows[~pd.MultiIndex.from_frame(rows[_IMAGE]).isin(shown)]
        new = new.drop_duplicates(once).head(count)[_CHOSEN].assign(group=group)
        chosen = pd.concat([chosen, new], ignore_index=True)
    return chosen[["group", *_CHOSEN]]


def _surest_first(rows: pd.DataFrame, by: str = "confidence") -> pd.DataFrame:
    return rows.sort_values([by, "run", "index"], ascending=[False, True, True])


def _flipped(predictions: pd.DataFrame, attacked: pd.DataFrame) -> pd.DataFrame:
    """Return the right predictions that are wrong under attack, the surest of those first."""
    logits = attacked[[f"logit_{digit}" for digit in range(CLASSES)]].to_numpy(np.float64)
    largest = logits.max(axis=1, keepdims=True)
    under = attacked[["run", "index"]].assign(
        taken_for=attacked["predicted"], sure=1 / np.exp(logits - largest).sum(axis=1)
    )
    both = predictions.merge(under, on=["run", "index"], validate="one_to_one")
    right = both["label"] == both["predicted"]
    return _surest_first(both[right & (both["label"] != both["taken_for"])], by="sure")


def of_results(stored: Results) -> pd.DataFrame:
    """Return the images to show of a study's complete repeats. Raises ``UserError``."""
    runs = _runs(stored)
    predictions, attacked = (
        table[table["run"].isin(runs)]
        for table in (stored.table("predictions"), stored.table("attacked"))
    )
    return choose(predictions, attacked, stored.table("suspects"))


def _runs(stored: Results) -> list[str]:
    complete = stored.complete_repeats("controls")
    if not complete or "suspects" not in stored.manifest.derived:
        raise UserError(
            f"{stored.study.name} has no complete repeat yet, so there is nothing to choose from.\n"
            f"Compute one with `python -m analysis run {stored.study.name}`."
        )
    return [run for runs in complete.values() for run in runs]


def digest(stored: Results) -> str:
    """Return the SHA-256 of all that the pictures of a study depend on. Raises ``UserError``."""
    manifest, study = stored.manifest, stored.study
    parts = [str(VERSION), manifest.data_digest, study.saliency.layers[0]]
    parts.append(manifest.derived["suspects"].sha256 if _runs(stored) else "")
    for name in _runs(stored):
        run = manifest.runs[name]
        tables = (run.table("predictions"), run.table("attacked"))
        parts += [name, run.training.weights_sha256, *(entry.sha256 for entry in tables if entry)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def write(stored: Results, table: pd.DataFrame) -> Path:
    """Write the pictures of a study, with the digest of what they are of; return where."""
    SCHEMA.validate(table)
    content = pa.Table.from_pandas(table, preserve_index=False)
    content = content.replace_schema_metadata({_RESULTS: digest(stored).encode()})
    with written_whole(path(stored.study)) as temporary:
        pq.write_table(content, temporary, compression="zstd", compression_level=9)
    return path(stored.study)


def read(stored: Results) -> pd.DataFrame:
    """Return the pictures of a study.

    Raises ``NotThere`` where there are none of these results, ``UserError`` for a damaged file.
    """
    place, name = path(stored.study), stored.study.name
    shown = place.relative_to(paths.ROOT)
    draw = f"Draw them with `python -m analysis pictures {name}`."
    if not place.is_file():
        raise NotThere(f"There are no pictures of {name} in `{shown}` yet.\n{draw}")
    try:
        content = pq.read_table(place)
        table = content.to_pandas()
        SCHEMA.validate(table)
    except (pa.ArrowException, OSError, SchemaError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"{shown} is truncated or altered: {reason}\n{draw}") from None
    if (content.schema.metadata or {}).get(_RESULTS, b"").decode() != digest(stored):
        raise NotThere(f"The pictures in `{shown}` are of other results of {name}.\n{draw}")
    return table
