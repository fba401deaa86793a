"""Files of scores as commands write and read them: nothing lost, and nothing taken for what it is not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli.cases import refused

from polyhead.core.heads import HeadScores
from polyhead.selection.comparison import Run, doubts
from polyhead.selection.score_files import read_scores, write_scores


@pytest.fixture
def own(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "en.tsv", tmp_path / "de.tsv"]
    for seed, path in enumerate(paths):
        write_scores(path, HeadScores(np.random.default_rng(seed).random((2, 4)), "gradient", languages=(path.stem,)))
    return paths


def test_rank_writes_over_its_own_scores_alone(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    out, dev = tmp_path / "s.tsv", treebank / "dev.conllu"
    arguments = ["--task", "pos", "--out", out, "--data"]
    assert cli("rank", tagger, *arguments, dev).code == 0
    assert read_scores(out).settings["limit"] is None
    kept = out.read_bytes()
    refused(
        cli("rank", tagger, *arguments, dev, "--method", "fisher"), "s.tsv: holds scores whose method is gradient, not fisher"
    )
    refused(cli("rank", tagger, *arguments, treebank / "train.conllu"), "whose text's sha256 is")
    refused(cli("rank", tagger, *arguments, dev, "--language", "de"), "whose languages is und, not de")
    assert out.read_bytes() == kept
    for other in (["--limit", 4], ["--seed", 1], ["--anchor", "first"], ["--max-length", 16]):
        refused(cli("rank", tagger, *arguments, dev, *other), f"whose {other[0][2:].replace('-', ' ')} is ")
    assert out.read_bytes() == kept
    assert cli("rank", tagger, *arguments, dev).code == 0, "the same again may be replaced"
    out.write_text("notes\n")
    refused(cli("rank", tagger, *arguments, dev), "s.tsv: is not a score file")
    assert out.read_text() == "notes\n"


def test_where_nothing_can_be_written_nothing_is_scored(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("")
    out = tmp_path / "notes" / "s.tsv"
    result = cli("rank", tagger, "--task", "pos", "--data", treebank / "dev.conllu", "--out", out)
    refused(result, f"s.tsv: {tmp_path / 'notes'} is a file, not a folder; name another file")


def test_an_order_that_normalising_would_turn_round_is_refused(cli: Callable, tagger: Path, treebank: Path) -> None:
    arguments = ["rank", tagger, "--task", "pos", "--data", treebank / "dev.conllu", "--normalise", "paper"]
    assert cli(*arguments).code == 0
    for method in ("ablation", "entropy"):
        refused(cli(*arguments, "--method", method), f"method {method}: its scores may be negative", "use normalisation none")


def test_fewer_heads_than_n_lowest_are_said_and_recorded(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    out, dev = tmp_path / "s.tsv", treebank / "dev.conllu"
    result = cli("rank", tagger, "--task", "pos", "--data", dev, "--method", "l0", "--option", "n_lowest=99", "--out", out)
    assert result.code == 0
    assert "option n_lowest 99: this model has 8 heads, so 7 was used" in result.err
    assert read_scores(out).settings["n_lowest"] == 7
    fewer = cli("rank", tagger, "--task", "pos", "--data", dev, "--method", "l0", "--option", "n_lowest=3", "epochs=2")
    assert "n_lowest" not in fewer.err


def test_combined_scores_replace_no_input(cli: Callable, own: list[Path], tmp_path: Path) -> None:
    kept = own[0].read_bytes()
    refused(cli("compare", *own, "--combine", "mean-rank", "--out-scores", own[0]), "en.tsv: is also an input")
    (tmp_path / "folder.tsv").mkdir()
    record, ranked = tmp_path / "result.json", tmp_path / "sw.tsv"
    record.write_text('{"cells": []}')
    write_scores(ranked, HeadScores(np.ones((2, 4)), "gradient", languages=("sw",)))
    refused(cli("compare", *own, "--combine", "mean-rank", "--out-scores", record), "result.json: is not a score file")
    refused(cli("compare", *own, "--combine", "mean-rank", "--out-scores", ranked), "holds scores whose title is gradient, not")
    for _ in range(2):  # its own scores may be replaced
        assert cli("compare", *own, "--combine", "mean-rank", "--out-scores", tmp_path / "both.tsv").code == 0
    refused(cli("compare", *own, "--combine", "mean-rank", "--out-scores", tmp_path / "folder.tsv"), "is a folder")
    assert own[0].read_bytes() == kept


def test_combined_scores_say_how_they_were_combined(cli: Callable, own: list[Path], tmp_path: Path) -> None:
    both = tmp_path / "both.tsv"
    assert cli("compare", *own, "--combine", "mean-rank", "--out-scores", both).code == 0
    assert read_scores(both).title == "gradient, mean-rank"
    document = cli("compare", *own, both, "--json").json
    assert document["groups"][2]["methods"] == ["gradient, mean-rank"]


def test_what_speaks_against_replicates_is_said(cli: Callable, own: list[Path], tmp_path: Path) -> None:
    def said(**facts: object) -> list[str]:
        one = HeadScores(np.eye(2), "gradient", n=10, data_hash="a", languages=("en",), settings={"seed": 1, "limit": None})
        other = replace(one, **{"values": 2 * np.eye(2), **facts})
        return doubts({"en": [Run(Path("a.tsv"), one), Run(Path("b.tsv"), other)]})

    assert said() == []
    assert said(settings={"seed": 2, "limit": None}) == []
    assert said(model="another") == [], "seeds are models fine-tuned alike"
    assert "differ in number of sentences or batches (10, 20)" in said(n=20)[0]
    assert "differ in text (sha256) (a, b)" in said(data_hash="b")[0]
    assert "differ in precision (bf16" not in str(said(settings={"precision": "bf16"}))
    assert said(values=np.eye(2)) == ["note: b.tsv holds the same scores as a.tsv, so their agreement means nothing"]
    (tmp_path / "again.tsv").write_bytes(own[0].read_bytes())
    assert "again.tsv holds the same scores as" in cli("compare", *own, tmp_path / "again.tsv").err


def test_scores_of_another_model_are_noted(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    scores = tmp_path / "s.tsv"
    write_scores(scores, HeadScores(np.arange(8.0).reshape(2, 4), "gradient", model="org/other"))
    said = f"s.tsv: its scores come from org/other, but are used on {tagger}"
    pruned = cli("prune", tagger, "--scores", scores, "--n-pruned", 1, "--out", tmp_path / "p")
    assert (pruned.code, said in pruned.err) == (0, True)
    judged = cli("curve", tagger, "--task", "pos", "--data", treebank / "dev.conllu", "--scores", scores, "--random-seeds", 1)
    assert (judged.code, said in judged.err) == (0, True)
    write_scores(scores, HeadScores(np.arange(8.0).reshape(2, 4), "gradient", model=f"{tagger}/../{tagger.name}"))
    assert cli("prune", tagger, "--scores", scores, "--n-pruned", 1, "--out", tmp_path / "q").err == ""


def test_equal_scores_among_later_runs_are_noticed(own: list[Path]) -> None:
    first, second = (Run(path, read_scores(path)) for path in own)
    copy = Run(Path("copy.tsv"), second.scores)
    notes = doubts({"gradient": [first, second, copy]})
    assert f"note: copy.tsv holds the same scores as {own[1]}, so their agreement means nothing" in notes


@pytest.mark.parametrize("name", ["s.json", "s.tsv"])
def test_scores_written_again_are_the_same_bytes(name: str, tmp_path: Path) -> None:
    scores = HeadScores(np.array([[0.5, 1.0]]), "gradient", n=3, forward_passes=1, backward_passes=2)
    write_scores(tmp_path / name, scores)
    write_scores(tmp_path / f"again-{name}", read_scores(tmp_path / name))
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()
