"""One model with a mask for each language: `prune --mask NAME=FILE` makes it, the text or `--language` chooses in `predict`."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

MASKS = {"de": [[1, 0, 0, 0], [1, 1, 0, 0]], "ja": [[0, 0, 0, 0], [0, 1, 1, 0]]}
TEXT = [("de", "the dog runs ."), ("ja", "a big cat sleeps"), ("de", "a house and the cat .")]


@pytest.fixture(scope="module")
def tagger(tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tagger with weights so large that its heads decide."""
    folder = tmp_path_factory.mktemp("large") / "tagger"
    model = AutoModelForTokenClassification.from_pretrained(tagger)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data.mul_(20)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tagger).save_pretrained(folder)
    return folder


@pytest.fixture
def heads(tmp_path: Path) -> dict[str, Path]:
    """A mask file for each language."""
    for name, keep in MASKS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"schema": 1, "keep": [[bool(k) for k in row] for row in keep]}))
    return {name: tmp_path / f"{name}.json" for name in MASKS}


@pytest.fixture
def shared_model(cli: Callable, tagger: Path, heads: dict[str, Path], tmp_path: Path) -> Path:
    done = cli("prune", tagger, "--mask", *(f"{name}={path}" for name, path in heads.items()), "--out", tmp_path / "both")
    assert done.code == 0, done.err
    assert "4 heads kept, 4 pruned" in done.prose
    assert "mask de: 3 of 4 heads mask ja: 2 of 4 heads" in done.prose
    return tmp_path / "both"


def conllu(with_comment: Callable[[int], bool]) -> str:
    blocks = []
    for i, (language, words) in enumerate(TEXT):
        rows = [f"{n}\t{word}\t_\t_\t_\t_\t_\t_\t_\t_" for n, word in enumerate(words.split(), 1)]
        blocks.append("\n".join([*[f"# lang = {language}"] * with_comment(i), *rows]))
    return "\n\n".join(blocks) + "\n\n"


def labels(done: SimpleNamespace) -> list[list[str]]:
    assert done.code == 0, done.err
    return [sentence["labels"] for sentence in done.json["sentences"]]


def test_each_sentence_is_tagged_as_by_its_own_pruned_model(
    cli: Callable, tagger: Path, heads: dict[str, Path], shared_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, columns = tmp_path / "text.conllu", tmp_path / "text.tsv"
    text.write_text(conllu(lambda i: True))
    columns.write_text("\n\n".join("\n".join(f"{w}\t{own}" for w in words.split()) for own, words in TEXT) + "\n\n")
    alone = {}
    for name, path in heads.items():
        assert cli("prune", tagger, "--mask", path, "--out", tmp_path / name).code == 0
        alone[name] = labels(cli("predict", tmp_path / name, "--task", "pos", text, "--json"))
    expected = [alone[language][i] for i, (language, _) in enumerate(TEXT)]
    assert alone["de"] != alone["ja"], "else this shows nothing"
    done = cli("predict", shared_model, "--task", "pos", text, "--json")
    assert labels(done) == expected
    assert [sentence["mask"] for sentence in done.json["sentences"]] == ["de", "ja", "de"]
    by_column = ("predict", shared_model, "--task", "pos", "--format", "columns", "--language-column", 2, columns)
    assert labels(cli(*by_column, "--json")) == expected
    written = cli(*by_column).out.splitlines()
    assert written[0] == f"the\tde\t{expected[0][0]}"
    assert labels(cli("predict", shared_model, "--task", "pos", text, "--language", "ja", "--json")) == expected, (
        "the text comes first"
    )
    text.write_text(conllu(lambda i: i == 1))
    assert labels(cli("predict", shared_model, "--task", "pos", text, "--language", "de", "--json")) == expected
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(conllu(lambda i: i != 2).encode())))
    done = cli("predict", shared_model, "--task", "pos")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "stdin:13: a sentence without a language" in done.err
    text.write_text(conllu(lambda i: False))
    done = cli("predict", shared_model, "--task", "pos", text, "--json")
    assert "read with all heads, because no mask is named" in done.err
    assert done.json["sentences"][0]["mask"] is None


