"""What a file looks like, so that a report can say how to declare it."""

import pytest

from polyhead.core.errors import DataFormatError
from polyhead.data.corpora import CORPORA, corpus_file, open_file
from polyhead.data.guess_layout import Look, look
from polyhead.data.layouts import parse_layout
from polyhead.data.schemes import SCHEMES, from_iob2
from polyhead.data.tasks import TASKS

LABELS = ("B-PER", "I-PER", "I-PER", "B-PER", "O", "B-LOC")


def written(tmp_path, text):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_is_told_from_the_tags(tmp_path, scheme):
    tags = from_iob2(LABELS, scheme)
    path = written(tmp_path, "".join(f"w{i}\t{tag}\n" for i, tag in enumerate(tags)) + "\nx\tO\ny\tO\n")
    assert (look(path).scheme, look(path).columns, look(path).task) == (scheme, "tab:token=1,tag=2", "ner")


@pytest.mark.parametrize(
    ("text", "columns", "task"),
    [
        ("a B-X\nb O\n", "space:token=1,tag=2", "ner"),
        ("a NN B-X\nb VB O\n", "space:token=1,tag=3", "ner"),
        ("a B-NP B-X \nb B-VP O \n", "space:token=1,tag=3", "ner"),
        ("a\tB-NP\tB-X\t\nb\tB-VP\tO\t\n", "tab:token=1,tag=3", "ner"),
        ("a\u00a0b B-X\nc\u3000d O\n", "space:token=1,tag=2", "ner"),
        ("a NN B-NP B-X\nb VB B-VP O\n", "space:token=1,tag=4", "ner"),
        ("-DOCSTART- -X- O\n\na -X- _ B-X\nb -X- _ O\n", "space:token=1,tag=4", "ner"),
        ("a\tB-X\nb\tO\n\t\nc\tO\n\t\n", "tab:token=1,tag=2", "ner"),
        ("word\ttag\na\tB-X\nb\tO\n", "tab:token=1,tag=2,header=1", "ner"),
        ("\nform,upos form upos\na x NOUN\nb y VERB\n", "space:token=1,tag=3,header=2", "pos"),
        ("token\tner_tag\na\tPER\nb\tO\nc\tO\n", "tab:token=1,tag=2,header=1", "ner"),
        ("token\tner_tag\na B-X\nb O\nc O\n", "space:token=1,tag=2,header=1", "ner"),
        ("a\tPER\nb\tO\n\nc\tO\n", "tab:token=1,tag=2", "ner"),
        ("a\tNOUN\nb\tVERB\n", "tab:token=1,tag=2", "pos"),
        ('{"id": 1, "words": ["a"], "lemmas": ["b"], "upos": ["NOUN"]}\n', "jsonl:token=words,tag=upos", "pos"),
        ('{"tokens": ["a", "b"], "pos_tags": ["X", "X"], "ner_tags": ["B-X", "O"]}\n', "jsonl:token=tokens,tag=ner_tags", "ner"),
        ('{"tokens": [], "tags": []}\n{"tokens": ["a", "b"], "tags": ["X", "O"]}\n', "jsonl:token=tokens,tag=tags", "ner"),
        ("NOUN\ta\nVERB\tb\n", "tab:token=2,tag=1", "pos"),
        ("# text = a b\n1\ta\tO\tx\n2\tb\tB-X\tx\n\n1\tc\tO\tx\n", "tab:token=2,tag=3,index=1,comments=hash", "ner"),
        ("# text = a\na\tB-X\nb\tO\n", "tab:token=1,tag=2,comments=hash", "ner"),
        ("a\tO\nb\tB-X\t-\tz\n", "tab:token=1,tag=2,columns=2/4", "ner"),
        ("1\ta\tB-X\tO\n2\tb\tI-X\tB-Y\n", "tab:token=2,tag=3,index=1", "ner"),
        ('# newpar\n1\ta\t_\tNOUN\t_\t_\t0\t_\t_\t_\n1-2\tx\t_\t_\t_\t_\t_\t_\t_\t_\n', None, "pos"),
        ('[\n {"text": "a", "entities": []}]\n', "stockmark", "ner"),
        ('[{"text": "a", "entities": []}]\n', "stockmark", "ner"),
        ('{"utt": "a b", "annot_utt": "a [x : b]"}\n', "massive", "slots"),
        ('{"utt": "早上好", "annot_utt": "早上好"}\n', "massive:words=characters", "slots"),
        ("id\tutterance\tslot_labels\tintent\n1\ta\tO\tx\n", "multiatis", "slots"),
        ('x/y\t0:1:z\ta\ten_XX\t{"tokenizations": []}\n', "facebook", "slots"),
    ],
)  # fmt: skip
def test_layouts_are_told_apart(tmp_path, text, columns, task):
    found = look(written(tmp_path, text))
    assert (found.columns, found.task) == (columns, task)


