"""The page on annotation tools, run as it stands on small made-up exports (`exports/`) in the tools' own formats."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from polyhead.cli.main import main
from polyhead.data.corpora import open_file
from polyhead.data.guess_layout import look
from polyhead.data.layouts import parse_layout
from polyhead.data.tasks import TASKS

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs" / "annotation_tools.md").read_text(encoding="utf-8")
MIA = (("Mia", "Kern", "moved", "to", "Bonn", "."), ("B-PER", "I-PER", "O", "O", "B-LOC", "O"))
RAIN = (("It", "rains", "."), ("O", "O", "O"))


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the recipe uses of spaCy, which is not installed for tests."""

    def doc(sentences: list[tuple], marked: bool) -> SimpleNamespace:
        def token(word: str, tag: str) -> SimpleNamespace:
            return SimpleNamespace(text=word, ent_iob_=tag[0], ent_type_=tag[2:], is_space=not word.strip())

        found = [[token(word, tag) for word, tag in zip(*one, strict=True)] for one in sentences]
        return type("Doc", (list,), {"sents": found, "has_annotation": lambda self, name: marked})(chain(*found))

    class DocBin:
        def from_disk(self, path: str) -> "DocBin":
            return self

        def get_docs(self, vocab: object) -> list[SimpleNamespace]:
            spaced = (("\n", *RAIN[0]), ("O", *RAIN[1]))
            return [doc([MIA, spaced], True), doc([RAIN], False), doc([(("\n",), ("O",))], False)]

    spacy, tokens = ModuleType("spacy"), ModuleType("spacy.tokens")
    spacy.blank = lambda language: SimpleNamespace(vocab=None)  # type: ignore[attr-defined]
    tokens.DocBin = DocBin  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setitem(sys.modules, "spacy.tokens", tokens)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The folder in which the page's Python has run; the call gives what it printed."""
    shutil.copytree(HERE / "exports", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    stand_in(monkeypatch)
    code = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    exec(compile("\n".join(code), "annotation_tools.md", "exec"), {})
    return lambda: capsys.readouterr().out


def sentences(path: str, columns: str, scheme: str | None = "iob2") -> list[tuple]:
    layout = parse_layout(columns, scheme=scheme)
    return [(one.words, one.labels) for one in open_file(path, TASKS["ner"], "dev", language="und", columns=layout)]


def test_recipes_write_what_the_tools_marked(folder: Callable[[], str]) -> None:
    bonn = (("🙂", "Bonn"), ("O", "B-LOC"))
    assert sentences("from-labelstudio.jsonl", "jsonl") == [MIA, RAIN, bonn, bonn], "offsets in both units"
    assert sentences("from-brat.jsonl", "jsonl") == [MIA, RAIN]
    assert sentences("from-spacy.jsonl", "jsonl") == [MIA, RAIN, RAIN]
    found = sentences("from-doccano.jsonl", "jsonl")
    assert found[0] == MIA
    assert [pair for pair in zip(*found[1], strict=True) if pair[1] != "O"] == [
        ("brother", "B-ROLE"),
        ("Ulm", "B-LOC"),
        ("'", "I-LOC"),
        ("s", "I-LOC"),
    ]
    assert [len(word) for word in found[2][0]] == [3, 7, 3, 1], "vowel signs divide no word"


def test_recipes_report_what_they_change(folder: Callable[[], str]) -> None:
    assert folder().splitlines() == [
        "doccano.jsonl:2: span that begins or ends inside a word, widened to the whole word",
        "brat/note.ann: T3 left out: a span in several parts or lines",
    ]


def test_layouts_read_the_exports_of_tools_that_count_words(folder: Callable[[], str]) -> None:
    assert sentences("prodigy.jsonl", "prodigy", None) == [MIA, RAIN]
    assert sentences("gliner.json", "gliner", None) == [MIA, RAIN]
    assert sentences("labelstudio.conll", "space:token=1,tag=4")[0][0][-1] == "Bonn."


def test_the_commands_of_the_page_run_and_guess_what_it_says(folder: Callable[[], str]) -> None:
    commands = [
        line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]
    assert len(commands) == 7
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    for path, columns in (("prodigy.jsonl", "prodigy"), ("gliner.json", "gliner"), ("labelstudio.conll", "space:token=1,tag=4")):
        assert look(Path(path)).columns == columns
        assert f"--columns {columns}`" in PAGE


def test_overlapping_spans_and_wrong_offsets_are_left_out_with_their_place(folder: Callable[[], str]) -> None:
    folder()
    row = {"text": "Mia Kern", "label": [[0, 8, "PER"], [4, 8, "LOC"]]}
    odd = {"text": "Mia Kern", "entities": [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3}]}
    Path("doccano.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(odd) + "\n")
    tasks = json.loads(Path("labelstudio.json").read_text())
    tasks[0]["annotations"][0]["result"][0]["value"]["text"] = "Kern"
    Path("labelstudio.json").write_text(json.dumps(tasks))
    code = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    exec(compile("\n".join(code), "annotation_tools.md", "exec"), {})
    said = folder()
    assert "doccano.jsonl:1: left out: span 4:8:LOC overlaps the span that ends at 8" in said
    assert "labelstudio.json: task 1: left out: offsets do not match the text" in said
    assert sentences("from-doccano.jsonl", "jsonl") == [(("Mia", "Kern"), ("B-PER", "O"))]


def test_separators_of_lines_inside_a_text_do_not_end_it(folder: Callable[[], str]) -> None:
    folder()
    row = {"text": "Mia\u2028Kern", "label": [[0, 8, "PER"]]}
    Path("doccano.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8")
    Path("brat/note.txt").write_text(row["text"] + "\n", encoding="utf-8")
    Path("brat/note.ann").write_text("T1\tPER 0 8\tMia Kern\n", encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    exec(compile("\n".join(code), "annotation_tools.md", "exec"), {})
    for name in ("doccano", "brat"):
        assert sentences(f"from-{name}.jsonl", "jsonl") == [(("Mia", "Kern"), ("B-PER", "I-PER"))]
