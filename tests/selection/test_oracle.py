"""The greedy oracle: equal to a search by hand, resumable, and refusing the file of another search."""

from pathlib import Path

import pytest
import torch
from conformance.tiny import tiny_model
from curve_case import LABELS, labelled
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.tasks import TASKS
from polyhead.learning.inference import Labelled, evaluate, predict
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import prune
from polyhead.selection.curves import area, pruning_curve
from polyhead.selection.oracle import Oracle, greedy_order
from polyhead.selection.ranking import rank


def search(model: PreTrainedModel, data: Labelled, n_steps: int, *, task: str = "pos", **options: object) -> Oracle:
    options = {"precision": "fp32", "budget": 40, **options}
    return greedy_order(model, data, TASKS[task], LABELS[task], n_steps=n_steps, **options)  # type: ignore[arg-type]


def mean_loss(model: PreTrainedModel, data: Labelled, mask: HeadMask) -> float:
    total, n = 0.0, 0
    with torch.no_grad(), gated(model, mask):
        for window in data.encoded.windows:
            logits = model(torch.from_numpy(window.input_ids.astype("int64"))[None]).logits[0].double().log_softmax(-1)
            for place, label in zip(window.anchor_positions.tolist(), window.label_ids.tolist(), strict=True):
                if label >= 0:
                    total, n = total - float(logits[place, label]), n + 1
    return total / n


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_each_step_takes_the_best_removal_and_ties_go_to_the_lower_loss(task: str) -> None:
    model, data = tiny_model("bert"), labelled(task)
    found = search(model, data, 3, task=task)
    gone: list[HeadId] = []
    ties = 0
    for step, head in enumerate(found.order):
        results = {}
        for other in HeadMask.without(3, 4, gone).kept:
            mask = HeadMask.without(3, 4, [*gone, other])
            alone = evaluate(model, {"": data}, TASKS[task], LABELS[task], precision="fp32", mask=mask)
            results[other] = (-alone[""].metrics[TASKS[task].metric], mean_loss(model, data, mask))
        assert head == min(results, key=lambda other: (*results[other], other))
        assert found.scores[step + 1] == -results[head][0]
        ties += sum(score == results[head][0] for score, _ in results.values()) > 1
        gone.append(head)
    assert ties, "a test in which the loss decides at least once"


def test_its_curve_has_its_scores_and_no_other_first_step_is_better() -> None:
    model, data = tiny_model("xlm-roberta"), labelled("pos")
    oracle = search(model, data, 6)
    options = {"precision": "fp32", "budget": 40, "max_pruned": 6}
    own = pruning_curve(model, data, TASKS["pos"], LABELS["pos"], oracle.order, **options)
    assert tuple(own.scores) == oracle.scores
    by_address = rank(torch.zeros(3, 4).double().numpy())
    other = pruning_curve(model, data, TASKS["pos"], LABELS["pos"], by_address, **options)
    assert other.scores[1] <= oracle.scores[1]
    assert area(oracle.scores) > area(other.scores)


def test_the_only_head_that_matters_goes_last() -> None:
    model, encoded, planted = tiny_model("bert"), labelled("pos").encoded, HeadId(1, 2)
    with torch.no_grad():
        for site in attention_sites(model):
            for head, columns in enumerate(site.head_columns()):
                site.output.weight[:, columns] *= 20.0 * (HeadId(site.layer, head) == planted)
    gold = predict(model, encoded, labels=LABELS["pos"], precision="fp32")
    found = search(model, Labelled(encoded, gold), 12)
    assert found.order[-1] == planted
    assert list(found.order[:-1]) == sorted(found.order[:-1]), "the others are alike, and go by address"
    assert found.scores[:-1] == (1.0,) * 12
    assert found.scores[-1] < 1


def test_layers_below_a_candidate_run_once() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    runs = [0, 0, 0]

    def count(layer: int) -> None:
        runs[layer] += 1

    for site in attention_sites(model):
        site.output.register_forward_hook(lambda *_, layer=site.layer: count(layer))
    greedy_order(model, data, TASKS["pos"], LABELS["pos"], n_steps=1, budget=10**6)
    # once for the mask before the step, then four candidates a layer, each of which runs its own layer and those above
    assert runs == [1 + 4, 1 + 8, 1 + 12]


def test_pruned_heads_are_not_tried() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    lost = [HeadId(0, 0), HeadId(2, 3)]
    prune(model, HeadMask.without(3, 4, lost))
    found = search(model, data, 10)
    assert len(set(found.order)) == 10
    assert not set(found.order) & set(lost)
    for n in (0, 11):
        with pytest.raises(SettingError, match=f"oracle of {n} steps: expected 1 to 10"):
            search(model, data, n)


class Stop:
    """A progress that is stopped by the user after some candidates."""

    def __init__(self, after: int) -> None:
        self.left, self.total, self.done = after, 0, 0

    def start(self, total: int, what: str) -> None:
        self.total = total

    def advance(self, n: int) -> None:
        self.done += n
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt

    def stop(self) -> None:
        pass


def test_a_stopped_search_continues_to_the_same_result(tmp_path: Path) -> None:
    model, data, keep = tiny_model("bert").train(), labelled("pos"), tmp_path / "deep" / "oracle.partial"
    whole = Stop(10**9)
    expected = search(model, data, 5, progress=whole)
    assert whole.done == whole.total > 0
    stopped = Stop(whole.total // 2)
    with pytest.raises(KeyboardInterrupt):
        search(model, data, 5, progress=stopped, resume_file=keep)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert keep.is_file()
    rest = Stop(10**9)
    assert search(model, data, 5, progress=rest, resume_file=keep) == expected
    assert rest.done == rest.total < whole.total
    # fewer steps are the beginning of more
    assert search(model, data, 2, progress=Stop(0), resume_file=keep) == Oracle(expected.order[:2], expected.scores[:3])


def test_what_another_search_left_is_refused(tmp_path: Path) -> None:
    model, data, keep = tiny_model("bert"), labelled("pos"), tmp_path / "oracle.partial"
    search(model, data, 1, resume_file=keep)
    with pytest.raises(StoreError, match=r"oracle.partial: belongs to other work \(weights was "):
        search(tiny_model("bert", seed=1), data, 2, resume_file=keep)
    with pytest.raises(StoreError, match=r"data was .*; gold labels was "):
        search(model, labelled("pos", seed=1), 2, resume_file=keep)
    gold = [[label if label is None or label in LABELS["pos"] else "SYM" for label in sentence] for sentence in data.gold]
    with pytest.raises(StoreError, match=r"\(gold labels was [^;]*\); "):
        search(model, Labelled(data.encoded, gold), 2, resume_file=keep)
    with pytest.raises(StoreError, match="precision was 'fp32', is 'bf16'"):
        search(model, data, 2, resume_file=keep, precision="bf16")
