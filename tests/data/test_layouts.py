"""What every layout by name must do, whatever its file looks like; each gives a sample of itself, self-written."""

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.column_format import ColumnFormat
from polyhead.data.corpora import open_file
from polyhead.data.guess_layout import look
from polyhead.data.layouts import LAYOUTS, parse_layout
from polyhead.data.tasks import TASKS, Task

CORPORA_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "corpora.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Sample:
    """Texts of one layout.

    Attributes:
        good: Two sentences without a fault.
        labels: Those of the first.
        repaired: A text in which reading repairs one thing, once.
        broken: `good` with a fault in its second sentence.
        place: Where errors say that the second sentence stands.
        looks: The layout that `look` takes it for; its own where empty.
        foreign: Where two lines of words and tags between spaces are refused.
    """

    good: str
    labels: tuple[str, ...]
    repaired: str
    broken: str
    place: str = ":2:"
    looks: str = ""
    foreign: str = ":1: "


def facebook(slots: str, text: str) -> str:
    starts = [0, *(i + 1 for i, character in enumerate(text) if character == " ")]
    words = text.split(" ")
    spans = [{"start": start, "length": len(word)} for start, word in zip(starts, words, strict=True)]
    return (
        "\t".join(["x/y", slots, text, "en_XX", json.dumps({"tokenizations": [{"tokens": words, "tokenSpans": spans}]})]) + "\n"
    )


def stockmark(*spans: tuple[int, int]) -> str:
    text = "猫 が鳴く"
    records = [{"text": text, "entities": [{"name": text[a:b], "span": [a, b], "type": "動物"}]} for a, b in spans]
    return json.dumps(records, ensure_ascii=False)


def prodigy(words: str, *spans: tuple[int, int], answer: str = "accept") -> str:
    starts = [words.index(word) for word in words.split()]
    tokens = [
        {"text": word, "start": a, "end": a + len(word), "id": i}
        for i, (word, a) in enumerate(zip(words.split(), starts, strict=True))
    ]
    found = [{"token_start": a, "token_end": b, "label": "city"} for a, b in spans]
    return json.dumps({"text": words, "tokens": tokens, "spans": found, "answer": answer}) + "\n"


def gliner(*sentences: tuple[str, list[list[object]]]) -> str:
    return json.dumps([{"tokenized_text": words.split(), "ner": spans} for words, spans in sentences], indent=1)


def massive(annotated: str, utterance: str) -> str:
    return json.dumps({"utt": utterance, "annot_utt": annotated}, ensure_ascii=False) + "\n"


