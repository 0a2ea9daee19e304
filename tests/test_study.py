"""Study files: what they may say, how mistakes are answered, and what identifies a study."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from analysis import claims, study
from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.results import status
from analysis.study import Study, resources
from tests.playground import TINY

Read = Callable[..., Study]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_changed(old: str = "", new: str = "", *, name: str = "tiny") -> Study:
        assert old in TINY
        path = tmp_path / f"{name}.toml"
        path.write_text(TINY.replace(old, new, 1), encoding="utf-8")
        return study.load(path)

    return read_changed


@pytest.mark.parametrize("name", study.names())
def test_every_study_of_the_project_loads_with_its_claims(name: str) -> None:
    loaded = study.load(name)
    assert loaded.name == name and claims.of(loaded).claims
    runs = loaded.runs
    assert len({run.name for run in runs}) == len({run.seed for run in runs}) == len(runs)


def test_runs_are_named_and_seeded_apart(read: Read) -> None:
    loaded = read()
    assert [(run.name, run.seed) for run in loaded.runs] == [("r0f0", 3), ("r1f0", 4)]
    assert read("repeats = 2", "repeats = 5").runs[:2] == loaded.runs


@pytest.mark.parametrize(("name", "expected"), [("svhn-subst", "svhn-subset"), ("dmo", "demo")])
def test_an_unknown_study_is_answered_with_the_nearest(name: str, expected: str) -> None:
    with pytest.raises(UserError, match=f"the nearest is '{expected}'"):
        study.load(name)


@pytest.mark.parametrize(
    "name", ["../demo", "/etc/passwd", "a/b", "", "..", "x" * 5000, "demo\0", "a\nb"]
)
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(UserError) as error:
        study.load(name)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "name", ["con", "NUL", "lpt1.x", "-x", ".hidden", "a b", "x" * 70, "é", "a.", "COM1"]
)
def test_a_file_needs_a_plain_name_on_every_system(read: Read, name: str) -> None:
    with pytest.raises(UserError, match="plain name"):
        read(name=name)


def test_the_name_of_the_file_is_the_only_one(read: Read) -> None:
    with pytest.raises(UserError, match="'name' is the name of the file"):
        read("seed = 3", 'seed = 3\nname = "../../x"')


def test_a_namesake_of_a_study_of_the_project_is_refused(read: Read) -> None:
    for name in ("demo", "Demo", "SVHN-subset"):
        with pytest.raises(UserError, match="has the name of one of the project's studies"):
            read(name=name)
    assert study.load(paths.STUDIES / "demo.toml").name == "demo"


@pytest.mark.parametrize(
    ("old", "new", "key", "likely"),
    [
        ("seed", "sed", "sed", "seed"),
        ("learning_rate", "lerning_rate", "training.lerning_rate", "learning_rate"),
        ("rotation", "rotations", "training.augmentation.rotations", "rotation"),
        ("epochs = 1", "epoch = 1", "training.stages.0.epoch", "epochs"),
        ("sample = 10", "samples = 10", "attacks.samples", "sample"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(
    read: Read, old: str, new: str, key: str, likely: str
) -> None:
    with pytest.raises(UserError) as error:
        read(old, new)
    assert str(error.value) == f"tiny.toml: unknown key {key!r}; the nearest is {likely!r}."


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("seed = 3", "seed = -1", "seed"),
        ("seed = 3", "seed = true", "seed"),
        ("seed = 3", "seed = 10000000000000000000000", "seed"),
        ("repeats = 2", "repeats = 1000000", "repeats"),
        ("show = true", "folds = 100000", "images.folds"),
        ("repeats = 2", "repeats = 10001", "repeats"),
        ("train = 160", "train = true", "images.draw.train"),
        ("train = 160", "train = 99999999999", "images.draw.train"),
        ('"streetdigits"', '"streetdigit"', "images.source"),
        (", draw = { train = 160, test = 60 }", "", "images"),
        ("size = 64 }\nmaps", "size = 100000 }\nmaps", "network.size"),
        ("size = 64 }\nmaps", "size = 64, std = 1e-30 }\nmaps", "network.std"),
        ("size = 64 }\nmaps", "size = 64, mean = nan }\nmaps", "network.mean"),
        ('["layer2.0", "layer1.0"]', '["layer2.0", "layer2.0"]', "maps.layers"),
        ("[0, 0.01, 0.05]", "[0.01, 0.05]", "attacks.epsilons"),
        ("[0, 0.01, 0.05]", "[0, 0.05, 0.01]", "attacks.epsilons"),
        ("[0.02, 0.06]", "[0, 0.06]", "attacks.native_epsilons.0"),
        ("[0, 0.01, 0.05]", "[0, 5e-324, 0.05]", "attacks.epsilons"),
        ("[0, 0.01, 0.05]", "[0, true]", "attacks.epsilons.1"),
        ("[0.02, 0.06]", "[9e-5, 0.06]", "attacks.native_epsilons.0"),
        ("maps =", "corruptions.noise = [1e-300]\nmaps =", "corruptions.noise.0"),
        ("maps =", "corruptions.noise = [1.1]\nmaps =", "corruptions.noise.0"),
        ("maps =", "corruptions.blur = [1e-300]\nmaps =", "corruptions.blur.0"),
        ("maps =", "corruptions.blur = [255]\nmaps =", "corruptions.blur.0"),
        ("maps =", "corruptions.contrast = [255]\nmaps =", "corruptions.contrast.0"),
        ("maps =", "corruptions.contrast = [1e-9]\nmaps =", "corruptions.contrast.0"),
        ("maps =", "corruptions.brightness = [11]\nmaps =", "corruptions.brightness.0"),
        ("maps =", "corruptions.jpeg = [true]\nmaps =", "corruptions.jpeg.0"),
        ("maps =", "corruptions.noise = [0.2, 0.1]\nmaps =", "corruptions.noise"),
        ("maps =", "corruptions.blur = [2, 2]\nmaps =", "corruptions.blur"),
        ("maps =", "corruptions.contrast = [0.2, 0.8]\nmaps =", "corruptions.contrast"),
        ("maps =", "corruptions.brightness = [0.5, 1.5]\nmaps =", "corruptions.brightness"),
        ("maps =", "corruptions.jpeg = [5, 60]\nmaps =", "corruptions.jpeg"),
        ("resamples = 100", "level = 0.9999999999999999", "bootstrap.level"),
        ("resamples = 100", "resamples = 100, level = 0.99", "bootstrap"),
        ("resamples = 100", "resamples = 1999, level = 0.999", "bootstrap"),
        ("resamples = 100", "level = true", "bootstrap.level"),
        ("2e-3", "true", "training.learning_rate"),
        ("2e-3", '"2e-3"', "training.learning_rate"),
        ("averaging = 0.9", 'averaging = "0.9"', "training.averaging"),
        ("averaging = 0.9", 'weight_decay = "0.5"', "training.weight_decay"),
        ("show = true", 'show = "yes"', "images.show"),
        ("show = true", "show = 1", "images.show"),
        ("show = true", 'sequence = "true"', "images.sequence"),
        ("show = true", "channels = true", "images.channels"),
        ("show = true", "channels = 1.0", "images.channels"),
        ("show = true", "folds = 1.0", "images.folds"),
        ("size = 64 }\nmaps", 'size = 64, mean = "0.5" }\nmaps', "network.mean"),
        ("size = 64 }\nmaps", "size = 64, std = [true] }\nmaps", "network.std"),
        ("seed = 3", "seed = 0x" + "f" * 4000, "seed"),
        ("seed = 3", "seed = [[[[[[[[[[1]]]]]]]]]]", "seed"),
        ("resamples = 100", "resamples = 10", "bootstrap.resamples"),
        ("resamples = 100", "resamples = 10000000000", "bootstrap.resamples"),
        ("2e-3", "inf", "training.learning_rate"),
        ("2e-3", '"2e-3x"', "training.learning_rate"),
        ("averaging = 0.9", "averaging = 1.0", "training.averaging"),
        ('"A study that takes seconds"', '"A\\u0000study"', "title"),
        ('"A study that takes seconds"', '"' + "x" * 9999 + '"', "title"),
    ],
)
def test_a_value_out_of_range_is_named_in_one_short_line(
    read: Read, old: str, new: str, key: str
) -> None:
    with pytest.raises(UserError) as error:
        read(old, new)
    message = str(error.value)
    assert message.startswith(f"tiny.toml: {key}:") and len(message) < 300
    assert len(message.splitlines()) == 1


def test_corruptions_become_stronger_on_either_side_of_a_factor_of_one(read: Read) -> None:
    given = "corruptions.brightness = [1.25, 0.8, 2, 0.5, 3]\nmaps ="
    assert read("maps =", given).corruptions.brightness == (1.25, 0.8, 2, 0.5, 3)


def test_numbers_that_are_too_many_together(read: Read) -> None:
    many = "repeats = 2", "repeats = 10000"
    assert len(read(*many).runs) == 10_000
    with pytest.raises(UserError, match=r"tiny\.toml: .*more than 50,000 repeats times folds"):
        read(
            'repeats = 2\nimages = { source = "streetdigits", ',
            'repeats = 51\nimages = { source = "streetdigits", folds = 1000, ',
        )
    with pytest.raises(UserError, match=r"tiny\.toml: .*more than 100,000 epochs"):
        read("size = 32, epochs = 1", "size = 32, epochs = 100000")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("train = 160", "train = 10000000", "images.draw"),
        ("size = 64 }\nmaps", "size = 4096 }\nmaps", "network.size"),
        ("batch_size = 32", "batch_size = 65536", "training.batch_size"),
    ],
)
def test_more_than_the_memory_is_refused_before_any_work(
    read: Read, monkeypatch: pytest.MonkeyPatch, old: str, new: str, key: str
) -> None:
    free = 4_000_000_000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    resources.check(read())
    resources.check_images(read(), images=10_000, groups=10_000, classes=10)
    with pytest.raises(UserError, match=rf"tiny\.toml: {key}: this needs more than [\d.,]+ GB"):
        resources.check(read(old, new))


@pytest.mark.parametrize(
    ("images", "classes", "key"),
    [(1_000_000, 1000, "images"), (9_000_000, 2, "bootstrap.resamples")],
)
def test_what_many_images_need_is_compared_with_the_memory(
    read: Read, monkeypatch: pytest.MonkeyPatch, images: int, classes: int, key: str
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * 10**9))
    with pytest.raises(UserError, match=rf"tiny\.toml: {key}: this needs more than"):
        resources.check_images(read(), images=images, groups=images, classes=classes)


@pytest.mark.parametrize(
    "content",
    [
        b"title = ",
        b"\xff\xfe",
        b"a = " + b"9" * 5000,
        b"a = " + b"[" * 3000 + b"]" * 3000,
        b"a = " + b"[" * 100 + b"]" * 100,
        b"title" + b".a" * 3000 + b" = 1",
        b"a" + b".a" * 20_000 + b" = 1",
        b"a" + b" . 'a' .\t\"a\"" * 15 + b" = 1",
        b"[" + b"a." * 5000 + b"a]",
        b"a = {" + b"a." * 5000 + b"a = 1}",
        b"a = " + b"{a = " * 100 + b"1" + b"}" * 100,
        b"[a.a.a.a.a.a.a.a.a.a.a]\nb = {c.c.c.c.c.c.c.c.c.c.c = [[1]]}",
        b"seed = " + b"0x" + b"f" * 200,
        b"claim = [{ a = 0x" + b"f" * 4000 + b" }]",
        b"a = '" + b"x" * 250_000 + b"'",
        b"".join(b"[a%d.b.c.d.e]\n" % number for number in range(15_000)),
        b"\n" * 400_000,
    ],
    ids=range(17),
)
def test_a_file_that_cannot_be_read_as_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"odd\.toml") as error:
        begin = time.process_time()
        study.load(path)
    assert len(str(error.value)) < 300 and time.process_time() - begin < 2


def test_a_file_may_begin_as_windows_writes_it(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TINY.replace("\n", "\r\n").encode())
    assert study.load(path).content("training") == read().content("training")


def test_a_number_may_be_whole_and_a_text_may_have_dots(read: Read) -> None:
    assert read("learning_rate = 2e-3", "learning_rate = 1").training.learning_rate == 1.0
    assert read("A study that", "1.2.3.4.5.6.7. … A study. That.").title.endswith("seconds")
    bounds = read("resamples = 100", "resamples = 2000, level = 0.999").bootstrap
    assert (bounds.resamples, bounds.level) == (2000, 0.999)


def test_a_missing_key_is_named(read: Read) -> None:
    with pytest.raises(UserError, match="'title' is missing"):
        read('title = "A study that takes seconds"\n', "")


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("learning_rate = 2e-3", "learning_rate = 1e-3", {"training"}),
        ("seed = 3", "seed = 4", {"training", *status.ANALYSES}),
        ("test = 60", "test = 61", {"training", *status.ANALYSES}),
        ('"layer2.0", "layer1.0"', '"layer2.0"', {"maps"}),
        ("steps = 2", "steps = 3", {"attacks", "controls"}),
        ("repeats = 2", "repeats = 3", set()),
        ("resamples = 100", "resamples = 200", set()),
        ("A study that", "Another that", set()),
        ("show = true", 'show = false, noun = "digit", sequence = true', set()),
        ("precision", "precision", set()),
    ],
)
def test_each_step_depends_on_its_own_part_of_a_study(
    read: Read, old: str, new: str, touched: set[str]
) -> None:
    if old == "precision":
        # A default that is written out is no change.
        old, new = "batch_size = 32", 'batch_size = 32\nprecision = "float32"'
    first, second = read(), read(old, new)

    def digests(of: Study) -> dict[str, str]:
        analyses = {
            name: status.analysis_digest(of, name, weights="0" * 64) for name in status.ANALYSES
        }
        return {"training": status.training_digest(of), **analyses}

    before, after = digests(first), digests(second)
    assert {name for name in before if before[name] != after[name]} == touched


def test_the_nearest_name_is_found_at_any_distance() -> None:
    assert nearest("zzz", ["a", "demo"]) in ("a", "demo")
    assert nearest("zzz", []) == ""


IMAGES = 'images = { source = "folder", path = "photos", size = 32 }\n'
NETWORK = 'network = { model = "resnet18", weights = "w.safetensors" }\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (IMAGES, r"either \[network\] or \[predictions\]"),
        (IMAGES + NETWORK + 'predictions = { file = "p.csv" }\n', "either"),
        (IMAGES + NETWORK.replace("w.safetensors", "train"), r"\[training\]"),
        (IMAGES + NETWORK.replace("weights", "start"), r"\[training\]"),
        (IMAGES + NETWORK + "repeats = 2\n", "one repeat and one fold"),
        (IMAGES.replace("size", "folds = 2, size") + NETWORK, "one repeat and one fold"),
        ('predictions = { file = "p.csv" }\nmaps = {}\n', r"predictions alone have no \[maps\]"),
        (IMAGES.replace(', path = "photos"', "") + NETWORK, "source 'folder' needs path"),
        (IMAGES.replace(", size = 32", "") + NETWORK, "source 'folder' needs size"),
        (IMAGES.replace("size", 'dataset = "MNIST", size') + NETWORK, "has no dataset"),
        (IMAGES.replace('"folder"', '"torchvision"') + NETWORK, "needs dataset"),
        (IMAGES + NETWORK.replace("weights", 'start = "x", weights'), "start is for weights"),
        (IMAGES + NETWORK.replace("weights", "std = [0.5, 0], weights"), r"network\.std"),
    ],
)
def test_sections_that_do_not_fit_together(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'title = "Odd"\n{text}', encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        study.load(path)
    assert len(str(error.value).splitlines()) <= 2


def test_a_file_counts_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    def written(name: str, content: bytes | None) -> Study:
        path, weights = tmp_path / name / "same.toml", tmp_path / name / f"{name}.safetensors"
        path.parent.mkdir()
        path.write_text('title = "S"\n' + IMAGES + NETWORK.replace("w.", f"{name}."), "utf-8")
        if content is not None:
            weights.write_bytes(content)
        return study.load(path)

    one, same, other = written("a", b"1"), written("b", b"1"), written("c", b"2")
    digests = [status.training_digest(each) for each in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    # Where the file is not at hand, the recorded content counts.
    recorded = status.contents(one, status.TRAINED_FROM)
    assert status.training_digest(written("d", None), recorded) == digests[0]


def test_a_relative_path_starts_from_the_study_or_else_from_the_data(tmp_path: Path) -> None:
    path, data = tmp_path / "mine" / "own.toml", tmp_path / "data"
    for folder, names in {path.parent: "both", data: "both there"}.items():
        folder.mkdir()
        for name in names.split():
            (folder / name).touch()
    path.write_text('title = "S"\n' + IMAGES + NETWORK, "utf-8")
    # The home of nobody is no home.
    assert study.load(path).located("~nosuchuser/x", data=data) == data / "~nosuchuser/x"
    found = study.load(path, data=data)
    assert [found.located(name) for name in ("both", "there")] == [
        path.with_name("both"),
        data / "there",
    ]
