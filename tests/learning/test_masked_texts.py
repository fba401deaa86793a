"""Masked text: each subword once, the loss of Salazar et al. 2020, through gates, pruning and evaluation."""

import numpy as np
import pytest
import torch
from conformance.tiny import MASKS
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from polyhead.core.errors import SettingError
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import TASKS
from polyhead.doctor.subject import copied, text_logits
from polyhead.importance.gate_pass import sentence_gradients
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import evaluate
from polyhead.learning.losses import sentence_losses
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.masked_texts import COPIES, encode_masked, masked_gold, subword_names
from polyhead.learning.text_encoder import TextEncoder
from polyhead.models.gates import gated
from polyhead.models.pruning import prune

WORDS = tuple(f"w{i}" for i in range(20))
MASK = 4


def tokenizer(**names: str) -> PreTrainedTokenizerFast:
    vocabulary = {name: i for i, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=32, **{**named, **names})


TOKENIZER = tokenizer()


@pytest.fixture(scope="module")
def model() -> BertForMaskedLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
    config = BertConfig(vocab_size=27, max_position_embeddings=40, initializer_range=0.3, **sizes)
    return BertForMaskedLM(config).double().eval()


def sentence(text: str) -> Sentence:
    return Sentence(tuple(text.split()), (None,), "en", "x:1", (text,))


@given(st.lists(st.lists(st.sampled_from((*WORDS, "unknown")), min_size=1, max_size=20).map(" ".join), min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_every_subword_is_masked_once(texts: list[str]) -> None:
    encoded = encode_masked([sentence(text) for text in texts], TOKENIZER, limit=18)
    for number, text in enumerate(texts):
        whole = np.array(TOKENIZER(text, truncation=True, max_length=18)["input_ids"])
        own = [window for window in encoded.windows if window.sentence == number]
        assert len(own) == min(COPIES, len(whole) - 2)
        assert sorted(word for window in own for word in window.anchor_words.tolist()) == [*range(len(whole) - 2)]
        assert max(len(window.anchor_words) for window in own) <= -(-(len(whole) - 2) // COPIES)
        for window in own:
            assert (window.input_ids[window.anchor_positions] == MASK).all()
            assert (window.input_ids == whole).sum() == len(whole) - len(window.anchor_words)
            expected = whole[window.anchor_positions]
            assert (window.label_ids == np.where(expected == 1, -100, expected)).all()
    again = encode_masked([sentence(texts[-1])], TOKENIZER, limit=18)
    last = [window.input_ids.tolist() for window in encoded.windows if window.sentence == len(texts) - 1]
    assert [window.input_ids.tolist() for window in again.windows] == last, "a text is masked alike wherever it stands"


def test_the_loss_of_a_short_text_is_minus_its_mean_pseudo_log_likelihood(model: BertForMaskedLM) -> None:
    text = "w1 w5 w5 w2 w19 w0 w3"
    ids = torch.tensor(TOKENIZER(text)["input_ids"])
    alone = []
    with torch.no_grad():
        for place in range(1, len(ids) - 1):
            masked = ids.clone()
            masked[place] = MASK
            alone.append(float(model(input_ids=masked[None]).logits[0, place].log_softmax(-1)[ids[place]]))
    (batch,) = scoring_batches(encode_masked([sentence(text)], TOKENIZER, limit=32))
    with torch.no_grad():
        losses, labelled = sentence_losses(model, batch, "fp32")
    assert labelled.tolist() == [True]
    assert float(losses) == pytest.approx(-np.mean(alone), abs=1e-9)


def test_gates_gradients_and_counts(model: BertForMaskedLM) -> None:
    texts = ["w1 w2 w3", "w4 w5 w6 w7 w8 w9 w10 w11 w12", "w1"]
    encoded = encode_masked([sentence(text) for text in texts], TOKENIZER, limit=32)
    batches, mask = scoring_batches(encoded, budget=60), MASKS["zero-head-layer"]
    with gated(model, mask):
        masked = text_logits(model, batches)
    torch.testing.assert_close(masked, text_logits(prune(copied(model), mask), batches), rtol=0, atol=1e-10)
    found = sentence_gradients(model, batches, precision="fp32")[:, 1, 2]
    both = []
    for sign in (1, -1):
        gates, own = torch.ones(3, 4, dtype=torch.float64), np.zeros(3)
        gates[1, 2] += sign * 1e-5
        with torch.no_grad(), gated(model, gates):
            for batch in batches:
                own[list(batch.sentences)] = sentence_losses(model, batch, "fp32")[0].numpy()
        both.append(own)
    np.testing.assert_allclose(found, (both[0] - both[1]) / 2e-5, rtol=1e-5, atol=1e-9)
    assert score_heads("gradient", model, batches, precision="fp32").n == 3

    labels = LabelSet(subword_names(TOKENIZER, model.config))
    assert labels.names[5:8] + labels.names[25:] == ("w0", "w1", "w2", "<no subword 25>", "<no subword 26>")
    data = Dataset("x", "en", "dev", tuple(sentence(text) for text in texts))
    reader = TextEncoder(tokenizer=TOKENIZER, labels=labels, anchor="text", max_length=32, model_limit=40, masked=True)
    labelled = reader.labelled(data)
    assert labelled.gold[0] == ["w1", "w2", "w3"] == masked_gold(encoded, labels)[0]
    scored = evaluate(model, {"x": labelled}, TASKS["mlm"], labels)["x"]
    right = [
        sum(a == b for a, b in zip(one, other, strict=True)) for one, other in zip(labelled.gold, scored.predicted, strict=True)
    ]
    assert scored.counts.tolist() == [[n, len(own)] for n, own in zip(right, labelled.gold, strict=True)]
    (counts,) = masked_counts(model, {"x": labelled}, TASKS["mlm"], labels, [MASKS["nothing"]])
    assert (counts["x"] == scored.counts).all()


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    with pytest.raises(SettingError, match="the tokenizer has no mask token"):
        encode_masked([sentence("w1")], PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer), limit=9)
