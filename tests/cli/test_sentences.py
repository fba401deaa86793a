"""Sentence tasks through every command, on the bundled encoder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import pipeline

from polyhead.models.loading import load_saved
from polyhead.models.model_heads import head_mask
from polyhead.report.curve_text import curve_text
from polyhead.studies.tagger import Tagger

WORDS = ("the dog", "my cat", "a bird", "your horse")
VERBS = ("sleeps", "runs", "sees me", "eats")
SHORT = ("--threads", 1)


def pairs(start: int, n: int) -> str:
    rows = ["premise\thypothesis\tlabel"]
    for i in range(start, start + n):
        premise = f"{WORDS[i % 4]} {VERBS[i // 4 % 4]} {i}"
        label = ("entailment", "neutral", "contradiction")[i % 3]
        rows.append(f"{premise}\t{('', 'perhaps ', 'not ')[i % 3]}{premise}\t{label}")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name, (start, n) in {"train": (0, 48), "dev": (100, 24), "test": (200, 30)}.items():
        (folder / f"{name}.tsv").write_text(pairs(start, n))
    (folder / "reviews.csv").write_text("text,label\n" + '"good, very good",1\n"bad, very bad",0\n' * 8)
    return folder


@pytest.fixture
def model(folder: Path, cli: Callable) -> Path:
    if not (folder / "model").is_dir():
        source = f"en={folder}/train.tsv:{folder}/dev.tsv"
        found = cli(
            "fit",
            "--model",
            "polyhead/tiny",
            "--task",
            "nli",
            "--source",
            source,
            "--epochs",
            1,
            "--out",
            folder / "model",
            *SHORT,
        )
        assert found.code == 0, found.err
    return folder / "model"


def test_rank_prune_evaluate_and_stock_transformers(model: Path, folder: Path, tmp_path: Path, cli: Callable) -> None:
    ranked = cli("rank", model, "--task", "nli", "--data", folder / "dev.tsv", "--out", tmp_path / "scores.tsv", "--json", *SHORT)
    assert (ranked.code, ranked.json["task"], ranked.json["data"]["sentences"]) == (0, "nli", 24)
    assert ranked.json["n"] == 24
    assert cli("prune", model, "--scores", tmp_path / "scores.tsv", "--n-pruned", 5, "--out", tmp_path / "small").code == 0
    assert head_mask(load_saved(tmp_path / "small")).n_pruned == 5
    scored = cli("evaluate", tmp_path / "small", "--task", "nli", "--target", f"en={folder}/test.tsv", "--json", *SHORT)
    (target,) = scored.json["targets"]
    assert (target["n_words"], sorted(target["metrics"])) == (30, ["accuracy", "macro_f1"])

    written = cli("predict", tmp_path / "small", folder / "test.tsv", "--task", "nli", *SHORT)
    rows = [line.split("\t") for line in written.out.splitlines()]
    gold = [line.split("\t") for line in (folder / "test.tsv").read_text().splitlines()]
    assert [row[:2] for row in rows] == [row[:2] for row in gold]
    right = sum(row[2] == one[2] for row, one in zip(rows[1:], gold[1:], strict=True))
    assert target["metrics"]["accuracy"] == pytest.approx(100 * right / 30)
    label = pipeline("text-classification", model=str(tmp_path / "small"))
    stock = label([{"text": premise, "text_pair": hypothesis} for premise, hypothesis, _ in rows[1:]])
    assert [one["label"] for one in stock] == [row[2] for row in rows[1:]]
    tagger = Tagger.load(tmp_path / "small")
    assert tagger.predict([(rows[1][0], rows[1][1]), "alone"])[0] == [rows[1][2]]


def test_curve_doctor_and_data_check(model: Path, folder: Path, cli: Callable) -> None:
    options = ("--task", "nli", "--data", folder / "dev.tsv", "--max-pruned", 3, "--random-seeds", 1)
    found = cli("curve", model, *options, "--method", "gradient", "--json", *SHORT)
    assert found.code == 0, found.err
    assert found.json["main_metric"] == "accuracy"
    assert "dev split (24 sentences), with k heads ablated" in " ".join(curve_text(found.json).split())
    checked = cli("doctor", model, "--task", "nli", "--data", folder / "dev.tsv", "--limit", 6, "--json", *SHORT)
    assert checked.code == 0, checked.out
    report = cli("data", "check", f"en={folder}/train.tsv:{folder}/dev.tsv:{folder}/test.tsv")
    assert report.code == 0, report.err
    assert "task nli" in report.prose
    assert "| entailment | 16 | 8 | 10 |" in report.prose
    assert "--columns tsv:text=premise,pair=hypothesis,label=label" in report.prose


def test_labels_of_ones_own_in_csv(folder: Path, tmp_path: Path, cli: Callable) -> None:
    data = f"en={folder}/reviews.csv"
    found = cli(
        "fit",
        "--model",
        "polyhead/tiny",
        "--task",
        "classification",
        "--source",
        data,
        "--epochs",
        1,
        "--out",
        tmp_path / "m",
        *SHORT,
    )
    assert found.code == 0, found.err
    assert json.loads((tmp_path / "m" / "config.json").read_text())["id2label"] == {"0": "0", "1": "1"}
    assert cli("data", "check", folder / "reviews.csv").prose.count("task classification this is a guess") == 1
    written = cli("predict", tmp_path / "m", folder / "reviews.csv", "--task", "classification", "--json", *SHORT)
    assert {row["label"] for row in written.json["sentences"]} <= {"0", "1"}


def test_a_run_with_random_heads_beside_it(folder: Path, tmp_path: Path, cli: Callable) -> None:
    arguments = ["--task", "nli", "--source", f"en={folder}/train.tsv:{folder}/dev.tsv", "--target", f"de={folder}/test.tsv"]
    search = ["--search", "nested", "--max-pruned", 3, "--controls", "random", "--seeds", 3, "--epochs", 1]
    found = cli("run", "--model", "polyhead/tiny", *arguments, *search, "--out", tmp_path / "run", *SHORT)
    assert found.code == 0, found.err
    assert "words:" not in found.err
    report = (tmp_path / "run" / "report.md").read_text()
    assert "| target | language | sentences | unpruned accuracy |" in report
    assert "over sentences; sentences without a gold label are predicted but not scored" in report
    assert "macro-F1" in report
    assert cli("report", tmp_path / "run").code == 0


def test_raw_text_is_checked_as_it_is_read(tmp_path: Path, cli: Callable) -> None:
    (tmp_path / "raw.txt").write_text("The dog runs .\n\nA cat .\n")
    (tmp_path / "a.conllu").write_text("1\tdog\t_\tNOUN" + 6 * "\t_" + "\n\n")
    for name, kind, size in (
        ("raw.txt", "raw text, a sentence on each line", "2 | 7 |"),
        ("a.conllu", "CoNLL-U", "1 | 1 |"),
    ):
        found = cli("data", "check", tmp_path / name, "--task", "mlm")
        assert found.code == 0, found.err
        assert f"format: {kind}, task mlm" in found.prose
        assert f"| train | {size}" in found.prose
        assert "without a label" not in found.prose


FAULTS = {
    "one text": ("text\tlabel\na b\tneutral\n", (), "1 text column, text, among"),
    "regression": (
        "text\tlabel\na b\t3.5\nc\t1.25\n",
        ("--task", "classification"),
        "label 3.5 in label is a number with decimals",
    ),
    "one label": ("text\tlabel\na b\tx\n", ("--task", "classification"), "only the label 'x' in the training data"),
    "scheme": ("text\tlabel\na b\tx\n", ("--scheme", "iob2"), "task nli has no spans; leave the scheme out"),
    "columns of words": ("text\tlabel\na b\tx\n", ("--columns", "tab:token=1,tag=2"), "for sentences expected tsv, csv"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_input_is_one_line(name: str, tmp_path: Path, cli: Callable) -> None:
    text, options, message = FAULTS[name]
    (tmp_path / "train.tsv").write_text(text)
    task = () if "--task" in options else ("--task", "nli")
    found = cli(
        "fit", "--model", "polyhead/tiny", *task, *options, "--source", f"en={tmp_path}/train.tsv", "--out", tmp_path / "m"
    )
    assert found.code == 2
    assert message in found.err
    assert found.err.count("\n") == 1


def test_a_tagger_is_no_sentence_classifier(tagger: Path, model: Path, folder: Path, cli: Callable) -> None:
    found = cli("evaluate", tagger, "--task", "nli", "--target", f"en={folder}/test.tsv")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "has no sentence classifier; fine-tune it with polyhead fit" in found.err
    found = cli("evaluate", model, "--task", "pos", "--target", "phrases/de")
    assert "has no token classifier; fine-tune it" in found.err


def test_heads_are_scored_on_raw_text(tmp_path: Path, model: Path, cli: Callable) -> None:
    (tmp_path / "raw.txt").write_text("Where is the station?\n\nI would like a room.\n" * 6)
    options = ("--task", "mlm", "--data", tmp_path / "raw.txt", *SHORT)
    found = cli("rank", "polyhead/tiny", *options, "--out", tmp_path / "scores.tsv", "--json")
    assert found.code == 0, found.err
    assert (found.json["n"], found.json["task"], found.json["new_classifier"]) == (12, "mlm", False)
    assert cli("prune", "polyhead/tiny", "--scores", tmp_path / "scores.tsv", "--n-pruned", 4, "--out", tmp_path / "m").code == 0
    curve = cli("curve", tmp_path / "m", *options, "--scores", tmp_path / "scores.tsv", "--max-pruned", 2, "--random-seeds", 1)
    assert curve.code == 0, curve.err
    assert "12 sentences" in curve.prose
    assert "subwords), with k heads ablated" in curve.prose
    treebank = cli("rank", "polyhead/tiny", "--task", "mlm", "--corpus", "phrases/de", "--limit", 4, "--json", *SHORT)
    assert (treebank.code, treebank.json["n"]) == (0, 4)

    refused = cli("rank", model, *options)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "has no masked-LM head; use the pre-trained checkpoint with its language model" in refused.err
    for command in ("fit", "run"):
        target = ("--target", f"en={tmp_path}/raw.txt") if command == "run" else ()
        source = ("--source", f"en={tmp_path}/raw.txt", *target, "--out", tmp_path / command)
        refused = cli(command, "--model", "polyhead/tiny", "--task", "mlm", *source)
        assert refused.code == 2
        assert "nothing is fine-tuned, so choose another task" in refused.err
    assert "has no labels to predict" in cli("predict", "polyhead/tiny", tmp_path / "raw.txt", "--task", "mlm").err


def test_the_mask_of_a_language_reads_sentences_too(model: Path, folder: Path, tmp_path: Path, cli: Callable) -> None:
    for name, pruned in (("de", ["0.1"]), ("ja", [f"{layer}.{head}" for layer in range(4) for head in range(8)])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"n_layers": 4, "n_heads": 8, "pruned": pruned}))
    masks = [f"{name}={tmp_path}/{name}.json" for name in ("de", "ja")]
    assert cli("prune", model, "--mask", *masks, "--out", tmp_path / "both").code == 0
    assert cli("prune", model, "--mask", tmp_path / "ja.json", "--out", tmp_path / "ja").code == 0
    text = (folder / "test.tsv", "--task", "nli", "--json", *SHORT)
    one, alone = cli("predict", tmp_path / "both", *text, "--language", "ja"), cli("predict", tmp_path / "ja", *text)
    assert (one.code, alone.code) == (0, 0), one.err + alone.err
    assert [{**row, "mask": "ja"} for row in alone.json["sentences"]] == one.json["sentences"]
    unnamed = cli("predict", tmp_path / "both", *text)
    assert "read with all heads, because no mask is named; " in unnamed.err
    for wrong, said in (
        (("both", "--language", "fr"), "--language fr: no such mask; "),
        (("both", "--language-column", 1), "is for files of words; predict each language's sentences with --language"),
        (("ja", "--language", "ja"), "has no masks to choose from"),
    ):
        done = cli("predict", tmp_path / wrong[0], *text, *wrong[1:])
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
