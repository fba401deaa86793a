import copy

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from polyhead.core.errors import SettingError
from polyhead.learning.subwords import special_tokens, subwords

TEXT = [
    "▁the",
    "▁New",
    "▁York",
    "▁1",
    "▁ص",
    "لى",
    "▁الله",
    "▁عليه",
    "▁وسلم",
    "▁שלום",
    "ing",
    "我",
    "们",
    "日本",
    "は",
    "ש",
    "לום",
]
CHARACTERS = ["▁", "\u200b", "\u00ad", "\u200c", "⁄", "2", "<", ">", "/", *"abcdefghijklmnopqrstuvwxyzNY"]


def sentencepiece(normalizer=None, *, prepend="always", unk=True):
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = [(token, 0.0) for token in specials] + [(token, -2.0) for token in TEXT] + [(token, -9.0) for token in CHARACTERS]
    backend = Tokenizer(models.Unigram(vocab, unk_id=3))
    backend.normalizer = normalizer or normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    kwargs = {"unk_token": "<unk>"} if unk else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=512, **kwargs
    )


def wordpiece():
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "我", "们", "hell", "##o", "½", "▁", "##a", "S", "E", "P", "[", "]", "ab"]
    backend = Tokenizer(models.WordPiece({token: number for number, token in enumerate(vocab)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
    )


def byte_level():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate(["<s>", "</s>", *alphabet, "Ġt"])}
    backend = Tokenizer(models.BPE(vocab, [("Ġ", "t")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def described(tokenizer, word, anchor="text"):
    found = subwords([word], tokenizer, anchor=anchor)
    return tokenizer.convert_ids_to_tokens(found.ids.tolist()), int(found.anchors[0])


@pytest.mark.parametrize(
    ("word", "tokens", "anchor"),
    [
        ("我们", ["▁", "我", "们"], 1),
        ("日本", ["▁", "日本"], 1),
        ("שלום", ["▁שלום"], 0),
        ("לום", ["▁", "לום"], 1),
        ("the", ["▁the"], 0),
        ("\u200b", ["▁", "\u200b"], 1),
        ("\u00ad", ["▁", "\u00ad"], 1),
        ("\u200c", ["▁", "\u200c"], 1),
        ("ﷺ", ["▁ص", "لى", "▁الله", "▁عليه", "▁وسلم"], 0),
        ("½", ["▁1", "⁄", "2"], 0),
        ("🙂", ["▁", "<unk>"], 1),
        ("New York", ["▁New", "▁York"], 0),
        ("\u3000我", ["▁", "我"], 1),
        ("▁", ["▁"], 0),
        ("", ["<unk>"], 0),
    ],
)
def test_anchor_is_the_first_subword_with_a_character_of_the_word(word, tokens, anchor):
    assert described(sentencepiece(), word) == (tokens, anchor)


def test_anchor_first_is_the_first_subword():
    assert described(sentencepiece(), "我们", anchor="first") == (["▁", "我", "们"], 0)


@pytest.mark.parametrize("word", ["\u200b", "\u00ad", "\u200c", "\u200b\u200b"])
@pytest.mark.parametrize("kind", ["removes", "replaces", "wordpiece"])
def test_words_that_are_normalised_to_nothing(word, kind):
    if kind == "wordpiece":
        tokenizer, expected, unknown = wordpiece(), ["[UNK]"], True
    elif kind == "removes":
        rules = [normalizers.Replace(character, "") for character in "\u200b\u00ad\u200c"]
        tokenizer, expected, unknown = sentencepiece(normalizers.Sequence(rules)), ["<unk>"], True
    else:  # as XLM-R's own normaliser does with U+200B
        rules = [normalizers.Replace(character, " ") for character in "\u200b\u00ad\u200c"]
        tokenizer, expected, unknown = sentencepiece(normalizers.Sequence(rules)), ["▁"] * len(word), False
    found = subwords([word], tokenizer)
    assert tokenizer.convert_ids_to_tokens(found.ids.tolist()) == expected
    assert found.unknown.tolist() == [unknown]
    assert found.anchors.tolist() == [0]


def test_word_without_subword_and_no_unk_token():
    tokenizer = sentencepiece(normalizers.Replace("\u200b", ""), unk=False)
    with pytest.raises(SettingError, match=r"word '\\u200b': .*unk_token"):
        subwords(["the", "\u200b"], tokenizer)


def test_wordpiece_cuts_chinese_and_has_no_space_marker():
    assert described(wordpiece(), "我们") == (["我", "们"], 0)
    assert described(wordpiece(), "hello") == (["hell", "##o"], 0)
    assert described(wordpiece(), "▁a") == (["▁", "##a"], 0)
    assert not subwords(["▁a"], wordpiece()).lone_marker.any()


def test_text_cannot_spell_structure():
    assert described(sentencepiece(), "</s>")[0][-1] == "<unk>"
    assert described(sentencepiece(), "我<pad>们")[0] == ["▁", "我", "<unk>", "▁", "们"]
    assert described(wordpiece(), "[SEP]")[0] == ["[UNK]"]


@pytest.mark.parametrize("prepend", ["always", "first", "never"])
def test_every_word_gets_its_marker(prepend):
    found = subwords(["the", "我"], sentencepiece(prepend=prepend))
    assert sentencepiece().convert_ids_to_tokens(found.ids.tolist()) == ["▁the", "▁", "我"]


def test_byte_level_words_begin_with_a_space():
    assert described(byte_level(), "to") == (["Ġt", "o"], 0)
    assert described(byte_level(), "or") == (["Ġ", "o", "r"], 1)


def test_special_tokens_come_from_the_template():
    assert special_tokens(sentencepiece()) == ((0,), (2,))
    assert special_tokens(wordpiece()) == ((2,), (3,))
    bare = sentencepiece()
    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    assert special_tokens(bare) == ((), (2,))


def test_tokenizer_settings_are_ignored_and_kept():
    tokenizer = sentencepiece()
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(2)
    backend.enable_padding(length=7, pad_id=1, pad_token="<pad>")
    before = copy.deepcopy((backend.truncation, backend.padding))
    assert subwords(["New York", "abc"], tokenizer).lengths.tolist() == [2, 4]
    assert special_tokens(tokenizer) == ((0,), (2,))
    assert (backend.truncation, backend.padding) == before


def test_slow_tokenizer_is_refused():
    class Slow:
        pass

    with pytest.raises(SettingError, match="tokenizer Slow: expected a fast one"):
        subwords(["a"], Slow())


def test_no_words():
    found = subwords([], sentencepiece())
    assert found.ids.size == found.lengths.size == 0
