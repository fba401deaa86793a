"""The doctor: all is well with every family, and each fault, planted where a user would meet it, is found."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance import tiny
from conformance.scoring_case import tiny_encoded
from conformance.tiny import FAMILIES, MASKS, tiny_model
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError, UnknownNameError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Silent
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import TASKS, UPOS
from polyhead.doctor import differences, scoring
from polyhead.doctor.examine import CHECKS, examine
from polyhead.doctor.finding import Check, Finding, Measured
from polyhead.doctor.subject import Subject, logits_apart, scores_apart, text_logits
from polyhead.importance import gate_pass
from polyhead.importance.method import Call
from polyhead.importance.methods import METHODS
from polyhead.learning import inference
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.models import devices, gates, pruning
from polyhead.models import saving as checkpoint
from polyhead.models.architectures import ARCHITECTURES, trying
from polyhead.models.neuron_sites import NeuronSite
from polyhead.models.sites import Part

COMPILED = "a compiled model obeys the mask"
# compiling takes seconds, and a fault in scores is not looked for among masks, nor the other way round
QUICK = tuple(check for check in CHECKS if check.name != COMPILED)
OF_SCORES = tuple(check for check in QUICK if check.run.__module__ in (scoring.__name__, differences.__name__))
OF_LOGITS = tuple(check for check in QUICK if check not in OF_SCORES)
SLOW = tuple(check for check in CHECKS if check.name == COMPILED)

MASKED = {f"masked = pruned: {kind}" for kind in (
    "one head", "all heads of a layer", "all heads of a layer but one", "every head", "a random half of the heads",
    "a random half of the heads and of the neurons",
)}  # fmt: skip
NEURONS = "masked = pruned: a random half of the heads and of the neurons"
IN_PREDICT = "the mask is active in predict and evaluate"
SAVED = "pruned, saved and loaded: the same logits, bit for bit"
PADDED_LOGITS = "padding does not change the logits"
ORDER_LOGITS = "the order of heads in the weights does not change the logits"
DEAD = "a dead head scores 0"
KERNELS = "scores do not depend on the attention kernel"
DIFFERENCES = "gate gradients are finite differences"
STOPPED = "interrupted scoring leaves the model unchanged"
UNCHANGED = "all checks leave the model unchanged"

Scorer = Callable[[PreTrainedModel, Sequence[Batch], Call], HeadScores]


def findings(model: PreTrainedModel | None = None, **options: Any) -> dict[str, Finding]:
    found = examine(
        model if model is not None else small(),
        options.pop("encoded", tiny_encoded()),
        labels=LabelSet(UPOS[:5]),
        task=TASKS["pos"],
        **{"checks": QUICK, "split": "dev", **options},
    )
    return {finding.name: finding for finding in found}


def small() -> PreTrainedModel:
    return tiny_model("bert", layers=2)


def failed(model: PreTrainedModel | None = None, **options: Any) -> set[str]:
    return {name for name, finding in findings(model, **options).items() if not finding.ok}


def plant(monkeypatch: pytest.MonkeyPatch, scorer: Scorer, name: str = "gradient") -> None:
    """Let a method's row run another function and promise what it did."""
    monkeypatch.setitem(METHODS, name, replace(METHODS[name], score=scorer))


