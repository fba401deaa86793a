"""A model's card as a file: there and back, absent, corrupt, and after pruning."""

import json
from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import CheckpointError
from polyhead.models.model_card import CardScore, ModelCard, pruned_further

CARD = ModelCard(
    task="pos",
    languages=("en",),
    training_data=("ud/en_ewt train",),
    ranking="by gradient",
    scores=(CardScore("ud/de_gsd test", "de", "accuracy", 0.7), CardScore("x", "en", "accuracy", 0.9, 0.95)),
)


def test_there_and_back(tmp_path: Path) -> None:
    assert ModelCard.read(tmp_path) is None
    CARD.write(tmp_path)
    assert ModelCard.read(tmp_path) == CARD


def test_further_pruning_leaves_the_scores_of_the_unpruned_model() -> None:
    card = pruned_further(CARD, ranking="by hand", choice="two")
    assert [(score.pruned, score.full) for score in card.scores] == [(None, 0.7), (None, 0.95)]
    assert (card.ranking, card.choice, card.training_data) == ("by hand", "two", CARD.training_data)
    assert "was not scored" in card.caveat
    assert pruned_further(ModelCard(), ranking="", choice="").caveat == ""


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"task": 3},
        {"languages": "en"},
        {"scores": [1]},
        {"scores": [{"data": "x"}]},
        {"more": 1},
        {"choice": None},
        {"scores": [{"data": "x", "language": "en", "metric": "F1", "pruned": "0.5", "full": None}]},
        {"license": ["mit"]},
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    CARD.write(tmp_path)
    path = tmp_path / "model_card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"model_card\.json: .*delete the file to continue without it") as caught:
        ModelCard.read(tmp_path)
    assert "\n" not in str(caught.value)
    assert next(iter(change)) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_what_is_no_json_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model_card.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"model_card\.json"):
        ModelCard.read(tmp_path)
