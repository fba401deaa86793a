"""Files of sentences and pairs: every container, every oddity of real data, one clear line for everything else."""

import csv
import gzip
import io
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.corpora import independent, open_corpus, open_file
from polyhead.data.layouts import declared_layout
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import TASKS
from polyhead.data.text_format import TextFormat

ODD = "\ufeffA \x08 b\x1dc\u2028d\u0085 \u200b"
PAIRS = (("She slept.", "She was awake.", "contradiction"), (ODD, "b  c", "neutral"), ('He said "no"', "d", "entailment"))


def write(folder: Path, container: str, rows: tuple[tuple[str, ...], ...] = PAIRS) -> Path:
    names = ("premise", "hypothesis", "label")[: len(rows[0])]
    path = folder / f"dev.{container}"
    if container == "jsonl":
        text = "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
    elif container == "csv":
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([names, *rows])
        text = out.getvalue()
    else:
        text = "".join("\t".join(row) + "\n" for row in (names, *rows))
    path.write_bytes(text.encode())
    return path


def read(path: Path, task: str = "nli", columns: str | None = None, *, labelled: bool = True) -> Dataset:
    layout = None if columns is None else declared_layout(columns, scheme=None, kind="sentence")
    return open_file(path, TASKS[task], "dev", language="en", columns=layout, labelled=labelled)


def found(data: Dataset) -> list[tuple[str | None, ...]]:
    return [(*one.texts, *one.labels) for one in data]


@pytest.mark.parametrize("container", ["tsv", "csv", "jsonl"])
def test_every_container_gives_the_texts_as_they_are(tmp_path: Path, container: str) -> None:
    path = write(tmp_path, container)
    data = read(path)
    assert found(data) == list(PAIRS)
    assert [one.source for one in data] == [f"{path}:{i + (container != 'jsonl')}" for i in (1, 2, 3)]
    assert data.sentences[0].words == ("She", "slept.", "She", "was", "awake.")
    assert data.n_words == 5 + len(ODD.split()) + 2 + 4
    packed = tmp_path / f"dev.{container}.xz"
    packed.write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()
    assert found(read(packed)) == found(read(path)) == list(PAIRS), "a compressed file under its own or its plain name"
    assert read(packed).sha256 == data.sha256
    (tmp_path / f"dev.{container}.gz").write_bytes(gzip.compress(lzma.decompress(packed.read_bytes())))
    assert found(read(tmp_path / f"dev.{container}.gz")) == list(PAIRS)


a_text = st.text(st.characters(exclude_characters="\t\n\r\0", exclude_categories=("Cs",)), min_size=1).filter(
    lambda text: bool(text.strip()) and not text.startswith("\ufeff")
)
a_label = st.sampled_from(("entailment", "neutral", "contradiction"))


@pytest.mark.parametrize("container", ["tsv", "csv", "jsonl"])
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(a_text, a_text, a_label), min_size=1, max_size=5))
def test_any_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, container: str, rows: list[tuple[str, ...]]) -> None:
    assert found(read(write(tmp_path_factory.mktemp("any"), container, tuple(rows)))) == rows


@pytest.mark.parametrize(
    ("header", "columns", "texts"),
    [
        ("text\tlabel", None, ("a",)),
        ("id\tsentence\tgold_label", None, ("b",)),
        ("sentence1\tsentence2\tlabel", None, ("a", "b")),
        ("label\tquestion1\tquestion2", None, ("b", "c")),
        ("x\ty\tz", "tsv:text=y,label=z", ("b",)),
        ("x\ty\tz", "tsv:text=y,pair=x,label=z", ("b", "a")),
        ("premise\thypothesis\ttext\tlabel", "tsv:pair=none", ("c",)),
    ],
)
def test_columns_have_usual_or_declared_names(tmp_path: Path, header: str, columns: str | None, texts: tuple[str, ...]) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text(f"{header}\n" + "\t".join("abcd"[: header.count("\t") + 1]) + "\n")
    (one,) = read(path, "classification", columns).sentences
    assert one.texts == texts


def test_numbers_get_names_and_some_sentences_have_no_label(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(f'{{"text": "a", "label": {label}}}\n' for label in ("0", "1", "-1", "null", '"_"', '"-"')))
    names = [one.labels[0] for one in read(path, "classification", "jsonl:names=bad good")]
    assert names == ["bad", "good", None, None, None, None]
    assert [one.labels[0] for one in read(path, "classification")] == ["0", "1", "-1", None, None, None]


def test_text_that_need_not_be_labelled(tmp_path: Path) -> None:
    path = write(tmp_path, "tsv", tuple(row[:2] for row in PAIRS))
    assert found(read(path, labelled=False)) == [(*row[:2], None) for row in PAIRS]
    with pytest.raises(
        DataFormatError, match="no column of labels among 'premise', 'hypothesis'; expected one named label; or name"
    ):
        read(path)
    assert found(read(write(tmp_path, "tsv"), labelled=False)) == list(PAIRS), "labels that are there are read"