def rescaled(change: Callable[[PreTrainedModel, Sequence[Batch], NDArray[np.float64]], NDArray[np.float64]]) -> Scorer:
    """The gradient method with its values changed."""
    honest = METHODS["gradient"].score

    def score(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
        scores = honest(model, batches, call)
        return replace(scores, values=change(model, batches, scores.values))

    return score


@pytest.mark.parametrize("family", FAMILIES)
def test_all_is_well(family: str) -> None:
    found = findings(tiny_model(family, layers=2))
    wrong = {name: (finding.result, finding.detail) for name, finding in found.items() if finding.result != "ok"}
    assert not wrong or (
        len(tiny.KERNELS[family]) == 1 and all(detail == "the model has eager only" for _, detail in wrong.values())
    ), wrong
    assert list(found) == [check.name for check in QUICK]


def test_text_of_a_test_split_is_found() -> None:
    assert failed(split="test") == {"the text is not from a test split"}
    found = findings(split=None)["the text is not from a test split"]
    assert (found.result, "does not say" in found.detail) == ("not checked", True)


def test_all_is_well_with_a_pruned_model_and_one_sentence() -> None:
    found = findings(pruning.prune(tiny_model("xlm-roberta"), MASKS["everything"]))
    unseen = {finding.name for finding in found.values() if finding.detail == "the model has no heads left"}
    assert "a dead head scores 0" in unseen
    assert {name: finding.result for name, finding in found.items()} == {
        name: "not checked" if name in unseen else "ok" for name in found
    }
    encoded = tiny_encoded()
    short = replace(encoded, windows=encoded.windows[:1], words_per_sentence=encoded.words_per_sentence[:1])
    found = findings(encoded=short)
    assert {finding.result for finding in found.values()} == {"ok"}, found


def test_a_model_in_training_mode_is_left_so() -> None:
    model = small().train()
    assert not failed(model, checks=OF_SCORES)
    assert all(module.training for module in model.modules())


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in METHODS if name != "gradient"])
def test_no_method_is_blamed_for_what_it_does_not_promise(method: str) -> None:
    found = findings(method=method, checks=OF_SCORES)
    assert not {name: finding for name, finding in found.items() if not finding.ok}
    assert (found[DEAD].result == "ok") == METHODS[method].dead_head_is_zero


def test_what_is_asked_wrongly_is_refused_before_any_check() -> None:
    encoded = tiny_encoded()
    bare = replace(encoded, windows=tuple(replace(w, label_ids=np.full_like(w.label_ids, -100)) for w in encoded.windows))
    with pytest.raises(SettingError, match="labelled word"):
        findings(encoded=bare)
    with pytest.raises(UnknownNameError, match="'magic'"):
        findings(method="magic")
    with pytest.raises(SettingError, match=r"float64.*float32"):
        findings(tiny_model("bert", dtype=torch.float64))


def test_progress_is_told_of_every_check() -> None:
    told: list[int] = []

    class Counts(Silent):
        def advance(self, n: int) -> None:
            told.append(n)

    findings(checks=QUICK[:3], progress=Counts())
    assert told == [1, 1, 1]


def test_an_exception_in_a_check_is_a_failure_with_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space\nleft")

    monkeypatch.setattr(checkpoint, "save_pruned", broken)
    found = findings(checks=OF_LOGITS)
    assert {name for name, finding in found.items() if not finding.ok} == {SAVED}
    assert found[SAVED].detail == "OSError: no space left"


def test_differences_have_a_scale() -> None:
    small, large = torch.tensor([0.5, -0.25]), torch.tensor([100.0, 1.0])
    assert logits_apart(small + 0.1, small) == pytest.approx(0.1)
    assert logits_apart(large + 0.1, large) == pytest.approx(0.001)
    assert np.isnan(logits_apart(torch.tensor([torch.nan, 0.0]), small))
    scores = np.array([[1e-4, np.nan]])
    assert scores_apart(scores * 1.1, scores) == pytest.approx(0.1)
    assert scores_apart(np.array([[np.nan, 1e-4]]), scores) == np.inf
    assert scores_apart(np.zeros((1, 2)), np.zeros((1, 2))) == 0


# gating, pruning, checkpoints


def test_gates_that_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nothing(*_: object, **__: object) -> Iterator[None]:
        yield

    for module in (gates, inference, gate_pass):
        monkeypatch.setattr(module, "gated", nothing)
    found = failed()
    assert MASKED | {IN_PREDICT, DIFFERENCES} <= found
    assert "masked = pruned: nothing" not in found


def test_a_mask_that_only_predict_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "gated", lambda *_, **__: contextlib.nullcontext())
    found = findings(checks=OF_LOGITS)
    assert {name for name, finding in found.items() if not finding.ok} == {IN_PREDICT}
    assert found[IN_PREDICT].detail == "the mask changes nothing in predict and evaluate"


def test_a_mask_that_only_evaluate_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = inference.evaluate
    monkeypatch.setattr(inference, "evaluate", lambda *args, **options: honest(*args, **{**options, "mask": None}))
    found = findings(checks=OF_LOGITS)
    assert {name for name, finding in found.items() if not finding.ok} == {IN_PREDICT}
    assert found[IN_PREDICT].detail == "the mask changes nothing in evaluate"


