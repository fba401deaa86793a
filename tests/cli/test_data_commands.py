"""`polyhead data list|get|check` as a user calls them."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from cli.cases import refused
from data.server import Served, served

from polyhead.cli import data_commands
from polyhead.data import download_urls
from polyhead.data.corpus_table import CORPORA
from polyhead.data.download_urls import source
from polyhead.data.fetch import Got, get_corpus

ROW = "1\tHaus\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n"
NAME = "ud/de_gsd"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    bodies = {remote: f"# {remote.path}\n{ROW}".encode() for remote in source(NAME).files}
    pinned = {remote.path: hashlib.sha256(body).hexdigest() for remote, body in bodies.items() if "dev" in remote.path}
    monkeypatch.setattr(download_urls, "PINNED", pinned)
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _: None))
    with served({urlsplit(remote.url).path: body for remote, body in bodies.items()}) as state:
        yield state


def test_data_alone_and_its_help_list_its_commands(cli: Callable) -> None:
    assert cli("data").code == 2
    result = cli("data", "--help")
    assert result.code == 0
    assert all(f"data {word}" in result.out for word in ("list", "get", "check"))
    assert "evaluate" not in result.out
    refused(cli("data", "gte"), "unknown command 'data gte' (did you mean data get?)")


def test_list_fits_a_terminal_and_names_every_corpus(cli: Callable) -> None:
    result = cli("data", "list")
    assert result.code == 0
    assert all(f"| {name} |" in result.out for name in CORPORA)
    assert max(map(len, result.out.splitlines())) <= 80
    row = "| ud/he_htb | he | pos | train dev test | CC BY-NC-SA 4.0 |"
    assert row in result.out


def test_list_of_a_family_and_of_what_lies_here(cli: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "ud/UD_German-GSD"
    folder.mkdir(parents=True)
    (folder / "de_gsd-ud-dev.conllu").write_text(ROW)
    document = cli("data", "list", "ud", "xsid/de", "--data", tmp_path, "--json").json
    assert [row["name"] for row in document["corpora"]] == [name for name in CORPORA if name.startswith("ud/")] + ["xsid/de"]
    assert [row["here"] for row in document["corpora"] if row["name"] == NAME] == [["dev"]]
    assert "| ud/de_gsd | de | pos | dev | CC BY-SA 4.0 |" in cli("data", "list", "ud", "--data", tmp_path).out
    assert "| ud/de_hdt | de | pos | none | CC BY-SA 4.0 |" in cli("data", "list", "ud", "--data", tmp_path).out
    assert "| ilner/hi | hi | ner | train dev test | unknown |" in cli("data", "list", "ilner").out
    refused(cli("data", "list", "xsdi"), "corpus 'xsdi': no such name")
    refused(cli("data", "list", "--data", tmp_path / "nowhere"), "no such folder", "polyhead data get")
    refused(cli("data", "list", "--data", __file__), "is a file; name a folder")


def test_get_shows_the_licence_and_fetches_once(cli: Callable, mirror: Served, tmp_path: Path) -> None:
    result = cli("data", "get", NAME, "--data", tmp_path / "d", "--mirror", mirror.address)
    assert result.code == 0, result.err
    assert "ud/de_gsd: https://github.com/UniversalDependencies/UD_German-GSD, licence CC BY-SA 4.0" in result.err
    assert "de_gsd-ud-train.conllu: fetched, as at the first download" in result.err
    assert "de_gsd-ud-dev.conllu: fetched, the released bytes" in result.err
    assert result.out == "ud/de_gsd: 4 fetched, 0 already there; licence CC BY-SA 4.0\n"
    mirror.asked = []
    document = cli("data", "get", NAME, "--data", tmp_path / "d", "--mirror", mirror.address, "--json").json
    assert {file["status"] for file in document["corpora"][0]["files"]} == {"there"}
    assert mirror.asked == []


def test_get_says_what_a_source_lacks(cli: Callable, shared: Path) -> None:
    result = cli("data", "get", "xsid/en", "--data", shared / "data", "--mirror", "https://nowhere.invalid")
    assert result.code == 0
    assert "its source lacks the English training data" in result.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "https://nowhere.invalid"}, ["3 times in a row", "check the network, or name a mirror with --mirror"]),
        ({"address": "mirror"}, ["mirror 'mirror': not a URL"]),
        ({"files": {}}, ["answers 404 ('Not Found')", "de_gsd-ud-train.conllu"]),
        ({"refuse": [503] * 9}, ["answers 503", "3 times in a row"]),
    ],
)
def test_get_fails_in_one_line(cli: Callable, mirror: Served, tmp_path: Path, change: dict, said: list[str]) -> None:
    for name, value in change.items():
        setattr(mirror, name, value)
    result = cli("data", "get", NAME, "--data", tmp_path, "--mirror", mirror.address)
    assert (result.code, result.out) == (2, "")
    message = result.err.splitlines()[-1]
    assert message.startswith("polyhead: error: ")
    assert all(part in message for part in said), message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_get_refuses_other_bytes(cli: Callable, mirror: Served, tmp_path: Path) -> None:
    dev = next(path for path in mirror.files if "dev" in path)
    mirror.files[dev] = b"something else"
    result = cli("data", "get", NAME, "--data", tmp_path, "--mirror", mirror.address)
    assert result.code == 2
    assert "is not the released file" in result.err.splitlines()[-1]
    assert not list(tmp_path.rglob("*dev*"))


@pytest.mark.parametrize("n_fetched", [0, 1])
def test_a_stopped_get_claims_only_what_it_kept(
    cli: Callable, mirror: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_fetched: int
) -> None:
    def stopped(*arguments: object, **options: object) -> Iterator[Got]:
        yield from islice(get_corpus(*arguments, **options), n_fetched)
        raise KeyboardInterrupt

    monkeypatch.setattr(data_commands, "get_corpus", stopped)
    result = cli("data", "get", NAME, "--data", tmp_path, "--mirror", mirror.address)
    said = "; fetched files are kept: start it again to fetch the others" if n_fetched else ""
    assert (result.code, result.err.splitlines()[-1]) == (130, f"polyhead: interrupted{said}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ud/de_gsf", "--data", "d"], ["corpus 'ud/de_gsf'", "did you mean ud/de_gsd"]),
        (["ilner/hi", "--data", "d"], ["no public source of its files is known"]),
        (["ud/de_gsd"], ["--data"]),
        (["ud/de_gsd", "--data", __file__], ["is a file, not a folder; name another folder"]),
    ],
)
def test_get_refuses_bad_input(cli: Callable, arguments: list[str], said: list[str]) -> None:
    refused(cli("data", "get", *arguments), *said)


IOB = "Ann B-PER\nLee I-PER\nsings O\n\nBonn I-LOC\n"


@pytest.fixture
def entities(tmp_path: Path) -> Path:
    (tmp_path / "train.txt").write_text(IOB)
    (tmp_path / "dev.txt").write_text("Bonn B-LOC\n\nthe O\nYser B-RIV\n")
    return tmp_path


def test_check_reports_a_file_that_declares_nothing(cli: Callable, entities: Path) -> None:
    result = cli("data", "check", entities / "train.txt")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "format: columns separated by spaces, scheme iob2, task ner"
    assert "  --task ner --scheme iob2" in lines
    assert "  --columns space:token=1,tag=2" in lines
    assert "| train | 2 | 4 | 3 | 0 | 0 | 1 |" in lines
    assert "| PER | 1 |" in lines
    assert "- train: 1 x I- that starts a span read as B-" in result.out
    assert max(map(len, lines)) <= 80


def test_what_check_tells_to_declare_is_what_other_commands_take(cli: Callable, entities: Path, ner_tagger: Path) -> None:
    options = ["--task", "ner", "--scheme", "iob2", "--columns", "space:token=1,tag=2"]
    assert cli("evaluate", ner_tagger, "--target", f"en={entities}/train.txt", *options, "--threads", 1).code == 0


def test_declared_columns_are_completed_by_what_their_tags_show(cli: Callable, entities: Path) -> None:
    for more in ([], ["--task", "ner"]):
        result = cli("data", "check", entities / "train.txt", "--columns", "space:token=1,tag=2", *more)
        assert result.code == 0, result.err
        lines = result.out.splitlines()
        assert lines[0] == "format: as declared, scheme iob2, task ner"
        assert lines[2:4] == ["  --task ner --scheme iob2", "  --columns space:token=1,tag=2"]
    (entities / "tags.txt").write_text("Ann PROPN\nsings VERB\n")
    result = cli("data", "check", entities / "tags.txt", "--columns", "space:token=1,tag=2")
    assert result.out.splitlines()[:2] == ["format: as declared, task pos", ""]


def test_a_tab_at_the_end_of_every_row_is_no_column_for_any_command(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("the\tB-PER\t\nruns\tO\t\n\ndog\tB-PER\t\n")
    options = ["--task", "ner", "--scheme", "iob2", "--threads", 1]
    assert "| PER | 2 |" in cli("data", "check", path).out
    for columns in ([], ["--columns", "tab:token=1,tag=2"]):
        document = cli("evaluate", ner_tagger, "--target", f"nl={path}", *options, *columns, "--json").json
        assert document["targets"][0]["n_words"] == 3
        predicted = cli("predict", ner_tagger, path, *options, *columns).out.splitlines()
        assert [(line.count("\t"), line.endswith("\t")) for line in predicted if line] == [(2, True)] * 3
    path.write_text("the\tB-PER\t\nruns\tO\tx\n")
    refused(cli("evaluate", ner_tagger, "--target", f"nl={path}", *options), "x.tsv:2: 3 columns", "expected 2")


def test_check_compares_splits(cli: Callable, entities: Path, ner_tagger: Path) -> None:
    reference = f"en={entities}/train.txt:{entities}/dev.txt:"
    result = cli("data", "check", reference, "--tokenizer", ner_tagger, "--max-length", 8)
    assert "| train, dev | 1 | 0 |" in result.out
    assert "dev: labels that are not in train, so no model can learn them: RIV" in result.out
    assert "| dev | 1.00 | 66.67 | 0.00 |" in result.out
    document = cli("data", "check", reference, "--json").json
    assert [split["split"] for split in document["splits"]] == ["train", "dev"]
    assert document["overlaps"] == [{"first": "train", "second": "dev", "shared": 1, "relabelled": 0}]
    assert document["format"]["declared"] is False
    assert document["needs_work"] is True


def test_strict_exits_with_1_if_something_is_to_be_repaired(cli: Callable, entities: Path) -> None:
    dev = entities / "dev.txt"
    assert cli("data", "check", dev, "--strict").code == 0
    assert cli("data", "check", entities / "train.txt", "--strict").code == 1
    (entities / "train.txt").write_text("Bonn B-LOC\n")
    assert cli("data", "check", entities / "train.txt", "--strict").code == 0
    assert cli("data", "check", f"en={entities}/train.txt:{dev}:", "--strict").code == 1


def test_check_of_a_corpus_names_what_is_absent(cli: Callable, mirror: Served, tmp_path: Path) -> None:
    cli("data", "get", NAME, "--data", tmp_path, "--mirror", mirror.address)
    (tmp_path / "ud/UD_German-GSD/de_gsd-ud-test.conllu").unlink()
    result = cli("data", "check", NAME, "--data", tmp_path)
    assert result.code == 0, result.err
    assert "format: CoNLL-U, task pos" in result.out
    assert "| train, dev | 1 | 0 |" in result.out
    assert "test: not in the data folder; fetch it with polyhead data get ud/de_gsd --data" in result.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{d}/nothing.txt"], ["nothing.txt: no such file"]),
        (["."], [".: a folder; expected a file"]),
        ([""], ["DATA = '': should not be empty"]),
        (["{d}/words.txt"], ["words.txt:1: no labels found", "--columns"]),
        (["{d}/train.txt", "--columns", "tab:tag=2", "--scheme", "iob2"], ["train.txt:1: 1 column in"]),
        (["{d}/train.txt", "--scheme", "iob3"], ["scheme 'iob3'"]),
        (["{d}/words.txt", "--scheme", "bmeso2"], ["scheme 'bmeso2': expected one of"]),
        (
            ["{d}/nine.conllu"],
            ["nine.conllu:1: 9 columns in", "in the whole file: 1 x row of 9 columns, 1 x row with spaces in place"],
        ),
        (["{d}/train.txt", "--task", "pso"], ["task 'pso'"]),
        (
            ["{d}/train.txt", "--task", "pos"],
            ["--task pos: ", "train.txt has span tags", "give --task ner, or declare another column"],
        ),
        (["{d}/good.conllu", "--task", "ner"], ["--task ner: ", "good.conllu has no span tags (CoNLL-U); give --task pos"]),
        (["en={d}/good.conllu:{d}/none:"], ["none: no such"]),
        (["{d}/train.txt", "--columns", "space:tag=2,scheme=io", "--task", "pos"], ["has span tags", "give --task ner"]),
        (["{d}/tags.txt", "--task", "ner"], ["--task ner: ", "tags.txt has no span tags", "give --task pos"]),
        (["{d}/tags.txt", "--columns", "space:tag=2", "--task", "ner"], ["--task ner: ", "has no span tags"]),
        (["{d}/words.txt", "--columns", "space:tag=1,token=2"], ["words.txt:1: 1 column in"]),
        (
            ["{d}/odd.txt", "--columns", "space:tag=2"],
            ["odd.txt:1: tag '-PER' in the column of the tags", "if this row is a header, add header=1"],
        ),
        (["{d}/none.txt", "--columns", "space:tag=2"], ["none.txt: no tag but O in the column of the tags"]),
        (["{d}/bad.txt"], ["bad.txt:51: 1 column in"]),
        (["{d}/tree.txt"], ["tree.txt: CoNLL-U under another name", "ends in .conllu"]),
        (["{d}/train.txt", "--tokenizer", "{d}"], ["config.json"]),
        (["ud/de_gsd"], ["give --data FOLDER"]),
        (["ud/de_gsf", "--data", "{d}"], ["corpus 'ud/de_gsf'", "did you mean"]),
        (["ud/de_gsd", "--data", "{d}"], ["no file of ud/de_gsd", "polyhead data get ud/de_gsd"]),
        (["ud/de_gsd", "--data", "{d}", "--task", "ner"], ["labelled for pos"]),
        (["ud/de_gsd", "--data", "{d}", "--scheme", "io"], ["declares its own layout"]),
    ],
)
def test_check_refuses_bad_input(cli: Callable, entities: Path, arguments: list[str], said: list[str]) -> None:
    (entities / "words.txt").write_text("just\nwords\n")
    (entities / "bad.txt").write_text("Ann B-PER\n" * 50 + "Lee\n" + "Ann B-PER\n" * 200)
    (entities / "tags.txt").write_text("Ann PROPN\nsings VERB\n")
    (entities / "odd.txt").write_text("Ann -PER\nsings VERB\n")
    (entities / "none.txt").write_text("Ann O\nsings O\n")
    (entities / "tree.txt").write_text(ROW)
    (entities / "good.conllu").write_text(ROW)
    (entities / "nine.conllu").write_text(ROW.replace("\t_\n\n", "\n") + ROW.replace("\t", " "))
    refused(
        cli("data", "check", *(argument.format(d=entities) for argument in arguments)),
        *(part.format(d=entities) for part in said),
    )


def test_check_of_real_text(cli: Callable, shared: Path) -> None:
    model = shared / "models/mini"
    result = cli("data", "check", "uner/tl_trg", "--data", shared / "data", "--tokenizer", model)
    assert "| test | 128 | 734 |" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_check_of_a_corpus_that_is_made_needs_no_folder(cli: Callable, tmp_path: Path) -> None:
    document = cli("data", "check", "phrases-ner/he", "--json").json
    assert document["format"]["format"] == "made in memory"
    assert [(found["split"], found["sentences"]) for found in document["splits"]] == [
        ("train", 2400),
        ("dev", 400),
        ("test", 600),
    ]
    assert cli("data", "check", "phrases-ner/he", "--data", tmp_path, "--json").json["absent"] == []
    refused(cli("data", "check", "phrases-ner/hee"), "corpus 'phrases-ner/hee'", "did you mean phrases-ner/he")


def test_other_commands_take_a_layout_by_its_name(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"utt": "Ann sings", "annot_utt": "[PER : Ann] sings"}\n')
    options = ["--task", "slots", "--columns", "massive", "--threads", 1]
    result = cli("evaluate", ner_tagger, "--target", f"en={path}", *options, "--json")
    assert f"en={path}" in result.out
    assert result.code == 0, result.err
    refused(
        cli("predict", ner_tagger, path, *options),
        "--columns massive",
        "only into columns, CoNLL-U and records (parquet, datasets, jsonl)",
    )
    refused(cli("evaluate", ner_tagger, "--target", f"en={path}", *options, "--scheme", "iob2"), "leave --scheme out")
    refused(
        cli("evaluate", ner_tagger, "--target", f"en={path}", *options, "--columns", "masive"),
        "columns 'masive'",
        "or one of facebook, stockmark",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the B-PER\nruns O\n" * 600, "train: the longest of 1 sentence has 1,200 words: are blank lines between"),
        (
            "".join(f"w{i} B-PER\n\n" for i in range(20)),
            "train: every sentence has one word: does a blank line follow each word?",
        ),
        ("".join(f"nl:{i} B-PER\nnl:{i} O\n\n" for i in range(20)), "train: all 20 different words begin with 'nl:'"),
    ],
)
def test_suspicious_text_is_said_by_check_and_by_other_commands(
    cli: Callable, ner_tagger: Path, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "x.txt"
    path.write_text(text)
    result = cli("data", "check", path, "--strict")
    assert (result.code, "Nothing to repair" in result.out, said in result.prose) == (0, False, True), result.out
    options = ["--task", "ner", "--target", f"nl={path}", "--scheme", "iob2", "--threads", 1]
    assert said.removeprefix("train: ") in cli("evaluate", ner_tagger, *options).err


def test_document_starts_are_nothing_to_repair_for_any_command(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("-DOCSTART- O\n\nthe B-PER\nruns O\n")
    assert cli("data", "check", path, "--strict").code == 0
    options = ["--task", "ner", "--target", f"nl={path}", "--scheme", "iob2", "--strict", "--threads", 1]
    assert cli("evaluate", ner_tagger, *options).code == 0


def test_a_file_that_cannot_be_read_is_sent_to_check(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "a file.txt"
    path.write_text("the B-PER\nruns L-PER\n")
    said = f"see polyhead data check '{path}'"
    options = ["--task", "ner", "--scheme", "iob2", "--threads", 1]
    refused(cli("evaluate", ner_tagger, "--target", f"nl={path}", *options), "a file.txt:2: tag 'L-PER'", said)
    refused(cli("predict", ner_tagger, tmp_path / "none.txt", *options), "no such file")


def test_windows_are_those_that_the_model_has_positions_for(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    model = shutil.copytree(ner_tagger, tmp_path / "model")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    path = tmp_path / "x.txt"
    path.write_text("the B-PER\n" + "runs O\n" * 66)  # 67 words; 68 positions, two of them for special tokens
    found = cli("data", "check", path, "--tokenizer", model, "--json").json["splits"][0]
    assert (found["over_long"], found["rates"]["window"]) == (1, 66)


def test_scores_of_nothing_but_zero_are_said(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("big B-PLANET\nruns O\n\n" * 3)
    result = cli("evaluate", ner_tagger, "--target", f"nl={path}", "--task", "ner", "--scheme", "iob2", "--threads", 1)
    assert "note: F1 is 0.00 everywhere" in result.err
