"""Each command on a tiny model: what it prints, what it leaves, and how it refuses bad input."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli.cases import fit_arguments, refused

from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.store import writing
from polyhead.data.sampling import sample
from polyhead.models.loading import load_saved
from polyhead.models.model_heads import head_mask
from polyhead.selection.score_files import read_scores, write_scores


def test_rank_prints_one_document(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.tsv"
    data = treebank / "dev.conllu"
    document = cli("rank", tagger, "--task", "pos", "--data", data, "--json", "--out", out, "--language", "en").json
    assert document["method"] == "gradient"
    assert np.array(document["scores"]).shape == (2, 4)
    assert set(document["passes"]) == {"forward", "backward"}
    assert document["seconds"] >= 0
    assert document["new_classifier"] is False
    assert document["words"] == "surface"
    assert "words are surface" in cli("rank", tagger, "--task", "pos", "--data", data).out
    flat = {f"{i}.{j}": value for i, row in enumerate(document["scores"]) for j, value in enumerate(row)}
    assert document["ranking"] == sorted(flat, key=lambda head: (flat[head], head))
    assert read_scores(out).values.tolist() == document["scores"]
    assert read_scores(out).languages == ("en",)


def test_heads_that_are_gone_are_null_and_unranked(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    assert cli("prune", tagger, "--heads", "1.2", "--out", tmp_path / "p").code == 0
    document = cli("rank", tmp_path / "p", "--task", "pos", "--data", treebank / "dev.conllu", "--json").json
    assert document["scores"][1][2] is None
    assert "1.2" not in document["ranking"]
    assert len(document["ranking"]) == 7


def test_rank_says_when_the_classifier_is_new(cli: Callable, encoder: Path, treebank: Path) -> None:
    result = cli("rank", encoder, "--task", "pos", "--data", treebank / "dev.conllu", "--json")
    assert result.json["new_classifier"] is True
    assert "has no classifier for pos" in result.err


def test_rank_replaces_no_classifier_that_was_trained_for_something_else(
    cli: Callable, ner_tagger: Path, treebank: Path, tmp_path: Path
) -> None:
    arguments = ["--task", "pos", "--data", treebank / "dev.conllu"]
    refused(cli("rank", ner_tagger, *arguments), "predicts O B-PER I-PER", "task pos needs", "polyhead fit")
    damaged = shutil.copytree(ner_tagger, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"x")
    refused(cli("rank", damaged, *arguments), str(damaged))


@pytest.mark.parametrize(("method", "per"), [("gradient", "sentence"), ("gradient-token", "token")])
def test_rank_is_score_heads(cli: Callable, tagger: Path, treebank: Path, method: str, per: str) -> None:
    document = cli("rank", tagger, "--task", "pos", "--data", treebank / "dev.conllu", "--method", method, "--json").json
    assert (document["method"], document["settings"]["per"]) == (method, per)


def test_rank_until_settled(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    given = ["--task", "pos", "--data", treebank / "dev.conllu", "--until-settled", 3, "--may-differ", "0.4"]
    found = cli("rank", tagger, *given, "--out", tmp_path / "scores.json", "--json").json
    assert found["settings"]["until_settled"] == 3
    assert found["settings"]["may_differ"] == 0.4
    assert found["settings"]["differ_at_most"] == 0
    assert found["n"] == found["settings"]["sentences_read"] == 6
    assert "not settled before all 6 sentences were read" in cli("rank", tagger, *given).out
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--until-settled", "99"], ["until settled 99", "1 to 7"]),
        (["--until-settled", "3", "--may-differ", "1"], ["--may-differ = 1"]),
        (["--may-differ", "0.2"], ["--may-differ", "give --until-settled K"]),
        (["--data", "en=dev.conllu"], ["--data en=dev.conllu", "--data dev.conllu --language en"]),
        (["--until-settled", "3", "--method", "l0"], ["l0", "not a mean over sentences", "gradient"]),
        (["--until-settled", "3", "--normalise", "paper"], ["--until-settled", "--normalise paper"]),
        (["--task", "pso"], ["task 'pso'", "pos, ner, slots"]),
        (["--method", "magic"], ["'magic'", "gradient", "weight-gradient"]),
        (["--data", "nothing.conllu"], ["nothing.conllu: no such file"]),
        (["--data", "."], ["a folder", "--corpus"]),
        (["--corpus", "ud/xx_none", "--data", "."], ["ud/xx_none", "no such name; did you mean ud/"]),
        (["--out", "scores.pt"], [".tsv or .json"]),
        (["--device", "tpu"], ["device 'tpu'"]),
    ],
)
def test_rank_refuses(cli: Callable, tagger: Path, treebank: Path, arguments: list[str], said: list[str]) -> None:
    # later options win over the good ones before them
    refused(cli("rank", tagger, "--task", "pos", "--data", treebank / "dev.conllu", *arguments), *said)


def test_no_model_there(cli: Callable, treebank: Path, tmp_path: Path) -> None:
    refused(cli("rank", tmp_path / "none", "--task", "pos", "--data", treebank / "dev.conllu"), str(tmp_path / "none"))
    refused(cli("evaluate", tmp_path, "--task", "pos", "--target", f"en={treebank}/test.conllu"), str(tmp_path))


def test_prune_by_names_mask_and_scores(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    result = cli("prune", tagger, "--heads", "0.1,1.3", "0.2", "--out", tmp_path / "a", "--json")
    assert result.json["pruned"] == ["0.1", "0.2", "1.3"]
    assert result.json["kept_per_layer"] == [2, 3]
    assert result.json["weights"]["before"] > result.json["weights"]["after"]
    assert head_mask(load_saved(tmp_path / "a")).n_pruned == 3

    mask = head_mask(load_saved(tmp_path / "a"))
    (tmp_path / "mask.json").write_text(json.dumps({"keep": mask.keep.tolist()}))
    assert cli("prune", tagger, "--mask", tmp_path / "mask.json", "--out", tmp_path / "b").code == 0
    assert head_mask(load_saved(tmp_path / "b")) == mask

    write_scores(tmp_path / "s.tsv", HeadScores(np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]), "gradient"))
    options = ["--scores", tmp_path / "s.tsv", "--n-pruned", "4"]
    assert cli("prune", tagger, *options, "--min-per-layer", "1", "--out", tmp_path / "c", "--json").json["pruned"] == [
        "0.0",
        "0.1",
        "0.2",
        "1.0",
    ]


def test_densify_writes_the_full_shape(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    assert cli("prune", tagger, "--heads", "0.1", "--densify", "--out", tmp_path / "d", "--json").json["dense"] is True
    assert head_mask(load_saved(tmp_path / "d")) == HeadMask.full(2, 4)
    weight = load_saved(tmp_path / "d").roberta.encoder.layer[0].attention.output.dense.weight
    assert not weight[:, 4:8].any()
    assert (tmp_path / "d" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--heads", "3x5"], ["head '3x5'", "LAYER.HEAD"]),
        (["--heads", "7.0"], ["head 7.0", "layers 0..1"]),
        ([], ["--heads 3.5,4.1", "--mask FILE"]),
        (["--heads", "0.1", "--mask", "m.json"], ["--heads and --mask"]),
        (["--scores", "s.tsv"], ["--scores FILE: give --n-pruned K with it"]),
        (["--heads", "0.1", "--normalise", "paper"], ["--normalise paper: scales the scores of --scores"]),
        (["--scores", "nothing.tsv", "--n-pruned", "1"], ["nothing.tsv"]),
        (["--heads", "0.0,0.1,0.2,0.3", "--min-per-layer", "1"], ["layer 0 would keep 0 heads"]),
    ],
)
def test_prune_refuses(cli: Callable, tagger: Path, tmp_path: Path, arguments: list[str], said: list[str]) -> None:
    refused(cli("prune", tagger, "--out", tmp_path / "out", *arguments), *said)
    assert not (tmp_path / "out").exists()


def test_prune_overwrites_nothing(cli: Callable, tagger: Path) -> None:
    before = (tagger / "config.json").read_bytes()
    refused(cli("prune", tagger, "--heads", "0.1", "--out", tagger), "is not empty")
    assert (tagger / "config.json").read_bytes() == before


def test_evaluate_gives_points_by_language(cli: Callable, tagger: Path, treebank: Path) -> None:
    targets = [f"en={treebank}/test.conllu", f"de={treebank}/dev.conllu"]
    document = cli("evaluate", tagger, "--task", "pos", "--target", *targets, "--json").json
    assert [row["language"] for row in document["targets"]] == ["en", "de"]
    assert [row["sentences"] for row in document["targets"]] == [5, 6]
    assert all(0 <= row["metrics"]["accuracy"] <= 100 for row in document["targets"])
    assert {"accuracy", "macro_f1", "chunk_f1"} <= set(document["targets"][0]["metrics"])
    table = cli("evaluate", tagger, "--task", "pos", "--target", *targets)
    assert f"{document['targets'][0]['metrics']['accuracy']:.2f}" in table.out


def test_evaluate_takes_a_seeded_sample_of_every_target(cli: Callable, tagger: Path, treebank: Path) -> None:
    arguments = ["evaluate", tagger, "--task", "pos", "--target", f"en={treebank}/test.conllu", f"de={treebank}/dev.conllu"]
    whole = cli(*arguments, "--json").json
    assert (whole["limit"], [row["sentences"] for row in whole["targets"]]) == (None, [5, 6])
    part = cli(*arguments, "--limit", 3, "--seed", 7, "--json").json
    assert (part["limit"], part["seed"], [row["sentences"] for row in part["targets"]]) == (3, 7, [3, 3])
    assert part["targets"] == cli(*arguments, "--limit", 3, "--seed", 7, "--json").json["targets"]
    assert "at most 3 sentences of the test split" in cli(*arguments, "--limit", 3).out
    refused(cli(*arguments, "--limit", 0), "--limit = 0: should be at least 1")


def test_repairs_are_counted_and_printed_on_stderr(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("the I-PER\ndog O\n\ncat I-PER\n")
    arguments = ["evaluate", ner_tagger, "--task", "ner", "--target", f"en={tmp_path}/x.txt", "--scheme", "iob2", "--json"]
    result = cli(*arguments)
    assert "2 x I- that starts a span read as B-" in result.err
    assert sum(result.json["targets"][0]["repairs"].values()) == 2
    refused(cli(*arguments, "--strict"), f"{tmp_path}/x.txt:1:", "strict")


def test_evaluate_refuses_the_wrong_task_and_repeated_targets(cli: Callable, ner_tagger: Path, treebank: Path) -> None:
    target = f"en={treebank}/test.conllu"
    refused(cli("evaluate", ner_tagger, "--task", "pos", "--target", target), "predicts O B-PER I-PER", "polyhead fit")
    refused(cli("evaluate", ner_tagger, "--task", "pos", "--target", target, target), "given 2 times")
    refused(cli("evaluate", ner_tagger, "--task", "pos", "--target", f"{target}::", "--split", "dev"), "no dev file")


def test_fit_saves_a_tagger_that_the_other_commands_read(cli: Callable, ner_tagger: Path, treebank: Path, tmp_path: Path) -> None:
    result = cli(*fit_arguments(ner_tagger, treebank, tmp_path / "m"), "--json")
    assert result.json["fit"]["steps"] == 3
    assert "words are surface" in cli(*fit_arguments(ner_tagger, treebank, tmp_path / "text")).out
    shutil.rmtree(tmp_path / "text")
    assert next(iter(result.json["dev"][0]["metrics"])) == "accuracy"
    again = cli("evaluate", tmp_path / "m", "--task", "pos", "--target", f"en={treebank}/dev.conllu", "--json").json
    assert again["targets"][0]["metrics"] == pytest.approx(result.json["dev"][0]["metrics"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"], "no state is left behind"
    refused(cli(*fit_arguments(ner_tagger, treebank, tmp_path / "m")), "is not empty")


def test_a_training_that_diverges_saves_nothing(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    result = cli(*fit_arguments(tagger, treebank, tmp_path / "m"), "--learning-rate", 1e30)
    refused(result, "training diverged: ", "of 3, learning rate ", "(peak 1e+30); try learning rate 0.0003")
    assert not (tmp_path / "m").exists()


def test_two_fits_into_one_folder_at_once(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    with writing(tmp_path / "m"):
        fitting, pruning = (
            fit_arguments(tagger, treebank, tmp_path / "m"),
            ["prune", tagger, "--heads", "0.0", "--out", tmp_path / "m"],
        )
        for command in (fitting, pruning):
            refused(cli(*command), f"m: process {os.getpid()} on", "is writing here: wait for it, stop it, or choose another")
    (tmp_path / ".m.abcd1234.tmp" / "new").mkdir(parents=True)
    assert cli(*fit_arguments(tagger, treebank, tmp_path / "m")).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_an_option_is_refused_by_a_method_that_has_it_not(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    rank = ["rank", tagger, "--task", "pos", "--data", treebank / "dev.conllu"]
    refused(cli(*rank, "--option", "n_lowest=3"), "method gradient has no option n_lowest; it has none")
    refused(cli(*rank, "--method", "l0", "--option", "n_lowest=x"), "method l0, option n_lowest = 'x'")
    refused(cli(*rank, "--method", "l0", "--option", "n_lowest"), "--option n_lowest: expected NAME=VALUE")
    refused(cli(*rank, "--method", "l0", "--option", "epochs=1", "epochs=2"), "--option epochs=2: given twice")
    found = cli(*rank, "--method", "l0", "--option", "epochs=1", "n-lowest=3", "--out", tmp_path / "s.json", "--json").json
    assert (found["settings"]["epochs"], found["settings"]["n_lowest"]) == (1, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]
    listed = cli("methods", "--json").json["methods"]
    assert {row["name"] for row in listed if row["options"]} == {"integrated", "shapley", "l0", "subset"}
    assert "--option n_lowest=VALUE: heads to close" in cli("methods").out


def test_the_training_sample_is_the_same_for_every_seed(
    cli: Callable, tagger: Path, treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def spy(*arguments: object, **options: object) -> object:
        data = sample(*arguments, **options)
        drawn.append([sentence.source for sentence in data.sentences])
        return data

    monkeypatch.setattr("polyhead.cli.fit.sample", spy)
    for seed in (42, 7):
        options = ["--train-limit", 5, "--seed", seed, "--json"]
        assert cli(*fit_arguments(tagger, treebank, tmp_path / str(seed)), *options).json["train"]["seed"] == seed
    assert len(drawn[0]) == 5
    assert drawn[0] == drawn[1]


def test_a_tagger_is_read_as_it_was_trained(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    cli(*fit_arguments(tagger, treebank, tmp_path / "m"), "--anchor", "first", "--max-length", 32, "--precision", "fp32")
    assert cli("prune", tmp_path / "m", "--heads", "0.1", "--out", tmp_path / "p").code == 0
    arguments = ["--task", "pos", "--target", f"en={treebank}/dev.conllu", "--json"]
    facts = cli("evaluate", tmp_path / "p", *arguments).json
    assert (facts["anchor"], facts["max_length"], facts["precision"]) == ("first", 32, "fp32")
    told = cli("evaluate", tmp_path / "p", *arguments, "--anchor", "text", "--max-length", 64).json
    assert (told["anchor"], told["max_length"]) == ("text", 64)
    assert cli("prune", tmp_path / "m", "--heads", "0.1", "--densify", "--out", tmp_path / "d").code == 0
    dense = cli("evaluate", tmp_path / "d", *arguments).json
    assert (dense["anchor"], dense["max_length"], dense["precision"]) == ("first", 32, "fp32")


def test_other_words_than_those_of_the_training_are_noted(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    cli(*fit_arguments(tagger, treebank, tmp_path / "m"))
    arguments = ["evaluate", tmp_path / "m", "--task", "pos", "--target"]
    assert "was trained on surface tokens" not in cli(*arguments, f"en={treebank}/dev.conllu").err
    assert "was trained on surface tokens, these are syntactic words" in cli(*arguments, f"en@words={treebank}/dev.conllu").err
    text = tmp_path / "ranges.conllu"
    text.write_text("1-2\tthedog\t_\t_\t_\t_\t_\t_\t_\t_\n1\tthe" + "\t_" * 8 + "\n2\tdog" + "\t_" * 8 + "\n\n")
    assert "1 multiword tokens are tagged word by word" in cli("predict", tmp_path / "m", "--task", "pos", text).err


def test_a_cut_carries_the_card_on(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    cli(*fit_arguments(tagger, treebank, tmp_path / "m"))
    cli(
        "rank",
        tmp_path / "m",
        "--task",
        "pos",
        "--data",
        treebank / "dev.conllu",
        "--language",
        "en",
        "--out",
        tmp_path / "s.tsv",
    )
    options = ["--scores", tmp_path / "s.tsv", "--n-pruned", "2"]
    for name, more in (("pruned", []), ("dense", ["--densify"])):
        assert cli("prune", tmp_path / "m", *options, *more, "--out", tmp_path / name).code == 0
        page = (tmp_path / name / "README.md").read_text()
        assert "en=train.conllu:dev.conllu: train" in page  # what it was trained on, without folders
        assert "by gradient on en text, lowest first" in page
        assert "the 2 lowest in s.tsv" in page
        assert "| accuracy | – |" in page  # a score of the model before the cut
        assert str(tmp_path) not in page


def test_fit_reports_all_bad_settings_at_once(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    options = ["--epochs", 0, "--warmup", 2, "--freeze", "all"]
    refused(cli(*fit_arguments(tagger, treebank, tmp_path / "m"), *options), "epochs = 0", "warmup = 2.0", "freeze")


@pytest.mark.slow
def test_run_leaves_what_it_promises(cli: Callable, ner_tagger: Path, treebank: Path, tmp_path: Path) -> None:
    files = ":".join(str(treebank / f"{split}.conllu") for split in ("train", "dev", "test"))
    options = ["--epochs", 1, "--max-pruned", 2, "--search", "sweep", "--out", tmp_path / "r", "--json"]
    target = f"de={treebank}/test.conllu"
    result = cli("run", "--model", ner_tagger, "--task", "pos", "--source", f"en={files}", "--target", target, *options)
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "r" / "result.json").read_text())
    assert result.json == record
    assert [trial["k"] for trial in record["cells"][0]["trials"]] == [0, 1, 2]
    assert {"scores.tsv", "report.md", "model"} <= {path.name for path in (tmp_path / "r").iterdir()}
    page = (tmp_path / "r" / "report.md").read_text()
    assert "1 seed: no claim. No controls: no claim of a gain." in page
    assert cli("evaluate", tmp_path / "r" / "model", "--task", "pos", "--target", target).code == 0


@pytest.mark.slow
def test_without_a_terminal_stderr_holds_no_bar(tagger: Path, treebank: Path) -> None:
    command = [sys.executable, "-c", "import sys; from polyhead.cli.main import main; sys.exit(main())"]
    arguments = ["rank", str(tagger), "--task", "pos", "--data", str(treebank / "dev.conllu"), "--json"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr.startswith("note: 6 sentences only: ")
    assert result.stderr.count("\n") == 1
    json.loads(result.stdout)
