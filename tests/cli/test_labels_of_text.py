"""What commands do with span types: own files keep theirs, corpora that merge them say so, and gold and model mean the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli.cases import refused
from cli.conftest import save_tagger

ROWS = "the B-PER\ndog I-PER\nruns O\n\ncat B-DATE\nsleeps O\n\n"
NOTE = "span of type DATE read as MISC"


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """A folder with the Swahili corpus, whose dates count as MISC, as it could be."""
    folder = tmp_path / "ner/swa_MasakhaNER"
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}.txt").write_text(ROWS * 3)
    return tmp_path


def fitted(cli: Callable, model: Path, source: object, out: Path, *more: object) -> str:
    arguments = ["--task", "ner", "--source", source, "--epochs", 1, "--batch-size", 4, "--threads", 1, "--out", out]
    result = cli("fit", "--model", model, *arguments, *more)
    assert result.code == 0, result.err
    return result.err


def test_own_types_stay_and_merged_ones_are_said_and_on_the_card(cli: Callable, encoder: Path, corpora: Path) -> None:
    own = corpora / "own.txt"
    own.write_text(ROWS * 3)
    assert "read as" not in fitted(cli, encoder, f"en={own}", corpora / "own", "--scheme", "iob2")
    assert '"B-DATE"' in (corpora / "own/config.json").read_text()
    assert f"masakhaner/swa train: 3 x {NOTE}" in fitted(cli, encoder, "masakhaner/swa", corpora / "merged", "--data", corpora)
    assert '"B-MISC"' in (corpora / "merged/config.json").read_text()
    assert NOTE in (corpora / "merged/README.md").read_text()
    predicted = cli("predict", corpora / "own", own, "--task", "ner", "--threads", 1).out
    assert "MISC" not in predicted


def test_gold_types_that_the_model_predicts_are_not_merged(cli: Callable, corpora: Path) -> None:
    elsewhere = save_tagger(corpora / "model", ("O", "B-PER", "I-PER", "B-DATE", "I-DATE"))
    ours = save_tagger(corpora / "ours", ("O", "B-PER", "I-PER", "B-MISC", "I-MISC"))
    arguments = ["--task", "ner", "--target", "masakhaner/swa", "--data", corpora, "--threads", 1]
    for model, said in ((elsewhere, False), (ours, True)):
        result = cli("evaluate", model, *arguments)
        assert result.code == 0, result.err
        assert (f"3 x {NOTE}" in result.err, "cannot predict" in result.err) == (said, False)


def test_rank_says_which_words_it_leaves_out(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    text = tmp_path / "x.txt"
    text.write_text(ROWS * 6)
    arguments = [ner_tagger, "--task", "ner", "--data", text, "--scheme", "iob2", "--threads", 1]
    assert "6 x a word with a label that the model cannot predict, left out of the scores" in cli("rank", *arguments).err
    text.write_text(ROWS.replace("PER", "person") * 6)
    said = ["predicts B-PER, I-PER, but", "is labelled B-DATE, B-person, I-person", "no span would count"]
    refused(cli("rank", *arguments), *said)
