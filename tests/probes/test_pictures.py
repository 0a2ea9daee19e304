"""What is drawn of single images, and when."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from PIL import Image

from analysis import pipeline
from analysis import study as studies
from analysis.images import Images, batches, load
from analysis.inference import pictures as choosing
from analysis.networks.classifier import Classifier
from analysis.probes import pictures as drawing
from analysis.probes.attacks import art_classifier
from analysis.probes.gradcam import grad_cam
from analysis.project.errors import UserError
from analysis.results import pictures
from analysis.results.schemas import EXAMPLE, PAIR
from analysis.results.store import derived
from tests.conftest import CPU
from tests.playground import Playground

EPSILON = 0.015


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


# ------------------------------------------------------------------------------ drawing


def test_panels_are_what_art_and_grad_cam_give(learned: Classifier, digits: Images) -> None:
    # In colour, so that the channels cannot be mixed up, and not square.
    tinted = (digits.pixels[:, 8:24] * np.array([1.0, 0.7, 0.4])).astype(np.uint8)
    images = replace(digits, pixels=tinted)
    (batch,) = batches(images, images.positions("test")[:12], device=CPU)
    clean, moved = drawing.attack(learned, batch, epsilon=EPSILON)
    drawn = drawing.panels(batch, clean, moved)
    assert torch.equal(clean, learned.resize(batch.pixels))
    fgsm = FastGradientMethod(art_classifier(learned), eps=EPSILON, batch_size=12)
    attacked = torch.from_numpy(fgsm.generate(clean.numpy(), batch.labels.numpy()))
    perturbation = (0.5 + 20 * (attacked - clean)).clamp(0, 1)
    for name, shown in (("attacked", attacked), ("perturbation", perturbation)):
        expected = shown.permute(0, 2, 3, 1) * 255
        found = np.stack([decoded(content) for content in drawn[name]])
        np.testing.assert_allclose(found, expected, atol=0.51)
    assert np.array_equal(np.stack([decoded(one) for one in drawn["clean"]]), tinted[960:972])
    # Cell i of layer3 lies at pixel 16 i of the square input, whose rows are then halved.
    pixels, cells = np.arange(64), 16 * np.arange(4)
    target = torch.arange(12) % 10
    veils = drawing.maps(learned, batch, clean, layer="layer3.0", target=target)
    for content, image, photo in zip(
        veils,
        grad_cam(learned, clean, layer="layer3.0", target=target).numpy(),
        drawn["clean"],
        strict=True,
    ):
        assert (content is None) == (image.max() == 0)
        if content is not None:
            wide = np.array([np.interp(pixels, cells, line) for line in image])
            square = np.array([np.interp(pixels, cells, line) for line in wide.T]).T
            picture = Image.fromarray(square.astype(np.float32))
            large = np.asarray(picture.resize((64, 32), Image.Resampling.BILINEAR))
            share = 0.67 * (large / large.max())[..., None]
            grey = Image.open(io.BytesIO(photo)).convert("L").resize((64, 32), 2)
            expected = share * (255, 115, 0) + (1 - share) * np.asarray(grey)[..., None]
            np.testing.assert_allclose(decoded(content), expected, atol=2)


def test_pairs_keep_every_level_and_as_many_as_there_is_room_for(
    learned: Classifier, digits: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    (batch,) = batches(digits, digits.positions("test")[:3], device=CPU)
    clean, moved = drawing.attack(learned, batch, epsilon=EPSILON)
    drawn = drawing.pairs(clean, moved)
    for name, shown in (("clean", clean), ("attacked", moved)):
        levels = (shown.permute(0, 2, 3, 1) * 255).round().numpy()
        assert np.array_equal(np.stack([decoded(one) for one in drawn[name]]), levels)
    sizes = [len(a) + len(b) for a, b in zip(drawn["clean"], drawn["attacked"], strict=True)]
    monkeypatch.setattr(drawing, "_ROOM_FOR_PAIRS", sum(sizes[:2]))
    fewer = drawing.pairs(clean, moved)
    assert fewer["clean"] == [*drawn["clean"][:2], None]
    assert fewer["attacked"] == [*drawn["attacked"][:2], None]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_are_grey_or_have_their_first_three_channels(channels: int) -> None:
    pixels = torch.rand(channels, 6, 9, generator=torch.Generator().manual_seed(channels))
    found = np.asarray(drawing.photo(pixels))
    assert found.shape == ((6, 9, 3) if channels >= 3 else (6, 9))
    expected = 255 * (pixels[:3].permute(1, 2, 0) if channels >= 3 else pixels[0])
    np.testing.assert_allclose(found, expected, atol=0.51)


@pytest.mark.parametrize("given, panel", [(32, 64), (64, 64), (96, 96), (300, 128)])
def test_no_panel_is_larger_than_a_thumbnail_or_the_image_as_given(given: int, panel: int) -> None:
    noise = torch.rand(1, 3, given, given, generator=torch.Generator().manual_seed(0))
    (batch,) = [drawing.Batch(noise, torch.tensor([0]), np.array([0]), np.array([0]))]
    large = torch.rand(1, 3, 128, 128)
    (content,) = drawing.panels(batch, large, large)["attacked"]
    assert decoded(content).shape[:2] == (panel, panel)
    # Thumbnails are as they are; photos are compressed.
    assert (Image.open(io.BytesIO(content)).format == "PNG") == (panel <= 64)


def test_a_map_that_is_zero_everywhere_is_not_drawn() -> None:
    assert drawing.explained(Image.new("RGB", (6, 8)), torch.zeros(4, 4), (8, 6)) is None


# ------------------------------------------------------------------------------ of a study


def test_a_run_draws_the_chosen_images_at_its_end(finished: Playground) -> None:
    study, results = studies.load(finished.study), derived("tiny")
    chosen, table = results.table("pictures"), pictures.read(results)
    images = load(study, finished.folder)
    assert {EXAMPLE, "confusion", PAIR} <= set(table["group"])
    pd.testing.assert_frame_equal(table[list(chosen)], chosen)
    assert set(table.loc[table["group"].isin([EXAMPLE, PAIR]), "run"]) == {"r0f0"}
    for row in table.itertuples():
        if row.group != PAIR:
            position = images.positions("test")[row.index]
            assert np.array_equal(decoded(row.clean), images.pixels[position])
        assert (row.attacked is not None) == (row.group in (EXAMPLE, PAIR))
        assert (row.perturbation is not None) == (row.group == EXAMPLE)
    assert pictures.path("tiny").parent == finished.folder / "pictures"
    assert pictures.path("tiny").stat().st_size < 500_000


def test_pictures_belong_to_their_results_and_to_no_claim(finished: Playground) -> None:
    file, results = pictures.path("tiny"), derived("tiny")
    # What a claim says has nothing to do with them; what is chosen and attacked has.
    record = results.record.model_copy(update={"inputs": "2" * 64, "introduction": "x"})
    assert pictures.are_drawn(replace(results, record=record))
    attacks = results.study.attacks.model_copy(update={"logits_epsilon": 0.02})
    study = results.study.model_copy(update={"attacks": attacks})
    other = replace(results, record=record.model_copy(update={"study": study}))
    with pytest.raises(pictures.NotDrawn, match=r"of other results of tiny\.\nDraw the pictures"):
        pictures.read(other)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(pictures.NotDrawn, match="missing, damaged"):
        pictures.read(results)


def run(place: Playground) -> list[str]:
    said: list[str] = []
    study = studies.load(place.study)
    pipeline.run(study, data=place.folder, device="cpu", say=said.append)
    return said


def test_without_weights_what_takes_none_is_drawn(finished: Playground) -> None:
    before, groups = pictures.read(derived("tiny")), ("confusion", "suspect", "slice")
    pictures.path("tiny").unlink()
    finished.weights()[0].unlink()
    said = run(finished)
    assert "no weights here, so no attack is drawn" in said[-2] and "are drawn, in" in said[-1]
    after = pictures.read(derived("tiny"))
    expected = before[before["group"].isin(groups)].reset_index(drop=True)
    pd.testing.assert_frame_equal(after, expected)


def test_a_failure_to_draw_is_a_line(finished: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("no\nmemory")

    pictures.path("tiny").unlink()
    monkeypatch.setattr(drawing, "draw", fails)
    assert run(finished)[-1] == "tiny: no pictures are drawn. RuntimeError: no memory"
    assert not pictures.path("tiny").exists()


def test_a_study_that_allows_none_has_none(finished: Playground) -> None:
    finished.edit("show = true", "show = false")
    run(finished)
    results = derived("tiny")
    assert "pictures" not in results
    with pytest.raises(UserError, match=r"must not be shown.*\n.*images\.show"):
        pictures.read(results)
    with pytest.raises(UserError, match=r"must not be shown.*\n.*images\.show"):
        drawing.draw(studies.load(finished.study), data=finished.folder)


def test_other_images_and_weights_are_refused(
    finished: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.load(finished.study)
    first, second = finished.weights()
    first.write_bytes(second.read_bytes())
    with pytest.raises(UserError, match="other weights than those behind the results"):
        drawing.draw(study, data=finished.folder, device="cpu")
    monkeypatch.setattr(Images, "digest", lambda self: "9" * 64)
    with pytest.raises(UserError, match=r"not those behind the results of tiny.\n.*--data"):
        drawing.draw(study, data=finished.folder, device="cpu")
    with pytest.raises(UserError, match=r"no complete repeat yet.*\n.*analysis run empty"):
        drawing.draw(study.model_copy(update={"name": "empty"}), data=finished.folder)


@pytest.mark.parametrize("name", [name for name in studies.names() if name != "svhn"])
def test_committed_pictures_are_few_and_of_the_committed_results(name: str) -> None:
    if not pictures.path(name).is_file():
        pytest.skip(f"{name} has no committed pictures")
    table = pictures.read(derived(name))
    assert 0 < len(table) < 50 and pictures.path(name).stat().st_size < 500_000
    assert studies.load(name).images.terms
    assert (table.groupby("group").size() <= choosing.PAIRS).all()
