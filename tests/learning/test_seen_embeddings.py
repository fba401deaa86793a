import pytest
import torch
from torch import nn
from training_case import PAD, tiny_model
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForTokenClassification,
    ElectraConfig,
    ElectraForTokenClassification,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

from polyhead.learning.seen_embeddings import SeenRows, seen_rows

IDS = torch.tensor([[1, 7, 7, 9, PAD], [1, 40, 9, PAD, PAD]])


def test_same_logits_and_gradients_with_fewer_rows():
    model = tiny_model(dropout=0.0).eval()
    model(IDS).logits.sum().backward()
    table = model.get_input_embeddings()
    expected, gradient = model(IDS).logits, table.weight.grad.clone()
    with seen_rows(model, IDS, decay=lambda: 1.0):
        part = model.get_input_embeddings()
        assert isinstance(part, SeenRows)
        assert part.weight.shape[0] == 5
        assert torch.equal(model(IDS).logits, expected)
        model(IDS).logits.sum().backward()
        assert torch.allclose(part.weight.grad, gradient[part.rows])
        assert not part.weight.grad[part.padding_idx].any()
    assert model.get_input_embeddings() is table


def test_the_first_row_is_trained_where_the_padding_row_is_not_among_the_seen():
    ids = torch.tensor([[7, 9, 40]])
    model = tiny_model(dropout=0.0).eval()
    assert model.get_input_embeddings().padding_idx == PAD
    model(ids).logits.sum().backward()
    gradient = model.get_input_embeddings().weight.grad
    with seen_rows(model, ids, decay=lambda: 1.0):
        part = model.get_input_embeddings()
        model(ids).logits.sum().backward()
        assert torch.allclose(part.weight.grad, gradient[part.rows])
        assert part.weight.grad[0].any()


@pytest.mark.parametrize("fails", [False, True])
def test_rows_come_back_trained_and_the_others_decayed(fails):
    model = tiny_model()
    table = model.get_input_embeddings().weight
    before = table.detach().clone()
    try:
        with seen_rows(model, IDS, decay=lambda: 0.5):
            model.get_input_embeddings().weight.data.add_(1.0)
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    seen = torch.zeros(len(table), dtype=torch.bool)
    seen[IDS.flatten()] = True
    assert torch.equal(table[seen], before[seen] + 1)
    assert torch.equal(table[~seen], before[~seen] * 0.5)


SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize(
    "build",
    [
        lambda: XLMRobertaForTokenClassification(XLMRobertaConfig(**SIZES)),
        lambda: ElectraForTokenClassification(ElectraConfig(**SIZES, embedding_size=8)),
        lambda: DistilBertForTokenClassification(DistilBertConfig(vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=16)),
    ],
)
def test_every_family(build):
    model = build().eval()
    expected = model(IDS).logits
    with seen_rows(model, IDS, decay=lambda: 1.0):
        assert isinstance(model.get_input_embeddings(), SeenRows)
        assert torch.equal(model(IDS).logits, expected)
    assert torch.equal(model(IDS).logits, expected)


def test_left_alone_where_it_is_tied_frozen_or_hooked():
    tied, frozen, hooked = BertForMaskedLM(BertConfig(**SIZES)), tiny_model(), tiny_model()
    frozen.get_input_embeddings().weight.requires_grad_(False)
    hooked.get_input_embeddings().register_forward_hook(lambda *_: None)
    for model in (tied, frozen, hooked):
        with seen_rows(model, IDS, decay=lambda: 0.0):
            assert type(model.get_input_embeddings()) is nn.Embedding
        assert model.get_input_embeddings().weight.any()
