"""`fit --nested` and what `prune` makes of its model: any size, without scores and without training."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.cases import fit_arguments, refused
from transformers import AutoConfig, AutoModelForMaskedLM

import polyhead as ph
from polyhead.core.heads import HeadId, HeadMask
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_heads import head_mask
from polyhead.selection.ranking import masks_for
from polyhead.studies.tagger import Tagger


def test_any_size_is_pruned_from_the_model_without_scores(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    said = cli(*fit_arguments(tagger, treebank, whole), "--nested", 4)
    assert said.code == 0
    assert "any number of heads up to 4 can be pruned" in said.prose
    assert sorted(path.name for path in tmp_path.glob("whole*")) == ["whole"], "no unfinished work is left"
    choice = EncodingChoice.read(whole)
    assert choice is not None
    order = [HeadId.parse(head) for head in choice.nested]
    assert len(order) == 4
    full = head_mask(load_saved(whole))
    assert full.n_pruned == 0
    masked_model = Tagger.load(whole)
    for k in (1, 4):
        assert cli("prune", whole, "--n-pruned", k, "--out", tmp_path / f"{k}").code == 0
        small = Tagger.load(tmp_path / f"{k}")
        mask = masks_for(order, [k], full.keep.shape)[0]
        assert head_mask(small.model) == mask
        words = [["the", "dog", "runs", "."], ["a", "big", "house"]]
        masked = masked_model.evaluate(dev_of(treebank), mask=mask)
        assert small.evaluate(dev_of(treebank)).metrics == masked.metrics
        assert len(small.predict(words)) == 2
    assert cli("prune", tmp_path / "1", "--n-pruned", 2, "--out", tmp_path / "3").code == 0
    assert head_mask(load_saved(tmp_path / "3")) == masks_for(order, [3], full.keep.shape)[0], "the order goes on where it was"
    refused(
        cli("prune", tmp_path / "1", "--n-pruned", 4, "--out", tmp_path / "x"), "4 heads to prune: training masked 3 of those"
    )
    assert not (tmp_path / "x").exists()


def test_heads_that_share_a_key_are_offered_in_the_numbers_that_can_be_pruned(
    cli: Callable, tagger: Path, treebank: Path, tmp_path: Path
) -> None:
    grouped, out = tmp_path / "grouped", tmp_path / "whole"
    shutil.copytree(tagger, grouped)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "max_position_embeddings": 70}
    words = len(load_tokenizer(tagger))
    config = AutoConfig.for_model(
        "eurobert", vocab_size=words, num_attention_heads=4, num_key_value_heads=2, pad_token_id=1, mask_token_id=3, **sizes
    )
    AutoModelForMaskedLM.from_config(config).save_pretrained(grouped)
    (grouped / "polyhead.json").unlink(missing_ok=True)
    arguments = fit_arguments(grouped, treebank, out)
    refused(
        cli(*arguments, "--nested", 1), "--nested 1: 2 heads of this encoder share a key and are pruned together; give 2 or more"
    )
    said = cli(*arguments, "--nested", 5)
    assert said.code == 0, said.err
    assert "2 or 4 heads can be pruned: polyhead prune" in said.prose
    for k, code in ((2, 0), (3, 2), (4, 0)):
        assert cli("prune", out, "--n-pruned", k, "--out", tmp_path / f"{k}").code == code


def dev_of(treebank: Path) -> ph.Dataset:
    return ph.open_file(treebank / "dev.conllu", ph.task("pos"), "dev", language="en")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n-pruned", 3], "was not trained under nested masks; give scores of its heads"),
        (["--n-pruned", 3, "--heads", "0.1"], "--n-pruned 3: goes with --scores FILE; leave one of it and --heads out"),
        (["--scores", "s.tsv"], "--scores FILE: give --n-pruned K with it"),
    ],
)
def test_what_prune_cannot_do_without_scores(
    arguments: list[object], said: str, cli: Callable, tagger: Path, tmp_path: Path
) -> None:
    refused(cli("prune", tagger, *arguments, "--out", tmp_path / "x"), said)


def test_fit_refuses_what_it_cannot_rank_or_mask(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    refused(cli(*fit_arguments(tagger, treebank, tmp_path / "x"), "--nested", 99), "--nested 99: this encoder has", "heads")
    arguments = [f"en={treebank}/train.conllu" if "=" in str(a) else a for a in fit_arguments(tagger, treebank, tmp_path / "x")]
    refused(cli(*arguments, "--nested", 2), "--nested: ranks the heads on dev, and no source has a dev split")
    assert list(tmp_path.iterdir()) == []


def test_from_python(tmp_path: Path) -> None:
    train, dev = (ph.sample(ph.open_corpus("phrases/en", split), 24, seed=1) for split in ("train", "dev"))
    tagger = Tagger.load("polyhead/tiny", task="pos", seed=42)
    scores = tagger.score("magnitude", dev)
    tagger.fit(train, spec=ph.TrainSpec(epochs=1), nested=scores, max_pruned=6)
    assert len(tagger.nested) == 6
    tagger.save(tmp_path / "whole")
    again = Tagger.load(tmp_path / "whole")
    assert again.prune(n_pruned=5) == HeadMask.without(4, 8, map(HeadId.parse, tagger.nested[:5]))
    with pytest.raises(ph.PolyheadError, match="prune takes a HeadMask alone, or the number of heads"):
        again.prune()
    again.fit(train, spec=ph.TrainSpec(epochs=1))
    assert again.nested == (), "ordinary training ends the promise"
