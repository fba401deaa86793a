from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    DistilBertConfig,
    PreTrainedTokenizerFast,
    T5Config,
    XLMRobertaConfig,
)

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.conllu import read_conllu
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile
from polyhead.learning.encoded import EncodingCounts, join
from polyhead.learning.encoding import encode, model_limit

BEGIN, PAD, END, UNK, MARKER = range(5)
LETTERS = "abcdefghij我们日本שלום"
LABELS = LabelSet(("NOUN", "VERB"))


def make_tokenizer(model_max_length=512):
    """One subword per character; `▁a` is one subword, any other first letter follows a lone marker; U+200B vanishes."""
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁a", -1.0)]
    backend = Tokenizer(models.Unigram(vocab + [(letter, -2.0) for letter in dict.fromkeys(LETTERS)], unk_id=UNK))
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", BEGIN), ("</s>", END)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=model_max_length,
    )


TOKENIZER = make_tokenizer()


def sentence(*words, labels=None, source="f.conllu:1"):
    return Sentence(words, labels or (None,) * len(words), "xx", source)


def owners(encoded):
    """(sentence, word) -> the windows' (index, position) that own it."""
    found = {}
    for number, window in enumerate(encoded.windows):
        for word, position in zip(window.anchor_words.tolist(), window.anchor_positions.tolist(), strict=True):
            found.setdefault((window.sentence, word), []).append((number, position))
    return found


def ids(text):
    return TOKENIZER.convert_tokens_to_ids(list(text))


def test_one_window():
    data = sentence("ab", "我们", "b", labels=("NOUN", "VERB", None))
    (window,) = encode([data], TOKENIZER, LABELS).windows
    assert TOKENIZER.convert_ids_to_tokens(window.input_ids.tolist()) == ["<s>", "▁a", "b", "▁", "我", "们", "▁", "b", "</s>"]
    assert window.anchor_positions.tolist() == [1, 4, 7]
    assert window.anchor_words.tolist() == [0, 1, 2]
    assert window.label_ids.tolist() == [0, 1, -100]


def test_anchor_first():
    (window,) = encode([sentence("ab", "我们")], TOKENIZER, None, anchor="first").windows
    assert window.anchor_positions.tolist() == [1, 3]


def test_counts():
    data = [sentence("ab", "我们", "\u200b", "b"), sentence("a" * 40), sentence(*["a"] * 12)]
    encoded = encode(data, TOKENIZER, None, max_length=12)
    assert encoded.counts == EncodingCounts(
        words=17, subwords=2 + 3 + 1 + 2 + 40 + 12, lone_marker_first=2, windowed_sentences=1, unk_words=1, truncated_words=1
    )
    assert encoded.counts.lone_marker_share == 2 / 17
    assert (encoded.n_sentences, encoded.words_per_sentence) == (3, (4, 1, 12))


def test_overlap_and_ownership():
    encoded = encode([sentence(*["a"] * 20)], TOKENIZER, None, max_length=10)
    assert [len(window.input_ids) for window in encoded.windows] == [10, 10, 10]
    # Eight words a window: 0-7, 6-13, 12-19. Word 6 is one from the edge of the first and at the edge of the second.
    assert [window.anchor_words.tolist() for window in encoded.windows] == [[*range(7)], [*range(7, 13)], [*range(13, 20)]]
    assert encoded.windows[1].anchor_positions.tolist() == [*range(2, 8)]


def test_a_tie_goes_to_the_earlier_window():
    encoded = encode([sentence(*["a"] * 16)], TOKENIZER, None, max_length=14)
    # Windows 0-11 and 9-15: word 10 is one from the edge of either.
    assert [window.anchor_words.tolist() for window in encoded.windows] == [[*range(11)], [*range(11, 16)]]


