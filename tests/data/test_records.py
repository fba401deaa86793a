"""What every container of records must do: each is written by the library that makes such files, and read by ours."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data import arrow_tables
from polyhead.data.corpora import open_file
from polyhead.data.guess_layout import look
from polyhead.data.json_lines import rewrite_json_lines
from polyhead.data.layouts import parse_layout
from polyhead.data.record_format import RecordFormat, parse_records
from polyhead.data.records import CONTAINERS, PREDICTED, WORDLESS_RECORD, rewrite_records
from polyhead.data.references import DataReference
from polyhead.data.schemes import SCHEMES, from_iob2, to_iob2
from polyhead.data.tasks import TASKS
from polyhead.data.textfile import TextFile

LABELS = ["O", "B-PER", "I-PER", "B-LOC"]
ROWS = [
    {"id": 7, "tokens": ["Ann", "Lee", "sings"], "ner_tags": ["B-PER", "I-PER", "O"], "score": 0.5},
    {"id": 8, "tokens": ["in", "Bonn"], "ner_tags": ["O", "B-LOC"], "score": None},
]
LISTS = {"tokens", "ner_tags"}
each_container = pytest.mark.parametrize("name", CONTAINERS)


def features(rows, names=None):
    """Those that a careful user declares: numbers with names where `names` says so."""
    kinds = {"id": datasets.Value("int64"), "score": datasets.Value("float64")}
    inner = datasets.ClassLabel(names=names) if names else datasets.Value("string")
    columns = {key for row in rows for key in row} or {"tokens", "ner_tags"}
    lists = {key: datasets.Sequence(datasets.Value("string") if key == "tokens" else inner) for key in LISTS}
    return datasets.Features({key: (lists | kinds)[key] for key in ["id", "tokens", "ner_tags", "score"] if key in columns})


def write(path: Path, name: str, rows, names=None) -> Path:
    """A file of this kind; numbers for tags where `names` are given."""
    if names:
        rows = [row | {"ner_tags": [names.index(tag) for tag in row["ner_tags"]]} for row in rows]
    if name == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path
    datasets.disable_progress_bars()
    columns = {key: [row[key] for row in rows] for key in features(rows)}
    made = datasets.Dataset.from_dict(columns, features=features(rows, names))
    if name == "parquet":
        made.to_parquet(path)
    else:
        made.save_to_disk(path)
    return path


def read(path: Path, name: str, more: str = "", *, task: str = "ner", strict: bool = False):
    layout = parse_layout(f"{name}:{more}" if more else name, scheme=None if "scheme" in more or task == "pos" else "iob2")
    return open_file(path, TASKS[task], "dev", language="und", columns=layout, strict=strict)


def refused(path: Path, name: str, said: str, more: str = "", **options) -> None:
    with pytest.raises(DataFormatError) as caught:
        read(path, name, more, **options)
    assert str(caught.value).startswith(str(path)), str(caught.value)
    assert said in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)
    assert "; expected " in str(caught.value)


def second(path: Path, name: str) -> str:
    return f"{path}:{'2' if name == 'jsonl' else 'row 2'}"


@each_container
def test_words_labels_and_places(tmp_path, name):
    data = read(write(tmp_path / "x", name, ROWS), name, strict=True)
    assert [one.words for one in data] == [("Ann", "Lee", "sings"), ("in", "Bonn")]
    assert [one.labels for one in data] == [("B-PER", "I-PER", "O"), ("O", "B-LOC")]
    assert data.sentences[1].source == second(tmp_path / "x", name)
    assert len(data.sha256) == 64
    assert read(write(tmp_path / "y", name, ROWS), name).sha256 == data.sha256
    assert read(write(tmp_path / "z", name, ROWS[:1]), name).sha256 != data.sha256


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).filter(lambda word: word.strip(" "))
tags = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"]), min_size=1, max_size=6).map(lambda one: to_iob2(one, "iob2"))


@st.composite
def sentences(draw):
    """Words and IOB2 labels."""
    labels = draw(st.lists(tags, min_size=1, max_size=4))
    return [(draw(st.lists(words, min_size=len(one), max_size=len(one))), list(one)) for one in labels]


@each_container
@settings(max_examples=15, deadline=None)
@given(found=sentences(), scheme=st.sampled_from([one for one in SCHEMES if one not in ("io", "bare")]))
def test_what_is_written_is_read(tmp_path_factory, name, found, scheme):
    rows = [{"tokens": one, "ner_tags": list(from_iob2(labels, scheme))} for one, labels in found]
    path = write(tmp_path_factory.mktemp("x") / "x", name, rows)
    data = read(path, name, f"scheme={scheme}", strict=True)
    assert [(list(one.words), list(one.labels)) for one in data] == found


@each_container
@pytest.mark.parametrize("numbered", [False, True])
def test_predictions_replace_the_tags_and_nothing_else(tmp_path, name, numbered):
    path = write(tmp_path / "x", name, ROWS, LABELS if numbered else None)
    more = f"names={' '.join(LABELS)}" if numbered and name == "jsonl" else ""
    layout = replace(parse_records(f"{name}:{more}"), scheme="iob2")
    rewrite_records(TextFile(path, "und"), layout, [["O", "B-LOC", "O"], ["B-PER", "I-PER"]], tmp_path / "new")
    changed = read(tmp_path / "new", name, more)
    assert [one.labels for one in changed] == [("O", "B-LOC", "O"), ("B-PER", "I-PER")]
    before, after = (list(CONTAINERS[name].open(TextFile(one, ""), None).rows) for one in (path, tmp_path / "new"))
    assert [list(row) for _, row in after] == [list(row) for _, row in before]
    kept = [{key: value for key, value in row.items() if key != "ner_tags"} for _, row in before]
    assert [{key: value for key, value in row.items() if key != "ner_tags"} for _, row in after] == kept
    assert isinstance(after[0][1]["ner_tags"][0], int) is numbered


@each_container
def test_predictions_can_be_a_new_column(tmp_path, name):
    path = write(tmp_path / "x", name, ROWS)
    for more, column in (("tag=mine", "mine"), ("tag=none", PREDICTED)):
        out = tmp_path / column
        rewrite_records(TextFile(path, "und"), parse_records(f"{name}:{more}"), [["O"] * 3, ["O", "B-LOC"]], out)
        assert [one.labels for one in read(out, name, f"tag={column}")] == [("O", "O", "O"), ("O", "B-LOC")]
        assert [one.labels for one in read(out, name)] == [("B-PER", "I-PER", "O"), ("O", "B-LOC")]


@each_container
def test_a_label_without_a_number_is_refused_before_anything_is_written(tmp_path, name):
    path = write(tmp_path / "x", name, ROWS, LABELS)
    layout = parse_records(f"{name}:names={' '.join(LABELS)}")
    with pytest.raises(SettingError, match=r"label 'B-DATE' has no number among O B-PER I-PER B-LOC.*tag=NAME in --columns"):
        rewrite_records(TextFile(path, "und"), layout, [["O"] * 3, ["O", "B-DATE"]], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@each_container
def test_numbers_need_names_which_tables_hold_and_lines_declare(tmp_path, name):
    path = write(tmp_path / "x", name, ROWS, LABELS)
    if name == "jsonl":
        refused(path, name, "x:1: ner_tags holds numbers, such as 1, and nothing names them; expected names; add names=O B-PER")
        refused(path, name, "x:1: the number 2 in ner_tags; expected 0 to 1 for O B-PER", "names=O B-PER")
    else:
        assert [one.labels for one in read(path, name)] == [("B-PER", "I-PER", "O"), ("O", "B-LOC")]
    other = read(path, name, "names=O B-LOC I-LOC B-PER")
    assert [one.labels for one in other] == [("B-LOC", "I-LOC", "O"), ("O", "B-PER")]


@each_container
def test_it_is_recognised_with_the_options_that_read_it(tmp_path, name):
    for at, names in enumerate([None, *([LABELS] if name != "jsonl" else [])]):
        found = look(write(tmp_path / f"x{at}", name, ROWS, names))
        assert (found.task, found.columns, found.scheme) == ("ner", f"{name}:token=tokens,tag=ner_tags", "iob2")
        assert CONTAINERS[name].summary in found.format
        declared = look(tmp_path / f"x{at}", parse_records(found.columns))
        assert (declared.task, declared.scheme) == ("ner", "iob2")
        assert len(read(tmp_path / f"x{at}", name)) == 2


@each_container
def test_parts_of_speech_and_words_without_a_label(tmp_path, name):
    rows = [{"tokens": ["a", "b"], "ner_tags": ["NOUN", "_"]}]
    path = write(tmp_path / "x", name, rows)
    assert read(path, name, task="pos").sentences[0].labels == ("NOUN", None)
    refused(
        write(tmp_path / "y", name, [{"tokens": ["a"], "ner_tags": ["NN"]}]), name, "tag 'NN'; expected one of ADJ", task="pos"
    )
    assert read(path, name, "tag=none").sentences[0].labels == (None, None)


@each_container
def test_faults_are_refused_with_their_record(tmp_path, name):
    for at, (row, said) in enumerate(
        [
            ({"tokens": ["a", "b"], "ner_tags": ["O"]}, ": 2 words in tokens, but 1 tags in ner_tags; expected one tag"),
            ({"tokens": ["a"], "ner_tags": ["X-PER"]}, ": tag 'X-PER'; expected O or B-TYPE or I-TYPE (iob2)"),
            (
                {"tokens": ["a", " "], "ner_tags": ["O", "O"]},
                ": an empty word in tokens; expected a word; empty=skip in --columns",
            ),
        ]
    ):
        path = write(tmp_path / str(at), name, [{"tokens": ["x"], "ner_tags": ["O"]}, row])
        refused(path, name, f"{second(path, name)}{said}")
    path = write(tmp_path / "x", name, ROWS)
    refused(path, name, "'words'; expected one of id, tokens, ner_tags, score; name the words and the tags", "token=words")
    refused(path, name, "'tags'; expected one of id, tokens, ner_tags, score", "tag=tags")
    refused(path, name, ": id is 7; expected a list of words", "token=id")
    refused(tmp_path / "none", name, "no such")


@each_container
def test_repairs_are_counted_and_refused_where_reading_is_strict(tmp_path, name):
    rows = [{"tokens": [], "ner_tags": []}, {"tokens": ["a"], "ner_tags": ["O"]}]
    path = write(tmp_path / "x", name, rows)
    assert read(path, name).repairs == {WORDLESS_RECORD: 1}
    refused(path, name, f"{WORDLESS_RECORD}; expected at least one word (strict", strict=True)
    rewrite_records(TextFile(path, ""), RecordFormat(name), [["B-PER"]], tmp_path / "new")
    assert [one.labels for one in read(tmp_path / "new", name)] == [("B-PER",)]
    path = write(tmp_path / "y", name, [{"tokens": ["a", "", " ", "b"], "ner_tags": ["B-PER", "O", "O", "O"]}])
    assert [(one.words, one.labels) for one in read(path, name, "empty=skip")] == [(("a", "b"), ("B-PER", "O"))]
    refused(path, name, "an empty word")
    layout = parse_records(f"{name}:empty=skip")
    rewrite_records(TextFile(path, ""), layout, [["O", "B-LOC"]], tmp_path / "newer")
    assert [one.labels for one in read(tmp_path / "newer", name, "empty=skip")] == [("O", "B-LOC")]


@each_container
def test_empty_ones_are_refused(tmp_path, name):
    path = write(tmp_path / "x", name, [])
    refused(path, name, "and not one sentence; expected at least one")
    with pytest.raises(DataFormatError, match=r"no text|not one record|without a row"):
        look(path)


@pytest.mark.parametrize("name", ["parquet", "datasets"])
def test_damaged_files_are_one_line(tmp_path, name):
    path = write(tmp_path / "x", name, ROWS * 50)
    data = path if name == "parquet" else next(path.glob("*.arrow"))
    data.write_bytes(data.read_bytes()[:-200])
    refused(path, name, "cannot be read as a")


def test_folders_that_are_none(tmp_path):
    refused(tmp_path, "datasets", "a folder without dataset_info.json and state.json; expected a folder that save_to_disk")
    refused(tmp_path, "parquet", "a folder; expected a Parquet file")
    refused(write(tmp_path / "x", "jsonl", ROWS), "datasets", "a file; expected a folder that save_to_disk")
    refused(tmp_path / "x", "parquet", "cannot be read as a Parquet file")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "dataset_dict.json").write_text("[]")
    with pytest.raises(DataFormatError, match=r"dataset_dict.json: cannot be read \(TypeError\)"):
        read(tmp_path / "odd", "datasets")
    path = write(tmp_path / "saved", "datasets", ROWS)
    with pytest.raises(DataFormatError, match="a folder; expected a file; --columns datasets:token=tokens"):
        open_file(path, TASKS["ner"], "dev", language="und", scheme="iob2")
    with pytest.raises(
        DataFormatError, match="a binary Parquet file; expected --columns parquet:token=tokens,tag=ner_tags to read it"
    ):
        open_file(write(tmp_path / "p", "parquet", ROWS), TASKS["ner"], "dev", language="und", scheme="iob2")


def test_a_folder_of_splits_stands_for_its_splits(tmp_path):
    datasets.disable_progress_bars()
    made = datasets.Dataset.from_list(ROWS, features=features(ROWS))
    datasets.DatasetDict({"train": made, "validation": made}).save_to_disk(tmp_path / "all")
    assert DataReference.parse(f"en={tmp_path}/all", "source").files == {
        "train": tmp_path / "all" / "train",
        "dev": tmp_path / "all" / "validation",
    }
    assert len(read(tmp_path / "all" / "validation", "datasets")) == 2
    refused(
        tmp_path / "all",
        "datasets",
        f"a folder of the splits train, validation; expected the folder of one split, such as {tmp_path}",
    )


def test_without_the_library_one_line_says_how_to_install_it(tmp_path, monkeypatch):
    path = write(tmp_path / "x", "parquet", ROWS)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        SettingError, match=r"needs the datasets library; pip install 'polyhead\[datasets\]', or save .* as JSON Lines"
    ):
        read(path, "parquet")
    assert arrow_tables.looks_like_parquet(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "a JSON list, '[1]'; expected a JSON object on each line"),
        ("{", "not JSON (Expecting property name"),
        (
            '{"tokens": "Ann sings", "ner_tags": []}',
            "tokens is 'Ann sings'; expected a list of words; text with character offsets",
        ),
        ('{"tokens": ["a"], "ner_tags": "O"}', "ner_tags is 'O'; expected a list of tags"),
        ('{"tokens": ["a"], "ner_tags": [0.5]}', "0.5 in ner_tags; expected tags as text"),
        ('{"tokens": ["a"], "ner_tags": [true]}', "True in ner_tags; expected tags as text"),
        ('{"tokens": ["\\ud800"], "ner_tags": ["O"]}', "half of a surrogate pair in '{"),
        ('{"tokens": ["a"], "ner_tags": ["B-\\udfff"]}', "half of a surrogate pair"),
        ('{"tokens": ["a"], "ner_tags": ["O"], "\\ud800": 1}', "half of a surrogate pair"),
        ('{"tokens": ["a", 1], "ner_tags": ["O", "O"]}', "tokens is ['a', 1]; expected a list of words"),
    ],
)
def test_json_that_is_no_sentence(tmp_path, line, said):
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"tokens": ["a"], "ner_tags": ["O"]}}\n\n{line}\n')
    refused(path, "jsonl", f"{path}:3: {said}")


def test_lines_keep_their_ends(tmp_path):
    path, out = tmp_path / "x", tmp_path / "out"
    path.write_bytes(b'\xef\xbb\xbf{"tokens": ["\xc3\xa9"], "k": 1.50, "k": 1e999}\r\n\r\n{"tokens": ["b"]}')
    rewrite_records(TextFile(path, ""), RecordFormat("jsonl", tag="t"), [["O"], ["O"]], out)
    assert (
        out.read_bytes()
        == b'\xef\xbb\xbf{"tokens": ["\xc3\xa9"], "k": 1.50, "k": 1e999, "t": ["O"]}\r\n\r\n{"tokens": ["b"], "t": ["O"]}'
    )


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [
        ("{}", "t", '{"t": ["O"]}'),
        ("{ }", "t", '{"t": ["O"] }'),
        ('{"t":[ 1 ] , "a":{"t":2}}', "t", '{"t":["O"] , "a":{"t":2}}'),
        ('{"t": 1, "t": "}"}\t', "t", '{"t": 1, "t": ["O"]}\t'),
        ('{"\\u0074": 1}', "t", '{"\\u0074": ["O"]}'),
        (
            '  {"a": "\\u00e9", "b": 0.12345678901234567890 } ',
            "t",
            '  {"a": "\\u00e9", "b": 0.12345678901234567890, "t": ["O"] } ',
        ),
    ],
)
def test_one_value_changes_and_no_other_byte(tmp_path, line, column, expected):
    path, out = tmp_path / "x", tmp_path / "out"
    path.write_text(line)
    rewrite_json_lines(path, column, [["O"]], out)
    assert out.read_text() == expected


def test_tags_are_not_written_over_something_else(tmp_path):
    def rewritten(path, name, columns):
        layout = replace(parse_records(f"{name}:{columns}"), scheme="iob2")
        rewrite_records(TextFile(path, ""), layout, [["B-PER", "O"]], tmp_path / "out")

    for name in ("jsonl", "parquet"):
        path = tmp_path / name
        for value, said in (([0, 1], r"numbers, and nothing names them; expected names="), (5, "is 5; expected a list of tags")):
            if name == "jsonl":
                path.write_text(json.dumps({"tokens": ["Ann", "sings"], "ner_tags": value}))
            else:
                datasets.Dataset.from_list([{"tokens": ["Ann", "sings"], "ner_tags": value}]).to_parquet(path)
            with pytest.raises(DataFormatError, match=f"ner_tags (holds )?{said}.*tag=NAME"):
                rewritten(path, name, "")
            rewritten(path, name, "tag=mine")
    empty = pyarrow.table({"tokens": [["Ann", "sings"]], "ner_tags": pyarrow.array([None], pyarrow.int64())})
    pyarrow.parquet.write_table(empty, tmp_path / "null")
    with pytest.raises(SettingError, match="column ner_tags is of the type int64"):
        rewritten(tmp_path / "null", "parquet", "")


def test_a_folder_that_reads_like_a_column_adds_none(tmp_path):
    folder = tmp_path / "year=2020"
    folder.mkdir()
    path = write(folder / "x", "parquet", ROWS)
    rewrite_records(TextFile(path, ""), RecordFormat("parquet", tag="mine"), [["O"] * 3, ["O"] * 2], tmp_path / "out")
    assert datasets.Dataset.from_parquet(str(tmp_path / "out")).column_names == ["id", "tokens", "ner_tags", "score", "mine"]


def test_two_columns_with_one_name_are_refused(tmp_path):
    cells = pyarrow.array([["Ann"]])
    pyarrow.parquet.write_table(pyarrow.table([cells, cells], names=["tokens", "tokens"]), tmp_path / "x")
    refused(tmp_path / "x", "parquet", "two columns named 'tokens'; expected every name once")


@pytest.mark.parametrize(
    "text",
    [
        "jsonl:token=none",
        "jsonl:tok=x",
        "jsonl:names=",
        "jsonl:names=O O",
        "jsonl:token=x,tag=x",
        "parquet:scheme=x",
        "jsonl:empty=y",
    ],
)
def test_wrong_declarations_are_one_setting_error(text):
    with pytest.raises(SettingError, match=r"expected|name the list"):
        parse_layout(text, scheme=None)