HEADER = "id\tutterance\tslot_labels\tintent\n"
TOKEN_ROWS = Sample(
    HEADER + "1\tto Bonn now\tO B-city O\tx\n2\tgo\tO\tx\n",
    ("O", "B-city", "O"),
    HEADER + "1\tto Bonn\tO I-city\tx\n",
    HEADER + "1\tto Bonn now\tO B-city O\tx\n2\tgo\tE-city\tx\n",
    ":3:",
)
SAMPLES = {
    "facebook": Sample(
        facebook("3:7:city", "to Bonn") + facebook("", "go"),
        ("O", "B-city"),
        facebook("3:5:city", "to Bonn"),
        facebook("3:7:city", "to Bonn") + facebook("0:9:city", "go"),
    ),
    "stockmark": Sample(
        stockmark((0, 1), (2, 3)),
        ("B-動物", "O", "O", "O"),
        "",
        stockmark((0, 1), (3, 3)),
        ":record 2:",
    ),
    "massive": Sample(
        massive("to [city : Bonn]", "to Bonn") + massive("go", "go"),
        ("O", "B-city"),
        massive("to [city : Bonn]s", "to Bonns"),
        massive("to [city : Bonn]", "to Bonn") + massive("go]", "go"),
    ),
    "massive:words=characters": Sample(
        massive("去[city : 波恩]", "去波恩") + massive("走", "走"),
        ("O", "B-city", "I-city"),
        massive("去[city : 波恩]", "来波恩"),
        massive("去[city : 波恩]", "去波恩") + massive("走]", "走"),
    ),
    "multiatis": TOKEN_ROWS,
    "multiatis:uneven=skip": Sample(
        TOKEN_ROWS.good,
        TOKEN_ROWS.labels,
        HEADER + "1\tto Bonn\tO\tx\n2\tgo\tO\tx\n",
        TOKEN_ROWS.broken,
        ":3:",
        looks="multiatis",
    ),
    "prodigy": Sample(
        prodigy("to Bonn", (1, 1)) + prodigy("go"),
        ("O", "B-city"),
        prodigy("to Bonn") + prodigy("go", answer="reject"),
        prodigy("to Bonn", (1, 1)) + prodigy("go", (0, 1)),
    ),
    "gliner": Sample(
        gliner(("to Bonn", [[1, 1, "city"]]), ("go", [])),
        ("O", "B-city"),
        "",
        gliner(("to Bonn", [[1, 1, "city"]]), ("go", [[0, 0, "x"], [0, 0, "y"]])),
        ":record 2:",
    ),
}
# Spans of whole characters or words, so none can begin inside a word.
WITHOUT_REPAIRS = {"stockmark", "gliner"}
# Formats that are declared item by item: columns, and records in text.
DECLARED = {
    "tab:token=1,tag=2,scheme=iob2": Sample(
        "to\tO\nBonn\tB-city\n\ngo\tO\n", ("O", "B-city"), "to\tO\nBonn\tI-city\n", "to\tO\nBonn\tB-city\n\ngo\tX\n", ":4:"
    ),
    "space:token=2,tag=1,header=1,scheme=bilou": Sample(
        "tag word\nO to\nU-city Bonn\n\nO go\n",
        ("O", "B-city"),
        "tag word\nL-city Bonn\n",
        "tag word\nO to\nU-city Bonn\n\ngo\n",
        ":5:",
        foreign=":2: ",
    ),
    "tab:empty=skip,scheme=iob2": Sample(
        "to\tO\nBonn\tB-city\n\ngo\tO\n", ("O", "B-city"), "to\tO\n\tO\n", "to\tO\nBonn\tB-city\n\n\tB-city\n", ":4:"
    ),
    "jsonl:token=w,tag=t,scheme=bmes": Sample(
        '{"w": ["to", "Bonn"], "t": ["O", "S-city"]}\n{"t": ["O"], "w": ["go"]}\n',
        ("O", "B-city"),
        '{"w": ["to"], "t": ["O"]}\n{"w": [], "t": []}\n',
        '{"w": ["to", "Bonn"], "t": ["O", "S-city"]}\n{"w": ["go"], "t": ["X"]}\n',
    ),
    "jsonl:tag=n,names=O B-city I-city,scheme=iob2": Sample(
        '{"tokens": ["to", "Bonn"], "n": [0, 1]}\n{"tokens": ["go"], "n": [0]}\n',
        ("O", "B-city"),
        '{"tokens": ["Bonn"], "n": [2]}\n',
        '{"tokens": ["to", "Bonn"], "n": [0, 1]}\n{"tokens": ["go"], "n": [3]}\n',
    ),
}
TEXTS = SAMPLES | DECLARED

each_layout = pytest.mark.parametrize("name", LAYOUTS)
each_format = pytest.mark.parametrize("name", TEXTS)


def task_of(name: str) -> Task:
    return TASKS[LAYOUTS[name].task if name in LAYOUTS else "ner"]


def read(path: Path, name: str, *, strict: bool = False):
    layout = parse_layout(name, scheme=None)
    return open_file(path, task_of(name), "dev", language="und", columns=layout, strict=strict)


def refused(path: Path, name: str, said: str, *, strict: bool = False) -> None:
    with pytest.raises(DataFormatError) as caught:
        read(path, name, strict=strict)
    assert str(caught.value).startswith(f"{path}{said}"), str(caught.value)
    assert "; expected " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dev.txt"


def test_every_layout_has_a_sample():
    assert list(SAMPLES) == list(LAYOUTS)
    assert all(row.name == name and row.summary for name, row in LAYOUTS.items())


@each_format
def test_sentences_know_their_words_labels_and_place(path, name):
    path.write_text(TEXTS[name].good, encoding="utf-8")
    data = read(path, name, strict=True)
    first, second = data.sentences
    assert first.labels == TEXTS[name].labels
    assert second.source == f"{path}{TEXTS[name].place.removesuffix(':')}"
    assert not data.repairs


@each_format
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(path, name):
    path.write_text(TEXTS[name].good, encoding="utf-8")
    plain = read(path, name)
    path.write_bytes("\ufeff".encode() + TEXTS[name].good.replace("\n", "\r\n").encode())
    assert read(path, name, strict=True).sentences == plain.sentences
    if name in LAYOUTS:
        assert look(path).columns == (TEXTS[name].looks or name)


