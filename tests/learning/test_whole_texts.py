"""Whole texts and pairs against the tokenizer's own call."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Sentence
from polyhead.learning.batching import collate
from polyhead.learning.encoding import encode
from polyhead.learning.whole_texts import whole_texts
from polyhead.models.loading import load_tokenizer

WORDS = tuple("abcdefgh")


def bert_like() -> PreTrainedTokenizerFast:
    vocabulary = {name: i for i, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, model_input_names=inputs, **names)


TOKENIZERS = {"bert": bert_like(), "tiny": load_tokenizer("polyhead/tiny")}
a_text = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.one_of(st.tuples(a_text), st.tuples(a_text, a_text)), min_size=1, max_size=4), limit=st.integers(6, 20))
def test_ids_and_types_are_those_of_the_tokenizers_own_call(name: str, texts: list[tuple[str, ...]], limit: int) -> None:
    tokenizer = TOKENIZERS[name]
    for own, found in zip(texts, whole_texts(texts, tokenizer, limit=limit), strict=True):
        expected = tokenizer(*own, truncation="longest_first", max_length=limit, return_token_type_ids=True)
        assert found.ids.tolist() == expected["input_ids"]
        types = np.zeros(len(found.ids), dtype=int)
        types[found.second or len(types) :] = 1
        assert types.tolist() == expected["token_type_ids"]
        assert found.is_truncated == (len(tokenizer(*own)["input_ids"]) > limit)


def test_text_cannot_act_as_a_structural_token() -> None:
    (found,) = whole_texts([("a [SEP] b", "[PAD]")], TOKENIZERS["bert"], limit=20)
    assert found.ids.tolist() == [2, 4, 1, 5, 3, 1, 3]


def test_a_window_too_small_for_a_pair_is_refused() -> None:
    assert len(whole_texts([("a b",)], TOKENIZERS["bert"], limit=3)[0].ids) == 3
    with pytest.raises(SettingError, match="window of 4 tokens: 3 special tokens leave no room for a subword of each text"):
        whole_texts([("a b", "c")], TOKENIZERS["bert"], limit=4)


def test_an_encoded_pair_has_one_label_and_its_special_tokens_are_no_text() -> None:
    pairs = [
        Sentence(("a", "b", "c"), ("yes",), "en", "x:1", ("a b", "c")),
        Sentence(("d",), ("no",), "en", "x:2", ("d",)),
        Sentence(("e", "f"), (None,), "en", "x:3", ("e", "f")),
    ]
    encoded = encode(pairs, TOKENIZERS["bert"], LabelSet(("no", "yes")))
    assert encoded.words_per_sentence == (1, 1, 1)
    assert (encoded.counts.words, encoded.counts.subwords, encoded.counts.truncated_words) == (6, 6, 0)
    batch = collate([[window] for window in encoded.windows], pad_id=encoded.pad_id)
    assert batch.anchor_labels.tolist() == [1, 0, -100]
    assert batch.input_ids[0].tolist() == [2, 4, 5, 3, 6, 3]
    assert batch.is_text[0].tolist() == [False, True, True, False, True, False]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0] * 6, [0, 0, 0, 1, 1, 0]]
    assert "token_type_ids" not in collate([[encoded.windows[1]]], pad_id=0).inputs
    short = encode(pairs, TOKENIZERS["bert"], None, max_length=5, token_types=False)
    assert short.counts.truncated_words == 1
    assert collate([[window] for window in short.windows], pad_id=0).token_type_ids is None


def test_a_label_that_the_model_lacks_is_named_with_its_line() -> None:
    one = [Sentence(("a",), ("maybe",), "en", "x.tsv:7", ("a",))]
    with pytest.raises(
        DataFormatError, match=r"x\.tsv:7: the sentence that begins here has label 'maybe'; expected one of no yes"
    ):
        encode(one, TOKENIZERS["bert"], LabelSet(("no", "yes")))
