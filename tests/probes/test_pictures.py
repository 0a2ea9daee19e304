"""Which single images are shown, and what is drawn of them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from PIL import Image

from analysis import study as studies
from analysis.images import Images, batches, load
from analysis.networks.classifier import Classifier
from analysis.probes import pictures as drawing
from analysis.probes.attacks import art_classifier
from analysis.probes.gradcam import grad_cam
from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results import pictures
from analysis.results.store import Derived, Store, derived
from tests.conftest import CPU
from tests.playground import Playground

EPSILON = 0.015


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


# ------------------------------------------------------------------------------ choosing


def made_up(*, images: int = 400, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return made-up predictions of two repeats, the same under attack, and suspects."""
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 10, images)
    clean, attacked = [], []
    for run, wrong in (("r0f0", 0.2), ("r1f0", 0.3)):
        for kind, share in ((clean, wrong), (attacked, 0.6)):
            index = draw.permutation(images)
            missed = draw.random(images) < share
            predicted = (label[index] + missed * draw.integers(1, 4, images)) % 10
            rows = {"run": run, "index": index, "label": label[index], "predicted": predicted}
            kind.append(pd.DataFrame({**rows, "confidence": draw.random(images)}))
    predictions = pd.concat(clean)
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    return predictions, pd.concat(attacked), wrong["index"][wrong["index"].duplicated()]


def test_the_chosen_images_follow_the_rules() -> None:
    predictions, attacked, suspects = made_up()
    chosen = pictures.by_rule(predictions, attacked, suspects)
    # In plain loops, over all rows from the most confident down.
    rows = sorted(predictions.to_dict("records"), key=lambda row: -row["confidence"])
    wrong = [row for row in rows if row["label"] != row["predicted"]]
    counts: dict[tuple[int, int], int] = {}
    for row in wrong:
        pair = (row["label"], row["predicted"])
        counts[pair] = counts.get(pair, 0) + 1
    shown: set[int] = set()
    expected: list[tuple[str, str, int]] = []

    def take(group: str, row: dict) -> None:
        shown.add(row["index"])
        expected.append((group, row["run"], row["index"]))

    for pair in sorted(counts, key=lambda pair: (-counts[pair], pair))[:6]:
        of_pair = [row for row in wrong if (row["label"], row["predicted"]) == pair]
        take("confusion", next(row for row in of_pair if row["index"] not in shown))
    named = set(suspects)
    for group, allowed in (
        ("suspect", [row for row in wrong if row["index"] in named]),
        ("error", wrong),
    ):
        for row in allowed:
            if row["index"] not in shown and sum(one[0] == group for one in expected) < 8:
                take(group, row)
    right = {(r["run"], r["index"]) for r in rows if r["label"] == r["predicted"]}
    labels: set[int] = set()
    for row in sorted(attacked.to_dict("records"), key=lambda row: -row["confidence"]):
        flips = (row["run"], row["index"]) in right and row["predicted"] != row["label"]
        new = row["index"] not in shown and row["label"] not in labels
        if flips and new and len(labels) < 4:
            labels.add(row["label"])
            expected.append(("flipped", row["run"], row["index"]))
    assert list(chosen[["group", "run", "index"]].itertuples(index=False, name=None)) == expected
    assert len(expected) == 6 + 8 + 8 + 4
    assert not chosen["index"].duplicated().any()
    assert len(chosen.merge(predictions)) == len(chosen)
    under = attacked.rename(columns={"predicted": "attacked_predicted"})
    assert len(chosen.merge(under.drop(columns="confidence"))) == len(chosen)


def test_a_network_without_a_fault_has_nothing_to_show() -> None:
    predictions, attacked, suspects = made_up(images=40)
    predictions["predicted"], attacked["predicted"] = predictions["label"], attacked["label"]
    assert pictures.by_rule(predictions, attacked, suspects[:0]).empty


# ------------------------------------------------------------------------------ drawing