def test_hooks_that_do_nothing_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gates._Hook.__call__

    def skipped(hook: Any, module: Any, args: Any) -> Any:
        return honest(hook, module, args) if module.training else args

    monkeypatch.setattr(gates._Hook, "__call__", skipped)
    assert MASKED | {IN_PREDICT} <= failed(checks=OF_LOGITS)


def test_pruning_that_keeps_the_wrong_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = NeuronSite.input_rows
    monkeypatch.setattr(NeuronSite, "input_rows", lambda site: honest(site).roll(1, 0))
    assert failed(checks=OF_LOGITS) == {NEURONS}


def test_a_family_without_a_row_for_its_neurons_is_not_checked() -> None:
    with trying(replace(ARCHITECTURES["bert"], neuron_output="", neuron_inputs=())):
        found = findings(checks=OF_LOGITS)
    assert {name: finding.result for name, finding in found.items() if finding.result != "ok"} == {NEURONS: "not checked"}


def test_a_cut_that_keeps_the_wrong_head(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = pruning._reduce

    def shifted(parts: Sequence[Part], blocks: Sequence[int], **named: bool) -> None:
        honest(parts, sorted((block + 1) % len(parts[0].index) for block in blocks), **named)

    monkeypatch.setattr(pruning, "_reduce", shifted)
    found = failed(checks=OF_LOGITS)
    assert {"masked = pruned: one head", "masked = pruned: all heads of a layer but one", IN_PREDICT} <= found
    assert SAVED not in found


def test_a_checkpoint_that_lacks_a_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = PreTrainedModel.save_pretrained

    def lossy(model: PreTrainedModel, folder: Any, **options: Any) -> None:
        state = model.state_dict()
        state.pop("classifier.bias")
        honest(model, folder, state_dict=state, **options)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", lossy)
    found = findings(checks=OF_LOGITS)
    assert {name for name, finding in found.items() if not finding.ok} == {SAVED}
    assert "classifier.bias" in found[SAVED].detail


def test_a_checkpoint_that_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = PreTrainedModel.save_pretrained
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", lambda model, folder: honest(copy.deepcopy(model).bfloat16(), folder))
    assert failed(checks=OF_LOGITS) == {SAVED}


def test_a_model_that_reads_its_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    honest = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda self, input_ids, attention_mask=None: honest(self, input_ids))
    checks = [check for check in QUICK if check.name in (PADDED_LOGITS, DEAD)]
    assert failed(model, checks=checks) == {PADDED_LOGITS}


@pytest.mark.slow
def test_a_compiled_model_that_ignores_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not failed(checks=SLOW)
    monkeypatch.setattr(torch.compiler, "set_stance", lambda *_: contextlib.nullcontext())
    assert failed(checks=SLOW) == {COMPILED}


# scores


def test_scores_on_the_wrong_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, METHODS["weight-gradient-released"].score)
    found = failed(checks=OF_SCORES)
    assert found == {DEAD, DIFFERENCES}


