"""People's own files, of every kind: all commands read the same words and labels, and predict writes the kind it read."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from cli.cases import refused

from polyhead.cli.main import main
from polyhead.data.corpora import open_file
from polyhead.data.layouts import parse_layout
from polyhead.data.schemes import from_iob2
from polyhead.data.tasks import TASKS

SENTENCES = [
    (["the", "dog", "runs"], ["B-PER", "I-PER", "O"]),
    (["a", "cat"], ["O", "B-PER"]),
    (["big", "house", "."], ["O", "O", "O"]),
]


def columns(path: Path, scheme: str, header: str = "", blank: str = "") -> Path:
    blocks = ["".join(f"{w}\t{t}\n" for w, t in zip(ws, from_iob2(ts, scheme), strict=True)) for ws, ts in SENTENCES]
    path.write_text(header + f"{blank}\n".join(blocks))
    return path


def lines(path: Path) -> Path:
    path.write_text("".join(json.dumps({"words": ws, "tags": ts}) + "\n" for ws, ts in SENTENCES))
    return path


def dataset() -> datasets.Dataset:
    datasets.disable_progress_bars()
    labels = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    kinds = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": datasets.Sequence(labels)})
    return datasets.Dataset.from_dict({"tokens": [ws for ws, _ in SENTENCES], "ner_tags": [ts for _, ts in SENTENCES]}, kinds)


def parquet(path: Path) -> Path:
    dataset().to_parquet(path)
    return path


def saved(path: Path) -> Path:
    dataset().save_to_disk(path)
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "bilou": lambda path: columns(path, "bilou"),
    "bmes": lambda path: columns(path, "bmes"),
    "bare": lambda path: columns(path, "bare"),
    "header": lambda path: columns(path, "iob2", header="token\tner_tag\n"),
    "tabs": lambda path: columns(path, "iob2", blank="\t"),
    "jsonl": lines,
    "parquet": parquet,
    "datasets": saved,
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def declared(out: str) -> list[str]:
    """The options that `data check` prints."""
    return shlex.split(" ".join(line for line in out.splitlines() if line.startswith("  --")))


@each_kind
def test_what_check_prints_is_what_all_commands_take(cli: Callable, ner_tagger: Path, tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path / "x")
    checked = cli("data", "check", path)
    assert checked.code == 0, checked.err
    assert "| train | 3 | 8 | 3 |" in checked.out
    assert "| PER | 2 |" in checked.out
    options = [*declared(checked.out), "--threads", 1]
    scored = cli("evaluate", ner_tagger, "--target", f"en={path}", *options, "--json").json["targets"][0]
    assert scored["n_words"] == 8
    ranked = cli("rank", ner_tagger, "--data", path, *options, "--json").json
    assert (ranked["data"]["sentences"], ranked["data"]["words"]) == (3, 8)
    predicted = cli("predict", ner_tagger, path, *options, "--json").json["sentences"]
    assert [one["words"] for one in predicted] == [ws for ws, _ in SENTENCES]
    out = tmp_path / "out"
    assert cli("predict", ner_tagger, path, *options, "--out", out).code == 0
    values = dict(zip(options[::2], options[1::2], strict=True))
    layout = parse_layout(str(values["--columns"]), scheme=str(values["--scheme"]))
    again = open_file(out, TASKS["ner"], "dev", language="en", columns=layout)
    assert [list(one.words) for one in again] == [ws for ws, _ in SENTENCES]
    labels = [list(one.labels) for one in again]
    assert cli("predict", ner_tagger, out, *options, "--json").json["sentences"] == predicted
    if kind not in ("bare", "bilou", "bmes"):
        assert labels == [one["labels"] for one in predicted]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "datasets"])
def test_fit_and_run_read_them_too(cli: Callable, encoder: Path, tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path / "x")
    options = [*declared(cli("data", "check", path).out), "--epochs", 1, "--threads", 1]
    if kind == "datasets":
        train = datasets.concatenate_datasets([dataset(), dataset()])
        datasets.DatasetDict({"train": train, "validation": dataset()}).save_to_disk(tmp_path / "all")
        source = f"en={tmp_path}/all"
    else:
        train_file = tmp_path / f"train{path.suffix}"
        train_file.write_bytes(2 * path.read_bytes())
        source = f"en={train_file}:{path}:"
    fitted = cli("fit", "--model", encoder, "--source", source, *options, "--out", tmp_path / "m")
    assert fitted.code == 0, fitted.err
    other = tmp_path / "test"
    KINDS[kind](other)
    refused(
        cli(
            "run",
            "--model",
            encoder,
            "--source",
            source,
            "--target",
            f"nl={other}",
            *options,
            "--seeds",
            1,
            "--out",
            tmp_path / "r",
        ),
        "its test file is the dev file of",
    )


def test_fit_says_what_to_do_with_a_header_before_other_separators(cli: Callable, encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("token\tner_tag\nthe B-PER\ndog I-PER\n\na O\n")
    options = ["--model", encoder, "--task", "ner", "--scheme", "iob2", "--out", tmp_path / "m"]
    said = "x.txt:2: 1 column in 'the B-PER', which spaces separate; expected tabs as in line 1, 'token\\tner_tag'"
    step = "if that is a header, skip it with space:header=1 in --columns"
    refused(cli("fit", *options, "--source", f"en={path}"), said, step)
    assert declared(cli("data", "check", path).out)[-1] == "space:token=1,tag=2,header=1"
    path.write_text("token\tner_tag\nthe\tB-PER\ndog\tI-PER\n")
    refused(cli("fit", *options, "--source", f"en={path}"), "x.txt:1: tag 'ner_tag'", "skip it with tab:header=1 in --columns")
    path.write_text("form\tupos\nthe\tDET\n")
    options[3:6] = ["pos"]
    refused(cli("fit", *options, "--source", f"en={path}"), "x.txt:1: tag 'upos'", "skip it with tab:header=1 in --columns")
    path.write_text("the\tB-PER\n\tO\n")
    options = ["--task", "ner", "--scheme", "iob2", "--target", f"en={path}"]
    refused(cli("evaluate", encoder, *options), "x.txt:2: an empty word", "tab:empty=skip in --columns leaves such rows out")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the dog runs\na cat sleeps\n", "x.txt:1: 'runs', the last of 'the dog runs'; expected a tag, or one word on each line"),
        ("the dog .\na cat .\n", "x.txt:1: '.', the last of 'the dog .'; expected a tag, or one word on each line"),
        ("猫 が\n犬 も\n", "x.txt:1: 'が', the last of"),
        (
            "token ner_tag\nthe O\ndog O\n",
            "x.txt:1: 'ner_tag', the last of 'token ner_tag'; expected a tag; if this row is a header",
        ),
    ],
)
def test_predict_overwrites_no_running_text(
    cli: Callable, ner_tagger: Path, tagger: Path, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "x.txt"
    path.write_text(text)
    refused(cli("predict", tagger, path, "--task", "pos", "--format", "columns"), said)
    refused(cli("predict", ner_tagger, path, "--task", "ner"), said)
    assert cli("predict", ner_tagger, path, "--task", "ner", "--columns", "space:token=1,tag=last").code == 0
    path.write_text("the DT\ndog NN\nruns VBZ\n. .\n")
    assert cli("predict", tagger, path, "--task", "pos", "--format", "columns").code == 0


def test_json_lines_from_stdin_and_new_columns(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"tokens": ["the", "dog"], "id": 3}\n')
    found = cli("predict", tagger, path, "--task", "pos", "--columns", "jsonl:tag=upos")
    assert found.code == 0, found.err
    assert list(json.loads(found.out)) == ["tokens", "id", "upos"]
    added = json.loads(cli("predict", tagger, path, "--task", "pos", "--columns", "jsonl:tag=none").out)
    assert added["predicted_tags"] == json.loads(found.out)["upos"]
    refused(cli("predict", tagger, path, "--task", "pos"), "x.jsonl:1: 1 column", "records (--columns)")
    refused(cli("predict", tagger, path, "--task", "pos", "--format", "columns"), "JSON Lines", "--columns jsonl:token=tokens")


def test_a_folder_is_tagged_into_a_new_folder(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "x")
    options = ["--task", "ner", "--columns", "datasets"]
    refused(cli("predict", ner_tagger, path, *options), "a folder is tagged into another folder; give --out FOLDER")
    refused(cli("predict", ner_tagger, path, *options, "--out", path), "is not empty; name a new folder")
    assert cli("predict", ner_tagger, path, *options, "--out", tmp_path / "new" / "y").code == 0
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["y"]
    assert datasets.load_from_disk(tmp_path / "new" / "y").features == dataset().features
    datasets.DatasetDict({"train": dataset()}).save_to_disk(tmp_path / "all")
    options += ["--scheme", "iob2"]
    refused(
        cli("rank", ner_tagger, "--data", tmp_path / "all", *options), "a folder of the splits train; expected the folder of one"
    )
    refused(cli("evaluate", ner_tagger, "--target", f"en={tmp_path}/all", *options), "no test file; its files are read as train")


def test_numbers_without_names_are_refused_by_all(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"tokens": ["the", "dog"], "ner_tags": [1, 2]}\n')
    said = "nothing names them; expected"
    refused(cli("data", "check", path), "x.jsonl:1: ner_tags holds numbers (1, 2) and", said, "names=O B-PER I-PER'")
    options = ["--task", "ner", "--scheme", "iob2", "--columns"]
    for command in (["rank", ner_tagger, "--data", path], ["evaluate", ner_tagger, "--target", f"en={path}"]):
        refused(cli(*command, *options, "jsonl"), "x.jsonl:1: ner_tags holds numbers, such as 1, and", said)
    named = "jsonl:names=O B-PER I-PER"
    assert declared(cli("data", "check", path, "--columns", named).out)[-1] == named
    assert cli("evaluate", ner_tagger, "--target", f"en={path}", *options, named).code == 0
    assert all(type(tag) is int for tag in json.loads(cli("predict", ner_tagger, path, *options, named).out)["ner_tags"])


def test_a_terminal_is_not_flooded_with_a_binary_file(
    ner_tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    path = KINDS["parquet"](tmp_path / "x.parquet")
    options = ["--columns", "parquet:token=tokens,tag=ner_tags"]
    assert main(["predict", str(ner_tagger), str(path), "--task", "ner", *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "a terminal cannot show this format; give --out FILE" in said.err
