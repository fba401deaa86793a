"""`polyhead curve`: what it says of orders, what it leaves, how it goes on, and how it refuses what does not fit."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.cases import refused
from cli.conftest import Result
from transformers import AutoModelForTokenClassification

from polyhead.cli import curve as command
from polyhead.cli.main import main
from polyhead.core.heads import HeadScores
from polyhead.data.sampling import halves, sampled
from polyhead.data.tasks import UPOS
from polyhead.selection.score_files import write_scores
from polyhead.studies import crossed_orders


@pytest.fixture(scope="session")
def loud(tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny tagger with weights so large that every head matters."""
    folder = shutil.copytree(tagger, tmp_path_factory.mktemp("loud") / "tagger")
    model = AutoModelForTokenClassification.from_pretrained(tagger)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(15)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text(loud: Path, treebank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text whose tags are what that tagger says, but for the first word's."""
    path = tmp_path_factory.mktemp("text") / "dev.conllu"
    assert main(["predict", str(loud), "--task", "pos", str(treebank / "dev.conllu"), "--out", str(path)]) == 0
    head, _, rest = path.read_text().partition("\t_\t")
    tag, _, rest = rest.partition("\t")
    path.write_text(f"{head}\t_\t{'X' if tag != 'X' else 'NOUN'}\t{rest}")
    return path


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "by-address.tsv"
    write_scores(path, HeadScores(np.arange(8.0).reshape(2, 4), "gradient", languages=("en",)))
    return path


@pytest.fixture
def judge(cli: Callable[..., Result], loud: Path, text: Path, scores: Path) -> Callable[..., Result]:
    """The command on a tiny tagger and text; later options win."""

    def call(*options: object, scores: Sequence[Path] = (scores,)) -> Result:
        return cli("curve", loud, "--task", "pos", "--data", text, "--scores", *scores, *options)

    return call


def test_every_order_has_a_curve_and_every_group_an_area(judge: Callable[..., Result]) -> None:
    document = judge("--json", "--random-seeds", 3).json
    by_group = {order["group"]: order for order in document["orders"]}
    assert list(by_group) == ["gradient, lowest first", "gradient, highest first", "random (3 orders)"]
    assert [order["seed"] for order in document["orders"]] == [None, None, 42, 43, 44]
    assert document["max_pruned"] == 4
    assert by_group["gradient, lowest first"]["heads"] == ["0.0", "0.1", "0.2", "0.3"]
    assert by_group["gradient, highest first"]["heads"] == ["1.3", "1.2", "1.1", "1.0"]
    assert all(len(order["scores"]) == 5 for order in document["orders"])
    assert len({order["scores"][0] for order in document["orders"]}) == 1
    assert len({tuple(order["scores"]) for order in document["orders"]}) == 5, "a test in which orders differ"
    low, high, chance = document["areas"]
    for row, group in ((low, "gradient, lowest first"), (high, "gradient, highest first")):
        own = by_group[group]["scores"]
        assert row["area"] == pytest.approx(np.mean(own) / own[0])
        assert row["interval"][0] <= row["area"] <= row["interval"][1]
        assert row["minus_random"]["difference"] == pytest.approx(row["area"] - chance["area"])
        assert row["regret"] is None
    assert low["minus_highest"]["difference"] == pytest.approx(low["area"] - high["area"])
    assert high["minus_highest"] is chance["minus_random"] is None
    drawn = [np.mean(order["scores"]) / order["scores"][0] for order in document["orders"] if order["direction"] == "random"]
    assert chance["area"] == pytest.approx(np.mean(drawn))


def test_the_scores_are_those_of_pruned_models(
    cli: Callable[..., Result], judge: Callable[..., Result], loud: Path, text: Path, scores: Path, tmp_path: Path
) -> None:
    found = judge("--json", "--random-seeds", 0, "--precision", "fp32").json["orders"][0]["scores"]
    for k in (0, 3):
        cli("prune", loud, "--scores", scores, "--n-pruned", k, "--out", tmp_path / str(k))
        target = ["--target", f"en={text}", "--precision", "fp32", "--json"]
        cut = cli("evaluate", tmp_path / str(k), "--task", "pos", *target).json
        assert found[k] == pytest.approx(cut["targets"][0]["metrics"]["accuracy"])


def test_the_text_names_orders_k_areas_and_how_they_were_made(judge: Callable[..., Result]) -> None:
    shown = judge().out
    header, _, first = [line.split("|") for line in shown.splitlines() if line.startswith("|")][:3]
    assert [cell.strip() for cell in header][1:-1] == ["order", "k = 0", "k = 1", "k = 2", "k = 3", "k = 4"]
    assert first[1].strip() == "gradient, lowest first"
    assert "random (5 orders)" in shown
    assert "this model on other sentences" in shown
    assert "regret" not in shown
    alone = judge("--random-seeds", 0).out
    assert "random (" not in alone
    assert "| – | – |" in alone


def test_the_oracle_chooses_on_one_half_and_is_judged_on_the_other(judge: Callable[..., Result]) -> None:
    document = judge("--json", "--oracle").json
    oracle = document["orders"][-1]
    assert oracle["direction"] == "oracle"
    assert len(oracle["heads"]) == len(oracle["heads_of_other_half"]) == 4
    assert oracle["heads"] != oracle["heads_of_other_half"]
    area = {row["group"]: row["area"] for row in document["areas"]}
    for row in document["areas"][:-1]:
        assert row["regret"]["difference"] == pytest.approx(area["greedy oracle"] - row["area"])
    assert document["areas"][-1]["regret"] is None
    said = judge("--oracle").prose
    assert "Regret is its area minus an order's" in said
    assert "judged on the other, and the other way round: greedy oracle." in said


def test_methods_rank_here_on_halves_and_those_without_labels_once(judge: Callable[..., Result]) -> None:
    document = judge("--json", "--method", "gradient", "magnitude", "l0", "--random-seeds", 0, "--max-pruned", 3).json
    lowest = {order["name"]: order for order in document["orders"] if order["direction"] == "lowest"}
    assert list(lowest) == ["gradient (ranked here)", "magnitude", "l0", "gradient"]
    assert lowest["magnitude"]["heads_of_other_half"] is lowest["gradient"]["heads_of_other_half"] is None
    own = lowest["gradient (ranked here)"]
    assert len(own["heads"]) == len(own["heads_of_other_half"]) == 3
    assert {order["read"] for order in document["orders"]} == {0}
    assert len(document["areas"]) == 8
    said = judge("--method", "gradient", "magnitude").prose
    assert "the other way round: gradient (ranked here). So no order" in said


def test_an_order_is_judged_on_sentences_that_it_has_not_read(
    cli: Callable[..., Result], loud: Path, text: Path, tmp_path: Path
) -> None:
    whole = ["--task", "pos", "--data", text, "--precision", "fp32"]
    found = cli("curve", loud, *whole, "--method", "gradient", "--random-seeds", 0, "--max-pruned", 2, "--json").json
    sentences = re.split(r"\n\n(?=.)", text.read_text().strip())
    correct = words = 0
    for made, judged in (halves(len(sentences), seed=42), halves(len(sentences), seed=42)[::-1]):
        for name, places in (("made", made), ("judged", judged)):
            (tmp_path / f"{name}.conllu").write_text("\n\n".join(sentences[i] for i in places) + "\n\n")
        scores = tmp_path / f"{made[0]}.tsv"
        assert (
            cli("rank", loud, "--task", "pos", "--data", tmp_path / "made.conllu", "--precision", "fp32", "--out", scores).code
            == 0
        )
        arguments = ["--task", "pos", "--data", tmp_path / "judged.conllu", "--precision", "fp32", "--scores", scores, "--json"]
        part = cli("curve", loud, *arguments, "--max-pruned", 2).json
        n = part["data"]["words"]
        correct, words = correct + n * part["orders"][0]["scores"][2] / 100, words + n
    assert found["orders"][0]["scores"][2] == pytest.approx(100 * correct / words)


def test_few_candidates_make_another_oracle(judge: Callable[..., Result], tmp_path: Path) -> None:
    every, few = (judge("--oracle", "--json", *given).json["orders"][-1] for given in ((), ("--candidates", 1)))
    assert every["heads"] != few["heads"]
    assert judge("--oracle", "--out", tmp_path / "c").code == 0
    refused(judge("--oracle", "--out", tmp_path / "c", "--candidates", 2), "oracle.a.partial: belongs to other work")


def test_several_files_stand_side_by_side_named_by_method(judge: Callable[..., Result], scores: Path, tmp_path: Path) -> None:
    same, other, foreign = tmp_path / "fr.json", tmp_path / "m.json", tmp_path / "foreign.tsv"
    write_scores(same, HeadScores(-np.arange(8.0).reshape(2, 4), "gradient"))
    write_scores(other, HeadScores(np.ones((2, 4)), "magnitude"))
    foreign.write_text("\n".join(f"{i} {j} {i + j}" for i in range(2) for j in range(4)))
    document = judge("--json", "--random-seeds", 0, "--max-pruned", 1, scores=(scores, same, other, foreign)).json
    names = [order["name"] for order in document["orders"] if order["direction"] == "lowest"]
    assert names == ["gradient (by-address)", "gradient (fr)", "magnitude", "foreign"]
    assert len(document["areas"]) == 8
    refused(judge(scores=(scores, scores)), "named more than once")


def test_what_it_leaves_says_the_same(judge: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "c"
    result = judge("--out", out, "--json")
    document = json.loads((out / "curve.json").read_text())
    assert document == result.json
    page = (out / "curve.md").read_text()
    assert page.startswith("# Pruning curves of ")
    assert "gradient, highest first" in page
    assert "- command: `polyhead curve " in page
    assert ("![" in page) == (out / "curve.svg").is_file()
    assert not (out / ".lock").exists()


def test_a_stopped_oracle_goes_on_in_the_same_folder(
    judge: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "c"
    whole = judge("--oracle", "--json").json
    calls: list[dict] = []
    real = command.pruning_curves

    def stop(*arguments: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "pruning_curves", stop)
    assert judge("--oracle", "--out", out).code == 130
    assert judge("--oracle").err.splitlines()[-1] == "polyhead: interrupted", "nothing is kept without --out"
    assert not (out / "curve.json").exists()
    assert {path.name for path in out.glob("*.partial")} == {"oracle.a.partial", "oracle.b.partial"}
    monkeypatch.setattr(command, "pruning_curves", real)

    def counted(*arguments: object, **options: object) -> object:
        calls.append(options)
        return greedy(*arguments, **options)

    greedy = crossed_orders.greedy_order
    monkeypatch.setattr(crossed_orders, "greedy_order", counted)
    again = judge("--oracle", "--out", out, "--json").json
    assert [call["resume_file"] for call in calls] == [out / "oracle.a.partial", out / "oracle.b.partial"]
    assert (again["orders"], again["areas"]) == (whole["orders"], whole["areas"])


def test_the_results_are_written_before_anything_is_drawn(
    judge: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write_picture", crash)
    assert judge("--out", tmp_path / "c").code == 130
    assert (tmp_path / "c" / "curve.json").is_file()


def test_a_folder_of_other_settings_is_refused(judge: Callable[..., Result], tmp_path: Path) -> None:
    assert judge("--out", tmp_path / "c").code == 0
    before = (tmp_path / "c" / "curve.json").read_bytes()
    refused(judge("--out", tmp_path / "c", "--max-pruned", 2), "max_pruned was 4, is 2", "choose another folder")
    assert (tmp_path / "c" / "curve.json").read_bytes() == before
    assert judge("--out", tmp_path / "c", "--oracle", "--json").json["orders"][-1]["direction"] == "oracle"


def test_a_sample_is_seeded(judge: Callable[..., Result]) -> None:
    one, other = (judge("--limit", 3, "--seed", seed, "--json").json["data"] for seed in (1, 1))
    assert one == other
    assert one["sentences"] == 3


def test_scores_of_judged_sentences_are_noted(
    cli: Callable[..., Result], judge: Callable[..., Result], loud: Path, text: Path, scores: Path, tmp_path: Path
) -> None:
    own, small, blind = tmp_path / "own.tsv", tmp_path / "few.tsv", tmp_path / "blind.tsv"
    for path, options in ((own, ()), (small, ("--limit", 1)), (blind, ("--method", "magnitude"))):
        assert cli("rank", loud, "--task", "pos", "--data", text, "--out", path, *options).code == 0
    document = judge("--json", scores=(scores, own, small, blind)).json
    read = {order["name"]: order["read"] for order in document["orders"] if order["direction"] == "lowest"}
    n = document["data"]["sentences"]
    assert read == {"gradient (by-address)": 0, "gradient (own)": n, "gradient (few)": 1, "magnitude": 0}
    assert "which favours them: gradient (own), gradient (few)." in judge(scores=(scores, own, small, blind)).prose
    assert "favours" not in judge().out
    (one,) = sampled(n, 1, seed=42)
    seed = next(seed for seed in range(99) if one not in sampled(n, 2, seed=seed))
    apart = judge("--json", "--limit", 2, "--seed", seed, scores=(small,)).json
    assert {order["read"] for order in apart["orders"]} == {0}, "the same file, but other sentences"


def test_a_model_that_gets_nothing_right_has_no_area(
    cli: Callable[..., Result], loud: Path, text: Path, scores: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.conllu"
    after = dict(zip(UPOS, (*UPOS[1:], UPOS[0]), strict=True))
    wrong.write_text(re.sub(r"(?m)(^\d+\t\S+\t_\t)(\w+)", lambda found: found[1] + after[found[2]], text.read_text()))
    arguments = ["curve", loud, "--task", "pos", "--data", wrong, "--scores", scores]
    document = cli(*arguments, "--json").json
    assert document["orders"][0]["scores"][0] == 0
    assert document["areas"][0]["area"] is None
    assert "there is no area" in cli(*arguments).out


def test_a_test_split_is_named(judge: Callable[..., Result], cli: Callable[..., Result], tmp_path: Path) -> None:
    refused(judge("--split", "hidden"), "train")
    refused(judge("--corpus", "ud/xx_none", "--data", tmp_path), "no such name")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((3, 4)), ["is for 3 layers of 4 heads", "has 2 of 4"]),
        ([[1, np.nan, 2, 3], [4, 5, 6, 7]], ["no score for head 0.1", "1 unscored", "polyhead rank"]),
    ],
)
def test_scores_that_do_not_fit_the_model_are_refused(
    judge: Callable[..., Result], tmp_path: Path, values: object, said: list[str]
) -> None:
    write_scores(tmp_path / "bad.tsv", HeadScores(np.array(values, dtype=float), "gradient"))
    refused(judge(scores=(tmp_path / "bad.tsv",)), "bad.tsv", *said)


def test_heads_that_are_gone_are_passed_over(
    cli: Callable[..., Result], loud: Path, text: Path, scores: Path, tmp_path: Path
) -> None:
    assert cli("prune", loud, "--heads", "0.1", "--out", tmp_path / "p").code == 0
    arguments = ["--task", "pos", "--data", text, "--scores", scores, "--json"]
    document = cli("curve", tmp_path / "p", *arguments, "--oracle", "--max-pruned", 7).json
    assert document["orders"][0]["heads"] == ["0.0", "0.2", "0.3", "1.0", "1.1", "1.2", "1.3"]
    for order in document["orders"]:
        assert len(set(order["heads"])) == 7
        assert "0.1" not in order["heads"]
    refused(cli("curve", tmp_path / "p", *arguments, "--max-pruned", 8), "--max-pruned 8", "has 7 heads")


def test_bad_options_are_refused(
    judge: Callable[..., Result], cli: Callable[..., Result], encoder: Path, text: Path, scores: Path
) -> None:
    refused(judge("--max-pruned", 9), "--max-pruned 9", "8 heads; give 1 to 8")
    refused(judge("--method", "gradeint"), "gradeint", "gradient")
    refused(judge("--method", "ablation", "--normalise", "paper"), "method ablation", "use normalisation none")
    refused(cli("curve", encoder, "--task", "pos", "--data", text), "no order to judge", "--scores", "--method")
    refused(judge("--method", "gradient", "--limit", 1), "1 sentence: at least 2 are needed")
    refused(judge("--data", "."), "a folder", "--corpus")
    refused(judge(scores=(Path("nothing.tsv"),)), "nothing.tsv")
    refused(cli("curve", encoder, "--task", "pos", "--data", "x", "--scores", scores), "x: no such file")
    refused(
        cli("curve", encoder, "--task", "pos", "--data", text, "--scores", scores), str(encoder), "fine-tune it with polyhead fit"
    )
