"""Many masks in one go: the numbers of a plain gated pass, with the shared layers computed once."""

import gc
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import FAMILIES, MASKS, tiny_model
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.heads import HeadId, HeadMask
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.masked_evaluation import masked_labels
from polyhead.learning.shared_prefix import masked_logits
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites

ORDER = [HeadId(2, 1), HeadId(2, 0), HeadId(1, 3), HeadId(2, 3), HeadId(0, 0), HeadId(0, 2)]
NESTED = [HeadMask.without(3, 4, ORDER[:k]) for k in range(len(ORDER) + 1)]


def batches() -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=40)


def plain(model: PreTrainedModel, batch: Batch, mask: HeadMask) -> torch.Tensor:
    with gated(model, mask):
        logits: torch.Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    return logits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("masks", [NESTED, NESTED[::-1], [*MASKS.values(), *MASKS.values()]], ids=["nested", "growing", "any"])
def test_logits_are_exactly_those_of_a_plain_gated_pass(family: str, masks: list[HeadMask]) -> None:
    model = tiny_model(family)
    with torch.inference_mode():
        for batch in batches():
            for mask, logits in zip(masks, masked_logits(model, batch, masks), strict=True):
                assert torch.equal(logits, plain(model, batch, mask))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_only_what_a_mask_changes_runs_again(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(family)
    runs: Counter[nn.Module] = Counter()
    forward = nn.Linear.forward

    def counted(module: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        runs[module] += 1
        return forward(module, x)

    monkeypatch.setattr(nn.Linear, "forward", counted)
    with torch.inference_mode():
        list(masked_logits(model, batches()[0], [*NESTED, NESTED[-1]]))
    sites = attention_sites(model)
    # the first mask runs all; then the lowest changed layer is 2, 2, 1, 2, 0, 0, and the last mask repeats the one before
    assert [runs[site.output] for site in sites] == [3, 4, 7]
    # the heads of the lowest changed layer see what they saw before
    for projections in zip(*(site.inputs for site in sites), strict=True):
        assert [runs[projection] for projection in projections] == [1, 3, 4]


def by_sentence(batch: Batch, seed: int = 0) -> list[torch.Tensor]:
    """Masks that differ from sentence to sentence, in ever other layers."""
    generator = torch.Generator().manual_seed(seed)
    keep = torch.ones(len(batch.sentences), 3, 4, dtype=torch.bool)
    masks = [keep]
    for layer in (2, 1, 1, 2, 0, 2):
        keep = keep.clone()
        keep[:, layer] = torch.rand(len(keep), 4, generator=generator) < 0.6
        masks.append(keep)
    return masks


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sentence_may_have_a_mask_of_its_own(family: str) -> None:
    model = tiny_model(family)
    with torch.inference_mode():
        for batch in batches():
            masks = [*by_sentence(batch), MASKS["uneven"], *by_sentence(batch, 1)]
            for mask, logits in zip(masks, masked_logits(model, batch, masks), strict=True):
                gates = mask if isinstance(mask, torch.Tensor) else torch.tensor(mask.keep).expand(len(batch.sentences), 3, 4)
                with gated(model, gates, rows=batch.rows):
                    assert torch.equal(logits, model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits)


def test_what_stands_in_for_heads_that_are_off() -> None:
    model, fill = tiny_model("bert"), torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for batch in batches():
            for masks in (NESTED, by_sentence(batch)):
                for mask, logits in zip(masks, masked_logits(model, batch, masks, fill=fill), strict=True):
                    with gated(model, mask, rows=None if isinstance(mask, HeadMask) else batch.rows, fill=fill):
                        plain = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
                    assert torch.equal(logits, plain)


def test_a_layer_is_shared_only_if_no_sentence_differs_there() -> None:
    model, batch = tiny_model("bert"), batches()[1]
    runs = [0, 0, 0]

    def count(layer: int) -> None:
        runs[layer] += 1

    for site in attention_sites(model):
        site.output.register_forward_hook(lambda *_, layer=site.layer: count(layer))
    one = torch.ones(len(batch.sentences), 3, 4, dtype=torch.bool)
    two = one.clone()
    two[-1, 2, 0] = False
    three = two.clone()
    three[0, 1, 3] = False
    assert len(one) > 1
    with torch.inference_mode():
        list(masked_logits(model, batch, [HeadMask.full(3, 4), one, two, three, three]))
    assert runs == [1, 2, 3]


def test_no_attention_weights_are_held() -> None:
    model, batch = tiny_model("bert", kernel="eager"), batches()[0]
    held: list[int] = []
    for site in attention_sites(model):
        site.block.register_forward_pre_hook(lambda *_: held.append(len(shapes_alive())))

    def shapes_alive() -> list[torch.Size]:
        gc.collect()
        found = [item for item in gc.get_objects() if isinstance(item, torch.Tensor)]
        return [item.shape for item in found if item.ndim == 4 and item.shape[-1] == item.shape[-2] == batch.input_ids.shape[1]]

    before = len(shapes_alive())  # those of other tests of this process
    with torch.inference_mode():
        list(masked_logits(model, batch, NESTED))
    assert max(held) - before <= 1, "only the attention mask"


def test_masks_are_asked_for_one_by_one_and_may_be_one_tensor_written_to() -> None:
    model, batch = tiny_model("bert"), batches()[0]
    keep = torch.ones(len(batch.sentences), 3, 4, dtype=torch.bool)
    found: list[torch.Tensor] = []
    asked: list[int] = []

    def masks() -> Iterator[torch.Tensor]:
        for layer in (2, 1, 2):
            yield keep
            asked.append(len(found))
            keep[:, layer, layer] = False

    with torch.inference_mode():
        for logits in masked_logits(model, batch, masks()):
            found.append(logits)
            assert torch.equal(logits, plain(model, batch, HeadMask(keep[0].numpy())))
    assert asked == [1, 2, 3]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_model_is_left_as_it_was_found_also_when_stopped(compiled: bool) -> None:
    model, batch = tiny_model("bert"), batches()[0]
    if compiled:
        model.bert.encoder.layer[0] = torch.compile(model.bert.encoder.layer[0], backend="eager")
    with torch.inference_mode():
        expected = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        forwards = [site.block.__dict__.get("forward") for site in attention_sites(model)]
        broken = nn.Linear(16, 5)
        broken.forward = None  # type: ignore[method-assign, assignment]
        whole, model.classifier = model.classifier, broken
        passes = masked_logits(model, batch, NESTED)
        with pytest.raises(TypeError):
            next(passes)
        model.classifier = whole
        logits = masked_logits(model, batch, NESTED)
        next(logits), next(logits)
        logits.close()
        assert [site.block.__dict__.get("forward") for site in attention_sites(model)] == forwards
        assert torch.allclose(
            model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits, expected, rtol=0, atol=1e-6
        )
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_labels_are_those_predicted_under_each_mask(precision: str) -> None:
    model, encoded = tiny_model("xlm-roberta").train(), tiny_encoded()
    words = encoded.words_per_sentence
    flat, _ = masked_labels(model, batches(), NESTED, words, precision=precision)  # type: ignore[arg-type]
    found = [np.split(ids, np.cumsum(words)[:-1]) for ids in flat]
    assert model.training
    model.eval()
    assert [len(sentence) for sentence in found[0]] == list(words)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        for place, mask in enumerate(NESTED):
            for batch in batches():
                best = plain(model, batch, mask)[batch.anchor_rows, batch.anchor_columns].argmax(-1)
                for row, word, label in zip(batch.anchor_rows, batch.anchor_words, best, strict=True):
                    sentence = batch.sentences[int(batch.rows[row])]
                    assert found[place][sentence][int(word)] == int(label)
    assert any(not np.array_equal(one, other) for one, other in zip(found[0], found[-1], strict=True))