def test_a_few_broken_tags_hide_nothing(tmp_path):
    rows = [f"w{i} B-X" for i in range(200)] + ["v -", "w -X"]
    assert look(written(tmp_path, "\n".join(rows))) == Look("columns separated by spaces", "ner", "space:token=1,tag=2", "iob2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: no text; expected labelled sentences"),
        (" \n\n", ":1: no text"),
        ("# a comment\n\njust words\nhere\n", ":3: no labels found in 'just words'"),
        ("just\nwords\n", ":1: no labels found in 'just'; expected CoNLL-U, or a column of tags"),
        ("two words\nand two\n", ":1: no labels"),
        ("NOUN\nVERB\n", ":1: no labels"),
        ("O B-X\nO B-Y\n", None),
        ('{"a": 1}\n', ":1: no tags found in JSON Lines with a: .*--columns jsonl:token=NAME,tag=NAME names them"),
        ('{"text": "Ann", "label": []}\n', ":1: no tags found in JSON Lines with text, label.*Files from annotation tools"),
        ('[\n {"a": 1}]', ":1: a JSON list of an unknown kind: .* turn the list into lines with jq"),
        (
            '{"tokens": ["a"], "ner_tags": [3]}\n',
            r":1: ner_tags holds numbers \(3\).*--columns 'jsonl:token=tokens,tag=ner_tags,names=",
        ),
        (
            "a B-X\nb O\nc X-X\n",
            r":3: tag 'X-X' in column 2 of 'c X-X'; expected O, or a type after B-, I-, E- or S-, as 2 of 3 rows have",
        ),
        ("a\tB-X\nb\t-X\n\nc\tO\n", r":2: tag '-X' in column 2"),
        ("1\tB-X\n2\tO\n", ":1: no column of words beside the tags"),
    ],
)
def test_what_looks_like_nothing_is_said(tmp_path, text, said):
    path = written(tmp_path, text)
    if said is None:
        assert look(path).columns == "space:token=1,tag=2"
        return
    with pytest.raises(DataFormatError, match=said) as caught:
        look(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("uner/da_ddt", "dev"),
        ("masakhaner/swa", "dev"),
        ("wikineural/de", "test"),
        ("aqmar/ar", "dev"),
        ("germeval/de", "dev"),
        ("xsid/de", "dev"),
        ("xsid/ja", "test"),
        ("facebook/es", "dev"),
        ("stockmark/ja", "train"),
    ],
)
def test_real_files_are_read_by_their_looks_as_by_their_table(shared, name, split):
    path, layout = corpus_file(name, split, root=shared / "data")
    found = look(path)
    task = TASKS[CORPORA[name].task]
    declared = parse_layout(found.columns, scheme=found.scheme)
    by_looks = open_file(path, task, split, language="und", columns=declared)
    by_table = open_file(path, task, split, language="und", columns=layout)
    assert [s.words for s in by_looks.sentences] == [s.words for s in by_table.sentences]
    if name not in ("germeval/de", "stockmark/ja"):  # whose types the table renames
        assert [s.labels for s in by_looks.sentences] == [s.labels for s in by_table.sentences]


@pytest.mark.parametrize(
    "text",
    [
        "a NN B-NP B-X\nb VB B-VP O\n\nc NN B-NP B-X\n",
        "a\tB-X\nb\tO\n\t\nc\tB-X\n",
        "-DOCSTART- -X- O\n\na -X- _ B-X\nb -X- _ O\n",
        "a B-X I-Y\nb O B-Y\n",
    ],
)
def test_the_report_and_the_other_commands_read_the_same_column(tmp_path, text):
    path = written(tmp_path, text)
    found = look(path)
    by_looks, undeclared = (
        open_file(path, TASKS["ner"], "test", language="und", scheme=found.scheme, columns=columns)
        for columns in (parse_layout(found.columns, scheme=found.scheme), None)
    )
    assert by_looks.sentences == undeclared.sentences


def test_all_columns_of_tags_are_listed(tmp_path):
    assert look(written(tmp_path, "a NN B-NP B-X\nb VB B-VP O\n")).format.endswith("; tags in column 4, others in column 3")


def test_a_file_of_commas_is_said_to_be_one(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('word,tag\nAnna,B-PER\n",",O\n\nBonn,B-LOC\n', encoding="utf-8")
    with pytest.raises(
        DataFormatError, match=r"train\.csv:1: columns separated by commas in 'word,tag'; expected TABs or spaces"
    ):
        look(path)