def test_the_last_window_may_be_short():
    encoded = encode([sentence(*["a"] * 9)], TOKENIZER, None, max_length=10)
    # Windows 0-7 and 6-8: word 7 is at the edge of the first and one from either edge of the second.
    assert [window.anchor_words.tolist() for window in encoded.windows] == [[*range(7)], [7, 8]]


def test_word_as_long_as_a_window_is_whole():
    encoded = encode([sentence("abbbbbbb")], TOKENIZER, None, max_length=10)
    assert (encoded.counts.truncated_words, len(encoded.windows[0].input_ids)) == (0, 10)


def test_word_of_a_thousand_characters():
    data = sentence("ab", "我" * 1000, "们", labels=("NOUN", "VERB", "NOUN"))
    encoded = encode([data], TOKENIZER, LABELS)
    assert encoded.counts.truncated_words == 1
    assert {word: len(found) for (_, word), found in owners(encoded).items()} == {0: 1, 1: 1, 2: 1}
    long = next(window for window in encoded.windows if 1 in window.anchor_words)
    assert long.input_ids.tolist() == [BEGIN, MARKER, *ids("我" * 253), END]


def test_sentence_of_a_thousand_words():
    encoded = encode([sentence(*["ab"] * 1000)], TOKENIZER, None)
    assert max(len(window.input_ids) for window in encoded.windows) == 256
    assert sorted(owners(encoded)) == [(0, word) for word in range(1000)]
    assert len(encoded.windows) == 11  # 127 words a window, 96 of them new: 127 + 9 x 96 < 1000 <= 127 + 10 x 96


@given(
    words=st.lists(st.text(alphabet=LETTERS + "\u200b", min_size=1, max_size=14), min_size=1, max_size=60),
    max_length=st.integers(min_value=3, max_value=24),
)
@settings(max_examples=150, deadline=None)
def test_every_word_is_owned_once_and_stands_whole_at_its_anchor(words, max_length):
    labels = tuple("NOUN" if number % 2 else "VERB" for number in range(len(words)))
    encoded = encode([sentence("a"), sentence(*words, labels=labels)], TOKENIZER, LABELS, max_length=max_length)
    found = owners(encoded)
    assert sorted(found) == [(0, 0), *((1, word) for word in range(len(words)))]
    assert all(len(places) == 1 for places in found.values())
    order = [window.sentence for window in encoded.windows]
    assert order == sorted(order)
    for number, window in enumerate(encoded.windows):
        assert len(window.input_ids) <= max_length
        assert window.input_ids[0] == BEGIN
        assert window.input_ids[-1] == END
        assert len(window.anchor_words), number
    capacity = max_length - 2
    for word, text in enumerate(words):
        ((number, position),) = found[1, word]
        window = encoded.windows[number]
        text = text.replace("\u200b", "")
        if text.startswith("a"):
            tokens = [TOKENIZER.convert_tokens_to_ids("▁a"), *ids(text[1:])]
        else:
            tokens = [MARKER, *ids(text)] if text else [UNK]
        anchor = 1 if len(tokens) > 1 and tokens[0] == MARKER and capacity > 1 else 0
        tokens = tokens[:capacity]
        start = position - anchor
        assert window.input_ids[start : start + len(tokens)].tolist() == tokens
        assert window.label_ids[window.anchor_words.tolist().index(word)] == LABELS.index(labels[word])


def test_limits():
    data = [sentence(*["a"] * 600)]

    def longest(tokenizer=TOKENIZER, **limits):
        return max(len(window.input_ids) for window in encode(data, tokenizer, None, **limits).windows)

    assert longest() == 256
    assert longest(max_length=1000) == 512
    assert longest(max_length=1000, model_limit=77) == 77
    assert longest(make_tokenizer(model_max_length=99)) == 99


def test_model_limit_of_the_architecture():
    assert model_limit(XLMRobertaConfig(max_position_embeddings=514, pad_token_id=1)) == 512
    assert model_limit(BertConfig(max_position_embeddings=512)) == 512
    assert model_limit(DistilBertConfig(max_position_embeddings=128)) == 128
    assert model_limit(T5Config()) is None