ONE = "premise\thypothesis\tlabel\n"
FAULTS = {
    "one column": (
        "text\tlabel\na b\tneutral\n",
        "nli",
        None,
        r":1: 1 text column, text, among .*; expected 2, such as premise and hyp",
    ),
    "no header": (
        "She slept.\tShe woke.\tneutral\n",
        "nli",
        None,
        r":1: no column of text among 'She slept.'.*in a header; or name",
    ),
    "a JSON list": ('[{"text": "a", "label": "x"}]\n', "classification", None, r":1: a JSON list; expected JSON Lines"),
    "a JSON list on lines": (
        '[\n{"text": "a", "label": "x"}\n]\n',
        "classification",
        None,
        r":1: a JSON list; expected JSON Lines",
    ),
    "labels declared away": (
        "text\tlabel\na\tx\n",
        "classification",
        "tsv:label=none",
        r":1: label=none in --columns; expected label=NAME, with one of 'text', 'label', since labels are needed here",
    ),
    "no text column": ("id\tlabel\n1\tx\n", "classification", None, r":1: no column of text among 'id', 'label'"),
    "missing label": (f"{ONE}a\tb\t\n", "nli", None, r":2: no label in label; expected a label in every row, or _"),
    "unknown label": (
        f"{ONE}a\tb\tmaybe\n",
        "nli",
        None,
        r":2: label 'maybe'; expected one of entailment, neutral, contradiction",
    ),
    "a number": (
        f"{ONE}a\tb\t2\n",
        "nli",
        None,
        r":2: label '2'; expected one of .*name numbers in their order, with names=A B C",
    ),
    "too large": (f"{ONE}a\tb\t3\n", "nli", "tsv:names=x y z", r":2: the number 3 in label; expected 0 to 2 for x y z"),
    "empty text": (f"{ONE}a\t \tneutral\n", "nli", None, r":2: an empty text in hypothesis; expected a sentence"),
    "columns": (
        f"{ONE}a\tb\n",
        "nli",
        None,
        r":2: 2 columns in 'a \| b'; expected 3, as in the header: premise, hypothesis, label",
    ),
    "twice": ("text\ttext\tlabel\na\tb\tc\n", "classification", None, r":1: two columns named 'text' in the header"),
    "not there": (
        f"{ONE}a\tb\tneutral\n",
        "nli",
        "tsv:text=prem,pair=hypothesis",
        r":1: no column 'prem'; expected one of 'premise'",
    ),
    "regression": (
        f"{ONE}a\tb\t3.8\n",
        "classification",
        None,
        r":2: label 3.8 in label is a number with decimals; expected a class",
    ),
    "scores in JSON": (
        '{"text": "a", "label": 2.0}\n',
        "classification",
        None,
        r":1: label 2.0 in label is a number with decimals",
    ),
    "a list": ('{"text": "a", "label": [1]}\n', "classification", None, r":1: label is '\[1\]'; expected one label"),
    "no text": ('{"text": 5, "label": "a"}\n', "classification", None, r":1: text is '5'; expected text; name them"),
    "one key less": ('{"text": "a", "label": "x"}\n{"text": "a"}\n', "classification", None, r":2: no column 'label'"),
    "open quotes": ('text,label\n"a b,x\n', "classification", None, r":2: not CSV \(unexpected end of data\)"),
    "nothing": ("\n", "nli", None, "no text; expected a header row"),
    "a header alone": (ONE, "nli", None, "end of file and not one sentence"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, name: str) -> None:
    text, task, columns, message = FAULTS[name]
    path = tmp_path / "dev.txt"
    path.write_text(text)
    with pytest.raises(DataFormatError, match=message) as caught:
        read(path, task, columns)
    assert "\n" not in str(caught.value)


def test_a_damaged_xz_file_is_one_line(tmp_path: Path) -> None:
    whole = lzma.compress(write(tmp_path, "tsv").read_bytes())
    (tmp_path / "cut.tsv.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataFormatError, match=r"cut\.tsv\.xz:\d: \.xz data cannot be decompressed"):
        read(tmp_path / "cut.tsv.xz")


def test_layouts_of_words_and_of_sentences_are_not_mixed_up(tmp_path: Path) -> None:
    path = write(tmp_path, "tsv")
    with pytest.raises(SettingError, match="the layout holds one label for each text, but task pos has none"):
        open_file(path, TASKS["pos"], "dev", language="en", columns=TextFormat("tsv"))
    with pytest.raises(SettingError, match="task nli has no spans; leave the scheme out"):
        open_file(path, TASKS["nli"], "dev", language="en", scheme="iob2")
    with pytest.raises(SettingError, match="for sentences expected tsv, csv, jsonl, parquet, datasets"):
        declared_layout("tab:token=2", scheme=None, kind="sentence")


def test_parquet_with_named_numbers(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "sentence1": datasets.Value("string"),
            "sentence2": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [1, -1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "dev.parquet")
    assert found(read(tmp_path / "dev.parquet", "classification")) == [("a", "c", "yes"), ("b", "d", None)]


def test_xnli_is_read_as_it_is(shared: Path) -> None:
    """Rows of a split are translations; each three share a premise and have the three labels; odd characters are kept."""
    data = {code: open_corpus(f"xnli/{code}", "test", root=shared / "data") for code in ("en", "el")}
    assert {len(own) for own in data.values()} == {5010}
    assert [one.labels for one in data["en"]] == [one.labels for one in data["el"]]
    labels = [one.labels[0] for one in data["en"]]
    assert all(len({*labels[i : i + 3]}) == 3 for i in range(0, 5010, 3))
    assert sum("".join(one.texts).count("\x1d") for one in data["el"]) == 5
    hindi = open_corpus("xnli/hi", "dev", root=shared / "data")
    assert sum("\ufeff" in "".join(one.texts) for one in hindi) == 3
    assert (hindi.repairs, hindi.sentences[0].language) == ({}, "hi")
    assert independent("xnli/en", np.ones((5010, 8), dtype=np.int64)).shape == (1670, 8)
    assert independent("ud/en_ewt", np.ones((2, 6, 5), dtype=np.int64)).shape == (2, 6, 5)
