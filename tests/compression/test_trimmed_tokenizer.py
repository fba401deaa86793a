"""A trimmed tokenizer segments every word as before whose subwords all stayed, for every kind of tokenizer."""

import json
from collections import Counter
from pathlib import Path

import pytest
from compression.vocabulary_case import KINDS, LETTERS, STRANGE, made_up_text, tiny_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast, XLMRobertaTokenizer

from polyhead.compression.segmentation import segmentation
from polyhead.compression.subword_choice import Limits
from polyhead.compression.trimmed_tokenizer import Vocabulary, trimmed_tokenizer
from polyhead.compression.vocabulary import trim_tokenizer
from polyhead.core.errors import SettingError

WORDS = st.text(alphabet=LETTERS + STRANGE, min_size=1, max_size=9)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(seen=st.lists(WORDS, min_size=1, max_size=6), others=st.lists(WORDS, min_size=1, max_size=40, unique=True))
def test_words_whose_subwords_stayed_are_segmented_as_before(kind: str, seen: list[str], others: list[str]) -> None:
    tokenizer = tiny_tokenizer(kind)
    found = trim_tokenizer(tokenizer, {"de": [" ".join(seen)]}, Limits(characters="seen"))
    made, rows = found.tokenizer, found.rows.tolist()
    assert len(rows) == len(made) < len(tokenizer)
    assert made.convert_ids_to_tokens(list(range(len(rows)))) == tokenizer.convert_ids_to_tokens(rows)
    assert made.all_special_tokens == tokenizer.all_special_tokens
    assert found.seen["de"].changed == 0
    unknown = changed = 0
    for word in others:
        before, after = (one(word)["input_ids"] for one in (tokenizer, made))
        renamed = [rows[number] for number in after]
        if {*before} <= {*rows}:
            assert renamed == before, (word, before, renamed)
        changed += renamed != before
        unknown += tokenizer.unk_token_id in renamed and tokenizer.unk_token_id not in before
    told = segmentation(Counter(others), tokenizer, made, found.rows)
    assert told is not None
    if kind != "byte-level bpe":  # which reads a word inside a sentence otherwise than alone
        assert (told.words, told.changed, told.unknown) == (len(others), changed, unknown)


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_anywhere_and_again(kind: str, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(kind)
    found = trim_tokenizer(tokenizer, {"de": made_up_text()[:3]}, Limits())
    found.tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = made_up_text(1)[0]
    assert again(text)["input_ids"] == found.tokenizer(text)["input_ids"]
    assert again.get_vocab() == found.tokenizer.get_vocab()
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids == again(text)["input_ids"]
    assert again.decode(again(made_up_text()[0])["input_ids"]) == tokenizer.decode(tokenizer(made_up_text()[0])["input_ids"])


def test_parts_of_a_subword_are_all_that_merges_to_it() -> None:
    vocabulary = Vocabulary.read(tiny_tokenizer("bpe"))
    longest = max(vocabulary.made_of, key=lambda number: len(vocabulary.subwords[number]))
    parts = {vocabulary.subwords[number] for number in vocabulary.with_parts([longest])}
    assert {*vocabulary.subwords[longest]} < parts
    assert all(part in vocabulary.subwords[longest] for part in parts)


def test_what_a_vocabulary_cannot_do_without() -> None:
    for kind in KINDS:
        vocabulary = Vocabulary.read(tiny_tokenizer(kind))
        names = {vocabulary.subwords[number] for number in vocabulary.needed}
        assert names >= {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}
        assert len([name for name in names if name.startswith("<0x")]) == (256 if "with bytes" in kind else 0)
        assert (len(names) >= 256) == ("byte" in kind)
    scores = Vocabulary.read(tiny_tokenizer("unigram"))
    lowest = min(scores.document["model"]["vocab"], key=lambda pair: pair[1])[0]
    assert lowest in {scores.subwords[number] for number in scores.needed}


def bert() -> BertTokenizer:
    letters = [f"{mark}{letter}" for letter in "abcdef" for mark in ("", "##")]
    names = ["[PAD]", *(f"[unused{i}]" for i in range(5)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, "abc", "##def", "fed"]
    return BertTokenizer(vocab={name: i for i, name in enumerate(names)}, do_lower_case=False)


def xlm_roberta() -> XLMRobertaTokenizer:
    names = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdef", "▁abc", "def", "fed", "<mask>"]
    return XLMRobertaTokenizer(vocab=[(name, -float(i)) for i, name in enumerate(names)])


@pytest.mark.parametrize("build", [bert, xlm_roberta])
def test_classes_that_build_their_own_tokenizer(build) -> None:
    tokenizer = build()
    found = trim_tokenizer(tokenizer, {"de": ["abcdef abc"]}, Limits())
    assert type(found.tokenizer) is type(tokenizer)
    assert "fed" not in found.tokenizer.get_vocab()
    for text in ("abcdef abc", "fe ж", "<mask> [MASK] abc"):
        assert found.rows[found.tokenizer(text)["input_ids"]].tolist() == tokenizer(text)["input_ids"]


def test_added_tokens_and_ids_in_the_template_follow() -> None:
    inner = Tokenizer(
        models.WordPiece({name: i for i, name in enumerate(("a", "b", "##c", "<unk>", "[S]", "[E]"))}, unk_token="<unk>")
    )
    inner.post_processor = processors.BertProcessing(("[E]", 5), ("[S]", 4))
    inner.add_tokens(["NEW"])
    inner.enable_padding(pad_id=3, pad_token="<unk>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    vocabulary = Vocabulary.read(tokenizer)
    made, rows = trimmed_tokenizer(tokenizer, vocabulary, vocabulary.needed | {1})
    assert json.loads(made.backend_tokenizer.to_str())["padding"]["pad_id"] == 1
    assert made.convert_ids_to_tokens(range(len(rows))) == ["b", "<unk>", "[S]", "[E]", "NEW"]
    assert made.convert_ids_to_tokens(made("b")["input_ids"]) == ["[S]", "b", "[E]"]
    assert made.convert_ids_to_tokens(made("NEW")["input_ids"]) == ["[S]", "NEW", "[E]"]


def test_tokenizers_that_cannot_be_trimmed() -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")))
    with pytest.raises(SettingError, match="tokenizer model WordLevel: cannot be trimmed; only WordPiece, Unigram, BPE can"):
        Vocabulary.read(words)
    drops = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0}, [], dropout=0.1)))
    with pytest.raises(SettingError, match=r"BPE with dropout 0\.1 segments at random; set dropout to null"):
        Vocabulary.read(drops)

    class Slow:
        pass

    with pytest.raises(SettingError, match=r"tokenizer Slow: expected a fast one \(with a tokenizer.json\)"):
        Vocabulary.read(Slow())  # type: ignore[arg-type]
