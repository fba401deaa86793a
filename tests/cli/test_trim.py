"""`polyhead trim`: files and corpora of several languages, the report, the saved folder, and one line for bad input."""

from pathlib import Path

import pytest
import torch
from cli.cases import refused
from compression.vocabulary_case import made_up_text, tiny_tokenizer
from conformance.tiny import MASKS, logits, tiny_model
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from polyhead.models import architectures, finding
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned

TAB = "\t_"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trim") / "model"
    choice = EncodingChoice(anchor="first", max_length=32, precision="fp32", words="surface", task="pos")
    card = ModelCard(task="pos", scores=(CardScore("x test", "de", "accuracy", 0.9),))
    model = prune(tiny_model("bert"), MASKS["uneven"])
    return save_pruned(model, folder, tokenizer=tiny_tokenizer("wordpiece"), card=card, encoding=choice)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "news.txt"
    path.write_text("\n".join(made_up_text()[:12]), encoding="utf-8")
    return path


def test_files_of_two_languages(cli, model: Path, text: Path, tmp_path: Path) -> None:
    other = tmp_path / "nl.txt"
    other.write_text("abc cab\n", encoding="utf-8")
    out = tmp_path / "small"
    result = cli(
        "trim", model, "--text", f"de={text}", f"nl={other}", f"de={other}", "--characters", "seen", "--out", out, "--json"
    )
    assert result.code == 0, result.err
    found = result.json
    assert found["subwords"]["after"] < found["subwords"]["before"] == 60
    assert found["bytes"]["after"] < found["bytes"]["before"]
    assert list(found["languages"]) == ["de", "nl"]
    assert found["languages"]["de"]["seen"]["words"] == 62
    assert [own["seen"]["changed"] for own in found["languages"].values()] == [0, 0]
    assert found["languages"]["nl"]["held_out"] is None
    one, smaller = (AutoModelForTokenClassification.from_pretrained(folder).eval() for folder in (model, out))
    assert head_mask(smaller) == MASKS["uneven"]
    assert EncodingChoice.read(out) == EncodingChoice.read(model) is not None
    line = made_up_text()[0]
    wanted, got = (
        logits(own, AutoTokenizer.from_pretrained(folder)(line, return_tensors="pt", return_token_type_ids=False))
        for own, folder in ((one, model), (smaller, out))
    )
    assert torch.equal(wanted, got)
    page = (out / "README.md").read_text(encoding="utf-8")
    assert f"{found['subwords']['after']} of 60 subwords, those that text in de, nl needs" in page
    assert "the scores are those before trimming" in page


def test_a_corpus_and_held_out_text(cli, tmp_path: Path) -> None:
    held = ("--held-out", "phrases/nl", f"de={tmp_path / 'more.txt'}")
    (tmp_path / "more.txt").write_text("Das Haus ist rot.\n", encoding="utf-8")
    corpora = ("--corpus", "phrases/de", "phrases/nl", "--split", "dev")
    result = cli("trim", "polyhead/tiny", *corpora, *held, "--coverage", 0.999, "--out", tmp_path / "small")
    assert result.code == 0, result.err
    assert "of 4,000 subwords" in result.out
    assert "| de |" in result.out
    assert "held-out: the text given" in result.prose


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no text: give --text LANGUAGE=FILE"),
        (("--text", "de="), "--text de=: names no file; write LANGUAGE=FILE, for example de=news.txt"),
        (("--text", "news.txt"), "--text news.txt: names no language; write LANGUAGE=FILE, for example de=news.txt"),
        (("--text", "German=news.txt"), "'German' is not a language code"),
        (("--text", "de=none.txt"), "none.txt: no such file"),
        (("--corpus", "de=news.txt"), "name a file with --text de=news.txt"),
        (("--corpus", "phrases/xx"), "corpus 'phrases/xx': no such name"),
        (("--corpus", "phrases/de", "--max-size", "5"), "--max-size = 5: special tokens, bytes and single characters alone are"),
        (("--corpus", "phrases/de", "--coverage", "0"), "--coverage = 0"),
        (("--corpus", "phrases/de", "--held-out", "phrases/nl"), "held-out text of nl: no text of it to trim by; it is in de"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(cli, options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    refused(cli("trim", "polyhead/tiny", *options, "--out", tmp_path / "small"), said)
    assert not (tmp_path / "small").exists()


def test_a_folder_in_use_and_a_tokenizer_of_words(cli, tagger: Path, text: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    refused(cli("trim", "polyhead/tiny", "--text", f"de={text}", "--out", tmp_path / "used"), "--out", "is not empty")
    refused(
        cli("trim", tagger, "--text", f"de={text}", "--out", tmp_path / "new"), "tokenizer model WordLevel: cannot be trimmed"
    )


def test_a_family_without_a_row_is_proven_before_its_row_is_needed(cli, text: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32, "pad_token_id": 1}
    config = AutoConfig.for_model("roberta-prelayernorm", vocab_size=60, max_position_embeddings=40, **sizes)
    given = tmp_path / "given"
    AutoModelForTokenClassification.from_config(config).save_pretrained(given)
    tiny_tokenizer("wordpiece").save_pretrained(given)
    words = tmp_path / "words.conllu"
    words.write_text("".join(f"1\tab{i}\t_\tNOUN{6 * TAB}\n2\tcab\t_\tVERB{6 * TAB}\n\n" for i in range(20)), encoding="utf-8")
    other = tmp_path / "other.conllu"
    other.write_text(words.read_text(encoding="utf-8").replace("ab", "ba"), encoding="utf-8")
    tries = ("--epochs", 1, "--max-pruned", 1, "--search", "nested", "--head-analysis", 0)
    commands = (
        ("data", "check", words, "--tokenizer", given),
        (
            "run",
            "--model",
            given,
            "--task",
            "pos",
            "--source",
            f"en={words}",
            "--target",
            f"de={other}",
            *tries,
            "--out",
            tmp_path / "run",
        ),
        ("trim", given, "--text", f"de={text}", "--max-size", 58, "--out", tmp_path / "small"),
    )
    try:
        for command in commands:
            architectures.PROVEN.clear()
            finding._DONE.clear()
            result = cli(*command)
            assert result.code == 0, result.err
    finally:
        architectures.PROVEN.clear()
        finding._DONE.clear()