@each_format
def test_a_missing_and_an_empty_file_are_refused(path, name):
    refused(path, name, ": no such file")
    path.write_text("")
    refused(path, name, ":1: not JSON" if name == "stockmark" else ": end of file and not one sentence")
    path.write_text({"stockmark": "[]", "gliner": "[]"}.get(name, HEADER if name.startswith("multiatis") else ""))
    refused(path, name, ": end of file and not one sentence")


@each_format
def test_a_broken_sentence_is_refused_with_its_place(path, name):
    path.write_text(TEXTS[name].broken, encoding="utf-8")
    refused(path, name, TEXTS[name].place)


@pytest.mark.parametrize("name", [name for name in TEXTS if name not in WITHOUT_REPAIRS])
def test_a_repair_is_counted_and_refused_where_reading_is_strict(path, name):
    path.write_text(TEXTS[name].repaired, encoding="utf-8")
    assert list(read(path, name).repairs.values()) == [1]
    refused(path, name, ":", strict=True)


@each_format
def test_text_of_another_kind_is_refused(path, name):
    path.write_text("to O\nBonn B-city\n")
    refused(path, name, TEXTS[name].foreign)


@each_format
def test_the_last_line_needs_no_line_end(path, name):
    path.write_text(TEXTS[name].good, encoding="utf-8")
    whole = read(path, name)
    path.write_text(TEXTS[name].good.rstrip("\n"), encoding="utf-8")
    assert read(path, name, strict=True).sentences == whole.sentences


@each_format
def test_bytes_that_are_not_utf_8_are_refused_with_their_line(path, name):
    good = TEXTS[name].good.encode()
    path.write_bytes(good + b"\xff\n")
    at = len(good.split(b"\n"))
    refused(path, name, f":{at}: byte 0xff at byte {len(good.split(b'%c' % 10)[-1]) + 1} of the line is not UTF-8")
    path.write_bytes(good + b"a\x00b\n")
    refused(path, name, ":")


@each_format
def test_a_compressed_file_is_read_as_it_is(path, name):
    path.write_text(TEXTS[name].good, encoding="utf-8")
    plain = read(path, name)
    packed = path.with_name("dev.txt.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    found = read(packed, name)
    assert [(one.words, one.labels) for one in found] == [(one.words, one.labels) for one in plain]
    assert found.sha256 == plain.sha256


@each_layout
def test_only_tasks_of_its_kind_read_it(path, name):
    path.write_text(SAMPLES[name].good, encoding="utf-8")
    for task in TASKS.values():
        if task.kind == task_of(name).kind:
            assert open_file(path, task, "dev", language="und", columns=LAYOUTS[name]).sentences
        else:
            with pytest.raises(SettingError, match=r"dev\.txt: the layout holds .*, but task \w+ has none; declare columns"):
                open_file(path, task, "dev", language="und", columns=LAYOUTS[name])


@each_layout
def test_it_takes_no_scheme(name):
    with pytest.raises(SettingError, match="declares how its labels are written; leave --scheme out"):
        parse_layout(name, scheme="iob2")


@each_layout
def test_it_is_recognised_with_its_summary_and_task(path, name):
    path.write_text(SAMPLES[name].good, encoding="utf-8")
    row = LAYOUTS[SAMPLES[name].looks or name]
    found = look(path)
    assert (found.columns, found.format, found.task) == (row.name, row.summary, row.task)


@each_layout
def test_it_is_in_the_page_on_corpora(name):
    assert f"\n| `{name}` |" in CORPORA_PAGE


def test_the_items_of_columns_on_the_page_are_those_that_are_read():
    table = CORPORA_PAGE.partition("| item | says |")[2].partition("\n\n")[0]
    items = [item for row in table.splitlines()[2:] for item in re.findall(r"`(\w+=\S+)`", row.split("|")[1])]
    assert {item.partition("=")[0] for item in items} == {
        "token",
        "tag",
        "index",
        "comments",
        "scheme",
        "columns",
        "header",
        "empty",
    }
    for item in items:
        with_values = item.replace("NAME", "iob2").replace("N/M", "3/5").replace("=N", "=3")
        declared = parse_layout(f"tab:{with_values}{',tag=2' if item == 'token=last' else ''}", scheme=None)
        assert isinstance(declared, ColumnFormat), item
