"""Tags are filled in and nothing else changes, from a file or from stdin."""

import io
import lzma
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from polyhead.data.conllu import read_conllu
from polyhead.data.tasks import UPOS
from polyhead.data.textfile import TextFile

RAW = (
    "# newpar\n# text = thedog runs\n1-2\tthedog\t_\t_\t_\t_\t_\t_\t_\tX=1\n1\tthe\tthe\t_\tDT\tA=b\t2\tdet\t_\t_\n"
    "2\tdog\t_\tNOUN\t_\t_\t0\troot\t_\tSpaceAfter=No\n2.1\tghost\t_\t_\t_\t_\t_\t_\t_\t_\n3\truns\t_\t_\t_\t_\t2\tx\t_\t_\n\n"
    "# second\n1\t.\t_\t_\t_\t_\t0\troot\t_\t_\n"
)


def columns_of(text: str, column: int) -> list[str]:
    return [line.split("\t")[column] for line in text.splitlines() if line[:1].isdigit() and line.split("\t")[0].isdigit()]


def without_upos(text: str) -> list[str]:
    return ["\t".join(f for i, f in enumerate(line.split("\t")) if i != 3) for line in text.split("\n")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_conllu_comes_back_with_upos_and_otherwise_the_same_bytes(
    cli: Callable, tagger: Path, tmp_path: Path, newline: str, bom: str
) -> None:
    path, out = tmp_path / "raw.conllu", tmp_path / "out.conllu"
    path.write_bytes((bom + RAW.replace("\n", newline)).encode())
    assert cli("predict", tagger, "--task", "pos", path, "--out", out).code == 0
    text = out.read_bytes().decode()
    assert without_upos(text) == without_upos(bom + RAW.replace("\n", newline))
    assert text.count("\r") == (RAW.count("\n") if newline == "\r\n" else 0)
    plain = text.replace("\r\n", "\n")
    assert all(tag in UPOS for tag in columns_of(plain, 3))
    assert "thedog\t_\t_\t_" in plain, "a multiword range has no tag"
    assert "ghost\t_\t_\t_" in plain, "nor has an empty node"
    predicted = cli("predict", tagger, "--task", "pos", path, "--json").json
    assert columns_of(plain, 3) == [label for sentence in predicted["sentences"] for label in sentence["labels"]]


def test_predicting_twice_changes_nothing_more(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.conllu", tmp_path / "b.conllu"
    assert cli("predict", tagger, "--task", "pos", treebank / "test.conllu", "--out", first).code == 0
    assert cli("predict", tagger, "--task", "pos", first, "--out", second).code == 0
    assert first.read_bytes() == second.read_bytes()
    gold, predicted = (list(read_conllu(TextFile(p, "en"))) for p in (treebank / "test.conllu", first))
    assert [s.words for s in gold] == [s.words for s in predicted]
    assert [s.labels for s in gold] != [s.labels for s in predicted]


def test_stdin_and_stdout(cli: Callable, tagger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(RAW.encode())))
    result = cli("predict", tagger, "--task", "pos", "-")
    assert result.code == 0
    assert without_upos(result.out) == without_upos(RAW)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"1\tx\n")))
    broken = cli("predict", tagger, "--task", "pos")
    assert broken.code == 2
    assert "stdin:1: 2 columns" in broken.err
    assert "for a file of columns add --format columns\n" in broken.err


def test_a_file_that_is_no_conllu_gets_the_next_step(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    columns, conllu = tmp_path / "x.tsv", tmp_path / "x.conllu"
    for path in (columns, conllu):
        path.write_text("the\tDET\ndog\tNOUN\n")
    step = "for a file of columns add --format columns"
    assert step in cli("predict", tagger, "--task", "pos", columns).err
    assert step not in cli("predict", tagger, "--task", "pos", columns, "--format", "conllu").err
    assert step not in cli("predict", tagger, "--task", "pos", conllu).err
    assert cli("predict", tagger, "--task", "pos", columns, "--format", "columns").code == 0


def test_compressed_text_comes_back_plain(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    (tmp_path / "raw.conllu.xz").write_bytes(lzma.compress(RAW.encode()))
    result = cli("predict", tagger, "--task", "pos", tmp_path / "raw.conllu.xz")
    assert without_upos(result.out) == without_upos(RAW)


def test_columns_in_spans_keep_everything_but_the_tag(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    text = "# id = 1\n0\tthe\tO\t-\tann\n1\t#\tB-LOC\t-\tann\n\n\n# id = 2\n0\tdog\t_\t-\tann\n1\tdog\t_\t-\tann"
    path.write_text(text)
    result = cli("predict", ner_tagger, "--task", "ner", path, "--columns", "tab:token=2,tag=3,index=1,comments=hash")
    assert result.code == 0, result.err

    def blanked(whole: str) -> list[str]:
        return ["\t".join(f for i, f in enumerate(line.split("\t")) if i != 2) for line in whole.split("\n")]

    assert blanked(result.out) == blanked(text)
    tags = [line.split("\t")[2] for line in result.out.split("\n") if "\t" in line]
    assert set(tags) <= {"O", "B-PER", "I-PER"}
    bioes = cli("predict", ner_tagger, "--task", "ner", path, "--columns", "tab:token=2,tag=3,comments=hash", "--scheme", "bioes")
    assert {line.split("\t")[2][:1] for line in bioes.out.split("\n") if "\t" in line} <= set("OBIES")


def test_lone_words_get_a_tag_column(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("the\ndog\n\ncat\n")
    result = cli("predict", ner_tagger, "--task", "ner", path)
    assert [line.partition("\t")[0] for line in result.out.split("\n")] == ["the", "dog", "", "cat", ""]
    assert all(line.count("\t") == 1 for line in result.out.split("\n") if line)


def test_spaces_between_columns_are_kept(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("the   O\ndog O\n")
    result = cli("predict", ner_tagger, "--task", "ner", path, "--columns", "space:token=1,tag=2")
    assert [line.rpartition(" ")[0] for line in result.out.split("\n")] == ["the  ", "dog", ""]


def test_tags_that_the_text_holds_already_are_not_looked_at(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "raw.conllu"
    path.write_text(RAW.replace("\tNOUN\t", "\tNN-SG\t"))
    result = cli("predict", tagger, "--task", "pos", path)
    assert result.code == 0, result.err
    assert without_upos(result.out) == without_upos(RAW)
    assert set(columns_of(result.out, 3)) <= set(UPOS)


def test_predict_refuses(cli: Callable, tagger: Path, ner_tagger: Path, treebank: Path, tmp_path: Path) -> None:
    data = treebank / "test.conllu"
    for arguments, said in (
        ([tagger, "--task", "pos", tmp_path / "none.conllu"], "none.conllu: no such file"),
        ([ner_tagger, "--task", "pos", data], "predicts O B-PER I-PER"),
        ([ner_tagger, "--task", "ner", data, "--format", "conllu"], "no column in CoNLL-U"),
        ([tagger, "--task", "pos", data, "--out", data / "x"], f"{data} is a file, not a folder; name another file"),
        ([tagger, "--task", "pos", data, "--scheme", "iob2"], "--scheme iob2: task pos has no spans; leave the scheme out"),
    ):
        result = cli("predict", *arguments)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert said in result.err
