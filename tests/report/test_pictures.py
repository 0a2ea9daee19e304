"""Single images in the paper: what is said of them, and on whose pages there are none."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pandas as pd
import pytest
import typst
from PIL import Image

from analysis.inference.pictures import _COLUMNS as COLUMNS
from analysis.inference.pictures import _TYPES as TYPES
from analysis.project.errors import UserError
from analysis.results import pictures
from analysis.results.store import Derived
from report.numbers.results import Results
from report.page import Execution
from report.pictures import GROUPS, Pictures
from tests.report.conftest import HOSTILE

TERMS = "SVHN (Netzer et al. 2011), for non-commercial use"


def file(kind: str = "PNG", side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (9, 99, 200)).save(buffer, kind)
    return buffer.getvalue()


CLEAN, PHOTO = file(), file("JPEG", 80)
ROWS = [
    # group, index, label, predicted, confidence, attacked as, its confidence, slice
    ("example", 3, "3", "3", 0.871, "8", 0.99996, ""),
    ("confusion", 7, "3", "5", 0.52, "", float("nan"), ""),
    ("confusion", 8, "3", "5", 0.5, "", float("nan"), ""),
    ("suspect", 9, "4", "9", 0.996, "", float("nan"), ""),
    ("slice", 11, "1", "7", 0.6, "", float("nan"), "place: middle"),
    ("pair", 20, "1", "1", 0.6, "1", 0.4, ""),
]


def chosen(rows: list[tuple] = ROWS) -> pd.DataFrame:
    names = ["group", "index", "label", "predicted", "confidence"]
    names += ["attacked_predicted", "attacked_confidence", "slice"]
    table = pd.DataFrame(rows, columns=names).assign(run="r0f0", place=range(len(rows)))
    table["side"] = ["left" if group == "pair" else "" for group in table["group"]]
    return table[COLUMNS].astype(TYPES)


class Made(Derived):
    """Results whose tables are given."""

    def __init__(self, derived: Derived, tables: dict[str, pd.DataFrame]) -> None:
        super().__init__(derived.folder, derived.record)
        object.__setattr__(self, "_tables", tables)

    def __contains__(self, table: str) -> bool:
        return table in self._tables or super().__contains__(table)

    def table(self, name: str) -> pd.DataFrame:
        return self._tables[name] if name in self._tables else super().table(name)


Drawn = Callable[..., Pictures]


@pytest.fixture
def drawn(papers, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Return a function that opens made-up pictures which lie in a file."""

    def opened(
        rows: list[tuple] = ROWS,
        *,
        execution: Execution = Execution(print=False, study="made"),  # noqa: B008
        show: bool = True,
        terms: str = TERMS,
        audit: bool = True,
        **panels: bytes | None,
    ) -> Pictures:
        monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
        base = papers().derived
        tables = {"pictures": chosen(rows)}
        if audit:
            seen = {"index": [9], "label": ["4"], "predicted": ["9"], "rule": ["confident"]}
            tables["audit"] = pd.DataFrame({**seen, "readings": ["9|4"], "agreed": ["other"]})

        def study(**changes: object) -> Made:
            images = base.study.images.model_copy(update={"terms": terms, **changes})
            changed = base.study.model_copy(update={"images": images})
            record = base.record.model_copy(update={"study": changed})
            return Made(Derived(base.folder, record), tables)

        table = tables["pictures"][["group", "index"]]
        given = dict.fromkeys(pictures.PANELS, CLEAN) | panels
        content = {name: [value] * len(table) for name, value in given.items()}
        pictures.write(study(show=True), table.assign(**content))
        return Pictures(Results(study(show=show)), execution)

    return opened


def test_every_crop_says_label_prediction_and_confidence(drawn: Drawn) -> None:
    found = drawn()
    assert "labelled 3, read as 5 (52%)" in found.confusions
    assert found.confusions.count("<img") == 2
    assert "labelled 4, read as 9 (over 99%); readers: 9, 4<" in found.suspects
    assert "Errors of the worst slice, place: middle" in found.worst
    assert "readers" not in drawn(audit=False).suspects
    for block in (found.confusions, found.suspects, found.worst):
        assert block.startswith("```{=html}\n") and block.count('class="pixelated"') >= 1
        alts = re.findall(r'alt="([^"]*)"', block)
        assert alts and all(alt.startswith("an image labelled ") for alt in alts)