def test_window_without_room():
    with pytest.raises(SettingError, match="window of 2 tokens: 2 special tokens leave no room"):
        encode([sentence("a")], TOKENIZER, None, max_length=2)


def test_unknown_label():
    data = [sentence("a"), sentence("a", "b", labels=("NOUN", "B-X"), source="x.conllu:7")]
    with pytest.raises(DataFormatError, match=r"^x\.conllu:7: word 'b' .*label 'B-X'; expected one of NOUN VERB"):
        encode(data, TOKENIZER, LABELS)
    encoded = encode(data, TOKENIZER, LABELS, unknown="ignore")
    assert encoded.windows[1].label_ids.tolist() == [0, -100]
    assert encoded.counts.unknown_labels == 1


def test_without_labels():
    (window,) = encode([sentence("a", labels=("B-X",))], TOKENIZER, None).windows
    assert window.label_ids.tolist() == [-100]


@pytest.mark.parametrize("data", [[], [sentence()]])
def test_nothing_to_encode(data):
    encoded = encode(data, TOKENIZER, LABELS)
    assert encoded.windows == ()
    assert encoded.n_sentences == len(data)


def test_join_numbers_on():
    first = encode([sentence("a"), sentence("b")], TOKENIZER, None)
    second = encode([sentence(*["a"] * 20)], TOKENIZER, None, max_length=10)
    both = join([first, second])
    assert [window.sentence for window in both.windows] == [0, 1, 2, 2, 2]
    assert (both.n_sentences, both.words_per_sentence) == (3, (1, 1, 20))
    assert both.counts == first.counts + second.counts
    assert both.counts.words == 22


def test_pad_id_is_the_tokenizers():
    bare = make_tokenizer()
    bare.pad_token = None
    assert encode([sentence("a")], TOKENIZER, None).pad_id == TOKENIZER.pad_token_id == 1
    assert encode([sentence("a")], bare, None).pad_id == 0


def test_join_refuses_different_tokenizers():
    one = encode([sentence("a")], TOKENIZER, None)
    assert join([one, one]).pad_id == one.pad_id
    with pytest.raises(SettingError, match="padding ids 1, 7"):
        join([one, replace(one, pad_id=7)])
    with pytest.raises(SettingError, match="cannot join nothing"):
        join([])


@pytest.mark.parametrize(
    ("treebank", "lone"),
    [
        ("English-EWT/en_ewt", 0.12),
        ("Chinese-GSDSimp/zh_gsdsimp", 0.91),
        ("Japanese-GSD/ja_gsd", 0.95),
        ("Hebrew-HTB/he_htb", 0.22),
    ],
)
def test_real_treebanks_agree_with_the_tokenizers_own_call(shared, treebank, lone):
    folder, name = treebank.split("/")
    path = shared / "data" / "ud" / f"UD_{folder}" / f"{name}-ud-dev.conllu.xz"
    data = list(read_conllu(TextFile(path, "xx")))
    mini = AutoTokenizer.from_pretrained(shared / "models" / "mini")
    mbert = BertTokenizer(str(shared / "data" / "tokenizers" / "mbert" / "vocab.txt"), do_lower_case=False)
    assert encode(data, mini, None).counts.lone_marker_share == pytest.approx(lone, abs=0.006)
    for tokenizer in (mini, mbert):
        encoded = encode(data, tokenizer, None, max_length=512, anchor="first")
        assert encoded.counts.windowed_sentences == 0
        for window in encoded.windows[:100]:
            own = tokenizer(list(data[window.sentence].words), is_split_into_words=True)
            assert window.input_ids.tolist() == own["input_ids"]
            firsts = np.unique([-1 if word is None else word for word in own.word_ids()], return_index=True)[1][1:]
            assert window.anchor_positions.tolist() == firsts.tolist()
