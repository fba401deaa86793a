"""Orders made on halves: each from its own sentences alone, and once where no labels are read."""

from pathlib import Path

import pytest

import polyhead as ph
from polyhead.core.errors import UnknownNameError
from polyhead.core.heads import HeadScores
from polyhead.data.sampling import halves
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.selection.ranking import rank
from polyhead.studies.crossed_orders import check_methods, method_orders, oracle_order
from polyhead.studies.tagger import Tagger

SENTENCES = ph.sample(ph.open_corpus("phrases/en", "dev"), 12, seed=1)
HALVES = halves(12, seed=3)


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load("polyhead/tiny", task="pos", seed=42)


@pytest.fixture(scope="module")
def data(tagger: Tagger) -> Labelled:
    return Labelled(tagger.encode(SENTENCES), [sentence.labels for sentence in SENTENCES.sentences])


def test_each_order_is_made_on_its_own_half(tagger: Tagger, data: Labelled) -> None:
    low, high = method_orders("fisher", tagger, data, HALVES, called="fisher", depth=4, normalisation="none", seed=0)
    alone = [
        rank(score_heads("fisher", tagger.model, scoring_batches(data.part(half).encoded), precision=tagger.precision))
        for half in HALVES
    ]
    assert [low.heads, low.crossed] == alone
    assert [high.heads, high.crossed] == [order[::-1] for order in alone]


def test_what_reads_no_labels_ranks_once_and_what_is_learnt_for_one_k_gets_it(
    tagger: Tagger, data: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[HeadScores] = []

    def watched(*arguments: object, **options: object) -> HeadScores:
        seen.append(score_heads(*arguments, **options))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr("polyhead.studies.crossed_orders.score_heads", watched)
    for name in ("confidence", "subset"):
        found = method_orders(
            name,
            tagger,
            data,
            HALVES,
            called=name,
            depth=5,
            normalisation="none",
            seed=0,
            resume_file=lambda work: tmp_path / f"{work}.partial",
        )
        assert (found[0].crossed is None) == (name == "confidence")
    assert [scores.n for scores in seen] == [12, 6, 6]
    assert [scores.settings.get("n_lowest") for scores in seen] == [None, 5, 5]
    assert {path.name for path in tmp_path.iterdir()} == {"subset.a.partial", "subset.b.partial"}


def test_the_oracle_of_each_half_has_its_own_heads(tagger: Tagger, data: Labelled) -> None:
    found = oracle_order(tagger, data, HALVES, depth=3, candidates=4, seed=0)
    assert found.crossed is not None
    assert (len(found.heads), len(found.crossed)) == (3, 3)
    assert found.heads != found.crossed


def test_methods_are_checked_before_any_work() -> None:
    check_methods(("gradient", "magnitude"), "paper")
    with pytest.raises(UnknownNameError, match=r"method .l1."):
        check_methods(("gradient", "l1"), "none")
