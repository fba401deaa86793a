"""What every row of METHODS promises, over every family; and that a promise not made is one that does not hold."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from conformance.scoring_case import (
    DEAD,
    PLANTED,
    RMS_NORMED,
    model_with_dead_head,
    planted_encoded,
    planted_model,
    random_encoded,
    tiny_encoded,
)
from conformance.tiny import FAMILIES, KERNELS, masks_of, tiny_model
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Silent
from polyhead.doctor.scoring import reordered
from polyhead.importance.methods import METHODS, check_normalisation, score_heads
from polyhead.importance.until_settled import score_until_settled
from polyhead.learning.batching import Batch, scoring_batches, training_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.losses import sentence_losses
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune

# those that differ in what a method can see
ALIKE = (
    "roberta",
    "xlm-roberta",
    "camembert",
    "mt5",
    "flaubert",
    "jina_embeddings_v3",
    "nomic_bert",
    "deberta-v2+v3",
    "modernbert+released",
)
ALIKE += ("eurobert+own-keys", "eurobert+one-key")
families = pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ALIKE])
methods = pytest.mark.parametrize("method", METHODS)
SHORT = {"n_lowest": 3, "max_passes": 40, "steps": 4, "epochs": 2}  # two rounds of shapley


def batches_of(encoded: Encoded, budget: int = 40) -> list[Batch]:
    return scoring_batches(encoded, budget=budget)


def short(method: str, *without: str) -> dict[str, int]:
    """Those of `SHORT` that the method knows."""
    return {name: value for name, value in SHORT.items() if METHODS[method].takes(name) and name not in without}


def values(method: str, model: PreTrainedModel, batches: list[Batch], *, learnt: bool = False) -> NDArray[np.float64]:
    """Scores by few passes; `learnt`: by as many epochs as usual, where the right head must be found."""
    options = short(method, *(["epochs"] if learnt else []))
    return score_heads(method, model, batches, seed=1, precision="fp32", options=options).values


@families
@methods
def test_a_dead_head_scores_zero(family: str, method: str) -> None:
    model = model_with_dead_head(family)
    found = values(method, model, batches_of(tiny_encoded()))
    if attention_sites(model)[0].group > 1 and method == "weight-gradient":
        return  # its keys and values are those of another head too
    assert (found[DEAD.layer, DEAD.head] == 0) == METHODS[method].dead_head_is_zero
    assert np.count_nonzero(found) >= 11


@families
@methods
def test_the_planted_head_comes_first(family: str, method: str) -> None:
    model = planted_model(family)
    found = values(method, model, batches_of(planted_encoded(model)), learnt=True)
    first = np.unravel_index(found.argmax(), found.shape)
    if family in RMS_NORMED and not METHODS[method].finds_planted:
        return  # there the other heads write nothing, which many a method can see
    assert (first == (PLANTED.layer, PLANTED.head)) == METHODS[method].finds_planted


@families
@methods
def test_higher_means_that_the_head_helps(family: str, method: str) -> None:
    model = planted_model(family)
    scores = score_heads(method, model, batches_of(planted_encoded(model)), precision="fp32", options=short(method, "epochs"))
    own = scores.signed if scores.signed is not None else scores.values if METHODS[method].sign == "signed" else None
    if own is not None:
        assert own[PLANTED.layer, PLANTED.head] > 0, "the planted head lowers the loss"


@families
@methods
def test_batches_order_and_padding_do_not_matter(family: str, method: str) -> None:
    encoded, model = tiny_encoded(windowed=None), tiny_model(family, dtype=torch.float64)
    usual = values(method, model, batches_of(encoded))
    others = {
        "size": batches_of(encoded, budget=1),
        "order": batches_of(encoded)[::-1],
        "file order": training_batches(encoded, batch_size=3, order="file", seed=0, epoch=0),
        "padding": training_batches(encoded, batch_size=4, order="file", seed=0, epoch=0, pad_to=30),
    }
    rough = family in ("xlm", "eurobert", "t5", "mt5", "umt5")  # these compute softmax or norms in float32, T5 before 5.24
    bounds = {"rtol": 1e-4, "atol": 1e-5 * float(np.abs(usual).max())} if rough else {"rtol": 1e-9, "atol": 0.0}
    same = {how: np.allclose(values(method, model, batches), usual, **bounds) for how, batches in others.items()}
    assert all(same.values()) == METHODS[method].batch_invariant, same


@methods
def test_a_text_has_the_mean_of_the_scores_of_its_sentences(method: str) -> None:
    """So sentences weigh equally, and nothing is carried from batch to batch or from call to call."""
    row, model = METHODS[method], tiny_model("bert", dtype=torch.float64)
    every = batches_of(tiny_encoded(), budget=1)
    alone = [batch for batch in every if not row.needs_labels or (batch.anchor_labels != -100).any()]
    parts = [score_heads(method, model, [batch], seed=1, precision="fp32", options=short(method)) for batch in alone]
    assert {part.n for part in parts} == {int(row.reads_text)}
    mean = np.mean([part.values for part in parts], axis=0)
    # weight gradients are summed in float32
    assert np.allclose(values(method, model, alone), mean, rtol=1e-5, atol=1e-12) == row.additive


@methods
def test_scores_of_sentences_have_the_score_as_their_mean(method: str) -> None:
    """Also where a sentence has windows or no label; only rows that declare a mean over sentences give them."""
    model, encoded, row = tiny_model("bert", dtype=torch.float64), tiny_encoded(), METHODS[method]
    found: dict[int, NDArray[np.float64]] = {}
    signed: dict[int, NDArray[np.float64]] = {}

    def receive(batch: Batch, own: NDArray[np.float64], own_signed: NDArray[np.float64] | None) -> None:
        for table, rows in ((found, own), (signed, own_signed)):
            for sentence, value in zip(batch.sentences, () if rows is None else rows, strict=rows is not None):
                table[sentence] = table.get(sentence, np.zeros(())) + value

    run = partial(score_heads, method, model, batches_of(encoded), precision="fp32", receive=receive)
    if not row.sentence_mean:
        with pytest.raises(SettingError, match="not a mean over sentences"):
            run()
        return
    scores = run()
    assert sorted(found) == list(range(7))
    np.testing.assert_allclose(sum(found.values()) / scores.n, scores.values, rtol=1e-6)
    if scores.signed is not None:
        np.testing.assert_allclose(sum(signed.values()) / scores.n, scores.signed, rtol=1e-6, atol=1e-12)


@methods
def test_reading_until_settled_ends_in_the_full_pass(method: str) -> None:
    model, encoded = tiny_model("bert", dtype=torch.float64), random_encoded(100)
    run = partial(score_until_settled, method, model, encoded, n_lowest=5, may_differ=0, near_tie=0, precision="fp32")
    if not METHODS[method].sentence_mean:
        with pytest.raises(SettingError, match="not a mean over sentences"):
            run()
        return
    options = {"steps": 2} if METHODS[method].takes("steps") else None
    found = run(options=options)
    expected = score_heads(method, model, scoring_batches(encoded), precision="fp32", options=options)
    assert found.n == found.settings["sentences_read"] <= expected.n
    if found.n == expected.n:
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
        assert found.settings["differ_at_most"] == 0
        assert found.forward_passes == pytest.approx(expected.forward_passes, rel=0.5)


@methods
def test_heads_that_stand_elsewhere_in_the_weights_keep_their_scores(method: str) -> None:
    model = tiny_model("bert", dtype=torch.float64)
    batches = batches_of(tiny_encoded())
    expected = np.roll(values(method, model, batches), 1, axis=1)
    same = np.allclose(values(method, reordered(model), batches), expected, rtol=1e-9, atol=1e-15)
    assert same == METHODS[method].place_invariant


@families
def test_a_loss_weighs_the_words_of_a_sentence_equally(family: str) -> None:
    model, encoded = tiny_model(family, dtype=torch.float64).eval(), tiny_encoded()
    by_sentence: dict[int, list[float]] = {}
    for window in encoded.windows:
        with torch.no_grad():
            logits = model(torch.from_numpy(window.input_ids).long()[None]).logits[0].log_softmax(-1)
        for place, label in zip(window.anchor_positions, window.label_ids, strict=True):
            if label != -100:
                by_sentence.setdefault(window.sentence, []).append(-float(logits[place, label]))
    (batch,) = training_batches(encoded, batch_size=7, order="file", seed=0, epoch=0, pad_to=30)
    with torch.no_grad():
        losses, labelled = sentence_losses(model, batch, "fp32")
    found = {sentence: float(loss) for sentence, loss, own in zip(batch.sentences, losses, labelled, strict=True) if own}
    assert found == pytest.approx({sentence: np.mean(own) for sentence, own in by_sentence.items()})


@families
@methods
def test_signs_are_those_of_the_row(family: str, method: str) -> None:
    found = values(method, tiny_model(family), batches_of(tiny_encoded()))
    if METHODS[method].sign == "absolute":
        assert (found >= 0).all()
    elif METHODS[method].sign == "signed":
        assert (found < 0).any(), "on a random model some heads harm"
    elif METHODS[method].sign == "negative":
        assert (found <= 0).all()
    refused = METHODS[method].sign in ("signed", "negative")
    with pytest.raises(SettingError, match=method) if refused else nullcontext():
        check_normalisation(method, "paper")
    check_normalisation(method, "none")


@families
@methods
def test_kernels_agree(family: str, method: str) -> None:
    batches = batches_of(tiny_encoded())
    if len(KERNELS[family]) == 1:
        pytest.skip("the family has one kernel")
    one, other = (values(method, tiny_model(family, kernel=kernel), batches) for kernel in ("sdpa", "eager"))
    assert np.allclose(one, other, rtol=1e-4, atol=1e-5)


@families
@methods
def test_heads_that_are_gone_are_nan(family: str, method: str) -> None:
    for name, mask in masks_of(tiny_model(family)).items():
        model = prune(tiny_model(family), mask)
        if name == "everything" and METHODS[method].needs_labels:
            assert np.isnan(values(method, model, batches_of(tiny_encoded()))).all()
            continue
        found = values(method, model, batches_of(tiny_encoded()))
        assert np.array_equal(np.isnan(found), ~mask.keep), name


class Stops(Silent):
    def advance(self, n: int) -> None:
        raise KeyboardInterrupt


@methods
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stopped", [False, True])
def test_the_model_is_left_as_it_was_found(method: str, precision: str, stopped: bool) -> None:
    model = tiny_model("bert").train()
    model.base_model.encoder.eval()
    frozen = model.base_model.embeddings.word_embeddings.weight.requires_grad_(False)
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    before = copy.deepcopy(model.state_dict())
    parameters = dict(model.named_parameters())
    modes = [module.training for module in model.modules()]
    batches = batches_of(tiny_encoded())
    try:
        score_heads(method, model, batches, precision=precision, progress=Stops() if stopped else None, options=short(method))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        assert stopped
    else:
        assert not stopped or not METHODS[method].needs_labels
    assert [module.training for module in model.modules()] == modes
    assert all(model.get_parameter(name) is parameter for name, parameter in parameters.items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["bert.embeddings.word_embeddings.weight"]
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["classifier.weight"]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not frozen.requires_grad


@methods
def test_labels_are_needed_where_the_row_says_so(method: str) -> None:
    encoded = tiny_encoded()
    bare = replace(encoded, windows=tuple(replace(w, label_ids=np.full_like(w.label_ids, -100)) for w in encoded.windows))
    model = tiny_model("bert")
    if METHODS[method].needs_labels:
        with pytest.raises(SettingError, match=r"no .*labelled word"):
            values(method, model, batches_of(bare))
    else:
        assert np.isfinite(values(method, model, batches_of(bare))).all()


class NoFloat64(TorchFunctionMode):
    """As on MPS: a tensor that was not brought to the CPU cannot become float64. Here `.cpu()` gives back the tensor itself."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[torch.Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        wide = func is torch.Tensor.double or (func is torch.Tensor.to and torch.float64 in args)
        if wide and not any(args[0] is tensor for tensor in self.brought):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
        found = func(*args, **(kwargs or {}))
        if func is torch.Tensor.cpu:
            self.brought.append(found)
        return found