def test_an_example_has_five_panels_with_headings_and_texts(drawn: Drawn) -> None:
    block = drawn().examples
    heads = re.findall(r'<b class="kind">([^<]*)</b>', block)
    assert heads == [
        "clean",
        "perturbation ×20",
        "attacked",
        "evidence (Grad-CAM)",
        "evidence under attack",
    ]
    assert re.findall(r"<span>([^<]*)</span>", block) == [
        "read as 3 (87%)",
        "",
        "read as 8 (over 99%)",
        "",
        "",
    ]
    assert len(set(re.findall(r'alt="([^"]+)"', block))) == 5
    empty = drawn(attacked_map=None).examples
    assert "zero everywhere" in empty and empty.count("<img") == 4


def test_photos_are_not_drawn_in_squares(drawn: Drawn) -> None:
    block = drawn(clean=PHOTO).confusions
    assert "data:image/jpeg;base64," in block and "pixelated" not in block


def test_rules_are_sentences_with_the_numbers_that_are_shown(drawn: Drawn) -> None:
    found = drawn()
    rules = {name: found.rule(name) for name in GROUPS}
    assert all(
        re.search(r"\\\.$", rule) and len(rule.split("\\. ")) <= 2 for rule in rules.values()
    )
    assert "of the commonest confusion\\, at most two" in rules["confusions"]
    assert rules["worst"].startswith("One error\\, drawn at random") and "middle" in rules["worst"]
    assert found.terms == "Images\\: SVHN \\(Netzer et al\\. 2011\\)\\, for non\\-commercial use\\."
    assert drawn(terms="").terms == ""
    with pytest.raises(UserError, match="the nearest is 'examples'"):
        found.rule("exmaples")


def test_what_is_not_there_is_empty(drawn: Drawn) -> None:
    found = drawn(ROWS[1:2])
    assert found.has("confusions") and not found.has("examples")
    assert found.examples == found.rule("examples") == found.suspects == found.worst == ""


def test_nothing_is_shown_of_a_study_that_does_not_allow_it(drawn: Drawn) -> None:
    found = drawn(show=False)
    assert "must not be shown" in found.note.replace("\\", "")
    blocks = found.examples, found.confusions, found.suspects, found.worst, found.terms
    assert set(blocks) == {""} and not any(found.has(name) for name in GROUPS)


def test_without_a_file_the_note_says_how_to_draw(papers, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    paper = papers()
    images = paper.derived.study.images.model_copy(update={"show": True})
    study = paper.derived.study.model_copy(update={"images": images})
    record = paper.derived.record.model_copy(update={"study": study})
    made = Made(Derived(paper.derived.folder, record), {"pictures": chosen()})
    note = Pictures(Results(made), Execution(print=False, study="made")).note
    assert "analysis pictures made" in note.replace("\\", "")


def hostile(text: str) -> list[tuple]:
    return [(group, i, text, text, c, text, a, text) for group, i, _, _, c, _, a, _ in ROWS]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text_on_the_web(drawn: Drawn, text: str) -> None:
    found = drawn(hostile(text))
    for block in (found.examples, found.confusions, found.suspects, found.worst):
        assert "<script" not in block and "{{<" not in block and block.count("\n```") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text_in_print(drawn: Drawn, text: str) -> None:
    found = drawn(hostile(text), execution=Execution(print=True, study="made"))
    for block in (found.examples, found.confusions, found.suspects, found.worst):
        assert block.startswith("```{=typst}\n") and block.count("\n```") == 1
        source = block.removeprefix("```{=typst}\n").removesuffix("\n```")
        pdf = typst.compile(source.encode(), format="pdf")
        assert pdf.startswith(b"%PDF") and b"/Image" in pdf


def test_formats_with_files_have_them_by_name(drawn: Drawn, tmp_path) -> None:
    folder = tmp_path / "index_files" / "figure-docx"
    execution = Execution(print=True, study="made", images=folder)
    block = drawn(clean=PHOTO, execution=execution).confusions
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusions-0-0.jpg",
        "confusions-0-1.jpg",
    ]
    assert "index_files/figure-docx/confusions-0-1.jpg" in block and "read as 5" in block