def test_a_model_is_evaluated_under_the_mask_of_each_language(
    cli: Callable, tagger: Path, heads: dict[str, Path], shared_model: Path, treebank: Path, tmp_path: Path
) -> None:
    test = treebank / "test.conllu"
    done = cli("evaluate", shared_model, "--task", "pos", "--target", f"de={test}", f"sv={test}", "--json")
    assert [target["mask"] for target in done.json["targets"]] == ["de", None]
    assert "read with all heads, because the model has masks for de, ja only: sv" in done.err
    assert cli("prune", tagger, "--mask", heads["de"], "--out", tmp_path / "de").code == 0
    alone = cli("evaluate", tmp_path / "de", "--task", "pos", "--target", f"de={test}", "--json")
    assert done.json["targets"][0]["metrics"] == alone.json["targets"][0]["metrics"]


def test_pruning_further_and_bad_masks(
    cli: Callable, tagger: Path, heads: dict[str, Path], shared_model: Path, tmp_path: Path
) -> None:
    done = cli("prune", shared_model, "--heads", "1.1", "--out", tmp_path / "less", "--json")
    assert {name: mask["n_kept"] for name, mask in done.json["masks"].items()} == {"de": 2, "ja": 1}
    de, ja = heads["de"], heads["ja"]
    for arguments, said in (
        ([f"de={de}", f"de={ja}"], "mask de is given twice"),
        ([f"de={de}", str(ja)], "has no name, and others have"),
        ([str(de), str(ja)], "two masks without a name"),
        (["de="], "expected NAME=FILE"),
        ([f"d.e={de}"], "expected letters, digits, - and _"),
        ([f"de={de}", f"ja={tmp_path / 'absent.json'}"], "absent.json"),
        ([f"de={de}", "--densify"], "a dense copy holds one set of heads"),
        ([f"de={de}", f"ja={ja}", "--min-per-layer", "1"], "mask ja: layer 0 would keep 0 heads"),
        ([f"de={de}", "--heads", "1.1"], "give one of --heads, --mask, --scores"),
    ):
        done = cli("prune", tagger, "--out", tmp_path / "no", "--mask", *arguments)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
        assert not (tmp_path / "no").exists()


def test_heads_are_ranked_as_they_are_without_a_mask(cli: Callable, shared_model: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.conllu"
    text.write_text("1\tthe\t_\tDET" + 6 * "\t_" + "\n2\tdog\t_\tNOUN" + 6 * "\t_" + "\n\n")
    done = cli("rank", shared_model, "--task", "pos", "--data", text, "--json")
    assert done.code == 0, done.err
    assert "note: read with all heads, of a model with masks for de, ja\n" in done.err


def test_a_language_without_a_mask_and_a_model_without_masks(
    cli: Callable, tagger: Path, shared_model: Path, tmp_path: Path
) -> None:
    text, columns = tmp_path / "text.conllu", tmp_path / "text.tsv"
    text.write_text(conllu(lambda i: True).replace("= ja", "= sv"))
    columns.write_text("the\tde\ndog\tja\n\n")
    by_column = ("--format", "columns", columns, "--language-column")
    for model, arguments, said in (
        (shared_model, (text,), "text.conllu:8: language 'sv' has no mask; "),
        (shared_model, (text, "--language", "sv"), "--language sv: no such mask; "),
        (shared_model, (text, "--language-column", "2"), "CoNLL-U names a language in a comment"),
        (shared_model, (*by_column, "2"), "text.tsv:2: language 'ja' in column 2; expected 'de' as in the sentence's first row"),
        (shared_model, (*by_column, "3", "--columns", "tab:token=1,tag=none"), "text.tsv:1: 2 columns in"),
        (shared_model, (*by_column, "0", "--columns", "tab:token=1,tag=none"), "a column from 1, or -1 for the last"),
        (tagger, (text, "--language", "de"), "has no masks to choose from"),
    ):
        done = cli("predict", model, "--task", "pos", *arguments)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
        if said.endswith("mask; "):
            assert "has masks for de, ja" in done.err