@methods
def test_nothing_becomes_float64_on_the_device(method: str) -> None:
    model, batches = tiny_model("bert"), batches_of(tiny_encoded())
    with NoFloat64():
        with pytest.raises(TypeError):
            model.classifier.weight.double().cpu()
        found = score_heads(method, model, batches, precision="fp32", options=short(method)).values
    np.testing.assert_array_equal(found, score_heads(method, model, batches, precision="fp32", options=short(method)).values)


@methods
def test_passes_are_told(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row, batches, model = METHODS[method], batches_of(tiny_encoded()), tiny_model("bert")
    counts = {"forward": 0.0, "backward": 0.0}
    grad = torch.autograd.grad

    running = False

    def counted_grad(*args: Any, **kwargs: Any) -> Any:
        nonlocal running
        if running:  # called again by torch itself, below a mode for its functions
            return grad(*args, **kwargs)
        running = True
        try:
            counts["backward"] += 1
            return grad(*args, **kwargs)
        finally:
            running = False

    def counted_forward(*_: Any) -> None:
        counts["forward"] += 1 / 3  # a pass over one of three layers

    monkeypatch.setattr(torch.autograd, "grad", counted_grad)
    handles = [site.output.register_forward_hook(counted_forward) for site in attention_sites(model)]
    scores = score_heads(method, model, batches, options=short(method, "steps", "epochs"))
    for handle in handles:
        handle.remove()
    told = {"forward": scores.forward_passes, "backward": scores.backward_passes}
    assert counts == {name: pytest.approx(len(batches) * passes) for name, passes in told.items()}
    for passes, name in ((row.forward, "forward"), (row.backward, "backward")):
        assert passes.count is None or told[name] == pytest.approx(passes.count(3, 4))
    assert scores.method == method


def test_every_method_stands_under_its_name() -> None:
    assert all(name == row.name for name, row in METHODS.items())