def test_panels_are_what_art_and_grad_cam_give(learned: Classifier, digits: Images) -> None:
    # In colour, so that the channels cannot be mixed up, and not square.
    tinted = (digits.pixels[:, 8:24] * np.array([1.0, 0.7, 0.4])).astype(np.uint8)
    images = replace(digits, pixels=tinted)
    (batch,) = batches(images, images.positions("test")[:12], device=CPU)
    predicted, attacked_predicted = torch.arange(12) % 10, torch.arange(12) * 7 % 10
    drawn = drawing.panels(
        learned,
        batch,
        predicted=predicted,
        attacked_predicted=attacked_predicted,
        layer="layer3.0",
        epsilon=EPSILON,
    )
    clean = learned.resize(batch.pixels)
    fgsm = FastGradientMethod(art_classifier(learned), eps=EPSILON, batch_size=12)
    attacked = torch.from_numpy(fgsm.generate(clean.numpy(), batch.labels.numpy()))
    # Cell i of layer3 lies at pixel 16 i of the square input, whose rows are then halved.
    pixels, cells = np.arange(64), 16 * np.arange(4)
    for name, seen, target in (
        ("clean_map", clean, predicted),
        ("attacked_map", attacked, attacked_predicted),
    ):
        maps = grad_cam(learned, seen, layer="layer3.0", target=target).numpy()
        assert [image is None for image in drawn[name]] == [image.max() == 0 for image in maps]
        for content, image in zip(drawn[name], maps, strict=True):
            if content is not None:
                wide = np.array([np.interp(pixels, cells, line) for line in image])
                square = np.array([np.interp(pixels, cells, line) for line in wide.T]).T
                picture = Image.fromarray(square.astype(np.float32))
                large = np.asarray(picture.resize((64, 32), Image.Resampling.BILINEAR))
                veil = decoded(content)
                assert len(np.unique(veil[..., :3].reshape(-1, 3), axis=0)) == 1
                np.testing.assert_allclose(veil[..., 3], 171 * large / large.max(), atol=1.5)
    perturbation = (0.5 + 20 * (attacked - clean)).clamp(0, 1)
    for name, shown in (("attacked", attacked), ("perturbation", perturbation)):
        expected = shown.permute(0, 2, 3, 1) * 255
        found = np.stack([decoded(content) for content in drawn[name]])
        np.testing.assert_allclose(found, expected, atol=0.51)
    assert np.array_equal(np.stack([decoded(one) for one in drawn["clean"]]), tinted[960:972])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_are_grey_or_have_their_first_three_channels(channels: int) -> None:
    pixels = torch.rand(channels, 6, 9, generator=torch.Generator().manual_seed(channels))
    found = decoded(drawing.png(pixels))
    assert found.shape == ((6, 9, 3) if channels >= 3 else (6, 9))
    expected = 255 * (pixels[:3].permute(1, 2, 0) if channels >= 3 else pixels[0])
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_a_map_that_is_zero_everywhere_is_not_drawn() -> None:
    assert drawing.veil(torch.zeros(4, 4), (8, 6)) is None


# ------------------------------------------------------------------------------ of a study


@pytest.fixture
def place(finished: Playground, monkeypatch: pytest.MonkeyPatch) -> Playground:
    """A finished study whose pictures lie with it."""
    monkeypatch.setattr(paths, "pictures", lambda: finished.folder / "pictures")
    return finished


def test_the_chosen_images_are_drawn_and_read_back(place: Playground) -> None:
    study = studies.load(place.study)
    with pytest.raises(pictures.NotDrawn, match="tiny.parquet is missing, damaged, or of other"):
        pictures.read(derived("tiny"))
    file = drawing.draw(study, data=place.folder, device="cpu")
    table = pictures.read(derived("tiny"))
    images, chosen = load(study, place.folder), pictures.choose(Store.open(study))
    assert {"confusion", "error"} <= set(table["group"]) and set(chosen["run"]) == {"r0f0", "r1f0"}
    for column in ("group", "run", "index", "confidence", "attacked_confidence"):
        assert table[column].tolist() == chosen[column].tolist()
    for column in ("label", "predicted", "attacked_predicted"):
        assert table[column].tolist() == [images.classes[n] for n in chosen[column]]
    for row in table.itertuples():
        position = images.positions("test")[row.index]
        assert np.array_equal(decoded(row.clean), images.pixels[position])
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(pictures.NotDrawn, match="missing, damaged"):
        pictures.read(derived("tiny"))
    record = derived("tiny").record.model_copy(update={"inputs": "2" * 64})
    pictures.write(derived("tiny"), table)
    with pytest.raises(pictures.NotDrawn, match=r"of other results of tiny\.\nDraw the pictures"):
        pictures.read(Derived(place.results, record))


def test_what_is_missing_or_not_allowed_is_an_error(
    place: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.load(place.study)
    hidden = study.images.model_copy(update={"show": False})
    for changes, message in (
        ({"images": hidden}, r"must not be shown.*\n.*images\.show"),
        ({"attacks": None}, r"needs \[attacks\] and \[maps\]"),
        ({"name": "empty"}, r"no complete repeat yet.*\n.*analysis run empty"),
    ):
        with pytest.raises(UserError, match=message):
            drawing.draw(study.model_copy(update=changes), data=place.folder)
    place.weights()[0].unlink()
    with pytest.raises(UserError, match=r"is missing.*\n.*FAILURE_MODES_CACHE"):
        drawing.draw(study, data=place.folder, device="cpu")
    monkeypatch.setattr(Images, "digest", lambda self: "9" * 64)
    with pytest.raises(UserError, match=r"not those behind the results of tiny.\n.*--data"):
        drawing.draw(study, data=place.folder, device="cpu")


def test_the_committed_pictures_are_those_that_the_rules_choose() -> None:
    chosen = pictures.choose(Store.open(studies.load("demo")))
    table = pictures.read(derived("demo"))
    assert table[["group", "run", "index"]].equals(chosen[["group", "run", "index"]])