def test_scores_that_see_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def eager_is_less(model: PreTrainedModel, batches: Sequence[Batch], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values * (0.999 if model.config._attn_implementation == "eager" else 1)

    plant(monkeypatch, rescaled(eager_is_less))
    assert failed(checks=OF_SCORES) == {KERNELS}


def test_gate_gradients_that_are_twice_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gates._Scale.backward

    def twice(ctx: Any, *grads: Tensor) -> Any:
        dz, dgate, *rest = honest(ctx, *grads)
        return (dz, dgate if dgate is None else 2 * dgate, *rest)

    monkeypatch.setattr(gates._Scale, "backward", staticmethod(twice))
    found = findings(checks=OF_SCORES)
    assert {name for name, finding in found.items() if not finding.ok} == {DIFFERENCES}
    assert found[DIFFERENCES].value == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("method", ["gradient", "fisher"])
def test_scores_that_are_twice_too_large(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    honest = METHODS[method].score

    def twice(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
        scores = honest(model, batches, call)
        return replace(scores, values=2 * scores.values)

    plant(monkeypatch, twice, method)
    assert failed(method=method, checks=OF_SCORES) == {DIFFERENCES}


# the model is left as it was


def _leaves(what: str, model: PreTrainedModel) -> None:
    if what == "hook":
        model.base_model.encoder.register_forward_hook(lambda module, args, output: None)
    elif what == "mode":
        model.base_model.train()
    elif what == "weight":
        model.classifier.bias.data += 1e-3
    elif what == "frozen":
        model.classifier.bias.requires_grad_(False)
    elif what == "gradient":
        model.classifier.bias.grad = torch.zeros_like(model.classifier.bias)
    else:
        model.config.hidden_dropout_prob = 0.5


@pytest.mark.parametrize("what", ["hook", "mode", "weight", "frozen", "gradient", "config"])
def test_a_method_that_leaves_something_behind(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    honest = METHODS["gradient"].score

    def untidy(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
        scores = honest(model, batches, call)
        _leaves(what, model)
        return scores

    plant(monkeypatch, untidy)
    checks = [check for check in QUICK if check.name in (DEAD, UNCHANGED)]
    found = findings(checks=checks)
    assert not found[UNCHANGED].ok
    assert found[UNCHANGED].value == 1, found[UNCHANGED].detail


def test_a_method_that_is_untidy_only_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = METHODS["gradient"].score

    def untidy(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
        try:
            return honest(model, batches, call)
        except KeyboardInterrupt:
            _leaves("hook", model)
            raise

    plant(monkeypatch, untidy)
    found = findings(checks=OF_SCORES)
    assert {name for name, finding in found.items() if not finding.ok} == {STOPPED, UNCHANGED}
    assert found[STOPPED].detail.startswith("hooks: 1 changed, such as bert.encoder")


def test_a_mask_over_a_pruned_model_keeps_what_is_gone_gone() -> None:
    model = pruning.prune(small(), HeadMask([[1, 0, 1, 1], [0, 0, 0, 1]]))
    assert not failed(model)


def test_every_kind_of_cut() -> None:
    kinds = (
        "nothing",
        "one head",
        "all heads of a layer",
        "all heads of a layer but one",
        "every head",
        "a random half of the heads",
    )
    gone = HeadMask([[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    model = pruning.prune(tiny_model("bert"), gone)
    seen = []

    def cuts(subject: Subject) -> Measured:
        seen.extend(subject.mask(kind) for kind in kinds)
        return Measured(0.0)

    examine(
        model,
        tiny_encoded(),
        labels=LabelSet(UPOS[:5]),
        task=TASKS["pos"],
        checks=[Check("cuts", "", cuts, 0.0)],
    )
    assert all((mask & gone) == mask for mask in seen)
    assert [mask.n_kept for mask in seen[:2]] == [7, 6]
    assert seen[2].n_kept in (3, 4)
    assert seen[3].n_kept == seen[2].n_kept + 1
    assert [mask.n_kept for mask in seen[4:]] == [0, 3]


@pytest.mark.parametrize("family", ["xlm-roberta", "distilbert"])
def test_the_copy_in_float64_computes_the_same_and_leaves_the_model_in_float32(family: str) -> None:
    model, batches = tiny_model(family, layers=2), scoring_batches(tiny_encoded())
    wide = differences.wide_copy(model, batches)
    assert (wide.dtype, model.dtype) == (torch.float64, torch.float32)
    assert wide.get_input_embeddings().weight.shape[0] < model.get_input_embeddings().weight.shape[0]
    assert logits_apart(text_logits(wide, batches), text_logits(model, batches)) < 1e-6


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "_MEMORY", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable:    1 kB\n")
    (found,) = findings(checks=[check for check in QUICK if check.name == DIFFERENCES]).values()
    assert (found.result, found.ok) == ("not checked", True)
    assert "GiB more memory" in found.detail


def test_a_family_without_a_row_is_refused() -> None:
    model = small()
    model.config.model_type = "unheard-of"
    with pytest.raises(ArchitectureError, match="unheard-of"):
        findings(model)


def test_reordered_weights_are_not_those_of_the_model() -> None:
    model = small()
    before, after = (one.bert.encoder.layer[0].attention.self.query.weight for one in (model, scoring.reordered(model)))
    assert torch.equal(after, before.roll(before.shape[0] // 4, dims=0))
    assert not torch.equal(after, before)
