"""The oracle's shortlist: three sources, re-scored at every step, and no head that is gone."""

from pathlib import Path

import pytest
from conformance.tiny import tiny_model
from curve_case import LABELS, labelled

from polyhead.core.errors import StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.tasks import TASKS
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.models.gates import gated
from polyhead.models.pruning import prune
from polyhead.selection.oracle import greedy_order
from polyhead.selection.ranking import rank
from polyhead.studies.oracle_candidates import oracle_shortlist


def test_half_are_the_most_harmful_now_a_quarter_the_smallest_and_the_rest_chance() -> None:
    model, batches = tiny_model("bert"), scoring_batches(labelled("pos").encoded)
    lists = [oracle_shortlist(model, batches, size=4, seed=seed, precision="fp32") for seed in (0, 0, 1)]
    by_magnitude = rank(score_heads("magnitude", model, []))
    gone: list[HeadId] = []
    chance = []
    for _ in range(3):
        on = HeadMask.without(3, 4, gone)
        with gated(model, on):
            scores = score_heads("gradient", model, batches, precision="fp32")
        assert scores.signed is not None
        harmful = [head for head in rank(scores.signed) if head not in gone][:2]
        small = next(head for head in by_magnitude if head not in gone and head not in harmful)
        found, again, other = (one.heads(on) for one in lists)
        assert list(found)[:3] == [*harmful, small]
        assert len(set(found) - set(gone)) == 4
        assert found == again
        chance += [(found[3], other[3])]
        gone.append(harmful[0])
    assert any(one != other for one, other in chance)


def test_few_heads_are_all_tried() -> None:
    model, batches = tiny_model("bert"), scoring_batches(labelled("pos").encoded)
    on = HeadMask.without(3, 4, [HeadId(0, 1)])
    assert set(oracle_shortlist(model, batches, size=11).heads(on)) == set(on.kept)


def test_an_oracle_of_candidates_tries_no_others_and_refuses_the_file_of_another(tmp_path: Path) -> None:
    model, data, keep = tiny_model("bert"), labelled("pos"), tmp_path / "oracle.partial"
    prune(model, HeadMask.without(3, 4, [HeadId(0, 0)]))
    batches = scoring_batches(data.encoded, budget=40)
    shortlist = oracle_shortlist(model, batches, size=4, precision="fp32")
    options = {"n_steps": 5, "precision": "fp32", "budget": 40, "resume_file": keep}
    found = greedy_order(model, data, TASKS["pos"], LABELS["pos"], shortlist=shortlist, **options)  # type: ignore[arg-type]
    gone: list[HeadId] = [HeadId(0, 0)]
    for head in found.order:
        assert head in shortlist.heads(HeadMask.without(3, 4, gone))
        gone.append(head)
    with pytest.raises(StoreError, match=r"belongs to other work \(candidates was"):
        greedy_order(model, data, TASKS["pos"], LABELS["pos"], **options)  # type: ignore[arg-type]
